//! Answers of OCSP, and for how long they are said again.
//!
//! km lends its word that no standing changed for [`STANDING_LENT_MS`], counted from before it was asked, and tells nobody that a certificate
//! is revoked before this has passed since it was recorded. So whoever has learnt that and asks is never told what was said before.
//!
//! Prevents: good for what was revoked before the question; answers kept for whoever asks for any number.

use super::together::{Answered, Together};
use crate::km::Km;
use model::contract::authority::{AnswerOcsp, OcspAnswered, STANDING_LENT_MS};
use model::{Fault, UnixTime};
use ports::Clock;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, RwLock, TryLockError};
use wire::ocsp::http::Caching;
use wire::ocsp::{BasicResponse, CertStatus, Moment, Response};

/// Answers that are kept; when there are more, all are forgotten.
pub(super) const KEPT_MAX: usize = 16_384;
/// Longest request and longest answer that are kept, in octets: together with [`KEPT_MAX`] about 70 MiB.
const REQUEST_KEPT_MAX: usize = 512;
const RESPONSE_KEPT_MAX: usize = 4096;
/// How long an answer is kept though nothing changed, in seconds: then km signs anew if it has to.
const KEPT_S: u64 = 60;

/// An answer.
pub(super) struct Said {
    pub(super) response: Arc<[u8]>,
    /// How long others may keep it, if they may.
    pub(super) caching: Option<Caching>,
    /// When km said it, and the last word on any standing that it takes into account; absent if it is not to be said again.
    known: Option<(UnixTime, u64)>,
}

/// What km said last of how far revocations went, and when it was asked.
#[derive(Clone, Copy)]
struct Word {
    edge: u64,
    asked_ms: u64,
}

/// The answers.
pub(super) struct Answers {
    km: Arc<dyn Km>,
    clock: Arc<dyn Clock>,
    elapsed_ms: Box<dyn Fn() -> u64 + Send + Sync>,
    together: Together,
    /// By request, as it came.
    kept: RwLock<HashMap<Vec<u8>, Arc<Said>>>,
    word: Mutex<Option<Word>>,
    renewing: Mutex<()>,
}

impl Answers {
    pub(super) fn new(km: Arc<dyn Km>, clock: Arc<dyn Clock>, elapsed_ms: Box<dyn Fn() -> u64 + Send + Sync>) -> Self {
        let (together, kept) = (Together::default(), RwLock::default());
        Self { km, clock, elapsed_ms, together, kept, word: Mutex::default(), renewing: Mutex::default() }
    }

    /// What is said to a request. An error of OCSP is an answer too.
    ///
    /// # Errors
    /// [`Fault`]
    pub(super) fn to(&self, request: Vec<u8>) -> Result<Arc<Said>, Fault> {
        if let Some((said, edge)) = self.kept(&request)
            && self.edge() == Some(edge)
        {
            return Ok(said);
        }
        let key = (request.len() <= REQUEST_KEPT_MAX).then(|| request.clone());
        let answered = self.together.ask(request, |call| self.ask(call))?;
        let said = Arc::new(Said::of(answered, self.clock.now()));
        if let Some(key) = key.filter(|_| said.known.is_some()) {
            let mut kept = self.kept.write().unwrap_or_else(PoisonError::into_inner);
            if kept.len() >= KEPT_MAX {
                kept.clear();
            }
            kept.insert(key, Arc::clone(&said));
        }
        Ok(said)
    }

    /// What was said to a request, if that may be now, and up to which word it is true.
    fn kept(&self, request: &[u8]) -> Option<(Arc<Said>, u64)> {
        let said = Arc::clone(self.kept.read().unwrap_or_else(PoisonError::into_inner).get(request)?);
        let ((at, edge), now) = (said.known?, self.clock.now());
        let is_fresh = now >= at && now.s().saturating_sub(at.s()) < KEPT_S;
        let holds = said.caching.as_ref().is_some_and(|caching| now < caching.expires);
        (is_fresh && holds).then_some((said, edge))
    }

    /// The last word on any standing, if km's word for that holds. When half its time is over, one who asks renews it for all.
    fn edge(&self) -> Option<u64> {
        let word = (*self.word.lock().unwrap_or_else(PoisonError::into_inner))?;
        let age = (self.elapsed_ms)().checked_sub(word.asked_ms)?;
        if age >= STANDING_LENT_MS {
            return None;
        }
        if age * 2 < STANDING_LENT_MS {
            return Some(word.edge);
        }
        let _guard = match self.renewing.try_lock() {
            Ok(guard) => guard,
            Err(TryLockError::Poisoned(broken)) => broken.into_inner(),
            Err(TryLockError::WouldBlock) => return Some(word.edge),
        };
        // What km says now is true of a question that came before.
        self.ask(&AnswerOcsp { requests: Vec::new() }).ok()?.edge
    }

    fn ask(&self, call: &AnswerOcsp) -> Result<OcspAnswered, Fault> {
        let asked_ms = (self.elapsed_ms)();
        let answered = self.km.answer_ocsp(call)?;
        if let Some(edge) = answered.edge {
            let mut word = self.word.lock().unwrap_or_else(PoisonError::into_inner);
            if word.is_none_or(|word| word.asked_ms <= asked_ms) {
                *word = Some(Word { edge, asked_ms });
            }
        }
        Ok(answered)
    }
}

impl Said {
    fn of(Answered { response, edge }: Answered, now: UnixTime) -> Self {
        let (caching, is_issued) = match Response::decode(&response) {
            Ok(Response::Basic(read)) if read.nonce.is_none() => {
                (moment(&read).map(|moment| Caching::of(&response, &moment, now)), is_issued(&read))
            }
            _ => (None, false),
        };
        let is_kept = caching.is_some() && is_issued && response.len() <= RESPONSE_KEPT_MAX;
        Self { response: response.into(), caching, known: edge.filter(|_| is_kept).map(|edge| (now, edge)) }
    }
}

/// The time that all of an answer holds.
fn moment(read: &BasicResponse<'_>) -> Option<Moment> {
    let this = read.responses.iter().map(|single| single.this_update).max()?;
    let next = read.responses.iter().map(|single| single.next_update).min()??;
    Some(Moment::new(read.produced_at, this, next))
}

/// Whether it speaks of issued certificates only: others may be issued at any time, and nobody would tell.
fn is_issued(read: &BasicResponse<'_>) -> bool {
    !read.responses.iter().any(|single| matches!(single.cert_status, CertStatus::Unknown))
}
