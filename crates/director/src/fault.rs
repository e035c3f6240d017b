//! Why a director does not do something.

use adapters::documents::DocumentsFault;
use ports::signer::SignFault;
use std::fmt;
use update::tuf::BadMetadata;
use update::tuf::write::NotSigned;
use update::uptane::BadDirections;

/// Why a director does not do something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DirectorFault {
    /// It has not been begun.
    NotBegun,
    /// It has been begun already.
    Begun,
    /// There is no such thing.
    NotFound(&'static str),
    /// It cannot be so.
    Refused(String),
    /// A root that is none, or is not the next one.
    Root(BadMetadata),
    /// A manifest, or what would be directed.
    Uptane(BadDirections),
    /// A document of ours does not say what it must.
    Corrupt(&'static str),
    /// The documents cannot be had.
    Documents(DocumentsFault),
    /// The key cannot be used.
    Key(&'static str),
    /// The file of a target cannot be served.
    Image(&'static str),
}

impl fmt::Display for DirectorFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotBegun => f.write_str("it has not been begun"),
            Self::Begun => f.write_str("it has been begun already"),
            Self::NotFound(what) => write!(f, "there is no such {what}"),
            Self::Refused(why) => f.write_str(why),
            Self::Root(bad) => bad.fmt(f),
            Self::Uptane(bad) => bad.fmt(f),
            Self::Corrupt(what) => write!(f, "the records are damaged: {what}"),
            Self::Documents(fault) => fault.fmt(f),
            Self::Key(what) => write!(f, "the key cannot be used: {what}"),
            Self::Image(what) => f.write_str(what),
        }
    }
}
impl std::error::Error for DirectorFault {}

impl From<DocumentsFault> for DirectorFault {
    fn from(fault: DocumentsFault) -> Self {
        Self::Documents(fault)
    }
}
impl From<BadDirections> for DirectorFault {
    fn from(bad: BadDirections) -> Self {
        Self::Uptane(bad)
    }
}
impl From<BadMetadata> for DirectorFault {
    fn from(bad: BadMetadata) -> Self {
        Self::Root(bad)
    }
}
impl From<NotSigned<SignFault>> for DirectorFault {
    fn from(not: NotSigned<SignFault>) -> Self {
        match not {
            NotSigned::Metadata(bad) => Self::Root(bad),
            NotSigned::FalseSignature => Self::Key("what it signs does not verify"),
            NotSigned::Signer(SignFault(what)) => Self::Key(what),
        }
    }
}
