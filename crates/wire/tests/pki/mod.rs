//! An authority, its responder and its certificates with keys that are thrown away, for tests and the example.

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_ASN1_SIGNING, ECDSA_P384_SHA384_ASN1_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair,
    ML_DSA_65_SIGNING, PqdsaKeyPair, RSA_PKCS1_SHA256, RsaKeyPair,
};
use model::UnixTime;
use wire::ocsp::{HashAlgorithm, IssuerIds, ResponseData, oids as ocsp_oids};
use x509::certificate::TbsCertificate;
use x509::extension::{self, BasicConstraints, KeyUsage};
use x509::name::Attribute;
use x509::{Certificate, Extension, KeyType, Name, PublicKey, SerialNumber, SignatureAlgorithm, csr, oids};

pub enum Pair {
    Ecdsa(EcdsaKeyPair),
    Ed25519(Ed25519KeyPair),
    Rsa(RsaKeyPair),
    MlDsa(PqdsaKeyPair),
}

/// A key that signs.
pub struct Key {
    pair: Pair,
    pub public: PublicKey,
}

impl Key {
    pub fn generate(kind: KeyType) -> Self {
        let pair = match kind {
            KeyType::P256 => Pair::Ecdsa(EcdsaKeyPair::generate(&ECDSA_P256_SHA256_ASN1_SIGNING).unwrap()),
            KeyType::P384 => Pair::Ecdsa(EcdsaKeyPair::generate(&ECDSA_P384_SHA384_ASN1_SIGNING).unwrap()),
            KeyType::Ed25519 => Pair::Ed25519(Ed25519KeyPair::generate().unwrap()),
            KeyType::MlDsa65 => Pair::MlDsa(PqdsaKeyPair::generate(&ML_DSA_65_SIGNING).unwrap()),
            _ => Pair::Rsa(RsaKeyPair::generate(KeySize::Rsa2048).unwrap()),
        };
        let bits = match &pair {
            Pair::Ecdsa(pair) => pair.public_key().as_ref().to_vec(),
            Pair::Ed25519(pair) => pair.public_key().as_ref().to_vec(),
            Pair::Rsa(pair) => pair.public_key().as_ref().to_vec(),
            Pair::MlDsa(pair) => pair.public_key().as_ref().to_vec(),
        };
        let public = PublicKey::from_bits(kind, &bits).unwrap();
        Self { pair, public }
    }
    pub fn algorithm(&self) -> SignatureAlgorithm {
        self.public.key_type().signs_with()
    }
    pub fn sign(&self, message: &[u8]) -> Vec<u8> {
        let random = SystemRandom::new();
        match &self.pair {
            Pair::Ecdsa(pair) => pair.sign(&random, message).unwrap().as_ref().to_vec(),
            Pair::Ed25519(pair) => pair.sign(message).as_ref().to_vec(),
            Pair::MlDsa(pair) => {
                let mut signature = vec![0; pair.algorithm().signature_len()];
                pair.sign(message, &mut signature).unwrap();
                signature
            }
            Pair::Rsa(pair) => {
                let mut signature = vec![0; pair.public_modulus_len()];
                pair.sign(&RSA_PKCS1_SHA256, &random, message, &mut signature).unwrap();
                signature
            }
        }
    }
    pub fn finish(&self, data: ResponseData, certificates: &[&[u8]]) -> Vec<u8> {
        let signature = self.sign(data.der());
        data.finish(self.algorithm(), &signature, certificates)
    }
}

pub fn named(text: &str) -> Name {
    Name::write(&[Attribute { oid: oids::COMMON_NAME, text: text.to_owned() }])
}
pub fn serial(hex: &str) -> SerialNumber {
    SerialNumber::from_hex(hex).unwrap()
}

/// When the certificates here begin, and how long they last: 100 days.
pub const BEGIN: UnixTime = UnixTime::from_s(1_790_000_000);
pub const LIFETIME_S: u64 = 100 * 86_400;

/// What signs certificates.
pub struct Authority {
    pub key: Key,
    pub certificate: Certificate,
    pub ids: IssuerIds,
}

impl Authority {
    pub fn new(kind: KeyType, name: &str, begin: UnixTime) -> Self {
        let key = Key::generate(kind);
        let usage = KeyUsage::KEY_CERT_SIGN.with(KeyUsage::CRL_SIGN).with(KeyUsage::DIGITAL_SIGNATURE);
        let extensions = vec![
            BasicConstraints { ca: true, path_len: None }.extension(),
            usage.extension(),
            extension::subject_key_identifier(&key.public.key_identifier()),
        ];
        let name = named(name);
        let certificate = issue(&key, &name, &name, &key.public, "01", begin, extensions);
        let ids = IssuerIds::new(&name, &key.public);
        Self { key, certificate, ids }
    }
    pub fn issue(&self, name: &str, key: &PublicKey, serial: &str, extensions: Vec<Extension>) -> Certificate {
        let tbs = self.certificate.tbs();
        issue(&self.key, &tbs.subject, &named(name), key, serial, tbs.not_before, extensions)
    }
    pub fn responder(&self, kind: KeyType) -> (Key, Certificate) {
        let key = Key::generate(kind);
        let certificate = self.issue("Responder", &key.public, "02", responder_extensions());
        (key, certificate)
    }
    pub fn leaf(&self, serial: &str) -> Certificate {
        self.issue("Leaf", &Key::generate(KeyType::P256).public, serial, vec![KeyUsage(1).extension()])
    }
}

pub fn responder_extensions() -> Vec<Extension> {
    vec![
        KeyUsage::DIGITAL_SIGNATURE.extension(),
        extension::extended_key_usage(&[ocsp_oids::OCSP_SIGNING]),
        extension::ocsp_nocheck(),
    ]
}

fn issue(
    by: &Key,
    issuer: &Name,
    subject: &Name,
    key: &PublicKey,
    number: &str,
    begin: UnixTime,
    extensions: Vec<Extension>,
) -> Certificate {
    let tbs = TbsCertificate {
        serial_number: serial(number),
        signature: by.algorithm(),
        issuer: issuer.clone(),
        not_before: begin,
        not_after: begin.plus_s(LIFETIME_S),
        subject: subject.clone(),
        subject_public_key: key.clone(),
        extensions,
    }
    .write();
    Certificate::decode(&csr::write_signed(&tbs, by.algorithm(), &by.sign(&tbs))).unwrap()
}

/// Both hashes that clients use.
pub const HASHES: [HashAlgorithm; 2] = [HashAlgorithm::Sha1, HashAlgorithm::Sha256];
