//! The sealed message: who says what to whom, when, once, and in which operation mode.
//!
//! Prevents: forging, altering, redirecting to another subject or module, replaying, sending from a module that is off,
//! taking a call for an answer. Does not prevent: delaying and dropping; what a module with a valid key says wrongly.
//!
//! On the wire `{"seal": JWS, "body": JSON}`: the JWS signs the claims, and the claims name the SHA-256 of the body's
//! octets. So a batch of requests is hashed once, where the signature itself would hash it twice more, and needs no
//! second base64.

use crate::directory::{Caller, Directory};
use crate::jws;
use crate::signer::{SignFault, Signer};
use model::contract::Subject;
use model::mode::Binding;
use model::{Digest, Module, Nonce, Reason, StationName, UnixTime};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use x509::sha256;

/// The `typ` of a sealed call.
pub const CALL: &str = "cradle-call";
/// The `typ` of a sealed answer.
pub const ANSWER: &str = "cradle-answer";

/// What a sealed message says of itself.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Claims {
    /// Who sends it.
    pub from: Module,
    /// On which box or station.
    pub instance: StationName,
    /// Who shall receive it.
    pub to: Module,
    /// The call's subject, in the answer too.
    pub subject: Subject,
    /// When it was sealed.
    pub at: UnixTime,
    /// When the caller stops waiting; in an answer the same.
    pub deadline: UnixTime,
    /// Made by the caller, once; repeated in the answer.
    pub nonce: Nonce,
    /// The modes in force at the sender.
    pub mode: Binding,
    /// The epoch of these modes.
    pub epoch: u64,
    /// SHA-256 of the body: the call, or `Ok`/`Err` of the answer.
    pub body: Digest,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Message<'a> {
    #[serde(borrow)]
    seal: &'a RawValue,
    #[serde(borrow)]
    body: &'a RawValue,
}

/// Seals a message. `typ` is [`CALL`] or [`ANSWER`]; the digest in `claims` is set to that of `body`.
///
/// # Errors
/// [`SignFault`]
pub fn seal(typ: &'static str, mut claims: Claims, body: &RawValue, signer: &dyn Signer) -> Result<Vec<u8>, SignFault> {
    const FAILED: SignFault = SignFault("message cannot be written");
    claims.body = sha256(body.get().as_bytes());
    let payload = serde_json::to_vec(&claims).map_err(|_| FAILED)?;
    let seal = String::from_utf8(jws::sign(typ, &payload, signer)?).map_err(|_| FAILED)?;
    let seal = RawValue::from_string(seal).map_err(|_| FAILED)?;
    serde_json::to_vec(&Message { seal: &seal, body }).map_err(|_| FAILED)
}

/// A message whose seal holds: its claims, its body, and whose key sealed it.
#[derive(Debug)]
pub struct Opened<'m> {
    claims: Claims,
    body: &'m RawValue,
    caller: Caller,
}

impl<'m> Opened<'m> {
    /// Verifies the seal of a message, and that the message says of its sender what the key says.
    ///
    /// # Errors
    /// [`Reason::UnknownCaller`] if nobody has that key, or it is another's than the claimed sender's;
    /// [`Reason::SignatureInvalid`] for anything else.
    pub fn open(typ: &'static str, message: &'m [u8], directory: &Directory, now: UnixTime) -> Result<Self, Reason> {
        const BAD: Reason = Reason::SignatureInvalid;
        let Message { seal, body } = serde_json::from_slice(message).map_err(|_| BAD)?;
        let (payload, caller) = jws::verify(typ, seal.get().as_bytes(), |kid| directory.module(kid, now))?;
        let claims: Claims = serde_json::from_slice(&payload).map_err(|_| BAD)?;
        if claims.from != caller.module || claims.instance != caller.instance {
            return Err(Reason::UnknownCaller);
        }
        if claims.body != sha256(body.get().as_bytes()) {
            return Err(BAD);
        }
        Ok(Self { claims, body, caller })
    }

    /// What the message says of itself.
    #[must_use]
    pub const fn claims(&self) -> &Claims {
        &self.claims
    }

    /// The call, or `Ok`/`Err` of the answer.
    #[must_use]
    pub const fn body(&self) -> &'m RawValue {
        self.body
    }

    /// Whose key sealed it.
    #[must_use]
    pub const fn caller(&self) -> &Caller {
        &self.caller
    }
}
