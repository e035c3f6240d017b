//! Responses by OpenSSL and python cryptography are believed, and changed ones are not.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "what cannot go on here has failed"
)]

use model::UnixTime;
use wire::ocsp::{Asked, CertStatus, Request, Response, SignedBy, Unbelievable, verify};
use x509::{Certificate, SerialNumber};

fn golden(maker: &str, name: &str) -> Vec<u8> {
    let maker = if maker == "openssl" { "openssl-3.0.19" } else { "cryptography-50.0.2" };
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../testdata/rfc6960");
    std::fs::read(folder.join(format!("{maker}-{name}.der"))).unwrap()
}

#[track_caller]
fn check(maker: &str, response: &str, request: Option<&str>, number: &str, by: SignedBy, good: bool) {
    let issuer = Certificate::decode(&golden(maker, "issuer")).unwrap();
    let der = golden(maker, &format!("response-{response}"));
    let Response::Basic(read) = Response::decode(&der).unwrap() else { panic!("an error") };
    let request = request.map(|name| golden(maker, &format!("request-{name}")));
    let request = request.as_ref().map(|der| Request::decode(der).unwrap());
    let asked = Asked {
        issuer: &issuer,
        serial_number: SerialNumber::from_hex(number).unwrap(),
        nonce: request.as_ref().and_then(|r| r.nonce),
        now: read.produced_at.plus_s(60),
        skew_s: 0,
    };
    let verified = verify(&read, &asked).unwrap();
    assert_eq!((verified.status == CertStatus::Good, verified.signed_by), (good, by));
    let late = Asked { now: UnixTime::NO_EXPIRY, ..asked };
    assert!(verify(&read, &late).is_err());
    for at in 0..der.len() {
        let mut changed = der.clone();
        changed[at] ^= 1;
        let Ok(Response::Basic(changed)) = Response::decode(&changed) else { continue };
        // A certificate that nobody needs may be changed: it is not signed, and not used.
        if by == SignedBy::Delegate || changed.certs == read.certs {
            assert!(verify(&changed, &asked).is_err(), "octet {at} may be changed");
        }
    }
}

#[test]
fn openssl_good() {
    check("openssl", "good-by-name", Some("sha1-no-nonce"), "1122", SignedBy::Delegate, true);
}
#[test]
fn openssl_revoked() {
    check("openssl", "revoked-nonce-by-key", Some("sha1-nonce"), "33", SignedBy::Delegate, false);
}
#[test]
fn openssl_by_the_issuer() {
    check("openssl", "sha256-revoked-by-issuer", Some("sha256-nonce"), "33", SignedBy::Issuer, false);
}
#[test]
fn openssl_four() {
    check("openssl", "four", Some("sha512-four"), "1122", SignedBy::Delegate, true);
    check("openssl", "four", Some("sha512-four"), "66", SignedBy::Delegate, false);
}
#[test]
fn openssl_hold() {
    check("openssl", "hold", Some("sha1-hold"), "55", SignedBy::Delegate, false);
}
#[test]
fn cryptography_good() {
    check("cryptography", "good-nonce", Some("sha1-nonce"), "1122", SignedBy::Delegate, true);
}
#[test]
fn cryptography_by_the_issuer() {
    check("cryptography", "good-by-issuer", None, "1122", SignedBy::Issuer, true);
}
#[test]
fn cryptography_revoked() {
    check("cryptography", "revoked-key-compromise", None, "1122", SignedBy::Delegate, false);
}
#[test]
fn the_issuer_of_somebody_else_is_not_believed() {
    let issuer = Certificate::decode(&golden("cryptography", "issuer")).unwrap();
    let der = golden("openssl", "response-good-by-name");
    let Response::Basic(read) = Response::decode(&der).unwrap() else { panic!("an error") };
    let serial_number = SerialNumber::from_hex("1122").unwrap();
    let asked = Asked { issuer: &issuer, serial_number, nonce: None, now: read.produced_at.plus_s(60), skew_s: 0 };
    assert!(matches!(verify(&read, &asked), Err(Unbelievable::NotAuthorised(_))));
}
