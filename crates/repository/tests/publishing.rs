//! What can be published, what waits, and what is found when something is wrong.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "what cannot go on here has failed"
)]

mod common;

use common::{DAY, Device, Keyring, NOW, Shop, is_fault, key, published, signer, to, waits};
use ports::Signer;
use repository::{Fault, Leave, OldKeys, Repository, RoleFile, Rotation, Why, Wrong};
use std::collections::BTreeMap;
use std::io::Cursor;
use std::sync::Arc;
use update::Threshold;
use update::tuf::BadMetadata;
use update::tuf::write::{Custom, SuccinctBins, Top};

fn two() -> Threshold {
    Threshold::new(2).unwrap()
}

#[test]
fn an_image_is_published() {
    let shop = Shop::begun();
    shop.add("dir/an image", b"octets");
    let done = shop.publish();
    assert_eq!(published(&done), [("targets", 1), ("snapshot", 1), ("timestamp", 1), ("root", 1)]);
    assert_eq!(done.images, ["dir/an image"]);
    let mut device = shop.device();
    assert_eq!(device.get(shop.dir.path(), "dir/an%20image", NOW), Err(BadMetadata::NoTarget));
    shop.is_right();
    let file = format!("targets/dir/{}.an image", x509::sha256(b"octets"));
    assert_eq!(shop.file(&file), b"octets", "as a web server looks for it");
}
#[test]
fn what_a_maker_says_goes_along() {
    let shop = Shop::begun();
    let custom = Custom::of_json(br#"{"release_counter":7}"#).unwrap();
    shop.repository().add("image", &mut Cursor::new(b"x"), Some(&custom), None, NOW).unwrap();
    shop.publish();
    assert!(String::from_utf8(shop.file("metadata/1.targets.json")).unwrap().contains(r#"{"release_counter":7}"#));
}
#[test]
fn nothing_new_is_published_as_nothing() {
    let shop = Shop::open_to_all();
    let done = shop.publish();
    assert!(done.published.is_empty() && done.images.is_empty(), "{done:?}");
}
#[test]
fn a_target_is_announced_no_longer() {
    let shop = Shop::open_to_all();
    let mut device = shop.device();
    device.get(shop.dir.path(), "image", NOW).unwrap();
    shop.repository().remove("image", NOW).unwrap();
    shop.publish();
    assert_eq!(device.get(shop.dir.path(), "image", NOW), Err(BadMetadata::NoTarget));
    is_fault(shop.repository().remove("image", NOW), r#"no role announces "image""#);
    shop.is_right();
}
#[test]
fn two_writers_at_once() {
    let shop = Shop::begun();
    let _one = shop.repository();
    is_fault(Repository::open(shop.dir.path(), common::always()), "another process has the repository");
}
#[test]
fn what_is_none_is_not_opened_nor_begun_twice() {
    let dir = tempfile::tempdir().unwrap();
    is_fault(Repository::open(dir.path(), common::always()), "there is no repository");
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0, "nothing is left there");
    let shop = Shop::begun();
    let role = |role| (role, (vec![key(&shop.by[0])], Threshold::ONE));
    let start = repository::Start { roles: Top::ALL.map(role).into(), lifetimes: repository::Lifetimes::DEFAULT };
    is_fault(Repository::begin(shop.dir.path(), &start, NOW, common::always()), "there is a repository already");
    let few = repository::Start { roles: BTreeMap::from([(Top::Root, (vec![], Threshold::ONE))]), ..start };
    is_fault(Repository::begin(dir.path(), &few, NOW, common::always()), "root would have fewer keys than must sign");
}
#[test]
fn names_that_lead_elsewhere() {
    let shop = Shop::begun();
    for name in ["../image", "/image", "a/../../b", "", &"a".repeat(181)] {
        let added = shop.repository().add(name, &mut Cursor::new(b"x"), None, None, NOW);
        is_fault(added, &format!("no target can be called {name:?} here"));
    }
    assert!(!shop.dir.path().join("staged/targets").exists(), "nothing was written");
    for name in ["", "a/b", "../a", ".a", "a b", "root", "ä"] {
        let leave = Leave { from: "targets".into(), to: to(name, &[signer()], &["*"]) };
        is_fault(shop.repository().delegate(&leave, NOW), &format!("no role can be called {name:?} here"));
    }
}

// ---- Signing by several, here and elsewhere ----

/// Root and targets need two of two; the second one of each is elsewhere.
fn two_houses() -> (Shop, Arc<dyn Signer>) {
    let (by, other) = ([signer(), signer(), signer(), signer()], signer());
    let mut roles: BTreeMap<_, _> =
        Top::ALL.into_iter().zip(&by).map(|(role, by)| (role, (vec![key(by)], Threshold::ONE))).collect();
    for role in [Top::Root, Top::Targets] {
        let keys = vec![key(&by[if role == Top::Root { 0 } else { 3 }]), key(&other)];
        roles.insert(role, (keys, two()));
    }
    (Shop::begun_with(roles, by), other)
}
/// What happens to a file elsewhere.
fn signed_elsewhere(octets: &[u8], by: &Arc<dyn Signer>) -> Vec<u8> {
    let mut file = RoleFile::read(octets).unwrap();
    file.sign(by.public_key(), |octets| by.sign(octets)).unwrap().unwrap();
    file.write()
}

#[test]
fn one_signature_is_not_enough() {
    let (shop, other) = two_houses();
    shop.add("image", b"x");
    let done = shop.publish_with(&shop.keyring());
    assert!(done.published.is_empty());
    let missing = Some(Why::Signatures { missing: 1, keys: vec![key(&other).id().to_owned()] });
    assert_eq!((waits(&done, "root"), waits(&done, "targets")), (missing.clone(), missing));
    assert!(!shop.dir.path().join("metadata").exists(), "no client gets anything");
}
#[test]
fn the_second_one_signs_elsewhere() {
    let (shop, other) = two_houses();
    shop.add("image", b"x");
    shop.publish_with(&shop.keyring());
    for role in ["root", "targets"] {
        let octets = signed_elsewhere(&shop.file(&format!("staged/{role}.json")), &other);
        assert_eq!(shop.repository().take(role, &octets).unwrap(), 1);
    }
    // Who comes last needs none of the keys that have signed already.
    let done = shop.publish_with(&[shop.by[1].clone(), shop.by[2].clone()]);
    assert_eq!(done.waiting, []);
    assert_eq!(shop.device().get(shop.dir.path(), "image", NOW), Ok(b"x".to_vec()));
    shop.is_right();
}
#[test]
fn a_file_that_says_something_else_is_not_taken() {
    let (shop, other) = two_houses();
    let before = signed_elsewhere(&shop.file("staged/targets.json"), &other);
    shop.add("image", b"x");
    match shop.repository().take("targets", &before) {
        Err(Fault::Metadata { bad: BadMetadata::OtherOctets, .. }) => {}
        other => panic!("{other:?}"),
    }
}
#[test]
fn a_change_makes_signatures_void() {
    let (shop, other) = two_houses();
    let signed = signed_elsewhere(&shop.file("staged/targets.json"), &other);
    shop.repository().take("targets", &signed).unwrap();
    shop.add("image", b"x");
    let done = shop.publish_with(&shop.keyring());
    assert!(matches!(waits(&done, "targets"), Some(Why::Signatures { missing: 1, .. })), "{done:?}");
}
#[test]
fn snapshot_and_timestamp_elsewhere_too() {
    let shop = Shop::begun();
    shop.add("image", b"x");
    let [root, timestamp, snapshot, targets] = shop.by.clone();
    let done = shop.publish_with(&[root, targets]);
    assert!(done.published.is_empty() && waits(&done, "snapshot").is_some(), "{done:?}");
    let octets = signed_elsewhere(&shop.file("staged/snapshot.json"), &snapshot);
    shop.repository().take("snapshot", &octets).unwrap();
    let done = shop.publish_with(&[]);
    assert!(done.published.is_empty() && waits(&done, "timestamp").is_some(), "{done:?}");
    let octets = signed_elsewhere(&shop.file("staged/timestamp.json"), &timestamp);
    shop.repository().take("timestamp", &octets).unwrap();
    assert_eq!(shop.publish_with(&[]).waiting, []);
    shop.is_right();
}
#[test]
fn a_staged_file_whose_image_is_gone() {
    let shop = Shop::begun();
    shop.add("image", b"x");
    std::fs::remove_dir_all(shop.dir.path().join("staged/targets")).unwrap();
    let done = shop.publish_with(&shop.keyring());
    assert_eq!(waits(&done, "targets"), Some(Why::Image("image".into())));
    assert!(done.published.is_empty());
}
#[test]
fn what_lay_too_long_is_not_published() {
    let shop = Shop::begun();
    let done = shop.repository().publish(&shop.keyring(), NOW.plus_s(365 * DAY), OldKeys::Sign).unwrap();
    assert_eq!((waits(&done, "root"), waits(&done, "targets")), (Some(Why::Expired), Some(Why::Expired)));
    assert!(done.published.is_empty());
}

// ---- Suppliers and bins ----

fn with_supplier() -> (Shop, Arc<dyn Signer>) {
    let (shop, supplier) = (Shop::open_to_all(), signer());
    let leave = Leave { from: "targets".into(), to: to("supplier", std::slice::from_ref(&supplier), &["supplier/*"]) };
    shop.repository().delegate(&leave, NOW).unwrap();
    (shop, supplier)
}
#[test]
fn a_supplier_signs_his_own() {
    let (shop, supplier) = with_supplier();
    let add = |name| shop.repository().add(name, &mut Cursor::new(b"modem"), None, Some("supplier"), NOW);
    add("supplier/modem").unwrap();
    is_fault(add("other/modem"), r#"nobody asks supplier about "other/modem""#);
    let done = shop.publish_with(&shop.keyring());
    assert!(done.published.is_empty(), "targets lead to nobody who has not signed: {done:?}");
    assert_eq!(waits(&done, "targets"), Some(Why::Role("supplier".into())));
    assert!(matches!(waits(&done, "supplier"), Some(Why::Signatures { missing: 1, .. })));
    assert_eq!(published(&shop.publish_with(&[shop.keyring(), vec![supplier]].concat())).len(), 4);
    assert_eq!(shop.device().get(shop.dir.path(), "supplier/modem", NOW), Ok(b"modem".to_vec()));
    shop.is_right();
}
#[test]
fn others_go_on_while_a_supplier_has_not_signed() {
    let (shop, supplier) = with_supplier();
    shop.publish_with(&[shop.keyring(), vec![supplier]].concat());
    shop.repository().add("supplier/modem", &mut Cursor::new(b"modem"), None, Some("supplier"), NOW).unwrap();
    shop.add("image", b"second");
    let done = shop.publish_with(&shop.keyring());
    assert_eq!(
        published(&done).iter().map(|(role, _)| *role).collect::<Vec<_>>(),
        ["targets", "snapshot", "timestamp"]
    );
    assert!(waits(&done, "supplier").is_some());
    assert_eq!(shop.device().get(shop.dir.path(), "image", NOW), Ok(b"second".to_vec()));
}
#[test]
fn a_supplier_has_other_keys() {
    let (shop, supplier) = with_supplier();
    shop.publish_with(&[shop.keyring(), vec![supplier.clone()]].concat());
    let new = signer();
    let rotation =
        Rotation { add: vec![key(&new)], remove: vec![key(&supplier).id()[..8].to_owned()], threshold: None };
    shop.repository().rotate("supplier", &rotation, NOW).unwrap();
    assert_eq!(waits(&shop.publish_with(&shop.keyring()), "targets"), Some(Why::Role("supplier".into())));
    let done = shop.publish_with(&[shop.keyring(), vec![new]].concat());
    assert_eq!((done.waiting.len(), published(&done)[0]), (0, ("supplier", 2)), "said anew under the new key");
    shop.is_right();
}
#[test]
fn nothing_is_left_to_a_supplier_any_longer() {
    let (shop, supplier) = with_supplier();
    shop.repository().add("supplier/modem", &mut Cursor::new(b"modem"), None, Some("supplier"), NOW).unwrap();
    shop.publish_with(&[shop.keyring(), vec![supplier]].concat());
    let mut device = shop.device();
    device.get(shop.dir.path(), "supplier/modem", NOW).unwrap();
    shop.repository().withdraw("supplier", NOW).unwrap();
    shop.publish();
    assert_eq!(device.get(shop.dir.path(), "supplier/modem", NOW), Err(BadMetadata::NoTarget));
    is_fault(shop.repository().withdraw("supplier", NOW), r#"there is no role "supplier""#);
    shop.is_right();
}
#[test]
fn targets_go_into_bins_and_new_ones_into_theirs() {
    for succinct in [true, false] {
        let (shop, bin) = (Shop::open_to_all(), signer());
        let bins = SuccinctBins { prefix: "bin".into(), bits: 5, keys: vec![key(&bin)], threshold: Threshold::ONE };
        assert_eq!(shop.repository().put_into_bins(&bins, succinct, NOW).unwrap(), 32);
        let keys: Keyring = [shop.keyring(), vec![bin.clone()]].concat();
        assert_eq!(shop.publish_with(&keys).published.len(), 32 + 3);
        shop.add("other", b"other");
        let done = shop.publish_with(&keys);
        assert_eq!(done.published.len(), 3, "one bin, snapshot, timestamp: {done:?}");
        let mut device = shop.device();
        for (name, octets) in [("image", "first"), ("other", "other")] {
            assert_eq!(device.get(shop.dir.path(), name, NOW), Ok(octets.as_bytes().to_vec()));
        }
        is_fault(shop.repository().put_into_bins(&bins, succinct, NOW), "targets are left to other roles already");
        shop.is_right();
    }
}

#[test]
fn bins_have_other_keys() {
    // Succinct bins share theirs; of bins that are listed, each has its own.
    for (succinct, anew) in [(true, 4), (false, 1)] {
        let (shop, old, new) = (Shop::open_to_all(), signer(), signer());
        let bins = SuccinctBins { prefix: "bin".into(), bits: 2, keys: vec![key(&old)], threshold: Threshold::ONE };
        shop.repository().put_into_bins(&bins, succinct, NOW).unwrap();
        let all: Keyring = [shop.keyring(), vec![old.clone(), new.clone()]].concat();
        shop.publish_with(&all);
        let mut device = shop.device();
        device.get(shop.dir.path(), "image", NOW).unwrap();
        let rotation = Rotation { add: vec![key(&new)], remove: vec![key(&old).id().into()], threshold: None };
        shop.repository().rotate("bin-0", &rotation, NOW).unwrap();
        let done = shop.publish_with(&[shop.keyring(), vec![new]].concat());
        assert_eq!((done.waiting.len(), done.published.len()), (0, anew + 3), "{done:?}");
        assert_eq!(device.get(shop.dir.path(), "image", NOW), Ok(b"first".to_vec()));
        shop.is_right();
    }
}
#[test]
fn many_bins_are_announced_by_their_versions() {
    for (bits, hashed) in [(2, true), (9, false)] {
        let (shop, bin) = (Shop::open_to_all(), signer());
        let bins = SuccinctBins { prefix: "bin".into(), bits, keys: vec![key(&bin)], threshold: Threshold::ONE };
        shop.repository().put_into_bins(&bins, true, NOW).unwrap();
        shop.publish_with(&[shop.keyring(), vec![bin]].concat());
        let snapshot = String::from_utf8(shop.file("metadata/2.snapshot.json")).unwrap();
        assert_eq!(snapshot.contains(r#"{"hashes":"#), hashed, "{bits} bits");
        assert_eq!(shop.device().get(shop.dir.path(), "image", NOW), Ok(b"first".to_vec()));
    }
}
#[test]
fn a_role_that_is_led_to_by_nobody_any_longer_is_left_alone() {
    let (shop, by, new) = (Shop::open_to_all(), signer(), signer());
    let all: Keyring = [shop.keyring(), vec![by.clone(), new.clone()]].concat();
    for (from, name) in [("targets", "between"), ("between", "shared"), ("targets", "shared")] {
        let leave = Leave { from: from.into(), to: to(name, std::slice::from_ref(&by), &["*"]) };
        shop.repository().delegate(&leave, NOW).unwrap();
    }
    shop.publish_with(&all);
    shop.repository().withdraw("between", NOW).unwrap();
    shop.publish_with(&all);
    let rotation = Rotation { add: vec![key(&new)], remove: vec![key(&by).id().into()], threshold: None };
    shop.repository().rotate("shared", &rotation, NOW).unwrap();
    let done = shop.publish_with(&all);
    assert_eq!((done.waiting.len(), published(&done)[0]), (0, ("shared", 2)), "{done:?}");
    assert!(!published(&done).iter().any(|(role, _)| *role == "between"));
    shop.is_right();
}
#[test]
fn roles_that_lead_in_circles() {
    let (shop, by) = (Shop::open_to_all(), signer());
    for (from, name) in [("targets", "a"), ("a", "b"), ("a", "c"), ("b", "a"), ("b", "c"), ("c", "a"), ("c", "b")] {
        let leave = Leave { from: from.into(), to: to(name, std::slice::from_ref(&by), &["*"]) };
        shop.repository().delegate(&leave, NOW).unwrap();
    }
    shop.repository().add("other", &mut Cursor::new(b"x"), None, Some("c"), NOW).unwrap();
    assert!(shop.publish_with(&shop.keyring()).published.is_empty());
    let keys: Keyring = [shop.keyring(), vec![by]].concat();
    assert_eq!(shop.publish_with(&keys).published.len(), 4 + 2);
    assert_eq!(shop.device().get(shop.dir.path(), "other", NOW), Ok(b"x".to_vec()));
    shop.add("image", b"second");
    assert_eq!(shop.publish_with(&keys).published.len(), 3);
    shop.is_right();
}
#[test]
fn what_leads_to_what_waits_waits_too() {
    let (shop, one, two) = (Shop::open_to_all(), signer(), signer());
    for (from, name, by) in [("targets", "one", &one), ("one", "two", &two)] {
        let leave = Leave { from: from.into(), to: to(name, std::slice::from_ref(by), &["*"]) };
        shop.repository().delegate(&leave, NOW).unwrap();
    }
    let done = shop.publish_with(&[shop.keyring(), vec![one]].concat());
    assert!(done.published.is_empty(), "{done:?}");
    assert_eq!(
        (waits(&done, "targets"), waits(&done, "one")),
        (Some(Why::Role("one".into())), Some(Why::Role("two".into())))
    );
    assert!(matches!(waits(&done, "two"), Some(Why::Signatures { missing: 1, .. })));
}
#[test]
fn two_lead_to_one_role_and_want_other_signers() {
    let (shop, one, two) = (Shop::open_to_all(), signer(), signer());
    let all: Keyring = [shop.keyring(), vec![one.clone(), two.clone()]].concat();
    for (from, name, by) in [("targets", "between", &one), ("targets", "shared", &one), ("between", "shared", &two)] {
        let leave = Leave { from: from.into(), to: to(name, std::slice::from_ref(by), &["*"]) };
        shop.repository().delegate(&leave, NOW).unwrap();
    }
    assert_eq!(shop.publish_with(&all).waiting, []);
    shop.repository().add("other", &mut Cursor::new(b"x"), None, Some("shared"), NOW).unwrap();
    // Signed by one of them only, clients that come by the other way would refuse it.
    let done = shop.publish_with(&[shop.keyring(), vec![one]].concat());
    assert!(done.published.is_empty() && waits(&done, "shared").is_some(), "{done:?}");
    assert_eq!(shop.publish_with(&all).waiting, []);
    shop.is_right();
}
#[test]
fn what_a_device_would_refuse_is_not_published() {
    let shop = Shop::open_to_all();
    // No device takes metadata of targets that are longer than 5 000 000 octets.
    let long = format!(r#"{{"notes":"{}"}}"#, "x".repeat(5_000_000));
    let custom = Custom::of_json(long.as_bytes()).unwrap();
    shop.repository().add("long", &mut Cursor::new(b"x"), Some(&custom), None, NOW).unwrap();
    match shop.repository().publish(&shop.keyring(), NOW, OldKeys::Sign) {
        Err(Fault::WouldBeRefused(refused)) => assert_eq!(refused.bad, BadMetadata::TooLong),
        other => panic!("{other:?}"),
    }
    assert_eq!(shop.device().get(shop.dir.path(), "image", NOW), Ok(b"first".to_vec()));
    shop.repository().remove("long", NOW).unwrap();
    shop.publish();
    shop.is_right();
}

// ---- Keys, and time ----

#[test]
fn each_role_gets_another_key_in_its_turn() {
    let mut shop = Shop::open_to_all();
    let mut device = shop.device();
    for (version, role) in (2..).zip(["timestamp", "snapshot", "targets", "root"]) {
        let place = Top::ALL.iter().position(|top| top.name() == role).unwrap();
        let (old, new) = (shop.by[place].clone(), signer());
        let rotation = Rotation { add: vec![key(&new)], remove: vec![key(&old).id().to_owned()], threshold: None };
        shop.repository().rotate(role, &rotation, NOW).unwrap();
        let done = shop.publish_with(&[shop.keyring(), vec![new.clone()]].concat());
        assert_eq!((done.waiting.len(), done.published.last().unwrap().clone()), (0, ("root".into(), version)));
        shop.by[place] = new;
        assert_eq!(device.get(shop.dir.path(), "image", NOW), Ok(b"first".to_vec()), "after {role}");
        shop.is_right();
        // The old key is of no use any more.
        shop.add("image", b"first");
        shop.publish();
    }
}
#[test]
fn a_root_waits_for_those_to_whom_it_gives_roles() {
    let shop = Shop::open_to_all();
    let new = signer();
    let rotation = Rotation { add: vec![key(&new)], remove: vec![key(&shop.by[3]).id().into()], threshold: None };
    shop.repository().rotate("targets", &rotation, NOW).unwrap();
    let done = shop.publish_with(&shop.keyring());
    assert!(done.published.is_empty(), "{done:?}");
    assert_eq!(waits(&done, "root"), Some(Why::Followers));
    assert!(matches!(waits(&done, "targets"), Some(Why::Signatures { missing: 1, .. })));
    // It waits as long as it likes, and others go on; nothing is said anew each time.
    assert!(shop.publish_with(&shop.keyring()).published.is_empty());
    let octets = signed_elsewhere(&shop.file("staged/targets.json"), &new);
    shop.repository().take("targets", &octets).unwrap();
    let done = shop.publish_with(&shop.keyring());
    assert_eq!(published(&done), [("targets", 2), ("snapshot", 2), ("timestamp", 2), ("root", 2)]);
    shop.is_right();
}
#[test]
fn keys_that_are_gone_do_not_sign_along() {
    let shop = Shop::open_to_all();
    let mut device = shop.device();
    device.refresh(shop.dir.path(), NOW).unwrap();
    let new = signer();
    let rotation = Rotation { add: vec![key(&new)], remove: vec![key(&shop.by[1]).id().into()], threshold: None };
    shop.repository().rotate("timestamp", &rotation, NOW).unwrap();
    let keys: Keyring = vec![shop.by[0].clone(), new, shop.by[2].clone(), shop.by[3].clone()];
    assert_eq!(waits(&shop.publish_with(&keys), "root"), Some(Why::Followers));
    let done = shop.repository().publish(&keys, NOW, OldKeys::Gone).unwrap();
    assert_eq!(published(&done), [("timestamp", 2), ("root", 2)]);
    device.refresh(shop.dir.path(), NOW).unwrap();
    shop.is_right();
}
#[test]
fn a_threshold_that_nobody_could_reach() {
    let shop = Shop::open_to_all();
    let all = key(&shop.by[0]).id().to_owned();
    for rotation in [
        Rotation { threshold: Some(two()), ..Rotation::default() },
        Rotation { remove: vec![all], ..Rotation::default() },
        Rotation { add: vec![key(&shop.by[0])], threshold: Some(two()), ..Rotation::default() },
    ] {
        is_fault(shop.repository().rotate("root", &rotation, NOW), "root would have fewer keys than must sign");
    }
    is_fault(shop.repository().rotate("nobody", &Rotation::default(), NOW), r#"there is no role "nobody""#);
}
#[test]
fn what_expires_is_said_anew() {
    let shop = Shop::open_to_all();
    let late = NOW.plus_s(6 * DAY);
    let renew = |now, days| shop.repository().renew(&shop.keyring(), now, days * DAY).unwrap();
    assert!(renew(late, 0).published.is_empty());
    assert_eq!(published(&renew(late, 2)), [("timestamp", 2)]);
    assert_eq!(published(&renew(NOW.plus_s(29 * DAY), 2)), [("snapshot", 2), ("timestamp", 3)]);
    let done = renew(NOW.plus_s(364 * DAY), 2);
    assert_eq!(published(&done), [("targets", 2), ("snapshot", 3), ("timestamp", 4), ("root", 2)]);
    let mut device = shop.device();
    device.get(shop.dir.path(), "image", NOW.plus_s(366 * DAY)).unwrap();
    assert_eq!(shop.repository().verify(NOW.plus_s(366 * DAY)).unwrap(), []);
}
#[test]
fn what_has_expired_altogether_begins_again() {
    let shop = Shop::open_to_all();
    let late = NOW.plus_s(800 * DAY);
    let done = shop.repository().renew(&shop.keyring(), late, 0).unwrap();
    assert_eq!((done.waiting.len(), done.published.len()), (0, 4), "{done:?}");
    shop.device().get(shop.dir.path(), "image", late).unwrap();
    assert_eq!(shop.repository().verify(late).unwrap(), []);
}
#[test]
fn the_timestamp_is_renewed_while_others_sign_the_rest() {
    let shop = Shop::open_to_all();
    let online = [shop.by[1].clone(), shop.by[2].clone()];
    let late = NOW.plus_s(364 * DAY);
    let done = shop.repository().renew(&online, late, 2 * DAY).unwrap();
    assert_eq!(published(&done), [("snapshot", 2), ("timestamp", 2)]);
    assert!(waits(&done, "root").is_some() && waits(&done, "targets").is_some());
    let staged = shop.file("staged/targets.json");
    shop.repository().renew(&online, late, 2 * DAY).unwrap();
    assert_eq!(shop.file("staged/targets.json"), staged, "what others are signing stays as it is");
}
#[test]
fn old_versions_go_and_the_last_ones_stay() {
    let shop = Shop::open_to_all();
    for octets in ["second", "third", "fourth"] {
        shop.add("image", octets.as_bytes());
        shop.publish();
    }
    let gone = shop.repository().prune(1).unwrap();
    let images = ["first", "second"].map(|octets| format!("targets/{}.image", x509::sha256(octets.as_bytes())));
    let metadata = ["1.snapshot", "1.targets", "2.snapshot", "2.targets"].map(|file| format!("metadata/{file}.json"));
    let mut expected = [metadata.as_slice(), &images].concat();
    expected.sort();
    let mut sorted = gone;
    sorted.sort();
    assert_eq!(sorted, expected);
    assert_eq!(shop.device().get(shop.dir.path(), "image", NOW), Ok(b"fourth".to_vec()));
    shop.is_right();
}

// ---- What is wrong is found ----

#[track_caller]
fn finds(spoil: impl FnOnce(&Shop), file: &str, wrong: Wrong) {
    let shop = Shop::open_to_all();
    shop.is_right();
    spoil(&shop);
    let found = shop.repository().verify(NOW).unwrap();
    let first = found.first().unwrap_or_else(|| panic!("nothing was found"));
    assert_eq!((first.what.as_str(), &first.wrong), (file, &wrong), "{found:?}");
}
fn rewritten(shop: &Shop, file: &str, change: impl FnOnce(String) -> String) {
    let text = String::from_utf8(shop.file(file)).unwrap();
    let changed = change(text.clone());
    assert_ne!(changed, text);
    std::fs::write(shop.dir.path().join(file), changed).unwrap();
}
fn image() -> String {
    format!("targets/{}.image", x509::sha256(b"first"))
}
#[test]
fn an_image_that_is_another() {
    finds(
        |shop| std::fs::write(shop.dir.path().join(image()), b"f1rst").unwrap(),
        &image(),
        Wrong::Bad(BadMetadata::TargetMismatch),
    );
}
#[test]
fn an_image_that_is_gone() {
    finds(
        |shop| std::fs::remove_file(shop.dir.path().join(image())).unwrap(),
        &image(),
        Wrong::Bad(BadMetadata::NotThere),
    );
}
#[test]
fn a_timestamp_that_nobody_has_signed() {
    finds(
        |shop| rewritten(shop, "metadata/timestamp.json", |text| text.replace("2026-", "2027-")),
        "metadata/timestamp.json",
        Wrong::Bad(BadMetadata::TooFewSignatures),
    );
}
#[test]
fn a_root_that_nobody_has_signed() {
    finds(
        |shop| rewritten(shop, "metadata/1.root.json", |text| text.replace("2027-", "2028-")),
        "metadata/1.root.json",
        Wrong::Bad(BadMetadata::TooFewSignatures),
    );
}
#[test]
fn a_stranger_among_the_files() {
    finds(
        |shop| std::fs::write(shop.dir.path().join("metadata/notes.txt"), b"x").unwrap(),
        "metadata/notes.txt",
        Wrong::Stranger,
    );
}
#[test]
fn what_has_expired() {
    let shop = Shop::open_to_all();
    let last = NOW.plus_s(7 * DAY);
    assert_eq!(shop.repository().verify(NOW.plus_s(7 * DAY - 1)).unwrap(), []);
    let found = shop.repository().verify(last).unwrap();
    assert_eq!(found.len(), 1, "{found:?}");
    assert_eq!(found[0].to_string(), "metadata/timestamp.json: it has expired (may be an attack: freeze)");
}
#[test]
fn a_snapshot_that_is_not_the_one_announced_is_not_built_upon() {
    let shop = Shop::open_to_all();
    rewritten(&shop, "metadata/1.snapshot.json", |text| text + " ");
    match Repository::open(shop.dir.path(), common::always()) {
        Err(Fault::Metadata { file, bad: BadMetadata::OtherOctets }) => assert_eq!(file, "metadata/1.snapshot.json"),
        other => panic!("{other:?}"),
    }
}
#[test]
fn a_target_that_clients_find_elsewhere() {
    let (shop, supplier) = with_supplier();
    shop.repository().add("supplier/modem", &mut Cursor::new(b"one"), None, Some("supplier"), NOW).unwrap();
    shop.add("supplier/modem", b"two");
    shop.publish_with(&[shop.keyring(), vec![supplier]].concat());
    let found = shop.repository().verify(NOW).unwrap();
    assert_eq!(found[0].wrong, Wrong::Hidden { role: "supplier".into() }, "{found:?}");
}

#[test]
fn what_lies_beyond_the_timestamp_is_taken_away() {
    let shop = Shop::open_to_all();
    let left = ["2.snapshot.json", "2.targets.json", "1.nobody.json", "2.root.json.new", ".new-timestamp.json"];
    for name in left {
        std::fs::write(shop.dir.path().join("metadata").join(name), shop.file("metadata/1.targets.json")).unwrap();
    }
    std::fs::write(shop.dir.path().join("staged/targets.json"), shop.file("metadata/1.targets.json")).unwrap();
    let mut repaired = shop.repository().repaired().to_vec();
    repaired.sort();
    let beyond = [".new-timestamp", "1.nobody", "2.snapshot", "2.targets"].map(|name| format!("metadata/{name}.json"));
    assert_eq!(repaired, [beyond.as_slice(), &["staged/targets.json".to_owned()]].concat());
    assert_eq!(shop.repository().repaired(), [""; 0]);
    // What is nobody's is not taken away.
    assert_eq!(shop.repository().verify(NOW).unwrap()[0].what, "metadata/2.root.json.new");
}

// ---- What is new, in words ----

#[test]
fn who_signs_is_told_what_is_new() {
    let shop = Shop::open_to_all();
    let before = RoleFile::read(&shop.file("metadata/1.targets.json")).unwrap();
    shop.add("image", b"second");
    shop.add("other", b"x");
    let leave = Leave { from: "targets".into(), to: to("supplier", &[signer()], &["supplier/*"]) };
    shop.repository().delegate(&leave, NOW).unwrap();
    let lines = RoleFile::read(&shop.file("staged/targets.json")).unwrap().changes(Some(&before));
    assert!(lines[0].starts_with("targets: version 2 until 2027-"), "{lines:?}");
    assert!(lines[1].starts_with("+ role supplier: 1 of the keys "), "{lines:?}");
    assert!(lines[1].ends_with(", asked about supplier/*; asked as number 1"), "{lines:?}");
    assert!(
        lines[2].starts_with("~ target image: 6 octets, hash ") && lines[2].contains("; it was 5 octets"),
        "{lines:?}"
    );
    assert!(lines[3].starts_with("+ target other: 1 octets, hash "), "{lines:?}");
    shop.repository().remove("image", NOW).unwrap();
    let lines = RoleFile::read(&shop.file("staged/targets.json")).unwrap().changes(Some(&before));
    assert!(lines.iter().any(|line| line.starts_with("- target image: 5 octets")), "{lines:?}");
}
#[test]
fn each_kind_of_file_is_known() {
    let shop = Shop::open_to_all();
    for (file, kind) in
        [("1.root", "root"), ("timestamp", "timestamp"), ("1.snapshot", "snapshot"), ("1.targets", "targets")]
    {
        let read = RoleFile::read(&shop.file(&format!("metadata/{file}.json"))).unwrap();
        assert_eq!((read.kind(), read.version()), (kind, 1));
        assert!(read.changes(None).len() > 1);
    }
    assert!(RoleFile::read(b"{}").is_err());
}
#[test]
fn a_device_that_comes_late_goes_through_all_roots() {
    let shop = Shop::open_to_all();
    let mut late: Device = shop.device();
    for _ in 0..3 {
        shop.repository().rotate("root", &Rotation::default(), NOW).unwrap();
        shop.publish();
    }
    late.refresh(shop.dir.path(), NOW).unwrap();
    assert_eq!(late.version("root"), 4);
    shop.is_right();
}
