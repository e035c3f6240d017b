//! A private key in memory, opened from its PKCS #8 form.

use aws_lc_rs::encoding::{AsDer, PublicKeyX509Der};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_ASN1_SIGNING, ECDSA_P384_SHA384_ASN1_SIGNING, ECDSA_P521_SHA512_ASN1_SIGNING, EcdsaKeyPair,
    EcdsaSigningAlgorithm, Ed25519KeyPair, KeyPair, ML_DSA_44_SIGNING, ML_DSA_65_SIGNING, ML_DSA_87_SIGNING,
    PqdsaKeyPair, PqdsaSigningAlgorithm, RSA_PKCS1_SHA256, RSA_PKCS1_SHA384, RSA_PKCS1_SHA512, RSA_PSS_SHA256,
    RSA_PSS_SHA384, RSA_PSS_SHA512, RsaKeyPair, RsaSignatureEncoding,
};
use ports::keystore::KeyFault;
use ports::{SignFault, Signer};
use x509::algorithm::RSA_BITS;
use x509::{KeyType, PublicKey, SignatureAlgorithm};
use zeroize::Zeroizing;

const ECDSA: [(KeyType, &EcdsaSigningAlgorithm); 3] = [
    (KeyType::P256, &ECDSA_P256_SHA256_ASN1_SIGNING),
    (KeyType::P384, &ECDSA_P384_SHA384_ASN1_SIGNING),
    (KeyType::P521, &ECDSA_P521_SHA512_ASN1_SIGNING),
];
const ML_DSA: [(KeyType, &PqdsaSigningAlgorithm); 3] = [
    (KeyType::MlDsa44, &ML_DSA_44_SIGNING),
    (KeyType::MlDsa65, &ML_DSA_65_SIGNING),
    (KeyType::MlDsa87, &ML_DSA_87_SIGNING),
];

/// A private key in memory. The library wipes it when it is dropped.
pub struct MemoryKey {
    pair: Pair,
    public_key: PublicKey,
    algorithm: SignatureAlgorithm,
    random: SystemRandom,
}

enum Pair {
    Ecdsa(Box<EcdsaKeyPair>),
    Ed25519(Box<Ed25519KeyPair>),
    Rsa(Box<RsaKeyPair>, &'static RsaSignatureEncoding),
    MlDsa(Box<PqdsaKeyPair>, &'static PqdsaSigningAlgorithm),
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
        // The seed alone, as RFC 9881 §6 recommends.
        let ml_dsa = |algorithm| {
            let pair = PqdsaKeyPair::generate(algorithm).map_err(|_| failed)?;
            pair.to_pkcs8v1().map(|d| Zeroizing::new(d.as_ref().to_vec())).map_err(|_| failed)
        };
        match key_type {
            KeyType::P256 => ecdsa(&ECDSA_P256_SHA256_ASN1_SIGNING),
            KeyType::P384 => ecdsa(&ECDSA_P384_SHA384_ASN1_SIGNING),
            KeyType::P521 => ecdsa(&ECDSA_P521_SHA512_ASN1_SIGNING),
            KeyType::MlDsa44 => ml_dsa(&ML_DSA_44_SIGNING),
            KeyType::MlDsa65 => ml_dsa(&ML_DSA_65_SIGNING),
            KeyType::MlDsa87 => ml_dsa(&ML_DSA_87_SIGNING),
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

    /// Opens a key in its PKCS #8 form; one of ML-DSA as seed, expanded key, or both (RFC 9881 §6).
    ///
    /// # Errors
    /// [`KeyFault::Unsupported`] if it is of a type that is not ours, or RSA outside of [`RSA_BITS`].
    pub fn open(pkcs8: &[u8]) -> Result<Self, KeyFault> {
        for (key_type, algorithm) in ECDSA {
            if let Ok(pair) = EcdsaKeyPair::from_pkcs8(algorithm, pkcs8) {
                let public_key = public(key_type, pair.public_key().as_ref())?;
                return Ok(Self::of(Pair::Ecdsa(Box::new(pair)), public_key));
            }
        }
        if let Ok(pair) = Ed25519KeyPair::from_pkcs8_maybe_unchecked(pkcs8) {
            let public_key = public(KeyType::Ed25519, pair.public_key().as_ref())?;
            return Ok(Self::of(Pair::Ed25519(Box::new(pair)), public_key));
        }
        for (key_type, algorithm) in ML_DSA {
            if let Ok(pair) = PqdsaKeyPair::from_pkcs8(algorithm, pkcs8) {
                let public_key = public(key_type, pair.public_key().as_ref())?;
                return Ok(Self::of(Pair::MlDsa(Box::new(pair), algorithm), public_key));
            }
        }
        let pair = RsaKeyPair::from_pkcs8(pkcs8).map_err(|_| KeyFault::Unsupported)?;
        let spki: PublicKeyX509Der<'_> = pair.public_key().as_der().map_err(|_| KeyFault::Unsupported)?;
        let public_key = PublicKey::decode(spki.as_ref()).map_err(|_| KeyFault::Unsupported)?;
        match public_key.key_type() {
            KeyType::Rsa(bits) if RSA_BITS.contains(&bits) => {
                Ok(Self::of(Pair::Rsa(Box::new(pair), &RSA_PKCS1_SHA256), public_key))
            }
            _ => Err(KeyFault::Unsupported),
        }
    }

    fn of(pair: Pair, public_key: PublicKey) -> Self {
        let algorithm = public_key.key_type().signs_with();
        Self { pair, public_key, algorithm, random: SystemRandom::new() }
    }

    /// The same key, signing with another algorithm.
    ///
    /// # Errors
    /// [`KeyFault::Unsupported`] if the algorithm does not fit the key, or the library makes no such signatures:
    /// ECDSA signs with the hash of its curve only.
    pub fn with_algorithm(self, algorithm: SignatureAlgorithm) -> Result<Self, KeyFault> {
        use SignatureAlgorithm as A;
        let pair = match (self.pair, algorithm) {
            (Pair::Rsa(pair, _), A::RsaSha256) => Pair::Rsa(pair, &RSA_PKCS1_SHA256),
            (Pair::Rsa(pair, _), A::RsaSha384) => Pair::Rsa(pair, &RSA_PKCS1_SHA384),
            (Pair::Rsa(pair, _), A::RsaSha512) => Pair::Rsa(pair, &RSA_PKCS1_SHA512),
            (Pair::Rsa(pair, _), A::RsaPssSha256) => Pair::Rsa(pair, &RSA_PSS_SHA256),
            (Pair::Rsa(pair, _), A::RsaPssSha384) => Pair::Rsa(pair, &RSA_PSS_SHA384),
            (Pair::Rsa(pair, _), A::RsaPssSha512) => Pair::Rsa(pair, &RSA_PSS_SHA512),
            (pair, _) if algorithm == self.public_key.key_type().signs_with() => pair,
            _ => return Err(KeyFault::Unsupported),
        };
        Ok(Self { pair, algorithm, ..self })
    }
}

fn public(key_type: KeyType, bits: &[u8]) -> Result<PublicKey, KeyFault> {
    PublicKey::from_bits(key_type, bits).map_err(|_| KeyFault::Unsupported)
}

impl Signer for MemoryKey {
    fn public_key(&self) -> &PublicKey {
        &self.public_key
    }

    fn algorithm(&self) -> SignatureAlgorithm {
        self.algorithm
    }

    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, SignFault> {
        let failed = |_| SignFault("the key could not sign");
        match &self.pair {
            Pair::Ecdsa(pair) => pair.sign(&self.random, message).map(|s| s.as_ref().to_vec()).map_err(failed),
            Pair::Ed25519(pair) => Ok(pair.sign(message).as_ref().to_vec()),
            Pair::MlDsa(pair, algorithm) => {
                let mut signature = vec![0; algorithm.signature_len()];
                let len = pair.sign(message, &mut signature).map_err(failed)?;
                signature.truncate(len);
                Ok(signature)
            }
            Pair::Rsa(pair, encoding) => {
                let mut signature = vec![0; pair.public_modulus_len()];
                pair.sign(*encoding, &self.random, message, &mut signature).map_err(failed)?;
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
        assert_eq!(x509::weak::check(key.public_key()), Ok(()));
        signs(&key);
    }
    #[track_caller]
    fn signs(key: &MemoryKey) {
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
    fn p521() {
        check(KeyType::P521);
    }
    #[test]
    fn rsa4096() {
        check(KeyType::Rsa(4096));
    }
    #[test]
    fn ml_dsa() {
        for key_type in [KeyType::MlDsa44, KeyType::MlDsa65, KeyType::MlDsa87] {
            check(key_type);
        }
    }
    #[test]
    fn an_ml_dsa_key_is_kept_as_its_seed() {
        for (key_type, last) in [(KeyType::MlDsa44, 17), (KeyType::MlDsa65, 18), (KeyType::MlDsa87, 19)] {
            let pkcs8 = MemoryKey::generate_pkcs8(key_type).unwrap();
            let head = [0x30, 52, 2, 1, 0, 0x30, 11, 6, 9, 0x60, 0x86, 0x48, 1, 0x65, 3, 4, 3, last, 4, 34, 0x80, 32];
            assert_eq!((&pkcs8[..22], pkcs8.len()), (&head[..], 54));
        }
    }
    #[test]
    fn ml_dsa_seeds_of_others_open() {
        for key_type in [KeyType::MlDsa44, KeyType::MlDsa65, KeyType::MlDsa87] {
            let stem = format!("{}/../../testdata/rfc9881/python-cryptography-50.0.2", env!("CARGO_MANIFEST_DIR"));
            let key = MemoryKey::open(&std::fs::read(format!("{stem}-{key_type}-key.der")).unwrap()).unwrap();
            let root = std::fs::read(format!("{stem}-{key_type}-root.der")).unwrap();
            assert_eq!(key.public_key(), &x509::Certificate::decode(&root).unwrap().tbs().subject_public_key);
            signs(&key);
        }
    }
    #[test]
    fn ml_dsa_keys_in_all_forms_of_rfc_9881_open() {
        use aws_lc_rs::encoding::AsRawBytes;
        for (n, (key_type, algorithm)) in (17..).zip(ML_DSA) {
            let pair = PqdsaKeyPair::from_seed(algorithm, &[7; 32]).unwrap();
            let expanded = pair.private_key().as_raw_bytes().unwrap();
            let pkcs8 = |f: &dyn Fn(&mut x509::Writer)| {
                let mut key = x509::Writer::default();
                f(&mut key);
                let mut w = x509::Writer::default();
                w.sequence(|w| {
                    w.small(0).sequence(|w| {
                        w.value(6, &[0x60, 0x86, 0x48, 1, 0x65, 3, 4, 3, n]);
                    });
                    w.octet_string(&key.finish());
                });
                MemoryKey::open(&w.finish())
            };
            let seed = |w: &mut x509::Writer| _ = w.value(0x80, &[7; 32]);
            let expanded_only = |w: &mut x509::Writer| _ = w.octet_string(expanded.as_ref());
            let both = |of: [u8; 32]| {
                pkcs8(&|w| {
                    w.sequence(|w| {
                        w.octet_string(&of).octet_string(expanded.as_ref());
                    });
                })
            };
            for opened in [pkcs8(&seed), pkcs8(&expanded_only), both([7; 32])] {
                let key = opened.unwrap();
                assert_eq!(key.public_key().key_type(), key_type);
                assert_eq!(key.public_key().bits(), pair.public_key().as_ref());
                signs(&key);
            }
            assert_eq!(both([8; 32]).err(), Some(KeyFault::Unsupported), "seed and key do not agree");
        }
    }
    #[test]
    fn rsa_signs_with_all_that_is_asked_for() {
        let pkcs8 = MemoryKey::generate_pkcs8(KeyType::Rsa(2048)).unwrap();
        let fits = |a: &SignatureAlgorithm| KeyType::Rsa(2048).may_sign_with(*a);
        let asked: Vec<_> = SignatureAlgorithm::ALL.into_iter().filter(fits).collect();
        assert_eq!(asked.len(), 6);
        for algorithm in asked {
            let key = MemoryKey::open(&pkcs8).unwrap().with_algorithm(algorithm).unwrap();
            assert_eq!(key.algorithm(), algorithm);
            signs(&key);
        }
    }
    #[test]
    fn a_pss_signature_is_no_other_signature() {
        let key = MemoryKey::generate(KeyType::Rsa(2048)).with_algorithm(SignatureAlgorithm::RsaPssSha256).unwrap();
        let signature = key.sign(b"message").unwrap();
        for other in SignatureAlgorithm::ALL.into_iter().filter(|a| *a != SignatureAlgorithm::RsaPssSha256) {
            assert!(x509::signature::verify(key.public_key(), other, b"message", &signature).is_err(), "{other}");
        }
    }
    #[test]
    fn an_algorithm_of_another_type_is_refused() {
        for algorithm in [SignatureAlgorithm::RsaSha256, SignatureAlgorithm::EcdsaSha512, SignatureAlgorithm::MlDsa44] {
            let key = MemoryKey::generate(KeyType::P256);
            assert_eq!(key.with_algorithm(algorithm).err(), Some(KeyFault::Unsupported));
        }
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
