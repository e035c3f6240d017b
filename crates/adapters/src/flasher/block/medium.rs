//! What a target must be able to do, and how a file or device does it.

use rustix::fs::{Advice, FallocateFlags, fadvise, fallocate};
use rustix::io::Errno;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

/// Octets of zeros that are written at once where holes cannot be made.
const ZEROS: &[u8] = &[0; 64 * 1024];

/// Something with a fixed length that octets can be written to and read from.
pub(super) trait Medium {
    /// Its length in octets.
    fn length(&self) -> u64;
    /// Writes all of `octets`.
    fn write(&mut self, octets: &[u8], at: u64) -> io::Result<()>;
    /// Makes `len` octets read as zeros, whatever was there.
    fn zero(&mut self, at: u64, len: u64) -> io::Result<()>;
    /// Makes everything durable.
    fn sync(&mut self) -> io::Result<()>;
    /// Lets the next reading come from the medium, as far as the system can be made to.
    fn drop_cache(&mut self) -> io::Result<()>;
    /// Reads exactly `buffer`.
    fn read(&mut self, buffer: &mut [u8], at: u64) -> io::Result<()>;
}

/// A file or block device, locked against other processes as long as it is open.
pub(super) struct FileMedium {
    file: File,
    length: u64,
}

impl FileMedium {
    pub(super) fn new(file: File, length: u64) -> Self {
        Self { file, length }
    }
}

impl Medium for FileMedium {
    fn length(&self) -> u64 {
        self.length
    }
    fn write(&mut self, octets: &[u8], at: u64) -> io::Result<()> {
        self.file.write_all_at(octets, at)
    }
    fn zero(&mut self, at: u64, len: u64) -> io::Result<()> {
        // In a file this frees the blocks. On a device the kernel asks for zeroes that are guaranteed, which discarding
        // alone would not give, and says so if the device has none (fallocate(2), blkdev_issue_zeroout).
        match fallocate(&self.file, FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE, at, len) {
            Ok(()) => Ok(()),
            Err(Errno::OPNOTSUPP | Errno::NOSYS | Errno::NODEV | Errno::INVAL) => write_zeros(self, at, len),
            Err(error) => Err(error.into()),
        }
    }
    fn sync(&mut self) -> io::Result<()> {
        self.file.sync_all()
    }
    fn drop_cache(&mut self) -> io::Result<()> {
        // Only clean pages go, so this follows a synchronisation. The whole target, and not the range that is read next:
        // the kernel keeps pages together in large folios, and drops none that reaches beyond the range.
        Ok(fadvise(&self.file, 0, None, Advice::DontNeed)?)
    }
    fn read(&mut self, buffer: &mut [u8], at: u64) -> io::Result<()> {
        self.file.read_exact_at(buffer, at)
    }
}

/// Writes zeros where holes cannot be made.
pub(super) fn write_zeros(medium: &mut impl Medium, at: u64, len: u64) -> io::Result<()> {
    let (mut at, mut left) = (at, len);
    while left > 0 {
        let len = usize::try_from(left).unwrap_or(usize::MAX).min(ZEROS.len());
        let zeros = ZEROS.get(..len).unwrap_or_default();
        medium.write(zeros, at)?;
        let written = super::super::source::length_of(zeros);
        (at, left) = (at.saturating_add(written), left.saturating_sub(written));
    }
    Ok(())
}
