//! The vault: a directory with one file for each blob.
//!
//! A file is written under another name (`NAME.part`), made durable, renamed, and the directory made durable: a crash
//! leaves either a whole blob or a `.part` file, which the next writer removes. Only octets that are encrypted ever reach
//! the medium. All files are opened relative to the directory, and links are not followed.

use super::format::{self, Name, OpenedBlob, RECIPIENTS_MAX, check_recipient};
use super::key::{VaultPrivateKey, VaultPublicKey};
use model::octets::{from_hex, hex};
use ports::clock::{Entropy, random};
use ports::vault::{BlobName, Vault, VaultFault};
use rustix::fs::{self, AtFlags, Dir, FileType, FlockOperation, Mode, OFlags};
use rustix::io::Errno;
use std::fs::File;
use std::io::Read;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

// Most files that are looked at in one directory: far more than releases in ten years.
const FILES_MAX: usize = 1_000_000;
const PART: &str = ".part";

/// A vault in a directory of its own.
pub struct DirectoryVault {
    directory: OwnedFd,
    recipients: Vec<VaultPublicKey>,
    reader: Option<VaultPrivateKey>,
    entropy: Arc<dyn Entropy>,
    sync: fn(BorrowedFd<'_>) -> rustix::io::Result<()>,
    // The medium has failed to confirm something; nothing is written any more.
    broken: AtomicBool,
}

// The kernel may have dropped the pages, and the next fsync would report success: the process ends.
fn sync_or_die(file: BorrowedFd<'_>) -> rustix::io::Result<()> {
    match fs::fsync(file) {
        Ok(()) => Ok(()),
        Err(error) => crate::store::die(&format!("fsync of the vault failed ({error})")),
    }
}

impl DirectoryVault {
    /// Opens the vault in a directory that exists. `recipients` may read what is put in from now on, at most
    /// [`RECIPIENTS_MAX`]; without any, nothing can be put in. Without `reader`, nothing can be read.
    ///
    /// One who can write removes the `.part` files of writers that are gone, and no other file.
    /// # Errors
    /// [`VaultFault::Medium`] if there is no such directory, it cannot be read or cleaned, or a recipient's key is none.
    pub fn open(
        directory: &Path,
        recipients: Vec<VaultPublicKey>,
        reader: Option<VaultPrivateKey>,
        entropy: Arc<dyn Entropy>,
    ) -> Result<Self, VaultFault> {
        if recipients.len() > RECIPIENTS_MAX {
            return Err(VaultFault::Medium("the vault has too many recipients"));
        }
        recipients.iter().try_for_each(check_recipient)?;
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let directory = fs::open(directory, flags, Mode::empty()).map_err(|_| UNREADABLE)?;
        let broken = AtomicBool::new(false);
        let vault = Self { directory, recipients, reader, entropy, sync: sync_or_die, broken };
        if !vault.recipients.is_empty() {
            vault.clean()?;
        }
        Ok(vault)
    }

    /// Puts all that is here into another vault, under the same names, for those who may read there. What that one has
    /// already stays. Gives how many were put in.
    ///
    /// # Errors
    /// [`VaultFault`]
    pub fn copy_to(&self, other: &Self) -> Result<usize, VaultFault> {
        let there = other.list()?;
        let mut copied = 0;
        for blob in self.list()?.into_iter().filter(|blob| !there.contains(blob)) {
            let name = name_of(&blob.0).ok_or(VaultFault::Missing)?;
            // It is as long as it is: whoever put it in bounded it.
            other.write(&mut self.open(&blob)?, u64::MAX, &name)?;
            copied += 1;
        }
        Ok(copied)
    }

    /// The same vault on a medium that confirms, or does not, as `sync` says.
    #[cfg(test)]
    pub(super) fn with_sync(self, sync: fn(BorrowedFd<'_>) -> rustix::io::Result<()>) -> Self {
        Self { sync, ..self }
    }

    fn clean(&self) -> Result<(), VaultFault> {
        for name in self.files()? {
            let left_behind = name.strip_suffix(PART).and_then(name_of).is_some() && !self.is_being_written(&name);
            if left_behind {
                match fs::unlinkat(&self.directory, &name, AtFlags::empty()) {
                    Ok(()) | Err(Errno::NOENT) => {}
                    Err(_) => return Err(UNWRITABLE),
                }
            }
        }
        Ok(())
    }

    // Who writes a file holds a lock on it.
    fn is_being_written(&self, name: &str) -> bool {
        let locked = |file: OwnedFd| fs::flock(file, FlockOperation::NonBlockingLockExclusive).is_err();
        self.open_file(name).map_or(true, locked)
    }

    // The names of regular files that can be names of ours.
    fn files(&self) -> Result<Vec<String>, VaultFault> {
        let entries = Dir::read_from(&self.directory).map_err(|_| UNREADABLE)?;
        let mut names = Vec::new();
        for entry in entries.take(FILES_MAX) {
            let entry = entry.map_err(|_| UNREADABLE)?;
            let Ok(name) = entry.file_name().to_str() else { continue };
            let known = name_of(name.strip_suffix(PART).unwrap_or(name)).is_some();
            if known && self.is_file(name)? {
                names.push(name.to_owned());
            }
        }
        Ok(names)
    }

    fn is_file(&self, name: &str) -> Result<bool, VaultFault> {
        match fs::statat(&self.directory, name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) => Ok(FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile),
            Err(Errno::NOENT) => Ok(false),
            Err(_) => Err(UNREADABLE),
        }
    }

    // Neither follows a link nor waits for somebody at the other end of a pipe.
    fn open_file(&self, name: &str) -> rustix::io::Result<OwnedFd> {
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        fs::openat(&self.directory, name, flags, Mode::empty())
    }

    fn make_durable(&self, file: BorrowedFd<'_>) -> Result<(), VaultFault> {
        (self.sync)(file).map_err(|_| {
            self.broken.store(true, Ordering::SeqCst);
            VaultFault::NotDurable
        })
    }

    fn write(&self, source: &mut dyn Read, len_max: u64, name: &Name) -> Result<(), VaultFault> {
        let part = Part::create(self, format!("{}{PART}", hex(name)))?;
        let mut file = &part.file;
        format::seal(source, len_max, &self.recipients, name, self.entropy.as_ref(), &mut file)?;
        self.make_durable(part.file.as_fd())?;
        part.keep_as(&hex(name))?;
        self.make_durable(self.directory.as_fd())
    }
}

impl Vault for DirectoryVault {
    fn put(&self, source: &mut dyn Read, len_max: u64) -> Result<BlobName, VaultFault> {
        if self.broken.load(Ordering::SeqCst) {
            return Err(VaultFault::NotDurable);
        }
        if self.recipients.is_empty() {
            return Err(VaultFault::Medium("nobody could read what would be put into this vault"));
        }
        let name: Name = random(self.entropy.as_ref());
        self.write(source, len_max, &name)?;
        Ok(BlobName(hex(&name)))
    }

    fn open(&self, name: &BlobName) -> Result<Box<dyn Read + Send>, VaultFault> {
        let octets = name_of(&name.0).ok_or(VaultFault::Missing)?;
        let key = self.reader.as_ref().ok_or(VaultFault::Unreadable)?;
        let file = match self.open_file(&name.0) {
            Ok(file) => File::from(file),
            Err(Errno::NOENT) => return Err(VaultFault::Missing),
            Err(Errno::LOOP) => return Err(VaultFault::Unreadable),
            Err(_) => return Err(UNREADABLE),
        };
        let about = file.metadata().map_err(|_| UNREADABLE)?;
        if !about.is_file() {
            return Err(VaultFault::Unreadable);
        }
        Ok(Box::new(OpenedBlob::new(file, about.len(), key, &octets)?))
    }

    fn remove(&self, name: &BlobName) -> Result<(), VaultFault> {
        name_of(&name.0).ok_or(VaultFault::Missing)?;
        match fs::unlinkat(&self.directory, &name.0, AtFlags::empty()) {
            Ok(()) => self.make_durable(self.directory.as_fd()),
            Err(Errno::NOENT) => Err(VaultFault::Missing),
            Err(_) => Err(UNWRITABLE),
        }
    }

    fn list(&self) -> Result<Vec<BlobName>, VaultFault> {
        let whole = |name: &String| !name.ends_with(PART);
        Ok(self.files()?.into_iter().filter(whole).map(BlobName).collect())
    }
}

const UNREADABLE: VaultFault = VaultFault::Medium("the vault's directory cannot be read");
const UNWRITABLE: VaultFault = VaultFault::Medium("the vault's directory cannot be written");

/// A file that is being written, and is removed if it does not become a blob.
struct Part<'v> {
    vault: &'v DirectoryVault,
    name: String,
    file: File,
    kept: bool,
}

impl<'v> Part<'v> {
    fn create(vault: &'v DirectoryVault, name: String) -> Result<Self, VaultFault> {
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        // The group may read: sm and pm need not be one user.
        let file = fs::openat(&vault.directory, &name, flags, Mode::RUSR | Mode::WUSR | Mode::RGRP);
        let file = File::from(file.map_err(|errno| format::medium(&errno.into()))?);
        let part = Self { vault, name, file, kept: false };
        // Until it is locked another writer may take it for left behind; then it cannot be renamed, and nothing is lost.
        fs::flock(&part.file, FlockOperation::NonBlockingLockExclusive).map_err(|_| UNWRITABLE)?;
        Ok(part)
    }

    fn keep_as(mut self, name: &str) -> Result<(), VaultFault> {
        let directory = &self.vault.directory;
        fs::renameat(directory, &self.name, directory, name).map_err(|errno| format::medium(&errno.into()))?;
        self.kept = true;
        Ok(())
    }
}

impl Drop for Part<'_> {
    fn drop(&mut self) {
        if !self.kept {
            // If this fails too, the next writer removes it.
            let _left_behind = fs::unlinkat(&self.vault.directory, &self.name, AtFlags::empty());
        }
    }
}

/// The octets of a name: 32 lower-case hexadecimal digits.
fn name_of(text: &str) -> Option<Name> {
    let octets: Name = from_hex(text).ok()?.try_into().ok()?;
    (hex(&octets) == text).then_some(octets)
}
