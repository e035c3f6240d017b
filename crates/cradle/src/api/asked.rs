//! What is asked: parameters that the table knows, and a body.

use super::answer::bad_request;
use super::operations::{Operation, Parameter, Place};
use crate::fault::{Exit, Failure, Result};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// Rows of a page, if nobody says how many.
const PAGE_LEN: u32 = 100;
/// Most rows of a page.
const PAGE_LEN_MAX: u32 = 1000;
/// Longest value of a parameter, in octets.
const VALUE_LEN_MAX: usize = 200;

/// What values a parameter has.
#[derive(Clone, Copy, Debug)]
pub(super) enum Kind {
    /// Printable ASCII, whose meaning the registry knows.
    Words,
    /// A name of lower-case letters, digits and hyphens, at most 32.
    Name,
    /// A serial number of a certificate in hexadecimal digits.
    Serial,
    /// A number.
    Number,
    /// Rows of a page.
    Limit,
    /// Where a page begins.
    Cursor,
    /// One of these.
    OneOf(&'static [&'static str]),
    /// A day or a second.
    Moment,
}

impl Kind {
    fn fits(self, text: &str) -> bool {
        let len = text.len();
        let is_all = |allowed: fn(u8) -> bool| text.bytes().all(allowed);
        match self {
            Self::Words => (1..=VALUE_LEN_MAX).contains(&len) && is_all(|c| (0x21..0x7f).contains(&c)),
            Self::Name => {
                (1..=32).contains(&len)
                    && text.as_bytes().first().is_some_and(u8::is_ascii_alphanumeric)
                    && is_all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == b'-')
            }
            Self::Serial => (2..=40).contains(&len) && is_all(|c| c.is_ascii_hexdigit()),
            Self::Number => (1..=15).contains(&len) && is_all(|c| c.is_ascii_digit()),
            Self::Limit => text.parse().is_ok_and(|n| (1..=PAGE_LEN_MAX).contains(&n)),
            Self::Cursor => (1..=VALUE_LEN_MAX).contains(&len),
            Self::OneOf(all) => all.contains(&text),
            Self::Moment => crate::cli::moment(text).is_ok(),
        }
    }

    /// The same as JSON Schema says it.
    pub(super) fn schema(self) -> Value {
        let text = |pattern: &str| json!({"type": "string", "pattern": pattern});
        match self {
            Self::Words => text(&format!("^[!-~]{{1,{VALUE_LEN_MAX}}}$")),
            Self::Name => text("^[a-z0-9][a-z0-9-]{0,31}$"),
            Self::Serial => text("^[0-9A-Fa-f]{2,40}$"),
            Self::Number => json!({"type": "integer", "minimum": 0, "maximum": 999_999_999_999_999_u64}),
            Self::Limit => json!({"type": "integer", "minimum": 1, "maximum": PAGE_LEN_MAX, "default": PAGE_LEN}),
            Self::Cursor => json!({"type": "string", "minLength": 1, "maxLength": VALUE_LEN_MAX}),
            Self::OneOf(all) => json!({"type": "string", "enum": all}),
            Self::Moment => text(r"^[0-9]{4}-[0-9]{2}-[0-9]{2}(T[0-9]{2}:[0-9]{2}:[0-9]{2}Z)?$"),
        }
    }
}

/// A request, all of whose parameters are known and fit.
#[derive(Debug)]
pub(super) struct Asked {
    pub(super) operation: &'static Operation,
    values: BTreeMap<&'static str, String>,
    body: Vec<u8>,
}

impl Asked {
    /// Takes a request apart.
    ///
    /// # Errors
    /// What of it is not in the table, twice there, or has a value that does not fit.
    pub(super) fn read(
        operation: &'static Operation,
        path: &[(String, String)],
        query: Option<&str>,
        body: Vec<u8>,
    ) -> Result<Self> {
        let mut values = BTreeMap::new();
        for (name, value) in path {
            let parameter = operation.parameter(Place::Path, name).filter(|parameter| parameter.kind.fits(value));
            let parameter = parameter.ok_or_else(|| {
                Failure::new(Exit::NotFound, "no-resource", "there is nothing at this path")
                    .because(format!("{name} cannot be {value:?}"))
                    .next("see the description: `cradle api openapi`")
            })?;
            values.insert(parameter.name, value.clone());
        }
        for pair in query.unwrap_or_default().split('&').filter(|pair| !pair.is_empty()) {
            let (parameter, value) = of_query(operation, pair)?;
            if values.insert(parameter.name, value).is_some() {
                return Err(bad_request(format!("{} is there twice", parameter.name), "it may be given once"));
            }
        }
        Ok(Self { operation, values, body })
    }

    /// The value of a parameter, if it was given.
    pub(super) fn value(&self, name: &str) -> Option<&str> {
        self.values.get(name).map(String::as_str)
    }

    /// The value of a parameter of the path.
    pub(super) fn path(&self, name: &str) -> &str {
        self.value(name).unwrap_or_default()
    }

    /// The value of a parameter as what it means.
    pub(super) fn parsed<T: std::str::FromStr>(&self, name: &str) -> Result<Option<T>>
    where
        T::Err: std::fmt::Display,
    {
        let parsed = self.value(name).map(str::parse).transpose();
        parsed.map_err(|why| bad_request(format!("{name} has a value that it cannot have"), why))
    }

    /// How many rows a page has.
    pub(super) fn limit(&self) -> u32 {
        self.value("limit").and_then(|text| text.parse().ok()).unwrap_or(PAGE_LEN)
    }

    /// Which rows are asked for, whatever page of them: a cursor is for the same ones only.
    pub(super) fn which(&self) -> String {
        let filters = self.values.iter().filter(|(name, _)| !matches!(**name, "cursor" | "limit"));
        let filters: Vec<_> = filters.map(|(name, value)| format!("{name}={value}")).collect();
        format!("{} {}", self.operation.path, filters.join("&"))
    }

    /// The body as the object that the table says.
    pub(super) fn body<T: DeserializeOwned>(&self) -> Result<T> {
        serde_json::from_slice(&self.body).map_err(|why| bad_request("the body is not as it should be", why))
    }
}

fn of_query(operation: &Operation, pair: &str) -> Result<(&'static Parameter, String)> {
    let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
    let unknown = || bad_request("there is a parameter that is not known here", pair);
    let name = decoded(name).ok_or_else(unknown)?;
    let parameter = operation.parameter(Place::Query, &name).ok_or_else(unknown)?;
    let value = decoded(value).filter(|value| parameter.kind.fits(value));
    let value = value.ok_or_else(|| bad_request(format!("{name} has a value that it cannot have"), pair))?;
    Ok((parameter, value))
}

/// Text in which octets are written as `%41`, and spaces as `+`.
fn decoded(text: &str) -> Option<String> {
    let mut octets = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(octet) = rest.next() {
        octets.push(match octet {
            b'+' => b' ',
            b'%' => {
                let digits = [rest.next()?, rest.next()?];
                *model::octets::from_hex(std::str::from_utf8(&digits).ok()?).ok()?.first()?
            }
            other => other,
        });
    }
    String::from_utf8(octets).ok()
}

#[cfg(test)]
mod tests {
    use super::super::operations::OPERATIONS;
    use super::*;

    fn devices() -> &'static Operation {
        OPERATIONS.iter().find(|operation| operation.path == "/v1/devices").unwrap()
    }
    #[track_caller]
    fn check(query: &str, expected: Option<(&str, &str)>) {
        let asked = Asked::read(devices(), &[], Some(query), Vec::new());
        match expected {
            Some((name, value)) => assert_eq!(asked.unwrap().value(name), Some(value), "{query}"),
            None => assert_eq!(asked.unwrap_err().code, "request", "{query}"),
        }
    }
    #[test]
    fn a_parameter_of_the_table_is_read() {
        check("limit=7", Some(("limit", "7")));
        check("custody=planned&limit=1000", Some(("custody", "planned")));
        check("custody=pl%61nned", Some(("custody", "planned")));
    }
    #[test]
    fn any_other_is_refused() {
        check("limits=7", None);
        check("limit=7&x", None);
        check("serial=1", None);
    }
    #[test]
    fn one_that_is_there_twice_is_refused() {
        check("limit=7&limit=8", None);
        check("limit=7&limit=7", None);
    }
    #[test]
    fn a_value_that_does_not_fit_is_refused() {
        for query in ["limit=0", "limit=1001", "limit=-1", "limit=", "limit", "custody=lost", "custody=%ff", "limit=%3"]
        {
            check(query, None);
        }
    }
    #[test]
    fn fields_that_are_not_known_are_refused() {
        #[derive(serde::Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Nothing {}
        let asked = |body: &str| Asked::read(devices(), &[], None, body.into()).unwrap().body::<Nothing>().is_ok();
        assert!(asked("{}"));
        assert!(!asked("{\"a\":1}") && !asked("") && !asked("{} {}"));
    }
}
