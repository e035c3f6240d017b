//! Secrets that go to km and nobody else.

use model::Fault;

/// The key to which one-time secrets are sealed (HPKE). Only km has it.
pub trait SecretReader: Send + Sync {
    /// The public key, X25519. It is made at the first use.
    ///
    /// # Errors
    /// [`Fault::Unavailable`] if it can be neither read nor made.
    fn public_key(&self) -> Result<[u8; 32], Fault>;

    /// Opens what was sealed to it, bound to `info`.
    ///
    /// # Errors
    /// [`Fault::Unavailable`] if the key cannot be read, or the octets were sealed for another or to something else.
    fn open(&self, sealed: &[u8], info: &[u8]) -> Result<Box<dyn AsRef<[u8]> + Send + Sync>, Fault>;
}
