//! The sealed message: who says what to whom, when, once, and in which operation mode.
//!
//! Prevents: forging, altering, redirecting to another subject or module, replaying, sending from a module that is off,
//! taking a call for an answer, or the answer to one call for the answer to another. Does not prevent: delaying and
//! dropping; what a module with a valid key says wrongly.
//!
//! On the wire `{"seal": JWS, "body": JSON}`: the JWS signs the claims, and the claims name the SHA-256 of the body's
//! octets. So a batch of requests is hashed once, where the signature itself would hash it twice more, and needs no
//! second base64.

use crate::directory::{Caller, Directory};
use crate::jws;
use crate::signer::{SignFault, Signer};
use model::contract::{MESSAGE_LEN_MAX, Subject};
use model::mode::Binding;
use model::{Digest, Module, Nonce, Reason, StationName, UnixTime};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use x509::{sha256, sha256_of_parts};

/// The `typ` of a sealed call.
pub const CALL: &str = "cradle-call";
/// The `typ` of a sealed answer.
pub const ANSWER: &str = "cradle-answer";

/// Longest seal, in octets: twice what the longest names need. It bounds what is hashed and decoded for a stranger, who
/// may name any key: key identifiers are no secrets.
pub const SEAL_LEN_MAX: usize = 4096;

/// Longest body, in octets: what [`MESSAGE_LEN_MAX`] leaves beside the longest seal.
pub const BODY_LEN_MAX: usize = MESSAGE_LEN_MAX - SEAL_LEN_MAX - SEAL_HEAD.len() - BODY_HEAD.len() - TAIL.len();

const SEAL_HEAD: &[u8] = br#"{"seal":"#;
const BODY_HEAD: &[u8] = br#","body":"#;
const TAIL: &[u8] = b"}";

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
    /// Made by the caller, once; in an answer the same.
    pub nonce: Nonce,
    /// The modes in force at the caller; in an answer the same.
    pub mode: Binding,
    /// The epoch of these modes; in an answer the same.
    pub epoch: u64,
    /// To another box: what the supervisor of the sender's box says of it, as a flattened JWS
    /// ([`Standing`](model::contract::supervisor::Standing)).
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub standing: Option<String>,
    /// In an answer, and only there: SHA-256 of the claims that it answers.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub answers: Option<Digest>,
    /// SHA-256 of the body: the call, or `Ok`/`Err` of the answer.
    pub body: Digest,
}

impl Claims {
    /// Reads the payload of a seal.
    ///
    /// # Errors
    /// [`Reason::SignatureInvalid`] if it is anything else.
    pub fn decode(payload: &[u8]) -> Result<Self, Reason> {
        jws::object(payload).ok_or(Reason::SignatureInvalid)
    }
}

/// The two parts of a sealed message, not verified.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Message<'m> {
    #[serde(borrow)]
    seal: &'m RawValue,
    #[serde(borrow)]
    body: &'m RawValue,
}

impl<'m> Message<'m> {
    /// Reads a sealed message as far as its parts.
    ///
    /// Limits: [`MESSAGE_LEN_MAX`] octets, of them [`SEAL_LEN_MAX`] for the seal.
    /// # Errors
    /// [`Reason::SignatureInvalid`] if longer, or anything else than an object of these two parts.
    pub fn decode(octets: &'m [u8]) -> Result<Self, Reason> {
        let message = if octets.len() > MESSAGE_LEN_MAX { None } else { jws::object::<Self>(octets) };
        message.filter(|message| message.seal.get().len() <= SEAL_LEN_MAX).ok_or(Reason::SignatureInvalid)
    }
}

/// A message as it goes over the bus.
#[derive(Debug)]
pub struct Sealed {
    /// Its octets.
    pub octets: Vec<u8>,
    /// SHA-256 of its claims, which the answer must name.
    pub claims: Digest,
}

/// Seals a message. `typ` is [`CALL`] or [`ANSWER`]; the digest in `claims` is set to that of `body`, which is JSON in
/// one or several parts.
///
/// # Errors
/// [`SignFault`] if the key cannot be used, or the body is longer than [`BODY_LEN_MAX`].
pub fn seal(typ: &'static str, mut claims: Claims, body: &[&str], signer: &dyn Signer) -> Result<Sealed, SignFault> {
    let len = body.iter().map(|part| part.len()).sum::<usize>();
    if len > BODY_LEN_MAX {
        return Err(SignFault("message longer than the limit"));
    }
    claims.body = sha256_of_parts(body.iter().map(|part| part.as_bytes()));
    let payload = serde_json::to_vec(&claims).map_err(|_| SignFault("message cannot be written"))?;
    let seal = jws::sign(typ, &payload, signer)?;
    let mut octets = Vec::with_capacity(SEAL_HEAD.len() + seal.len() + BODY_HEAD.len() + len + TAIL.len());
    let body = body.iter().map(|part| part.as_bytes());
    [SEAL_HEAD, &seal, BODY_HEAD].into_iter().chain(body).chain([TAIL]).for_each(|part| octets.extend_from_slice(part));
    Ok(Sealed { octets, claims: sha256(&payload) })
}

/// A message whose seal holds: its claims, its body, and whose key sealed it.
#[derive(Debug)]
pub struct Opened<'m> {
    claims: Claims,
    digest: Digest,
    body: &'m RawValue,
    caller: Caller,
}

/// A message whose seal does not hold.
#[derive(Debug)]
pub struct Unopened {
    /// Why.
    pub reason: Reason,
    /// Whose key signed claims that are false. Absent if nobody's signature holds, or if somebody on the way could have
    /// made the message so.
    pub liar: Option<Caller>,
}

impl From<Reason> for Unopened {
    fn from(reason: Reason) -> Self {
        Self { reason, liar: None }
    }
}

impl<'m> Opened<'m> {
    /// Verifies the seal of a message, and that the message says of its sender what the key says.
    ///
    /// # Errors
    /// [`Reason::UnknownCaller`] if nobody has that key, or it is another's than the claimed sender's;
    /// [`Reason::SignatureInvalid`] for anything else.
    pub fn open(typ: &'static str, message: &'m [u8], directory: &Directory, now: UnixTime) -> Result<Self, Unopened> {
        const BAD: Reason = Reason::SignatureInvalid;
        let Message { seal, body } = Message::decode(message)?;
        let (payload, caller) = jws::verify(typ, seal.get().as_bytes(), |kid| directory.module(kid, now))?;
        // Only who holds the key could have written these.
        let claims = match Claims::decode(&payload) {
            Ok(claims) if claims.from != caller.module || claims.instance != caller.instance => {
                return Err(Unopened { reason: Reason::UnknownCaller, liar: Some(caller) });
            }
            Ok(claims) if claims.answers.is_some() == (typ == ANSWER) => claims,
            Ok(_) | Err(_) => return Err(Unopened { reason: BAD, liar: Some(caller) }),
        };
        if claims.body != sha256(body.get().as_bytes()) {
            return Err(BAD.into());
        }
        Ok(Self { claims, digest: sha256(&payload), body, caller })
    }

    /// What the message says of itself.
    #[must_use]
    pub const fn claims(&self) -> &Claims {
        &self.claims
    }

    /// SHA-256 of the claims, which names this message among all others.
    #[must_use]
    pub const fn digest(&self) -> Digest {
        self.digest
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
