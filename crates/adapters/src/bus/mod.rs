//! Carrying messages.

pub mod local;
pub mod nats;

pub use local::{CALLS_MAX, LocalBus};
pub use nats::NatsBus;
