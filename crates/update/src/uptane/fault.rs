//! What can be wrong with directions and manifests, and what attack that is.

use crate::fault::BadRelease;
use crate::tuf::Attack;
use std::fmt;

/// What is wrong with what the director says, or with what a device reports.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum BadDirections {
    /// It is not written as it must be.
    Shape(BadRelease),
    /// The director delegates.
    Delegates,
    /// The directions are another device's.
    OtherDevice,
    /// A target is for no component.
    NoComponent,
    /// The device has no such component.
    UnknownComponent,
    /// There are two answers for one component.
    ComponentTwice,
    /// The director and the image repository do not say the same: another length.
    OtherLength,
    /// They do not say the same: another hash, or one that only one of them has.
    OtherHashes,
    /// They do not say the same: another release counter.
    OtherCounter,
    /// They do not say the same: another name.
    OtherName,
    /// Fewer roles of the image repository say it than the component demands.
    TooFewAgree,
    /// It is not for the hardware of the component.
    WrongHardware,
    /// Its release counter is below that of what the component has.
    RolledBack,
    /// More components than a device has.
    TooMany,
    // Manifests.
    /// The manifest is not signed by the device.
    NotTheDevice,
    /// A report is not signed by its component.
    NotTheComponent,
    /// The manifest, or a report in it, does not have the nonce that was asked for: it is an older one.
    Replayed,
    /// A component does not report.
    ComponentMissing,
    /// The manifest is not sealed.
    NotSealed,
    /// The manifest is sealed to another key, for another device, or was altered.
    OtherSeal,
}

impl BadDirections {
    /// What attack this may be; `None` if it may be a mistake only.
    #[must_use]
    pub const fn attack(self) -> Option<Attack> {
        Some(match self {
            Self::OtherDevice | Self::ComponentTwice | Self::ComponentMissing => Attack::MixAndMatch,
            Self::OtherLength | Self::OtherHashes | Self::OtherCounter | Self::OtherName => Attack::MixAndMatch,
            Self::Delegates | Self::UnknownComponent => Attack::ArbitrarySoftware,
            Self::NotTheDevice | Self::NotTheComponent => Attack::ArbitrarySoftware,
            Self::TooFewAgree => Attack::ArbitrarySoftware,
            Self::WrongHardware => Attack::WrongHardware,
            Self::RolledBack | Self::Replayed => Attack::Rollback,
            Self::TooMany | Self::Shape(BadRelease::TooDeep | BadRelease::TooLong) => Attack::EndlessData,
            Self::Shape(_) | Self::NoComponent | Self::NotSealed | Self::OtherSeal => return None,
        })
    }

    const fn what(self) -> &'static str {
        match self {
            Self::Shape(_) => "it is not written as it must be",
            Self::Delegates => "the director delegates, which it must not",
            Self::OtherDevice => "the directions are for another device",
            Self::NoComponent => "a target is for no component",
            Self::UnknownComponent => "a component is named that this device does not have",
            Self::ComponentTwice => "a component is named twice",
            Self::OtherLength => "the director and the image repository say different lengths",
            Self::OtherHashes => "the director and the image repository say different hashes",
            Self::OtherCounter => "the director and the image repository say different release counters",
            Self::OtherName => "the director and the image repository say different names",
            Self::TooFewAgree => "fewer roles of the image repository sign it than the component demands",
            Self::WrongHardware => "it is not for the hardware of the component",
            Self::RolledBack => "its release counter is below that of what the component has",
            Self::TooMany => "it names more components than a device has",
            Self::NotTheDevice => "the manifest is not signed by the device",
            Self::NotTheComponent => "a report is not signed by its component",
            Self::Replayed => "it does not have the nonce that was asked for",
            Self::ComponentMissing => "a component of the device does not report",
            Self::NotSealed => "the manifest is not sealed to the director, so others have read it",
            Self::OtherSeal => {
                "the manifest is sealed to a key that the director does not have, or for another device, or was altered"
            }
        }
    }
}

impl From<BadRelease> for BadDirections {
    fn from(bad: BadRelease) -> Self {
        Self::Shape(bad)
    }
}

impl fmt::Display for BadDirections {
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
impl std::error::Error for BadDirections {}
