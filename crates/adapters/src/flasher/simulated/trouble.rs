//! What goes wrong with a simulated board.

use super::super::fault;
use model::BoardId;
use ports::flasher::{BoardFault, Part};
use serde::Deserialize;

/// Something that goes wrong, and with which boards: one by its identifier, or every n-th of the fixture.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Trouble {
    /// What goes wrong.
    pub kind: Kind,
    /// With this board.
    pub board: Option<BoardId>,
    /// With the n-th board of the fixture, the 2n-th, and so on.
    pub every: Option<std::num::NonZeroUsize>,
    /// How far the image is written when it happens, in percent of its length: for `cable-out` and `flip` only.
    pub percent: Option<u8>,
    /// Which step is refused: for `refuse` only.
    pub step: Option<Step>,
    /// How often it happens to one board; always, if it is not given.
    pub times: Option<u32>,
}

/// What goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// The board does not answer to anything. Counted once for each time it is taken up.
    Silent,
    /// The cable comes out while the image is written; the board is silent until it is taken up anew.
    CableOut,
    /// One octet of the image changes on its way into the board's memory.
    Flip,
    /// The board loses its key when its certificate has been written.
    ForgetKey,
    /// A step is refused.
    Refuse,
    /// The challenge is signed by another key.
    WrongKey,
}

/// A step of the station with a board.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[expect(missing_docs, reason = "the names are those of the trait's functions and of the parts")]
pub enum Step {
    Identify,
    Installed,
    Flash,
    TrustAnchors,
    CertificateChain,
    Key,
    Prove,
}

impl From<Part> for Step {
    fn from(part: Part) -> Self {
        match part {
            Part::TrustAnchors => Self::TrustAnchors,
            Part::CertificateChain => Self::CertificateChain,
        }
    }
}

impl Trouble {
    pub(super) fn check(&self) -> Result<(), BoardFault> {
        let with_percent = matches!(self.kind, Kind::CableOut | Kind::Flip);
        if self.percent.is_some() != with_percent || self.percent.is_some_and(|p| p > 100) {
            Err(fault::fixture("faults cable-out and flip, and no others, have a percent of 0 to 100"))
        } else if self.step.is_some() != (self.kind == Kind::Refuse) {
            Err(fault::fixture("the fault refuse, and no other, has a step"))
        } else if self.board.is_some() == self.every.is_some() {
            Err(fault::fixture("a fault is for one board or for every n-th"))
        } else {
            Ok(())
        }
    }

    /// Whether it happens to the board at this place of the fixture, counted from 0.
    pub(super) fn hits(&self, board: &BoardId, place: usize) -> bool {
        self.board.as_ref() == Some(board) || self.every.is_some_and(|n| (place + 1).is_multiple_of(n.get()))
    }

    /// The octet of the image at which it happens.
    pub(super) fn at(&self, length: u64) -> u64 {
        let percent = u64::from(self.percent.unwrap_or(0));
        // Divided first where the product would run over: such an image has exabytes.
        length.checked_mul(percent).map_or(length / 100 * percent, |product| product / 100)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(toml: &str, ok: bool) {
        let trouble: Result<Trouble, _> = toml::from_str(toml);
        assert_eq!(trouble.is_ok_and(|t| t.check().is_ok()), ok, "{toml}");
    }
    #[test]
    fn a_flip_at_a_percent() {
        check("kind = 'flip'\nboard = 'B1'\npercent = 50", true);
    }
    #[test]
    fn a_flip_without_percent_is_refused() {
        check("kind = 'flip'\nboard = 'B1'", false);
    }
    #[test]
    fn a_percent_above_a_hundred_is_refused() {
        check("kind = 'flip'\nboard = 'B1'\npercent = 101", false);
    }
    #[test]
    fn a_refused_step() {
        check("kind = 'refuse'\nevery = 3\nstep = 'certificate-chain'", true);
    }
    #[test]
    fn a_refusal_of_no_step_is_refused() {
        check("kind = 'refuse'\nevery = 3", false);
    }
    #[test]
    fn silence_has_no_percent() {
        check("kind = 'silent'\nevery = 3\npercent = 1", false);
    }
    #[test]
    fn a_fault_of_nobody_is_refused() {
        check("kind = 'silent'", false);
    }
    #[test]
    fn a_fault_of_one_and_of_many_is_refused() {
        check("kind = 'silent'\nevery = 3\nboard = 'B1'", false);
    }
    #[test]
    fn every_zeroth_is_refused() {
        check("kind = 'silent'\nevery = 0", false);
    }
    #[test]
    fn unknown_members_are_refused() {
        check("kind = 'silent'\nevery = 1\nlater = true", false);
    }
    #[test]
    fn every_third_board() {
        let trouble: Trouble = toml::from_str("kind = 'silent'\nevery = 3").unwrap();
        let hit: Vec<_> = (0..7).filter(|n| trouble.hits(&"B1".parse().unwrap(), *n)).collect();
        assert_eq!(hit, [2, 5]);
    }
}
