//! Strict reading: what every decoder of this crate shares.

use crate::write::{Writer, tag};
use const_oid::ObjectIdentifier;
use der::asn1::BitStringRef;
use der::{Decode, Header, Length, Reader, SliceReader, Tag};
use model::Fault;

/// The octets are not the DER of what was expected; the text says of what.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BadDer(pub &'static str);

impl std::fmt::Display for BadDer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "not a well-formed {}", self.0)
    }
}
impl std::error::Error for BadDer {}
impl From<BadDer> for Fault {
    fn from(BadDer(what): BadDer) -> Self {
        Fault::malformed(what)
    }
}

pub(crate) type Result<T> = std::result::Result<T, der::Error>;

/// Reads all of `octets` as one structure; what follows it is an error.
pub(crate) fn whole<'a, T>(
    octets: &'a [u8],
    len_max: usize,
    what: &'static str,
    f: impl FnOnce(&mut SliceReader<'a>) -> Result<T>,
) -> std::result::Result<T, BadDer> {
    if octets.len() > len_max {
        return Err(BadDer(what));
    }
    let read = || {
        let mut reader = SliceReader::new(octets)?;
        let value = f(&mut reader)?;
        reader.finish()?;
        Ok::<T, der::Error>(value)
    };
    read().map_err(|_| BadDer(what))
}

/// An error at this place.
pub(crate) fn bad<'a, T>(reader: &mut SliceReader<'a>) -> Result<T> {
    Err(reader.error(der::ErrorKind::Failed))
}

/// The tag of what comes next, if anything does.
pub(crate) fn next_tag<'a>(reader: &SliceReader<'a>) -> Result<Option<Tag>> {
    if reader.is_finished() { Ok(None) } else { Tag::peek(reader).map(Some) }
}

/// What comes next, read at a glance.
struct Glance<'a> {
    octet: u8,
    contents: &'a [u8],
    all: &'a [u8],
}

/// Reads what comes next if its tag and its length are spelled in the short ways that nearly all values have; otherwise
/// nothing is read, and `der`, which is thorough and slow, has the word.
fn glance<'a>(reader: &mut SliceReader<'a>, is_wanted: impl FnOnce(u8) -> bool) -> Option<Glance<'a>> {
    let rest = reader.clone().read_slice(reader.remaining_len()).ok()?;
    let (octet, head, len) = match rest {
        [octet, len @ 0..=0x7f, ..] => (*octet, 2, usize::from(*len)),
        [octet, 0x81, a @ 0x80..=0xff, ..] => (*octet, 3, usize::from(*a)),
        [octet, 0x82, a @ 1..=0xff, b, ..] => (*octet, 4, usize::from(*a) << 8 | usize::from(*b)),
        _ => return None,
    };
    let contents = rest.get(head..head + len).filter(|_| is_wanted(octet))?;
    let all = reader.read_slice(Length::try_from(head + len).ok()?).ok()?;
    Some(Glance { octet, contents, all })
}

/// The octet of those tags that nearly all values have.
const fn octet_of(tag: Tag) -> Option<u8> {
    match tag {
        Tag::Sequence => Some(tag::SEQUENCE),
        Tag::Set => Some(tag::SET),
        Tag::Integer => Some(tag::INTEGER),
        Tag::OctetString => Some(tag::OCTET_STRING),
        Tag::ObjectIdentifier => Some(tag::OBJECT_IDENTIFIER),
        _ => None,
    }
}

/// The tag of an octet that nearly all other values have.
const fn tag_of(octet: u8) -> Option<Tag> {
    match octet {
        tag::UTF8_STRING => Some(Tag::Utf8String),
        tag::PRINTABLE_STRING => Some(Tag::PrintableString),
        tag::UTC_TIME => Some(Tag::UtcTime),
        tag::GENERALIZED_TIME => Some(Tag::GeneralizedTime),
        _ => None,
    }
}

/// Tag and contents of what comes next.
pub(crate) fn any<'a>(reader: &mut SliceReader<'a>) -> Result<(Tag, &'a [u8])> {
    if let Some(Glance { octet, contents, .. }) = glance(reader, |octet| tag_of(octet).is_some())
        && let Some(tag) = tag_of(octet)
    {
        return Ok((tag, contents));
    }
    let header = Header::decode(reader)?;
    Ok((header.tag(), reader.read_slice(header.length())?))
}

/// A structure that is kept as its own copy, or that lies in the octets which it was read from. The same octets are
/// refused in both forms.
pub(crate) trait Held<'a>: Sized {
    fn read(reader: &mut SliceReader<'a>) -> Result<Self>;
    fn write(&self, w: &mut Writer);
}

/// Contents of what comes next, which must have this tag, and all of its octets.
pub(crate) fn contents_and_all<'a>(reader: &mut SliceReader<'a>, tag: Tag) -> Result<(&'a [u8], &'a [u8])> {
    if let Some(Glance { contents, all, .. }) = glance(reader, |octet| octet_of(tag) == Some(octet)) {
        return Ok((contents, all));
    }
    let mut before = reader.clone();
    let contents = contents(reader, tag)?;
    let all = before.read_slice((reader.position() - before.position())?)?;
    Ok((contents, all))
}

/// Contents of what comes next, which must have this tag.
pub(crate) fn contents<'a>(reader: &mut SliceReader<'a>, tag: Tag) -> Result<&'a [u8]> {
    if let Some(Glance { contents, .. }) = glance(reader, |octet| octet_of(tag) == Some(octet)) {
        return Ok(contents);
    }
    let header = Header::decode(reader)?;
    header.tag().assert_eq(tag)?;
    reader.read_slice(header.length())
}

/// Tag of `[n]`.
pub(crate) fn context(n: u32, constructed: bool) -> Tag {
    Tag::ContextSpecific { constructed, number: der::TagNumber(n) }
}

/// Contents of `[n]`, if that comes next.
pub(crate) fn optional<'a>(reader: &mut SliceReader<'a>, n: u32, constructed: bool) -> Result<Option<&'a [u8]>> {
    if next_tag(reader)? == Some(context(n, constructed)) { any(reader).map(|(_, c)| Some(c)) } else { Ok(None) }
}

/// Reads all of the contents of a constructed value.
pub(crate) fn inside<'a, T>(contents: &'a [u8], f: impl FnOnce(&mut SliceReader<'a>) -> Result<T>) -> Result<T> {
    let mut reader = SliceReader::new(contents)?;
    let value = f(&mut reader)?;
    reader.finish()?;
    Ok(value)
}

/// Reads the elements of a constructed value until none is left, at most `max`.
pub(crate) fn each<'a, T>(
    contents: &'a [u8],
    max: usize,
    mut f: impl FnMut(&mut SliceReader<'a>) -> Result<T>,
) -> Result<Vec<T>> {
    let mut values = Vec::new();
    walk(contents, max, |reader| {
        values.push(f(reader)?);
        Ok(())
    })?;
    Ok(values)
}

/// The same, and keeps nothing: gives the number of elements.
pub(crate) fn walk<'a>(
    contents: &'a [u8],
    max: usize,
    mut f: impl FnMut(&mut SliceReader<'a>) -> Result<()>,
) -> Result<usize> {
    inside(contents, |reader| {
        let mut count = 0;
        while !reader.is_finished() {
            if count == max {
                return bad(reader);
            }
            f(reader)?;
            count += 1;
        }
        Ok(count)
    })
}

pub(crate) fn oid(reader: &mut SliceReader<'_>) -> Result<ObjectIdentifier> {
    let octets = contents(reader, Tag::ObjectIdentifier)?;
    match ObjectIdentifier::from_bytes(octets) {
        Ok(oid) => Ok(oid),
        Err(_) => bad(reader),
    }
}

/// A BIT STRING that is a whole number of octets, as every one in X.509 that carries a key or a signature.
pub(crate) fn bit_string_octets<'a>(reader: &mut SliceReader<'a>) -> Result<&'a [u8]> {
    let bits: BitStringRef<'a> = BitStringRef::decode(reader)?;
    match bits.as_bytes() {
        Some(octets) => Ok(octets),
        None => bad(reader),
    }
}

/// A small non-negative INTEGER.
pub(crate) fn small(reader: &mut SliceReader<'_>) -> Result<u64> {
    u64::decode(reader)
}

/// A small non-negative INTEGER from its contents, below an implicit tag.
pub(crate) fn small_contents(contents: &[u8]) -> Option<u64> {
    let digits = match contents {
        [0] => return Some(0),
        [0, digits @ ..] if digits.first().is_some_and(|first| *first >= 0x80) => digits,
        [1..=0x7f, ..] => contents,
        _ => return None,
    };
    (digits.len() <= 8).then(|| digits.iter().fold(0, |n, octet| n << 8 | u64::from(*octet)))
}

/// Named bits from the contents of a BIT STRING, bit 0 first; `None` if one has a number of `count` or more.
pub(crate) fn named_bits(contents: &[u8], count: u16) -> Option<u16> {
    let bits = BitStringRef::new(*contents.first()?, contents.get(1..)?).ok()?;
    let mut set = 0;
    for (n, bit) in bits.bits().enumerate() {
        if bit {
            set |= u16::try_from(n).ok().filter(|n| *n < count).map(|n| 1 << n)?;
        }
    }
    Some(set)
}

/// The octets of a non-negative INTEGER of any length, without the leading zero.
pub(crate) fn unsigned<'a>(reader: &mut SliceReader<'a>) -> Result<&'a [u8]> {
    let octets = contents(reader, Tag::Integer)?;
    match octets {
        [0] => Ok(octets),
        [0, 0x80..=0xff, ..] => Ok(octets.get(1..).unwrap_or_default()),
        [1..=0x7f, ..] => Ok(octets),
        _ => bad(reader),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::proptest;

    const TAGS: [Tag; 5] = [Tag::Sequence, Tag::Set, Tag::Integer, Tag::OctetString, Tag::ObjectIdentifier];

    /// What `der` alone reads: the tag, the contents, and how much is left.
    fn by_der(octets: &[u8]) -> Option<(Tag, &[u8], Length)> {
        let mut reader = SliceReader::new(octets).unwrap();
        let header = Header::decode(&mut reader).ok()?;
        let contents = reader.read_slice(header.length()).ok()?;
        Some((header.tag(), contents, reader.remaining_len()))
    }
    /// At a glance the same is read as by `der`, and the same is refused.
    #[track_caller]
    fn check(octets: &[u8]) {
        let expected = by_der(octets);
        let mut reader = SliceReader::new(octets).unwrap();
        let read = any(&mut reader).ok().map(|(tag, contents)| (tag, contents, reader.remaining_len()));
        assert_eq!(read, expected, "{octets:?}");
        for tag in TAGS {
            let expected = expected.filter(|(read, ..)| *read == tag).map(|(_, contents, left)| (contents, left));
            let mut reader = SliceReader::new(octets).unwrap();
            let read = contents(&mut reader, tag).ok().map(|contents| (contents, reader.remaining_len()));
            assert_eq!(read, expected, "{tag} {octets:?}");
            let mut reader = SliceReader::new(octets).unwrap();
            let read = contents_and_all(&mut reader, tag).ok();
            let all =
                expected.map(|(contents, left)| (contents, &octets[..octets.len() - usize::try_from(left).unwrap()]));
            assert_eq!(read, all, "{tag} {octets:?}");
        }
    }
    fn with_head(head: &[u8], len: usize) -> Vec<u8> {
        [head, &vec![7; len]].concat()
    }

    #[test]
    fn lengths_as_they_are_spelled() {
        for octet in [0x30, 0x31, 2, 4, 6, 0x0c, 0x13, 0x16, 0x17, 0xa0] {
            check(&with_head(&[octet, 0], 0));
            check(&with_head(&[octet, 0x7f], 0x7f));
            check(&with_head(&[octet, 0x81, 0x80], 0x80));
            check(&with_head(&[octet, 0x81, 0xff], 0x100));
            check(&with_head(&[octet, 0x82, 1, 0], 0x100));
            check(&with_head(&[octet, 0x82, 0xff, 0xff], 0xffff));
            check(&with_head(&[octet, 0x83, 1, 0, 0], 0x1_0000));
        }
    }
    #[test]
    fn lengths_that_are_too_long_or_spelled_otherwise() {
        for octet in [0x30, 4, 0x0c] {
            check(&[octet]);
            check(&with_head(&[octet, 2], 1));
            check(&with_head(&[octet, 0x80], 2));
            check(&with_head(&[octet, 0x81, 0x7f], 0x7f));
            check(&with_head(&[octet, 0x81, 0x80], 0x7f));
            check(&with_head(&[octet, 0x82, 0, 0x80], 0x80));
            check(&with_head(&[octet, 0x82, 1, 0], 0xff));
            check(&with_head(&[octet, 0x85, 0, 0, 0, 0, 1], 1));
        }
    }
    proptest! {
        #[test]
        fn whatever_comes_is_read_as_by_der(octets in proptest::collection::vec(proptest::arbitrary::any::<u8>(), 0..300)) {
            check(&octets);
        }
    }
}
