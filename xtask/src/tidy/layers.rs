//! `layers.toml` and `xtask/ratchet.toml` as they are written.

use serde::Deserialize;
use std::collections::BTreeMap;

/// `layers.toml`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Layers {
    pub levels: BTreeMap<String, u8>,
    pub outside: Outside,
    pub pure: Pure,
    pub drivers: Vec<Drivers>,
    pub durable: Durable,
    pub documents: Documents,
    pub fuzz: Fuzz,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Outside {
    pub crates: Vec<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Pure {
    pub level_max: u8,
    pub paths: Vec<Impure>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Impure {
    pub path: String,
    pub instead: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Drivers {
    pub crates: Vec<String>,
    pub only_in: Vec<String>,
    pub why: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Durable {
    pub only_in: Vec<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Documents {
    pub files: Vec<String>,
    pub folders: Vec<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Fuzz {
    pub crates: Vec<String>,
    pub targets: BTreeMap<String, String>,
}

/// `xtask/ratchet.toml`: what is larger than it should be, and how large it may be until somebody makes it smaller.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Ratchet {
    #[serde(default)]
    pub file: Vec<LargeFile>,
    #[serde(default)]
    pub function: Vec<LargeFunction>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct LargeFile {
    pub path: String,
    pub lines: usize,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct LargeFunction {
    pub path: String,
    pub name: String,
    pub lines: usize,
}

impl Layers {
    /// The level of a crate, if it has one.
    pub(super) fn level(&self, name: &str) -> Option<u8> {
        self.levels.get(name).copied()
    }

    /// Whether a crate must be pure.
    pub(super) fn is_pure(&self, name: &str) -> bool {
        self.level(name).is_some_and(|level| level <= self.pure.level_max)
    }
}
