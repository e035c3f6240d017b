//! The body of a request for a certificate, in the forms that clients send.

use base64::Engine;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use x509::csr::CSR_LEN_MAX;

/// Longest body in octets: the longest request in base64, a line end behind every few letters.
pub const BODY_LEN_MAX: usize = 2 * CSR_LEN_MAX;
/// Labels of requests in PEM; the second is what older Windows programs write.
const LABELS: [&str; 2] = ["CERTIFICATE REQUEST", "NEW CERTIFICATE REQUEST"];

// Some clients lose the padding, and nothing becomes ambiguous without it.
const LENIENT: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// How a body was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// As it should be.
    Base64,
    /// Off-spec: a block of PEM.
    Pem,
    /// Off-spec: DER as it is.
    Der,
}

/// Why a body is no request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BadBody {
    /// Longer than [`BODY_LEN_MAX`], or the request in it longer than a request may be.
    TooLong,
    /// No form that is read.
    Form,
}

/// Takes the DER of a request out of a body. What `Content-Transfer-Encoding` says is not asked: RFC 8951 §3.1 has
/// receivers ignore it, and the forms begin with different octets.
///
/// Limits: [`BODY_LEN_MAX`] octets.
/// # Errors
/// [`BadBody`]
/// Source: RFC 8951 §3.1, RFC 4648 §3.1 (white space anywhere).
pub fn decode_body(body: &[u8]) -> Result<(Vec<u8>, Form), BadBody> {
    if body.len() > BODY_LEN_MAX {
        return Err(BadBody::TooLong);
    }
    let (der, form) = match body.trim_ascii_start() {
        // The DER of a SEQUENCE: its length needs two octets or three. No base64 of one begins with these.
        [0x30, 0x81 | 0x82, ..] => (body.trim_ascii_start().to_vec(), Form::Der),
        [b'-', ..] => {
            let block = x509::pem::decode(body).filter(|(label, _)| LABELS.contains(&label.as_str()));
            (block.ok_or(BadBody::Form)?.1, Form::Pem)
        }
        _ => {
            let text: Vec<u8> = body.iter().copied().filter(|octet| !octet.is_ascii_whitespace()).collect();
            (LENIENT.decode(text).map_err(|_| BadBody::Form)?, Form::Base64)
        }
    };
    match der.len() {
        0 => Err(BadBody::Form),
        1..=CSR_LEN_MAX => Ok((der, form)),
        _ => Err(BadBody::TooLong),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DER: [u8; 6] = [0x30, 0x81, 0x03, 2, 1, 5];

    #[track_caller]
    fn check(body: &[u8], expected: Result<Form, BadBody>) {
        let read = decode_body(body);
        assert_eq!(read.as_ref().map(|(_, form)| *form).map_err(|bad| *bad), expected);
        assert!(read.is_err() || read.is_ok_and(|(der, _)| der == DER));
    }

    #[test]
    fn base64_in_one_line_or_many() {
        check(b"MIEDAgEF", Ok(Form::Base64));
        check(b"MIED\r\nAgEF\r\n", Ok(Form::Base64));
        check(b" M\tI\nE\rD\x0cA g E F ", Ok(Form::Base64));
    }
    #[test]
    fn pem_of_a_request() {
        check(x509::pem::encode("CERTIFICATE REQUEST", &DER).as_bytes(), Ok(Form::Pem));
        check(x509::pem::encode("NEW CERTIFICATE REQUEST", &DER).as_bytes(), Ok(Form::Pem));
    }
    #[test]
    fn pem_of_something_else_is_refused() {
        check(x509::pem::encode("CERTIFICATE", &DER).as_bytes(), Err(BadBody::Form));
        check(b"-----BEGIN CERTIFICATE REQUEST-----", Err(BadBody::Form));
    }
    #[test]
    fn der_as_it_is() {
        check(&DER, Ok(Form::Der));
    }
    #[test]
    fn other_letters_are_refused() {
        for body in ["", " ", "MIED_gEF", "MIED%41gEF", "MIEDAgEF=A", "\u{feff}MIEDAgEF", "{}"] {
            check(body.as_bytes(), Err(BadBody::Form));
        }
    }
    #[test]
    fn so_many_octets_and_one_more() {
        let spaces = |len: usize| [b"MIEDAgEF".as_slice(), &vec![b' '; len - 8]].concat();
        check(&spaces(BODY_LEN_MAX), Ok(Form::Base64));
        check(&spaces(BODY_LEN_MAX + 1), Err(BadBody::TooLong));
        let long = |len: usize| decode_body(&vec![b'A'; len]).map(|(der, _)| der.len());
        assert_eq!(long(CSR_LEN_MAX / 3 * 4), Ok(CSR_LEN_MAX / 3 * 3));
        assert_eq!(long(CSR_LEN_MAX / 3 * 4 + 4), Err(BadBody::TooLong));
    }
}
