//! The clock of this box: how far it may be ahead of what was recorded last.
//!
//! Prevents: one command under a clock that is a year ahead, after which nothing is issued or revoked for a year.

use crate::fault::{Exit, Failure, Result};
use model::UnixTime;
use std::path::Path;

/// How far the clock may be ahead of the latest record until somebody says that it is right: 30 days. A box that works
/// records something each day; one that lay in store for longer is looked at by a person anyway.
const AHEAD_MAX_S: u64 = 30 * 86_400;
/// The code of the finding and of the refusal.
const CODE: &str = "clock-ahead";

/// Whether the clock is so far ahead of the latest record that nothing is recorded without an operator's word.
pub(crate) fn is_ahead(now: UnixTime, latest: UnixTime) -> bool {
    latest > UnixTime::from_s(0) && now > latest.plus_s(AHEAD_MAX_S)
}

/// Fails before anything is recorded under a clock that may be wrong.
pub(crate) fn check(data: &Path, now: UnixTime) -> Result {
    // What cannot be read says so when it is opened for writing.
    let Ok(store) = crate::compose::open_to_read(data) else { return Ok(()) };
    let latest = store.totals()?.latest;
    if !is_ahead(now, latest) {
        return Ok(());
    }
    Err(Failure::new(Exit::Failed, CODE, "nothing was done: the clock is far ahead of the latest record")
        .because(why(now, latest))
        .next("set the clock; if it is right, an operator says so once: `cradle clock accept`"))
}

/// Why nothing is recorded.
pub(crate) fn why(now: UnixTime, latest: UnixTime) -> String {
    format!("it says {now}; the latest record is of {latest}, more than {} days before", AHEAD_MAX_S / 86_400)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LATEST: UnixTime = UnixTime::from_s(1_800_000_000);

    #[track_caller]
    fn check(now: UnixTime, latest: UnixTime, expected: bool) {
        assert_eq!(is_ahead(now, latest), expected);
    }
    #[test]
    fn thirty_days_are_not_far() {
        check(LATEST.plus_s(AHEAD_MAX_S), LATEST, false);
        check(LATEST.plus_s(AHEAD_MAX_S).plus_ms(1), LATEST, true);
    }
    #[test]
    fn a_clock_behind_is_not_ahead() {
        check(LATEST.minus_s(1), LATEST, false);
    }
    #[test]
    fn nothing_is_far_from_no_record() {
        check(LATEST, UnixTime::from_s(0), false);
    }
}
