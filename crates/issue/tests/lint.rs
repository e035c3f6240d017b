//! One certificate for each rule that breaks it.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "what cannot go on here has failed"
)]

mod support;

use issue::lint::{self, Expected, Finding, Severity};
use issue::{Drafted, Issuer, Request, ToBeSigned};
use ports::Signer as _;
use support::{Ca, Key, NOW, file, grant, profile, request, serial};
use x509::certificate::TbsCertificate;
use x509::csr::CertificationRequest;
use x509::extension::{
    BasicConstraints, GeneralName, KeyUsage, crl_distribution_point, extended_key_usage, subject_alt_name,
};
use x509::name::Attribute;
use x509::write::tag;
use x509::{Extension, KeyType, Name, SerialNumber, SignatureAlgorithm, Writer, oids};

fn drafted_by(issuer: KeyType, profile_name: &str, key_type: KeyType) -> ToBeSigned<Drafted> {
    let profile = profile(profile_name);
    let root = Ca::root("root", "root", issuer);
    let issuing = root.below("issuing", &support::profile("issuing"), issuer);
    let ca = if profile.is_authority() { &root } else { &issuing };
    let subject = if profile.is_authority() { "authority:second" } else { "urn:dev:ops:32473-sensor-SN0001" };
    let evidence = request(&Key::new(key_type), &Name::write(&[]), &[]);
    let request = Request::decode(&evidence).unwrap().verify().unwrap();
    let request = request.authorise(&grant(&subject.parse().unwrap(), &profile), &profile, "Example", NOW).unwrap();
    request.prepare(&ca.issuer(), serial(), NOW).unwrap()
}
fn drafted(profile_name: &str) -> ToBeSigned<Drafted> {
    drafted_by(KeyType::P256, profile_name, KeyType::P256)
}

/// The certificate is clean, and is found wanting when what it says is changed.
#[track_caller]
fn check_of(profile_name: &str, change: impl FnOnce(&mut TbsCertificate), expected: Finding) {
    let drafted = drafted(profile_name);
    let clean = drafted.findings();
    assert!(lint::is_clean(&clean) && !clean.contains(&expected), "{clean:?}");
    let mut tbs = TbsCertificate::decode(drafted.octets()).unwrap();
    change(&mut tbs);
    let found = lint::findings(&tbs.write(), &drafted.expected());
    assert!(found.contains(&expected), "{found:?}");
}
#[track_caller]
fn check(change: impl FnOnce(&mut TbsCertificate), expected: Finding) {
    check_of("tls-client", change, expected);
}

/// The values in a constructed one.
fn parts(der: &[u8]) -> Vec<Vec<u8>> {
    let head = |der: &[u8]| match der[1] {
        0x81 => (3, usize::from(der[2])),
        0x82 => (4, usize::from(der[2]) << 8 | usize::from(der[3])),
        short => (2, usize::from(short)),
    };
    let mut rest = &der[head(der).0..];
    let mut parts = Vec::new();
    while !rest.is_empty() {
        let (start, len) = head(rest);
        let (part, after) = rest.split_at(start + len);
        parts.push(part.to_vec());
        rest = after;
    }
    parts
}
/// The certificate is clean, and is found wanting when how it is written is changed.
#[track_caller]
fn check_parts(change: impl FnOnce(&mut Vec<Vec<u8>>), expected: Finding) {
    let drafted = drafted("tls-client");
    let mut changed = parts(drafted.octets());
    change(&mut changed);
    let mut w = Writer::default();
    w.sequence(|w| {
        w.raw(&changed.concat());
    });
    let found = lint::findings(&w.finish(), &drafted.expected());
    assert!(found.contains(&expected), "{found:?}");
}
#[track_caller]
fn check_expected(change: impl FnOnce(&mut Expected<'_>), expected: Finding) {
    let drafted = drafted("tls-client");
    let mut compared = drafted.expected();
    change(&mut compared);
    let found = lint::findings(drafted.octets(), &compared);
    assert!(found.contains(&expected), "{found:?}");
}

fn written(f: impl FnOnce(&mut Writer)) -> Vec<u8> {
    let mut w = Writer::default();
    f(&mut w);
    w.finish()
}
fn set(tbs: &mut TbsCertificate, extension: Extension) {
    tbs.extensions.retain(|e| e.oid != extension.oid);
    tbs.extensions.push(extension);
}
fn name(attributes: &[(const_oid::ObjectIdentifier, &str)]) -> Name {
    let attribute =
        |(oid, text): &(const_oid::ObjectIdentifier, &str)| Attribute { oid: *oid, text: (*text).to_owned() };
    Name::write(&attributes.iter().map(attribute).collect::<Vec<_>>())
}
fn names(tbs: &mut TbsCertificate, names: &[GeneralName]) {
    set(tbs, subject_alt_name(names, false));
}

#[test]
fn what_is_no_certificate() {
    check_parts(|parts| drop(parts.remove(2)), Finding::Encoding);
    check_parts(|parts| parts[0] = vec![0xa0, 3, 2, 1, 1], Finding::Encoding);
}
#[test]
fn another_way_to_write_the_same() {
    check_parts(|parts| drop(parts.pop()), Finding::NotCanonical);
}
#[test]
fn a_negative_serial_number() {
    check_parts(|parts| parts[1][2] = 0x81, Finding::SerialNotPositive);
    check_parts(|parts| parts[1][2..].fill(0), Finding::SerialNotPositive);
}
#[test]
fn twenty_one_octets_of_serial_number() {
    check_parts(|parts| parts[1] = [&[2, 21][..], &[1; 21]].concat(), Finding::SerialTooLong);
}
#[test]
fn eight_octets_of_serial_number() {
    check(|tbs| tbs.serial_number = SerialNumber::new(&[1; 8]).unwrap(), Finding::SerialTooShort);
}
#[test]
fn times_of_another_type() {
    let validity = |first: (u8, &str), second: (u8, &str)| {
        written(|w| {
            w.sequence(|w| {
                w.value(first.0, first.1.as_bytes()).value(second.0, second.1.as_bytes());
            });
        })
    };
    let (utc, general) = (tag::UTC_TIME, tag::GENERALIZED_TIME);
    let time = |first, second| check_parts(|parts| parts[4] = validity(first, second), Finding::TimeEncoding);
    time((utc, "260921140820Z"), (general, "20270921141319Z"));
    time((utc, "2609211408Z"), (utc, "270921141319Z"));
    time((utc, "260921140820+0000"), (utc, "270921141319Z"));
    time((general, "20500101000000.5Z"), (general, "20510101000000Z"));
}
#[test]
fn an_end_before_the_beginning() {
    check(|tbs| tbs.not_after = NOW.minus_s(301), Finding::Backwards);
}
#[test]
fn an_end_in_the_past() {
    check_expected(|expected| expected.now = NOW.plus_s(31_536_000), Finding::Ended);
}
#[test]
fn an_end_after_the_issuer() {
    check_expected(|expected| expected.issuer_not_after = NOW, Finding::OutlivesIssuer);
}
#[test]
fn another_validity() {
    check(|tbs| tbs.not_before = NOW.minus_s(301), Finding::Validity);
    check(|tbs| tbs.not_after = tbs.not_after.plus_s(1), Finding::Validity);
}
#[test]
fn no_issuer() {
    check(|tbs| tbs.issuer = name(&[]), Finding::IssuerNameless);
}
#[test]
fn an_issuer_that_is_not_the_one_that_was_looked_at() {
    check(|tbs| tbs.issuer = name(&[(oids::COUNTRY, "de")]), Finding::Country);
}
#[test]
fn only_a_name_that_breaks_no_rule_is_sound() {
    let sound = |attributes| lint::SoundName::prove(&name(attributes)).is_some();
    assert!(sound(&[(oids::COUNTRY, "DE"), (oids::COMMON_NAME, "factory")]));
    assert!(!sound(&[(oids::COUNTRY, "de"), (oids::COMMON_NAME, "factory")]));
    assert!(!sound(&[(oids::COMMON_NAME, "a"), (oids::COMMON_NAME, "b")]));
}
#[test]
fn an_issuer_whose_own_name_breaks_a_rule() {
    let root = Ca::root("root", "root", KeyType::P256);
    let mut tbs = root.certificate.tbs().clone();
    tbs.subject = name(&[(oids::COUNTRY, "de")]);
    let der = x509::csr::write_signed(&tbs.write(), SignatureAlgorithm::EcdsaSha256, &[0]);
    let issuer = Issuer::of("root".parse().unwrap(), &x509::Certificate::decode(&der).unwrap()).unwrap();
    let profile = profile("issuing");
    let evidence = request(&Key::new(KeyType::P256), &Name::write(&[]), &[]);
    let request = Request::decode(&evidence).unwrap().verify().unwrap();
    let grant = grant(&"authority:second".parse().unwrap(), &profile);
    let request = request.authorise(&grant, &profile, "Example", NOW).unwrap();
    let found = request.prepare(&issuer, serial(), NOW).unwrap().findings();
    assert!(found.contains(&Finding::Country), "{found:?}");
}
#[test]
fn no_subject() {
    check(|tbs| tbs.subject = name(&[]), Finding::AltNameNotCritical);
    let nameless = |tbs: &mut TbsCertificate| {
        tbs.subject = name(&[]);
        tbs.extensions.retain(|e| e.oid != oids::SUBJECT_ALT_NAME);
    };
    check(nameless, Finding::Nameless);
}
#[test]
fn an_attribute_twice() {
    check(|tbs| tbs.subject = name(&[(oids::COMMON_NAME, "a"), (oids::COMMON_NAME, "b")]), Finding::AttributeTwice);
}
#[test]
fn sixty_five_letters() {
    check(|tbs| tbs.subject = name(&[(oids::COMMON_NAME, &"a".repeat(65))]), Finding::AttributeTooLong);
    check(|tbs| tbs.subject = name(&[(oids::LOCALITY, &"a".repeat(129))]), Finding::AttributeTooLong);
}
#[test]
fn strings_of_another_type() {
    let with = |oid, tag, text: &[u8]| {
        let der = written(|w| {
            w.sequence(|w| {
                w.set(|w| {
                    w.sequence(|w| {
                        w.oid(oid).value(tag, text);
                    });
                });
            });
        });
        check(|tbs| tbs.subject = Name::decode(&der).unwrap(), Finding::AttributeString);
    };
    with(oids::SERIAL_NUMBER, tag::UTF8_STRING, b"SN1");
    with(oids::COMMON_NAME, tag::IA5_STRING, b"a");
    with(oids::DOMAIN_COMPONENT, tag::UTF8_STRING, b"a");
    with(oids::COMMON_NAME, tag::UTF8_STRING, "a\u{202e}b".as_bytes());
}
#[test]
fn countries_that_are_none() {
    check(|tbs| tbs.subject = name(&[(oids::COUNTRY, "de")]), Finding::Country);
    check(|tbs| tbs.subject = name(&[(oids::COUNTRY, "D1")]), Finding::Country);
}
#[test]
fn empty_lists() {
    let empty = |oid| Extension { oid, critical: false, value: vec![0x30, 0] };
    check(|tbs| set(tbs, empty(oids::EXTENDED_KEY_USAGE)), Finding::EmptySequence);
    check(|tbs| set(tbs, empty(oids::SUBJECT_ALT_NAME)), Finding::EmptySequence);
    check(|tbs| tbs.extensions.clear(), Finding::EmptySequence);
    check_parts(|parts| parts[5] = vec![0x30, 2, 0x31, 0], Finding::EmptySequence);
}
#[test]
fn an_extension_twice() {
    check(|tbs| tbs.extensions.push(tbs.extensions[0].clone()), Finding::ExtensionTwice);
}
#[test]
fn identifiers_of_another_key() {
    check(|tbs| tbs.subject_public_key = Key::new(KeyType::P256).public_key().clone(), Finding::KeyIdentifier);
    let none = |tbs: &mut TbsCertificate| tbs.extensions.retain(|e| e.oid != oids::AUTHORITY_KEY_IDENTIFIER);
    check(none, Finding::KeyIdentifier);
}
#[test]
fn another_key_usage() {
    check(|tbs| set(tbs, KeyUsage(2).extension()), Finding::KeyUsage);
    check(|tbs| set(tbs, Extension { critical: false, ..KeyUsage(1).extension() }), Finding::KeyUsage);
}
#[test]
fn other_basic_constraints() {
    let ca = BasicConstraints { ca: true, path_len: None };
    check(|tbs| set(tbs, ca.extension()), Finding::BasicConstraints);
    let deeper = BasicConstraints { ca: true, path_len: Some(1) };
    check_of("issuing", |tbs| set(tbs, deeper.extension()), Finding::BasicConstraints);
}
#[test]
fn a_leaf_that_signs_certificates() {
    check(|tbs| set(tbs, KeyUsage(1).with(KeyUsage::KEY_CERT_SIGN).extension()), Finding::CertSign);
    check_of("issuing", |tbs| set(tbs, KeyUsage::CRL_SIGN.extension()), Finding::CertSign);
}
#[test]
fn a_key_that_cannot_be_used_so() {
    check(|tbs| set(tbs, KeyUsage::KEY_ENCIPHERMENT.extension()), Finding::KeyUnfit);
}
#[test]
fn another_purpose() {
    check(|tbs| set(tbs, extended_key_usage(&[oids::SERVER_AUTH])), Finding::Purposes);
    check(|tbs| tbs.extensions.retain(|e| e.oid != oids::EXTENDED_KEY_USAGE), Finding::Purposes);
}
#[test]
fn a_purpose_that_the_key_usage_does_not_serve() {
    check(|tbs| set(tbs, KeyUsage(2).extension()), Finding::PurposeUnserved);
}
#[test]
fn names_that_are_none() {
    for text in ["*.example", "a b", "a..b", "10.0.0.1", ""] {
        check(|tbs| names(tbs, &[GeneralName::Dns(text.into())]), Finding::BadAltName);
    }
    for text in ["x", "urn: dev", "urn:*"] {
        check(|tbs| names(tbs, &[GeneralName::Uri(text.into())]), Finding::BadAltName);
    }
    // An e-mail address without a host, an address of three octets, and a kind that nobody uses.
    for der in [&[0x81, 1, b'a'][..], &[0x87, 3, 10, 0, 0], &[0x88, 1, 42]] {
        check(|tbs| names(tbs, &[GeneralName::Other(der.to_vec())]), Finding::BadAltName);
    }
}
#[test]
fn pointers_that_lead_nowhere() {
    check(|tbs| set(tbs, crl_distribution_point("ldap://a.example")), Finding::Pointer);
    check(|tbs| set(tbs, crl_distribution_point("http://")), Finding::Pointer);
    let access = |uri: &str| {
        Extension::of("1.3.6.1.5.5.7.1.1".parse().unwrap(), false, |w| {
            w.sequence(|w| {
                w.sequence(|w| {
                    w.oid("1.3.6.1.5.5.7.48.1".parse().unwrap()).value(0x86, uri.as_bytes());
                });
            });
        })
    };
    check(|tbs| set(tbs, access("a")), Finding::Pointer);
}
fn constraints(critical: bool, contents: &[u8]) -> Extension {
    Extension::of("2.5.29.30".parse().unwrap(), critical, |w| {
        w.value(tag::SEQUENCE, contents);
    })
}
#[test]
fn name_constraints_where_or_as_they_cannot_be() {
    let dns = [0xa0, 5, 0x30, 3, 0x82, 1, b'a'];
    check(|tbs| set(tbs, constraints(true, &dns)), Finding::NameConstraints);
    check_of("issuing", |tbs| set(tbs, constraints(false, &dns)), Finding::NameConstraints);
    check_of("issuing", |tbs| set(tbs, constraints(true, &[])), Finding::NameConstraints);
    check_of("issuing", |tbs| set(tbs, constraints(true, &[0xa0, 0])), Finding::NameConstraints);
}
#[test]
fn a_policy_twice() {
    let policies = Extension::of("2.5.29.32".parse().unwrap(), false, |w| {
        w.sequence(|w| {
            for _ in 0..2 {
                w.sequence(|w| {
                    w.oid("1.2.3".parse().unwrap());
                });
            }
        });
    });
    check(|tbs| set(tbs, policies), Finding::PolicyTwice);
}
#[test]
fn extensions_that_were_not_decided() {
    let own = Extension { oid: "1.2.3".parse().unwrap(), critical: false, value: vec![5, 0] };
    check(|tbs| tbs.extensions.push(own), Finding::UnexpectedExtension);
    check(
        |tbs| names(tbs, &[GeneralName::Uri("urn:dev:ops:32473-sensor-SN0002".into())]),
        Finding::UnexpectedExtension,
    );
    check(|tbs| tbs.extensions.retain(|e| e.oid != oids::SUBJECT_ALT_NAME), Finding::MissingExtension);
}
#[test]
fn a_weak_key() {
    let csr = CertificationRequest::decode(&file("testdata/rfc2986/openssl-3.0.19-rsa1024-weak.der")).unwrap();
    check(|tbs| tbs.subject_public_key = csr.public_key.clone(), Finding::WeakKey);
}
#[test]
fn a_key_of_another_type() {
    let key = Key::new(KeyType::Rsa(2048));
    check_of("issuing", |tbs| tbs.subject_public_key = key.public_key().clone(), Finding::KeyType);
}
#[test]
fn another_algorithm() {
    check(|tbs| tbs.signature = SignatureAlgorithm::Ed25519, Finding::Algorithm);
}
#[test]
fn an_issuer_weaker_than_what_it_certifies_is_said_and_let_through() {
    let drafted = drafted_by(KeyType::P256, "tls-client", KeyType::P384);
    assert!(drafted.findings().contains(&Finding::IssuerWeaker));
    assert!(drafted.lint().is_ok());
    assert!(!drafted_by(KeyType::P384, "tls-client", KeyType::P256).findings().contains(&Finding::IssuerWeaker));
}
#[test]
fn what_nobody_can_ask_after_is_said_and_let_through() {
    let drafted = drafted("tls-client");
    assert_eq!(drafted.findings(), [Finding::NotRevocable]);
    let mut tbs = TbsCertificate::decode(drafted.octets()).unwrap();
    set(&mut tbs, crl_distribution_point("http://a.example/a.crl"));
    assert!(!lint::findings(&tbs.write(), &drafted.expected()).contains(&Finding::NotRevocable));
}
#[test]
fn all_findings_are_told_at_once() {
    let drafted = drafted("tls-client");
    let mut tbs = TbsCertificate::decode(drafted.octets()).unwrap();
    tbs.not_after = NOW.minus_s(301);
    tbs.signature = SignatureAlgorithm::Ed25519;
    let found = lint::findings(&tbs.write(), &drafted.expected());
    let all = [Finding::Backwards, Finding::Ended, Finding::Validity, Finding::Algorithm, Finding::NotRevocable];
    assert_eq!(found, all);
}
#[test]
fn errors_stop_and_warnings_do_not() {
    let warnings: Vec<_> = Finding::ALL.iter().filter(|f| f.severity() == Severity::Warning).copied().collect();
    assert_eq!(warnings, [Finding::IssuerWeaker, Finding::NotRevocable]);
    assert!(lint::is_clean(&warnings) && !lint::is_clean(&[Finding::Country]));
}
#[test]
fn every_finding_has_a_rule_and_a_source() {
    for finding in Finding::ALL {
        assert!(finding.rule().ends_with('.') && !finding.source().is_empty(), "{finding}");
    }
}

proptest::proptest! {
    #[test]
    fn octets_that_nobody_meant_are_no_certificate(octets in proptest::collection::vec(proptest::num::u8::ANY, 0..512)) {
        let drafted = drafted("tls-client");
        assert!(lint::findings(&octets, &drafted.expected()).contains(&Finding::Encoding));
    }
    #[test]
    fn a_changed_octet_is_read_to_the_end(at in 0_usize..600, to in proptest::num::u8::ANY) {
        let drafted = drafted("tls-client");
        let mut octets = drafted.octets().to_vec();
        let len = octets.len();
        octets[at % len] = to;
        let _whatever_is_found = lint::findings(&octets, &drafted.expected());
    }
}
