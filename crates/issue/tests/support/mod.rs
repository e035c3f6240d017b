//! Keys, authorities and the whole way of a request, for tests that issue.
#![allow(dead_code, reason = "each test file uses a part of it")]

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{self, EcdsaKeyPair, Ed25519KeyPair, KeyPair, PqdsaKeyPair, RsaKeyPair};
use issue::{Issuer, Profile, Request};
use model::contract::authority::Evidence;
use model::{Entity, Fault, UnixTime};
use ports::store::authority::Grant;
use ports::{DurableIntent, DurableRecord, SignFault, Signer};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use x509::serial::InstanceEpoch;
use x509::{Certificate, Extension, KeyType, Name, PublicKey, SerialNumber, sha256};

pub(crate) const NOW: UnixTime = UnixTime::from_s(1_790_000_000);

pub(crate) fn file(name: &str) -> Vec<u8> {
    std::fs::read(PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../..").join(name)).unwrap()
}
pub(crate) fn profile(name: &str) -> Arc<Profile> {
    read_profile(name, &String::from_utf8(file(&format!("profiles/{name}.toml"))).unwrap())
}
pub(crate) fn read_profile(name: &str, toml: &str) -> Arc<Profile> {
    Arc::new(Profile::read(name.parse().unwrap(), toml).unwrap_or_else(|bad| panic!("{name}: {bad}")))
}
/// The names of all shipped profiles.
pub(crate) fn shipped() -> Vec<String> {
    let entries = std::fs::read_dir(PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../profiles")).unwrap();
    let name = |entry: std::io::Result<std::fs::DirEntry>| {
        entry.unwrap().path().file_stem().unwrap().to_str().unwrap().to_owned()
    };
    let mut names: Vec<_> = entries.map(name).collect();
    names.sort();
    names
}

enum Pair {
    Ecdsa(EcdsaKeyPair),
    Ed25519(Ed25519KeyPair),
    MlDsa(PqdsaKeyPair),
    Rsa(RsaKeyPair),
}

/// A key for one run.
pub(crate) struct Key(Pair, PublicKey);

impl Key {
    pub(crate) fn new(key_type: KeyType) -> Self {
        let (pair, bits) = match key_type {
            KeyType::P256 | KeyType::P384 | KeyType::P521 => {
                let algorithm = match key_type {
                    KeyType::P256 => &signature::ECDSA_P256_SHA256_ASN1_SIGNING,
                    KeyType::P384 => &signature::ECDSA_P384_SHA384_ASN1_SIGNING,
                    _ => &signature::ECDSA_P521_SHA512_ASN1_SIGNING,
                };
                let pair = EcdsaKeyPair::generate(algorithm).unwrap();
                let bits = pair.public_key().as_ref().to_vec();
                (Pair::Ecdsa(pair), bits)
            }
            KeyType::Ed25519 => {
                let pair = Ed25519KeyPair::generate().unwrap();
                let bits = pair.public_key().as_ref().to_vec();
                (Pair::Ed25519(pair), bits)
            }
            KeyType::MlDsa44 | KeyType::MlDsa65 | KeyType::MlDsa87 => {
                let algorithm = match key_type {
                    KeyType::MlDsa44 => &signature::ML_DSA_44_SIGNING,
                    KeyType::MlDsa65 => &signature::ML_DSA_65_SIGNING,
                    _ => &signature::ML_DSA_87_SIGNING,
                };
                let pair = PqdsaKeyPair::generate(algorithm).unwrap();
                let bits = pair.public_key().as_ref().to_vec();
                (Pair::MlDsa(pair), bits)
            }
            KeyType::Rsa(bits) => {
                let size = match bits {
                    2048 => KeySize::Rsa2048,
                    3072 => KeySize::Rsa3072,
                    _ => KeySize::Rsa4096,
                };
                let pair = RsaKeyPair::generate(size).unwrap();
                let bits = pair.public_key().as_ref().to_vec();
                (Pair::Rsa(pair), bits)
            }
        };
        Self(pair, PublicKey::from_bits(key_type, &bits).unwrap())
    }
}

impl Signer for Key {
    fn public_key(&self) -> &PublicKey {
        &self.1
    }
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, SignFault> {
        let random = SystemRandom::new();
        Ok(match &self.0 {
            Pair::Ecdsa(pair) => pair.sign(&random, message).map_err(|_| SignFault("test key"))?.as_ref().to_vec(),
            Pair::Ed25519(pair) => pair.sign(message).as_ref().to_vec(),
            Pair::MlDsa(pair) => {
                let mut signature = vec![0; pair.algorithm().signature_len()];
                pair.sign(message, &mut signature).map_err(|_| SignFault("test key"))?;
                signature
            }
            Pair::Rsa(pair) => {
                let mut signature = vec![0; pair.public_modulus_len()];
                pair.sign(&signature::RSA_PKCS1_SHA256, &random, message, &mut signature)
                    .map_err(|_| SignFault("test key"))?;
                signature
            }
        })
    }
}

/// A request that the key signs.
pub(crate) fn request(key: &Key, subject: &Name, extensions: &[Extension]) -> Evidence {
    let info = x509::csr::write_info(subject, key.public_key(), extensions);
    Evidence::Pkcs10(x509::csr::write_signed(&info, key.algorithm(), &key.sign(&info).unwrap()).into())
}

pub(crate) fn grant(subject: &Entity, profile: &Profile) -> Grant {
    let profile = profile.name().clone();
    Grant { id: 1, subject: subject.clone(), profile, until: NOW.plus_s(10), quota: 1, used: 0 }
}

/// A new serial number.
pub(crate) fn serial() -> SerialNumber {
    static COUNT: AtomicU64 = AtomicU64::new(1);
    let count = COUNT.fetch_add(1, Ordering::Relaxed).to_be_bytes();
    let digest = sha256(&count);
    SerialNumber::next(InstanceEpoch(7), NOW, *digest.octets().first_chunk().unwrap())
}

/// The whole way, with a store that says yes.
pub(crate) fn certify(
    key: &Key,
    issuer: &Issuer,
    evidence: &Evidence,
    subject: &Entity,
    profile: &Arc<Profile>,
) -> Result<Certificate, Fault> {
    let request = Request::decode(evidence)?.verify()?.authorise(&grant(subject, profile), profile, "Example", NOW)?;
    let linted = request.prepare(issuer, serial(), NOW)?.lint()?;
    let intent = DurableIntent::assert_durable(1, linted.serial(), linted.tbs_digest());
    let signed = linted.intend(intent)?.sign(key)?;
    let record = DurableRecord::assert_durable(signed.serial(), sha256(signed.for_the_record()));
    Ok(Certificate::decode(&signed.release(record)?.into_der())?)
}

/// An authority with its key and certificate.
pub(crate) struct Ca {
    pub(crate) name: String,
    pub(crate) key: Key,
    pub(crate) certificate: Certificate,
}

impl Ca {
    /// An authority that issues its own certificate.
    pub(crate) fn root(name: &str, profile_name: &str, key_type: KeyType) -> Self {
        let key = Key::new(key_type);
        let issuer = Issuer::itself(name.parse().unwrap(), key.public_key());
        let subject = format!("authority:{name}").parse().unwrap();
        let evidence = request(&key, &Name::write(&[]), &[]);
        let certificate = certify(&key, &issuer, &evidence, &subject, &profile(profile_name)).unwrap();
        Self { name: name.to_owned(), key, certificate }
    }
    /// An authority below this one.
    pub(crate) fn below(&self, name: &str, profile: &Arc<Profile>, key_type: KeyType) -> Self {
        let key = Key::new(key_type);
        let subject = format!("authority:{name}").parse().unwrap();
        let evidence = request(&key, &Name::write(&[]), &[]);
        let certificate = certify(&self.key, &self.issuer(), &evidence, &subject, profile).unwrap();
        Self { name: name.to_owned(), key, certificate }
    }
    pub(crate) fn issuer(&self) -> Issuer {
        Issuer::of(self.name.parse().unwrap(), &self.certificate).unwrap()
    }
}

/// The complete examples of the reference, each under the name that its first line gives.
pub(crate) fn examples() -> Vec<(String, String)> {
    let document = String::from_utf8(file("docs/profiles.md")).unwrap();
    let blocks = document.split("```toml\n").skip(1).map(|rest| rest.split_once("```").unwrap().0.to_owned());
    blocks.map(|toml| (toml.lines().next().unwrap().trim_start_matches("# ").to_owned(), toml)).collect()
}
