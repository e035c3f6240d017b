//! What CMP needs of CRMF beyond a request for a name and a key: extensions asked for, and a certificate to revoke.

use crate::read::{self, Result, bad};
use der::{Reader, SliceReader, Tag};
use model::contract::authority::RevocationReason;
use x509::write::tag;
use x509::{Extension, Name, PublicKey, SerialNumber, Writer, oids};

/// What a `CertTemplate` asks for.
/// Source: RFC 4211 §5.
#[derive(Clone, Copy, Debug)]
#[expect(missing_docs, reason = "the fields are named as in RFC 4211")]
pub struct Template<'a> {
    /// Which authority of the server is to issue.
    pub issuer: Option<&'a Name>,
    pub subject: Option<&'a Name>,
    pub public_key: &'a PublicKey,
    pub extensions: &'a [Extension],
}

/// Writes a `CertRequest`: the octets that a proof of possession by signature covers.
#[must_use]
pub fn write_cert_request(cert_req_id: u64, template: &Template<'_>) -> Vec<u8> {
    let mut w = Writer::with_capacity(512);
    w.sequence(|w| {
        w.small(cert_req_id);
        w.sequence(|w| {
            write_name(3, template.issuer, w);
            write_name(5, template.subject, w);
            // publicKey and extensions are implicitly tagged: the contents of the SEQUENCE under another tag.
            w.value(tag::CONTEXT_CONSTRUCTED | 6, sequence_contents(template.public_key.spki()));
            write_extensions(template.extensions, w);
        });
    });
    w.finish()
}

/// The fields of a `CertTemplate` that has no more than a subject and extensions.
pub(super) fn write_named(subject: Option<&Name>, extensions: &[Extension], w: &mut Writer) {
    write_name(5, subject, w);
    write_extensions(extensions, w);
}

fn write_name(n: u8, name: Option<&Name>, w: &mut Writer) {
    if let Some(name) = name {
        w.explicit(n, |w| {
            w.raw(name.der());
        });
    }
}

fn write_extensions(extensions: &[Extension], w: &mut Writer) {
    if !extensions.is_empty() {
        let mut list = Writer::with_capacity(256);
        Extension::write_all(extensions, &mut list);
        w.value(tag::CONTEXT_CONSTRUCTED | 9, sequence_contents(&list.finish()));
    }
}

fn sequence_contents(der: &[u8]) -> &[u8] {
    read::inside(der, |r| read::contents(r, Tag::Sequence)).unwrap_or_default()
}

/// Writes the `CertTemplate` of a certificate that is to be revoked.
/// Source: RFC 9483 §4.2.
#[must_use]
pub fn write_cert_details(issuer: &Name, serial_number: &SerialNumber) -> Vec<u8> {
    let mut number = Writer::with_capacity(24);
    number.unsigned(serial_number.octets());
    let number = number.finish();
    let contents = read::inside(&number, |r| read::contents(r, Tag::Integer)).unwrap_or_default();
    let mut w = Writer::with_capacity(128);
    w.sequence(|w| {
        w.value(tag::CONTEXT | 1, contents);
        w.explicit(3, |w| {
            w.raw(issuer.der());
        });
    });
    w.finish()
}

/// Reads issuer and serial number out of a `CertTemplate`; `None` if one of them is missing.
///
/// Other fields are not looked at: RFC 9483 §4.2 lets clients repeat subject and key, and these two name a certificate.
#[must_use]
pub fn certificate_of(cert_details: &[u8]) -> Option<(Name, SerialNumber)> {
    read::inside(cert_details, |r| read::sequence(r, issuer_and_serial)).ok()
}

fn issuer_and_serial(reader: &mut SliceReader<'_>) -> Result<(Name, SerialNumber)> {
    let (mut serial, mut issuer) = (None, None);
    while !reader.is_finished() {
        let (found, contents) = read::any(reader)?;
        match found {
            Tag::ContextSpecific { constructed: false, number: der::TagNumber(1) } => {
                let mut w = Writer::with_capacity(24);
                w.value(tag::INTEGER, contents);
                serial = Some(read::inside(&w.finish(), read::serial_number)?);
            }
            Tag::ContextSpecific { constructed: true, number: der::TagNumber(3) } => {
                issuer = Name::decode(contents).ok();
            }
            _ => {}
        }
    }
    match (issuer, serial) {
        (Some(issuer), Some(serial)) => Ok((issuer, serial)),
        _ => bad(reader),
    }
}

/// Reads a `CertId` of CRMF: whose certificate, and which; `None` if the issuer is no directory name.
/// Source: RFC 4211 §6.5.
#[must_use]
pub fn cert_id(der: &[u8]) -> Option<(Name, SerialNumber)> {
    let read = read::inside(der, |r| {
        read::sequence(r, |r| {
            let Some(Ok(issuer)) = read::optional(r, 4)?.map(Name::decode) else { return bad(r) };
            Ok((issuer, read::serial_number(r)?))
        })
    });
    read.ok()
}

/// Writes the `crlEntryDetails` of a reason.
/// Source: RFC 5280 §5.3.1.
#[must_use]
pub fn write_reason(reason: RevocationReason) -> Vec<u8> {
    let extension = Extension::of(oids::REASON_CODE, false, |w| {
        w.value(tag::ENUMERATED, &[reason.code()]);
    });
    let mut w = Writer::with_capacity(32);
    Extension::write_all(&[extension], &mut w);
    w.finish()
}

/// Whether `crlEntryDetails` take a hold back: `removeFromCRL`, which is no reason.
/// Source: RFC 9810 §5.3.9, RFC 5280 §5.3.1.
#[must_use]
pub fn is_revival(crl_entry_details: Option<&[u8]>) -> bool {
    let Some(Ok(read)) = crl_entry_details.map(read::extensions) else { return false };
    read.iter().any(|extension| extension.oid == oids::REASON_CODE && extension.value == [tag::ENUMERATED, 1, 8])
}

/// Reads the reason out of `crlEntryDetails`.
///
/// `None` if the octets are no `Extensions`, or the reason is none that a list may have.
#[must_use]
pub fn reason_of(crl_entry_details: Option<&[u8]>) -> Option<RevocationReason> {
    let Some(der) = crl_entry_details else { return Some(RevocationReason::Unspecified) };
    let read = read::extensions(der).ok()?;
    match read.iter().find(|extension| extension.oid == oids::REASON_CODE).map(|extension| extension.value) {
        None => Some(RevocationReason::Unspecified),
        Some([tag::ENUMERATED, 1, code]) => RevocationReason::by_code(*code),
        Some(_) => None,
    }
}
