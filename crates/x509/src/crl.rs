//! Certificate revocation lists.

use crate::algorithm::SignatureAlgorithm;
use crate::extension::{Extension, authority_key_identifier};
use crate::key::PublicKey;
use crate::name::Name;
use crate::oids;
use crate::read::{self, BadDer, bad};
use crate::serial::SerialNumber;
use crate::signature::{self, BadSignature};
use crate::time;
use crate::write::{Writer, tag};
use der::{Decode, Reader, SliceReader, Tag};
use model::UnixTime;
use model::contract::authority::RevocationReason;

/// Longest list that is read, in octets: about a million entries.
pub const CRL_LEN_MAX: usize = 64 * 1024 * 1024;
/// Most entries that are read.
const ENTRIES_MAX: usize = 2_000_000;

/// One revoked certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RevokedCertificate {
    /// Which.
    pub serial_number: SerialNumber,
    /// When.
    pub revocation_date: UnixTime,
    /// Why.
    pub reason: RevocationReason,
}

/// A `CertificateList`, version 2, not verified.
/// Source: RFC 5280 §5.1.
#[derive(Clone, Debug)]
#[expect(missing_docs, reason = "the fields are named as in RFC 5280")]
pub struct CertificateList {
    pub tbs_der: Vec<u8>,
    pub issuer: Name,
    pub this_update: UnixTime,
    pub next_update: UnixTime,
    pub crl_number: u64,
    pub revoked: Vec<RevokedCertificate>,
    pub algorithm: SignatureAlgorithm,
    pub signature: Vec<u8>,
}

/// What a new list says besides its entries.
#[derive(Clone, Copy, Debug)]
#[expect(missing_docs, reason = "the fields are named as in RFC 5280")]
pub struct CrlHead<'a> {
    pub signature: SignatureAlgorithm,
    pub issuer: &'a Name,
    pub issuer_key: &'a PublicKey,
    pub this_update: UnixTime,
    pub next_update: UnixTime,
    pub crl_number: u64,
}

/// Writes a `TBSCertList`: the octets that the issuer signs. An empty list of entries is left out (RFC 5280 §5.1.2.6).
#[must_use]
pub fn write_tbs(head: &CrlHead<'_>, revoked: &[RevokedCertificate]) -> Vec<u8> {
    let mut w = Writer::with_capacity(256 + revoked.len() * 52);
    w.sequence(|w| {
        w.small(1);
        head.signature.write(w);
        w.raw(head.issuer.der()).time(head.this_update).time(head.next_update);
        if !revoked.is_empty() {
            w.sequence(|w| revoked.iter().for_each(|entry| write_entry(entry, w)));
        }
        w.explicit(0, |w| {
            let number = Extension::of(oids::CRL_NUMBER, false, |w| {
                w.small(head.crl_number);
            });
            Extension::write_all(&[authority_key_identifier(&head.issuer_key.key_identifier()), number], w);
        });
    });
    w.finish()
}

fn write_entry(entry: &RevokedCertificate, w: &mut Writer) {
    w.sequence(|w| {
        w.unsigned(entry.serial_number.octets()).time(entry.revocation_date);
        if entry.reason != RevocationReason::Unspecified {
            let reason = Extension::of(oids::REASON_CODE, false, |w| {
                w.value(tag::ENUMERATED, &[entry.reason.code()]);
            });
            w.sequence(|w| reason.write(w));
        }
    });
}

impl CertificateList {
    /// Reads a list.
    ///
    /// Limits: [`CRL_LEN_MAX`] octets, two million entries; number and next update must be there.
    /// # Errors
    /// [`BadDer`] if longer, not DER, of another version, with a critical extension, or followed by other octets.
    pub fn decode(der: &[u8]) -> Result<Self, BadDer> {
        read::whole(der, CRL_LEN_MAX, "CertificateList", |r| {
            let contents = read::contents(r, Tag::Sequence)?;
            read::inside(contents, |r| {
                let tbs_der = r.tlv_bytes()?;
                let algorithm = SignatureAlgorithm::read(r)?;
                let signature = read::bit_string_octets(r)?.to_vec();
                read::inside(tbs_der, |r| tbs(r, tbs_der, algorithm, signature))
            })
        })
    }

    /// Verifies that `key` signed it.
    ///
    /// # Errors
    /// [`BadSignature`]
    pub fn verify(&self, key: &PublicKey) -> Result<(), BadSignature> {
        signature::verify(key, self.algorithm, &self.tbs_der, &self.signature)
    }
}

fn tbs(
    reader: &mut SliceReader<'_>,
    tbs_der: &[u8],
    algorithm: SignatureAlgorithm,
    signature: Vec<u8>,
) -> read::Result<CertificateList> {
    let contents = read::contents(reader, Tag::Sequence)?;
    read::inside(contents, |r| {
        if read::small(r)? != 1 || SignatureAlgorithm::read(r)? != algorithm {
            return bad(r);
        }
        let issuer = Name::read(r)?;
        let this_update = time::time(r)?;
        let next_update = time::time(r)?;
        let revoked = match read::next_tag(r)? {
            Some(Tag::Sequence) => {
                let entries = read::contents(r, Tag::Sequence)?;
                let entries = read::each(entries, ENTRIES_MAX, entry)?;
                if entries.is_empty() {
                    return bad(r);
                }
                entries
            }
            _ => Vec::new(),
        };
        let Some(extensions) = read::optional(r, 0, true)? else { return bad(r) };
        let extensions = read::inside(extensions, Extension::read_all)?;
        let number = extensions.iter().find(|e| e.oid == oids::CRL_NUMBER);
        let number = number.and_then(|e| read::whole(&e.value, 16, "CRLNumber", u64::decode).ok());
        let critical = extensions.iter().any(|e| e.critical);
        match number {
            Some(crl_number) if !critical => Ok(CertificateList {
                tbs_der: tbs_der.to_vec(),
                issuer,
                this_update,
                next_update,
                crl_number,
                revoked,
                algorithm,
                signature,
            }),
            _ => bad(r),
        }
    })
}

fn entry(reader: &mut SliceReader<'_>) -> read::Result<RevokedCertificate> {
    let contents = read::contents(reader, Tag::Sequence)?;
    read::inside(contents, |r| {
        let serial_number = SerialNumber::read(r)?;
        let revocation_date = time::time(r)?;
        let extensions = if r.is_finished() { Vec::new() } else { Extension::read_all(r)? };
        if extensions.iter().any(|e| e.critical) {
            return bad(r);
        }
        let reason = match extensions.iter().find(|e| e.oid == oids::REASON_CODE).map(|e| e.value.as_slice()) {
            None => Some(RevocationReason::Unspecified),
            Some([tag::ENUMERATED, 1, code]) => RevocationReason::by_code(*code),
            Some(_) => None,
        };
        match reason {
            Some(reason) => Ok(RevokedCertificate { serial_number, revocation_date, reason }),
            None => bad(r),
        }
    })
}
