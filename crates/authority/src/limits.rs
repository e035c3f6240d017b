//! How much one requester may ask for.

use model::UnixTime;
use ports::directory::Caller;
use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

/// Requesters that are remembered; beyond it the one that was silent longest is forgotten, whose bucket is full again.
const REQUESTERS_MAX: usize = 4096;

/// What one requester may ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Certificates a second, in the long run; none: as many as km can make.
    pub certificates_per_s: Option<u32>,
    /// Certificates at once, after a silence.
    pub burst: u32,
    /// Requests that wait for approval at one time.
    pub waiting_max: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self { certificates_per_s: None, burst: 1024, waiting_max: 256 }
    }
}

/// A bucket of leave for each requester, that fills with time.
#[derive(Default)]
pub(crate) struct Limiter {
    buckets: Mutex<BTreeMap<String, Bucket>>,
}

/// Thousandths of a certificate, so that slow rates are not rounded away.
#[derive(Clone, Copy)]
struct Bucket {
    milli: u64,
    at: UnixTime,
}

impl Limiter {
    /// How many of `wanted` certificates this requester may have now. A clock that went back adds nothing.
    pub(crate) fn take(&self, limits: &Limits, requester: &Caller, wanted: usize, now: UnixTime) -> usize {
        let Some(rate) = limits.certificates_per_s else { return wanted };
        let mut buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        let full = u64::from(limits.burst) * 1000;
        let name = requester.to_string();
        let bucket = buckets.get(&name).copied().unwrap_or(Bucket { milli: full, at: now });
        // Certificates a second are thousandths in a millisecond.
        let filled = now.since_ms(bucket.at).saturating_mul(u64::from(rate));
        let milli = bucket.milli.saturating_add(filled).min(full);
        let taken = wanted.min(usize::try_from(milli / 1000).unwrap_or(usize::MAX));
        let left = milli.saturating_sub(u64::try_from(taken).unwrap_or(u64::MAX).saturating_mul(1000));
        let at = if now > bucket.at { now } else { bucket.at };
        if buckets.len() >= REQUESTERS_MAX && !buckets.contains_key(&name) {
            let oldest = buckets.iter().min_by_key(|(_, bucket)| bucket.at).map(|(name, _)| name.clone());
            oldest.map(|name| buckets.remove(&name));
        }
        buckets.insert(name, Bucket { milli: left, at });
        taken
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: UnixTime = UnixTime::from_s(1_790_000_000);
    const LIMITS: Limits = Limits { certificates_per_s: Some(2), burst: 10, waiting_max: 1 };

    fn line(n: usize) -> Caller {
        Caller { module: model::Module::Provisioning, instance: format!("line-{n}").parse().unwrap() }
    }
    #[track_caller]
    fn takes(limiter: &Limiter, wanted: usize, at: UnixTime, expected: usize) {
        assert_eq!(limiter.take(&LIMITS, &line(1), wanted, at), expected);
    }

    #[test]
    fn after_a_silence_so_many_at_once() {
        let limiter = Limiter::default();
        takes(&limiter, 12, NOW, 10);
        takes(&limiter, 1, NOW, 0);
        assert_eq!(limiter.take(&LIMITS, &line(2), 1, NOW), 1, "another requester has its own");
    }
    #[test]
    fn in_the_long_run_so_many_a_second() {
        let limiter = Limiter::default();
        takes(&limiter, 10, NOW, 10);
        takes(&limiter, 9, NOW.plus_ms(499), 0);
        takes(&limiter, 9, NOW.plus_ms(500), 1);
        takes(&limiter, 9, NOW.plus_s(3), 5);
        takes(&limiter, 99, NOW.plus_s(900), 10);
    }
    #[test]
    fn a_clock_that_goes_back_fills_nothing() {
        let limiter = Limiter::default();
        takes(&limiter, 10, NOW, 10);
        takes(&limiter, 1, NOW.minus_s(60), 0);
        takes(&limiter, 1, NOW.plus_ms(499), 0);
    }
    #[test]
    fn without_a_limit_all() {
        assert_eq!(Limiter::default().take(&Limits::default(), &line(1), 5000, NOW), 5000);
    }
    #[test]
    fn the_memory_for_requesters_is_bounded() {
        let limiter = Limiter::default();
        for n in 0..REQUESTERS_MAX + 10 {
            limiter.take(&LIMITS, &line(n), 1, NOW.plus_ms(u64::try_from(n).unwrap()));
        }
        assert_eq!(limiter.buckets.lock().unwrap().len(), REQUESTERS_MAX);
    }
}
