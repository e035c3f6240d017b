//! What may be taken out, what may not, and that checks tell them apart.

use crate::support::*;
use adapters::store::SqlStore;
use adapters::store::sql::{Purge, Purged};
use model::contract::authority::{GrantOffer, RevocationReason};
use model::{Entity, Reason, UnixTime};
use ports::StoreFault;
use ports::store::AuthorityStore;
use ports::store::authority::{CrlRow, IntentDraft, IntentOutcome, PendingDraft, Standing};
use x509::sha256;

/// Long after everything here has expired.
const LATER: UnixTime = NOW.plus_s(2000);

fn purge(store: &SqlStore, before: UnixTime) -> Purged {
    let mut purge = Purge::new(before, "ann");
    let mut all = Purged::default();
    loop {
        let gone = store.purge(&mut purge, LATER).unwrap();
        if gone.is_empty() {
            return all;
        }
        all.certificates += gone.certificates;
        all.lists += gone.lists;
        all.requests += gone.requests;
    }
}
fn whole(store: &SqlStore, n: u8) -> bool {
    !store.certificate(&serial(n)).unwrap().unwrap().der.is_empty()
}
/// What the check of all records finds, but for certificates that are none.
fn found(b: &Box_) -> Vec<&'static str> {
    let store = b.read().unwrap();
    let found = store.check_deep(&mut |_| ()).unwrap().err().unwrap_or_default();
    let known = |what: &str| what.contains("cannot be read") || what.contains("not signed by its authority");
    found.into_iter().map(|f| f.what).filter(|what| !known(what)).collect()
}
/// Certificates of the devices 1 to 3, which expire one second after another.
fn three() -> (Box_, SqlStore, u64) {
    let b = Box_::new();
    let store = b.open();
    let ca = ready(&store);
    (1..4).for_each(|n| issue(&store, ca, n));
    (b, store, ca)
}

#[test]
fn what_expired_before_goes_and_what_expires_at_the_edge_stays() {
    let (b, store, ca) = three();
    let due = Purged { certificates: 1, ..Purged::default() };
    assert_eq!(store.purgeable(NOW.plus_s(1002)).unwrap(), due);
    assert_eq!(purge(&store, NOW.plus_s(1002)), due);
    assert_eq!([1, 2, 3].map(|n| whole(&store, n)), [false, true, true]);
    assert!(matches!(store.standing(ca, &serial(1)).unwrap(), Standing::Good { .. }), "its number is known as ever");
    assert_eq!(purge(&store, NOW.plus_s(1002)), Purged::default(), "it is done once");
    assert_eq!(store.totals().unwrap().open_intents, 0);
    drop(store);
    assert_eq!(b.open().totals().unwrap().open_intents, 0, "what was purged is not taken for an open intent");
    assert_eq!(found(&b), [""; 0]);
}
#[test]
fn what_has_not_expired_is_not_purged() {
    let (_b, store, _) = three();
    let early = store.purge(&mut Purge::new(LATER.plus_ms(1), "ann"), LATER);
    assert_eq!(early, Err(StoreFault::Corrupt("what has not expired is not purged")));
    assert!(whole(&store, 1));
}
#[test]
fn a_transaction_whose_certificate_was_purged_gives_none() {
    let (_b, store, ca) = three();
    purge(&store, LATER);
    let again = IntentDraft { at: LATER, ..draft(&store, ca, 1) };
    let id = again.grant;
    assert!(matches!(one(&store, again), IntentOutcome::Refused(Reason::TransactionClosed)));
    assert_eq!(store.repeated(&station(), transaction(1), id, digest(1)).unwrap(), None);
}
#[test]
fn it_goes_on_after_an_interruption_while_others_issue() {
    let b = Box_::new();
    let store = b.open();
    let ca = ready(&store);
    let many: Vec<_> = (100..1300).map(offer).collect();
    store.deposit("list b", &many, NOW).unwrap();
    b_fill(&store, ca, 100..1300);
    let mut first = Purge::new(LATER, "ann");
    let gone = store.purge(&mut first, LATER).unwrap();
    assert!(gone.certificates > 0 && gone.certificates < 1200, "{gone:?}");
    let until = LATER.plus_s(1);
    store.deposit("list c", &[GrantOffer { until, ..offer(50) }], LATER).unwrap();
    let (id, not_after) = (grant(&store, 50).id, LATER.plus_s(100));
    let intent = row(one(&store, IntentDraft { at: LATER, grant: id, not_after, ..draft(&store, ca, 1) }));
    assert!(record(&store, intent, 1), "others go on in between");
    drop(store);
    let store = b.open();
    let rest = purge(&store, LATER);
    assert!(b.server.is_some() || store.free_pages().unwrap() > 0, "their room is used again");
    assert_eq!(gone.certificates + rest.certificates, 1200);
    drop(store);
    assert_eq!(found(&b), [""; 0]);
}
fn b_fill(store: &SqlStore, ca: u64, numbers: std::ops::Range<u32>) {
    use adapters::store::sql::Synthetic;
    let one = |n: u32| {
        let (high, low) = (n.to_be_bytes()[2], n.to_be_bytes()[3]);
        let mut intent = draft(store, ca, 9);
        intent.serial = x509::SerialNumber::new(&[2, high, low, 0, 0, 0, 0, 0, 0, 9]).unwrap();
        let mut id = [7; 16];
        id[..2].copy_from_slice(&[high, low]);
        intent.transaction_id = model::TransactionId::new(id);
        intent.key = sha256(&n.to_be_bytes());
        intent.tbs_digest = intent.key;
        Synthetic { offer: offer(n), intent, certificate: vec![0x30; 700] }
    };
    let all: Vec<_> = numbers.map(one).collect();
    let count = all.len();
    assert_eq!(store.fill("list b", all).unwrap(), count);
}
#[test]
fn certificates_of_others_than_devices_stay() {
    let (_b, store, ca) = three();
    let name: Entity = "operator:ann".parse().unwrap();
    let offer = GrantOffer { subject: name.clone(), ..offer(0) };
    store.deposit("init", &[offer], NOW).unwrap();
    let grant = store.grants(&[(&name, &"idevid".parse().unwrap())]).unwrap()[0].clone().unwrap();
    let mut own = draft(&store, ca, 9);
    own.grant = grant.id;
    let intent = row(one(&store, own));
    assert!(record(&store, intent, 9));
    assert_eq!(purge(&store, LATER).certificates, 3);
    assert!(whole(&store, 9));
}
#[test]
fn revocations_and_the_last_list_stay() {
    let (b, store, ca) = three();
    store.revoke(&serial(1), RevocationReason::KeyCompromise, NOW).unwrap().unwrap();
    let authority = store.authorities().unwrap().remove(0);
    for number in [1, 2] {
        store.intend_crl(&authority, number, digest(1), NOW).unwrap().unwrap();
        let crl = CrlRow { edge: 1, ..list(ca, number) };
        store.record_crl(&authority, crl).unwrap();
    }
    assert_eq!(purge(&store, NOW.plus_s(1)).lists, 0, "the moment at which the next was due");
    assert_eq!(purge(&store, LATER), Purged { certificates: 3, lists: 1, requests: 0 });
    assert_eq!(store.crl(scope(ca, 0), false).unwrap().unwrap().number, 2);
    assert!(!store.crl(scope(ca, 0), false).unwrap().unwrap().der.is_empty());
    assert_eq!(lines(&store, ca, 0, 0), [serial(1)]);
    drop(store);
    assert_eq!(found(&b), [""; 0]);
}
#[test]
fn requests_that_ended_without_a_word_go() {
    let (_b, store, _) = three();
    let asked = |n: u8, until| PendingDraft {
        transaction_id: transaction(n),
        requester: station(),
        subject: device(u32::from(n)),
        profile: "idevid".parse().unwrap(),
        request: digest(n),
        needed: 1,
        at: NOW,
        until,
    };
    for (n, until) in [(1, NOW.plus_s(5)), (2, NOW.plus_s(6)), (3, NOW.plus_s(5))] {
        store.await_approval(&asked(n, until), 10).unwrap();
    }
    let draft = ports::store::authority::ApprovalDraft {
        pending: 3,
        operator: "ann".into(),
        statement: "no".into(),
        approved: false,
        at: NOW,
    };
    store.approve(&draft).unwrap().unwrap();
    assert_eq!(purge(&store, NOW.plus_s(6)).requests, 1);
    let left: Vec<u64> = store.requests_waiting(NOW).unwrap().iter().map(|row| row.id).collect();
    assert_eq!(left, [2, 3]);
}

#[track_caller]
fn check(before: UnixTime, sql: &str, expected: &str) {
    let (b, store, _) = three();
    purge(&store, before);
    drop(store);
    assert_eq!(found(&b), [""; 0]);
    b.sql(sql);
    assert!(found(&b).iter().any(|what| what.contains(expected)), "{:?}", found(&b));
}
#[test]
fn octets_that_are_gone_without_a_purge_are_found() {
    check(NOW.plus_s(1002), "UPDATE certificate SET der = x'' WHERE id = 3", "another number of them was purged");
}
#[test]
fn octets_that_went_too_early_are_found() {
    let sql = "UPDATE certificate SET der = x'00' WHERE id = 1; UPDATE certificate SET der = x'' WHERE id = 3";
    check(NOW.plus_s(1002), sql, "one of them had not expired");
}
#[test]
fn octets_of_others_that_are_gone_are_found() {
    check(
        NOW.plus_s(1002),
        "UPDATE grant_ SET subject = 'operator:ann' WHERE subject LIKE '%SN0001'",
        "are of no device",
    );
}
#[test]
fn a_list_that_is_gone_is_found() {
    let (b, store, ca) = three();
    let authority = store.authorities().unwrap().remove(0);
    store.intend_crl(&authority, 1, digest(1), NOW).unwrap().unwrap();
    store.record_crl(&authority, list(ca, 1)).unwrap();
    drop(store);
    b.sql("UPDATE crl SET der = NULL");
    let all = found(&b);
    assert!(all.iter().any(|what| what.contains("lists have no octets, and another number")), "{all:?}");
    assert!(all.iter().any(|what| what.contains("was the last")), "{all:?}");
}
