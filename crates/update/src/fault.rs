//! What can be wrong with a release, and what that means to the one who asked.

use model::{Fault, Reason};
use std::fmt;

/// What is wrong with a release.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum BadRelease {
    // The file.
    /// Longer than [`crate::METADATA_LEN_MAX`].
    TooLong,
    /// Not JSON in UTF-8, or followed by something.
    NotJson,
    /// A key stands twice in an object.
    DuplicateKey,
    /// A number is negative, has a fraction, or is too large.
    NotACount,
    /// Nested deeper than [`crate::DEPTH_MAX`].
    TooDeep,
    /// This field is missing, or is not of the right type.
    Field(&'static str),
    /// More than [`crate::SIGNATURES_MAX`] signatures.
    TooManySignatures,
    /// A key identifier stands twice.
    KeyTwice,
    /// `_type` is not `targets`.
    UnknownType,
    /// `spec_version` is not of major version 1.
    OtherSpecVersion,
    /// No target, or more than one.
    NotOneTarget,
    /// A name is empty, too long, a path, or has characters that names do not have.
    BadName,
    /// It is for no hardware.
    NoHardware,
    /// It is for more than [`crate::HARDWARE_IDS_MAX`] device types, or for one of them twice.
    TooMuchHardware,
    /// An image of no octets, or of more than [`crate::IMAGE_LEN_MAX`].
    BadLength,
    /// The SHA-256 digest is missing or not well written.
    BadHash,
    /// The end is not a date and time of day in UTC.
    BadExpiry,
    /// A countersignature's payload is not well written.
    BadStatement,
    // Signatures and time.
    /// No signature is of a key that is known.
    UnknownSigner,
    /// Fewer valid signatures of known keys than needed.
    TooFewSignatures,
    /// The metadata has expired, or was verified too long ago.
    Expired,
    /// sm says that it verified the release at a time that is yet to come.
    FromTheFuture,
    /// The upstream signature does not hold; the countersignature does.
    UpstreamInvalid,
    /// The countersignature does not hold, or is for another release; the upstream signature holds.
    CountersignatureInvalid,
    /// Neither holds.
    BothInvalid,
    // The image and its use.
    /// The image is longer than was announced.
    ImageTooLong,
    /// The image is shorter than was announced, or is another.
    ImageMismatch,
    /// The image could not be read.
    ImageUnreadable,
    /// It is not for this device type.
    WrongHardware,
    /// It is older than one already accepted.
    RolledBack,
    // Signing.
    /// The key is not an Ed25519 key.
    WrongKeyType,
    /// What the signer gave is not a signature of that key.
    FalseSignature,
}

impl BadRelease {
    const fn what(self) -> Meaning {
        use Meaning::{Octets, Ours, Rule};
        match self {
            Self::TooLong => Octets("release metadata longer than the limit"),
            Self::NotJson => Octets("release metadata is not JSON"),
            Self::DuplicateKey => Octets("release metadata has a key twice"),
            Self::NotACount => Octets("release metadata has a number that is no count"),
            Self::TooDeep => Octets("release metadata is nested too deep"),
            Self::Field(field) => Meaning::Field(field),
            Self::TooManySignatures => Octets("release metadata has too many signatures"),
            Self::KeyTwice => Octets("release metadata is signed twice by one key"),
            Self::UnknownType => Octets("release metadata is not of type targets"),
            Self::OtherSpecVersion => Octets("release metadata follows another version of TUF"),
            Self::NotOneTarget => Octets("release metadata does not have exactly one target"),
            Self::BadName => Octets("a name in the release metadata"),
            Self::NoHardware => Octets("the release is for no hardware"),
            Self::TooMuchHardware => Octets("the release names too many device types, or one twice"),
            Self::BadLength => Octets("length of the image"),
            Self::BadHash => Octets("digest of the image"),
            Self::BadExpiry => Octets("end of the release metadata"),
            Self::BadStatement => Octets("countersignature"),
            Self::UnknownSigner => Rule(Reason::SignerUnknown),
            Self::TooFewSignatures | Self::UpstreamInvalid => Rule(Reason::UpstreamSignature),
            Self::Expired => Rule(Reason::ReleaseExpired),
            Self::FromTheFuture => Rule(Reason::OutOfTime),
            Self::CountersignatureInvalid => Rule(Reason::CountersignatureInvalid),
            Self::BothInvalid => Rule(Reason::BothSignaturesInvalid),
            Self::ImageTooLong => Rule(Reason::ImageTooLong),
            Self::ImageMismatch => Rule(Reason::ImageMismatch),
            Self::ImageUnreadable => Ours("the image cannot be read"),
            Self::WrongHardware => Rule(Reason::WrongHardware),
            Self::RolledBack => Rule(Reason::ReleaseRolledBack),
            Self::WrongKeyType => Rule(Reason::KeyTypeNotAllowed),
            Self::FalseSignature => Ours("the key made a signature that does not hold"),
        }
    }
}

// Whose fault it is.
enum Meaning {
    Octets(&'static str),
    Field(&'static str),
    Rule(Reason),
    Ours(&'static str),
}

impl From<BadRelease> for Fault {
    fn from(bad: BadRelease) -> Self {
        match bad.what() {
            Meaning::Octets(what) => Self::malformed(what),
            Meaning::Field(field) => Self::Malformed(format!("{field} in the release metadata").into()),
            Meaning::Rule(reason) => Self::Refused(reason),
            Meaning::Ours(what) => Self::unavailable(what),
        }
    }
}

impl fmt::Display for BadRelease {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.what() {
            Meaning::Octets(what) | Meaning::Ours(what) => f.write_str(what),
            Meaning::Field(field) => write!(f, "{field} in the release metadata"),
            Meaning::Rule(reason) => f.write_str(reason.what()),
        }
    }
}
impl std::error::Error for BadRelease {}
