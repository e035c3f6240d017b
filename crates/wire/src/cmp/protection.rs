//! `PKIProtection`: MACs from a shared secret, made and verified; signatures, verified.

use super::oids;
use crate::ocsp::algorithm_of;
use crate::ocsp::oids as hash_oids;
use crate::read::{self, Result, bad};
use aws_lc_rs::{digest, hmac, pbkdf2};
use const_oid::ObjectIdentifier;
use der::{Decode, Reader, SliceReader, Tag};
use std::num::NonZeroU32;
use std::ops::RangeInclusive;
use x509::write::tag;
use x509::{SignatureAlgorithm, Writer};

/// Iterations that are taken of a peer: at least what RFC 4211 §4.4 demands, at most what costs milliseconds, because a
/// peer that is not yet authenticated chooses the number. OpenSSL 3.0 writes 500.
pub const ITERATIONS: RangeInclusive<u32> = 100..=100_000;
/// Iterations that we write.
const ITERATIONS_OWN: u32 = 10_000;
/// Octets of salt that are taken of a peer. Source: RFC 4211 §4.4 and RFC 8018 §4.1, which want 64 bits at least.
const SALT_LEN: RangeInclusive<usize> = 8..=64;
/// Octets of a derived key that are taken of a peer: fewer could be guessed, more are no use to any of our hashes.
const KEY_LEN: RangeInclusive<usize> = 20..=64;
/// Octets of the key that we derive.
const KEY_LEN_OWN: usize = 32;

/// How a message is protected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProtectionAlgorithm<'a> {
    /// By a signature.
    Signature(SignatureAlgorithm),
    /// By a MAC.
    Mac(MacAlgorithm<'a>),
}

/// How a key is made of a shared secret, and a MAC with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MacAlgorithm<'a> {
    derivation: Derivation,
    salt: &'a [u8],
    iterations: NonZeroU32,
    mac: Hash,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Derivation {
    /// The hash of hashes of secret and salt.
    PasswordBased(Hash),
    /// PBKDF2 with HMAC.
    Pbkdf2 { prf: Hash, key_len: usize },
}

/// Which MAC we make ourselves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MacKind {
    /// PBKDF2 and HMAC, both with SHA-256. Source: RFC 9481 §6.1.2.
    Pbmac1,
    /// The older one, which OpenSSL 3.0 knows alone; with SHA-256. Source: RFC 4211 §4.4, RFC 9481 §6.1.1.
    PasswordBasedMac,
}

/// SHA-1 serves in the MAC of peers only: OpenSSL 3.0 answers with it whatever it was asked with, and HMAC does not rest
/// on what SHA-1 has lost (RFC 6194 §3.3). It never makes the key, and we never write it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Hash {
    Sha1,
    Sha256,
    Sha384,
    Sha512,
}

impl Hash {
    const MACS: [(ObjectIdentifier, Self); 5] = [
        (oids::HMAC_WITH_SHA256, Self::Sha256),
        (oids::HMAC_WITH_SHA384, Self::Sha384),
        (oids::HMAC_WITH_SHA512, Self::Sha512),
        (oids::HMAC_SHA1, Self::Sha1),
        (oids::HMAC_WITH_SHA1, Self::Sha1),
    ];
    const OWFS: [(ObjectIdentifier, Self); 3] =
        [(hash_oids::SHA256, Self::Sha256), (hash_oids::SHA384, Self::Sha384), (hash_oids::SHA512, Self::Sha512)];

    fn mac(self, key: &[u8]) -> hmac::Key {
        let algorithm = match self {
            Self::Sha1 => hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY,
            Self::Sha256 => hmac::HMAC_SHA256,
            Self::Sha384 => hmac::HMAC_SHA384,
            Self::Sha512 => hmac::HMAC_SHA512,
        };
        hmac::Key::new(algorithm, key)
    }

    /// `None` for SHA-1, which makes no key.
    const fn derives(self) -> Option<(&'static digest::Algorithm, pbkdf2::Algorithm)> {
        match self {
            Self::Sha1 => None,
            Self::Sha256 => Some((&digest::SHA256, pbkdf2::PBKDF2_HMAC_SHA256)),
            Self::Sha384 => Some((&digest::SHA384, pbkdf2::PBKDF2_HMAC_SHA384)),
            Self::Sha512 => Some((&digest::SHA512, pbkdf2::PBKDF2_HMAC_SHA512)),
        }
    }
}

impl<'a> ProtectionAlgorithm<'a> {
    /// Reads `protectionAlg`.
    ///
    /// `None` if it is not in our lists or its numbers are outside our bounds: MD5, a SHA-1 that makes the key, too few
    /// iterations or too many, hardly any salt.
    #[must_use]
    pub fn read(der: &'a [u8]) -> Option<Self> {
        if let Some(algorithm) = algorithm_of(der) {
            return Some(Self::Signature(algorithm));
        }
        read::inside(der, |r| {
            let (oid, parameters) = algorithm(r)?;
            match (oid, parameters) {
                (oids::PASSWORD_BASED_MAC, Some(parameters)) => read::inside(parameters, password_based_mac),
                (oids::PBMAC1, Some(parameters)) => read::inside(parameters, pbmac1),
                _ => bad(r),
            }
        })
        .map(Self::Mac)
        .ok()
        .or_else(|| without_null(der).map(Self::Signature))
    }
}

/// An `AlgorithmIdentifier`: what it names, and its parameters, whole.
fn algorithm<'a>(reader: &mut SliceReader<'a>) -> Result<(ObjectIdentifier, Option<&'a [u8]>)> {
    read::sequence(reader, |r| {
        let oid = ObjectIdentifier::decode(r)?;
        Ok((oid, if r.is_finished() { None } else { Some(r.tlv_bytes()?) }))
    })
}

/// A signature algorithm whose parameters should be NULL and are absent.
///
/// Off-spec: RFC 4055 §5 demands NULL. OpenSSL 3.0 leaves it out here, and it changes nothing about the signature.
fn without_null(der: &[u8]) -> Option<SignatureAlgorithm> {
    let Ok((oid, None)) = read::inside(der, algorithm) else { return None };
    let mut w = Writer::with_capacity(16);
    w.sequence(|w| {
        w.oid(oid).value(tag::NULL, &[]);
    });
    algorithm_of(&w.finish())
}

/// An algorithm without parameters, which may be absent or NULL.
fn one_of<'a, T: Copy>(reader: &mut SliceReader<'a>, known: &[(ObjectIdentifier, T)]) -> Result<T> {
    let (oid, parameters) = algorithm(reader)?;
    let found = known.iter().find_map(|(name, value)| (*name == oid).then_some(*value));
    match (found, parameters) {
        (Some(value), None | Some([tag::NULL, 0])) => Ok(value),
        _ => bad(reader),
    }
}

fn bounded_salt<'a>(reader: &mut SliceReader<'a>) -> Result<&'a [u8]> {
    let salt = read::contents(reader, Tag::OctetString)?;
    if SALT_LEN.contains(&salt.len()) { Ok(salt) } else { bad(reader) }
}

fn bounded_iterations(reader: &mut SliceReader<'_>) -> Result<NonZeroU32> {
    let iterations = u32::decode(reader)?;
    match NonZeroU32::new(iterations).filter(|n| ITERATIONS.contains(&n.get())) {
        Some(iterations) => Ok(iterations),
        None => bad(reader),
    }
}

// RFC 4211 §4.4: PBMParameter.
fn password_based_mac<'a>(reader: &mut SliceReader<'a>) -> Result<MacAlgorithm<'a>> {
    read::sequence(reader, |r| {
        let salt = bounded_salt(r)?;
        let owf = one_of(r, &Hash::OWFS)?;
        let iterations = bounded_iterations(r)?;
        let mac = one_of(r, &Hash::MACS)?;
        Ok(MacAlgorithm { derivation: Derivation::PasswordBased(owf), salt, iterations, mac })
    })
}

// RFC 8018 appendix A.5: PBMAC1-params. RFC 9579 §4: keyLength is not left out; nobody could tell how long the key is.
fn pbmac1<'a>(reader: &mut SliceReader<'a>) -> Result<MacAlgorithm<'a>> {
    read::sequence(reader, |r| {
        let (oid, parameters) = algorithm(r)?;
        let (oids::PBKDF2, Some(parameters)) = (oid, parameters) else { return bad(r) };
        let mac = one_of(r, &Hash::MACS)?;
        read::inside(parameters, |r| {
            read::sequence(r, |r| {
                let salt = bounded_salt(r)?;
                let iterations = bounded_iterations(r)?;
                let key_len = usize::from(u16::decode(r)?);
                // The default of the PRF is HMAC with SHA-1, so an absent one is refused too.
                let prf = one_of(r, &Hash::MACS)?;
                if !KEY_LEN.contains(&key_len) || prf.derives().is_none() {
                    return bad(r);
                }
                Ok(MacAlgorithm { derivation: Derivation::Pbkdf2 { prf, key_len }, salt, iterations, mac })
            })
        })
    })
}

impl<'a> MacAlgorithm<'a> {
    /// The MAC that we make, with fresh salt.
    #[must_use]
    pub fn own(kind: MacKind, salt: &'a [u8; 16]) -> Self {
        let derivation = match kind {
            MacKind::Pbmac1 => Derivation::Pbkdf2 { prf: Hash::Sha256, key_len: KEY_LEN_OWN },
            MacKind::PasswordBasedMac => Derivation::PasswordBased(Hash::Sha256),
        };
        let iterations = NonZeroU32::MIN.saturating_add(ITERATIONS_OWN - 1);
        Self { derivation, salt, iterations, mac: Hash::Sha256 }
    }

    /// Which of ours a MAC like this one is answered with.
    #[must_use]
    pub const fn kind(&self) -> MacKind {
        match self.derivation {
            Derivation::PasswordBased(_) => MacKind::PasswordBasedMac,
            Derivation::Pbkdf2 { .. } => MacKind::Pbmac1,
        }
    }

    /// Writes the `AlgorithmIdentifier`.
    #[must_use]
    pub fn write(&self) -> Vec<u8> {
        let name = |hash: Hash, known: &[(ObjectIdentifier, Hash)]| {
            known.iter().find_map(|(oid, value)| (*value == hash).then_some(*oid)).unwrap_or(hash_oids::SHA256)
        };
        let plain = |oid: ObjectIdentifier, w: &mut Writer| {
            w.sequence(|w| {
                w.oid(oid).value(tag::NULL, &[]);
            });
        };
        let (mac, iterations) = (name(self.mac, &Hash::MACS), u64::from(self.iterations.get()));
        let mut w = Writer::with_capacity(128);
        w.sequence(|w| match self.derivation {
            Derivation::PasswordBased(owf) => {
                w.oid(oids::PASSWORD_BASED_MAC);
                w.sequence(|w| {
                    w.octet_string(self.salt);
                    plain(name(owf, &Hash::OWFS), w);
                    w.small(iterations);
                    plain(mac, w);
                });
            }
            Derivation::Pbkdf2 { prf, key_len } => {
                w.oid(oids::PBMAC1);
                w.sequence(|w| {
                    w.sequence(|w| {
                        w.oid(oids::PBKDF2);
                        w.sequence(|w| {
                            w.octet_string(self.salt).small(iterations);
                            w.small(u64::try_from(key_len).unwrap_or_default());
                            plain(name(prf, &Hash::MACS), w);
                        });
                    });
                    plain(mac, w);
                });
            }
        });
        w.finish()
    }

    /// The MAC of a `ProtectedPart`.
    #[must_use]
    pub fn mac(&self, secret: &[u8], protected_part: &[u8]) -> Vec<u8> {
        hmac::sign(&self.key(secret), protected_part).as_ref().to_vec()
    }

    /// Whether a MAC is that of a `ProtectedPart`, compared in constant time.
    #[must_use]
    pub fn verify(&self, secret: &[u8], protected_part: &[u8], mac: &[u8]) -> bool {
        hmac::verify(&self.key(secret), protected_part, mac).is_ok()
    }

    fn key(&self, secret: &[u8]) -> hmac::Key {
        match self.derivation {
            Derivation::PasswordBased(owf) => {
                // Off-list is only SHA-1, which `read` and `own` never put here.
                let Some((owf, _)) = owf.derives() else { unreachable!("SHA-1 makes no key (Hash::OWFS)") };
                let mut context = digest::Context::new(owf);
                context.update(secret);
                context.update(self.salt);
                let mut key = context.finish();
                for _ in 1..self.iterations.get() {
                    key = digest::digest(owf, key.as_ref());
                }
                self.mac.mac(key.as_ref())
            }
            Derivation::Pbkdf2 { prf, key_len } => {
                let Some((_, prf)) = prf.derives() else { unreachable!("SHA-1 makes no key (pbmac1)") };
                let mut key = vec![0; key_len];
                pbkdf2::derive(prf, self.iterations, self.salt, secret, &mut key);
                self.mac.mac(&key)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SALT: [u8; 16] = [0x5a; 16];

    // By Python 3 hashlib and hmac, independent of this code: secret "secret", salt 16 times 0x5a, 10000 iterations,
    // message "message".
    #[track_caller]
    fn check(kind: MacKind, hex: &str) {
        let own = MacAlgorithm::own(kind, &SALT);
        assert_eq!(model::octets::hex(&own.mac(b"secret", b"message")), hex);
        let der = own.write();
        assert_eq!(ProtectionAlgorithm::read(&der), Some(ProtectionAlgorithm::Mac(own)));
        let mac = own.mac(b"secret", b"message");
        assert!(own.verify(b"secret", b"message", &mac));
        assert_eq!(own.kind(), kind);
        assert!(!own.verify(b"secreT", b"message", &mac));
        assert!(!own.verify(b"secret", b"massage", &mac));
        assert!(!own.verify(b"secret", b"message", &mac[..31]));
    }

    #[test]
    fn pbmac1_is_what_python_makes() {
        check(MacKind::Pbmac1, "68f2196aecf28ba2c5c4eb0e5c6436a475a205d0e1ad363da4b6fc849b38fd2d");
    }
    #[test]
    fn password_based_mac_is_what_python_makes() {
        check(MacKind::PasswordBasedMac, "1cdffd36d7babdc82337d46d14f3ae81cea575be83f76d0368104926916b135c");
    }

    struct Pbm<'a> {
        salt: &'a [u8],
        owf: ObjectIdentifier,
        iterations: u64,
        mac: ObjectIdentifier,
    }
    const GOOD: Pbm<'_> = Pbm { salt: &SALT, owf: hash_oids::SHA256, iterations: 500, mac: oids::HMAC_SHA1 };

    #[track_caller]
    fn pbm(parameters: &Pbm<'_>, taken: bool) {
        let mut w = Writer::default();
        w.sequence(|w| {
            w.oid(oids::PASSWORD_BASED_MAC).sequence(|w| {
                w.octet_string(parameters.salt).sequence(|w| {
                    w.oid(parameters.owf);
                });
                w.small(parameters.iterations).sequence(|w| {
                    w.oid(parameters.mac);
                });
            });
        });
        assert_eq!(ProtectionAlgorithm::read(&w.finish()).is_some(), taken);
    }

    #[test]
    fn parameters_as_openssl_writes_them_are_taken() {
        pbm(&GOOD, true);
    }
    #[test]
    fn too_few_iterations_and_too_many_are_refused() {
        for (iterations, taken) in [(99, false), (100, true), (100_000, true), (100_001, false), (1 << 31, false)] {
            pbm(&Pbm { iterations, ..GOOD }, taken);
        }
    }
    #[test]
    fn hardly_any_salt_is_refused() {
        for (len, taken) in [(0, false), (7, false), (8, true), (64, true), (65, false)] {
            pbm(&Pbm { salt: &vec![1; len], ..GOOD }, taken);
        }
    }
    #[test]
    fn a_key_made_by_sha1_is_refused() {
        pbm(&Pbm { owf: hash_oids::SHA1, ..GOOD }, false);
    }
    #[test]
    fn a_mac_of_another_kind_is_refused() {
        pbm(&Pbm { mac: hash_oids::SHA256, ..GOOD }, false);
    }

    #[track_caller]
    fn pbkdf2(key_len: u64, prf: Option<ObjectIdentifier>, taken: bool) {
        let mut w = Writer::default();
        w.sequence(|w| {
            w.oid(oids::PBMAC1).sequence(|w| {
                w.sequence(|w| {
                    w.oid(oids::PBKDF2).sequence(|w| {
                        w.octet_string(&SALT).small(1000).small(key_len);
                        if let Some(prf) = prf {
                            w.sequence(|w| {
                                w.oid(prf);
                            });
                        }
                    });
                });
                w.sequence(|w| {
                    w.oid(oids::HMAC_WITH_SHA512);
                });
            });
        });
        assert_eq!(ProtectionAlgorithm::read(&w.finish()).is_some(), taken);
    }

    #[test]
    fn a_key_of_one_octet_is_refused() {
        for (len, taken) in [(1, false), (19, false), (20, true), (64, true), (65, false)] {
            pbkdf2(len, Some(oids::HMAC_WITH_SHA384), taken);
        }
    }
    #[test]
    fn pbkdf2_by_sha1_or_by_default_is_refused() {
        pbkdf2(32, Some(oids::HMAC_WITH_SHA1), false);
        pbkdf2(32, None, false);
    }
    #[test]
    fn signatures_are_those_of_certificates() {
        let mut w = Writer::default();
        SignatureAlgorithm::RsaSha256.write(&mut w);
        let read = w.finish();
        let expected = ProtectionAlgorithm::Signature(SignatureAlgorithm::RsaSha256);
        assert_eq!(ProtectionAlgorithm::read(&read), Some(expected));
        // Without NULL, as OpenSSL 3.0 writes it; but NULL where none belongs is refused.
        let without = model::octets::from_hex("300b06092a864886f70d01010b").unwrap();
        assert_eq!(ProtectionAlgorithm::read(&without), Some(expected));
        let ecdsa = model::octets::from_hex("300c06082a8648ce3d0403020500").unwrap();
        assert_eq!(ProtectionAlgorithm::read(&ecdsa), None);
    }
}
