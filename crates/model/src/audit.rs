//! What the audit log says. One entry is one line of JSON; its octets are a leaf of the Merkle tree.

use crate::mode::{Binding, Order};
use crate::{AcmeId, Digest, Module, Reason, TransactionId, UnixTime};
use serde::{Deserialize, Serialize};

/// One entry of the audit log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Entry {
    /// When it was written.
    pub at: UnixTime,
    /// Who wrote it.
    pub by: Module,
    /// What happened.
    pub event: Event,
}

/// What happened. Text that came from outside was made printable before.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
#[expect(missing_docs, reason = "the fields are named by the standards' words")]
pub enum Event {
    /// A key is about to be asked to sign these octets.
    Intended { serial: String, tbs: Digest, grant: u64, transaction: TransactionId },
    /// A certificate was recorded.
    Issued { serial: String, certificate: Digest },
    /// An intent ended without a released certificate.
    IntentClosed { serial: String, why: String },
    /// The requester took the certificate, or declined it.
    Confirmed { serial: String, accepted: bool },
    /// A request for a certificate was refused.
    CertificateRefused { subject: String, transaction: TransactionId, reason: Reason },
    /// Leave for certificates was left.
    GrantsDeposited { count: u64, origin: String },
    /// A device may come over the network for one certificate.
    EnrolmentAllowed { subject: String, profile: String, until: UnixTime, left_by: String },
    /// A device that came over the network was certified: what it showed, under which label.
    Enrolled {
        subject: String,
        transaction: TransactionId,
        label: String,
        shown: String,
        /// By which protocol; none stands for EST.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        protocol: Option<String>,
    },
    /// An account of ACME was bound to a device, or changed: SHA-256 of its key, and what happened.
    AcmeAccount { subject: String, account: AcmeId, label: String, key: Digest, what: String },
    /// A name was proved to be the device's, by this challenge.
    NameProved { subject: String, name: String, challenge: String },
    /// A station may vouch for devices.
    Entitled { station: String, device_type: String, quota: u64, until: UnixTime },
    /// A certificate was revoked.
    Revoked { serial: String, reason: String },
    /// A certificate that was on hold is good again.
    Released { serial: String },
    /// A key is about to be asked to sign a list of revoked certificates.
    CrlIntended { authority: String, number: u64, tbs: Digest },
    /// A list of revoked certificates was recorded.
    CrlIssued { authority: String, number: u64, crl: Digest },
    /// A certification authority was made.
    AuthorityCreated { authority: String, key: Digest },
    /// What a certification authority may do was changed: how many certificates, until when.
    AuthorityLimited { authority: String, quota: Option<u64>, ends: Option<UnixTime> },
    /// Another key took the place of an authority's: the name under which the old one goes on signing lists.
    AuthorityRetired { authority: String, renamed: String },
    /// An operator said yes or no to a request that waited.
    Approved { transaction: TransactionId, operator: String, approved: bool },
    /// The installation was restored from a backup of this many audit entries.
    Restored { backup: String, entries: u64 },
    /// What a restored installation learnt of what happened after its backup.
    ReadBack { certificates: u64, revocations: u64, lists: u64 },
    /// Lists of an authority are counted from here on: higher numbers were published before.
    CrlNumberRaised { authority: String, number: u64 },
    /// A restored installation may issue again.
    QuarantineEnded {
        operators: String,
        /// What each of them signed: a JWS.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        statements: Vec<String>,
    },
    /// A certificate that was issued after the backup, known from the marks: its number stays used.
    Recalled { serial: String, subject: String },
    /// A message was refused.
    MessageRefused { subject: String, caller: String, reason: Reason, message: Digest },
    /// An operator ordered a mode.
    ModeOrdered { order: Order, epoch: u64, operator: String, reason: String },
    /// The box entered a mode, or is between two.
    ModeEntered { binding: Binding, epoch: u64 },
    /// The box was sealed by itself.
    Sealed { by: Module, reason: Reason },
    /// A registration list was imported: whose it is and which of theirs, and how many lines of theirs it took back.
    ListImported {
        list: String,
        digest: Digest,
        devices: u64,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        supplier: Option<String>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        sequence: Option<u64>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        removed: Option<u64>,
    },
    /// A key was registered as a supplier's, for the first time or in the place of another.
    SupplierTrusted { supplier: String, key: Digest },
    /// Lists of this supplier are not taken any more.
    SupplierRevoked { supplier: String },
    /// Lists of a supplier are counted from here on: higher numbers were taken before a restore.
    ListSequenceRaised { supplier: String, sequence: u64 },
    /// A certificate was registered as that of a maker's authority, for the first time or in the place of another; whether its list of
    /// revoked certificates must be there.
    MakerTrusted { maker: String, certificate: Digest, demanded: bool },
    /// Certificates of this maker's devices prove nothing any more.
    MakerDistrusted { maker: String },
    /// A maker's list of revoked certificates was taken: its number, and SHA-256 of it.
    MakerListTaken { maker: String, number: u64, crl: Digest },
    /// Lists of a maker are counted from here on: higher numbers were taken before a restore.
    MakerListRaised { maker: String, number: u64 },
    /// A board was bound to a device name.
    BoardAdmitted { device: String, board: String },
    /// A board was refused.
    BoardRefused { board: String, device: String, reason: Reason },
    /// A device was marked as stolen, or the mark was taken back.
    DeviceMarked { device: String, stolen: bool },
    /// A board was flashed.
    Flashed {
        device: String,
        board: String,
        station: String,
        operator: String,
        image: Digest,
        duration_ms: u64,
        retries: u64,
    },
    /// A device was provisioned.
    Provisioned { device: String, board: String, station: String, operator: String, serial: String },
    /// A release of the format before bundles was verified, countersigned and stored. Only old logs tell of one.
    ReleaseStored { release: String, image: Digest },
    /// A release of that format was refused: SHA-256 of its metadata, and why. Only old logs tell of one.
    ReleaseRefused { metadata: Digest, reason: Reason },
    /// A bundle was verified, countersigned and stored: SHA-256 of its manifest, its releases, and which bundles with the same
    /// releases it takes the place of.
    BundleStored {
        bundle: Digest,
        releases: Vec<String>,
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        replaces: Vec<Digest>,
    },
    /// What repositories said was refused.
    BundleRefused { what: String, reason: Reason },
    /// The box follows these repositories from now on: SHA-256 of their first roots.
    RepositoriesFollowed {
        images: Digest,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        director: Option<Digest>,
    },
    /// A key was registered as a signer of releases of the format before bundles. Only old logs tell of one.
    SignerTrusted { signer: String, key: Digest },
    /// An operator said that the clock is right, which is far ahead of what was recorded last, at `from`.
    ClockAccepted { operator: String, from: UnixTime },
    /// A certificate that has expired is about to be renewed without a mode, in the name of this operator.
    ExpiredRenewal { subject: String, operator: String, expired: UnixTime },
    /// Octets of what had expired, or was out of date, before this moment were taken out; of how many certificates and
    /// lists, and how many requests that ended.
    Purged { before: UnixTime, certificates: u64, lists: u64, requests: u64, operator: String },
    /// An operator approved the plan of a key ceremony.
    CeremonyApproved { ceremony: String, plan: Digest, operator: String },
    /// A key ceremony began whose plan enough operators approved.
    CeremonyBegun { ceremony: String, plan: Digest, operators: String },
    /// A key ceremony ended: the digest of its journal.
    CeremonyFinished { ceremony: String, plan: Digest, journal: Digest },
    /// A private key left this box in a file under a password: whose, and who said that it may.
    KeyExported { subject: String, serial: String, operators: String },
    /// Operators invited a box to join: `token` is the digest of the public half of its token's secret.
    BoxInvited { instance: String, modules: String, operators: String, until: UnixTime, token: Digest },
    /// A box that was invited was admitted, with the keys that this request names.
    BoxAdmitted { instance: String, token: Digest, request: Digest, operator: String },
    /// An invitation was taken back before a box was admitted with it.
    BoxUninvited { instance: String, token: Digest, operator: String },
    /// The key of an authority is with a foreign authority, which is reached there.
    AuthorityAttached { authority: String, url: String, key: Digest },
    /// A foreign authority is about to be asked to certify this key: `exchange` is the transaction with it, `transaction`
    /// that of the requester.
    ForeignAsked { authority: String, exchange: TransactionId, transaction: TransactionId, key: Digest, grant: u64 },
    /// A foreign authority gave a certificate of this number, and was not told yet whether it is taken.
    ForeignOffered { exchange: TransactionId, serial: String },
    /// A certificate of a foreign authority was recorded.
    ForeignIssued {
        exchange: TransactionId,
        transaction: TransactionId,
        serial: String,
        tbs: Digest,
        certificate: Digest,
    },
    /// What a foreign authority was asked for came to nothing, or is revoked there: the grant is free again.
    ForeignClosed { exchange: TransactionId, why: String },
    /// It is not known whether a foreign authority certified the key: the grant stays reserved.
    ForeignUnsettled { exchange: TransactionId, key: Digest, why: String },
    /// What a list of a foreign authority says was taken over.
    StatusTaken { authority: String, number: u64, crl: Digest, revoked: u64, released: u64 },
    /// Somebody asked for something over the operator API, and it is about to be done: `who` is the user of the process at the
    /// other end, or that the token was shown; `key` is SHA-256 of the idempotency key.
    AskedOverApi {
        who: String,
        request: String,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        key: Option<Digest>,
    },
    /// Something left behind by an interruption was put in order.
    Repaired { what: String },
}
