//! Keys that are made for who asks: signed by who made them, and encrypted for one reader.
//!
//! Prevents: a key that anybody reads on its way; one that somebody else made.
//! Source: RFC 9483 §4.1.6, RFC 5958, RFC 5652, RFC 9481 §4.

mod envelope;
mod package;

pub use envelope::{CONTENT_KEY_LEN, FILLER_LEN, IV_LEN, Reader, write_encrypted_key};
pub use package::{SignedKey, write_key_package};
