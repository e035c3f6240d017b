//! Exchanges over CMP, and the secrets of their MACs.

use crate::support::*;
use model::{Digest, TransactionId};
use ports::store::CmpStore;
use ports::store::cmp::{Exchange, ExchangeState};

fn exchange(n: u8) -> Exchange {
    Exchange {
        id: Digest::new([n; 32]),
        message: Digest::new([n + 1; 32]),
        state: ExchangeState::Unconfirmed,
        transaction_id: TransactionId::new([n; 16]),
        subject: "urn:dev:ops:32473-sensor-SN000001".parse().unwrap(),
        instance: "line-1".parse().unwrap(),
        label: (n == 1).then(|| "devices".parse().unwrap()),
        body: 4,
        cert_req_id: -1,
        implicit: n == 1,
        nonce: [n; 16],
        at: NOW,
        until: NOW.plus_s(u64::from(n)),
        request: None,
    }
}

#[test]
fn an_identifier_is_used_once() {
    let b = Box_::new();
    let store = b.open();
    assert_eq!(store.begin_exchange(&exchange(1)), Ok(true));
    let other = Exchange { message: Digest::new([9; 32]), ..exchange(1) };
    assert_eq!(store.begin_exchange(&other), Ok(false));
    assert_eq!(store.exchange(&exchange(1).id), Ok(Some(exchange(1))));
    assert_eq!(store.exchange(&exchange(2).id), Ok(None));
    drop(store);
    // Nor behind a restart.
    let store = b.open();
    assert_eq!(store.begin_exchange(&exchange(1)), Ok(false));
}
#[test]
fn how_far_it_has_come_is_kept() {
    let b = Box_::new();
    let store = b.open();
    store.begin_exchange(&exchange(1)).unwrap();
    for state in ExchangeState::ALL {
        let request = (state == ExchangeState::Waiting).then(|| vec![0x30, 0]);
        let moved = Exchange { state, nonce: [7; 16], until: NOW.plus_s(99), request, ..exchange(1) };
        store.move_exchange(&moved).unwrap();
        assert_eq!(store.exchange(&moved.id), Ok(Some(moved)));
    }
}
#[test]
fn what_waits_is_overdue_behind_its_last_moment() {
    let b = Box_::new();
    let store = b.open();
    (1..=4).for_each(|n| assert!(store.begin_exchange(&exchange(n)).unwrap()));
    store.move_exchange(&Exchange { state: ExchangeState::Waiting, ..exchange(2) }).unwrap();
    store.move_exchange(&Exchange { state: ExchangeState::Confirmed, ..exchange(3) }).unwrap();
    let overdue = |s, limit| {
        let found = store.overdue_exchanges(NOW.plus_s(s), limit).unwrap();
        found.into_iter().map(|found| found.nonce[0]).collect::<Vec<_>>()
    };
    assert!(overdue(1, 9).is_empty());
    assert_eq!(overdue(2, 9), [1]);
    assert_eq!(overdue(9, 9), [1, 2, 4]);
    assert_eq!(overdue(9, 1), [1]);
}
#[test]
fn a_secret_is_kept_until_its_end() {
    let b = Box_::new();
    let store = b.open();
    let keep = |n: u8, sealed: &[u8], at| store.keep_secret(Digest::new([n; 32]), sealed, NOW.plus_s(10), at).unwrap();
    let kept = |n: u8| store.sealed_secret(&Digest::new([n; 32])).unwrap();
    keep(1, b"one", NOW);
    keep(1, b"again", NOW.plus_s(10));
    assert_eq!((kept(1), kept(2)), (Some(b"again".to_vec()), None));
    keep(2, b"two", NOW.plus_s(11));
    assert_eq!((kept(1), kept(2)), (None, Some(b"two".to_vec())));
}
