//! Calls that km answers.

use super::{Call, Subject};
use crate::{
    AuthorityName, Base64, DeviceType, Digest, Entity, Fault, ProfileName, StationName, TransactionId, UnixTime,
};
use serde::{Deserialize, Serialize};

/// Asks for certificates. Each request is answered on its own: a bad one never fails the others.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Certify {
    /// At most [`super::BATCH_LEN_MAX`].
    pub requests: Vec<CertifyRequest>,
}

/// One request for a certificate.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CertifyRequest {
    /// The same for every repetition of this request.
    pub transaction_id: TransactionId,
    /// Whom the certificate is for. km compares it with its grants; the request's own name must not differ.
    pub subject: Entity,
    /// What the certificate may say.
    pub profile: ProfileName,
    /// The request itself.
    pub evidence: Evidence,
}

/// The octets of a request for a certificate.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Evidence {
    /// A `CertificationRequest` in DER. Source: RFC 2986.
    Pkcs10(Base64),
    /// `CertReqMessages` in DER with exactly one message. Source: RFC 4211.
    Crmf(Base64),
}

/// The answers, in the order of the requests.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Certified {
    /// One for each request.
    pub answers: Vec<Answer>,
    /// The chains that the answers refer to, each from the issuer to the root, in DER.
    pub chains: Vec<Vec<Base64>>,
}

/// The answer to one request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Answer {
    /// Issued, now or when the same transaction was first received.
    Issued {
        /// The certificate in DER.
        certificate: Base64,
        /// Index into [`Certified::chains`].
        chain: u16,
    },
    /// Not issued.
    Failed(Fault),
}

impl Call for Certify {
    const SUBJECT: Subject = Subject::AuthorityCertify;
    type Reply = Certified;
}

/// Says what became of certificates that were issued to this caller.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Confirm {
    /// At most [`super::BATCH_LEN_MAX`].
    pub confirmations: Vec<Confirmation>,
}

/// What became of one certificate.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Confirmation {
    /// The transaction that issued it.
    pub transaction_id: TransactionId,
    /// Taken, or declined.
    pub verdict: Verdict,
}

/// Whether the requester took the certificate. Source: RFC 9810 §5.3.18 (`certConf`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// The device holds it and proved its key. Final.
    Accepted,
    /// It never came into use: it is revoked and its grant is free again. Not possible once accepted.
    Rejected,
}

/// One result for each confirmation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Confirmed {
    /// In the order of the confirmations.
    pub results: Vec<Result<(), Fault>>,
}

impl Call for Confirm {
    const SUBJECT: Subject = Subject::AuthorityConfirm;
    type Reply = Confirmed;
}

/// Leaves grants, so that km can decide later without asking anybody. Repeating it changes nothing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Deposit {
    /// Where they come from: the name and version of a list or work order.
    pub origin: String,
    /// At most [`super::BATCH_LEN_MAX`].
    pub grants: Vec<GrantOffer>,
}

/// Leave for one subject to be certified under one profile.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GrantOffer {
    /// Whom it is for.
    pub subject: Entity,
    /// What the certificate may say.
    pub profile: ProfileName,
    /// The last moment at which it may be used.
    pub until: UnixTime,
    /// How many certificates.
    pub quota: u32,
}

/// How many of the offered grants were new, or were given more time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Deposited {
    /// New grants; the others were there already.
    pub new: u32,
}

impl Call for Deposit {
    const SUBJECT: Subject = Subject::AuthorityDeposit;
    type Reply = Deposited;
}

/// Lets a station vouch (`raVerified`) for devices of one type. Replaces an earlier right of the same pair; what was
/// spent stays spent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Entitle {
    /// The station.
    pub station: StationName,
    /// The devices.
    pub device_type: DeviceType,
    /// How many, counted from the first.
    pub quota: u32,
    /// Until when.
    pub until: UnixTime,
}

/// Done and durable.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Done {}

impl Call for Entitle {
    const SUBJECT: Subject = Subject::AuthorityEntitle;
    type Reply = Done;
}

/// Revokes a certificate.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Revoke {
    /// Its serial number in hexadecimal digits.
    pub serial: String,
    /// Why.
    pub reason: RevocationReason,
}

/// Why a certificate is revoked. Source: RFC 5280 §5.3.1 (`CRLReason`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RevocationReason {
    /// Not said; the extension is absent from the CRL then.
    Unspecified,
    /// The key is, or may be, in other hands.
    KeyCompromise,
    /// The issuer's key is, or may be, in other hands.
    CaCompromise,
    /// The name in it is no longer right.
    AffiliationChanged,
    /// Another certificate took its place.
    Superseded,
    /// No longer needed.
    CessationOfOperation,
    /// Not to be trusted for now; the only reason that can be taken back.
    CertificateHold,
    /// A privilege in it was taken back.
    PrivilegeWithdrawn,
}

impl RevocationReason {
    /// All reasons.
    pub const ALL: [Self; 8] = [
        Self::Unspecified,
        Self::KeyCompromise,
        Self::CaCompromise,
        Self::AffiliationChanged,
        Self::Superseded,
        Self::CessationOfOperation,
        Self::CertificateHold,
        Self::PrivilegeWithdrawn,
    ];

    /// The number in a CRL.
    #[must_use]
    pub const fn code(self) -> u8 {
        match self {
            Self::Unspecified => 0,
            Self::KeyCompromise => 1,
            Self::CaCompromise => 2,
            Self::AffiliationChanged => 3,
            Self::Superseded => 4,
            Self::CessationOfOperation => 5,
            Self::CertificateHold => 6,
            Self::PrivilegeWithdrawn => 9,
        }
    }

    /// The reason of that number.
    #[must_use]
    pub fn by_code(code: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|reason| reason.code() == code)
    }

    /// The name on the command line and in records.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Unspecified => "unspecified",
            Self::KeyCompromise => "key-compromise",
            Self::CaCompromise => "ca-compromise",
            Self::AffiliationChanged => "affiliation-changed",
            Self::Superseded => "superseded",
            Self::CessationOfOperation => "cessation-of-operation",
            Self::CertificateHold => "certificate-hold",
            Self::PrivilegeWithdrawn => "privilege-withdrawn",
        }
    }

    /// The reason of that name.
    #[must_use]
    pub fn by_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|reason| reason.name() == name)
    }
}

impl Call for Revoke {
    const SUBJECT: Subject = Subject::AuthorityRevoke;
    type Reply = Done;
}

/// Releases a certificate from hold: it is good again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Release {
    /// Its serial number in hexadecimal digits.
    pub serial: String,
}

impl Call for Release {
    const SUBJECT: Subject = Subject::AuthorityRelease;
    type Reply = Done;
}

/// Asks for a new list of revoked certificates.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct IssueCrl {
    /// Of which authority.
    pub authority: AuthorityName,
    /// Which shard, counted from 1; 0: all certificates of the authority.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub shard: u32,
    /// Whether it says only what changed since the oldest whole list that somebody may still go by.
    #[serde(default, skip_serializing_if = "is_false")]
    pub delta: bool,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands over a reference")]
pub(super) const fn is_zero(n: &u32) -> bool {
    *n == 0
}
#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands over a reference")]
pub(super) const fn is_false(b: &bool) -> bool {
    !*b
}

/// The new list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CrlIssued {
    /// `CertificateList` in DER; empty if it is longer than [`CRL_PART_LEN_MAX`](super::enrolment::CRL_PART_LEN_MAX), the records have it.
    pub crl: Base64,
    /// Its `cRLNumber`.
    pub number: u64,
    /// How many certificates it names.
    pub entries: u64,
    /// Its digest.
    pub digest: Digest,
    /// The number of the list that it is a difference to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub base: Option<u64>,
}

impl Call for IssueCrl {
    const SUBJECT: Subject = Subject::AuthorityCrl;
    type Reply = CrlIssued;
}

/// Asks whether certificates are revoked. Each request is answered on its own.
/// Source: RFC 6960.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AnswerOcsp {
    /// `OCSPRequest` in DER, each; at most [`super::BATCH_LEN_MAX`].
    pub requests: Vec<Base64>,
}

/// The answers, in the order of the requests.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OcspAnswered {
    /// `OCSPResponse` in DER, each; an error is a response too.
    pub responses: Vec<Base64>,
    /// The last word on the standing of any certificate when km began to answer; absent if that cannot be read. What was said of issued
    /// certificates stays true for as long as this stays the same, and may be said again for [`STANDING_LENT_MS`] without asking.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub edge: Option<u64>,
}

/// How long km's word that nothing changed is believed, counted from before km was asked: nobody is told that a certificate is revoked before
/// this has passed since that was recorded. Units: milliseconds.
pub const STANDING_LENT_MS: u64 = 20;

impl Call for AnswerOcsp {
    const SUBJECT: Subject = Subject::AuthorityOcsp;
    type Reply = OcspAnswered;
}

/// Asks for the status filter of an authority, for devices that can neither hold a list nor ask.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct IssueFilter {
    /// Of which authority.
    pub authority: AuthorityName,
}

/// The status filter.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FilterIssued {
    /// Signed, as `docs/status-filter.md` describes it.
    pub filter: Base64,
    /// The number of the list whose revocations it has.
    pub number: u64,
    /// How many certificates it names.
    pub entries: u64,
}

impl Call for IssueFilter {
    const SUBJECT: Subject = Subject::AuthorityFilter;
    type Reply = FilterIssued;
}
