//! `PKIMessage`.

use super::body::CERTIFICATES_MAX;
use super::shape::{explicit_sequence, raw_sequence, some};
use super::{Body, Header};
use crate::read::{self, Result, bad};
use der::asn1::BitStringRef;
use der::{Decode, Reader, SliceReader};
use x509::{BadDer, Writer};

/// Longest message in octets: a few certificates with large keys, or a batch of requests.
pub const MESSAGE_LEN_MAX: usize = 128 * 1024;

/// A `PKIMessage` where it was read, not verified.
/// Source: RFC 9810 §5.1.
#[derive(Clone, Debug)]
#[expect(missing_docs, reason = "the fields are named as in RFC 9810")]
pub struct Message<'a> {
    // Header and body as they were on the wire, one after the other: what protection covers.
    protected: &'a [u8],
    pub header: Header<'a>,
    pub body: Body<'a>,
    pub protection: Option<&'a [u8]>,
    /// Certificates, whole and unread: others than ours may be among them.
    pub extra_certs: Vec<&'a [u8]>,
}

impl<'a> Message<'a> {
    /// Reads a message.
    ///
    /// Limits: [`MESSAGE_LEN_MAX`] octets, 16 certificates in a list, 64 of anything else; nested messages stay unread,
    /// so no depth is reached.
    /// # Errors
    /// [`BadDer`] if longer, not DER, of another version than 2 and 3, with a field or a body that RFC 9810 does not
    /// have, or followed by other octets.
    pub fn decode(der: &'a [u8]) -> std::result::Result<Self, BadDer> {
        let bad_der = BadDer("PKIMessage");
        if der.len() > MESSAGE_LEN_MAX {
            return Err(bad_der);
        }
        read::inside(der, |r| {
            let contents = read::contents(r, der::Tag::Sequence)?;
            read::inside(contents, |r| Self::read(contents, r))
        })
        .map_err(|_| bad_der)
    }

    /// The octets that protection covers: `ProtectedPart`, of header and body as they were read.
    /// Source: RFC 9810 §5.1.3.
    #[must_use]
    pub fn protected_part(&self) -> Vec<u8> {
        let mut w = Writer::with_capacity(self.protected.len() + 4);
        w.sequence(|w| {
            w.raw(self.protected);
        });
        w.finish()
    }

    /// Writes the message from its fields. What was read is written the same, octet for octet.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        finish(&protected_part(&self.header, &self.body), self.protection, &self.extra_certs)
    }

    fn read(contents: &'a [u8], reader: &mut SliceReader<'a>) -> Result<Self> {
        let (header, body) = (Header::read(reader)?, Body::read(reader)?);
        let read_len = contents.len() - usize::try_from(u32::from(reader.remaining_len())).unwrap_or(0);
        let protected = contents.get(..read_len).unwrap_or_default();
        let protection = match read::optional(reader, 0)? {
            Some(bits) => Some(read::inside(bits, bit_string)?),
            None => None,
        };
        let extra_certs = match explicit_sequence(reader, 1)? {
            Some(list) => read::inside(list, |r| some(r, CERTIFICATES_MAX, raw_sequence))?,
            None => Vec::new(),
        };
        Ok(Self { protected, header, body, protection, extra_certs })
    }
}

fn bit_string<'a>(reader: &mut SliceReader<'a>) -> Result<&'a [u8]> {
    let bits = BitStringRef::decode(reader)?;
    match bits.as_bytes() {
        Some(octets) => Ok(octets),
        None => bad(reader),
    }
}

/// Writes the `ProtectedPart` of a header and a body: the octets that are signed, or that a MAC is made of.
/// Source: RFC 9810 §5.1.3.
#[must_use]
pub fn protected_part(header: &Header<'_>, body: &Body<'_>) -> Vec<u8> {
    let mut w = Writer::with_capacity(1024);
    w.sequence(|w| {
        header.write(w);
        body.write(w);
    });
    w.finish()
}

/// Writes the message around a `ProtectedPart`, from [`protected_part`].
#[must_use]
pub fn finish(protected_part: &[u8], protection: Option<&[u8]>, extra_certs: &[&[u8]]) -> Vec<u8> {
    let part = read::inside(protected_part, |r| read::contents(r, der::Tag::Sequence)).unwrap_or_default();
    let mut w = Writer::with_capacity(part.len() + 2048);
    w.sequence(|w| {
        w.raw(part);
        if let Some(protection) = protection {
            w.explicit(0, |w| {
                w.bit_string(protection);
            });
        }
        if !extra_certs.is_empty() {
            w.explicit(1, |w| {
                w.sequence(|w| {
                    for der in extra_certs {
                        w.raw(der);
                    }
                });
            });
        }
    });
    w.finish()
}
