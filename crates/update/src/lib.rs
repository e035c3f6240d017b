//! Room: signed releases and what may be done with them. No I/O, no clock, no randomness, no keys.
//!
//! A release is a metadata file, shaped like TUF's target metadata (1.0.34 §4.5), and an image. The maker's keys sign
//! the metadata, sm countersigns ([`Statement`]) what it has verified, and a station verifies both again, offline:
//!
//! ```text
//! sm:      octets -decode-> Metadata<Parsed> -verify(keys, threshold)-> Metadata<Verified> -current(now)-> Metadata<Current>
//!          -verify_image(octets)-> VerifiedImage<Current> -Statement::of-> countersignature
//! station: StoredRelease -verify(terms)-> Metadata<Countersigned> -verify_image(octets)-> VerifiedImage<Countersigned>
//!          -clear(device type, floor)-> ClearedImage -reader-> device
//! ```
//!
//! Prevents: foreign, altered, mixed and incomplete releases, wrong hardware, going back, freezing longer than the
//! metadata lasts, endless images and metadata. Does not prevent: a maker's threshold of keys in other hands.
//! That is one role and one target, for a box that follows no repositories. [`tuf`] has root, snapshot, timestamp and
//! delegations, [`uptane`] the pair of director and image repository, and [`bundle`] what a box makes of both for its station.

pub mod bundle;
mod draft;
mod fault;
mod image;
mod json;
mod metadata;
mod name;
mod statement;
mod stored;
pub mod tuf;
pub mod uptane;

pub use draft::{Draft, NotSigned};
pub use fault::BadRelease;
pub use image::{CheckedReader, ClearedImage, ClearedReader, ImageCheck, VerifiedImage};
pub use json::DEPTH_MAX;
pub use metadata::{
    COUNTER_MAX, Countersigned, Current, HARDWARE_IDS_MAX, IMAGE_LEN_MAX, Image, METADATA_LEN_MAX, Metadata, Parsed,
    Release, SIGNATURES_MAX, Threshold, Timely, Verified, key_id,
};
pub use name::{NAME_LEN_MAX, PlainName};
pub use statement::{COUNTERSIGNATURE, Statement};
pub use stored::{CLOCK_SKEW_MAX_S, Outcome, StoredRelease, Terms, decide};
