//! What is right; what a bundle is made of; and octets that are none.

use crate::world::*;
use model::{Fault, Reason};
use serde_json::{Value, json};
use update::bundle::{BUNDLE_LEN_MAX, BadBundle, Bundle, Repository as Which};
use update::tuf::{BadMetadata, Refused};
use update::uptane::BadDirections;

#[test]
fn the_newest_release_for_each_type_is_what_a_box_alone_gets() {
    let mut world = World::alone();
    let stored = world.make();
    assert_eq!(world.flash(&stored, "gateway"), Ok(Some(("app 1".into(), 1, GATEWAY.to_vec()))));
    assert_eq!(world.flash(&stored, "sensor.a"), Ok(Some(("app 1".into(), 1, SENSOR.to_vec()))));
    assert_eq!(world.flash(&stored, "sensor.b"), Ok(None), "it is not of this box");
    let stored = world.second_release();
    assert_eq!(world.flash(&stored, "gateway"), Ok(Some(("app 2".into(), 2, GATEWAY.to_vec()))));
}
#[test]
fn what_the_director_says_is_what_a_box_gets() {
    let mut world = World::directed();
    world.images.of("targets")["targets"]["gateway-2.img"] = published(GATEWAY, 2, &["gateway"]);
    world.images.publish_targets();
    let stored = world.make();
    assert_eq!(world.flash(&stored, "gateway"), Ok(Some(("app 1".into(), 1, GATEWAY.to_vec()))));
    assert_eq!(world.flash(&stored, "sensor.a"), Ok(None));
    assert!(stored.files().keys().any(|name| name == "director/timestamp.json"));
}
#[test]
fn nothing_is_a_bundle_too() {
    let mut world = World::alone();
    world.images.of("targets")["targets"] = json!({});
    world.images.publish_targets();
    let stored = world.make();
    assert_eq!(world.flash(&stored, "gateway"), Ok(None));
}
#[test]
fn roots_and_delegated_roles_are_in_it() {
    let mut world = World::directed();
    world.images.delegate("targets", "supplier/x", 9, &["gateway-*"]);
    let target = world.images.of("targets")["targets"]["gateway-1.img"].take();
    world.images.of("targets")["targets"].as_object_mut().unwrap().remove("gateway-1.img");
    world.images.of("supplier/x")["targets"]["gateway-1.img"] = target;
    world.images.rekey("timestamp", &[8], 1);
    world.images.bump("root");
    world.images.publish_targets();
    let stored = world.make();
    let files: Vec<_> = stored.files().into_keys().filter(|name| name.starts_with("images/")).collect();
    let version = world.images.version("supplier/x");
    let (snapshot, targets) = (world.images.version("snapshot"), world.images.version("targets"));
    let delegated = format!("images/{version}.supplier%2Fx.json");
    let others = [format!("images/{snapshot}.snapshot.json"), format!("images/{targets}.targets.json")];
    let mut expected = vec!["images/2.root.json".to_owned(), "images/timestamp.json".to_owned(), delegated];
    expected.extend(others);
    expected.sort();
    assert_eq!(files, expected);
    assert_eq!(world.flash(&stored, "gateway"), Ok(Some(("app 1".into(), 1, GATEWAY.to_vec()))));
}
#[test]
fn a_repository_without_consistent_snapshots_is_collected_too() {
    let mut world = World::alone();
    world.images.of("root")["consistent_snapshot"] = json!(false);
    world.images.bump("root");
    world.images.publish_targets();
    let stored = world.make();
    assert!(stored.files().contains_key("images/targets.json"), "{:?}", stored.files().keys());
    assert!(world.flash(&stored, "gateway").unwrap().is_some());
}
#[test]
fn the_same_bundle_is_taken_again() {
    let mut world = World::directed();
    let stored = world.make();
    for _ in 0..2 {
        assert!(world.flash(&stored, "gateway").unwrap().is_some());
    }
}

// Two answers, and none.

#[test]
fn two_newest_releases_for_one_type() {
    let mut world = World::alone();
    world.images.of("targets")["targets"]["other.img"] = published(GATEWAY, 1, &["gateway"]);
    world.images.publish_targets();
    assert_eq!(world.try_make().err(), Some(BadBundle::Directions(BadDirections::ComponentTwice)));
}
#[test]
fn a_director_that_is_not_there_is_missed() {
    let mut world = World::directed();
    let alone = World::alone().make();
    let missing = Refused { file: "timestamp.json".into(), bad: BadMetadata::NotThere };
    let expected = BadBundle::Upstream(Which::Director, missing);
    refused(&mut world, &alone, &expected, Reason::UpstreamSignature);
}
#[test]
fn a_director_whom_this_box_does_not_have_says_nothing() {
    let stored = World::directed().make();
    let mut world = World::alone();
    let expected = BadBundle::ExtraFile("director/2.snapshot.json".into());
    refused(&mut world, &stored, &expected, Reason::UpstreamSignature);
}

// Octets.

#[test]
fn each_file_is_needed_as_it_is_even_if_sm_signs_another() {
    let mut honest = World::directed();
    honest.images.rekey("timestamp", &[8], 1);
    honest.images.bump("root");
    honest.images.publish_targets();
    let stored = honest.make();
    assert!(honest.clone().verify(&stored).is_ok());
    for (name, octets) in stored.files() {
        let mut world = honest.clone();
        let gone = world.verify(&stored.without_file(&name)).unwrap_err();
        assert!(matches!(gone, BadBundle::Upstream(..)), "{name}: {gone}");
        let mut file: Value = serde_json::from_slice(&octets).unwrap();
        file["signed"]["version"] = json!(file["signed"]["version"].as_u64().unwrap() + 1);
        let altered = stored.with_file(&name, &serde_json::to_vec(&file).unwrap());
        let altered = world.verify(&altered).unwrap_err();
        assert!(matches!(altered, BadBundle::Upstream(..)), "{name}: {altered}");
        assert_eq!(world.seen, honest.seen, "{name}");
    }
}
#[test]
fn a_file_that_nobody_asks_for() {
    let mut world = World::alone();
    let stored = world.make().with_file("images/2.extra.json", b"{}");
    let expected = BadBundle::ExtraFile("images/2.extra.json".into());
    refused(&mut world, &stored, &expected, Reason::UpstreamSignature);
}
#[test]
fn octets_that_are_altered_in_the_vault() {
    let mut world = World::alone();
    let stored = world.make();
    let end = stored.octets.len() - 1;
    for at in [end, stored.octets.iter().position(|c| *c == b'\n').unwrap() + 1] {
        let mut altered = stored.clone();
        altered.octets[at] ^= 1;
        assert!(matches!(world.verify(&altered), Err(BadBundle::OtherOctets(_))));
    }
    let mut altered = stored.clone();
    altered.octets.truncate(end);
    assert_eq!(world.verify(&altered).err(), Some(BadBundle::Shape("the bundle is cut off")));
    altered.octets = [stored.octets, vec![0]].concat();
    assert_eq!(world.verify(&altered).err(), Some(BadBundle::Shape("something follows the bundle")));
}
#[test]
fn a_manifest_that_was_altered_is_signed_by_nobody() {
    let mut world = World::alone();
    let mut stored = world.make();
    stored.octets[2] ^= 1;
    let bad = world.verify(&stored).unwrap_err();
    assert!(matches!(bad, BadBundle::Neither(_)), "{bad}");
    assert_eq!(Fault::from(bad), Fault::Refused(Reason::BothSignaturesInvalid));
}
#[test]
fn shapes_that_are_no_bundles() {
    let octets = World::alone().make().octets;
    let text = String::from_utf8(octets).unwrap();
    let (line, files) = text.split_once('\n').unwrap();
    let check = |line: &str| {
        assert!(matches!(Bundle::decode(format!("{line}\n{files}").as_bytes()), Err(BadBundle::Shape(_))), "{line}")
    };
    check(&line.replacen("cradle-bundle-1", "cradle-bundle-2", 1));
    check(&line.replacen("{\"format\"", "{\"more\":1,\"format\"", 1));
    check(&format!("[{line}]"));
    let mut twice: Value = serde_json::from_str(line).unwrap();
    twice["files"] = json!([twice["files"][0], twice["files"][0]]);
    check(&twice.to_string());
    assert!(matches!(Bundle::decode(line.as_bytes()), Err(BadBundle::Shape("the bundle has no manifest"))));
}

#[test]
fn a_bundle_has_so_many_octets_files_and_images_and_no_more() {
    // Sound in its shape; its file has other octets than it says.
    let long = |len: u64| {
        let head = |length: u64| {
            let file = json!({"name": "images/x", "length": length, "sha256": x509::sha256(b"")});
            json!({"format": "cradle-bundle-1", "components": [], "files": [file], "images": []}).to_string() + "\n"
        };
        let length = len - head(len - 200).len() as u64;
        let mut octets = head(length).into_bytes();
        octets.resize(len as usize, 0);
        octets
    };
    assert!(matches!(Bundle::decode(&long(BUNDLE_LEN_MAX)), Err(BadBundle::OtherOctets(_))));
    let too_long = BadBundle::Shape("the bundle is longer than the limit");
    assert_eq!(Bundle::decode(&long(BUNDLE_LEN_MAX + 1)).map(|_| ()), Err(too_long));
    let many = |files: usize, components: usize| {
        let file = |n: usize| json!({"name": format!("images/{n:05}"), "length": 0, "sha256": x509::sha256(b"")});
        let names: Vec<_> = (0..components).map(|n| format!("sensor.{n:05}")).collect();
        let files: Vec<_> = (0..files).map(file).collect();
        let manifest = json!({"format": "cradle-bundle-1", "components": names, "files": files, "images": []});
        Bundle::decode((manifest.to_string() + "\n").as_bytes()).map(|_| ())
    };
    assert_eq!(many(2048, 256), Ok(()));
    assert!(matches!(many(2049, 256), Err(BadBundle::Shape(_))) && matches!(many(2048, 257), Err(BadBundle::Shape(_))));
}

#[test]
fn a_bundle_that_another_program_has_written_is_read() {
    let octets = include_bytes!("../../../../testdata/bundles/python-two-files");
    let bundle = Bundle::decode(octets).unwrap();
    let names: Vec<_> = bundle.files().keys().map(String::as_str).collect();
    assert_eq!(names, ["director/timestamp.json", "images/timestamp.json"]);
    let [image] = bundle.manifest().images.as_slice() else { panic!("{:?}", bundle.manifest()) };
    assert_eq!((image.target.as_str(), image.counter, image.length), ("app.img", 7, 8));
    assert_eq!(image.device_types, [kind("gateway"), kind("sensor.a")]);
    assert_eq!(bundle.digest(), x509::sha256(octets.split(|c| *c == b'\n').next().unwrap()));
}
