//! A target: what was announced of it by a role that may, and whether octets are it.

use super::fault::BadMetadata;
use super::hashes::{Hashes, Running};
use super::names::{target_file, target_path};
use crate::BadRelease;
use crate::json::Json;
use crate::metadata::{IMAGE_LEN_MAX, Image, number, object, read_time};
use model::UnixTime;
use std::fmt;

/// What a targets role announces of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Announced {
    pub(super) length: u64,
    pub(super) hashes: Hashes,
    pub(super) custom: Option<Json>,
    // When it may be put on a device, by each who agrees.
    windows: Vec<Json>,
    // How many roles say the same of it, each with keys of its own.
    agreeing: usize,
}

/// In `custom`, the member that says from when until when a target may be put on a device.
pub(super) const WINDOW: &str = "release_window";

impl Announced {
    pub(super) fn read(about: &Json) -> Result<Self, BadMetadata> {
        let about = about.object().ok_or(BadRelease::Field("targets"))?;
        let length = number(about, "length")?;
        if length > IMAGE_LEN_MAX {
            return Err(BadRelease::BadLength.into());
        }
        let hashes = Hashes::read(object(about, "hashes")?)?;
        let custom = about.get("custom").cloned();
        let windows = custom.as_ref().and_then(Json::object).and_then(|custom| custom.get(WINDOW)).cloned();
        Ok(Self { length, hashes, windows: windows.into_iter().collect(), agreeing: 1, custom })
    }

    /// What it says of when, if it does.
    pub(super) fn window_said(&self) -> Option<&Json> {
        self.windows.first()
    }
    /// The same, as so many say it, bound by all of these.
    pub(super) fn as_agreed(&self, agreeing: usize, windows: Vec<Json>) -> Self {
        Self { windows, agreeing, ..self.clone() }
    }

    /// Whether another says the same of the target, but for when.
    pub(super) fn says_the_same(&self, other: &Self) -> bool {
        let said = |one: &Self| {
            let mut custom = one.custom.as_ref().and_then(Json::object).cloned().unwrap_or_default();
            custom.remove(WINDOW);
            custom
        };
        self.length == other.length && self.hashes == other.hashes && said(self) == said(other)
    }

    /// Whether this is the time for it, by all who say something of that.
    pub(super) fn is_in_time(&self, now: UnixTime) -> Result<(), BadMetadata> {
        const FIELD: BadRelease = BadRelease::Field(WINDOW);
        for window in &self.windows {
            let window = window.object().ok_or(FIELD)?;
            let time = |field: &str| match window.get(field) {
                None => Ok(None),
                Some(text) => text.text().and_then(read_time).map(Some).ok_or(FIELD),
            };
            if time("not_before")?.is_some_and(|from| now < from) {
                return Err(BadMetadata::TooEarly);
            }
            if time("not_after")?.is_some_and(|until| now.whole_second() > until) {
                return Err(BadMetadata::TooLate);
            }
        }
        Ok(())
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
    /// How many roles say the same of it, each with keys of its own: more than one only where several must agree (TAP 3).
    #[must_use]
    pub const fn agreeing(&self) -> usize {
        self.about.agreeing
    }
    /// Its hashes.
    #[must_use]
    pub const fn hashes(&self) -> &Hashes {
        &self.about.hashes
    }
    /// Another one in the same repository, of which whoever announced this one has said so much.
    pub(crate) fn beside(&self, name: &str, Image { digest, length }: Image) -> Self {
        let hashes = Hashes::of_sha256(digest);
        let about = Announced { length, hashes, custom: None, windows: Vec::new(), agreeing: self.about.agreeing };
        Self::new(name, &about, self.consistent)
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

/// A target as if metadata had announced it.
#[cfg(test)]
pub(crate) fn announced(name: &str, about: &str) -> Target {
    let about = Announced::read(&Json::read(about.as_bytes()).unwrap()).unwrap();
    Target::new(name, &about, true)
}
