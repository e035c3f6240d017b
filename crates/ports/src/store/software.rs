//! What sm keeps, and pm reads.

use super::{AuditSink, StoreFault};
use crate::vault::BlobName;
use model::{DeviceType, Digest, Reason, UnixTime};

/// A release that was verified, countersigned and stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReleaseRow {
    /// Name and version.
    pub release: String,
    /// For which device type.
    pub device_type: DeviceType,
    /// Rises with each release for a device type.
    pub counter: u64,
    /// The maker's signed metadata as received.
    pub metadata: Vec<u8>,
    /// sm's countersignature, a flattened JWS.
    pub countersignature: Vec<u8>,
    /// Where the image lies.
    pub image: BlobName,
    /// Digest of the image.
    pub image_digest: Digest,
    /// Octets of the image.
    pub length: u64,
    /// When it was stored.
    pub at: UnixTime,
}

/// Somebody whose releases are taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignerRow {
    /// What it is called in records.
    pub signer: String,
    /// SubjectPublicKeyInfo in DER.
    pub key: Vec<u8>,
}

/// What sm keeps, and pm reads.
pub trait SoftwareStore: AuditSink {
    /// Those whose releases are taken.
    ///
    /// # Errors
    /// [`StoreFault`]
    fn signers(&self) -> Result<Vec<SignerRow>, StoreFault>;

    /// Registers a signer. Doing it again changes nothing.
    ///
    /// # Errors
    /// [`StoreFault`]
    fn trust(&self, signer: &SignerRow, key: Digest, at: UnixTime) -> Result<(), StoreFault>;

    /// Stores a release, if its counter is higher than that of any other for its device types; one row for each.
    ///
    /// Rows with the counter and the metadata of a stored row take its place: so a release whose image or
    /// countersignature was damaged is repaired by importing it again. All rows or none.
    /// # Errors
    /// [`StoreFault`]; the inner error is [`Reason::ReleaseRolledBack`].
    fn store(&self, rows: &[ReleaseRow]) -> Result<Result<(), Reason>, StoreFault>;

    /// The newest release for a device type.
    ///
    /// # Errors
    /// [`StoreFault`]
    fn newest(&self, device_type: &DeviceType) -> Result<Option<ReleaseRow>, StoreFault>;

    /// All releases, newest first.
    ///
    /// # Errors
    /// [`StoreFault`]
    fn releases(&self) -> Result<Vec<ReleaseRow>, StoreFault>;
}
