//! What the checks of the audit log and of all records find.

use crate::support::*;
use adapters::store::SqlStore;
use adapters::store::audit_log::Finding;
use model::contract::authority::RevocationReason;
use ports::store::AuthorityStore;

#[track_caller]
fn audit_finds(sql: &str, expected: &dyn Fn(&[Finding]) -> bool) {
    let b = Box_::new();
    let store = b.open();
    let ca = ready(&store);
    (1..9).for_each(|n| issue(&store, ca, n));
    let check = |store: &SqlStore| store.check_audit(&[], b.key.public_key(), &mut |_| ()).unwrap();
    assert!(check(&store).is_ok());
    drop(store);
    assert!(check(&b.open()).is_ok(), "the tree is put together again");
    b.sql(sql);
    let found = check(&b.read().unwrap()).unwrap_err();
    assert!(expected(&found), "{found:?}");
}

#[test]
fn an_edited_audit_row_is_found() {
    let sql = "UPDATE audit SET entry = substr(entry, 1, length(entry) - 1) WHERE number = 4";
    audit_finds(sql, &|f| f == [Finding::Changed(4)]);
}
#[test]
fn a_deleted_audit_row_is_found() {
    audit_finds("DELETE FROM audit WHERE number = 4", &|f| f[0] == Finding::Gap(4));
}
#[test]
fn reordered_audit_rows_are_found() {
    let sql = "UPDATE audit SET number = -1 WHERE number = 4; UPDATE audit SET number = 4 WHERE number = 6;
        UPDATE audit SET number = 6 WHERE number = -1";
    audit_finds(sql, &|f| matches!(f, [Finding::Forked(_)]));
}
#[test]
fn swapped_audit_entries_are_found() {
    let sql = "UPDATE audit SET entry = (SELECT entry FROM audit WHERE number = 6) WHERE number = 4";
    audit_finds(sql, &|f| f == [Finding::Changed(4)]);
}
#[test]
fn a_cut_audit_log_is_found() {
    audit_finds("DELETE FROM audit WHERE number > 4", &|f| matches!(f, [Finding::Cut { found: 5, .. }]));
}
#[test]
fn an_audit_log_without_checkpoint_is_found() {
    audit_finds("DELETE FROM checkpoint", &|f| f.contains(&Finding::NoCheckpoint));
}

#[track_caller]
fn deep_finds(sql: &str, invariant: &str) {
    let b = Box_::new();
    let store = b.open();
    let ca = ready(&store);
    (1..4).for_each(|n| issue(&store, ca, n));
    row(one(&store, draft(&store, ca, 4)));
    drop(store);
    // The certificates of this test are no certificates; what counts is what is found beyond that.
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
fn a_lost_certificate_is_found() {
    deep_finds("DELETE FROM certificate WHERE id = 2", "D3");
}
#[test]
fn an_intent_without_log_is_found() {
    let sql = "INSERT INTO issuance SELECT 99, x'0199', authority, x'99', requester, grant_id, right_id, profile, key,
        tbs, at, 0, 0, not_after, shard FROM issuance WHERE id = 1";
    deep_finds(sql, "D2");
}
#[test]
fn another_intent_is_found() {
    deep_finds("UPDATE issuance SET tbs = zeroblob(32) WHERE id = 1", "D2");
}
#[test]
fn a_grant_that_was_refilled_is_found() {
    deep_finds("UPDATE grant_ SET used = 0 WHERE id = 3", "D5");
}
#[test]
fn an_intent_that_was_closed_in_silence_is_found() {
    deep_finds("UPDATE issuance SET state = 2 WHERE id = 4", "D4");
}
#[test]
fn a_revocation_that_was_taken_back_is_found() {
    let b = Box_::new();
    let store = b.open();
    let ca = ready(&store);
    issue(&store, ca, 1);
    store.revoke(&serial(1), RevocationReason::KeyCompromise, NOW).unwrap().unwrap();
    drop(store);
    b.sql("DELETE FROM revocation");
    let found = b.read().unwrap().check_deep(&mut |_| ()).unwrap().unwrap_err();
    assert!(found.iter().any(|f| f.invariant == "D6"), "{found:?}");
}
#[test]
fn the_last_mode_is_found_without_walking_the_log() {
    use model::mode::{Binding, Order};
    use ports::store::ModeStore;
    let b = Box_::new();
    let store = b.open();
    let ca = ready(&store);
    let order = Order::Stay(model::Mode::Sealed);
    let event = model::audit::Event::ModeOrdered { order, epoch: 1, operator: "ann".into(), reason: "test".into() };
    store.order(order, "statement", event, NOW).unwrap();
    store.bind(Binding::settled(model::Mode::Sealed), NOW).unwrap();
    let note = |store: &SqlStore| store.checkpoint().unwrap().unwrap();
    let line = note(&store).lines().nth(3).unwrap().to_owned();
    issue(&store, ca, 1);
    assert_eq!(note(&store).lines().nth(3), Some(line.as_str()), "what is no mode does not move it");
    drop(store);
    let store = b.open();
    issue(&store, ca, 2);
    assert_eq!(note(&store).lines().nth(3), Some(line.as_str()), "nor does a new start");
    let last = store.last_modes().unwrap();
    assert_eq!((last.ordered, last.entered), (Some(order), Some((Binding::settled(model::Mode::Sealed), 1))));
}
