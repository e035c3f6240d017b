//! Certificates: whose key speaks for whom, and from when to when.

use crate::support::{ALICE, AUTHORITY, Certified, NOW, STRANGER, home, key, uris};
use model::{Module, OperatorName, UnixTime};
use ports::directory::BadEntry;
use ports::jws::key_id;
use ports::{Caller, Directory, Signer};
use x509::extension::{BasicConstraints, GeneralName, KeyUsage, extended_key_usage, subject_alt_name};
use x509::{Extension, KeyType, PublicKey, oids};

const HOLDER: &str = "module:identity:box";

fn kid(key_of: u8) -> String {
    key_id(key(key_of).public_key())
}
fn module(directory: &Directory, key_of: u8, now: UnixTime) -> Option<String> {
    directory.module(&kid(key_of), now).map(|(_, caller)| caller.to_string())
}
fn operator(directory: &Directory, key_of: u8, now: UnixTime) -> Option<OperatorName> {
    directory.operator(&kid(key_of), now).map(|(_, name)| name)
}

/// A certificate that is right but for one thing. Refused, it speaks for nobody.
#[track_caller]
fn check(wrong: impl FnOnce(&mut Certified), expected: Result<(), BadEntry>) {
    check_under(|_| {}, wrong, expected);
}

/// The same, under an authority that is right but for one thing.
#[track_caller]
fn check_under(
    authority: impl FnOnce(&mut Certified),
    wrong: impl FnOnce(&mut Certified),
    expected: Result<(), BadEntry>,
) {
    let (mut issuer, mut certified) = (Certified::authority(), Certified::of(HOLDER, home(Module::Identity)));
    authority(&mut issuer);
    wrong(&mut certified);
    let mut directory = Directory::default();
    assert_eq!(directory.add(&certified.issue(), &issuer.issue(), NOW), expected);
    let speaks = directory.module(&key_id(&certified.key), NOW).is_some();
    assert_eq!(speaks, expected.is_ok());
}

#[test]
fn a_module_speaks_with_its_key() {
    check(|_| {}, Ok(()));
    let mut directory = Directory::default();
    let certificate = Certified::of(HOLDER, home(Module::Identity)).issue();
    directory.add(&certificate, &Certified::authority().issue(), NOW).unwrap();
    let (found, caller) = directory.module(&kid(home(Module::Identity)), NOW).unwrap();
    assert_eq!(found.as_ref(), key(home(Module::Identity)).public_key());
    assert_eq!(caller, Caller { module: Module::Identity, instance: "box".parse().unwrap() });
}

// ---- Whose word it is ----

#[test]
fn another_authority() {
    check(|c| c.issuer = STRANGER, Err(BadEntry::NotOurs));
}
#[test]
fn another_name_of_the_authority() {
    check(|c| c.issuer_name = "others", Err(BadEntry::NotOurs));
}
#[test]
fn an_authority_that_is_none() {
    check_under(|a| drop(a.extensions.remove(0)), |_| {}, Err(BadEntry::NotOurs));
    check_under(|a| a.extensions = Certified::of("x", AUTHORITY).extensions, |_| {}, Err(BadEntry::NotOurs));
}
#[test]
fn an_authority_that_has_ended() {
    check_under(|a| a.not_after = NOW.minus_s(1), |_| {}, Err(BadEntry::NotOurs));
    check_under(|a| a.not_after = NOW, |_| {}, Ok(()));
}
#[test]
fn an_authority_that_has_not_begun() {
    check_under(|a| a.not_before = NOW.plus_s(1), |_| {}, Err(BadEntry::NotOurs));
    check_under(|a| a.not_before = NOW, |_| {}, Ok(()));
}
#[test]
fn a_certificate_that_has_ended() {
    check(|c| c.not_after = NOW.minus_s(1), Err(BadEntry::NotOurs));
    check(|c| c.not_after = NOW, Ok(()));
}
#[test]
fn a_certificate_that_has_not_begun() {
    check(|c| c.not_before = NOW.plus_s(1), Err(BadEntry::NotOurs));
    check(|c| c.not_before = NOW, Ok(()));
}

// ---- Whom it names ----

fn named(uri: &str) -> impl FnOnce(&mut Certified) {
    let names = uris(&[uri]);
    move |c| {
        c.extensions.pop();
        c.extensions.push(names);
    }
}

#[test]
fn no_name_at_all() {
    check(|c| drop(c.extensions.pop()), Err(BadEntry::Nameless));
}
#[test]
fn a_name_of_another_scheme() {
    check(named("module:identity:box"), Err(BadEntry::Nameless));
    check(named("CRADLE:module:identity:box"), Err(BadEntry::Nameless));
}
#[test]
fn a_module_that_does_not_exist() {
    check(named("cradle:module:mallory:box"), Err(BadEntry::Nameless));
    check(named("cradle:module:identity"), Err(BadEntry::Nameless));
    check(named("cradle:module:identity:box\n"), Err(BadEntry::Nameless));
}
#[test]
fn two_names() {
    let two = uris(&["cradle:module:identity:box", "cradle:module:supervisor:box"]);
    let name = |c: &mut Certified| *c.extensions.last_mut().unwrap() = two;
    check(name, Err(BadEntry::Nameless));
}
#[test]
fn another_name_beside_ours() {
    let names = [GeneralName::Dns("box.example".into()), GeneralName::Uri("cradle:module:identity:box".into())];
    check(|c| *c.extensions.last_mut().unwrap() = subject_alt_name(&names, true), Ok(()));
}
#[test]
fn a_name_in_the_subject_only() {
    let name = |c: &mut Certified| {
        c.name = "cradle:module:identity:box".to_owned();
        c.extensions.pop();
    };
    check(name, Err(BadEntry::Nameless));
}

// ---- What it is for ----

fn with(extension: Extension) -> impl FnOnce(&mut Certified) {
    move |c| c.extensions.push(extension)
}

#[test]
fn a_key_that_may_not_sign() {
    check(|c| drop(c.extensions.remove(0)), Err(BadEntry::NotForMessages));
    check(|c| c.extensions[0] = KeyUsage::KEY_AGREEMENT.extension(), Err(BadEntry::NotForMessages));
}
#[test]
fn an_authority_does_not_speak_itself() {
    check(with(BasicConstraints { ca: true, path_len: None }.extension()), Err(BadEntry::NotForMessages));
    check(with(BasicConstraints { ca: false, path_len: None }.extension()), Ok(()));
}
#[test]
fn a_certificate_for_something_else() {
    check(with(extended_key_usage(&[oids::SERVER_AUTH])), Err(BadEntry::NotForMessages));
}
#[test]
fn something_critical_that_is_unknown() {
    let mut unknown = extended_key_usage(&[oids::SERVER_AUTH]);
    (unknown.oid, unknown.critical) = (oids::COMMON_NAME, true);
    check(with(unknown.clone()), Err(BadEntry::NotForMessages));
    check(with(Extension { critical: false, ..unknown }), Ok(()));
}
#[test]
fn a_key_of_another_type() {
    // The base point of P-256, as an uncompressed point. Source: SEC 2 §2.4.2.
    let point = concat!(
        "046b17d1f2e12c4247f8bce6e563a440f277037d812deb33a0f4a13945d898c296",
        "4fe342e2fe1a7f9b8ee7eb4a7c0f9e162bce33576b315ececbb6406837bf51f5"
    );
    let p256 = PublicKey::from_bits(KeyType::P256, &model::octets::from_hex(point).unwrap()).unwrap();
    check(|c| c.key = p256, Err(BadEntry::NotForMessages));
}

// ---- From when to when ----

/// Whether a key speaks at a time, with a certificate and an authority that are valid so long.
#[track_caller]
fn check_at(certified_s: [u64; 2], authority_s: [u64; 2], now: UnixTime, expected: bool) {
    let (mut issuer, mut certified) = (Certified::authority(), Certified::of(HOLDER, home(Module::Identity)));
    let times = |[from, to]: [u64; 2]| (UnixTime::from_s(from), UnixTime::from_s(to));
    (issuer.not_before, issuer.not_after) = times(authority_s);
    (certified.not_before, certified.not_after) = times(certified_s);
    let mut directory = Directory::default();
    directory.add(&certified.issue(), &issuer.issue(), UnixTime::from_s(150)).unwrap();
    assert_eq!(module(&directory, home(Module::Identity), now).is_some(), expected);
}

#[test]
fn the_first_and_the_last_second() {
    check_at([100, 200], [0, 900], UnixTime::from_s(100), true);
    check_at([100, 200], [0, 900], UnixTime::from_ms(200_999), true);
}
#[test]
fn the_moments_before_and_after() {
    check_at([100, 200], [0, 900], UnixTime::from_ms(99_999), false);
    check_at([100, 200], [0, 900], UnixTime::from_s(201), false);
}
#[test]
fn nobody_speaks_for_longer_than_who_vouches_for_him() {
    check_at([0, 900], [100, 200], UnixTime::from_s(200), true);
    check_at([0, 900], [100, 200], UnixTime::from_s(201), false);
    check_at([0, 900], [100, 200], UnixTime::from_ms(99_999), false);
}

// ---- Who is not whom ----

/// Adds certificates for one key; the results, and for whom it speaks then.
#[track_caller]
fn check_holders(holders: &[(&str, u64)], results: &[Result<(), BadEntry>], speaks_until_s: Option<u64>) {
    let mut directory = Directory::default();
    let add = |(holder, until_s): &(&str, u64)| {
        let certified = Certified { not_after: UnixTime::from_s(*until_s), ..Certified::of(holder, ALICE) };
        directory.add(&certified.issue(), &Certified::authority().issue(), NOW)
    };
    assert_eq!(holders.iter().map(add).collect::<Vec<_>>(), results);
    let speaks = |s| {
        let now = UnixTime::from_s(s);
        module(&directory, ALICE, now).is_some() || operator(&directory, ALICE, now).is_some()
    };
    assert_eq!(speaks(NOW.s()), speaks_until_s.is_some());
    if let Some(until_s) = speaks_until_s {
        assert!(speaks(until_s) && !speaks(until_s + 1));
    }
}
const TAKEN: Result<(), BadEntry> = Err(BadEntry::KeyTaken);

#[test]
fn an_operator_is_no_module_and_a_module_no_operator() {
    let mut directory = Directory::default();
    let authority = Certified::authority().issue();
    directory.add(&Certified::of("operator:alice", ALICE).issue(), &authority, NOW).unwrap();
    directory.add(&Certified::of(HOLDER, home(Module::Identity)).issue(), &authority, NOW).unwrap();
    assert_eq!((module(&directory, ALICE, NOW), operator(&directory, home(Module::Identity), NOW)), (None, None));
    assert_eq!(operator(&directory, ALICE, NOW).unwrap().as_str(), "alice");
}
#[test]
fn a_device_or_an_authority_is_neither() {
    for holder in ["urn:dev:ops:32473-sensor-SN0001", "authority:modules"] {
        check_holders(&[(holder, 1_500_000)], &[Ok(())], None);
    }
}
#[test]
fn a_key_that_two_hold_speaks_for_neither() {
    let (alice, module) = (("operator:alice", 1_500_000), ("module:supervisor:box", 1_500_000));
    check_holders(&[alice, module], &[Ok(()), TAKEN], None);
    check_holders(&[module, alice], &[Ok(()), TAKEN], None);
    check_holders(&[alice, module, alice], &[Ok(()), TAKEN, TAKEN], None);
    check_holders(&[("module:identity:box", 1_500_000), ("module:identity:other", 1_500_000)], &[Ok(()), TAKEN], None);
}
#[test]
fn a_renewed_certificate_counts_in_whatever_order() {
    let (old, new) = (("operator:alice", 1_500_000), ("operator:alice", 1_700_000));
    check_holders(&[old, new], &[Ok(()), Ok(())], Some(1_700_000));
    check_holders(&[new, old], &[Ok(()), Ok(())], Some(1_700_000));
}

// ---- Who is no more ----

#[test]
fn a_removed_key_speaks_no_more() {
    let mut directory = Directory::default();
    let authority = Certified::authority().issue();
    directory.add(&Certified::of(HOLDER, home(Module::Identity)).issue(), &authority, NOW).unwrap();
    directory.remove(key(home(Module::Identity)).public_key());
    assert_eq!(module(&directory, home(Module::Identity), NOW), None);
}
#[test]
fn a_replaced_directory_knows_only_the_new_ones() {
    let (mut directory, mut newer) = (Directory::default(), Directory::default());
    let authority = Certified::authority().issue();
    directory.add(&Certified::of(HOLDER, home(Module::Identity)).issue(), &authority, NOW).unwrap();
    newer.add(&Certified::of(HOLDER, STRANGER).issue(), &authority, NOW).unwrap();
    let shared = &directory;
    shared.replace(newer);
    assert_eq!(module(shared, home(Module::Identity), NOW), None);
    assert_eq!(module(shared, STRANGER, NOW).as_deref(), Some("identity:box"));
}
