//! The digests of an image that developers sign, made while it flows.

use crate::fault::BadRelease;
use crate::image::read_some;
use crate::metadata::{IMAGE_LEN_MAX, Image};
use aws_lc_rs::digest::{Context, Digest, SHA256, SHA384, SHA512};
use std::fmt;
use std::io::Read;
use x509::cms::HashAlgorithm;

/// How much is read at once.
const CHUNK_LEN: usize = 64 * 1024;

/// An image's length and its digests; each can be gone on with, as signatures of OpenPGP do.
#[derive(Clone)]
pub struct ImageHashes {
    image: Image,
    sha256: Context,
    sha384: Context,
    sha512: Context,
}

impl ImageHashes {
    /// Counts and hashes all that `source` gives.
    ///
    /// # Errors
    /// As [`Image::measure`].
    pub fn measure(source: &mut dyn Read) -> Result<Self, BadRelease> {
        let [mut sha256, mut sha384, mut sha512] = [&SHA256, &SHA384, &SHA512].map(Context::new);
        let (mut length, mut chunk) = (0_u64, vec![0; CHUNK_LEN]);
        while length <= IMAGE_LEN_MAX {
            let read = read_some(source, &mut chunk).map_err(|_| BadRelease::ImageUnreadable)?;
            if read == 0 {
                break;
            }
            let octets = chunk.get(..read).unwrap_or_default();
            [&mut sha256, &mut sha384, &mut sha512].into_iter().for_each(|hash| hash.update(octets));
            length = length.saturating_add(u64::try_from(read).unwrap_or(u64::MAX));
        }
        if length == 0 || length > IMAGE_LEN_MAX {
            return Err(BadRelease::BadLength);
        }
        let Some(digest) = model::Digest::from_slice(sha256.clone().finish().as_ref()) else {
            unreachable!("SHA-256 has 32 octets (FIPS 180-4)")
        };
        Ok(Self { image: Image { digest, length }, sha256, sha384, sha512 })
    }

    /// Length and SHA-256.
    #[must_use]
    pub const fn image(&self) -> Image {
        self.image
    }

    /// The digest of the image with `more` behind it.
    pub(super) fn with(&self, hash: HashAlgorithm, more: &[u8]) -> Digest {
        let mut context = match hash {
            HashAlgorithm::Sha256 => self.sha256.clone(),
            HashAlgorithm::Sha384 => self.sha384.clone(),
            HashAlgorithm::Sha512 => self.sha512.clone(),
        };
        context.update(more);
        context.finish()
    }
}

impl fmt::Debug for ImageHashes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.image.fmt(f)
    }
}
