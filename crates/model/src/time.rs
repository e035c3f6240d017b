//! Time as the system counts it.

use serde::{Deserialize, Serialize};
use std::fmt;

/// A moment, counted from 1970-01-01T00:00:00Z without leap seconds.
///
/// Units: milliseconds. Shape: 0 to the last millisecond of the year 9999.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct UnixTime {
    ms: u64,
}

/// 9999-12-31T23:59:59Z in seconds, the last moment that X.509 can write.
/// Source: RFC 5280 §4.1.2.5.
pub const LAST_SECOND: u64 = 253_402_300_799;

impl UnixTime {
    /// 9999-12-31T23:59:59Z, which in a certificate means "no well-defined expiration date".
    /// Source: RFC 5280 §4.1.2.5.
    pub const NO_EXPIRY: Self = Self { ms: LAST_SECOND * 1000 };

    /// Makes a time from milliseconds; what lies behind the year 9999 is drawn back to its end.
    #[must_use]
    pub const fn from_ms(ms: u64) -> Self {
        let last = LAST_SECOND * 1000 + 999;
        Self { ms: if ms > last { last } else { ms } }
    }

    /// Makes a time from whole seconds.
    #[must_use]
    pub const fn from_s(s: u64) -> Self {
        Self::from_ms(s.saturating_mul(1000))
    }

    /// Milliseconds since the epoch.
    #[must_use]
    pub const fn ms(self) -> u64 {
        self.ms
    }

    /// Whole seconds since the epoch, rounded down.
    #[must_use]
    pub const fn s(self) -> u64 {
        self.ms / 1000
    }

    /// The same moment without its fraction of a second: X.509 knows none.
    #[must_use]
    pub const fn whole_second(self) -> Self {
        Self { ms: self.ms / 1000 * 1000 }
    }

    /// Later by `ms` milliseconds, at most the end of 9999.
    #[must_use]
    pub const fn plus_ms(self, ms: u64) -> Self {
        Self::from_ms(self.ms.saturating_add(ms))
    }

    /// Later by `s` seconds, at most the end of 9999.
    #[must_use]
    pub const fn plus_s(self, s: u64) -> Self {
        self.plus_ms(s.saturating_mul(1000))
    }

    /// Earlier by `s` seconds, at least the epoch.
    #[must_use]
    pub const fn minus_s(self, s: u64) -> Self {
        Self { ms: self.ms.saturating_sub(s.saturating_mul(1000)) }
    }

    /// Milliseconds from `earlier` to `self`, zero if `earlier` is later.
    #[must_use]
    pub const fn since_ms(self, earlier: Self) -> u64 {
        self.ms.saturating_sub(earlier.ms)
    }

    /// The proleptic Gregorian date and time of day in UTC.
    #[must_use]
    pub fn civil(self) -> Civil {
        let s = self.s();
        let days = s / 86_400;
        let of_day = s % 86_400;
        let (year, month, day) = civil_from_days(days);
        Civil { year, month, day, hour: of_day / 3600, minute: of_day % 3600 / 60, second: of_day % 60 }
    }

    /// Reads a moment: `2027-01-31`, which is its beginning in UTC, or `2027-01-31T12:00:00Z`.
    #[must_use]
    pub fn from_text(text: &str) -> Option<Self> {
        let (date, time) = text.split_once('T').unwrap_or((text, "00:00:00Z"));
        let digits = |part: Option<&str>, len: usize| {
            part.filter(|part| part.len() == len && part.bytes().all(|c| c.is_ascii_digit()))?.parse::<u64>().ok()
        };
        let (mut date, mut time) = (date.split('-'), time.strip_suffix('Z')?.split(':'));
        let civil = Civil {
            year: digits(date.next(), 4)?,
            month: digits(date.next(), 2)?,
            day: digits(date.next(), 2)?,
            hour: digits(time.next(), 2)?,
            minute: digits(time.next(), 2)?,
            second: digits(time.next(), 2)?,
        };
        if date.next().is_some() || time.next().is_some() {
            return None;
        }
        Self::from_civil(civil)
    }

    /// The moment of a UTC date and time of day.
    ///
    /// `None` if the date does not exist, lies before 1970 or behind 9999; a leap second does not exist.
    #[must_use]
    pub fn from_civil(c: Civil) -> Option<Self> {
        let ok = (1970..=9999).contains(&c.year)
            && (1..=12).contains(&c.month)
            && (1..=days_in_month(c.year, c.month)).contains(&c.day)
            && c.hour < 24
            && c.minute < 60
            && c.second < 60;
        ok.then(|| {
            let days = days_from_civil(c.year, c.month, c.day);
            Self::from_s(days * 86_400 + c.hour * 3600 + c.minute * 60 + c.second)
        })
    }
}

/// Date and time of day in UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the field names say all")]
pub struct Civil {
    pub year: u64,
    pub month: u64,
    pub day: u64,
    pub hour: u64,
    pub minute: u64,
    pub second: u64,
}

/// RFC 3339, whole seconds: `2026-11-20T21:11:00Z`.
impl fmt::Display for UnixTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let c = self.civil();
        write!(f, "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}Z", c.year, c.month, c.day, c.hour, c.minute, c.second)
    }
}

fn is_leap(year: u64) -> bool {
    year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400))
}

fn days_in_month(year: u64, month: u64) -> u64 {
    match month {
        2 if is_leap(year) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

// Days are counted in eras of 400 years that begin on 1 March, so that the leap day is the last of its year.
// 719 468 is the number of days from 0000-03-01 to 1970-01-01.
fn days_from_civil(year: u64, month: u64, day: u64) -> u64 {
    let y = if month <= 2 { year - 1 } else { year };
    let era = y / 400;
    let year_of_era = y % 400;
    let month_from_march = (month + 9) % 12;
    let day_of_year = (153 * month_from_march + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era * 146_097 + day_of_era - 719_468
}

fn civil_from_days(days: u64) -> (u64, u64, u64) {
    let z = days + 719_468;
    let era = z / 146_097;
    let day_of_era = z % 146_097;
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    let year = year_of_era + era * 400 + u64::from(month <= 2);
    (year, month, day)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[track_caller]
    fn check(s: u64, expected: &str) {
        assert_eq!(UnixTime::from_s(s).to_string(), expected);
        assert_eq!(UnixTime::from_civil(UnixTime::from_s(s).civil()), Some(UnixTime::from_s(s)));
    }

    #[test]
    fn the_epoch() {
        check(0, "1970-01-01T00:00:00Z");
    }
    #[test]
    fn a_leap_day() {
        check(951_782_400, "2000-02-29T00:00:00Z");
    }
    #[test]
    fn the_last_second_of_2049() {
        check(2_524_607_999, "2049-12-31T23:59:59Z");
    }
    #[test]
    fn the_first_second_of_2050() {
        check(2_524_608_000, "2050-01-01T00:00:00Z");
    }
    #[test]
    fn the_last_second() {
        check(LAST_SECOND, "9999-12-31T23:59:59Z");
    }
    #[test]
    fn behind_the_last_second_is_the_last_second() {
        assert_eq!(UnixTime::from_s(u64::MAX).s(), LAST_SECOND);
    }
    #[test]
    fn the_29th_of_february_2100_does_not_exist() {
        let c = Civil { year: 2100, month: 2, day: 29, hour: 0, minute: 0, second: 0 };
        assert_eq!(UnixTime::from_civil(c), None);
    }
    #[test]
    fn a_leap_second_does_not_exist() {
        let c = Civil { year: 2016, month: 12, day: 31, hour: 23, minute: 59, second: 60 };
        assert_eq!(UnixTime::from_civil(c), None);
    }

    proptest! {
        #[test]
        fn civil_and_back(s in 0..=LAST_SECOND) {
            let t = UnixTime::from_s(s);
            prop_assert_eq!(UnixTime::from_civil(t.civil()), Some(t));
        }
    }
}
