//! Room: the vault as a directory. The only place that encrypts images at rest.
//!
//! Whoever reads the disk learns how many images there are and how long they are, and nothing else; whoever writes to it
//! can destroy, and is found out at reading. An image that nobody countersigned can be put in by anybody who knows the
//! recipients' public keys: what is read back is verified as a release before it is used.

mod directory;
mod format;
mod key;
mod secret;
#[cfg(test)]
mod tests;

pub use directory::DirectoryVault;
pub use format::{CHUNK_LEN, RECIPIENTS_MAX};
pub use key::{VaultPrivateKey, VaultPublicKey};
pub use secret::seal_secret;
