//! `PKIBody`: what a message says.

use super::header::TypeAndValue;
use super::shape::{explicit_sequence, int, next_is, raw_sequence, raw_sequence_if, some, write_int};
use super::status::{FreeText, StatusInfo};
use crate::read::{self, Result, bad};
use der::{Decode, Reader, SliceReader, Tag, TagNumber};
use x509::Writer;
use x509::write::tag;

/// Most requests, answers, revocations or confirmations in one message.
pub const ITEMS_MAX: usize = 64;
/// Most certificates in one list.
pub const CERTIFICATES_MAX: usize = 16;
/// Longest hash of a certificate in octets: SHA-512.
const HASH_LEN_MAX: usize = 64;
/// The highest number of a body: `pollRep`.
const NUMBER_MAX: u8 = 26;

/// A `PKIBody`. Requests are whole and unread: [`x509::crmf`] and [`x509::csr`] read them under their own limits.
/// Source: RFC 9810 §5.1.2.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Body<'a> {
    /// `ir`: `CertReqMessages`.
    Ir(&'a [u8]),
    /// `ip`
    Ip(CertRepMessage<'a>),
    /// `cr`: `CertReqMessages`.
    Cr(&'a [u8]),
    /// `cp`
    Cp(CertRepMessage<'a>),
    /// `p10cr`: `CertificationRequest`.
    P10cr(&'a [u8]),
    /// `kur`: `CertReqMessages`.
    Kur(&'a [u8]),
    /// `kup`
    Kup(CertRepMessage<'a>),
    /// `rr`
    Rr(Vec<RevDetails<'a>>),
    /// `rp`
    Rp(RevRepContent<'a>),
    /// `pkiconf`
    PkiConf,
    /// `nested`: `PKIMessages`, whole.
    Nested(&'a [u8]),
    /// `genm`
    Genm(Vec<TypeAndValue<'a>>),
    /// `genp`
    Genp(Vec<TypeAndValue<'a>>),
    /// `error`
    Error(ErrorMsgContent<'a>),
    /// `certConf`
    CertConf(Vec<CertStatus<'a>>),
    /// `pollReq`: the `certReqId`s.
    PollReq(Vec<i64>),
    /// `pollRep`
    PollRep(Vec<PollRep<'a>>),
    /// A body that is not used here (challenges, recovery, announcements): its number, and what is under its tag.
    Other {
        /// The number of its tag.
        number: u8,
        /// One DER value, whole.
        content: &'a [u8],
    },
}

/// Source: RFC 9810 §5.3.4.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the fields are named as in RFC 9810")]
pub struct CertRepMessage<'a> {
    /// Certificates, whole.
    pub ca_pubs: Vec<&'a [u8]>,
    pub response: Vec<CertResponse<'a>>,
}

/// Source: RFC 9810 §5.3.4.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the fields are named as in RFC 9810")]
pub struct CertResponse<'a> {
    pub cert_req_id: i64,
    pub status: StatusInfo<'a>,
    pub certified_key_pair: Option<CertifiedKeyPair<'a>>,
    pub rsp_info: Option<&'a [u8]>,
}

/// A `CertifiedKeyPair`; keys made by the authority are not taken, so they stay unread.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CertifiedKeyPair<'a> {
    /// The certificate, whole.
    pub certificate: CertOrEncCert<'a>,
    /// `privateKey` and `publicationInfo` as they were read.
    pub rest: &'a [u8],
}

/// Source: RFC 9810 §5.3.4.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CertOrEncCert<'a> {
    /// A certificate, whole.
    Certificate(&'a [u8]),
    /// One DER value, whole: the certificate is encrypted for the key, which proves possession of it.
    EncryptedCert(&'a [u8]),
}

/// Source: RFC 9810 §5.3.9.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RevDetails<'a> {
    /// A `CertTemplate`, whole; [`super::template::certificate_of`] reads it.
    pub cert_details: &'a [u8],
    /// `Extensions`, whole.
    pub crl_entry_details: Option<&'a [u8]>,
}

/// Source: RFC 9810 §5.3.10.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RevRepContent<'a> {
    /// One per request, in their order.
    pub status: Vec<StatusInfo<'a>>,
    /// `CertId`s, whole.
    pub rev_certs: Vec<&'a [u8]>,
    /// `CertificateList`s, whole.
    pub crls: Vec<&'a [u8]>,
}

/// Source: RFC 9810 §5.3.21.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the fields are named as in RFC 9810")]
pub struct ErrorMsgContent<'a> {
    pub status: StatusInfo<'a>,
    /// The contents of an INTEGER, which only the sender understands.
    pub error_code: Option<&'a [u8]>,
    pub error_details: Option<FreeText<'a>>,
}

/// Source: RFC 9810 §5.3.18.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the fields are named as in RFC 9810")]
pub struct CertStatus<'a> {
    pub cert_hash: &'a [u8],
    pub cert_req_id: i64,
    pub status_info: Option<StatusInfo<'a>>,
    /// An `AlgorithmIdentifier`, whole.
    pub hash_alg: Option<&'a [u8]>,
}

/// Source: RFC 9810 §5.3.22.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the fields are named as in RFC 9810")]
pub struct PollRep<'a> {
    pub cert_req_id: i64,
    /// Units: seconds.
    pub check_after: u64,
    pub reason: Option<FreeText<'a>>,
}

impl<'a> Body<'a> {
    /// The number of its tag.
    #[must_use]
    pub const fn number(&self) -> u8 {
        match self {
            Self::Ir(_) => 0,
            Self::Ip(_) => 1,
            Self::Cr(_) => 2,
            Self::Cp(_) => 3,
            Self::P10cr(_) => 4,
            Self::Kur(_) => 7,
            Self::Kup(_) => 8,
            Self::Rr(_) => 11,
            Self::Rp(_) => 12,
            Self::PkiConf => 19,
            Self::Nested(_) => 20,
            Self::Genm(_) => 21,
            Self::Genp(_) => 22,
            Self::Error(_) => 23,
            Self::CertConf(_) => 24,
            Self::PollReq(_) => 25,
            Self::PollRep(_) => 26,
            Self::Other { number, .. } => *number,
        }
    }

    pub(super) fn read(reader: &mut SliceReader<'a>) -> Result<Self> {
        let (found, content) = read::any(reader)?;
        let Tag::ContextSpecific { constructed: true, number: TagNumber(number) } = found else {
            return bad(reader);
        };
        let Some(number) = u8::try_from(number).ok().filter(|n| *n <= NUMBER_MAX) else { return bad(reader) };
        read::inside(content, |r| {
            Ok(match number {
                0 => Self::Ir(raw_sequence(r)?),
                1 => Self::Ip(CertRepMessage::read(r)?),
                2 => Self::Cr(raw_sequence(r)?),
                3 => Self::Cp(CertRepMessage::read(r)?),
                4 => Self::P10cr(raw_sequence(r)?),
                7 => Self::Kur(raw_sequence(r)?),
                8 => Self::Kup(CertRepMessage::read(r)?),
                11 => Self::Rr(some(r, ITEMS_MAX, RevDetails::read)?),
                12 => Self::Rp(RevRepContent::read(r)?),
                19 => {
                    der::asn1::Null::decode(r)?;
                    Self::PkiConf
                }
                20 => Self::Nested(raw_sequence(r)?),
                21 => Self::Genm(types_and_values(r)?),
                22 => Self::Genp(types_and_values(r)?),
                23 => Self::Error(ErrorMsgContent::read(r)?),
                24 => Self::CertConf(cert_conf(r)?),
                25 => Self::PollReq(some(r, ITEMS_MAX, |r| read::sequence(r, int))?),
                26 => Self::PollRep(some(r, ITEMS_MAX, PollRep::read)?),
                _ => Self::Other { number, content: r.tlv_bytes()? },
            })
        })
    }

    pub(super) fn write(&self, w: &mut Writer) {
        w.explicit(self.number(), |w| match self {
            Self::Ir(der) | Self::Cr(der) | Self::P10cr(der) | Self::Kur(der) | Self::Nested(der) => {
                w.raw(der);
            }
            Self::Other { content, .. } => {
                w.raw(content);
            }
            Self::Ip(message) | Self::Cp(message) | Self::Kup(message) => message.write(w),
            Self::Rr(list) => each(list, RevDetails::write, w),
            Self::Rp(content) => content.write(w),
            Self::PkiConf => {
                w.value(tag::NULL, &[]);
            }
            Self::Genm(list) | Self::Genp(list) => each(list, TypeAndValue::write, w),
            Self::Error(content) => content.write(w),
            Self::CertConf(list) => each(list, CertStatus::write, w),
            Self::PollReq(ids) => each(
                ids,
                |id, w| {
                    w.sequence(|w| write_int(*id, w));
                },
                w,
            ),
            Self::PollRep(list) => each(list, PollRep::write, w),
        });
    }
}

fn each<T>(list: &[T], f: impl Fn(&T, &mut Writer), w: &mut Writer) {
    w.sequence(|w| list.iter().for_each(|item| f(item, w)));
}

// GenMsgContent may be empty, unlike the other lists.
fn types_and_values<'a>(reader: &mut SliceReader<'a>) -> Result<Vec<TypeAndValue<'a>>> {
    if is_empty_sequence(reader)? { Ok(Vec::new()) } else { some(reader, ITEMS_MAX, TypeAndValue::read) }
}

// An empty CertConfirmContent declines every certificate (RFC 9810 §5.3.18).
fn cert_conf<'a>(reader: &mut SliceReader<'a>) -> Result<Vec<CertStatus<'a>>> {
    if is_empty_sequence(reader)? { Ok(Vec::new()) } else { some(reader, ITEMS_MAX, CertStatus::read) }
}

/// The certificates of a general message that has them, whole and unread.
/// Source: RFC 9810 §5.3.19.14.
#[must_use]
pub(super) fn ca_certs<'a>(general: &[TypeAndValue<'a>]) -> Option<Vec<&'a [u8]>> {
    let value = general.iter().find(|item| item.info_type == super::oids::CA_CERTS)?.info_value?;
    read::inside(value, |r| some(r, CERTIFICATES_MAX, raw_sequence)).ok()
}

fn is_empty_sequence(reader: &mut SliceReader<'_>) -> Result<bool> {
    let mut ahead = reader.clone();
    if read::contents(&mut ahead, Tag::Sequence)?.is_empty() {
        *reader = ahead;
        return Ok(true);
    }
    Ok(false)
}

fn certificates<'a>(reader: &mut SliceReader<'a>, n: u32) -> Result<Vec<&'a [u8]>> {
    match explicit_sequence(reader, n)? {
        Some(list) => read::inside(list, |r| some(r, CERTIFICATES_MAX, raw_sequence)),
        None => Ok(Vec::new()),
    }
}

fn write_certificates(n: u8, list: &[&[u8]], w: &mut Writer) {
    if !list.is_empty() {
        w.explicit(n, |w| {
            w.sequence(|w| {
                for der in list {
                    w.raw(der);
                }
            });
        });
    }
}

impl<'a> CertRepMessage<'a> {
    fn read(reader: &mut SliceReader<'a>) -> Result<Self> {
        read::sequence(reader, |r| {
            let ca_pubs = certificates(r, 1)?;
            Ok(Self { ca_pubs, response: some(r, ITEMS_MAX, CertResponse::read)? })
        })
    }

    fn write(&self, w: &mut Writer) {
        w.sequence(|w| {
            write_certificates(1, &self.ca_pubs, w);
            each(&self.response, CertResponse::write, w);
        });
    }
}

impl<'a> CertResponse<'a> {
    fn read(reader: &mut SliceReader<'a>) -> Result<Self> {
        read::sequence(reader, |r| {
            let (cert_req_id, status) = (int(r)?, StatusInfo::read(r)?);
            let certified_key_pair =
                if next_is(r, Tag::Sequence)? { Some(read::sequence(r, CertifiedKeyPair::read)?) } else { None };
            let rsp_info = if r.is_finished() { None } else { Some(read::contents(r, Tag::OctetString)?) };
            Ok(Self { cert_req_id, status, certified_key_pair, rsp_info })
        })
    }

    fn write(&self, w: &mut Writer) {
        w.sequence(|w| {
            write_int(self.cert_req_id, w);
            self.status.write(w);
            if let Some(pair) = &self.certified_key_pair {
                w.sequence(|w| pair.write(w));
            }
            if let Some(octets) = self.rsp_info {
                w.octet_string(octets);
            }
        });
    }
}

/// `privateKey` of a [`CertifiedKeyPair`]: an `EncryptedKey`, whole. Source: RFC 9810 §5.3.4.
#[must_use]
pub fn write_private_key(encrypted_key: &[u8]) -> Vec<u8> {
    let mut w = Writer::with_capacity(encrypted_key.len() + 8);
    w.explicit(0, |w| {
        w.raw(encrypted_key);
    });
    w.finish()
}

impl<'a> CertifiedKeyPair<'a> {
    fn read(reader: &mut SliceReader<'a>) -> Result<Self> {
        let certificate = if let Some(certificate) = explicit_sequence(reader, 0)? {
            CertOrEncCert::Certificate(certificate)
        } else if let Some(encrypted) = read::optional(reader, 1)? {
            CertOrEncCert::EncryptedCert(read::inside(encrypted, |r| r.tlv_bytes())?)
        } else {
            return bad(reader);
        };
        let mut ahead = reader.clone();
        for n in 0..=1 {
            read::optional(&mut ahead, n)?;
        }
        if !ahead.is_finished() {
            return bad(reader);
        }
        Ok(Self { certificate, rest: reader.read_slice(reader.remaining_len())? })
    }

    fn write(&self, w: &mut Writer) {
        let (n, der) = match self.certificate {
            CertOrEncCert::Certificate(der) => (0, der),
            CertOrEncCert::EncryptedCert(der) => (1, der),
        };
        w.explicit(n, |w| {
            w.raw(der);
        });
        w.raw(self.rest);
    }
}

impl<'a> RevDetails<'a> {
    fn read(reader: &mut SliceReader<'a>) -> Result<Self> {
        read::sequence(reader, |r| Ok(Self { cert_details: raw_sequence(r)?, crl_entry_details: raw_sequence_if(r)? }))
    }

    fn write(&self, w: &mut Writer) {
        w.sequence(|w| {
            w.raw(self.cert_details).raw(self.crl_entry_details.unwrap_or_default());
        });
    }
}

impl<'a> RevRepContent<'a> {
    fn read(reader: &mut SliceReader<'a>) -> Result<Self> {
        read::sequence(reader, |r| {
            let status = some(r, ITEMS_MAX, StatusInfo::read)?;
            let mut list = |n| match explicit_sequence(r, n)? {
                Some(list) => read::inside(list, |r| some(r, ITEMS_MAX, raw_sequence)),
                None => Ok(Vec::new()),
            };
            Ok(Self { status, rev_certs: list(0)?, crls: list(1)? })
        })
    }

    fn write(&self, w: &mut Writer) {
        w.sequence(|w| {
            each(&self.status, StatusInfo::write, w);
            write_certificates(0, &self.rev_certs, w);
            write_certificates(1, &self.crls, w);
        });
    }
}

impl<'a> ErrorMsgContent<'a> {
    fn read(reader: &mut SliceReader<'a>) -> Result<Self> {
        read::sequence(reader, |r| {
            let status = StatusInfo::read(r)?;
            let error_code = if next_is(r, Tag::Integer)? { Some(read::contents(r, Tag::Integer)?) } else { None };
            let error_details = if r.is_finished() { None } else { Some(FreeText::read(r)?) };
            Ok(Self { status, error_code, error_details })
        })
    }

    fn write(&self, w: &mut Writer) {
        w.sequence(|w| {
            self.status.write(w);
            if let Some(code) = self.error_code {
                w.value(tag::INTEGER, code);
            }
            w.raw(self.error_details.map(FreeText::der).unwrap_or_default());
        });
    }
}

impl<'a> CertStatus<'a> {
    fn read(reader: &mut SliceReader<'a>) -> Result<Self> {
        read::sequence(reader, |r| {
            let cert_hash = read::contents(r, Tag::OctetString)?;
            if cert_hash.len() > HASH_LEN_MAX {
                return bad(r);
            }
            let cert_req_id = int(r)?;
            let status_info = if next_is(r, Tag::Sequence)? { Some(StatusInfo::read(r)?) } else { None };
            Ok(Self { cert_hash, cert_req_id, status_info, hash_alg: explicit_sequence(r, 0)? })
        })
    }

    fn write(&self, w: &mut Writer) {
        w.sequence(|w| {
            w.octet_string(self.cert_hash);
            write_int(self.cert_req_id, w);
            if let Some(status) = &self.status_info {
                status.write(w);
            }
            if let Some(algorithm) = self.hash_alg {
                w.explicit(0, |w| {
                    w.raw(algorithm);
                });
            }
        });
    }
}

impl<'a> PollRep<'a> {
    fn read(reader: &mut SliceReader<'a>) -> Result<Self> {
        read::sequence(reader, |r| {
            let (cert_req_id, check_after) = (int(r)?, u64::decode(r)?);
            let reason = if r.is_finished() { None } else { Some(FreeText::read(r)?) };
            Ok(Self { cert_req_id, check_after, reason })
        })
    }

    fn write(&self, w: &mut Writer) {
        w.sequence(|w| {
            write_int(self.cert_req_id, w);
            w.small(self.check_after).raw(self.reason.map(FreeText::der).unwrap_or_default());
        });
    }
}
