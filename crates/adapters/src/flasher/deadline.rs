//! Waiting, never longer than allowed.

use super::fault;
use model::UnixTime;
use ports::Clock;
use ports::flasher::BoardFault;
use rustix::event::{PollFd, Timespec};
use rustix::io::Errno;
use std::sync::Arc;

/// How much time is left for one step.
///
/// Time is counted twice, by the clock and by the waits themselves, and the larger count holds: a clock that stands or
/// is set back never makes a step longer. A clock that is set forward may end it early, and a repetition helps.
pub(crate) struct Deadline {
    clock: Arc<dyn Clock>,
    seen: UnixTime,
    left_ms: u64,
}

impl Deadline {
    pub(crate) fn new(clock: &Arc<dyn Clock>, time_max_ms: u64) -> Self {
        Self { clock: Arc::clone(clock), seen: clock.now(), left_ms: time_max_ms }
    }

    pub(crate) fn left_ms(&mut self) -> u64 {
        self.spend(0);
        self.left_ms
    }

    pub(crate) fn is_over(&mut self) -> bool {
        self.left_ms() == 0
    }

    /// A wait of `waited_ms` has passed without an event.
    pub(crate) fn spend(&mut self, waited_ms: u64) {
        let now = self.clock.now();
        let passed_ms = now.since_ms(self.seen).max(waited_ms);
        self.seen = now;
        self.left_ms = self.left_ms.saturating_sub(passed_ms);
    }

    /// Does something that may take at most `time_max_ms` of the time that is left.
    pub(crate) fn within<T>(&mut self, time_max_ms: u64, work: impl FnOnce(&mut Self) -> T) -> T {
        let allowed_ms = time_max_ms.min(self.left_ms());
        let mut slice = Self::new(&self.clock, allowed_ms);
        let done = work(&mut slice);
        self.spend(allowed_ms.saturating_sub(slice.left_ms));
        done
    }

    /// Waits for an event on one of `fds`, at most `slice_ms` and never beyond the deadline; whether there was one.
    pub(crate) fn wait(&mut self, fds: &mut [PollFd<'_>], slice_ms: u64) -> Result<bool, BoardFault> {
        let wait_ms = self.left_ms().min(slice_ms);
        let timeout = Timespec {
            tv_sec: i64::try_from(wait_ms / 1000).unwrap_or(i64::MAX),
            tv_nsec: i64::try_from(wait_ms % 1000).unwrap_or(0) * 1_000_000,
        };
        match rustix::event::poll(fds, Some(&timeout)) {
            Ok(0) => {
                self.spend(wait_ms);
                Ok(false)
            }
            // A signal is an event too: the caller looks, finds nothing, and comes back with what is left.
            Ok(_) | Err(Errno::INTR) => Ok(true),
            Err(error) => Err(fault::system("waiting")(error)),
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use std::sync::Mutex;

    /// A clock that shows what it is told to show.
    pub(crate) struct Told(pub(crate) Mutex<u64>);
    impl Clock for Told {
        fn now(&self) -> UnixTime {
            UnixTime::from_ms(*self.0.lock().unwrap())
        }
    }
    pub(crate) fn standing() -> Arc<dyn Clock> {
        Arc::new(Told(Mutex::new(1_000_000)))
    }

    #[track_caller]
    fn check(shown: &[u64], waited_ms: u64, left_ms: u64) {
        let told = Arc::new(Told(Mutex::new(1000)));
        let clock: Arc<dyn Clock> = told.clone();
        let mut deadline = Deadline::new(&clock, 100);
        for ms in shown {
            *told.0.lock().unwrap() = *ms;
            deadline.spend(waited_ms);
        }
        assert_eq!(deadline.left_ms(), left_ms);
    }

    #[test]
    fn time_passes_by_the_clock() {
        check(&[1030], 0, 70);
    }
    #[test]
    fn time_passes_by_waiting_where_the_clock_stands() {
        check(&[1000, 1000], 20, 60);
    }
    #[test]
    fn a_clock_set_back_gives_no_time() {
        check(&[1090, 0, 5], 0, 5);
    }
    #[test]
    fn a_clock_set_forward_ends_the_step() {
        check(&[9000], 0, 0);
    }
    #[test]
    fn a_part_takes_no_more_than_is_left_and_is_charged_for_what_it_took() {
        let mut deadline = Deadline::new(&standing(), 100);
        deadline.within(60, |slice| slice.spend(30));
        assert_eq!(deadline.left_ms(), 70);
        assert_eq!(deadline.within(90, Deadline::left_ms), 70);
    }
    #[test]
    fn a_wait_that_the_clock_saw_counts_once() {
        check(&[1020], 20, 80);
    }
}
