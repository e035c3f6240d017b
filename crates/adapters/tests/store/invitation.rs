//! An invitation is used once, by one request, until its end.

use crate::support::*;
use adapters::store::SqlStore;
use adapters::store::sql::{AdmittedBox, Invitation, InvitationFault, InvitationState};
use model::audit::Event;
use model::contract::authority::RevocationReason;
use model::{Digest, UnixTime};
use ports::store::AuthorityStore;
use x509::sha256;

const UNTIL: UnixTime = UnixTime::from_s(1_790_003_600);

fn invitation(n: u8, instance: &str) -> Invitation {
    Invitation {
        token: sha256(&[n]),
        instance: instance.parse().unwrap(),
        statements: vec!["{\"one\": 1}".into(), "{\"two\": 2}".into()],
        at: NOW,
        until: UNTIL,
        state: InvitationState::Open,
        admitted: None,
    }
}
fn event() -> Event {
    let (token, operator) = (sha256(&[1]), "alice".to_owned());
    Event::BoxUninvited { instance: "line-2".into(), token, operator }
}
fn admitted(n: u8) -> AdmittedBox {
    AdmittedBox { request: sha256(&[n, n]), admission: "{}".into() }
}
fn invited() -> (Box_, SqlStore) {
    let b = Box_::new();
    let store = b.open();
    store.invite(&invitation(1, "line-2"), &event()).unwrap().unwrap();
    (b, store)
}
fn used(store: &SqlStore, token: u8, request: u8, now: UnixTime) -> Result<(), InvitationFault> {
    store.use_invitation(sha256(&[token]), &admitted(request), now, &event()).unwrap()
}
fn taken_back(store: &SqlStore, token: u8) -> Result<(), InvitationFault> {
    store.uninvite(sha256(&[token]), NOW, &event()).unwrap()
}

#[test]
fn what_was_invited_is_read_again() {
    let (_b, store) = invited();
    assert_eq!(store.invitations().unwrap(), [invitation(1, "line-2")]);
    let before = store.audit_len().unwrap();
    used(&store, 1, 1, NOW).unwrap();
    assert_eq!(store.audit_len().unwrap(), before + 1);
    let (state, admitted) = (InvitationState::Admitted, Some(admitted(1)));
    assert_eq!(store.invitations().unwrap(), [Invitation { state, admitted, ..invitation(1, "line-2") }]);
}
#[test]
fn a_box_has_one_open_invitation() {
    let (_b, store) = invited();
    let again = |n, instance: &str| store.invite(&invitation(n, instance), &event()).unwrap();
    assert_eq!(again(2, "line-2"), Err(InvitationFault::Open));
    assert_eq!(again(3, "line-3"), Ok(()));
    // One that has ended, or was taken back, is no more in the way.
    let later = Invitation { at: UNTIL.plus_ms(1), until: UNTIL.plus_s(60), ..invitation(4, "line-2") };
    assert_eq!(store.invite(&later, &event()).unwrap(), Ok(()));
    taken_back(&store, 3).unwrap();
    assert_eq!(again(5, "line-3"), Ok(()));
}
#[test]
fn it_is_used_by_one_request_however_often_that_comes() {
    let (_b, store) = invited();
    assert_eq!(used(&store, 1, 1, NOW), Ok(()));
    let before = store.audit_len().unwrap();
    assert_eq!(used(&store, 1, 1, UNTIL.plus_s(1000)), Ok(()));
    assert_eq!(used(&store, 1, 2, NOW), Err(InvitationFault::Used));
    assert_eq!(taken_back(&store, 1), Err(InvitationFault::Used));
    assert_eq!(store.audit_len().unwrap(), before, "nothing was done");
}
#[test]
fn it_is_used_until_its_last_moment() {
    let (_b, store) = invited();
    assert_eq!(used(&store, 1, 1, UNTIL.plus_ms(1)), Err(InvitationFault::Ended));
    assert_eq!(used(&store, 1, 1, UNTIL), Ok(()));
}
#[test]
fn what_was_taken_back_opens_nothing() {
    let (_b, store) = invited();
    assert_eq!(taken_back(&store, 1), Ok(()));
    assert_eq!(used(&store, 1, 1, NOW), Err(InvitationFault::TakenBack));
    assert_eq!(taken_back(&store, 1), Err(InvitationFault::TakenBack));
}
#[test]
fn what_nobody_invited_opens_nothing() {
    let (_b, store) = invited();
    assert_eq!(used(&store, 2, 1, NOW), Err(InvitationFault::Unknown));
    assert_eq!(taken_back(&store, 2), Err(InvitationFault::Unknown));
}
#[test]
fn it_outlives_the_process() {
    let (b, store) = invited();
    used(&store, 1, 1, NOW).unwrap();
    drop(store);
    assert_eq!(used(&b.open(), 1, 2, NOW), Err(InvitationFault::Used));
}
#[test]
fn a_key_is_revoked_with_its_certificate() {
    let b = Box_::new();
    let store = b.open();
    let authority = ready(&store);
    let key = draft(&store, authority, 1).key;
    issue(&store, authority, 1);
    assert!(!store.is_revoked_key(key).unwrap());
    store.revoke(&serial(1), RevocationReason::KeyCompromise, NOW).unwrap().unwrap();
    assert!(store.is_revoked_key(key).unwrap());
    assert!(!store.is_revoked_key(Digest::new([9; 32])).unwrap());
}
