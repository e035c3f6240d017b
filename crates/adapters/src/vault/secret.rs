//! A secret that goes to one reader: HPKE, base mode, with the suite of the vault. Source: RFC 9180 §6.1.

use super::key::{KEY_LEN, VaultPrivateKey, VaultPublicKey};
use crate::sealing::{HPKE, seal};
use ports::vault::VaultFault;
use rustls::crypto::hpke::{EncapsulatedSecret, Hpke, HpkePrivateKey};
use zeroize::Zeroizing;

/// Seals a secret for one who reads, bound to `info`: the encapsulated key, then the sealed octets.
///
/// # Errors
/// [`VaultFault::Medium`] if that is no X25519 key.
pub fn seal_secret(secret: &[u8], info: &[u8], to: &VaultPublicKey) -> Result<Vec<u8>, VaultFault> {
    seal(secret, info, to.octets()).map_err(|_| VaultFault::Medium("a secret cannot be sealed for this key"))
}

impl VaultPrivateKey {
    /// Opens what [`seal_secret`] or [`seal`] sealed.
    ///
    /// # Errors
    /// [`VaultFault::Unreadable`] if it was altered, sealed for another, or bound to something else.
    pub fn open_secret(&self, sealed: &[u8], info: &[u8]) -> Result<Zeroizing<Vec<u8>>, VaultFault> {
        let (encapsulated, sealed) = sealed.split_at_checked(KEY_LEN).ok_or(VaultFault::Unreadable)?;
        let own = HpkePrivateKey::from(self.octets().to_vec());
        let opened = HPKE.open(&EncapsulatedSecret(encapsulated.to_vec()), info, &[], sealed, &own);
        opened.map(Zeroizing::new).map_err(|_| VaultFault::Unreadable)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(n: u8) -> VaultPrivateKey {
        VaultPrivateKey::new(Zeroizing::new([n; KEY_LEN])).unwrap()
    }
    fn sealed() -> Vec<u8> {
        seal_secret(b"secret", b"box", &key(1).public_key()).unwrap()
    }
    #[track_caller]
    fn check(reader: u8, sealed: &[u8], info: &[u8], expected: Result<&[u8], VaultFault>) {
        let opened = key(reader).open_secret(sealed, info);
        assert_eq!(opened.as_ref().map(|secret| secret.as_slice()), expected.as_ref().map(|secret| *secret));
    }
    #[test]
    fn its_reader_opens_it() {
        check(1, &sealed(), b"box", Ok(b"secret"));
    }
    #[test]
    fn nobody_else_does() {
        check(2, &sealed(), b"box", Err(VaultFault::Unreadable));
    }
    #[test]
    fn nor_as_something_else() {
        check(1, &sealed(), b"another box", Err(VaultFault::Unreadable));
    }
    #[test]
    fn what_was_altered_or_cut_is_refused() {
        let mut altered = sealed();
        *altered.last_mut().unwrap() ^= 1;
        check(1, &altered, b"box", Err(VaultFault::Unreadable));
        for len in [0, 31, 32, 40] {
            check(1, &sealed()[..len], b"box", Err(VaultFault::Unreadable));
        }
    }
}
