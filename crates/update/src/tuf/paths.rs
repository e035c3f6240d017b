//! Which targets a delegation is about: patterns, and bins by hash.

use super::fault::BadMetadata;
use super::names::is_role_name;
use crate::BadRelease;
use crate::metadata::{Object, number, text};
use x509::sha256;

/// Longest pattern, in characters.
const PATTERN_LEN_MAX: usize = 1024;
/// Most bits that choose a bin. Source: TAP 15.
const BITS_MAX: u64 = 32;

/// A pattern as a shell knows it, part by part: no wildcard stands for a `/`. Source: TUF 1.0.34 §4.5, PATHPATTERN.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Pattern {
    parts: Vec<Vec<One>>,
}

// What stands for one character, or for any number of them.
#[derive(Clone, Debug, PartialEq, Eq)]
enum One {
    Is(char),
    Any,
    Of { ranges: Vec<(char, char)>, not: bool },
    Star,
}

impl One {
    fn takes(&self, c: char) -> bool {
        match self {
            Self::Is(own) => *own == c,
            Self::Any => true,
            Self::Of { ranges, not } => ranges.iter().any(|(from, to)| (*from..=*to).contains(&c)) != *not,
            Self::Star => false,
        }
    }
}

impl Pattern {
    pub(super) fn read(text: &str) -> Result<Self, BadRelease> {
        if text.is_empty() || text.chars().count() > PATTERN_LEN_MAX {
            return Err(BadRelease::Field("paths"));
        }
        let part = |text: &str| read_part(&text.chars().collect::<Vec<_>>());
        Ok(Self { parts: text.split('/').map(part).collect() })
    }

    pub(super) fn matches(&self, target: &str) -> bool {
        let parts: Vec<&str> = target.split('/').collect();
        let all = |(pattern, part): (&Vec<One>, &&str)| part_matches(pattern, &part.chars().collect::<Vec<_>>());
        parts.len() == self.parts.len() && self.parts.iter().zip(&parts).all(all)
    }
}

fn read_part(mut text: &[char]) -> Vec<One> {
    let mut part = Vec::new();
    while let Some((first, rest)) = text.split_first() {
        text = rest;
        part.push(match first {
            '*' => One::Star,
            '?' => One::Any,
            '[' => match read_set(rest) {
                Some((set, after)) => {
                    text = after;
                    set
                }
                // A bracket that is never closed is one.
                None => One::Is('['),
            },
            c => One::Is(*c),
        });
    }
    part
}

// What follows `[`: `!` for all others, then characters and ranges; a `]` that comes first is one of them.
fn read_set(text: &[char]) -> Option<(One, &[char])> {
    let (not, text) = match text.split_first() {
        Some(('!', rest)) => (true, rest),
        _ => (false, text),
    };
    let end = 1 + text.iter().skip(1).position(|c| *c == ']')?;
    let (mut inside, after) = (text.get(..end)?, text.get(end + 1..)?);
    let mut ranges = Vec::new();
    while let Some((from, rest)) = inside.split_first() {
        inside = match rest {
            ['-', to, rest @ ..] => {
                ranges.push((*from, *to));
                rest
            }
            _ => {
                ranges.push((*from, *from));
                rest
            }
        };
    }
    Some((One::Of { ranges, not }, after))
}

// Only the last star is ever tried again, so this takes at most the product of both lengths.
fn part_matches(pattern: &[One], text: &[char]) -> bool {
    let (mut at, mut seen) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    while let Some(c) = text.get(seen) {
        match pattern.get(at) {
            Some(One::Star) => {
                star = Some((at + 1, seen));
                at += 1;
            }
            Some(one) if one.takes(*c) => (at, seen) = (at + 1, seen + 1),
            _ => {
                let Some((after, from)) = star else { return false };
                (at, seen) = (after, from + 1);
                star = Some((after, from + 1));
            }
        }
    }
    pattern.iter().skip(at).all(|one| *one == One::Star)
}

/// Bins that all have the same keys, and names that need not be listed. Source: TAP 15.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Bins {
    bits: u32,
    prefix: String,
}

impl Bins {
    pub(super) fn read(bins: &Object) -> Result<Self, BadMetadata> {
        let bits = number(bins, "bit_length")?;
        let prefix = text(bins, "name_prefix")?.to_owned();
        if !(1..=BITS_MAX).contains(&bits) {
            return Err(BadRelease::Field("bit_length").into());
        }
        let bins = Self { bits: u32::try_from(bits).unwrap_or(1), prefix };
        if is_role_name(&bins.name(0)) { Ok(bins) } else { Err(BadMetadata::BadRoleName) }
    }

    /// The bin of a target: the first bits of the SHA-256 of its name.
    pub(super) fn of(&self, target: &str) -> String {
        let digest = sha256(target.as_bytes());
        let first = digest.octets().iter().take(4).fold(0_u64, |sum, octet| sum << 8 | u64::from(*octet));
        self.name(first >> (32 - self.bits))
    }

    /// The names of all of them.
    pub(super) fn names(&self) -> impl Iterator<Item = String> {
        (0..1_u64 << self.bits).map(|bin| self.name(bin))
    }

    fn name(&self, bin: u64) -> String {
        let width = usize::try_from(self.bits.div_ceil(4)).unwrap_or(8);
        format!("{}-{bin:0width$x}", self.prefix)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(pattern: &str, target: &str, expected: bool) {
        assert_eq!(Pattern::read(pattern).unwrap().matches(target), expected, "{pattern} and {target}");
    }

    #[test]
    fn a_star_stays_in_its_part() {
        check("*.img", "a.img", true);
        check("*.img", "a/b.img", false);
        check("dir/*", "dir/b.img", true);
        check("dir/*", "dir/sub/b.img", false);
        check("dir/**", "dir/sub/b.img", false);
        check("*", "", true);
    }
    #[test]
    fn a_star_is_tried_again() {
        check("a*b*c", "abbbxbcc", true);
        check("a*b*c", "abbbxbcd", false);
        check("*a", "aaab", false);
        check("*ab", "aaab", true);
    }
    #[test]
    fn one_character() {
        check("a-?.img", "a-1.img", true);
        check("a-?.img", "a-12.img", false);
        check("a-?.img", "a-ä.img", true);
        check("a?b", "a/b", false);
    }
    #[test]
    fn sets_of_characters() {
        check("v[0-9]", "v7", true);
        check("v[0-9]", "vx", false);
        check("v[!0-9]", "vx", true);
        check("v[!0-9]", "v7", false);
        check("v[]]", "v]", true);
        check("v[", "v[", true);
        check("v[a-]", "v-", true);
        check("[/]", "/", false);
    }
    #[test]
    fn all_of_it_and_in_its_case() {
        check("a", "ab", false);
        check("a", "A", false);
        check("ab", "a", false);
    }
    #[test]
    fn many_stars_end_soon() {
        check(&"*a".repeat(500), &"a".repeat(1000), true);
        check(&("*a".repeat(500) + "b"), &"a".repeat(1000), false);
    }
    #[test]
    fn patterns_that_are_none() {
        assert!(Pattern::read("").is_err() && Pattern::read(&"a".repeat(1025)).is_err());
        assert!(Pattern::read(&"a".repeat(1024)).is_ok());
    }

    // SHA-256 of "a" begins with ca978112.
    #[track_caller]
    fn bin(bits: u32, expected: &str) {
        assert_eq!(Bins { bits, prefix: "bin".into() }.of("a"), expected);
    }
    #[test]
    fn the_first_bits_choose_the_bin() {
        bin(1, "bin-1");
        bin(4, "bin-c");
        bin(5, "bin-19");
        bin(8, "bin-ca");
        bin(9, "bin-195");
        bin(32, "bin-ca978112");
    }
}
