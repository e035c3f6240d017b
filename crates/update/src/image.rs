//! Images: counted and hashed while they flow, in constant memory, and never used before they are whole.

use crate::fault::BadRelease;
use crate::metadata::{IMAGE_LEN_MAX, Image};
use aws_lc_rs::digest::{Context, SHA256};
use model::Digest;
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
