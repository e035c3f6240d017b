//! Room on the disk: what is begun can be ended, because the room for its end was taken before.
//!
//! Prevents: a disk that fills between an intent and its record, whoever fills it. The octets behind the end of the
//! write-ahead log and of the marks are allocated to these files before an intent is written, and nobody else can have
//! them.

use rustix::fs::{FallocateFlags, fallocate};
use rustix::io::Errno;
use std::cell::Cell;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// How much is held, in octets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reserve {
    /// While anything is open: the pages that every commit writes, of all tables and the audit log.
    pub fixed: u64,
    /// For the end of each open intent. The dearest is its closing: rows of six tables and seven indexes.
    pub each: u64,
}

impl Default for Reserve {
    fn default() -> Self {
        Self { fixed: 512 * 1024, each: 13 * 4096 }
    }
}

impl Reserve {
    /// What so many open intents need.
    #[must_use]
    pub const fn of(self, open: u64) -> u64 {
        self.fixed.saturating_add(self.each.saturating_mul(open))
    }
}

/// Room that must be free beside what is held, for what cannot be taken before: the index of the write-ahead log, which
/// grows by 32 KiB for each 16 MiB.
const FREE_MIN: u64 = 128 * 1024;
/// Taken at once where there is plenty, so that it is not asked for with every commit.
const SLACK: u64 = 4 * 1024 * 1024;
/// There is plenty while so many times as much is free.
const PLENTY: u64 = 4;
/// `st_blocks` counts these. Source: inode(7).
const BLOCK: u64 = 512;

/// A file that can grow, whatever else is written to its disk.
pub(crate) struct Held {
    file: File,
    path: PathBuf,
    /// Up to where it is ours.
    until: Cell<u64>,
}

impl Held {
    /// Holds room behind the end of a file that is there.
    pub(crate) fn open(path: PathBuf) -> io::Result<Self> {
        let file = OpenOptions::new().write(true).mode(0o600).open(&path)?;
        Ok(Self { file, path, until: Cell::new(0) })
    }

    /// Sees to it that the file can grow by `len` octets.
    ///
    /// # Errors
    /// [`io::ErrorKind::StorageFull`] if it cannot.
    pub(crate) fn hold(&self, len: u64) -> io::Result<()> {
        let now = self.file.metadata()?;
        let end = now.len().saturating_add(len);
        // The file may have been cut meanwhile; then what was held is gone.
        let is_ours = end <= self.until.get() && now.blocks().saturating_mul(BLOCK) >= end;
        let free = free(&self.path)?;
        if free < FREE_MIN {
            return Err(io::ErrorKind::StorageFull.into());
        }
        if is_ours {
            return Ok(());
        }
        let plenty = free / PLENTY > len.saturating_add(SLACK);
        let wanted = if plenty { end.saturating_add(SLACK) } else { end };
        match fallocate(&self.file, FallocateFlags::KEEP_SIZE, now.len(), wanted - now.len()) {
            Ok(()) => self.until.set(wanted),
            // Some file systems cannot: there it is looked at what is free, and others may be faster.
            Err(Errno::OPNOTSUPP | Errno::NOSYS) if free >= len.saturating_add(FREE_MIN) => {}
            Err(Errno::OPNOTSUPP | Errno::NOSYS | Errno::FBIG | Errno::INVAL) => {
                return Err(io::ErrorKind::StorageFull.into());
            }
            Err(error) => return Err(error.into()),
        }
        // What was taken was perhaps the last.
        if self::free(&self.path)? < FREE_MIN {
            return Err(io::ErrorKind::StorageFull.into());
        }
        Ok(())
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        // Cut to its own length, the file gives back what was held: to the database, which takes in the log when it is
        // closed. Where there is plenty that waits for the end of the log.
        let Ok(now) = self.file.metadata() else { return };
        let held = self.until.get().saturating_sub(now.len());
        if held > 0 && free(&self.path).is_ok_and(|free| free / PLENTY <= held) {
            let _given_back_later = self.file.set_len(now.len());
        }
    }
}

fn free(path: &Path) -> io::Result<u64> {
    let stat = rustix::fs::statvfs(path)?;
    Ok(stat.f_bavail.saturating_mul(stat.f_frsize))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Temporary;

    fn file() -> (Temporary, Held) {
        let dir = Temporary::new();
        let path = dir.path().join("file");
        std::fs::write(&path, [1; 100]).unwrap();
        let held = Held::open(path).unwrap();
        (dir, held)
    }
    fn allocated(held: &Held) -> u64 {
        held.file.metadata().unwrap().blocks() * BLOCK
    }

    #[test]
    fn what_is_held_is_allocated_and_the_file_is_as_long_as_before() {
        let (_dir, held) = file();
        held.hold(1024 * 1024).unwrap();
        assert!(allocated(&held) > 1024 * 1024, "{}", allocated(&held));
        assert_eq!(held.file.metadata().unwrap().len(), 100);
    }
    #[test]
    fn what_was_cut_off_is_taken_again() {
        let (_dir, held) = file();
        held.hold(1024 * 1024).unwrap();
        held.file.set_len(100).unwrap();
        assert!(allocated(&held) < 1024 * 1024);
        held.hold(1024 * 1024).unwrap();
        assert!(allocated(&held) > 1024 * 1024);
    }
    #[test]
    fn more_than_there_is_cannot_be_held() {
        let (_dir, held) = file();
        assert_eq!(held.hold(1 << 60).unwrap_err().kind(), io::ErrorKind::StorageFull);
        held.hold(4096).unwrap();
    }
    #[test]
    fn each_open_intent_adds_to_the_reserve() {
        assert_eq!(Reserve { fixed: 10, each: 3 }.of(4), 22);
        assert_eq!(Reserve { fixed: 10, each: u64::MAX }.of(4), u64::MAX);
    }
}
