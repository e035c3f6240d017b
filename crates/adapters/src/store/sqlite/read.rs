//! Columns as values of the model. What does not fit was not written by this program.

use model::{Digest, TransactionId};
use rusqlite::Row;
use rusqlite::types::Type;
use std::str::FromStr;
use x509::SerialNumber;

/// A value that is stored as octets.
pub(super) trait FromOctets: Sized {
    fn from_octets(octets: &[u8]) -> Option<Self>;
}

impl FromOctets for Digest {
    fn from_octets(octets: &[u8]) -> Option<Self> {
        Self::from_slice(octets)
    }
}
impl FromOctets for TransactionId {
    fn from_octets(octets: &[u8]) -> Option<Self> {
        Self::from_slice(octets)
    }
}
impl FromOctets for SerialNumber {
    fn from_octets(octets: &[u8]) -> Option<Self> {
        Self::new(octets).ok()
    }
}

fn misfit(column: usize, kind: Type) -> rusqlite::Error {
    rusqlite::Error::InvalidColumnType(column, "a value of the model".into(), kind)
}

/// A column of octets.
pub(super) fn fit<T: FromOctets>(row: &Row<'_>, column: usize) -> rusqlite::Result<T> {
    let octets = row.get_ref(column)?.as_blob()?;
    T::from_octets(octets).ok_or_else(|| misfit(column, Type::Blob))
}

/// A column of octets that may be empty.
pub(super) fn fit_optional<T: FromOctets>(row: &Row<'_>, column: usize) -> rusqlite::Result<Option<T>> {
    match row.get_ref(column)?.as_blob_or_null()? {
        None => Ok(None),
        Some(octets) => T::from_octets(octets).map(Some).ok_or_else(|| misfit(column, Type::Blob)),
    }
}

/// A column of text.
pub(super) fn parse<T: FromStr>(row: &Row<'_>, column: usize) -> rusqlite::Result<T> {
    row.get_ref(column)?.as_str()?.parse().map_err(|_| misfit(column, Type::Text))
}

/// A column of text that may be empty.
pub(super) fn parse_optional<T: FromStr>(row: &Row<'_>, column: usize) -> rusqlite::Result<Option<T>> {
    match row.get_ref(column)?.as_str_or_null()? {
        None => Ok(None),
        Some(text) => text.parse().map(Some).map_err(|_| misfit(column, Type::Text)),
    }
}
