//! What km relies on: grants, intents, records, revocations, lists, authorities; and the opening itself.

use crate::support::*;
use adapters::store::SqlStore;
use adapters::store::sql::OpenFault;
use model::audit::{Entry, Event};
use model::contract::authority::{RevocationReason, Verdict};
use model::{Digest, Module, Reason, UnixTime};
use ports::directory::Caller;
use ports::keystore::KeyUri;
use ports::store::authority::{CertificateFilter, IntentDraft, IntentOutcome};
use ports::store::{AuditSink, AuthorityStore};

#[test]
fn a_grant_is_reserved_with_the_intent_and_spent_with_the_record() {
    let b = Box_::new();
    let store = b.open();
    let ca = ready(&store);
    let intent = row(one(&store, draft(&store, ca, 1)));
    assert_eq!(grant(&store, 1).used, 1);
    assert!(record(&store, intent, 1));
    assert_eq!(grant(&store, 1).used, 1);
    assert!(!record(&store, intent, 1), "an intent is completed once");
}
#[test]
fn a_grant_is_used_once_even_within_one_batch() {
    let b = Box_::new();
    let store = b.open();
    let ca = ready(&store);
    let first = draft(&store, ca, 1);
    let second = IntentDraft { transaction_id: transaction(2), serial: serial(2), ..first.clone() };
    let mut outcomes = store.intend(vec![first, second]).unwrap();
    refused(outcomes.pop().unwrap(), Reason::GrantSpent);
    row(outcomes.pop().unwrap());
}
#[test]
fn a_grant_that_ended_reserves_nothing() {
    let b = Box_::new();
    let store = b.open();
    let ca = ready(&store);
    let late = IntentDraft { at: NOW.plus_s(100), ..draft(&store, ca, 1) };
    row(one(&store, late));
    let later = IntentDraft { at: NOW.plus_ms(100_001), ..draft(&store, ca, 2) };
    refused(one(&store, later), Reason::GrantExpired);
    let spent = IntentDraft { at: NOW.plus_ms(100_001), serial: serial(3), ..draft(&store, ca, 1) };
    refused(one(&store, IntentDraft { transaction_id: transaction(3), ..spent }), Reason::GrantSpent);
}
#[test]
fn a_transaction_gives_one_certificate_however_often_it_is_repeated() {
    let b = Box_::new();
    let store = b.open();
    let ca = ready(&store);
    let first = draft(&store, ca, 1);
    let again = IntentDraft { serial: serial(99), tbs_digest: digest(99), ..first.clone() };
    let intent = row(one(&store, first));
    assert!(matches!(one(&store, again.clone()), IntentOutcome::InProgress));
    record(&store, intent, 1);
    assert!(matches!(one(&store, again), IntentOutcome::Repeated { certificate, .. } if certificate == [0x30, 1]));
    let id = grant(&store, 1).id;
    assert_eq!(store.repeated(&station(), transaction(1), id, digest(1)).unwrap(), Some((vec![0x30, 1], ca)));
    assert_eq!(store.repeated(&station(), transaction(1), id, digest(2)).unwrap(), None);
    assert_eq!(store.repeated(&station(), transaction(2), id, digest(1)).unwrap(), None);
}
#[test]
fn a_transaction_of_another_request_is_refused() {
    let b = Box_::new();
    let store = b.open();
    let ca = ready(&store);
    issue(&store, ca, 1);
    let other_device = IntentDraft { transaction_id: transaction(1), ..draft(&store, ca, 2) };
    refused(one(&store, other_device), Reason::TransactionConflict);
    let other_key = IntentDraft { key: digest(9), ..draft(&store, ca, 1) };
    refused(one(&store, other_key), Reason::TransactionConflict);
    let caller = Caller { module: Module::Provisioning, instance: "line-2".parse().unwrap() };
    let other_caller = IntentDraft { requester: caller, ..draft(&store, ca, 1) };
    refused(one(&store, other_caller), Reason::TransactionConflict);
}
#[test]
fn a_key_belongs_to_one_subject() {
    let b = Box_::new();
    let store = b.open();
    let ca = ready(&store);
    issue(&store, ca, 1);
    let stolen = IntentDraft { key: digest(1), ..draft(&store, ca, 2) };
    refused(one(&store, stolen), Reason::KeyInUse);
    // A key that begins alike is another key.
    let mut alike = *digest(1).octets();
    alike[31] = 0;
    row(one(&store, IntentDraft { key: Digest::new(alike), ..draft(&store, ca, 3) }));
}
#[test]
fn a_serial_number_is_intended_once() {
    let b = Box_::new();
    let store = b.open();
    let ca = ready(&store);
    issue(&store, ca, 1);
    let twin = IntentDraft { serial: serial(1), ..draft(&store, ca, 2) };
    assert!(store.intend(vec![twin]).is_err());
    assert_eq!(grant(&store, 2).used, 0, "what failed had no effect");
    issue(&store, ca, 3);
}
#[test]
fn a_clock_that_went_back_issues_nothing() {
    let b = Box_::new();
    let store = b.open();
    let ca = ready(&store);
    let before = IntentDraft { at: UnixTime::from_ms(NOW.ms() - 5_000), ..draft(&store, ca, 1) };
    row(one(&store, before));
    let long_before = IntentDraft { at: UnixTime::from_ms(NOW.ms() - 5_001), ..draft(&store, ca, 2) };
    refused(one(&store, long_before), Reason::ClockBackwards);
}
#[test]
fn an_entry_of_an_earlier_time_does_not_move_the_mark() {
    let b = Box_::new();
    let store = b.open();
    let ca = ready(&store);
    row(one(&store, draft(&store, ca, 1)));
    let earlier = UnixTime::from_ms(NOW.ms() - 864_000_000);
    let event = Event::DeviceMarked { device: "d".into(), stolen: true };
    store.append(vec![Entry { at: earlier, by: Module::Identity, event }]).unwrap();
    drop(store);
    let store = b.open();
    let late = IntentDraft { at: UnixTime::from_ms(NOW.ms() - 5_001), ..draft(&store, ca, 2) };
    refused(one(&store, late), Reason::ClockBackwards);
}
#[test]
fn a_closed_intent_is_revoked_and_its_grant_and_transaction_are_free() {
    let b = Box_::new();
    let store = b.open();
    let ca = ready(&store);
    let intent = row(one(&store, draft(&store, ca, 1)));
    store.close(vec![intent], "the signature failed", NOW).unwrap();
    assert_eq!(grant(&store, 1).used, 0);
    assert!(!record(&store, intent, 1), "a closed intent is not completed");
    let revoked = lines(&store, ca, 0, 0);
    assert_eq!(revoked, [serial(1)]);
    row(one(&store, IntentDraft { serial: serial(50), ..draft(&store, ca, 1) }));
}
#[test]
fn what_a_crash_left_open_is_closed_at_the_next_start() {
    let b = Box_::new();
    let store = b.open();
    let ca = ready(&store);
    row(one(&store, draft(&store, ca, 1)));
    issue(&store, ca, 2);
    drop(store);
    let store = b.open();
    let closed = store.close_left_open(NOW).unwrap();
    assert_eq!(closed.iter().map(|c| (c.serial, c.transaction_id)).collect::<Vec<_>>(), [(serial(1), transaction(1))]);
    assert_eq!(store.close_left_open(NOW).unwrap(), []);
    assert_eq!(grant(&store, 1).used, 0);
}
#[test]
fn a_right_is_spent_with_its_grant() {
    let b = Box_::new();
    let store = b.open();
    let ca = ready(&store);
    let (line, sensor) = ("line-1".parse().unwrap(), "sensor".parse().unwrap());
    store.entitle(&line, &sensor, 1, NOW.plus_s(100), NOW).unwrap();
    let right = store.right(&line, &sensor).unwrap().unwrap();
    let vouched = |n| IntentDraft { right: Some(right.id), ..draft(&store, ca, n) };
    let intent = row(one(&store, vouched(1)));
    refused(one(&store, vouched(2)), Reason::RightSpent);
    assert_eq!(grant(&store, 2).used, 0, "the grant is free again");
    record(&store, intent, 1);
    let right = store.right(&line, &sensor).unwrap().unwrap();
    assert_eq!(right.used, 1);
    store.entitle(&line, &sensor, 2, NOW.plus_s(100), NOW).unwrap();
    assert_eq!(store.right(&line, &sensor).unwrap().unwrap().used, 1, "what was spent stays spent");
}
#[test]
fn a_confirmed_certificate_is_not_rejected() {
    let b = Box_::new();
    let store = b.open();
    let ca = ready(&store);
    issue(&store, ca, 1);
    let say = |n, verdict| store.confirm(&station(), vec![(transaction(n), verdict)], NOW).unwrap()[0];
    assert_eq!(say(1, Verdict::Accepted), Ok(()));
    assert_eq!(say(1, Verdict::Accepted), Ok(()), "a repetition has no second effect");
    assert_eq!(say(1, Verdict::Rejected), Err(Reason::TransactionClosed));
    assert_eq!(say(9, Verdict::Accepted), Err(Reason::TransactionUnknown));
    let stranger = Caller { module: Module::Provisioning, instance: "line-2".parse().unwrap() };
    let foreign = store.confirm(&stranger, vec![(transaction(1), Verdict::Accepted)], NOW).unwrap();
    assert_eq!(foreign, [Err(Reason::TransactionUnknown)]);
}
#[test]
fn a_rejected_certificate_is_revoked_and_its_grant_is_free() {
    let b = Box_::new();
    let store = b.open();
    let ca = ready(&store);
    issue(&store, ca, 1);
    let reject = || store.confirm(&station(), vec![(transaction(1), Verdict::Rejected)], NOW).unwrap()[0];
    assert_eq!((reject(), reject()), (Ok(()), Ok(())));
    assert_eq!(grant(&store, 1).used, 0);
    assert_eq!(lines(&store, ca, 0, 0).len(), 1);
    row(one(&store, IntentDraft { serial: serial(50), key: digest(50), ..draft(&store, ca, 1) }));
}
#[test]
fn revoked_is_revoked() {
    let b = Box_::new();
    let store = b.open();
    let ca = ready(&store);
    issue(&store, ca, 1);
    let revoke = |n| store.revoke(&serial(n), RevocationReason::KeyCompromise, NOW).unwrap();
    assert_eq!(revoke(1), Ok(()));
    assert_eq!(revoke(1), Err(Reason::AlreadyRevoked));
    assert_eq!(revoke(2), Err(Reason::SerialUnknown));
    let found = store.certificate(&serial(1)).unwrap().unwrap();
    assert_eq!(found.revoked, Some((NOW, RevocationReason::KeyCompromise)));
    let filter = CertificateFilter { revoked: Some(true), limit: 10, ..CertificateFilter::default() };
    assert_eq!(store.certificates(&filter).unwrap().len(), 1);
}
#[test]
fn certificates_are_found_by_subject_and_key() {
    let b = Box_::new();
    let store = b.open();
    let ca = ready(&store);
    (1..5).for_each(|n| issue(&store, ca, n));
    let find = |filter: CertificateFilter| {
        let found = store.certificates(&CertificateFilter { limit: 2, ..filter }).unwrap();
        found.iter().map(|row| row.serial).collect::<Vec<_>>()
    };
    assert_eq!(find(CertificateFilter { subject: Some(device(3)), ..Default::default() }), [serial(3)]);
    assert_eq!(find(CertificateFilter { key: Some(digest(2)), ..Default::default() }), [serial(2)]);
    assert_eq!(find(CertificateFilter::default()), [serial(1), serial(2)]);
    assert_eq!(find(CertificateFilter { after: 2, ..Default::default() }), [serial(3), serial(4)]);
}
#[test]
fn crl_numbers_only_grow() {
    let b = Box_::new();
    let store = b.open();
    ready(&store);
    let ca = store.authorities().unwrap().remove(0);
    let crl = |number| list(ca.id, number);
    assert_eq!(store.next_crl_number(ca.id).unwrap(), 1);
    store.intend_crl(&ca, 1, digest(1), NOW).unwrap().unwrap();
    assert!(store.intend_crl(&ca, 1, digest(1), NOW).is_err(), "a number is intended once");
    assert!(store.record_crl(&ca, crl(2)).is_err(), "what was not intended is not recorded");
    // A signature that never came leaves a hole, which is no harm; the number is not used again.
    store.intend_crl(&ca, 2, digest(2), NOW).unwrap().unwrap();
    assert!(store.record_crl(&ca, crl(1)).is_err());
    store.record_crl(&ca, crl(2)).unwrap();
    assert_eq!(store.crl(scope(ca.id, 0), false).unwrap().unwrap().number, 2);
    assert_eq!(store.next_crl_number(ca.id).unwrap(), 3);
}
#[test]
fn an_authority_has_one_name_and_one_certificate() {
    let b = Box_::new();
    let store = b.open();
    let id = ready(&store);
    let (name, profile) = ("factory".parse().unwrap(), "factory".parse().unwrap());
    let again = store.begin_authority(&name, &KeyUri("file:x".into()), None, &profile, NOW).unwrap();
    assert_eq!(again, Err(Reason::NameTaken));
    store.complete_authority(id, &[1], digest(1), NOW).unwrap();
    assert!(store.complete_authority(id, &[2], digest(2), NOW).is_err());
    assert_eq!(store.authorities().unwrap()[0].certificate, [1]);
}
#[test]
fn an_epoch_is_new_at_each_opening() {
    let b = Box_::new();
    let first = b.open().epoch();
    assert_ne!(first, b.open().epoch());
}
#[test]
fn a_second_process_is_kept_out() {
    let b = Box_::new();
    let _store = b.open();
    assert_eq!(SqlStore::open(&b.dir, &b.opening()).err(), Some(OpenFault::InUse));
    b.read().unwrap();
}
#[test]
fn a_newer_schema_is_left_alone() {
    let b = Box_::new();
    drop(b.open());
    b.sql(if b.server.is_some() { "UPDATE schema_version SET value = 5" } else { "PRAGMA user_version = 5" });
    assert_eq!(SqlStore::open(&b.dir, &b.opening()).err(), Some(OpenFault::Newer(5)));
    assert_eq!(b.read().err(), Some(OpenFault::Newer(5)));
}
#[test]
fn a_store_that_was_opened_to_read_writes_nothing() {
    let b = Box_::new();
    drop(b.open());
    let store = b.read().unwrap();
    assert!(store.deposit("x", &[offer(1)], NOW).is_err());
}
