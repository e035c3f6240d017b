//! sm's countersignature: what it states of a bundle that it made.

use super::contents::Made;
use model::{DeviceId, Digest, UnixTime};
use serde::{Deserialize, Serialize};

/// The `typ` of a bundle's countersignature, which is a flattened JWS with a [`Statement`] as payload.
pub const BUNDLE_COUNTERSIGNATURE: &str = "cradle-bundle";

// Longest payload: three short fields.
const STATEMENT_LEN_MAX: usize = 1024;

/// What sm states when it has verified a bundle. It is no proof: whoever reads one verifies its seal, and the bundle again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Statement {
    /// SHA-256 of the manifest, which has that of everything else.
    pub bundle: Digest,
    /// For which box, or boxes with the same records.
    pub device: DeviceId,
    /// When it was verified; whether metadata had expired is judged for this moment.
    pub verified_at: UnixTime,
}

impl Statement {
    /// What is stated of a bundle that was made of verified parts.
    #[must_use]
    pub const fn of(bundle: &Made, device: DeviceId, verified_at: UnixTime) -> Self {
        Self { bundle: bundle.digest(), device, verified_at }
    }

    /// The payload to be sealed.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        match serde_json::to_vec(self) {
            Ok(payload) => payload,
            Err(_) => unreachable!("names and numbers can be written as JSON"),
        }
    }

    /// Reads the payload of a countersignature whose seal holds; `None` if it is none.
    #[must_use]
    pub fn decode(payload: &[u8]) -> Option<Self> {
        let is_one = payload.len() <= STATEMENT_LEN_MAX && payload.starts_with(b"{");
        is_one.then(|| serde_json::from_slice(payload).ok()).flatten()
    }
}
