//! Bundles: all that makes a box believe in its software, in one set that is addressed by its content.
//!
//! A box is a primary of Uptane: its components are the types of devices that it provisions. A bundle has the roots of the
//! repositories from the pinned ones on, timestamp, snapshot, targets, the delegated roles that were asked, what the director says,
//! and length and hash of each image. sm makes it of what it verified, and countersigns ([`Statement`]); a station verifies
//! all of it again, offline, from the roots that it has pinned itself and against what it has seen before:
//!
//! ```text
//! sm:      follow(its repositories) -> collect(what was kept) -> Collected -take(image)-> ... -close-> Made -> Statement
//! station: verify(octets, Terms) -> Verified -release(device type)-> Release -verify_image-> VerifiedImage -reader-> device
//! ```
//!
//! Whether metadata had expired is judged for the time that sm states. So a station without a line goes on for as long as its policy
//! says (`bundle_age_max_s`), and an sm whose key is in other hands can hold back what is new for the life of what it has; it cannot make
//! a station take what upstream did not sign, nor go back.
//!
//! Prevents: all that [`crate::tuf`] and [`crate::uptane`] prevent, a second time and elsewhere; files that are missing, altered
//! or added; the bundle of another installation; images that were exchanged. Does not prevent: a threshold of upstream's offline keys *and* sm's
//! key in the same hands.
//!
//! A bundle that is only read has no way to a device:
//!
//! ```
//! # use update::bundle::{BadBundle, Terms, verify};
//! # fn f(octets: &[u8], terms: &Terms<'_>, t: &model::DeviceType, image: std::fs::File, again: std::fs::File) -> Result<(), BadBundle> {
//! let Some(release) = verify(octets, terms)?.release(t) else { return Ok(()) };
//! let reader = release.verify_image(image)?.reader(again);
//! # drop(reader); Ok(()) }
//! ```
//! What was read is not verified:
//! ```compile_fail,E0599
//! # fn f(bundle: update::bundle::Bundle, t: &model::DeviceType) {
//! bundle.release(t);
//! # }
//! ```
//! Nor is it made of octets:
//! ```compile_fail,E0277
//! # fn f(octets: &[u8]) {
//! serde_json::from_slice::<update::bundle::Verified>(octets);
//! # }
//! ```
//! What a verified bundle has for a type of device is not put on one before its image was compared:
//! ```compile_fail,E0599
//! # fn f(release: update::bundle::Release, image: std::io::Empty) {
//! release.reader(image);
//! # }
//! ```
//! Nor is an image that only sm has compared:
//! ```compile_fail,E0599
//! # fn f(checked: update::bundle::CheckedImage, image: std::io::Empty) {
//! checked.reader(image);
//! # }
//! ```
//! A proof is not copied:
//! ```compile_fail,E0599
//! # use update::bundle::VerifiedImage;
//! # fn f(image: VerifiedImage) -> VerifiedImage {
//! image.clone()
//! # }
//! ```
//! What still lacks its images is not countersigned:
//! ```compile_fail,E0308
//! # fn f(collected: &update::bundle::Collected, device: model::DeviceId, now: model::UnixTime) {
//! update::bundle::Statement::of(collected, device, now);
//! # }
//! ```

mod chain;
mod contents;
mod fault;
mod image;
mod primary;
mod statement;
mod verify;

pub use chain::{Chosen, Collected, Followed, Kept, NotFollowed, Repository, Roots, collect, follow, is_root};
pub use contents::{BUNDLE_LEN_MAX, Bundle, FileEntry, ImageEntry, Made, Manifest};
pub use fault::BadBundle;
pub use image::{CheckedImage, CheckedReader, VerifiedImage};
pub use primary::Primary;
pub use statement::{BUNDLE_COUNTERSIGNATURE, Statement};
pub use verify::{CLOCK_SKEW_MAX_S, Change, Release, Terms, Verified, verify};
