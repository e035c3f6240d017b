//! JSON Web Signature, flattened, EdDSA: the seal on everything that modules and operators say.
//! Source: RFC 7515 §7.2.2, RFC 8037 §3.1.

use crate::signer::{SignFault, Signer};
use model::Reason;
use model::octets::{base64url, from_base64url};
use serde::{Deserialize, Serialize};
use x509::{PublicKey, SignatureAlgorithm, signature};

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Flattened<'a> {
    #[serde(borrow)]
    protected: std::borrow::Cow<'a, str>,
    #[serde(borrow)]
    payload: std::borrow::Cow<'a, str>,
    #[serde(borrow)]
    signature: std::borrow::Cow<'a, str>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Protected<'a> {
    #[serde(borrow)]
    alg: std::borrow::Cow<'a, str>,
    #[serde(borrow)]
    kid: std::borrow::Cow<'a, str>,
    #[serde(borrow)]
    typ: std::borrow::Cow<'a, str>,
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
    let protected = Protected { alg: "EdDSA".into(), kid: kid.into(), typ: typ.into() };
    let protected = serde_json::to_vec(&protected).map_err(|_| SignFault("header cannot be written"))?;
    let (protected, payload) = (base64url(&protected), base64url(payload));
    let signing_input = [protected.as_bytes(), b".", payload.as_bytes()].concat();
    let signature = base64url(&signer.sign(&signing_input)?);
    let flattened = Flattened { protected: protected.into(), payload: payload.into(), signature: signature.into() };
    serde_json::to_vec(&flattened).map_err(|_| SignFault("message cannot be written"))
}

/// Verifies a message and gives its payload, and what `key_of` knows of the key that signed it.
///
/// # Errors
/// [`Reason::UnknownCaller`] if `key_of` does not know the key; [`Reason::SignatureInvalid`] for anything else: another
/// algorithm or type, unknown members, octets that are no JWS, a signature that does not hold.
pub fn verify<'k, K>(
    typ: &'static str,
    message: &[u8],
    key_of: impl FnOnce(&str) -> Option<(&'k PublicKey, K)>,
) -> Result<(Vec<u8>, K), Reason> {
    const BAD: Reason = Reason::SignatureInvalid;
    let jws: Flattened<'_> = serde_json::from_slice(message).map_err(|_| BAD)?;
    let header = from_base64url(jws.protected.as_bytes()).ok_or(BAD)?;
    let header: Protected<'_> = serde_json::from_slice(&header).map_err(|_| BAD)?;
    if header.alg != "EdDSA" || header.typ != typ {
        return Err(BAD);
    }
    let (key, known) = key_of(&header.kid).ok_or(Reason::UnknownCaller)?;
    let signing_input = [jws.protected.as_bytes(), b".", jws.payload.as_bytes()].concat();
    let signed = from_base64url(jws.signature.as_bytes()).ok_or(BAD)?;
    signature::verify(key, SignatureAlgorithm::Ed25519, &signing_input, &signed).map_err(|_| BAD)?;
    Ok((from_base64url(jws.payload.as_bytes()).ok_or(BAD)?, known))
}
