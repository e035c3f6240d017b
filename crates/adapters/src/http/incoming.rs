//! A file that grows while it comes, and is nobody's until it is whole.

use crate::files;
use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};

/// A file beside the place where it will be. Dropped before it is published, it is gone.
#[derive(Debug)]
pub struct Incoming {
    file: File,
    beside: PathBuf,
    path: PathBuf,
}

impl Incoming {
    /// Begins a file that will be `path`.
    ///
    /// # Errors
    /// As the operating system says.
    pub fn begin(path: &Path) -> io::Result<Self> {
        let name = path.file_name().ok_or(ErrorKind::InvalidInput)?;
        let mut beside = std::ffi::OsString::from(".new-");
        beside.push(name);
        let beside = path.with_file_name(beside);
        // One left behind by a crash is nobody's.
        match fs::remove_file(&beside) {
            Err(e) if e.kind() != ErrorKind::NotFound => return Err(e),
            _ => {}
        }
        let file = OpenOptions::new().write(true).create_new(true).open(&beside)?;
        Ok(Self { file, beside, path: path.to_owned() })
    }

    /// Takes the next octets.
    ///
    /// # Errors
    /// As the operating system says.
    pub fn write(&mut self, octets: &[u8]) -> io::Result<()> {
        self.file.write_all(octets)
    }

    /// Puts it in its place, whole and durable, in place of any before it.
    ///
    /// # Errors
    /// As the operating system says.
    pub fn publish(self) -> io::Result<()> {
        files::sync(&self.file, &self.beside);
        fs::rename(&self.beside, &self.path)?;
        let directory = self.path.parent().filter(|parent| !parent.as_os_str().is_empty());
        files::sync_directory(directory.unwrap_or(Path::new(".")))
    }
}

impl Drop for Incoming {
    fn drop(&mut self) {
        let _published = fs::remove_file(&self.beside);
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "what cannot go on here has failed")]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_there_when_it_is_whole_and_not_before() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("image");
        fs::write(&path, "older").unwrap();
        let mut incoming = Incoming::begin(&path).unwrap();
        incoming.write(b"new").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"older");
        drop(incoming);
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1, "something is left behind");
        let mut incoming = Incoming::begin(&path).unwrap();
        incoming.write(b"newer").unwrap();
        incoming.publish().unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"newer");
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    }
}
