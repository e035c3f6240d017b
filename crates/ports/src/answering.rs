//! The answering side of a [`Link`]: what a call must be before anybody acts on it.

use crate::bus::Handler;
use crate::envelope::{self, ANSWER, BODY_LEN_MAX, CALL, Claims, Opened, Sealed};
use crate::link::{Link, Service, UNSET, verify_statement};
use crate::refusals::Refusal;
use crate::replay::{Seen, WINDOW_MS, is_harmless_again};
use crate::signer::SignFault;
use crate::store::StoreFault;
use model::contract::authority::Done;
use model::contract::supervisor::{AskLease, Lease};
use model::contract::{Call, Subject};
use model::{Fault, Reason, UnixTime};
use serde_json::value::RawValue;
use std::sync::{Arc, PoisonError};

/// Answers what arrives for a link.
pub(crate) struct Answering {
    pub(crate) link: Arc<Link>,
    pub(crate) service: Arc<dyn Service>,
}

impl Handler for Answering {
    // Who cannot seal a call gets no answer at all: a stranger must not make a module sign, and a refusal that he
    // provokes must not be shown to somebody else as the refusal of his call.
    fn handle(&self, subject: Subject, message: &[u8]) -> Vec<u8> {
        let (link, now) = (&self.link, self.link.now());
        link.record_counted(now);
        match Opened::open(CALL, message, link.directory(), now) {
            Ok(opened) => self.seal(&opened, &self.answer(&opened, subject, message, now)),
            Err(unopened) => {
                let refusal = Refusal { subject, caller: unopened.liar, reason: unopened.reason };
                link.record_refused(refusal, message, now);
                Vec::new()
            }
        }
    }
}

impl Answering {
    fn answer(
        &self,
        opened: &Opened<'_>,
        arrived_under: Subject,
        message: &[u8],
        now: UnixTime,
    ) -> Result<Box<RawValue>, Fault> {
        let refuse = |reason| {
            let refusal = Refusal { subject: arrived_under, caller: Some(opened.caller().clone()), reason };
            self.link.record_refused(refusal, message, now);
        };
        if let Err(reason) = self.link.admit(opened, arrived_under, now) {
            refuse(reason);
            return Err(as_answer(reason));
        }
        match self.link.is_first(opened) {
            Ok(true) => {}
            Ok(false) => {
                refuse(Reason::Replayed);
                return Err(as_answer(Reason::Replayed));
            }
            Err(fault) => return Err(fault.into()),
        }
        if opened.claims().subject != Lease::SUBJECT {
            return self.service.answer(opened.caller(), opened.claims().subject, opened.body());
        }
        match self.link.take_lease(opened, now) {
            Ok(done) => serde_json::value::to_raw_value(&done).map_err(|_| NOT_WRITTEN),
            Err(reason) => {
                refuse(reason);
                Err(reason.into())
            }
        }
    }

    fn seal(&self, call: &Opened<'_>, body: &Result<Box<RawValue>, Fault>) -> Vec<u8> {
        let asked = call.claims();
        let claims = Claims {
            from: self.link.caller().module,
            instance: self.link.caller().instance,
            to: asked.from,
            subject: asked.subject,
            at: self.link.now(),
            deadline: asked.deadline,
            nonce: asked.nonce,
            mode: asked.mode,
            epoch: asked.epoch,
            // On its own box the caller knows.
            standing: if asked.instance == self.link.caller().instance { None } else { self.link.own_standing() },
            answers: Some(call.digest()),
            body: UNSET,
        };
        let sealed = match body {
            // What `Result` is in JSON, without another copy of a long answer.
            Ok(body) if body.get().len() <= BODY_LEN_MAX - OK_HEAD.len() - OK_TAIL.len() => {
                envelope::seal(ANSWER, claims, &[OK_HEAD, body.get(), OK_TAIL], self.link.signer())
            }
            Ok(_) => self.seal_fault(claims, &TOO_LONG),
            Err(fault) => self.seal_fault(claims, fault),
        };
        // An empty answer is no answer: the caller finds no seal on it.
        sealed.map(|sealed| sealed.octets).unwrap_or_default()
    }

    fn seal_fault(&self, claims: Claims, fault: &Fault) -> Result<Sealed, SignFault> {
        let body =
            serde_json::to_string(&Err::<(), _>(fault)).map_err(|_| SignFault("the answer cannot be written"))?;
        envelope::seal(ANSWER, claims, &[&body], self.link.signer())
    }
}

const NOT_WRITTEN: Fault = Fault::unavailable("the answer cannot be written");

const TOO_LONG: Fault = Fault::unavailable("the answer is longer than a message may be");

const OK_HEAD: &str = r#"{"Ok":"#;
const OK_TAIL: &str = "}";

/// What the caller is told. A refusal is a promise that the call was not and will not be carried out; of a message that
/// comes a second time, out of time, or under a subject for which it was not sealed, another copy may have been, by
/// another process of this module as well, so that is not promised.
fn as_answer(reason: Reason) -> Fault {
    if reason == Reason::Replayed {
        Fault::unavailable("the call came more than once: ask again what became of it")
    } else if reason == Reason::OutOfTime {
        Fault::unavailable("the call came out of time: compare the clocks, and ask again what became of it")
    } else if reason == Reason::WrongSubject {
        // No caller sends it so: somebody on the way did, who has the message and may have delivered it as well.
        Fault::unavailable("the call came under a subject that it was not sealed for: ask again what became of it")
    } else {
        Fault::Refused(reason)
    }
}

/// Behind this moment a message is out of time, so its nonce may be forgotten.
fn until(claims: &Claims) -> UnixTime {
    claims.at.plus_ms(WINDOW_MS).min(claims.deadline)
}

impl Link {
    /// Checks everything that a call must be before anybody acts on it.
    fn admit(&self, opened: &Opened<'_>, arrived_under: Subject, now: UnixTime) -> Result<(), Reason> {
        let (claims, me) = (opened.claims(), self.caller());
        if !self.is_timely(claims, now) {
            return Err(Reason::OutOfTime);
        }
        // Before anything else is looked at: what is refused once stays refused, whatever changes in the meantime.
        let until = until(claims);
        let mut replay = self.replay.lock().unwrap_or_else(PoisonError::into_inner);
        match replay.take(opened.caller(), claims.nonce, until, now) {
            Seen::New => drop(replay),
            Seen::Before | Seen::NoRoom => return Err(Reason::Replayed),
        }
        let is_lease = claims.subject == Lease::SUBJECT;
        let is_ours = claims.to == me.module && (is_lease || claims.subject.module() == me.module);
        if claims.subject != arrived_under || !is_ours {
            return Err(Reason::WrongSubject);
        }
        // Boxes do not share modes: what a supervisor says, and is told, stays on its box; and what a station is told.
        let is_at_home = !claims.subject.module().answers_at_home() || claims.instance == me.instance;
        if !is_at_home || !self.callers().permit(claims.from, claims.subject) {
            return Err(Reason::CallerNotAllowed);
        }
        if is_lease {
            // It brings the mode; whether it fits to the claims is seen when it is read.
            return Ok(());
        }
        let held = self.gate().open(now)?;
        if claims.subject == AskLease::SUBJECT {
            // Who asks for the mode does not know it. Whether it may run at all, the supervisor says.
            return held.lets(claims.from);
        }
        if claims.instance != me.instance {
            // Boxes do not share modes: the other's supervisor says in which it is, and that the sender runs.
            let standing = self.standing_of(claims, now)?;
            let is_said = claims.mode == standing.binding && claims.epoch == standing.epoch;
            let lets = if standing.binding.permits(claims.from) { Ok(()) } else { Err(Reason::ModuleOff) };
            return if is_said { lets } else { Err(Reason::WrongMode) };
        }
        if claims.mode != held.binding || claims.epoch != held.epoch {
            return Err(Reason::WrongMode);
        }
        held.lets(claims.from)
    }

    /// Whether no other process of this module has received it.
    fn is_first(&self, opened: &Opened<'_>) -> Result<bool, StoreFault> {
        let claims = opened.claims();
        match self.received() {
            Some(received) if !is_harmless_again(claims.subject) => {
                received.note(opened.caller(), claims.nonce, until(claims))
            }
            Some(_) | None => Ok(true),
        }
    }

    fn is_timely(&self, claims: &Claims, now: UnixTime) -> bool {
        // On one box there is one clock. Another's may be ahead.
        let ahead_ms = if claims.instance == self.caller().instance { 0 } else { WINDOW_MS };
        // What was sealed before this module started could have been received by the one that ran here before it; with
        // a clock that is ahead, also what is sealed within the first minute.
        let is_ours = claims.at >= self.started.plus_ms(ahead_ms);
        let is_new = now.since_ms(claims.at) <= WINDOW_MS && now <= claims.deadline;
        is_ours && is_new && claims.at <= now.plus_ms(ahead_ms)
    }

    fn take_lease(&self, opened: &Opened<'_>, now: UnixTime) -> Result<Done, Reason> {
        let lease: Lease = serde_json::from_str(opened.body().get()).map_err(|_| Reason::SignatureInvalid)?;
        let claims = opened.claims();
        if claims.mode != lease.binding || claims.epoch != lease.epoch {
            return Err(Reason::WrongMode);
        }
        let statement = verify_statement(&lease.statement, self.directory(), now).map_err(|fault| match fault {
            Fault::Refused(reason) => reason,
            Fault::Malformed(_) | Fault::Unavailable(_) => Reason::SignatureInvalid,
        })?;
        self.gate().take(&lease, &statement)?;
        Ok(Done {})
    }
}
