//! The last bundle, verified again by the station itself from the roots that it has pinned.

use crate::device_type::DeviceTypeFile;
use crate::release::Release;
use crate::station::Station;
use model::{Digest, Fault, Module, Reason};
use ports::jws;
use ports::store::software::{BundleRow, BundledRow, TrustedFile};
use std::collections::BTreeMap;
use std::io::{ErrorKind, Read};
use std::sync::Arc;
use update::bundle::{BUNDLE_COUNTERSIGNATURE, BUNDLE_LEN_MAX, Kept, Primary, Repository, Terms, Verified, verify};

impl Station {
    /// Verifies the last bundle and the image that it has for this station's device type. What is seen of the repositories is kept
    /// before this returns: nothing older is taken afterwards, whatever sm says.
    pub(crate) fn bundled(
        &self,
        primary: &Primary,
        device_type: &DeviceTypeFile,
        floor: u64,
    ) -> Result<Release, Fault> {
        let row = self.setting.releases.last_bundle()?.ok_or(Reason::ReleaseUnknown)?;
        let verified = self.verified(primary, (&row, device_type), floor)?;
        let announced = verified.release(&device_type.name).ok_or(Reason::ReleaseUnknown)?;
        if announced.agreeing() < device_type.signing_roles_min {
            return Err(Reason::SecondSignatureMissing.into());
        }
        // The row only says where the image lies.
        let named = |release: &&BundledRow| release.device_type == device_type.name;
        let release = row.releases.iter().find(named).ok_or(Reason::ReleaseUnknown)?;
        let image = self.setting.vault.open(&release.image)?;
        let image = announced.verify_image(image)?;
        self.remember(primary, &verified)?;
        Ok(Release {
            title: image.title(),
            verified: image,
            blob: release.image.clone(),
            vault: Arc::clone(&self.setting.vault),
        })
    }

    fn verified(
        &self,
        primary: &Primary,
        (row, device_type): (&BundleRow, &DeviceTypeFile),
        floor: u64,
    ) -> Result<Verified, Fault> {
        let now = self.now();
        let octets = self.octets(row)?;
        // 1.3 step 2: sm's signature over metadata and image with sm's key …
        let directory = self.setting.link.directory();
        let of_software =
            |kid: &str| directory.module(kid, now).filter(|(_, caller)| caller.module == Module::Software);
        let statement = jws::verify(BUNDLE_COUNTERSIGNATURE, &row.countersignature, of_software).ok();
        // … then the upstream metadata with the upstream keys, from the roots that are pinned here.
        let seen = |repository| match primary.repository(repository) {
            Some(name) => self.setting.releases.trusted(Module::Provisioning, name),
            None => Ok(Kept::new()),
        };
        let (images, director) = (seen(Repository::Images)?, seen(Repository::Director)?);
        let terms = Terms {
            device: &primary.device,
            floors: &BTreeMap::from([(device_type.name.clone(), floor)]),
            roots: primary.roots(),
            images: &images,
            director: &director,
            statement: statement.as_ref().map(|(payload, _)| payload.as_slice()),
            now,
            bundle_age_max_s: device_type.bundle_age_max_s,
        };
        Ok(verify(&octets, &terms)?)
    }

    fn octets(&self, row: &BundleRow) -> Result<Vec<u8>, Fault> {
        let mut octets = Vec::new();
        // One octet more than any bundle has is enough to notice.
        let mut blob = self.setting.vault.open(&row.blob)?.take(BUNDLE_LEN_MAX + 1);
        blob.read_to_end(&mut octets).map_err(|error| match error.kind() {
            ErrorKind::InvalidData => Fault::Refused(Reason::ImageMismatch),
            _ => Fault::unavailable("the bundle in the vault cannot be read"),
        })?;
        Ok(octets)
    }

    fn remember(&self, primary: &Primary, verified: &Verified) -> Result<(), Fault> {
        let file = |change: &update::bundle::Change| {
            let repository: Digest = primary.repository(change.repository)?;
            Some(TrustedFile { repository, name: change.file.clone(), octets: change.octets.clone() })
        };
        let files: Vec<_> = verified.changes().iter().filter_map(file).collect();
        if files.is_empty() {
            return Ok(());
        }
        Ok(self.setting.releases.keep_trusted(Module::Provisioning, &files)?)
    }
}
