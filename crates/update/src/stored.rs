//! Verifying a stored release again, all of it: what a station does before it puts software on a device.

use crate::fault::BadRelease;
use crate::metadata::{Countersigned, Metadata, Threshold, Verified};
use crate::statement::Statement;
use model::UnixTime;
use x509::{PublicKey, sha256};

/// How far the clock of the one who verified may be ahead of ours, in seconds.
pub const CLOCK_SKEW_MAX_S: u64 = 300;

/// What a check of one signature came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It holds.
    Holds,
    /// It does not hold, or not for this release.
    Fails,
}

/// Whether a stored release may be used, given what became of its two signatures.
///
/// # Errors
/// [`BadRelease::UpstreamInvalid`] or [`BadRelease::CountersignatureInvalid`] stop the device;
/// [`BadRelease::BothInvalid`] seals the box.
pub const fn decide(upstream: Outcome, countersignature: Outcome) -> Result<(), BadRelease> {
    match (upstream, countersignature) {
        (Outcome::Holds, Outcome::Holds) => Ok(()),
        (Outcome::Fails, Outcome::Holds) => Err(BadRelease::UpstreamInvalid),
        (Outcome::Holds, Outcome::Fails) => Err(BadRelease::CountersignatureInvalid),
        (Outcome::Fails, Outcome::Fails) => Err(BadRelease::BothInvalid),
    }
}

/// A release as it lies in the store.
#[derive(Clone, Copy, Debug)]
pub struct StoredRelease<'a> {
    /// The metadata file.
    pub metadata: &'a [u8],
    /// The payload of the countersignature, if its seal holds under sm's key; `None` if it does not.
    pub statement: Option<&'a [u8]>,
}

/// What a stored release must satisfy.
#[derive(Clone, Copy, Debug)]
pub struct Terms<'a> {
    /// The keys whose releases are taken.
    pub keys: &'a [PublicKey],
    /// How many of them must have signed.
    pub threshold: Threshold,
    /// The time.
    pub now: UnixTime,
    /// How long ago sm may have verified the release, in seconds.
    pub bundle_age_max_s: u64,
}

impl StoredRelease<'_> {
    /// Verifies both signatures, then that the metadata was current when sm verified it, and that this was not too long
    /// ago. What comes next is its image ([`Metadata::verify_image`]), then its device
    /// ([`crate::VerifiedImage::clear`]).
    ///
    /// # Errors
    /// Those of [`decide`]; then [`BadRelease::FromTheFuture`] and [`BadRelease::Expired`].
    pub fn verify(&self, terms: &Terms<'_>) -> Result<Metadata<Countersigned>, BadRelease> {
        let upstream = Metadata::decode(self.metadata).and_then(|m| m.verify(terms.keys, terms.threshold)).ok();
        let statement = self.statement.and_then(|payload| Statement::decode(payload).ok());
        let statement = statement.filter(|s| self.is_countersigned(s, upstream.as_ref()));
        decide(outcome(upstream.as_ref()), outcome(statement.as_ref()))?;
        let (Some(metadata), Some(statement)) = (upstream, statement) else {
            unreachable!("decide() lets nothing pass that lacks one of them")
        };
        if statement.verified_at > terms.now.plus_s(CLOCK_SKEW_MAX_S) {
            return Err(BadRelease::FromTheFuture);
        }
        if terms.now.since_ms(statement.verified_at) > terms.bundle_age_max_s.saturating_mul(1000) {
            return Err(BadRelease::Expired);
        }
        metadata.countersigned(statement.verified_at)
    }

    // If the metadata does not verify, its contents say nothing; that the statement is of these octets says enough.
    fn is_countersigned(&self, statement: &Statement, upstream: Option<&Metadata<Verified>>) -> bool {
        match upstream {
            Some(metadata) => statement.is_of(metadata),
            None => statement.metadata_sha256 == sha256(self.metadata),
        }
    }
}

const fn outcome<T>(proved: Option<&T>) -> Outcome {
    match proved {
        Some(_) => Outcome::Holds,
        None => Outcome::Fails,
    }
}

#[cfg(test)]
mod tests {
    use super::Outcome::{Fails, Holds};
    use super::*;

    #[track_caller]
    fn check(upstream: Outcome, countersignature: Outcome, expected: Result<(), BadRelease>) {
        assert_eq!(decide(upstream, countersignature), expected);
    }

    #[test]
    fn both_hold() {
        check(Holds, Holds, Ok(()));
    }
    #[test]
    fn upstream_fails() {
        check(Fails, Holds, Err(BadRelease::UpstreamInvalid));
    }
    #[test]
    fn countersignature_fails() {
        check(Holds, Fails, Err(BadRelease::CountersignatureInvalid));
    }
    #[test]
    fn both_fail() {
        check(Fails, Fails, Err(BadRelease::BothInvalid));
    }
}
