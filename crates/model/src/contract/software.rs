//! Calls that sm answers.

use super::{Call, Subject};
use crate::{Base64, Digest};
use serde::{Deserialize, Serialize};

/// Takes in a release: verifies it, countersigns it and stores it encrypted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Import {
    /// The signed metadata as received.
    pub metadata: Base64,
    /// Name of a file on this box that holds the image; sm reads no more of it than the metadata announces.
    pub image: String,
}

/// The release that was stored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Imported {
    /// Name and version.
    pub release: String,
    /// Digest of the image.
    pub image: Digest,
    /// Octets of the image.
    pub length: u64,
}

impl Call for Import {
    const SUBJECT: Subject = Subject::SoftwareImport;
    type Reply = Imported;
}

/// Registers the public key of somebody whose releases are taken.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Trust {
    /// What the signer is called in records.
    pub signer: String,
    /// SubjectPublicKeyInfo in DER, Ed25519.
    pub key: Base64,
}

/// The signer that was registered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Trusted {
    /// Digest of the key, which names it in metadata.
    pub key: Digest,
}

impl Call for Trust {
    const SUBJECT: Subject = Subject::SoftwareTrust;
    type Reply = Trusted;
}
