//! What a director tells each device, and what it makes of what they report.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "what cannot go on here has failed"
)]

mod choices;
mod directions;
mod manifests;
mod privacy;
mod reports;
mod rollouts;
mod support;
