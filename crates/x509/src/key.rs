//! Public keys.

use crate::algorithm::KeyType;
use crate::read::{self, BadDer, Result, bad};
use crate::write::Writer;
use crate::{oids, sha256};
use der::{Decode, SliceReader, Tag};
use model::Digest;
use std::sync::Arc;

/// Longest SubjectPublicKeyInfo in octets: ML-DSA-87 needs 2614.
pub const SPKI_LEN_MAX: usize = 3 * 1024;
/// Octets of public keys of ML-DSA. Source: FIPS 204 table 2.
const ML_DSA_44_LEN: usize = 1312;
const ML_DSA_65_LEN: usize = 1952;
const ML_DSA_87_LEN: usize = 2592;

/// A `SubjectPublicKeyInfo` of one of our key types.
///
/// Shape: named curve, uncompressed point; RSA with parameters NULL; Ed25519 and ML-DSA without parameters. That the point lies on its curve is checked by
/// the first verification with it ([`crate::signature::verify`]), or by [`crate::weak::check`].
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct PublicKey {
    // Shared, because a key goes from the request into the certificate and into the proofs about it.
    spki: Arc<[u8]>,
    key_at: usize,
    key_type: KeyType,
}

impl PublicKey {
    /// Reads a `SubjectPublicKeyInfo`.
    ///
    /// # Errors
    /// [`BadDer`] if it is not DER, longer than [`SPKI_LEN_MAX`], of an unknown algorithm or curve, or followed by
    /// other octets. Explicit curve parameters and compressed points are refused.
    pub fn decode(spki: &[u8]) -> std::result::Result<Self, BadDer> {
        read::whole(spki, SPKI_LEN_MAX, "SubjectPublicKeyInfo", Self::read)
    }

    /// Writes the `SubjectPublicKeyInfo` of a key.
    ///
    /// Shape of `key`: the contents of the BIT STRING: uncompressed point, 32 octets, `RSAPublicKey`, or the octets of FIPS 204.
    ///
    /// # Errors
    /// [`BadDer`] if the key is not of this type.
    pub fn from_bits(key_type: KeyType, key: &[u8]) -> std::result::Result<Self, BadDer> {
        let mut w = Writer::with_capacity(key.len() + 40);
        w.sequence(|w| {
            key_type.write_algorithm(w);
            w.bit_string(key);
        });
        match Self::decode(&w.finish()) {
            Ok(public) if public.key_type == key_type => Ok(public),
            _ => Err(BadDer("SubjectPublicKeyInfo")),
        }
    }

    pub(crate) fn read(reader: &mut SliceReader<'_>) -> Result<Self> {
        let (contents, spki) = read::contents_and_all(reader, Tag::Sequence)?;
        if spki.len() > SPKI_LEN_MAX {
            return bad(reader);
        }
        let (algorithm, key) =
            read::inside(contents, |r| Ok((read::contents(r, Tag::Sequence)?, read::bit_string_octets(r)?)))?;
        let Some(key_type) = read::inside(algorithm, |r| key_type(r, key))? else { return bad(reader) };
        // The key is the tail of the structure.
        Ok(Self { spki: spki.into(), key_at: spki.len().saturating_sub(key.len()), key_type })
    }

    /// The octets of the `SubjectPublicKeyInfo`.
    #[must_use]
    pub fn spki(&self) -> &[u8] {
        &self.spki
    }
    /// The contents of the BIT STRING.
    #[must_use]
    pub fn bits(&self) -> &[u8] {
        self.spki.get(self.key_at..).unwrap_or_default()
    }
    /// The type.
    #[must_use]
    pub const fn key_type(&self) -> KeyType {
        self.key_type
    }
    /// SHA-256 of the `SubjectPublicKeyInfo`: the name of the key in our records.
    #[must_use]
    pub fn digest(&self) -> Digest {
        sha256(&self.spki)
    }
    /// The key identifier: the first 160 bits of SHA-256 of the BIT STRING's contents.
    /// Source: RFC 7093 §2, method 1 (RFC 5280's own methods need SHA-1).
    #[must_use]
    pub fn key_identifier(&self) -> [u8; 20] {
        let digest = sha256(self.bits());
        let mut identifier = [0; 20];
        identifier.iter_mut().zip(digest.octets()).for_each(|(to, from)| *to = *from);
        identifier
    }
    /// Modulus and exponent, big-endian without leading zeros, if this is an RSA key.
    #[must_use]
    pub fn rsa(&self) -> Option<(&[u8], &[u8])> {
        match self.key_type {
            KeyType::Rsa(_) => read::whole(self.bits(), SPKI_LEN_MAX, "RSAPublicKey", rsa_public_key).ok(),
            KeyType::P256 | KeyType::P384 | KeyType::P521 | KeyType::Ed25519 => None,
            KeyType::MlDsa44 | KeyType::MlDsa65 | KeyType::MlDsa87 => None,
        }
    }
}

impl KeyType {
    /// Writes the `AlgorithmIdentifier` of keys of this type: the curve as a parameter, NULL for RSA, nothing else.
    /// Source: RFC 5480 §2.1.1, RFC 3279 §2.3.1, RFC 8410 §3, RFC 9881 §2.
    pub fn write_algorithm(self, w: &mut Writer) {
        w.sequence(|w| match self {
            Self::P256 => {
                w.oid(oids::EC_PUBLIC_KEY).oid(oids::SECP256R1);
            }
            Self::P384 => {
                w.oid(oids::EC_PUBLIC_KEY).oid(oids::SECP384R1);
            }
            Self::P521 => {
                w.oid(oids::EC_PUBLIC_KEY).oid(oids::SECP521R1);
            }
            Self::Ed25519 => {
                w.oid(oids::ED25519);
            }
            Self::MlDsa44 => {
                w.oid(oids::ML_DSA_44);
            }
            Self::MlDsa65 => {
                w.oid(oids::ML_DSA_65);
            }
            Self::MlDsa87 => {
                w.oid(oids::ML_DSA_87);
            }
            Self::Rsa(_) => {
                w.oid(oids::RSA_ENCRYPTION).value(crate::write::tag::NULL, &[]);
            }
        });
    }
}

impl std::fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "PublicKey({}, {})", self.key_type, self.digest())
    }
}

fn key_type(reader: &mut SliceReader<'_>, key: &[u8]) -> Result<Option<KeyType>> {
    let point_of = |len: usize| key.len() == len && key.first() == Some(&4);
    Ok(match read::oid(reader)? {
        oids::EC_PUBLIC_KEY => match read::oid(reader)? {
            oids::SECP256R1 if point_of(65) => Some(KeyType::P256),
            oids::SECP384R1 if point_of(97) => Some(KeyType::P384),
            oids::SECP521R1 if point_of(133) => Some(KeyType::P521),
            _ => None,
        },
        oids::ED25519 if key.len() == 32 => Some(KeyType::Ed25519),
        oids::ML_DSA_44 if key.len() == ML_DSA_44_LEN => Some(KeyType::MlDsa44),
        oids::ML_DSA_65 if key.len() == ML_DSA_65_LEN => Some(KeyType::MlDsa65),
        oids::ML_DSA_87 if key.len() == ML_DSA_87_LEN => Some(KeyType::MlDsa87),
        oids::RSA_ENCRYPTION => {
            der::asn1::Null::decode(reader)?;
            read::inside(key, rsa_public_key).ok().and_then(|(modulus, _)| {
                let zeros = modulus.first().map_or(0, |first| usize::try_from(first.leading_zeros()).unwrap_or(0));
                u16::try_from(modulus.len() * 8 - zeros).ok().map(KeyType::Rsa)
            })
        }
        _ => None,
    })
}

fn rsa_public_key<'a>(reader: &mut SliceReader<'a>) -> Result<(&'a [u8], &'a [u8])> {
    let contents = read::contents(reader, Tag::Sequence)?;
    read::inside(contents, |r| Ok((read::unsigned(r)?, read::unsigned(r)?)))
}
