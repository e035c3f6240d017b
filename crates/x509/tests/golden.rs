//! Octets made by other programs: read as they should be, or refused. Provenance: `testdata/PROVENANCE.toml`.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]

use std::path::PathBuf;
use x509::crmf::ProofOfPossession;
use x509::{CertReqMsg, Certificate, CertificateList, CertificationRequest, KeyType, PublicKey, oids, weak};

fn golden(name: &str) -> Vec<u8> {
    std::fs::read(PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../testdata").join(name)).unwrap()
}

#[derive(Debug, PartialEq)]
enum Csr {
    Verified(KeyType),
    BadSignature,
    Unreadable,
}

#[track_caller]
fn csr(name: &str, expected: Csr) {
    let der = golden(&format!("rfc2986/openssl-3.0.19-{name}.der"));
    let found = match CertificationRequest::decode(&der) {
        Err(_) => Csr::Unreadable,
        Ok(request) if request.verify().is_err() => Csr::BadSignature,
        Ok(request) => {
            assert_eq!(PublicKey::decode(request.public_key.spki()).unwrap(), request.public_key);
            Csr::Verified(request.public_key.key_type())
        }
    };
    assert_eq!(found, expected);
    every_cut_is_refused(&der, |octets| CertificationRequest::decode(octets).is_ok());
}

#[track_caller]
fn every_cut_is_refused(der: &[u8], reads: impl Fn(&[u8]) -> bool) {
    for len in 0..der.len() {
        assert!(!reads(&der[..len]), "the first {len} octets were read");
    }
    assert!(!reads(&[der, &[0]].concat()), "a trailing octet was read");
}

#[test]
fn p256_request() {
    csr("p256", Csr::Verified(KeyType::P256));
}
#[test]
fn p384_request() {
    csr("p384", Csr::Verified(KeyType::P384));
}
#[test]
fn ed25519_request() {
    csr("ed25519", Csr::Verified(KeyType::Ed25519));
}
#[test]
fn rsa2048_request() {
    csr("rsa2048", Csr::Verified(KeyType::Rsa(2048)));
}
#[test]
fn rsa3072_request() {
    csr("rsa3072", Csr::Verified(KeyType::Rsa(3072)));
}
#[test]
fn p256_with_sha384() {
    csr("p256-sha384", Csr::Verified(KeyType::P256));
}
#[test]
fn rsa_with_sha512() {
    csr("rsa2048-sha512", Csr::Verified(KeyType::Rsa(2048)));
}
#[test]
fn sha1_is_refused() {
    csr("rsa2048-sha1", Csr::Unreadable);
}
#[test]
fn a_broken_signature() {
    csr("p256-broken-signature", Csr::BadSignature);
}
#[test]
fn rsa1024_is_read_and_does_not_verify() {
    csr("rsa1024-weak", Csr::BadSignature);
    let request = CertificationRequest::decode(&golden("rfc2986/openssl-3.0.19-rsa1024-weak.der")).unwrap();
    assert_eq!(weak::check(&request.public_key), Err(weak::Weakness::Size));
}
#[test]
fn the_name_is_read() {
    let request = CertificationRequest::decode(&golden("rfc2986/openssl-3.0.19-p256-named.der")).unwrap();
    assert_eq!(request.subject.to_string(), "O=Example, CN=sensor, serialNumber=SN0001");
}
#[test]
fn the_extensions_are_read() {
    let request = CertificationRequest::decode(&golden("rfc2986/openssl-3.0.19-p256-ca-true.der")).unwrap();
    let asked: Vec<_> = request.extensions.iter().map(|e| e.oid).collect();
    assert!(asked.contains(&oids::BASIC_CONSTRAINTS) && asked.contains(&oids::KEY_USAGE), "{asked:?}");
}

#[track_caller]
fn crmf(name: &str, proved: bool) -> CertReqMsg {
    let der = golden(&format!("rfc4211/openssl-3.0.19-{name}.der"));
    let message = CertReqMsg::decode_only(&der).unwrap();
    assert_eq!(message.verify().is_ok(), proved);
    every_cut_is_refused(&der, |octets| CertReqMsg::decode_only(octets).is_ok());
    message
}

#[test]
fn p256_message() {
    crmf("p256-signature", true);
}
#[test]
fn p384_message() {
    crmf("p384-signature", true);
}
#[test]
fn ed25519_message() {
    crmf("ed25519-signature", true);
}
#[test]
fn rsa_message() {
    crmf("rsa2048-signature", true);
}
#[test]
fn ra_verified_is_no_signature() {
    for key in ["p256", "p384", "ed25519", "rsa2048"] {
        let message = crmf(&format!("{key}-raverified"), false);
        assert_eq!(message.proof_of_possession, ProofOfPossession::RaVerified);
    }
}
#[test]
fn no_proof_is_no_signature() {
    for key in ["p256", "p384", "ed25519", "rsa2048"] {
        let message = crmf(&format!("{key}-absent"), false);
        assert_eq!(message.proof_of_possession, ProofOfPossession::Absent);
    }
}
#[test]
fn reserved_fields_are_seen() {
    let message = crmf("p256-validity-and-name", true);
    assert!(message.cert_template.sets_reserved);
    assert_eq!(message.cert_template.subject.unwrap().to_string(), "CN=somebody.else.example");
    assert!(!crmf("p256-signature", true).cert_template.sets_reserved);
}

#[test]
fn a_certificate_and_its_issuer() {
    let root = Certificate::decode(&golden("rfc5280/openssl-3.0.19-root.der")).unwrap();
    let der = golden("rfc5280/openssl-3.0.19-leaf.der");
    let leaf = Certificate::decode(&der).unwrap();
    let then = leaf.tbs().not_before;
    leaf.verify_issued_by(&root, then).unwrap();
    root.verify_issued_by(&root, then).unwrap();
    assert!(leaf.verify_issued_by(&root, leaf.tbs().not_after.plus_s(1)).is_err(), "expired");
    assert!(leaf.verify_issued_by(&root, then.minus_s(1)).is_err(), "not yet valid");
    assert!(root.verify_issued_by(&leaf, then).is_err(), "a leaf is no issuer");
    assert_eq!(leaf.tbs().serial_number.to_string(), "1122");
    assert_eq!(leaf.tbs().write(), leaf.tbs_der(), "writing what was read gives the same octets");
    every_cut_is_refused(&der, |octets| Certificate::decode(octets).is_ok());
}
#[test]
fn a_changed_octet_breaks_the_certificate() {
    let root = Certificate::decode(&golden("rfc5280/openssl-3.0.19-root.der")).unwrap();
    let der = golden("rfc5280/openssl-3.0.19-leaf.der");
    let then = Certificate::decode(&der).unwrap().tbs().not_before.plus_s(60);
    for at in 0..der.len() {
        let mut changed = der.clone();
        changed[at] ^= 1;
        let verifies = Certificate::decode(&changed).is_ok_and(|c| c.verify_issued_by(&root, then).is_ok());
        assert!(!verifies, "octet {at} may be changed");
    }
}
#[test]
fn a_crl() {
    let root = Certificate::decode(&golden("rfc5280/openssl-3.0.19-root.der")).unwrap();
    let der = golden("rfc5280/openssl-3.0.19-crl.der");
    let crl = CertificateList::decode(&der).unwrap();
    crl.verify(&root.tbs().subject_public_key).unwrap();
    let mut said: Vec<_> = crl.revoked.iter().map(|r| (r.serial_number.to_string(), r.reason.name())).collect();
    said.sort();
    assert_eq!(said, [("1122".to_owned(), "key-compromise"), ("33".to_owned(), "unspecified")]);
    assert_eq!(crl.crl_number, 7);
    every_cut_is_refused(&der, |octets| CertificateList::decode(octets).is_ok());
}
