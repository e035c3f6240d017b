//! What can be wrong with a repository's metadata, and what attack that is.

use crate::fault::BadRelease;
use std::fmt;

/// A class of attacks on software updates. Source: TUF 1.0.34 §1.5.2; Uptane 2.1.0 §4.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Attack {
    /// Something older in the place of what was known already.
    Rollback,
    /// Something that has expired: what is newer is held back.
    Freeze,
    /// Something that those who may say so have not said.
    ArbitrarySoftware,
    /// Parts that never belonged together.
    MixAndMatch,
    /// More octets, roles or steps than anybody needs.
    EndlessData,
    /// Octets so slow that the update never ends.
    SlowRetrieval,
    /// Software for another kind of device.
    WrongHardware,
}

impl Attack {
    /// What it is called.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Rollback => "rollback",
            Self::Freeze => "freeze",
            Self::ArbitrarySoftware => "arbitrary software",
            Self::MixAndMatch => "mix-and-match",
            Self::EndlessData => "endless data",
            Self::SlowRetrieval => "slow retrieval",
            Self::WrongHardware => "wrong hardware",
        }
    }
}

/// What is wrong with a metadata file, with a target, or with getting them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum BadMetadata {
    // The file.
    /// It is not written as TUF writes it.
    Shape(BadRelease),
    /// `_type` is that of another role.
    OtherRole,
    /// A role that no signature at all would satisfy.
    NoThreshold,
    /// A key identifier stands twice in one role.
    KeyNamedTwice,
    /// A key identifier stands twice under one file.
    SignedTwice,
    /// More signatures, keys or patterns than [`super::Limits`] have room for.
    TooMany,
    /// The name of a role is empty, too long, or that of one of the four.
    BadRoleName,
    /// A role is delegated twice in one file, or in two ways at once, or in none.
    BadDelegation,
    /// Two roles that must agree have a key in common.
    SharedKey,
    /// There is no hash that is known here, or it is not well written.
    NoHash,
    // Signatures, versions, time.
    /// Fewer different keys have signed than must.
    TooFewSignatures,
    /// A root that is not the next one.
    NotNextRoot,
    /// An older version than one that was known already.
    RolledBack,
    /// A role that the snapshot before named is not in this one.
    Vanished,
    /// It has expired.
    Expired,
    /// Its version is not the one that was announced.
    OtherVersion,
    /// Its length or a hash is not the one that was announced.
    OtherOctets,
    /// A role was delegated to, and the snapshot does not name it.
    NotInSnapshot,
    // Getting it.
    /// It is longer than it may be.
    TooLong,
    /// It comes too slowly.
    TooSlow,
    /// A file is not there that must be.
    NotThere,
    /// The repository could not be asked.
    Unreachable,
    /// The search would visit more roles than [`super::Limits`] allow.
    TooManyRoles,
    // Targets.
    /// A target's name leads out of the repository, or is none.
    BadTargetName,
    /// No role that may says anything of this target.
    NoTarget,
    /// Fewer roles than must say the same of this target.
    NotAgreed,
    /// The time from which on the target may be put on devices has not come.
    TooEarly,
    /// The time until which the target may be put on devices is over.
    TooLate,
    /// The target is longer than was announced.
    TargetTooLong,
    /// The target is shorter than was announced, or is another.
    TargetMismatch,
    // The caller.
    /// The client was answered what it had not asked. It must be begun anew.
    OutOfStep,
}

impl BadMetadata {
    /// What attack this may be; `None` if it may be a mistake only, or a line that is cut.
    #[must_use]
    pub const fn attack(self) -> Option<Attack> {
        Some(match self {
            Self::RolledBack | Self::Vanished | Self::NotNextRoot => Attack::Rollback,
            Self::Expired => Attack::Freeze,
            Self::OtherRole | Self::NoThreshold | Self::KeyNamedTwice | Self::SignedTwice => Attack::ArbitrarySoftware,
            Self::TooFewSignatures | Self::BadRoleName | Self::BadDelegation => Attack::ArbitrarySoftware,
            Self::BadTargetName | Self::TargetMismatch | Self::NoHash => Attack::ArbitrarySoftware,
            Self::SharedKey | Self::NotAgreed => Attack::ArbitrarySoftware,
            Self::TooLate => Attack::Freeze,
            Self::OtherVersion | Self::OtherOctets | Self::NotInSnapshot => Attack::MixAndMatch,
            Self::TooLong | Self::TooMany | Self::TooManyRoles | Self::TargetTooLong => Attack::EndlessData,
            Self::Shape(BadRelease::TooDeep | BadRelease::TooLong) => Attack::EndlessData,
            Self::TooSlow => Attack::SlowRetrieval,
            Self::Shape(_) | Self::NotThere | Self::Unreachable | Self::NoTarget | Self::OutOfStep => return None,
            Self::TooEarly => return None,
        })
    }

    const fn what(self) -> &'static str {
        match self {
            Self::Shape(_) => "it is not metadata",
            Self::OtherRole => "it is the metadata of another role",
            Self::NoThreshold => "a role in it needs no signature at all",
            Self::KeyNamedTwice => "a role in it names one key twice",
            Self::SignedTwice => "it is signed twice under one key identifier",
            Self::TooMany => "it has more signatures, keys or patterns than anybody needs",
            Self::BadRoleName => "a role in it has a name that no delegated role may have",
            Self::BadDelegation => "it delegates in a way that can be read in two ways, or in none",
            Self::SharedKey => "two roles in it that must agree have a key in common",
            Self::NoHash => "it announces something without a hash that is known here",
            Self::TooFewSignatures => "fewer of the role's keys have signed it than must",
            Self::NotNextRoot => "it is not the root that follows the one that is trusted",
            Self::RolledBack => "it is older than what is trusted already",
            Self::Vanished => "a role that was in the snapshot before is gone",
            Self::Expired => "it has expired",
            Self::OtherVersion => "its version is not the one that was announced",
            Self::OtherOctets => "its length or hash is not the one that was announced",
            Self::NotInSnapshot => "it is delegated to, and not in the snapshot",
            Self::TooLong => "it is longer than it may be",
            Self::TooSlow => "it comes too slowly",
            Self::NotThere => "it is not there",
            Self::Unreachable => "the repository cannot be reached",
            Self::TooManyRoles => "the search would visit too many roles",
            Self::BadTargetName => "this cannot be the name of a target",
            Self::NoTarget => "no role that may says anything of this target",
            Self::NotAgreed => "fewer roles than must say the same of this target",
            Self::TooEarly => "the time for this target has not come",
            Self::TooLate => "the time for this target is over",
            Self::TargetTooLong => "the target is longer than was announced",
            Self::TargetMismatch => "the target is not the one that was announced",
            Self::OutOfStep => "the client was answered what it had not asked",
        }
    }
}

impl From<BadRelease> for BadMetadata {
    fn from(bad: BadRelease) -> Self {
        Self::Shape(bad)
    }
}

impl fmt::Display for BadMetadata {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Shape(bad) => write!(f, "{}: {bad}", self.what())?,
            other => f.write_str(other.what())?,
        }
        match self.attack() {
            Some(attack) => write!(f, " (may be an attack: {})", attack.name()),
            None => Ok(()),
        }
    }
}
impl std::error::Error for BadMetadata {}

/// What is wrong, and with which file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    /// The file, or the target.
    pub file: String,
    /// What is wrong with it.
    pub bad: BadMetadata,
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.file, self.bad)
    }
}
impl std::error::Error for Refused {}
