//! Yesterday's backup and today's marks: nothing that was used up is used again.

use crate::support::*;
use adapters::store::SqlStore;
use adapters::store::marks::{self, Mark};
use adapters::store::sql::marks_of_list;
use model::Reason;
use model::contract::authority::RevocationReason as R;
use ports::store::AuthorityStore;
use ports::store::authority::{CertificateFilter, CrlRow, IntentDraft, Standing};

/// A box that went on after its backup, and lost its records; what the backup holds.
struct Restored {
    b: Box_,
    entries: u64,
    authority: u64,
}

fn restored() -> Restored {
    let mut b = Box_::new();
    let store = b.open();
    let authority = ready(&store);
    (0..3).for_each(|n| issue(&store, authority, n));
    store.revoke(&serial(0), R::KeyCompromise, NOW).unwrap().unwrap();
    crl(&store, 1);
    b.back_up(&store);
    let entries = store.audit_len().unwrap();
    // What the backup does not know.
    (3..6).for_each(|n| issue(&store, authority, n));
    store.revoke(&serial(1), R::KeyCompromise, NOW).unwrap().unwrap();
    store.revoke(&serial(4), R::Superseded, NOW).unwrap().unwrap();
    crl(&store, 2);
    crl(&store, 3);
    row(one(&store, draft(&store, authority, 6)));
    drop(store);
    b.restore();
    Restored { b, entries, authority }
}
fn crl(store: &SqlStore, number: u64) {
    let authority = store.authorities().unwrap().remove(0);
    store.intend_crl(&authority, number, digest(1), NOW).unwrap().unwrap();
    store.record_crl(&authority, CrlRow { edge: 1, ..list(authority.id, number) }).unwrap();
}
fn marks_of(restored: &Restored) -> Vec<Mark> {
    let mut found = Vec::new();
    let name = marks::name_of("test", restored.b.key.public_key());
    marks::read(&restored.b.dir.join("marks"), &name, restored.entries, &mut |mark| found.push(mark)).unwrap();
    found
}

#[test]
fn without_the_marks_everything_would_happen_twice() {
    let restored = restored();
    let store = restored.b.open();
    assert_eq!(store.next_crl_number(restored.authority).unwrap(), 2, "a number that was published");
    assert_eq!(grant(&store, 4).used, 0, "a line that was consumed");
    let standing = store.standing(restored.authority, &serial(1)).unwrap();
    assert!(matches!(standing, Standing::Good { .. }), "one that was revoked");
}
#[test]
fn with_the_marks_no_number_no_grant_and_no_good_certificate_comes_back() {
    let restored = restored();
    let marks = marks_of(&restored);
    let store = restored.b.open();
    let read = store.recall(&marks, NOW).unwrap();
    assert_eq!((read.certificates, read.revocations, read.lists), (3, 2, 2));
    assert_eq!(store.next_crl_number(restored.authority).unwrap(), 4);
    for n in 3..6 {
        let again = IntentDraft { serial: serial(n + 50), ..draft(&store, restored.authority, n) };
        refused(one(&store, again), Reason::GrantSpent);
    }
    for n in [1, 4] {
        let standing = store.standing(restored.authority, &serial(n)).unwrap();
        assert!(matches!(standing, Standing::Revoked { .. }), "{n}: {standing:?}");
    }
    let good = store.standing(restored.authority, &serial(5)).unwrap();
    assert!(matches!(good, Standing::Good { .. }), "issued, and nobody revoked it: {good:?}");
    assert_eq!(store.revoke(&serial(5), R::CertificateHold, NOW).unwrap(), Ok(()), "and it can be");
    // A number that is taken is not given to another.
    let taken = IntentDraft { serial: serial(4), ..draft(&store, restored.authority, 7) };
    assert!(store.intend(vec![taken]).is_err());
    row(one(&store, draft(&store, restored.authority, 8)));
}
#[test]
fn what_was_read_back_is_found_by_its_number_and_stands_as_the_marks_say() {
    let restored = restored();
    let marks = marks_of(&restored);
    let store = restored.b.open();
    store.recall(&marks, NOW).unwrap();
    let found = store.certificate(&serial(5)).unwrap().unwrap();
    assert!(found.is_read_back() && found.revoked.is_none());
    assert_eq!(found.authority.as_str(), "factory");
    let revoked = store.certificates(&CertificateFilter { revoked: Some(true), limit: 100, ..all() }).unwrap();
    let known: Vec<_> = revoked.iter().filter(|row| row.is_read_back()).map(|row| row.serial).collect();
    assert_eq!(known, [serial(4)]);
    // An intent that is open is no certificate.
    row(one(&store, draft(&store, restored.authority, 8)));
    assert_eq!(store.certificate(&serial(8)).unwrap(), None);
}
fn all() -> CertificateFilter {
    CertificateFilter::default()
}
#[track_caller]
fn revoked_for(reason: R, again: bool) {
    let restored = restored();
    let marks = marks_of(&restored);
    let store = restored.b.open();
    store.recall(&marks, NOW).unwrap();
    store.revoke(&serial(5), reason, NOW).unwrap().unwrap();
    let next = IntentDraft { serial: serial(55), ..draft(&store, restored.authority, 5) };
    if again {
        row(one(&store, next));
        let third = IntentDraft { serial: serial(56), ..draft(&store, restored.authority, 5) };
        refused(one(&store, IntentDraft { transaction_id: transaction(56), ..third }), Reason::GrantSpent);
    } else {
        refused(one(&store, next), Reason::GrantSpent);
    }
}
#[test]
fn a_device_whose_certificate_was_read_back_and_superseded_gets_one_more() {
    revoked_for(R::Superseded, true);
}
#[test]
fn a_device_whose_certificate_was_revoked_for_anything_else_gets_none() {
    revoked_for(R::KeyCompromise, false);
    revoked_for(R::CertificateHold, false);
}
#[test]
fn what_is_superseded_and_was_not_read_back_leaves_no_grant() {
    let b = Box_::new();
    let store = b.open();
    let authority = ready(&store);
    issue(&store, authority, 0);
    store.revoke(&serial(0), R::Superseded, NOW).unwrap().unwrap();
    let next = IntentDraft { serial: serial(50), transaction_id: transaction(50), ..draft(&store, authority, 0) };
    refused(one(&store, next), Reason::GrantSpent);
}
#[test]
fn taking_in_the_marks_again_changes_nothing() {
    let restored = restored();
    let marks = marks_of(&restored);
    let store = restored.b.open();
    store.recall(&marks, NOW).unwrap();
    let again = store.recall(&marks, NOW).unwrap();
    assert_eq!((again.certificates, again.revocations, again.lists), (0, 0, 0));
}
#[test]
fn what_was_taken_in_agrees_with_the_log() {
    let restored = restored();
    let marks = marks_of(&restored);
    let store = restored.b.open();
    store.recall(&marks, NOW).unwrap();
    issue(&store, restored.authority, 8);
    crl(&store, 4);
    let found = store.check_deep(&mut |_| ()).unwrap().unwrap_err();
    // The octets of this test are no certificates and no lists.
    let beyond: Vec<_> = found.iter().filter(|f| !f.what.contains("cannot be read")).collect();
    assert!(beyond.is_empty(), "{beyond:?}");
}
#[test]
fn a_certificate_that_was_recalled_in_silence_is_found() {
    let restored = restored();
    let marks = marks_of(&restored);
    let store = restored.b.open();
    store.recall(&marks, NOW).unwrap();
    drop(store);
    restored.b.sql("UPDATE issuance SET state = 0 WHERE state = 4");
    let store = restored.b.read().unwrap();
    let found = store.check_deep(&mut |_| ()).unwrap().unwrap_err();
    assert!(found.iter().any(|f| f.what.contains("recalled")), "{found:?}");
}
#[test]
fn an_authority_that_the_backup_does_not_know_is_named() {
    let restored = restored();
    let store = restored.b.open();
    let list = marks_of(&restored).into_iter().map(|mark| match mark {
        Mark::Issued(mut issued) => {
            issued.authority = "later".into();
            Mark::Issued(issued)
        }
        other => other,
    });
    let read = store.recall(&list.collect::<Vec<_>>(), NOW).unwrap();
    assert_eq!(read.strangers, ["later"]);
}
#[test]
fn a_published_list_tells_its_number_and_who_is_revoked() {
    let restored = restored();
    let store = restored.b.open();
    let der = std::fs::read(concat!(env!("CARGO_MANIFEST_DIR"), "/../../testdata/rfc5280/openssl-3.0.19-crl.der"));
    let list = x509::CertificateList::decode(&der.unwrap()).unwrap();
    let read = store.recall(&marks_of_list(&"factory".parse().unwrap(), &list), NOW).unwrap();
    let revoked = u64::try_from(list.revoked.len()).unwrap();
    assert_eq!((read.certificates, read.revocations), (revoked, revoked));
    let standing = store.standing(restored.authority, &list.revoked[0].serial_number).unwrap();
    assert!(matches!(standing, Standing::Revoked { .. }));
    assert!(store.next_crl_number(restored.authority).unwrap() > list.crl_number);
}
#[test]
fn a_backup_is_taken_while_others_write() {
    let mut b = Box_::new();
    let store = b.open();
    let authority = ready(&store);
    std::thread::scope(|scope| {
        let writing = scope.spawn(|| (0..8).for_each(|n| issue(&store, authority, n)));
        b.back_up(&store);
        writing.join().unwrap();
    });
    drop(store);
    b.restore();
    let copy = b.read().unwrap();
    let key = b.key.public_key();
    assert!(copy.check_audit(&[], key, &mut |_| ()).unwrap().is_ok(), "one moment of the log");
}
