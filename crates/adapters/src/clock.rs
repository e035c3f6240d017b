//! The machine's clock and its source of randomness.

use aws_lc_rs::rand::{SecureRandom, SystemRandom};
use model::UnixTime;
use ports::{Clock, Entropy, Pause};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// The machine's clock.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> UnixTime {
        #[expect(clippy::disallowed_methods, reason = "this is the one place that reads the clock")]
        let since = SystemTime::now().duration_since(UNIX_EPOCH);
        // A clock before 1970 is a clock that was never set; what needs the time will find it behind what is recorded.
        let ms = since.map(|d| d.as_millis()).unwrap_or_default();
        UnixTime::from_ms(u64::try_from(ms).unwrap_or(u64::MAX))
    }
}

impl Pause for SystemClock {
    fn pause(&self, ms: u64) {
        let watch = Stopwatch::start();
        // A thread may be woken before its time.
        while let left @ 1.. = ms.saturating_mul(1_000_000).saturating_sub(watch.ns()) {
            std::thread::park_timeout(Duration::from_nanos(left));
        }
    }
}

/// The operating system's randomness.
#[derive(Debug, Default)]
pub struct SystemEntropy(SystemRandom);

impl Entropy for SystemEntropy {
    fn fill(&self, out: &mut [u8]) {
        if self.0.fill(out).is_err() {
            // Serial numbers and nonces that can be guessed are worse than no process.
            crate::ending::die("the operating system has no randomness");
        }
    }
}

/// Measures how long something takes, unmoved by changes of the clock. For progress, records, benchmarks, pauses, and how long somebody's
/// word is believed.
#[derive(Clone, Copy, Debug)]
pub struct Stopwatch(std::time::Instant);

impl Stopwatch {
    /// Begins now.
    #[must_use]
    pub fn start() -> Self {
        #[expect(clippy::disallowed_methods, reason = "this is the one place that measures time")]
        Self(std::time::Instant::now())
    }

    /// Nanoseconds since the beginning.
    #[must_use]
    pub fn ns(&self) -> u64 {
        u64::try_from(self.0.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }

    /// Milliseconds since the beginning.
    #[must_use]
    pub fn ms(&self) -> u64 {
        self.ns() / 1_000_000
    }
}
