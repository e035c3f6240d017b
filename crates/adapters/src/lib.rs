//! Room: drivers. Database, bus, keystore, clock, randomness: whatever touches the world, and nothing that decides.

pub mod bus;
pub mod clock;
pub mod files;
pub mod keystore;
pub mod store;
#[cfg(test)]
mod testing;
