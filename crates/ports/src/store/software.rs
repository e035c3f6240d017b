//! What sm keeps, and pm reads.

use super::{AuditSink, StoreFault};
use crate::vault::BlobName;
use model::{DeviceType, Digest, Module, UnixTime};
use std::collections::BTreeMap;

/// A bundle that was verified, countersigned and stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BundleRow {
    /// SHA-256 of its manifest.
    pub digest: Digest,
    /// Where it lies, without its images.
    pub blob: BlobName,
    /// sm's countersignature, a flattened JWS.
    pub countersignature: Vec<u8>,
    /// When it was verified.
    pub at: UnixTime,
    /// Its releases, by device type.
    pub releases: Vec<BundledRow>,
}

/// What a bundle has for a device type.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BundledRow {
    /// The device type.
    pub device_type: DeviceType,
    /// Name and version.
    pub release: String,
    /// The name of the target in the image repository.
    pub target: String,
    /// Rises with each release for a device type.
    pub counter: u64,
    /// Where the image lies.
    pub image: BlobName,
    /// Digest of the image.
    pub image_digest: Digest,
    /// Octets of the image.
    pub length: u64,
}

/// A file of a repository that a module trusts from now on; without octets, one that it forgets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrustedFile {
    /// SHA-256 of the repository's first root.
    pub repository: Digest,
    /// The name under which it is kept.
    pub name: String,
    /// What is in it.
    pub octets: Option<Vec<u8>>,
}

/// What sm keeps, and pm reads; and what each of them has seen of the repositories.
pub trait SoftwareStore: AuditSink {
    /// Stores a bundle, which is the last one then. Those that have the same digest, or the same images for the same device types,
    /// are forgotten: they say nothing more.
    ///
    /// # Errors
    /// [`StoreFault`]
    fn store_bundle(&self, row: &BundleRow) -> Result<(), StoreFault>;

    /// All bundles, the last one first.
    ///
    /// # Errors
    /// [`StoreFault`]
    fn bundles(&self) -> Result<Vec<BundleRow>, StoreFault>;

    /// The last bundle.
    ///
    /// # Errors
    /// [`StoreFault`]
    fn last_bundle(&self) -> Result<Option<BundleRow>, StoreFault>;

    /// The files of a repository that a module trusts, by the names under which they are kept.
    ///
    /// # Errors
    /// [`StoreFault`]
    fn trusted(&self, module: Module, repository: Digest) -> Result<BTreeMap<String, Vec<u8>>, StoreFault>;

    /// Keeps and forgets files in this order, all of it or nothing; durable before this returns.
    ///
    /// # Errors
    /// [`StoreFault`]
    fn keep_trusted(&self, module: Module, files: &[TrustedFile]) -> Result<(), StoreFault>;
}
