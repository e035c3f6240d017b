//! Requests that wait for operators; authorities that come and go.

use crate::support::*;
use model::{Entity, Reason, UnixTime};
use ports::store::AuthorityStore;
use ports::store::authority::{Approval, ApprovalDraft, AuthorityLimits, PendingDraft, Replacement};

fn wanted(n: u8) -> PendingDraft {
    PendingDraft {
        transaction_id: transaction(n),
        requester: station(),
        subject: Entity::Authority("sub".parse().unwrap()),
        profile: "factory".parse().unwrap(),
        request: digest(n),
        needed: 2,
        at: NOW,
        until: NOW.plus_s(60),
    }
}
fn say(store: &dyn AuthorityStore, operator: &str, approved: bool) -> Result<(), Reason> {
    let pending = store.requests_waiting(NOW).unwrap()[0].id;
    let (operator, statement) = (operator.to_owned(), "signed".to_owned());
    store.approve(&ApprovalDraft { pending, operator, statement, approved, at: NOW }).unwrap()
}

#[test]
fn as_many_operators_as_are_needed() {
    let b = Box_::new();
    let store = b.open();
    let ask = || store.await_approval(&wanted(1), 9).unwrap();
    assert_eq!((ask(), ask()), (Approval::Awaited, Approval::Awaited));
    assert_eq!(say(&store, "ann", true), Ok(()));
    assert_eq!(ask(), Approval::Awaited);
    assert_eq!(say(&store, "ann", true), Err(Reason::TransactionClosed), "nobody counts twice");
    assert_eq!(say(&store, "bob", true), Ok(()));
    assert_eq!(ask(), Approval::Given);
    let row = store.requests_waiting(NOW).unwrap().remove(0);
    assert_eq!((row.approved, row.denied), (vec!["ann".to_owned(), "bob".to_owned()], vec![]));
}
#[test]
fn one_no_is_enough() {
    let b = Box_::new();
    let store = b.open();
    store.await_approval(&wanted(1), 9).unwrap();
    for (operator, approved) in [("ann", true), ("bob", false), ("cy", true)] {
        say(&store, operator, approved).unwrap();
    }
    assert_eq!(store.await_approval(&wanted(1), 9).unwrap(), Approval::Refused(Reason::ApprovalDenied));
}
#[test]
fn an_approval_is_for_one_request() {
    let b = Box_::new();
    let store = b.open();
    store.await_approval(&wanted(1), 9).unwrap();
    say(&store, "ann", true).unwrap();
    say(&store, "bob", true).unwrap();
    let other = PendingDraft { request: digest(9), ..wanted(1) };
    assert_eq!(store.await_approval(&other, 9).unwrap(), Approval::Refused(Reason::TransactionConflict));
}
#[test]
fn a_request_waits_until_its_last_moment() {
    let b = Box_::new();
    let store = b.open();
    let at = |at: UnixTime| store.await_approval(&PendingDraft { at, ..wanted(1) }, 9).unwrap();
    assert_eq!(at(NOW), Approval::Awaited);
    assert_eq!(at(NOW.plus_s(60)), Approval::Awaited);
    assert_eq!(at(NOW.plus_ms(60_001)), Approval::Refused(Reason::TransactionClosed));
    assert!(store.requests_waiting(NOW.plus_ms(60_001)).unwrap().is_empty());
}
#[test]
fn a_requester_has_so_many_requests_waiting() {
    let b = Box_::new();
    let store = b.open();
    assert_eq!(store.await_approval(&wanted(1), 1).unwrap(), Approval::Awaited);
    assert_eq!(store.await_approval(&wanted(2), 1).unwrap(), Approval::Refused(Reason::RateExceeded));
    assert_eq!(store.await_approval(&wanted(1), 1).unwrap(), Approval::Awaited, "what waits goes on waiting");
}
#[test]
fn an_authority_takes_the_place_of_another() {
    let b = Box_::new();
    let store = b.open();
    let (root, profile) = ("root".parse().unwrap(), "root".parse().unwrap());
    let file = |name: &str| ports::keystore::KeyUri(format!("file:{name}"));
    let old = store.begin_authority(&root, &file("root"), None, &profile, NOW).unwrap().unwrap();
    store.complete_authority(old, b"old", digest(1), NOW).unwrap();
    let sub = "sub".parse().unwrap();
    store.import_authority(&sub, Some(&root), b"sub", digest(3), NOW).unwrap().unwrap();
    assert_eq!(store.import_authority(&sub, None, b"x", digest(3), NOW).unwrap(), Err(Reason::NameTaken));
    let row = store.authorities().unwrap().remove(0);
    store.limit(&row, AuthorityLimits { quota: Some(4), ..Default::default() }, NOW).unwrap();
    store.intend_crl(&row, 7, digest(1), NOW).unwrap().unwrap();
    let next = "root-next".parse().unwrap();
    let new = store.begin_authority(&next, &file("root-g2"), None, &profile, NOW).unwrap().unwrap();
    let replacement = Replacement {
        old,
        renamed: "root-1".parse().unwrap(),
        new,
        certificate: b"new".to_vec(),
        key: digest(2),
        links: vec![b"old with new".to_vec(), b"new with old".to_vec()],
    };
    store.replace_authority(&replacement, NOW).unwrap();
    assert!(store.replace_authority(&replacement, NOW).is_err(), "once");
    let rows = store.authorities().unwrap();
    let shown: Vec<_> = rows.iter().map(|r| (r.name.as_str(), r.retired, r.certificate.as_slice())).collect();
    assert_eq!(shown, [("root-1", true, &b"old"[..]), ("sub", false, b"sub"), ("root", false, b"new")]);
    assert_eq!(rows[1].issuer.as_ref().map(|n| n.as_str()), Some("root-1"), "what the old key issued names it");
    assert_eq!(rows[2].limits.quota, Some(4));
    assert_eq!(store.links(new).unwrap(), [b"old with new".to_vec(), b"new with old".to_vec()]);
    assert_eq!((store.next_crl_number(old).unwrap(), store.next_crl_number(new).unwrap()), (8, 1));
}
