//! Where a request of HTTP/1.1 ends, and that everybody who reads it must think so.
//!
//! [`Framing`] stands in front of whatever else reads a connection, and lets through only what can be read in one way. Source: RFC 9112.

mod field;
mod framing;

pub use framing::{CHUNK_DIGITS_MAX, EXTENSIONS_LEN_MAX, Framing, LENGTH_MAX, Offence, Part, TRAILERS_LEN_MAX};
