//! Keys that are made for others.

use super::memory::MemoryKey;
use super::transport::encrypt_content_key;
use aws_lc_rs::agreement::{
    Algorithm, ECDH_P256, ECDH_P384, ECDH_P521, EphemeralPrivateKey, UnparsedPublicKey, agree_ephemeral,
};
use aws_lc_rs::rand::SystemRandom;
use ports::KeyMaker;
use ports::keymaker::{Agreed, MadeKey};
use ports::keystore::KeyFault;
use wire::scep::Transport;
use x509::{KeyType, PublicKey};
use zeroize::Zeroizing;

const FAILED: KeyFault = KeyFault::Medium("no key could be made");

/// Makes keys in memory, and forgets them.
#[derive(Clone, Copy, Debug, Default)]
pub struct MemoryKeyMaker;

impl KeyMaker for MemoryKeyMaker {
    fn make(&self, key_type: KeyType) -> Result<MadeKey, KeyFault> {
        if matches!(key_type, KeyType::Rsa(_)) {
            return Err(KeyFault::Unsupported);
        }
        let pkcs8 = MemoryKey::generate_pkcs8(key_type)?;
        let signer = MemoryKey::open(&pkcs8)?;
        Ok(MadeKey { pkcs8: Box::new(pkcs8), signer: Box::new(signer) })
    }

    fn transport(&self, to: &PublicKey, content_key: &[u8]) -> Result<Vec<u8>, KeyFault> {
        encrypt_content_key(to, Transport::OaepSha256, content_key).ok_or(KeyFault::Unsupported)
    }

    fn agree(&self, with: &PublicKey) -> Result<Agreed, KeyFault> {
        let algorithm: &'static Algorithm = match with.key_type() {
            KeyType::P256 => &ECDH_P256,
            KeyType::P384 => &ECDH_P384,
            KeyType::P521 => &ECDH_P521,
            _ => return Err(KeyFault::Unsupported),
        };
        let own = EphemeralPrivateKey::generate(algorithm, &SystemRandom::new()).map_err(|_| FAILED)?;
        let public = own.compute_public_key().map_err(|_| FAILED)?;
        let ephemeral = PublicKey::from_bits(with.key_type(), public.as_ref()).map_err(|_| FAILED)?;
        let other = UnparsedPublicKey::new(algorithm, with.bits());
        let shared = agree_ephemeral(own, other, KeyFault::Unsupported, |shared| Ok(Zeroizing::new(shared.to_vec())))?;
        Ok(Agreed { ephemeral, shared: Box::new(shared) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ports::Signer;

    #[test]
    fn each_key_is_another_one_and_signs() {
        for key_type in [KeyType::P256, KeyType::P521, KeyType::Ed25519, KeyType::MlDsa44] {
            let (one, other) = (MemoryKeyMaker.make(key_type).unwrap(), MemoryKeyMaker.make(key_type).unwrap());
            assert_ne!((*one.pkcs8).as_ref(), (*other.pkcs8).as_ref());
            let opened = MemoryKey::open((*one.pkcs8).as_ref()).unwrap();
            assert_eq!(opened.public_key(), one.signer.public_key());
            assert_eq!(opened.public_key().key_type(), key_type);
        }
    }
    #[test]
    fn keys_that_take_long_are_not_made() {
        assert_eq!(MemoryKeyMaker.make(KeyType::Rsa(2048)).err(), Some(KeyFault::Unsupported));
    }
    #[test]
    fn nobody_agrees_with_a_key_of_another_kind() {
        for key_type in [KeyType::Ed25519, KeyType::MlDsa44] {
            let key = MemoryKey::generate(key_type);
            assert_eq!(MemoryKeyMaker.agree(key.public_key()).err(), Some(KeyFault::Unsupported));
            assert_eq!(MemoryKeyMaker.transport(key.public_key(), &[7; 32]).err(), Some(KeyFault::Unsupported));
        }
        // A point that is on no curve.
        let off = PublicKey::from_bits(KeyType::P256, &[&[4][..], &[1; 64]].concat()).unwrap();
        assert_eq!(MemoryKeyMaker.agree(&off).err(), Some(KeyFault::Unsupported));
    }
}
