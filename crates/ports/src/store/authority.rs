//! What km keeps.

use super::{AuditSink, DurableIntent, DurableRecord, StoreFault};
use crate::directory::Caller;
use crate::keystore::KeyUri;
use model::contract::authority::{GrantOffer, RevocationReason, Verdict};
use model::{AuthorityName, DeviceType, Digest, Entity, ProfileName, Reason, StationName, TransactionId, UnixTime};
use x509::SerialNumber;
use x509::crl::RevokedCertificate;
use x509::serial::InstanceEpoch;

/// Leave for one subject to be certified under one profile, as km keeps it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grant {
    /// Where the store keeps it.
    pub id: u64,
    /// Whom it is for.
    pub subject: Entity,
    /// What the certificate may say.
    pub profile: ProfileName,
    /// The last moment at which it may be used.
    pub until: UnixTime,
    /// How many certificates.
    pub quota: u32,
    /// How many were made, or are being made: a use is reserved with the intent, spent with the record, and given back
    /// if the intent is closed.
    pub used: u32,
}

/// Leave for a station to vouch for devices of one type.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Right {
    /// Where the store keeps it.
    pub id: u64,
    /// Until when.
    pub until: UnixTime,
    /// How many devices.
    pub quota: u32,
    /// How many it vouched for, or is vouching for; counted as in [`Grant::used`].
    pub used: u32,
}

/// A certification authority as km keeps it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuthorityRow {
    /// Where the store keeps it.
    pub id: u64,
    /// Its name in this instance.
    pub name: AuthorityName,
    /// Where its key is.
    pub key: KeyUri,
    /// Who issued its certificate; itself if absent.
    pub issuer: Option<AuthorityName>,
    /// Its certificate in DER; empty while it is being made.
    pub certificate: Vec<u8>,
}

/// What is about to be signed.
#[derive(Clone, Debug)]
pub struct IntentDraft {
    /// The requester's name for it.
    pub transaction_id: TransactionId,
    /// Who asks.
    pub requester: Caller,
    /// Under which authority.
    pub authority: u64,
    /// The serial number.
    pub serial: SerialNumber,
    /// SHA-256 of the octets to be signed.
    pub tbs_digest: Digest,
    /// Digest of the profile as it was when the certificate was drafted.
    pub profile_digest: Digest,
    /// The grant to reserve.
    pub grant: u64,
    /// The right to reserve, if a station vouches for the device.
    pub right: Option<u64>,
    /// Digest of the key. With the grant it tells whether two requests are the same: two signatures over one request
    /// differ, so its octets do not.
    pub key: Digest,
    /// When.
    pub at: UnixTime,
}

/// What became of an [`IntentDraft`].
#[derive(Debug)]
pub enum IntentOutcome {
    /// Durable, and the grant is reserved.
    Durable(DurableIntent),
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

/// A signed certificate to record.
#[derive(Clone, Debug)]
pub struct RecordDraft {
    /// Row of the intent.
    pub intent: u64,
    /// The serial number.
    pub serial: SerialNumber,
    /// The certificate in DER.
    pub certificate: Vec<u8>,
    /// When.
    pub at: UnixTime,
}

/// What is known of one certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CertificateRow {
    /// Row of its intent.
    pub id: u64,
    /// The serial number.
    pub serial: SerialNumber,
    /// Who issued it.
    pub authority: AuthorityName,
    /// Whom it is for.
    pub subject: Entity,
    /// Under which profile.
    pub profile: ProfileName,
    /// Digest of that profile.
    pub profile_digest: Digest,
    /// The transaction.
    pub transaction_id: TransactionId,
    /// When it was intended.
    pub at: UnixTime,
    /// Whether the requester confirmed it.
    pub confirmed: bool,
    /// When and why it was revoked.
    pub revoked: Option<(UnixTime, RevocationReason)>,
    /// The certificate in DER.
    pub der: Vec<u8>,
}

/// Which certificates.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct CertificateFilter {
    /// Issued by this authority.
    pub authority: Option<AuthorityName>,
    /// Of this subject.
    pub subject: Option<Entity>,
    /// For the key of this digest.
    pub key: Option<Digest>,
    /// Only those that are, or are not, revoked.
    pub revoked: Option<bool>,
    /// Behind this row; rows are in the order of issuing.
    pub after: u64,
    /// At most so many.
    pub limit: u32,
}

/// The list of revoked certificates that was issued last.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CrlRow {
    /// Its number.
    pub number: u64,
    /// When it was made.
    pub this_update: UnixTime,
    /// When the next one is due.
    pub next_update: UnixTime,
    /// The list in DER.
    pub der: Vec<u8>,
}

/// An intent that was closed because nobody knows whether it was signed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClosedIntent {
    /// Its serial number, which is revoked now.
    pub serial: SerialNumber,
    /// The transaction, which may be repeated.
    pub transaction_id: TransactionId,
}

/// What km keeps.
pub trait AuthorityStore: AuditSink {
    /// The grants for these subjects and profiles, in their order.
    ///
    /// # Errors
    /// [`StoreFault`]
    fn grants(&self, wanted: &[(&Entity, &ProfileName)]) -> Result<Vec<Option<Grant>>, StoreFault>;

    /// The certificate, and the row of the authority that issued it, if this requester had it made under this grant for
    /// this key in this transaction.
    ///
    /// # Errors
    /// [`StoreFault`]
    fn repeated(
        &self,
        requester: &Caller,
        transaction_id: TransactionId,
        grant: u64,
        key: Digest,
    ) -> Result<Option<(Vec<u8>, u64)>, StoreFault>;

    /// The right of a station.
    ///
    /// # Errors
    /// [`StoreFault`]
    fn right(&self, station: &StationName, device_type: &DeviceType) -> Result<Option<Right>, StoreFault>;

    /// All authorities, in the order of their making.
    ///
    /// # Errors
    /// [`StoreFault`]
    fn authorities(&self) -> Result<Vec<AuthorityRow>, StoreFault>;

    /// The certificate of a serial number.
    ///
    /// # Errors
    /// [`StoreFault`]
    fn certificate(&self, serial: &SerialNumber) -> Result<Option<CertificateRow>, StoreFault>;

    /// Certificates in the order of issuing.
    ///
    /// # Errors
    /// [`StoreFault`]
    fn certificates(&self, filter: &CertificateFilter) -> Result<Vec<CertificateRow>, StoreFault>;

    /// What an authority has revoked, in the order of revoking, intents that were closed included.
    ///
    /// # Errors
    /// [`StoreFault`]
    fn revoked(&self, authority: u64) -> Result<Vec<RevokedCertificate>, StoreFault>;

    /// The last list of an authority.
    ///
    /// # Errors
    /// [`StoreFault`]
    fn crl(&self, authority: u64) -> Result<Option<CrlRow>, StoreFault>;

    /// The epoch of this opening, which was durable before this store could be used.
    fn epoch(&self) -> InstanceEpoch;

    /// Makes intents durable and reserves their grants: commit A.
    ///
    /// # Errors
    /// [`StoreFault`]: none of them is durable then.
    fn intend(&self, drafts: Vec<IntentDraft>) -> Result<Vec<IntentOutcome>, StoreFault>;

    /// Records certificates and spends their grants: commit B.
    ///
    /// # Errors
    /// [`StoreFault`]: none of them is recorded then.
    fn record(&self, drafts: Vec<RecordDraft>) -> Result<Vec<Option<DurableRecord>>, StoreFault>;

    /// Closes intents whose signature failed, and frees their grants. What may have been signed is revoked.
    ///
    /// # Errors
    /// [`StoreFault`]
    fn close(&self, intents: Vec<u64>, why: &'static str, at: UnixTime) -> Result<(), StoreFault>;

    /// Closes every intent that an earlier process left open.
    ///
    /// # Errors
    /// [`StoreFault`]
    fn close_left_open(&self, at: UnixTime) -> Result<Vec<ClosedIntent>, StoreFault>;

    /// Takes the verdicts of one requester on certificates that were issued to it.
    ///
    /// # Errors
    /// [`StoreFault`]
    fn confirm(
        &self,
        requester: &Caller,
        verdicts: Vec<(TransactionId, Verdict)>,
        at: UnixTime,
    ) -> Result<Vec<Result<(), Reason>>, StoreFault>;

    /// Adds grants that are not there yet. Gives the number of new ones.
    ///
    /// # Errors
    /// [`StoreFault`]
    fn deposit(&self, origin: &str, offers: &[GrantOffer], at: UnixTime) -> Result<u32, StoreFault>;

    /// Sets a station's right.
    ///
    /// # Errors
    /// [`StoreFault`]
    fn entitle(
        &self,
        station: &StationName,
        device_type: &DeviceType,
        quota: u32,
        until: UnixTime,
        at: UnixTime,
    ) -> Result<(), StoreFault>;

    /// Adds an authority whose certificate is still to be made, and one grant for it.
    ///
    /// # Errors
    /// [`StoreFault`]; the inner error is [`Reason::NameTaken`].
    fn begin_authority(
        &self,
        name: &AuthorityName,
        key: &KeyUri,
        issuer: Option<&AuthorityName>,
        profile: &ProfileName,
        at: UnixTime,
    ) -> Result<Result<u64, Reason>, StoreFault>;

    /// Gives an authority its certificate, which was recorded before.
    ///
    /// # Errors
    /// [`StoreFault`]
    fn complete_authority(&self, id: u64, certificate: &[u8], key: Digest, at: UnixTime) -> Result<(), StoreFault>;

    /// Revokes a certificate.
    ///
    /// # Errors
    /// [`StoreFault`]; the inner error is [`Reason::SerialUnknown`] or [`Reason::AlreadyRevoked`].
    fn revoke(
        &self,
        serial: &SerialNumber,
        reason: RevocationReason,
        at: UnixTime,
    ) -> Result<Result<(), Reason>, StoreFault>;

    /// Makes the intent to sign a list durable, if its number is higher than that of any intent before it.
    ///
    /// # Errors
    /// [`StoreFault`]; [`StoreFault::Engine`] if the number is not higher.
    fn intend_crl(&self, authority: &AuthorityRow, number: u64, tbs: Digest, at: UnixTime) -> Result<(), StoreFault>;

    /// Records a list that was intended.
    ///
    /// # Errors
    /// [`StoreFault`]; [`StoreFault::Engine`] if it was not intended.
    fn record_crl(&self, authority: &AuthorityRow, crl: CrlRow) -> Result<(), StoreFault>;

    /// The number that the next list of an authority shall have.
    ///
    /// # Errors
    /// [`StoreFault`]
    fn next_crl_number(&self, authority: u64) -> Result<u64, StoreFault>;
}
