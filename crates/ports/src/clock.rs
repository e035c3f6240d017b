//! Time and randomness, which nobody below the adapters takes for himself.

use model::{Nonce, UnixTime};

/// Tells the time.
pub trait Clock: Send + Sync {
    /// The time of day.
    fn now(&self) -> UnixTime;
}

/// Lets time pass.
pub trait Pause: Send + Sync {
    /// Comes back when at least so many milliseconds have passed.
    fn pause(&self, ms: u64);
}

/// Gives random octets, fit for keys and nonces.
pub trait Entropy: Send + Sync {
    /// Fills `out`. A source that has none ends the process: nothing safe can be done without it.
    fn fill(&self, out: &mut [u8]);
}

/// A fresh array of random octets.
pub fn random<const N: usize>(entropy: &dyn Entropy) -> [u8; N] {
    let mut octets = [0; N];
    entropy.fill(&mut octets);
    octets
}

/// A fresh nonce.
pub fn nonce(entropy: &dyn Entropy) -> Nonce {
    Nonce::new(random(entropy))
}
