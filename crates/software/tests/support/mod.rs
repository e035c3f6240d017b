//! A store, a vault and a stick in memory, which fail when they are told to.
#![allow(dead_code, missing_docs, unreachable_pub, reason = "shared by files that each use a part of it")]

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};
use model::audit::Entry;
use model::contract::software::Source;
use model::{Digest, Fault, Module, UnixTime};
use ports::source::{Files, NotFetched, Repositories, Sources};
use ports::store::software::{BundleRow, TrustedFile};
use ports::store::{AuditSink, SoftwareStore, StoreFault};
use ports::vault::{BlobName, Vault, VaultFault};
use ports::{Clock, SignFault, Signer};
use software::{Parts, Software};
use std::collections::BTreeMap;
use std::io::{Cursor, Read};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use update::bundle::Primary;
use x509::{KeyType, PublicKey};

pub struct Key(Ed25519KeyPair, PublicKey);

pub fn key(n: u8) -> Key {
    let pair = Ed25519KeyPair::from_seed_unchecked(x509::sha256(&[n]).octets()).unwrap();
    let public = PublicKey::from_bits(KeyType::Ed25519, pair.public_key().as_ref()).unwrap();
    Key(pair, public)
}
impl Signer for Key {
    fn public_key(&self) -> &PublicKey {
        &self.1
    }
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, SignFault> {
        Ok(self.0.sign(message).as_ref().to_vec())
    }
}

#[derive(Default)]
pub struct World {
    pub log: Mutex<Vec<Entry>>,
    pub blobs: Mutex<BTreeMap<String, Vec<u8>>>,
    pub bundles: Mutex<Vec<BundleRow>>,
    /// What is trusted, by module, repository and name.
    pub trusted: Mutex<BTreeMap<(Module, Digest, String), Vec<u8>>>,
    /// The sticks, by name, with the files on them.
    pub sticks: Mutex<BTreeMap<String, BTreeMap<String, Vec<u8>>>>,
    /// The targets that were opened.
    pub opened: Mutex<Vec<String>>,
    /// Files that come too slowly.
    pub slow: Mutex<Vec<String>>,
    /// Octets that were read from files.
    pub read: Arc<AtomicU64>,
    pub now_s: AtomicU64,
    /// The n-th call of store or vault fails from here on. 0: none.
    pub fail_from: AtomicU64,
    pub calls: AtomicU64,
}

impl World {
    fn fails(&self) -> bool {
        let call = self.calls.fetch_add(1, Ordering::SeqCst) + 1;
        let from = self.fail_from.load(Ordering::SeqCst);
        from != 0 && call >= from
    }
    fn try_store(&self) -> Result<(), StoreFault> {
        if self.fails() { Err(StoreFault::Engine("store")) } else { Ok(()) }
    }
    fn try_vault(&self) -> Result<(), VaultFault> {
        if self.fails() { Err(VaultFault::Medium("vault")) } else { Ok(()) }
    }
    pub fn blob_names(&self) -> Vec<String> {
        self.blobs.lock().unwrap().keys().cloned().collect()
    }
}

impl AuditSink for World {
    fn append(&self, entries: Vec<Entry>) -> Result<(), StoreFault> {
        self.try_store()?;
        self.log.lock().unwrap().extend(entries);
        Ok(())
    }
}

impl SoftwareStore for World {
    fn store_bundle(&self, row: &BundleRow) -> Result<(), StoreFault> {
        self.try_store()?;
        let mut bundles = self.bundles.lock().unwrap();
        bundles.retain(|old| old.digest != row.digest);
        bundles.insert(0, row.clone());
        Ok(())
    }
    fn bundles(&self) -> Result<Vec<BundleRow>, StoreFault> {
        self.try_store()?;
        Ok(self.bundles.lock().unwrap().clone())
    }
    fn last_bundle(&self) -> Result<Option<BundleRow>, StoreFault> {
        self.try_store()?;
        Ok(self.bundles.lock().unwrap().first().cloned())
    }
    fn trusted(&self, module: Module, repository: Digest) -> Result<BTreeMap<String, Vec<u8>>, StoreFault> {
        self.try_store()?;
        let trusted = self.trusted.lock().unwrap();
        let of = trusted.iter().filter(|((m, r, _), _)| (*m, *r) == (module, repository));
        Ok(of.map(|((_, _, name), octets)| (name.clone(), octets.clone())).collect())
    }
    fn keep_trusted(&self, module: Module, files: &[TrustedFile]) -> Result<(), StoreFault> {
        self.try_store()?;
        let mut trusted = self.trusted.lock().unwrap();
        for TrustedFile { repository, name, octets } in files {
            let key = (module, *repository, name.clone());
            match octets {
                Some(octets) => trusted.insert(key, octets.clone()),
                None => trusted.remove(&key),
            };
        }
        Ok(())
    }
}

impl Vault for World {
    fn put(&self, source: &mut dyn Read, len_max: u64) -> Result<BlobName, VaultFault> {
        self.try_vault()?;
        let mut octets = Vec::new();
        source.take(len_max + 1).read_to_end(&mut octets).map_err(|_| VaultFault::Source)?;
        if u64::try_from(octets.len()).unwrap() > len_max {
            return Err(VaultFault::TooLong);
        }
        self.try_vault()?;
        let mut blobs = self.blobs.lock().unwrap();
        let name = format!("blob-{}", self.calls.load(Ordering::SeqCst));
        blobs.insert(name.clone(), octets);
        Ok(BlobName(name))
    }
    fn open(&self, name: &BlobName) -> Result<Box<dyn Read + Send>, VaultFault> {
        self.try_vault()?;
        let octets = self.blobs.lock().unwrap().get(&name.0).cloned().ok_or(VaultFault::Missing)?;
        Ok(Box::new(Cursor::new(octets)))
    }
    fn remove(&self, name: &BlobName) -> Result<(), VaultFault> {
        self.try_vault()?;
        self.blobs.lock().unwrap().remove(&name.0).map(|_| ()).ok_or(VaultFault::Missing)
    }
    fn list(&self) -> Result<Vec<BlobName>, VaultFault> {
        self.try_vault()?;
        Ok(self.blobs.lock().unwrap().keys().cloned().map(BlobName).collect())
    }
}

struct Counted<R>(R, Arc<AtomicU64>);
impl<R: Read> Read for Counted<R> {
    fn read(&mut self, out: &mut [u8]) -> std::io::Result<usize> {
        let read = self.0.read(out)?;
        self.1.fetch_add(u64::try_from(read).unwrap(), Ordering::SeqCst);
        Ok(read)
    }
}

/// The files of a stick below a folder.
struct Folder {
    files: BTreeMap<String, Vec<u8>>,
    below: &'static str,
    world: Arc<World>,
}
impl Files for Folder {
    fn fetch(&self, path: &str, len_max: u64) -> Result<Vec<u8>, NotFetched> {
        if self.world.slow.lock().unwrap().iter().any(|slow| path.ends_with(slow)) {
            return Err(NotFetched::TooSlow);
        }
        let octets = self.files.get(&format!("{}/{path}", self.below)).ok_or(NotFetched::NotThere)?;
        if u64::try_from(octets.len()).is_ok_and(|len| len > len_max) {
            Err(NotFetched::TooLong)
        } else {
            Ok(octets.clone())
        }
    }
    fn open(&self, path: &str, _len_max: u64) -> Result<Box<dyn Read + Send>, NotFetched> {
        self.world.opened.lock().unwrap().push(path.to_owned());
        let octets = self.fetch(path, u64::MAX)?;
        Ok(Box::new(Counted(Cursor::new(octets), Arc::clone(&self.world.read))))
    }
}

/// Finds the sticks of a world.
pub struct Sticks(pub Arc<World>);
impl Sources for Sticks {
    fn open(&self, source: &Source) -> Result<Repositories, Fault> {
        let Source::Directory(name) = source else { return Err(Fault::unavailable("there is no line")) };
        let files = self.0.sticks.lock().unwrap().get(name).cloned().ok_or(Fault::unavailable("no such stick"))?;
        let below =
            |below| -> Box<dyn Files> { Box::new(Folder { files: files.clone(), below, world: Arc::clone(&self.0) }) };
        let director = files.keys().any(|name| name.starts_with("director/")).then(|| below("director/metadata"));
        Ok(Repositories { images: below("images/metadata"), targets: below("images/targets"), director })
    }
}

impl Clock for World {
    fn now(&self) -> UnixTime {
        UnixTime::from_s(self.now_s.load(Ordering::SeqCst))
    }
}

pub const NOW_S: u64 = 1_790_000_000;
pub const SM: u8 = 2;

/// sm in a world, for a box that follows repositories or none.
pub fn following(world: &Arc<World>, own_key: u8, primary: Option<Primary>) -> Software {
    Software::new(Parts {
        store: Arc::<World>::clone(world),
        vault: Arc::<World>::clone(world),
        sources: Arc::new(Sticks(Arc::clone(world))),
        primary,
        clock: Arc::<World>::clone(world),
        signer: Arc::new(key(own_key)),
    })
}
