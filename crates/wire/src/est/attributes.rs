//! What a request should have in it.

use const_oid::ObjectIdentifier;
use x509::{KeyType, Writer, oids};

/// One thing that a request should have. Source: RFC 7030 §4.5.2, RFC 9908 §3.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CsrAttribute {
    /// This, as the client knows it.
    Oid(ObjectIdentifier),
    /// A key of this type.
    Key(KeyType),
}

/// Writes `CsrAttrs`. `None` if nothing is wanted: then there is none to send.
///
/// Source: RFC 7030 §4.5.2 (`CsrAttrs`), RFC 9908 §3.2 (a curve as the value of id-ecPublicKey; the length of an RSA key as that
/// of rsaEncryption).
#[must_use]
pub fn csr_attributes(wanted: &[CsrAttribute]) -> Option<Vec<u8>> {
    if wanted.is_empty() {
        return None;
    }
    let mut w = Writer::with_capacity(64);
    w.sequence(|w| wanted.iter().for_each(|attribute| write(w, *attribute)));
    Some(w.finish())
}

fn write(w: &mut Writer, attribute: CsrAttribute) {
    let curve = |w: &mut Writer, curve: ObjectIdentifier| {
        w.sequence(|w| {
            w.oid(oids::EC_PUBLIC_KEY).set(|w| {
                w.oid(curve);
            });
        });
    };
    let plain = |w: &mut Writer, oid: ObjectIdentifier| {
        w.oid(oid);
    };
    match attribute {
        CsrAttribute::Oid(oid) => plain(w, oid),
        CsrAttribute::Key(KeyType::P256) => curve(w, oids::SECP256R1),
        CsrAttribute::Key(KeyType::P384) => curve(w, oids::SECP384R1),
        CsrAttribute::Key(KeyType::P521) => curve(w, oids::SECP521R1),
        // Keys whose type says how they sign.
        CsrAttribute::Key(KeyType::Ed25519) => plain(w, oids::ED25519),
        CsrAttribute::Key(KeyType::MlDsa44) => plain(w, oids::ML_DSA_44),
        CsrAttribute::Key(KeyType::MlDsa65) => plain(w, oids::ML_DSA_65),
        CsrAttribute::Key(KeyType::MlDsa87) => plain(w, oids::ML_DSA_87),
        CsrAttribute::Key(KeyType::Rsa(bits)) => {
            w.sequence(|w| {
                w.oid(oids::RSA_ENCRYPTION).set(|w| {
                    w.small(u64::from(bits));
                });
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_wanted_is_nothing_sent() {
        assert_eq!(csr_attributes(&[]), None);
    }
    #[test]
    fn a_curve_as_rfc_7030_has_it_in_its_example() {
        // The second attribute of RFC 7030 §4.5.2: id-ecPublicKey with secp384r1.
        let attribute = [0x30, 18, 6, 7, 0x2a, 0x86, 0x48, 0xce, 0x3d, 2, 1, 0x31, 7, 6, 5, 0x2b, 0x81, 4, 0, 0x22];
        let expected = [&[0x30, 20], attribute.as_slice()].concat();
        assert_eq!(csr_attributes(&[CsrAttribute::Key(KeyType::P384)]), Some(expected));
    }
    #[test]
    fn the_length_of_an_rsa_key() {
        let written = csr_attributes(&[CsrAttribute::Key(KeyType::Rsa(3072))]).unwrap();
        assert!(written.ends_with(&[0x31, 4, 2, 2, 0x0c, 0]), "{written:x?}");
    }
    #[test]
    fn a_key_that_says_how_it_signs() {
        assert_eq!(csr_attributes(&[CsrAttribute::Key(KeyType::Ed25519)]), Some(vec![0x30, 5, 6, 3, 0x2b, 101, 112]));
        assert_eq!(csr_attributes(&[CsrAttribute::Oid(oids::ED25519)]), Some(vec![0x30, 5, 6, 3, 0x2b, 101, 112]));
    }
}
