//! Places of a fixture.

use serde::Deserialize;
use std::fmt;

/// Longest name of a slot in letters.
const NAME_LEN_MAX: usize = 32;
/// Most slots of one fixture: the largest trays hold some hundred boards.
const SLOTS_MAX: usize = 1024;

/// The name of a place in a fixture. Shape: 1 to 32 letters, digits, `-` or `_`, so that it can stand in a path.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Deserialize)]
#[serde(try_from = "String")]
pub struct Slot(String);

/// The name is empty, too long, or written with other letters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BadSlot;

impl fmt::Display for BadSlot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a slot is 1 to 32 letters, digits, '-' or '_'")
    }
}
impl std::error::Error for BadSlot {}

impl TryFrom<String> for Slot {
    type Error = BadSlot;
    fn try_from(name: String) -> Result<Self, BadSlot> {
        let allowed = |c: u8| c.is_ascii_alphanumeric() || matches!(c, b'-' | b'_');
        let fits = !name.is_empty() && name.len() <= NAME_LEN_MAX && name.bytes().all(allowed);
        if fits { Ok(Self(name)) } else { Err(BadSlot) }
    }
}

impl Slot {
    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
    /// A path or argument with every `{slot}` replaced by the name.
    pub(crate) fn fill(&self, template: &str) -> String {
        template.replace(PLACE, &self.0)
    }
}

/// What stands for the slot's name in a path.
pub(crate) const PLACE: &str = "{slot}";

/// One slot named `0`: a fixture for one board.
pub(crate) fn one() -> Vec<Slot> {
    vec![Slot("0".to_owned())]
}

/// Checks the slots of a fixture: at least one, none twice, and with more than one, paths that tell them apart.
pub(crate) fn check(slots: &[Slot], template: Option<&str>) -> Result<(), &'static str> {
    let mut seen = std::collections::HashSet::new();
    if slots.is_empty() {
        Err("a fixture has at least one slot")
    } else if slots.len() > SLOTS_MAX {
        Err("a fixture has at most 1024 slots")
    } else if !slots.iter().all(|slot| seen.insert(slot)) {
        Err("two slots have one name")
    } else if slots.len() > 1 && template.is_some_and(|t| !t.contains(PLACE)) {
        Err("several slots need a path with {slot} in it")
    } else {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn name(text: &str, ok: bool) {
        assert_eq!(Slot::try_from(text.to_owned()).is_ok(), ok, "{text:?}");
    }
    #[test]
    fn a_plain_name() {
        name("left-2", true);
    }
    #[test]
    fn nothing_is_no_name() {
        name("", false);
    }
    #[test]
    fn a_path_is_refused() {
        name("../sda", false);
    }
    #[test]
    fn thirty_two_letters() {
        name(&"a".repeat(32), true);
    }
    #[test]
    fn thirty_three_letters_are_refused() {
        name(&"a".repeat(33), false);
    }

    #[track_caller]
    fn slots(names: &[&str], template: &str, ok: bool) {
        let slots: Vec<_> = names.iter().map(|n| Slot((*n).into())).collect();
        assert_eq!(check(&slots, Some(template)).is_ok(), ok);
    }
    #[test]
    fn one_slot_needs_no_place() {
        slots(&["0"], "/dev/sdx", true);
    }
    #[test]
    fn two_slots_with_a_place() {
        slots(&["0", "1"], "/dev/mmc{slot}", true);
    }
    #[test]
    fn two_slots_on_one_path_are_refused() {
        slots(&["0", "1"], "/dev/sdx", false);
    }
    #[test]
    fn a_slot_twice_is_refused() {
        slots(&["0", "0"], "{slot}", false);
    }
    #[test]
    fn no_slot_is_refused() {
        slots(&[], "{slot}", false);
    }
}
