//! For the operator API: its codes, and what explains without printing.

use super::history::{self, Explained};
use super::{Row, rows};
use crate::cli::Common;
use crate::fault::{Exit, Result};
use serde::Serialize;
use utoipa::ToSchema;

/// What they mean, and what to do.
pub(super) const CODES: [(&str, Exit, &str, &str); 9] = [
    (
        "api-not-allowed",
        Exit::NotAuthorised,
        "whoever asks over the operator API may not",
        "ask as the owner of the data directory, over its socket; over TCP show the token in `api/token`",
    ),
    ("cursor", Exit::Usage, "a cursor is not one that this list gave", "begin without one"),
    (
        "idempotency-key",
        Exit::Usage,
        "a request's Idempotency-Key cannot be used, or was used for another request",
        "use a new one for each thing that is to be done: 1 to 128 visible characters",
    ),
    ("no-resource", Exit::NotFound, "there is nothing at this path", "`cradle api openapi` has all that there is"),
    ("no-method", Exit::Usage, "this cannot be done there", "the answer's field `Allow` says what can"),
    (
        "outcome-unknown",
        Exit::Conflict,
        "a request with this Idempotency-Key was interrupted, and may have been carried out or not",
        "look how it stands, then ask with a new key if it is still wanted",
    ),
    (
        "request",
        Exit::Usage,
        "a request to the operator API is not as its description says",
        "correct the place that is named; `cradle api openapi` has the description",
    ),
    (
        "secret-told",
        Exit::Conflict,
        "a secret was told once, and is told to nobody again",
        "have another one made with a new key",
    ),
    ("too-busy", Exit::TryAgain, "the operator API has as much to do as it takes on", "ask again in a moment"),
];

/// A code, or something that was certified or asked for.
#[derive(Serialize, ToSchema)]
#[serde(untagged)]
pub(crate) enum Explanation {
    Code(Row),
    Thing(Explained),
}

/// Explains a code, a serial number, a transaction or a device.
pub(crate) fn explain(common: &Common, text: &str) -> Result<Explanation> {
    match rows().find(|row| row.code == text) {
        Some(row) => Ok(Explanation::Code(row)),
        None => history::explained(common, text).map(Explanation::Thing),
    }
}

/// What a code means, in a few words.
pub(crate) fn title(code: &str) -> Option<&'static str> {
    rows().find(|row| row.code == code).map(|row| row.what)
}
