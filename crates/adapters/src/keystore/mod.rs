//! Where private keys live.

#[cfg(feature = "installation")]
mod all;
#[cfg(feature = "installation")]
pub mod file;
#[cfg(feature = "installation")]
mod making;
pub mod memory;
#[cfg(feature = "tokens")]
pub mod pkcs11;
#[cfg(feature = "installation")]
pub mod pkcs12;
#[cfg(feature = "installation")]
pub mod shares;
#[cfg(feature = "installation")]
pub mod transport;

#[cfg(feature = "installation")]
pub use all::{Keystores, Tokens};
#[cfg(feature = "installation")]
pub use file::FileKeystore;
#[cfg(feature = "installation")]
pub use making::MemoryKeyMaker;
#[cfg(feature = "installation")]
pub use shares::SplitKeystore;
