//! What messages have in their envelope that ask for something that there is.

use crate::read::{contents, inside, serial_number};
use der::{Reader, Tag};
use x509::BadDer;
use x509::{Name, SerialNumber};

/// Which certificate a client asks for, or for which one a list. Source: RFC 8894 §3.3.4, RFC 5652 §10.2.4.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IssuerAndSerialNumber {
    /// Who issued it.
    pub issuer: Name,
    /// Its number.
    pub serial_number: SerialNumber,
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
