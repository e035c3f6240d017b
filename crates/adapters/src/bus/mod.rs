//! Carrying messages.

pub mod local;

pub use local::LocalBus;
