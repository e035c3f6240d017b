//! What a target must be able to do, and how a file or device does it.

use rustix::fs::{Advice, FallocateFlags, Mode, OFlags, fadvise, fallocate};
use rustix::io::Errno;
use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
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

/// What direct reading must be aligned to in octets: the largest logical block of common media, and a page.
const ALIGNMENT: u16 = 4096;
/// Octets that are read directly at once.
const DIRECT_LEN: usize = 1024 * 1024;

/// A file or block device, locked against other processes as long as it is open.
pub(super) struct FileMedium {
    file: File,
    length: u64,
    /// The same, read past the page cache, where the system can.
    direct: Option<Direct>,
}

impl FileMedium {
    pub(super) fn new(file: File, length: u64) -> Self {
        let direct = Direct::new(&file);
        Self { file, length, direct }
    }
}

/// Reads from the medium itself. The page cache would show what was written to it, whatever became of it.
struct Direct {
    file: File,
    /// Room for [`DIRECT_LEN`] octets from an aligned address on.
    room: Vec<u8>,
}

impl Direct {
    fn new(file: &File) -> Option<Self> {
        // By its descriptor, because the path may lead elsewhere by now. The lock and the claim stay with `file`.
        let path = format!("/proc/self/fd/{}", file.as_raw_fd());
        let flags = OFlags::RDONLY | OFlags::DIRECT | OFlags::CLOEXEC;
        let file = rustix::fs::open(path, flags, Mode::empty()).ok()?;
        Some(Self { file: File::from(file), room: vec![0; DIRECT_LEN + usize::from(ALIGNMENT)] })
    }

    /// Reads as much of `buffer` as fits the room, and is there; gives how much.
    fn read(&mut self, buffer: &mut [u8], at: u64) -> io::Result<usize> {
        let before = at % u64::from(ALIGNMENT);
        let skip = usize::try_from(before).unwrap_or(0);
        let wanted = skip.saturating_add(buffer.len()).next_multiple_of(usize::from(ALIGNMENT)).min(DIRECT_LEN);
        let start = self.room.as_ptr().align_offset(usize::from(ALIGNMENT));
        let room = self.room.get_mut(start..).and_then(|room| room.get_mut(..wanted)).unwrap_or_default();
        let len = self.file.read_at(room, at - before)?;
        let octets = room.get(skip..len).unwrap_or_default();
        buffer.iter_mut().zip(octets).for_each(|(to, from)| *to = *from);
        Ok(octets.len().min(buffer.len()))
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
        let mut done = 0;
        while let (Some(direct), Some(rest)) = (&mut self.direct, buffer.get_mut(done..).filter(|b| !b.is_empty())) {
            let at = at.saturating_add(u64::try_from(done).unwrap_or(u64::MAX));
            match direct.read(rest, at) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(len) => done = done.saturating_add(len),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                // Opened, but not able: what was dropped from the cache is read through it.
                Err(error) if error.raw_os_error() == Some(Errno::INVAL.raw_os_error()) => self.direct = None,
                Err(error) => return Err(error),
            }
        }
        let rest = buffer.get_mut(done..).unwrap_or_default();
        self.file.read_exact_at(rest, at.saturating_add(u64::try_from(done).unwrap_or(u64::MAX)))
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
