//! Lengths that are not told before, and strings in pieces: old clients write the outer layers so. They are written anew in DER; what has a
//! length of its own, certificates and signed attributes among them, stays as it came.
//! Source: X.690 §8.1.3.6, §8.7.3; RFC 5652 §2.

use x509::Writer;
use x509::write::tag;

/// How deep values without a length may be nested: a message has some six.
const DEPTH_MAX: u8 = 16;
/// An OCTET STRING in pieces.
const OCTET_STRING_IN_PIECES: u8 = tag::OCTET_STRING | 0x20;

/// One value whose octets have a length.
struct Value<'a> {
    tag: u8,
    contents: &'a [u8],
    all: &'a [u8],
    rest: &'a [u8],
}

/// Whether it begins as a value does that does not tell its length.
pub(super) fn is_indefinite(octets: &[u8]) -> bool {
    matches!(octets, [_, 0x80, ..])
}

/// The same value with its lengths. `None` if it is none, has others behind it, or is nested too deep.
pub(super) fn definite(octets: &[u8]) -> Option<Vec<u8>> {
    let mut w = Writer::with_capacity(octets.len());
    let rest = value(octets, DEPTH_MAX, &mut w)?;
    rest.is_empty().then(|| w.finish())
}

/// Writes the first value, and gives what is behind it.
fn value<'a>(octets: &'a [u8], depth: u8, w: &mut Writer) -> Option<&'a [u8]> {
    match octets {
        [first, 0x80, contents @ ..] if first & 0x20 != 0 && first & 0x1f != 0x1f => {
            let mut inner = Writer::default();
            let rest = until_end(contents, depth.checked_sub(1)?, &mut inner)?;
            put(*first, &inner.finish(), w)?;
            Some(rest)
        }
        _ => {
            let Value { tag, contents, all, rest } = with_length(octets)?;
            match tag {
                OCTET_STRING_IN_PIECES => put(tag, contents, w)?,
                _ => _ = w.raw(all),
            }
            Some(rest)
        }
    }
}

fn until_end<'a>(mut octets: &'a [u8], depth: u8, w: &mut Writer) -> Option<&'a [u8]> {
    loop {
        match octets {
            [0, 0, rest @ ..] => return Some(rest),
            _ => octets = value(octets, depth, w)?,
        }
    }
}

fn put(tag: u8, contents: &[u8], w: &mut Writer) -> Option<()> {
    match tag {
        OCTET_STRING_IN_PIECES => _ = w.octet_string(&joined(contents)?),
        _ => _ = w.value(tag, contents),
    }
    Some(())
}

/// The pieces of a string, put together. Pieces of pieces are nobody's.
pub(super) fn joined(mut pieces: &[u8]) -> Option<Vec<u8>> {
    let mut whole = Vec::with_capacity(pieces.len());
    while !pieces.is_empty() {
        let Value { tag, contents, rest, .. } = with_length(pieces)?;
        if tag != tag::OCTET_STRING {
            return None;
        }
        whole.extend_from_slice(contents);
        pieces = rest;
    }
    Some(whole)
}

fn with_length(octets: &[u8]) -> Option<Value<'_>> {
    let (tag, head, len) = match octets {
        [tag, len @ 0..=0x7f, ..] => (*tag, 2, usize::from(*len)),
        [tag, 0x81, a, ..] => (*tag, 3, usize::from(*a)),
        [tag, 0x82, a, b, ..] => (*tag, 4, usize::from(*a) << 8 | usize::from(*b)),
        [tag, 0x83, a, b, c, ..] => (*tag, 5, usize::from(*a) << 16 | usize::from(*b) << 8 | usize::from(*c)),
        _ => return None,
    };
    if tag & 0x1f == 0x1f {
        return None;
    }
    let (all, rest) = octets.split_at_checked(head + len)?;
    Some(Value { tag, contents: all.get(head..)?, all, rest })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(octets: &[u8], expected: Option<&[u8]>) {
        assert_eq!(definite(octets).as_deref(), expected);
    }

    #[test]
    fn what_has_its_length_stays() {
        check(&[0x30, 3, 2, 1, 7], Some(&[0x30, 3, 2, 1, 7]));
    }
    #[test]
    fn a_length_is_found() {
        check(&[0x30, 0x80, 2, 1, 7, 0, 0], Some(&[0x30, 3, 2, 1, 7]));
        check(&[0x30, 0x80, 0xa0, 0x80, 2, 1, 7, 0, 0, 0, 0], Some(&[0x30, 5, 0xa0, 3, 2, 1, 7]));
    }
    #[test]
    fn pieces_are_put_together() {
        check(&[0x24, 0x80, 4, 1, 7, 4, 2, 8, 9, 0, 0], Some(&[4, 3, 7, 8, 9]));
        check(&[0x30, 0x80, 0x24, 6, 4, 1, 7, 4, 1, 8, 0, 0], Some(&[0x30, 4, 4, 2, 7, 8]));
        check(&[0x24, 0x80, 2, 1, 7, 0, 0], None);
    }
    #[test]
    fn no_end_and_more_than_the_end() {
        check(&[0x30, 0x80, 2, 1, 7], None);
        check(&[0x30, 0x80, 0, 0, 0], None);
        check(&[0x30, 0x80], None);
        check(&[], None);
    }
    #[test]
    fn as_deep_as_is_allowed_and_deeper() {
        let nested = |n: usize| [[0x30, 0x80].repeat(n), [0, 0].repeat(n)].concat();
        assert!(definite(&nested(16)).is_some());
        assert!(definite(&nested(17)).is_none());
        assert!(definite(&nested(30_000)).is_none());
    }
}
