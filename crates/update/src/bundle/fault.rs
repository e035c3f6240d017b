//! What can be wrong with a bundle, and what that means to the one who asked.

use super::chain::Repository;
use crate::tuf::{Attack, BadMetadata, Refused};
use crate::uptane::BadDirections;
use model::{Fault, Reason};
use std::fmt;

/// What is wrong with a bundle, or with what it is made of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BadBundle {
    // Its octets.
    /// It is not written as bundles are.
    Shape(&'static str),
    /// A file in it is not the one that its manifest names.
    OtherOctets(String),
    /// A file in it was asked by nobody who verified it.
    ExtraFile(String),
    /// Its manifest does not say of the images what its metadata says.
    OtherImages,
    // What it says.
    /// A file of a repository was refused, or is missing.
    Upstream(Repository, Refused),
    /// What the repositories say together cannot be followed.
    Directions(BadDirections),
    /// Neither the metadata nor the countersignature holds; and what was wrong with the metadata.
    Neither(Box<Self>),
    /// The countersignature does not hold, is of another bundle, or for another installation.
    NotCountersigned,
    /// sm says that it verified the bundle at a time that is yet to come.
    FromTheFuture,
    /// sm verified it too long ago.
    TooOld,
    // Its images.
    /// An image is longer than was announced.
    ImageTooLong(String),
    /// An image is shorter than was announced, or is another.
    ImageMismatch(String),
    /// An image cannot be read.
    ImageUnreadable(String),
}

impl BadBundle {
    /// What attack this may be; `None` if it may be a mistake only.
    #[must_use]
    pub const fn attack(&self) -> Option<Attack> {
        match self {
            Self::OtherOctets(_) | Self::ImageMismatch(_) => Some(Attack::ArbitrarySoftware),
            Self::ExtraFile(_) | Self::OtherImages | Self::NotCountersigned => Some(Attack::MixAndMatch),
            Self::Neither(_) => Some(Attack::ArbitrarySoftware),
            Self::Upstream(_, refused) => refused.bad.attack(),
            Self::Directions(bad) => bad.attack(),
            Self::TooOld => Some(Attack::Freeze),
            Self::ImageTooLong(_) => Some(Attack::EndlessData),
            Self::Shape(_) | Self::FromTheFuture | Self::ImageUnreadable(_) => None,
        }
    }

    /// Whether what upstream signed is authentic nevertheless: older than what is known, or expired.
    pub(super) const fn is_of_time(&self) -> bool {
        match self {
            Self::Upstream(_, refused) => matches!(
                refused.bad,
                BadMetadata::Expired
                    | BadMetadata::RolledBack
                    | BadMetadata::Vanished
                    | BadMetadata::NotNextRoot
                    | BadMetadata::TooEarly
                    | BadMetadata::TooLate
            ),
            Self::Directions(bad) => matches!(bad, BadDirections::RolledBack),
            _ => false,
        }
    }
}

impl From<&BadBundle> for Fault {
    fn from(bad: &BadBundle) -> Self {
        Self::Refused(match bad {
            BadBundle::Shape(what) => return Self::malformed(what),
            BadBundle::ImageUnreadable(_) => return Self::unavailable("the image cannot be read"),
            BadBundle::Upstream(_, Refused { bad: BadMetadata::Unreachable, .. }) => {
                return Self::unavailable("the repository cannot be reached");
            }
            BadBundle::Upstream(_, Refused { bad: BadMetadata::TooEarly, .. }) => Reason::OutOfTime,
            BadBundle::Neither(_) => Reason::BothSignaturesInvalid,
            BadBundle::NotCountersigned => Reason::CountersignatureInvalid,
            BadBundle::FromTheFuture => Reason::OutOfTime,
            BadBundle::TooOld => Reason::ReleaseExpired,
            BadBundle::ImageTooLong(_) => Reason::ImageTooLong,
            BadBundle::ImageMismatch(_) => Reason::ImageMismatch,
            other => match other.attack() {
                Some(Attack::Rollback) => Reason::ReleaseRolledBack,
                Some(Attack::Freeze) => Reason::ReleaseExpired,
                Some(Attack::WrongHardware) => Reason::WrongHardware,
                _ => Reason::UpstreamSignature,
            },
        })
    }
}
impl From<BadBundle> for Fault {
    fn from(bad: BadBundle) -> Self {
        Self::from(&bad)
    }
}

impl From<BadDirections> for BadBundle {
    fn from(bad: BadDirections) -> Self {
        Self::Directions(bad)
    }
}

impl fmt::Display for BadBundle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let attack = |f: &mut fmt::Formatter<'_>| match self.attack() {
            Some(attack) => write!(f, " (may be an attack: {})", attack.name()),
            None => Ok(()),
        };
        match self {
            // These two name the attack themselves.
            Self::Upstream(repository, refused) => return write!(f, "{}/{refused}", repository.name()),
            Self::Directions(bad) => return bad.fmt(f),
            Self::Neither(bad) => {
                return write!(f, "neither upstream's signatures nor the countersignature hold; {bad}");
            }
            Self::Shape(what) => f.write_str(what)?,
            Self::OtherOctets(file) => write!(f, "{file} is not the file that the manifest names")?,
            Self::ExtraFile(file) => write!(f, "{file} does not belong to what is verified")?,
            Self::OtherImages => f.write_str("the manifest names other images than the metadata")?,
            Self::NotCountersigned => f.write_str("the countersignature does not hold for this bundle and box")?,
            Self::FromTheFuture => f.write_str("it was verified at a time that is yet to come")?,
            Self::TooOld => f.write_str("it was verified too long ago")?,
            Self::ImageTooLong(name) => write!(f, "{name} is longer than was announced")?,
            Self::ImageMismatch(name) => write!(f, "{name} is not the image that was announced")?,
            Self::ImageUnreadable(name) => write!(f, "{name} cannot be read")?,
        }
        attack(f)
    }
}
impl std::error::Error for BadBundle {}
