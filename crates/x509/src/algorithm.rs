//! Key types and signature algorithms: a closed list. What is not here is refused.

use crate::oids;
use crate::read::{self, Result, bad};
use crate::write::{Writer, tag};
use const_oid::ObjectIdentifier;
use der::{SliceReader, Tag};
use std::fmt;

/// What kind of key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum KeyType {
    /// ECDSA on NIST P-256.
    P256,
    /// ECDSA on NIST P-384.
    P384,
    /// ECDSA on NIST P-521.
    P521,
    /// Ed25519.
    Ed25519,
    /// RSA with a modulus of this many bits. Outside of [`RSA_BITS`] nothing is verified and nothing signed.
    Rsa(u16),
    /// ML-DSA-44. Source: FIPS 204, RFC 9881.
    MlDsa44,
    /// ML-DSA-65. Source: FIPS 204, RFC 9881.
    MlDsa65,
    /// ML-DSA-87. Source: FIPS 204, RFC 9881.
    MlDsa87,
}

/// Sizes of RSA moduli in bits: below are weak keys, above are keys that cost more than they are worth.
pub const RSA_BITS: std::ops::RangeInclusive<u16> = 2048..=4096;

impl KeyType {
    /// The types that can be named; RSA has other sizes too, which are only read.
    pub const NAMED: [Self; 10] = [
        Self::P256,
        Self::P384,
        Self::P521,
        Self::Ed25519,
        Self::Rsa(2048),
        Self::Rsa(3072),
        Self::Rsa(4096),
        Self::MlDsa44,
        Self::MlDsa65,
        Self::MlDsa87,
    ];

    /// The type of this name in profiles and on the command line: `p256`, `p384`, `p521`, `ed25519`, `rsa2048`,
    /// `rsa3072`, `rsa4096`, `ml-dsa-44`, `ml-dsa-65`, `ml-dsa-87`.
    #[must_use]
    pub fn by_name(name: &str) -> Option<Self> {
        Self::NAMED.into_iter().find(|known| known.to_string() == name)
    }

    /// The signature algorithm that a key of this type uses unless another is asked for.
    #[must_use]
    pub const fn signs_with(self) -> SignatureAlgorithm {
        match self {
            Self::P256 => SignatureAlgorithm::EcdsaSha256,
            Self::P384 => SignatureAlgorithm::EcdsaSha384,
            Self::P521 => SignatureAlgorithm::EcdsaSha512,
            Self::Ed25519 => SignatureAlgorithm::Ed25519,
            Self::Rsa(_) => SignatureAlgorithm::RsaSha256,
            Self::MlDsa44 => SignatureAlgorithm::MlDsa44,
            Self::MlDsa65 => SignatureAlgorithm::MlDsa65,
            Self::MlDsa87 => SignatureAlgorithm::MlDsa87,
        }
    }

    /// Whether [`crate::signature::verify`] takes signatures of this algorithm by a key of this type.
    #[must_use]
    pub fn may_sign_with(self, algorithm: SignatureAlgorithm) -> bool {
        crate::signature::verification_algorithm(self, algorithm).is_some()
    }
}

impl fmt::Display for KeyType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::P256 => f.pad("p256"),
            Self::P384 => f.pad("p384"),
            Self::P521 => f.pad("p521"),
            Self::Ed25519 => f.pad("ed25519"),
            Self::Rsa(bits) => f.pad(&format!("rsa{bits}")),
            Self::MlDsa44 => f.pad("ml-dsa-44"),
            Self::MlDsa65 => f.pad("ml-dsa-65"),
            Self::MlDsa87 => f.pad("ml-dsa-87"),
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
    /// RSASSA-PSS with SHA-256, MGF1 of it and 32 octets of salt.
    RsaPssSha256,
    /// RSASSA-PSS with SHA-384, MGF1 of it and 48 octets of salt.
    RsaPssSha384,
    /// RSASSA-PSS with SHA-512, MGF1 of it and 64 octets of salt.
    RsaPssSha512,
    /// ML-DSA-44, pure, without context. Source: RFC 9881 §2.
    MlDsa44,
    /// ML-DSA-65, pure, without context. Source: RFC 9881 §2.
    MlDsa65,
    /// ML-DSA-87, pure, without context. Source: RFC 9881 §2.
    MlDsa87,
}

/// What follows the object identifier.
enum Parameters {
    Absent,
    Null,
    /// RSASSA-PSS-params with this hash and this many octets of salt.
    Pss(ObjectIdentifier, u8),
}

impl SignatureAlgorithm {
    /// All of them.
    pub const ALL: [Self; 13] = [
        Self::EcdsaSha256,
        Self::EcdsaSha384,
        Self::EcdsaSha512,
        Self::Ed25519,
        Self::RsaSha256,
        Self::RsaSha384,
        Self::RsaSha512,
        Self::RsaPssSha256,
        Self::RsaPssSha384,
        Self::RsaPssSha512,
        Self::MlDsa44,
        Self::MlDsa65,
        Self::MlDsa87,
    ];

    /// The algorithm of this name, as [`fmt::Display`] writes it.
    #[must_use]
    pub fn by_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|known| known.name() == name)
    }

    const fn oid(self) -> ObjectIdentifier {
        match self {
            Self::EcdsaSha256 => oids::ECDSA_WITH_SHA256,
            Self::EcdsaSha384 => oids::ECDSA_WITH_SHA384,
            Self::EcdsaSha512 => oids::ECDSA_WITH_SHA512,
            Self::Ed25519 => oids::ED25519,
            Self::RsaSha256 => oids::SHA256_WITH_RSA,
            Self::RsaSha384 => oids::SHA384_WITH_RSA,
            Self::RsaSha512 => oids::SHA512_WITH_RSA,
            Self::RsaPssSha256 | Self::RsaPssSha384 | Self::RsaPssSha512 => oids::RSASSA_PSS,
            Self::MlDsa44 => oids::ML_DSA_44,
            Self::MlDsa65 => oids::ML_DSA_65,
            Self::MlDsa87 => oids::ML_DSA_87,
        }
    }

    const fn parameters(self) -> Parameters {
        match self {
            Self::RsaSha256 | Self::RsaSha384 | Self::RsaSha512 => Parameters::Null,
            Self::RsaPssSha256 => Parameters::Pss(oids::SHA256, 32),
            Self::RsaPssSha384 => Parameters::Pss(oids::SHA384, 48),
            Self::RsaPssSha512 => Parameters::Pss(oids::SHA512, 64),
            Self::EcdsaSha256 | Self::EcdsaSha384 | Self::EcdsaSha512 | Self::Ed25519 => Parameters::Absent,
            Self::MlDsa44 | Self::MlDsa65 | Self::MlDsa87 => Parameters::Absent,
        }
    }

    /// The `AlgorithmIdentifier`: parameters NULL for RSA of PKCS #1 v1.5, all but the trailer for PSS, absent otherwise.
    /// Source: RFC 5758 §3.2, RFC 8410 §3, RFC 4055 §3.1 and §5, RFC 9881 §2.
    pub fn write(self, w: &mut Writer) {
        w.sequence(|w| {
            w.oid(self.oid());
            match self.parameters() {
                Parameters::Absent => {}
                Parameters::Null => {
                    w.value(tag::NULL, &[]);
                }
                Parameters::Pss(hash, salt_len) => write_pss_parameters(hash, salt_len, w),
            }
        });
    }

    /// Reads an `AlgorithmIdentifier`; one that is not in our list, or has other parameters, is refused.
    ///
    /// Off-spec: RFC 4055 §2.1 wants absent parameters of a hash read like NULL. RFC 4055 §6 and all issuers that we
    /// know write NULL, and one algorithm with one spelling is what makes comparing octets safe.
    pub(crate) fn read(reader: &mut SliceReader<'_>) -> Result<Self> {
        let (contents, der) = read::contents_and_all(reader, Tag::Sequence)?;
        let spelled_so = |algorithm: &Self| {
            let mut w = Writer::with_capacity(80);
            algorithm.write(&mut w);
            w.finish() == der
        };
        let oid = read::oid(&mut SliceReader::new(contents)?)?;
        let known = Self::ALL.into_iter().filter(|algorithm| algorithm.oid() == oid).find(spelled_so);
        match known {
            Some(algorithm) => Ok(algorithm),
            None => bad(reader),
        }
    }

    /// Its name, the same in all releases.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::EcdsaSha256 => "ecdsa-with-SHA256",
            Self::EcdsaSha384 => "ecdsa-with-SHA384",
            Self::EcdsaSha512 => "ecdsa-with-SHA512",
            Self::Ed25519 => "Ed25519",
            Self::RsaSha256 => "sha256WithRSAEncryption",
            Self::RsaSha384 => "sha384WithRSAEncryption",
            Self::RsaSha512 => "sha512WithRSAEncryption",
            Self::RsaPssSha256 => "RSASSA-PSS-SHA256",
            Self::RsaPssSha384 => "RSASSA-PSS-SHA384",
            Self::RsaPssSha512 => "RSASSA-PSS-SHA512",
            Self::MlDsa44 => "ML-DSA-44",
            Self::MlDsa65 => "ML-DSA-65",
            Self::MlDsa87 => "ML-DSA-87",
        }
    }
}

// RSASSA-PSS-params: hash, MGF1 with the same hash, salt as long as the hash, the trailer left to its default.
fn write_pss_parameters(hash: ObjectIdentifier, salt_len: u8, w: &mut Writer) {
    let write_hash = |w: &mut Writer| {
        w.sequence(|w| {
            w.oid(hash).value(tag::NULL, &[]);
        });
    };
    w.sequence(|w| {
        w.explicit(0, write_hash);
        w.explicit(1, |w| {
            w.sequence(|w| {
                w.oid(oids::MGF1);
                write_hash(w);
            });
        });
        w.explicit(2, |w| {
            w.small(u64::from(salt_len));
        });
    });
}

impl fmt::Display for SignatureAlgorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(hex: &str, expected: Option<SignatureAlgorithm>) {
        let der = model::octets::from_hex(hex).unwrap();
        assert_eq!(read::whole(&der, 100, "", SignatureAlgorithm::read).ok(), expected);
    }

    #[test]
    fn all_survive() {
        for algorithm in SignatureAlgorithm::ALL {
            let mut w = Writer::default();
            algorithm.write(&mut w);
            assert_eq!(read::whole(&w.finish(), 100, "", SignatureAlgorithm::read), Ok(algorithm));
            assert_eq!(SignatureAlgorithm::by_name(&algorithm.to_string()), Some(algorithm));
        }
    }
    #[test]
    fn every_type_signs_with_its_default_and_has_a_name() {
        for key_type in KeyType::NAMED {
            assert!(key_type.may_sign_with(key_type.signs_with()), "{key_type}");
            assert_eq!(KeyType::by_name(&key_type.to_string()), Some(key_type));
        }
    }
    #[test]
    fn types_do_not_sign_with_the_algorithms_of_others() {
        assert!(KeyType::Rsa(2048).may_sign_with(SignatureAlgorithm::RsaPssSha384));
        assert!(!KeyType::P256.may_sign_with(SignatureAlgorithm::RsaPssSha256));
        assert!(!KeyType::MlDsa44.may_sign_with(SignatureAlgorithm::MlDsa65));
        assert!(!KeyType::Ed25519.may_sign_with(SignatureAlgorithm::EcdsaSha256));
    }
    #[test]
    fn rsa_of_2047_or_4097_bits_signs_nothing() {
        for bits in [2047, 4097] {
            assert!(SignatureAlgorithm::ALL.into_iter().all(|a| !KeyType::Rsa(bits).may_sign_with(a)));
        }
    }
    // Parameters as CA/Browser Forum BR §7.1.3.2.1 has them, octet by octet.
    #[test]
    fn pss_with_sha256() {
        let hex = "304106092a864886f70d01010a3034a00f300d06096086480165030402010500\
                   a11c301a06092a864886f70d010108300d06096086480165030402010500a203020120";
        check(hex, Some(SignatureAlgorithm::RsaPssSha256));
    }
    #[test]
    fn pss_with_another_salt_is_refused() {
        let hex = "304106092a864886f70d01010a3034a00f300d06096086480165030402010500\
                   a11c301a06092a864886f70d010108300d06096086480165030402010500a203020114";
        check(hex, None);
    }
    #[test]
    fn pss_with_two_hashes_is_refused() {
        let hex = "304106092a864886f70d01010a3034a00f300d06096086480165030402010500\
                   a11c301a06092a864886f70d010108300d06096086480165030402020500a203020120";
        check(hex, None);
    }
    #[test]
    fn pss_by_default_is_sha1_and_refused() {
        check("300d06092a864886f70d01010a3000", None);
    }
    #[test]
    fn ml_dsa_without_parameters() {
        check("300b0609608648016503040312", Some(SignatureAlgorithm::MlDsa65));
    }
    #[test]
    fn ml_dsa_with_null_is_refused() {
        check("300d06096086480165030403120500", None);
    }
    #[test]
    fn sha1_and_md5_are_refused() {
        check("300d06092a864886f70d0101050500", None);
        check("300d06092a864886f70d0101040500", None);
        check("300906072a8648ce3d0401", None);
    }
}
