//! What km keeps of exchanges over CMP.

use super::StoreFault;
use model::{Digest, Entity, EstLabel, StationName, TransactionId, UnixTime};

/// What km keeps of exchanges over CMP, and the secrets that MACs are made with.
pub trait CmpStore: Send + Sync {
    /// Keeps a secret as it was sealed, under its SHA-256. Those that ended before `at` are forgotten.
    ///
    /// # Errors
    /// [`StoreFault`]
    fn keep_secret(&self, digest: Digest, sealed: &[u8], until: UnixTime, at: UnixTime) -> Result<(), StoreFault>;

    /// A secret, sealed.
    ///
    /// # Errors
    /// [`StoreFault`]
    fn sealed_secret(&self, digest: &Digest) -> Result<Option<Vec<u8>>, StoreFault>;

    /// Begins an exchange. Whether its identifier is new: otherwise nothing was changed.
    ///
    /// # Errors
    /// [`StoreFault`]
    fn begin_exchange(&self, exchange: &Exchange) -> Result<bool, StoreFault>;

    /// An exchange.
    ///
    /// # Errors
    /// [`StoreFault`]
    fn exchange(&self, id: &Digest) -> Result<Option<Exchange>, StoreFault>;

    /// Writes how far an exchange has come: its state, its nonce, its end, and what was asked.
    ///
    /// # Errors
    /// [`StoreFault`]
    fn move_exchange(&self, exchange: &Exchange) -> Result<(), StoreFault>;

    /// Exchanges that wait for something whose time is over, the oldest first.
    ///
    /// # Errors
    /// [`StoreFault`]
    fn overdue_exchanges(&self, now: UnixTime, limit: u32) -> Result<Vec<Exchange>, StoreFault>;
}

/// An exchange: what began with a request, until the last word on it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exchange {
    /// SHA-256 of who asks and its `transactionID`: used once by whoever uses it.
    pub id: Digest,
    /// SHA-256 of the message that began it.
    pub message: Digest,
    /// How far it has come.
    pub state: ExchangeState,
    /// The transaction of the certificate.
    pub transaction_id: TransactionId,
    /// Who asks.
    pub subject: Entity,
    /// The box whose gateway handed it on.
    pub instance: StationName,
    /// The label under which it came; none stands for the label that is taken then.
    pub label: Option<EstLabel>,
    /// The number of the body that began it.
    pub body: u8,
    /// `certReqId`, as it is answered.
    pub cert_req_id: i64,
    /// Whether the certificate needs no confirmation.
    pub implicit: bool,
    /// The nonce that the next message must repeat.
    pub nonce: [u8; 16],
    /// When it began.
    pub at: UnixTime,
    /// Until when it waits.
    pub until: UnixTime,
    /// What was asked, while it waits for operators.
    pub request: Option<Vec<u8>>,
}

/// How far an exchange has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExchangeState {
    /// Operators have not decided.
    Waiting,
    /// The certificate was made, or is being made; it is revoked if nobody confirms it.
    Unconfirmed,
    /// It led to nothing that lasts, or needed no second message.
    Ended,
    /// The certificate was confirmed.
    Confirmed,
}

impl ExchangeState {
    /// All of them, in the order of their numbers.
    pub const ALL: [Self; 4] = [Self::Waiting, Self::Unconfirmed, Self::Ended, Self::Confirmed];
}
