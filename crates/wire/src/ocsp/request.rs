//! `OCSPRequest`.

use super::cert_id::{CertId, Read};
use super::response::ResponseStatus;
use super::{HashAlgorithm, IssuerIds, NONCE_LEN_MAX, oids};
use crate::read::{self, bad};
use const_oid::ObjectIdentifier;
use der::{Decode, Reader, SliceReader, Tag};
use x509::write::tag;
use x509::{Extension, SerialNumber, Writer};

/// Longest request in octets. Sixteen certificates by SHA-512 need 3000; the rest is for a signature that some clients
/// add, with a certificate.
pub const REQUEST_LEN_MAX: usize = 8 * 1024;
/// Most certificates in one request. Devices ask for one, a proxy for a chain.
pub const REQUESTS_MAX: usize = 16;

/// An `OCSPRequest`, read.
///
/// A signature of the requester (`optionalSignature`) and its name (`requestorName`) are passed over unread, as RFC 5019
/// §2.2.1 allows: status is public, so nobody gains anything by signing, and verifying would cost more than answering.
#[derive(Clone, Debug)]
pub struct Request<'a> {
    /// The certificates, in their order; at least one.
    pub cert_ids: Vec<CertId<'a>>,
    /// What the answer is to repeat. Shape: 1 to [`NONCE_LEN_MAX`] octets.
    pub nonce: Option<&'a [u8]>,
}

/// Why octets are no request that can be answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BadRequest {
    /// Longer than [`REQUEST_LEN_MAX`].
    TooLong,
    /// Not DER, or not an `OCSPRequest`; a serial number that no certificate can have counts as that.
    NotDer,
    /// More than [`REQUESTS_MAX`] certificates, or none.
    NumberOfRequests,
    /// A nonce of 0 octets or more than [`NONCE_LEN_MAX`].
    Nonce,
    /// A critical extension that we do not know.
    CriticalExtension,
    /// The requester does not take the only kind of response there is.
    ResponseType,
    /// Hashes by an algorithm that we do not know, so we cannot tell whether we answer for that issuer.
    UnknownHash,
}

impl BadRequest {
    /// What the requester is told.
    #[must_use]
    pub const fn status(self) -> ResponseStatus {
        match self {
            Self::TooLong
            | Self::NotDer
            | Self::NumberOfRequests
            | Self::Nonce
            | Self::CriticalExtension
            | Self::ResponseType => ResponseStatus::MalformedRequest,
            Self::UnknownHash => ResponseStatus::Unauthorized,
        }
    }
}

impl std::fmt::Display for BadRequest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::TooLong => "the request is too long",
            Self::NotDer => "not a well-formed OCSPRequest",
            Self::NumberOfRequests => "the request names no certificate, or too many",
            Self::Nonce => "the nonce has not 1 to 128 octets",
            Self::CriticalExtension => "the request has a critical extension that is not known here",
            Self::ResponseType => "the requester does not accept a basic response",
            Self::UnknownHash => "the request uses a hash that is not known here",
        })
    }
}
impl std::error::Error for BadRequest {}

impl<'a> Request<'a> {
    /// Reads a request.
    ///
    /// Limits: [`REQUEST_LEN_MAX`] octets, [`REQUESTS_MAX`] certificates.
    /// # Errors
    /// [`BadRequest`]
    /// Source: RFC 6960 §4.1.1.
    pub fn decode(der: &'a [u8]) -> Result<Self, BadRequest> {
        if der.len() > REQUEST_LEN_MAX {
            return Err(BadRequest::TooLong);
        }
        let raw = read::inside(der, |r| read::sequence(r, raw)).map_err(|_| BadRequest::NotDer)?;
        let mut cert_ids = Vec::with_capacity(1);
        let mut unknown_hash = false;
        let mut rest = SliceReader::new(raw.list).map_err(|_| BadRequest::NotDer)?;
        while !rest.is_finished() {
            if cert_ids.len() == REQUESTS_MAX {
                return Err(BadRequest::NumberOfRequests);
            }
            let (id, extensions) = read::sequence(&mut rest, |r| Ok((CertId::read(r)?, read::optional(r, 0)?)))
                .map_err(|_| BadRequest::NotDer)?;
            for extension in extensions_of(extensions)? {
                // serviceLocator is the only one there is (RFC 6960 §4.4.6), and we forward nothing.
                if extension.critical {
                    return Err(BadRequest::CriticalExtension);
                }
            }
            match id {
                Read::Known(id) => cert_ids.push(id),
                Read::UnknownHash => unknown_hash = true,
            }
        }
        let nonce = nonce_of(raw.extensions)?;
        match (unknown_hash, cert_ids.is_empty()) {
            (true, _) => Err(BadRequest::UnknownHash),
            (false, true) => Err(BadRequest::NumberOfRequests),
            (false, false) => Ok(Self { cert_ids, nonce }),
        }
    }
}

struct Raw<'a> {
    list: &'a [u8],
    extensions: Option<&'a [u8]>,
}

fn raw<'a>(reader: &mut SliceReader<'a>) -> read::Result<Raw<'a>> {
    let raw = read::sequence(reader, |r| {
        // Version 1 is the default, so DER leaves it out, and there is no other: [0] falls through to an error.
        if let Some(name) = read::optional(r, 1)? {
            read::inside(name, read::any)?;
        }
        Ok(Raw { list: read::contents(r, Tag::Sequence)?, extensions: read::optional(r, 2)? })
    })?;
    if let Some(signature) = read::optional(reader, 0)? {
        read::inside(signature, |r| read::contents(r, Tag::Sequence))?;
    }
    Ok(raw)
}

fn extensions_of(octets: Option<&[u8]>) -> Result<Vec<read::Extension<'_>>, BadRequest> {
    octets.map_or(Ok(Vec::new()), |octets| read::extensions(octets).map_err(|_| BadRequest::NotDer))
}

fn nonce_of(extensions: Option<&[u8]>) -> Result<Option<&[u8]>, BadRequest> {
    let mut nonce = None;
    for extension in extensions_of(extensions)? {
        match extension.oid {
            oids::NONCE => nonce = Some(decode_nonce(extension.value).ok_or(BadRequest::Nonce)?),
            oids::ACCEPTABLE_RESPONSES => {
                let takes = accepts_basic(extension.value).map_err(|_| BadRequest::NotDer)?;
                if !takes {
                    return Err(BadRequest::ResponseType);
                }
            }
            _ if extension.critical => return Err(BadRequest::CriticalExtension),
            _ => {}
        }
    }
    Ok(nonce)
}

/// Reads the value of a nonce extension.
pub(super) fn decode_nonce(value: &[u8]) -> Option<&[u8]> {
    let nonce = read::inside(value, |r| read::contents(r, Tag::OctetString)).ok()?;
    (1..=NONCE_LEN_MAX).contains(&nonce.len()).then_some(nonce)
}

fn accepts_basic(value: &[u8]) -> read::Result<bool> {
    read::inside(value, |r| {
        read::sequence(r, |r| {
            let mut basic = false;
            // The request is bounded, so this is.
            while !r.is_finished() {
                basic |= ObjectIdentifier::decode(r)? == oids::BASIC_RESPONSE;
            }
            if r.position() == der::Length::ZERO { bad(r) } else { Ok(basic) }
        })
    })
}

/// The nonce extension.
pub(super) fn nonce_extension(nonce: &[u8]) -> Extension {
    Extension::of(oids::NONCE, false, |w| {
        w.octet_string(nonce);
    })
}

/// Writes a request for certificates of one issuer, unsigned.
///
/// Shape of `nonce`: 1 to [`NONCE_LEN_MAX`] random octets, 32 are usual (RFC 9654 §2.1).
#[must_use]
pub fn write(issuer: &IssuerIds, by: HashAlgorithm, serials: &[SerialNumber], nonce: Option<&[u8]>) -> Vec<u8> {
    let mut w = Writer::with_capacity(128 + serials.len() * 96);
    w.sequence(|w| {
        w.sequence(|w| {
            w.sequence(|w| {
                for serial in serials {
                    w.sequence(|w| issuer.write(by, serial, w));
                }
            });
            if let Some(nonce) = nonce {
                w.nested(tag::CONTEXT_CONSTRUCTED | 2, |w| Extension::write_all(&[nonce_extension(nonce)], w));
            }
        });
    });
    w.finish()
}
