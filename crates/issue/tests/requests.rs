//! Requests made by other programs, against the shipped profiles: what is granted, and what is refused for which reason.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "what cannot go on here has failed"
)]

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair};
use issue::lint::{self, Finding};
use issue::{Issuer, Profile, Request};
use model::contract::authority::Evidence;
use model::{Digest, Entity, Fault, Reason, UnixTime};
use ports::store::authority::{Grant, Right};
use ports::{DurableIntent, DurableRecord, SignFault, Signer};
use std::path::PathBuf;
use std::sync::Arc;
use x509::serial::InstanceEpoch;
use x509::{Certificate, KeyType, PublicKey, SerialNumber, sha256};

const NOW: UnixTime = UnixTime::from_s(1_790_000_000);

fn file(name: &str) -> Vec<u8> {
    std::fs::read(PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../..").join(name)).unwrap()
}
fn profile(name: &str) -> Arc<Profile> {
    let toml = String::from_utf8(file(&format!("profiles/{name}.toml"))).unwrap();
    Arc::new(Profile::read(name.parse().unwrap(), &toml).unwrap())
}
fn pkcs10(name: &str) -> Evidence {
    Evidence::Pkcs10(file(&format!("testdata/rfc2986/openssl-3.0.19-{name}.der")).into())
}
fn crmf(name: &str) -> Evidence {
    Evidence::Crmf(file(&format!("testdata/rfc4211/openssl-3.0.19-{name}.der")).into())
}
fn grant(profile: &str) -> Grant {
    let subject = "urn:dev:ops:32473-sensor-SN0001".parse().unwrap();
    let (until, profile) = (NOW.plus_s(10), profile.parse().unwrap());
    Grant { id: 1, subject, profile, until, quota: 1, used: 0 }
}
fn right() -> Right {
    Right { id: 9, until: NOW.plus_s(10), quota: 5, used: 4 }
}

struct Key(EcdsaKeyPair, PublicKey);

impl Key {
    fn new() -> Self {
        let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_ASN1_SIGNING).unwrap();
        let public = PublicKey::from_bits(KeyType::P256, pair.public_key().as_ref()).unwrap();
        Self(pair, public)
    }
}
impl Signer for Key {
    fn public_key(&self) -> &PublicKey {
        &self.1
    }
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, SignFault> {
        let signature = self.0.sign(&SystemRandom::new(), message).map_err(|_| SignFault("test key"))?;
        Ok(signature.as_ref().to_vec())
    }
}

fn serial(n: u8) -> SerialNumber {
    SerialNumber::next(InstanceEpoch(7), NOW, [n; 9])
}

/// The whole way, with a store that says yes.
fn certify(key: &Key, issuer: &Issuer, request: Request<issue::Authorised>, n: u8) -> Result<Vec<u8>, Fault> {
    let linted = request.prepare(issuer, serial(n), NOW)?.lint()?;
    let intent = DurableIntent::assert_durable(1, linted.serial(), linted.tbs_digest());
    let signed = linted.intend(intent)?.sign(key)?;
    let record = DurableRecord::assert_durable(signed.serial(), sha256(signed.for_the_record()));
    Ok(signed.release(record)?.into_der())
}

struct Factory {
    root: Certificate,
    factory: Certificate,
    key: Key,
}

fn authority(subject: &str, profile_name: &str, key: &Key, issuer: (&Issuer, &Key), n: u8) -> Certificate {
    let name = x509::Name::write(&[]);
    let info = x509::csr::write_info(&name, key.public_key(), &[]);
    let signature = key.sign(&info).unwrap();
    let csr = x509::csr::write_signed(&info, key.algorithm(), &signature);
    let subject: Entity = subject.parse().unwrap();
    let grant = Grant { subject, ..grant(profile_name) };
    let request = Request::decode(&Evidence::Pkcs10(csr.into())).unwrap().verify().unwrap();
    let request = request.authorise(&grant, &profile(profile_name), "Example", NOW).unwrap();
    Certificate::decode(&certify(issuer.1, issuer.0, request, n).unwrap()).unwrap()
}

fn factory() -> Factory {
    let (root_key, key) = (Key::new(), Key::new());
    let itself = Issuer::itself("root".parse().unwrap(), root_key.public_key());
    let root = authority("authority:root", "root", &root_key, (&itself, &root_key), 1);
    let issuer = Issuer::of("root".parse().unwrap(), &root).unwrap();
    let factory = authority("authority:factory", "factory", &key, (&issuer, &root_key), 2);
    Factory { root, factory, key }
}

#[track_caller]
fn check(evidence: &Evidence, profile_name: &str, expected: Result<(), Reason>) {
    let authorise = || {
        let request = Request::decode(evidence)?;
        let request = if request.is_vouched_for() { request.vouch(&right(), NOW)? } else { request.verify()? };
        request.authorise(&grant(profile_name), &profile(profile_name), "Example", NOW)
    };
    match (authorise(), expected) {
        (Ok(request), Ok(())) => {
            let f = factory();
            let issuer = Issuer::of("factory".parse().unwrap(), &f.factory).unwrap();
            let der = certify(&f.key, &issuer, request, 3).unwrap();
            let certificate = Certificate::decode(&der).unwrap();
            certificate.verify_issued_by(&f.factory, NOW).unwrap();
            f.factory.verify_issued_by(&f.root, NOW).unwrap();
            let said = certificate.tbs().subject.to_string();
            assert_eq!(said, "O=Example, CN=sensor SN0001, serialNumber=SN0001");
        }
        (found, expected) => assert_eq!(found.map(|_| ()), expected.map_err(Fault::Refused)),
    }
}

#[test]
fn requests_of_every_key_type() {
    for name in ["p256", "p384", "ed25519", "rsa2048", "rsa3072", "p256-sha384", "rsa2048-sha512", "p256-key-usage"] {
        check(&pkcs10(name), "idevid", Ok(()));
        check(&pkcs10(name), "ldevid", Ok(()));
    }
}
#[test]
fn messages_of_every_key_type() {
    for name in ["p256-signature", "p384-signature", "ed25519-signature", "rsa2048-signature"] {
        check(&crmf(name), "idevid", Ok(()));
    }
}
#[test]
fn messages_that_a_station_vouches_for() {
    for name in ["p256-raverified", "p384-raverified", "ed25519-raverified", "rsa2048-raverified"] {
        check(&crmf(name), "idevid", Ok(()));
    }
}
#[test]
fn a_profile_can_forbid_vouching() {
    check(&crmf("p256-raverified"), "ldevid", Err(Reason::RightMissing));
}
#[test]
fn no_proof_is_refused() {
    check(&crmf("p256-absent"), "idevid", Err(Reason::ProofMissing));
}
#[test]
fn a_broken_signature_is_refused() {
    check(&pkcs10("p256-broken-signature"), "idevid", Err(Reason::ProofOfPossession));
}
#[test]
fn another_name_is_refused() {
    check(&pkcs10("p256-other-name"), "idevid", Err(Reason::NameMismatch));
    check(&pkcs10("p256-named"), "idevid", Err(Reason::NameMismatch));
}
#[test]
fn ca_true_is_refused() {
    check(&pkcs10("p256-ca-true"), "idevid", Err(Reason::CaRequested));
}
#[test]
fn a_weak_key_is_refused() {
    check(&pkcs10("rsa1024-weak"), "idevid", Err(Reason::WeakKey));
}
#[test]
fn a_wildcard_is_refused() {
    check(&pkcs10("p256-wildcard"), "idevid", Err(Reason::NameMismatch));
}
#[test]
fn a_template_that_sets_the_validity_is_refused() {
    check(&crmf("p256-validity-and-name"), "idevid", Err(Reason::TemplateNotAllowed));
}
#[test]
fn sha1_is_malformed() {
    let refused = Request::decode(&pkcs10("rsa2048-sha1")).unwrap_err();
    assert!(matches!(refused, Fault::Malformed(_)), "{refused}");
}
#[test]
fn a_key_type_that_the_profile_does_not_name_is_refused() {
    let request = Request::decode(&pkcs10("rsa2048")).unwrap().verify().unwrap();
    let refused = request.authorise(&grant("module"), &profile("module"), "Example", NOW).unwrap_err();
    assert_eq!(refused, Reason::KeyTypeNotAllowed.into());
}

#[track_caller]
fn with_grant(change: impl FnOnce(&mut Grant), expected: Option<Reason>) {
    let mut grant = grant("idevid");
    change(&mut grant);
    let request = Request::decode(&pkcs10("p256")).unwrap().verify().unwrap();
    let found = request.authorise(&grant, &profile("idevid"), "Example", NOW).err();
    assert_eq!(found, expected.map(Fault::Refused));
}

#[test]
fn the_last_moment_of_a_grant() {
    with_grant(|g| g.until = NOW, None);
}
#[test]
fn a_grant_that_ended_is_refused() {
    with_grant(|g| g.until = UnixTime::from_ms(NOW.ms() - 1), Some(Reason::GrantExpired));
}
#[test]
fn a_grant_that_is_used_up_is_refused() {
    with_grant(|g| g.used = 1, Some(Reason::GrantSpent));
    // Also when it has ended meanwhile: a longer one would not help.
    with_grant(|g| (g.used, g.until) = (1, UnixTime::from_ms(NOW.ms() - 1)), Some(Reason::GrantSpent));
}
#[test]
fn a_grant_for_another_profile_is_refused() {
    with_grant(|g| g.profile = "ldevid".parse().unwrap(), Some(Reason::ProfileUnknown));
}

#[track_caller]
fn with_right(change: impl FnOnce(&mut Right), expected: Option<Reason>) {
    let mut right = right();
    change(&mut right);
    let found = Request::decode(&crmf("p256-raverified")).unwrap().vouch(&right, NOW).err();
    assert_eq!(found, expected.map(Fault::Refused));
    // The same for who speaks for a device that proves its own key.
    let found = Request::decode(&pkcs10("p256")).unwrap().verify_within(&right, NOW).err();
    assert_eq!(found, expected.map(Fault::Refused));
}

#[test]
fn a_right_is_no_proof() {
    for (name, expected) in [("p256-absent", Reason::ProofMissing), ("p256-raverified", Reason::ProofMissing)] {
        let found = Request::decode(&crmf(name)).unwrap().verify_within(&right(), NOW).err();
        assert_eq!(found, Some(expected.into()), "{name}");
    }
}
#[test]
fn the_last_moment_of_a_right() {
    with_right(|r| r.until = NOW, None);
}
#[test]
fn a_right_that_ended_is_refused() {
    with_right(|r| r.until = UnixTime::from_ms(NOW.ms() - 1), Some(Reason::RightExpired));
}
#[test]
fn the_last_device_of_a_right() {
    with_right(|r| r.quota = 5, None);
    with_right(|r| r.quota = 4, Some(Reason::RightSpent));
}
#[test]
fn a_signed_request_needs_no_station() {
    let found = Request::decode(&pkcs10("p256")).unwrap().vouch(&right(), NOW).unwrap_err();
    assert_eq!(found, Reason::ProofMissing.into());
}

fn authorised() -> Request<issue::Authorised> {
    let request = Request::decode(&pkcs10("p256")).unwrap().verify().unwrap();
    request.authorise(&grant("idevid"), &profile("idevid"), "Example", NOW).unwrap()
}

#[test]
fn an_issuer_that_the_profile_does_not_name_is_refused() {
    let f = factory();
    let root = Issuer::of("root".parse().unwrap(), &f.root).unwrap();
    let refused = authorised().prepare(&root, serial(3), NOW).unwrap_err();
    assert_eq!(refused, Reason::IssuerNotAllowed.into());
}
#[test]
fn path_length_zero_issues_no_authority() {
    let f = factory();
    // The factory under the name that the profile asks for: only its path length stands in the way.
    let below_factory = Issuer::of("root".parse().unwrap(), &f.factory).unwrap();
    let key = Key::new();
    let info = x509::csr::write_info(&x509::Name::write(&[]), key.public_key(), &[]);
    let csr = x509::csr::write_signed(&info, key.algorithm(), &key.sign(&info).unwrap());
    let grant = Grant { subject: "authority:second".parse().unwrap(), ..grant("factory") };
    let request = Request::decode(&Evidence::Pkcs10(csr.into())).unwrap().verify().unwrap();
    let request = request.authorise(&grant, &profile("factory"), "Example", NOW).unwrap();
    let refused = request.prepare(&below_factory, serial(3), NOW).unwrap_err();
    assert_eq!(refused, Reason::IssuerNotAllowed.into());
}
#[test]
fn an_intent_for_other_octets_is_refused() {
    let f = factory();
    let issuer = Issuer::of("factory".parse().unwrap(), &f.factory).unwrap();
    let linted = authorised().prepare(&issuer, serial(3), NOW).unwrap().lint().unwrap();
    let intent = DurableIntent::assert_durable(1, linted.serial(), Digest::new([0; 32]));
    assert!(linted.intend(intent).is_err());
    let linted = authorised().prepare(&issuer, serial(3), NOW).unwrap().lint().unwrap();
    let intent = DurableIntent::assert_durable(1, serial(4), linted.tbs_digest());
    assert!(linted.intend(intent).is_err());
}
#[test]
fn a_record_of_another_certificate_releases_nothing() {
    let f = factory();
    let issuer = Issuer::of("factory".parse().unwrap(), &f.factory).unwrap();
    let linted = authorised().prepare(&issuer, serial(3), NOW).unwrap().lint().unwrap();
    let intent = DurableIntent::assert_durable(1, linted.serial(), linted.tbs_digest());
    let signed = linted.intend(intent).unwrap().sign(&f.key).unwrap();
    let record = DurableRecord::assert_durable(signed.serial(), Digest::new([0; 32]));
    assert!(signed.release(record).is_err());
}
#[track_caller]
fn lints(from: &[u8], to: &[u8], expected: Finding) {
    let f = factory();
    let issuer = Issuer::of("factory".parse().unwrap(), &f.factory).unwrap();
    let drafted = authorised().prepare(&issuer, serial(3), NOW).unwrap();
    let tbs = drafted.octets();
    assert!(lint::is_clean(&drafted.findings()));
    assert_eq!(from.len(), to.len());
    let at = tbs.windows(from.len()).position(|w| w == from).expect("the octets to change are there");
    let mut changed = tbs.to_vec();
    changed[at..at + to.len()].copy_from_slice(to);
    let found = lint::findings(&changed, &drafted.expected());
    assert!(found.contains(&expected), "{found:?}");
}

#[test]
fn lint_finds_another_key_usage() {
    lints(&[3, 2, 7, 0x80], &[3, 2, 6, 0x40], Finding::KeyUsage);
}
#[test]
fn lint_finds_a_key_usage_that_is_not_canonical() {
    lints(&[4, 4, 3, 2, 7, 0x80], &[4, 4, 3, 2, 0, 0x80], Finding::UnexpectedExtension);
}
#[test]
fn lint_finds_another_extension() {
    // keyUsage 2.5.29.15 becomes 2.5.29.55.
    lints(&[0x55, 0x1d, 0x0f], &[0x55, 0x1d, 0x37], Finding::KeyUsage);
}
#[test]
fn lint_finds_a_wildcard() {
    lints(b"urn:dev", b"urn:*ev", Finding::BadAltName);
}
#[test]
fn lint_finds_a_space() {
    lints(b"urn:dev", b"urn: ev", Finding::BadAltName);
}
#[track_caller]
fn lints_changed(change: impl FnOnce(&mut x509::certificate::TbsCertificate), expected: Finding) {
    let f = factory();
    let issuer = Issuer::of("factory".parse().unwrap(), &f.factory).unwrap();
    let drafted = authorised().prepare(&issuer, serial(3), NOW).unwrap();
    let mut tbs = x509::certificate::TbsCertificate::decode(drafted.octets()).unwrap();
    change(&mut tbs);
    let found = lint::findings(&tbs.write(), &drafted.expected());
    assert!(found.contains(&expected), "{found:?}");
}

#[test]
fn lint_finds_an_end_before_the_beginning() {
    lints_changed(|tbs| tbs.not_after = NOW.minus_s(1000), Finding::Backwards);
}
#[test]
fn lint_finds_a_short_serial_number() {
    lints_changed(|tbs| tbs.serial_number = SerialNumber::new(&[1; 8]).unwrap(), Finding::SerialTooShort);
}
#[test]
fn lint_finds_a_missing_name() {
    let nameless = x509::Name::write(&[]);
    lints_changed(|tbs| tbs.issuer = nameless.clone(), Finding::IssuerNameless);
    lints_changed(|tbs| tbs.subject = nameless, Finding::AltNameNotCritical);
}
#[test]
fn lint_finds_the_identifier_of_another_key() {
    lints_changed(|tbs| tbs.subject_public_key = Key::new().1, Finding::KeyIdentifier);
}
#[test]
fn lint_finds_basic_constraints_that_the_profile_does_not_give() {
    let ca = x509::extension::BasicConstraints { ca: true, path_len: None };
    lints_changed(|tbs| tbs.extensions.push(ca.extension()), Finding::BasicConstraints);
}
#[test]
fn lint_finds_an_extension_that_the_profile_does_not_give() {
    let extra = x509::extension::extended_key_usage(&[x509::oids::CODE_SIGNING]);
    lints_changed(|tbs| tbs.extensions.push(extra), Finding::UnexpectedExtension);
}
#[test]
fn lint_finds_an_extension_that_stands_twice() {
    lints_changed(|tbs| tbs.extensions.push(tbs.extensions[0].clone()), Finding::ExtensionTwice);
}
#[test]
fn lint_finds_what_outlives_its_issuer() {
    let f = factory();
    let issuer = Issuer::of("factory".parse().unwrap(), &f.factory).unwrap();
    let drafted = authorised().prepare(&issuer, serial(3), NOW).unwrap();
    let found = lint::findings(drafted.octets(), &lint::Expected { issuer_not_after: NOW, ..drafted.expected() });
    assert!(found.contains(&Finding::OutlivesIssuer), "{found:?}");
}
#[test]
fn a_certificate_that_would_outlive_its_issuer_is_shortened_or_refused_as_the_profile_says() {
    let f = factory();
    let mut short = f.factory.tbs().clone();
    short.not_after = NOW.plus_s(100);
    let der = x509::csr::write_signed(&short.write(), x509::SignatureAlgorithm::EcdsaSha256, &[0]);
    let issuer = Issuer::of("factory".parse().unwrap(), &Certificate::decode(&der).unwrap()).unwrap();
    let refused = authorised().prepare(&issuer, serial(3), NOW).unwrap_err();
    assert_eq!(refused, Reason::OutlivesIssuer.into());
    let request = Request::decode(&pkcs10("p256")).unwrap().verify().unwrap();
    let request = request.authorise(&grant("ldevid"), &profile("ldevid"), "Example", NOW).unwrap();
    let drafted = request.prepare(&issuer, serial(3), NOW).unwrap();
    let read = x509::certificate::TbsCertificate::decode(drafted.octets()).unwrap();
    assert_eq!(read.not_after, NOW.plus_s(100));
}

fn signed_by(key: &Key, attributes: &[(x509::name::Attribute, bool)]) -> Evidence {
    let attributes: Vec<_> = attributes.iter().filter(|(_, on)| *on).map(|(a, _)| a.clone()).collect();
    let info = x509::csr::write_info(&x509::Name::write(&attributes), key.public_key(), &[]);
    Evidence::Pkcs10(x509::csr::write_signed(&info, key.algorithm(), &key.sign(&info).unwrap()).into())
}

#[test]
fn a_request_may_say_less_than_is_registered_and_nothing_else() {
    let attribute = |oid, text: &str| x509::name::Attribute { oid, text: text.into() };
    let serial = attribute(x509::oids::SERIAL_NUMBER, "SN0001");
    let another = attribute(x509::oids::SERIAL_NUMBER, "SN0002");
    let unit = attribute(x509::oids::ORGANIZATIONAL_UNIT, "SN0001");
    let key = Key::new();
    check(&signed_by(&key, &[(serial.clone(), true)]), "idevid", Ok(()));
    check(&signed_by(&key, &[(another.clone(), true)]), "idevid", Err(Reason::NameMismatch));
    check(&signed_by(&key, &[(serial.clone(), true), (another, true)]), "idevid", Err(Reason::NameMismatch));
    check(&signed_by(&key, &[(serial, true), (unit, true)]), "idevid", Err(Reason::NameMismatch));
}
