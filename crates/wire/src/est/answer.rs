//! Answers: certificates and nothing else, in base64.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use x509::Writer;
use x509::oids::{DATA, SIGNED_DATA};
use zeroize::{Zeroize, Zeroizing};

/// Letters in a line. Source: RFC 2045 §6.8 allows 76, PEM has 64.
const LINE_LEN: usize = 64;

/// Whether base64 is divided into lines. Some clients read only the one, some only the other.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Lines {
    /// Lines of 64 letters, each with its end.
    #[default]
    Wrapped,
    /// One line without an end.
    One,
}

/// Writes certificates, in DER, as a signed message without content and without signatures.
///
/// Source: RFC 7030 §4.1.3, RFC 5652 §5.1 (version 1: no other certificates than these, and no attributes).
#[must_use]
pub fn certs_only(certificates: &[&[u8]]) -> Vec<u8> {
    let mut w = Writer::with_capacity(certificates.iter().map(|der| der.len()).sum::<usize>() + 64);
    w.sequence(|w| {
        w.oid(SIGNED_DATA).explicit(0, |w| {
            w.sequence(|w| {
                w.small(1).set(|_| {}).sequence(|w| {
                    w.oid(DATA);
                });
                // certificates [0] IMPLICIT
                w.explicit(0, |w| {
                    // A SET in DER is in the order of its elements' octets.
                    let mut ordered = certificates.to_vec();
                    ordered.sort_unstable();
                    for der in ordered {
                        w.raw(der);
                    }
                });
                w.set(|_| {});
            });
        });
    });
    w.finish()
}

/// Writes octets in base64.
#[must_use]
pub fn write_base64(octets: &[u8], lines: Lines) -> String {
    let mut text = STANDARD.encode(octets);
    match lines {
        Lines::One => text,
        Lines::Wrapped => {
            let mut wrapped = String::with_capacity(text.len() + text.len() / LINE_LEN + 1);
            for (n, letter) in text.chars().enumerate() {
                if n > 0 && n % LINE_LEN == 0 {
                    wrapped.push('\n');
                }
                wrapped.push(letter);
            }
            wrapped.push('\n');
            // It may have been a key.
            text.zeroize();
            wrapped
        }
    }
}

/// What stands between the parts; base64 has no such letters.
const BOUNDARY: &str = "--estServerKeyGen";

/// Writes a key, as PKCS #8 in DER, and the certificate for it as [`certs_only`] wrote it. Of media type [`super::KEY_AND_CERTIFICATE`].
///
/// Source: RFC 7030 §4.4.2, RFC 2046 §5.1, RFC 8951 §3.1 (what `Content-Transfer-Encoding` says means nothing, and clients look for it).
#[must_use]
pub fn key_and_certificate(pkcs8: &[u8], certificate: &[u8], lines: Lines) -> Zeroizing<Vec<u8>> {
    let parts = [(super::PKCS8, pkcs8), (super::CERTS_ONLY, certificate)];
    // Room for all of it: what grows leaves a copy behind that nobody wipes.
    let mut written = Zeroizing::new(Vec::with_capacity((pkcs8.len() + certificate.len()) * 2 + 1024));
    for (media_type, der) in parts {
        let mut text = write_base64(der, lines);
        let head = format!("{BOUNDARY}\r\nContent-Type: {media_type}\r\nContent-Transfer-Encoding: base64\r\n\r\n");
        written.extend_from_slice(head.as_bytes());
        written.extend_from_slice(text.as_bytes());
        written.extend_from_slice(b"\r\n");
        text.zeroize();
    }
    written.extend_from_slice(BOUNDARY.as_bytes());
    written.extend_from_slice(b"--\r\n");
    written
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_and_its_certificate() {
        let expected = "--estServerKeyGen\r\nContent-Type: application/pkcs8\r\nContent-Transfer-Encoding: base64\r\n\r\n\
            MAA=\r\n--estServerKeyGen\r\nContent-Type: application/pkcs7-mime; smime-type=certs-only\r\n\
            Content-Transfer-Encoding: base64\r\n\r\nMAECAQ==\r\n--estServerKeyGen--\r\n";
        let written = key_and_certificate(&[0x30, 0], &[0x30, 1, 2, 1], Lines::One);
        assert_eq!(std::str::from_utf8(&written), Ok(expected));
        assert!(super::super::KEY_AND_CERTIFICATE.ends_with(&BOUNDARY[2..]));
    }
    use const_oid::ObjectIdentifier;

    #[test]
    fn no_certificate_at_all() {
        let oid = |oid: ObjectIdentifier| [&[6, 9], oid.as_bytes()].concat();
        let data = [&[0x30, 11], &*oid(DATA)].concat();
        let inner = [&[2, 1, 1, 0x31, 0], &*data, &[0xa0, 0, 0x31, 0]].concat();
        let inner = [&[0x30, 22], &*inner].concat();
        let all = [&*oid(SIGNED_DATA), &[0xa0, 24], &inner].concat();
        assert_eq!(certs_only(&[]), [&[0x30, 37], &*all].concat());
    }
    #[test]
    fn certificates_stand_in_the_order_of_their_octets() {
        let (a, b) = ([0x30, 1, 1].as_slice(), [0x30, 1, 2].as_slice());
        assert_eq!(certs_only(&[b, a]), certs_only(&[a, b]));
        assert!(certs_only(&[b, a]).windows(6).any(|w| w == [a, b].concat()));
    }
    #[test]
    fn lines_end_after_sixty_four_letters() {
        let check = |len: usize, expected: &[usize]| {
            let text = write_base64(&vec![0; len], Lines::Wrapped);
            assert!(text.ends_with('\n'));
            assert_eq!(text.lines().map(str::len).collect::<Vec<_>>(), expected);
        };
        check(3, &[4]);
        check(48, &[64]);
        check(49, &[64, 4]);
        check(96, &[64, 64]);
    }
    #[test]
    fn or_never() {
        assert_eq!(write_base64(&[0; 49], Lines::One).len(), 68);
        assert!(!write_base64(&[0; 490], Lines::One).contains('\n'));
    }
}
