//! Certificates.

use crate::algorithm::SignatureAlgorithm;
use crate::extension::{self, BasicConstraints, Extension, ExtensionRef};
use crate::key::PublicKey;
use crate::name::{Name, NameRef};
use crate::oids;
use crate::read::{self, BadDer, Held, Result, bad};
use crate::serial::SerialNumber;
use crate::signature::{self, BadSignature};
use crate::time;
use crate::write::Writer;
use const_oid::ObjectIdentifier;
use der::{Reader, SliceReader, Tag};
use model::UnixTime;

/// Longest certificate in octets.
pub const CERTIFICATE_LEN_MAX: usize = 32 * 1024;

/// A `Certificate`, not verified.
/// Source: RFC 5280 §4.1.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Certificate {
    der: Vec<u8>,
    tbs: TbsCertificate,
    algorithm: SignatureAlgorithm,
    signature: Vec<u8>,
    tbs_at: std::ops::Range<usize>,
}

/// A `TBSCertificate`, version 3, with names and extensions that are its own, or lie in the octets which it was read
/// from.
/// Source: RFC 5280 §4.1.2.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the fields are named as in RFC 5280")]
pub struct Tbs<N, E> {
    pub serial_number: SerialNumber,
    pub signature: SignatureAlgorithm,
    pub issuer: N,
    pub not_before: UnixTime,
    pub not_after: UnixTime,
    pub subject: N,
    pub subject_public_key: PublicKey,
    pub extensions: Vec<E>,
}

/// A `TBSCertificate` of its own.
pub type TbsCertificate = Tbs<Name, Extension>;

/// A `TBSCertificate` for looking at: names and extensions lie in the octets which it was read from.
pub type TbsRef<'a> = Tbs<NameRef<'a>, ExtensionRef<'a>>;

impl<'a> TbsRef<'a> {
    /// Reads the octets that an issuer signs.
    ///
    /// # Errors
    /// As [`TbsCertificate::decode`].
    pub fn decode(der: &'a [u8]) -> std::result::Result<Self, BadDer> {
        read::whole(der, CERTIFICATE_LEN_MAX, "TBSCertificate", |r| {
            read_tbs(r, |extension: &ExtensionRef<'_>| extension.oid)
        })
    }

    /// The octets that the issuer signs, written again.
    #[must_use]
    pub fn write(&self) -> Vec<u8> {
        write_tbs(self)
    }

    /// The value of an extension.
    #[must_use]
    pub fn extension(&self, oid: ObjectIdentifier) -> Option<ExtensionRef<'a>> {
        self.extensions.iter().find(|e| e.oid == oid).copied()
    }
}

impl TbsCertificate {
    /// Writes the octets that the issuer signs.
    #[must_use]
    pub fn write(&self) -> Vec<u8> {
        write_tbs(self)
    }

    /// Reads the octets that an issuer signs.
    ///
    /// # Errors
    /// [`BadDer`] if they are not the DER of a version 3 certificate's part, or followed by other octets.
    pub fn decode(der: &[u8]) -> std::result::Result<Self, BadDer> {
        read::whole(der, CERTIFICATE_LEN_MAX, "TBSCertificate", Self::read)
    }

    /// The value of an extension.
    #[must_use]
    pub fn extension(&self, oid: ObjectIdentifier) -> Option<&Extension> {
        self.extensions.iter().find(|e| e.oid == oid)
    }

    fn read(reader: &mut SliceReader<'_>) -> Result<Self> {
        read_tbs(reader, |extension: &Extension| extension.oid)
    }
}

fn write_tbs<'a, N: Held<'a>, E: Held<'a>>(tbs: &Tbs<N, E>) -> Vec<u8> {
    let mut w = Writer::with_capacity(768);
    w.sequence(|w| {
        w.explicit(0, |w| {
            w.small(2);
        });
        w.unsigned(tbs.serial_number.octets());
        tbs.signature.write(w);
        tbs.issuer.write(w);
        w.sequence(|w| {
            w.time(tbs.not_before).time(tbs.not_after);
        });
        tbs.subject.write(w);
        w.raw(tbs.subject_public_key.spki());
        w.explicit(3, |w| {
            w.sequence(|w| tbs.extensions.iter().for_each(|extension| extension.write(w)));
        });
    });
    w.finish()
}

fn read_tbs<'a, N: Held<'a>, E: Held<'a>>(
    reader: &mut SliceReader<'a>,
    oid: impl Fn(&E) -> ObjectIdentifier,
) -> Result<Tbs<N, E>> {
    let contents = read::contents(reader, Tag::Sequence)?;
    read::inside(contents, |r| {
        let version = read::optional(r, 0, true)?;
        if version != Some(&[2, 1, 2]) {
            return bad(r);
        }
        let serial_number = SerialNumber::read(r)?;
        let signature = SignatureAlgorithm::read(r)?;
        let issuer = N::read(r)?;
        let validity = read::contents(r, Tag::Sequence)?;
        let (not_before, not_after) = read::inside(validity, |r| Ok((time::time(r)?, time::time(r)?)))?;
        let subject = N::read(r)?;
        let subject_public_key = PublicKey::read(r)?;
        let extensions = match read::optional(r, 3, true)? {
            Some(contents) => read::inside(contents, |r| extension::read_all(r, oid))?,
            None => Vec::new(),
        };
        Ok(Tbs { serial_number, signature, issuer, not_before, not_after, subject, subject_public_key, extensions })
    })
}

impl Certificate {
    /// Reads a certificate.
    ///
    /// Limits: [`CERTIFICATE_LEN_MAX`] octets, version 3.
    /// # Errors
    /// [`BadDer`] if longer, not DER, of another version, signed by an algorithm other than the one that is signed for
    /// (RFC 5280 §4.1.1.2), or followed by other octets.
    pub fn decode(der: &[u8]) -> std::result::Result<Self, BadDer> {
        read::whole(der, CERTIFICATE_LEN_MAX, "Certificate", |r| {
            let contents = read::contents(r, Tag::Sequence)?;
            read::inside(contents, |r| {
                let raw = r.tlv_bytes()?;
                let algorithm = SignatureAlgorithm::read(r)?;
                let signature = read::bit_string_octets(r)?.to_vec();
                let tbs = read::inside(raw, TbsCertificate::read)?;
                if tbs.signature != algorithm {
                    return bad(r);
                }
                let start = der.len() - contents.len();
                Ok(Self { der: der.to_vec(), tbs, algorithm, signature, tbs_at: start..start + raw.len() })
            })
        })
    }

    /// The octets.
    #[must_use]
    pub fn der(&self) -> &[u8] {
        &self.der
    }
    /// The octets that the issuer signed.
    #[must_use]
    pub fn tbs_der(&self) -> &[u8] {
        self.der.get(self.tbs_at.clone()).unwrap_or_default()
    }
    /// What the issuer signed.
    #[must_use]
    pub const fn tbs(&self) -> &TbsCertificate {
        &self.tbs
    }
    /// Whether it is an authority, and how deep.
    #[must_use]
    pub fn basic_constraints(&self) -> Option<BasicConstraints> {
        self.tbs.extension(oids::BASIC_CONSTRAINTS).and_then(|e| BasicConstraints::decode(&e.value))
    }

    /// Verifies that `key` signed it.
    ///
    /// # Errors
    /// [`BadSignature`]
    pub fn verify(&self, key: &PublicKey) -> std::result::Result<(), BadSignature> {
        signature::verify(key, self.algorithm, self.tbs_der(), &self.signature)
    }

    /// Verifies that `issuer` issued it: name, signature, and validity at `now`.
    ///
    /// # Errors
    /// [`BadSignature`] if any of them does not hold, or the issuer is no authority.
    pub fn verify_issued_by(&self, issuer: &Self, now: UnixTime) -> std::result::Result<(), BadSignature> {
        let is_authority = issuer.basic_constraints().is_some_and(|c| c.ca);
        let named = self.tbs.issuer.der() == issuer.tbs.subject.der();
        let valid = self.tbs.not_before <= now && now.whole_second() <= self.tbs.not_after;
        if is_authority && named && valid { self.verify(&issuer.tbs.subject_public_key) } else { Err(BadSignature) }
    }
}
