//! Times as they are written in all output.

use model::UnixTime;
use serde::Serializer;

/// A time as it is written in all output.
pub(super) fn said<S: Serializer>(at: &UnixTime, s: S) -> std::result::Result<S::Ok, S::Error> {
    s.collect_str(at)
}
/// The same, if there is one.
pub(super) fn said_if<S: Serializer>(at: &Option<UnixTime>, s: S) -> std::result::Result<S::Ok, S::Error> {
    match at {
        Some(at) => s.collect_str(at),
        None => s.serialize_none(),
    }
}
