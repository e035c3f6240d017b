//! What somebody was told, who is to be told of news: each again until he has heard it, and nobody more than needs be.

use model::UnixTime;
use serde::{Deserialize, Serialize};

/// Longest wait between two attempts, in seconds.
pub const AGAIN_MAX_S: u64 = 3600;
/// Wait after the first attempt that failed, in seconds; each further one doubles it.
const AGAIN_S: u64 = 2;
/// Longest reason that is kept, in characters.
const WHY_LEN_MAX: usize = 200;

/// Most subscribers of one repository or director.
pub const SUBSCRIBERS_MAX: usize = 64;

/// Who wants to be told, and how far he was.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Subscriber {
    /// Under which name he is known here: a [`crate::PlainName`].
    pub name: String,
    /// Where. It may be a secret in itself, so it is shown to whoever keeps it only.
    pub url: String,
    /// The file of the secret that signs what he is told.
    pub secret_file: String,
    /// The file of the certificates, by one of which that of his server must be issued.
    pub anchors_file: Option<String>,
    /// How far he was told.
    #[serde(default)]
    pub told: Told,
}

/// How far somebody was told. What is newer takes the place of what he was not told yet: he hears that there is news, and of the latest.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Told {
    /// The number that he has heard.
    pub number: u64,
    /// How many attempts have failed since.
    pub failures: u32,
    /// When he is told again, after one that failed.
    pub again_at: UnixTime,
    /// Why the last one failed.
    pub why: Option<String>,
}

impl Told {
    /// Whether he is to be told of this number now.
    #[must_use]
    pub fn is_due(&self, number: u64, now: UnixTime) -> bool {
        self.waits(number) && self.again_at <= now
    }
    /// Whether he has not heard of this number yet.
    #[must_use]
    pub const fn waits(&self, number: u64) -> bool {
        self.number < number
    }
    /// He has heard it.
    #[must_use]
    pub fn heard(&self, number: u64) -> Self {
        Self { number: self.number.max(number), ..Self::default() }
    }
    /// He has not. `random` spreads those who failed together.
    #[must_use]
    pub fn failed(&self, why: &str, now: UnixTime, random: u16) -> Self {
        let failures = self.failures.saturating_add(1);
        let wait_ms = AGAIN_S.saturating_mul(1 << (failures - 1).min(16)).min(AGAIN_MAX_S) * 1000;
        // Between half of it and all of it.
        let wait_ms = wait_ms / 2 + wait_ms / 2 * u64::from(random) / u64::from(u16::MAX);
        let why = model::text::printable(why, WHY_LEN_MAX);
        Self { number: self.number, failures, again_at: now.plus_ms(wait_ms), why: Some(why) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: UnixTime = UnixTime::from_s(1_790_000_000);

    #[test]
    fn who_has_heard_is_told_no_more_until_there_is_something_newer() {
        let told = Told::default().heard(5);
        assert!(!told.is_due(5, NOW) && told.is_due(6, NOW));
        assert_eq!(told.heard(4).number, 5, "a late answer takes nothing back");
    }
    #[test]
    fn waits_double_up_to_an_hour() {
        let waits = |random| {
            let mut told = Told::default();
            let mut waits = Vec::new();
            for _ in 0..100 {
                told = told.failed("gone", NOW, random);
                waits.push(told.again_at.since_ms(NOW));
            }
            waits
        };
        assert_eq!(waits(u16::MAX)[..4], [2000, 4000, 8000, 16_000]);
        assert_eq!(waits(0)[..4], [1000, 2000, 4000, 8000]);
        assert_eq!((waits(u16::MAX)[99], waits(0)[99]), (3_600_000, 1_800_000));
    }
    #[test]
    fn who_failed_is_told_again_and_never_given_up() {
        let told = Told::default().failed("gone", NOW, u16::MAX);
        assert!(!told.is_due(1, NOW.plus_s(1)) && told.is_due(1, NOW.plus_s(2)));
        let told = (0..u32::from(u16::MAX)).fold(told, |told, _| told.failed("gone", NOW, 0));
        assert!(told.is_due(1, NOW.plus_s(AGAIN_MAX_S)));
    }
}
