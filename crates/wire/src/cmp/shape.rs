//! What the readers and writers of CMP share.

use crate::read::{self, Result, bad};
use der::{Decode, Reader, SliceReader, Tag};
use model::UnixTime;
use x509::Writer;
use x509::write::tag;

/// Whether this tag comes next.
pub(super) fn next_is(reader: &SliceReader<'_>, tag: Tag) -> Result<bool> {
    Ok(!reader.is_finished() && Tag::peek(reader)? == tag)
}

/// The elements of a SEQUENCE, from one to `max`.
pub(super) fn some<'a, T>(
    reader: &mut SliceReader<'a>,
    max: usize,
    mut f: impl FnMut(&mut SliceReader<'a>) -> Result<T>,
) -> Result<Vec<T>> {
    read::sequence(reader, |r| {
        let mut values = Vec::new();
        while !r.is_finished() {
            if values.len() == max {
                return bad(r);
            }
            values.push(f(r)?);
        }
        if values.is_empty() { bad(r) } else { Ok(values) }
    })
}

/// A SEQUENCE, whole, unread inside.
pub(super) fn raw_sequence<'a>(reader: &mut SliceReader<'a>) -> Result<&'a [u8]> {
    Tag::peek(reader)?.assert_eq(Tag::Sequence)?;
    reader.tlv_bytes()
}

/// A SEQUENCE, whole, if one comes next.
pub(super) fn raw_sequence_if<'a>(reader: &mut SliceReader<'a>) -> Result<Option<&'a [u8]>> {
    if next_is(reader, Tag::Sequence)? { raw_sequence(reader).map(Some) } else { Ok(None) }
}

/// An OCTET STRING under `[n]`, with 1 to `max` octets, if that comes next.
pub(super) fn octets<'a>(reader: &mut SliceReader<'a>, n: u32, max: usize) -> Result<Option<&'a [u8]>> {
    let Some(explicit) = read::optional(reader, n)? else { return Ok(None) };
    let octets = read::inside(explicit, |r| read::contents(r, Tag::OctetString))?;
    if octets.is_empty() || octets.len() > max { bad(reader) } else { Ok(Some(octets)) }
}

/// What lies under `[n]`, whole, if that comes next; it must be one SEQUENCE.
pub(super) fn explicit_sequence<'a>(reader: &mut SliceReader<'a>, n: u32) -> Result<Option<&'a [u8]>> {
    match read::optional(reader, n)? {
        Some(explicit) => read::inside(explicit, raw_sequence).map(Some),
        None => Ok(None),
    }
}

/// An INTEGER of at most eight octets.
pub(super) fn int(reader: &mut SliceReader<'_>) -> Result<i64> {
    i64::decode(reader)
}

/// Writes an INTEGER, negative ones too.
pub(super) fn write_int(n: i64, w: &mut Writer) {
    let octets = n.to_be_bytes();
    let sign = if n < 0 { 0xff } else { 0 };
    let mut contents = octets.as_slice();
    // X.690 §8.3.2: the first nine bits are neither all zero nor all one.
    while let [first, rest @ ..] = contents
        && *first == sign
        && rest.first().is_some_and(|next| (next ^ sign) < 0x80)
    {
        contents = rest;
    }
    w.value(tag::INTEGER, contents);
}

/// Writes a GeneralizedTime in whole seconds.
pub(super) fn write_time(at: UnixTime, w: &mut Writer) {
    let c = at.civil();
    let text = format!("{:04}{:02}{:02}{:02}{:02}{:02}Z", c.year, c.month, c.day, c.hour, c.minute, c.second);
    w.value(tag::GENERALIZED_TIME, text.as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(n: i64, expected: &[u8]) {
        let mut w = Writer::default();
        write_int(n, &mut w);
        let der = w.finish();
        assert_eq!(der, expected);
        assert_eq!(read::inside(&der, int), Ok(n));
    }

    #[test]
    fn zero() {
        check(0, &[2, 1, 0]);
    }
    #[test]
    fn minus_one() {
        check(-1, &[2, 1, 0xff]);
    }
    #[test]
    fn the_sign_bit_is_kept() {
        check(128, &[2, 2, 0, 0x80]);
        check(-128, &[2, 1, 0x80]);
        check(-129, &[2, 2, 0xff, 0x7f]);
    }
    #[test]
    fn the_largest_and_the_smallest() {
        check(i64::MAX, &[2, 8, 0x7f, 255, 255, 255, 255, 255, 255, 255]);
        check(i64::MIN, &[2, 8, 0x80, 0, 0, 0, 0, 0, 0, 0]);
    }
}
