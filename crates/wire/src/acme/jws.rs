//! Messages: JWS in flattened JSON.
//! Source: RFC 8555 §6.2, RFC 7515.
//!
//! Prevents: a message whose algorithm is none; a MAC where a signature is due; two keys, or two meanings.

use super::json::Json;
use super::jwk::Jwk;
use super::{MESSAGE_LEN_MAX, thumbprint};
use aws_lc_rs::hmac;
use model::octets::from_base64url;
use model::{Fault, Reason};
use x509::{KeyType, PublicKey, SignatureAlgorithm, Writer, sha256_of_parts, signature};

/// How a message is signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names are those of RFC 7518 and RFC 8037")]
pub enum Algorithm {
    Es256,
    Es384,
    Es512,
    EdDsa,
    Rs256,
}

impl Algorithm {
    /// All that are taken.
    pub const ALL: [Self; 5] = [Self::Es256, Self::Es384, Self::Es512, Self::EdDsa, Self::Rs256];

    /// As it stands in a header.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Es256 => "ES256",
            Self::Es384 => "ES384",
            Self::Es512 => "ES512",
            Self::EdDsa => "EdDSA",
            Self::Rs256 => "RS256",
        }
    }

    /// The algorithm of X.509, if this is one for such a key.
    const fn for_key(self, key: KeyType) -> Option<SignatureAlgorithm> {
        match (self, key) {
            (Self::Es256, KeyType::P256) => Some(SignatureAlgorithm::EcdsaSha256),
            (Self::Es384, KeyType::P384) => Some(SignatureAlgorithm::EcdsaSha384),
            (Self::Es512, KeyType::P521) => Some(SignatureAlgorithm::EcdsaSha512),
            (Self::EdDsa, KeyType::Ed25519) => Some(SignatureAlgorithm::Ed25519),
            (Self::Rs256, KeyType::Rsa(_)) => Some(SignatureAlgorithm::RsaSha256),
            _ => None,
        }
    }
}

/// Whose message it says it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SignedBy {
    /// Whoever has this key.
    Key(Jwk),
    /// The account with this address.
    Account(String),
}

/// A message whose signature was not verified yet: it says nothing.
#[derive(Clone, Debug)]
pub struct Jws {
    algorithm: Algorithm,
    signed_by: SignedBy,
    nonce: Option<String>,
    url: String,
    parts: Parts,
}

/// What was signed, and the signature.
#[derive(Clone, Debug)]
struct Parts {
    input: Vec<u8>,
    payload: Vec<u8>,
    signature: Vec<u8>,
}

const BAD: Fault = Fault::malformed("this is no flattened JWS");

/// Takes the three parts apart, and the header out of the first one.
fn parts(jws: &Json) -> Result<(Json, Parts), Fault> {
    // RFC 8555 §6.2: neither an unprotected header nor several signatures.
    if jws.names().any(|name| !["protected", "payload", "signature"].contains(&name)) {
        return Err(BAD);
    }
    let part = |name: &str| {
        let text = jws.member(name).ok_or(BAD)?;
        Ok::<_, Fault>((text, from_base64url(text.as_bytes()).ok_or(BAD)?))
    };
    let ((protected, header), (payload_text, payload)) = (part("protected")?, part("payload")?);
    let (_, signature) = part("signature")?;
    let header = Json::object(&header)?;
    // What has to be understood and is not: there is nothing of the kind. Source: RFC 7515 §4.1.11, RFC 7797 §3.
    if header.names().any(|name| ["crit", "b64"].contains(&name)) {
        return Err(Fault::malformed("the header has extensions that are not known"));
    }
    let input = [protected.as_bytes(), b".", payload_text.as_bytes()].concat();
    Ok((header, Parts { input, payload, signature }))
}

impl Jws {
    /// Reads a message.
    ///
    /// Limits: [`MESSAGE_LEN_MAX`] octets.
    /// # Errors
    /// [`Fault::Malformed`] if it is no flattened JWS with `alg`, `url`, and either `jwk` or `kid`;
    /// [`Reason::MessageAmbiguous`]; [`Reason::ProtectionWeak`] if its algorithm is `none`, a MAC, or not known; for its key
    /// [`Reason::KeyTypeNotAllowed`] or [`Reason::WeakKey`].
    /// Source: RFC 8555 §6.2.
    pub fn decode(octets: &[u8]) -> Result<Self, Fault> {
        if octets.len() > MESSAGE_LEN_MAX {
            return Err(BAD);
        }
        Self::read(&Json::object(octets)?)
    }

    pub(super) fn read(jws: &Json) -> Result<Self, Fault> {
        let (header, parts) = parts(jws)?;
        let alg = header.member("alg").ok_or(BAD)?;
        let algorithm = Algorithm::ALL.into_iter().find(|known| known.name() == alg).ok_or(Reason::ProtectionWeak)?;
        let signed_by = match (header.get("jwk"), header.get("kid")) {
            (Some(jwk), None) => SignedBy::Key(Jwk::read(jwk)?),
            (None, Some(Json::Text(kid))) => SignedBy::Account(kid.clone()),
            _ => return Err(Fault::malformed("a header has either jwk or kid")),
        };
        let nonce = match header.get("nonce") {
            None => None,
            Some(Json::Text(nonce)) => Some(nonce.clone()),
            Some(_) => return Err(BAD),
        };
        let url = header.member("url").ok_or(Fault::malformed("the header has no url"))?.to_owned();
        Ok(Self { algorithm, signed_by, nonce, url, parts })
    }

    /// Whose message it says it is.
    #[must_use]
    pub const fn signed_by(&self) -> &SignedBy {
        &self.signed_by
    }
    /// The nonce in it.
    #[must_use]
    pub fn nonce(&self) -> Option<&str> {
        self.nonce.as_deref()
    }
    /// The address that it was made for.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Verifies it, and gives what it says.
    ///
    /// # Errors
    /// [`Reason::ProtectionWeak`] if its algorithm is not one for this key; [`Reason::ProtectionInvalid`].
    pub fn verify(&self, key: &PublicKey) -> Result<&[u8], Reason> {
        let algorithm = self.algorithm.for_key(key.key_type()).ok_or(Reason::ProtectionWeak)?;
        let half = match self.algorithm {
            Algorithm::Es256 => Some(32),
            Algorithm::Es384 => Some(48),
            Algorithm::Es512 => Some(66),
            Algorithm::EdDsa | Algorithm::Rs256 => None,
        };
        let signed = match half {
            Some(len) => in_der(&self.parts.signature, len).ok_or(Reason::ProtectionInvalid)?,
            None => self.parts.signature.clone(),
        };
        signature::verify(key, algorithm, &self.parts.input, &signed).map_err(|_| Reason::ProtectionInvalid)?;
        Ok(&self.parts.payload)
    }
}

/// Two numbers of this length, one behind the other, as X.509 writes them. Source: RFC 7518 §3.4.
fn in_der(signature: &[u8], len: usize) -> Option<Vec<u8>> {
    let (r, s) = signature.split_at_checked(len).filter(|(_, s)| s.len() == len)?;
    let number = |octets: &[u8]| {
        let zeros = octets.iter().take_while(|octet| **octet == 0).count();
        octets.get(zeros..).filter(|number| !number.is_empty()).map(<[u8]>::to_vec)
    };
    let (r, s) = (number(r)?, number(s)?);
    let mut w = Writer::with_capacity(144);
    w.sequence(|w| {
        w.unsigned(&r).unsigned(&s);
    });
    Some(w.finish())
}

/// A binding of an account to a registration, not verified yet.
/// Source: RFC 8555 §7.3.4.
#[derive(Clone, Debug)]
pub struct Binding {
    kid: String,
    url: String,
    parts: Parts,
}

impl Binding {
    pub(super) fn read(jws: &Json) -> Result<Self, Fault> {
        let (header, parts) = parts(jws)?;
        if header.member("alg") != Some("HS256") {
            return Err(Reason::ProtectionWeak.into());
        }
        if header.get("nonce").is_some() || header.get("jwk").is_some() {
            return Err(Fault::malformed("a binding has neither nonce nor jwk"));
        }
        let (Some(kid), Some(url)) = (header.member("kid"), header.member("url")) else {
            return Err(Fault::malformed("a binding has kid and url"));
        };
        Ok(Self { kid: kid.to_owned(), url: url.to_owned(), parts })
    }

    /// Whose registration.
    #[must_use]
    pub fn kid(&self) -> &str {
        &self.kid
    }
    /// The address that it was made for.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Whether who has this secret bound this key.
    #[must_use]
    pub fn binds(&self, secret: &[u8], key: &PublicKey) -> bool {
        let mac = hmac::Key::new(hmac::HMAC_SHA256, &binding_key(secret));
        let is_made = hmac::verify(&mac, &self.parts.input, &self.parts.signature).is_ok();
        let bound = Json::object(&self.parts.payload).and_then(|jwk| Jwk::read(&jwk));
        is_made && bound.is_ok_and(|bound| thumbprint(bound.key()) == thumbprint(key))
    }
}

/// The key of MACs that follows from a one-time secret: as long as RFC 7518 §3.2 wants it.
#[must_use]
pub fn binding_key(secret: &[u8]) -> [u8; 32] {
    *sha256_of_parts([b"cradle external account binding ".as_slice(), secret].into_iter()).octets()
}

#[cfg(test)]
mod tests;
