//! Requests and responses: what others wrote is read as it was meant, what we write is read again, limits hold.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "what cannot go on here has failed"
)]

use const_oid::ObjectIdentifier;
use model::UnixTime;
use model::contract::authority::RevocationReason as Reason;
use wire::ocsp::request::{self, REQUEST_LEN_MAX, REQUESTS_MAX};
use wire::ocsp::{
    BadRequest, CertStatus, HashAlgorithm, Identity, IssuerIds, Moment, Named, Request, ResponderId, Response,
    ResponseData, ResponseStatus, Single,
};
use x509::{Certificate, Extension, Name, PublicKey, SerialNumber, SignatureAlgorithm, Writer};

fn golden(name: &str) -> Vec<u8> {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../testdata/rfc6960");
    std::fs::read(folder.join(format!("{name}.der"))).unwrap()
}
fn openssl(name: &str) -> Vec<u8> {
    golden(&format!("openssl-3.0.19-{name}"))
}
fn cryptography(name: &str) -> Vec<u8> {
    golden(&format!("cryptography-50.0.2-{name}"))
}
fn ids(issuer: &[u8]) -> IssuerIds {
    let issuer = Certificate::decode(issuer).unwrap();
    IssuerIds::new(&issuer.tbs().subject, &issuer.tbs().subject_public_key)
}
fn serial(hex: &str) -> SerialNumber {
    SerialNumber::from_hex(hex).unwrap()
}

#[track_caller]
fn every_cut_is_refused(der: &[u8], reads: impl Fn(&[u8]) -> bool) {
    for len in 0..der.len() {
        assert!(!reads(&der[..len]), "the first {len} octets were read");
    }
    assert!(!reads(&[der, &[0]].concat()), "a trailing octet was read");
}

// What a foreign request asks: its serials, its hash, and the length of its nonce.
#[track_caller]
fn asks(der: &[u8], issuer: &[u8], serials: &[&str], by: HashAlgorithm, nonce_len: Option<usize>) {
    let read = Request::decode(der).unwrap();
    let found: Vec<_> = read.cert_ids.iter().map(|id| id.serial_number).collect();
    assert_eq!(found, serials.iter().map(|s| serial(s)).collect::<Vec<_>>());
    assert_eq!(read.nonce.map(<[u8]>::len), nonce_len);
    let ids = ids(issuer);
    for id in &read.cert_ids {
        assert_eq!(id.hash_algorithm, by);
        assert!(ids.names(id) && ids.spells(id), "the issuer is another, or spelled otherwise");
    }
    every_cut_is_refused(der, |octets| Request::decode(octets).is_ok());
    // Our own writer makes the same octets of it.
    if !openssl("request-signed").eq(der) && !cryptography("request-unknown-extension").eq(der) {
        assert_eq!(request::write(&ids, by, &found, read.nonce), der);
    }
}
#[track_caller]
fn openssl_asks(name: &str, serials: &[&str], by: HashAlgorithm, nonce_len: Option<usize>) {
    asks(&openssl(name), &openssl("issuer"), serials, by, nonce_len);
}
#[track_caller]
fn cryptography_asks(name: &str, by: HashAlgorithm, nonce_len: Option<usize>) {
    asks(&cryptography(name), &cryptography("issuer"), &["1122"], by, nonce_len);
}
#[track_caller]
fn refused(der: &[u8], expected: BadRequest, status: ResponseStatus) {
    assert_eq!(Request::decode(der).unwrap_err(), expected);
    assert_eq!(expected.status(), status);
}
const MALFORMED: ResponseStatus = ResponseStatus::MalformedRequest;

#[test]
fn openssl_by_sha1() {
    openssl_asks("request-sha1-no-nonce", &["1122"], HashAlgorithm::Sha1, None);
}
#[test]
fn openssl_with_a_nonce() {
    openssl_asks("request-sha1-nonce", &["33"], HashAlgorithm::Sha1, Some(16));
}
#[test]
fn openssl_by_sha256() {
    openssl_asks("request-sha256-nonce", &["33"], HashAlgorithm::Sha256, Some(16));
}
#[test]
fn openssl_for_four_by_sha512() {
    openssl_asks("request-sha512-four", &["1122", "33", "44", "66"], HashAlgorithm::Sha512, Some(16));
}
#[test]
fn openssl_signed_is_read_and_its_signature_passed_over() {
    openssl_asks("request-signed", &["1122"], HashAlgorithm::Sha1, Some(16));
}
#[test]
fn cryptography_by_each_hash() {
    for (name, by) in ["sha1", "sha256", "sha384", "sha512"].into_iter().zip(HashAlgorithm::ALL) {
        cryptography_asks(&format!("request-{name}"), by, None);
        cryptography_asks(&format!("request-{name}-nonce"), by, Some(32));
    }
}
#[test]
fn an_extension_that_nobody_knows_is_passed_over() {
    cryptography_asks("request-unknown-extension", HashAlgorithm::Sha1, None);
}
#[test]
fn a_critical_extension_that_nobody_knows_is_refused() {
    refused(&cryptography("request-critical"), BadRequest::CriticalExtension, MALFORMED);
}
#[test]
fn a_nonce_of_128_octets() {
    cryptography_asks("request-nonce-128", HashAlgorithm::Sha1, Some(128));
}
#[test]
fn a_nonce_of_129_octets_is_refused() {
    refused(&cryptography("request-nonce-129"), BadRequest::Nonce, MALFORMED);
}
#[test]
fn a_nonce_of_no_octets_is_refused() {
    refused(&cryptography("request-nonce-empty"), BadRequest::Nonce, MALFORMED);
}
#[test]
fn a_hash_that_we_do_not_know_is_for_somebody_else() {
    refused(&openssl("request-sha224"), BadRequest::UnknownHash, ResponseStatus::Unauthorized);
}
#[test]
fn too_many_certificates_are_refused() {
    let ids = ids(&openssl("issuer"));
    let most = request::write(&ids, HashAlgorithm::Sha512, &[serial("01"); REQUESTS_MAX], None);
    assert_eq!(Request::decode(&most).unwrap().cert_ids.len(), REQUESTS_MAX);
    let more = request::write(&ids, HashAlgorithm::Sha1, &[serial("01"); REQUESTS_MAX + 1], None);
    refused(&more, BadRequest::NumberOfRequests, MALFORMED);
}
#[test]
fn no_certificate_is_refused() {
    refused(&[0x30, 4, 0x30, 2, 0x30, 0], BadRequest::NumberOfRequests, MALFORMED);
}
#[test]
fn too_many_octets_are_refused_unread() {
    refused(&[0; REQUEST_LEN_MAX + 1], BadRequest::TooLong, MALFORMED);
}
#[test]
fn a_written_version_is_refused() {
    let der = openssl("request-sha1-no-nonce");
    let mut w = Writer::default();
    w.sequence(|w| {
        w.sequence(|w| {
            w.explicit(0, |w| {
                w.small(0);
            });
            w.raw(&der[4..]);
        });
    });
    refused(&w.finish(), BadRequest::NotDer, MALFORMED);
}
fn with_acceptable(kinds: &[ObjectIdentifier]) -> Vec<u8> {
    let der = openssl("request-sha1-no-nonce");
    let acceptable = Extension::of(wire::ocsp::oids::ACCEPTABLE_RESPONSES, false, |w| {
        w.sequence(|w| {
            for kind in kinds {
                w.oid(*kind);
            }
        });
    });
    let mut w = Writer::default();
    w.sequence(|w| {
        w.sequence(|w| {
            w.raw(&der[4..]).explicit(2, |w| Extension::write_all(&[acceptable], w));
        });
    });
    w.finish()
}
#[test]
fn who_takes_basic_responses_is_answered() {
    let other = ObjectIdentifier::new_unwrap("1.2.3");
    assert!(Request::decode(&with_acceptable(&[other, wire::ocsp::oids::BASIC_RESPONSE])).is_ok());
    refused(&with_acceptable(&[other]), BadRequest::ResponseType, MALFORMED);
    refused(&with_acceptable(&[]), BadRequest::NotDer, MALFORMED);
}

// What a foreign response says of each certificate.
#[track_caller]
fn says(der: &[u8], expected: &[(&str, CertStatus)], nonce_len: Option<usize>) {
    let Response::Basic(read) = Response::decode(der).unwrap() else { panic!("an error") };
    let found: Vec<_> = read.responses.iter().map(|s| (s.cert_id.serial_number.to_string(), s.cert_status)).collect();
    let expected: Vec<_> = expected.iter().map(|(serial, status)| ((*serial).to_owned(), *status)).collect();
    assert_eq!(found, expected);
    assert_eq!(read.nonce.map(<[u8]>::len), nonce_len);
    every_cut_is_refused(der, |octets| Response::decode(octets).is_ok());
}
fn revoked(at: &str, reason: Reason) -> CertStatus {
    let at = match at {
        "start" => 1_767_225_600,
        _ => 1_767_323_045,
    };
    CertStatus::Revoked { at: UnixTime::from_s(at), reason }
}

#[test]
fn openssl_says_good() {
    says(&openssl("response-good-by-name"), &[("1122", CertStatus::Good)], None);
}
#[test]
fn openssl_says_revoked() {
    let status = revoked("start", Reason::KeyCompromise);
    says(&openssl("response-revoked-nonce-by-key"), &[("33", status)], Some(16));
    says(&openssl("response-sha256-revoked-by-issuer"), &[("33", status)], Some(16));
}
#[test]
fn openssl_says_hold() {
    says(&openssl("response-hold"), &[("55", revoked("later", Reason::CertificateHold))], None);
}
#[test]
fn openssl_says_four_things() {
    let said = [
        ("1122", CertStatus::Good),
        ("33", revoked("start", Reason::KeyCompromise)),
        ("44", revoked("later", Reason::Unspecified)),
        ("66", CertStatus::Unknown),
    ];
    says(&openssl("response-four"), &said, Some(16));
}
#[test]
fn cryptography_says_good() {
    says(&cryptography("response-good-nonce"), &[("1122", CertStatus::Good)], Some(32));
    says(&cryptography("response-good-by-issuer"), &[("1122", CertStatus::Good)], None);
}
#[test]
fn cryptography_says_unknown() {
    says(&cryptography("response-unknown"), &[("1122", CertStatus::Unknown)], None);
}
#[test]
fn cryptography_says_each_reason() {
    for reason in Reason::ALL {
        let name = match reason {
            Reason::Unspecified => continue,
            _ => format!("response-revoked-{}", reason.name()),
        };
        says(&cryptography(&name), &[("1122", revoked("start", reason))], None);
    }
    says(&cryptography("response-revoked"), &[("1122", revoked("start", Reason::Unspecified))], None);
    says(&cryptography("response-revoked-unspecified"), &[("1122", revoked("start", Reason::Unspecified))], None);
}
#[test]
fn a_reason_that_is_not_ours_is_refused() {
    for name in ["aa-compromise", "remove-from-crl"] {
        assert!(Response::decode(&cryptography(&format!("response-revoked-{name}"))).is_err(), "{name}");
    }
}
#[track_caller]
fn error(name: &str, status: ResponseStatus) {
    let der = cryptography(&format!("response-{name}"));
    assert!(matches!(Response::decode(&der), Ok(Response::Error(found)) if found == status));
    assert_eq!(status.encode().as_slice(), der);
    every_cut_is_refused(&der, |octets| Response::decode(octets).is_ok());
}
#[test]
fn each_error() {
    error("malformed-request", ResponseStatus::MalformedRequest);
    error("internal-error", ResponseStatus::InternalError);
    error("try-later", ResponseStatus::TryLater);
    error("sig-required", ResponseStatus::SigRequired);
    error("unauthorized", ResponseStatus::Unauthorized);
}
#[test]
fn an_error_of_no_meaning_is_refused() {
    for octets in [[0x30, 3, 10, 1, 0], [0x30, 3, 10, 1, 4], [0x30, 3, 10, 1, 7]] {
        assert!(Response::decode(&octets).is_err());
    }
}

// What we write is read as it was meant.
#[track_caller]
fn survives(status: CertStatus, nonce: Option<&[u8]>, extended: bool) {
    let issuer = Certificate::decode(&openssl("issuer")).unwrap();
    let (name, key): (&Name, &PublicKey) = (&issuer.tbs().subject, &issuer.tbs().subject_public_key);
    let ids = IssuerIds::new(name, key);
    let serial = serial("0a0b0c");
    let [produced, this, next] = [2_000_000_000, 1_999_999_000, 2_600_000_000].map(UnixTime::from_s);
    let moment = Moment::new(produced, this, next);
    for identity in [Identity::by_key(key), Identity::by_name(name)] {
        let single = Single { certificate: Named::Ours(&ids, HashAlgorithm::Sha256, &serial), status, extensions: &[] };
        let data = ResponseData::write(&identity, &moment, [single].into_iter(), nonce);
        let tbs = data.der().to_vec();
        let der = data.finish(SignatureAlgorithm::EcdsaSha256, &[7; 70], &[issuer.der()]);
        let Response::Basic(read) = Response::decode(&der).unwrap() else { panic!("an error") };
        assert_eq!(read.tbs_response_data, tbs);
        assert_eq!((read.produced_at, read.nonce, read.extended_revoke), (produced, nonce, extended));
        let [single] = read.responses.as_slice() else { panic!("one is expected") };
        assert_eq!((single.cert_id.serial_number, single.cert_status), (serial, status));
        assert_eq!((single.this_update, single.next_update), (this, Some(next)));
        assert!(ids.names(&single.cert_id) && ids.spells(&single.cert_id));
        assert_eq!((read.signature, read.certs.as_slice()), ([7; 70].as_slice(), [issuer.clone()].as_slice()));
        match read.responder_id {
            ResponderId::ByName(found) => assert_eq!(&found, name),
            ResponderId::ByKey(hash) => assert_eq!(hash, HashAlgorithm::Sha1.hash(key.bits()).octets()),
        }
    }
}
#[test]
fn good_survives() {
    survives(CertStatus::Good, None, false);
}
#[test]
fn unknown_survives_with_a_nonce() {
    survives(CertStatus::Unknown, Some(&[5; 128]), false);
}
#[test]
fn every_reason_survives() {
    for reason in Reason::ALL {
        survives(CertStatus::Revoked { at: UnixTime::from_s(1), reason }, Some(&[1]), false);
    }
}
#[test]
fn never_issued_is_on_hold_since_1970_and_says_so() {
    survives(CertStatus::NON_ISSUED, None, true);
}
#[test]
fn a_single_extension_is_written() {
    let ids = ids(&openssl("issuer"));
    let archive = Extension::of(ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.48.1.6"), false, |w| {
        w.value(0x18, b"20260101000000Z");
    });
    let moment = Moment::new(UnixTime::from_s(9), UnixTime::from_s(8), UnixTime::from_s(10));
    let serial = serial("01");
    let single = Single {
        certificate: Named::Ours(&ids, HashAlgorithm::Sha1, &serial),
        status: CertStatus::Good,
        extensions: std::slice::from_ref(&archive),
    };
    let key = PublicKey::from_bits(x509::KeyType::Ed25519, &[9; 32]).unwrap();
    let data = ResponseData::write(&Identity::by_key(&key), &moment, [single].into_iter(), None);
    assert!(data.der().windows(archive.value.len()).any(|w| w == archive.value));
    let der = data.finish(SignatureAlgorithm::Ed25519, &[1; 64], &[]);
    assert!(matches!(Response::decode(&der), Ok(Response::Basic(read)) if read.certs.is_empty()));
}
#[test]
fn names_and_keys_of_another_issuer_are_told_apart() {
    let (one, other) = (ids(&openssl("issuer")), ids(&cryptography("issuer")));
    let der = openssl("request-sha1-no-nonce");
    let read = Request::decode(&der).unwrap();
    assert!(one.names(&read.cert_ids[0]) && !other.names(&read.cert_ids[0]));
    assert!(!other.spells(&read.cert_ids[0]));
}
#[test]
fn absent_parameters_name_the_issuer_and_are_spelled_otherwise() {
    let der = openssl("request-sha1-no-nonce");
    // AlgorithmIdentifier without its NULL: all five lengths around it shrink by two.
    let id = Request::decode(&der).unwrap().cert_ids[0].der().to_vec();
    let mut w = Writer::default();
    w.sequence(|w| {
        w.sequence(|w| {
            w.sequence(|w| {
                w.sequence(|w| {
                    w.sequence(|w| {
                        w.sequence(|w| {
                            w.raw(&id[4..11]);
                        });
                        w.raw(&id[13..]);
                    });
                });
            });
        });
    });
    let der = w.finish();
    let read = Request::decode(&der).unwrap();
    let ids = ids(&openssl("issuer"));
    assert!(ids.names(&read.cert_ids[0]) && !ids.spells(&read.cert_ids[0]));
}

// A request like OpenSSL's, with these octets as its extensions.
fn with_extensions(extensions: &[&[u8]]) -> Vec<u8> {
    let der = openssl("request-sha1-no-nonce");
    let mut w = Writer::default();
    w.sequence(|w| {
        w.sequence(|w| {
            w.raw(&der[4..]).explicit(2, |w| {
                w.sequence(|w| {
                    for extension in extensions {
                        w.raw(extension);
                    }
                });
            });
        });
    });
    w.finish()
}
#[test]
fn an_extension_twice_or_none_or_a_written_default_is_refused() {
    let nonce = [0x30, 16, 6, 9, 43, 6, 1, 5, 5, 7, 48, 1, 2, 4, 3, 4, 1, 7];
    assert_eq!(Request::decode(&with_extensions(&[&nonce])).unwrap().nonce, Some([7].as_slice()));
    refused(&with_extensions(&[&nonce, &nonce]), BadRequest::NotDer, MALFORMED);
    refused(&with_extensions(&[]), BadRequest::NotDer, MALFORMED);
    let written = [0x30, 10, 6, 3, 42, 3, 4, 1, 1, 0, 4, 0];
    refused(&with_extensions(&[&written]), BadRequest::NotDer, MALFORMED);
    let seventeen: Vec<[u8; 9]> = (0..17).map(|n| [0x30, 7, 6, 3, 42, 3, n, 4, 0]).collect();
    let slices: Vec<&[u8]> = seventeen.iter().map(<[u8; 9]>::as_slice).collect();
    assert!(Request::decode(&with_extensions(&slices[..16])).is_ok());
    refused(&with_extensions(&slices), BadRequest::NotDer, MALFORMED);
}
#[test]
fn a_serial_number_with_a_needless_zero_is_refused() {
    let der = openssl("request-sha1-no-nonce");
    // The last two octets are the serial number 1122; 0022 is written too long, and 8022 is negative.
    for first in [0, 0x80] {
        let mut changed = der.clone();
        let at = changed.len() - 2;
        changed[at] = first;
        refused(&changed, BadRequest::NotDer, MALFORMED);
    }
}
