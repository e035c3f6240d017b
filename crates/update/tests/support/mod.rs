//! What the tests of releases share: keys that everybody knows, and releases made with them.
#![allow(dead_code, missing_docs, unreachable_pub, reason = "shared by files that each use a part of it")]

use aws_lc_rs::signature::Ed25519KeyPair;
use model::octets::from_hex;
use model::{DeviceType, UnixTime};
use std::path::PathBuf;
use update::{Draft, Image, Release};
use x509::{KeyType, PublicKey};

/// RFC 8032 §7.1, tests 1 to 3.
const SEEDS: [&str; 3] = [
    "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
    "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
    "c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7",
];

/// Before the end of every release here.
pub const NOW_S: u64 = 1_790_000_000;

pub fn testdata(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../testdata/tuf").join(name)
}
pub fn golden(name: &str) -> Vec<u8> {
    std::fs::read(testdata(name)).unwrap()
}
pub fn image() -> Vec<u8> {
    golden("image.bin")
}

pub struct Key(pub Ed25519KeyPair, pub PublicKey);

pub fn key(n: usize) -> Key {
    use aws_lc_rs::signature::KeyPair;
    let pair = Ed25519KeyPair::from_seed_unchecked(&from_hex(SEEDS[n]).unwrap()).unwrap();
    let public = PublicKey::from_bits(KeyType::Ed25519, pair.public_key().as_ref()).unwrap();
    Key(pair, public)
}
impl Key {
    pub fn sign(&self, message: &[u8]) -> Vec<u8> {
        self.0.sign(message).as_ref().to_vec()
    }
}
pub fn keys(which: &[usize]) -> Vec<PublicKey> {
    which.iter().map(|n| key(*n).1).collect()
}

pub fn release() -> Release {
    Release {
        target: "gateway-os-1.4.2.img".parse().unwrap(),
        name: "gateway-os".parse().unwrap(),
        version: "1.4.2".parse().unwrap(),
        counter: 7,
        hardware_ids: vec![device_type("type.a"), device_type("type.b")],
        metadata_version: 3,
        expires: UnixTime::from_s(1_814_356_800),
    }
}
pub fn device_type(name: &str) -> DeviceType {
    name.parse().unwrap()
}
pub fn now() -> UnixTime {
    UnixTime::from_s(NOW_S)
}

pub fn draft(release: &Release, image: &[u8]) -> Draft {
    Draft::new(release, Image::measure(&mut &*image).unwrap()).unwrap()
}
pub fn signed(release: &Release, image: &[u8], by: &[usize]) -> Vec<u8> {
    let mut draft = draft(release, image);
    for n in by {
        let key = key(*n);
        draft.sign(&key.1, |message| Ok::<_, ()>(key.sign(message))).unwrap();
    }
    draft.write()
}
