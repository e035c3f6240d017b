//! Keys that are made for others, and how they come to them.

use crate::keystore::KeyFault;
use crate::signer::Signer;
use x509::{KeyType, PublicKey};

/// Octets that are wiped when they are dropped.
pub type Wiped = Box<dyn AsRef<[u8]> + Send + Sync>;

/// Makes keys for others: in memory, for the time of one answer.
pub trait KeyMaker: Send + Sync {
    /// Makes a key of this type.
    ///
    /// # Errors
    /// [`KeyFault::Unsupported`] for RSA, whose keys take long to find; [`KeyFault::Medium`] if none could be made.
    fn make(&self, key_type: KeyType) -> Result<MadeKey, KeyFault>;

    /// Encrypts the key of a cipher for a key of RSA: OAEP with SHA-256.
    ///
    /// # Errors
    /// [`KeyFault::Unsupported`] if the key is of another type, or too short.
    fn transport(&self, to: &PublicKey, content_key: &[u8]) -> Result<Vec<u8>, KeyFault>;

    /// Makes a key on the same curve and agrees with that of somebody else upon a secret.
    ///
    /// # Errors
    /// [`KeyFault::Unsupported`] if the key is on no curve of P-256 to P-521.
    fn agree(&self, with: &PublicKey) -> Result<Agreed, KeyFault>;
}

/// A key that was made for somebody.
pub struct MadeKey {
    /// PKCS #8 in DER.
    pub pkcs8: Wiped,
    /// The same, for signing the request for its certificate.
    pub signer: Box<dyn Signer>,
}

/// What was agreed upon with the holder of a key.
pub struct Agreed {
    /// The public half of the key that was made for this.
    pub ephemeral: PublicKey,
    /// The first coordinate of the point. Source: SEC 1 §3.3.1.
    pub shared: Wiped,
}
