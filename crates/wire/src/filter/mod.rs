//! The status filter: all revoked serial numbers of one authority in about 18 bits each, exact for what was issued.
//!
//! For devices that cannot hold a CRL and cannot ask a responder. It is built from what a CRL is built from, carries its
//! number, and is signed. [`check`] is the small part that a device needs. Format and reasons: `docs/status-filter.md`.

mod build;
pub mod check;
mod signed;

pub use build::{BadFilter, Head, REVOKED_MAX, build};
pub use check::Filter;
pub use signed::{FILTER_LEN_MAX, SignedFilter, Unbelievable, decode, finish};
