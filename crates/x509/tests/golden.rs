//! Octets made by other programs: read as they should be, or refused. Provenance: `testdata/PROVENANCE.toml`.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "what cannot go on here has failed"
)]

use std::path::PathBuf;
use x509::crmf::{Keyless, ProofOfPossession, WantedKey};
use x509::{
    CertReqMsg, Certificate, CertificateList, CertificationRequest, KeyType, PublicKey, SignatureAlgorithm, oids, weak,
};

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
    let decoded = CertificationRequest::decode(&der);
    if let Ok(request) = &decoded
        && let Ok(key) = weak::StrongKey::prove(&request.public_key)
    {
        assert_eq!(request.verify_with(&key), request.verify());
    }
    let found = match decoded {
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

#[test]
fn a_request_does_not_verify_with_a_key_of_another() {
    let decode =
        |name: &str| CertificationRequest::decode(&golden(&format!("rfc2986/openssl-3.0.19-{name}.der"))).unwrap();
    let (mut one, other) = (decode("p256"), decode("p384"));
    let key = weak::StrongKey::prove(&one.public_key).unwrap();
    assert_eq!(one.verify_with(&key), Ok(()));
    one.public_key = other.public_key;
    assert_eq!(one.verify_with(&key), Err(x509::signature::BadSignature));
}

#[track_caller]
fn crmf(name: &str, proved: bool) -> CertReqMsg {
    let der = golden(&format!("rfc4211/openssl-3.0.19-{name}.der"));
    let message = CertReqMsg::decode_only(&der).unwrap();
    assert_eq!(message.verify().is_ok(), proved);
    let key = weak::StrongKey::prove(&message.cert_template.public_key).unwrap();
    assert_eq!(message.verify_with(&key).is_ok(), proved);
    every_cut_is_refused(&der, |octets| CertReqMsg::decode_only(octets).is_ok());
    message
}

#[test]
fn a_message_without_a_key_is_one_for_a_key_to_be_made() {
    let der = golden("rfc4211/openssl-3.6.3-keyless.der");
    assert!(CertReqMsg::decode_only(&der).is_err());
    let keyless = Keyless::decode(&der).unwrap();
    assert_eq!((keyless.wanted, keyless.has_proof), (WantedKey::Any, false));
    every_cut_is_refused(&der, |octets| Keyless::decode(octets).is_ok());
    let key = crmf("p256-signature", true).cert_template.public_key;
    let Ok(whole) = keyless.with_key(&key, |_| Ok::<_, std::convert::Infallible>(Vec::new()));
    let template = CertReqMsg::decode_only(&whole).unwrap().cert_template;
    assert_eq!((template.public_key, template.extensions.len()), (key, 1));
    assert_eq!(template.subject.unwrap().to_string(), "CN=a");
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

const PYTHON: &str = "python-cryptography-50.0.2";

/// A root, a request and a list by the same key: all verify, and with one bit changed none does.
#[track_caller]
fn signed_with(path: &str, key_type: KeyType, algorithm: SignatureAlgorithm) {
    let root = golden(&format!("{path}-root.der"));
    let (csr, crl) = (golden(&format!("{path}-csr.der")), golden(&format!("{path}-crl.der")));
    let certificate = Certificate::decode(&root).unwrap();
    let key = certificate.tbs().subject_public_key.clone();
    assert_eq!((key.key_type(), certificate.tbs().signature), (key_type, algorithm));
    assert_eq!(weak::check(&key), Ok(()));
    let verified = |which: usize, der: &[u8]| match which {
        0 => Certificate::decode(der).is_ok_and(|c| c.verify(&key).is_ok()),
        1 => CertificationRequest::decode(der).is_ok_and(|r| r.verify().is_ok()),
        _ => CertificateList::decode(der).is_ok_and(|l| l.verify(&key).is_ok()),
    };
    for (which, der) in [root, csr, crl].into_iter().enumerate() {
        assert!(verified(which, &der), "{which} does not verify");
        for at in [der.len() / 2, der.len() - 1] {
            let mut changed = der.clone();
            changed[at] ^= 1;
            assert!(!verified(which, &changed), "octet {at} of {which} may be changed");
        }
        // Long octets: the cuts at the ends tell what all of them would.
        assert!(!verified(which, &der[..der.len() - 1]) && !verified(which, &[&der[..], &[0]].concat()));
    }
}

#[test]
fn ml_dsa_44_of_others() {
    signed_with(&format!("rfc9881/{PYTHON}-ml-dsa-44"), KeyType::MlDsa44, SignatureAlgorithm::MlDsa44);
}
#[test]
fn ml_dsa_65_of_others() {
    signed_with(&format!("rfc9881/{PYTHON}-ml-dsa-65"), KeyType::MlDsa65, SignatureAlgorithm::MlDsa65);
}
#[test]
fn ml_dsa_87_of_others() {
    signed_with(&format!("rfc9881/{PYTHON}-ml-dsa-87"), KeyType::MlDsa87, SignatureAlgorithm::MlDsa87);
}
#[test]
fn p521_of_others() {
    signed_with(&format!("rfc5480/{PYTHON}-p521"), KeyType::P521, SignatureAlgorithm::EcdsaSha512);
}
#[test]
fn rsa4096_of_others() {
    signed_with(&format!("rfc8017/{PYTHON}-rsa4096"), KeyType::Rsa(4096), SignatureAlgorithm::RsaSha256);
}
#[test]
fn rsa_of_an_odd_size_within_the_bounds() {
    signed_with(&format!("rfc8017/{PYTHON}-rsa2056"), KeyType::Rsa(2056), SignatureAlgorithm::RsaSha256);
}
#[test]
fn pss_of_others() {
    for (name, algorithm) in [
        ("sha256", SignatureAlgorithm::RsaPssSha256),
        ("sha384", SignatureAlgorithm::RsaPssSha384),
        ("sha512", SignatureAlgorithm::RsaPssSha512),
    ] {
        signed_with(&format!("rfc4055/{PYTHON}-pss-{name}"), KeyType::Rsa(2048), algorithm);
    }
}
#[test]
fn pss_with_a_short_salt_is_refused() {
    assert!(Certificate::decode(&golden(&format!("rfc4055/{PYTHON}-pss-short-salt-root.der"))).is_err());
}
// testdata/make/algorithms.py --check lets Python `cryptography` verify the same files.
#[test]
fn what_we_wrote_and_others_verified() {
    signed_with("rfc9881/cradle-ml-dsa-44", KeyType::MlDsa44, SignatureAlgorithm::MlDsa44);
    signed_with("rfc9881/cradle-ml-dsa-65", KeyType::MlDsa65, SignatureAlgorithm::MlDsa65);
    signed_with("rfc9881/cradle-ml-dsa-87", KeyType::MlDsa87, SignatureAlgorithm::MlDsa87);
    signed_with("rfc5480/cradle-p521", KeyType::P521, SignatureAlgorithm::EcdsaSha512);
    signed_with("rfc4055/cradle-pss-sha256", KeyType::Rsa(2048), SignatureAlgorithm::RsaPssSha256);
    signed_with("rfc4055/cradle-pss-sha384", KeyType::Rsa(2048), SignatureAlgorithm::RsaPssSha384);
    signed_with("rfc4055/cradle-pss-sha512", KeyType::Rsa(2048), SignatureAlgorithm::RsaPssSha512);
}
