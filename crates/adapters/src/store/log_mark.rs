//! The high-water mark of the audit log: how long it was when a process of this box last wrote to it, and its root.
//!
//! A server can be put back without a word: a standby that lagged is promoted, a dump is loaded. What it has then is
//! whole, and yesterday's. So whoever writes keeps beside the marks how far the log had come, and nobody of this box takes
//! records for good that are shorter than that, or others.

use super::marks;
use crate::files;
use model::Digest;
use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;
use serde::{Deserialize, Serialize};
use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Octets of the file: always as many, so that a line is put in the place of the one before it by one write.
const LEN: usize = 128;
/// How often, a pause apart, it is tried to have the file for oneself: whoever has it writes a line. One who was stopped in the
/// middle of that does not stop all others.
const TRIES: u32 = 100;
const PAUSE: Duration = Duration::from_millis(1);

/// The file, which all processes of a box share.
#[derive(Clone, Debug)]
pub struct LogMark {
    path: PathBuf,
}

/// How far a log had come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Reached {
    /// Its entries.
    pub entries: u64,
    /// The hash of the tree over them.
    pub root: Digest,
}

impl LogMark {
    /// That of an installation ([`marks::name_of`]), in the directory of its marks.
    #[must_use]
    pub fn of(directory: &Path, log: &str) -> Self {
        Self { path: directory.join(format!("{}.log", marks::prefix(log))) }
    }

    /// How far the log had come; `None` if nobody of this box has written to it, or the file was lost.
    ///
    /// # Errors
    /// As the operating system says.
    pub fn read(&self) -> io::Result<Option<Reached>> {
        match files::open_regular(&self.path) {
            Ok(file) => {
                lock(&file, FlockOperation::NonBlockingLockShared)?;
                reached(&file)
            }
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(e) => Err(e),
        }
    }

    /// Notes how far the log has come, unless another process has seen more of it. Called behind a commit and before anybody
    /// is told of it. It is not synchronised: it is against a server that is put back, not against a box that loses its
    /// power, whose own server it would be then.
    ///
    /// # Errors
    /// As the operating system says.
    pub fn raise(&self, to: Reached) -> io::Result<()> {
        let file = self.locked()?;
        match reached(&file)? {
            Some(before) if before.entries >= to.entries => Ok(()),
            _ => write(&file, to),
        }
    }

    /// Notes that the log is this one from now on, whatever was known before.
    ///
    /// # Errors
    /// As the operating system says.
    pub fn put_back(&self, to: Reached) -> io::Result<()> {
        write(&self.locked()?, to)
    }

    fn locked(&self) -> io::Result<File> {
        let mut how = OpenOptions::new();
        how.read(true).write(true).create(true).truncate(false).mode(0o600);
        let file = how.open(&self.path).or_else(|e| match self.path.parent() {
            Some(directory) if e.kind() == io::ErrorKind::NotFound => {
                files::private_directory(directory)?;
                how.open(&self.path)
            }
            _ => Err(e),
        })?;
        lock(&file, FlockOperation::NonBlockingLockExclusive)?;
        Ok(file)
    }
}

fn lock(file: &File, how: FlockOperation) -> io::Result<()> {
    for _ in 0..TRIES {
        match flock(file, how) {
            Err(Errno::WOULDBLOCK) => std::thread::park_timeout(PAUSE),
            tried => return Ok(tried?),
        }
    }
    Err(io::ErrorKind::WouldBlock.into())
}

fn reached(file: &File) -> io::Result<Option<Reached>> {
    let mut octets = [0; LEN];
    match file.read_exact_at(&mut octets, 0) {
        // A line that a power failure spoiled says nothing; the next commit writes it anew.
        Ok(()) => Ok(serde_json::from_slice(&octets).ok()),
        Err(e) if e.kind() == io::ErrorKind::UnexpectedEof => Ok(None),
        Err(e) => Err(e),
    }
}

fn write(file: &File, to: Reached) -> io::Result<()> {
    let mut line = serde_json::to_vec(&to)?;
    line.resize(LEN - 1, b' ');
    line.push(b'\n');
    file.write_all_at(&line, 0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Temporary;

    const fn at(entries: u64) -> Reached {
        Reached { entries, root: Digest::new([7; 32]) }
    }

    #[test]
    fn it_rises_and_does_not_fall() {
        let dir = Temporary::new();
        let mark = LogMark::of(&dir.path().join("marks"), "log");
        assert_eq!(mark.read().unwrap(), None);
        for (to, is) in [(9, 9), (10_000, 10_000), (7, 10_000), (u64::MAX, u64::MAX)] {
            mark.raise(at(to)).unwrap();
            assert_eq!(mark.read().unwrap(), Some(at(is)));
        }
    }
    #[test]
    fn it_falls_only_where_somebody_says_so() {
        let dir = Temporary::new();
        let mark = LogMark::of(dir.path(), "log");
        mark.raise(at(1000)).unwrap();
        mark.put_back(at(9)).unwrap();
        assert_eq!(mark.read().unwrap(), Some(at(9)));
    }
    #[test]
    fn it_is_of_one_installation() {
        let dir = Temporary::new();
        LogMark::of(dir.path(), "log").raise(at(9)).unwrap();
        assert_eq!(LogMark::of(dir.path(), "other").read().unwrap(), None);
        assert!(!marks::are_there(dir.path(), "log"), "and no file of marks");
    }
    #[test]
    fn one_who_holds_it_holds_up_nobody_for_long() {
        let dir = Temporary::new();
        let mark = LogMark::of(dir.path(), "log");
        mark.raise(at(9)).unwrap();
        let held = mark.locked().unwrap();
        assert_eq!(mark.raise(at(10)).unwrap_err().kind(), io::ErrorKind::WouldBlock);
        assert_eq!(mark.read().unwrap_err().kind(), io::ErrorKind::WouldBlock);
        drop(held);
        assert_eq!(mark.read().unwrap(), Some(at(9)));
    }
    #[test]
    fn a_spoilt_line_says_nothing_and_is_written_anew() {
        let dir = Temporary::new();
        let mark = LogMark::of(dir.path(), "log");
        mark.raise(at(9)).unwrap();
        for spoilt in ["{\"entries\":", &"x".repeat(LEN)] {
            std::fs::write(&mark.path, spoilt).unwrap();
            assert_eq!(mark.read().unwrap(), None);
        }
        mark.raise(at(3)).unwrap();
        assert_eq!(mark.read().unwrap(), Some(at(3)));
    }
}
