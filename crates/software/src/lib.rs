//! Room: sm. Follows repositories, or takes in releases one by one: verifies, countersigns what it verified, keeps it encrypted.
//!
//! No network, no file, no driver: metadata comes in a call or from a port, images from a port. What is stored was verified here to
//! its last octet, and whoever uses it verifies it again.

mod bundle;
mod contract;
mod follow;
mod release;
mod signers;
mod vault;

pub use release::{Parts, Software};
