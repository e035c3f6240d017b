//! Faults with a text. Whatever comes from outside is made printable and cut here, and nowhere else.

use model::text::printable;
use ports::flasher::BoardFault;
use std::fmt::Display;

/// Longest text of a fault in characters: it stands in one line of a log or a table.
const TEXT_LEN_MAX: usize = 300;

/// The fixture failed.
pub(crate) fn fixture(what: impl Display) -> BoardFault {
    BoardFault::Fixture(printable(&what.to_string(), TEXT_LEN_MAX))
}

/// The board refused.
pub(crate) fn refused(what: impl Display) -> BoardFault {
    BoardFault::Refused(printable(&what.to_string(), TEXT_LEN_MAX))
}

/// The system refused something to the fixture.
pub(crate) fn system<'a, E: Display>(what: &'a str) -> impl FnOnce(E) -> BoardFault + use<'a, E> {
    move |error| fixture(format_args!("{what}: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_escape_sequence_is_shown_and_not_obeyed() {
        assert_eq!(refused("\u{1b}[2Jhello"), BoardFault::Refused("\\u{1b}[2Jhello".into()));
    }
    #[test]
    fn a_long_text_is_cut() {
        let BoardFault::Fixture(text) = fixture("x".repeat(1000)) else { panic!("another fault") };
        assert_eq!(text.chars().count(), TEXT_LEN_MAX + 1);
    }
}
