//! What every store must do. Each check takes the store as a trait object, so that the next adapter runs the same.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "what cannot go on here has failed"
)]

mod acme;
mod authority;
mod batch;
mod checks;
mod cmp;
mod decision;
mod fill;
mod foreign;
mod invitation;
mod lists;
mod makers;
mod pending;
mod purge;
mod received;
mod registry;
mod restore;
mod standing;
mod support;
