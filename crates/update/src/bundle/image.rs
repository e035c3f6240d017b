//! Images of a bundle: compared with what was announced while they flow, and read again for a device.

use super::chain::Chosen;
use super::contents::ImageEntry;
use super::fault::BadBundle;
use crate::image::{ClearedReader, Hash, read_some};
use crate::metadata::Image;
use crate::tuf::{BadMetadata, TargetCheck};
use std::fmt;
use std::io::{self, ErrorKind, Read};

// How much is read at once.
const CHUNK_LEN: usize = 64 * 1024;

/// An image that is the one which was chosen, by all hashes that were announced.
#[derive(Debug)]
pub struct CheckedImage {
    chosen: Chosen,
    image: Image,
}

impl CheckedImage {
    /// What was chosen.
    #[must_use]
    pub const fn chosen(&self) -> &Chosen {
        &self.chosen
    }
    /// Its length and SHA-256.
    #[must_use]
    pub const fn image(&self) -> Image {
        self.image
    }
    pub(super) fn into_entry(self) -> ImageEntry {
        ImageEntry {
            target: self.chosen.target().name().to_owned(),
            path: self.chosen.target().path(),
            length: self.image.length,
            sha256: self.image.digest,
            counter: self.chosen.counter(),
            device_types: self.chosen.device_types().to_vec(),
        }
    }
}

/// Passes an image on and compares it meanwhile. What was passed on is proved only by [`CheckedReader::finish`]: whoever
/// took it must be able to take it back.
pub struct CheckedReader<R> {
    source: R,
    chosen: Chosen,
    check: TargetCheck,
    hash: Hash,
    fault: Option<BadBundle>,
}

impl<R: Read> CheckedReader<R> {
    /// Begins to pass on what `source` gives.
    pub fn new(source: R, chosen: Chosen) -> Self {
        let check = chosen.target().check();
        Self { source, chosen, check, hash: Hash::new(), fault: None }
    }

    /// Reads all that there is.
    ///
    /// # Errors
    /// As [`CheckedReader::finish`].
    pub fn read_through(mut self) -> Result<CheckedImage, BadBundle> {
        let mut chunk = vec![0; CHUNK_LEN];
        while let Ok(read) = read_some(&mut self, &mut chunk) {
            if read == 0 {
                break;
            }
        }
        self.finish()
    }

    /// Compares the whole.
    ///
    /// # Errors
    /// [`BadBundle::ImageTooLong`], [`BadBundle::ImageMismatch`]; [`BadBundle::ImageUnreadable`] if the source failed.
    pub fn finish(self) -> Result<CheckedImage, BadBundle> {
        if let Some(fault) = self.fault {
            return Err(fault);
        }
        let name = || self.chosen.target().name().to_owned();
        self.check.finish().map_err(|_| BadBundle::ImageMismatch(name()))?;
        let image = Image { digest: self.hash.finish(), length: self.chosen.target().length() };
        Ok(CheckedImage { chosen: self.chosen, image })
    }

    fn fail<T>(&mut self, fault: fn(String) -> BadBundle) -> io::Result<T> {
        let fault = fault(self.chosen.target().name().to_owned());
        self.fault = Some(fault.clone());
        Err(io::Error::new(ErrorKind::InvalidData, fault))
    }
}

impl<R: Read> Read for CheckedReader<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        if let Some(fault) = &self.fault {
            return Err(io::Error::new(ErrorKind::InvalidData, fault.clone()));
        }
        // One octet more than announced is enough to notice.
        let len = usize::try_from(self.check.left().saturating_add(1)).map_or(out.len(), |left| left.min(out.len()));
        let window = out.get_mut(..len).unwrap_or_default();
        let read = match self.source.read(window) {
            Ok(read) => read,
            Err(error) if error.kind() == ErrorKind::Interrupted => return Err(error),
            // Octets that were altered at rest are the image's fault, not the reader's.
            Err(error) if error.kind() == ErrorKind::InvalidData => return self.fail(BadBundle::ImageMismatch),
            Err(_) => return self.fail(BadBundle::ImageUnreadable),
        };
        let octets = window.get(..read).unwrap_or_default();
        match self.check.feed(octets) {
            Ok(()) => self.hash.update(octets),
            Err(BadMetadata::TargetTooLong) => return self.fail(BadBundle::ImageTooLong),
            Err(_) => return self.fail(BadBundle::ImageMismatch),
        }
        Ok(read)
    }
}

impl<R> fmt::Debug for CheckedReader<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CheckedReader({}, {:?})", self.chosen.target().name(), self.check)
    }
}

/// An image of a verified bundle that is whole, for the devices of one type.
#[derive(Debug)]
pub struct VerifiedImage {
    checked: CheckedImage,
}

impl VerifiedImage {
    pub(super) fn of(checked: CheckedImage, announced: &ImageEntry) -> Result<Self, BadBundle> {
        if checked.image == announced.image() { Ok(Self { checked }) } else { Err(BadBundle::OtherImages) }
    }
    /// Its length and SHA-256.
    #[must_use]
    pub const fn image(&self) -> Image {
        self.checked.image
    }
    /// Its release counter: the new floor, once a device carries it.
    #[must_use]
    pub const fn counter(&self) -> u64 {
        self.checked.chosen.counter()
    }
    /// What it is called.
    #[must_use]
    pub fn title(&self) -> String {
        self.checked.chosen.title()
    }
    /// Reads the image again. Between the two readings the medium may have been altered, so it is compared once more.
    pub fn reader<R: Read>(&self, source: R) -> ClearedReader<R> {
        ClearedReader::new(source, self.image())
    }
}
