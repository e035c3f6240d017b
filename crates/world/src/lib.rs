//! Room: the whole system in simulated time, for tests. The modules are the real ones, and so is the store; clock,
//! randomness, bus, keys and boards are the world's, and do whatever a seed says.
//!
//! After each event an [`oracle`] compares what was promised with what is. One number, the seed, gives one world, always
//! the same: what fails can be looked at again. What happens in the middle of something else does so at a call to the
//! store or the key, on the same thread, so that it happens there again.

mod actions;
pub mod board;
pub mod bus;
pub mod dice;
mod events;
pub mod hub;
pub mod keys;
pub mod oracle;
pub mod records;
pub mod run;
pub mod sabotage;
#[cfg(test)]
mod scenarios;
pub mod store;
pub mod template;
mod upstream;
pub mod witness;
pub mod world;

pub use bus::Again;
pub use hub::Logging;
pub use oracle::{Check, Counts, Violation};
pub use run::{Outcome, Runner, STEPS};
pub use sabotage::Sabotage;
pub use world::Plan;
