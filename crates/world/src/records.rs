//! The store behind everything, as a world makes and opens it: another kind is put in here.

use crate::hub::Hub;
use crate::keys::key;
use adapters::store::room::Reserve;
use adapters::store::sql::Opening;
use adapters::store::{SqlStore, audit_log};
use ports::Entropy;
use ports::keystore::KeyFault;
use ports::replay::Received;
use ports::store::{AuthorityStore, IdentityStore, LineStore, ModeStore, SoftwareStore};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// The name of the audit log, which its checkpoints say.
const LOG: &str = "cradle/32473/world";
/// The key that signs the checkpoints.
const AUDIT_KEY: &str = "audit";

/// All that a store keeps.
pub trait Records: AuthorityStore + IdentityStore + LineStore + ModeStore + SoftwareStore + Received {
    /// Compares all records with each other and with the audit log. Gives what does not agree.
    ///
    /// # Errors
    /// What cannot be read.
    fn verify(&self) -> Result<Vec<String>, String>;
}

impl Records for SqlStore {
    fn verify(&self) -> Result<Vec<String>, String> {
        let key = key(AUDIT_KEY).map_err(|e| e.to_string())?;
        let key = ports::Signer::public_key(key.as_ref());
        let audit = self.check_audit(&[], key, &mut |_| {}).map_err(|e| e.to_string())?;
        let deep = self.check_deep(&mut |_| {}).map_err(|e| e.to_string())?;
        let audit =
            audit.err().unwrap_or_default().into_iter().map(|finding: audit_log::Finding| format!("{finding:?}"));
        let deep = deep.err().unwrap_or_default().into_iter().map(|finding| format!("{finding:?}"));
        Ok(audit.chain(deep).collect())
    }
}

/// Makes and opens stores of one kind.
pub trait Kind: Send + Sync {
    /// Makes an empty store in a directory, or opens the one that is there.
    ///
    /// # Errors
    /// What the store fails with.
    fn open(&self, directory: &Path, hub: &Arc<Hub>, entropy: Arc<dyn Entropy>) -> Result<Arc<dyn Records>, String>;
}

/// The embedded store.
#[derive(Clone, Copy, Debug, Default)]
pub struct Sqlite;

impl Kind for Sqlite {
    fn open(&self, directory: &Path, hub: &Arc<Hub>, entropy: Arc<dyn Entropy>) -> Result<Arc<dyn Records>, String> {
        let opening = Opening {
            log_name: LOG.to_owned(),
            audit_key: key(AUDIT_KEY).map_err(|e: KeyFault| e.to_string())?,
            clock: hub.clone(),
            entropy,
            marks: None,
            // What a full disk does is shown elsewhere, on a disk that is full.
            reserve: Reserve { fixed: 0, each: 0 },
            server: None,
        };
        let store = SqlStore::make(directory, &opening).map_err(|e| e.to_string())?;
        Ok(Arc::new(store))
    }
}

static NEXT: AtomicU64 = AtomicU64::new(0);

/// A directory that is removed with its contents when it is dropped; in memory, where the system has such a place.
#[derive(Debug)]
pub struct Scratch(PathBuf);

impl Scratch {
    /// An empty directory.
    ///
    /// # Errors
    /// [`io::Error`]
    pub fn new() -> io::Result<Self> {
        let memory = Path::new("/dev/shm");
        let base = if memory.is_dir() { memory.to_owned() } else { std::env::temp_dir() };
        let name = format!("cradle-world-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let path = base.join(name);
        fs::create_dir(&path)?;
        Ok(Self(path))
    }
    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.0
    }
    /// The same files, as they are now.
    ///
    /// # Errors
    /// [`io::Error`]
    pub fn copy(&self) -> io::Result<Self> {
        let copy = Self::new()?;
        copy.take(self)?;
        Ok(copy)
    }
    /// Takes the files of another directory in the place of its own.
    ///
    /// # Errors
    /// [`io::Error`]
    pub fn take(&self, from: &Self) -> io::Result<()> {
        for entry in fs::read_dir(self.path())? {
            fs::remove_file(entry?.path())?;
        }
        for entry in fs::read_dir(from.path())? {
            let entry = entry?;
            fs::copy(entry.path(), self.0.join(entry.file_name()))?;
        }
        Ok(())
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _left_for_the_system = fs::remove_dir_all(&self.0);
    }
}
