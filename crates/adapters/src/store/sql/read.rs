//! Columns as values of the model. What does not fit was not written by this program.

use super::engine::{self, Row};
use model::{AcmeId, Digest, TransactionId};
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
impl FromOctets for AcmeId {
    fn from_octets(octets: &[u8]) -> Option<Self> {
        Self::from_slice(octets)
    }
}
impl FromOctets for SerialNumber {
    fn from_octets(octets: &[u8]) -> Option<Self> {
        Self::new(octets).ok()
    }
}

/// A column of octets.
pub(super) fn fit<T: FromOctets>(row: &Row<'_>, column: usize) -> engine::Result<T> {
    T::from_octets(row.blob(column)?).ok_or(engine::Error::Misfit(column))
}

/// A column of octets that may be empty.
pub(super) fn fit_optional<T: FromOctets>(row: &Row<'_>, column: usize) -> engine::Result<Option<T>> {
    row.blob_or_null(column)?.map(|octets| T::from_octets(octets).ok_or(engine::Error::Misfit(column))).transpose()
}

/// A column of text.
pub(super) fn parse<T: FromStr>(row: &Row<'_>, column: usize) -> engine::Result<T> {
    parse_optional(row, column)?.ok_or(engine::Error::Misfit(column))
}

/// A column of text that may be empty.
pub(super) fn parse_optional<T: FromStr>(row: &Row<'_>, column: usize) -> engine::Result<Option<T>> {
    row.text_or_null(column)?.map(|text| text.parse().map_err(|_| engine::Error::Misfit(column))).transpose()
}
