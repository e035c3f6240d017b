//! Public keys as JSON.
//! Source: RFC 7517, RFC 7518 §6, RFC 8037 §2, RFC 7638.

use super::json::Json;
use model::octets::{base64url, from_base64url};
use model::{Digest, Fault, Reason};
use x509::weak::StrongKey;
use x509::{KeyType, PublicKey, Writer, sha256};

/// A key that signs messages.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Jwk {
    key: PublicKey,
}

/// Members by which a private or a secret key would come along.
const SECRET: [&str; 8] = ["d", "p", "q", "dp", "dq", "qi", "oth", "k"];
const BAD: Fault = Fault::malformed("jwk is no public key");

impl Jwk {
    pub(super) fn read(jwk: &Json) -> Result<Self, Fault> {
        let key = public_key(jwk)?;
        StrongKey::prove(&key).map_err(|_| Reason::WeakKey)?;
        Ok(Self { key })
    }

    /// The key.
    #[must_use]
    pub const fn key(&self) -> &PublicKey {
        &self.key
    }
}

fn public_key(jwk: &Json) -> Result<PublicKey, Fault> {
    if jwk.names().any(|name| SECRET.contains(&name)) {
        return Err(Fault::malformed("jwk has members of a private key"));
    }
    let octets = |name: &str| from_base64url(jwk.member(name)?.as_bytes());
    let (kty, crv) = (jwk.member("kty").ok_or(BAD)?, jwk.member("crv"));
    let point = |key_type, len: usize| {
        let (x, y) = (octets("x").ok_or(BAD)?, octets("y").ok_or(BAD)?);
        // RFC 7518 §6.2.1.2: as long as the field, with leading zeros.
        if x.len() != len || y.len() != len {
            return Err(BAD);
        }
        Ok((key_type, [&[4], x.as_slice(), y.as_slice()].concat()))
    };
    let (key_type, bits) = match (kty, crv) {
        ("EC", Some("P-256")) => point(KeyType::P256, 32)?,
        ("EC", Some("P-384")) => point(KeyType::P384, 48)?,
        ("EC", Some("P-521")) => point(KeyType::P521, 66)?,
        ("OKP", Some("Ed25519")) => (KeyType::Ed25519, octets("x").ok_or(BAD)?),
        ("RSA", None) => rsa(&octets("n").ok_or(BAD)?, &octets("e").ok_or(BAD)?)?,
        _ => return Err(Reason::KeyTypeNotAllowed.into()),
    };
    PublicKey::from_bits(key_type, &bits).map_err(|_| BAD)
}

/// Numbers have no leading zeros, so that a key has one form.
fn rsa(n: &[u8], e: &[u8]) -> Result<(KeyType, Vec<u8>), Fault> {
    let Some(first) = n.first().filter(|first| **first != 0) else { return Err(BAD) };
    if e.first().is_none_or(|first| *first == 0) {
        return Err(BAD);
    }
    let bits = n.len().saturating_mul(8).saturating_sub(usize::try_from(first.leading_zeros()).unwrap_or(0));
    let mut w = Writer::with_capacity(n.len().saturating_add(16));
    w.sequence(|w| {
        w.unsigned(n).unsigned(e);
    });
    Ok((KeyType::Rsa(u16::try_from(bits).map_err(|_| Reason::WeakKey)?), w.finish()))
}

/// The thumbprint of a key; none of one that signs no messages.
/// Source: RFC 7638 §3.
#[must_use]
pub fn thumbprint(key: &PublicKey) -> Option<Digest> {
    let ec = |crv: &str| {
        let coordinates = key.bits().get(1..)?;
        let (x, y) = coordinates.split_at_checked(coordinates.len() / 2)?;
        Some(format!(r#"{{"crv":"{crv}","kty":"EC","x":"{}","y":"{}"}}"#, base64url(x), base64url(y)))
    };
    let text = match key.key_type() {
        KeyType::P256 => ec("P-256")?,
        KeyType::P384 => ec("P-384")?,
        KeyType::P521 => ec("P-521")?,
        KeyType::Ed25519 => format!(r#"{{"crv":"Ed25519","kty":"OKP","x":"{}"}}"#, base64url(key.bits())),
        KeyType::Rsa(_) => {
            let (n, e) = key.rsa()?;
            format!(r#"{{"e":"{}","kty":"RSA","n":"{}"}}"#, base64url(e), base64url(n))
        }
        KeyType::MlDsa44 | KeyType::MlDsa65 | KeyType::MlDsa87 => return None,
    };
    Some(sha256(text.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    // RFC 7638 §3.1.
    const RSA: &str = r#"{"kty":"RSA","n":"0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw","e":"AQAB","alg":"RS256","kid":"2011-04-29"}"#;
    // RFC 8037 appendix A.
    const ED25519: &str = r#"{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}"#;
    // RFC 7517 appendix A.1.
    const P256: &str = r#"{"kty":"EC","crv":"P-256","x":"MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4","y":"4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM"}"#;

    fn read(text: &str) -> Result<Jwk, Fault> {
        Jwk::read(&Json::object(text.as_bytes()).unwrap())
    }
    #[track_caller]
    fn check(text: &str, expected: &str) {
        let digest = thumbprint(&public_key(&Json::object(text.as_bytes()).unwrap()).unwrap()).unwrap();
        assert_eq!(base64url(digest.octets()), expected);
    }

    #[test]
    fn thumbprints_of_the_standards() {
        check(RSA, "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs");
        check(ED25519, "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k");
        // By Python 3 hashlib over the form of RFC 7638.
        check(P256, "cn-I_WNMClehiVp51i_0VpOENW1upEerA8sEam5hn-s");
    }
    #[test]
    fn a_key_whose_private_half_was_published() {
        assert_eq!(read(ED25519), Err(Reason::WeakKey.into()));
    }
    #[test]
    fn a_private_key_is_no_public_one() {
        let private = ED25519.replace("\"kty\"", "\"d\":\"AA\",\"kty\"");
        assert_eq!(read(&private), Err(Fault::malformed("jwk has members of a private key")));
    }
    #[test]
    fn other_types_and_forms() {
        assert_eq!(read(r#"{"kty":"oct","x":"AA"}"#), Err(Reason::KeyTypeNotAllowed.into()));
        assert_eq!(read(&P256.replace("P-256", "secp256k1")), Err(Reason::KeyTypeNotAllowed.into()));
        assert_eq!(read(&P256.replace("P-256", "P-384")), Err(BAD));
        assert_eq!(read(&P256.replace("\"x\":\"MK", "\"x\":\"NK")), Err(Reason::WeakKey.into()), "not on the curve");
        assert_eq!(read(&RSA.replace("\"n\":\"0vx7", "\"n\":\"ANL8ew")), Err(BAD));
        assert_eq!(read(r#"{"kty":"RSA","n":"0vx7","e":"AQAB"}"#), Err(Reason::WeakKey.into()));
        assert_eq!(read(r#"{"kty":"EC"}"#), Err(Reason::KeyTypeNotAllowed.into()));
        assert_eq!(read("{}"), Err(BAD));
    }
}
