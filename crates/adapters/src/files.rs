//! Writing files so that they are either there, whole and durable, or not there.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::Path;

/// Makes what was written to a file or directory durable. A failure ends the process: the kernel may have dropped the
/// pages, and the next fsync would report success.
pub fn sync(file: &File, path: &Path) {
    if let Err(error) = file.sync_all() {
        crate::ending::die(&format!("fsync of {} failed ({error})", path.display()));
    }
}

/// Makes the names in a directory durable.
///
/// # Errors
/// If the directory cannot be opened.
pub fn sync_directory(directory: &Path) -> io::Result<()> {
    sync(&File::open(directory)?, directory);
    Ok(())
}

/// Makes a directory that only its owner may enter, and those above it.
///
/// # Errors
/// As the operating system says.
pub fn private_directory(path: &Path) -> io::Result<()> {
    fs::DirBuilder::new().recursive(true).mode(0o700).create(path)?;
    // One that was there may be open to others.
    fs::set_permissions(path, fs::Permissions::from_mode(0o700))
}

/// Writes a new file that only its owner may read, durable when this returns.
///
/// # Errors
/// [`io::ErrorKind::AlreadyExists`] if there is one of that name.
pub fn write_new(path: &Path, octets: &[u8]) -> io::Result<()> {
    with_temporary(path, octets, OWNER, |temporary| {
        // A link fails if the name is taken, where a rename would replace it.
        fs::hard_link(temporary, path)
    })
}

/// Writes a file that only its owner may read, in place of any before it, durable when this returns.
///
/// # Errors
/// As the operating system says.
pub fn replace(path: &Path, octets: &[u8]) -> io::Result<()> {
    with_temporary(path, octets, OWNER, |temporary| fs::rename(temporary, path))
}

/// Writes a file for everybody, in place of any before it, durable when this returns. A link is replaced, not followed.
///
/// # Errors
/// As the operating system says.
pub fn publish(path: &Path, octets: &[u8]) -> io::Result<()> {
    with_temporary(path, octets, EVERYBODY, |temporary| fs::rename(temporary, path))
}

/// Permissions of what only its owner may read, and of what everybody may.
const OWNER: u32 = 0o600;
const EVERYBODY: u32 = 0o644;

fn with_temporary(
    path: &Path,
    octets: &[u8],
    mode: u32,
    publish: impl FnOnce(&Path) -> io::Result<()>,
) -> io::Result<()> {
    let no_parent = || io::Error::from(io::ErrorKind::InvalidInput);
    let directory = path.parent().ok_or_else(no_parent)?;
    let directory = if directory.as_os_str().is_empty() { Path::new(".") } else { directory };
    let name = path.file_name().ok_or_else(no_parent)?;
    let mut temporary = std::ffi::OsString::from(".new-");
    temporary.push(name);
    let temporary = directory.join(temporary);
    // One left behind by a crash is nobody's.
    match fs::remove_file(&temporary) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(e),
        _ => {}
    }
    let mut file = OpenOptions::new().write(true).create_new(true).mode(mode).open(&temporary)?;
    file.write_all(octets)?;
    sync(&file, &temporary);
    let published = publish(&temporary);
    if temporary.exists() {
        fs::remove_file(&temporary)?;
    }
    published?;
    sync_directory(directory)
}

/// Whether others than the owner may read or write a file.
///
/// # Errors
/// As the operating system says.
pub fn open_to_others(path: &Path) -> io::Result<bool> {
    Ok(fs::symlink_metadata(path)?.mode() & 0o077 != 0)
}

/// Reads a file of at most `len_max` octets.
///
/// # Errors
/// [`io::ErrorKind::FileTooLarge`] if it is longer; [`io::ErrorKind::InvalidInput`] if it is no file but something that
/// could keep a reader waiting.
pub fn read_bounded(path: &Path, len_max: u64) -> io::Result<Vec<u8>> {
    use std::io::Read;
    let mut octets = Vec::new();
    open_regular(path)?.take(len_max.saturating_add(1)).read_to_end(&mut octets)?;
    if u64::try_from(octets.len()).is_ok_and(|len| len > len_max) {
        return Err(io::ErrorKind::FileTooLarge.into());
    }
    Ok(octets)
}

/// Opens a file for reading, if it is one. What a shell hands over in `/dev/fd` may be a pipe.
///
/// # Errors
/// [`io::ErrorKind::InvalidInput`] if it is a pipe, a device or a directory.
pub fn open_regular(path: &Path) -> io::Result<File> {
    if path.starts_with("/dev/fd") || path.starts_with("/proc/self/fd") {
        return File::open(path);
    }
    // NONBLOCK lets a pipe be opened that nobody writes to; then it is turned away.
    let nonblock = i32::try_from(rustix::fs::OFlags::NONBLOCK.bits()).unwrap_or_default();
    let file = OpenOptions::new().read(true).custom_flags(nonblock).open(path)?;
    if file.metadata()?.is_file() {
        return Ok(file);
    }
    Err(io::Error::new(io::ErrorKind::InvalidInput, "it is no file"))
}

/// Lets go of what the system holds of a file in memory, as far as it is on the medium, so that reading it reads the medium.
pub fn forget_in_memory(file: &File) {
    // Where this cannot be done, what is read is what was written.
    let _as_far_as_it_goes = rustix::fs::fadvise(file, 0, None, rustix::fs::Advice::DontNeed);
}

/// Holds a directory for one process: a second one cannot take it until the first has ended.
#[derive(Debug)]
pub struct DirectoryLock {
    file: File,
}

impl DirectoryLock {
    /// Takes the lock.
    ///
    /// # Errors
    /// [`io::ErrorKind::WouldBlock`] if another process holds it.
    pub fn take(directory: &Path) -> io::Result<Self> {
        use rustix::fs::{FlockOperation, flock};
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(directory.join("lock"))?;
        flock(&file, FlockOperation::NonBlockingLockExclusive)?;
        Ok(Self { file })
    }

    /// The same lock, for a process that is started and holds it too until it ends, whoever ends before.
    ///
    /// # Errors
    /// As the operating system says.
    pub(crate) fn share(&self) -> io::Result<std::process::Stdio> {
        Ok(self.file.try_clone()?.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Temporary;

    #[test]
    fn a_new_file_is_private_and_whole() {
        let dir = Temporary::new();
        let path = dir.path().join("key");
        write_new(&path, b"octets").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"octets");
        assert!(!open_to_others(&path).unwrap());
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1, "no temporary file is left");
    }
    #[test]
    fn a_file_that_exists_is_not_replaced() {
        let dir = Temporary::new();
        let path = dir.path().join("key");
        write_new(&path, b"first").unwrap();
        assert_eq!(write_new(&path, b"second").unwrap_err().kind(), io::ErrorKind::AlreadyExists);
        assert_eq!(fs::read(&path).unwrap(), b"first");
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    }
    #[test]
    fn what_a_crash_left_is_in_nobodys_way() {
        let dir = Temporary::new();
        fs::write(dir.path().join(".new-key"), b"half").unwrap();
        replace(&dir.path().join("key"), b"whole").unwrap();
        assert_eq!(fs::read(dir.path().join("key")).unwrap(), b"whole");
    }
    #[test]
    fn a_directory_is_locked_once() {
        let dir = Temporary::new();
        let lock = DirectoryLock::take(dir.path()).unwrap();
        assert_eq!(DirectoryLock::take(dir.path()).unwrap_err().kind(), io::ErrorKind::WouldBlock);
        drop(lock);
        DirectoryLock::take(dir.path()).unwrap();
    }
    #[test]
    fn a_long_file_is_refused() {
        let dir = Temporary::new();
        let path = dir.path().join("file");
        fs::write(&path, b"12345").unwrap();
        assert_eq!(read_bounded(&path, 5).unwrap(), b"12345");
        assert_eq!(read_bounded(&path, 4).unwrap_err().kind(), io::ErrorKind::FileTooLarge);
    }
}
