//! The maker of the demonstration: a repository of software in plain files, and what others do to copies of it.

use crate::fault::{Exit, Failure, Result};
use adapters::files;
use adapters::keystore::memory::MemoryKey;
use model::UnixTime;
use ports::Signer;
use repository::{Lifetimes, OldKeys, Repository, Start};
use serde_json::json;
use std::io::Cursor;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use update::Threshold;
use update::tuf::write::{Custom, Key, Top};
use x509::{KeyType, pem};
use zeroize::Zeroizing;

/// What the software is called in the repository that boards leave the factory with.
pub(super) const FACTORY: &str = "demo-os.bin";
/// The two parts of a repository that others see.
const SEEN: [&str; 2] = ["metadata", "targets"];

/// Who publishes, with one key for all four roles: this is a demonstration.
pub(super) struct Maker {
    dir: PathBuf,
    key: Arc<dyn Signer>,
    repository: Repository,
}

fn failed(why: impl std::fmt::Display) -> Failure {
    Failure::new(Exit::Failed, "demo", "the maker of the demonstration cannot publish").because(why)
}

impl Maker {
    /// Begins a repository, with one release in it.
    pub(super) fn begin(dir: PathBuf, image: &[u8], now: UnixTime) -> Result<Self> {
        let file = dir.join("keys").join("maker.pem");
        for folder in [&dir, &dir.join("keys")] {
            files::private_directory(folder).map_err(|e| Failure::file(folder, &e))?;
        }
        let pkcs8 = MemoryKey::generate_pkcs8(KeyType::Ed25519).map_err(failed)?;
        let text = Zeroizing::new(pem::encode("PRIVATE KEY", &pkcs8));
        files::write_new(&file, text.as_bytes()).map_err(|e| Failure::file(&file, &e))?;
        let key: Arc<dyn Signer> = Arc::new(MemoryKey::open(&pkcs8).map_err(failed)?);
        let public = Key::new(key.public_key()).ok_or_else(|| failed("its key is of another type"))?;
        let roles = Top::ALL.into_iter().map(|role| (role, (vec![public.clone()], Threshold::ONE))).collect();
        let start = Start { roles, lifetimes: Lifetimes::DEFAULT };
        let repository = Repository::begin(&dir, &start, now, Box::new(|_| Ok(()))).map_err(failed)?;
        let mut maker = Self { dir, key, repository };
        maker.publish(FACTORY, ("1.4.1", 6), image, now)?;
        Ok(maker)
    }

    /// Publishes a release for both types of boards, in place of the one of that name.
    pub(super) fn publish(
        &mut self,
        name: &str,
        (version, counter): (&str, u64),
        image: &[u8],
        now: UnixTime,
    ) -> Result {
        let about = json!({
            "release": "demo-os", "release_version": version, "release_counter": counter,
            "hardware_ids": ["sensor", "gateway"],
        });
        let custom = Custom::of_json(about.to_string().as_bytes()).map_err(failed)?;
        self.repository.add(name, &mut Cursor::new(image), Some(&custom), None, now).map_err(failed)?;
        self.repository.publish(&[Arc::clone(&self.key)], now, OldKeys::Sign).map_err(failed)?;
        Ok(())
    }

    /// The first root: from there on a box believes.
    pub(super) fn root(&self) -> PathBuf {
        self.metadata().join("1.root.json")
    }

    /// What is said of all that there is.
    pub(super) fn metadata(&self) -> PathBuf {
        self.dir.join("metadata")
    }

    /// A target, by its path below the others.
    pub(super) fn target(&self, path: &str) -> PathBuf {
        self.dir.join("targets").join(path)
    }

    /// Copies what others see of it, as somebody does who carries a stick.
    pub(super) fn copy(&self, to: &Path) -> Result {
        for part in SEEN {
            let (from, to) = (self.dir.join(part), to.join(part));
            std::fs::create_dir_all(&to).map_err(|e| Failure::file(&to, &e))?;
            for entry in std::fs::read_dir(&from).map_err(|e| Failure::file(&from, &e))? {
                let entry = entry.map_err(|e| Failure::file(&from, &e))?;
                std::fs::copy(entry.path(), to.join(entry.file_name())).map_err(|e| Failure::file(&from, &e))?;
            }
        }
        Ok(())
    }
}

/// Changes one bit of each image on a stick.
pub(super) fn alter(stick: &Path) -> Result {
    let images = stick.join("targets");
    for entry in std::fs::read_dir(&images).map_err(|e| Failure::file(&images, &e))? {
        let path = entry.map_err(|e| Failure::file(&images, &e))?.path();
        let mut octets = std::fs::read(&path).map_err(|e| Failure::file(&path, &e))?;
        let middle = octets.len() / 2;
        if let Some(octet) = octets.get_mut(middle) {
            *octet ^= 1;
        }
        std::fs::write(&path, octets).map_err(|e| Failure::file(&path, &e))?;
    }
    Ok(())
}
