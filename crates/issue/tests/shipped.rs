//! Every shipped profile gives certificates that break no rule, for every type of key that it names. They are left in
//! `shipped` below the target directory's `tmp`, for `rigs/pkilint/lint.py` to judge.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "what cannot go on here has failed"
)]

mod support;

use issue::profile::SubjectKind;
use issue::{Profile, lint};
use model::contract::authority::{Evidence, RevocationReason};
use model::{Entity, UnixTime};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use support::{Ca, Key, NOW, certify, examples, profile, request, shipped};
use x509::crl::RevokedCertificate;
use x509::extension::{GeneralName, subject_alt_name};
use x509::name::Attribute;
use x509::{Extension, KeyType, Name, oids};

fn subject(kind: SubjectKind) -> Entity {
    let text = match kind {
        SubjectKind::Device => "urn:dev:ops:32473-sensor-SN0001",
        SubjectKind::Authority => "authority:second",
        SubjectKind::Module => "module:authority:box",
        SubjectKind::Operator => "operator:alice",
        SubjectKind::Responder => "responder:factory",
    };
    text.parse().unwrap()
}

/// What the requester adds where the profile lets it.
fn wishes(profile_name: &str) -> (Name, Vec<Extension>) {
    let dns = |name: &str| GeneralName::Dns(name.to_owned());
    let ip = |octets: &[u8]| GeneralName::Ip(octets.to_vec());
    let names = match profile_name {
        "gateway" => vec![dns("cm.internal")],
        "tls-server" => vec![dns("gate.internal"), dns("gate.hall-2.internal")],
        "example-controller" => {
            let uri = GeneralName::Uri("https://plant.example.com/7".into());
            vec![dns("a.sn0001.plant.example.com"), uri, ip(&[10, 0, 0, 1])]
        }
        "opcua-application" => {
            vec![dns("plc.internal"), ip(&[10, 0, 0, 1]), ip(&[0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1])]
        }
        _ => Vec::new(),
    };
    let mut extensions = Vec::new();
    if !names.is_empty() {
        extensions.push(subject_alt_name(&names, false));
    }
    let mut attributes = Vec::new();
    if matches!(profile_name, "service" | "example-controller") {
        attributes.push(Attribute { oid: oids::ORGANIZATIONAL_UNIT, text: "updater".into() });
        extensions.push(Extension::of("1.3.6.1.4.1.32473.1.1".parse().unwrap(), false, |w| {
            w.octet_string(&[0xe5; 32]);
        }));
    }
    (Name::write(&attributes), extensions)
}

/// One hierarchy with keys of one type.
struct Hierarchy(Vec<Ca>);

impl Hierarchy {
    fn new(key_type: KeyType) -> Self {
        let root = Ca::root("root", "root", key_type);
        let factory = root.below("factory", &profile("factory"), key_type);
        let issuing = root.below("issuing", &profile("issuing"), key_type);
        // Modules and operators speak over the bus only, and their authority has no RSA key.
        let modules = if matches!(key_type, KeyType::Rsa(_)) { KeyType::P384 } else { key_type };
        Self(vec![Ca::root("modules", "module-root", modules), factory, issuing, root])
    }
    fn issuers_of(&self, profile: &Profile) -> Vec<&Ca> {
        let answered_for = profile.subject_kind() == SubjectKind::Responder;
        let named = |ca: &&Ca| answered_for || profile.issuers().iter().any(|name| name.as_str() == ca.name);
        self.0.iter().filter(named).collect()
    }
}

fn write(directory: &Path, name: &str, der: &[u8]) {
    std::fs::create_dir_all(directory).unwrap();
    std::fs::write(directory.join(name), der).unwrap();
}

fn certify_all(out: &Path, hierarchy: &Hierarchy, by: KeyType, name: &str, profile: &Arc<Profile>, keys: &[Key]) {
    use ports::Signer as _;
    let keys = keys.iter().filter(|key| profile.key_types().contains(&key.public_key().key_type()));
    for key in keys {
        let (wish, extensions) = wishes(name);
        let evidence: Evidence = request(key, &wish, &extensions);
        for ca in hierarchy.issuers_of(profile) {
            let subject = subject(profile.subject_kind());
            let certificate = certify(&ca.key, &ca.issuer(), &evidence, &subject, profile)
                .unwrap_or_else(|fault| panic!("{name} under {}: {fault}", ca.name));
            certificate.verify_issued_by(&ca.certificate, NOW).unwrap();
            let file = format!("{}-{by}-{}.der", ca.name, key.public_key().key_type());
            write(&out.join(name), &file, certificate.der());
        }
    }
}

fn revoke(out: &Path, ca: &Ca, by: KeyType) {
    let revoked = [RevokedCertificate {
        serial_number: support::serial(),
        revocation_date: NOW,
        reason: RevocationReason::KeyCompromise,
    }];
    for (number, revoked) in [(1, &[][..]), (2, &revoked[..])] {
        let scope = x509::crl::CrlScope::default();
        let drafted = issue::crl::DraftedCrl {
            issuer: &ca.certificate,
            crl_number: number,
            this_update: NOW,
            next_update: NOW.plus_s(86_400),
            scope: &scope,
        };
        let entries = || revoked.iter().copied().map(x509::crl::CrlEntry::Revoked);
        let list = drafted.sign(&ca.key, entries, |_| Ok(())).unwrap();
        write(&out.join("crl"), &format!("{}-{by}-{number}.der", ca.name), &list);
    }
}

#[test]
fn every_shipped_profile_gives_certificates_that_break_no_rule() {
    let out = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("shipped");
    let _not_there = std::fs::remove_dir_all(&out);
    let keys = [KeyType::P256, KeyType::P384, KeyType::Ed25519, KeyType::Rsa(2048), KeyType::Rsa(3072)].map(Key::new);
    for by in [KeyType::P256, KeyType::Ed25519, KeyType::Rsa(3072)] {
        let hierarchy = Hierarchy::new(by);
        for ca in &hierarchy.0 {
            let own = match ca.name.as_str() {
                "modules" => "module-root",
                name => name,
            };
            write(&out.join(own), &format!("itself-{by}.der"), ca.certificate.der());
            revoke(&out, ca, by);
        }
        for name in shipped() {
            certify_all(&out, &hierarchy, by, &name, &profile(&name), &keys);
        }
        for (name, toml) in examples() {
            certify_all(&out, &hierarchy, by, &name, &support::read_profile(&name, &toml), &keys);
        }
    }
    let written: BTreeMap<_, _> = shipped()
        .into_iter()
        .chain(examples().into_iter().map(|(name, _)| name))
        .map(|name| (name.clone(), std::fs::read_dir(out.join(name)).map_or(0, Iterator::count)))
        .collect();
    assert!(written.values().all(|count| *count > 0), "{written:?}");
}

/// The profiles that were there before there was anything to ask for.
#[test]
fn the_first_profiles_ask_for_nothing_new() {
    for name in ["root", "factory", "idevid", "ldevid", "module-root", "module", "operator"] {
        let profile = profile(name);
        assert_eq!((profile.version(), profile.approvals(), profile.shards()), (1, 0, 1), "{name}");
        assert!(profile.requesters().is_none() && profile.protocols().is_none(), "{name}");
    }
}

#[track_caller]
fn asks(profile_name: &str, subject: &Name, extensions: &[Extension], expected: Option<model::Reason>) {
    let (ca, key) = (Ca::root("root", "root", KeyType::P256), Key::new(KeyType::P256));
    let issuing = ca.below("issuing", &profile("issuing"), KeyType::P256);
    let device = self::subject(SubjectKind::Device);
    let evidence = request(&key, subject, extensions);
    let found = certify(&issuing.key, &issuing.issuer(), &evidence, &device, &profile(profile_name));
    assert_eq!(found.map(|_| ()).err(), expected.map(model::Fault::Refused));
}
#[track_caller]
fn asks_for_names(names: &[GeneralName], expected: Option<model::Reason>) {
    asks("tls-server", &Name::write(&[]), &[subject_alt_name(names, false)], expected);
}
fn dns(name: &str) -> GeneralName {
    GeneralName::Dns(name.to_owned())
}
const MISMATCH: Option<model::Reason> = Some(model::Reason::NameMismatch);

#[test]
fn a_name_below_the_domain_is_given() {
    asks_for_names(&[dns("a.internal")], None);
}
#[test]
fn the_registered_name_may_be_asked_for_with_it() {
    asks_for_names(&[dns("a.internal"), GeneralName::Uri("urn:dev:ops:32473-sensor-SN0001".into())], None);
}
#[test]
fn a_common_name_may_repeat_a_name_that_is_given_and_no_other() {
    let asks = |common: &str, expected| {
        let subject = Name::write(&[Attribute { oid: oids::COMMON_NAME, text: common.to_owned() }]);
        asks("tls-server", &subject, &[subject_alt_name(&[dns("a.internal")], false)], expected);
    };
    asks("a.internal", None);
    asks("b.internal", MISMATCH);
    asks("urn:dev:ops:32473-sensor-SN0001", MISMATCH);
}
#[test]
fn another_domain_is_refused() {
    asks_for_names(&[dns("a.example")], MISMATCH);
    asks_for_names(&[dns("a.internal"), dns("a.example")], MISMATCH);
    asks_for_names(&[dns("ainternal")], MISMATCH);
}
#[test]
fn the_domain_itself_is_refused() {
    asks_for_names(&[dns(".internal")], MISMATCH);
    asks_for_names(&[dns("internal")], MISMATCH);
}
#[test]
fn a_wildcard_is_refused() {
    asks_for_names(&[dns("*.internal")], MISMATCH);
}
#[test]
fn capitals_are_refused() {
    asks_for_names(&[dns("A.internal")], MISMATCH);
}
#[test]
fn another_device_is_refused() {
    asks_for_names(&[dns("a.internal"), GeneralName::Uri("urn:dev:ops:32473-sensor-SN0002".into())], MISMATCH);
}
#[test]
fn eight_names_are_given_and_nine_refused() {
    let names: Vec<_> = (0..9).map(|n| dns(&format!("a{n}.internal"))).collect();
    asks_for_names(&names[..8], None);
    asks_for_names(&names, MISMATCH);
}
#[test]
fn a_required_name_that_is_missing_is_refused() {
    asks("tls-server", &Name::write(&[]), &[], MISMATCH);
}
#[test]
fn an_address_outside_of_the_networks_is_refused() {
    let key = Key::new(KeyType::Rsa(2048));
    let root = Ca::root("root", "root", KeyType::P256);
    let issuing = root.below("issuing", &profile("issuing"), KeyType::P256);
    let ask = |octets: [u8; 6]| {
        let names = subject_alt_name(&[GeneralName::Other(octets.to_vec())], false);
        let evidence = request(&key, &Name::write(&[]), &[names]);
        certify(
            &issuing.key,
            &issuing.issuer(),
            &evidence,
            &subject(SubjectKind::Device),
            &profile("opcua-application"),
        )
    };
    assert!(ask([0x87, 4, 10, 0, 0, 1]).is_ok());
    assert_eq!(ask([0x87, 4, 11, 0, 0, 1]).unwrap_err(), model::Reason::NameMismatch.into());
}

fn unit(text: &str) -> Name {
    Name::write(&[Attribute { oid: oids::ORGANIZATIONAL_UNIT, text: text.into() }])
}
fn hash(tag: u8, len: usize) -> Extension {
    Extension::of("1.3.6.1.4.1.32473.1.1".parse().unwrap(), false, |w| {
        w.value(tag, &vec![7; len]);
    })
}

#[test]
fn a_hash_of_32_octets_is_given() {
    asks("service", &unit("updater"), &[hash(4, 32)], None);
}
#[test]
fn a_hash_of_another_length_or_kind_is_refused() {
    let refused = Some(model::Reason::ExtensionNotAllowed);
    asks("service", &unit("updater"), &[hash(4, 31)], refused);
    asks("service", &unit("updater"), &[hash(4, 33)], refused);
    asks("service", &unit("updater"), &[hash(12, 32)], refused);
    asks("service", &unit("updater"), &[], refused);
}
#[test]
fn a_unit_that_is_too_long_or_missing_or_twice_is_refused() {
    asks("service", &unit(&"a".repeat(32)), &[hash(4, 32)], None);
    asks("service", &unit(&"a".repeat(33)), &[hash(4, 32)], MISMATCH);
    asks("service", &unit("a_b"), &[hash(4, 32)], MISMATCH);
    asks("service", &Name::write(&[]), &[hash(4, 32)], MISMATCH);
    let two = ["a", "b"].map(|text| Attribute { oid: oids::ORGANIZATIONAL_UNIT, text: text.into() });
    asks("service", &Name::write(&two), &[hash(4, 32)], MISMATCH);
}
#[test]
fn a_certificate_that_would_have_ended_is_not_issued() {
    let toml = String::from_utf8(support::file("profiles/idevid.toml")).unwrap();
    let ended = support::read_profile("idevid", &toml.replace("99991231235959Z", "20260921141319Z"));
    let root = Ca::root("root", "root", KeyType::P256);
    let factory = root.below("factory", &profile("factory"), KeyType::P256);
    let key = Key::new(KeyType::P256);
    let evidence = request(&key, &Name::write(&[]), &[]);
    // NOW is one second after the end; the beginning is five minutes before it.
    assert_eq!(NOW, UnixTime::from_s(1_790_000_000));
    let refused =
        certify(&factory.key, &factory.issuer(), &evidence, &subject(SubjectKind::Device), &ended).unwrap_err();
    assert_eq!(refused, model::Reason::LintFailed.into());
    assert!(lint::Finding::ALL.contains(&lint::Finding::Ended));
}
