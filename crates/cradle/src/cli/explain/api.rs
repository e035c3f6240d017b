//! Codes of the operator API.

use crate::fault::Exit;

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
