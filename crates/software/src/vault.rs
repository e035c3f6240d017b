//! What sm keeps in the vault: putting it in, finding it whole, sweeping up what nobody names.

use crate::Software;
use model::audit::{Entry, Event};
use model::contract::software::Imported;
use model::{Digest, Fault, Module};
use ports::jws;
use ports::store::software::ReleaseRow;
use ports::vault::{BlobName, VaultFault};
use std::collections::{BTreeMap, HashSet};
use std::io::Read;
use update::{BadRelease, COUNTERSIGNATURE, CheckedReader, Current, Metadata, StoredRelease, Terms, VerifiedImage};

impl Software {
    /// Encrypts an image and compares it with its metadata in the same pass. An image that is not the one that was
    /// signed does not stay in the vault.
    pub(crate) fn keep(
        &self,
        metadata: Metadata<Current>,
        image: Box<dyn Read + Send>,
    ) -> Result<(BlobName, VerifiedImage<Current>), Fault> {
        let len_max = metadata.length();
        let mut checked = CheckedReader::new(image, metadata.image_check());
        match self.parts.vault.put(&mut checked, len_max) {
            Ok(blob) => match checked.finish() {
                Ok(verified) => Ok((blob, verified)),
                Err(bad) => {
                    self.forget([blob]);
                    Err(bad.into())
                }
            },
            // The source failed because we made it fail, or by itself; the check knows.
            Err(VaultFault::Source) => Err(checked.finish().err().unwrap_or(BadRelease::ImageUnreadable).into()),
            Err(fault) => Err(fault.into()),
        }
    }

    /// Removes blobs as far as it goes. What remains is swept up later.
    pub(crate) fn forget(&self, blobs: impl IntoIterator<Item = BlobName>) {
        for blob in blobs {
            // The rows of one release name one blob, so it may be gone already.
            let _gone_or_swept_up_later = self.parts.vault.remove(&blob);
        }
    }

    /// What was answered when these rows of one release were stored, if all that they name is whole: rows, signatures
    /// and image.
    ///
    /// # Errors
    /// [`Fault::Unavailable`] if that cannot be found out now.
    pub(crate) fn intact(&self, rows: &[ReleaseRow]) -> Result<Option<Imported>, Fault> {
        let Some(row) = rows.first() else { return Ok(None) };
        match self.verify(row) {
            Ok(verified) => {
                let hardware_ids = &verified.release().hardware_ids;
                let rows_fit = rows.len() == hardware_ids.len() && rows.iter().all(|other| fits(other, row, &verified));
                Ok(rows_fit.then(|| Imported {
                    release: row.release.clone(),
                    image: row.image_digest,
                    length: row.length,
                }))
            }
            Err(Fault::Malformed(_) | Fault::Refused(_)) => Ok(None),
            Err(fault @ Fault::Unavailable(_)) => Err(fault),
        }
    }

    // As a station does it, with our own key; age does not matter here.
    fn verify(&self, row: &ReleaseRow) -> Result<VerifiedImage<update::Countersigned>, Fault> {
        let own = self.parts.signer.public_key();
        let key_of = |kid: &str| (kid == jws::key_id(own)).then_some((own, ()));
        let statement = jws::verify(COUNTERSIGNATURE, &row.countersignature, key_of).ok().map(|(payload, ())| payload);
        let stored = StoredRelease { metadata: &row.metadata, statement: statement.as_deref() };
        let keys = self.keys()?;
        let (threshold, now) = (self.parts.threshold, self.parts.clock.now());
        let metadata = stored.verify(&Terms { keys: &keys, threshold, now, bundle_age_max_s: u64::MAX })?;
        let mut image = match self.parts.vault.open(&row.image) {
            Err(VaultFault::Missing) => return Err(BadRelease::ImageMismatch.into()),
            opened => opened?,
        };
        Ok(metadata.verify_image(&mut image)?)
    }

    /// Removes blobs that no release names: an interruption between image and row leaves them. Says which.
    ///
    /// If the store names no release at all, nothing is removed: it is rather the wrong store than a vault of orphans.
    /// # Errors
    /// [`Fault::Unavailable`]
    pub fn sweep(&self) -> Result<Vec<BlobName>, Fault> {
        let _turn = self.turn();
        self.sweep_now()
    }

    /// The same, for who has the turn.
    pub(crate) fn sweep_now(&self) -> Result<Vec<BlobName>, Fault> {
        let mut named: HashSet<BlobName> = self.parts.store.releases()?.into_iter().map(|row| row.image).collect();
        for bundle in self.parts.store.bundles()? {
            named.insert(bundle.blob);
            named.extend(bundle.releases.into_iter().map(|row| row.image));
        }
        if named.is_empty() {
            return Ok(Vec::new());
        }
        let mut orphans = self.parts.vault.list()?;
        orphans.retain(|blob| !named.contains(blob));
        for blob in &orphans {
            self.parts.vault.remove(blob)?;
        }
        if !orphans.is_empty() {
            let what = format!("{} images that no release names were removed", orphans.len());
            let at = self.parts.clock.now();
            self.parts.store.append(vec![Entry { at, by: Module::Software, event: Event::Repaired { what } }])?;
        }
        Ok(orphans)
    }

    /// Verifies every stored release again, with its image. Says which are damaged; importing them again repairs them.
    ///
    /// # Errors
    /// [`Fault::Unavailable`]
    pub fn scrub(&self) -> Result<Vec<String>, Fault> {
        let mut releases: BTreeMap<Digest, Vec<ReleaseRow>> = BTreeMap::new();
        for row in self.parts.store.releases()? {
            releases.entry(x509::sha256(&row.metadata)).or_default().push(row);
        }
        let mut damaged = Vec::new();
        for rows in releases.values() {
            let _turn = self.turn();
            if self.intact(rows)?.is_none() {
                damaged.extend(rows.first().map(|row| row.release.clone()));
            }
        }
        if let Some(primary) = &self.parts.primary {
            for row in self.parts.store.bundles()? {
                let _turn = self.turn();
                let damage = self.damage(primary, &row)?;
                damaged.extend(damage.map(|what| format!("bundle {}: {what}", row.digest)));
            }
        }
        Ok(damaged)
    }
}

// Whether a row says what the release says, and the same as the row that was verified.
fn fits<S: update::Timely>(row: &ReleaseRow, verified_row: &ReleaseRow, verified: &VerifiedImage<S>) -> bool {
    let (release, image) = (verified.release(), verified.image());
    release.hardware_ids.contains(&row.device_type)
        && row.release == release.title()
        && row.counter == release.counter
        && (row.image_digest, row.length) == (image.digest, image.length)
        && row.image == verified_row.image
        && row.countersignature == verified_row.countersignature
}
