//! Going back. sm's key is in the attacker's hands in all of these: what it signs is countersigned.

use crate::repository::{PAST, Repository};
use crate::world::*;
use model::Reason;
use serde_json::json;
use update::bundle::{BadBundle, Repository as Which};
use update::tuf::{BadMetadata, Refused};
use update::uptane::BadDirections;

#[test]
fn sm_brings_an_old_bundle_again() {
    let mut world = World::alone();
    let old = world.make();
    world.second_release();
    refused(&mut world, &old, &upstream("timestamp.json", BadMetadata::RolledBack), Reason::ReleaseRolledBack);
}
#[test]
fn sm_brings_an_old_bundle_to_a_station_that_has_forgotten_all_but_its_floor() {
    let mut world = World::alone();
    let old = world.make();
    world.second_release();
    world.seen = Default::default();
    world.floors.insert("gateway", 2);
    let expected = BadBundle::Directions(BadDirections::RolledBack);
    refused(&mut world, &old, &expected, Reason::ReleaseRolledBack);
}
#[test]
fn a_director_does_not_go_back_either() {
    let mut world = World::directed();
    world.floors.insert("gateway", 2);
    assert_eq!(world.try_make().err(), Some(BadBundle::Directions(BadDirections::RolledBack)));
    world.floors.insert("gateway", 1);
    assert!(world.try_make().is_ok());
}
#[test]
fn sm_brings_old_directions_again() {
    let mut world = World::directed();
    let old = world.make();
    // The director takes its direction back: the counters of releases say nothing of that.
    let director = world.director.as_mut().unwrap();
    director.of("targets")["targets"].as_object_mut().unwrap().clear();
    director.publish_targets();
    let new = world.make();
    world.verify(&new).unwrap();
    let director = |file: &str, bad| BadBundle::Upstream(Which::Director, Refused { file: file.into(), bad });
    let expected = director("timestamp.json", BadMetadata::RolledBack);
    refused(&mut world, &old, &expected, Reason::ReleaseRolledBack);
    // What is new of the images does not make what is old of the director any newer.
    let mut files = new.files();
    files.retain(|name, _| name.starts_with("images/"));
    files.extend(old.files().into_iter().filter(|(name, _)| name.starts_with("director/")));
    let mixed = new.forged(&files, &old.images_said());
    refused(&mut world, &mixed, &expected, Reason::ReleaseRolledBack);
    // Who has seen nothing of it takes it, and nothing older afterwards.
    let mut fresh = World { seen: Default::default(), ..world.clone() };
    assert!(fresh.flash(&old, "gateway").unwrap().is_some());
    assert!(fresh.flash(&new, "gateway").unwrap().is_none());
    refused(&mut fresh, &old, &expected, Reason::ReleaseRolledBack);
}
#[test]
fn directions_for_another_box_are_countersigned_for_this_one() {
    let mut world = World::directed();
    let mut other = world.clone();
    let director = other.director.as_mut().unwrap();
    director.of("targets")["custom"] = json!({"device": device("elsewhere").to_string()});
    director.publish_targets();
    let (own, other) = (world.make(), other.director.unwrap());
    let mut files = own.files();
    files.retain(|name, _| !name.starts_with("director/") || name.ends_with("root.json"));
    for role in ["snapshot", "targets"] {
        let name = format!("{}.{role}.json", other.version(role));
        files.insert(format!("director/{name}"), other.published[&name].clone());
    }
    files.insert("director/timestamp.json".into(), other.published["timestamp.json"].clone());
    let swapped = own.forged(&files, &own.images_said());
    let expected = BadBundle::Directions(BadDirections::OtherDevice);
    refused(&mut world, &swapped, &expected, Reason::UpstreamSignature);
    assert!(world.flash(&own, "gateway").unwrap().is_some());
}
#[test]
fn directions_that_have_expired_give_nothing() {
    let mut world = World::directed();
    let director = world.director.as_mut().unwrap();
    director.of("timestamp")["expires"] = json!(PAST);
    director.publish_targets();
    let expired = Refused { file: "timestamp.json".into(), bad: BadMetadata::Expired };
    assert_eq!(world.try_make().err(), Some(BadBundle::Upstream(Which::Director, expired)));
}
#[test]
fn sm_hides_a_root_that_took_a_key_away() {
    let mut world = World::alone();
    let old = world.make();
    world.images.rekey("timestamp", &[8], 1);
    world.images.bump("root");
    world.images.publish_targets();
    let new = world.make();
    world.verify(&new).unwrap();
    // The station knows the second root, and the old timestamp is not signed by its key.
    let expected = upstream("timestamp.json", BadMetadata::TooFewSignatures);
    refused(&mut world, &old, &expected, Reason::UpstreamSignature);
    let expected = upstream("timestamp.json", BadMetadata::TooFewSignatures);
    refused(&mut world, &new.without_file("images/2.root.json"), &expected, Reason::UpstreamSignature);
}
/// sm and whoever signs timestamp and snapshot (keys 2 and 3) are one attacker.
fn online(world: &World, change: impl FnOnce(&mut Repository)) -> Stored {
    let mut hostile = world.clone();
    change(&mut hostile.images);
    for role in ["snapshot", "timestamp"] {
        hostile.images.set_version(role, hostile.images.version(role) + 1);
        hostile.images.put(role);
    }
    let honest = hostile.clone().images;
    let names = ["timestamp.json".to_owned(), format!("{}.snapshot.json", honest.version("snapshot"))];
    let targets = honest.says["snapshot"]["meta"]["targets.json"]["version"].as_u64().unwrap_or(0);
    let names = names.into_iter().chain([format!("{targets}.targets.json")]);
    let files = names.filter_map(|name| Some((format!("images/{name}"), honest.published.get(&name)?.clone())));
    let stored = world.clone().make();
    stored.forged(&files.collect(), &stored.images_said())
}
#[test]
fn online_keys_and_sm_cannot_bring_back_old_targets() {
    let mut world = World::alone();
    world.make();
    let old = world.images.version("targets");
    world.second_release();
    let stored = online(&world, |images| images.of("snapshot")["meta"]["targets.json"]["version"] = json!(old));
    let file = format!("{}.snapshot.json", world.images.version("snapshot") + 1);
    refused(&mut world, &stored, &upstream(&file, BadMetadata::RolledBack), Reason::ReleaseRolledBack);
}
#[test]
fn online_keys_and_sm_cannot_let_targets_vanish() {
    let mut world = World::alone();
    world.images.delegate("targets", "supplier", 9, &["supplier-*"]);
    world.images.publish_targets();
    let stored = world.make();
    world.verify(&stored).unwrap();
    let stored = online(&world, |images| {
        images.of("snapshot")["meta"].as_object_mut().unwrap().remove("supplier.json").unwrap();
    });
    let file = format!("{}.snapshot.json", world.images.version("snapshot") + 1);
    refused(&mut world, &stored, &upstream(&file, BadMetadata::Vanished), Reason::ReleaseRolledBack);
}
#[test]
fn online_keys_and_sm_cannot_sign_targets() {
    let mut world = World::alone();
    let stored = world.make();
    world.verify(&stored).unwrap();
    let version = world.images.version("targets") + 1;
    let stored = online(&world, |images| {
        images.signers.insert("targets".into(), vec![2, 3]);
        images.of("targets")["targets"]["gateway-9.img"] = published(SENSOR, 9, &["gateway"]);
        images.set_version("targets", version);
        images.put("targets");
    });
    let expected = upstream(&format!("{version}.targets.json"), BadMetadata::TooFewSignatures);
    refused(&mut world, &stored, &expected, Reason::UpstreamSignature);
}
#[test]
fn online_keys_alone_cannot_bring_anything_past_sm() {
    let mut world = World::alone();
    let stored = world.make();
    let hostile = online(&world, |images| images.of("snapshot")["meta"]["targets.json"]["version"] = json!(1));
    // Without sm's key the countersignature is that of another bundle.
    let hostile = Stored { statement: stored.statement, ..hostile };
    let bad = world.verify(&hostile).unwrap_err();
    assert!(matches!(bad, BadBundle::NotCountersigned | BadBundle::Neither(_)), "{bad}");
}
#[test]
fn sm_with_keys_of_its_own_is_nobody_upstream() {
    let mut world = World::alone();
    let mut forger = World::alone();
    forger.images.of("root")["keys"] = json!({});
    for (n, role) in (21..).zip(crate::repository::ROLES) {
        forger.images.rekey(role, &[n], 1);
    }
    forger.images.published.clear();
    forger.images.put("root");
    forger.images.of("targets")["targets"]["gateway-9.img"] = published(GATEWAY, 9, &["gateway"]);
    forger.images.publish_targets();
    forger.images.kept = [("root.json".to_owned(), forger.images.published["1.root.json"].clone())].into();
    forger.first_roots.0 = forger.images.kept["root.json"].clone();
    let stored = forger.make();
    assert!(forger.verify(&stored).is_ok(), "who trusts the forger takes it");
    let expected = upstream("timestamp.json", BadMetadata::TooFewSignatures);
    refused(&mut world, &stored, &expected, Reason::UpstreamSignature);
}
#[test]
fn a_station_that_saw_another_file_under_the_same_version_goes_by_what_it_saw() {
    // Upstream signs two timestamps of one version: one was seen, the other is in the bundle.
    let mut world = World::alone();
    let stored = world.make();
    world.verify(&stored).unwrap();
    let mut other = world.clone();
    other.images.of("targets")["targets"]["gateway-2.img"] = published(GATEWAY, 2, &["gateway"]);
    other.images.set_version("targets", other.images.version("targets") + 1);
    other.images.put("targets");
    other.images.set_version("snapshot", other.images.version("snapshot") + 1);
    other.images.put("snapshot");
    other.images.put("timestamp");
    other.images.kept.retain(|name, _| name == "root.json");
    let stored = other.make();
    refused(&mut world, &stored, &BadBundle::OtherImages, Reason::UpstreamSignature);
}
#[test]
fn a_root_that_the_medium_altered_at_the_station_is_begun_again_and_what_else_was_seen_stays_the_measure() {
    let mut world = World::directed();
    let old = world.make();
    world.images.rekey("targets", &[7], 1);
    world.images.bump("root");
    world.images.publish_targets();
    let new = world.make();
    world.verify(&new).unwrap();
    for seen in 0..2 {
        for octets in [b"{}".to_vec(), world.seen[0]["timestamp.json"].clone(), Vec::new()] {
            world.seen[seen].insert("root.json".to_owned(), octets);
            let expected = upstream("timestamp.json", BadMetadata::RolledBack);
            refused(&mut world, &old, &expected, Reason::ReleaseRolledBack);
            world.verify(&new).unwrap();
        }
    }
}
