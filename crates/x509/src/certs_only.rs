//! Certificates that are sent together, in a CMS message without content and without signatures.

use crate::oids;
use crate::read::{self, BadDer, Result, bad};
use der::{SliceReader, Tag};

/// Longest message in octets: the most certificates that are taken, of the length that ours have with the largest keys.
pub const CERTS_ONLY_LEN_MAX: usize = 256 * 1024;
/// Most certificates in a message.
const CERTIFICATES_MAX: usize = 64;

/// Reads the certificates of a certs-only message, each as its DER, in the order in which they stand there.
///
/// They are not looked at: who needs one to be a certificate reads it. Lists that come with them are passed over.
/// Limits: [`CERTS_ONLY_LEN_MAX`] octets, 64 certificates.
/// # Errors
/// [`BadDer`] if longer, not DER, of another type of content, with a signature, or followed by other octets.
/// Source: RFC 5652 §3, §5.1; RFC 7030 §4.1.3, §4.2.3.
pub fn decode(der: &[u8]) -> std::result::Result<Vec<&[u8]>, BadDer> {
    read::whole(der, CERTS_ONLY_LEN_MAX, "certs-only message", |r| {
        let contents = read::contents(r, Tag::Sequence)?;
        read::inside(contents, |r| {
            if read::oid(r)? != oids::SIGNED_DATA {
                return bad(r);
            }
            let Some(explicit) = read::optional(r, 0, true)? else { return bad(r) };
            let contents = read::inside(explicit, |r| read::contents(r, Tag::Sequence))?;
            read::inside(contents, signed_data)
        })
    })
}

// RFC 5652 §5.1: version, digestAlgorithms, encapContentInfo, certificates [0], crls [1], signerInfos.
fn signed_data<'a>(r: &mut SliceReader<'a>) -> Result<Vec<&'a [u8]>> {
    if read::small(r)? != 1 {
        return bad(r);
    }
    read::contents(r, Tag::Set)?;
    read::contents(r, Tag::Sequence)?;
    let certificates = read::optional(r, 0, true)?.unwrap_or_default();
    let _passed_over = read::optional(r, 1, true)?;
    // Who signs a message wants the signature verified, which is not done here.
    if !read::contents(r, Tag::Set)?.is_empty() {
        return bad(r);
    }
    read::each(certificates, CERTIFICATES_MAX, |r| read::contents_and_all(r, Tag::Sequence).map(|(_, all)| all))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Writer;

    fn message(version: u64, certificates: &[&[u8]], signers: &[u8]) -> Vec<u8> {
        let mut w = Writer::default();
        w.sequence(|w| {
            w.oid(oids::SIGNED_DATA).explicit(0, |w| {
                w.sequence(|w| {
                    w.small(version).set(|_| {}).sequence(|w| {
                        w.oid(oids::DATA);
                    });
                    w.explicit(0, |w| certificates.iter().for_each(|der| _ = w.raw(der)));
                    w.set(|w| _ = w.raw(signers));
                });
            });
        });
        w.finish()
    }
    #[track_caller]
    fn check(der: &[u8], expected: Option<&[&[u8]]>) {
        assert_eq!(decode(der).ok().as_deref(), expected);
    }

    const A: &[u8] = &[0x30, 1, 1];
    const B: &[u8] = &[0x30, 0];

    #[test]
    fn certificates_in_their_order() {
        check(&message(1, &[A, B], &[]), Some(&[A, B]));
        check(&message(1, &[], &[]), Some(&[]));
    }
    #[test]
    fn what_is_signed_is_for_others() {
        check(&message(1, &[A], &[0x30, 0]), None);
    }
    #[test]
    fn another_version_has_other_things_in_it() {
        check(&message(3, &[A], &[]), None);
    }
    #[test]
    fn only_whole_messages() {
        let whole = message(1, &[A], &[]);
        check(&[&*whole, &[0]].concat(), None);
        (0..whole.len()).for_each(|len| check(&whole[..len], None));
    }
    #[test]
    fn something_else_than_a_certificate() {
        check(&message(1, &[&[0x02, 1, 1]], &[]), None);
    }
    #[test]
    fn so_many_and_no_more() {
        check(&message(1, &vec![B; CERTIFICATES_MAX], &[]), Some(&vec![B; CERTIFICATES_MAX]));
        check(&message(1, &vec![B; CERTIFICATES_MAX + 1], &[]), None);
    }
    #[test]
    fn what_openssl_writes() {
        for name in ["two-certificates", "and-a-list"] {
            let path = format!("{}/../../testdata/rfc5652/openssl-3.0.19-{name}.der", env!("CARGO_MANIFEST_DIR"));
            let der = std::fs::read(path).unwrap();
            let read = decode(&der).unwrap();
            assert_eq!(read.iter().filter(|der| crate::Certificate::decode(der).is_ok()).count(), 2, "{name}");
        }
    }
}
