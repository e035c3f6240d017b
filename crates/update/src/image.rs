//! Images: counted and hashed while they flow, in constant memory, and never used before they are whole.

use crate::fault::BadRelease;
use crate::metadata::{Countersigned, IMAGE_LEN_MAX, Image, Metadata, Release, Timely};
use aws_lc_rs::digest::{Context, SHA256};
use model::{DeviceType, Digest};
use std::fmt;
use std::io::{self, ErrorKind, Read};

// How much is read at once, and how much of an image is held back until all of it is known to be right.
const CHUNK_LEN: usize = 64 * 1024;

// SHA-256 over what flows by.
pub(crate) struct Hash(Context);

impl Hash {
    pub(crate) fn new() -> Self {
        Self(Context::new(&SHA256))
    }
    pub(crate) fn update(&mut self, octets: &[u8]) {
        self.0.update(octets);
    }
    pub(crate) fn finish(self) -> Digest {
        let Some(digest) = Digest::from_slice(self.0.finish().as_ref()) else {
            unreachable!("SHA-256 has 32 octets (FIPS 180-4)")
        };
        digest
    }
}

impl Image {
    /// Counts and hashes all that `source` gives: what a maker does before announcing an image.
    ///
    /// # Errors
    /// [`BadRelease::ImageUnreadable`] if the source fails; [`BadRelease::BadLength`] if it gives nothing, or more than
    /// [`IMAGE_LEN_MAX`].
    pub fn measure(source: &mut dyn Read) -> Result<Self, BadRelease> {
        let (mut hash, mut length, mut chunk) = (Hash::new(), 0_u64, vec![0; CHUNK_LEN]);
        while length <= IMAGE_LEN_MAX {
            let read = read_some(source, &mut chunk).map_err(|_| BadRelease::ImageUnreadable)?;
            if read == 0 {
                break;
            }
            hash.0.update(chunk.get(..read).unwrap_or_default());
            length = length.saturating_add(count(read));
        }
        if length == 0 || length > IMAGE_LEN_MAX {
            return Err(BadRelease::BadLength);
        }
        Ok(Self { digest: hash.finish(), length })
    }
}

/// Compares an image with its metadata while it flows.
pub struct ImageCheck<S> {
    metadata: Metadata<S>,
    hash: Hash,
    left: u64,
}

impl<S: Timely> Metadata<S> {
    /// Begins to compare an image with this metadata.
    #[must_use]
    pub fn image_check(self) -> ImageCheck<S> {
        let left = self.length();
        ImageCheck { metadata: self, hash: Hash::new(), left }
    }

    /// Compares all that `source` gives with this metadata; reads at most one octet more than was announced.
    ///
    /// # Errors
    /// [`BadRelease::ImageTooLong`], [`BadRelease::ImageMismatch`]; [`BadRelease::ImageUnreadable`] if the source fails.
    pub fn verify_image(self, source: &mut dyn Read) -> Result<VerifiedImage<S>, BadRelease> {
        let (mut checked, mut chunk) = (CheckedReader::new(source, self.image_check()), vec![0; CHUNK_LEN]);
        loop {
            match read_some(&mut checked, &mut chunk) {
                Ok(0) | Err(_) => return checked.finish(),
                Ok(_) => {}
            }
        }
    }
}

impl<S: Timely> ImageCheck<S> {
    /// Takes the next octets.
    ///
    /// # Errors
    /// [`BadRelease::ImageTooLong`] if they are more than was announced. None of them counts then.
    pub fn feed(&mut self, octets: &[u8]) -> Result<(), BadRelease> {
        self.left = self.left.checked_sub(count(octets.len())).ok_or(BadRelease::ImageTooLong)?;
        self.hash.0.update(octets);
        Ok(())
    }

    /// How many octets are still to come.
    #[must_use]
    pub const fn left(&self) -> u64 {
        self.left
    }

    /// Compares the whole.
    ///
    /// # Errors
    /// [`BadRelease::ImageMismatch`] if octets are missing or the digest is another.
    pub fn finish(self) -> Result<VerifiedImage<S>, BadRelease> {
        if self.left > 0 || self.hash.finish() != self.metadata.image().digest {
            return Err(BadRelease::ImageMismatch);
        }
        Ok(VerifiedImage { metadata: self.metadata })
    }
}

impl<S: Timely> fmt::Debug for ImageCheck<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ImageCheck({}, {} octets left)", self.metadata.release().title(), self.left)
    }
}

/// Passes an image on and compares it with its metadata meanwhile. What was passed on is proved only by
/// [`CheckedReader::finish`]: whoever took it must be able to take it back.
pub struct CheckedReader<R, S> {
    source: R,
    check: ImageCheck<S>,
    fault: Option<BadRelease>,
}

impl<R: Read, S: Timely> CheckedReader<R, S> {
    /// Begins to pass on what `source` gives.
    pub const fn new(source: R, check: ImageCheck<S>) -> Self {
        Self { source, check, fault: None }
    }

    /// Compares the whole.
    ///
    /// # Errors
    /// [`BadRelease::ImageTooLong`], [`BadRelease::ImageMismatch`]; [`BadRelease::ImageUnreadable`] if the source failed.
    pub fn finish(self) -> Result<VerifiedImage<S>, BadRelease> {
        match self.fault {
            Some(fault) => Err(fault),
            None => self.check.finish(),
        }
    }

    fn fail<T>(&mut self, fault: BadRelease) -> io::Result<T> {
        self.fault = Some(fault);
        Err(io::Error::new(ErrorKind::InvalidData, fault))
    }
}

impl<R, S: Timely> fmt::Debug for CheckedReader<R, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CheckedReader({:?}, {:?})", self.check, self.fault)
    }
}

impl<R: Read, S: Timely> Read for CheckedReader<R, S> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        if let Some(fault) = self.fault {
            return self.fail(fault);
        }
        // One octet more than announced is enough to notice.
        let len = usize::try_from(self.check.left.saturating_add(1)).map_or(out.len(), |left| left.min(out.len()));
        let window = out.get_mut(..len).unwrap_or_default();
        let read = match self.source.read(window) {
            Ok(read) => read,
            Err(error) if error.kind() == ErrorKind::Interrupted => return Err(error),
            // Octets that were altered at rest are the image's fault, not the reader's.
            Err(error) if error.kind() == ErrorKind::InvalidData => return self.fail(BadRelease::ImageMismatch),
            Err(_) => return self.fail(BadRelease::ImageUnreadable),
        };
        match self.check.feed(window.get(..read).unwrap_or_default()) {
            Ok(()) => Ok(read),
            Err(fault) => self.fail(fault),
        }
    }
}

/// A release whose image is the one that was signed, to the last octet. Not yet for any device.
#[derive(Debug)]
pub struct VerifiedImage<S> {
    metadata: Metadata<S>,
}

impl<S: Timely> VerifiedImage<S> {
    /// What the release says.
    #[must_use]
    pub const fn release(&self) -> &Release {
        self.metadata.release()
    }
    /// Digest and length of the image.
    #[must_use]
    pub const fn image(&self) -> Image {
        self.metadata.image()
    }
    /// SHA-256 of the metadata file.
    #[must_use]
    pub const fn metadata_digest(&self) -> Digest {
        self.metadata.digest()
    }
}

impl VerifiedImage<Countersigned> {
    /// Clears the image for devices of a type, on which nothing with a counter below `floor` may be put.
    ///
    /// # Errors
    /// [`BadRelease::WrongHardware`], [`BadRelease::RolledBack`]
    pub fn clear(&self, device_type: &DeviceType, floor: u64) -> Result<ClearedImage<'_>, BadRelease> {
        let release = self.release();
        if !release.hardware_ids.contains(device_type) {
            return Err(BadRelease::WrongHardware);
        }
        if release.counter < floor {
            return Err(BadRelease::RolledBack);
        }
        Ok(ClearedImage { image: self })
    }
}

/// An image that may be put on devices of the type that it was cleared for.
#[derive(Debug)]
pub struct ClearedImage<'a> {
    image: &'a VerifiedImage<Countersigned>,
}

impl ClearedImage<'_> {
    /// Digest and length of the image.
    #[must_use]
    pub const fn image(&self) -> Image {
        self.image.image()
    }
    /// Its release counter: the new floor, once a device carries it.
    #[must_use]
    pub const fn counter(&self) -> u64 {
        self.image.release().counter
    }
    /// Reads the image again. Between the two readings the medium may have been altered, so it is compared once more.
    pub fn reader<R: Read>(&self, source: R) -> ClearedReader<R> {
        ClearedReader::new(source, self.image())
    }
}

/// Reads an image to be put on a device. Its last octets, up to 64 KiB, come out only when all of it is right, so an
/// image that was altered is never whole on a device.
pub struct ClearedReader<R> {
    source: R,
    // None once the end was compared, or reading failed.
    hash: Option<Hash>,
    image: Image,
    // What has not been read from the source.
    left: u64,
    held: Vec<u8>,
    at: usize,
}

impl<R: Read> Read for ClearedReader<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        if let Some(mut hash) = self.hash.take() {
            if self.left > count(CHUNK_LEN) {
                let read = self.pass(out, &mut hash)?;
                self.hash = Some(hash);
                return Ok(read);
            }
            self.hold_the_rest(hash)?;
        } else if self.held.is_empty() {
            return Err(mismatch());
        }
        let rest = self.held.get(self.at..).unwrap_or_default();
        let len = rest.len().min(out.len());
        out.iter_mut().zip(rest).for_each(|(to, from)| *to = *from);
        self.at += len;
        Ok(len)
    }
}

impl<R: Read> ClearedReader<R> {
    pub(crate) fn new(source: R, image: Image) -> Self {
        Self { source, hash: Some(Hash::new()), image, left: image.length, held: Vec::new(), at: 0 }
    }

    // All but the last 64 KiB.
    fn pass(&mut self, out: &mut [u8], hash: &mut Hash) -> io::Result<usize> {
        let free = usize::try_from(self.left.saturating_sub(count(CHUNK_LEN))).unwrap_or(usize::MAX);
        let len = out.len().min(free);
        let window = out.get_mut(..len).unwrap_or_default();
        let read = read_some(&mut self.source, window)?;
        if read == 0 && len > 0 {
            return Err(mismatch());
        }
        hash.0.update(window.get(..read).unwrap_or_default());
        self.left = self.left.saturating_sub(count(read));
        Ok(read)
    }

    fn hold_the_rest(&mut self, mut hash: Hash) -> io::Result<()> {
        let mut rest = Vec::with_capacity(CHUNK_LEN + 1);
        self.source.by_ref().take(self.left.saturating_add(1)).read_to_end(&mut rest)?;
        hash.0.update(&rest);
        if count(rest.len()) != self.left || hash.finish() != self.image.digest {
            return Err(mismatch());
        }
        self.left = 0;
        self.held = rest;
        Ok(())
    }
}

impl<R> fmt::Debug for ClearedReader<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ClearedReader({} octets left)", self.left)
    }
}

fn mismatch() -> io::Error {
    io::Error::new(ErrorKind::InvalidData, BadRelease::ImageMismatch)
}

pub(crate) fn read_some(source: &mut dyn Read, out: &mut [u8]) -> io::Result<usize> {
    loop {
        match source.read(out) {
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            read => return read,
        }
    }
}

fn count(len: usize) -> u64 {
    u64::try_from(len).unwrap_or(u64::MAX)
}
