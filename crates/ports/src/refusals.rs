//! What was refused is recorded, but a flood of it does not fill the audit log.
//!
//! Each kind of refusal, which is a caller and a reason, is recorded [`RECORDED_MAX`] times within [`PERIOD_MS`]. What
//! comes beyond that is counted, and one entry says how many there were. Kinds do not use up each other's entries, so
//! octets that anybody can send do not hide what a module's key has signed. How many kinds there are is bounded by the
//! number of certified modules.

use crate::directory::Caller;
use model::audit::Event;
use model::contract::Subject;
use model::{Digest, Reason, UnixTime};
use std::collections::HashMap;

/// Most entries for one kind of refusal within [`PERIOD_MS`]: enough to see what is tried.
pub const RECORDED_MAX: u64 = 8;

/// After this time a kind of refusal is recorded anew: a flood of a day leaves less than 80 000 entries, about 20 MB.
pub const PERIOD_MS: u64 = 10_000;

/// A refused message.
#[derive(Clone, Debug)]
#[expect(missing_docs, reason = "the types say what the fields are")]
pub struct Refusal {
    pub subject: Subject,
    /// Whose key sealed it, if anybody's did.
    pub caller: Option<Caller>,
    pub reason: Reason,
}

/// Counts refusals.
#[derive(Debug, Default)]
pub struct Refusals {
    kinds: HashMap<(Option<Caller>, Reason), Period>,
}

#[derive(Debug)]
struct Period {
    began: UnixTime,
    last: Subject,
    count: u64,
}

impl Refusals {
    /// Counts a refusal; the entry for it, if it is one of the first of its kind. `digest` is asked only then.
    pub fn note(&mut self, refusal: Refusal, now: UnixTime, digest: impl FnOnce() -> Digest) -> Option<Event> {
        let Refusal { subject, caller, reason } = refusal;
        let shown = shown(caller.as_ref());
        let kind = self.kinds.entry((caller, reason));
        let period = kind.or_insert(Period { began: now, last: subject, count: 0 });
        period.count = period.count.saturating_add(1);
        period.last = subject;
        (period.count <= RECORDED_MAX).then(|| Event::MessageRefused {
            subject: subject.to_string(),
            caller: shown,
            reason,
            message: digest(),
        })
    }

    /// Ends the periods that are over at `now`; the entries that say how many refusals in them have no entry. They name
    /// the subject of the last one, and no message.
    pub fn over(&mut self, now: UnixTime) -> Vec<Event> {
        // A clock that went back ends a period, too; otherwise it could last for years.
        let is_over = |period: &Period| now < period.began || now.since_ms(period.began) >= PERIOD_MS;
        let counted = |((caller, reason), period): ((Option<Caller>, Reason), Period)| {
            let more = period.count.checked_sub(RECORDED_MAX).filter(|more| *more > 0)?;
            let caller = format!("{} ({more} more)", shown(caller.as_ref()));
            let message = Digest::new([0; Digest::LEN]);
            Some(Event::MessageRefused { subject: period.last.to_string(), caller, reason, message })
        };
        self.kinds.extract_if(|_, period| is_over(period)).filter_map(counted).collect()
    }

    /// Ends all periods, as [`Self::over`] does.
    pub fn end(&mut self) -> Vec<Event> {
        self.over(UnixTime::NO_EXPIRY)
    }
}

fn shown(caller: Option<&Caller>) -> String {
    caller.map_or_else(|| "unknown".to_owned(), Caller::to_string)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(reason: Reason) -> Refusal {
        Refusal { subject: Subject::IdentityMark, caller: None, reason }
    }

    /// How many entries `count` refusals leave at once, and what the period after them says.
    #[track_caller]
    fn check(count: u64, entries: usize, more: &[&str]) {
        let mut refusals = Refusals::default();
        let now = UnixTime::from_s(100);
        let note = |_| refusals.note(refusal(Reason::Replayed), now, || Digest::new([7; 32]));
        assert_eq!((0..count).filter_map(note).count(), entries);
        assert_eq!(refusals.over(now.plus_ms(PERIOD_MS - 1)), []);
        let over = refusals.over(now.plus_ms(PERIOD_MS));
        assert_eq!(over.iter().map(caller).collect::<Vec<_>>(), more);
        assert!(refusals.kinds.is_empty());
    }
    fn caller(event: &Event) -> &str {
        let Event::MessageRefused { caller, .. } = event else { panic!("{event:?}") };
        caller
    }

    #[test]
    fn a_few_are_recorded() {
        check(8, 8, &[]);
    }
    #[test]
    fn one_more_is_counted() {
        check(9, 8, &["unknown (1 more)"]);
    }
    #[test]
    fn a_flood_is_counted() {
        check(100_000, 8, &["unknown (99992 more)"]);
    }
    #[test]
    fn none_is_nothing() {
        check(0, 0, &[]);
    }
    #[test]
    fn a_flood_does_not_hide_another_kind() {
        let mut refusals = Refusals::default();
        let now = UnixTime::from_s(100);
        for _ in 0..1000 {
            refusals.note(refusal(Reason::SignatureInvalid), now, || Digest::new([7; 32]));
        }
        assert!(refusals.note(refusal(Reason::UnknownCaller), now, || Digest::new([7; 32])).is_some());
        let module = Some(Caller { module: model::Module::Identity, instance: "box".parse().unwrap() });
        let of_module = Refusal { caller: module, ..refusal(Reason::SignatureInvalid) };
        assert!(refusals.note(of_module, now, || Digest::new([7; 32])).is_some());
    }
    #[test]
    fn a_clock_that_goes_back_ends_the_period() {
        let mut refusals = Refusals::default();
        for _ in 0..10 {
            refusals.note(refusal(Reason::Replayed), UnixTime::from_s(100), || Digest::new([7; 32]));
        }
        assert_eq!(refusals.over(UnixTime::from_s(99)).iter().map(caller).collect::<Vec<_>>(), ["unknown (2 more)"]);
    }
    #[test]
    fn the_end_says_what_is_left() {
        let mut refusals = Refusals::default();
        for _ in 0..9 {
            refusals.note(refusal(Reason::Replayed), UnixTime::from_s(100), || Digest::new([7; 32]));
        }
        assert_eq!(refusals.end().len(), 1);
    }
}
