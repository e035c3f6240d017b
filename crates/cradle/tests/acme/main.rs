//! ACME at the gateway: certbot and lego as clients, and messages made by hand for what no client sends by itself.
#![allow(
    missing_docs,
    unreachable_pub,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "what cannot go on here has failed"
)]

#[path = "../matrix/accounts.rs"]
#[allow(dead_code, reason = "the page is made elsewhere")]
mod accounts;
mod attacks;
mod attest;
mod certbot;
#[path = "../common/mod.rs"]
mod common;
mod hand;
mod lego;
mod matrix;
mod messages;
mod names;
mod site;
mod tpm;
