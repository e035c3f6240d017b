//! Answers: certificates and nothing else, in base64.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use x509::Writer;
use x509::oids::{DATA, SIGNED_DATA};

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
    let text = STANDARD.encode(octets);
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
            wrapped
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
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
