//! Verifying signatures.

use crate::algorithm::{KeyType, SignatureAlgorithm};
use crate::key::PublicKey;
use aws_lc_rs::signature::{self as aws, UnparsedPublicKey, VerificationAlgorithm};

/// The signature does not hold, or the algorithm does not fit the key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BadSignature;

impl std::fmt::Display for BadSignature {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("the signature does not hold")
    }
}
impl std::error::Error for BadSignature {}

/// Verifies a signature over `message`. A point that is not on its curve is refused here too.
///
/// # Errors
/// [`BadSignature`]
pub fn verify(
    key: &PublicKey,
    algorithm: SignatureAlgorithm,
    message: &[u8],
    signature: &[u8],
) -> Result<(), BadSignature> {
    let algorithm = verification_algorithm(key.key_type(), algorithm).ok_or(BadSignature)?;
    UnparsedPublicKey::new(algorithm, key.bits()).verify(message, signature).map_err(|_| BadSignature)
}

/// Verifies a signature over octets that were hashed before, by the hash of `algorithm`.
///
/// # Errors
/// [`BadSignature`]; always for Ed25519 and ML-DSA, which hash for themselves.
pub fn verify_hashed(
    key: &PublicKey,
    algorithm: SignatureAlgorithm,
    digest: &aws_lc_rs::digest::Digest,
    signature: &[u8],
) -> Result<(), BadSignature> {
    let algorithm = verification_algorithm(key.key_type(), algorithm).ok_or(BadSignature)?;
    UnparsedPublicKey::new(algorithm, key.bits()).verify_digest(digest, signature).map_err(|_| BadSignature)
}

pub(crate) fn verification_algorithm(
    key: KeyType,
    algorithm: SignatureAlgorithm,
) -> Option<&'static dyn VerificationAlgorithm> {
    use SignatureAlgorithm as A;
    Some(match (key, algorithm) {
        (KeyType::P256, A::EcdsaSha256) => &aws::ECDSA_P256_SHA256_ASN1,
        (KeyType::P256, A::EcdsaSha384) => &aws::ECDSA_P256_SHA384_ASN1,
        (KeyType::P256, A::EcdsaSha512) => &aws::ECDSA_P256_SHA512_ASN1,
        (KeyType::P384, A::EcdsaSha256) => &aws::ECDSA_P384_SHA256_ASN1,
        (KeyType::P384, A::EcdsaSha384) => &aws::ECDSA_P384_SHA384_ASN1,
        (KeyType::P384, A::EcdsaSha512) => &aws::ECDSA_P384_SHA512_ASN1,
        (KeyType::P521, A::EcdsaSha256) => &aws::ECDSA_P521_SHA256_ASN1,
        (KeyType::P521, A::EcdsaSha384) => &aws::ECDSA_P521_SHA384_ASN1,
        (KeyType::P521, A::EcdsaSha512) => &aws::ECDSA_P521_SHA512_ASN1,
        (KeyType::Ed25519, A::Ed25519) => &aws::ED25519,
        (KeyType::Rsa(2048..=4096), A::RsaSha256) => &aws::RSA_PKCS1_2048_8192_SHA256,
        (KeyType::Rsa(2048..=4096), A::RsaSha384) => &aws::RSA_PKCS1_2048_8192_SHA384,
        (KeyType::Rsa(2048..=4096), A::RsaSha512) => &aws::RSA_PKCS1_2048_8192_SHA512,
        (KeyType::Rsa(2048..=4096), A::RsaPssSha256) => &aws::RSA_PSS_2048_8192_SHA256,
        (KeyType::Rsa(2048..=4096), A::RsaPssSha384) => &aws::RSA_PSS_2048_8192_SHA384,
        (KeyType::Rsa(2048..=4096), A::RsaPssSha512) => &aws::RSA_PSS_2048_8192_SHA512,
        (KeyType::MlDsa44, A::MlDsa44) => &aws::ML_DSA_44,
        (KeyType::MlDsa65, A::MlDsa65) => &aws::ML_DSA_65,
        (KeyType::MlDsa87, A::MlDsa87) => &aws::ML_DSA_87,
        (KeyType::P256 | KeyType::P384 | KeyType::P521 | KeyType::Ed25519 | KeyType::Rsa(_), _) => return None,
        (KeyType::MlDsa44 | KeyType::MlDsa65 | KeyType::MlDsa87, _) => return None,
    })
}
