//! Roots that follow: what one that is believed vouches for, and what it does not.
#![allow(
    missing_docs,
    unreachable_pub,
    dead_code,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "what cannot go on here has failed"
)]

mod pki;

use model::UnixTime;
use pki::{Key, named, serial};
use std::sync::LazyLock;
use wire::cmp::client::{BadRoot, RootKeyUpdate};
use wire::cmp::server::{RootUpdate, write_root_update};
use x509::certificate::TbsCertificate;
use x509::extension::{BasicConstraints, KeyUsage};
use x509::path::PathFault;
use x509::weak::Weakness;
use x509::{Certificate, Extension, KeyType, PublicKey, csr};

const DAY: u64 = 86_400;
const NOW: UnixTime = UnixTime::from_s(1_790_000_000);
const ROOT: &str = "Root";

/// What is certified, right unless a test changes it.
#[derive(Clone)]
struct Spec<'a> {
    by: &'a Key,
    issuer: &'a str,
    subject: &'a str,
    key: &'a PublicKey,
    begin: UnixTime,
    end: UnixTime,
    extensions: Vec<Extension>,
}

impl<'a> Spec<'a> {
    fn new(by: &'a Key, key: &'a PublicKey) -> Self {
        let extensions = vec![ca(true), (KeyUsage::KEY_CERT_SIGN.with(KeyUsage::CRL_SIGN)).extension()];
        let (begin, end) = (NOW.minus_s(DAY), NOW.plus_s(DAY));
        Self { by, issuer: ROOT, subject: ROOT, key, begin, end, extensions }
    }
    fn der(&self) -> Vec<u8> {
        let tbs = TbsCertificate {
            serial_number: serial("01"),
            signature: self.by.algorithm(),
            issuer: named(self.issuer),
            not_before: self.begin,
            not_after: self.end,
            subject: named(self.subject),
            subject_public_key: self.key.clone(),
            extensions: self.extensions.clone(),
        }
        .write();
        csr::write_signed(&tbs, self.by.algorithm(), &self.by.sign(&tbs))
    }
    fn made(&self) -> Certificate {
        Certificate::decode(&self.der()).unwrap()
    }
}

fn ca(ca: bool) -> Extension {
    BasicConstraints { ca, path_len: None }.extension()
}

struct Keys {
    old: Key,
    new: Key,
    other: Key,
}
static KEYS: LazyLock<Keys> = LazyLock::new(|| {
    let [old, new, other] = [KeyType::P256, KeyType::P384, KeyType::P256].map(Key::generate);
    Keys { old, new, other }
});

/// An old root and what is said to follow it, right unless a test changes it.
struct Case {
    old: Spec<'static>,
    new: Spec<'static>,
    link: Option<Spec<'static>>,
    back: Option<Spec<'static>>,
}

impl Case {
    fn new() -> Self {
        let Keys { old, new, .. } = &*KEYS;
        Self {
            old: Spec { begin: NOW.minus_s(2 * DAY), ..Spec::new(old, &old.public) },
            new: Spec::new(new, &new.public),
            link: Some(Spec::new(old, &new.public)),
            back: Some(Spec::new(new, &old.public)),
        }
    }
    fn link(&mut self) -> &mut Spec<'static> {
        self.link.as_mut().unwrap()
    }
    fn update(&self) -> RootKeyUpdate {
        RootKeyUpdate {
            new_with_new: self.new.made(),
            new_with_old: self.link.as_ref().map(Spec::made),
            old_with_new: self.back.as_ref().map(Spec::made),
        }
    }
}

#[track_caller]
fn check(change: impl FnOnce(&mut Case), expected: Result<(), BadRoot>) {
    let mut case = Case::new();
    change(&mut case);
    let update = case.update();
    let verified = update.clone().verify(&case.old.made(), NOW);
    if let Ok(new) = &verified {
        assert_eq!(
            (new.new_with_new(), Some(new.new_with_old())),
            (&update.new_with_new, update.new_with_old.as_ref())
        );
    }
    assert_eq!(verified.map(|_| ()), expected);
}

#[test]
fn one_that_the_old_root_vouches_for() {
    check(|_| (), Ok(()));
    check(|c| c.back = None, Ok(()));
}
#[test]
fn one_with_another_name() {
    let renamed = |c: &mut Case| {
        (c.new.issuer, c.new.subject, c.link().subject, c.back.as_mut().unwrap().issuer) = ("B", "B", "B", "B");
    };
    check(renamed, Ok(()));
}
#[test]
fn the_old_one_again_or_its_key() {
    check(|c| c.new = Spec::new(&KEYS.old, &KEYS.old.public), Err(BadRoot::SameKey));
    check(
        |c| c.new = Spec { subject: "B", issuer: "B", ..Spec::new(&KEYS.old, &KEYS.old.public) },
        Err(BadRoot::SameKey),
    );
}
#[test]
fn one_that_is_no_newer() {
    check(|c| c.new.begin = c.old.begin.plus_s(1), Ok(()));
    check(|c| c.new.begin = c.old.begin, Err(BadRoot::Older));
}
#[test]
fn a_weak_key() {
    // The first example of RFC 8032: everybody can sign with it.
    let key = "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a";
    let key = PublicKey::from_bits(KeyType::Ed25519, &model::octets::from_hex(key).unwrap()).unwrap();
    let key: &'static PublicKey = Box::leak(Box::new(key));
    check(|c| c.new.key = key, Err(BadRoot::Weak(Weakness::Published)));
}
#[test]
fn a_new_root_that_does_not_hold_now() {
    let new = |fault| Err(BadRoot::NewWithNew(fault));
    check(|c| c.new.begin = NOW, Ok(()));
    check(|c| c.new.begin = NOW.plus_s(1), new(PathFault::NotYetValid));
    check(|c| c.new.end = NOW, Ok(()));
    check(|c| c.new.end = NOW.minus_s(1), new(PathFault::Expired));
}
#[test]
fn a_new_root_that_did_not_sign_itself() {
    check(|c| c.new.by = &KEYS.other, Err(BadRoot::NewWithNew(PathFault::BadSignature)));
    check(|c| c.new.by = &KEYS.old, Err(BadRoot::NewWithNew(PathFault::BadSignature)));
    check(|c| c.new.issuer = "B", Err(BadRoot::NewWithNew(PathFault::NoIssuer)));
}
#[test]
fn a_new_root_that_may_not_issue() {
    let new = |fault| Err(BadRoot::NewWithNew(fault));
    check(|c| c.new.extensions = vec![ca(false)], new(PathFault::NotAuthority));
    check(|c| c.new.extensions = vec![KeyUsage::KEY_CERT_SIGN.extension()], new(PathFault::NotAuthority));
    check(|c| c.new.extensions = vec![ca(true), KeyUsage::CRL_SIGN.extension()], new(PathFault::MayNotSign));
}
#[test]
fn nothing_that_the_old_root_signed() {
    check(|c| c.link = None, Err(BadRoot::NoNewWithOld));
}
#[test]
fn a_link_to_another_key() {
    check(|c| c.link().key = &KEYS.other.public, Err(BadRoot::OtherKey));
    check(|c| c.link().key = &KEYS.old.public, Err(BadRoot::OtherKey));
}
#[test]
fn a_link_to_another_name() {
    check(|c| c.link().subject = "B", Err(BadRoot::OtherName));
}
#[test]
fn a_link_that_the_old_root_did_not_sign() {
    check(|c| c.link().by = &KEYS.other, Err(BadRoot::NewWithOld(PathFault::BadSignature)));
    check(|c| c.link().by = &KEYS.new, Err(BadRoot::NewWithOld(PathFault::BadSignature)));
    check(|c| c.link().issuer = "B", Err(BadRoot::NewWithOld(PathFault::BadSignature)));
}
#[test]
fn a_link_that_does_not_hold_now() {
    let link = |fault| Err(BadRoot::NewWithOld(fault));
    check(|c| c.link().begin = NOW.plus_s(1), link(PathFault::NotYetValid));
    check(|c| c.link().end = NOW, Ok(()));
    check(|c| c.link().end = NOW.minus_s(1), link(PathFault::Expired));
}
#[test]
fn a_link_that_may_not_issue() {
    let link = |fault| Err(BadRoot::NewWithOld(fault));
    check(|c| c.link().extensions = vec![ca(false)], link(PathFault::NotAuthority));
    check(|c| c.link().extensions = vec![KeyUsage::KEY_CERT_SIGN.extension()], link(PathFault::NotAuthority));
    check(|c| c.link().extensions = vec![ca(true), KeyUsage::CRL_SIGN.extension()], link(PathFault::MayNotSign));
}
#[test]
fn an_old_root_that_has_expired() {
    check(|c| c.old.end = NOW, Ok(()));
    check(|c| c.old.end = NOW.minus_s(1), Err(BadRoot::NewWithOld(PathFault::Expired)));
}
#[test]
fn an_old_root_that_the_new_one_does_not_vouch_for() {
    let back = |change: fn(&mut Spec<'static>)| check(|c| change(c.back.as_mut().unwrap()), Err(BadRoot::OldWithNew));
    back(|back| back.by = &KEYS.old);
    back(|back| back.by = &KEYS.other);
    back(|back| back.key = &KEYS.other.public);
    back(|back| back.subject = "B");
    back(|back| back.issuer = "B");
}

/// What the server writes of these.
fn written(update: &RootKeyUpdate) -> Vec<u8> {
    write_root_update(&RootUpdate {
        new_with_new: update.new_with_new.der(),
        new_with_old: update.new_with_old.as_ref().map(Certificate::der),
        old_with_new: update.old_with_new.as_ref().map(Certificate::der),
    })
}
#[track_caller]
fn decodes(change: impl FnOnce(&mut Vec<u8>), expected: bool) {
    let update = Case::new().update();
    let mut der = written(&update);
    change(&mut der);
    assert_eq!(RootKeyUpdate::decode(&der).is_ok_and(|read| read == update), expected);
}
#[test]
fn what_the_server_writes_is_read() {
    decodes(|_| (), true);
    for (link, back) in [(false, false), (true, false), (false, true)] {
        let mut update = Case::new().update();
        update.new_with_old = update.new_with_old.filter(|_| link);
        update.old_with_new = update.old_with_new.filter(|_| back);
        assert_eq!(RootKeyUpdate::decode(&written(&update)), Ok(update));
    }
}
#[test]
fn what_is_no_update_is_not_read() {
    decodes(|der| der.push(0), false);
    decodes(|der| der.truncate(der.len() - 1), false);
    decodes(|der| der.truncate(0), false);
    decodes(|der| *der = vec![0x30, 0], false);
    decodes(|der| *der = vec![0x30, 2, 0x30, 0], false);
}
#[test]
fn certificates_so_long_and_no_longer() {
    let read = |len: usize| {
        let padding = Extension { oid: x509::oids::SUBJECT_ALT_NAME, critical: false, value: vec![0; len] };
        let mut case = Case::new();
        case.new.extensions.push(padding);
        let new_with_new = &case.new.der();
        let update = RootUpdate { new_with_new, new_with_old: None, old_with_new: None };
        RootKeyUpdate::decode(&write_root_update(&update)).is_ok()
    };
    assert!(read(32_000) && !read(33_000));
}
#[test]
fn three_certificates_and_no_more() {
    let der = Case::new().new.der();
    let read = |explicit: &[u8]| {
        let mut w = x509::Writer::default();
        w.sequence(|w| {
            w.raw(&der);
            for n in explicit {
                w.explicit(*n, |w| {
                    w.raw(&der);
                });
            }
        });
        RootKeyUpdate::decode(&w.finish()).is_ok()
    };
    assert!(read(&[]) && read(&[0]) && read(&[1]) && read(&[0, 1]));
    assert!(!read(&[1, 0]) && !read(&[0, 0]) && !read(&[0, 1, 1]) && !read(&[0, 1, 2]) && !read(&[2]));
}

/// The roots that are meant among certificates in an order that says nothing, and which of them the old root vouches for.
#[track_caller]
fn among(certificates: &[Certificate], old: &Certificate, expected: &[(&Certificate, bool)]) {
    for backwards in [false, true] {
        let mut list = certificates.to_vec();
        if backwards {
            list.reverse();
        }
        let found = RootKeyUpdate::among(&list, old);
        assert_eq!(found.len(), expected.len());
        for (new, is_good) in expected {
            let update = found.iter().find(|update| update.new_with_new == **new).expect("it is meant");
            assert_eq!(update.clone().verify(old, NOW).is_ok(), *is_good);
        }
    }
}
#[test]
fn what_certificates_of_authorities_say() {
    let case = Case::new();
    let (old, update) = (case.old.made(), case.update());
    let (new, link, back) = (update.new_with_new, update.new_with_old.unwrap(), update.old_with_new.unwrap());
    among(&[], &old, &[]);
    among(std::slice::from_ref(&old), &old, &[]);
    among(&[old.clone(), new.clone(), link.clone(), back.clone()], &old, &[(&new, true)]);
    // Nobody but the new root itself says that it follows.
    among(&[old.clone(), new.clone()], &old, &[(&new, false)]);
    // Another root vouches for it, too.
    let strange = Spec { issuer: "B", ..Spec::new(&KEYS.other, &KEYS.new.public) }.made();
    among(&[strange.clone(), new.clone(), link.clone()], &old, &[(&new, true)]);
    among(&[strange, new.clone()], &old, &[(&new, false)]);
    // One that has nothing to do with it.
    let other = Spec { issuer: "B", subject: "B", ..Spec::new(&KEYS.other, &KEYS.other.public) }.made();
    among(&[other, new.clone(), link.clone()], &old, &[(&new, true)]);
    // For the new root the old one does not follow, although it vouches for that.
    among(&[old, new.clone(), link, back], &new, &[]);
}
