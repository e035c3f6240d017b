//! Room: sm. Follows repositories: verifies what they say to this box, countersigns what it verified, keeps it encrypted.
//!
//! No network, no file, no driver: metadata and images come from a port. What is stored was verified here to its last octet, and whoever uses it verifies it again.

mod bundle;
mod contract;
mod follow;
mod following;
mod parts;
mod reporting;
mod schedule;
mod vault;

pub(crate) use bundle::Outcome;
pub use following::{May, Setting};
pub use parts::{Parts, Software};
pub use reporting::Reports;
pub use schedule::{EVERY_S, Failed, Standing};
