//! What the listener takes, and what it refuses, is late with, or has no room for.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "what cannot go on here has failed"
)]

mod connections;
mod files;
mod frames;
mod http2;
mod http2_attacks;
mod line;
mod messages;
mod support;
mod tls;
