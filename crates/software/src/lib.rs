//! Room: sm. Takes in releases: verifies them, countersigns what it verified, keeps the images encrypted.
//!
//! No network, no file, no driver: metadata comes in a call, the image from a port. What is stored was verified here to
//! its last octet, and whoever uses it verifies it again.

mod contract;
mod release;
mod signers;
mod vault;

pub use release::{Parts, Software};
