//! Calls that the gateway makes of km for clients of SCEP. Their envelopes end at the gateway, as TLS does: km is told what was in them,
//! and whose signature was around it, and decides from its own rows what that proves.

use super::enrolment::ShownSecret;
use super::{Call, Subject};
use crate::{Base64, EstLabel, Fault, TransactionId};
use serde::{Deserialize, Serialize};

/// Hands on what a message asks for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AnswerScep {
    /// The label in the path, which says which certificates are asked for.
    pub label: EstLabel,
    /// The name of the transaction, as the client chose it.
    pub transaction: String,
    /// The certificate, in DER, of whose key the message is signed: one that was issued, or one that the client made itself.
    pub signer: Base64,
    /// What is asked for.
    pub wish: ScepWish,
}

/// What a message asks for. Source: RFC 8894 §3.3.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum ScepWish {
    /// A certificate.
    Enrol {
        /// A `CertificationRequest` in DER, sealed to km's key and bound to [`request_info`].
        request: Base64,
        /// The one-time secret that the client knows.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        secret: Option<ShownSecret>,
    },
    /// A certificate in the place of the signer's.
    Renew {
        /// The same.
        request: Base64,
    },
    /// The certificate that was asked for in this transaction.
    Poll,
    /// A certificate that was issued before.
    Certificate {
        /// `IssuerAndSerialNumber` in DER.
        of: Base64,
    },
    /// The list in which a certificate would stand if it were revoked.
    Crl {
        /// `IssuerAndSerialNumber` in DER.
        of: Base64,
    },
}

/// What a request that is sealed to km is bound to. It has the client's one-time secret in it, which whoever carries calls must not read
/// before it is used.
#[must_use]
pub fn request_info(label: &EstLabel, transaction: &str) -> Vec<u8> {
    format!("cradle request over scep {label} {transaction}").into_bytes()
}

/// What became of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ScepAnswered {
    /// Under which records have it; the client is told it, and nothing more, if it is refused.
    pub transaction_id: TransactionId,
    /// A certificate, or a list, in DER.
    pub outcome: Result<Base64, Fault>,
}

impl Call for AnswerScep {
    const SUBJECT: Subject = Subject::AuthorityScep;
    type Reply = ScepAnswered;
}
