//! Calls that the gateway makes of km for clients of ACME. Messages go on as they came: their signatures are between client and km.

use super::authority::Done;
use super::{Call, Subject};
use crate::{AcmeId, Base64, Reason};
use serde::{Deserialize, Serialize};

/// Hands on a message, or asks for what is there for anybody.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AnswerAcme {
    /// Scheme, host and port by which the client knows the gateway: `https://HOST[:PORT]`.
    pub base: String,
    /// The path, as it was sent.
    pub path: String,
    /// The message, a JWS; absent if there was none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<Base64>,
}

/// What it is answered with: refusals are answers, too.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AcmeAnswered {
    /// The status of HTTP.
    pub status: u16,
    /// The media type of the body.
    pub media_type: String,
    /// The body.
    pub body: Base64,
    /// Where the object is that was made or found.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub location: Option<String>,
    /// Where what it is a part of is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub up: Option<String>,
    /// When to ask again, in seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_after_s: Option<u32>,
    /// A nonce for the next message.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nonce: Option<String>,
    /// Where the gateway has to look, and to tell what it sees.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub look: Option<Look>,
}

impl Call for AnswerAcme {
    const SUBJECT: Subject = Subject::AuthorityAcme;
    type Reply = AcmeAnswered;
}

/// How a name is proved to be somebody's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum ChallengeKind {
    /// A file at a server of HTTP. Source: RFC 8555 §8.3.
    #[serde(rename = "http-01")]
    Http,
    /// A TXT record. Source: RFC 8555 §8.4.
    #[serde(rename = "dns-01")]
    Dns,
    /// A certificate at a server of TLS. Source: RFC 8737 §3.
    #[serde(rename = "tls-alpn-01")]
    TlsAlpn,
    /// What a TPM says of the key that is asked for. Source: draft-ietf-acme-device-attest §5.
    #[serde(rename = "device-attest-01")]
    DeviceAttest,
}

impl ChallengeKind {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Http, Self::Dns, Self::TlsAlpn, Self::DeviceAttest];

    /// As the standards name it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Http => "http-01",
            Self::Dns => "dns-01",
            Self::TlsAlpn => "tls-alpn-01",
            Self::DeviceAttest => "device-attest-01",
        }
    }
}

/// Where to look. What has to be there is not said.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Look {
    /// For which authorisation.
    pub authorization: AcmeId,
    /// How.
    pub kind: ChallengeKind,
    /// Whose proof it is: a host name or an address.
    pub name: String,
    /// The token, by which a file is named.
    pub token: String,
}

/// Tells what was seen there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReportSeen {
    /// For which authorisation.
    pub authorization: AcmeId,
    /// How it was looked.
    pub kind: ChallengeKind,
    /// What was seen, or why nothing was.
    pub seen: Result<SeenThere, Reason>,
}

/// What was seen.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SeenThere {
    /// The body of an answer of HTTP.
    Body(Base64),
    /// TXT records.
    Texts(Vec<Base64>),
    /// A certificate in DER.
    Certificate(Base64),
}

impl Call for ReportSeen {
    const SUBJECT: Subject = Subject::AuthorityAcmeSeen;
    type Reply = Done;
}
