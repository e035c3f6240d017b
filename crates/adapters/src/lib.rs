//! Room: drivers. Database, bus, keystore, clock, randomness: whatever touches the world, and nothing that decides.

pub mod backup;
pub mod bus;
pub mod clock;
pub mod cmp;
pub mod documents;
pub mod files;
pub mod flasher;
pub mod http;
pub mod images;
pub mod keystore;
pub mod memory;
pub mod process;
pub mod sockets;
pub mod sources;
pub mod store;
pub mod terminal;
#[cfg(test)]
mod testing;
pub mod vault;
