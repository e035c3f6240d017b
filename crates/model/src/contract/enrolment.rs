//! Calls that the gateway makes of km, for those who come over the network. The gateway hands on what was shown to it; km
//! decides from its own rows what that proves.

use super::authority::Done;
use super::{Call, Subject};
use crate::{AuthorityName, Base64, Digest, Entity, EstLabel, Fault, ProfileName, TransactionId, UnixTime};
use serde::{Deserialize, Serialize};

/// Asks for a certificate for somebody who came over EST.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Enrol {
    /// The first of its kind, or one in the place of another.
    pub kind: EnrolmentKind,
    /// The label in the path, which says which certificates are asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label: Option<EstLabel>,
    /// A `CertificationRequest` in DER.
    pub request: Base64,
    /// The certificate, in DER, of whose key the client proved in TLS that it has it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub certificate: Option<Base64>,
    /// The one-time secret that it knows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret: Option<ShownSecret>,
    /// What the connection is (`tls-exporter`), if TLS could tell. Source: RFC 9266 §2.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub channel: Option<Base64>,
}

/// What a request over EST is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum EnrolmentKind {
    /// The first certificate of this kind. Source: RFC 7030 §4.2.1.
    New,
    /// One in the place of the certificate that was shown. Source: RFC 7030 §4.2.2.
    Renewal,
}

/// A one-time secret, as a client showed it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ShownSecret {
    /// Whom the client says that it is: a serial number or a device name.
    pub user: String,
    /// SHA-256 of the secret, which itself goes no further than the gateway.
    pub digest: Digest,
}

/// What became of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Enrolled {
    /// Under which records have it; the client is told it, and nothing more, if it is refused.
    pub transaction_id: TransactionId,
    /// The certificate in DER.
    pub outcome: Result<Base64, Fault>,
    /// In how many seconds the certificate is to be renewed, so that all who have one come evenly.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub renew_after_s: Option<u64>,
}

impl Call for Enrol {
    const SUBJECT: Subject = Subject::AuthorityEnrol;
    type Reply = Enrolled;
}

/// Asks for the certificates of an authority.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CaCertificates {
    /// Of which.
    pub of: WhichAuthority,
}

/// How an authority is named.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum WhichAuthority {
    /// The one that issues under this label; none stands for the label that is taken then.
    Label(Option<EstLabel>),
    /// The one of this name.
    Name(AuthorityName),
}

/// The certificates of an authority.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CaCertificatesShown {
    /// Its own, and those above it up to the root, in DER.
    pub chain: Vec<Base64>,
    /// Those that connect their keys with the ones before; and the roots that followed, with those that connect theirs.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub links: Vec<Base64>,
    /// What a request under the label should have in it: `CsrAttrs` in DER; absent if nothing in particular.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attributes: Option<Base64>,
}

impl Call for CaCertificates {
    const SUBJECT: Subject = Subject::AuthorityCaCertificates;
    type Reply = CaCertificatesShown;
}

/// Most octets of a list in one message.
pub const CRL_PART_LEN_MAX: usize = 2 * 1024 * 1024;

/// Asks for the list of revoked certificates that is in force. km makes a new one if that is due.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CurrentCrl {
    /// Of which authority.
    pub authority: AuthorityName,
    /// Which shard, counted from 1; 0: all certificates of the authority.
    #[serde(default, skip_serializing_if = "super::authority::is_zero")]
    pub shard: u32,
    /// Whether it says only what changed since the oldest whole list that somebody may still go by.
    #[serde(default, skip_serializing_if = "super::authority::is_false")]
    pub delta: bool,
    /// Where to go on in a list that is longer than a message; from the beginning of the newest if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<CrlPlace>,
}

/// A place in a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CrlPlace {
    /// The list's `cRLNumber`. Another list is refused as malformed when this one is in force no more.
    pub number: u64,
    /// How many octets of it are known.
    pub offset: u64,
}

/// The list in force.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CurrentCrlShown {
    /// `CertificateList` in DER, from the place on that was asked for: at most [`CRL_PART_LEN_MAX`] octets.
    pub crl: Base64,
    /// Length of all of it.
    pub len: u64,
    /// Its `cRLNumber`.
    pub number: u64,
    /// When it was made.
    pub this_update: UnixTime,
    /// When the next one is there at the latest.
    pub next_update: UnixTime,
}

impl Call for CurrentCrl {
    const SUBJECT: Subject = Subject::AuthorityCurrentCrl;
    type Reply = CurrentCrlShown;
}

/// Asks for the certificate with which the gateway serves TLS, or for the one with which it answers SCEP.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CertifyServer {
    /// A `CertificationRequest` in DER, with the host names that km's own settings say, and no others.
    pub request: Base64,
    /// The label of SCEP under which the key is to open what clients send; the request has no names then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scep: Option<EstLabel>,
}

/// The gateway's certificate.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ServerCertified {
    /// It, and those above it up to the root, in DER.
    pub chain: Vec<Base64>,
}

impl Call for CertifyServer {
    const SUBJECT: Subject = Subject::AuthorityCertifyServer;
    type Reply = ServerCertified;
}

/// Lets a registered device enrol under a profile, once; with a secret that it shows, if one is given.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AllowEnrolment {
    /// The device.
    pub subject: Entity,
    /// What its certificate may say.
    pub profile: ProfileName,
    /// Until when.
    pub until: UnixTime,
    /// SHA-256 of the secret.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret: Option<Digest>,
    /// The secret itself, sealed to km's key and bound to [`secret_info`], if km has one: a MAC is verified with nothing less.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sealed: Option<Base64>,
}

/// What a secret that is sealed to km is bound to.
#[must_use]
pub fn secret_info(subject: &Entity, profile: &ProfileName) -> Vec<u8> {
    format!("cradle one-time secret {subject} {profile}").into_bytes()
}

impl Call for AllowEnrolment {
    const SUBJECT: Subject = Subject::AuthorityAllowEnrolment;
    type Reply = Done;
}

/// Asks for the key to which one-time secrets are sealed for km.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ShowSealingKey {}

/// The key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SealingKeyShown {
    /// An X25519 key, 32 octets; absent where nothing needs the secrets themselves.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<Base64>,
}

impl Call for ShowSealingKey {
    const SUBJECT: Subject = Subject::AuthoritySealingKey;
    type Reply = SealingKeyShown;
}

/// Hands on a message of CMP, as it came: its protection is between the client and km.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AnswerCmp {
    /// The label in the path, which says which certificates are asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label: Option<EstLabel>,
    /// A `PKIMessage` in DER.
    pub message: Base64,
}

/// What it is answered with: errors are messages, too.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CmpAnswered {
    /// A `PKIMessage` in DER.
    pub message: Base64,
}

impl Call for AnswerCmp {
    const SUBJECT: Subject = Subject::AuthorityCmp;
    type Reply = CmpAnswered;
}
