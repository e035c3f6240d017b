//! What devices report.

use crate::support::{House, NOW, Unit, id, name, refused};
use adapters::clock::SystemEntropy;
use director::{Holder, NONCE_WITHIN, Standing};

fn ask(house: &House, unit: &Unit) -> model::Nonce {
    house.director.ask(&unit.device.id, &SystemEntropy::default(), NOW).unwrap().0
}

#[test]
fn a_manifest_is_taken_once() {
    let (house, unit) = (House::new(), Unit::modem("1"));
    house.register(&unit);
    let manifest = unit.manifest(ask(&house, &unit));
    assert_eq!(house.director.manifest(&unit.device.id, &manifest, NOW), Ok(1));
    refused(house.director.manifest(&unit.device.id, &manifest, NOW), "nonce");
    ask(&house, &unit);
    refused(house.director.manifest(&unit.device.id, &manifest, NOW), "nonce");
}
#[test]
fn a_nonce_that_was_not_given_or_is_old_is_none() {
    let (house, unit) = (House::new(), Unit::modem("1"));
    house.register(&unit);
    refused(house.director.manifest(&unit.device.id, &unit.manifest(model::Nonce::new([7; 16])), NOW), "nonce");
    let first = unit.manifest(ask(&house, &unit));
    let second = unit.manifest(ask(&house, &unit));
    refused(house.director.manifest(&unit.device.id, &first, NOW), "nonce");
    refused(house.director.manifest(&unit.device.id, &second, NOW.plus_s(NONCE_WITHIN + 1)), "nonce");
    assert_eq!(house.director.manifest(&unit.device.id, &second, NOW.plus_s(NONCE_WITHIN)), Ok(2));
}
#[test]
fn only_the_device_itself_reports() {
    let (house, unit, other) = (House::new(), Unit::modem("1"), Unit::modem("2"));
    house.register(&unit);
    house.register(&other);
    let nonce = ask(&house, &unit);
    refused(house.director.manifest(&unit.device.id, &other.manifest(nonce), NOW), "not signed by the device");
    refused(house.director.manifest(&unit.device.id, b"{}", NOW), "");
    // What was refused has used nothing up.
    assert_eq!(house.director.manifest(&unit.device.id, &unit.manifest(nonce), NOW), Ok(1));
}
#[test]
fn a_manifest_that_did_not_come_is_a_gap() {
    let (house, unit) = (House::new(), Unit::modem("1"));
    house.register(&unit);
    assert_eq!(house.hears(&unit), 1);
    ask(&house, &unit);
    ask(&house, &unit);
    // The last one may still be on its way.
    assert_eq!(house.director.gaps(&unit.device.id), Ok(vec![2]));
    assert_eq!(house.hears(&unit), 4);
    assert_eq!(house.director.gaps(&unit.device.id), Ok(vec![2, 3]));
    let overview = house.director.overview().unwrap();
    assert_eq!((overview.devices, overview.reported, overview.manifests, overview.gaps), (1, 1, 2, 2));
}
#[test]
fn who_has_what() {
    let (house, mut unit, other) = (House::with(&[("a", 2)]), Unit::modem("1"), Unit::modem("2"));
    house.register(&unit);
    house.register(&other);
    unit.install("modem", "a", 2);
    house.hears(&unit);
    house.hears(&other);
    let device = unit.device.id.to_string();
    let holder = Holder {
        device,
        component: "modem".into(),
        image: "a".into(),
        release_counter: 2,
        by: director::Word::Manifest,
    };
    assert_eq!(house.director.who_has("a"), Ok(vec![holder]));
    assert_eq!(house.director.who_has("factory").unwrap().len(), 1);
    assert_eq!(house.director.who_has("b"), Ok(vec![]));
}
#[test]
fn nothing_behind_what_a_component_reports_is_told() {
    let (house, mut unit) = (House::with(&[("a", 2), ("b", 3)]), Unit::modem("1"));
    house.register(&unit);
    house.director.assign_to(&id("1"), &name("modem"), "a").unwrap();
    house.tells(&mut unit, &["a"]);
    unit.install("modem", "b", 3);
    house.hears(&unit);
    house.tells(&mut unit, &[]);
}
#[test]
fn what_was_recalled_is_told_to_nobody() {
    let (house, mut unit) = (House::with(&[("a", 2)]), Unit::modem("1"));
    house.register(&unit);
    house.director.assign_to(&id("1"), &name("modem"), "a").unwrap();
    house.tells(&mut unit, &["a"]);
    unit.install("modem", "a", 2);
    house.hears(&unit);
    house.director.stand("a", Standing::Recalled).unwrap();
    house.tells(&mut unit, &[]);
    assert_eq!(house.director.who_has("a").unwrap().len(), 1);
}
#[test]
fn what_is_deprecated_stays_where_it_is() {
    let (house, mut has, mut has_not) = (House::with(&[("a", 2)]), Unit::modem("1"), Unit::modem("2"));
    for unit in [&has, &has_not] {
        house.register(unit);
        house.director.assign_to(&unit.device.id, &name("modem"), "a").unwrap();
    }
    has.install("modem", "a", 2);
    house.hears(&has);
    house.director.stand("a", Standing::Deprecated).unwrap();
    house.tells(&mut has, &["a"]);
    house.tells(&mut has_not, &[]);
}
