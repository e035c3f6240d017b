//! One side of a transaction: who asks.
//!
//! A [`Transaction`] is a value that knows what was sent. It gives a [`Draft`], takes the octets that came back, and gives
//! the next. Nothing that comes back counts before it belongs to this transaction and its protection holds.
//! Source: RFC 9810 §5.1.1 and §5.3, RFC 9483 §3 and §4.

mod party;
mod root;
mod transaction;

pub use party::{Credentials, Draft, Fresh, Party};
pub use root::{BadRoot, NewRoot, RootKeyUpdate};
pub(super) use transaction::hash_of;
pub use transaction::{
    Accepted, Confirm, Declined, Enrolment, Flaw, Offered, Pending, Received, Refusal, Transaction, Waiting,
};

/// Why an answer does not count. What the other side did is not known then.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Broken {
    /// It is not a message at all.
    NotAMessage,
    /// It belongs to another transaction.
    OtherTransaction,
    /// It does not answer our message: `recipNonce` is not our nonce, or its own nonce has not 16 octets.
    Nonce,
    /// It is not protected, and is no error either.
    Unprotected,
    /// An error that nobody vouches for: whoever sits on the line can send one.
    Unproven(Refusal),
    /// It is protected in another kind than our message, or by an algorithm or with numbers that are not taken.
    OtherProtection,
    /// The protection does not hold.
    Protection,
    /// It is signed by somebody who may not speak for the authority.
    Signer,
    /// It is an answer to something else.
    OtherAnswer,
    /// It has no certificate that can be read, although it says so.
    Certificate,
    /// It says that a root follows, and that cannot be read.
    RootUpdate,
}

impl std::fmt::Display for Broken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::NotAMessage => "the answer is not a CMP message",
            Self::OtherTransaction => "the answer belongs to another transaction",
            Self::Nonce => "the answer does not repeat our nonce, or has none of its own",
            Self::Unprotected => "the answer is not protected",
            Self::Unproven(refusal) => return write!(f, "an unprotected error, which proves nothing: {refusal}"),
            Self::OtherProtection => "the answer is protected in another way than the request, or in a weak one",
            Self::Protection => "the protection of the answer does not hold",
            Self::Signer => "the answer is signed by somebody who may not speak for the authority",
            Self::OtherAnswer => "the answer is one to something else",
            Self::Certificate => "the answer brings no certificate that can be read",
            Self::RootUpdate => "the answer brings a root that follows, and it cannot be read",
        })
    }
}
impl std::error::Error for Broken {}
