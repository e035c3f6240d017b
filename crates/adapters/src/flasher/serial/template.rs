//! Commands with places in them.

use super::super::fault;
use ports::flasher::BoardFault;

/// Longest command in octets, filled in: bootloaders take 256 in a line, and the mark needs some of them.
const COMMAND_LEN_MAX: usize = 200;

/// A bootloader command with named places: `virtio write {address} {block} {blocks}`.
#[derive(Clone, Debug)]
pub(super) struct Template(String);

impl Template {
    /// Reads a command that may have these places and no others.
    pub(super) fn new(text: &str, places: &[&str]) -> Result<Self, BoardFault> {
        if text.is_empty() || text.bytes().any(|c| !(b' '..=b'~').contains(&c)) {
            return Err(fault::fixture(format_args!("a command is one line of ASCII: {text}")));
        }
        let mut rest = text;
        while let Some((_, after)) = rest.split_once('{') {
            // `${name}` is the bootloader's own.
            let own = rest.len() > after.len() + 1 && rest.as_bytes().get(rest.len() - after.len() - 2) == Some(&b'$');
            let known = after.split_once('}').is_some_and(|(name, _)| own || places.contains(&name));
            if !known {
                return Err(fault::fixture(format_args!("{text}: the places here are {places:?}")));
            }
            rest = after;
        }
        Ok(Self(text.to_owned()))
    }

    /// The command with its places filled in.
    pub(super) fn fill(&self, values: &[(&str, &str)]) -> Result<String, BoardFault> {
        let mut text = self.0.clone();
        for (place, value) in values {
            text = text.replace(&format!("{{{place}}}"), value);
        }
        if text.len() > COMMAND_LEN_MAX {
            return Err(fault::fixture(format_args!("a command is longer than {COMMAND_LEN_MAX} octets: {text}")));
        }
        Ok(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: Option<&str>) {
        let filled =
            Template::new(text, &["address", "block"]).and_then(|t| t.fill(&[("address", "84"), ("block", "0")]));
        assert_eq!(filled.ok().as_deref(), expected);
    }
    #[test]
    fn places_are_filled() {
        check("mmc write {address} {block} {address}", Some("mmc write 84 0 84"));
    }
    #[test]
    fn a_command_without_places() {
        check("virtio scan", Some("virtio scan"));
    }
    #[test]
    fn a_variable_of_the_bootloader_stays() {
        check("mmc write ${ram} {block}", Some("mmc write ${ram} 0"));
    }
    #[test]
    fn an_unknown_place_is_refused() {
        check("mmc write {adress}", None);
    }
    #[test]
    fn an_open_place_is_refused() {
        check("mmc write {address", None);
    }
    #[test]
    fn a_second_line_is_refused() {
        check("mmc write\rreset", None);
    }
    #[test]
    fn nothing_is_refused() {
        check("", None);
    }
    #[test]
    fn the_longest_command_and_one_octet_more() {
        check(&"x".repeat(COMMAND_LEN_MAX), Some("x".repeat(COMMAND_LEN_MAX).as_str()));
        check(&"x".repeat(COMMAND_LEN_MAX + 1), None);
    }
}
