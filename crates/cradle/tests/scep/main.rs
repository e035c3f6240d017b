//! Certificates over SCEP, with strongSwan's client, and with one written by hand for what that one cannot say.
#![allow(
    missing_docs,
    unreachable_pub,
    dead_code,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "what cannot go on here has failed"
)]

#[path = "../common/mod.rs"]
mod common;

mod attacks;
mod hand;
mod keys;
mod site;
mod strongswan;
