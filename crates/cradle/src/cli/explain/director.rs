//! The codes of the director.

use crate::fault::Exit;

/// What each is, and what next.
pub(super) const CODES: [(&str, Exit, &str, &str); 3] = [
    (
        "director-unknown",
        Exit::NotFound,
        "there is no director in the data directory, or it does not know what was named",
        "check the name and --data; `cradle director init` begins one",
    ),
    (
        "director-refused",
        Exit::Refused,
        "what was asked of the director cannot be, for the reason that is named",
        "nothing was changed; docs/director.md says what holds",
    ),
    (
        "director-failed",
        Exit::Failed,
        "the records or the key of the director cannot be used",
        "check the data directory, its disk, and the passphrase of its key",
    ),
];
