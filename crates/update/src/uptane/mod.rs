//! Two repositories that must agree: the image repository says what there is, the director what this device gets. And
//! what a device reports back.
//!
//! A director's target is for components of the device, by name; the image repository says the same of it or it is not
//! taken. Both are followed by [`crate::tuf::Client`] first; [`Directions::read`] then looks at what the director says, and
//! [`Directions::agree`] compares it with the other.
//!
//! In `custom` of the director's targets metadata: `device`, the identifier of the device, also when there is nothing for it, and
//! `manifest_key`, to which its manifests are sealed. In `custom` of a director's target: `release_counter`, and `components`, an object of component names with `hardware_id` each. In `custom`
//! of the image repository's: `release_counter` and `hardware_ids`, as in releases.
//!
//! Prevents: what only one of the two says, wrong hardware, going back, two answers for one component, another device's
//! directions; manifests that are replayed, or that a component did not sign. Does not prevent: both repositories in other
//! hands. Source: Uptane 2.1.0 §5.3, §5.4.

mod direct;
mod directions;
mod fault;
mod manifest;
mod padding;
mod sealed;

pub use direct::{Given, Offer, direct};
pub use directions::{Agreed, Component, ComponentId, Directions, Inventory};
pub use fault::BadDirections;
pub use manifest::{Expected, MANIFEST_LEN_MAX, Manifest, Report, Reported, write_manifest, write_report};
pub use padding::{padded, padded_len};
pub use sealed::{ManifestKey, ManifestKeyName, SEALED_LEN_MAX, SealedManifest};
