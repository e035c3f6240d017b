//! sm's countersignature: what it states of a release that it verified.

use crate::fault::BadRelease;
use crate::image::VerifiedImage;
use crate::metadata::{Current, Metadata, Verified};
use model::{DeviceType, Digest, UnixTime};
use serde::{Deserialize, Serialize};

/// The `typ` of a countersignature, which is a flattened JWS with a [`Statement`] as payload.
pub const COUNTERSIGNATURE: &str = "cradle-release";

// Longest payload: that of the longest list of device types, and more.
const STATEMENT_LEN_MAX: usize = 8 * 1024;

/// What sm states when it has verified a release. It is no proof: whoever reads one verifies its seal, and the release
/// again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Statement {
    /// SHA-256 of the metadata file.
    pub metadata_sha256: Digest,
    /// SHA-256 of the image.
    pub image_sha256: Digest,
    /// Octets of the image.
    pub image_length: u64,
    /// For which device types.
    pub device_types: Vec<DeviceType>,
    /// The release counter.
    pub release_counter: u64,
    /// When it was verified; whether the metadata had expired is judged for this moment.
    pub verified_at: UnixTime,
}

impl Statement {
    /// What is stated of a verified release.
    #[must_use]
    pub fn of(image: &VerifiedImage<Current>, verified_at: UnixTime) -> Self {
        let release = image.release();
        Self {
            metadata_sha256: image.metadata_digest(),
            image_sha256: image.image().digest,
            image_length: image.image().length,
            device_types: release.hardware_ids.clone(),
            release_counter: release.counter,
            verified_at,
        }
    }

    /// The payload to be sealed.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        match serde_json::to_vec(self) {
            Ok(payload) => payload,
            Err(_) => unreachable!("numbers and names can be written as JSON"),
        }
    }

    /// Reads the payload of a countersignature whose seal holds.
    ///
    /// # Errors
    /// [`BadRelease::BadStatement`]
    pub fn decode(payload: &[u8]) -> Result<Self, BadRelease> {
        let short = payload.len() <= STATEMENT_LEN_MAX;
        short.then(|| serde_json::from_slice(payload).ok()).flatten().ok_or(BadRelease::BadStatement)
    }

    /// Whether it was stated of this very release.
    pub(crate) fn is_of(&self, metadata: &Metadata<Verified>) -> bool {
        let release = metadata.release();
        self.metadata_sha256 == metadata.digest()
            && self.image_sha256 == metadata.image().digest
            && self.image_length == metadata.image().length
            && self.device_types == release.hardware_ids
            && self.release_counter == release.counter
    }
}
