//! The sealed message: who says what to whom, when, once, and in which operation mode.
//!
//! Prevents: forging, altering, redirecting to another subject or module, replaying, sending from a module that is off,
//! taking a call for an answer. Does not prevent: delaying and dropping; what a module with a valid key says wrongly.

use crate::directory::{Caller, Directory};
use crate::jws;
use crate::signer::{SignFault, Signer};
use model::contract::Subject;
use model::mode::Binding;
use model::{Module, Nonce, Reason, StationName, UnixTime};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

/// The `typ` of a sealed call.
pub const CALL: &str = "cradle-call";
/// The `typ` of a sealed answer.
pub const ANSWER: &str = "cradle-answer";

/// What a sealed message says of itself, and its body as JSON text.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Claims<'a> {
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
    /// The call, or `Ok`/`Err` of the answer.
    #[serde(borrow)]
    pub body: &'a RawValue,
}

/// Seals a message. `typ` is [`CALL`] or [`ANSWER`].
///
/// # Errors
/// [`SignFault`]
pub fn seal(typ: &'static str, claims: &Claims<'_>, signer: &dyn Signer) -> Result<Vec<u8>, SignFault> {
    let payload = serde_json::to_vec(claims).map_err(|_| SignFault("message cannot be written"))?;
    jws::sign(typ, &payload, signer)
}

/// A message whose seal holds: its payload, and whose key sealed it.
#[derive(Debug)]
pub struct Opened {
    payload: Vec<u8>,
    caller: Caller,
}

impl Opened {
    /// Verifies the seal of a message.
    ///
    /// # Errors
    /// [`Reason::UnknownCaller`] or [`Reason::SignatureInvalid`].
    pub fn open(typ: &'static str, message: &[u8], directory: &Directory, now: UnixTime) -> Result<Self, Reason> {
        let (payload, caller) = jws::verify(typ, message, |kid| directory.module(kid, now))?;
        Ok(Self { payload, caller })
    }

    /// What the message says, if it says of its sender what the key says.
    ///
    /// # Errors
    /// [`Reason::SignatureInvalid`] if it is not written as a message is; [`Reason::UnknownCaller`] if it claims to
    /// come from somebody else.
    pub fn claims(&self) -> Result<Claims<'_>, Reason> {
        let claims: Claims<'_> = serde_json::from_slice(&self.payload).map_err(|_| Reason::SignatureInvalid)?;
        if claims.from != self.caller.module || claims.instance != self.caller.instance {
            return Err(Reason::UnknownCaller);
        }
        Ok(claims)
    }

    /// Whose key sealed it.
    #[must_use]
    pub const fn caller(&self) -> &Caller {
        &self.caller
    }
}
