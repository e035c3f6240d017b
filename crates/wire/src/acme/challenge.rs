//! What proves that a name is somebody's.

use super::thumbprint;
use model::contract::acme::ChallengeKind;
use model::octets::base64url;
use model::{AcmeId, Digest};
use x509::{PublicKey, sha256, sha256_of_parts};

/// What was seen where it had to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Seen<'a> {
    /// The body of an answer of HTTP.
    Body(&'a [u8]),
    /// TXT records.
    Texts(&'a [Vec<u8>]),
    /// A certificate in DER.
    Certificate(&'a [u8]),
}

/// The token of a challenge: each kind has its own, and who does not know the secret of the authorisation guesses none.
/// Source: RFC 8555 §8.
#[must_use]
pub fn token(authorization: AcmeId, secret: &[u8; 32], kind: ChallengeKind) -> String {
    let parts = [secret.as_slice(), authorization.octets(), kind.name().as_bytes()];
    base64url(sha256_of_parts(parts.into_iter()).octets())
}

/// What an account has to show. None for a key that has no thumbprint.
/// Source: RFC 8555 §8.1.
#[must_use]
pub fn key_authorization(token: &str, key: &PublicKey) -> Option<String> {
    Some(format!("{token}.{}", base64url(thumbprint(key)?.octets())))
}

fn digest(key_authorization: &str) -> Digest {
    sha256(key_authorization.as_bytes())
}

/// Whether what was seen is the answer to a challenge.
#[must_use]
pub fn is_answer(seen: Seen<'_>, identifier: &super::Identifier, key_authorization: &str) -> bool {
    match seen {
        // RFC 8555 §8.3: white space at the end is ignored.
        Seen::Body(body) => body.trim_ascii_end() == key_authorization.as_bytes(),
        // RFC 8555 §8.4.
        Seen::Texts(texts) => {
            let wanted = base64url(digest(key_authorization).octets());
            texts.iter().any(|text| text == wanted.as_bytes())
        }
        Seen::Certificate(der) => is_certificate(der, identifier, &digest(key_authorization)),
    }
}

/// RFC 8737 §3: the name and nothing else, and the digest in a critical extension.
fn is_certificate(der: &[u8], identifier: &super::Identifier, digest: &Digest) -> bool {
    use const_oid::ObjectIdentifier;
    use x509::extension::decode_subject_alt_name;
    /// `id-pe-acmeIdentifier`
    const ACME_IDENTIFIER: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.1.31");
    let Ok(certificate) = x509::Certificate::decode(der) else { return false };
    let tbs = certificate.tbs();
    let names = tbs.extension(x509::oids::SUBJECT_ALT_NAME).and_then(|e| decode_subject_alt_name(&e.value));
    let wanted = [&[4, 32], digest.octets().as_slice()].concat();
    let shown = tbs.extension(ACME_IDENTIFIER).is_some_and(|e| e.critical && e.value == wanted);
    shown && names.is_some_and(|names| names == [identifier.general_name()])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::acme::Identifier;

    const NAME: Identifier = Identifier::Dns(String::new());

    #[test]
    fn white_space_at_the_end_and_nothing_else() {
        let check =
            |body: &str, expected: bool| assert_eq!(is_answer(Seen::Body(body.as_bytes()), &NAME, "t.k"), expected);
        check("t.k", true);
        check("t.k \r\n\t\n", true);
        check(" t.k", false);
        check("t.kk", false);
        check("t", false);
        check("", false);
    }
    #[test]
    fn one_of_the_records_is_enough() {
        // By Python 3 hashlib: base64url(sha256(b"t.k")).
        let wanted = b"dlB0GFFBjq1DwqiLNYRbUrjZLT6IqLn_wqx7amut1k0".to_vec();
        let check = |texts: &[Vec<u8>], expected: bool| {
            assert_eq!(is_answer(Seen::Texts(texts), &NAME, "t.k"), expected);
        };
        check(&[b"other".to_vec(), wanted.clone()], true);
        check(&[[wanted.as_slice(), b"\n"].concat()], false);
        check(&[b"t.k".to_vec()], false);
        check(&[], false);
    }
    #[test]
    fn each_kind_has_its_own_token() {
        let id = AcmeId::new([1; 16]);
        let tokens = ChallengeKind::ALL.map(|kind| token(id, &[2; 32], kind));
        assert!(tokens.iter().all(|token| token.len() == 43));
        assert!(tokens[0] != tokens[1] && tokens[1] != tokens[2]);
        assert_ne!(token(AcmeId::new([2; 16]), &[2; 32], ChallengeKind::Http), tokens[0]);
    }
}
