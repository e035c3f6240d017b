//! Room: drivers. Database, bus, keystore, clock, randomness: whatever touches the world, and nothing that decides.
//!
//! Without the feature `installation` it is what a device needs: the clock, files, keys in memory, fetching over HTTP, programs.

#[cfg(feature = "installation")]
pub mod backup;
#[cfg(feature = "installation")]
pub mod bus;
pub mod clock;
pub mod cmp;
#[cfg(feature = "installation")]
pub mod documents;
mod ending;
pub mod files;
#[cfg(feature = "installation")]
pub mod flasher;
pub mod http;
pub mod keystore;
#[cfg(feature = "installation")]
pub mod looking;
#[cfg(feature = "installation")]
pub mod memory;
pub mod process;
pub mod sealing;
#[cfg(feature = "installation")]
pub mod sockets;
#[cfg(feature = "installation")]
pub mod sources;
#[cfg(feature = "installation")]
pub mod store;
#[cfg(feature = "installation")]
pub mod terminal;
#[cfg(test)]
mod testing;
#[cfg(feature = "installation")]
pub mod vault;
