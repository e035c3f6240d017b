//! Remembering which messages were received.
//!
//! Each caller has a memory of its own, so that nobody can fill another's, or use up another's nonces.

use crate::directory::Caller;
use crate::store::StoreFault;
use model::contract::Subject;
use model::{Nonce, UnixTime};
use std::collections::{BTreeMap, HashMap, HashSet};

/// Longest time between sending and receiving a message, either way: clocks of two boxes differ, and a batch may wait.
pub const WINDOW_MS: u64 = 60_000;

/// Most messages of one caller that are remembered: two cores cannot seal and open more in the half minute that a caller
/// waits. A full memory refuses instead of forgetting.
pub const REMEMBERED_MAX: usize = 500_000;

/// Most messages of all callers that are remembered: 80 MiB at the worst.
pub const REMEMBERED_ALL_MAX: usize = 4 * REMEMBERED_MAX;

/// Remembers messages for all processes of a module, where it has several: whoever controls the bus can bring one's
/// message to another.
pub trait Received: Send + Sync {
    /// Notes a message of `caller` that can be accepted until `until`, durable when this returns. Gives whether it is new.
    ///
    /// # Errors
    /// [`StoreFault`]; then it is not known, and nobody acts on it.
    fn note(&self, caller: &Caller, nonce: Nonce, until: UnixTime) -> Result<bool, StoreFault>;
}

/// Whether a call has no other effect when it is carried out a second time: a transaction is named in it and has one
/// certificate, or it changes nothing that matters.
pub(crate) const fn is_harmless_again(subject: Subject) -> bool {
    matches!(
        subject,
        Subject::AuthorityCertify
            | Subject::AuthorityOcsp
            | Subject::AuthorityCrl
            | Subject::AuthorityFilter
            | Subject::AuthorityEnrol
            | Subject::AuthorityCaCertificates
            | Subject::AuthoritySealingKey
            | Subject::AuthorityCurrentCrl
            | Subject::ProvisioningWatch
            | Subject::ModeLease
            | Subject::ModeAsk
            | Subject::ModeShow
    )
}

/// Remembers nonces until they cannot be used any more because their message would be out of time.
#[derive(Debug)]
pub struct Replay {
    callers: HashMap<Caller, Memory>,
    len: usize,
    len_max: usize,
    len_all_max: usize,
    /// What could be accepted until this second may have been received and forgotten. It matters when the clock goes
    /// back.
    forgotten_s: Option<u64>,
}

/// The nonces of one caller by the second in which their message can be accepted last. A message that comes again names
/// the same time, because both are under one seal.
#[derive(Debug, Default)]
struct Memory {
    seconds: BTreeMap<u64, HashSet<Nonce>>,
    len: usize,
}

/// What became of a nonce.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Seen {
    /// New, and remembered from now on.
    New,
    /// Received before, or so long ago that it may have been forgotten.
    Before,
    /// Not remembered, because there is no room: refuse.
    NoRoom,
}

impl Default for Replay {
    fn default() -> Self {
        Self::bounded(REMEMBERED_MAX, REMEMBERED_ALL_MAX)
    }
}

impl Replay {
    fn bounded(len_max: usize, len_all_max: usize) -> Self {
        Self { callers: HashMap::new(), len: 0, len_max, len_all_max, forgotten_s: None }
    }

    /// Takes a nonce of a message of `caller` that can be accepted until `until`.
    pub fn take(&mut self, caller: &Caller, nonce: Nonce, until: UnixTime, now: UnixTime) -> Seen {
        self.forget(now);
        if self.forgotten_s.is_some_and(|forgotten| until.s() <= forgotten) {
            return Seen::Before;
        }
        // Not `entry`, which would need a copy of the name each time.
        if !self.callers.contains_key(caller) {
            self.callers.insert(caller.clone(), Memory::default());
        }
        let Some(memory) = self.callers.get_mut(caller) else { return Seen::NoRoom };
        if memory.seconds.get(&until.s()).is_some_and(|nonces| nonces.contains(&nonce)) {
            return Seen::Before;
        }
        if memory.len >= self.len_max || self.len >= self.len_all_max {
            return Seen::NoRoom;
        }
        memory.seconds.entry(until.s()).or_default().insert(nonce);
        memory.len += 1;
        self.len += 1;
        Seen::New
    }

    /// Forgets what was out of time before the present second.
    fn forget(&mut self, now: UnixTime) {
        // Once a second, not once a message.
        if self.forgotten_s.is_some_and(|forgotten| now.s() <= forgotten.saturating_add(1)) {
            return;
        }
        for memory in self.callers.values_mut() {
            let kept = memory.seconds.split_off(&now.s());
            let gone: usize = std::mem::replace(&mut memory.seconds, kept).values().map(HashSet::len).sum();
            memory.len -= gone;
            self.len -= gone;
        }
        self.forgotten_s = now.s().checked_sub(1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::Module;

    const fn nonce(n: u8) -> Nonce {
        Nonce::new([n; 16])
    }
    const fn at(s: u64) -> UnixTime {
        UnixTime::from_s(s)
    }
    fn caller(module: Module) -> Caller {
        Caller { module, instance: "box".parse().unwrap() }
    }

    /// A nonce of the console, how long its message can be accepted, when it comes, what becomes of it.
    type Step = (u8, u64, u64, Seen);

    #[track_caller]
    fn check(steps: &[Step]) -> Replay {
        let mut replay = Replay::bounded(3, 4);
        for (n, (nonce_of, until, now, expected)) in steps.iter().enumerate() {
            let found = replay.take(&caller(Module::Console), nonce(*nonce_of), at(*until), at(*now));
            assert_eq!(found, *expected, "step {n}");
        }
        replay
    }

    #[test]
    fn a_second_time_is_seen() {
        check(&[(1, 60, 1, Seen::New), (1, 60, 2, Seen::Before)]);
    }
    #[test]
    fn the_last_moment_is_remembered() {
        check(&[(1, 60, 1, Seen::New), (1, 60, 60, Seen::Before)]);
    }
    #[test]
    fn what_cannot_come_again_is_forgotten() {
        let replay = check(&[(1, 60, 1, Seen::New), (2, 200, 61, Seen::New)]);
        assert_eq!(replay.len, 1);
    }
    #[test]
    fn what_was_forgotten_is_refused_when_the_clock_went_back() {
        check(&[(1, 60, 1, Seen::New), (2, 200, 180, Seen::New), (1, 60, 2, Seen::Before)]);
    }
    #[test]
    fn what_is_still_remembered_is_new_once_when_the_clock_went_back() {
        check(&[(1, 60, 50, Seen::New), (2, 60, 20, Seen::New), (1, 60, 20, Seen::Before)]);
    }
    #[test]
    fn a_full_memory_refuses() {
        check(&[(1, 60, 1, Seen::New), (2, 60, 1, Seen::New), (3, 60, 1, Seen::New), (4, 60, 1, Seen::NoRoom)]);
    }
    #[test]
    fn a_full_memory_still_knows_what_it_has_seen() {
        check(&[(1, 60, 1, Seen::New), (2, 60, 1, Seen::New), (3, 60, 1, Seen::New), (2, 60, 1, Seen::Before)]);
    }
    #[test]
    fn a_full_memory_has_room_again_when_time_went_on() {
        check(&[(1, 60, 1, Seen::New), (2, 60, 1, Seen::New), (3, 70, 1, Seen::New), (4, 99, 61, Seen::New)]);
    }
    #[test]
    fn nobody_uses_up_the_nonces_of_another() {
        let mut replay = check(&[(1, 60, 1, Seen::New)]);
        assert_eq!(replay.take(&caller(Module::Identity), nonce(1), at(60), at(1)), Seen::New);
    }
    #[test]
    fn nobody_fills_the_memory_of_another() {
        let mut replay = check(&[(1, 60, 1, Seen::New), (2, 60, 1, Seen::New), (3, 60, 1, Seen::New)]);
        assert_eq!(replay.take(&caller(Module::Identity), nonce(4), at(60), at(1)), Seen::New);
        assert_eq!(replay.take(&caller(Module::Software), nonce(5), at(60), at(1)), Seen::NoRoom);
    }
}
