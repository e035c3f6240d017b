//! Changing files so that each is there, whole and durable, or as it was before; one step at a time.

use crate::fault::Fault;
use adapters::files::{self, DirectoryLock};
use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Read, Write};
use std::path::{Path, PathBuf};
use update::tuf::FILE_LEN_MAX;

/// Asked before each step that changes the disk. A test answers with an error where the power is to go.
pub type Before = dyn Fn(&Path) -> io::Result<()>;

/// What stands before the name of a file that is not whole yet.
const NOT_WHOLE: &str = ".new-";
/// How much of an image is in memory at once.
const PIECE_LEN: usize = 64 * 1024;
/// Deepest folders below one that is listed: a target's name of 1024 octets has at most as many parts.
const DEPTH_MAX: usize = 512;

/// One directory, for one process.
pub(crate) struct Disk {
    root: PathBuf,
    before: Box<Before>,
    _lock: DirectoryLock,
}

impl std::fmt::Debug for Disk {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Disk({})", self.root.display())
    }
}

impl Disk {
    pub(crate) fn take(root: &Path, before: Box<Before>) -> Result<Self, Fault> {
        let lock = DirectoryLock::take(root).map_err(|error| match error.kind() {
            ErrorKind::WouldBlock => Fault::InUse,
            ErrorKind::NotFound => Fault::NoRepository,
            _ => Fault::Disk { path: root.to_owned(), error },
        })?;
        Ok(Self { root: root.to_owned(), before, _lock: lock })
    }

    pub(crate) fn path(&self, file: &str) -> PathBuf {
        self.root.join(file)
    }

    /// The octets of a metadata file; `None` if there is none.
    pub(crate) fn read(&self, file: &str) -> Result<Option<Vec<u8>>, Fault> {
        let path = self.path(file);
        match files::read_bounded(&path, u64::try_from(FILE_LEN_MAX).unwrap_or(u64::MAX)) {
            Ok(octets) => Ok(Some(octets)),
            Err(e) if e.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(Fault::Disk { path, error }),
        }
    }

    pub(crate) fn open(&self, file: &str) -> Result<Option<File>, Fault> {
        let path = self.path(file);
        match files::open_regular(&path) {
            Ok(file) => Ok(Some(file)),
            Err(e) if e.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(Fault::Disk { path, error }),
        }
    }

    /// Writes a file in place of any before it.
    pub(crate) fn write(&self, file: &str, mut octets: &[u8]) -> Result<(), Fault> {
        self.copy_in(file, &mut octets)
    }

    /// The same of all that `source` gives.
    pub(crate) fn copy_in(&self, file: &str, source: &mut dyn Read) -> Result<(), Fault> {
        let path = self.path(file);
        self.try_copy(&path, source).map_err(|error| Fault::Disk { path, error })
    }

    fn try_copy(&self, path: &Path, source: &mut dyn Read) -> io::Result<()> {
        let (folder, temporary) = beside(path)?;
        self.make_folders(folder)?;
        (self.before)(&temporary)?;
        let mut file = OpenOptions::new().write(true).create(true).truncate(true).open(&temporary)?;
        let mut piece = vec![0; PIECE_LEN];
        loop {
            let len = match source.read(&mut piece) {
                Ok(0) => break,
                Ok(len) => len,
                Err(e) if e.kind() == ErrorKind::Interrupted => continue,
                Err(e) => return Err(e),
            };
            // Twice, so that a half is a moment too.
            let octets = piece.get(..len).unwrap_or_default();
            let (first, second) = octets.split_at(len / 2);
            file.write_all(first)?;
            (self.before)(&temporary)?;
            file.write_all(second)?;
        }
        (self.before)(&temporary)?;
        files::sync(&file, &temporary);
        (self.before)(path)?;
        fs::rename(&temporary, path)?;
        (self.before)(folder)?;
        files::sync_directory(folder)
    }

    /// Moves a file, in place of any before it.
    pub(crate) fn rename(&self, from: &str, to: &str) -> Result<(), Fault> {
        let (from, to) = (self.path(from), self.path(to));
        let moved = || {
            let (folder, _) = beside(&to)?;
            self.make_folders(folder)?;
            (self.before)(&to)?;
            fs::rename(&from, &to)?;
            (self.before)(folder)?;
            files::sync_directory(folder)?;
            files::sync_directory(beside(&from)?.0)
        };
        moved().map_err(|error| Fault::Disk { path: to.clone(), error })
    }

    /// Lets go of a file. One that is not there is gone.
    pub(crate) fn remove(&self, file: &str) -> Result<(), Fault> {
        let path = self.path(file);
        let removed = || {
            (self.before)(&path)?;
            match fs::remove_file(&path) {
                Err(e) if e.kind() != ErrorKind::NotFound => return Err(e),
                _ => {}
            }
            (self.before)(&path)?;
            match files::sync_directory(beside(&path)?.0) {
                Err(e) if e.kind() != ErrorKind::NotFound => Err(e),
                _ => Ok(()),
            }
        };
        removed().map_err(|error| Fault::Disk { path: path.clone(), error })
    }

    // Each folder is durable in the one above before anything is put into it.
    fn make_folders(&self, folder: &Path) -> io::Result<()> {
        if folder.is_dir() {
            return Ok(());
        }
        if let Some(above) = folder.parent() {
            self.make_folders(above)?;
        }
        (self.before)(folder)?;
        match fs::create_dir(folder) {
            Err(e) if e.kind() != ErrorKind::AlreadyExists => Err(e),
            _ => folder.parent().map_or(Ok(()), files::sync_directory),
        }
    }

    pub(crate) fn make_folder(&self, folder: &str) -> Result<(), Fault> {
        let path = self.path(folder);
        self.make_folders(&path).map_err(|error| Fault::Disk { path, error })
    }

    /// The names of all files below a folder, with `/` between their parts, in order.
    pub(crate) fn list(&self, folder: &str) -> Result<Vec<String>, Fault> {
        let path = self.path(folder);
        let mut found = Vec::new();
        below(&path, "", 0, &mut found).map_err(|error| Fault::Disk { path, error })?;
        found.sort();
        Ok(found)
    }

    /// Takes away files below a folder that an interruption left half. Gives their names.
    pub(crate) fn sweep(&self, folder: &str) -> Result<Vec<String>, Fault> {
        let is_half = |name: &String| name.rsplit('/').next().is_some_and(|last| last.starts_with(NOT_WHOLE));
        let half: Vec<String> = self.list(folder)?.into_iter().filter(is_half).collect();
        for name in &half {
            self.remove(&format!("{folder}/{name}"))?;
        }
        Ok(half.into_iter().map(|name| format!("{folder}/{name}")).collect())
    }
}

fn below(folder: &Path, name: &str, depth: usize, found: &mut Vec<String>) -> io::Result<()> {
    let entries = match fs::read_dir(folder) {
        Err(e) if e.kind() == ErrorKind::NotFound => return Ok(()),
        entries => entries?,
    };
    for entry in entries {
        let entry = entry?;
        let own = entry.file_name();
        let own = own.to_str().ok_or(ErrorKind::InvalidData)?;
        let name = if name.is_empty() { own.to_owned() } else { format!("{name}/{own}") };
        // A link leads elsewhere, so it is a file that is not ours.
        if entry.file_type()?.is_dir() && depth < DEPTH_MAX {
            below(&entry.path(), &name, depth + 1, found)?;
        } else {
            found.push(name);
        }
    }
    Ok(())
}

// The folder of a file, and where it is while it is not whole.
fn beside(path: &Path) -> io::Result<(&Path, PathBuf)> {
    let invalid = || io::Error::from(ErrorKind::InvalidInput);
    let folder = path.parent().ok_or_else(invalid)?;
    let name = path.file_name().and_then(|name| name.to_str()).ok_or_else(invalid)?;
    Ok((folder, folder.join(format!("{NOT_WHOLE}{name}"))))
}
