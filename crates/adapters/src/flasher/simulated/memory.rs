//! What a simulated board remembers.

use super::super::fault;
use super::key::Key;
use model::octets::Base64;
use model::{BoardId, Digest};
use ports::flasher::{BoardFault, Part};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use x509::KeyType;

/// Longest file of a board in octets; chain and trust anchors are the largest part of it.
const FILE_LEN_MAX: u64 = 1024 * 1024;

/// What a board holds, for tests and demonstrations that look into it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Contents {
    /// Length in octets and digest of the image, computed over the octets that the board stored.
    pub image: Option<(u64, Digest)>,
    /// What was written as trust anchors.
    pub trust_anchors: Option<Vec<u8>>,
    /// What was written as certificate chain.
    pub certificate_chain: Option<Vec<u8>>,
    /// The private key in PKCS #8, and its type.
    pub key: Option<(KeyType, Vec<u8>)>,
}

/// The memory of one board, shared by all who hold the board.
pub(super) struct Cell {
    path: Option<PathBuf>,
    memory: Mutex<Option<Memory>>,
}

/// The memory as it stands in a file.
#[derive(Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Memory {
    pub(super) image: Option<Image>,
    trust_anchors: Option<Base64>,
    certificate_chain: Option<Base64>,
    key: Option<StoredKey>,
    /// How often each of the fixture's faults has happened to this board, by its number in the configuration.
    spent: BTreeMap<usize, u32>,
    #[serde(skip)]
    open_key: Option<Key>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Image {
    pub(super) length: u64,
    pub(super) sha256: Digest,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct StoredKey {
    key_type: String,
    pkcs8: Base64,
}

impl Cell {
    pub(super) fn new(directory: Option<&Path>, board: &BoardId) -> Self {
        // The alphabet of a board identifier has no '/', and it does not begin with '.'.
        Self { path: directory.map(|d| d.join(format!("{board}.json"))), memory: Mutex::new(None) }
    }

    /// Works with the memory, which is read from its file first if need be.
    pub(super) fn with<T>(&self, f: impl FnOnce(&mut Memory) -> Result<T, BoardFault>) -> Result<T, BoardFault> {
        let mut memory = self.memory.lock().unwrap_or_else(PoisonError::into_inner);
        match &mut *memory {
            Some(memory) => f(memory),
            empty => f(empty.insert(self.load()?)),
        }
    }

    /// Works with the memory and writes it back, also if the work failed: what happened to the board has happened.
    pub(super) fn change<T>(&self, f: impl FnOnce(&mut Memory) -> Result<T, BoardFault>) -> Result<T, BoardFault> {
        self.with(|memory| {
            let result = f(memory);
            self.save(memory)?;
            result
        })
    }

    pub(super) fn save(&self, memory: &Memory) -> Result<(), BoardFault> {
        let Some(path) = &self.path else { return Ok(()) };
        let text = serde_json::to_vec(memory).map_err(fault::system("a board's memory"))?;
        let new = path.with_added_extension("new");
        std::fs::write(&new, text).map_err(fault::system("a board's file"))?;
        std::fs::rename(&new, path).map_err(fault::system("a board's file"))
    }

    fn load(&self) -> Result<Memory, BoardFault> {
        let Some(path) = &self.path else { return Ok(Memory::default()) };
        let file = match std::fs::File::open(path) {
            Ok(file) => file,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Memory::default()),
            Err(error) => return Err(fault::system("a board's file")(error)),
        };
        let mut text = Vec::new();
        file.take(FILE_LEN_MAX).read_to_end(&mut text).map_err(fault::system("a board's file"))?;
        let damaged = |error: &dyn std::fmt::Display| fault::fixture(format_args!("{}: {error}", path.display()));
        let mut memory: Memory = serde_json::from_slice(&text).map_err(|e| damaged(&e))?;
        if let Some(StoredKey { key_type, pkcs8 }) = &memory.key {
            let key_type = KeyType::by_name(key_type).ok_or_else(|| damaged(&"unknown key type"))?;
            memory.open_key = Some(Key::read(key_type, &pkcs8.0)?);
        }
        Ok(memory)
    }
}

impl Memory {
    /// The key, which is made if there is none.
    pub(super) fn key(&mut self, key_type: KeyType) -> Result<&Key, BoardFault> {
        if self.open_key.is_none() {
            let (key, pkcs8) = Key::generate(key_type)?;
            self.key = Some(StoredKey { key_type: key_type.to_string(), pkcs8: Base64(pkcs8) });
            self.open_key = Some(key);
        }
        self.open_key()
            .filter(|key| key.key_type() == key_type)
            .ok_or_else(|| fault::refused(format_args!("this board has a key already, and it is no {key_type} key")))
    }

    pub(super) fn open_key(&self) -> Option<&Key> {
        self.open_key.as_ref()
    }

    pub(super) fn forget_key(&mut self) {
        (self.key, self.open_key) = (None, None);
    }

    pub(super) fn put(&mut self, part: Part, octets: &[u8]) {
        let place = match part {
            Part::TrustAnchors => &mut self.trust_anchors,
            Part::CertificateChain => &mut self.certificate_chain,
        };
        *place = Some(Base64(octets.to_vec()));
    }

    /// Counts one more time of a fault that happens at most `times` times; whether it happens now.
    pub(super) fn happens(&mut self, number: usize, times: Option<u32>) -> bool {
        let spent = self.spent.entry(number).or_default();
        let now = times.is_none_or(|times| *spent < times);
        *spent = spent.saturating_add(u32::from(now));
        now
    }

    pub(super) fn contents(&self) -> Contents {
        let octets = |part: &Option<Base64>| part.as_ref().map(|b| b.0.clone());
        let key = self.key.as_ref();
        Contents {
            image: self.image.as_ref().map(|i| (i.length, i.sha256)),
            trust_anchors: octets(&self.trust_anchors),
            certificate_chain: octets(&self.certificate_chain),
            key: key.and_then(|k| Some((KeyType::by_name(&k.key_type)?, k.pkcs8.0.clone()))),
        }
    }
}
