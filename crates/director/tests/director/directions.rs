//! What a device is told when it asks: its own directions, whole, never an older version.

use crate::support::{House, NOW, Unit, id, key, name, offer, refused};
use director::{Assignment, Begun, Director, LIFETIME, Scope, Standing};
use std::sync::Arc;
use update::Threshold;
use update::tuf::Root;
use update::tuf::write::{Body, Draft, Key, Top};

fn version(house: &House, unit: &Unit, seconds: u64) -> u64 {
    let timestamp = house.director.poll(&unit.device.id, NOW.plus_s(seconds)).unwrap();
    Draft::<update::tuf::Timestamp>::decode(&timestamp).unwrap().version()
}

#[test]
fn a_device_for_which_there_is_nothing_is_told_so_by_its_name() {
    let (house, mut unit, mut other) = (House::new(), Unit::modem("1"), Unit::modem("2"));
    house.register(&unit);
    house.tells(&mut unit, &[]);
    // What it was told is for nobody else.
    let told = house.director.file(&unit.device.id, "timestamp.json", NOW).unwrap().unwrap();
    house.register(&other);
    house.tells(&mut other, &[]);
    let targets =
        |serial| house.director.file(&id(serial), &format!("{}.targets.json", NOW.s()), NOW).unwrap().unwrap();
    assert!(String::from_utf8(targets("1")).unwrap().contains("gateway-1"));
    assert!(String::from_utf8(targets("2")).unwrap().contains("gateway-2"));
    assert_ne!(told, house.director.poll(&other.device.id, NOW).unwrap());
}
#[test]
fn what_is_assigned_is_told() {
    let (house, mut unit) = (House::with(&[("a", 2), ("b", 3)]), Unit::modem("1"));
    house.register(&unit);
    house.director.assign_to(&id("1"), &name("modem"), "a").unwrap();
    house.tells(&mut unit, &["a"]);
    house.director.assign_to(&id("1"), &name("modem"), "b").unwrap();
    house.tells(&mut unit, &["b"]);
}
#[test]
fn one_target_for_two_components_is_said_once() {
    let house = House::with(&[("a", 2)]);
    let mut unit = Unit::new("1", &[("left", "modem.a"), ("right", "modem.a")], &[]);
    house.register(&unit);
    for component in ["left", "right"] {
        house.director.assign_to(&id("1"), &name(component), "a").unwrap();
    }
    house.tells(&mut unit, &["a"]);
}
#[test]
fn nobody_is_told_who_was_not_registered() {
    let house = House::new();
    refused(house.director.poll(&id("1"), NOW), "no such device");
}
#[test]
fn what_is_the_same_is_not_signed_again_until_it_must() {
    let (house, unit) = (House::with(&[("a", 2)]), Unit::modem("1"));
    house.register(&unit);
    let first = version(&house, &unit, 0);
    assert_eq!(version(&house, &unit, LIFETIME / 2 - 1), first);
    // Something changed that is for somebody else.
    house.director.take(offer("b", 3, &["modem.a"])).unwrap();
    assert_eq!(version(&house, &unit, 1), first);
    assert!(version(&house, &unit, LIFETIME / 2) > first);
}
#[test]
fn what_a_device_was_told_holds_for_a_while_only() {
    let (house, unit) = (House::new(), Unit::modem("1"));
    house.register(&unit);
    let timestamp = house.director.poll(&unit.device.id, NOW).unwrap();
    let expires = Draft::<update::tuf::Timestamp>::decode(&timestamp).unwrap().expires();
    assert_eq!(expires, NOW.plus_s(LIFETIME));
}
#[test]
fn versions_never_go_back() {
    let (house, unit) = (House::with(&[("a", 2), ("b", 3)]), Unit::modem("1"));
    house.register(&unit);
    let mut last = 0;
    for image in ["a", "b", "a", "b"] {
        house.director.assign_to(&id("1"), &name("modem"), image).unwrap();
        let now = version(&house, &unit, 0);
        assert!(now > last, "{now} after {last}");
        last = now;
    }
    // Nor when the clock does, nor in another process.
    let again = Director::open(&house.path(), Arc::clone(&house.online)).unwrap();
    again.assign_to(&id("1"), &name("modem"), "a").unwrap();
    let timestamp = again.poll(&id("1"), NOW.minus_s(1_000_000)).unwrap();
    assert!(Draft::<update::tuf::Timestamp>::decode(&timestamp).unwrap().version() > last);
}
#[test]
fn records_that_are_put_back_do_not_bring_versions_back() {
    let (house, mut unit) = (House::with(&[("a", 2), ("b", 3)]), Unit::modem("1"));
    house.register(&unit);
    let backup = house.dir.path().join("backup.db");
    std::fs::copy(house.path(), &backup).unwrap();
    house.director.assign_to(&id("1"), &name("modem"), "a").unwrap();
    house.tells(&mut unit, &["a"]);
    drop(std::fs::copy(house.dir.path().join("director.db-wal"), house.dir.path().join("backup.db-wal")));
    let again = House { director: Director::open(&backup, Arc::clone(&house.online)).unwrap(), ..House::new() };
    // A second later is a later version, whatever was forgotten.
    again.director.assign_to(&id("1"), &name("modem"), "b").unwrap();
    assert_eq!(again.follow(&mut unit, NOW.plus_s(1)).unwrap(), ["b"]);
}
#[test]
fn many_are_told_before_they_ask() {
    let (house, mut units) = (House::with(&[("a", 2)]), [Unit::modem("1"), Unit::modem("2")]);
    house.director.register_all(&units.each_ref().map(|unit| unit.device.clone())).unwrap();
    house.director.assign_to(&id("1"), &name("modem"), "a").unwrap();
    house.director.tell_all(&[&id("1"), &id("2")], NOW).unwrap();
    let before: Vec<_> =
        units.iter().map(|unit| house.director.poll(&unit.device.id, NOW.plus_s(9)).unwrap()).collect();
    house.director.tell_all(&[&id("1"), &id("2")], NOW.plus_s(9)).unwrap();
    let after: Vec<_> = units.iter().map(|unit| house.director.poll(&unit.device.id, NOW.plus_s(9)).unwrap()).collect();
    assert_eq!(before, after, "it was signed again");
    house.tells(&mut units[0], &["a"]);
    house.tells(&mut units[1], &[]);
    refused(house.director.tell_all(&[&id("3")], NOW), "no such device");
}
#[test]
fn other_files_are_not_there() {
    let (house, unit) = (House::new(), Unit::modem("1"));
    house.register(&unit);
    let version = version(&house, &unit, 0);
    for file in ["1.targets.json", "2.root.json", "01.root.json", "+1.root.json", "root.json", "targets.json", "1", ""]
    {
        assert_eq!(house.director.file(&id("1"), file, NOW).unwrap(), None, "{file}");
    }
    for file in [format!("{version}.targets.json"), format!("{version}.snapshot.json"), "1.root.json".into()] {
        assert!(house.director.file(&id("1"), &file, NOW).unwrap().is_some(), "{file}");
    }
    assert_eq!(house.director.file(&id("1"), &format!("{version}.timestamp.json"), NOW).unwrap(), None);
}

fn next_root(
    root: &Arc<dyn ports::Signer>,
    version: u64,
    online: &Arc<dyn ports::Signer>,
    by: &[&Arc<dyn ports::Signer>],
) -> Vec<u8> {
    let key = |signer: &Arc<dyn ports::Signer>| Key::new(signer.public_key()).unwrap();
    let mut body = Body::<Root>::new(NOW.plus_s(86_400 * 700)).in_version(version);
    body.assign(Top::Root, &[key(root)], Threshold::ONE);
    for role in [Top::Targets, Top::Snapshot, Top::Timestamp] {
        body.assign(role, &[key(online)], Threshold::ONE);
    }
    let mut draft = body.draft().unwrap();
    by.iter().for_each(|signer| draft.sign(&key(signer), |message| signer.sign(message)).unwrap());
    draft.write()
}
#[test]
fn the_next_root_is_signed_elsewhere() {
    let (house, mut unit) = (House::with(&[("a", 2)]), Unit::modem("1"));
    house.register(&unit);
    house.tells(&mut unit, &[]);
    let (root, online) = (&house.root, &house.online);
    refused(house.director.take_root(&next_root(root, 3, online, &[root])), "the next one is 2");
    refused(house.director.take_root(&next_root(root, 1, online, &[root])), "the next one is 2");
    refused(house.director.take_root(&next_root(root, 2, online, &[])), "signed");
    refused(house.director.take_root(&next_root(root, 2, online, &[&key()])), "signed");
    refused(house.director.take_root(&next_root(root, 2, &key(), &[root])), "does not assign");
    // A stranger takes itself for the root: the last one does not name it.
    let stranger = key();
    refused(house.director.take_root(&next_root(&stranger, 2, online, &[&stranger])), "signed");
    refused(house.director.take_root(&next_root(&stranger, 2, online, &[root])), "signed");
    assert_eq!(house.director.take_root(&next_root(root, 2, online, &[root])), Ok(2));
    house.director.assign_to(&id("1"), &name("modem"), "a").unwrap();
    house.tells(&mut unit, &["a"]);
    assert_eq!(house.director.roots().unwrap().len(), 2);
}
#[test]
fn a_director_is_begun_once_and_opened_with_its_own_key() {
    let house = House::new();
    let begun = Begun { root_keys: &[key()], expires: NOW };
    refused(Director::begin(&house.path(), key(), &begun), "begun already");
    refused(Director::open(&house.path(), key()), "does not assign");
    refused(Director::open(&house.dir.path().join("nothing"), key()), "has not been begun");
    assert!(Director::open(&house.path(), Arc::clone(&house.online)).is_ok());
}
#[test]
fn what_was_given_does_not_change_under_its_name() {
    let house = House::with(&[("a", 2)]);
    house.director.take(offer("a", 2, &["modem.a"])).unwrap();
    refused(house.director.take(offer("a", 3, &["modem.a"])), "other octets");
    refused(house.director.take(offer("a", 2, &["modem.b"])), "other octets");
}
#[test]
fn what_cannot_be_is_not_assigned() {
    let (house, unit) = (House::with(&[("a", 2)]), Unit::modem("1"));
    house.register(&unit);
    house.director.take(offer("b", 2, &["modem.b"])).unwrap();
    let assign = |component: &str, image: &str| house.director.assign_to(&id("1"), &name(component), image);
    refused(assign("modem", "b"), "not for modem.a");
    refused(assign("modem", "c"), "no such target");
    refused(assign("display", "a"), "no such component");
    refused(house.director.assign_to(&id("2"), &name("modem"), "a"), "no such device");
    house.director.stand("a", Standing::Deprecated).unwrap();
    refused(assign("modem", "a"), "deprecated");
    house.director.stand("a", Standing::Recalled).unwrap();
    refused(assign("modem", "a"), "recalled");
    refused(house.director.stand("a", Standing::Offered), "recalled");
    let scope = Scope::Type("gateway".parse().unwrap());
    refused(house.director.assign(&Assignment { scope, component: name("modem"), image: "a".into() }), "recalled");
}
