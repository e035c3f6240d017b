//! Where private keys live.

pub mod file;
pub mod memory;

pub use file::FileKeystore;
