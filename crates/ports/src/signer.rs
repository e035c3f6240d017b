//! Something that signs with a key that nobody sees.

use model::Fault;
use x509::{PublicKey, SignatureAlgorithm};

/// A private key behind a door.
pub trait Signer: Send + Sync {
    /// Its public half.
    fn public_key(&self) -> &PublicKey;

    /// How it signs.
    fn algorithm(&self) -> SignatureAlgorithm {
        self.public_key().key_type().signs_with()
    }

    /// Signs `message`. ECDSA signatures are DER.
    ///
    /// # Errors
    /// [`SignFault`] if the key cannot be used now. What it may have signed is not known then.
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, SignFault>;
}

/// The key could not be used. The text names the cause and never carries anything of the key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SignFault(pub &'static str);

impl std::fmt::Display for SignFault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.0)
    }
}
impl std::error::Error for SignFault {}
impl From<SignFault> for Fault {
    fn from(SignFault(what): SignFault) -> Self {
        Fault::unavailable(what)
    }
}
