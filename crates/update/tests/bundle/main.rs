//! Bundles: what a station takes from an sm that it need not believe. Each attack has a name here.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::as_conversions,
    clippy::panic,
    reason = "what cannot go on here has failed"
)]

mod hostile;
mod images;
#[path = "../repository/mod.rs"]
mod repository;
mod right;
mod station;
mod together;
mod world;
