//! When repositories are followed next, and how it went last. Pure: the time and what is random are arguments.

use model::text::printable;
use model::{Fault, Reason, UnixTime};
use serde::{Deserialize, Serialize};

/// Longest and shortest time between two looks, in seconds.
pub const EVERY_S: std::ops::RangeInclusive<u64> = 10..=30 * 86_400;
/// Wait after the first failure, in seconds; each further one doubles it, up to the time between two looks.
const AGAIN_S: u64 = 15;
/// Who begins looks within so many seconds: boxes that were switched on together do not come together.
const BEGIN_WITHIN_S: u64 = 10;
/// How long after a look a notice has another one made, in seconds, however many come.
const NOTICED_AFTER_S: u64 = 5;
/// Boxes that heard one notice come within so many milliseconds.
const NOTICED_WITHIN_MS: u64 = 2000;
const WHAT_LEN_MAX: usize = 300;

/// Why following failed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Failed {
    /// Since when it has failed, without a success between.
    pub since: UnixTime,
    /// How often.
    pub times: u64,
    /// The word that `cradle explain` explains.
    pub code: String,
    /// Of which file, what is wrong with it, and which attack that may be.
    pub what: String,
}

/// How following stands.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Standing {
    /// When it was tried last.
    pub tried_at: Option<UnixTime>,
    /// When all that the repositories say was verified last.
    pub succeeded_at: Option<UnixTime>,
    /// When a notice was heard last.
    pub noticed_at: Option<UnixTime>,
    /// When it is tried next.
    pub next_at: UnixTime,
    /// The time between two looks, in seconds.
    pub every_s: u64,
    /// Why the last try failed; none if it did not.
    pub failed: Option<Failed>,
    /// How many reports wait to be taken by the director.
    #[serde(default)]
    pub reports_waiting: u64,
    /// Why they were not taken.
    #[serde(default)]
    pub reports_why: Option<String>,
}

impl Failed {
    /// Whether what came has expired: somebody may keep this box from what is new.
    #[must_use]
    pub fn is_freeze(&self) -> bool {
        self.code == Reason::ReleaseExpired.code()
    }
}

impl Standing {
    /// What was kept, as it is taken up at a start. What is not due in any sensible time is due soon: the clock was moved, or the settings were changed.
    #[must_use]
    pub fn begun(self, every_s: u64, now: UnixTime, random: u16) -> Self {
        let is_sensible = self.next_at > now && self.next_at.since_ms(now) <= every_s.saturating_mul(1500);
        let soon = now.plus_ms(share(BEGIN_WITHIN_S.min(every_s) * 1000, random));
        Self { next_at: if is_sensible { self.next_at } else { soon }, every_s, ..self }
    }

    /// Whether it is time.
    #[must_use]
    pub fn is_due(&self, now: UnixTime) -> bool {
        self.next_at <= now
    }

    /// All was verified. The next look is after the time between two looks, a tenth more or less.
    #[must_use]
    pub fn succeeded(self, now: UnixTime, random: u16) -> Self {
        let every_ms = self.every_s.saturating_mul(1000);
        let next_at = now.plus_ms(every_ms - every_ms / 10 + share(every_ms / 5, random));
        Self { tried_at: Some(now), succeeded_at: Some(now), next_at, failed: None, ..self }
    }

    /// It was refused, or did not come.
    #[must_use]
    pub fn failed(self, fault: &Fault, what: &str, now: UnixTime, random: u16) -> Self {
        let (since, times) = self.failed.as_ref().map_or((now, 0), |failed| (failed.since, failed.times));
        let wait_s = AGAIN_S.saturating_mul(1 << times.min(16)).min(self.every_s);
        let next_at = now.plus_ms(wait_s * 500 + share(wait_s * 500, random));
        let what = printable(what, WHAT_LEN_MAX);
        let failed = Failed { since, times: times.saturating_add(1), code: fault.code().to_owned(), what };
        Self { tried_at: Some(now), next_at, failed: Some(failed), ..self }
    }

    /// A notice was heard: the next look is soon, and no sooner however many come.
    #[must_use]
    pub fn noticed(self, now: UnixTime, random: u16) -> Self {
        let earliest = self.tried_at.map_or(now, |tried| tried.plus_s(NOTICED_AFTER_S).max(now));
        let soon = earliest.plus_ms(share(NOTICED_WITHIN_MS, random));
        Self { noticed_at: Some(now), next_at: self.next_at.min(soon), ..self }
    }
}

fn share(of: u64, random: u16) -> u64 {
    of.saturating_mul(u64::from(random)) / u64::from(u16::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: UnixTime = UnixTime::from_s(1_790_000_000);
    const HOUR: u64 = 3600;

    fn begun() -> Standing {
        Standing::default().begun(HOUR, NOW, 0)
    }
    fn refused(standing: Standing, random: u16) -> Standing {
        standing.failed(&Reason::ReleaseExpired.into(), "images/timestamp.json has expired", NOW, random)
    }
    #[track_caller]
    fn next_in(standing: &Standing, expected_ms: u64) {
        assert_eq!(standing.next_at.since_ms(NOW), expected_ms);
    }

    #[test]
    fn who_begins_looks_within_ten_seconds() {
        next_in(&begun(), 0);
        next_in(&Standing::default().begun(HOUR, NOW, u16::MAX), 10_000);
    }
    #[test]
    fn who_begins_again_keeps_to_its_time() {
        let before = Standing { next_at: NOW.plus_s(100), ..Standing::default() };
        next_in(&before.begun(HOUR, NOW, 0), 100_000);
    }
    #[test]
    fn a_clock_that_was_moved_does_not_keep_it_away() {
        let before = Standing { next_at: NOW.plus_s(2 * HOUR), ..Standing::default() };
        next_in(&before.begun(HOUR, NOW, 0), 0);
    }
    #[test]
    fn looks_are_an_hour_apart_and_a_tenth_more_or_less() {
        next_in(&begun().succeeded(NOW, 0), 3_240_000);
        next_in(&begun().succeeded(NOW, u16::MAX), 3_960_000);
    }
    #[test]
    fn failures_wait_ever_longer_up_to_the_time_between_looks() {
        let waits = |random| {
            let mut standing = begun();
            let mut waits = Vec::new();
            for _ in 0..100 {
                standing = refused(standing, random);
                waits.push(standing.next_at.since_ms(NOW) / 100);
            }
            (waits[0], waits[1], waits[99])
        };
        assert_eq!(waits(u16::MAX), (150, 300, 36_000));
        assert_eq!(waits(0), (75, 150, 18_000));
    }
    #[test]
    fn what_failed_is_kept_until_it_succeeds() {
        let standing = refused(begun(), 0).failed(&Fault::unavailable("gone"), "gone", NOW.plus_s(9), 0);
        let failed = standing.failed.clone().unwrap();
        assert_eq!((failed.since, failed.times, failed.code.as_str()), (NOW, 2, "unavailable"));
        assert!(!failed.is_freeze() && refused(begun(), 0).failed.unwrap().is_freeze());
        assert_eq!(standing.succeeded_at, None);
        let standing = standing.succeeded(NOW.plus_s(10), 0);
        assert_eq!((standing.failed, standing.succeeded_at), (None, Some(NOW.plus_s(10))));
    }
    #[test]
    fn a_notice_has_it_look_soon_and_a_thousand_no_sooner() {
        let mut standing = begun().succeeded(NOW, 0);
        for _ in 0..1000 {
            standing = standing.noticed(NOW, 0);
        }
        next_in(&standing, NOTICED_AFTER_S * 1000);
        next_in(&begun().succeeded(NOW.minus_s(60), 0).noticed(NOW, u16::MAX), NOTICED_WITHIN_MS);
    }
    #[test]
    fn a_notice_puts_nothing_off() {
        let standing = begun().noticed(NOW, u16::MAX);
        next_in(&standing, 0);
    }
}
