//! CBOR, as attestations have it: definite lengths, the shortest form of each number, text as names, no name twice.
//! Source: RFC 8949 §4.2.1.

use super::BadAttestation;

/// Most values within values. Attestations have three.
const DEPTH_MAX: usize = 4;
/// Most values in a list or a map.
const COUNT_MAX: usize = 16;

/// A value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Cbor<'a> {
    /// A number; a negative one is -1 less this.
    Number {
        negative: bool,
        value: u64,
    },
    Octets(&'a [u8]),
    Text(&'a str),
    List(Vec<Cbor<'a>>),
    Map(Vec<(&'a str, Cbor<'a>)>),
}

impl<'a> Cbor<'a> {
    /// Reads one value, followed by nothing.
    pub(super) fn decode(octets: &'a [u8]) -> Result<Self, BadAttestation> {
        let mut rest = octets;
        let read = Self::read(&mut rest, DEPTH_MAX).ok_or(BadAttestation::Malformed)?;
        if rest.is_empty() { Ok(read) } else { Err(BadAttestation::Malformed) }
    }

    fn read(rest: &mut &'a [u8], depth: usize) -> Option<Self> {
        let (major, value) = head(rest)?;
        let count = || usize::try_from(value).ok().filter(|count| *count <= COUNT_MAX && depth > 0);
        let below = depth.saturating_sub(1);
        Some(match major {
            0 | 1 => Self::Number { negative: major == 1, value },
            2 => Self::Octets(take(rest, value)?),
            3 => Self::Text(std::str::from_utf8(take(rest, value)?).ok()?),
            4 => Self::List((0..count()?).map(|_| Self::read(rest, below)).collect::<Option<_>>()?),
            5 => {
                let mut members: Vec<(&str, Self)> = Vec::new();
                for _ in 0..count()? {
                    let Self::Text(name) = Self::read(rest, 0)? else { return None };
                    if members.iter().any(|(known, _)| *known == name) {
                        return None;
                    }
                    members.push((name, Self::read(rest, below)?));
                }
                Self::Map(members)
            }
            // Tags, and what is neither number nor text.
            _ => return None,
        })
    }

    /// A member of a map.
    pub(super) fn get(&self, name: &str) -> Option<&Self> {
        let Self::Map(members) = self else { return None };
        members.iter().find(|(known, _)| *known == name).map(|(_, value)| value)
    }
    pub(super) const fn octets(&self) -> Option<&'a [u8]> {
        if let Self::Octets(octets) = self { Some(octets) } else { None }
    }
    pub(super) const fn text(&self) -> Option<&'a str> {
        if let Self::Text(text) = self { Some(text) } else { None }
    }
}

/// What a value is, and its number or length.
fn head(rest: &mut &[u8]) -> Option<(u8, u64)> {
    let (first, after) = rest.split_first()?;
    *rest = after;
    let (major, short) = (first >> 5, first & 0x1f);
    let len = match short {
        0..=23 => return Some((major, u64::from(short))),
        24 => 1,
        25 => 2,
        26 => 4,
        27 => 8,
        // A length that is not told, or none at all.
        _ => return None,
    };
    let value = take(rest, len)?.iter().fold(0u64, |sum, octet| sum << 8 | u64::from(*octet));
    let least = match len {
        1 => 24,
        2 => 1 << 8,
        4 => 1 << 16,
        _ => 1 << 32,
    };
    (value >= least).then_some((major, value))
}

fn take<'a>(rest: &mut &'a [u8], len: u64) -> Option<&'a [u8]> {
    let (taken, after) = rest.split_at_checked(usize::try_from(len).ok()?)?;
    *rest = after;
    Some(taken)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn refused(octets: &[u8]) {
        assert_eq!(Cbor::decode(octets), Err(BadAttestation::Malformed), "{octets:02x?}");
    }

    #[test]
    fn numbers_text_lists_and_maps() {
        let number = |negative, value| Ok(Cbor::Number { negative, value });
        assert_eq!(Cbor::decode(&[0x17]), number(false, 23));
        assert_eq!(Cbor::decode(&[0x26]), number(true, 6));
        assert_eq!(Cbor::decode(&[0x39, 1, 0]), number(true, 256));
        assert_eq!(Cbor::decode(&[0x42, 1, 2]), Ok(Cbor::Octets(&[1, 2])));
        let map = Cbor::decode(&[0xa1, 0x61, b'a', 0x82, 0x01, 0x61, b'b']).unwrap();
        assert_eq!(map.get("a"), Some(&Cbor::List(vec![Cbor::Number { negative: false, value: 1 }, Cbor::Text("b")])));
    }
    #[test]
    fn what_could_be_read_in_two_ways_or_has_no_end() {
        refused(&[]);
        // A longer form than is needed, a length that is not told, a tag, true, a float.
        for octets in
            [&[0x18, 23][..], &[0x19, 0, 255], &[0x5f, 0xff], &[0x9f, 0xff], &[0xc0, 0], &[0xf5], &[0xf9, 0, 0]]
        {
            refused(octets);
        }
        // Twice the same name, a name that is a number, something behind it, less than was said.
        refused(&[0xa2, 0x61, b'a', 0, 0x61, b'a', 1]);
        refused(&[0xa1, 0, 0]);
        refused(&[0, 0]);
        for octets in
            [&[0x42, 1][..], &[0x82, 1], &[0x5b, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff], &[0x61, 0xff]]
        {
            refused(octets);
        }
        refused(&[0x91; 64]);
        refused(&[0x81; 64]);
        // Four within each other, and five.
        assert!(Cbor::decode(&[0x81, 0x81, 0x81, 0x81, 0]).is_ok());
        refused(&[0x81, 0x81, 0x81, 0x81, 0x81, 0]);
        refused(&[0xa1, 0x61, b'a', 0xa1, 0x61, b'a', 0xa1, 0x61, b'a', 0xa1, 0x61, b'a', 0x80]);
        assert!(Cbor::decode(&[&[0x90][..], &[0; 16]].concat()).is_ok());
        refused(&[&[0x91][..], &[0; 17]].concat());
    }
}
