//! `CertID`: which certificate of which issuer.

use super::oids;
use crate::read::{self, Result, bad};
use aws_lc_rs::digest;
use const_oid::ObjectIdentifier;
use der::{Decode, Reader, SliceReader, Tag};
use x509::write::tag;
use x509::{Name, PublicKey, SerialNumber, Writer};

/// How an issuer's name and key are shortened in a `CertID`.
///
/// SHA-1 is here, and only here and in `ResponderID`, because RFC 5019 §2.1.1 makes it the one that every client knows.
/// It is a key to look something up with: whoever finds two issuers with one hash learns that the responder answers for
/// one of them. Nothing is signed over it alone; the signatures of this system never use it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[expect(missing_docs, reason = "the names are those of FIPS 180-4")]
pub enum HashAlgorithm {
    Sha1,
    Sha256,
    Sha384,
    Sha512,
}

impl HashAlgorithm {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Sha1, Self::Sha256, Self::Sha384, Self::Sha512];

    const fn oid(self) -> ObjectIdentifier {
        match self {
            Self::Sha1 => oids::SHA1,
            Self::Sha256 => oids::SHA256,
            Self::Sha384 => oids::SHA384,
            Self::Sha512 => oids::SHA512,
        }
    }

    /// The hash of some octets.
    #[must_use]
    pub fn hash(self, octets: &[u8]) -> HashValue {
        let algorithm = match self {
            Self::Sha1 => &digest::SHA1_FOR_LEGACY_USE_ONLY,
            Self::Sha256 => &digest::SHA256,
            Self::Sha384 => &digest::SHA384,
            Self::Sha512 => &digest::SHA512,
        };
        let Some(value) = HashValue::new(self, digest::digest(algorithm, octets).as_ref()) else {
            unreachable!("a digest has the length of its algorithm (FIPS 180-4)")
        };
        value
    }

    pub(super) const fn len(self) -> usize {
        match self {
            Self::Sha1 => 20,
            Self::Sha256 => 32,
            Self::Sha384 => 48,
            Self::Sha512 => 64,
        }
    }
}

/// A hash. Shape: 20, 32, 48 or 64 octets.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct HashValue {
    octets: [u8; 64],
    len: usize,
}

impl HashValue {
    fn new(algorithm: HashAlgorithm, hash: &[u8]) -> Option<Self> {
        let mut octets = [0; 64];
        octets.iter_mut().zip(hash).for_each(|(to, from)| *to = *from);
        (hash.len() == algorithm.len()).then_some(Self { octets, len: hash.len() })
    }
    /// The octets.
    #[must_use]
    pub fn octets(&self) -> &[u8] {
        self.octets.get(..self.len).unwrap_or_default()
    }
}
impl std::fmt::Debug for HashValue {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&model::octets::hex(self.octets()))
    }
}

/// A `CertID` where it was read.
/// Source: RFC 6960 §4.1.1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CertId<'a> {
    der: &'a [u8],
    /// How the two hashes were made.
    pub hash_algorithm: HashAlgorithm,
    /// Hash of the issuer's `Name` in DER.
    pub issuer_name_hash: HashValue,
    /// Hash of the issuer's key: the contents of the BIT STRING.
    pub issuer_key_hash: HashValue,
    /// Which certificate of that issuer.
    pub serial_number: SerialNumber,
}

/// What was read where a `CertID` should be.
pub(super) enum Read<'a> {
    Known(CertId<'a>),
    /// Well formed, by a hash that is not in our list.
    UnknownHash,
}

impl<'a> CertId<'a> {
    /// The octets as they were read, so that an answer repeats them.
    #[must_use]
    pub const fn der(&self) -> &'a [u8] {
        self.der
    }

    pub(super) fn read(reader: &mut SliceReader<'a>) -> Result<Read<'a>> {
        let der = reader.tlv_bytes()?;
        let (oid, name, key, serial_number) = read::inside(der, |r| {
            read::sequence(r, |r| {
                let oid = read::sequence(r, |r| {
                    let oid = ObjectIdentifier::decode(r)?;
                    // RFC 5754 §2: parameters are absent or NULL, and both are to be taken.
                    if !r.is_finished() {
                        der::asn1::Null::decode(r)?;
                    }
                    Ok(oid)
                })?;
                let name = read::contents(r, Tag::OctetString)?;
                let key = read::contents(r, Tag::OctetString)?;
                Ok((oid, name, key, read::serial_number(r)?))
            })
        })?;
        let Some(hash_algorithm) = HashAlgorithm::ALL.into_iter().find(|a| a.oid() == oid) else {
            return Ok(Read::UnknownHash);
        };
        match (HashValue::new(hash_algorithm, name), HashValue::new(hash_algorithm, key)) {
            (Some(issuer_name_hash), Some(issuer_key_hash)) => {
                Ok(Read::Known(Self { der, hash_algorithm, issuer_name_hash, issuer_key_hash, serial_number }))
            }
            _ => bad(reader),
        }
    }
}

/// What the `CertID`s of one issuer begin with, by every hash, worked out once.
#[derive(Clone, Debug)]
pub struct IssuerIds {
    by_hash: [IssuerId; 4],
}

#[derive(Clone, Debug)]
struct IssuerId {
    algorithm: HashAlgorithm,
    name: HashValue,
    key: HashValue,
    // AlgorithmIdentifier and both OCTET STRINGs.
    head: Vec<u8>,
}

impl IssuerIds {
    /// Works them out from the issuer's subject name, as its certificate spells it, and its key.
    #[must_use]
    pub fn new(subject: &Name, key: &PublicKey) -> Self {
        let by_hash = HashAlgorithm::ALL.map(|algorithm| {
            let (name, key) = (algorithm.hash(subject.der()), algorithm.hash(key.bits()));
            let mut w = Writer::with_capacity(160);
            w.sequence(|w| {
                // Off-spec: RFC 5754 would leave the parameters out; all clients write NULL, and some compare octets.
                w.oid(algorithm.oid()).value(tag::NULL, &[]);
            });
            w.octet_string(name.octets()).octet_string(key.octets());
            IssuerId { algorithm, name, key, head: w.finish() }
        });
        Self { by_hash }
    }

    /// Whether the `CertID` names this issuer: by name and by key.
    #[must_use]
    pub fn names(&self, id: &CertId<'_>) -> bool {
        self.of(id.hash_algorithm).is_some_and(|own| own.key == id.issuer_key_hash && own.name == id.issuer_name_hash)
    }

    /// Whether the `CertID` names this issuer in the very octets that [`IssuerIds::write`] writes.
    #[must_use]
    pub fn spells(&self, id: &CertId<'_>) -> bool {
        let head = self.of(id.hash_algorithm).map(|own| own.head.as_slice()).unwrap_or_default();
        // Tag and length of the SEQUENCE: two octets up to a length of 127, three up to 255; none of ours is longer.
        let contents = match id.der {
            [_, 0x81, _, contents @ ..] | [_, 0..=0x7f, contents @ ..] => contents,
            _ => return false,
        };
        contents.starts_with(head)
    }

    /// Writes the `CertID` of one certificate of this issuer.
    pub fn write(&self, algorithm: HashAlgorithm, serial: &SerialNumber, w: &mut Writer) {
        let head = self.of(algorithm).map(|own| own.head.as_slice()).unwrap_or_default();
        w.sequence(|w| {
            w.raw(head).unsigned(serial.octets());
        });
    }

    fn of(&self, algorithm: HashAlgorithm) -> Option<&IssuerId> {
        self.by_hash.iter().find(|own| own.algorithm == algorithm)
    }
}
