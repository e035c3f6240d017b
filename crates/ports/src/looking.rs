//! Looking where a name is to be proved.

use model::Reason;
use model::contract::acme::{Look, SeenThere};

/// Looks, and decides nothing: whoever asked knows what has to be there.
pub trait Looker: Send + Sync {
    /// What is there.
    ///
    /// # Errors
    /// One of the reasons [`Reason::ChallengeUnnamed`], [`Reason::ChallengeUnreached`], [`Reason::ChallengeAddress`],
    /// [`Reason::ChallengeRedirect`], [`Reason::ChallengeTooLong`], [`Reason::ChallengeSlow`], [`Reason::ChallengeTls`],
    /// [`Reason::ChallengeWrong`].
    fn look(&self, look: &Look) -> Result<SeenThere, Reason>;
}
