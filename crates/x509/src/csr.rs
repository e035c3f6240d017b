//! PKCS #10 requests.

use crate::algorithm::SignatureAlgorithm;
use crate::extension::Extension;
use crate::key::PublicKey;
use crate::name::Name;
use crate::read::{self, BadDer, Held, Result, bad};
use crate::signature::{self, BadSignature};
use crate::weak::StrongKey;
use crate::write::{Writer, tag};
use crate::{oids, read::bit_string_octets};
use der::{Reader, SliceReader, Tag};

/// Longest request in octets: ML-DSA-87 with a dozen names needs about 8 KiB.
pub const CSR_LEN_MAX: usize = 16 * 1024;
/// Most attributes in a request.
const ATTRIBUTES_MAX: usize = 16;

/// A `CertificationRequest`, not verified.
/// Source: RFC 2986 §4.
#[derive(Clone, Debug)]
pub struct CertificationRequest {
    /// The octets that are signed.
    pub info: Vec<u8>,
    /// The name that the requester writes.
    pub subject: Name,
    /// The key.
    pub public_key: PublicKey,
    /// The extensions that the requester asks for.
    pub extensions: Vec<Extension>,
    /// How it is signed.
    pub algorithm: SignatureAlgorithm,
    /// The signature.
    pub signature: Vec<u8>,
}

impl CertificationRequest {
    /// Reads a request.
    ///
    /// Limits: [`CSR_LEN_MAX`] octets.
    /// # Errors
    /// [`BadDer`] if longer, not DER, with an attribute or extension twice, or followed by other octets.
    pub fn decode(der: &[u8]) -> std::result::Result<Self, BadDer> {
        read::whole(der, CSR_LEN_MAX, "CertificationRequest", |r| {
            let contents = read::contents(r, Tag::Sequence)?;
            read::inside(contents, |r| {
                let info = r.tlv_bytes()?;
                let algorithm = SignatureAlgorithm::read(r)?;
                let signature = bit_string_octets(r)?.to_vec();
                let (subject, public_key, extensions) = read::inside(info, request_info)?;
                Ok(Self { info: info.to_vec(), subject, public_key, extensions, algorithm, signature })
            })
        })
    }

    /// Verifies that the holder of the key signed the request.
    ///
    /// # Errors
    /// [`BadSignature`]
    pub fn verify(&self) -> std::result::Result<(), BadSignature> {
        signature::verify(&self.public_key, self.algorithm, &self.info, &self.signature)
    }

    /// The same with the request's key, which was looked at before.
    ///
    /// # Errors
    /// [`BadSignature`], also if it is another key.
    pub fn verify_with(&self, key: &StrongKey) -> std::result::Result<(), BadSignature> {
        if *key.key() != self.public_key {
            return Err(BadSignature);
        }
        key.verify(self.algorithm, &self.info, &self.signature)
    }
}

type Info = (Name, PublicKey, Vec<Extension>);

fn request_info(reader: &mut SliceReader<'_>) -> Result<Info> {
    let contents = read::contents(reader, Tag::Sequence)?;
    read::inside(contents, |r| {
        if read::small(r)? != 0 {
            return bad(r);
        }
        let subject = Name::read(r)?;
        let public_key = PublicKey::read(r)?;
        // The attributes are not optional, but some clients leave the empty set out.
        let attributes = read::optional(r, 0, true)?.unwrap_or_default();
        let found = read::each(attributes, ATTRIBUTES_MAX, attribute)?;
        let mut requested = found.into_iter().flatten();
        let extensions = requested.next().unwrap_or_default();
        if requested.next().is_some() { bad(r) } else { Ok((subject, public_key, extensions)) }
    })
}

// The extensions that an attribute asks for; other attributes (challenge password, unstructured name) are not ours.
fn attribute(reader: &mut SliceReader<'_>) -> Result<Option<Vec<Extension>>> {
    let contents = read::contents(reader, Tag::Sequence)?;
    read::inside(contents, |r| {
        let oid = read::oid(r)?;
        let values = read::contents(r, Tag::Set)?;
        if !matches!(oid, oids::EXTENSION_REQUEST | oids::MICROSOFT_EXTENSION_REQUEST) {
            return Ok(None);
        }
        read::inside(values, Extension::read_all).map(Some)
    })
}

/// Writes a `CertificationRequestInfo`, the octets that the key must sign.
#[must_use]
pub fn write_info(subject: &Name, public_key: &PublicKey, extensions: &[Extension]) -> Vec<u8> {
    let mut w = Writer::with_capacity(256);
    w.sequence(|w| {
        w.small(0).raw(subject.der()).raw(public_key.spki());
        w.nested(tag::CONTEXT_CONSTRUCTED, |w| {
            if !extensions.is_empty() {
                w.sequence(|w| {
                    w.oid(oids::EXTENSION_REQUEST).set(|w| Extension::write_all(extensions, w));
                });
            }
        });
    });
    w.finish()
}

/// Puts a signed structure together: the signed octets, the algorithm, the signature. `CertificationRequest`,
/// `Certificate` and `CertificateList` all have this shape.
#[must_use]
pub fn write_signed(signed: &[u8], algorithm: SignatureAlgorithm, signature: &[u8]) -> Vec<u8> {
    let mut w = Writer::with_capacity(signed.len() + signature.len() + 32);
    w.sequence(|w| {
        w.raw(signed);
        algorithm.write(w);
        w.bit_string(signature);
    });
    w.finish()
}

/// The octets that are signed of a structure that [`write_signed`] put together.
#[must_use]
pub fn signed_part(der: &[u8]) -> Option<&[u8]> {
    let contents = read::whole(der, usize::MAX, "SIGNED", |r| read::contents(r, Tag::Sequence)).ok()?;
    let mut reader = SliceReader::new(contents).ok()?;
    reader.tlv_bytes().ok()
}
