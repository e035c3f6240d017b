//! Accounts, orders and authorisations of ACME.

use crate::support::*;
use model::contract::acme::ChallengeKind;
use model::{AcmeId, Digest, EstLabel, Reason, TransactionId};
use ports::store::AcmeStore;
use ports::store::acme::{
    Account, AccountState, Authorization, AuthorizationState as Part, Begun, Order, OrderState as State,
};

fn label() -> EstLabel {
    "site".parse().unwrap()
}

fn account(n: u8) -> Account {
    Account {
        id: AcmeId::new([n; 16]),
        label: label(),
        subject: format!("urn:dev:ops:32473-sensor-SN00000{n}").parse().unwrap(),
        key: vec![n, 1],
        thumbprint: Digest::new([n; 32]),
        secret: Digest::new([n; 32]),
        state: AccountState::Valid,
        contact: vec!["mailto:a@b.example".into(), "mailto:c@d.example".into()],
        at: NOW,
    }
}

fn order(n: u8) -> Order {
    Order {
        id: AcmeId::new([n; 16]),
        account: AcmeId::new([1; 16]),
        state: State::Open,
        identifiers: vec!["dns:a.example".into(), "ip:192.0.2.1".into()],
        replaces: (n == 1).then(|| "a.b".into()),
        transaction_id: None,
        request: None,
        serial: None,
        error: None,
        at: NOW.plus_s(u64::from(n)),
        until: NOW.plus_s(100),
    }
}

fn part(n: u8, order: &Order) -> Authorization {
    Authorization {
        id: AcmeId::new([n; 16]),
        order: order.id,
        identifier: format!("dns:{n}.example"),
        secret: [n; 32],
        state: Part::Pending,
        challenge: None,
        key: None,
        error: None,
        at: order.at,
        until: order.until,
    }
}

#[test]
fn a_secret_binds_once_and_a_key_has_one_account() {
    let b = Box_::new();
    let store = b.open();
    assert_eq!(store.begin_account(&account(1)), Ok(Begun::New));
    assert_eq!(store.account(&account(1).id), Ok(Some(account(1))));
    assert_eq!(store.account_of(&label(), &account(1).thumbprint), Ok(Some(account(1))));
    assert_eq!(store.account_of(&"other".parse().unwrap(), &account(1).thumbprint), Ok(None));
    let again = Account { secret: account(1).secret, ..account(2) };
    assert_eq!(store.begin_account(&again), Ok(Begun::SecretUsed));
    let again = Account { thumbprint: account(1).thumbprint, ..account(2) };
    assert_eq!(store.begin_account(&again), Ok(Begun::KeyTaken));
    drop(store);
    // Nor behind a restart.
    assert_eq!(b.open().begin_account(&Account { secret: account(1).secret, ..account(3) }), Ok(Begun::SecretUsed));
}
#[test]
fn a_newer_account_of_a_device_ends_the_older_one() {
    let b = Box_::new();
    let store = b.open();
    store.begin_account(&account(1)).unwrap();
    store.begin_account(&account(2)).unwrap();
    let newer = Account { subject: account(1).subject, ..account(3) };
    assert_eq!(store.begin_account(&newer), Ok(Begun::New));
    let state = |n: u8| store.account(&account(n).id).unwrap().unwrap().state;
    assert_eq!([state(1), state(2), state(3)], [AccountState::Revoked, AccountState::Valid, AccountState::Valid]);
}
#[test]
fn an_account_changes_and_takes_no_key_of_another() {
    let b = Box_::new();
    let store = b.open();
    (1..=2).for_each(|n| assert_eq!(store.begin_account(&account(n)), Ok(Begun::New)));
    let taken = Account { thumbprint: account(2).thumbprint, ..account(1) };
    assert_eq!(store.change_account(&taken, "x", NOW), Ok(false));
    assert_eq!(store.account(&account(1).id), Ok(Some(account(1))));
    let changed = Account {
        key: vec![9],
        thumbprint: Digest::new([9; 32]),
        state: AccountState::Deactivated,
        contact: Vec::new(),
        ..account(1)
    };
    assert_eq!(store.change_account(&changed, "x", NOW), Ok(true));
    assert_eq!(store.account(&account(1).id), Ok(Some(changed)));
}
#[test]
fn so_many_orders_are_open_at_a_time() {
    let b = Box_::new();
    let store = b.open();
    assert_eq!(store.begin_order(&order(1), &[part(1, &order(1))], 2), Ok(true));
    assert_eq!(store.begin_order(&order(2), &[], 2), Ok(true));
    assert_eq!(store.begin_order(&order(3), &[], 2), Ok(false));
    assert_eq!(store.order(&order(3).id), Ok(None));
    // Of another account, or when one has ended.
    let others = Order { account: AcmeId::new([2; 16]), ..order(4) };
    assert_eq!(store.begin_order(&others, &[], 2), Ok(true));
    store.move_order(&Order { state: State::Invalid, ..order(1) }, State::Open).unwrap();
    assert_eq!(store.begin_order(&order(3), &[], 2), Ok(true));
    let listed = store.orders(&AcmeId::new([1; 16]), 2).unwrap();
    assert_eq!(listed, [order(3).id, order(2).id]);
}
#[test]
fn how_far_an_order_has_come_is_written_once() {
    let b = Box_::new();
    let store = b.open();
    store.begin_order(&order(1), &[], 9).unwrap();
    let moved = Order {
        state: State::Processing,
        transaction_id: Some(TransactionId::new([7; 16])),
        request: Some(vec![0x30, 0]),
        serial: Some("0badc0de".into()),
        error: Some(Reason::GrantSpent),
        until: NOW.plus_s(200),
        ..order(1)
    };
    assert_eq!(store.move_order(&moved, State::Valid), Ok(false));
    assert_eq!(store.move_order(&moved, State::Open), Ok(true));
    assert_eq!(store.move_order(&moved, State::Open), Ok(false));
    assert_eq!(store.order(&moved.id), Ok(Some(moved)));
}
#[test]
fn authorisations_are_those_of_their_order() {
    let b = Box_::new();
    let store = b.open();
    store.begin_order(&order(1), &[part(2, &order(1)), part(1, &order(1))], 9).unwrap();
    store.begin_order(&order(2), &[part(3, &order(2))], 9).unwrap();
    assert_eq!(store.authorizations(&order(1).id), Ok(vec![part(1, &order(1)), part(2, &order(1))]));
    for kind in ChallengeKind::ALL {
        let from = store.authorization(&part(3, &order(2)).id).unwrap().unwrap();
        let error = Some(Reason::ChallengeSlow);
        let moved = Authorization {
            state: Part::Processing,
            challenge: Some(kind),
            key: Some(kind.name().into()),
            error,
            at: NOW,
            ..from.clone()
        };
        assert_eq!(store.move_authorization(&moved, Part::Invalid), Ok(false));
        assert_eq!(store.move_authorization(&moved, from.state), Ok(true));
        assert_eq!(store.authorization(&moved.id), Ok(Some(moved)));
    }
}
#[test]
fn what_led_to_nothing_is_forgotten_a_month_later() {
    let b = Box_::new();
    let store = b.open();
    store.begin_order(&order(1), &[part(1, &order(1))], 9).unwrap();
    store.begin_order(&order(2), &[part(2, &order(2))], 9).unwrap();
    store.move_order(&Order { state: State::Valid, ..order(2) }, State::Open).unwrap();
    let later =
        |n: u8, s: u64| Order { at: NOW.plus_s(100 + 30 * 86_400 + s), until: NOW.plus_s(9_999_999), ..order(n) };
    store.begin_order(&later(3, 0), &[], 9).unwrap();
    assert!(store.order(&order(1).id).unwrap().is_some());
    store.begin_order(&later(4, 1), &[], 9).unwrap();
    assert_eq!(store.order(&order(1).id), Ok(None));
    assert!(store.order(&order(2).id).unwrap().is_some(), "it has a certificate");
    assert_eq!(store.authorizations(&order(1).id), Ok(Vec::new()));
}
#[test]
fn a_nonce_is_used_once_and_forgotten_behind_its_end() {
    let b = Box_::new();
    let store = b.open();
    let used = |n: u8, at| store.use_nonce(&[n; 16], NOW.plus_s(10), at).unwrap();
    assert!(used(1, NOW) && !used(1, NOW) && used(2, NOW));
    drop(store);
    let store = b.open();
    assert_eq!(store.use_nonce(&[1; 16], NOW.plus_s(10), NOW.plus_s(10)), Ok(false));
    // It would not count any more: that it is forgotten changes nothing.
    assert_eq!(store.use_nonce(&[1; 16], NOW.plus_s(20), NOW.plus_s(11)), Ok(true));
}
#[test]
fn the_key_of_nonces_is_made_once() {
    let b = Box_::new();
    assert_eq!(b.open().nonce_key([1; 32]), Ok([1; 32]));
    assert_eq!(b.open().nonce_key([2; 32]), Ok([1; 32]));
}
