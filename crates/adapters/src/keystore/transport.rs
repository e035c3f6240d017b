//! Keys of RSA that keys of ciphers are encrypted for.
//!
//! Prevents: an answer, or a time, that tells whether what was encrypted had the right form (Bleichenbacher's attack).
//! Source: RFC 8017 §7.1, §7.2; RFC 3218.

use aws_lc_rs::rsa::{
    OAEP_SHA1_MGF1SHA1, OAEP_SHA256_MGF1SHA256, OaepAlgorithm, OaepPrivateDecryptingKey, OaepPublicEncryptingKey,
    Pkcs1PrivateDecryptingKey, Pkcs1PublicEncryptingKey, PrivateDecryptingKey, PublicEncryptingKey,
};
use ports::keystore::KeyFault;
use wire::scep::Transport;
use x509::PublicKey;
use zeroize::Zeroizing;

/// Octets in the longest key of a cipher, and the room for it.
const CONTENT_KEY_LEN_MAX: usize = 32;

/// A private key of RSA that opens keys of ciphers. The library wipes it when it is dropped.
pub struct TransportKey {
    pkcs1: Pkcs1PrivateDecryptingKey,
    oaep: OaepPrivateDecryptingKey,
}

impl TransportKey {
    /// Opens a key in its PKCS #8 form.
    ///
    /// # Errors
    /// [`KeyFault::Unsupported`] if it is none of RSA, or one that is too short.
    pub fn open(pkcs8: &[u8]) -> Result<Self, KeyFault> {
        let key = PrivateDecryptingKey::from_pkcs8(pkcs8).map_err(|_| KeyFault::Unsupported)?;
        Ok(Self {
            pkcs1: Pkcs1PrivateDecryptingKey::new(key.clone()).map_err(|_| KeyFault::Unsupported)?,
            oaep: OaepPrivateDecryptingKey::new(key).map_err(|_| KeyFault::Unsupported)?,
        })
    }

    /// The key that was encrypted; `otherwise`, which is random and of the length that it must have, if it was not, whatever the reason:
    /// who goes on with it finds nothing, as with any wrong key.
    #[must_use]
    pub fn content_key(
        &self,
        transport: Transport,
        encrypted: &[u8],
        otherwise: Zeroizing<Vec<u8>>,
    ) -> Zeroizing<Vec<u8>> {
        let mut room = Zeroizing::new(vec![0; self.pkcs1.min_output_size().max(CONTENT_KEY_LEN_MAX)]);
        let opened = match transport {
            Transport::Pkcs1 => self.pkcs1.decrypt(encrypted, &mut room),
            Transport::OaepSha1 => self.oaep.decrypt(&OAEP_SHA1_MGF1SHA1, encrypted, &mut room, None),
            Transport::OaepSha256 => self.oaep.decrypt(&OAEP_SHA256_MGF1SHA256, encrypted, &mut room, None),
        };
        let is_right = opened.is_ok_and(|opened| opened.len() == otherwise.len());
        // All ones or none: both keys are read, whichever is taken.
        let mask = 0u8.wrapping_sub(u8::from(is_right));
        Zeroizing::new(room.iter().zip(otherwise.iter()).map(|(one, other)| (one & mask) | (other & !mask)).collect())
    }
}

/// Encrypts the key of a cipher. `None` if the public key is none of RSA, or one that is too short.
#[must_use]
pub fn encrypt_content_key(to: &PublicKey, transport: Transport, content_key: &[u8]) -> Option<Vec<u8>> {
    let key = PublicEncryptingKey::from_der(to.spki()).ok()?;
    let oaep = |algorithm: &'static OaepAlgorithm| {
        let key = OaepPublicEncryptingKey::new(key.clone()).ok()?;
        let mut room = vec![0; key.ciphertext_size()];
        let len = key.encrypt(algorithm, content_key, &mut room, None).ok()?.len();
        room.truncate(len);
        Some(room)
    };
    match transport {
        Transport::Pkcs1 => {
            let key = Pkcs1PublicEncryptingKey::new(key.clone()).ok()?;
            let mut room = vec![0; key.ciphertext_size()];
            let len = key.encrypt(content_key, &mut room).ok()?.len();
            room.truncate(len);
            Some(room)
        }
        Transport::OaepSha1 => oaep(&OAEP_SHA1_MGF1SHA1),
        Transport::OaepSha256 => oaep(&OAEP_SHA256_MGF1SHA256),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keystore::memory::MemoryKey;
    use ports::Signer;
    use x509::KeyType;

    const ALL: [Transport; 3] = [Transport::Pkcs1, Transport::OaepSha1, Transport::OaepSha256];

    #[test]
    fn what_is_encrypted_is_opened_and_all_else_is_the_other_one() {
        let pkcs8 = MemoryKey::generate_pkcs8(KeyType::Rsa(2048)).unwrap();
        let (key, public) = (TransportKey::open(&pkcs8).unwrap(), MemoryKey::open(&pkcs8).unwrap());
        let other = || Zeroizing::new(vec![9; 16]);
        for transport in ALL {
            let mut encrypted = encrypt_content_key(public.public_key(), transport, &[7; 16]).unwrap();
            assert_eq!(*key.content_key(transport, &encrypted, other()), [7; 16]);
            // Of another length, though of the right form.
            assert_eq!(*key.content_key(transport, &encrypted, Zeroizing::new(vec![9; 32])), [9; 32]);
            encrypted[17] ^= 1;
            assert_eq!(*key.content_key(transport, &encrypted, other()), [9; 16]);
            assert_eq!(*key.content_key(transport, &[], other()), [9; 16]);
            assert_eq!(*key.content_key(transport, &[0xff; 256], other()), [9; 16]);
        }
    }
    #[test]
    fn nothing_is_encrypted_for_other_keys() {
        let curve = MemoryKey::generate(KeyType::P256);
        assert!(ALL.iter().all(|transport| encrypt_content_key(curve.public_key(), *transport, &[7; 16]).is_none()));
        assert!(TransportKey::open(&MemoryKey::generate_pkcs8(KeyType::P256).unwrap()).is_err());
    }
}
