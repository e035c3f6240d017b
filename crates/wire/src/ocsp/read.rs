//! `OCSPResponse`, read.

use super::cert_id::{CertId, Read};
use super::request::decode_nonce;
use super::{CertStatus, HashAlgorithm, ResponseStatus, oids};
use crate::read::{self, Result, bad};
use const_oid::ObjectIdentifier;
use der::asn1::BitStringRef;
use der::{Decode, Reader, SliceReader, Tag, TagNumber};
use model::UnixTime;
use model::contract::authority::RevocationReason;
use x509::write::tag;
use x509::{BadDer, Certificate, Name, SignatureAlgorithm, Writer};

/// Longest response in octets: a chain of certificates with large keys and what it says.
pub const RESPONSE_LEN_MAX: usize = 64 * 1024;
/// Most statuses in one response.
const SINGLES_MAX: usize = 64;
/// Most certificates in one response.
const CERTIFICATES_MAX: usize = 8;

/// An `OCSPResponse`, not verified.
#[derive(Clone, Debug)]
pub enum Response<'a> {
    /// There is no answer, and nobody signed that.
    Error(ResponseStatus),
    /// An answer.
    Basic(Box<BasicResponse<'a>>),
}

/// A `BasicOCSPResponse`, not verified.
/// Source: RFC 6960 §4.2.1.
#[derive(Clone, Debug)]
#[expect(missing_docs, reason = "the fields are named as in RFC 6960")]
pub struct BasicResponse<'a> {
    pub tbs_response_data: &'a [u8],
    pub responder_id: ResponderId<'a>,
    pub produced_at: UnixTime,
    pub responses: Vec<SingleResponse<'a>>,
    pub nonce: Option<&'a [u8]>,
    /// Whether the responder announces the extended definition of *revoked*.
    pub extended_revoke: bool,
    pub signature_algorithm: SignatureAlgorithm,
    pub signature: &'a [u8],
    pub certs: Vec<Certificate>,
}

/// Who says to have signed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ResponderId<'a> {
    /// The subject of the responder's certificate.
    ByName(Name),
    /// SHA-1 of its key. Shape: 20 octets.
    ByKey(&'a [u8]),
}

/// How one certificate stands.
#[derive(Clone, Debug)]
#[expect(missing_docs, reason = "the fields are named as in RFC 6960")]
pub struct SingleResponse<'a> {
    pub cert_id: CertId<'a>,
    pub cert_status: CertStatus,
    pub this_update: UnixTime,
    pub next_update: Option<UnixTime>,
}

impl<'a> Response<'a> {
    /// Reads a response.
    ///
    /// Limits: [`RESPONSE_LEN_MAX`] octets, 64 statuses, 8 certificates.
    /// # Errors
    /// [`BadDer`] if longer, not DER, of another type than basic, by an algorithm or with a reason that is not in our
    /// lists, with a critical extension, or followed by other octets.
    pub fn decode(der: &'a [u8]) -> std::result::Result<Self, BadDer> {
        let bad_der = BadDer("OCSPResponse");
        if der.len() > RESPONSE_LEN_MAX {
            return Err(bad_der);
        }
        read::inside(der, |r| read::sequence(r, response)).map_err(|_| bad_der)
    }
}

fn response<'a>(reader: &mut SliceReader<'a>) -> Result<Response<'a>> {
    let status = read::contents(reader, Tag::Enumerated)?;
    let bytes = read::optional(reader, 0)?;
    let error = ResponseStatus::ALL.into_iter().find(|s| [s.code()] == *status);
    match (status, bytes, error) {
        ([0], Some(bytes), None) => {
            let basic = read::inside(bytes, |r| {
                read::sequence(r, |r| {
                    let kind = ObjectIdentifier::decode(r)?;
                    let basic = read::contents(r, Tag::OctetString)?;
                    if kind == oids::BASIC_RESPONSE { Ok(basic) } else { bad(r) }
                })
            })?;
            read::inside(basic, |r| read::sequence(r, basic_response)).map(|basic| Response::Basic(Box::new(basic)))
        }
        (_, None, Some(error)) => Ok(Response::Error(error)),
        _ => bad(reader),
    }
}

fn basic_response<'a>(reader: &mut SliceReader<'a>) -> Result<BasicResponse<'a>> {
    let tbs_response_data = reader.tlv_bytes()?;
    let algorithm = reader.tlv_bytes()?;
    let Some(signature_algorithm) = algorithm_of(algorithm) else { return bad(reader) };
    let bits = BitStringRef::decode(reader)?;
    let Some(signature) = bits.as_bytes() else { return bad(reader) };
    let certs = match read::optional(reader, 0)? {
        Some(list) => read::inside(list, |r| {
            read::sequence(r, |r| {
                each(r, CERTIFICATES_MAX, |r| {
                    let der = r.tlv_bytes()?;
                    Certificate::decode(der).or_else(|_| bad(r))
                })
            })
        })?,
        None => Vec::new(),
    };
    let data = read::inside(tbs_response_data, |r| read::sequence(r, response_data))?;
    Ok(BasicResponse {
        tbs_response_data,
        responder_id: data.responder_id,
        produced_at: data.produced_at,
        responses: data.responses,
        nonce: data.nonce,
        extended_revoke: data.extended_revoke,
        signature_algorithm,
        signature,
        certs,
    })
}

/// The signature algorithm of an `AlgorithmIdentifier` in DER.
pub(crate) fn algorithm_of(der: &[u8]) -> Option<SignatureAlgorithm> {
    SignatureAlgorithm::ALL.into_iter().find(|algorithm| {
        let mut w = Writer::with_capacity(16);
        algorithm.write(&mut w);
        w.finish() == der
    })
}

fn each<'a, T>(
    reader: &mut SliceReader<'a>,
    max: usize,
    mut f: impl FnMut(&mut SliceReader<'a>) -> Result<T>,
) -> Result<Vec<T>> {
    let mut values = Vec::new();
    while !reader.is_finished() {
        if values.len() == max {
            return bad(reader);
        }
        values.push(f(reader)?);
    }
    if values.is_empty() { bad(reader) } else { Ok(values) }
}

struct Data<'a> {
    responder_id: ResponderId<'a>,
    produced_at: UnixTime,
    responses: Vec<SingleResponse<'a>>,
    nonce: Option<&'a [u8]>,
    extended_revoke: bool,
}

fn response_data<'a>(reader: &mut SliceReader<'a>) -> Result<Data<'a>> {
    let responder_id = if let Some(name) = read::optional(reader, 1)? {
        let Ok(name) = Name::decode(name) else { return bad(reader) };
        ResponderId::ByName(name)
    } else if let Some(key) = read::optional(reader, 2)? {
        let hash = read::inside(key, |r| read::contents(r, Tag::OctetString))?;
        if hash.len() != HashAlgorithm::Sha1.len() {
            return bad(reader);
        }
        ResponderId::ByKey(hash)
    } else {
        return bad(reader);
    };
    let produced_at = read::generalized_time(reader)?;
    let responses = read::sequence(reader, |r| each(r, SINGLES_MAX, |r| read::sequence(r, single_response)))?;
    let mut nonce = None;
    let mut extended_revoke = false;
    if let Some(extensions) = read::optional(reader, 1)? {
        for extension in read::extensions(extensions)? {
            match extension.oid {
                oids::NONCE => match decode_nonce(extension.value) {
                    Some(value) => nonce = Some(value),
                    None => return bad(reader),
                },
                oids::EXTENDED_REVOKE if extension.value == [tag::NULL, 0] => extended_revoke = true,
                oids::EXTENDED_REVOKE => return bad(reader),
                _ if extension.critical => return bad(reader),
                _ => {}
            }
        }
    }
    Ok(Data { responder_id, produced_at, responses, nonce, extended_revoke })
}

fn single_response<'a>(reader: &mut SliceReader<'a>) -> Result<SingleResponse<'a>> {
    let Read::Known(cert_id) = CertId::read(reader)? else { return bad(reader) };
    let cert_status = cert_status(reader)?;
    let this_update = read::generalized_time(reader)?;
    let next_update = match read::optional(reader, 0)? {
        Some(time) => Some(read::inside(time, read::generalized_time)?),
        None => None,
    };
    if let Some(extensions) = read::optional(reader, 1)?
        && read::extensions(extensions)?.iter().any(|extension| extension.critical)
    {
        return bad(reader);
    }
    Ok(SingleResponse { cert_id, cert_status, this_update, next_update })
}

fn cert_status(reader: &mut SliceReader<'_>) -> Result<CertStatus> {
    let (found, contents) = read::any(reader)?;
    match (found, contents) {
        (Tag::ContextSpecific { constructed: false, number: TagNumber(0) }, []) => Ok(CertStatus::Good),
        (Tag::ContextSpecific { constructed: false, number: TagNumber(2) }, []) => Ok(CertStatus::Unknown),
        (Tag::ContextSpecific { constructed: true, number: TagNumber(1) }, revoked) => read::inside(revoked, |r| {
            let at = read::generalized_time(r)?;
            let reason = match read::optional(r, 0)? {
                None => Some(RevocationReason::Unspecified),
                Some([tag::ENUMERATED, 1, code]) => RevocationReason::by_code(*code),
                Some(_) => None,
            };
            match reason {
                Some(reason) => Ok(CertStatus::Revoked { at, reason }),
                None => bad(r),
            }
        }),
        _ => bad(reader),
    }
}
