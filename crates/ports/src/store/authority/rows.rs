//! What goes into the records of km, and what comes out of them.

use crate::directory::Caller;
use crate::keystore::KeyUri;
use crate::store::DurableIntent;
use model::contract::authority::RevocationReason;
use model::{AuthorityName, Digest, Entity, ProfileName, Reason, TransactionId, UnixTime};
use x509::SerialNumber;
use x509::crl::RevokedCertificate;

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

/// Leave for one subject to come over the network, once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EnrolmentDraft {
    /// Whom it is for.
    pub subject: Entity,
    /// What the certificate may say.
    pub profile: ProfileName,
    /// The last moment at which it may be used.
    pub until: UnixTime,
    /// On whose word.
    pub left_by: LeftBy,
    /// When.
    pub at: UnixTime,
}

/// On whose word somebody may come over the network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LeftBy {
    /// An operator's; SHA-256 of the secret that may be shown, if there is one.
    Operator(Option<Digest>),
    /// That of the certificate which is renewed.
    Renewal,
}

/// What the registry says of a device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Registered {
    /// No list has it.
    No,
    /// It is expected, or is there.
    Yes,
    /// It is marked as stolen: it gets nothing.
    Held,
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
    /// What it may do.
    pub limits: AuthorityLimits,
    /// Whether another key took its place: it signs lists of revoked certificates only.
    pub retired: bool,
}

/// What a certification authority may do, beside what its certificate says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct AuthorityLimits {
    /// How many certificates it may issue, counted from when the quota was set.
    pub quota: Option<u64>,
    /// When it ceases to issue.
    pub ends: Option<UnixTime>,
}

/// One authority in the place of another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Replacement {
    /// The row of the one that goes.
    pub old: u64,
    /// Its name from now on.
    pub renamed: AuthorityName,
    /// The row of the one that comes.
    pub new: u64,
    /// Its certificate in DER.
    pub certificate: Vec<u8>,
    /// The digest of its key.
    pub key: Digest,
    /// For a root: the old key certified by the new one, and the new by the old.
    pub links: Vec<Vec<u8>>,
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
    /// When the certificate will expire.
    pub not_after: UnixTime,
    /// Which list of revoked certificates will show it, counted from 1; 0: the undivided one.
    pub shard: u32,
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
    /// When it expires.
    pub not_after: UnixTime,
    /// Which list of revoked certificates shows it; 0: the undivided one.
    pub shard: u32,
    /// Whether the requester confirmed it.
    pub confirmed: bool,
    /// When and why it was revoked.
    pub revoked: Option<(UnixTime, RevocationReason)>,
    /// How much of it is kept.
    pub kept: Kept,
    /// The certificate in DER, if that is kept.
    pub der: Vec<u8>,
}

/// How much is kept of a certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kept {
    /// All of it.
    Octets,
    /// It expired long ago, and its octets were purged.
    Purged,
    /// It was issued after the backup that the records were restored from: its number and its standing only.
    Number,
}

impl CertificateRow {
    /// Whether it is known from the high-water marks only: its number and its standing, not its octets.
    #[must_use]
    pub const fn is_read_back(&self) -> bool {
        matches!(self.kept, Kept::Number)
    }
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
    /// Issued under this profile.
    pub profile: Option<ProfileName>,
    /// That expire at or after this moment.
    pub expires_from: Option<UnixTime>,
    /// That expire before this moment.
    pub expires_before: Option<UnixTime>,
    /// Behind this row; rows are in the order of issuing.
    pub after: u64,
    /// At most so many.
    pub limit: u32,
}

/// Which certificates of an authority a list of revoked certificates speaks of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CrlScope {
    /// The authority.
    pub authority: u64,
    /// The shard, counted from 1; 0: all certificates of the authority.
    pub shard: u32,
}

/// What stands on a list of revoked certificates.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CrlContents {
    /// Of what.
    pub scope: CrlScope,
    /// The last word that it takes into account ([`super::AuthorityStore::revocation_edge`]).
    pub edge: u64,
    /// The last word that the list took into account that it is a difference to; 0 if it is none.
    pub behind: u64,
    /// Certificates that expired before this moment are left out: the list of that moment was the last to show them.
    pub expired_before: UnixTime,
}

/// What a list of differences begins with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CrlBase {
    /// The number of the whole list.
    pub number: u64,
    /// The last word that it takes into account.
    pub edge: u64,
}

/// A line of a list of revoked certificates.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CrlLine {
    /// Revoked, or on hold.
    Revoked(RevokedCertificate),
    /// Released from hold, or known to be so: `removeFromCRL`, on a list of differences only.
    Released(SerialNumber, UnixTime),
}

/// A list of revoked certificates that was issued.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CrlRow {
    /// Of what.
    pub scope: CrlScope,
    /// Its number.
    pub number: u64,
    /// The number of the list that it is a difference to.
    pub base: Option<u64>,
    /// The last word that it takes into account.
    pub edge: u64,
    /// When it was made.
    pub this_update: UnixTime,
    /// When the next one is due.
    pub next_update: UnixTime,
    /// The list in DER; empty if it is long out of date.
    pub der: Vec<u8>,
}

/// Where a serial number stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// This authority never issued it.
    NeverIssued,
    /// It is about to be signed, or is being recorded: nobody has it yet.
    Reserved,
    /// Issued, and not revoked.
    Good {
        /// When it expires.
        not_after: UnixTime,
    },
    /// Revoked, or on hold.
    Revoked {
        /// Since when.
        at: UnixTime,
        /// Why.
        reason: RevocationReason,
    },
}

/// A request that needs the approval of operators.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PendingDraft {
    /// The requester's name for it.
    pub transaction_id: TransactionId,
    /// Who asks.
    pub requester: Caller,
    /// Whom the certificate is for.
    pub subject: Entity,
    /// What it may say.
    pub profile: ProfileName,
    /// Digest of what is asked for: an approval is for nothing else.
    pub request: Digest,
    /// How many operators must approve.
    pub needed: u32,
    /// When it was asked first.
    pub at: UnixTime,
    /// Until when it waits.
    pub until: UnixTime,
}

/// How far the approval of a request has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Approval {
    /// Enough operators approved.
    Given,
    /// It waits for more.
    Awaited,
    /// Refused for this reason.
    Refused(Reason),
}

/// A request that waits, as operators see it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names are those of [`PendingDraft`]")]
pub struct PendingRow {
    pub id: u64,
    pub transaction_id: TransactionId,
    pub requester: String,
    pub subject: Entity,
    pub profile: ProfileName,
    pub request: Digest,
    pub needed: u32,
    pub at: UnixTime,
    pub until: UnixTime,
    /// Who approved it.
    pub approved: Vec<String>,
    /// Who denied it.
    pub denied: Vec<String>,
}

/// What an operator says to a request that waits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApprovalDraft {
    /// The request.
    pub pending: u64,
    /// The operator.
    pub operator: String,
    /// What the operator signed: `approve` or `deny` and the request's digest.
    pub statement: String,
    /// Yes or no.
    pub approved: bool,
    /// When.
    pub at: UnixTime,
}

/// An intent that was closed because nobody knows whether it was signed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClosedIntent {
    /// Its serial number, which is revoked now.
    pub serial: SerialNumber,
    /// The transaction, which may be repeated.
    pub transaction_id: TransactionId,
}
