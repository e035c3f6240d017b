//! Hashes of files: which are known, and the comparison of octets with all of them while they flow.

use super::fault::BadMetadata;
use crate::json::Json;
use crate::metadata::Object;
use aws_lc_rs::digest::{Algorithm, Context, SHA256, SHA384, SHA512};
use model::Digest;
use model::octets::{from_hex, hex};
use std::collections::BTreeMap;
use std::fmt;

/// A hash function that is known here. The first is the one that names files.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum HashFunction {
    /// SHA-256.
    Sha256,
    /// SHA-384.
    Sha384,
    /// SHA-512.
    Sha512,
}

const KNOWN: [(&str, HashFunction); 3] =
    [("sha256", HashFunction::Sha256), ("sha384", HashFunction::Sha384), ("sha512", HashFunction::Sha512)];

impl HashFunction {
    const fn algorithm(self) -> &'static Algorithm {
        match self {
            Self::Sha256 => &SHA256,
            Self::Sha384 => &SHA384,
            Self::Sha512 => &SHA512,
        }
    }
    /// What it is called in metadata.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Sha256 => "sha256",
            Self::Sha384 => "sha384",
            Self::Sha512 => "sha512",
        }
    }
}

/// The hashes of a file, by all functions that are known here. At least one.
#[derive(Clone, PartialEq, Eq)]
pub struct Hashes(BTreeMap<HashFunction, Vec<u8>>);

impl Hashes {
    /// Those that are known; what is not known is left out, and nothing being left is refused: it could not be checked.
    pub(crate) fn read(object: &Object) -> Result<Self, BadMetadata> {
        let mut hashes = BTreeMap::new();
        for (name, function) in KNOWN {
            let Some(text) = object.get(name) else { continue };
            let octets = text.text().and_then(|text| from_hex(text).ok()).ok_or(BadMetadata::NoHash)?;
            if octets.len() != function.algorithm().output_len() {
                return Err(BadMetadata::NoHash);
            }
            hashes.insert(function, octets);
        }
        if hashes.is_empty() { Err(BadMetadata::NoHash) } else { Ok(Self(hashes)) }
    }

    /// That of one function.
    pub(crate) fn of_sha256(digest: Digest) -> Self {
        Self(BTreeMap::from([(HashFunction::Sha256, digest.octets().to_vec())]))
    }

    /// The hash that stands in the name of a file, in hexadecimal digits.
    #[must_use]
    pub fn naming(&self) -> String {
        self.0.values().next().map(|octets| hex(octets)).unwrap_or_default()
    }

    /// All of them, as metadata has them.
    pub(crate) fn json(&self) -> Json {
        let member =
            |(function, octets): (&HashFunction, &Vec<u8>)| (function.name().to_owned(), Json::Text(hex(octets)));
        Json::Object(self.0.iter().map(member).collect())
    }

    /// The hash of one function.
    #[must_use]
    pub fn of(&self, function: HashFunction) -> Option<&[u8]> {
        self.0.get(&function).map(Vec::as_slice)
    }

    pub(super) fn begin(&self) -> Running {
        Running(self.0.iter().map(|(f, expected)| (Context::new(f.algorithm()), expected.clone())).collect())
    }

    pub(super) fn hold(&self, octets: &[u8]) -> bool {
        let mut running = self.begin();
        running.update(octets);
        running.finish()
    }
}

impl fmt::Debug for Hashes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.0.iter().map(|(function, octets)| (function, hex(octets)))).finish()
    }
}

/// All hashes of a file over what has flowed by.
pub(super) struct Running(Vec<(Context, Vec<u8>)>);

impl Running {
    pub(super) fn update(&mut self, octets: &[u8]) {
        self.0.iter_mut().for_each(|(context, _)| context.update(octets));
    }
    // All of them must hold: who can forge one function is not helped by it.
    pub(super) fn finish(self) -> bool {
        !self.0.is_empty() && self.0.into_iter().all(|(context, expected)| context.finish().as_ref() == expected)
    }
}
