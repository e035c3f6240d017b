//! What a list says of itself: whose it is, which of theirs, how many lines, until when.
//!
//! In CSV these are lines in front of the header, `# supplier: acme`; in JSON members beside `devices`. They are made
//! with a text editor, and signed with the rest of the file.

use model::text::printable;
use model::time::Civil;
use model::{SupplierName, UnixTime};
use ports::store::identity::Supplied;

/// The highest number of a list: every JSON reader keeps it exactly.
const SEQUENCE_MAX: u64 = (1 << 53) - 1;
/// The names of the lines, as CSV writes them; JSON writes `_` where they have a blank.
const NAMES: [&str; 5] = ["supplier", "sequence", "count", "valid until", "supersedes"];
/// Most characters of foreign text in a message.
const QUOTE_MAX: usize = 40;

/// What a list says of itself. Nobody has verified it.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Claims {
    /// Whose it is.
    pub supplier: Option<SupplierName>,
    /// Which of the supplier's lists it is: 1 to 2^53 - 1, rising.
    pub sequence: Option<u64>,
    /// How many devices it names.
    pub count: Option<u64>,
    /// Until when its devices may be certified.
    pub valid_until: Option<UnixTime>,
    /// The list of this supplier that it takes the place of.
    pub supersedes: Option<u64>,
}

/// What is wrong with one of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BadClaim {
    /// There is no such name.
    Unknown(String),
    /// It stands twice.
    Twice(&'static str),
    /// It has another shape.
    Shape(&'static str, String, &'static str),
    /// A supplier's list must have it.
    Missing(&'static str),
    /// Only a supplier's list can have it.
    NoSupplier(&'static str),
    /// A list cannot take the place of itself or of a later one.
    Supersedes,
}

impl std::fmt::Display for BadClaim {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Unknown(name) => {
                let name = printable(name, QUOTE_MAX);
                write!(f, "{name:?} is not known in front of the header; known are {}", NAMES.join(", "))
            }
            Self::Twice(name) => write!(f, "{name} stands twice"),
            Self::Shape(name, value, shape) => {
                write!(f, "{name} {:?}: it is {shape}", printable(value, QUOTE_MAX))
            }
            Self::Missing(name) => write!(f, "a supplier's list says `{name}` of itself, and this one does not"),
            Self::NoSupplier(name) => write!(f, "the list says `{name}`, and not which supplier's it is"),
            Self::Supersedes => f.write_str("supersedes: a list can only take the place of an earlier one"),
        }
    }
}

impl Claims {
    /// Takes in one of them by its name in CSV.
    pub(crate) fn set(&mut self, name: &str, value: &str) -> Result<(), BadClaim> {
        let shape = |name, shape| BadClaim::Shape(name, value.to_owned(), shape);
        match name {
            "supplier" => {
                let supplier = value.parse().map_err(|bad: model::text::BadName| shape("supplier", bad.shape))?;
                once(&mut self.supplier, "supplier", supplier)
            }
            "valid until" => {
                let until = moment(value).ok_or_else(|| {
                    shape("valid until", "a day, as 2027-12-31 (to its end in UTC), or 2027-12-31T12:00:00Z")
                })?;
                once(&mut self.valid_until, "valid until", until)
            }
            "sequence" => once(&mut self.sequence, "sequence", number(value).ok_or_else(|| shape("sequence", NUMBER))?),
            "count" => once(&mut self.count, "count", number(value).ok_or_else(|| shape("count", NUMBER))?),
            "supersedes" => {
                once(&mut self.supersedes, "supersedes", number(value).ok_or_else(|| shape("supersedes", NUMBER))?)
            }
            unknown => Err(BadClaim::Unknown(unknown.to_owned())),
        }
    }

    /// Whether they fit together: what makes the list a supplier's, if it says that it is one.
    pub(crate) fn supplied(&self) -> Result<Option<Supplied>, BadClaim> {
        let Some(supplier) = &self.supplier else {
            return match (self.sequence, self.supersedes) {
                (Some(_), _) => Err(BadClaim::NoSupplier("sequence")),
                (_, Some(_)) => Err(BadClaim::NoSupplier("supersedes")),
                (None, None) => Ok(None),
            };
        };
        let sequence = self.sequence.ok_or(BadClaim::Missing("sequence"))?;
        self.count.ok_or(BadClaim::Missing("count"))?;
        self.valid_until.ok_or(BadClaim::Missing("valid until"))?;
        if self.supersedes.is_some_and(|superseded| superseded >= sequence) {
            return Err(BadClaim::Supersedes);
        }
        Ok(Some(Supplied { supplier: supplier.clone(), sequence, supersedes: self.supersedes }))
    }
}

const NUMBER: &str = "a number from 1 to 9007199254740991";

fn once<T>(place: &mut Option<T>, name: &'static str, value: T) -> Result<(), BadClaim> {
    if place.replace(value).is_some() { Err(BadClaim::Twice(name)) } else { Ok(()) }
}

fn number(text: &str) -> Option<u64> {
    let digits = !text.is_empty() && text.bytes().all(|c| c.is_ascii_digit());
    text.parse().ok().filter(|n| digits && (1..=SEQUENCE_MAX).contains(n))
}

/// A day to its last second, or a moment. Source: RFC 3339, in UTC and without fractions.
fn moment(text: &str) -> Option<UnixTime> {
    let (day, time) = match text.strip_suffix('Z') {
        Some(moment) => moment.split_once('T')?,
        None => (text, "23:59:59"),
    };
    let [year, month, day] = parts(day, '-', [4, 2, 2])?;
    let [hour, minute, second] = parts(time, ':', [2, 2, 2])?;
    UnixTime::from_civil(Civil { year, month, day, hour, minute, second })
}

fn parts(text: &str, between: char, digits: [usize; 3]) -> Option<[u64; 3]> {
    let mut parts = text.split(between);
    let mut numbers = [0; 3];
    for (number, digits) in numbers.iter_mut().zip(digits) {
        let part = parts.next().filter(|p| p.len() == digits && p.bytes().all(|c| c.is_ascii_digit()))?;
        *number = part.parse().ok()?;
    }
    parts.next().is_none().then_some(numbers)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: Option<&str>) {
        assert_eq!(moment(text).map(|t| t.to_string()).as_deref(), expected, "{text:?}");
    }
    #[track_caller]
    fn fits(lines: &[(&str, &str)], expected: Result<bool, &str>) {
        let mut claims = Claims::default();
        let taken = lines.iter().try_for_each(|(name, value)| claims.set(name, value));
        let found = taken.and_then(|()| claims.supplied()).map(|s| s.is_some()).map_err(|e| e.to_string());
        match (&found, expected) {
            (Err(found), Err(expected)) => assert!(found.contains(expected), "{found}"),
            _ => assert_eq!(found, expected.map_err(str::to_owned)),
        }
    }
    const WHOLE: [(&str, &str); 4] =
        [("supplier", "acme"), ("sequence", "7"), ("count", "1000"), ("valid until", "2027-12-31")];
    fn with(more: &[(&'static str, &'static str)]) -> Vec<(&'static str, &'static str)> {
        WHOLE.into_iter().chain(more.iter().copied()).collect()
    }

    #[test]
    fn a_day_lasts_to_its_end() {
        check("2027-12-31", Some("2027-12-31T23:59:59Z"));
    }
    #[test]
    fn a_moment_is_a_moment() {
        check("2027-12-31T12:00:00Z", Some("2027-12-31T12:00:00Z"));
    }
    #[test]
    fn a_day_that_does_not_exist_is_refused() {
        check("2027-02-29", None);
    }
    #[test]
    fn other_ways_to_write_a_day_are_refused() {
        for text in ["", "31.12.2027", "2027-1-1", "2027-12-31T12:00:00", "2027-12-31-1", "+027-12-31"] {
            check(text, None);
        }
    }
    #[test]
    fn a_whole_set_is_a_suppliers_list() {
        fits(&WHOLE, Ok(true));
    }
    #[test]
    fn none_is_the_operators_own() {
        fits(&[], Ok(false));
        fits(&[("count", "3"), ("valid until", "2027-12-31")], Ok(false));
    }
    #[test]
    fn each_of_a_suppliers_must_be_there() {
        for left_out in WHOLE.into_iter().skip(1).take(3) {
            let some: Vec<_> = WHOLE.into_iter().filter(|line| *line != left_out).collect();
            fits(&some, Err(left_out.0));
        }
    }
    #[test]
    fn a_number_without_a_supplier_is_refused() {
        fits(&[("sequence", "7")], Err("which supplier"));
        fits(&[("supersedes", "7")], Err("which supplier"));
    }
    #[test]
    fn a_name_twice_is_refused() {
        fits(&with(&[("sequence", "8")]), Err("twice"));
    }
    #[test]
    fn a_list_supersedes_an_earlier_one() {
        fits(&with(&[("supersedes", "6")]), Ok(true));
        fits(&with(&[("supersedes", "7")]), Err("earlier"));
    }
    #[test]
    fn numbers_are_digits_in_bounds() {
        for number in ["0", "-1", "+1", "1.0", "", "9007199254740992", "99999999999999999999", "7 "] {
            fits(&[("sequence", number)], Err("a number from 1"));
        }
    }
    #[test]
    fn an_unknown_name_is_refused() {
        fits(&[("color", "red")], Err("\"color\" is not known"));
    }
    #[test]
    fn a_supplier_with_hidden_characters_is_shown() {
        fits(&[("supplier", "ac\u{202e}me")], Err("u{202e}"));
    }
}
