//! Strict reading: what every decoder of this crate shares.

use crate::write::Writer;
use const_oid::ObjectIdentifier;
use der::asn1::BitStringRef;
use der::{Decode, Header, Reader, SliceReader, Tag};
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

/// Tag and contents of what comes next.
pub(crate) fn any<'a>(reader: &mut SliceReader<'a>) -> Result<(Tag, &'a [u8])> {
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
    let mut before = reader.clone();
    let contents = contents(reader, tag)?;
    let all = before.read_slice((reader.position() - before.position())?)?;
    Ok((contents, all))
}

/// Contents of what comes next, which must have this tag.
pub(crate) fn contents<'a>(reader: &mut SliceReader<'a>, tag: Tag) -> Result<&'a [u8]> {
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
    ObjectIdentifier::decode(reader)
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
