//! Questions that come at the same time go to km in one message: what is signed and verified for it is shared.

use model::contract::authority::{AnswerOcsp, OcspAnswered};
use model::{Base64, Fault};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Most questions in one message.
const TOGETHER_MAX: usize = 64;

/// Whoever comes while nobody asks, asks for itself and for all who come meanwhile are asked for by the next: an answer is never older
/// than its question.
#[derive(Default)]
pub(super) struct Together(Mutex<Waiting>);

#[derive(Default)]
struct Waiting {
    questions: Vec<Question>,
    is_asking: bool,
}

struct Question {
    request: Base64,
    sender: SyncSender<Told>,
}

/// What one who waits is told.
enum Told {
    /// It asks, for itself and for others.
    Ask,
    Answer(Result<Answered, Fault>),
}

/// What km said to one question, and up to which word on the standing of certificates it knew then.
#[derive(Debug)]
pub(super) struct Answered {
    pub(super) response: Vec<u8>,
    pub(super) edge: Option<u64>,
}

/// One at a time asks. When it ends, however that is, the next one does.
struct Asking<'a>(&'a Together);

impl Drop for Asking<'_> {
    fn drop(&mut self) {
        let mut waiting = self.0.waiting();
        waiting.is_asking = waiting.questions.iter().any(|next| next.sender.try_send(Told::Ask).is_ok());
    }
}

impl Together {
    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Asks km what is said to one request. An error is an answer too.
    ///
    /// # Errors
    /// [`Fault`]
    pub(super) fn ask(
        &self,
        request: Vec<u8>,
        km: impl Fn(&AnswerOcsp) -> Result<OcspAnswered, Fault>,
    ) -> Result<Answered, Fault> {
        let (sender, told) = sync_channel(2);
        let is_mine = {
            let mut waiting = self.waiting();
            waiting.questions.push(Question { request: request.into(), sender });
            !std::mem::replace(&mut waiting.is_asking, true)
        };
        if is_mine {
            self.ask_for_all(&km);
        }
        loop {
            match told.recv() {
                Ok(Told::Ask) => self.ask_for_all(&km),
                Ok(Told::Answer(answer)) => return answer,
                Err(_) => return Err(Fault::unavailable("km gave no answer")),
            }
        }
    }

    fn ask_for_all(&self, km: impl Fn(&AnswerOcsp) -> Result<OcspAnswered, Fault>) {
        let asking = Asking(self);
        let questions: Vec<Question> = {
            let mut waiting = self.waiting();
            let len = waiting.questions.len().min(TOGETHER_MAX);
            waiting.questions.drain(..len).collect()
        };
        let (requests, senders): (Vec<_>, Vec<_>) = questions.into_iter().map(|one| (one.request, one.sender)).unzip();
        let answered = km(&AnswerOcsp { requests });
        drop(asking);
        let mut responses = answered.map(|answered| (answered.edge, answered.responses.into_iter()));
        for sender in senders {
            let answer = match &mut responses {
                Ok((edge, responses)) => match responses.next() {
                    Some(response) => Ok(Answered { response: response.0, edge: *edge }),
                    None => Err(Fault::unavailable("km gave no answer")),
                },
                Err(fault) => Err(fault.clone()),
            };
            // Whoever went away is told nothing.
            let _gone = sender.try_send(Told::Answer(answer));
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "what cannot go on here has failed")]

    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::sync::{Arc, Barrier};

    /// What a thread ended with.
    type Ended = std::thread::Result<Result<Answered, Fault>>;

    /// Says to each request what it was.
    fn echo(call: &AnswerOcsp) -> OcspAnswered {
        OcspAnswered { responses: call.requests.clone(), edge: Some(1) }
    }

    /// The first question is with km until so many others have come; then km answers as `then` says. Gives what each was told, the first one
    /// in front, and how many messages km had.
    fn crowd(others: u8, then: fn(usize, &AnswerOcsp) -> Result<OcspAnswered, Fault>) -> (Vec<Ended>, usize) {
        let (together, messages) = (Arc::new(Together::default()), Arc::new(AtomicUsize::new(0)));
        let asked = Arc::new(Barrier::new(2));
        let one = |n: u8| {
            let (together, messages, asked) = (Arc::clone(&together), Arc::clone(&messages), Arc::clone(&asked));
            std::thread::spawn(move || {
                together.ask(vec![n], |call| {
                    let message = messages.fetch_add(1, Ordering::SeqCst);
                    if message == 0 {
                        asked.wait();
                        while together.waiting().questions.len() < usize::from(others) {
                            std::thread::yield_now();
                        }
                    }
                    then(message, call)
                })
            })
        };
        let first = one(0);
        asked.wait();
        let all: Vec<_> = std::iter::once(first).chain((1..=others).map(one)).collect();
        let told = all.into_iter().map(std::thread::JoinHandle::join).collect();
        assert!(!together.waiting().is_asking && together.waiting().questions.is_empty());
        (told, messages.load(Ordering::SeqCst))
    }

    #[test]
    fn who_comes_meanwhile_is_asked_for_together_and_each_has_its_own_answer() {
        let (told, messages) = crowd(60, |_, call| Ok(echo(call)));
        let told: Vec<_> = told.into_iter().map(|one| one.unwrap().unwrap().response).collect();
        assert_eq!(told, (0..=60).map(|n| vec![n]).collect::<Vec<_>>());
        assert_eq!(messages, 2);
    }
    #[test]
    fn a_message_has_no_more_than_so_many() {
        let (told, messages) = crowd(130, |_, call| {
            assert!(call.requests.len() <= TOGETHER_MAX);
            Ok(echo(call))
        });
        assert!(told.into_iter().all(|one| one.unwrap().is_ok()));
        assert_eq!(messages, 4);
    }
    #[test]
    fn a_fault_is_told_to_all_who_were_asked_for_and_to_nobody_else() {
        let (told, _) = crowd(5, |message, call| match message {
            0 => Ok(echo(call)),
            _ => Err(Fault::unavailable("km is off")),
        });
        let told: Vec<_> = told.into_iter().map(|one| one.unwrap().is_ok()).collect();
        assert_eq!(told, [true, false, false, false, false, false]);
    }
    #[test]
    fn who_was_forgotten_is_told_so() {
        let (told, _) = crowd(2, |_, call| {
            Ok(OcspAnswered { responses: call.requests.iter().skip(1).cloned().collect(), edge: None })
        });
        assert_eq!(told.into_iter().filter(|one| one.as_ref().unwrap().is_err()).count(), 2);
    }
    #[test]
    fn one_who_breaks_down_leaves_the_others_somebody_to_ask() {
        let (told, messages) = crowd(3, |message, call| {
            assert!(message > 0, "it breaks down");
            Ok(echo(call))
        });
        let broken: Vec<_> = told.iter().map(Result::is_err).collect();
        assert_eq!((broken, messages), (vec![true, false, false, false], 2));
        assert!(told.into_iter().skip(1).all(|one| one.unwrap().is_ok()));
    }
}
