//! Taking in releases: what is stored, what is refused, and what an interruption leaves.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "what cannot go on here has failed"
)]

mod support;

use model::audit::Event;
use model::contract::Subject;
use model::contract::software::{Import, Trust};
use model::{Fault, Reason, UnixTime};
use ports::jws;
use ports::link::Service;
use ports::{Caller, Signer};
use std::sync::atomic::Ordering::SeqCst;
use support::{MAKER, NOW_S, SM, World, image, import, imported, key, release, rig, signed, sm};
use update::{COUNTERSIGNATURE, Release, StoredRelease, Terms, Threshold};

#[track_caller]
fn refused(call: &Import, expected: impl Into<Fault>) {
    let (world, sm) = rig();
    assert_eq!(sm.import(call), Err(expected.into()));
    assert_eq!(world.blob_names(), [""; 0]);
    assert!(world.rows.lock().unwrap().is_empty());
}

#[test]
fn a_release_is_stored_for_each_device_type() {
    let (world, sm) = rig();
    assert_eq!(sm.import(&import(7)), Ok(imported(7)));
    let rows = world.rows.lock().unwrap();
    let types: Vec<_> = rows.iter().map(|row| row.device_type.as_str()).collect();
    assert_eq!(types, ["type.a", "type.b"]);
    assert_eq!(world.blob_names(), [rows[0].image.0.clone()]);
    assert_eq!(world.read.load(SeqCst), 100_000);
}
#[test]
fn a_station_verifies_what_was_stored() {
    let (world, sm) = rig();
    sm.import(&import(7)).unwrap();
    let row = world.rows.lock().unwrap()[0].clone();
    let own = key(SM);
    let key_of = |kid: &str| (kid == jws::key_id(own.public_key())).then_some((own.public_key(), ()));
    let (statement, ()) = jws::verify(COUNTERSIGNATURE, &row.countersignature, key_of).unwrap();
    let keys = [key(MAKER).public_key().clone()];
    let now = UnixTime::from_s(NOW_S + 60);
    let terms = Terms { keys: &keys, threshold: Threshold::ONE, now, bundle_age_max_s: 60 };
    let stored = StoredRelease { metadata: &row.metadata, statement: Some(&statement) };
    let verified = stored.verify(&terms).unwrap().verify_image(&mut image().as_slice()).unwrap();
    assert_eq!(verified.clear(&row.device_type, 7).unwrap().counter(), 7);
}

#[test]
fn metadata_that_is_none() {
    refused(&Import { metadata: vec![1].into(), ..import(7) }, Fault::malformed("release metadata is not JSON"));
}
#[test]
fn an_unknown_maker() {
    refused(&Import { metadata: signed(&release(7), 9).into(), ..import(7) }, Reason::SignerUnknown);
}
#[test]
fn a_false_signature() {
    let text = String::from_utf8(signed(&release(7), MAKER)).unwrap();
    let altered = text.replace("\"release_counter\": 7", "\"release_counter\": 8");
    refused(&Import { metadata: altered.into_bytes().into(), ..import(7) }, Reason::UpstreamSignature);
}
#[test]
fn metadata_that_has_expired() {
    let expired = Release { expires: UnixTime::from_s(NOW_S), ..release(7) };
    refused(&Import { metadata: signed(&expired, MAKER).into(), ..import(7) }, Reason::ReleaseExpired);
}
#[test]
fn names_that_cannot_be_shown() {
    for name in ["", "a\0b", "a\nb", "\u{202e}gmi", &"a".repeat(4097)] {
        refused(&Import { image: name.into(), ..import(7) }, Fault::malformed("name of the image file"));
    }
}
#[test]
fn an_image_that_is_not_there() {
    refused(&Import { image: "elsewhere".into(), ..import(7) }, Fault::unavailable("no such file"));
}

#[track_caller]
fn with_image(image: Vec<u8>, expected: Reason, read: u64) {
    let (world, sm) = rig();
    world.files.lock().unwrap().insert("image".into(), image);
    assert_eq!(sm.import(&import(7)), Err(expected.into()));
    assert_eq!(world.blob_names(), [""; 0]);
    assert!(world.rows.lock().unwrap().is_empty());
    assert_eq!(world.read.load(SeqCst), read);
}
#[test]
fn another_image() {
    with_image(vec![0; 100_000], Reason::ImageMismatch, 100_000);
}
#[test]
fn a_short_image() {
    with_image(vec![0; 99_999], Reason::ImageMismatch, 99_999);
}
#[test]
fn a_long_image_is_read_to_one_octet_more() {
    with_image([image(), image()].concat(), Reason::ImageTooLong, 100_001);
}
#[test]
fn an_endless_image_is_read_to_one_octet_more() {
    let (world, sm) = rig();
    assert_eq!(sm.import(&Import { image: "endless".into(), ..import(7) }), Err(Reason::ImageTooLong.into()));
    assert_eq!(world.read.load(SeqCst), 100_001);
}

#[test]
fn the_same_release_again_is_the_same_answer_and_nothing_is_stored_again() {
    let (world, sm) = rig();
    sm.import(&import(7)).unwrap();
    let before = (world.rows.lock().unwrap().clone(), world.blob_names());
    assert_eq!(sm.import(&import(7)), Ok(imported(7)));
    world.now_s.store(NOW_S + 2000, SeqCst);
    assert_eq!(sm.import(&import(7)), Ok(imported(7)), "expired meanwhile, but stored when it had not");
    assert_eq!((world.rows.lock().unwrap().clone(), world.blob_names()), before);
}
#[test]
fn the_same_release_with_another_image_is_refused() {
    let (world, sm) = rig();
    sm.import(&import(7)).unwrap();
    let before = (world.rows.lock().unwrap().clone(), world.blob_names());
    for other in [[image(), vec![0]].concat(), image()[1..].to_vec(), Vec::new()] {
        world.files.lock().unwrap().values_mut().for_each(|file| *file = other.clone());
        assert_eq!(sm.import(&import(7)), Err(Reason::ImageMismatch.into()));
    }
    assert_eq!((world.rows.lock().unwrap().clone(), world.blob_names()), before);
}
#[test]
fn a_newer_release() {
    let (world, sm) = rig();
    sm.import(&import(7)).unwrap();
    assert_eq!(sm.import(&import(8)), Ok(imported(8)));
    assert_eq!(sm.import(&import(7)), Ok(imported(7)), "stored before; the newest stays the newest");
    assert_eq!(world.rows.lock().unwrap().len(), 4);
}
#[test]
fn an_older_release_is_refused_before_its_image_is_read() {
    let (world, sm) = rig();
    sm.import(&import(7)).unwrap();
    world.read.store(0, SeqCst);
    assert_eq!(sm.import(&import(6)), Err(Reason::ReleaseRolledBack.into()));
    assert_eq!(world.read.load(SeqCst), 0);
}
#[test]
fn another_release_of_the_same_counter_is_refused() {
    let (_world, sm) = rig();
    sm.import(&import(7)).unwrap();
    let other = Release { version: "1.0.7-b".parse().unwrap(), ..release(7) };
    let call = Import { metadata: signed(&other, MAKER).into(), ..import(7) };
    assert_eq!(sm.import(&call), Err(Reason::ReleaseRolledBack.into()));
}
#[test]
fn older_for_one_of_its_device_types_is_refused() {
    let (_world, sm) = rig();
    let only_b = Release { hardware_ids: vec!["type.b".parse().unwrap()], ..release(9) };
    sm.import(&Import { metadata: signed(&only_b, MAKER).into(), ..import(9) }).unwrap();
    assert_eq!(sm.import(&import(8)), Err(Reason::ReleaseRolledBack.into()));
}

/// Damages what is stored, finds the damage, imports again, finds none, and no blob too many.
#[track_caller]
fn repaired(damage: impl FnOnce(&World)) {
    let (world, sm) = rig();
    sm.import(&import(7)).unwrap();
    assert_eq!(sm.scrub().unwrap(), [""; 0]);
    damage(&world);
    assert_eq!(sm.scrub().unwrap(), ["gateway-os 1.0.7"]);
    assert_eq!(sm.import(&import(7)), Ok(imported(7)));
    assert_eq!(sm.scrub().unwrap(), [""; 0]);
    assert_eq!(world.blobs.lock().unwrap().values().collect::<Vec<_>>(), [&image()]);
    assert_eq!(world.rows.lock().unwrap().len(), 2);
}
#[test]
fn an_image_altered_at_rest() {
    repaired(|world| world.blobs.lock().unwrap().values_mut().for_each(|image| image[9] ^= 1));
}
#[test]
fn an_image_that_is_gone() {
    repaired(|world| world.blobs.lock().unwrap().clear());
}
#[test]
fn a_countersignature_altered_at_rest() {
    repaired(|world| world.rows.lock().unwrap().iter_mut().for_each(|row| row.countersignature[40] ^= 1));
}
#[test]
fn a_row_that_says_something_else() {
    repaired(|world| world.rows.lock().unwrap()[1].length += 1);
}
#[test]
fn a_row_that_is_gone() {
    repaired(|world| drop(world.rows.lock().unwrap().remove(1)));
}
#[test]
fn a_new_key_countersigns_again() {
    let (world, old) = rig();
    old.import(&import(7)).unwrap();
    let new = sm(&world, 3);
    assert_eq!(new.scrub().unwrap(), ["gateway-os 1.0.7"]);
    new.import(&import(7)).unwrap();
    assert_eq!(new.scrub().unwrap(), [""; 0]);
}

#[test]
fn what_no_release_names_is_swept_up() {
    let (world, sm) = rig();
    sm.import(&import(7)).unwrap();
    let kept = world.blob_names();
    world.blobs.lock().unwrap().insert("orphan".into(), vec![]);
    assert_eq!(sm.sweep().unwrap().iter().map(|blob| blob.0.as_str()).collect::<Vec<_>>(), ["orphan"]);
    assert_eq!(world.blob_names(), kept);
    let log: Vec<_> = world.log.lock().unwrap().iter().map(|entry| entry.event.clone()).collect();
    assert_eq!(log, [Event::Repaired { what: "1 images that no release names were removed".into() }]);
    assert_eq!(sm.sweep().unwrap(), []);
    assert_eq!(world.log.lock().unwrap().len(), 1);
}
#[test]
fn an_empty_store_sweeps_nothing() {
    let (world, sm) = rig();
    world.blobs.lock().unwrap().insert("orphan".into(), vec![]);
    assert_eq!(sm.sweep().unwrap(), []);
    assert_eq!(world.blob_names(), ["orphan"]);
}

/// Everything fails from the n-th call on, for each n until nothing fails: afterwards the release is there or not,
/// never half, and the next import and sweep put all in order.
#[test]
fn an_interruption_anywhere_leaves_nothing_half() {
    for n in 1.. {
        let (world, sm) = rig();
        sm.import(&import(6)).unwrap();
        world.calls.store(0, SeqCst);
        world.fail_from.store(n, SeqCst);
        let found = sm.import(&import(7));
        world.fail_from.store(0, SeqCst);
        if found.is_ok() {
            assert!(n > 5, "the fault was not reached");
            break;
        }
        assert!(matches!(found, Err(Fault::Unavailable(_))), "{n}: {found:?}");
        assert_eq!(world.rows.lock().unwrap().len(), 2, "{n}");
        assert_eq!(sm.scrub().unwrap(), [""; 0], "{n}");
        assert!(world.blob_names().len() <= 2, "{n}");
        sm.sweep().unwrap();
        assert_eq!(world.blob_names().len(), 1, "{n}");
        assert_eq!(sm.import(&import(7)), Ok(imported(7)), "{n}");
        assert_eq!(world.blob_names().len(), 2, "{n}");
    }
}

#[track_caller]
fn trust(signer: &str, key: Vec<u8>, expected: Result<(), Fault>) {
    let (world, sm) = rig();
    let found = sm.trust(&Trust { signer: signer.into(), key: key.clone().into() });
    assert_eq!(
        found.as_ref().map(|trusted| trusted.key).map_err(Clone::clone),
        expected.clone().map(|()| x509::sha256(&key))
    );
    assert_eq!(world.signers.lock().unwrap().len(), 1 + usize::from(expected.is_ok()));
}
fn spki(n: u8) -> Vec<u8> {
    key(n).public_key().spki().to_vec()
}

#[test]
fn a_new_signer() {
    trust("Ärger & Söhne", spki(9), Ok(()));
}
#[test]
fn a_signer_twice_changes_nothing() {
    let (world, sm) = rig();
    sm.trust(&Trust { signer: "maker".into(), key: spki(MAKER).into() }).unwrap();
    assert_eq!(world.signers.lock().unwrap().len(), 1);
}
#[test]
fn a_signer_whose_name_cannot_be_shown() {
    for name in ["", "a\nb", "\u{202e}a", &"a".repeat(65)] {
        trust(name, spki(9), Err(Fault::malformed("name of the signer")));
    }
}
#[test]
fn a_key_that_is_none() {
    trust("a", vec![1, 2], Err(Fault::malformed("key of the signer")));
}
#[test]
fn a_key_of_another_type() {
    let rsa_or_ec = x509::PublicKey::from_bits(x509::KeyType::P256, &[&[4][..], &[1; 64]].concat()).unwrap();
    trust("a", rsa_or_ec.spki().to_vec(), Err(Reason::KeyTypeNotAllowed.into()));
}
#[test]
fn a_key_of_small_order() {
    let zero = x509::PublicKey::from_bits(x509::KeyType::Ed25519, &[0; 32]).unwrap();
    trust("a", zero.spki().to_vec(), Err(Reason::WeakKey.into()));
}
#[test]
fn our_own_key_is_no_makers() {
    trust("a", spki(SM), Err(Reason::KeyInUse.into()));
}

#[test]
fn calls_over_the_bus() {
    let (_world, sm) = rig();
    let caller = Caller { module: model::Module::Console, instance: "box".parse().unwrap() };
    let ask = |subject, body: &str| {
        let body = serde_json::value::RawValue::from_string(body.to_owned()).unwrap();
        sm.answer(&caller, subject, &body).map(|answer| answer.get().to_owned())
    };
    let call = serde_json::to_string(&import(7)).unwrap();
    assert_eq!(ask(Subject::SoftwareImport, &call).unwrap(), serde_json::to_string(&imported(7)).unwrap());
    assert_eq!(ask(Subject::SoftwareTrust, &call), Err(Fault::malformed("the body of the call")));
    assert_eq!(ask(Subject::AuthorityCertify, &call), Err(Reason::WrongSubject.into()));
}
