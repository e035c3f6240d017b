//! What can be wrong with what metadata of any kind says, and with an image.

use std::fmt;

/// What is wrong with a field, or with an image.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum BadRelease {
    // The file.
    /// Longer than its limit.
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
    /// `_type` is not the one that was expected.
    UnknownType,
    /// `spec_version` is not of major version 1.
    OtherSpecVersion,
    /// A name is empty, too long, a path, or has characters that names do not have.
    BadName,
    /// It is for no hardware.
    NoHardware,
    /// It is for more device types than any release, or for one of them twice.
    TooMuchHardware,
    /// An image of no octets, or of more than [`crate::IMAGE_LEN_MAX`].
    BadLength,
    /// The SHA-256 digest is missing or not well written.
    BadHash,
    /// The end is not a date and time of day in UTC.
    BadExpiry,
    // The image.
    /// The image is shorter or longer than was announced, or is another.
    ImageMismatch,
    /// The image could not be read.
    ImageUnreadable,
}

impl fmt::Display for BadRelease {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::TooLong => "release metadata longer than the limit",
            Self::NotJson => "release metadata is not JSON",
            Self::DuplicateKey => "release metadata has a key twice",
            Self::NotACount => "release metadata has a number that is no count",
            Self::TooDeep => "release metadata is nested too deep",
            Self::Field(field) => return write!(f, "{field} in the release metadata"),
            Self::UnknownType => "release metadata is of another type",
            Self::OtherSpecVersion => "release metadata follows another version of TUF",
            Self::BadName => "a name in the release metadata",
            Self::NoHardware => "the release is for no hardware",
            Self::TooMuchHardware => "the release names too many device types, or one twice",
            Self::BadLength => "length of the image",
            Self::BadHash => "digest of the image",
            Self::BadExpiry => "end of the release metadata",
            Self::ImageMismatch => "the image is not the one that was announced",
            Self::ImageUnreadable => "the image cannot be read",
        })
    }
}
impl std::error::Error for BadRelease {}
