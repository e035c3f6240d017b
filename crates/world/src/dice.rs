//! Chance, all of it from one number.

use ports::Entropy;
use std::sync::{Mutex, PoisonError};

/// A sequence of numbers that depends on its seed only. Source: SplitMix64 (Steele, Lea, Flood 2014).
#[derive(Clone, Debug)]
pub struct Dice(u64);

impl Dice {
    /// The sequence of a seed, another one for each use of it.
    #[must_use]
    pub fn new(seed: u64, purpose: &str) -> Self {
        let digest = x509::sha256(format!("{seed} {purpose}").as_bytes());
        Self(digest.octets().iter().take(8).fold(0, |n, octet| n << 8 | u64::from(*octet)))
    }

    /// The next number.
    pub fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `end`; 0 if there is none.
    pub fn below(&mut self, end: u64) -> u64 {
        self.roll().checked_rem(end).unwrap_or(0)
    }

    /// A number of a range, ends included.
    pub fn between(&mut self, first: u64, last: u64) -> u64 {
        first + self.below((last + 1).saturating_sub(first))
    }

    /// True so often in a thousand times.
    pub fn hits(&mut self, per_mille: u64) -> bool {
        self.below(1000) < per_mille
    }

    /// One of several, if there is one.
    pub fn pick<'t, T>(&mut self, of: &'t [T]) -> Option<&'t T> {
        let n = self.below(u64::try_from(of.len()).unwrap_or(u64::MAX));
        of.get(usize::try_from(n).unwrap_or(usize::MAX))
    }
}

/// What the modules take for randomness.
#[derive(Debug)]
pub struct Seeded(Mutex<Dice>);

impl Seeded {
    /// Randomness from a seed.
    #[must_use]
    pub fn new(seed: u64, purpose: &str) -> Self {
        Self(Mutex::new(Dice::new(seed, purpose)))
    }
}

impl Entropy for Seeded {
    fn fill(&self, out: &mut [u8]) {
        let mut dice = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for chunk in out.chunks_mut(8) {
            chunk.iter_mut().zip(dice.roll().to_be_bytes()).for_each(|(to, from)| *to = from);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_seed_has_one_sequence() {
        let rolls = |seed, purpose| {
            let mut dice = Dice::new(seed, purpose);
            [dice.roll(), dice.roll(), dice.below(10), dice.between(5, 7)]
        };
        assert_eq!(rolls(1, "a"), rolls(1, "a"));
        assert_ne!(rolls(1, "a"), rolls(2, "a"));
        assert_ne!(rolls(1, "a"), rolls(1, "b"));
    }
    #[test]
    fn numbers_stay_in_their_range() {
        let mut dice = Dice::new(0, "range");
        assert!((0..1000).all(|_| (5..=7).contains(&dice.between(5, 7))));
        assert_eq!(dice.below(0), 0);
        assert_eq!(dice.pick::<u8>(&[]), None);
    }
}
