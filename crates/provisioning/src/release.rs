//! The software for a device type, verified again by the station itself before any board is touched.

use crate::device_type::DeviceTypeFile;
use crate::station::Station;
use model::contract::supervisor::Seal;
use model::{Fault, Module, Reason};
use ports::jws;
use ports::store::software::ReleaseRow;
use ports::vault::{BlobName, Vault};
use std::io::Read;
use std::sync::Arc;
use update::bundle;
use update::{COUNTERSIGNATURE, Countersigned, Image, StoredRelease, Terms, Threshold, VerifiedImage};
use x509::PublicKey;

/// A release that may be flashed to boards of one type.
pub struct Release {
    pub(crate) title: String,
    pub(crate) image: Image,
    pub(crate) counter: u64,
    pub(crate) blob: BlobName,
    pub(crate) proof: Proof,
    pub(crate) vault: Arc<dyn Vault>,
}

/// What was proved of it.
pub(crate) enum Proof {
    Bundled(bundle::VerifiedImage),
    Signed(VerifiedImage<Countersigned>, u64),
}

impl Station {
    /// Verifies the newest release for this station's device type, all of it: sm's countersignature, what upstream signed, hash
    /// and length of the image, the device type, the release counter. If this box follows repositories it is the one of the last
    /// bundle, and no other.
    ///
    /// # Errors
    /// Each defence has its [`Reason`]. If both signatures are false the box is sealed before this returns.
    pub fn release(&self) -> Result<Release, Fault> {
        let device_type = &self.setting.device_type;
        let floor = self.setting.store.release_floor(&device_type.name)?;
        let release = match &self.setting.primary {
            Some(primary) => self.bundled(primary, device_type, floor),
            None => self.signed(device_type, floor),
        };
        if let Err(Fault::Refused(Reason::BothSignaturesInvalid)) = release {
            self.setting.link.call(&Seal { reason: Reason::BothSignaturesInvalid })?;
        }
        release
    }

    fn signed(&self, device_type: &DeviceTypeFile, floor: u64) -> Result<Release, Fault> {
        let row = self.setting.releases.newest(&device_type.name)?.ok_or(Reason::ReleaseUnknown)?;
        let verified = self.verify(device_type, &row, floor)?;
        Ok(Release {
            title: row.release,
            image: verified.image(),
            counter: verified.release().counter,
            blob: row.image,
            proof: Proof::Signed(verified, floor),
            vault: Arc::clone(&self.setting.vault),
        })
    }

    fn verify(
        &self,
        device_type: &DeviceTypeFile,
        row: &ReleaseRow,
        floor: u64,
    ) -> Result<VerifiedImage<Countersigned>, Fault> {
        let now = self.now();
        // 1.3 step 2: sm's signature over metadata and image with sm's key …
        let directory = self.setting.link.directory();
        let of_software =
            |kid: &str| directory.module(kid, now).filter(|(_, caller)| caller.module == Module::Software);
        let payload =
            jws::verify(COUNTERSIGNATURE, &row.countersignature, of_software).ok().map(|(payload, _)| payload);
        let stored = StoredRelease { metadata: &row.metadata, statement: payload.as_deref() };
        // … then the upstream metadata with the upstream keys …
        let keys = self.upstream_keys(device_type)?;
        let bundle_age_max_s = device_type.bundle_age_max_s;
        let terms = Terms { keys: &keys, threshold: Threshold::ONE, now, bundle_age_max_s };
        let metadata = stored.verify(&terms)?;
        // … then hash and length of the image, and whether it is for this type and not older than what was flashed.
        let mut image = self.setting.vault.open(&row.image)?;
        let verified = metadata.verify_image(image.as_mut())?;
        verified.clear(&device_type.name, floor)?;
        Ok(verified)
    }

    /// The keys whose releases this station flashes: those that are registered, and pinned if the device type pins any.
    fn upstream_keys(&self, device_type: &DeviceTypeFile) -> Result<Vec<PublicKey>, Fault> {
        let keys = self.setting.releases.signers()?.into_iter().map(|row| PublicKey::decode(&row.key));
        let keys =
            keys.collect::<Result<Vec<_>, _>>().map_err(|_| Fault::unavailable("a stored signer cannot be read"))?;
        let pinned = |key: &PublicKey| device_type.signers.is_empty() || device_type.signers.contains(&key.digest());
        Ok(keys.into_iter().filter(pinned).collect())
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
        self.image.digest
    }
    /// Octets of the image.
    #[must_use]
    pub const fn length(&self) -> u64 {
        self.image.length
    }
    /// Its place in the order of releases.
    #[must_use]
    pub const fn counter(&self) -> u64 {
        self.counter
    }

    /// The image, decrypted and hashed again while it is read: what was verified is what is flashed.
    ///
    /// # Errors
    /// [`Fault`] if the vault cannot open it any more.
    pub(crate) fn open(&self, device_type: &DeviceTypeFile) -> Result<impl Read, Fault> {
        let image = self.vault.open(&self.blob)?;
        Ok(match &self.proof {
            Proof::Bundled(verified) => verified.reader(image),
            Proof::Signed(verified, floor) => verified.clear(&device_type.name, *floor)?.reader(image),
        })
    }
}
