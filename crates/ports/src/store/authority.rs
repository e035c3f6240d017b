//! What km keeps.

mod rows;

pub use rows::*;

use super::{DurableRecord, MakerStore, StoreFault};
use crate::directory::Caller;
use crate::keystore::KeyUri;
use model::contract::authority::{GrantOffer, RevocationReason, Verdict};
use model::{
    AuthorityName, DeviceId, DeviceSerial, DeviceType, Digest, Entity, ProfileName, Reason, StationName, TransactionId,
    UnixTime,
};
use x509::SerialNumber;
use x509::serial::InstanceEpoch;

/// What km keeps.
pub trait AuthorityStore: MakerStore {
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

    /// Whether this requester began this transaction under this grant for this key, and it stands: its use of the grant, and
    /// of a right, is counted already.
    ///
    /// # Errors
    /// [`StoreFault`]
    fn is_begun(
        &self,
        requester: &Caller,
        transaction_id: TransactionId,
        grant: u64,
        key: Digest,
    ) -> Result<bool, StoreFault>;

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

    /// The last word of all that were said of the standing of certificates.
    ///
    /// # Errors
    /// [`StoreFault`]
    fn revocation_edge(&self) -> Result<u64, StoreFault>;

    /// Lines of a list in the order of revoking, closed intents included: at most `limit` of those behind `after`, each
    /// with its own place. However often it is asked, the same contents have the same lines.
    ///
    /// # Errors
    /// [`StoreFault`]
    fn crl_lines(&self, contents: &CrlContents, after: u64, limit: u32) -> Result<Vec<(u64, CrlLine)>, StoreFault>;

    /// The serial numbers of certificates of an authority that have not expired at `now`, at most `limit` of those behind
    /// `after`, each with its own place.
    ///
    /// # Errors
    /// [`StoreFault`]
    fn serials(
        &self,
        authority: u64,
        now: UnixTime,
        after: u64,
        limit: u32,
    ) -> Result<Vec<(u64, SerialNumber)>, StoreFault>;

    /// The last list of a scope; a list of differences is one only if `delta`.
    ///
    /// # Errors
    /// [`StoreFault`]
    fn crl(&self, scope: CrlScope, delta: bool) -> Result<Option<CrlRow>, StoreFault>;

    /// Of the whole lists of a scope that hold at `at`, the number of the first, and the last word that it takes into account: a
    /// difference to it serves everybody who goes by one of them.
    ///
    /// # Errors
    /// [`StoreFault`]
    fn crl_base(&self, scope: CrlScope, at: UnixTime) -> Result<Option<CrlBase>, StoreFault>;

    /// Where a serial number of an authority stands.
    ///
    /// # Errors
    /// [`StoreFault`]
    fn standing(&self, authority: u64, serial: &SerialNumber) -> Result<Standing, StoreFault>;

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

    /// Asks for the approval of operators, or how far it has come. A requester may have so many requests waiting.
    ///
    /// # Errors
    /// [`StoreFault`]
    fn await_approval(&self, draft: &PendingDraft, waiting_max: u32) -> Result<Approval, StoreFault>;

    /// The requests that wait at this moment, oldest first.
    ///
    /// # Errors
    /// [`StoreFault`]
    fn requests_waiting(&self, now: UnixTime) -> Result<Vec<PendingRow>, StoreFault>;

    /// Records what an operator says to a request that waits.
    ///
    /// # Errors
    /// [`StoreFault`]; the inner error is [`Reason::TransactionUnknown`], or [`Reason::TransactionClosed`] if it waits no
    /// more or the operator has spoken before.
    fn approve(&self, draft: &ApprovalDraft) -> Result<Result<(), Reason>, StoreFault>;

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

    /// Leaves a grant for certificates that km makes for itself: of authorities and their responders. Raises the one
    /// that is there; for a day.
    ///
    /// # Errors
    /// [`StoreFault`]
    fn allow(&self, subject: &Entity, profile: &ProfileName, certificates: u32, at: UnixTime)
    -> Result<(), StoreFault>;

    /// Leaves a grant for one certificate more than were made: the only one of its subject and profile that counts from
    /// now on, with its secret, if it has one.
    ///
    /// # Errors
    /// [`StoreFault`]
    fn let_enrol(&self, draft: &EnrolmentDraft) -> Result<(), StoreFault>;

    /// SHA-256 of the secret that was left with a grant.
    ///
    /// # Errors
    /// [`StoreFault`]
    fn secret_that_opens(&self, grant: u64) -> Result<Option<Digest>, StoreFault>;

    /// Whether a device stands on a list, and whether anything may be given to it.
    ///
    /// # Errors
    /// [`StoreFault`]
    fn registered(&self, device: &DeviceId) -> Result<Registered, StoreFault>;

    /// The device of a serial number.
    ///
    /// # Errors
    /// [`StoreFault`]
    fn device_of(&self, serial: &DeviceSerial) -> Result<Option<DeviceId>, StoreFault>;

    /// Adds an authority whose key is elsewhere.
    ///
    /// # Errors
    /// [`StoreFault`]; the inner error is [`Reason::NameTaken`].
    fn import_authority(
        &self,
        name: &AuthorityName,
        issuer: Option<&AuthorityName>,
        certificate: &[u8],
        key: Digest,
        at: UnixTime,
    ) -> Result<Result<(), Reason>, StoreFault>;

    /// Puts one authority, whose certificate was recorded, in the place of another, which is renamed and issues nothing
    /// from now on.
    ///
    /// # Errors
    /// [`StoreFault`]
    fn replace_authority(&self, replacement: &Replacement, at: UnixTime) -> Result<(), StoreFault>;

    /// The latest `producedAt` of any OCSP response.
    ///
    /// # Errors
    /// [`StoreFault`]
    fn ocsp_floor(&self) -> Result<UnixTime, StoreFault>;

    /// Makes durable that responses of this moment may leave: none after it will have an earlier `producedAt`.
    ///
    /// # Errors
    /// [`StoreFault`]
    fn raise_ocsp_floor(&self, produced_at: UnixTime) -> Result<(), StoreFault>;

    /// The certificates that connect an authority's key with the one before it: old with new, new with old.
    ///
    /// # Errors
    /// [`StoreFault`]
    fn links(&self, authority: u64) -> Result<Vec<Vec<u8>>, StoreFault>;

    /// Gives an authority its certificate, which was recorded before.
    ///
    /// # Errors
    /// [`StoreFault`]
    fn complete_authority(&self, id: u64, certificate: &[u8], key: Digest, at: UnixTime) -> Result<(), StoreFault>;

    /// Revokes a certificate, or puts it on hold. What is on hold may be revoked; then its revocation is dated back to
    /// when it was put on hold.
    ///
    /// # Errors
    /// [`StoreFault`]; the inner error is [`Reason::SerialUnknown`] or [`Reason::AlreadyRevoked`].
    fn revoke(
        &self,
        serial: &SerialNumber,
        reason: RevocationReason,
        at: UnixTime,
    ) -> Result<Result<(), Reason>, StoreFault>;

    /// Releases a certificate that is on hold.
    ///
    /// # Errors
    /// [`StoreFault`]; the inner error is [`Reason::SerialUnknown`] or [`Reason::NotHeld`].
    fn release(&self, serial: &SerialNumber, at: UnixTime) -> Result<Result<(), Reason>, StoreFault>;

    /// Sets what an authority may do; its quota counts from now.
    ///
    /// # Errors
    /// [`StoreFault`]
    fn limit(&self, authority: &AuthorityRow, limits: AuthorityLimits, at: UnixTime) -> Result<(), StoreFault>;

    /// Makes the intent to sign a list durable, if its number is higher than that of any intent before it.
    ///
    /// # Errors
    /// [`StoreFault`]; [`StoreFault::Corrupt`] if the number is not higher. The inner error is [`Reason::Quarantined`].
    fn intend_crl(
        &self,
        authority: &AuthorityRow,
        number: u64,
        tbs: Digest,
        at: UnixTime,
    ) -> Result<Result<(), Reason>, StoreFault>;

    /// Records a list that was intended, and gives its octets back.
    ///
    /// # Errors
    /// [`StoreFault`]; [`StoreFault::Engine`] if it was not intended.
    fn record_crl(&self, authority: &AuthorityRow, crl: CrlRow) -> Result<Vec<u8>, StoreFault>;

    /// The number that the next list of an authority shall have.
    ///
    /// # Errors
    /// [`StoreFault`]
    fn next_crl_number(&self, authority: u64) -> Result<u64, StoreFault>;
}
