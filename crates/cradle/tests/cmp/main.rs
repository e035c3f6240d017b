//! CMP at the gateway: `openssl cmp` as the client, and messages made by hand for what no client sends by itself.
#![allow(
    missing_docs,
    unreachable_pub,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "what cannot go on here has failed"
)]

mod attacks;
mod central;
#[path = "../common/mod.rs"]
mod common;
mod hand;
mod life;
mod lists;
mod nested;
mod newer;
mod registrar;
mod site;
mod turns;
mod vouched;
