//! Measures lists of a million entries: `cargo run --release -p x509 --example million`.
#![allow(clippy::disallowed_methods, clippy::print_stdout, reason = "it measures, and says what it measured")]

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair};
use model::contract::authority::RevocationReason;
use model::{Fault, UnixTime};
use std::error::Error;
use std::time::Instant;
use x509::crl::{CrlEntry, CrlHead, CrlScope, RevokedCertificate, TbsStream, write_list};
use x509::name::Attribute;
use x509::{CertificateList, KeyType, Name, PublicKey, SerialNumber, SignatureAlgorithm, oids};

const ENTRIES: u64 = 1_000_000;
const NOW: UnixTime = UnixTime::from_s(1_800_000_000);

fn main() -> Result<(), Box<dyn Error>> {
    let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_ASN1_SIGNING)?;
    let issuer_key = PublicKey::from_bits(KeyType::P256, pair.public_key().as_ref())?;
    let issuer = Name::write(&[Attribute { oid: oids::COMMON_NAME, text: "issuer".into() }]);
    let head = CrlHead {
        signature: SignatureAlgorithm::EcdsaSha256,
        issuer: &issuer,
        issuer_key: &issuer_key,
        this_update: NOW,
        next_update: NOW.plus_s(86_400),
        crl_number: 1,
    };
    let scope = CrlScope::default();
    let base = peak();
    let start = Instant::now();
    let stream = TbsStream::measure(&head, &scope, entries());
    let mut digest = aws_lc_rs::digest::Context::new(&aws_lc_rs::digest::SHA256);
    stream.write(entries(), |octets| digest.update(octets))?;
    println!(
        "streamed {} octets through SHA-256 in {:?}, {} KiB over base",
        stream.len(),
        start.elapsed(),
        peak() - base
    );
    let start = Instant::now();
    let sign = |tbs: &[u8]| {
        let signature = pair.sign(&SystemRandom::new(), tbs).map_err(|_| Fault::unavailable("key"))?;
        Ok::<_, Fault>(signature.as_ref().to_vec())
    };
    let list = write_list(&head, &scope, entries, sign).map_err(|_| "key")?;
    println!("wrote and signed {} octets in {:?}, {} KiB over base", list.len(), start.elapsed(), peak() - base);
    let start = Instant::now();
    let read = CertificateList::decode(&list)?;
    read.verify(&issuer_key)?;
    println!(
        "read and verified {} entries in {:?}, {} KiB over base",
        read.revoked.len(),
        start.elapsed(),
        peak() - base
    );
    Ok(())
}

fn entries() -> impl Iterator<Item = CrlEntry> {
    (1..=ENTRIES).filter_map(|n| {
        let mut octets = [0x5a; 20];
        octets.iter_mut().skip(12).zip(n.to_be_bytes()).for_each(|(to, from)| *to = from);
        let serial_number = SerialNumber::new(&octets).ok()?;
        let reason = RevocationReason::KeyCompromise;
        Some(CrlEntry::Revoked(RevokedCertificate { serial_number, revocation_date: NOW, reason }))
    })
}

/// The most memory that this process has had, in KiB.
fn peak() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.and_then(|rest| rest.split_whitespace().next()?.parse().ok()).unwrap_or(0)
}
