//! Names in release metadata.

use crate::fault::BadRelease;
use std::fmt;
use std::str::FromStr;

/// Longest name, in octets: a file name on every system, with room for a prefix.
pub const NAME_LEN_MAX: usize = 128;

/// A name that can stand in a file name, a log and a table as it is: of a target, a product, or a version.
///
/// Shape: 1 to [`NAME_LEN_MAX`] ASCII letters, digits, `.`, `-`, `_` or `+`, beginning with a letter or digit. So it is
/// never a path, absolute or upwards.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PlainName(String);

impl PlainName {
    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for PlainName {
    type Err = BadRelease;
    fn from_str(text: &str) -> Result<Self, BadRelease> {
        let starts_well = text.as_bytes().first().is_some_and(u8::is_ascii_alphanumeric);
        let plain = |c: u8| c.is_ascii_alphanumeric() || matches!(c, b'.' | b'-' | b'_' | b'+');
        if starts_well && text.len() <= NAME_LEN_MAX && text.bytes().all(plain) {
            Ok(Self(text.to_owned()))
        } else {
            Err(BadRelease::BadName)
        }
    }
}

impl fmt::Display for PlainName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}
impl fmt::Debug for PlainName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, ok: bool) {
        assert_eq!(text.parse::<PlainName>().is_ok(), ok, "{text:?}");
    }

    #[test]
    fn a_plain_name() {
        check("gateway-os_1.4.2+7.img", true);
    }
    #[test]
    fn nothing_is_refused() {
        check("", false);
    }
    #[test]
    fn the_longest_name() {
        check(&"a".repeat(NAME_LEN_MAX), true);
    }
    #[test]
    fn a_longer_name_is_refused() {
        check(&"a".repeat(NAME_LEN_MAX + 1), false);
    }
    #[test]
    fn the_directory_above_is_refused() {
        check("..", false);
        check("../a", false);
        check("a/../b", false);
    }
    #[test]
    fn an_absolute_path_is_refused() {
        check("/a", false);
        check("C:\\a", false);
    }
    #[test]
    fn a_backslash_is_refused() {
        check("a\\b", false);
    }
    #[test]
    fn a_control_character_is_refused() {
        check("a\nb", false);
        check("a\0", false);
    }
    #[test]
    fn a_letter_that_only_looks_plain_is_refused() {
        check("\u{212a}elvin", false);
    }
    #[test]
    fn an_option_is_refused() {
        check("-rf", false);
    }
}
