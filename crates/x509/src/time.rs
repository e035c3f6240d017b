//! `Time` of X.509.

use crate::read::{self, Result, bad};
use crate::write::{Writer, tag};
use der::{SliceReader, Tag};
use model::UnixTime;
use model::time::Civil;

impl Writer {
    /// `Time`: UTCTime to the end of 2049, GeneralizedTime after it.
    /// Source: RFC 5280 §4.1.2.5.
    pub fn time(&mut self, at: UnixTime) -> &mut Self {
        let c = at.civil();
        let (tag, century) = if c.year < 2050 { (tag::UTC_TIME, None) } else { (tag::GENERALIZED_TIME, Some(c.year)) };
        // Digit by digit: lists have a million of these.
        let mut octets = [b'Z'; 15];
        let pairs = [c.year % 100, c.month, c.day, c.hour, c.minute, c.second];
        let digits = century.map(|year| year / 100).into_iter().chain(pairs).flat_map(|n| [n / 10 % 10, n % 10]);
        octets.iter_mut().zip(digits).for_each(|(to, digit)| *to = b'0' + u8::try_from(digit).unwrap_or(0));
        self.value(tag, octets.get(..contents_len(at)).unwrap_or_default())
    }
}

/// How many octets the contents of a `Time` have.
pub(crate) fn contents_len(at: UnixTime) -> usize {
    if at < FIRST_OF_2050 { 13 } else { 15 }
}

/// 2050-01-01T00:00:00Z, from which on times are spelled otherwise.
const FIRST_OF_2050: UnixTime = UnixTime::from_s(2_524_608_000);

/// Reads a `Time` that stands alone; `None` if it is none, or from before 1970. Source: RFC 5280 §4.1.2.5.
#[must_use]
pub fn decode_time(der: &[u8]) -> Option<UnixTime> {
    read::inside(der, time).ok()
}

/// Reads a `Time`. Each year has one spelling only; times before 1970 are refused.
pub(crate) fn time(reader: &mut SliceReader<'_>) -> Result<UnixTime> {
    let (tag, contents) = read::any(reader)?;
    let (year, rest) = match (tag, contents.len()) {
        (Tag::UtcTime, 13) => {
            let (digits, rest) = contents.split_at(2);
            (number(digits).map(|y| if y < 50 { 2000 + y } else { 1900 + y }), rest)
        }
        (Tag::GeneralizedTime, 15) => {
            let (digits, rest) = contents.split_at(4);
            (number(digits).filter(|y| *y >= 2050), rest)
        }
        _ => return bad(reader),
    };
    match civil(year, rest).and_then(UnixTime::from_civil) {
        Some(time) => Ok(time),
        None => bad(reader),
    }
}

fn civil(year: Option<u64>, rest: &[u8]) -> Option<Civil> {
    let (pairs, z) = rest.as_chunks::<2>();
    let ([month, day, hour, minute, second], b"Z") = (pairs, z) else { return None };
    Some(Civil {
        year: year?,
        month: number(month)?,
        day: number(day)?,
        hour: number(hour)?,
        minute: number(minute)?,
        second: number(second)?,
    })
}

fn number(digits: &[u8]) -> Option<u64> {
    digits.iter().try_fold(0, |n, digit| char::from(*digit).to_digit(10).map(|d| n * 10 + u64::from(d)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use der::Reader;

    #[track_caller]
    fn check(der: &[u8], expected: Option<&str>) {
        let mut reader = SliceReader::new(der).unwrap();
        let read = time(&mut reader).ok();
        assert_eq!(read.map(|t| t.to_string()).as_deref(), expected);
        if let Some(time) = read {
            assert!(reader.is_finished());
            let mut w = Writer::default();
            w.time(time);
            assert_eq!(w.finish(), der);
        }
    }
    fn utc(text: &str) -> Vec<u8> {
        let mut w = Writer::default();
        w.value(tag::UTC_TIME, text.as_bytes());
        w.finish()
    }
    fn generalized(text: &str) -> Vec<u8> {
        let mut w = Writer::default();
        w.value(tag::GENERALIZED_TIME, text.as_bytes());
        w.finish()
    }

    #[test]
    fn the_last_second_of_utc_time() {
        check(&utc("491231235959Z"), Some("2049-12-31T23:59:59Z"));
    }
    #[test]
    fn the_first_second_of_generalized_time() {
        check(&generalized("20500101000000Z"), Some("2050-01-01T00:00:00Z"));
    }
    #[test]
    fn no_expiry() {
        check(&generalized("99991231235959Z"), Some("9999-12-31T23:59:59Z"));
    }
    #[test]
    fn generalized_time_before_2050_is_refused() {
        check(&generalized("20491231235959Z"), None);
    }
    #[test]
    fn an_offset_is_refused() {
        check(&utc("4912312359+00"), None);
    }
    #[test]
    fn no_seconds_is_refused() {
        check(&utc("4912312359Z"), None);
    }
    #[test]
    fn fractions_are_refused() {
        check(&generalized("20500101000000.5Z"), None);
    }
    #[test]
    fn the_thirteenth_month_is_refused() {
        check(&utc("251331235959Z"), None);
    }
    #[test]
    fn letters_are_refused() {
        check(&utc("2512312359xxZ"), None);
    }
}
