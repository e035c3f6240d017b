//! Director and image repository, and what a device reports. Uptane 2.1.0; each rule has a name here.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::as_conversions,
    clippy::panic,
    reason = "what cannot go on here has failed"
)]

mod repository;

use model::{DeviceId, DeviceType, Nonce};
use repository::{Repository, announced, pair};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use update::uptane::{
    Agreed, BadDirections, Component, ComponentId, Directions, Expected, Inventory, MANIFEST_LEN_MAX, Manifest, Report,
    Reported, write_manifest, write_report,
};
use update::{BadRelease, Image};
use x509::{KeyType, PublicKey};

const IMAGE: &[u8] = b"an image";
const NAME: &str = "modem-1.4.img";

fn device(serial: &str) -> DeviceId {
    format!("urn:dev:ops:32473-gateway-{serial}").parse().unwrap()
}
fn hardware(name: &str) -> DeviceType {
    name.parse().unwrap()
}
fn id(name: &str) -> ComponentId {
    name.parse().unwrap()
}
/// A device with a modem, which carries release 7, and a display.
fn inventory() -> Inventory {
    let component = |hardware_id: &str, floor| Component { hardware_id: hardware(hardware_id), floor };
    let components = [(id("modem"), component("modem.a", 7)), (id("display"), component("display.a", 0))];
    Inventory { device: device("SN1"), components: components.into() }
}

/// A director and an image repository that agree on release 8 for the modem.
struct Pair {
    director: Repository,
    images: Repository,
    inventory: Inventory,
}
impl Pair {
    fn new() -> Self {
        let (mut director, mut images) = (Repository::new(), Repository::new());
        director.of("targets")["custom"] = json!({"device": device("SN1").to_string()});
        director.of("targets")["targets"][NAME] = announced(IMAGE);
        director.of("targets")["targets"][NAME]["custom"] =
            json!({"release_counter": 8, "components": {"modem": {"hardware_id": "modem.a"}}});
        images.of("targets")["targets"][NAME] = announced(IMAGE);
        images.of("targets")["targets"][NAME]["custom"] =
            json!({"release_counter": 8, "hardware_ids": ["modem.a", "modem.b"]});
        Self { director, images, inventory: inventory() }
    }
    fn directed(&mut self) -> &mut Value {
        &mut self.director.of("targets")["targets"][NAME]
    }
    fn image(&mut self) -> &mut Value {
        &mut self.images.of("targets")["targets"][NAME]
    }
    fn follow(&mut self) -> Result<Vec<Agreed>, BadDirections> {
        self.director.publish_targets();
        self.images.publish_targets();
        let mut director = self.director.client();
        director.drive(&mut self.director).unwrap();
        let directions = Directions::read(&director, &self.inventory)?;
        let mut images = self.images.client();
        let mut found = |name: &str| images.look_for(name, &mut self.images).unwrap();
        directions.targets().map(|name| directions.agree(&found(name))).collect()
    }
}
#[track_caller]
fn refused(change: impl FnOnce(&mut Pair), expected: BadDirections, class: Option<&str>) {
    let mut pair = Pair::new();
    change(&mut pair);
    assert_eq!(pair.follow(), Err(expected));
    assert_eq!(expected.attack().map(|attack| attack.name()), class);
}
#[track_caller]
fn accepted(change: impl FnOnce(&mut Pair)) -> Vec<Agreed> {
    let mut pair = Pair::new();
    change(&mut pair);
    pair.follow().unwrap()
}
const MIX: Option<&str> = Some("mix-and-match");

#[test]
fn both_repositories_agree() {
    let agreed = accepted(|_| {});
    let [agreed] = agreed.as_slice() else { panic!("{agreed:?}") };
    assert_eq!((agreed.target().name(), agreed.counter(), agreed.components()), (NAME, 8, &[id("modem")][..]));
}
#[test]
fn there_may_be_nothing_for_a_device() {
    assert!(accepted(|p| p.director.of("targets")["targets"] = json!({})).is_empty());
}
#[test]
fn another_length() {
    refused(|p| p.directed()["length"] = json!(9), BadDirections::OtherLength, MIX);
    refused(|p| p.image()["length"] = json!(9), BadDirections::OtherLength, MIX);
}
#[test]
fn another_hash() {
    refused(|p| p.directed()["hashes"]["sha256"] = json!("0".repeat(64)), BadDirections::OtherHashes, MIX);
}
#[test]
fn a_hash_that_only_one_of_them_has() {
    let sha512 = json!("0".repeat(128));
    let both = sha512.clone();
    refused(|p| p.directed()["hashes"]["sha512"] = sha512.clone(), BadDirections::OtherHashes, MIX);
    refused(|p| p.image()["hashes"]["sha512"] = sha512, BadDirections::OtherHashes, MIX);
    accepted(|p| {
        p.directed()["hashes"]["sha512"] = both.clone();
        p.image()["hashes"]["sha512"] = both;
    });
}
#[test]
fn another_release_counter() {
    refused(|p| p.directed()["custom"]["release_counter"] = json!(9), BadDirections::OtherCounter, MIX);
    refused(|p| p.image()["custom"]["release_counter"] = json!(9), BadDirections::OtherCounter, MIX);
}
#[test]
fn the_answer_of_the_image_repository_to_another_question() {
    let mut pair = Pair::new();
    pair.images.of("targets")["targets"]["other.img"] = pair.images.says["targets"]["targets"][NAME].clone();
    pair.follow().unwrap();
    let mut director = pair.director.client();
    director.drive(&mut pair.director).unwrap();
    let directions = Directions::read(&director, &pair.inventory).unwrap();
    let other = pair.images.client().look_for("other.img", &mut pair.images).unwrap();
    assert_eq!(directions.agree(&other), Err(BadDirections::OtherName));
}
#[test]
fn what_the_image_repository_does_not_have() {
    let mut pair = Pair::new();
    pair.images.of("targets")["targets"] = json!({});
    pair.images.publish_targets();
    let bad = pair.images.look_for(NAME).unwrap_err().bad;
    assert_eq!(bad, update::tuf::BadMetadata::NoTarget);
}
#[test]
fn hardware_that_is_not_the_components() {
    let wrong = Some("wrong hardware");
    let other = |p: &mut Pair| p.directed()["custom"]["components"]["modem"]["hardware_id"] = json!("modem.b");
    refused(other, BadDirections::WrongHardware, wrong);
    let other = |p: &mut Pair| p.image()["custom"]["hardware_ids"] = json!(["modem.b"]);
    refused(other, BadDirections::WrongHardware, wrong);
}
#[test]
fn the_counter_never_decreases() {
    let counter = |n: u64| {
        move |p: &mut Pair| {
            p.directed()["custom"]["release_counter"] = json!(n);
            p.image()["custom"]["release_counter"] = json!(n);
        }
    };
    accepted(counter(7));
    refused(counter(6), BadDirections::RolledBack, Some("rollback"));
}
#[test]
fn no_component_twice() {
    let twice = |component: &'static str, hardware: &'static str| {
        move |p: &mut Pair| {
            let mut second = p.directed().clone();
            second["custom"]["components"] = json!({component: {"hardware_id": hardware}});
            p.director.of("targets")["targets"]["second.img"] = second;
            let mut image = p.image().clone();
            image["custom"]["hardware_ids"] = json!([hardware]);
            p.images.of("targets")["targets"]["second.img"] = image;
        }
    };
    refused(twice("modem", "modem.a"), BadDirections::ComponentTwice, MIX);
    assert_eq!(accepted(twice("display", "display.a")).len(), 2);
}
#[test]
fn one_target_for_two_components() {
    let agreed = accepted(|p| {
        p.inventory.components.insert(id("second"), Component { hardware_id: hardware("modem.b"), floor: 0 });
        p.directed()["custom"]["components"]["second"] = json!({"hardware_id": "modem.b"});
    });
    assert_eq!(agreed[0].components(), [id("modem"), id("second")]);
}
#[test]
fn an_unknown_component() {
    let unknown = |p: &mut Pair| {
        p.directed()["custom"]["components"] = json!({"brakes": {"hardware_id": "modem.a"}});
    };
    refused(unknown, BadDirections::UnknownComponent, Some("arbitrary software"));
}
#[test]
fn a_target_for_nobody() {
    refused(|p| p.directed()["custom"]["components"] = json!({}), BadDirections::NoComponent, None);
}
#[test]
fn no_delegations_at_the_director() {
    let delegates = |p: &mut Pair| p.director.delegate("targets", "supplier", 5, &["*"]);
    refused(delegates, BadDirections::Delegates, Some("arbitrary software"));
    accepted(|p| p.images.delegate("targets", "supplier", 5, &["*"]));
}
#[test]
fn another_devices_directions() {
    let other = |p: &mut Pair| p.inventory.device = device("SN2");
    refused(other, BadDirections::OtherDevice, MIX);
    // Also when there is nothing for it: whoever swaps two devices' metadata is found out.
    let empty = |p: &mut Pair| {
        p.director.of("targets")["targets"] = json!({});
        p.director.of("targets")["custom"]["device"] = json!(device("SN2").to_string());
    };
    refused(empty, BadDirections::OtherDevice, MIX);
}
#[test]
fn directions_that_name_no_device() {
    let unnamed = |p: &mut Pair| drop(p.director.of("targets").as_object_mut().unwrap().remove("custom"));
    refused(unnamed, BadDirections::Shape(BadRelease::Field("custom")), None);
}
#[test]
fn more_targets_than_a_device_has_components() {
    let many = |p: &mut Pair| {
        let target = p.directed().clone();
        for n in 0..256 {
            p.director.of("targets")["targets"][format!("{n}.img")] = target.clone();
        }
    };
    refused(many, BadDirections::TooMany, Some("endless data"));
}
#[test]
fn directions_are_read_of_a_client_that_is_up_to_date() {
    let pair = Pair::new();
    let read = Directions::read(&pair.director.client(), &pair.inventory);
    assert!(matches!(read, Err(BadDirections::Shape(_))), "{read:?}");
}

// Manifests. The device has key 1, the modem 2, the display 3.
fn public(n: u8) -> PublicKey {
    use aws_lc_rs::signature::KeyPair;
    PublicKey::from_bits(KeyType::Ed25519, pair(n).public_key().as_ref()).unwrap()
}
fn sign(n: u8) -> impl FnOnce(&[u8]) -> Result<Vec<u8>, ()> {
    move |message| Ok(pair(n).sign(message).as_ref().to_vec())
}
const NONCE: Nonce = Nonce::new([7; 16]);
const OLDER: Nonce = Nonce::new([6; 16]);

fn report(component: &str, hardware_id: &str) -> Report {
    Report {
        component: id(component),
        hardware_id: hardware(hardware_id),
        target: NAME.into(),
        image: Image { digest: x509::sha256(IMAGE), length: IMAGE.len() as u64 },
        counter: 8,
    }
}
fn reports() -> Vec<Vec<u8>> {
    vec![
        write_report(&report("modem", "modem.a"), NONCE, sign(2)).unwrap(),
        write_report(&report("display", "display.a"), NONCE, sign(3)).unwrap(),
    ]
}
fn manifest(reports: &[Vec<u8>]) -> Vec<u8> {
    write_manifest(&device("SN1"), NONCE, reports, sign(1)).unwrap()
}
fn verify(octets: &[u8]) -> Result<Reported, BadDirections> {
    let components = BTreeMap::from([
        (id("modem"), (public(2), hardware("modem.a"))),
        (id("display"), (public(3), hardware("display.a"))),
    ]);
    let expected = Expected { device: &device("SN1"), key: &public(1), nonce: NONCE, components: &components };
    Manifest::decode(octets)?.verify(&expected)
}
#[track_caller]
fn manifest_refused(octets: &[u8], expected: BadDirections, class: &str) {
    assert_eq!(verify(octets), Err(expected));
    assert_eq!(expected.attack().map(|attack| attack.name()), Some(class));
}

#[test]
fn what_components_report() {
    let reported = verify(&manifest(&reports())).unwrap();
    assert_eq!(reported.components()[&id("modem")], report("modem", "modem.a"));
    assert_eq!(reported.components().len(), 2);
}
#[test]
fn a_replayed_manifest() {
    let older: Vec<_> = [("modem", "modem.a", 2), ("display", "display.a", 3)]
        .map(|(c, h, key)| write_report(&report(c, h), OLDER, sign(key)).unwrap())
        .into();
    let replayed = write_manifest(&device("SN1"), OLDER, &older, sign(1)).unwrap();
    manifest_refused(&replayed, BadDirections::Replayed, "rollback");
    let renewed = write_manifest(&device("SN1"), OLDER, &reports(), sign(1)).unwrap();
    manifest_refused(&renewed, BadDirections::Replayed, "rollback");
    // The device is honest, and a component is not.
    manifest_refused(&manifest(&[reports()[0].clone(), older[1].clone()]), BadDirections::Replayed, "rollback");
}
#[test]
fn a_manifest_that_the_device_has_not_signed() {
    let foreign = write_manifest(&device("SN1"), NONCE, &reports(), sign(2)).unwrap();
    manifest_refused(&foreign, BadDirections::NotTheDevice, "arbitrary software");
}
#[test]
fn a_report_that_the_component_has_not_signed() {
    let forged = write_report(&report("display", "display.a"), NONCE, sign(1)).unwrap();
    manifest_refused(&manifest(&[reports()[0].clone(), forged]), BadDirections::NotTheComponent, "arbitrary software");
}
#[test]
fn a_component_that_reports_for_another() {
    let forged = write_report(&report("modem", "modem.a"), NONCE, sign(3)).unwrap();
    manifest_refused(&manifest(&[forged, reports()[1].clone()]), BadDirections::NotTheComponent, "arbitrary software");
}
#[test]
fn a_manifest_of_another_device() {
    let other = write_manifest(&device("SN2"), NONCE, &reports(), sign(1)).unwrap();
    manifest_refused(&other, BadDirections::OtherDevice, "mix-and-match");
}
#[test]
fn a_component_that_reports_twice_or_not_at_all() {
    let [modem, display] = reports().try_into().unwrap();
    manifest_refused(
        &manifest(&[modem.clone(), display, modem.clone()]),
        BadDirections::ComponentTwice,
        "mix-and-match",
    );
    manifest_refused(&manifest(&[modem]), BadDirections::ComponentMissing, "mix-and-match");
}
#[test]
fn a_component_that_nobody_knows_or_of_other_hardware() {
    let brakes = write_report(&report("brakes", "modem.a"), NONCE, sign(2)).unwrap();
    manifest_refused(&manifest(&[brakes]), BadDirections::UnknownComponent, "arbitrary software");
    let other = write_report(&report("modem", "modem.b"), NONCE, sign(2)).unwrap();
    manifest_refused(&manifest(&[other, reports()[1].clone()]), BadDirections::WrongHardware, "wrong hardware");
}
#[test]
fn a_report_is_no_manifest() {
    assert_eq!(verify(&reports()[0]), Err(BadDirections::Shape(BadRelease::UnknownType)));
    assert_eq!(verify(&manifest(&[manifest(&[])])), Err(BadDirections::Shape(BadRelease::UnknownType)));
}
#[test]
fn no_octet_of_a_manifest_can_be_another() {
    let whole = manifest(&reports());
    for at in 0..whole.len() {
        let mut altered = whole.clone();
        altered[at] ^= 1;
        assert!(verify(&altered).is_err(), "octet {at}");
    }
}
#[test]
fn a_manifest_that_is_too_long() {
    let mut long = manifest(&reports());
    long.resize(MANIFEST_LEN_MAX, b' ');
    assert!(verify(&long).is_ok());
    long.push(b' ');
    manifest_refused(&long, BadDirections::Shape(BadRelease::TooLong), "endless data");
    let many = vec![reports()[0].clone(); 257];
    manifest_refused(&manifest(&many), BadDirections::TooMany, "endless data");
}

fn golden() -> std::path::PathBuf {
    std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../testdata/uptane/cradle-manifest.json")
}
#[test]
#[ignore = "writes testdata/uptane/cradle-manifest.json anew"]
fn write_ours() {
    std::fs::create_dir_all(golden().parent().unwrap()).unwrap();
    std::fs::write(golden(), manifest(&reports())).unwrap();
}
#[test]
fn what_we_write_has_not_changed() {
    assert_eq!(String::from_utf8(manifest(&reports())).unwrap(), std::fs::read_to_string(golden()).unwrap());
}
