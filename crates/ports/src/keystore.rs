//! Where private keys live.

use crate::signer::Signer;
use model::Fault;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::sync::Arc;
use x509::KeyType;

/// Names a key by the place where it lives: `file:root`. The scheme says which adapter opens it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct KeyUri(pub String);

impl fmt::Display for KeyUri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// Keeps private keys and signs with them.
pub trait Keystore: Send + Sync {
    /// Makes a key, durable before this returns.
    ///
    /// # Errors
    /// [`KeyFault`]
    fn generate(&self, label: &str, key_type: KeyType) -> Result<(KeyUri, Arc<dyn Signer>), KeyFault>;

    /// Opens a key for signing. Dropping the last reference wipes it from memory.
    ///
    /// # Errors
    /// [`KeyFault`]
    fn open(&self, uri: &KeyUri) -> Result<Arc<dyn Signer>, KeyFault>;
}

/// A key could not be made or opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyFault {
    /// A key of that name exists.
    Exists,
    /// No key of that name.
    Missing,
    /// The passphrase is wrong, or the file is damaged: authenticated decryption cannot tell them apart.
    Locked,
    /// The name is not fit for this keystore.
    BadName,
    /// This keystore does not make keys of that type.
    Unsupported,
    /// The medium failed.
    Medium(&'static str),
}

impl fmt::Display for KeyFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Exists => "a key of that name exists",
            Self::Missing => "there is no key of that name",
            Self::Locked => "the passphrase is wrong or the key file is damaged",
            Self::BadName => "the key's name does not fit this keystore",
            Self::Unsupported => "this keystore makes no keys of that type",
            Self::Medium(what) => what,
        })
    }
}
impl std::error::Error for KeyFault {}
impl From<KeyFault> for Fault {
    fn from(fault: KeyFault) -> Self {
        match fault {
            KeyFault::Exists => Fault::Refused(model::Reason::NameTaken),
            KeyFault::Missing => Fault::unavailable("there is no key of that name"),
            KeyFault::Locked => Fault::unavailable("the passphrase is wrong or the key file is damaged"),
            KeyFault::BadName => Fault::malformed("key name"),
            KeyFault::Unsupported => Fault::Refused(model::Reason::KeyTypeNotAllowed),
            KeyFault::Medium(what) => Fault::unavailable(what),
        }
    }
}
