//! Whose releases are taken.

use crate::Software;
use model::contract::software::{Trust, Trusted};
use model::{Fault, Reason};
use ports::store::software::SignerRow;
use x509::{KeyType, PublicKey, weak};

/// Longest name of a signer, in octets.
const SIGNER_LEN_MAX: usize = 64;

impl Software {
    /// Registers the key of somebody whose releases are taken from now on. Doing it again changes nothing.
    ///
    /// # Errors
    /// [`Fault::Malformed`] if the name cannot be shown as it is, or the key cannot be read. [`Fault::Refused`] with
    /// [`Reason::KeyTypeNotAllowed`], [`Reason::WeakKey`], or [`Reason::KeyInUse`] if it is the key that countersigns:
    /// two signatures shall come from two hands. [`Fault::Unavailable`].
    pub fn trust(&self, call: &Trust) -> Result<Trusted, Fault> {
        let shown = model::text::printable(&call.signer, SIGNER_LEN_MAX);
        if call.signer.is_empty() || call.signer.len() > SIGNER_LEN_MAX || shown != call.signer {
            return Err(Fault::malformed("name of the signer"));
        }
        let key = PublicKey::decode(call.key.as_ref()).map_err(|_| Fault::malformed("key of the signer"))?;
        if key.key_type() != KeyType::Ed25519 {
            return Err(Reason::KeyTypeNotAllowed.into());
        }
        weak::check(&key).map_err(|_| Reason::WeakKey)?;
        if key == *self.parts.signer.public_key() {
            return Err(Reason::KeyInUse.into());
        }
        let signer = SignerRow { signer: call.signer.clone(), key: key.spki().to_vec() };
        self.parts.store.trust(&signer, key.digest(), self.parts.clock.now())?;
        Ok(Trusted { key: key.digest() })
    }
}
