//! Room: what repositories of software say, and what may be done with it. No I/O, no clock, no randomness, no keys.
//!
//! [`tuf`] has root, targets, snapshot, timestamp and delegations, from both sides; [`uptane`] the pair of director and image repository;
//! [`developer`] what developers signed before any of it, [`papers`] what goes with a release; [`delta`] makes an image of the one before; [`notice`] that there is news; and [`bundle`] what a box makes of both for its station, which verifies all of it again, offline.
//!
//! Prevents: foreign, altered, mixed and incomplete releases, wrong hardware, going back, freezing longer than the
//! metadata lasts, endless images and metadata. Does not prevent: a threshold of upstream's offline keys in other hands.

pub mod bundle;
pub mod delta;
pub mod developer;
mod fault;
mod image;
mod json;
mod metadata;
mod name;
pub mod notice;
pub mod papers;
pub mod tuf;
pub mod uptane;

pub use fault::BadRelease;
pub use image::ClearedReader;
pub use json::DEPTH_MAX;
pub use metadata::{COUNTER_MAX, IMAGE_LEN_MAX, Image, Threshold};
pub use name::{NAME_LEN_MAX, PlainName};
