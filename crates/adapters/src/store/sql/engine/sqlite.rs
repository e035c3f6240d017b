//! The embedded engine: one file.

use super::{Column, Error, Result, Value};
use rusqlite::Row;
use rusqlite::types::{ToSql, ToSqlOutput, ValueRef};

/// What stands in a column.
pub(super) fn column<'r>(row: &'r Row<'_>, column: usize) -> Result<Column<'r>> {
    Ok(match row.get_ref(column)? {
        ValueRef::Null => Column::Null,
        ValueRef::Integer(number) => Column::Int(number),
        ValueRef::Text(text) => Column::Text(std::str::from_utf8(text).map_err(|_| Error::Misfit(column))?),
        ValueRef::Blob(octets) => Column::Blob(octets),
        ValueRef::Real(_) => return Err(Error::Misfit(column)),
    })
}

impl ToSql for Value<'_> {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(match self {
            Self::Null => ValueRef::Null,
            Self::Int(number) => ValueRef::Integer(*number),
            Self::Text(text) => ValueRef::Text(text.as_bytes()),
            Self::Blob(octets) => ValueRef::Blob(octets),
            Self::TooLarge => {
                return Err(rusqlite::Error::ToSqlConversionFailure("no column holds so large a number".into()));
            }
        }))
    }
}
