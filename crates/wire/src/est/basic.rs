//! A one-time secret, as HTTP carries it.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use model::Digest;
use std::fmt;
use zeroize::Zeroizing;

/// Longest value of the field in octets.
pub const BASIC_LEN_MAX: usize = 512;

/// Who a client says that it is, and the digest of the secret by which it wants to be believed. The secret is not kept.
#[derive(Clone, PartialEq, Eq)]
pub struct Credentials {
    /// What stands in front of the colon.
    pub user: String,
    /// SHA-256 of what stands behind it.
    pub secret: Digest,
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Credentials({:?})", self.user)
    }
}

/// Reads the value of `Authorization`. `None` if it is longer than [`BASIC_LEN_MAX`], of another scheme, or not well formed.
///
/// Source: RFC 7617 §2, RFC 7030 §3.2.3.
#[must_use]
pub fn decode_basic(value: &str) -> Option<Credentials> {
    if value.len() > BASIC_LEN_MAX {
        return None;
    }
    let (scheme, rest) = value.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("Basic") {
        return None;
    }
    let text = Zeroizing::new(STANDARD.decode(rest.trim_matches(' ')).ok()?);
    let (user, secret) = std::str::from_utf8(&text).ok()?.split_once(':')?;
    if user.is_empty() || secret.is_empty() || user.chars().any(model::text::is_hidden) {
        return None;
    }
    Some(Credentials { user: user.to_owned(), secret: x509::sha256(secret.as_bytes()) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(value: &str, expected: Option<(&str, &str)>) {
        let expected = expected
            .map(|(user, secret)| Credentials { user: user.to_owned(), secret: x509::sha256(secret.as_bytes()) });
        assert_eq!(decode_basic(value), expected, "{value}");
    }

    #[test]
    fn the_example_of_rfc_7617() {
        check("Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==", Some(("Aladdin", "open sesame")));
        check("basic  QWxhZGRpbjpvcGVuIHNlc2FtZQ==", Some(("Aladdin", "open sesame")));
    }
    #[test]
    fn a_colon_may_stand_in_the_secret_and_not_in_the_name() {
        check("Basic YTpiOmM=", Some(("a", "b:c")));
    }
    #[test]
    fn half_of_it_is_refused() {
        for value in ["", "Basic", "Basic ", "Basic YQ==", "Basic YTo=", "Basic OmI=", "Digest YTpi", "Basic YTpi YTpi"]
        {
            check(value, None);
        }
    }
    #[test]
    fn what_cannot_be_seen_is_refused() {
        check(&format!("Basic {}", STANDARD.encode("a\nb:c")), None);
        check(&format!("Basic {}", STANDARD.encode(b"\xff:c")), None);
    }
    #[test]
    fn so_long_and_no_longer() {
        let value = |len: usize| format!("Basic {}", STANDARD.encode(format!("a:{}", "b".repeat(len))));
        assert_eq!(value(376).len(), 510);
        check(&value(376), Some(("a", &"b".repeat(376))));
        check(&value(379), None);
    }
    #[test]
    fn the_secret_is_not_shown() {
        assert_eq!(format!("{:?}", decode_basic("Basic YTpi").unwrap()), "Credentials(\"a\")");
    }
}
