//! What a responder answers, and who is believed.
#![allow(missing_docs, unreachable_pub, dead_code, reason = "shared by files that each use a part of it")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "what cannot go on here has failed"
)]

mod pki;

use model::contract::authority::RevocationReason as Reason;
use model::{Fault, UnixTime};
use pki::{Authority, BEGIN, Key, LIFETIME_S, responder_extensions, serial};
use std::sync::LazyLock;
use wire::ocsp::delegate::{NotQualified, qualifies};
use wire::ocsp::responder::{
    self, ExtendedRevoked, Floor, NoncePolicy, Policy, PreSigned, PreSignedKey, Served, Status,
};
use wire::ocsp::{
    Asked, CertStatus, HashAlgorithm, Identity, Moment, Response, ResponseStatus, SignedBy, Unbelievable, Verified,
    request, verify,
};
use x509::extension::{KeyUsage, extended_key_usage};
use x509::{Certificate, Extension, KeyType, SerialNumber, oids};

struct World {
    one: Authority,
    other: Authority,
    responder: Key,
    responder_certificate: Certificate,
}
static WORLD: LazyLock<World> = LazyLock::new(|| {
    let one = Authority::new(KeyType::P256, "One", BEGIN);
    let (responder, responder_certificate) = one.responder(KeyType::Ed25519);
    World { one, other: Authority::new(KeyType::P384, "Other", BEGIN), responder, responder_certificate }
});

const POLICY: Policy = Policy {
    extended_revoked: ExtendedRevoked::ForReserved,
    nonce: NoncePolicy::Allowed,
    pre_signed: PreSigned::Allowed,
    validity_s: 3600,
    back_date_s: 300,
};
const NOW: UnixTime = BEGIN.plus_s(86_400);
const REVOKED_AT: UnixTime = BEGIN.plus_s(77);

fn served() -> Vec<Served<&'static str>> {
    [("one", &WORLD.one), ("other", &WORLD.other)]
        .map(|(authority, a)| Served { authority, ids: a.ids.clone() })
        .to_vec()
}
// What is recorded: the first octet of the serial number says it.
fn recorded(authority: &str, serial: &SerialNumber) -> Result<Status, Fault> {
    assert_eq!(authority, "one");
    match serial.octets()[0] {
        0x10 => Ok(Status::Good),
        0x20 => Ok(Status::Revoked { at: REVOKED_AT, reason: Reason::KeyCompromise }),
        0x30 => Ok(Status::ReservedNotIssued),
        0x40 => Ok(Status::NeverIssued),
        0x50 => Err(Fault::unavailable("store")),
        _ => Err(Fault::malformed("row")),
    }
}
fn moment() -> Moment {
    Floor::default().moment(NOW, &POLICY, BEGIN.plus_s(LIFETIME_S)).unwrap()
}
fn answered(octets: &[u8], policy: &Policy) -> Result<Vec<u8>, ResponseStatus> {
    let served = served();
    let question = responder::read(octets, &served, policy)?;
    let identity = Identity::by_key(&WORLD.responder.public);
    let data = question.answer(&identity, &moment(), policy, |authority, serial| recorded(authority, serial))?;
    Ok(WORLD.responder.finish(data, &[WORLD.responder_certificate.der()]))
}
fn believed(der: &[u8], asked: &Asked<'_>) -> Result<Verified, Unbelievable> {
    let Response::Basic(response) = Response::decode(der).unwrap() else { panic!("an error") };
    verify(&response, asked)
}
fn asked(number: &str) -> Asked<'static> {
    Asked { issuer: &WORLD.one.certificate, serial_number: serial(number), nonce: None, now: NOW, skew_s: 0 }
}

#[track_caller]
fn check(number: &str, policy: Policy, expected: Result<CertStatus, ResponseStatus>) {
    for by in HashAlgorithm::ALL {
        let octets = request::write(&WORLD.one.ids, by, &[serial(number)], None);
        let said = answered(&octets, &policy).map(|der| {
            let verified = believed(&der, &asked(number)).unwrap();
            assert_eq!(verified.signed_by, SignedBy::Delegate);
            verified.status
        });
        assert_eq!(said, expected);
    }
}
const WITHOUT_EXTENDED: Policy = Policy { extended_revoked: ExtendedRevoked::Off, ..POLICY };

#[test]
fn issued_is_good() {
    check("1001", POLICY, Ok(CertStatus::Good));
}
#[test]
fn revoked_is_revoked() {
    let status = CertStatus::Revoked { at: REVOKED_AT, reason: Reason::KeyCompromise };
    check("2001", POLICY, Ok(status));
}
#[test]
fn never_issued_is_unknown() {
    check("4001", POLICY, Ok(CertStatus::Unknown));
    check("4001", WITHOUT_EXTENDED, Ok(CertStatus::Unknown));
}
#[test]
fn reserved_is_on_hold() {
    check("3001", POLICY, Ok(CertStatus::NON_ISSUED));
}
#[test]
fn reserved_is_unknown_without_the_extended_definition() {
    check("3001", WITHOUT_EXTENDED, Ok(CertStatus::Unknown));
}
#[test]
fn a_store_that_does_not_answer_is_try_later() {
    check("5001", POLICY, Err(ResponseStatus::TryLater));
}
#[test]
fn a_store_that_fails_is_an_internal_error() {
    check("6001", POLICY, Err(ResponseStatus::InternalError));
}
#[test]
fn no_recorded_state_but_issued_is_good() {
    for policy in [POLICY, WITHOUT_EXTENDED] {
        for number in ["2001", "3001", "4001"] {
            let octets = request::write(&WORLD.one.ids, HashAlgorithm::Sha1, &[serial(number)], None);
            let verified = believed(&answered(&octets, &policy).unwrap(), &asked(number)).unwrap();
            assert_ne!(verified.status, CertStatus::Good);
        }
    }
}
#[test]
fn several_in_one() {
    let serials = ["1001", "2001", "4001"].map(serial);
    let octets = request::write(&WORLD.one.ids, HashAlgorithm::Sha256, &serials, Some(b"n"));
    let der = answered(&octets, &POLICY).unwrap();
    for (number, good) in [("1001", true), ("2001", false), ("4001", false)] {
        let verified = believed(&der, &Asked { nonce: Some(b"n"), ..asked(number) }).unwrap();
        assert_eq!(verified.status == CertStatus::Good, good);
    }
}

// Who asks for something else than a certificate of one authority that is served.
#[track_caller]
fn refused(octets: &[u8], policy: Policy, expected: ResponseStatus) {
    assert_eq!(answered(octets, &policy).unwrap_err(), expected);
}
#[test]
fn another_issuer_is_unauthorized() {
    let stranger = Authority::new(KeyType::Ed25519, "One", BEGIN);
    let octets = request::write(&stranger.ids, HashAlgorithm::Sha1, &[serial("1001")], None);
    refused(&octets, POLICY, ResponseStatus::Unauthorized);
}
#[test]
fn the_name_of_one_with_the_key_of_another_is_unauthorized() {
    let ids = wire::ocsp::IssuerIds::new(&WORLD.one.certificate.tbs().subject, &WORLD.other.key.public);
    let octets = request::write(&ids, HashAlgorithm::Sha1, &[serial("1001")], None);
    refused(&octets, POLICY, ResponseStatus::Unauthorized);
}
#[test]
fn two_authorities_in_one_request_are_unauthorized() {
    let of = |a: &Authority| {
        let octets = request::write(&a.ids, HashAlgorithm::Sha1, &[serial("1001")], None);
        octets[6..].to_vec()
    };
    let mut w = x509::Writer::default();
    w.sequence(|w| {
        w.sequence(|w| {
            w.sequence(|w| {
                w.raw(&of(&WORLD.one)).raw(&of(&WORLD.other));
            });
        });
    });
    refused(&w.finish(), POLICY, ResponseStatus::Unauthorized);
}
#[test]
fn what_is_no_request_is_malformed() {
    refused(b"GET / HTTP/1.1", POLICY, ResponseStatus::MalformedRequest);
    refused(&[], POLICY, ResponseStatus::MalformedRequest);
}

fn with_nonce(nonce: Option<&[u8]>) -> Vec<u8> {
    request::write(&WORLD.one.ids, HashAlgorithm::Sha1, &[serial("1001")], nonce)
}
#[test]
fn a_nonce_is_repeated() {
    let der = answered(&with_nonce(Some(&[7; 32])), &POLICY).unwrap();
    assert!(believed(&der, &Asked { nonce: Some(&[7; 32]), ..asked("1001") }).is_ok());
    let other = Asked { nonce: Some(&[8; 32]), ..asked("1001") };
    assert_eq!(believed(&der, &other), Err(Unbelievable::Nonce));
}
#[test]
fn a_missing_nonce_is_refused_if_one_is_required() {
    refused(&with_nonce(None), Policy { nonce: NoncePolicy::Required, ..POLICY }, ResponseStatus::Unauthorized);
    assert!(answered(&with_nonce(Some(&[1])), &Policy { nonce: NoncePolicy::Required, ..POLICY }).is_ok());
}
#[test]
fn a_nonce_that_is_ignored_is_missed() {
    let der = answered(&with_nonce(Some(&[7])), &Policy { nonce: NoncePolicy::Ignored, ..POLICY }).unwrap();
    assert!(believed(&der, &asked("1001")).is_ok());
    assert_eq!(believed(&der, &Asked { nonce: Some(&[7]), ..asked("1001") }), Err(Unbelievable::Nonce));
}

#[track_caller]
fn pre_signed(octets: &[u8], policy: Policy, expected: bool) {
    let served = served();
    let question = responder::read(octets, &served, &policy).unwrap();
    assert_eq!(question.authority(), &"one");
    let key = PreSignedKey { hash_algorithm: HashAlgorithm::Sha1, serial_number: serial("1001") };
    assert_eq!(question.pre_signed(&policy), expected.then_some(key));
}
#[test]
fn without_a_nonce_the_answer_may_be_older() {
    pre_signed(&with_nonce(None), POLICY, true);
}
#[test]
fn with_a_nonce_it_may_not() {
    pre_signed(&with_nonce(Some(&[1])), POLICY, false);
}
#[test]
fn with_a_nonce_that_is_ignored_it_may() {
    pre_signed(&with_nonce(Some(&[1])), Policy { nonce: NoncePolicy::Ignored, ..POLICY }, true);
}
#[test]
fn never_means_never() {
    pre_signed(&with_nonce(None), Policy { pre_signed: PreSigned::Never, ..POLICY }, false);
}
#[test]
fn two_certificates_are_answered_anew() {
    let octets = request::write(&WORLD.one.ids, HashAlgorithm::Sha1, &["1001", "1002"].map(serial), None);
    pre_signed(&octets, POLICY, false);
}
#[test]
fn what_was_signed_before_is_what_would_be_signed_now() {
    for status in [Status::Good, Status::ReservedNotIssued] {
        let key = PreSignedKey { hash_algorithm: HashAlgorithm::Sha1, serial_number: serial("1001") };
        let identity = Identity::by_name(&WORLD.responder_certificate.tbs().subject);
        let before = responder::pre_sign(&WORLD.one.ids, &key, status, &identity, &moment(), &POLICY);
        let served = served();
        let octets = with_nonce(None);
        let question = responder::read(&octets, &served, &POLICY).unwrap();
        let now = question.answer(&identity, &moment(), &POLICY, |_, _| Ok(status)).unwrap();
        assert_eq!(before, now);
    }
}
#[test]
fn what_was_signed_before_a_revocation_is_not_served() {
    let moment = moment();
    let ends = moment.next_update();
    assert!(responder::may_serve(&moment, NOW.minus_s(1), NOW));
    assert!(!responder::may_serve(&moment, NOW, NOW), "in the same second");
    assert!(!responder::may_serve(&moment, NOW.plus_s(1), NOW.plus_s(2)));
    assert!(responder::may_serve(&moment, BEGIN, ends.minus_s(1)));
    assert!(!responder::may_serve(&moment, BEGIN, ends));
}

#[test]
fn times_never_go_back() {
    let ends = BEGIN.plus_s(LIFETIME_S);
    let first = Floor::default().moment(NOW, &POLICY, ends).unwrap();
    assert_eq!(first.produced_at(), NOW);
    assert_eq!(first.this_update(), NOW.minus_s(300));
    assert_eq!(first.next_update(), NOW.plus_s(3600));
    let floor = Floor::default().after(&first);
    // The clock went back a day, and somebody back-dates further.
    let policy = Policy { back_date_s: 9000, ..POLICY };
    let second = floor.moment(NOW.minus_s(86_400), &policy, ends).unwrap();
    assert_eq!((second.produced_at(), second.this_update()), (first.produced_at(), first.this_update()));
    assert_eq!(floor.after(&second), floor);
}
#[test]
fn no_answer_outlives_the_responder() {
    let ends = BEGIN.plus_s(LIFETIME_S);
    let late = Floor::default().moment(ends.minus_s(10), &POLICY, ends).unwrap();
    assert_eq!(late.next_update(), ends);
    assert_eq!(Floor::default().moment(ends, &POLICY, ends), Err(ResponseStatus::TryLater));
    assert_eq!(Floor::default().moment(ends.plus_s(100), &POLICY, ends), Err(ResponseStatus::TryLater));
}

// A responder with other extensions than it should have.
#[track_caller]
fn qualified(extensions: Vec<Extension>, expected: Result<(), NotQualified>) {
    let key = Key::generate(KeyType::P256);
    let certificate = WORLD.one.issue("Responder", &key.public, "02", extensions);
    assert_eq!(qualifies(&certificate, &key.public, &WORLD.one.certificate, NOW), expected);
    let other = qualifies(&certificate, &WORLD.responder.public, &WORLD.one.certificate, NOW);
    assert_eq!(other, Err(NotQualified::OtherKey));
    // A client believes it exactly if it qualifies.
    let octets = with_nonce(None);
    let served = served();
    let question = responder::read(&octets, &served, &POLICY).unwrap();
    let data = question.answer(&Identity::by_key(&key.public), &moment(), &POLICY, |_, _| Ok(Status::Good)).unwrap();
    let found = believed(&key.finish(data, &[certificate.der()]), &asked("1001")).map(|_| ());
    assert_eq!(found, expected.map_err(Unbelievable::NotAuthorised));
}
fn without(oid: const_oid::ObjectIdentifier) -> Vec<Extension> {
    responder_extensions().into_iter().filter(|e| e.oid != oid).collect()
}
#[test]
fn a_responder_qualifies() {
    qualified(responder_extensions(), Ok(()));
}
#[test]
fn without_the_purpose_it_does_not() {
    qualified(without(oids::EXTENDED_KEY_USAGE), Err(NotQualified::Purpose));
}
#[test]
fn for_another_purpose_it_does_not() {
    let mut extensions = without(oids::EXTENDED_KEY_USAGE);
    extensions.push(extended_key_usage(&[oids::SERVER_AUTH, oids::CLIENT_AUTH]));
    qualified(extensions, Err(NotQualified::Purpose));
}
#[test]
fn without_nocheck_it_does_not() {
    qualified(without(wire::ocsp::oids::NO_CHECK), Err(NotQualified::NoCheck));
}
#[test]
fn without_a_key_usage_it_does() {
    qualified(without(oids::KEY_USAGE), Ok(()));
}
#[test]
fn with_another_key_usage_it_does_not() {
    let mut extensions = without(oids::KEY_USAGE);
    extensions.push(KeyUsage::KEY_AGREEMENT.extension());
    qualified(extensions, Err(NotQualified::KeyUsage));
}
#[test]
fn with_a_critical_extension_that_nobody_knows_it_does_not() {
    let mut extensions = responder_extensions();
    let oid = const_oid::ObjectIdentifier::new_unwrap("1.2.3.4");
    extensions.push(Extension { oid, critical: true, value: vec![5, 0] });
    qualified(extensions, Err(NotQualified::CriticalExtension));
}
#[test]
fn of_another_authority_it_does_not() {
    let (key, certificate) = WORLD.other.responder(KeyType::P256);
    let found = qualifies(&certificate, &key.public, &WORLD.one.certificate, NOW);
    assert_eq!(found, Err(NotQualified::NotIssued));
}
#[test]
fn an_authority_below_may_not_name_a_responder() {
    // Issued by an authority that the issuer made, not by the issuer: RFC 6960 §4.2.2.2 wants it directly.
    let below = Key::generate(KeyType::P256);
    let ca = x509::extension::BasicConstraints { ca: true, path_len: None }.extension();
    let _ = WORLD.one.issue("Below", &below.public, "03", vec![ca]);
    let (key, certificate) = Authority::new(KeyType::P256, "Below", BEGIN).responder(KeyType::P256);
    assert_eq!(qualifies(&certificate, &key.public, &WORLD.one.certificate, NOW), Err(NotQualified::NotIssued));
}
#[test]
fn an_expired_responder_does_not_qualify() {
    let certificate = &WORLD.responder_certificate;
    let after = certificate.tbs().not_after.plus_s(1);
    let found = qualifies(certificate, &WORLD.responder.public, &WORLD.one.certificate, after);
    assert_eq!(found, Err(NotQualified::NotIssued));
}

// Who is believed.
fn good() -> Vec<u8> {
    answered(&with_nonce(None), &POLICY).unwrap()
}
#[test]
fn the_issuer_itself_is_believed() {
    let served = served();
    let octets = with_nonce(None);
    let question = responder::read(&octets, &served, &POLICY).unwrap();
    for identity in [Identity::by_key(&WORLD.one.key.public), Identity::by_name(&WORLD.one.certificate.tbs().subject)] {
        let data = question.answer(&identity, &moment(), &POLICY, |_, _| Ok(Status::Good)).unwrap();
        let verified = believed(&WORLD.one.key.finish(data, &[]), &asked("1001")).unwrap();
        assert_eq!((verified.status, verified.signed_by), (CertStatus::Good, SignedBy::Issuer));
    }
}
#[test]
fn an_answer_under_ml_dsa_is_believed() {
    let ca = Authority::new(KeyType::MlDsa65, "One", BEGIN);
    let served = [Served { authority: "one", ids: ca.ids.clone() }];
    let octets = request::write(&ca.ids, HashAlgorithm::Sha256, &[serial("1001")], None);
    let question = responder::read(&octets, &served, &POLICY).unwrap();
    let identity = Identity::by_key(&ca.key.public);
    let data = question.answer(&identity, &moment(), &POLICY, |_, _| Ok(Status::Good)).unwrap();
    let der = ca.key.finish(data, &[]);
    let asked = Asked { issuer: &ca.certificate, ..asked("1001") };
    assert_eq!(believed(&der, &asked).unwrap().status, CertStatus::Good);
}
#[test]
fn a_changed_octet_is_not_believed() {
    let der = good();
    for at in 0..der.len() {
        let mut changed = der.clone();
        changed[at] ^= 1;
        let Ok(Response::Basic(response)) = Response::decode(&changed) else { continue };
        assert!(verify(&response, &asked("1001")).is_err(), "octet {at} may be changed");
    }
}
#[test]
fn a_response_of_another_certificate_is_not_believed() {
    assert_eq!(believed(&good(), &asked("1002")), Err(Unbelievable::OtherCertificate));
}
#[test]
fn a_response_for_another_issuer_is_not_believed() {
    let asked = Asked { issuer: &WORLD.other.certificate, ..asked("1001") };
    assert_eq!(believed(&good(), &asked), Err(Unbelievable::NotAuthorised(NotQualified::NotIssued)));
}
#[test]
fn a_response_without_its_responder_is_not_believed() {
    let served = served();
    let octets = with_nonce(None);
    let question = responder::read(&octets, &served, &POLICY).unwrap();
    let identity = Identity::by_key(&WORLD.responder.public);
    let data = question.answer(&identity, &moment(), &POLICY, |_, _| Ok(Status::Good)).unwrap();
    assert_eq!(believed(&WORLD.responder.finish(data, &[]), &asked("1001")), Err(Unbelievable::NoResponder));
}
#[test]
fn the_issuers_name_with_another_key_is_not_believed() {
    let served = served();
    let octets = with_nonce(None);
    let question = responder::read(&octets, &served, &POLICY).unwrap();
    let identity = Identity::by_name(&WORLD.one.certificate.tbs().subject);
    let data = question.answer(&identity, &moment(), &POLICY, |_, _| Ok(Status::Good)).unwrap();
    let der = WORLD.responder.finish(data, &[WORLD.responder_certificate.der()]);
    assert_eq!(believed(&der, &asked("1001")), Err(Unbelievable::Signature));
}
#[test]
fn the_same_certificate_twice_is_not_believed() {
    let octets = request::write(&WORLD.one.ids, HashAlgorithm::Sha1, &["1001", "1001"].map(serial), None);
    let der = answered(&octets, &POLICY).unwrap();
    assert_eq!(believed(&der, &asked("1001")), Err(Unbelievable::OtherCertificate));
}
#[track_caller]
fn at(now: UnixTime, skew_s: u64, expected: Result<CertStatus, Unbelievable>) {
    let asked = Asked { now, skew_s, ..asked("1001") };
    assert_eq!(believed(&good(), &asked).map(|v| v.status), expected);
}
#[test]
fn a_response_from_the_future_is_not_believed() {
    at(NOW, 0, Ok(CertStatus::Good));
    at(NOW.minus_s(1), 0, Err(Unbelievable::NotYet));
    at(NOW.minus_s(60), 60, Ok(CertStatus::Good));
    at(NOW.minus_s(61), 60, Err(Unbelievable::NotYet));
}
#[test]
fn an_outdated_response_is_not_believed() {
    let ends = moment().next_update();
    at(ends.minus_s(1), 0, Ok(CertStatus::Good));
    at(ends, 0, Err(Unbelievable::Outdated));
}
