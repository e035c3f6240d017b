//! How a certificate is named to who asks when to renew it.

use model::octets::{base64url, from_base64url};
use x509::SerialNumber;

/// The name of a certificate: the key identifier of its authority, and its serial number as DER has it.
/// Source: RFC 9773 §4.1.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CertId {
    /// `keyIdentifier` of the `AuthorityKeyIdentifier`.
    pub authority: Vec<u8>,
    /// The serial number.
    pub serial: SerialNumber,
}

/// Longest key identifier, in octets.
const KEY_IDENTIFIER_LEN_MAX: usize = 64;

impl CertId {
    /// Reads a name. The octets of the serial number are those of DER: a leading zero stands where the first bit of the next octet
    /// is set, and nowhere else.
    #[must_use]
    pub fn read(text: &str) -> Option<Self> {
        let (authority, serial) = text.split_once('.')?;
        let authority = from_base64url(authority.as_bytes())?;
        if authority.is_empty() || authority.len() > KEY_IDENTIFIER_LEN_MAX {
            return None;
        }
        let octets = from_base64url(serial.as_bytes())?;
        let number = match octets.as_slice() {
            [0, rest @ ..] if rest.first().is_some_and(|next| next & 0x80 != 0) => rest,
            [0, ..] => return None,
            [first, ..] if first & 0x80 != 0 => return None,
            plain => plain,
        };
        Some(Self { authority, serial: SerialNumber::new(number).ok()? })
    }

    /// Writes it.
    #[must_use]
    pub fn write(&self) -> String {
        let octets = self.serial.octets();
        let zero: &[u8] = if octets.first().is_some_and(|first| first & 0x80 != 0) { &[0] } else { &[] };
        format!("{}.{}", base64url(&self.authority), base64url(&[zero, octets].concat()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: Option<&[u8]>) {
        let read = CertId::read(text);
        assert_eq!(read.as_ref().map(|id| id.serial.octets()), expected, "{text}");
        if let Some(read) = read {
            assert_eq!(read.write(), text);
        }
    }

    #[test]
    fn that_of_the_standard_keeps_its_zero() {
        // RFC 9773 §4.1.
        check("aYhba4dGQEHhs3uEe6CuLN4ByNQ.AIdlQyE", Some(&[0x87, 0x65, 0x43, 0x21]));
    }
    #[test]
    fn without_the_zero_it_is_another() {
        check("aYhba4dGQEHhs3uEe6CuLN4ByNQ.h2VDIQ", None);
    }
    #[test]
    fn a_zero_that_is_not_due() {
        check("aYhba4dGQEHhs3uEe6CuLN4ByNQ.ZUMh", Some(&[0x65, 0x43, 0x21]));
        check("aYhba4dGQEHhs3uEe6CuLN4ByNQ.AGVDIQ", None);
        check("aYhba4dGQEHhs3uEe6CuLN4ByNQ.AA", None);
    }
    #[test]
    fn no_name() {
        for text in ["", ".", "a.b", "aYhb", ".AIdlQyE", "aYhb.", "aYhb=.AIdlQyE", "aYhb.AId.QyE"] {
            check(text, None);
        }
    }
}
