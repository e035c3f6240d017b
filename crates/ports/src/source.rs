//! Where repositories of software are read: a stick, a directory, a server. Nothing of it is believed.

use model::Fault;
use model::contract::software::Source;
use std::fmt;
use std::io::Read;

/// Why a file did not come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NotFetched {
    /// There is no such file; of servers, those that say 403 or 404, and nothing else.
    NotThere,
    /// It is longer than it may be.
    TooLong,
    /// It is shorter than it should be, and the server says so.
    TooShort,
    /// It comes too slowly.
    TooSlow,
    /// It cannot be asked for, or read.
    Unreachable(String),
}

impl fmt::Display for NotFetched {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotThere => f.write_str("it is not there"),
            Self::TooLong => f.write_str("it is longer than it may be"),
            Self::TooShort => f.write_str("it is shorter than it should be"),
            Self::TooSlow => f.write_str("it comes too slowly"),
            Self::Unreachable(what) => f.write_str(what),
        }
    }
}
impl std::error::Error for NotFetched {}

/// Files below one place.
pub trait Files: Send {
    /// A whole file, by its path below that place, percent-encoded.
    ///
    /// # Errors
    /// [`NotFetched`]
    fn fetch(&self, path: &str, len_max: u64) -> Result<Vec<u8>, NotFetched>;

    /// Begins to read a file that has `length` octets; one that has others is read until that is certain.
    ///
    /// # Errors
    /// [`NotFetched`]
    fn open(&self, path: &str, length: u64) -> Result<Box<dyn Read + Send>, NotFetched>;
}

/// Both repositories, where they were found.
pub struct Repositories {
    /// The metadata of the image repository.
    pub images: Box<dyn Files>,
    /// Its targets.
    pub targets: Box<dyn Files>,
    /// The metadata of the director, if there can be any.
    pub director: Option<Box<dyn Files>>,
}

impl fmt::Debug for Repositories {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Repositories(director: {})", self.director.is_some())
    }
}

/// Finds repositories.
pub trait Sources: Send + Sync {
    /// Both repositories of a source. Nothing is asked for yet.
    ///
    /// # Errors
    /// [`Fault::Malformed`] if this can be no source; [`Fault::Unavailable`] if it is not there.
    fn open(&self, source: &Source) -> Result<Repositories, Fault>;
}
