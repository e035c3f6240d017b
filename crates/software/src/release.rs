//! Taking in a release.

use model::audit::{Entry, Event};
use model::contract::software::{Import, Imported};
use model::{Fault, Module, Reason, UnixTime};
use ports::source::Sources;
use ports::store::SoftwareStore;
use ports::store::software::ReleaseRow;
use ports::vault::{BlobName, ImageSource, Vault};
use ports::{Clock, Signer, jws};
use std::io::Read;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use update::bundle::Primary;
use update::{BadRelease, COUNTERSIGNATURE, Current, Image, Metadata, Release, Statement, Threshold, VerifiedImage};
use x509::{PublicKey, sha256};

/// Longest name of an image file, in octets: that of the longest path on Linux.
const IMAGE_NAME_LEN_MAX: usize = 4096;

/// What sm is made of.
#[derive(Clone)]
#[expect(missing_docs, reason = "the types say what the fields are")]
pub struct Parts {
    pub store: Arc<dyn SoftwareStore>,
    pub vault: Arc<dyn Vault>,
    pub images: Arc<dyn ImageSource>,
    /// Where repositories are found.
    pub sources: Arc<dyn Sources>,
    /// The box, if it follows repositories.
    pub primary: Option<Primary>,
    /// The key that countersigns.
    pub signer: Arc<dyn Signer>,
    pub clock: Arc<dyn Clock>,
    /// How many of the registered keys must have signed a release.
    pub threshold: Threshold,
}

/// sm.
pub struct Software {
    pub(crate) parts: Parts,
    // One release at a time: between the image in the vault and its row in the store, nobody may tidy up.
    turn: Mutex<()>,
}

impl Software {
    /// Makes sm of its parts.
    #[must_use]
    pub const fn new(parts: Parts) -> Self {
        Self { parts, turn: Mutex::new(()) }
    }

    /// Takes in a release: verifies it with the registered keys, compares its image while it goes encrypted into the
    /// vault, countersigns and records it. A release that is stored already gets the same answer, if it comes with
    /// the same image; if what is stored of it is damaged, it is stored again.
    ///
    /// # Errors
    /// [`Fault::Malformed`] if metadata or name of the image are not well formed. [`Fault::Refused`] with
    /// [`Reason::SignerUnknown`], [`Reason::UpstreamSignature`], [`Reason::ReleaseExpired`],
    /// [`Reason::ReleaseRolledBack`], [`Reason::ImageTooLong`] or [`Reason::ImageMismatch`]. [`Fault::Unavailable`].
    /// Of a refusal nothing but itself is recorded.
    pub fn import(&self, call: &Import) -> Result<Imported, Fault> {
        let imported = self.take_in(call);
        if let Err(Fault::Refused(reason)) = imported {
            let event = Event::ReleaseRefused { metadata: sha256(call.metadata.as_ref()), reason };
            self.parts.store.append(vec![Entry { at: self.parts.clock.now(), by: Module::Software, event }])?;
        }
        imported
    }

    fn take_in(&self, call: &Import) -> Result<Imported, Fault> {
        let octets = call.metadata.as_ref();
        let metadata = Metadata::decode(octets)?;
        check_image_name(&call.image)?;
        let _turn = self.turn();
        let stored: Vec<ReleaseRow> =
            self.parts.store.releases()?.into_iter().filter(|row| row.metadata == octets).collect();
        if let Some(imported) = self.intact(&stored)? {
            // What is stored is right; what was brought must be it.
            let image = self.parts.images.open(&call.image)?;
            let brought = match Image::measure(&mut image.take(imported.length.saturating_add(1))) {
                Err(BadRelease::BadLength) => None,
                measured => Some(measured?),
            };
            let same = brought.is_some_and(|b| b.digest == imported.image && b.length == imported.length);
            return if same { Ok(imported) } else { Err(Reason::ImageMismatch.into()) };
        }
        let now = self.parts.clock.now();
        let metadata = metadata.verify(&self.keys()?, self.parts.threshold)?.current(now)?;
        self.check_counter(metadata.release(), octets)?;
        let image = self.parts.images.open(&call.image)?;
        let (blob, verified) = self.keep(metadata, image)?;
        let imported = self.record(octets, &blob, &verified, now)?;
        let replaced = stored.into_iter().map(|row| row.image).filter(|image| *image != blob);
        self.forget(replaced);
        Ok(imported)
    }

    pub(crate) fn turn(&self) -> MutexGuard<'_, ()> {
        self.turn.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn keys(&self) -> Result<Vec<PublicKey>, Fault> {
        let key = |row: &ports::store::software::SignerRow| {
            PublicKey::decode(&row.key).map_err(|_| Fault::unavailable("a stored signer's key cannot be read"))
        };
        self.parts.store.signers()?.iter().map(key).collect()
    }

    // The store decides; this only spares reading an image in vain.
    fn check_counter(&self, release: &Release, metadata: &[u8]) -> Result<(), Fault> {
        for device_type in &release.hardware_ids {
            let newest = self.parts.store.newest(device_type)?;
            if newest.is_some_and(|row| row.counter >= release.counter && row.metadata != metadata) {
                return Err(Reason::ReleaseRolledBack.into());
            }
        }
        Ok(())
    }

    fn record(
        &self,
        metadata: &[u8],
        blob: &BlobName,
        verified: &VerifiedImage<Current>,
        now: UnixTime,
    ) -> Result<Imported, Fault> {
        let statement = Statement::of(verified, now).encode();
        let signed = jws::sign(COUNTERSIGNATURE, &statement, self.parts.signer.as_ref());
        let countersignature = signed.inspect_err(|_| self.forget([blob.clone()]))?;
        let (release, image) = (verified.release(), verified.image());
        let row = |device_type: &model::DeviceType| ReleaseRow {
            release: release.title(),
            device_type: device_type.clone(),
            counter: release.counter,
            metadata: metadata.to_vec(),
            countersignature: countersignature.clone(),
            image: blob.clone(),
            image_digest: image.digest,
            length: image.length,
            at: now,
        };
        let rows: Vec<ReleaseRow> = release.hardware_ids.iter().map(row).collect();
        // If the store fails the image stays: one that no row names is swept up, a row without its image is a loss.
        self.parts.store.store(&rows)?.inspect_err(|_| self.forget([blob.clone()]))?;
        Ok(Imported { release: release.title(), image: image.digest, length: image.length })
    }
}

// What the source makes of a name is its affair; that it shows in a log as it is, is ours.
fn check_image_name(name: &str) -> Result<(), Fault> {
    let shown = model::text::printable(name, IMAGE_NAME_LEN_MAX);
    if name.is_empty() || name.len() > IMAGE_NAME_LEN_MAX || shown != name {
        return Err(Fault::malformed("name of the image file"));
    }
    Ok(())
}
