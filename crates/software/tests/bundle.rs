//! sm follows repositories on sticks, and makes bundles that a station verifies.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::as_conversions,
    clippy::panic,
    reason = "what cannot go on here has failed"
)]

#[path = "../../update/tests/repository/mod.rs"]
mod repository;
mod support;

use model::audit::Event;
use model::contract::Subject;
use model::contract::software::{Bundled, Source, Update, Updated};
use model::{DeviceType, Fault, Module, Reason, UnixTime};
use ports::directory::Caller;
use ports::jws;
use ports::link::Service;
use ports::vault::BlobName;
use repository::{Repository, announced};
use serde_json::json;
use software::Software;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use support::{NOW_S, SM, World, following, key};
use update::bundle::{
    BUNDLE_COUNTERSIGNATURE, BadBundle, Kept, Primary, Repository as Which, Statement, Terms, verify,
};

const GATEWAY: &[u8] = b"software of a gateway";
const SENSOR: &[u8] = b"software of a sensor";

fn kind(name: &str) -> DeviceType {
    name.parse().unwrap()
}

/// A maker, who carries sticks to a box.
struct Maker {
    images: Repository,
    director: Option<Repository>,
    first_roots: (Vec<u8>, Option<Vec<u8>>),
    files: BTreeMap<String, Vec<u8>>,
}

impl Maker {
    fn new() -> Self {
        let mut maker =
            Self { images: Repository::new(), director: None, first_roots: (Vec::new(), None), files: BTreeMap::new() };
        maker.first_roots.0 = maker.images.kept["root.json"].clone();
        maker.release("gateway-1.img", GATEWAY, 1, &["gateway"]);
        maker.release("sensor-1.img", SENSOR, 1, &["sensor"]);
        maker
    }
    fn directed() -> Self {
        let mut maker = Self::new();
        let mut director = Repository::new();
        director.of("targets")["custom"] = json!({"device": device().to_string()});
        director.of("targets")["targets"]["sensor-1.img"] = announced(SENSOR);
        director.of("targets")["targets"]["sensor-1.img"]["custom"] =
            json!({"release_counter": 1, "components": {"sensor": {"hardware_id": "sensor"}}});
        director.publish_targets();
        maker.first_roots.1 = Some(director.kept["root.json"].clone());
        maker.director = Some(director);
        maker
    }
    fn release(&mut self, name: &str, octets: &[u8], counter: u64, kinds: &[&str]) {
        let mut target = announced(octets);
        target["custom"] =
            json!({"release": name, "release_version": "1", "release_counter": counter, "hardware_ids": kinds});
        self.images.of("targets")["targets"][name] = target;
        self.images.publish_targets();
        self.files.insert(format!("images/targets/{}.{name}", x509::sha256(octets)), octets.to_vec());
    }
    fn stick(&self, world: &World, name: &str) -> Update {
        let mut files = self.files.clone();
        let of = |below: &str, repository: &Repository| -> Vec<_> {
            let named = |(name, octets): (&String, &Vec<u8>)| (format!("{below}/metadata/{name}"), octets.clone());
            repository.published.iter().map(named).collect()
        };
        files.extend(of("images", &self.images));
        files.extend(self.director.iter().flat_map(|director| of("director", director)));
        world.sticks.lock().unwrap().insert(name.to_owned(), files);
        Update { source: Source::Directory(name.to_owned()) }
    }
    fn primary(&self) -> Primary {
        Primary {
            device: device(),
            device_types: vec![kind("gateway"), kind("sensor")],
            images_root: self.first_roots.0.clone(),
            director_root: self.first_roots.1.clone(),
        }
    }
    fn sm(&self, world: &Arc<World>) -> Software {
        following(world, SM, Some(self.primary()))
    }
}

fn device() -> model::DeviceId {
    "urn:dev:ops:32473-box-works".parse().unwrap()
}
fn world() -> Arc<World> {
    let world = World::default();
    world.now_s.store(NOW_S, Ordering::SeqCst);
    Arc::new(world)
}
fn kept(updated: Updated) -> Vec<Bundled> {
    match updated {
        Updated::Kept { releases, .. } => releases,
        Updated::Refused { what, .. } => panic!("{what}"),
    }
}
#[track_caller]
fn refused(world: &World, updated: Updated, reason: Reason, of: &str) {
    let Updated::Refused { reason: said, what } = updated else { panic!("{updated:?}") };
    assert_eq!(said, reason, "{what}");
    assert!(what.starts_with(of), "{what}");
    let last = world.log.lock().unwrap().last().unwrap().event.clone();
    assert_eq!(last, Event::BundleRefused { what, reason });
}
/// What a station that knows nothing takes of what is stored: each type's image.
fn station(world: &World, maker: &Maker) -> Result<BTreeMap<String, Vec<u8>>, BadBundle> {
    let row = world.bundles.lock().unwrap().first().cloned().unwrap();
    let own = key(SM);
    let own = ports::Signer::public_key(&own);
    let (statement, ()) = jws::verify(BUNDLE_COUNTERSIGNATURE, &row.countersignature, |kid| {
        (kid == jws::key_id(own)).then_some((own, ()))
    })
    .unwrap();
    assert_eq!(Statement::decode(&statement).unwrap().verified_at, row.at);
    let primary = maker.primary();
    let octets = world.blobs.lock().unwrap()[&row.blob.0].clone();
    let nothing = Kept::new();
    let verified = verify(
        &octets,
        &Terms {
            device: &primary.device,
            floors: &BTreeMap::new(),
            roots: primary.roots(),
            images: &nothing,
            director: &nothing,
            statement: Some(&statement),
            now: UnixTime::from_s(NOW_S),
            bundle_age_max_s: 100,
        },
    )?;
    let mut images = BTreeMap::new();
    for release in &row.releases {
        let octets = world.blobs.lock().unwrap()[&release.image.0].clone();
        let image = verified.release(&release.device_type).unwrap().verify_image(octets.as_slice())?;
        assert_eq!((image.counter(), image.title()), (release.counter, release.release.clone()));
        images.insert(release.device_type.to_string(), octets);
    }
    Ok(images)
}

#[test]
fn what_repositories_say_is_kept_as_a_bundle_that_a_station_verifies() {
    let (world, maker) = (world(), Maker::new());
    let sm = maker.sm(&world);
    let releases = kept(sm.update(&maker.stick(&world, "stick")).unwrap());
    let seen: Vec<_> = releases.iter().map(|r| (r.release.as_str(), r.counter, r.fetched)).collect();
    assert_eq!(seen, [("gateway-1.img 1", 1, true), ("sensor-1.img 1", 1, true)]);
    let images = station(&world, &maker).unwrap();
    assert_eq!(images, BTreeMap::from([("gateway".into(), GATEWAY.to_vec()), ("sensor".into(), SENSOR.to_vec())]));
    assert_eq!(world.blob_names().len(), 3, "two images and the bundle");
    assert_eq!(sm.scrub().unwrap(), [""; 0]);
}
#[test]
fn a_director_decides_what_the_box_gets() {
    let (world, maker) = (world(), Maker::directed());
    let releases = kept(maker.sm(&world).update(&maker.stick(&world, "stick")).unwrap());
    assert_eq!(releases.iter().map(|r| r.release.as_str()).collect::<Vec<_>>(), ["sensor-1.img 1"]);
    assert_eq!(station(&world, &maker).unwrap().keys().collect::<Vec<_>>(), ["sensor"]);
}
#[test]
fn a_stick_without_the_director_brings_nothing() {
    let (world, mut maker) = (world(), Maker::directed());
    let sm = maker.sm(&world);
    maker.director = None;
    let missing = "director/timestamp.json: it is not there";
    assert_eq!(sm.update(&maker.stick(&world, "stick")), Err(Fault::Unavailable(missing.into())));
    assert!(world.blob_names().is_empty());
}
#[test]
fn a_box_that_follows_nothing_takes_no_bundles() {
    let (world, maker) = (world(), Maker::new());
    let sm = following(&world, SM, None);
    assert_eq!(sm.update(&maker.stick(&world, "stick")), Err(Fault::Refused(Reason::NothingFollowed)));
    assert_eq!(sm.scrub(), Err(Fault::Refused(Reason::NothingFollowed)), "nothing was verified");
}
#[test]
fn no_more_of_an_image_is_read_than_was_announced_and_one_octet() {
    let (world, mut maker) = (world(), Maker::new());
    let sm = maker.sm(&world);
    maker.files.insert(format!("images/targets/{}.gateway-1.img", x509::sha256(GATEWAY)), vec![7; 1_000_000]);
    refused(&world, sm.update(&maker.stick(&world, "stick")).unwrap(), Reason::ImageTooLong, "gateway-1.img is longer");
    assert_eq!(world.read.load(Ordering::SeqCst), GATEWAY.len() as u64 + 1);
}
#[test]
fn a_new_key_countersigns_again() {
    let (world, maker) = (world(), Maker::new());
    let stick = maker.stick(&world, "stick");
    kept(maker.sm(&world).update(&stick).unwrap());
    let new = following(&world, 3, Some(maker.primary()));
    let [found] = new.scrub().unwrap().try_into().unwrap();
    assert!(found.contains("the countersignature does not hold"), "{found}");
    kept(new.update(&stick).unwrap());
    assert_eq!(new.scrub().unwrap(), [""; 0]);
}
#[test]
fn what_no_bundle_names_is_swept_up_by_the_next_import() {
    let (world, maker) = (world(), Maker::new());
    let sm = maker.sm(&world);
    kept(sm.update(&maker.stick(&world, "stick")).unwrap());
    let told = || world.log.lock().unwrap().iter().map(|entry| entry.event.clone()).collect::<Vec<_>>();
    let repaired = |n| Event::Repaired { what: format!("{n} blobs that no bundle names were removed") };
    let before = told();
    world.blobs.lock().unwrap().insert("orphan".into(), vec![]);
    kept(sm.update(&maker.stick(&world, "stick")).unwrap());
    assert_eq!(world.blob_names().len(), 3);
    // With it goes the bundle from before, in whose place the same bundle of later is.
    assert_eq!(told().split_off(before.len()).iter().filter(|event| **event == repaired(2)).count(), 1, "{:?}", told());
}
#[test]
fn calls_over_the_bus() {
    let (world, maker) = (world(), Maker::new());
    let sm = maker.sm(&world);
    let caller = Caller { module: Module::Console, instance: "line-1".parse().unwrap() };
    let body = serde_json::value::to_raw_value(&maker.stick(&world, "stick")).unwrap();
    let answer = sm.answer(&caller, Subject::SoftwareUpdate, &body).unwrap();
    assert_eq!(kept(serde_json::from_str(answer.get()).unwrap()).len(), 2);
    let refused = |subject, body| sm.answer(&caller, subject, body).map(|_| ()).unwrap_err();
    assert_eq!(refused(Subject::IdentityMark, &body), Fault::Refused(Reason::WrongSubject));
    let other = serde_json::value::to_raw_value(&json!({"source": 7})).unwrap();
    assert_eq!(refused(Subject::SoftwareUpdate, &other), Fault::malformed("the body of the call"));
}
#[test]
fn what_is_in_the_vault_is_not_fetched_again() {
    let (world, mut maker) = (world(), Maker::new());
    let sm = maker.sm(&world);
    kept(sm.update(&maker.stick(&world, "first")).unwrap());
    world.opened.lock().unwrap().clear();
    world.now_s.store(NOW_S + 50, Ordering::SeqCst);
    assert!(kept(sm.update(&maker.stick(&world, "again")).unwrap()).iter().all(|release| !release.fetched));
    assert_eq!(world.bundles.lock().unwrap().len(), 1);
    assert_eq!(world.bundles.lock().unwrap()[0].at, UnixTime::from_s(NOW_S + 50), "it was verified again");
    assert!(world.opened.lock().unwrap().is_empty());
    assert_eq!(world.blob_names().len(), 3, "the bundle from before is swept up");
    // Of something new only what is new.
    maker.release("gateway-2.img", b"new software of a gateway", 2, &["gateway"]);
    let releases = kept(sm.update(&maker.stick(&world, "second")).unwrap());
    assert_eq!(releases.iter().map(|r| (r.counter, r.fetched)).collect::<Vec<_>>(), [(2, true), (1, false)]);
    assert_eq!(world.opened.lock().unwrap().len(), 1);
    assert_eq!(sm.scrub().unwrap(), [""; 0]);
}
#[test]
fn an_older_stick_is_refused_and_what_was_imported_stands() {
    let (world, mut maker) = (world(), Maker::new());
    let (sm, old) = (maker.sm(&world), maker.stick(&world, "old"));
    kept(sm.update(&old).unwrap());
    maker.release("gateway-2.img", GATEWAY, 2, &["gateway"]);
    kept(sm.update(&maker.stick(&world, "new")).unwrap());
    let before = world.bundles.lock().unwrap().clone();
    refused(&world, sm.update(&old).unwrap(), Reason::ReleaseRolledBack, "images/timestamp.json: it is older");
    assert_eq!(*world.bundles.lock().unwrap(), before);
    // Also by another sm on the same records: what is trusted is kept.
    refused(&world, maker.sm(&world).update(&old).unwrap(), Reason::ReleaseRolledBack, "images/timestamp.json");
}
#[test]
fn a_newer_repository_with_a_lower_counter_is_refused() {
    let (world, mut maker) = (world(), Maker::new());
    let sm = maker.sm(&world);
    maker.release("gateway-2.img", GATEWAY, 2, &["gateway"]);
    kept(sm.update(&maker.stick(&world, "new")).unwrap());
    maker.images.of("targets")["targets"].as_object_mut().unwrap().remove("gateway-2.img");
    maker.images.publish_targets();
    let of = "its release counter is below";
    refused(&world, sm.update(&maker.stick(&world, "taken back")).unwrap(), Reason::ReleaseRolledBack, of);
}
#[test]
fn a_chain_of_sticks_brings_each_root() {
    let (world, mut maker) = (world(), Maker::new());
    let sm = maker.sm(&world);
    for key in [8, 9, 10] {
        maker.images.rekey("timestamp", &[key], 1);
        maker.images.bump("root");
        maker.images.publish_targets();
        kept(sm.update(&maker.stick(&world, "stick")).unwrap());
        // The next stick has only the next root.
        maker.images.published.retain(|name, _| !name.ends_with(".root.json"));
    }
    let images = station(&world, &maker).unwrap();
    assert_eq!(images.len(), 2, "a station that knows the first root only goes through all of them");
    let repository = maker.primary().repository(Which::Images).unwrap();
    let trusted = world.trusted.lock().unwrap();
    let roots = trusted.keys().filter(|(_, r, name)| *r == repository && name.starts_with("roots/"));
    assert_eq!(roots.count(), 3);
}
#[test]
fn an_image_that_is_not_the_one_which_was_signed_does_not_stay() {
    let (world, mut maker) = (world(), Maker::new());
    let sm = maker.sm(&world);
    for octets in [b"software of a Sensor".to_vec(), [SENSOR, b"!"].concat(), SENSOR[1..].to_vec()] {
        maker.files.insert(format!("images/targets/{}.sensor-1.img", x509::sha256(SENSOR)), octets.clone());
        let reason = if octets.len() > SENSOR.len() { Reason::ImageTooLong } else { Reason::ImageMismatch };
        refused(&world, sm.update(&maker.stick(&world, "stick")).unwrap(), reason, "sensor-1.img is ");
        assert!(world.blob_names().is_empty(), "{:?}", world.blob_names());
        assert!(world.bundles.lock().unwrap().is_empty());
    }
    maker.files.retain(|name, _| !name.ends_with(".sensor-1.img"));
    let missing = sm.update(&maker.stick(&world, "stick"));
    assert_eq!(missing, Err(Fault::Unavailable("images/sensor-1.img: it is not there".into())));
    assert_eq!(world.blob_names().len(), 1, "what came is there when the rest comes");
}
#[test]
fn what_comes_too_slowly_is_given_up_and_the_rest_comes_another_time() {
    let (world, maker) = (world(), Maker::new());
    let (sm, stick) = (maker.sm(&world), maker.stick(&world, "stick"));
    let slow = |files: &[&str]| *world.slow.lock().unwrap() = files.iter().map(|file| (*file).to_owned()).collect();
    for file in ["2.root.json", "timestamp.json", "snapshot.json", "targets.json", "sensor-1.img"] {
        slow(&[file]);
        let Err(Fault::Unavailable(said)) = sm.update(&stick) else { panic!("{file} came") };
        assert!(said.contains(file) && said.contains("it comes too slowly"), "{said}");
        assert!(world.bundles.lock().unwrap().is_empty() && world.log.lock().unwrap().is_empty());
    }
    slow(&[]);
    assert_eq!(kept(sm.update(&stick).unwrap()).len(), 2);
}
#[test]
fn a_kept_root_that_the_medium_altered_is_begun_again_and_what_else_is_kept_stays_the_measure() {
    let (world, mut maker) = (world(), Maker::new());
    let (sm, old) = (maker.sm(&world), maker.stick(&world, "old"));
    for key in [8, 9] {
        maker.images.rekey("targets", &[key], 1);
        maker.images.bump("root");
        maker.images.publish_targets();
    }
    let new = maker.stick(&world, "new");
    kept(sm.update(&new).unwrap());
    let before = world.trusted.lock().unwrap().clone();
    for name in ["root.json", "roots/2.root.json", "roots/3.root.json"] {
        let (key, octets) = before.iter().find(|((_, _, kept), _)| kept == name).unwrap();
        let mut altered = octets.clone();
        altered[octets.len() / 2] ^= 1;
        for octets in [altered, Vec::new()] {
            world.trusted.lock().unwrap().insert(key.clone(), octets);
            refused(&world, sm.update(&old).unwrap(), Reason::ReleaseRolledBack, "images/timestamp.json: it is older");
            kept(sm.update(&new).unwrap());
            assert_eq!(*world.trusted.lock().unwrap(), before, "{name}");
            assert_eq!(sm.scrub().unwrap(), [""; 0]);
        }
    }
}
#[test]
fn what_is_damaged_at_rest_is_found_and_replaced() {
    let (world, maker) = (world(), Maker::new());
    let sm = maker.sm(&world);
    let stick = maker.stick(&world, "stick");
    kept(sm.update(&stick).unwrap());
    let row = world.bundles.lock().unwrap()[0].clone();
    let image = row.releases[0].image.clone();
    let check = |damage: &dyn Fn(), expected: &str| {
        damage();
        let [found] = sm.scrub().unwrap().try_into().unwrap();
        assert!(found.contains(expected), "{found}");
        kept(sm.update(&stick).unwrap());
        assert_eq!(sm.scrub().unwrap(), [""; 0]);
    };
    let alter = |blob: &BlobName| *world.blobs.lock().unwrap().get_mut(&blob.0).unwrap().last_mut().unwrap() ^= 1;
    check(&|| alter(&image), "the image of gateway-1.img 1 for gateway is damaged or gone");
    check(&|| alter(&world.bundles.lock().unwrap()[0].blob.clone()), "is not the file that the manifest names");
    check(
        &|| drop(world.blobs.lock().unwrap().remove(&world.bundles.lock().unwrap()[0].blob.0)),
        "it cannot be read any more",
    );
    check(&|| world.bundles.lock().unwrap()[0].countersignature.truncate(9), "the countersignature does not hold");
    check(&|| world.bundles.lock().unwrap()[0].releases[1].counter = 0, "the image of sensor-1.img 1 for sensor");
}
/// A world in which the n-th call of store or vault failed during an import, and all after it. Whether it needed that many.
fn interrupted(maker: &Maker, n: u64) -> (Arc<World>, Update, bool) {
    let world = world();
    let stick = maker.stick(&world, "stick");
    world.fail_from.store(n, Ordering::SeqCst);
    let done = maker.sm(&world).update(&stick).is_ok();
    world.fail_from.store(0, Ordering::SeqCst);
    (world, stick, done)
}
#[test]
fn what_was_kept_before_an_interruption_is_not_fetched_again() {
    let maker = Maker::new();
    let mut spared = 0;
    for n in 1.. {
        let (world, stick, done) = interrupted(&maker, n);
        let is_there = |image: &&&[u8]| world.blobs.lock().unwrap().values().any(|blob| blob == **image);
        let there = [GATEWAY, SENSOR].iter().filter(is_there).count();
        world.opened.lock().unwrap().clear();
        let releases = kept(maker.sm(&world).update(&stick).unwrap());
        assert_eq!(world.opened.lock().unwrap().len(), 2 - there, "{n}");
        assert_eq!(releases.iter().filter(|release| !release.fetched).count(), there, "{n}");
        if done {
            break;
        }
        spared += there;
    }
    assert!(spared > 2, "{spared} images");
}
#[test]
fn an_interruption_anywhere_is_continued() {
    let maker = Maker::new();
    let mut last = 0;
    for n in 1.. {
        let (world, stick, done) = interrupted(&maker, n);
        let sm = maker.sm(&world);
        kept(sm.update(&stick).unwrap());
        assert_eq!(sm.scrub().unwrap(), [""; 0], "{n}");
        assert_eq!(station(&world, &maker).unwrap().len(), 2, "{n}");
        assert_eq!(world.blob_names().len(), 3, "{n}");
        last = n;
        if done {
            break;
        }
    }
    assert!(last > 10, "{last} calls");
}
