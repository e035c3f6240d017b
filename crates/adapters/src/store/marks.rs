//! High-water marks: what must not happen twice, kept outside the database.
//!
//! A backup brings back yesterday's records, and with them yesterday's list numbers, unspent grants and good
//! certificates. The marks are a journal of what was used up since: one line of JSON for each certificate, revocation
//! and list number, durable before the commit that it belongs to. A mark whose commit failed claims too much, which is
//! the safe side.

use crate::files;
use model::UnixTime;
use serde::{Deserialize, Serialize};
use std::fs::{File, OpenOptions};
use std::io::{self, BufRead, BufReader, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use x509::PublicKey;

/// Longest line that is read, in octets.
pub(crate) const LINE_LEN_MAX: u64 = 4096;
/// Most files of marks that are read.
const FILES_MAX: usize = 10_000;
const SUFFIX: &str = "marks";

/// One thing that was used up.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Mark {
    /// The first line of a file: the log's name, and how many entries it had.
    Begin {
        /// The name of the audit log and the digest of its key.
        log: String,
        /// Entries of the log that the marks of this file come after.
        entries: u64,
    },
    /// A certificate, or what may have become one.
    Issued(Box<IssuedMark>),
    /// A certificate was revoked or put on hold.
    Revoked {
        /// Its serial number.
        serial: String,
        /// The name of the reason.
        reason: String,
        /// Since when.
        at: UnixTime,
    },
    /// A certificate was released from hold.
    Released {
        /// Its serial number.
        serial: String,
        /// When.
        at: UnixTime,
    },
    /// The number of a list was used.
    Crl {
        /// The authority.
        authority: String,
        /// The number.
        number: u64,
    },
    /// A supplier's list was taken.
    List {
        /// The supplier.
        supplier: String,
        /// Its number.
        sequence: u64,
    },
    /// A maker's list of revoked certificates was taken.
    MakerList {
        /// The maker.
        maker: String,
        /// Its number.
        number: u64,
    },
    /// An epoch of serial numbers was begun.
    Epoch(u32),
}

/// What of a certificate must not happen twice, and what it takes to revoke it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "the names say it")]
pub struct IssuedMark {
    pub serial: String,
    pub authority: String,
    pub subject: String,
    pub profile: String,
    pub not_after: UnixTime,
    pub shard: u32,
    pub at: UnixTime,
}

/// The journal that is being written.
pub struct Marks {
    file: File,
    path: PathBuf,
    directory: PathBuf,
}

/// What is wrong with a journal.
#[derive(Debug)]
pub enum BadMarks {
    /// It cannot be read.
    Io(PathBuf, io::Error),
    /// A line of it is none of ours.
    Line(PathBuf, u64),
    /// It begins behind where it should.
    Gap {
        /// Up to where the backup goes.
        from: u64,
        /// Where the marks begin.
        to: u64,
    },
    /// It is of another installation.
    Foreign(String),
}

impl std::fmt::Display for BadMarks {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Io(path, why) => write!(f, "{}: {why}", path.display()),
            Self::Line(path, number) => write!(f, "{}: line {number} is no mark", path.display()),
            Self::Gap { from, to } => write!(f, "they begin at audit entry {to}, and the backup ends at {from}"),
            Self::Foreign(log) => write!(f, "they are of the log {log}"),
        }
    }
}
impl std::error::Error for BadMarks {}

/// What names an installation in its marks: its log's name and its key.
#[must_use]
pub fn name_of(log_name: &str, audit_key: &PublicKey) -> String {
    format!("{log_name} {}", audit_key.digest())
}

impl Marks {
    /// Goes on with the newest file of a directory, or begins one if there is none. `entries` is the length of the log.
    ///
    /// # Errors
    /// As the operating system says.
    pub fn open(directory: &Path, log: &str, entries: u64) -> io::Result<Self> {
        match files_of(directory, log)?.pop() {
            Some((_, path)) => Ok(Self { file: to_append(&path)?, path, directory: directory.to_owned() }),
            None => Self::begin(directory, log, entries),
        }
    }

    /// Begins a new file. What was marked before stays in the older ones, which may be thrown away together with the
    /// backups that are older than they.
    ///
    /// # Errors
    /// As the operating system says.
    pub fn begin(directory: &Path, log: &str, entries: u64) -> io::Result<Self> {
        files::private_directory(directory)?;
        let path = directory.join(format!("{}-{entries:020}.{SUFFIX}", prefix(log)));
        let mut line = Vec::new();
        write_line(&mut line, &Mark::Begin { log: log.to_owned(), entries })?;
        match files::write_new(&path, &line) {
            Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {}
            made => made?,
        }
        Ok(Self { file: to_append(&path)?, path, directory: directory.to_owned() })
    }

    /// Where the files are.
    #[must_use]
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// The file that is written to.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Adds marks, durable when this returns. A failed fsync ends the process.
    ///
    /// # Errors
    /// As the operating system says, if they could not be written: the commit must not happen then.
    pub fn append<'m>(&self, marks: impl IntoIterator<Item = &'m Mark>) -> io::Result<()> {
        let mut lines = Vec::new();
        for mark in marks {
            write_line(&mut lines, mark)?;
        }
        let before = self.file.metadata()?.len();
        if let Err(error) = (&self.file).write_all(&lines) {
            // What was written of a line would spoil the next one.
            self.file.set_len(before)?;
            return Err(error);
        }
        if let Err(error) = self.file.sync_data() {
            crate::store::die(&format!("fsync of {} failed ({error})", self.path.display()));
        }
        Ok(())
    }
}

fn to_append(path: &Path) -> io::Result<File> {
    let file = OpenOptions::new().append(true).mode(0o600).open(path)?;
    // A line that was cut by a power failure was never acted upon; what comes next begins a line of its own.
    if !ends_whole(path)? {
        (&file).write_all(b"\n")?;
        files::sync(&file, path);
    }
    Ok(file)
}

fn ends_whole(path: &Path) -> io::Result<bool> {
    use std::io::{Read, Seek, SeekFrom};
    let mut file = File::open(path)?;
    if file.metadata()?.len() == 0 {
        return Ok(true);
    }
    file.seek(SeekFrom::End(-1))?;
    let mut last = [0];
    file.read_exact(&mut last)?;
    Ok(last == *b"\n")
}

fn write_line(lines: &mut Vec<u8>, mark: &Mark) -> io::Result<()> {
    serde_json::to_writer(&mut *lines, mark).map_err(io::Error::other)?;
    lines.push(b'\n');
    Ok(())
}

/// What tells the files of one installation from those of another in the same directory.
pub(super) fn prefix(log: &str) -> String {
    let digest = x509::sha256(log.as_bytes()).to_string();
    digest.chars().take(16).collect()
}

/// The files of an installation in a directory, by the entry at which they begin.
fn files_of(directory: &Path, log: &str) -> io::Result<Vec<(u64, PathBuf)>> {
    let prefix = prefix(log);
    let mut found = Vec::new();
    let entries = match std::fs::read_dir(directory) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(found),
        entries => entries?,
    };
    for entry in entries.take(FILES_MAX) {
        let path = entry?.path();
        let stem = path.file_stem().and_then(|stem| stem.to_str()).and_then(|stem| stem.split_once('-'));
        let begins = stem.filter(|(of, _)| *of == prefix).and_then(|(_, begins)| begins.parse().ok());
        if let (Some(begins), Some(SUFFIX)) = (begins, path.extension().and_then(|e| e.to_str())) {
            found.push((begins, path));
        }
    }
    found.sort_unstable();
    Ok(found)
}

/// Whether a directory holds marks of an installation.
#[must_use]
pub fn are_there(directory: &Path, log: &str) -> bool {
    files_of(directory, log).is_ok_and(|files| !files.is_empty())
}

/// Notes beside the marks that a backup of so many audit entries was taken.
///
/// # Errors
/// As the operating system says.
pub fn note_backup(directory: &Path, log: &str, entries: u64) -> io::Result<()> {
    files::private_directory(directory)?;
    files::publish(&backup_note(directory, log), format!("{entries}\n").as_bytes())
}

/// How many audit entries the last backup had that was noted.
#[must_use]
pub fn last_backup(directory: &Path, log: &str) -> Option<u64> {
    let octets = files::read_bounded(&backup_note(directory, log), LINE_LEN_MAX).ok()?;
    String::from_utf8(octets).ok()?.trim().parse().ok()
}

fn backup_note(directory: &Path, log: &str) -> PathBuf {
    directory.join(format!("{}.backup", prefix(log)))
}

/// Reads the marks that come after a backup of `entries` audit entries, oldest first, and gives each to `take`.
///
/// # Errors
/// [`BadMarks`]; a line that was cut at the end of a file is no fault.
pub fn read(directory: &Path, log: &str, entries: u64, take: &mut dyn FnMut(Mark)) -> Result<(), BadMarks> {
    let io = |e| BadMarks::Io(directory.to_owned(), e);
    let files = files_of(directory, log).map_err(io)?;
    // The last file that begins at or before the backup holds the first marks that matter.
    let first = files.iter().rposition(|(begins, _)| *begins <= entries);
    let Some(first) = first else {
        let to = files.first().map_or(u64::MAX, |(begins, _)| *begins);
        return Err(BadMarks::Gap { from: entries, to });
    };
    files.iter().skip(first).try_for_each(|(_, path)| read_file(path, log, take))
}

/// Reads all marks of an installation, oldest first, wherever they begin.
///
/// # Errors
/// As [`read`].
pub fn read_all(directory: &Path, log: &str, take: &mut dyn FnMut(Mark)) -> Result<(), BadMarks> {
    let files = files_of(directory, log).map_err(|e| BadMarks::Io(directory.to_owned(), e))?;
    files.iter().try_for_each(|(_, path)| read_file(path, log, take))
}

fn read_file(path: &Path, log: &str, take: &mut dyn FnMut(Mark)) -> Result<(), BadMarks> {
    let io = |e| BadMarks::Io(path.to_owned(), e);
    let mut reader = BufReader::new(files::open_regular(path).map_err(io)?);
    let mut number = 0;
    loop {
        let mut octets = Vec::new();
        let read = io::Read::take(&mut reader, LINE_LEN_MAX).read_until(b'\n', &mut octets).map_err(io)?;
        if read == 0 {
            return Ok(());
        }
        number += 1;
        match serde_json::from_slice(&octets) {
            Ok(Mark::Begin { log: of, .. }) if of != log => return Err(BadMarks::Foreign(of)),
            Ok(mark) => take(mark),
            // Cut short: by the end of the file, or by a power failure that a later line came after.
            Err(e) if e.is_eof() => {}
            Err(_) => return Err(BadMarks::Line(path.to_owned(), number)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Temporary;

    fn crl(number: u64) -> Mark {
        Mark::Crl { authority: "factory".into(), number }
    }
    fn all(dir: &Temporary, entries: u64) -> Result<Vec<Mark>, String> {
        let mut found = Vec::new();
        read(dir.path(), "log", entries, &mut |mark| found.push(mark)).map_err(|e| e.to_string())?;
        found.retain(|mark| !matches!(mark, Mark::Begin { .. }));
        Ok(found)
    }

    #[test]
    fn what_was_marked_is_read_in_its_order() {
        let dir = Temporary::new();
        let marks = Marks::open(dir.path(), "log", 7).unwrap();
        marks.append(&[crl(1), Mark::Epoch(3)]).unwrap();
        drop(marks);
        Marks::open(dir.path(), "log", 9).unwrap().append(&[crl(2)]).unwrap();
        assert_eq!(all(&dir, 7), Ok(vec![crl(1), Mark::Epoch(3), crl(2)]));
    }
    #[test]
    fn marks_that_begin_behind_the_backup_have_a_gap() {
        let dir = Temporary::new();
        Marks::open(dir.path(), "log", 7).unwrap();
        assert!(all(&dir, 6).unwrap_err().contains("begin at audit entry 7"));
        assert!(all(&Temporary::new(), 6).is_err(), "no marks are a gap too");
    }
    #[test]
    fn older_files_are_left_out() {
        let dir = Temporary::new();
        Marks::open(dir.path(), "log", 0).unwrap().append(&[crl(1)]).unwrap();
        Marks::begin(dir.path(), "log", 10).unwrap().append(&[crl(2)]).unwrap();
        assert_eq!(all(&dir, 10), Ok(vec![crl(2)]));
        assert_eq!(all(&dir, 9), Ok(vec![crl(1), crl(2)]));
    }
    #[test]
    fn all_of_them_are_read_wherever_they_begin() {
        let dir = Temporary::new();
        Marks::open(dir.path(), "log", 5).unwrap().append(&[crl(1)]).unwrap();
        Marks::begin(dir.path(), "log", 10).unwrap().append(&[crl(2)]).unwrap();
        let mut found = Vec::new();
        read_all(dir.path(), "log", &mut |mark| found.push(mark)).unwrap();
        found.retain(|mark| !matches!(mark, Mark::Begin { .. }));
        assert_eq!(found, [crl(1), crl(2)]);
    }
    #[test]
    fn a_line_that_was_cut_is_left_out_and_the_next_one_counts() {
        let dir = Temporary::new();
        Marks::open(dir.path(), "log", 0).unwrap().append(&[crl(1)]).unwrap();
        let path = files_of(dir.path(), "log").unwrap().remove(0).1;
        let whole = std::fs::read(&path).unwrap();
        std::fs::write(&path, &whole[..whole.len() - 4]).unwrap();
        assert_eq!(all(&dir, 0), Ok(vec![]));
        Marks::open(dir.path(), "log", 0).unwrap().append(&[crl(2)]).unwrap();
        assert_eq!(all(&dir, 0), Ok(vec![crl(2)]));
    }
    #[test]
    fn a_line_of_somebody_else_is_named() {
        let dir = Temporary::new();
        Marks::open(dir.path(), "log", 0).unwrap();
        let path = files_of(dir.path(), "log").unwrap().remove(0).1;
        std::fs::write(&path, "{\"crl\":1}\n").unwrap();
        assert!(all(&dir, 0).unwrap_err().contains("line 1 is no mark"));
    }
    #[test]
    fn a_backup_that_was_noted_is_no_mark() {
        let dir = Temporary::new();
        assert_eq!((are_there(dir.path(), "log"), last_backup(dir.path(), "log")), (false, None));
        note_backup(dir.path(), "log", 7).unwrap();
        note_backup(dir.path(), "other", 9).unwrap();
        assert_eq!((are_there(dir.path(), "log"), last_backup(dir.path(), "log")), (false, Some(7)));
        Marks::open(dir.path(), "log", 0).unwrap();
        assert!(are_there(dir.path(), "log") && !are_there(dir.path(), "other"));
    }
    #[test]
    fn marks_of_another_installation_are_not_taken_for_ours() {
        let dir = Temporary::new();
        Marks::open(dir.path(), "other", 0).unwrap();
        assert!(all(&dir, 0).is_err());
        let ours = dir.path().join(format!("{}-0.marks", prefix("log")));
        std::fs::rename(files_of(dir.path(), "other").unwrap().remove(0).1, ours).unwrap();
        assert_eq!(all(&dir, 0).unwrap_err(), "they are of the log other");
    }
}
