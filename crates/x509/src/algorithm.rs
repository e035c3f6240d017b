//! Key types and signature algorithms: a closed list. What is not here is refused.

use crate::oids;
use crate::read::{self, Result, bad};
use const_oid::ObjectIdentifier;
use der::{Decode, SliceReader, Tag};
use std::fmt;

/// What kind of key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum KeyType {
    /// ECDSA on NIST P-256.
    P256,
    /// ECDSA on NIST P-384.
    P384,
    /// Ed25519.
    Ed25519,
    /// RSA with a modulus of this many bits.
    Rsa(u16),
}

impl KeyType {
    /// The name in profiles and on the command line: `p256`, `p384`, `ed25519`, `rsa2048`, `rsa3072`.
    #[must_use]
    pub fn by_name(name: &str) -> Option<Self> {
        match name {
            "p256" => Some(Self::P256),
            "p384" => Some(Self::P384),
            "ed25519" => Some(Self::Ed25519),
            "rsa2048" => Some(Self::Rsa(2048)),
            "rsa3072" => Some(Self::Rsa(3072)),
            _ => None,
        }
    }

    /// The signature algorithm that a key of this type uses here.
    #[must_use]
    pub const fn signs_with(self) -> SignatureAlgorithm {
        match self {
            Self::P256 => SignatureAlgorithm::EcdsaSha256,
            Self::P384 => SignatureAlgorithm::EcdsaSha384,
            Self::Ed25519 => SignatureAlgorithm::Ed25519,
            Self::Rsa(_) => SignatureAlgorithm::RsaSha256,
        }
    }
}

impl fmt::Display for KeyType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::P256 => f.pad("p256"),
            Self::P384 => f.pad("p384"),
            Self::Ed25519 => f.pad("ed25519"),
            Self::Rsa(bits) => f.pad(&format!("rsa{bits}")),
        }
    }
}

/// How a signature is made. SHA-1 and MD5 are not in the list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SignatureAlgorithm {
    /// ecdsa-with-SHA256, on any of our curves.
    EcdsaSha256,
    /// ecdsa-with-SHA384, on any of our curves.
    EcdsaSha384,
    /// ecdsa-with-SHA512, on any of our curves.
    EcdsaSha512,
    /// Ed25519.
    Ed25519,
    /// sha256WithRSAEncryption, PKCS#1 v1.5.
    RsaSha256,
    /// sha384WithRSAEncryption, PKCS#1 v1.5.
    RsaSha384,
    /// sha512WithRSAEncryption, PKCS#1 v1.5.
    RsaSha512,
}

impl SignatureAlgorithm {
    const ALL: [Self; 7] = [
        Self::EcdsaSha256,
        Self::EcdsaSha384,
        Self::EcdsaSha512,
        Self::Ed25519,
        Self::RsaSha256,
        Self::RsaSha384,
        Self::RsaSha512,
    ];

    const fn oid(self) -> ObjectIdentifier {
        match self {
            Self::EcdsaSha256 => oids::ECDSA_WITH_SHA256,
            Self::EcdsaSha384 => oids::ECDSA_WITH_SHA384,
            Self::EcdsaSha512 => oids::ECDSA_WITH_SHA512,
            Self::Ed25519 => oids::ED25519,
            Self::RsaSha256 => oids::SHA256_WITH_RSA,
            Self::RsaSha384 => oids::SHA384_WITH_RSA,
            Self::RsaSha512 => oids::SHA512_WITH_RSA,
        }
    }

    /// The `AlgorithmIdentifier`: parameters NULL for RSA, absent otherwise.
    /// Source: RFC 5758 §3.2, RFC 8410 §3, RFC 4055 §5.
    pub fn write(self, w: &mut crate::Writer) {
        w.sequence(|w| {
            w.oid(self.oid());
            if matches!(self, Self::RsaSha256 | Self::RsaSha384 | Self::RsaSha512) {
                w.value(crate::write::tag::NULL, &[]);
            }
        });
    }

    /// Reads an `AlgorithmIdentifier`; one that is not in our list, or has other parameters, is refused.
    pub(crate) fn read(reader: &mut SliceReader<'_>) -> Result<Self> {
        let contents = read::contents(reader, Tag::Sequence)?;
        read::inside(contents, |r| {
            let oid = ObjectIdentifier::decode(r)?;
            let Some(algorithm) = Self::ALL.into_iter().find(|a| a.oid() == oid) else { return bad(r) };
            if matches!(algorithm, Self::RsaSha256 | Self::RsaSha384 | Self::RsaSha512) {
                der::asn1::Null::decode(r)?;
            }
            Ok(algorithm)
        })
    }
}

impl fmt::Display for SignatureAlgorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::EcdsaSha256 => "ecdsa-with-SHA256",
            Self::EcdsaSha384 => "ecdsa-with-SHA384",
            Self::EcdsaSha512 => "ecdsa-with-SHA512",
            Self::Ed25519 => "Ed25519",
            Self::RsaSha256 => "sha256WithRSAEncryption",
            Self::RsaSha384 => "sha384WithRSAEncryption",
            Self::RsaSha512 => "sha512WithRSAEncryption",
        })
    }
}
