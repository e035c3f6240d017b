//! What messages have in their envelope that ask for something that there is.

use crate::read::{contents, inside, sequence, serial_number};
use der::{Reader, Tag};
use x509::BadDer;
use x509::{Name, SerialNumber};

/// Whose certificate a client waits for. Source: RFC 8894 §3.3.3.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IssuerAndSubject {
    /// Who is to issue it.
    pub issuer: Name,
    /// Whom it is for.
    pub subject: Name,
}

/// Which certificate a client asks for, or for which one a list. Source: RFC 8894 §3.3.4, RFC 5652 §10.2.4.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IssuerAndSerialNumber {
    /// Who issued it.
    pub issuer: Name,
    /// Its number.
    pub serial_number: SerialNumber,
}

impl IssuerAndSubject {
    /// Reads it.
    ///
    /// # Errors
    /// [`BadDer`] if it is not DER, or followed by other octets.
    pub fn decode(der: &[u8]) -> Result<Self, BadDer> {
        let read = || {
            inside(der, |r| {
                sequence(r, |r| {
                    let (issuer, subject) = (r.tlv_bytes()?, r.tlv_bytes()?);
                    Ok((issuer, subject))
                })
            })
        };
        let (issuer, subject) = read().map_err(|_| BadDer("IssuerAndSubject"))?;
        Ok(Self { issuer: Name::decode(issuer)?, subject: Name::decode(subject)? })
    }
}

impl IssuerAndSerialNumber {
    /// Reads it.
    ///
    /// # Errors
    /// [`BadDer`] if it is not DER, or followed by other octets.
    pub fn decode(der: &[u8]) -> Result<Self, BadDer> {
        let read = || {
            inside(der, |r| {
                let of = contents(r, Tag::Sequence)?;
                inside(of, |r| Ok((r.tlv_bytes()?, serial_number(r)?)))
            })
        };
        let (issuer, serial_number) = read().map_err(|_| BadDer("IssuerAndSerialNumber"))?;
        Ok(Self { issuer: Name::decode(issuer)?, serial_number })
    }
}
