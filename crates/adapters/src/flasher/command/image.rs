//! The image as a file that only this process and the program see, for the time of one step.

use super::super::slot::Slot;
use super::super::{fault, source::Source};
use aws_lc_rs::digest::{Context, SHA256};
use model::Digest;
use ports::flasher::BoardFault;
use rustix::fs::{FlockOperation, Mode, OFlags, flock};
use std::fs::{DirBuilder, File};
use std::io::Write;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

/// Octets that are copied at once.
const CHUNK_LEN: usize = 256 * 1024;

/// A private file. Dropping it removes it.
pub(super) struct PrivateImage {
    path: PathBuf,
    file: File,
}

impl PrivateImage {
    /// Writes the image of a slot into `directory`; gives the file and the digest of its contents.
    ///
    /// A slot has one name, so what a killed process left behind is written over and then removed.
    pub(super) fn write(directory: &Path, slot: &Slot, source: &mut Source<'_>) -> Result<(Self, Digest), BoardFault> {
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(directory)
            .map_err(fault::system("the image's directory"))?;
        let mut image = Self::claim(directory, slot)?;
        image.file.set_len(0).map_err(fault::system("the image's file"))?;
        let mut context = Context::new(&SHA256);
        let mut buffer = vec![0; CHUNK_LEN];
        loop {
            let chunk = &*source.fill(&mut buffer)?;
            if chunk.is_empty() {
                break;
            }
            context.update(chunk);
            image.file.write_all(chunk).map_err(fault::system("the image's file"))?;
        }
        let Some(digest) = Digest::from_slice(context.finish().as_ref()) else {
            unreachable!("SHA-256 has 32 octets (FIPS 180-4)")
        };
        Ok((image, digest))
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    fn claim(directory: &Path, slot: &Slot) -> Result<Self, BoardFault> {
        let path = directory.join(format!("image-{}", slot.as_str()));
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = rustix::fs::open(&path, flags, Mode::RUSR | Mode::WUSR);
        let file = File::from(file.map_err(fault::system("the image's file"))?);
        flock(&file, FlockOperation::NonBlockingLockExclusive)
            .map_err(|_| fault::fixture("another process flashes in this slot"))?;
        Ok(Self { path, file })
    }
}

impl Drop for PrivateImage {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.path);
    }
}

/// Removes the images that a killed process left behind. One that another process holds stays.
pub(super) fn sweep(directory: &Path, slots: &[Slot]) {
    for slot in slots {
        if directory.join(format!("image-{}", slot.as_str())).exists() {
            drop(PrivateImage::claim(directory, slot));
        }
    }
}
