//! A module's end of the bus: seals what it calls, opens what it is asked, keeps to the mode, records what it refuses.

use crate::answering::Answering;
use crate::bus::{Bus, BusFault, Served};
use crate::clock::{Clock, Entropy, nonce};
use crate::directory::{Caller, Directory};
use crate::envelope::{self, ANSWER, BODY_LEN_MAX, CALL, Claims, Opened, Sealed};
use crate::gate::{Gate, LEASE_LEN_MAX_MS};
use crate::jws;
use crate::refusals::{Refusal, Refusals};
use crate::replay::{Received, Replay, WINDOW_MS};
use crate::signer::{SignFault, Signer};
use crate::store::AuditSink;
use model::audit::{Entry, Event};
use model::callers::Callers;
use model::contract::supervisor::{AskLease, Lease, Standing};
use model::contract::{Call, Subject};
use model::mode::{Binding, Statement};
use model::text::printable;
use model::{Digest, Fault, Mode, Module, Nonce, Reason, StationName, UnixTime};
use serde_json::value::RawValue;
use std::sync::{Arc, Mutex, PoisonError};

/// The `typ` of an operator's mode statement.
pub const MODE_STATEMENT: &str = "cradle-mode";

/// The `typ` of what a supervisor says of a module to other boxes.
pub const STANDING: &str = "cradle-standing";

/// Longest time until the end of such a word: that of a lease, and what clocks differ.
const STANDING_LEN_MAX_MS: u64 = LEASE_LEN_MAX_MS + WINDOW_MS;

/// How long a caller waits if it does not say: an issuing batch on a busy box takes well under a second.
pub const PATIENCE_MS: u64 = 30_000;

/// How long who asks for a lease waits: whoever gives it does nothing else for it.
const ASKING_MS: u64 = 5_000;

/// Longest text of a fault that is taken over from another module, in characters: ours are shorter.
const FAULT_LEN_MAX: usize = 200;

/// What is said of the mode by who asks for it.
const NO_MODE: (Binding, u64) = (Binding::settled(Mode::Sealed), 0);

/// The digest of a body that is still to be hashed.
pub(crate) const UNSET: Digest = Digest::new([0; Digest::LEN]);

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
    /// What all processes of the module received; none if there is one process of it.
    pub received: Option<Arc<dyn Received>>,
}

/// A module's end of the bus.
pub struct Link {
    parts: Parts,
    gate: Gate,
    refusals: Mutex<Refusals>,
    pub(crate) replay: Mutex<Replay>,
    pub(crate) started: UnixTime,
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
    let bad = Fault::malformed("the body of the call");
    let call: C =
        if body.get().starts_with('{') { serde_json::from_str(body.get()).map_err(|_| bad)? } else { return Err(bad) };
    serde_json::value::to_raw_value(&f(call)?).map_err(|_| Fault::unavailable("the answer cannot be written"))
}

/// What an answer must answer.
struct Asked {
    to: Module,
    subject: Subject,
    nonce: Nonce,
    mode: Binding,
    epoch: u64,
    claims: Digest,
}

impl Link {
    /// A module's end of the bus, without a lease: it neither calls nor answers until it has one.
    #[must_use]
    pub fn new(parts: Parts) -> Arc<Self> {
        let (gate, started) = (Gate::closed(parts.module), parts.clock.now());
        Arc::new(Self { parts, gate, refusals: Mutex::default(), replay: Mutex::default(), started })
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

    /// Whether others believe what this module says now: its key has a certificate, in time and not revoked.
    #[must_use]
    pub fn is_certified(&self) -> bool {
        let kid = jws::key_id(self.signer().public_key());
        self.directory().module(&kid, self.now()).is_some_and(|(_, caller)| caller == self.caller())
    }

    pub(crate) fn received(&self) -> Option<&dyn Received> {
        self.parts.received.as_deref()
    }

    pub(crate) fn callers(&self) -> &Callers {
        &self.parts.callers
    }

    pub(crate) fn signer(&self) -> &dyn Signer {
        self.parts.signer.as_ref()
    }

    /// Calls, and waits [`PATIENCE_MS`].
    ///
    /// # Errors
    /// What the call fails with; [`Reason::ModuleOff`] or [`Reason::Sealed`] if this module or the other may not run now;
    /// [`Reason::UnknownCaller`] if this module is not certified any more; [`Fault::Unavailable`] if there is no answer
    /// that can be believed: what became of the call is not known then.
    pub fn call<C: Call>(&self, call: &C) -> Result<C::Reply, Fault> {
        self.call_within(call, PATIENCE_MS)
    }

    /// The same, and waits so many milliseconds.
    ///
    /// # Errors
    /// Those of [`Link::call`].
    pub fn call_within<C: Call>(&self, call: &C, patience_ms: u64) -> Result<C::Reply, Fault> {
        let held = self.gate.open(self.now())?;
        // A module that is off answers nothing but a lease, which may be what switches it off.
        if C::SUBJECT != Lease::SUBJECT {
            held.lets(call.to())?;
        }
        self.send(call, (held.binding, held.epoch), patience_ms)
    }

    /// Asks the supervisor of this box for a lease, and takes it: for who comes and goes.
    ///
    /// # Errors
    /// Those of [`Link::call`], and what a lease is refused for.
    pub fn ask_lease(&self) -> Result<(), Fault> {
        let lease = self.send(&AskLease {}, NO_MODE, ASKING_MS)?;
        let statement = verify_statement(&lease.statement, self.directory(), self.now())?;
        Ok(self.gate.take(&lease, &statement)?)
    }

    fn send<C: Call>(&self, call: &C, (mode, epoch): (Binding, u64), patience_ms: u64) -> Result<C::Reply, Fault> {
        let now = self.now();
        if !self.is_certified() {
            return Err(Reason::UnknownCaller.into());
        }
        let body =
            serde_json::value::to_raw_value(call).map_err(|_| Fault::unavailable("the call cannot be written"))?;
        if body.get().len() > BODY_LEN_MAX {
            return Err(BusFault::TooLong.into());
        }
        let nonce = nonce(self.parts.entropy.as_ref());
        let (to, subject, deadline) = (call.to(), C::SUBJECT, now.plus_ms(patience_ms));
        let claims = Claims {
            from: self.parts.module,
            instance: self.parts.instance.clone(),
            to,
            subject,
            at: now,
            deadline,
            nonce,
            mode,
            epoch,
            standing: self.own_standing(),
            answers: None,
            body: UNSET,
        };
        let Sealed { octets, claims } = envelope::seal(CALL, claims, &[body.get()], self.signer())?;
        let reply = self.parts.bus.call(to, subject, &octets, deadline)?;
        let asked = Asked { to, subject, nonce, mode, epoch, claims };
        self.open_answer::<C>(&reply, &asked)
    }

    fn open_answer<C: Call>(&self, reply: &[u8], asked: &Asked) -> Result<C::Reply, Fault> {
        let now = self.now();
        self.record_counted(now);
        if reply.is_empty() {
            return Err(Fault::unavailable("the module that was called gave no answer: its audit log may say why"));
        }
        let opened = Opened::open(ANSWER, reply, self.directory(), now).map_err(|e| (e.reason, e.liar));
        let checked = opened.and_then(|opened| match self.check_answer(&opened, asked, now) {
            Ok(()) => Ok(opened),
            Err(reason) => Err((reason, Some(opened.caller().clone()))),
        });
        match checked {
            Ok(opened) => read_answer::<C>(opened.body()),
            Err((reason, caller)) => {
                self.record_refused(Refusal { subject: asked.subject, caller, reason }, reply, now);
                Err(Fault::unavailable("the answer is not to be believed; ask again what became of the call"))
            }
        }
    }

    /// Checks that an answer is the one to what was asked.
    ///
    /// It is judged by the modes of its call, not by those in force when it comes: both modules were on when the call
    /// was made, and a change of modes drains. To refuse what was done before the change would only lose it.
    fn check_answer(&self, answer: &Opened<'_>, asked: &Asked, now: UnixTime) -> Result<(), Reason> {
        let claims = answer.claims();
        if claims.from != asked.to || claims.to != self.parts.module || claims.subject != asked.subject {
            return Err(Reason::WrongSubject);
        }
        if claims.answers != Some(asked.claims) || claims.nonce != asked.nonce {
            return Err(Reason::Replayed);
        }
        if claims.mode != asked.mode || claims.epoch != asked.epoch {
            return Err(Reason::WrongMode);
        }
        if asked.subject.module().answers_at_home() && claims.instance != self.parts.instance {
            return Err(Reason::CallerNotAllowed);
        }
        if claims.instance != self.parts.instance {
            // Modes are not shared with that box, so its supervisor must say that this module runs.
            let standing = self.standing_of(claims, now)?;
            if !standing.binding.permits(claims.from) {
                return Err(Reason::ModuleOff);
            }
        }
        let is_near = now.since_ms(claims.at) <= WINDOW_MS && claims.at.since_ms(now) <= WINDOW_MS;
        if is_near { Ok(()) } else { Err(Reason::OutOfTime) }
    }

    /// Records a refused message, or counts it if there are many.
    pub(crate) fn record_refused(&self, refusal: Refusal, message: &[u8], now: UnixTime) {
        let event = self.locked_refusals(|refusals| refusals.note(refusal, now, || x509::sha256(message)));
        self.record(event.into_iter().collect(), now);
    }

    /// Records how many refused messages have no entry, once their period is over.
    pub(crate) fn record_counted(&self, now: UnixTime) {
        self.record(self.locked_refusals(|refusals| refusals.over(now)), now);
    }

    fn locked_refusals<T>(&self, f: impl FnOnce(&mut Refusals) -> T) -> T {
        f(&mut self.refusals.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn record(&self, events: Vec<Event>, at: UnixTime) {
        let entries: Vec<_> = events.into_iter().map(|event| Entry { at, by: self.parts.module, event }).collect();
        if !entries.is_empty() {
            // If this cannot be written the store is ill; the message stays refused, and the next write says so.
            let _refused_anyway = self.parts.audit.append(entries);
        }
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        let left = self.locked_refusals(Refusals::end);
        self.record(left, self.now());
    }
}

impl Link {
    /// Says of a module of this box to others that it holds a lease; for the supervisor, whom alone they believe.
    ///
    /// # Errors
    /// [`SignFault`]
    pub fn say(&self, standing: &Standing) -> Result<String, SignFault> {
        sign_standing(standing, self.signer())
    }

    /// What this module shows to other boxes.
    pub(crate) fn own_standing(&self) -> Option<String> {
        self.gate.standing().map(|standing| standing.as_ref().to_owned())
    }

    /// What the supervisor of another box says of the sender of a message.
    pub(crate) fn standing_of(&self, claims: &Claims, now: UnixTime) -> Result<Standing, Reason> {
        let jws = claims.standing.as_deref().ok_or(Reason::WrongMode)?;
        let key_of = |kid: &str| self.directory().module(kid, now);
        let (payload, supervisor) = jws::verify(STANDING, jws.as_bytes(), key_of)?;
        let standing: Standing = jws::object(&payload).ok_or(Reason::SignatureInvalid)?;
        let of = (&standing.module, &standing.instance);
        let is_its = of == (&claims.from, &claims.instance);
        if supervisor != (Caller { module: Module::Supervisor, instance: claims.instance.clone() }) || !is_its {
            return Err(Reason::CallerNotAllowed);
        }
        // Clocks of two boxes differ.
        let is_running =
            now <= standing.until.plus_ms(WINDOW_MS) && standing.until.since_ms(now) <= STANDING_LEN_MAX_MS;
        if is_running { Ok(standing) } else { Err(Reason::ModuleOff) }
    }
}

/// Says of a module to other boxes that it holds a lease.
///
/// # Errors
/// [`SignFault`]
pub fn sign_standing(standing: &Standing, supervisor: &dyn Signer) -> Result<String, SignFault> {
    let payload = serde_json::to_vec(standing).map_err(|_| SignFault("the standing cannot be written"))?;
    let jws = jws::sign(STANDING, &payload, supervisor)?;
    String::from_utf8(jws).map_err(|_| SignFault("the standing cannot be written"))
}

fn read_answer<C: Call>(body: &RawValue) -> Result<C::Reply, Fault> {
    let answer: Result<C::Reply, Fault> =
        serde_json::from_str(body.get()).map_err(|_| Fault::malformed("the body of the answer"))?;
    // What another module writes is shown to people.
    let shown = |text: &str| printable(text, FAULT_LEN_MAX).into();
    answer.map_err(|fault| match fault {
        Fault::Malformed(what) => Fault::Malformed(shown(&what)),
        Fault::Unavailable(what) => Fault::Unavailable(shown(&what)),
        Fault::Refused(reason) => Fault::Refused(reason),
    })
}

/// Verifies an operator's mode statement.
///
/// # Errors
/// [`Reason::UnknownCaller`], [`Reason::SignatureInvalid`], or [`Fault::Malformed`].
pub fn verify_statement(jws: &str, directory: &Directory, now: UnixTime) -> Result<Statement, Fault> {
    let (payload, operator) = jws::verify(MODE_STATEMENT, jws.as_bytes(), |kid| directory.operator(kid, now))?;
    let statement: Statement = jws::object(&payload).ok_or(Fault::malformed("mode statement"))?;
    if statement.operator == operator { Ok(statement) } else { Err(Reason::UnknownCaller.into()) }
}
