//! Writes a root, a request and a list of ours for each algorithm that other programs shall read:
//! `cargo run -p x509 --example algorithms testdata`, then `testdata/make/algorithms.py --check testdata`.
//!
//! With the library's own key pairs, because the keystore stands above this crate.
#![allow(clippy::disallowed_methods, reason = "what is started by hand opens files")]

use aws_lc_rs::encoding::{AsDer, PublicKeyX509Der};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{
    ECDSA_P521_SHA512_ASN1_SIGNING, EcdsaKeyPair, KeyPair, ML_DSA_44_SIGNING, ML_DSA_65_SIGNING, ML_DSA_87_SIGNING,
    PqdsaKeyPair, RSA_PSS_SHA256, RSA_PSS_SHA384, RSA_PSS_SHA512, RsaKeyPair,
};
use model::UnixTime;
use model::contract::authority::RevocationReason;
use std::error::Error;
use std::path::Path;
use x509::certificate::TbsCertificate;
use x509::crl::{CrlHead, RevokedCertificate, write_tbs};
use x509::extension::{BasicConstraints, GeneralName, subject_alt_name};
use x509::name::Attribute;
use x509::{KeyType, Name, PublicKey, SerialNumber, SignatureAlgorithm, csr, oids};

type Sign<'a> = &'a dyn Fn(&[u8]) -> Result<Vec<u8>, Box<dyn Error>>;

fn main() -> Result<(), Box<dyn Error>> {
    let folder = std::env::args().nth(1).ok_or("usage: algorithms FOLDER")?;
    let folder = Path::new(&folder);
    let random = SystemRandom::new();
    for (key_type, algorithm) in [
        (KeyType::MlDsa44, &ML_DSA_44_SIGNING),
        (KeyType::MlDsa65, &ML_DSA_65_SIGNING),
        (KeyType::MlDsa87, &ML_DSA_87_SIGNING),
    ] {
        let pair = PqdsaKeyPair::generate(algorithm)?;
        let key = PublicKey::from_bits(key_type, pair.public_key().as_ref())?;
        write(&folder.join("rfc9881"), &key_type.to_string(), &key, key_type.signs_with(), &|message| {
            let mut signature = vec![0; algorithm.signature_len()];
            pair.sign(message, &mut signature)?;
            Ok(signature)
        })?;
    }
    let pair = EcdsaKeyPair::generate(&ECDSA_P521_SHA512_ASN1_SIGNING)?;
    let key = PublicKey::from_bits(KeyType::P521, pair.public_key().as_ref())?;
    write(&folder.join("rfc5480"), "p521", &key, SignatureAlgorithm::EcdsaSha512, &|message| {
        Ok(pair.sign(&random, message)?.as_ref().to_vec())
    })?;
    let pair = RsaKeyPair::generate(KeySize::Rsa2048)?;
    let spki: PublicKeyX509Der<'_> = pair.public_key().as_der()?;
    let key = PublicKey::decode(spki.as_ref())?;
    for (name, algorithm, encoding) in [
        ("pss-sha256", SignatureAlgorithm::RsaPssSha256, &RSA_PSS_SHA256),
        ("pss-sha384", SignatureAlgorithm::RsaPssSha384, &RSA_PSS_SHA384),
        ("pss-sha512", SignatureAlgorithm::RsaPssSha512, &RSA_PSS_SHA512),
    ] {
        write(&folder.join("rfc4055"), name, &key, algorithm, &|message| {
            let mut signature = vec![0; pair.public_modulus_len()];
            pair.sign(encoding, &random, message, &mut signature)?;
            Ok(signature)
        })?;
    }
    Ok(())
}

fn write(
    folder: &Path,
    name: &str,
    key: &PublicKey,
    signature: SignatureAlgorithm,
    sign: Sign<'_>,
) -> Result<(), Box<dyn Error>> {
    let subject = Name::write(&[Attribute { oid: oids::COMMON_NAME, text: format!("cradle {name} root") }]);
    let from = UnixTime::from_s(1_767_225_600);
    let until = from.plus_s(20 * 365 * 86_400);
    let serial = |n: u8| SerialNumber::new(&[n]).map_err(|_| "serial number");
    let tbs = TbsCertificate {
        serial_number: serial(0x11)?,
        signature,
        issuer: subject.clone(),
        not_before: from,
        not_after: until,
        subject: subject.clone(),
        subject_public_key: key.clone(),
        extensions: vec![BasicConstraints { ca: true, path_len: None }.extension()],
    };
    let names = [GeneralName::Dns("sensor.example".into())];
    let head =
        CrlHead { signature, issuer: &subject, issuer_key: key, this_update: from, next_update: until, crl_number: 7 };
    let entry = RevokedCertificate {
        serial_number: serial(0x33)?,
        revocation_date: from,
        reason: RevocationReason::Unspecified,
    };
    let parts = [
        ("root", tbs.write()),
        ("csr", csr::write_info(&subject, key, &[subject_alt_name(&names, false)])),
        ("crl", write_tbs(&head, &[entry])),
    ];
    for (what, part) in parts {
        let signed = csr::write_signed(&part, signature, &sign(&part)?);
        std::fs::write(folder.join(format!("cradle-{name}-{what}.der")), signed)?;
    }
    Ok(())
}
