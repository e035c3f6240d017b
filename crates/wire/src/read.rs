//! Strict reading: what the decoders of this crate share.

use const_oid::ObjectIdentifier;
use der::{Decode, Header, Reader, SliceReader, Tag};
use model::UnixTime;
use model::time::Civil;
use x509::SerialNumber;

pub(crate) type Result<T> = std::result::Result<T, der::Error>;

/// Most extensions in one structure; real ones have one or two.
const EXTENSIONS_MAX: usize = 16;

/// An error at this place.
pub(crate) fn bad<T>(reader: &mut SliceReader<'_>) -> Result<T> {
    Err(reader.error(der::ErrorKind::Failed))
}

/// Reads all of `octets`; what is left over is an error.
pub(crate) fn inside<'a, T>(octets: &'a [u8], f: impl FnOnce(&mut SliceReader<'a>) -> Result<T>) -> Result<T> {
    let mut reader = SliceReader::new(octets)?;
    let value = f(&mut reader)?;
    reader.finish()?;
    Ok(value)
}

/// Tag and contents of what comes next.
pub(crate) fn any<'a>(reader: &mut SliceReader<'a>) -> Result<(Tag, &'a [u8])> {
    let header = Header::decode(reader)?;
    Ok((header.tag(), reader.read_slice(header.length())?))
}

/// Contents of what comes next, which must have this tag.
pub(crate) fn contents<'a>(reader: &mut SliceReader<'a>, tag: Tag) -> Result<&'a [u8]> {
    let header = Header::decode(reader)?;
    header.tag().assert_eq(tag)?;
    reader.read_slice(header.length())
}

/// Reads the inside of a SEQUENCE.
pub(crate) fn sequence<'a, T>(
    reader: &mut SliceReader<'a>,
    f: impl FnOnce(&mut SliceReader<'a>) -> Result<T>,
) -> Result<T> {
    inside(contents(reader, Tag::Sequence)?, f)
}

/// Contents of a constructed `[n]`, if that comes next.
pub(crate) fn optional<'a>(reader: &mut SliceReader<'a>, n: u32) -> Result<Option<&'a [u8]>> {
    let wanted = Tag::ContextSpecific { constructed: true, number: der::TagNumber(n) };
    if reader.is_finished() || Tag::peek(reader)? != wanted {
        return Ok(None);
    }
    any(reader).map(|(_, contents)| Some(contents))
}

/// An extension, still where it was read.
pub(crate) struct Extension<'a> {
    pub(crate) oid: ObjectIdentifier,
    pub(crate) critical: bool,
    pub(crate) value: &'a [u8],
}

/// Reads `Extensions`: at least one, none twice, FALSE not written.
pub(crate) fn extensions<'a>(octets: &'a [u8]) -> Result<Vec<Extension<'a>>> {
    inside(octets, |r| {
        sequence(r, |r| {
            let mut read: Vec<Extension<'a>> = Vec::with_capacity(2);
            while !r.is_finished() {
                let extension = sequence(r, extension)?;
                if read.len() == EXTENSIONS_MAX || read.iter().any(|known| known.oid == extension.oid) {
                    return bad(r);
                }
                read.push(extension);
            }
            if read.is_empty() { bad(r) } else { Ok(read) }
        })
    })
}

fn extension<'a>(reader: &mut SliceReader<'a>) -> Result<Extension<'a>> {
    let oid = ObjectIdentifier::decode(reader)?;
    let critical = Tag::peek(reader)? == Tag::Boolean;
    if critical && !bool::decode(reader)? {
        return bad(reader);
    }
    Ok(Extension { oid, critical, value: contents(reader, Tag::OctetString)? })
}

/// A serial number: positive, at most 20 octets, minimally encoded.
pub(crate) fn serial_number(reader: &mut SliceReader<'_>) -> Result<SerialNumber> {
    let octets = contents(reader, Tag::Integer)?;
    let minimal = matches!(octets, [1..=0x7f, ..] | [0, 0x80..=0xff, ..]);
    match SerialNumber::new(octets) {
        Ok(serial) if minimal => Ok(serial),
        _ => bad(reader),
    }
}

/// A GeneralizedTime in whole seconds of UTC, from 1970 on.
/// Source: RFC 5280 §4.1.2.5.2, which RFC 6960 §4.2.2.1 follows.
pub(crate) fn generalized_time(reader: &mut SliceReader<'_>) -> Result<UnixTime> {
    let contents = contents(reader, Tag::GeneralizedTime)?;
    match civil(contents).and_then(UnixTime::from_civil) {
        Some(time) => Ok(time),
        None => bad(reader),
    }
}

fn civil(contents: &[u8]) -> Option<Civil> {
    let (pairs, b"Z") = contents.as_chunks::<2>() else { return None };
    let [century, year, month, day, hour, minute, second] = pairs else { return None };
    Some(Civil {
        year: number(century)? * 100 + number(year)?,
        month: number(month)?,
        day: number(day)?,
        hour: number(hour)?,
        minute: number(minute)?,
        second: number(second)?,
    })
}

fn number(digits: &[u8]) -> Option<u64> {
    digits.iter().try_fold(0, |n, digit| char::from(*digit).to_digit(10).map(|d| n * 10 + u64::from(d)))
}
