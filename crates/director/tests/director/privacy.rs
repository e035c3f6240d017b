//! What is kept from others: manifests are sealed, and what is told has one length.

use crate::support::{House, NOW, Unit, id, name, offer, refused};
use adapters::clock::SystemEntropy;
use adapters::sealing::seal;
use adapters::vault::VaultPrivateKey;
use director::{Director, Manifests, Padding, Privacy};
use std::sync::Arc;
use update::uptane::{ManifestKey, SealedManifest};

const LONG: &str = "gateway/firmware-of-the-spring-release-20.01.317-rc2.img";

fn key() -> VaultPrivateKey {
    VaultPrivateKey::generate(&SystemEntropy::default()).unwrap()
}
fn again(key: &VaultPrivateKey) -> VaultPrivateKey {
    VaultPrivateKey::from_pkcs8(&key.to_pkcs8()).unwrap()
}
fn public(key: &VaultPrivateKey) -> ManifestKey {
    ManifestKey::new(*key.public_key().octets())
}
fn opened(house: &House, keys: &[&VaultPrivateKey], padding: Padding) -> Director {
    let keys = keys.iter().map(|key| again(key)).collect();
    let director = Director::open(&house.path(), Arc::clone(&house.online)).unwrap();
    let director = director.keeping(Privacy { keys, manifests: Manifests::Sealed, padding });
    director.announce().unwrap();
    director
}
fn sealed(key: &VaultPrivateKey, device: &str, manifest: &[u8]) -> Vec<u8> {
    let to = public(key);
    let sealed = seal(manifest, &SealedManifest::info(to.name(), &id(device)), to.octets()).unwrap();
    SealedManifest { key: to.name(), sealed }.encode()
}

#[test]
fn a_manifest_is_taken_if_it_is_sealed() {
    let (house, unit, own) = (House::new(), Unit::modem("1"), key());
    house.register(&unit);
    let director = opened(&house, &[&own], Padding::Steps);
    let take = |octets: &[u8]| director.manifest(&unit.device.id, octets, NOW);
    let (nonce, _) = director.ask(&unit.device.id, &SystemEntropy::default(), NOW).unwrap();
    let manifest = unit.manifest(nonce);
    refused(take(&manifest), "not sealed");
    let good = sealed(&own, "1", &manifest);
    for at in [8, 16, 48, good.len() - 1] {
        let mut altered = good.clone();
        altered[at] ^= 1;
        refused(take(&altered), "was altered");
    }
    refused(take(&sealed(&key(), "1", &manifest)), "a key that the director does not have");
    // Somebody else cannot send on what he has seen pass.
    refused(take(&sealed(&own, "2", &manifest)), "for another device");
    assert_eq!(take(&good), Ok(1));
    refused(take(&good), "nonce");
}
#[test]
fn what_was_sealed_to_the_key_before_is_opened() {
    let (house, unit) = (House::new(), Unit::modem("1"));
    let (old, new) = (key(), key());
    house.register(&unit);
    let director = opened(&house, &[&new, &old], Padding::Steps);
    for (n, key) in [(1, &old), (2, &new)] {
        let (nonce, _) = director.ask(&unit.device.id, &SystemEntropy::default(), NOW).unwrap();
        let octets = sealed(key, "1", &unit.manifest(nonce));
        assert_eq!(director.manifest(&unit.device.id, &octets, NOW), Ok(n));
    }
}
#[test]
fn the_key_is_announced_to_each_device_and_so_is_the_next_one() {
    let (house, mut unit) = (House::new(), Unit::modem("1"));
    let (old, new) = (key(), key());
    house.register(&unit);
    for (keys, expected) in [(vec![], None), (vec![&old], Some(&old)), (vec![&new, &old], Some(&new))] {
        let director = opened(&house, &keys, Padding::Steps);
        let house = House { director, ..House::new() };
        assert_eq!(house.announced(&mut unit), expected.map(public));
    }
}
#[test]
fn nothing_is_signed_anew_if_nothing_is_announced_anew() {
    let (house, unit, own) = (House::new(), Unit::modem("1"), key());
    house.register(&unit);
    let told = |padding| opened(&house, &[&own], padding).poll(&unit.device.id, NOW).unwrap();
    let first = told(Padding::Steps);
    assert_eq!(told(Padding::Steps), first);
    assert_ne!(told(Padding::Off), first);
}

/// The lengths of what two devices are told: one nothing, the other something with a long name.
fn told(padding: Padding) -> [Vec<usize>; 2] {
    let house = House::new();
    house.director.take(offer("a", 2, &["modem.a"])).unwrap();
    house.director.take(offer(LONG, 31_415, &["modem.a"])).unwrap();
    let director = opened(&house, &[&key()], padding);
    let house = House { director, ..house };
    let mut units = [Unit::modem("1"), Unit::modem("2")];
    units.iter().for_each(|unit| house.register(unit));
    house.director.assign_to(&id("2"), &name("modem"), LONG).unwrap();
    house.tells(&mut units[0], &[]);
    house.tells(&mut units[1], &[LONG]);
    units.map(|unit| unit.lengths())
}
#[test]
fn what_is_told_has_one_length_whatever_it_is() {
    let [nothing, something] = told(Padding::Steps);
    assert_eq!(nothing, something);
    assert!(nothing.contains(&4096), "{nothing:?}");
}
#[test]
fn without_padding_it_has_not() {
    let [nothing, something] = told(Padding::Off);
    assert_ne!(nothing, something);
}
