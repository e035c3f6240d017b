//! Pages of a list: rows in the order in which they were made, and where the next page begins.
//!
//! A cursor names a place between rows, not a number of them: what is written meanwhile moves nothing.

use super::asked::Asked;
use crate::fault::{Exit, Failure, Result};
use model::octets::{base64url, from_base64url};
use serde::Serialize;
use serde_json::{Value, json};

/// Octets of the digest by which a cursor knows its list.
const LIST_LEN: usize = 8;

/// A page. `read` gives rows behind a place, at most so many, each with the place behind it.
pub(super) fn page<T: Serialize>(asked: &Asked, read: impl FnOnce(u64, u32) -> Result<Vec<(u64, T)>>) -> Result<Value> {
    let which = asked.which();
    let after = asked.value("cursor").map(|cursor| place(cursor, &which)).transpose()?.unwrap_or(0);
    let limit = asked.limit();
    // One more than is shown says whether there is another page.
    let mut rows = read(after, limit + 1)?;
    let shown = usize::try_from(limit).unwrap_or(usize::MAX);
    let more = rows.len() > shown;
    rows.truncate(shown);
    let next = rows.last().filter(|_| more).map(|(place, _)| cursor(*place, &which));
    let rows: Vec<_> = rows.into_iter().map(|(_, row)| row).collect();
    Ok(json!({"items": rows, "next": next}))
}

/// All rows of a list that is short.
pub(super) fn whole<T: Serialize>(rows: &[T]) -> Value {
    json!({"items": rows, "next": null})
}

fn cursor(place: u64, which: &str) -> String {
    let mut octets = digest(which).to_vec();
    octets.extend(place.to_be_bytes());
    base64url(&octets)
}

fn place(cursor: &str, which: &str) -> Result<u64> {
    let octets = from_base64url(cursor.as_bytes());
    let parts = octets.as_deref().and_then(|octets| octets.split_at_checked(LIST_LEN));
    let place = parts.filter(|(list, _)| *list == digest(which)).and_then(|(_, place)| place.try_into().ok());
    place.map(u64::from_be_bytes).ok_or_else(|| {
        Failure::new(Exit::Usage, "cursor", "this cursor is not one of this list")
            .because("a page's `next` goes on with the same path and the same filters")
            .next("begin without one")
    })
}

fn digest(which: &str) -> [u8; LIST_LEN] {
    let digest = x509::sha256(which.as_bytes());
    let mut short = [0; LIST_LEN];
    short.iter_mut().zip(digest.octets()).for_each(|(to, from)| *to = *from);
    short
}

#[cfg(test)]
mod tests {
    use super::super::operations::OPERATIONS;
    use super::*;

    fn asked(query: &str) -> Asked {
        let operation = OPERATIONS.iter().find(|operation| operation.path == "/v1/devices").unwrap();
        Asked::read(operation, &[], Some(query), Vec::new()).unwrap()
    }
    fn rows(after: u64, limit: u32) -> Result<Vec<(u64, u64)>> {
        Ok((after + 1..=7).take(usize::try_from(limit).unwrap()).map(|n| (n, n)).collect())
    }
    #[test]
    fn pages_follow_each_other_until_the_last() {
        let mut query = "limit=3".to_owned();
        let mut seen = Vec::new();
        loop {
            let page = page(&asked(&query), rows).unwrap();
            seen.push(page["items"].as_array().unwrap().len());
            let Some(next) = page["next"].as_str() else { break };
            query = format!("limit=3&cursor={next}");
        }
        assert_eq!(seen, [3, 3, 1]);
    }
    #[test]
    fn a_list_that_ends_with_its_page_has_no_next() {
        assert_eq!(page(&asked("limit=7"), rows).unwrap()["next"], Value::Null);
    }
    #[test]
    fn a_cursor_is_for_the_list_that_gave_it() {
        let page_1 = page(&asked("limit=3"), rows).unwrap();
        let next = page_1["next"].as_str().unwrap();
        assert!(page(&asked(&format!("limit=5&cursor={next}")), rows).is_ok(), "another length");
        let other = page(&asked(&format!("custody=planned&cursor={next}")), rows).unwrap_err();
        assert_eq!(other.code, "cursor");
    }
    #[test]
    fn what_is_no_cursor_is_refused() {
        for cursor in ["7", "AAAA", "AAAAAAAAAAAAAAAAAAAAAA", "!!!!"] {
            assert_eq!(page(&asked(&format!("cursor={cursor}")), rows).unwrap_err().code, "cursor", "{cursor}");
        }
    }
}
