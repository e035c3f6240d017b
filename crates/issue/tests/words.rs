//! Profiles in plain words, what changes between two, and what would be issued.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "what cannot go on here has failed"
)]

mod support;

use issue::lint::Finding;
use issue::profile::{Meaning, Topic, diff, explain};
use issue::trial::{Case, trial};
use issue::{Issuer, Profile};
use model::contract::authority::Evidence;
use model::{Entity, Reason};
use std::sync::Arc;
use support::{Ca, Key, NOW, file, profile, read_profile, request, serial, shipped};
use x509::certificate::TbsCertificate;
use x509::extension::{BasicConstraints, GeneralName, subject_alt_name};
use x509::{KeyType, Name};

#[track_caller]
fn says(profile_name: &str, topic: Topic, text: &str) {
    let lines = explain(&profile(profile_name));
    assert!(lines.iter().any(|line| line.topic == topic && line.text == text), "{lines:#?}");
}

#[test]
fn who_may_ask_is_said() {
    says("code-signing", Topic::WhoMayAsk, "Only operator, console may ask.");
    says("code-signing", Topic::WhoMayAsk, "Each request needs the approval of 2 operator(s).");
    says("idevid", Topic::WhoMayAsk, "Whoever has the grant may ask.");
    says("idevid", Topic::WhoMayAsk, "A station with a right may vouch for the key (raVerified).");
    says("root", Topic::WhoMayAsk, "It signs itself.");
}
#[test]
fn what_the_certificate_will_say_is_said() {
    says("idevid", Topic::WhatItSays, "Subject: CN={device_type} {serial}.");
    says("idevid", Topic::WhatItSays, "Valid without an end; it begins 300 s before it is made.");
    says(
        "tls-client",
        Topic::WhatItSays,
        "Valid for 365 day(s), or until its issuer ends; it begins 300 s before it is made.",
    );
    says("tls-client", Topic::WhatItSays, "Only for client-auth.");
    says("issuing", Topic::WhatItSays, "It is an authority, with no authority below it.");
    says("ocsp", Topic::WhatItSays, "Nobody asks whether it is revoked (ocsp-nocheck).");
    says(
        "tls-server",
        Topic::WhatItSays,
        "Alternative name: up to 8 host name(s) that the request must bring, ending in \".internal\", at most 253 letters.",
    );
    says(
        "service",
        Topic::WhatItSays,
        "Extension 1.3.6.1.4.1.32473.1.1: octets that the request must bring, 32 to 32 octets.",
    );
}
#[test]
fn what_is_refused_is_said() {
    says("matter-dac", Topic::WhatIsRefused, "Keys of other types than p256, and weak ones.");
    says("ldevid", Topic::WhatIsRefused, "Requests whose sender does not prove that it holds the key.");
    says("idevid", Topic::WhatIsRefused, "Certificates that would be valid longer than their issuer.");
}
#[test]
fn every_profile_is_explained_in_whole_sentences() {
    for name in shipped() {
        for line in explain(&profile(&name)) {
            assert!(line.text.ends_with('.') && !line.text.contains("  "), "{name}: {}", line.text);
        }
    }
}

#[track_caller]
fn changes(profile_name: &str, from: &str, to: &str, field: &str, meaning: Meaning) {
    let toml = String::from_utf8(file(&format!("profiles/{profile_name}.toml"))).unwrap();
    assert!(toml.contains(from), "the test changes nothing");
    let (before, after) = (profile(profile_name), read_profile(profile_name, &toml.replace(from, to)));
    let found = diff(&before, &after);
    let found: Vec<_> = found.iter().map(|change| (change.field, change.meaning)).collect();
    assert_eq!(found, [(field, meaning)]);
    let reverse = match meaning {
        Meaning::Stricter => Meaning::Looser,
        Meaning::Looser => Meaning::Stricter,
        Meaning::Different => Meaning::Different,
    };
    assert_eq!(diff(&after, &before)[0].meaning, reverse);
}

#[test]
fn nothing_changes_between_a_profile_and_itself() {
    for name in shipped() {
        assert_eq!(diff(&profile(&name), &profile(&name)), []);
    }
}
#[test]
fn fewer_key_types_are_stricter() {
    changes("tls-client", "\"p256\", ", "", "key_types", Meaning::Stricter);
}
#[test]
fn another_key_type_is_different() {
    changes("matter-dac", "\"p256\"", "\"p384\"", "key_types", Meaning::Different);
}
#[test]
fn more_issuers_are_looser() {
    changes("tls-client", "[\"issuing\"]", "[\"issuing\", \"factory\"]", "issuers", Meaning::Looser);
}
#[test]
fn a_longer_life_is_looser() {
    changes("tls-client", "31_536_000", "63_072_000", "validity.lifetime_s", Meaning::Looser);
}
#[test]
fn an_end_where_there_was_none_is_stricter() {
    changes("idevid", "99991231235959Z", "20491231235959Z", "validity.not_after", Meaning::Stricter);
    changes("idevid", "not_after = \"99991231235959Z\"", "lifetime_s = 9", "validity.lifetime_s", Meaning::Stricter);
}
#[test]
fn vouching_is_looser() {
    changes("ldevid", "ra_verified = false", "ra_verified = true", "ra_verified", Meaning::Looser);
}
#[test]
fn more_approvals_are_stricter() {
    changes("ra", "approvals = 1", "approvals = 2", "enrolment.approvals", Meaning::Stricter);
}
#[test]
fn no_limit_is_looser_than_any() {
    changes("ocsp", "protocols = [\"bus\"]", "", "enrolment.protocols", Meaning::Looser);
    changes("ocsp", "requesters = [\"authority\"]", "", "enrolment.requesters", Meaning::Looser);
    changes(
        "tls-client",
        "extended_key_usage = [\"client-auth\"]",
        "",
        "extensions.extended_key_usage",
        Meaning::Looser,
    );
    changes("issuing", ", path_len = 0", "", "extensions.basic_constraints.path_len", Meaning::Looser);
    changes("ra", "approvals = 1", "approvals = 2", "enrolment.approvals", Meaning::Stricter);
}
#[test]
fn name_constraints_are_stricter() {
    let with = |constraints: &str| format!("ca = true, path_len = 0 }}\nname_constraints = {{ {constraints} }}");
    let from = "ca = true, path_len = 0 }";
    let permitted = with("permitted = [{ dns = \"a.example\" }]");
    changes("issuing", from, &permitted, "extensions.name_constraints.permitted", Meaning::Stricter);
    let excluded = with("excluded = [{ ip = \"10.0.0.0/8\" }]");
    changes("issuing", from, &excluded, "extensions.name_constraints.excluded", Meaning::Stricter);
}
#[test]
fn another_name_is_different() {
    changes("tls-client", "{device_type} {serial}", "{serial}", "subject", Meaning::Different);
    changes("tls-server", ".internal\"", ".example\"", "subject_alt_name", Meaning::Different);
}

fn device() -> Entity {
    "urn:dev:ops:32473-sensor-SN0001".parse().unwrap()
}
fn issuing() -> Ca {
    Ca::root("root", "root", KeyType::P256).below("issuing", &profile("issuing"), KeyType::P256)
}
#[track_caller]
fn tried(
    profile: &Arc<Profile>,
    issuer: &Issuer,
    evidence: &Evidence,
    subject: &Entity,
    refused: &[Reason],
) -> issue::trial::Trial {
    let case = Case { evidence, subject, profile, issuer, organization: "Example", now: NOW };
    let trial = trial(&case).unwrap();
    assert_eq!(trial.refused, refused);
    trial
}

#[test]
fn a_trial_gives_what_would_be_signed() {
    let (ca, key) = (issuing(), Key::new(KeyType::P256));
    let evidence = request(&key, &Name::write(&[]), &[]);
    let trial = tried(&profile("tls-client"), &ca.issuer(), &evidence, &device(), &[]);
    let mut tried = TbsCertificate::decode(&trial.tbs.unwrap()).unwrap();
    let issued = support::certify(&ca.key, &ca.issuer(), &evidence, &device(), &profile("tls-client")).unwrap();
    assert_ne!(tried.serial_number, issued.tbs().serial_number);
    tried.serial_number = issued.tbs().serial_number;
    assert_eq!(tried, *issued.tbs());
    assert_eq!(trial.findings, [Finding::NotRevocable]);
    for (what, text) in [
        ("subject", "O=Example, CN=sensor SN0001"),
        ("extension", "extKeyUsage client-auth"),
        ("extension", "keyUsage digital-signature, critical"),
        ("extension", "subjectAltName URI:urn:dev:ops:32473-sensor-SN0001"),
    ] {
        assert!(trial.says.contains(&(what, text.to_owned())), "{:#?}", trial.says);
    }
}
#[test]
fn a_trial_tells_every_reason() {
    let ca = Ca::root("root", "root", KeyType::P256).below("factory", &profile("factory"), KeyType::P256);
    let key = Key::new(KeyType::P256);
    let wish = subject_alt_name(&[GeneralName::Dns("a.example".into())], false);
    let ca_true = BasicConstraints { ca: true, path_len: None }.extension();
    let evidence = request(&key, &Name::write(&[]), &[wish, ca_true]);
    let reasons = [
        Reason::KeyTypeNotAllowed,
        Reason::NameMismatch,
        Reason::CaRequested,
        Reason::IssuerNotAllowed,
        Reason::LintFailed,
    ];
    let trial = tried(&profile("opcua-application"), &ca.issuer(), &evidence, &device(), &reasons);
    assert!(trial.findings.contains(&Finding::KeyType) && trial.findings.contains(&Finding::KeyUnfit));
}
#[test]
fn a_trial_of_a_request_that_proves_nothing() {
    let ca = issuing();
    let broken = Evidence::Pkcs10(file("testdata/rfc2986/openssl-3.0.19-p256-broken-signature.der").into());
    tried(&profile("tls-client"), &ca.issuer(), &broken, &device(), &[Reason::ProofOfPossession]);
    let vouched = Evidence::Crmf(file("testdata/rfc4211/openssl-3.0.19-p256-raverified.der").into());
    tried(&profile("tls-client"), &ca.issuer(), &vouched, &device(), &[Reason::RightMissing]);
    let absent = Evidence::Crmf(file("testdata/rfc4211/openssl-3.0.19-p256-absent.der").into());
    tried(&profile("tls-client"), &ca.issuer(), &absent, &device(), &[Reason::ProofMissing]);
}
#[test]
fn a_trial_for_another_kind_of_thing_gives_nothing() {
    let evidence = request(&Key::new(KeyType::P256), &Name::write(&[]), &[]);
    let operator = "operator:alice".parse().unwrap();
    let trial = tried(&profile("tls-client"), &issuing().issuer(), &evidence, &operator, &[Reason::ProfileUnknown]);
    assert!(trial.tbs.is_none() && trial.says.is_empty());
}
#[test]
fn a_trial_of_what_is_no_request_is_malformed() {
    let (ca, evidence) = (issuing(), Evidence::Pkcs10(vec![0x30, 0].into()));
    let (issuer, profile) = (ca.issuer(), profile("tls-client"));
    let case = Case {
        evidence: &evidence,
        subject: &device(),
        profile: &profile,
        issuer: &issuer,
        organization: "",
        now: NOW,
    };
    assert!(matches!(trial(&case), Err(model::Fault::Malformed(_))));
}
#[test]
fn no_serial_number_is_that_of_a_trial() {
    let evidence = request(&Key::new(KeyType::P256), &Name::write(&[]), &[]);
    let trial = tried(&profile("tls-client"), &issuing().issuer(), &evidence, &device(), &[]);
    let serial_number = TbsCertificate::decode(&trial.tbs.unwrap()).unwrap().serial_number;
    assert_ne!(serial_number.octets()[0], serial().octets()[0]);
}
