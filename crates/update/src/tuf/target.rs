//! A target: what was announced of it by a role that may, and whether octets are it.

use super::fault::BadMetadata;
use super::hashes::{Hashes, Running};
use super::names::{target_file, target_path};
use crate::BadRelease;
use crate::json::Json;
use crate::metadata::{IMAGE_LEN_MAX, number, object};
use std::fmt;

/// What a targets role announces of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Announced {
    pub(super) length: u64,
    pub(super) hashes: Hashes,
    pub(super) custom: Option<Json>,
}

impl Announced {
    pub(super) fn read(about: &Json) -> Result<Self, BadMetadata> {
        let about = about.object().ok_or(BadRelease::Field("targets"))?;
        let length = number(about, "length")?;
        if length > IMAGE_LEN_MAX {
            return Err(BadRelease::BadLength.into());
        }
        let hashes = Hashes::read(object(about, "hashes")?)?;
        Ok(Self { length, hashes, custom: about.get("custom").cloned() })
    }
}

/// A target that was found by verified metadata. Only a client makes one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    name: String,
    about: Announced,
    // Whether the repository's files have hashes in their names.
    consistent: bool,
}

impl Target {
    pub(crate) fn new(name: &str, about: &Announced, consistent: bool) -> Self {
        Self { name: name.to_owned(), about: about.clone(), consistent }
    }
    /// Its name in the repository.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }
    /// How many octets it has.
    #[must_use]
    pub const fn length(&self) -> u64 {
        self.about.length
    }
    /// Its hashes.
    #[must_use]
    pub const fn hashes(&self) -> &Hashes {
        &self.about.hashes
    }
    pub(crate) const fn custom(&self) -> Option<&Json> {
        self.about.custom.as_ref()
    }
    /// Where it is, below the address of all targets: percent-encoded, and with its hash in front of the last part if the
    /// repository keeps its snapshots consistent.
    #[must_use]
    pub fn path(&self) -> String {
        target_path(&self.name, self.consistent.then(|| self.about.hashes.naming()).as_deref())
    }
    /// A name under which it can be kept, without folders, whatever it is called.
    #[must_use]
    pub fn file(&self) -> String {
        target_file(&self.name)
    }
    /// Begins to compare octets with it.
    #[must_use]
    pub fn check(&self) -> TargetCheck {
        TargetCheck { left: self.about.length, hashes: self.about.hashes.begin() }
    }
}

/// Compares octets with a target while they flow, in constant memory.
pub struct TargetCheck {
    left: u64,
    hashes: Running,
}

impl TargetCheck {
    /// Takes the next octets.
    ///
    /// # Errors
    /// [`BadMetadata::TargetTooLong`] if they are more than was announced.
    pub fn feed(&mut self, octets: &[u8]) -> Result<(), BadMetadata> {
        let len = u64::try_from(octets.len()).unwrap_or(u64::MAX);
        self.left = self.left.checked_sub(len).ok_or(BadMetadata::TargetTooLong)?;
        self.hashes.update(octets);
        Ok(())
    }

    /// How many octets are still to come.
    #[must_use]
    pub const fn left(&self) -> u64 {
        self.left
    }

    /// Compares the whole.
    ///
    /// # Errors
    /// [`BadMetadata::TargetMismatch`] if octets are missing, or any hash is another.
    pub fn finish(self) -> Result<(), BadMetadata> {
        if self.left == 0 && self.hashes.finish() { Ok(()) } else { Err(BadMetadata::TargetMismatch) }
    }
}

impl fmt::Debug for TargetCheck {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TargetCheck({} octets left)", self.left)
    }
}
