//! The line to a foreign authority: one message there, one answer back.

use std::fmt;

/// Carries a message to a foreign authority and its answer back. What the octets say is not known here.
pub trait Issuing: Send + Sync {
    /// Sends a message and waits for the answer, both bounded.
    ///
    /// # Errors
    /// [`LineFault`]: whether the message arrived is what its variants tell apart.
    fn exchange(&self, message: &[u8]) -> Result<Vec<u8>, LineFault>;
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
            Self::NotSent(what) => write!(f, "the foreign authority cannot be reached: {what}; nothing was sent"),
            Self::Unanswered(what) => write!(f, "the foreign authority did not answer: {what}; it may have done it"),
            Self::NoAnswer(what) => write!(f, "what came back is no answer of an authority: {what}"),
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
