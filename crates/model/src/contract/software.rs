//! Calls that sm answers.

use super::{Call, Subject};
use crate::{Base64, DeviceType, Digest, Reason};
use serde::{Deserialize, Serialize};

/// Where repositories are followed: the image repository, and the director of a box that has one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Source {
    /// A directory on this box: a stick, or a repository. `images/metadata` and `images/targets` are in it, or `metadata` and
    /// `targets` if it is an image repository itself; and `director/metadata`.
    Directory(String),
    /// Servers, over HTTP or HTTPS.
    #[serde(rename_all = "kebab-case")]
    Servers {
        /// The address below which the image repository has `metadata` and `targets`.
        images: String,
        /// The address below which the director has `metadata` for this box.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        director: Option<String>,
        /// Certificates in DER, by one of which the certificate of an https server must be issued.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        tls_anchors: Vec<Base64>,
    },
}

/// Follows the repositories to what this box gets, verifies all of it, and keeps it as a bundle, countersigned and encrypted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Update {
    /// Where they are followed.
    pub source: Source,
}

/// What came of following repositories.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Updated {
    /// A bundle is kept, which takes the place of the one before.
    #[serde(rename_all = "kebab-case")]
    Kept {
        /// SHA-256 of its manifest.
        bundle: Digest,
        /// What is in it.
        releases: Vec<Bundled>,
    },
    /// Nothing was taken but metadata that verifies: the bundle from before stands.
    #[serde(rename_all = "kebab-case")]
    Refused {
        /// Which rule says no.
        reason: Reason,
        /// Of which file, what is wrong with it, and which attack that may be.
        what: String,
    },
}

/// A release in a bundle.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Bundled {
    /// What it is called.
    pub release: String,
    /// For which device types of this box.
    pub device_types: Vec<DeviceType>,
    /// Its release counter.
    pub counter: u64,
    /// Digest of the image.
    pub image: Digest,
    /// Octets of the image.
    pub length: u64,
    /// Whether the image came now; it was in the vault already if not.
    pub fetched: bool,
}

impl Call for Update {
    const SUBJECT: Subject = Subject::SoftwareUpdate;
    type Reply = Updated;
}

/// Hears that a repository has something new: a webhook, as it came to the gateway, which looks at nothing in it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HearNotice {
    /// Its identifier.
    pub id: String,
    /// The seconds of its time, as they are written.
    pub timestamp: String,
    /// Its signatures.
    pub signature: String,
    /// Its body.
    pub body: Base64,
}

/// What became of a notice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Heard {
    /// It is new: sm looks soon.
    New,
    /// It came before.
    Known,
}

impl Call for HearNotice {
    const SUBJECT: Subject = Subject::SoftwareNotice;
    type Reply = Heard;
}
