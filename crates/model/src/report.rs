//! What a box reports of software: that sm downloaded and verified it, that pm flashed it.

use crate::{DeviceId, DeviceType, Digest, UnixTime};
use serde::{Deserialize, Serialize};

/// Longest report, in octets.
pub const REPORT_LEN_MAX: usize = 128 * 1024;
/// The `typ` of a report's signature.
pub const REPORT: &str = "cradle-report";

/// What was done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Did {
    /// sm downloaded it, and verified all of it.
    Verified,
    /// pm flashed it to devices, and read it back.
    Flashed,
}

/// An image of which something is reported.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Reported {
    /// For which type of devices.
    pub device_type: DeviceType,
    /// What the release is called.
    pub release: String,
    /// Its release counter.
    pub release_counter: u64,
    /// Digest of the image.
    pub image: Digest,
    /// To which devices it was flashed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub devices: Vec<String>,
}

/// A report. Each reporter counts his own from 1 on, so that one that is missing is seen.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Report {
    /// Who the box is to a director.
    pub device: DeviceId,
    /// Which of its modules says so: `BOX.MODULE`.
    pub reporter: String,
    /// The how-manieth report of this reporter it is.
    pub number: u64,
    /// When it was done.
    pub at: UnixTime,
    /// What was done.
    pub did: Did,
    /// Of which images.
    pub images: Vec<Reported>,
}
