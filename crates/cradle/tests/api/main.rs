//! The operator API, as programs of operators meet it: the running binary, asked by curl.
#![allow(
    missing_docs,
    unreachable_pub,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "what cannot go on here has failed"
)]

#[path = "../common/mod.rs"]
mod common;

mod desk;
mod doors;
mod once;
mod same;
mod strict;
