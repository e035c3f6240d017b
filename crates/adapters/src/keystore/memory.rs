//! A private key in memory, opened from its PKCS #8 form.

use aws_lc_rs::encoding::AsDer;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_ASN1_SIGNING, ECDSA_P384_SHA384_ASN1_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair,
    RSA_PKCS1_SHA256, RsaKeyPair,
};
use ports::keystore::KeyFault;
use ports::{SignFault, Signer};
use x509::{KeyType, PublicKey};
use zeroize::Zeroizing;

/// A private key in memory. The library wipes it when it is dropped.
pub struct MemoryKey {
    pair: Pair,
    public_key: PublicKey,
    random: SystemRandom,
}

enum Pair {
    Ecdsa(Box<EcdsaKeyPair>),
    Ed25519(Box<Ed25519KeyPair>),
    Rsa(Box<RsaKeyPair>),
}

impl MemoryKey {
    /// Makes a key.
    #[must_use]
    pub fn generate(key_type: KeyType) -> Self {
        match Self::generate_pkcs8(key_type).and_then(|pkcs8| Self::open(&pkcs8)) {
            Ok(key) => key,
            Err(_) => unreachable!("all types but odd sizes of RSA can be made"),
        }
    }

    /// Makes a key, in its PKCS #8 form.
    ///
    /// # Errors
    /// [`KeyFault::Unsupported`] for sizes of RSA other than 2048, 3072 and 4096; [`KeyFault::Medium`] if the library
    /// has no randomness.
    pub fn generate_pkcs8(key_type: KeyType) -> Result<Zeroizing<Vec<u8>>, KeyFault> {
        let failed = KeyFault::Medium("the key could not be made");
        let ecdsa = |algorithm| {
            let pair = EcdsaKeyPair::generate(algorithm).map_err(|_| failed)?;
            pair.to_pkcs8v1().map(|d| Zeroizing::new(d.as_ref().to_vec())).map_err(|_| failed)
        };
        match key_type {
            KeyType::P256 => ecdsa(&ECDSA_P256_SHA256_ASN1_SIGNING),
            KeyType::P384 => ecdsa(&ECDSA_P384_SHA384_ASN1_SIGNING),
            KeyType::Ed25519 => {
                let pair = Ed25519KeyPair::generate().map_err(|_| failed)?;
                // Version 1, without the public key: what OpenSSL and others read.
                pair.to_pkcs8v1().map(|d| Zeroizing::new(d.as_ref().to_vec())).map_err(|_| failed)
            }
            KeyType::Rsa(bits) => {
                let size = match bits {
                    2048 => KeySize::Rsa2048,
                    3072 => KeySize::Rsa3072,
                    4096 => KeySize::Rsa4096,
                    _ => return Err(KeyFault::Unsupported),
                };
                let pair = RsaKeyPair::generate(size).map_err(|_| failed)?;
                pair.as_der().map(|d| Zeroizing::new(d.as_ref().to_vec())).map_err(|_| failed)
            }
        }
    }

    /// Opens a key in its PKCS #8 form.
    ///
    /// # Errors
    /// [`KeyFault::Unsupported`] if it is of a type that is not ours.
    pub fn open(pkcs8: &[u8]) -> Result<Self, KeyFault> {
        let random = SystemRandom::new();
        let types =
            [(KeyType::P256, &ECDSA_P256_SHA256_ASN1_SIGNING), (KeyType::P384, &ECDSA_P384_SHA384_ASN1_SIGNING)];
        for (key_type, algorithm) in types {
            if let Ok(pair) = EcdsaKeyPair::from_pkcs8(algorithm, pkcs8) {
                let public_key = public(key_type, pair.public_key().as_ref())?;
                return Ok(Self { pair: Pair::Ecdsa(Box::new(pair)), public_key, random });
            }
        }
        if let Ok(pair) = Ed25519KeyPair::from_pkcs8_maybe_unchecked(pkcs8) {
            let public_key = public(KeyType::Ed25519, pair.public_key().as_ref())?;
            return Ok(Self { pair: Pair::Ed25519(Box::new(pair)), public_key, random });
        }
        let pair = RsaKeyPair::from_pkcs8(pkcs8).map_err(|_| KeyFault::Unsupported)?;
        let bits = u16::try_from(pair.public_modulus_len() * 8).map_err(|_| KeyFault::Unsupported)?;
        let public_key = public(KeyType::Rsa(bits), pair.public_key().as_ref())?;
        Ok(Self { pair: Pair::Rsa(Box::new(pair)), public_key, random })
    }
}

fn public(key_type: KeyType, bits: &[u8]) -> Result<PublicKey, KeyFault> {
    PublicKey::from_bits(key_type, bits).map_err(|_| KeyFault::Unsupported)
}

impl Signer for MemoryKey {
    fn public_key(&self) -> &PublicKey {
        &self.public_key
    }

    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, SignFault> {
        let failed = |_| SignFault("the key could not sign");
        match &self.pair {
            Pair::Ecdsa(pair) => pair.sign(&self.random, message).map(|s| s.as_ref().to_vec()).map_err(failed),
            Pair::Ed25519(pair) => Ok(pair.sign(message).as_ref().to_vec()),
            Pair::Rsa(pair) => {
                let mut signature = vec![0; pair.public_modulus_len()];
                pair.sign(&RSA_PKCS1_SHA256, &self.random, message, &mut signature).map_err(failed)?;
                Ok(signature)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(key_type: KeyType) {
        let key = MemoryKey::generate(key_type);
        assert_eq!(key.public_key().key_type(), key_type);
        let signature = key.sign(b"message").unwrap();
        x509::signature::verify(key.public_key(), key.algorithm(), b"message", &signature).unwrap();
        assert!(x509::signature::verify(key.public_key(), key.algorithm(), b"massage", &signature).is_err());
    }

    #[test]
    fn p256() {
        check(KeyType::P256);
    }
    #[test]
    fn p384() {
        check(KeyType::P384);
    }
    #[test]
    fn ed25519() {
        check(KeyType::Ed25519);
    }
    #[test]
    fn rsa2048() {
        check(KeyType::Rsa(2048));
    }
    #[test]
    fn rsa3072() {
        check(KeyType::Rsa(3072));
    }
    #[test]
    fn rsa1024_is_not_made() {
        assert_eq!(MemoryKey::generate_pkcs8(KeyType::Rsa(1024)).err(), Some(KeyFault::Unsupported));
    }
    #[test]
    fn other_octets_are_no_key() {
        assert_eq!(MemoryKey::open(b"octets").err(), Some(KeyFault::Unsupported));
    }
}
