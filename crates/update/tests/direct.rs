//! What a director says, before anybody signs it: nothing that its device would refuse.
#![allow(missing_docs, clippy::unwrap_used, reason = "what cannot go on here has failed")]

use model::UnixTime;
use std::collections::BTreeMap;
use update::Image;
use update::uptane::{BadDirections, Given, Offer, Report, direct};
use x509::sha256;

const EXPIRES: UnixTime = UnixTime::from_s(1_790_000_000);

fn kept(name: &str) -> String {
    let digest = sha256(name.as_bytes());
    let sha512 = "ab".repeat(64);
    format!(
        "{{\"hardware_ids\":[\"modem.a\"],\"hashes\":{{\"sha256\":\"{digest}\",\"sha512\":\"{sha512}\"}},\
         \"length\":4,\"name\":\"{name}\",\"release_counter\":7}}"
    )
}
fn offer(name: &str) -> Offer {
    Offer::kept(kept(name).as_bytes()).unwrap()
}
fn given<'a>(offer: &'a Offer, components: &[(&str, &str)]) -> Given<'a> {
    let components = components.iter().map(|(id, hardware)| (id.parse().unwrap(), hardware.parse().unwrap()));
    Given { offer, components: components.collect::<BTreeMap<_, _>>() }
}
#[track_caller]
fn check(given: &[Given<'_>], expected: Result<(), BadDirections>) {
    let device = "urn:dev:ops:32473-gateway-SN1".parse().unwrap();
    assert_eq!(direct(&device, 7, EXPIRES, given, None).map(|draft| assert_eq!(draft.version(), 7)), expected);
}

#[test]
fn one_target_two_components_and_none_at_all() {
    let (a, b) = (offer("a"), offer("b"));
    check(&[], Ok(()));
    check(&[given(&a, &[("modem", "modem.a")])], Ok(()));
    check(&[given(&a, &[("left", "modem.a"), ("right", "modem.a")])], Ok(()));
    check(&[given(&a, &[("left", "modem.a")]), given(&b, &[("right", "modem.a")])], Ok(()));
}
#[test]
fn two_answers_for_one_component_are_not_written() {
    let (a, b) = (offer("a"), offer("b"));
    let two = [given(&a, &[("modem", "modem.a")]), given(&b, &[("modem", "modem.a")])];
    check(&two, Err(BadDirections::ComponentTwice));
}
#[test]
fn one_name_twice_is_not_written() {
    let a = offer("a");
    let two = [given(&a, &[("left", "modem.a")]), given(&a, &[("right", "modem.a")])];
    check(&two, Err(BadDirections::OtherName));
}
#[test]
fn what_is_for_other_hardware_or_for_nobody_is_not_written() {
    let a = offer("a");
    check(&[given(&a, &[("modem", "modem.b")])], Err(BadDirections::WrongHardware));
    check(&[given(&a, &[])], Err(BadDirections::NoComponent));
}
#[test]
fn more_components_than_a_device_has_are_not_written() {
    let a = offer("a");
    let many = |count: usize| {
        let ids = (0..count).map(|n| (format!("c{n}").parse().unwrap(), "modem.a".parse().unwrap()));
        Given { offer: &a, components: ids.collect() }
    };
    check(&[many(256)], Ok(()));
    check(&[many(257)], Err(BadDirections::TooMany));
}
#[test]
fn every_hash_and_the_counter_are_repeated() {
    let device = "urn:dev:ops:32473-gateway-SN1".parse().unwrap();
    let a = offer("a");
    let written = direct(&device, 1, EXPIRES, &[given(&a, &[("modem", "modem.a")])], None).unwrap().write();
    let file: serde_json::Value = serde_json::from_slice(&written).unwrap();
    let (signed, offered): (_, serde_json::Value) = (&file["signed"], serde_json::from_str(&kept("a")).unwrap());
    let target = &signed["targets"]["a"];
    assert_eq!((&target["hashes"], &target["length"]), (&offered["hashes"], &offered["length"]));
    assert_eq!(target["custom"]["release_counter"], offered["release_counter"]);
    assert_eq!(target["custom"]["components"]["modem"]["hardware_id"], "modem.a");
    assert_eq!((&signed["custom"]["device"], &signed["version"]), (&"urn:dev:ops:32473-gateway-SN1".into(), &1.into()));
    assert!(signed.get("delegations").is_none());
}
#[test]
fn what_is_kept_is_what_was_copied() {
    assert_eq!(String::from_utf8(offer("a").keep()).unwrap(), kept("a"));
    for damaged in
        ["", "{}", &kept("a").replace("sha", "hash"), &kept("a").replace('7', "-7"), &kept("a").replace("modem.a", "")]
    {
        assert!(Offer::kept(damaged.as_bytes()).is_err(), "{damaged}");
    }
}
#[test]
fn only_the_same_octets_under_the_same_name_and_counter_are_it() {
    let report = |target: &str, octets: &str, length, counter| Report {
        component: "modem".parse().unwrap(),
        hardware_id: "modem.a".parse().unwrap(),
        target: target.to_owned(),
        image: Image { digest: sha256(octets.as_bytes()), length },
        counter,
    };
    let a = offer("a");
    assert!(a.is_reported(&report("a", "a", 4, 7)));
    assert!(!a.is_reported(&report("b", "a", 4, 7)));
    assert!(!a.is_reported(&report("a", "b", 4, 7)));
    assert!(!a.is_reported(&report("a", "a", 5, 7)));
    assert!(!a.is_reported(&report("a", "a", 4, 8)));
}
