//! Values that go into a statement and come out of it, whatever the engine.

use super::{Error, Result, Row};

/// What is bound to a parameter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Value<'v> {
    /// No value.
    Null,
    /// A number, or a truth: 0 or 1.
    Int(i64),
    /// Text.
    Text(&'v str),
    /// Octets.
    Blob(&'v [u8]),
    /// A number that no column holds.
    TooLarge,
}

/// Something that can be bound to a parameter.
pub(crate) trait Bind {
    /// As a value.
    fn value(&self) -> Value<'_>;
}

macro_rules! bind_integers {
    ($($type:ty),+) => { $(
        impl Bind for $type {
            fn value(&self) -> Value<'_> { i64::try_from(*self).map_or(Value::TooLarge, Value::Int) }
        }
        impl FromColumn for $type {
            fn from_column(column: Column<'_>) -> Option<Self> {
                match column {
                    Column::Int(number) => number.try_into().ok(),
                    Column::Null | Column::Text(_) | Column::Blob(_) => None,
                }
            }
        }
    )+ };
}
bind_integers!(i64, u64, i32, u32, u16, u8, usize);

impl Bind for bool {
    fn value(&self) -> Value<'_> {
        Value::Int(i64::from(*self))
    }
}
impl Bind for str {
    fn value(&self) -> Value<'_> {
        Value::Text(self)
    }
}
impl Bind for String {
    fn value(&self) -> Value<'_> {
        Value::Text(self)
    }
}
impl Bind for [u8] {
    fn value(&self) -> Value<'_> {
        Value::Blob(self)
    }
}
impl<const N: usize> Bind for [u8; N] {
    fn value(&self) -> Value<'_> {
        Value::Blob(self)
    }
}
impl Bind for Vec<u8> {
    fn value(&self) -> Value<'_> {
        Value::Blob(self)
    }
}
impl<T: Bind> Bind for Option<T> {
    fn value(&self) -> Value<'_> {
        self.as_ref().map_or(Value::Null, Bind::value)
    }
}
impl<T: Bind + ?Sized> Bind for &T {
    fn value(&self) -> Value<'_> {
        (**self).value()
    }
}

/// A value of one's own, for statements that are put together.
#[derive(Clone, Debug)]
pub(crate) enum Owned {
    /// A number.
    Int(u64),
    /// Text.
    Text(String),
    /// Octets.
    Blob(Vec<u8>),
}

impl Bind for Owned {
    fn value(&self) -> Value<'_> {
        match self {
            // What lies behind the largest number that is kept lies behind all.
            Self::Int(number) => Value::Int(i64::try_from(*number).unwrap_or(i64::MAX)),
            Self::Text(text) => Value::Text(text),
            Self::Blob(octets) => Value::Blob(octets),
        }
    }
}

/// The parameters of a statement, in their order.
pub(crate) trait Params {
    /// Hands them over.
    fn with<R>(&self, f: impl FnOnce(&[Value<'_>]) -> R) -> R;
}

impl Params for () {
    fn with<R>(&self, f: impl FnOnce(&[Value<'_>]) -> R) -> R {
        f(&[])
    }
}
impl<T: Bind, const N: usize> Params for [T; N] {
    fn with<R>(&self, f: impl FnOnce(&[Value<'_>]) -> R) -> R {
        f(&std::array::from_fn::<_, N, _>(|n| self.get(n).map_or(Value::Null, Bind::value)))
    }
}
impl Params for Vec<Owned> {
    fn with<R>(&self, f: impl FnOnce(&[Value<'_>]) -> R) -> R {
        f(&self.iter().map(Bind::value).collect::<Vec<_>>())
    }
}

macro_rules! tuples {
    ($(($($name:ident)+))+) => { $(
        #[allow(non_snake_case, reason = "one name for a type and its value")]
        impl<$($name: Bind),+> Params for ($($name,)+) {
            fn with<R>(&self, f: impl FnOnce(&[Value<'_>]) -> R) -> R {
                let ($($name,)+) = self;
                f(&[$($name.value()),+])
            }
        }
    )+ };
}
tuples! {
    (A) (A B) (A B C) (A B C D) (A B C D E) (A B C D E G) (A B C D E G H) (A B C D E G H I) (A B C D E G H I J)
    (A B C D E G H I J K) (A B C D E G H I J K L) (A B C D E G H I J K L M) (A B C D E G H I J K L M N)
    (A B C D E G H I J K L M N O)
}

/// What stands in a column.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Column<'r> {
    /// No value.
    Null,
    /// A number, or a truth.
    Int(i64),
    /// Text.
    Text(&'r str),
    /// Octets.
    Blob(&'r [u8]),
}

/// What a column can be read as.
pub(crate) trait FromColumn: Sized {
    /// The value; `None` if it is of another kind.
    fn from_column(column: Column<'_>) -> Option<Self>;
}

impl FromColumn for bool {
    fn from_column(column: Column<'_>) -> Option<Self> {
        match column {
            Column::Int(number) => Some(number != 0),
            Column::Null | Column::Text(_) | Column::Blob(_) => None,
        }
    }
}
impl FromColumn for String {
    fn from_column(column: Column<'_>) -> Option<Self> {
        match column {
            Column::Text(text) => Some(text.to_owned()),
            Column::Null | Column::Int(_) | Column::Blob(_) => None,
        }
    }
}
impl FromColumn for Vec<u8> {
    fn from_column(column: Column<'_>) -> Option<Self> {
        match column {
            Column::Blob(octets) => Some(octets.to_vec()),
            Column::Null | Column::Int(_) | Column::Text(_) => None,
        }
    }
}
impl<T: FromColumn> FromColumn for Option<T> {
    fn from_column(column: Column<'_>) -> Option<Self> {
        match column {
            Column::Null => Some(None),
            there => T::from_column(there).map(Some),
        }
    }
}

impl<'r> Row<'r> {
    /// The value of a column, counted from 0.
    pub(crate) fn get<T: FromColumn>(&self, column: usize) -> Result<T> {
        T::from_column(self.column(column)?).ok_or(Error::Misfit(column))
    }

    /// The octets of a column.
    pub(crate) fn blob(&self, column: usize) -> Result<&'r [u8]> {
        self.blob_or_null(column)?.ok_or(Error::Misfit(column))
    }

    /// The octets of a column that may have no value.
    pub(crate) fn blob_or_null(&self, column: usize) -> Result<Option<&'r [u8]>> {
        match self.column(column)? {
            Column::Null => Ok(None),
            Column::Blob(octets) => Ok(Some(octets)),
            Column::Int(_) | Column::Text(_) => Err(Error::Misfit(column)),
        }
    }

    /// The text of a column that may have no value.
    pub(crate) fn text_or_null(&self, column: usize) -> Result<Option<&'r str>> {
        match self.column(column)? {
            Column::Null => Ok(None),
            Column::Text(text) => Ok(Some(text)),
            Column::Int(_) | Column::Blob(_) => Err(Error::Misfit(column)),
        }
    }
}
