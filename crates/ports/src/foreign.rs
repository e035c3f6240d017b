//! The line to a foreign authority: one message there, one answer back.

use crate::signer::Signer;
use crate::store::foreign::Attachment;
use model::Fault;
use std::fmt;
use std::sync::Arc;

/// Carries a message to a foreign authority and its answer back. What the octets say is not known here.
pub trait Issuing: Send + Sync {
    /// Sends a message and waits for the answer, both bounded.
    ///
    /// # Errors
    /// [`LineFault`]: whether the message arrived is what its variants tell apart.
    fn exchange(&self, message: &[u8]) -> Result<Vec<u8>, LineFault>;
}

/// Opens the lines to foreign authorities.
pub trait Lines: Send + Sync {
    /// Opens the line to an authority, and what protects requests to it.
    ///
    /// # Errors
    /// [`Fault::Unavailable`] if the address, the secret or the key cannot be used.
    fn open(&self, attachment: &Attachment) -> Result<Opened, Fault>;
    /// Waits, because the other side asked for it. Units: milliseconds.
    fn wait(&self, ms: u64);
}

/// A line that is open.
pub struct Opened {
    /// The line.
    pub line: Box<dyn Issuing>,
    /// What protects requests.
    pub protection: Protection,
}

/// What protects requests to a foreign authority.
pub enum Protection {
    /// A secret that both sides have.
    Secret(Box<dyn AsRef<[u8]> + Send + Sync>),
    /// A key.
    Key(Arc<dyn Signer>),
}

// A secret is shown to nobody.
impl fmt::Debug for Protection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Secret(_) => "a secret",
            Self::Key(_) => "a key",
        })
    }
}

/// There is no answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LineFault {
    /// Nothing of the message was sent: nothing happened, and trying again is safe.
    NotSent(String),
    /// The message may have arrived, so what it asks for may have happened.
    Unanswered(String),
    /// Something came back that is no answer of this protocol. The message arrived somewhere.
    NoAnswer(String),
}

impl fmt::Display for LineFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotSent(what) => write!(f, "the server cannot be reached: {what}; nothing was sent"),
            Self::Unanswered(what) => write!(f, "the server did not answer: {what}; it may have done what was asked"),
            Self::NoAnswer(what) => write!(f, "what came back is no answer of such a server: {what}"),
        }
    }
}
impl std::error::Error for LineFault {}

/// Proof that the intent to ask a foreign authority is durable: in which transaction, and for which key.
///
/// The serial number and the octets that will be signed are the foreign authority's choice, so unlike
/// [`crate::DurableIntent`] this cannot name them; the transaction identifier is what an answer is found again by. Only a
/// store makes it.
#[derive(Debug)]
pub struct DurableForeignIntent {
    transaction_id: [u8; 16],
    key: model::Digest,
}

impl DurableForeignIntent {
    /// Asserts that the intent is durable. Only a store adapter may say so (`cargo xtask tidy`).
    #[must_use]
    pub const fn assert_durable(transaction_id: [u8; 16], key: model::Digest) -> Self {
        Self { transaction_id, key }
    }
    /// The identifier of the transaction with the foreign authority.
    #[must_use]
    pub const fn transaction_id(&self) -> [u8; 16] {
        self.transaction_id
    }
    /// The digest of the key that is to be certified.
    #[must_use]
    pub const fn key(&self) -> model::Digest {
        self.key
    }
}
