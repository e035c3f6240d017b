//! Remembering which messages were received.

use model::{Nonce, UnixTime};
use std::collections::{BTreeSet, HashSet};

/// Longest time between sending and receiving a message, either way: clocks of two boxes differ, and a batch may wait.
pub const WINDOW_MS: u64 = 60_000;

/// Most messages that are remembered. At the bus's own limit of about 20 000 messages a second a window would hold more,
/// but those are batches; a full memory refuses instead of forgetting.
pub const REMEMBERED_MAX: usize = 1_000_000;

/// Remembers nonces until they cannot be used any more because their message would be out of time.
#[derive(Debug, Default)]
pub struct Replay {
    seen: HashSet<Nonce>,
    by_time: BTreeSet<(UnixTime, Nonce)>,
}

/// What became of a nonce.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Seen {
    /// New, and remembered from now on.
    New,
    /// Received before.
    Before,
    /// Not remembered, because there is no room: refuse.
    NoRoom,
}

impl Replay {
    /// Takes a nonce whose message can be accepted until `until`.
    pub fn take(&mut self, nonce: Nonce, until: UnixTime, now: UnixTime) -> Seen {
        while let Some((expired, old)) = self.by_time.first().copied().filter(|(time, _)| *time < now) {
            self.by_time.remove(&(expired, old));
            self.seen.remove(&old);
        }
        if self.seen.contains(&nonce) {
            return Seen::Before;
        }
        if self.seen.len() >= REMEMBERED_MAX {
            return Seen::NoRoom;
        }
        self.seen.insert(nonce);
        self.by_time.insert((until, nonce));
        Seen::New
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn nonce(n: u8) -> Nonce {
        Nonce::new([n; 16])
    }
    const fn at(s: u64) -> UnixTime {
        UnixTime::from_s(s)
    }

    #[test]
    fn a_second_time_is_seen() {
        let mut replay = Replay::default();
        assert_eq!(replay.take(nonce(1), at(60), at(1)), Seen::New);
        assert_eq!(replay.take(nonce(1), at(60), at(2)), Seen::Before);
    }
    #[test]
    fn the_last_moment_is_remembered() {
        let mut replay = Replay::default();
        replay.take(nonce(1), at(60), at(1));
        assert_eq!(replay.take(nonce(1), at(60), at(60)), Seen::Before);
    }
    #[test]
    fn what_cannot_come_again_is_forgotten() {
        let mut replay = Replay::default();
        replay.take(nonce(1), at(60), at(1));
        replay.take(nonce(2), at(200), at(61));
        assert_eq!(replay.seen.len(), 1);
        assert_eq!(replay.by_time.len(), 1);
    }
}
