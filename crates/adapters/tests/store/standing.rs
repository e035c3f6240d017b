//! Revoked, on hold, released; what stands on which list; limits of an authority; quarantine.

use crate::support::*;
use model::contract::authority::RevocationReason as R;
use model::{Reason, UnixTime};
use ports::store::AuthorityStore;
use ports::store::authority::{AuthorityLimits, CrlContents, CrlRow, IntentDraft, Standing};

fn ready_with(n: u8) -> (Box_, adapters::store::SqlStore, u64) {
    let b = Box_::new();
    let store = b.open();
    let ca = ready(&store);
    (0..n).for_each(|n| issue(&store, ca, n));
    (b, store, ca)
}
fn revoke(store: &dyn AuthorityStore, n: u8, reason: R, at: UnixTime) -> Result<(), Reason> {
    store.revoke(&serial(n), reason, at).unwrap()
}

#[test]
fn a_hold_is_released_and_may_be_put_again() {
    let (_b, store, ca) = ready_with(2);
    assert_eq!(revoke(&store, 1, R::CertificateHold, NOW), Ok(()));
    assert_eq!(revoke(&store, 1, R::CertificateHold, NOW), Err(Reason::AlreadyRevoked));
    assert_eq!(lines(&store, ca, 0, 0), [serial(1)]);
    assert_eq!(store.release(&serial(1), NOW).unwrap(), Ok(()));
    assert_eq!(store.release(&serial(1), NOW).unwrap(), Err(Reason::NotHeld));
    assert_eq!(lines(&store, ca, 0, 0), []);
    assert_eq!(store.standing(ca, &serial(1)).unwrap(), Standing::Good { not_after: NOW.plus_s(1001) });
    assert_eq!(revoke(&store, 1, R::CertificateHold, NOW), Ok(()));
    assert_eq!(lines(&store, ca, 0, 0), [serial(1)]);
}
#[test]
fn what_is_revoked_is_not_released() {
    let (_b, store, ca) = ready_with(2);
    revoke(&store, 1, R::KeyCompromise, NOW).unwrap();
    assert_eq!(store.release(&serial(1), NOW).unwrap(), Err(Reason::NotHeld));
    assert_eq!(revoke(&store, 1, R::CertificateHold, NOW), Err(Reason::AlreadyRevoked));
    let revoked = Standing::Revoked { at: NOW, reason: R::KeyCompromise };
    assert_eq!(store.standing(ca, &serial(1)).unwrap(), revoked);
}
#[test]
fn a_hold_that_becomes_final_counts_from_the_hold() {
    let (_b, store, ca) = ready_with(2);
    revoke(&store, 1, R::CertificateHold, NOW).unwrap();
    revoke(&store, 1, R::KeyCompromise, NOW.plus_s(60)).unwrap();
    let revoked = Standing::Revoked { at: NOW, reason: R::KeyCompromise };
    assert_eq!(store.standing(ca, &serial(1)).unwrap(), revoked);
    assert_eq!(store.release(&serial(1), NOW).unwrap(), Err(Reason::NotHeld));
}
#[test]
fn what_was_never_issued_is_not_good() {
    let (_b, store, ca) = ready_with(2);
    assert_eq!(store.standing(ca, &serial(9)).unwrap(), Standing::NeverIssued);
    assert_eq!(store.standing(ca + 1, &serial(1)).unwrap(), Standing::NeverIssued, "not by this authority");
    row(one(&store, draft(&store, ca, 3)));
    assert_eq!(store.standing(ca, &serial(3)).unwrap(), Standing::Reserved, "nobody has it yet");
}
#[test]
fn a_list_of_differences_says_what_changed_since() {
    let (_b, store, ca) = ready_with(4);
    revoke(&store, 0, R::KeyCompromise, NOW).unwrap();
    revoke(&store, 1, R::CertificateHold, NOW).unwrap();
    let base = store.revocation_edge().unwrap();
    revoke(&store, 2, R::Superseded, NOW).unwrap();
    store.release(&serial(1), NOW).unwrap().unwrap();
    assert_eq!(lines(&store, ca, 0, base), [serial(2), released(serial(1))]);
    assert_eq!(lines(&store, ca, 0, 0), [serial(0), serial(2)], "a whole list names no released ones");
}
#[test]
fn a_list_is_of_one_moment() {
    let (_b, store, ca) = ready_with(4);
    revoke(&store, 1, R::CertificateHold, NOW).unwrap();
    let edge = store.revocation_edge().unwrap();
    store.release(&serial(1), NOW).unwrap().unwrap();
    revoke(&store, 2, R::Superseded, NOW).unwrap();
    let contents = CrlContents { scope: scope(ca, 0), edge, behind: 0, expired_before: UnixTime::from_s(0) };
    assert_eq!(store.crl_lines(&contents, 0, 9).unwrap().len(), 1, "the hold, as it stood then");
}
#[test]
fn the_shards_together_are_the_whole() {
    let (_b, store, ca) = ready_with(6);
    (0..5).for_each(|n| revoke(&store, n, R::Superseded, NOW).unwrap());
    let (mut first, second) = (lines(&store, ca, 1, 0), lines(&store, ca, 2, 0));
    assert_eq!((first.len(), second.len()), (3, 2));
    first.extend(second);
    first.sort_unstable();
    assert_eq!(first, lines(&store, ca, 0, 0));
}
#[test]
fn an_entry_leaves_when_its_certificate_expired_before_the_last_list() {
    let (_b, store, ca) = ready_with(3);
    (0..3).for_each(|n| revoke(&store, n, R::Superseded, NOW).unwrap());
    let edge = store.revocation_edge().unwrap();
    let count = |expired_before| {
        let contents = CrlContents { scope: scope(ca, 0), edge, behind: 0, expired_before };
        store.crl_lines(&contents, 0, 9).unwrap().len()
    };
    assert_eq!(count(NOW.plus_s(1001)), 2, "one that expires at this very second stands on it once more");
    assert_eq!(count(NOW.plus_s(1002)), 1);
}
#[test]
fn the_last_list_of_a_scope_is_found() {
    let (_b, store, ca) = ready_with(1);
    let ca = store.authorities().unwrap().into_iter().find(|row| row.id == ca).unwrap();
    let put = |number, shard, base| {
        store.intend_crl(&ca, number, digest(1), NOW).unwrap().unwrap();
        store.record_crl(&ca, CrlRow { scope: scope(ca.id, shard), base, ..list(ca.id, number) }).unwrap();
    };
    put(1, 0, None);
    put(2, 1, None);
    put(3, 0, Some(1));
    let last = |shard, delta| store.crl(scope(ca.id, shard), delta).unwrap().map(|row| row.number);
    assert_eq!((last(0, false), last(1, false), last(0, true), last(1, true)), (Some(1), Some(2), Some(3), None));
}
#[test]
fn an_authority_issues_no_more_than_its_quota() {
    let (_b, store, ca) = ready_with(1);
    let authority = store.authorities().unwrap().remove(0);
    store.limit(&authority, AuthorityLimits { quota: Some(2), ..Default::default() }, NOW).unwrap();
    issue(&store, ca, 1);
    row(one(&store, draft(&store, ca, 2)));
    refused(one(&store, draft(&store, ca, 3)), Reason::AuthoritySpent);
    assert_eq!(grant(&store, 3).used, 0, "the grant is free");
    store.limit(&authority, AuthorityLimits { quota: Some(1), ..Default::default() }, NOW).unwrap();
    row(one(&store, draft(&store, ca, 3)));
}
#[test]
fn an_authority_issues_until_its_end() {
    let (_b, store, ca) = ready_with(1);
    let authority = store.authorities().unwrap().remove(0);
    store.limit(&authority, AuthorityLimits { ends: Some(NOW), ..Default::default() }, NOW).unwrap();
    row(one(&store, draft(&store, ca, 1)));
    refused(one(&store, IntentDraft { at: NOW.plus_ms(1), ..draft(&store, ca, 2) }), Reason::AuthorityEnded);
}
#[test]
fn what_is_in_quarantine_signs_nothing() {
    let (b, store, ca) = ready_with(1);
    drop(store);
    b.sql("INSERT INTO counter (name, value) VALUES ('quarantine', 1)");
    let store = b.open();
    assert!(store.is_quarantined().unwrap());
    refused(one(&store, draft(&store, ca, 1)), Reason::Quarantined);
    let authority = store.authorities().unwrap().remove(0);
    assert_eq!(store.intend_crl(&authority, 1, digest(1), NOW).unwrap(), Err(Reason::Quarantined));
    store.end_quarantine("a, b", &["signed".to_owned()], NOW).unwrap();
    assert!(!store.is_quarantined().unwrap());
    row(one(&store, draft(&store, ca, 1)));
}
