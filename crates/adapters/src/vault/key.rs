//! Keys of those who may read a vault: X25519, each 32 octets as they are.

use aws_lc_rs::agreement::{PrivateKey, X25519};
use model::octets::hex;
use ports::clock::Entropy;
use ports::vault::VaultFault;
use std::fmt;
use zeroize::Zeroizing;

/// Octets of a key, private or public. Source: RFC 7748 §5.
pub(super) const KEY_LEN: usize = 32;

/// What stands before the octets of an X25519 key in PKCS #8, version 1, without attributes. Source: RFC 8410 §7.
const PKCS8_PREFIX: &[u8] = &[0x30, 46, 2, 1, 0, 0x30, 5, 6, 3, 0x2b, 0x65, 0x6e, 4, 34, 4, 32];

/// The public key of somebody who may read.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct VaultPublicKey([u8; KEY_LEN]);

impl VaultPublicKey {
    /// The key of these octets.
    #[must_use]
    pub const fn new(octets: [u8; KEY_LEN]) -> Self {
        Self(octets)
    }
    /// Its octets.
    #[must_use]
    pub const fn octets(&self) -> &[u8; KEY_LEN] {
        &self.0
    }
}

impl fmt::Debug for VaultPublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "VaultPublicKey({})", hex(&self.0))
    }
}

/// The private key of somebody who may read. Wiped from memory when it is dropped.
pub struct VaultPrivateKey {
    octets: Zeroizing<[u8; KEY_LEN]>,
    public: VaultPublicKey,
}

impl VaultPrivateKey {
    /// Makes a key.
    ///
    /// # Errors
    /// [`VaultFault::Medium`] as [`VaultPrivateKey::new`], which no random octets lead to.
    pub fn generate(entropy: &dyn Entropy) -> Result<Self, VaultFault> {
        let mut octets = Zeroizing::new([0; KEY_LEN]);
        entropy.fill(octets.as_mut());
        Self::new(octets)
    }

    /// The key of these octets. Any octets are a key.
    ///
    /// # Errors
    /// [`VaultFault::Medium`] if the library cannot compute its public half.
    pub fn new(octets: Zeroizing<[u8; KEY_LEN]>) -> Result<Self, VaultFault> {
        const BAD: VaultFault = VaultFault::Medium("the vault's key cannot be used");
        let private = PrivateKey::from_private_key(&X25519, octets.as_ref()).map_err(|_| BAD)?;
        let public = private.compute_public_key().map_err(|_| BAD)?;
        let public = VaultPublicKey(public.as_ref().try_into().map_err(|_| BAD)?);
        Ok(Self { octets, public })
    }

    /// The key in its PKCS #8 form, to be kept in a keystore. Source: RFC 8410 §7.
    #[must_use]
    pub fn to_pkcs8(&self) -> Zeroizing<Vec<u8>> {
        Zeroizing::new([PKCS8_PREFIX, self.octets.as_slice()].concat())
    }

    /// The key of a PKCS #8 form.
    ///
    /// # Errors
    /// [`VaultFault::Medium`] if it is not that of an X25519 key.
    pub fn from_pkcs8(pkcs8: &[u8]) -> Result<Self, VaultFault> {
        let octets = pkcs8.strip_prefix(PKCS8_PREFIX).and_then(|octets| octets.try_into().ok());
        Self::new(Zeroizing::new(octets.ok_or(VaultFault::Medium("the vault's key is of another kind"))?))
    }

    /// Its public half.
    #[must_use]
    pub const fn public_key(&self) -> VaultPublicKey {
        self.public
    }
    /// Its octets, to be kept in a keystore.
    #[must_use]
    pub fn octets(&self) -> &[u8; KEY_LEN] {
        &self.octets
    }
}

impl fmt::Debug for VaultPrivateKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "VaultPrivateKey(of {:?})", self.public)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // Source: python cryptography 50.0.2, X25519PrivateKey.from_private_bytes(bytes(range(32))).
    #[test]
    fn the_public_half_is_what_others_compute() {
        let octets = std::array::from_fn(|n| u8::try_from(n).unwrap());
        let key = VaultPrivateKey::new(Zeroizing::new(octets)).unwrap();
        assert_eq!(hex(key.public_key().octets()), "8f40c5adb68f25624ae5b214ea767a6ec94d829d3d7b5e1ad1ba6f3e2138285f");
        assert_eq!(*key.octets(), octets);
    }
    #[test]
    fn a_key_survives_its_pkcs8_form() {
        let key = VaultPrivateKey::new(Zeroizing::new([7; 32])).unwrap();
        assert_eq!(VaultPrivateKey::from_pkcs8(&key.to_pkcs8()).unwrap().public_key(), key.public_key());
        assert!(VaultPrivateKey::from_pkcs8(&[7; 48]).is_err());
    }
    #[test]
    fn a_private_key_is_not_shown() {
        let key = VaultPrivateKey::new(Zeroizing::new([0x77; 32])).unwrap();
        assert!(!format!("{key:?}").contains("7777"));
    }
    #[test]
    fn two_keys_differ() {
        struct Count(std::sync::atomic::AtomicU8);
        impl Entropy for Count {
            fn fill(&self, out: &mut [u8]) {
                out.fill_with(|| self.0.fetch_add(1, std::sync::atomic::Ordering::Relaxed));
            }
        }
        let entropy = Count(0.into());
        let make = || VaultPrivateKey::generate(&entropy).unwrap().public_key();
        assert_ne!(make(), make());
    }
}
