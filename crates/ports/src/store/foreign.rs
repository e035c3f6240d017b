//! What km keeps of authorities whose key is with somebody else, and of what it asked them for.
//!
//! The other side chooses number and octets of a certificate, so an intent names the transaction with it and the key.
//! A use of the grant is reserved with the intent, spent with the record, and given back only when it is known that there
//! is no certificate, or that it is revoked there.

use super::authority::IntentDraft;
use super::{DurableRecord, StoreFault};
use crate::foreign::DurableForeignIntent;
use model::contract::authority::RevocationReason;
use model::{AuthorityName, Digest, Entity, Reason, TransactionId, UnixTime};
use x509::SerialNumber;

/// How an authority that is a foreign one is reached. What is secret is in the keystore.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attachment {
    /// Its row among the authorities.
    pub authority: u64,
    /// Where it is: `http://HOST[:PORT][/PATH]`, or https.
    pub url: String,
    /// How requests are protected.
    pub credential: Credential,
    /// Certificates in DER of servers that may answer for it, beside itself and those that it appointed.
    pub servers: Vec<Vec<u8>>,
    /// Certificates in DER by one of which the certificate of its TLS server must be issued.
    pub anchors: Vec<Vec<u8>>,
}

/// How requests to a foreign authority are protected. Names only.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Credential {
    /// By a secret that both sides have.
    Secret {
        /// What the other side finds it by.
        reference: String,
        /// Which MAC.
        mac: Mac,
        /// What it is called in the keystore.
        label: String,
    },
    /// By a key.
    Key {
        /// What it is called in the keystore.
        label: String,
        /// Its certificate in DER, then those that the other side may need to verify it.
        certificates: Vec<Vec<u8>>,
    },
}

impl Credential {
    /// What it is called in the keystore.
    #[must_use]
    pub fn label(&self) -> &str {
        match self {
            Self::Secret { label, .. } | Self::Key { label, .. } => label,
        }
    }
}

/// Which MAC protects requests. Source: RFC 9481 §6.1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mac {
    /// `id-PBMAC1`
    Pbmac1,
    /// `id-PasswordBasedMac`, which older servers know only.
    PasswordBased,
}

impl Mac {
    /// Its name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Pbmac1 => "pbmac1",
            Self::PasswordBased => "password-based",
        }
    }
    /// The one of a name.
    #[must_use]
    pub fn by_name(name: &str) -> Option<Self> {
        [Self::Pbmac1, Self::PasswordBased].into_iter().find(|mac| mac.name() == name)
    }
}

/// What a foreign authority is about to be asked for.
#[derive(Clone, Debug)]
pub struct ForeignDraft {
    /// As for an authority of ours. Its serial number and digest are those of what this installation would have signed.
    pub intent: IntentDraft,
    /// The transaction with the foreign authority.
    pub exchange: TransactionId,
}

/// What became of a [`ForeignDraft`].
#[derive(Debug)]
pub enum ForeignOutcome {
    /// Durable, and the grant is reserved.
    Durable(u64, DurableForeignIntent),
    /// It was asked for before, and what came of that is not known: to be asked again in the same transaction. If the
    /// authority said that it is not ready, the nonce with which it did.
    Again(u64, DurableForeignIntent, Option<[u8; 16]>),
    /// It was asked for before, and the authority gave this number, which is to be revoked before anything else.
    Numbered(u64, SerialNumber),
    /// The same request was answered before with this certificate.
    Repeated {
        /// The certificate in DER.
        certificate: Vec<u8>,
        /// The authority that issued it.
        authority: u64,
    },
    /// The same request is being answered now.
    InProgress,
    /// Not possible.
    Refused(Reason),
}

/// How far a request to a foreign authority has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ForeignState {
    /// It is being asked.
    Asked,
    /// The certificate is recorded.
    Issued,
    /// There is no certificate, or it is revoked there.
    Closed,
    /// Nobody here knows.
    Unsettled,
}

/// A request to a foreign authority.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ForeignIntentRow {
    /// Where the store keeps it.
    pub id: u64,
    /// The authority.
    pub authority: AuthorityName,
    /// Whom the certificate is for.
    pub subject: Entity,
    /// Who asked.
    pub requester: String,
    /// The requester's name for it.
    pub transaction_id: TransactionId,
    /// The transaction with the foreign authority.
    pub exchange: TransactionId,
    /// Digest of the key: by it the other side finds what it issued.
    pub key: Digest,
    /// When it was asked first.
    pub at: UnixTime,
    /// How far it has come.
    pub state: ForeignState,
    /// The number that the authority gave, if one is known.
    pub serial: Option<SerialNumber>,
    /// Why it is closed, or not settled.
    pub why: Option<String>,
}

/// A certificate of a foreign authority to record.
#[derive(Clone, Debug)]
pub struct ForeignRecord {
    /// Row of the intent.
    pub intent: u64,
    /// The serial number.
    pub serial: SerialNumber,
    /// SHA-256 of its `tbsCertificate`.
    pub tbs: Digest,
    /// When it expires.
    pub not_after: UnixTime,
    /// The certificate in DER.
    pub certificate: Vec<u8>,
    /// When.
    pub at: UnixTime,
}

/// What a list of a foreign authority says.
#[derive(Clone, Debug)]
pub struct StatusDraft {
    /// The authority.
    pub authority: u64,
    /// The number of the list.
    pub number: u64,
    /// SHA-256 of the list.
    pub crl: Digest,
    /// Who is revoked, since when, and why.
    pub revoked: Vec<(SerialNumber, UnixTime, RevocationReason)>,
    /// When it was taken.
    pub at: UnixTime,
}

/// What was learnt from a list of a foreign authority.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StatusTaken {
    /// Certificates that are revoked, or on hold, since.
    pub revoked: Vec<SerialNumber>,
    /// Certificates that were on hold, and are good again.
    pub released: Vec<SerialNumber>,
    /// Entries of certificates that are none of ours.
    pub strangers: u64,
}

/// What km keeps of foreign authorities.
pub trait ForeignStore: Send + Sync {
    /// How foreign authorities are reached.
    ///
    /// # Errors
    /// [`StoreFault`]
    fn attachments(&self) -> Result<Vec<Attachment>, StoreFault>;

    /// Says how an authority is reached whose key is elsewhere, in the place of what was said before.
    ///
    /// # Errors
    /// [`StoreFault`]; the inner error is [`Reason::NameTaken`] if its key is here, or it is none.
    fn attach(&self, attachment: &Attachment, key: Digest, at: UnixTime) -> Result<Result<(), Reason>, StoreFault>;

    /// Makes an intent durable and reserves its grant.
    ///
    /// # Errors
    /// [`StoreFault`]
    fn intend_foreign(&self, draft: &ForeignDraft) -> Result<ForeignOutcome, StoreFault>;

    /// Keeps the nonce with which the authority said that a certificate is not ready.
    ///
    /// # Errors
    /// [`StoreFault`]
    fn await_foreign(&self, intent: u64, nonce: [u8; 16]) -> Result<(), StoreFault>;

    /// Keeps the number that the authority gave, before it is told that the certificate is taken.
    ///
    /// # Errors
    /// [`StoreFault`]; the inner error is [`Reason::ForeignMisfit`] if the number is known, [`Reason::KeyInUse`] if another
    /// subject got a certificate for the key meanwhile, [`Reason::TransactionClosed`] if the intent is not open any more.
    fn offered(&self, intent: u64, serial: SerialNumber, at: UnixTime) -> Result<Result<(), Reason>, StoreFault>;

    /// Records a certificate and spends its grant; nothing if the intent is not open any more, or is for another number.
    ///
    /// # Errors
    /// [`StoreFault`]
    fn record_foreign(&self, record: ForeignRecord) -> Result<Option<DurableRecord>, StoreFault>;

    /// Ends an intent of which it is known that there is no certificate, or that it is revoked there: its grant is free.
    ///
    /// # Errors
    /// [`StoreFault`]
    fn close_foreign(&self, intent: u64, why: &str, at: UnixTime) -> Result<bool, StoreFault>;

    /// Leaves an intent of which nobody knows; its grant stays reserved. Its number, if the authority gave one.
    ///
    /// # Errors
    /// [`StoreFault`]
    fn leave_foreign(
        &self,
        intent: u64,
        serial: Option<SerialNumber>,
        why: &str,
        at: UnixTime,
    ) -> Result<(), StoreFault>;

    /// Leaves every intent that an earlier process left open. Gives how many.
    ///
    /// # Errors
    /// [`StoreFault`]
    fn leave_all_foreign(&self, at: UnixTime) -> Result<u64, StoreFault>;

    /// Requests that are not ended, oldest first, at most a thousand; of one authority, or of all.
    ///
    /// # Errors
    /// [`StoreFault`]
    fn foreign_open(&self, authority: Option<u64>) -> Result<Vec<ForeignIntentRow>, StoreFault>;

    /// All that was asked for in a transaction of a requester, oldest first.
    ///
    /// # Errors
    /// [`StoreFault`]
    fn foreign_of(&self, transaction_id: &TransactionId) -> Result<Vec<ForeignIntentRow>, StoreFault>;

    /// Takes over what a list of the authority says, which was verified before.
    ///
    /// # Errors
    /// [`StoreFault`]; the inner error is [`Reason::ListNotNewer`].
    fn take_status(&self, draft: &StatusDraft) -> Result<Result<StatusTaken, Reason>, StoreFault>;
}
