//! How many connections and requests one address has.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// Most addresses that are remembered after their connections have ended. Who is forgotten begins with a full bucket; an
/// address that still has connections is never forgotten.
const REMEMBERED_MAX: usize = 65_536;

/// One customer: an address, or a network of IPv6 that one customer has.
pub(super) fn customer(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) => IpAddr::V6((u128::from(v6) >> 64 << 64).into()),
        v4 @ IpAddr::V4(_) => v4,
    }
}

#[derive(Clone, Copy, Debug)]
struct Account {
    connections: usize,
    // Millionths of a request that may be made at once, at `at`.
    credit: u64,
    at: Duration,
}

const ONE: u64 = 1_000_000;

/// The accounts of all addresses. Times are since the server's beginning.
#[derive(Debug)]
pub(super) struct Accounts {
    connections_max: usize,
    per_second: u64,
    burst: u64,
    accounts: Mutex<HashMap<IpAddr, Account>>,
}

impl Accounts {
    pub(super) fn new(connections_max: usize, per_second: u32, burst: u32) -> Self {
        let burst = u64::from(burst).saturating_mul(ONE);
        Self { connections_max, per_second: per_second.into(), burst, accounts: Mutex::default() }
    }

    /// Whether one connection more of this address is taken; if so, [`Accounts::ended`] must follow.
    pub(super) fn begun(&self, address: IpAddr, now: Duration) -> bool {
        let mut accounts = self.accounts.lock().unwrap_or_else(PoisonError::into_inner);
        if accounts.len() >= REMEMBERED_MAX {
            let burst = self.burst;
            accounts.retain(|_, account| {
                account.connections > 0 || account.filled(self.per_second, burst, now).credit < burst
            });
        }
        if accounts.len() >= REMEMBERED_MAX {
            accounts.retain(|_, account| account.connections > 0);
        }
        let fresh = Account { connections: 0, credit: self.burst, at: now };
        let account = accounts.entry(customer(address)).or_insert(fresh);
        if account.connections >= self.connections_max {
            return false;
        }
        account.connections += 1;
        true
    }

    pub(super) fn ended(&self, address: IpAddr) {
        let mut accounts = self.accounts.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(account) = accounts.get_mut(&customer(address)) {
            account.connections = account.connections.saturating_sub(1);
        }
    }

    /// Whether one request more of this address is answered.
    pub(super) fn may_ask(&self, address: IpAddr, now: Duration) -> bool {
        let mut accounts = self.accounts.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(account) = accounts.get_mut(&customer(address)) else { return false };
        *account = account.filled(self.per_second, self.burst, now);
        match account.credit.checked_sub(ONE) {
            Some(left) => {
                account.credit = left;
                true
            }
            None => false,
        }
    }
}

impl Account {
    fn filled(self, per_second: u64, burst: u64, now: Duration) -> Self {
        let us = u64::try_from(now.saturating_sub(self.at).as_micros()).unwrap_or(u64::MAX);
        let credit = self.credit.saturating_add(us.saturating_mul(per_second)).min(burst);
        Self { credit, at: self.at.max(now), ..self }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "what cannot go on here has failed")]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }
    const fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    #[test]
    fn so_many_at_once_and_then_the_average() {
        let accounts = Accounts::new(1, 2, 3);
        let me = ip("192.0.2.1");
        assert!(accounts.begun(me, ms(0)));
        let asked = |at: u64| accounts.may_ask(me, ms(at));
        assert_eq!([0, 0, 0, 0].map(asked), [true, true, true, false]);
        assert_eq!([499, 500, 500, 999, 1000].map(asked), [false, true, false, false, true]);
        // However long it is quiet, no more than the burst is saved up; and a clock that stands gives nothing.
        assert_eq!([90_000, 90_000, 90_000, 90_000, 80_000].map(asked), [true, true, true, false, false]);
    }
    #[test]
    fn others_are_not_held_up() {
        let accounts = Accounts::new(1, 1, 1);
        for (address, expected) in [("192.0.2.1", true), ("192.0.2.1", false), ("192.0.2.2", true)] {
            accounts.begun(ip(address), ms(0));
            assert_eq!(accounts.may_ask(ip(address), ms(0)), expected);
        }
    }
    #[test]
    fn so_many_connections_and_one_ends() {
        let accounts = Accounts::new(2, 1, 1);
        let begun = |address: &str| accounts.begun(ip(address), ms(0));
        assert_eq!(["::1", "::1", "::1"].map(begun), [true, true, false]);
        accounts.ended(ip("::1"));
        assert_eq!(["::1", "::1"].map(begun), [true, false]);
    }
    #[track_caller]
    fn same(a: &str, b: &str, expected: bool) {
        assert_eq!(customer(ip(a)) == customer(ip(b)), expected);
    }
    #[test]
    fn one_network_is_one_customer() {
        same("2001:db8::1", "2001:db8::ffff:1", true);
        same("2001:db8::1", "2001:db8:0:1::1", false);
        same("192.0.2.1", "192.0.2.2", false);
        same("192.0.2.1", "::ffff:192.0.2.1", true);
    }
    #[test]
    fn who_is_gone_is_forgotten_and_who_is_there_is_not() {
        let accounts = Accounts::new(1, 1, 2);
        let there = ip("203.0.113.1");
        assert!(accounts.begun(there, ms(0)));
        for n in 0..u32::try_from(REMEMBERED_MAX).unwrap() + 10 {
            let one = IpAddr::V4(n.into());
            assert!(accounts.begun(one, ms(0)));
            accounts.ended(one);
        }
        assert!(accounts.accounts.lock().unwrap().len() <= REMEMBERED_MAX);
        assert!(!accounts.begun(there, ms(0)), "its connection was forgotten");
    }
}
