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

#[path = "../matrix/calls.rs"]
#[allow(dead_code, reason = "the page is made elsewhere")]
mod calls;
#[path = "../common/mod.rs"]
mod common;

mod desk;
mod doors;
mod matrix;
mod once;
mod same;
mod strict;
