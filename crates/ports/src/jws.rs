//! JSON Web Signature, flattened, EdDSA: the seal on everything that modules and operators say.
//! Source: RFC 7515 §7.2.2, RFC 8037 §3.1.
//!
//! Stricter than the standard, so that one meaning has few spellings: objects only, in which nothing may stand that is
//! not known, and strings without escapes.

use crate::signer::{SignFault, Signer};
use model::Reason;
use model::octets::{base64url, from_base64url};
use serde::{Deserialize, Serialize};
use std::borrow::Borrow;
use x509::{PublicKey, SignatureAlgorithm, signature};

/// A signed message, not verified: it says nothing yet.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Jws<'m> {
    protected: &'m str,
    payload: &'m str,
    signature: &'m str,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Protected<'m> {
    alg: &'m str,
    kid: &'m str,
    typ: &'m str,
}

/// The only algorithm. Source: RFC 8037 §3.1.
const EDDSA: &str = "EdDSA";

impl<'m> Jws<'m> {
    /// Reads a flattened JWS.
    ///
    /// # Errors
    /// [`Reason::SignatureInvalid`] if the octets are anything else.
    pub fn decode(octets: &'m [u8]) -> Result<Self, Reason> {
        object(octets).ok_or(Reason::SignatureInvalid)
    }
}

/// Reads a JSON object. serde alone would take `["a", "b"]` for a struct, too.
pub(crate) fn object<'m, T: Deserialize<'m>>(octets: &'m [u8]) -> Option<T> {
    octets.starts_with(b"{").then(|| serde_json::from_slice(octets).ok())?
}

/// The name of a key in a protected header: base64url of the SHA-256 of its SubjectPublicKeyInfo.
#[must_use]
pub fn key_id(key: &PublicKey) -> String {
    base64url(key.digest().octets())
}

/// Signs a payload. `typ` keeps what was signed for one use from being taken for another.
///
/// # Errors
/// [`SignFault`] if the key cannot be used, or is not an Ed25519 key.
pub fn sign(typ: &'static str, payload: &[u8], signer: &dyn Signer) -> Result<Vec<u8>, SignFault> {
    if signer.algorithm() != SignatureAlgorithm::Ed25519 {
        return Err(SignFault("only Ed25519 keys sign messages"));
    }
    let kid = key_id(signer.public_key());
    let protected = serde_json::to_vec(&Protected { alg: EDDSA, kid: &kid, typ })
        .map_err(|_| SignFault("header cannot be written"))?;
    let (protected, payload) = (base64url(&protected), base64url(payload));
    let signature = base64url(&signer.sign(&signing_input(&protected, &payload))?);
    serde_json::to_vec(&Jws { protected: &protected, payload: &payload, signature: &signature })
        .map_err(|_| SignFault("message cannot be written"))
}

/// Verifies a message and gives its payload, and what `key_of` knows of the key that signed it.
///
/// # Errors
/// [`Reason::UnknownCaller`] if `key_of` does not know the key; [`Reason::SignatureInvalid`] for anything else: another
/// algorithm or type, unknown or repeated members, octets that are no JWS, a signature that does not hold.
pub fn verify<P: Borrow<PublicKey>, K>(
    typ: &'static str,
    message: &[u8],
    key_of: impl FnOnce(&str) -> Option<(P, K)>,
) -> Result<(Vec<u8>, K), Reason> {
    const BAD: Reason = Reason::SignatureInvalid;
    let jws = Jws::decode(message)?;
    let header = from_base64url(jws.protected.as_bytes()).ok_or(BAD)?;
    let header: Protected<'_> = object(&header).ok_or(BAD)?;
    if header.alg != EDDSA || header.typ != typ {
        return Err(BAD);
    }
    let (key, known) = key_of(header.kid).ok_or(Reason::UnknownCaller)?;
    let signed = from_base64url(jws.signature.as_bytes()).ok_or(BAD)?;
    let signing_input = signing_input(jws.protected, jws.payload);
    signature::verify(key.borrow(), SignatureAlgorithm::Ed25519, &signing_input, &signed).map_err(|_| BAD)?;
    Ok((from_base64url(jws.payload.as_bytes()).ok_or(BAD)?, known))
}

// Source: RFC 7515 §5.1, step 8.
fn signing_input(protected: &str, payload: &str) -> Vec<u8> {
    [protected.as_bytes(), b".", payload.as_bytes()].concat()
}
