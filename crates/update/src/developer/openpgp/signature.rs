//! Signatures of OpenPGP, version 4.
//!
//! Source: RFC 9580 §5.2.

use super::packets::{Octets, Subpacket, packets, subpackets, without_armour};
use crate::developer::fault::NotSigned;
use crate::developer::{Form, SIGNATURE_LEN_MAX};
use aws_lc_rs::digest::Digest;
use x509::cms::HashAlgorithm;
use x509::{KeyType, PublicKey, SignatureAlgorithm, Writer, signature};

/// `Signature`. Source: RFC 9580 §5.
pub(super) const TAG: u8 = 2;

/// Kinds of signatures. Source: RFC 9580 §5.2.1.
pub(super) mod kind {
    pub(in super::super) const OVER_OCTETS: u8 = 0x00;
    pub(in super::super) const OVER_TEXT: u8 = 0x01;
    pub(in super::super) const CERTIFICATION: std::ops::RangeInclusive<u8> = 0x10..=0x13;
    pub(in super::super) const SUBKEY: u8 = 0x18;
    pub(in super::super) const BY_SUBKEY: u8 = 0x19;
    pub(in super::super) const OF_KEY: u8 = 0x1f;
    pub(in super::super) const KEY_REVOKED: u8 = 0x20;
    pub(in super::super) const SUBKEY_REVOKED: u8 = 0x28;
}

/// Kinds of subpackets. Source: RFC 9580 §5.2.3.7.
mod subpacket {
    pub(super) const CREATED: u8 = 2;
    pub(super) const EXPIRES: u8 = 3;
    pub(super) const KEY_EXPIRES: u8 = 9;
    pub(super) const KEY_FLAGS: u8 = 27;
    pub(super) const EMBEDDED: u8 = 32;
    /// What changes nothing here, so that it may be critical: preferences, who signed, features, why something was revoked.
    pub(super) const HARMLESS: [u8; 12] = [11, 16, 21, 22, 23, 24, 25, 28, 29, 30, 33, 34];
}

/// A signature of OpenPGP that was read. Nobody has verified it.
#[derive(Clone, Debug)]
pub struct OpenPgpSignature {
    pub(super) kind: u8,
    public_key_algorithm: u8,
    hash: Option<HashAlgorithm>,
    // Behind what is signed, this is hashed.
    trailer: Vec<u8>,
    values: Values,
    // What the digest begins with.
    left: [u8; 2],
    numbers: Vec<u8>,
}

// What the signed subpackets say.
#[derive(Clone, Debug, Default)]
struct Values {
    created_s: u64,
    lifetime_s: Option<u64>,
    key_lifetime_s: Option<u64>,
    key_flags: Option<u8>,
    embedded: Option<Vec<u8>>,
    has_unknown_critical: bool,
}

impl OpenPgpSignature {
    /// Reads a file with one detached signature, armoured or not.
    ///
    /// # Errors
    /// [`NotSigned::Malformed`]; [`NotSigned::Attached`] if it is a message with its contents, or has something besides.
    pub fn decode(octets: &[u8]) -> Result<Self, NotSigned> {
        const MALFORMED: NotSigned = NotSigned::Malformed(Form::OpenPgp);
        if octets.len() > SIGNATURE_LEN_MAX {
            return Err(NotSigned::TooLong);
        }
        let octets = without_armour(octets, "SIGNATURE").ok_or(MALFORMED)?;
        // A message begins with what is compressed, signed in one pass, or literal; GnuPG does not say how long it is.
        if octets.first().is_some_and(|head| matches!(head, 0xa0..=0xaf | 0x90..=0x93 | 0xc4 | 0xc8 | 0xcb)) {
            return Err(NotSigned::Attached);
        }
        match packets(&octets).ok_or(MALFORMED)?.as_slice() {
            [one] if one.tag == TAG => Self::read(one.body).ok_or(MALFORMED),
            _ => Err(MALFORMED),
        }
    }

    pub(super) fn read(body: &[u8]) -> Option<Self> {
        let mut rest = Octets(body);
        let head = rest.take(4)?;
        let [4, kind, public_key_algorithm, hash] = *head else { return None };
        let signed = rest.behind(2)?;
        let mut trailer = head.to_vec();
        trailer.extend(u16::try_from(signed.len()).ok()?.to_be_bytes());
        trailer.extend(signed);
        let hashed_len = u32::try_from(trailer.len()).ok()?;
        trailer.extend([4, 0xff]);
        trailer.extend(hashed_len.to_be_bytes());
        // What is not signed says nothing, but for a signature in it, which is verified for itself.
        let unsigned = subpackets(rest.behind(2)?)?;
        let left = rest.take(2)?.try_into().ok()?;
        let mut values = Values::read(&subpackets(signed)?)?;
        if values.embedded.is_none() {
            values.embedded = unsigned.iter().find(|one| one.kind == subpacket::EMBEDDED).map(|one| one.value.to_vec());
        }
        let hash = match hash {
            8 => Some(HashAlgorithm::Sha256),
            9 => Some(HashAlgorithm::Sha384),
            10 => Some(HashAlgorithm::Sha512),
            _ => None,
        };
        Some(Self { kind, public_key_algorithm, hash, trailer, values, left, numbers: rest.0.to_vec() })
    }

    /// When it was made, in seconds since 1970.
    pub(super) const fn created_s(&self) -> u64 {
        self.values.created_s
    }
    /// When it ends, if it does.
    pub(super) fn ends_s(&self) -> Option<u64> {
        self.values.lifetime_s.map(|lifetime_s| self.values.created_s.saturating_add(lifetime_s))
    }
    /// For how long the key lasts that it is about, from its making on.
    pub(super) const fn key_lifetime_s(&self) -> Option<u64> {
        self.values.key_lifetime_s
    }
    /// What the key is for that it is about.
    pub(super) const fn key_flags(&self) -> Option<u8> {
        self.values.key_flags
    }
    pub(super) const fn has_unknown_critical(&self) -> bool {
        self.values.has_unknown_critical
    }
    /// The signature of a subkey in the one over it.
    pub(super) fn embedded(&self) -> Option<Self> {
        Self::read(self.values.embedded.as_ref()?)
    }
    /// The hash that it is over, if it and the algorithm are believed.
    pub(super) fn hash(&self) -> Option<HashAlgorithm> {
        self.hash.filter(|_| matches!(self.public_key_algorithm, 1 | 3 | 19 | 22 | 27))
    }
    /// What is hashed behind what is signed.
    pub(super) fn trailer(&self) -> &[u8] {
        &self.trailer
    }

    /// Whether it may be over what has this digest. Nobody signed that; it tells another image from another signer.
    pub(super) fn may_be_over(&self, digest: &Digest) -> bool {
        digest.as_ref().starts_with(&self.left)
    }

    /// Verifies it over these octets.
    pub(super) fn holds_over(&self, key: &PublicKey, signed: &[u8]) -> bool {
        let Some(hash) = self.hash() else { return false };
        let algorithm = match hash {
            HashAlgorithm::Sha256 => &aws_lc_rs::digest::SHA256,
            HashAlgorithm::Sha384 => &aws_lc_rs::digest::SHA384,
            HashAlgorithm::Sha512 => &aws_lc_rs::digest::SHA512,
        };
        let mut context = aws_lc_rs::digest::Context::new(algorithm);
        context.update(signed);
        context.update(&self.trailer);
        self.holds(key, hash, &context.finish())
    }

    /// Verifies it over what was hashed with its trailer.
    pub(super) fn holds(&self, key: &PublicKey, hash: HashAlgorithm, digest: &Digest) -> bool {
        use HashAlgorithm as H;
        use SignatureAlgorithm as A;
        let mut numbers = Octets(&self.numbers);
        let verified = match (self.public_key_algorithm, key.key_type()) {
            (1 | 3, KeyType::Rsa(bits)) => {
                let algorithm = match hash {
                    H::Sha256 => A::RsaSha256,
                    H::Sha384 => A::RsaSha384,
                    H::Sha512 => A::RsaSha512,
                };
                let octets = numbers.integer().and_then(|number| padded(number, usize::from(bits).div_ceil(8)));
                octets.map(|octets| signature::verify_hashed(key, algorithm, digest, &octets))
            }
            (19, KeyType::P256 | KeyType::P384 | KeyType::P521) => {
                let algorithm = match hash {
                    H::Sha256 => A::EcdsaSha256,
                    H::Sha384 => A::EcdsaSha384,
                    H::Sha512 => A::EcdsaSha512,
                };
                let both = numbers.integer().and_then(|r| Some(ecdsa(r, numbers.integer()?)));
                both.map(|octets| signature::verify_hashed(key, algorithm, digest, &octets))
            }
            // What Ed25519 signs here is the digest (RFC 9580 §5.2.3.3).
            (22, KeyType::Ed25519) => {
                let both =
                    numbers.integer().and_then(|r| Some([padded(r, 32)?, padded(numbers.integer()?, 32)?].concat()));
                both.map(|octets| signature::verify(key, A::Ed25519, digest.as_ref(), &octets))
            }
            (27, KeyType::Ed25519) => {
                numbers.take(64).map(|octets| signature::verify(key, A::Ed25519, digest.as_ref(), octets))
            }
            _ => None,
        };
        verified == Some(Ok(())) && numbers.is_empty()
    }
}

impl Values {
    fn read(signed: &[Subpacket<'_>]) -> Option<Self> {
        let mut values = Self::default();
        let mut created = None;
        for one in signed {
            let seconds = || Octets(one.value).number(4).filter(|_| one.value.len() == 4);
            match one.kind {
                subpacket::CREATED => created = Some(seconds()?),
                // None is for ever (RFC 9580 §5.2.3.18).
                subpacket::EXPIRES => values.lifetime_s = Some(seconds()?).filter(|s| *s > 0),
                subpacket::KEY_EXPIRES => values.key_lifetime_s = Some(seconds()?).filter(|s| *s > 0),
                subpacket::KEY_FLAGS => values.key_flags = Some(one.value.first().copied().unwrap_or(0)),
                subpacket::EMBEDDED => values.embedded = Some(one.value.to_vec()),
                kind if subpacket::HARMLESS.contains(&kind) => {}
                _ => values.has_unknown_critical |= one.is_critical,
            }
        }
        // RFC 9580 §5.2.3.11: the time is always there, and signed.
        values.created_s = created?;
        Some(values)
    }
}

// As many octets as there must be, zeros in front.
fn padded(number: &[u8], len: usize) -> Option<Vec<u8>> {
    let zeros = len.checked_sub(number.len())?;
    Some([vec![0; zeros].as_slice(), number].concat())
}

// Both numbers as X.509 writes them. Source: RFC 3279 §2.2.3.
fn ecdsa(r: &[u8], s: &[u8]) -> Vec<u8> {
    let mut w = Writer::default();
    w.sequence(|w| {
        w.unsigned(r).unsigned(s);
    });
    w.finish()
}
