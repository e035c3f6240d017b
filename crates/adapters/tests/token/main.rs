//! The PKCS #11 keystore on SoftHSM2, directly and behind a p11-kit server that is killed.

#![allow(
    missing_docs,
    unreachable_pub,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test that cannot go on has failed"
)]

#[macro_use]
mod common;
mod doctor;
mod keys;
mod loss;
