//! What foreign authorities are asked for: grants, transactions, numbers, and what the check of all records finds.

use crate::support::*;
use adapters::store::SqlStore;
use model::{Reason, TransactionId};
use ports::foreign::DurableForeignIntent;
use ports::store::AuthorityStore;
use ports::store::authority::{AuthorityLimits, IntentDraft};
use ports::store::foreign::{
    Attachment, Credential, ForeignDraft, ForeignOutcome, ForeignRecord, ForeignState, ForeignStore, Mac,
};
use x509::sha256;

fn exchange(n: u8) -> TransactionId {
    TransactionId::new([n | 0x80; 16])
}
fn wanted(store: &dyn AuthorityStore, authority: u64, n: u8) -> ForeignDraft {
    ForeignDraft { intent: draft(store, authority, n), exchange: exchange(n) }
}
#[track_caller]
fn asked(store: &SqlStore, draft: &ForeignDraft) -> (u64, DurableForeignIntent) {
    match store.intend_foreign(draft).unwrap() {
        ForeignOutcome::Durable(row, intent) => (row, intent),
        other => panic!("{other:?}"),
    }
}
#[track_caller]
fn not_asked(store: &SqlStore, draft: &ForeignDraft, reason: Reason) {
    match store.intend_foreign(draft).unwrap() {
        ForeignOutcome::Refused(found) => assert_eq!(found, reason),
        other => panic!("{other:?}"),
    }
}
fn given(store: &SqlStore, row: u64, n: u8) -> bool {
    let (certificate, tbs) = (vec![0x30, n], digest(n));
    let record =
        ForeignRecord { intent: row, serial: serial(n), tbs, not_after: NOW.plus_s(1000), certificate, at: NOW };
    match store.record_foreign(record).unwrap() {
        Some(proof) => {
            assert_eq!((proof.serial(), proof.certificate_digest()), (serial(n), sha256(&[0x30, n])));
            true
        }
        None => false,
    }
}
/// Everything up to the record.
fn issued(store: &SqlStore, authority: u64, n: u8) -> u64 {
    let (row, _) = asked(store, &wanted(store, authority, n));
    store.offered(row, serial(n), NOW).unwrap().unwrap();
    assert!(given(store, row, n));
    row
}

#[test]
fn a_grant_is_reserved_when_it_is_asked_for_and_spent_with_the_record() {
    let b = Box_::new();
    let store = b.open();
    let ca = ready(&store);
    let (row, intent) = asked(&store, &wanted(&store, ca, 1));
    assert_eq!((intent.transaction_id(), intent.key()), ([0x81; 16], digest(1)));
    assert_eq!(grant(&store, 1).used, 1);
    store.offered(row, serial(1), NOW).unwrap().unwrap();
    assert!(given(&store, row, 1));
    assert_eq!(grant(&store, 1).used, 1);
    assert!(!given(&store, row, 1), "it is recorded once");
    let known = store.certificate(&serial(1)).unwrap().unwrap();
    assert_eq!((known.transaction_id, known.der), (transaction(1), vec![0x30, 1]));
    let id = grant(&store, 1).id;
    assert_eq!(store.repeated(&station(), transaction(1), id, digest(1)).unwrap(), Some((vec![0x30, 1], ca)));
    assert!(matches!(
        store.intend_foreign(&wanted(&store, ca, 1)).unwrap(),
        ForeignOutcome::Repeated { certificate, authority } if certificate == [0x30, 1] && authority == ca
    ));
    assert!(store.foreign_open(None).unwrap().is_empty());
}
#[test]
fn what_came_to_nothing_frees_the_grant_and_the_transaction() {
    let b = Box_::new();
    let store = b.open();
    let ca = ready(&store);
    let (row, _) = asked(&store, &wanted(&store, ca, 1));
    assert!(store.close_foreign(row, "it was refused", NOW).unwrap());
    assert_eq!(grant(&store, 1).used, 0);
    assert!(!store.close_foreign(row, "again", NOW).unwrap(), "it is freed once");
    assert_eq!(grant(&store, 1).used, 0);
    assert!(!given(&store, row, 1));
    asked(&store, &ForeignDraft { exchange: exchange(2), ..wanted(&store, ca, 1) });
}
#[test]
fn what_nobody_knows_keeps_the_grant_and_is_asked_again_in_the_same_transaction() {
    let b = Box_::new();
    let store = b.open();
    let ca = ready(&store);
    let first = wanted(&store, ca, 1);
    let (row, _) = asked(&store, &first);
    let again = ForeignDraft { exchange: exchange(9), ..first.clone() };
    assert!(matches!(store.intend_foreign(&again).unwrap(), ForeignOutcome::InProgress));
    drop(store);
    let store = b.open();
    assert_eq!(store.leave_all_foreign(NOW).unwrap(), 1);
    assert_eq!(store.leave_all_foreign(NOW).unwrap(), 0, "they are left once");
    assert_eq!(grant(&store, 1).used, 1);
    let open = store.foreign_open(Some(ca)).unwrap();
    assert_eq!((open.len(), open[0].state, open[0].key), (1, ForeignState::Unsettled, digest(1)));
    // Another key would be a second certificate on one grant.
    let mut other = wanted(&store, ca, 1);
    other.intent.key = digest(7);
    not_asked(&store, &other, Reason::TransactionConflict);
    other.intent.transaction_id = transaction(7);
    not_asked(&store, &other, Reason::GrantSpent);
    match store.intend_foreign(&again).unwrap() {
        ForeignOutcome::Again(found, intent, None) => {
            assert_eq!((found, intent.transaction_id()), (row, [0x81; 16]), "the transaction of before");
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(grant(&store, 1).used, 1);
    // It said meanwhile that it is not ready, and by which nonce.
    store.await_foreign(row, [5; 16]).unwrap();
    store.leave_foreign(row, None, "later", NOW).unwrap();
    assert!(
        matches!(store.intend_foreign(&again).unwrap(), ForeignOutcome::Again(_, _, Some(nonce)) if nonce == [5; 16])
    );
}
#[test]
fn a_number_that_is_known_stays_known_until_it_is_ended() {
    let b = Box_::new();
    let store = b.open();
    let ca = ready(&store);
    let first = wanted(&store, ca, 1);
    let (row, _) = asked(&store, &first);
    assert!(!given(&store, row, 1), "not before its number");
    store.offered(row, serial(1), NOW).unwrap().unwrap();
    assert!(!given(&store, row, 2), "nor under another");
    store.leave_foreign(row, None, "nobody answered", NOW).unwrap();
    let again = ForeignDraft { exchange: exchange(9), ..first };
    assert!(matches!(
        store.intend_foreign(&again).unwrap(),
        ForeignOutcome::Numbered(found, number) if (found, number) == (row, serial(1))
    ));
    store.close_foreign(row, "it was revoked there", NOW).unwrap();
    asked(&store, &again);
}
#[test]
fn a_number_that_is_recorded_is_not_taken_again() {
    let b = Box_::new();
    let store = b.open();
    let ca = ready(&store);
    issue(&store, ca, 1);
    let (row, _) = asked(&store, &wanted(&store, ca, 2));
    assert_eq!(store.offered(row, serial(1), NOW).unwrap(), Err(Reason::ForeignMisfit));
    assert!(!given(&store, row, 1));
}
#[test]
fn a_key_belongs_to_one_subject_wherever_it_is_certified() {
    let b = Box_::new();
    let store = b.open();
    let ca = ready(&store);
    let (row, _) = asked(&store, &wanted(&store, ca, 1));
    let mut stolen = wanted(&store, ca, 2);
    stolen.intent.key = digest(1);
    not_asked(&store, &stolen, Reason::KeyInUse);
    assert_eq!(grant(&store, 2).used, 0);
    // An authority of ours certified it meanwhile.
    let intent = crate::support::row(one(&store, IntentDraft { key: digest(1), ..draft(&store, ca, 3) }));
    assert!(record(&store, intent, 3));
    assert_eq!(store.offered(row, serial(1), NOW).unwrap(), Err(Reason::KeyInUse));
}
#[test]
fn an_authority_that_is_spent_is_not_asked() {
    let b = Box_::new();
    let store = b.open();
    let ca = ready(&store);
    let row = store.authorities().unwrap().remove(0);
    store.limit(&row, AuthorityLimits { quota: Some(1), ends: None }, NOW).unwrap();
    asked(&store, &wanted(&store, ca, 1));
    not_asked(&store, &wanted(&store, ca, 2), Reason::AuthoritySpent);
    assert_eq!(grant(&store, 2).used, 0);
}
#[test]
fn an_attachment_is_what_was_said_last() {
    let b = Box_::new();
    let store = b.open();
    let ca = ready(&store);
    let secret = Credential::Secret { reference: "box".into(), mac: Mac::Pbmac1, label: "foreign.x.1".into() };
    let first = Attachment {
        authority: ca,
        url: "http://a/".into(),
        credential: secret,
        servers: vec![vec![0x30, 0]],
        anchors: Vec::new(),
    };
    assert_eq!(store.attach(&first, digest(1), NOW).unwrap(), Err(Reason::NameTaken), "it has no certificate");
    store.complete_authority(ca, &[0x30, 0], digest(1), NOW).unwrap();
    assert_eq!(store.attach(&first, digest(1), NOW).unwrap(), Err(Reason::NameTaken), "its key is here");
    let name = "outside".parse().unwrap();
    store.import_authority(&name, None, &[0x30, 0], digest(1), NOW).unwrap().unwrap();
    let id = store.authorities().unwrap()[1].id;
    let first = Attachment { authority: id, ..first };
    store.attach(&first, digest(1), NOW).unwrap().unwrap();
    assert_eq!(store.attachments().unwrap(), std::slice::from_ref(&first));
    assert_eq!(store.authorities().unwrap()[1].key.0, "cmp:http://a/");
    let key = Credential::Key { label: "foreign.x.2".into(), certificates: vec![vec![0x30, 0], vec![0x30, 1, 0]] };
    let second = Attachment { url: "https://b/".into(), credential: key, anchors: vec![vec![0x30, 0]], ..first };
    store.attach(&second, digest(1), NOW).unwrap().unwrap();
    assert_eq!(store.attachments().unwrap(), [second]);
}
#[test]
fn records_of_schema_2_come_up_to_date() {
    let b = Box_::new();
    let store = b.open();
    let ca = ready(&store);
    issue(&store, ca, 1);
    drop(store);
    b.sql(
        "DROP TABLE foreign_intent; DROP TABLE foreign_authority; DROP TABLE received; DROP TABLE invitation; \
           DROP TABLE bundle_release; DROP TABLE bundle; DROP TABLE trusted_file; \
           DROP TABLE cmp_exchange; DROP TABLE cmp_secret; \
           DROP TABLE acme_account; DROP TABLE acme_order; DROP TABLE acme_authorization; DROP TABLE acme_nonce; \
           DROP TABLE acme_key; DROP TABLE maker; DROP INDEX device_idevid; ALTER TABLE device DROP COLUMN idevid",
    );
    b.sql(if b.server.is_some() {
        "UPDATE schema_version SET value = 2"
    } else {
        "DROP TABLE issuance_by_key; CREATE INDEX issuance_key ON issuance (substr(key, 1, 8)); PRAGMA user_version = 2"
    });
    assert!(b.read().is_err());
    let store = b.open();
    issued(&store, ca, 2);
    assert!(store.certificate(&serial(1)).unwrap().is_some());
    drop(store);
    b.read().unwrap();
}

#[track_caller]
fn deep_finds(sql: &str, invariant: &str) {
    let b = Box_::new();
    let store = b.open();
    let ca = ready(&store);
    issue(&store, ca, 1);
    issued(&store, ca, 2);
    let (closed, _) = asked(&store, &wanted(&store, ca, 3));
    store.close_foreign(closed, "it was refused", NOW).unwrap();
    let (left, _) = asked(&store, &wanted(&store, ca, 4));
    store.leave_foreign(left, None, "nobody answered", NOW).unwrap();
    asked(&store, &wanted(&store, ca, 5));
    issue(&store, ca, 6);
    drop(store);
    let found = |b: &Box_| {
        let store = b.read().unwrap();
        let found = store.check_deep(&mut |_| ()).unwrap().unwrap_err();
        found.into_iter().filter(|f| !f.what.contains("cannot be read")).map(|f| f.invariant).collect::<Vec<_>>()
    };
    assert_eq!(found(&b), [""; 0]);
    b.sql(sql);
    assert!(found(&b).contains(&invariant), "{:?}", found(&b));
}

#[test]
fn a_request_that_is_not_in_the_log_is_found() {
    let sql = "INSERT INTO foreign_intent SELECT 99, x'99990000000000000000000000000099', 0, requester, authority, grant_id, right_id, profile, key,
        expected, x'98980000000000000000000000000098', at, 2, serial, nonce, why, process FROM foreign_intent WHERE id = 1";
    deep_finds(sql, "D2");
}
#[test]
fn a_request_that_is_gone_is_found() {
    deep_finds("DELETE FROM foreign_intent WHERE state = 2", "D2");
}
#[test]
fn what_nobody_knows_and_is_forgotten_is_found() {
    deep_finds("UPDATE foreign_intent SET state = 2 WHERE state = 3", "D2");
}
#[test]
fn a_grant_that_was_freed_while_nobody_knows_is_found() {
    deep_finds("UPDATE grant_ SET used = 0 WHERE id = (SELECT grant_id FROM foreign_intent WHERE state = 3)", "D5");
}
#[test]
fn another_key_of_a_request_is_found() {
    deep_finds(
        "UPDATE foreign_intent SET key = x'0102030405060708010203040506070801020304050607080102030405060708'
        WHERE state = 3",
        "D2",
    );
}
#[test]
fn another_number_of_a_request_is_found() {
    deep_finds("UPDATE foreign_intent SET serial = x'0199' WHERE state = 1", "D1");
}
#[test]
fn a_certificate_that_is_lost_is_found() {
    deep_finds("DELETE FROM certificate WHERE id = 2", "D3");
}
