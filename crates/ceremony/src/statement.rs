//! What operators sign: that a plan shall be run, and that a transcript is what happened.

use model::{CeremonyName, Digest, OperatorName, UnixTime};
use serde::{Deserialize, Serialize};
use std::fmt;

/// The `typ` of an approval.
pub const APPROVAL: &str = "cradle-ceremony";
/// The `typ` of a signature over a transcript.
pub const SEAL: &str = "cradle-transcript";

/// An operator's word that a plan shall be run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Approval {
    /// SHA-256 of the plan: nothing else is approved.
    pub plan: Digest,
    /// The ceremony's name.
    pub ceremony: CeremonyName,
    /// Who says so.
    pub operator: OperatorName,
    /// When.
    pub at: UnixTime,
}

/// Who signs a transcript.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Signer {
    /// One who approved the plan.
    Operator(OperatorName),
    /// The audit log of the installation, by its name.
    Log(String),
}

impl fmt::Display for Signer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Operator(name) => write!(f, "the operator {name}"),
            Self::Log(name) => write!(f, "the audit log {name}"),
        }
    }
}

/// A word that a transcript is what happened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Seal {
    /// SHA-256 of the transcript's octets.
    pub transcript: Digest,
    /// Whose word it is.
    pub signer: Signer,
    /// When.
    pub at: UnixTime,
}
