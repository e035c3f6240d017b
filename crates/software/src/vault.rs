//! What sm keeps in the vault: putting it in, finding it whole, sweeping up what nobody names.

use crate::Software;
use model::audit::{Entry, Event};
use model::{Fault, Module, Reason};
use ports::vault::BlobName;
use std::collections::HashSet;

impl Software {
    /// Removes blobs as far as it goes. What remains is swept up later.
    pub(crate) fn forget(&self, blobs: impl IntoIterator<Item = BlobName>) {
        for blob in blobs {
            // Rows of several device types name one blob, so it may be gone already.
            let _gone_or_swept_up_later = self.parts.vault.remove(&blob);
        }
    }

    /// What is in the vault, and no bundle names.
    pub(crate) fn unnamed(&self) -> Result<Vec<BlobName>, Fault> {
        let mut named: HashSet<BlobName> = HashSet::new();
        for bundle in self.parts.store.bundles()? {
            named.insert(bundle.blob);
            named.extend(bundle.releases.into_iter().map(|row| row.image));
        }
        let mut blobs = self.parts.vault.list()?;
        blobs.retain(|blob| !named.contains(blob));
        Ok(blobs)
    }

    /// Removes blobs that no bundle names: what an interruption left and the import that went on did not need. For who has
    /// the turn.
    pub(crate) fn sweep(&self) -> Result<(), Fault> {
        let orphans = self.unnamed()?;
        for blob in &orphans {
            self.parts.vault.remove(blob)?;
        }
        if !orphans.is_empty() {
            let what = format!("{} blobs that no bundle names were removed", orphans.len());
            let at = self.parts.clock.now();
            self.parts.store.append(vec![Entry { at, by: Module::Software, event: Event::Repaired { what } }])?;
        }
        Ok(())
    }

    /// Verifies every stored bundle again, with its images. Says which are damaged; importing again repairs them.
    ///
    /// # Errors
    /// [`Fault::Refused`] with [`Reason::NothingFollowed`]: without first roots nothing can be verified. [`Fault::Unavailable`].
    pub fn scrub(&self) -> Result<Vec<String>, Fault> {
        let primary = self.parts.primary.as_ref().ok_or(Reason::NothingFollowed)?;
        let mut damaged = Vec::new();
        for row in self.parts.store.bundles()? {
            let _turn = self.turn();
            let damage = self.damage(primary, &row)?;
            damaged.extend(damage.map(|what| format!("bundle {}: {what}", row.digest)));
        }
        Ok(damaged)
    }
}
