//! The software for a device type, verified again by the station itself before any board is touched.

use crate::station::Station;
use model::contract::supervisor::Seal;
use model::{Fault, Reason};
use ports::vault::{BlobName, Vault};
use std::io::Read;
use std::sync::Arc;
use update::bundle::VerifiedImage;

/// A release that may be flashed to boards of one type.
pub struct Release {
    pub(crate) title: String,
    pub(crate) verified: VerifiedImage,
    pub(crate) blob: BlobName,
    pub(crate) vault: Arc<dyn Vault>,
}

impl Station {
    /// Verifies what the last bundle has for this station's device type, all of it: sm's countersignature, what upstream signed, hash
    /// and length of the image, the device type, the release counter.
    ///
    /// # Errors
    /// Each defence has its [`Reason`]; [`Reason::NothingFollowed`] if this box follows no repositories. If both signatures are
    /// false the box is sealed before this returns.
    pub fn release(&self) -> Result<Release, Fault> {
        let device_type = &self.setting.device_type;
        let floor = self.setting.store.release_floor(&device_type.name)?;
        let primary = self.setting.primary.as_ref().ok_or(Reason::NothingFollowed)?;
        let release = self.bundled(primary, device_type, floor);
        if let Err(Fault::Refused(Reason::BothSignaturesInvalid)) = release {
            self.setting.link.call(&Seal { reason: Reason::BothSignaturesInvalid })?;
        }
        release
    }
}

impl Release {
    /// Name and version.
    #[must_use]
    pub fn title(&self) -> &str {
        &self.title
    }
    /// Digest of the image.
    #[must_use]
    pub const fn image(&self) -> model::Digest {
        self.verified.image().digest
    }
    /// Octets of the image.
    #[must_use]
    pub const fn length(&self) -> u64 {
        self.verified.image().length
    }
    /// Its place in the order of releases.
    #[must_use]
    pub const fn counter(&self) -> u64 {
        self.verified.counter()
    }

    /// The image, decrypted and hashed again while it is read: what was verified is what is flashed.
    ///
    /// # Errors
    /// [`Fault`] if the vault cannot open it any more.
    pub(crate) fn open(&self) -> Result<impl Read, Fault> {
        Ok(self.verified.reader(self.vault.open(&self.blob)?))
    }
}
