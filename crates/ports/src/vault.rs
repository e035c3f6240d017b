//! Where images lie, encrypted for those who may read them.

use model::Fault;
use serde::{Deserialize, Serialize};
use std::io::Read;

/// The name of something in the vault. It tells nothing of what is inside.
/// Shape: 32 hexadecimal digits.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct BlobName(pub String);

/// Keeps octets encrypted at rest, for a fixed set of readers.
pub trait Vault: Send + Sync {
    /// Encrypts and stores all that `source` gives, at most `len_max` octets, durable before this returns.
    ///
    /// # Errors
    /// [`VaultFault`]
    fn put(&self, source: &mut dyn Read, len_max: u64) -> Result<BlobName, VaultFault>;

    /// Opens a blob for reading. Reading fails at the first octet that was altered, and at a cut end.
    ///
    /// # Errors
    /// [`VaultFault`]
    fn open(&self, name: &BlobName) -> Result<Box<dyn Read + Send>, VaultFault>;

    /// Forgets a blob.
    ///
    /// # Errors
    /// [`VaultFault`]
    fn remove(&self, name: &BlobName) -> Result<(), VaultFault>;

    /// The names of all blobs, in no order.
    ///
    /// # Errors
    /// [`VaultFault`]
    fn list(&self) -> Result<Vec<BlobName>, VaultFault>;
}

/// The vault could not do it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum VaultFault {
    /// No blob of that name.
    Missing,
    /// Altered, cut, or not meant for this reader.
    Unreadable,
    /// The source gave more than was allowed.
    TooLong,
    /// The source failed.
    Source,
    /// The medium failed.
    Medium(&'static str),
    /// The medium did not confirm that it keeps what was written. What it keeps is not known, and asking again would
    /// not tell: the process must end.
    NotDurable,
}

const NOT_DURABLE: &str = "the medium did not confirm what was written; the process must end";

impl std::fmt::Display for VaultFault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Missing => "the vault has no such image",
            Self::Unreadable => "the stored image was altered, or is not meant for this reader",
            Self::TooLong => "the image is longer than was announced",
            Self::Source => "the image cannot be read",
            Self::Medium(what) => what,
            Self::NotDurable => NOT_DURABLE,
        })
    }
}
impl std::error::Error for VaultFault {}
impl From<VaultFault> for Fault {
    fn from(fault: VaultFault) -> Self {
        match fault {
            VaultFault::Missing => Fault::unavailable("the vault has no such image"),
            VaultFault::Unreadable => Fault::Refused(model::Reason::ImageMismatch),
            VaultFault::TooLong => Fault::Refused(model::Reason::ImageTooLong),
            VaultFault::Source => Fault::unavailable("the image cannot be read"),
            VaultFault::Medium(what) => Fault::unavailable(what),
            VaultFault::NotDurable => Fault::unavailable(NOT_DURABLE),
        }
    }
}
