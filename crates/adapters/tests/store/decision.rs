//! On what a decision rests.

use crate::support::*;
use adapters::store::sql::About;
use model::contract::authority::GrantOffer;
use ports::StoreFault;
use ports::store::AuthorityStore;
use ports::store::authority::{ApprovalDraft, IntentDraft, PendingDraft};

#[test]
fn requester_right_grant_and_approvers_are_told() -> Result<(), StoreFault> {
    let b = Box_::new();
    let store = b.open();
    let ca = ready(&store);
    let of = "sensor".parse().unwrap();
    store.entitle(&"line-1".parse().unwrap(), &of, 5, NOW.plus_s(9), NOW)?;
    let right = store.right(&"line-1".parse().unwrap(), &of)?.unwrap();
    let asked = PendingDraft {
        transaction_id: transaction(1),
        requester: station(),
        subject: device(1),
        profile: "idevid".parse().unwrap(),
        request: digest(1),
        needed: 1,
        at: NOW,
        until: NOW.plus_s(5),
    };
    store.await_approval(&asked, 10)?;
    assert!(store.approval_of(&transaction(1))?.unwrap().said.is_empty());
    assert_eq!(store.approval_of(&transaction(2))?, None);
    let (operator, statement) = ("ann".to_owned(), "signed".to_owned());
    store.approve(&ApprovalDraft { pending: 1, operator, statement, approved: true, at: NOW })?.unwrap();
    let intent = row(one(&store, IntentDraft { right: Some(right.id), ..draft(&store, ca, 1) }));
    assert!(record(&store, intent, 1));
    let told = store.decisions(About::Serial(&serial(1)))?.remove(0);
    assert_eq!((told.requester.as_str(), told.at, told.transaction_id), ("provisioning:line-1", NOW, transaction(1)));
    assert_eq!((told.profile.0.as_str(), told.profile.1), ("idevid", digest(200)));
    assert_eq!((told.grant.origin.as_str(), told.grant.quota, told.grant.used), ("list a", 1, 1));
    let used = told.right.as_ref().unwrap();
    assert_eq!((used.station.as_str(), used.device_type.as_str(), used.quota, used.used), ("line-1", "sensor", 5, 1));
    let said = &told.approval.as_ref().unwrap().said[0];
    assert_eq!((said.operator.as_str(), said.statement.as_str(), said.approved), ("ann", "signed", true));
    let told = [told];
    assert_eq!(store.decisions(About::Transaction(&transaction(1)))?, told);
    assert_eq!(store.decisions(About::Subject(&device(1)))?, told);
    assert_eq!(store.decisions(About::Subject(&device(2)))?, []);
    Ok(())
}
#[test]
fn what_was_closed_was_decided_too() {
    let b = Box_::new();
    let store = b.open();
    let ca = ready(&store);
    let intent = row(one(&store, draft(&store, ca, 1)));
    assert!(!store.decisions(About::Serial(&serial(1))).unwrap()[0].closed);
    store.close(vec![intent], "the signature failed", NOW).unwrap();
    let told = store.decisions(About::Serial(&serial(1))).unwrap();
    assert!(told[0].closed && told[0].right.is_none() && told[0].line.is_none());
}
#[test]
fn an_operators_own_grant_names_its_origin() {
    let b = Box_::new();
    let store = b.open();
    let ca = ready(&store);
    store.deposit("operator ann", &[GrantOffer { ..offer(50) }], NOW).unwrap();
    row(one(&store, IntentDraft { grant: grant(&store, 50).id, ..draft(&store, ca, 1) }));
    assert_eq!(store.decisions(About::Serial(&serial(1))).unwrap()[0].grant.origin, "operator ann");
}
