//! Writing the metadata of a repository: what a role says, then signed by one key after another.
//!
//! ```text
//! Body::new, or Draft::body of what is published -> changed -> Body::draft -> Draft -sign, sign, ...-> write -> the file
//! ```
//!
//! A [`Draft`] is always something that [`Envelope::decode`](super::Envelope::decode) takes: it was read again before it
//! is given away. What a file says that is not understood here stays in it, through changes and signatures.
//!
//! ```
//! # use update::tuf::write::{Body, Draft, Key, NotSigned, Signers, Top};
//! # use update::tuf::{BadMetadata, Root};
//! # fn f<E>(key: &Key, expires: model::UnixTime, sign: impl FnOnce(&[u8]) -> Result<Vec<u8>, E>) -> Result<Vec<u8>, NotSigned<E>> {
//! let mut root = Body::<Root>::new(expires);
//! for role in Top::ALL {
//!     root.assign(role, std::slice::from_ref(key), update::Threshold::ONE);
//! }
//! let mut draft = root.draft()?;
//! draft.sign(key, sign)?;
//! Signers::of_top(&draft, Top::Root).suffice(&draft)?;
//! let file = draft.write();
//! # Ok(file) }
//! ```
//! What nobody has checked is not written:
//! ```compile_fail,E0599
//! # use update::tuf::{Root, write::Body};
//! # fn f(root: &Body<Root>) {
//! root.write();
//! # }
//! ```

mod body;
mod draft;
mod key;
mod said;
mod targets;

pub use body::{Body, Top};
pub use draft::{Draft, NotSigned};
pub use key::{Key, Signers};
pub use said::{DelegatedRole, Listed};
pub use targets::{
    Agreeing, Custom, Delegation, HASH_BIN_BITS_MAX, Part, SUCCINCT_BITS_MAX, SuccinctBins, Taken, Together, hash_bins,
};
