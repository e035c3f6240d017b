//! A module's end of the bus: seals what it calls, opens what it is asked, keeps to the mode, records what it refuses.

use crate::bus::{Bus, BusFault, Handler, Served};
use crate::clock::{Clock, Entropy, nonce};
use crate::directory::{Caller, Directory};
use crate::envelope::{self, ANSWER, CALL, Claims, Opened};
use crate::gate::Gate;
use crate::jws;
use crate::replay::{Replay, Seen, WINDOW_MS};
use crate::signer::Signer;
use crate::store::AuditSink;
use model::audit::{Entry, Event};
use model::callers::Callers;
use model::contract::authority::Done;
use model::contract::supervisor::Lease;
use model::contract::{Call, MESSAGE_LEN_MAX, Subject};
use model::mode::Statement;
use model::{Digest, Fault, Module, Nonce, Reason, StationName, UnixTime};
use serde_json::value::RawValue;
use std::sync::{Arc, Mutex, PoisonError};

/// The `typ` of an operator's mode statement.
pub const MODE_STATEMENT: &str = "cradle-mode";

/// How long a caller waits if it does not say: an issuing batch on a busy box takes well under a second.
pub const PATIENCE_MS: u64 = 30_000;

/// The digest of a body that is still to be hashed.
const UNSET: Digest = Digest::new([0; 32]);

/// What a [`Link`] is made of.
#[derive(Clone)]
#[expect(missing_docs, reason = "the types say what the fields are")]
pub struct Parts {
    pub module: Module,
    pub instance: StationName,
    pub signer: Arc<dyn Signer>,
    pub directory: Arc<Directory>,
    pub callers: Arc<Callers>,
    pub bus: Arc<dyn Bus>,
    pub clock: Arc<dyn Clock>,
    pub entropy: Arc<dyn Entropy>,
    pub audit: Arc<dyn AuditSink>,
}

/// A module's end of the bus.
pub struct Link {
    parts: Parts,
    gate: Gate,
    replay: Mutex<Replay>,
    started: UnixTime,
}

/// What a module does when it is asked.
pub trait Service: Send + Sync {
    /// The answer to a call that passed all checks, as JSON, made with [`answer`].
    ///
    /// # Errors
    /// Whatever the call may fail with.
    fn answer(&self, caller: &Caller, subject: Subject, body: &RawValue) -> Result<Box<RawValue>, Fault>;
}

/// Reads a call, makes its answer, writes it.
///
/// # Errors
/// [`Fault::Malformed`] if the body is not that call; what `f` fails with.
pub fn answer<C: Call>(body: &RawValue, f: impl FnOnce(C) -> Result<C::Reply, Fault>) -> Result<Box<RawValue>, Fault> {
    let call: C = serde_json::from_str(body.get()).map_err(|_| Fault::malformed("the body of the call"))?;
    serde_json::value::to_raw_value(&f(call)?).map_err(|_| Fault::unavailable("the answer cannot be written"))
}

impl Link {
    /// A module's end of the bus, without a lease: it neither calls nor answers until it has one.
    #[must_use]
    pub fn new(parts: Parts) -> Arc<Self> {
        let (gate, started) = (Gate::closed(parts.module), parts.clock.now());
        Arc::new(Self { parts, gate, replay: Mutex::default(), started })
    }

    /// Begins to answer calls with `service`, until the guard is dropped.
    ///
    /// # Errors
    /// [`BusFault::Taken`]
    pub fn serve(self: &Arc<Self>, service: Arc<dyn Service>) -> Result<Box<dyn Served>, BusFault> {
        let answering = Answering { link: Arc::clone(self), service };
        self.parts.bus.serve(self.parts.module, Arc::new(answering))
    }

    /// What this module knows of the operation mode.
    #[must_use]
    pub const fn gate(&self) -> &Gate {
        &self.gate
    }

    /// Who is who.
    #[must_use]
    pub fn directory(&self) -> &Directory {
        &self.parts.directory
    }

    /// The module's name and place.
    #[must_use]
    pub fn caller(&self) -> Caller {
        Caller { module: self.parts.module, instance: self.parts.instance.clone() }
    }

    /// The clock.
    #[must_use]
    pub fn now(&self) -> UnixTime {
        self.parts.clock.now()
    }

    /// Calls, and waits [`PATIENCE_MS`].
    ///
    /// # Errors
    /// What the call fails with; [`Reason::ModuleOff`] if this module or the other may not run now.
    pub fn call<C: Call>(&self, call: &C) -> Result<C::Reply, Fault> {
        let now = self.now();
        let held = self.gate.open(now)?;
        let body =
            serde_json::value::to_raw_value(call).map_err(|_| Fault::unavailable("the call cannot be written"))?;
        let nonce = nonce(self.parts.entropy.as_ref());
        let claims = Claims {
            from: self.parts.module,
            instance: self.parts.instance.clone(),
            to: call.to(),
            subject: C::SUBJECT,
            at: now,
            deadline: now.plus_ms(PATIENCE_MS),
            nonce,
            mode: held.binding,
            epoch: held.epoch,
            body: UNSET,
        };
        let deadline = claims.deadline;
        let message = envelope::seal(CALL, claims, &body, self.parts.signer.as_ref())?;
        let reply = self.parts.bus.call(call.to(), C::SUBJECT, &message, deadline)?;
        self.open_answer::<C>(&reply, call.to(), nonce)
    }

    fn open_answer<C: Call>(&self, reply: &[u8], from: Module, nonce: Nonce) -> Result<C::Reply, Fault> {
        let now = self.now();
        let opened = Opened::open(ANSWER, reply, &self.parts.directory, now)?;
        let claims = opened.claims();
        if claims.from != from || claims.to != self.parts.module || claims.subject != C::SUBJECT {
            return Err(Reason::WrongSubject.into());
        }
        if claims.nonce != nonce {
            return Err(Reason::Replayed.into());
        }
        let body: Result<C::Reply, Fault> =
            serde_json::from_str(opened.body().get()).map_err(|_| Fault::malformed("the body of the answer"))?;
        body
    }

    /// Checks everything that a call must be before anybody acts on it.
    fn admit(&self, claims: &Claims, arrived_under: Subject, now: UnixTime) -> Result<(), Reason> {
        if claims.subject != arrived_under || claims.to != self.parts.module {
            return Err(Reason::WrongSubject);
        }
        if !self.parts.callers.permit(claims.from, claims.subject) {
            return Err(Reason::CallerNotAllowed);
        }
        // What was sealed before this module started could have been received by the one before it.
        let fresh = claims.at >= self.started && claims.at <= now.plus_ms(WINDOW_MS);
        if !fresh || now.since_ms(claims.at) > WINDOW_MS || now > claims.deadline {
            return Err(Reason::OutOfTime);
        }
        // Behind this moment the message is out of time, so its nonce may be forgotten.
        let until = claims.at.plus_ms(WINDOW_MS);
        match self.replay.lock().unwrap_or_else(PoisonError::into_inner).take(claims.nonce, until, now) {
            Seen::New => {}
            Seen::Before | Seen::NoRoom => return Err(Reason::Replayed),
        }
        if claims.subject == Subject::ModeLease {
            return Ok(());
        }
        let held = self.gate.open(now)?;
        if claims.mode != held.binding || claims.epoch != held.epoch {
            return Err(Reason::WrongMode);
        }
        if held.binding.permits(claims.from) { Ok(()) } else { Err(Reason::ModuleOff) }
    }

    fn take_lease(&self, body: &RawValue, now: UnixTime) -> Result<Done, Fault> {
        let lease: Lease = serde_json::from_str(body.get()).map_err(|_| Fault::malformed("lease"))?;
        if lease.module != self.parts.module {
            return Err(Reason::WrongSubject.into());
        }
        let statement = verify_statement(&lease.statement, &self.parts.directory, now)?;
        self.gate.take(&lease, &statement)?;
        Ok(Done {})
    }
}

/// Verifies an operator's mode statement.
///
/// # Errors
/// [`Reason::UnknownCaller`], [`Reason::SignatureInvalid`], or [`Fault::Malformed`].
pub fn verify_statement(jws: &str, directory: &Directory, now: UnixTime) -> Result<Statement, Fault> {
    let (payload, operator) = jws::verify(MODE_STATEMENT, jws.as_bytes(), |kid| directory.operator(kid, now))?;
    let statement: Statement = serde_json::from_slice(&payload).map_err(|_| Fault::malformed("mode statement"))?;
    if statement.operator == operator { Ok(statement) } else { Err(Reason::UnknownCaller.into()) }
}

struct Answering {
    link: Arc<Link>,
    service: Arc<dyn Service>,
}

impl Handler for Answering {
    fn handle(&self, subject: Subject, message: &[u8]) -> Vec<u8> {
        let now = self.link.now();
        let opened = if message.len() > MESSAGE_LEN_MAX {
            Err(Reason::SignatureInvalid)
        } else {
            Opened::open(CALL, message, &self.link.parts.directory, now)
        };
        let admitted =
            opened.as_ref().map_err(|reason| *reason).and_then(|o| self.link.admit(o.claims(), subject, now));
        let body = match (&opened, admitted) {
            (Ok(opened), Ok(())) => self.act(opened, now),
            (_, refused) => {
                let reason = refused.err().unwrap_or(Reason::SignatureInvalid);
                self.record(subject, message, opened.as_ref().ok(), reason, now);
                Err(reason.into())
            }
        };
        self.seal(subject, opened.as_ref().ok().map(Opened::claims), &body)
    }
}

impl Answering {
    fn act(&self, opened: &Opened<'_>, now: UnixTime) -> Result<Box<RawValue>, Fault> {
        let subject = opened.claims().subject;
        if subject != Subject::ModeLease {
            return self.service.answer(opened.caller(), subject, opened.body());
        }
        let done = self.link.take_lease(opened.body(), now)?;
        serde_json::value::to_raw_value(&done).map_err(|_| Fault::unavailable("the answer cannot be written"))
    }

    fn record(&self, subject: Subject, message: &[u8], opened: Option<&Opened<'_>>, reason: Reason, now: UnixTime) {
        let event = Event::MessageRefused {
            subject: subject.to_string(),
            caller: opened.map_or_else(|| "unknown".to_owned(), |o| o.caller().to_string()),
            reason,
            message: x509::sha256(message),
        };
        // If this cannot be written the store is ill; the message stays refused, and the next write says so.
        let _refused_anyway = self.link.parts.audit.append(vec![Entry { at: now, by: self.link.parts.module, event }]);
    }

    // An answer to a call whose claims cannot be believed goes to nobody in particular: the nonce is zero.
    fn seal(&self, subject: Subject, claims: Option<&Claims>, body: &Result<Box<RawValue>, Fault>) -> Vec<u8> {
        let parts = &self.link.parts;
        let now = self.link.now();
        let held = self.link.gate.open(now).ok();
        let Ok(body) = serde_json::value::to_raw_value(body) else { return Vec::new() };
        let answer = Claims {
            from: parts.module,
            instance: parts.instance.clone(),
            to: claims.map_or(parts.module, |c| c.from),
            subject,
            at: now,
            deadline: claims.map_or(now, |c| c.deadline),
            nonce: claims.map_or(Nonce::new([0; 16]), |c| c.nonce),
            mode: held.map_or(model::mode::Binding::settled(model::Mode::Sealed), |h| h.binding),
            epoch: held.map_or(0, |h| h.epoch),
            body: UNSET,
        };
        // An empty answer is no answer: the caller finds no seal on it.
        envelope::seal(ANSWER, answer, &body, parts.signer.as_ref()).unwrap_or_default()
    }
}
