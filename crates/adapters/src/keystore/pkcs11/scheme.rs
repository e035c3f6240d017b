//! How a signature is asked of a token: what it is given, by which mechanism, and what is made of its answer.
//!
//! Hashes are made here, because all tokens sign digests and not all hash.

use crate::keystore::pkcs11::fault::TokenFault;
use aws_lc_rs::digest;
use aws_lc_rs::signature::{self as aws, UnparsedPublicKey, VerificationAlgorithm};
use cryptoki::mechanism::eddsa::{EddsaParams, EddsaSignatureScheme};
use cryptoki::mechanism::rsa::{PkcsMgfType, PkcsPssParams};
use cryptoki::mechanism::{Mechanism, MechanismType};
use std::ffi::c_ulong;
use x509::{KeyType, PublicKey, SignatureAlgorithm, Writer};

/// A hash.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hash {
    /// SHA-256.
    Sha256,
    /// SHA-384.
    Sha384,
    /// SHA-512.
    Sha512,
}

/// A way of signing that a token may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scheme {
    /// ECDSA of a digest. PKCS #11: `CKM_ECDSA`.
    Ecdsa(Hash),
    /// Ed25519. PKCS #11: `CKM_EDDSA` without parameters.
    Ed25519,
    /// RSA, PKCS#1 v1.5. PKCS #11: `CKM_RSA_PKCS` of a `DigestInfo`.
    RsaPkcs1(Hash),
    /// RSA, PSS with MGF1 of the same hash and a salt of its length. PKCS #11: `CKM_RSA_PKCS_PSS` of a digest.
    RsaPss(Hash),
}

impl Scheme {
    /// The scheme of a signature algorithm, if a token can have it.
    #[must_use]
    pub const fn of(algorithm: SignatureAlgorithm) -> Option<Self> {
        Some(match algorithm {
            SignatureAlgorithm::EcdsaSha256 => Self::Ecdsa(Hash::Sha256),
            SignatureAlgorithm::EcdsaSha384 => Self::Ecdsa(Hash::Sha384),
            SignatureAlgorithm::EcdsaSha512 => Self::Ecdsa(Hash::Sha512),
            SignatureAlgorithm::Ed25519 => Self::Ed25519,
            SignatureAlgorithm::RsaSha256 => Self::RsaPkcs1(Hash::Sha256),
            SignatureAlgorithm::RsaSha384 => Self::RsaPkcs1(Hash::Sha384),
            SignatureAlgorithm::RsaSha512 => Self::RsaPkcs1(Hash::Sha512),
            SignatureAlgorithm::RsaPssSha256 => Self::RsaPss(Hash::Sha256),
            SignatureAlgorithm::RsaPssSha384 => Self::RsaPss(Hash::Sha384),
            SignatureAlgorithm::RsaPssSha512 => Self::RsaPss(Hash::Sha512),
            // PKCS #11 3.2 has them; no token that we know.
            SignatureAlgorithm::MlDsa44 | SignatureAlgorithm::MlDsa65 | SignatureAlgorithm::MlDsa87 => return None,
        })
    }

    /// The scheme of a signature algorithm, if keys of this type sign so.
    ///
    /// # Errors
    /// [`TokenFault::KeyUnsupported`]
    pub(crate) fn for_key(key_type: KeyType, algorithm: SignatureAlgorithm) -> Result<Self, TokenFault> {
        Self::of(algorithm).filter(|scheme| scheme.fits(key_type)).ok_or(TokenFault::KeyUnsupported)
    }

    /// The mechanism that a token needs for it.
    pub(crate) fn mechanism(self) -> Mechanism<'static> {
        match self {
            Self::Ecdsa(_) => Mechanism::Ecdsa,
            Self::Ed25519 => Mechanism::Eddsa(EddsaParams::new(EddsaSignatureScheme::Ed25519)),
            Self::RsaPkcs1(_) => Mechanism::RsaPkcs,
            Self::RsaPss(hash) => Mechanism::RsaPkcsPss(hash.pss()),
        }
    }

    /// What the token is given to sign.
    pub(crate) fn input(self, key_type: KeyType, message: &[u8]) -> Vec<u8> {
        match self {
            Self::Ecdsa(hash) => {
                let mut digest = hash.digest(message);
                // FIPS 186-5 §6.4.1: the leftmost bits of the digest. Some tokens take no longer one.
                digest.truncate(field_len(key_type));
                digest
            }
            Self::Ed25519 => message.to_vec(),
            Self::RsaPkcs1(hash) => hash.digest_info(message),
            Self::RsaPss(hash) => hash.digest(message),
        }
    }

    /// Makes of the token's answer what certificates carry, and verifies it: a token that errs once in computing RSA
    /// gives its key away with the result.
    ///
    /// # Errors
    /// [`TokenFault::BadSignature`]
    pub(crate) fn output(self, key: &PublicKey, message: &[u8], raw: Vec<u8>) -> Result<Vec<u8>, TokenFault> {
        let signature = match self {
            Self::Ecdsa(_) => ecdsa_der(key.key_type(), &raw)?,
            Self::Ed25519 | Self::RsaPkcs1(_) | Self::RsaPss(_) => raw,
        };
        let algorithm = self.verification(key.key_type()).ok_or(TokenFault::KeyUnsupported)?;
        let verified = UnparsedPublicKey::new(algorithm, key.bits()).verify(message, &signature);
        verified.map_err(|_| TokenFault::BadSignature)?;
        Ok(signature)
    }

    /// Whether keys of this type sign so.
    #[must_use]
    pub fn fits(self, key_type: KeyType) -> bool {
        self.verification(key_type).is_some()
    }

    fn verification(self, key_type: KeyType) -> Option<&'static dyn VerificationAlgorithm> {
        use Hash::{Sha256, Sha384, Sha512};
        Some(match (key_type, self) {
            (KeyType::P256, Self::Ecdsa(Sha256)) => &aws::ECDSA_P256_SHA256_ASN1,
            (KeyType::P256, Self::Ecdsa(Sha384)) => &aws::ECDSA_P256_SHA384_ASN1,
            (KeyType::P256, Self::Ecdsa(Sha512)) => &aws::ECDSA_P256_SHA512_ASN1,
            (KeyType::P384, Self::Ecdsa(Sha256)) => &aws::ECDSA_P384_SHA256_ASN1,
            (KeyType::P384, Self::Ecdsa(Sha384)) => &aws::ECDSA_P384_SHA384_ASN1,
            (KeyType::P384, Self::Ecdsa(Sha512)) => &aws::ECDSA_P384_SHA512_ASN1,
            (KeyType::P521, Self::Ecdsa(Sha256)) => &aws::ECDSA_P521_SHA256_ASN1,
            (KeyType::P521, Self::Ecdsa(Sha384)) => &aws::ECDSA_P521_SHA384_ASN1,
            (KeyType::P521, Self::Ecdsa(Sha512)) => &aws::ECDSA_P521_SHA512_ASN1,
            (KeyType::Ed25519, Self::Ed25519) => &aws::ED25519,
            (KeyType::Rsa(2048..=4096), Self::RsaPkcs1(Sha256)) => &aws::RSA_PKCS1_2048_8192_SHA256,
            (KeyType::Rsa(2048..=4096), Self::RsaPkcs1(Sha384)) => &aws::RSA_PKCS1_2048_8192_SHA384,
            (KeyType::Rsa(2048..=4096), Self::RsaPkcs1(Sha512)) => &aws::RSA_PKCS1_2048_8192_SHA512,
            (KeyType::Rsa(2048..=4096), Self::RsaPss(Sha256)) => &aws::RSA_PSS_2048_8192_SHA256,
            (KeyType::Rsa(2048..=4096), Self::RsaPss(Sha384)) => &aws::RSA_PSS_2048_8192_SHA384,
            (KeyType::Rsa(2048..=4096), Self::RsaPss(Sha512)) => &aws::RSA_PSS_2048_8192_SHA512,
            _ => return None,
        })
    }
}

impl Hash {
    fn digest(self, message: &[u8]) -> Vec<u8> {
        let algorithm = match self {
            Self::Sha256 => &digest::SHA256,
            Self::Sha384 => &digest::SHA384,
            Self::Sha512 => &digest::SHA512,
        };
        digest::digest(algorithm, message).as_ref().to_vec()
    }

    /// Source: RFC 8017 §9.2, note 1.
    fn digest_info(self, message: &[u8]) -> Vec<u8> {
        let last_arc = match self {
            Self::Sha256 => 1,
            Self::Sha384 => 2,
            Self::Sha512 => 3,
        };
        let mut w = Writer::with_capacity(96);
        w.sequence(|w| {
            w.raw(&[0x30, 0x0d, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, last_arc, 0x05, 0x00]);
            w.octet_string(&self.digest(message));
        });
        w.finish()
    }

    fn pss(self) -> PkcsPssParams {
        let (hash_alg, mgf, s_len) = match self {
            Self::Sha256 => (MechanismType::SHA256, PkcsMgfType::MGF1_SHA256, 32_u16),
            Self::Sha384 => (MechanismType::SHA384, PkcsMgfType::MGF1_SHA384, 48),
            Self::Sha512 => (MechanismType::SHA512, PkcsMgfType::MGF1_SHA512, 64),
        };
        PkcsPssParams { hash_alg, mgf, s_len: c_ulong::from(s_len).into() }
    }
}

/// Octets of a coordinate, and of each half of an ECDSA signature.
pub(crate) const fn field_len(key_type: KeyType) -> usize {
    match key_type {
        KeyType::P256 | KeyType::Ed25519 => 32,
        KeyType::P384 => 48,
        KeyType::P521 => 66,
        KeyType::Rsa(_) | KeyType::MlDsa44 | KeyType::MlDsa65 | KeyType::MlDsa87 => 0,
    }
}

/// PKCS #11 §6.3.1: the two numbers of a signature one after the other, each as long as the order of the curve. Some
/// tokens leave leading zeros of both away, so any two halves are taken.
fn ecdsa_der(key_type: KeyType, raw: &[u8]) -> Result<Vec<u8>, TokenFault> {
    if raw.is_empty() || !raw.len().is_multiple_of(2) || raw.len() > 2 * field_len(key_type) {
        return Err(TokenFault::BadSignature);
    }
    let (r, s) = raw.split_at(raw.len() / 2);
    let mut w = Writer::with_capacity(raw.len() + 10);
    w.sequence(|w| {
        w.unsigned(r).unsigned(s);
    });
    Ok(w.finish())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn halves_become_numbers() {
        let mut raw = vec![0; 64];
        raw[31] = 0x80;
        raw[63] = 1;
        assert_eq!(ecdsa_der(KeyType::P256, &raw), Ok(vec![0x30, 7, 2, 2, 0, 0x80, 2, 1, 1]));
    }
    #[test]
    fn odd_answers_are_no_signature() {
        for len in [0, 63, 66] {
            assert_eq!(ecdsa_der(KeyType::P256, &vec![1; len]), Err(TokenFault::BadSignature), "{len}");
        }
    }
    #[test]
    fn a_digest_longer_than_the_curve_is_cut() {
        assert_eq!(Scheme::Ecdsa(Hash::Sha512).input(KeyType::P384, b"m").len(), 48);
        assert_eq!(Scheme::Ecdsa(Hash::Sha256).input(KeyType::P384, b"m").len(), 32);
    }
    #[test]
    fn digest_info_of_sha256_begins_as_the_rfc_says() {
        let prefix = [
            0x30, 0x31, 0x30, 0x0d, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x01, 0x05, 0x00, 0x04,
            0x20,
        ];
        assert!(Hash::Sha256.digest_info(b"m").starts_with(&prefix));
        assert_eq!(Hash::Sha512.digest_info(b"m").len(), 19 + 64);
    }
    #[test]
    fn small_rsa_keys_do_not_sign() {
        assert!(!Scheme::RsaPkcs1(Hash::Sha256).fits(KeyType::Rsa(1024)));
        assert!(!Scheme::RsaPss(Hash::Sha256).fits(KeyType::Rsa(8192)));
    }
    #[test]
    fn a_wrong_signature_of_the_token_is_not_handed_out() {
        let pair = aws::EcdsaKeyPair::generate(&aws::ECDSA_P256_SHA256_FIXED_SIGNING).unwrap();
        let bits = aws_lc_rs::signature::KeyPair::public_key(&pair).as_ref().to_vec();
        let key = PublicKey::from_bits(KeyType::P256, &bits).unwrap();
        let raw = pair.sign(&aws_lc_rs::rand::SystemRandom::new(), b"m").unwrap().as_ref().to_vec();
        let scheme = Scheme::Ecdsa(Hash::Sha256);
        assert!(scheme.output(&key, b"m", raw.clone()).is_ok());
        assert_eq!(scheme.output(&key, b"n", raw), Err(TokenFault::BadSignature));
    }
}
