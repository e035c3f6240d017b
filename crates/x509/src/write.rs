//! Writing DER in one pass.

use const_oid::ObjectIdentifier;

/// Writes DER into one growing buffer. A nested value is written first and its length set afterwards.
#[derive(Debug, Default)]
pub struct Writer {
    out: Vec<u8>,
}

/// Universal tags, and the classes that are added to a number.
#[expect(missing_docs, reason = "the names are those of X.680")]
pub mod tag {
    pub const BOOLEAN: u8 = 0x01;
    pub const INTEGER: u8 = 0x02;
    pub const BIT_STRING: u8 = 0x03;
    pub const OCTET_STRING: u8 = 0x04;
    pub const NULL: u8 = 0x05;
    pub const OBJECT_IDENTIFIER: u8 = 0x06;
    pub const ENUMERATED: u8 = 0x0a;
    pub const UTF8_STRING: u8 = 0x0c;
    pub const SEQUENCE: u8 = 0x30;
    pub const SET: u8 = 0x31;
    pub const PRINTABLE_STRING: u8 = 0x13;
    pub const IA5_STRING: u8 = 0x16;
    pub const UTC_TIME: u8 = 0x17;
    pub const GENERALIZED_TIME: u8 = 0x18;
    /// `[n]`, primitive.
    pub const CONTEXT: u8 = 0x80;
    /// `[n]`, constructed.
    pub const CONTEXT_CONSTRUCTED: u8 = 0xa0;
}

impl Writer {
    /// An empty buffer with room for `capacity` octets.
    #[must_use]
    pub fn with_capacity(capacity: usize) -> Self {
        Self { out: Vec::with_capacity(capacity) }
    }

    /// What was written.
    #[must_use]
    pub fn finish(self) -> Vec<u8> {
        self.out
    }

    /// What was written so far.
    pub(crate) fn octets(&self) -> &[u8] {
        &self.out
    }

    /// Forgets what was written and keeps the room.
    pub(crate) fn clear(&mut self) {
        self.out.clear();
    }

    /// Tag and length of a value whose contents follow.
    pub(crate) fn head(&mut self, tag: u8, len: usize) -> &mut Self {
        self.out.push(tag);
        self.length(len);
        self
    }

    /// Octets that are DER already.
    pub fn raw(&mut self, der: &[u8]) -> &mut Self {
        self.out.extend_from_slice(der);
        self
    }

    /// A primitive value.
    pub fn value(&mut self, tag: u8, contents: &[u8]) -> &mut Self {
        self.out.push(tag);
        self.length(contents.len());
        self.raw(contents)
    }

    /// A constructed value, or a primitive one that wraps DER: `f` writes its contents.
    pub fn nested(&mut self, tag: u8, f: impl FnOnce(&mut Self)) -> &mut Self {
        self.out.push(tag);
        let at = self.out.len();
        self.out.push(0);
        f(self);
        let len = self.out.len() - at - 1;
        match u8::try_from(len) {
            Ok(short @ 0..=0x7f) => {
                if let Some(octet) = self.out.get_mut(at) {
                    *octet = short;
                }
            }
            _ => {
                let octets = long_length(len);
                self.out.splice(at..=at, octets.iter().copied().skip_while(|o| *o == 0xff));
            }
        }
        self
    }

    /// A SEQUENCE.
    pub fn sequence(&mut self, f: impl FnOnce(&mut Self)) -> &mut Self {
        self.nested(tag::SEQUENCE, f)
    }

    /// A SET with one element, or with elements that the caller has sorted.
    pub fn set(&mut self, f: impl FnOnce(&mut Self)) -> &mut Self {
        self.nested(tag::SET, f)
    }

    /// `[n]` EXPLICIT.
    pub fn explicit(&mut self, n: u8, f: impl FnOnce(&mut Self)) -> &mut Self {
        self.nested(tag::CONTEXT_CONSTRUCTED | n, f)
    }

    /// An OBJECT IDENTIFIER.
    pub fn oid(&mut self, oid: ObjectIdentifier) -> &mut Self {
        self.value(tag::OBJECT_IDENTIFIER, oid.as_bytes())
    }

    /// A BOOLEAN that is true; a false one is a default and is left out.
    pub fn true_(&mut self) -> &mut Self {
        self.value(tag::BOOLEAN, &[0xff])
    }

    /// A non-negative INTEGER from its octets, big-endian; leading zeros are dropped.
    pub fn unsigned(&mut self, octets: &[u8]) -> &mut Self {
        let start = octets.iter().position(|o| *o != 0).unwrap_or(octets.len());
        let octets = octets.get(start..).unwrap_or_default();
        let pad = octets.first().is_none_or(|first| *first >= 0x80);
        self.out.push(tag::INTEGER);
        self.length(octets.len() + usize::from(pad));
        if pad {
            self.out.push(0);
        }
        self.raw(octets)
    }

    /// A small non-negative INTEGER.
    pub fn small(&mut self, n: u64) -> &mut Self {
        self.unsigned(&n.to_be_bytes())
    }

    /// An OCTET STRING.
    pub fn octet_string(&mut self, octets: &[u8]) -> &mut Self {
        self.value(tag::OCTET_STRING, octets)
    }

    /// A BIT STRING that is a whole number of octets.
    pub fn bit_string(&mut self, octets: &[u8]) -> &mut Self {
        self.out.push(tag::BIT_STRING);
        self.length(octets.len() + 1);
        self.out.push(0);
        self.raw(octets)
    }

    /// A BIT STRING of named bits, bit 0 first, without trailing zeros.
    /// Source: X.690 §11.2.2.
    pub fn named_bits(&mut self, bits: u16) -> &mut Self {
        self.named_bits_as(tag::BIT_STRING, bits)
    }

    /// The same under another tag.
    pub fn named_bits_as(&mut self, tag: u8, bits: u16) -> &mut Self {
        // Bit n of the argument is bit n of the string, which is counted from the most significant end.
        let [first, second] = bits.reverse_bits().to_be_bytes();
        let (octets, last) = if second != 0 { (2, second) } else { (1, first) };
        let unused = u8::try_from(last.trailing_zeros().min(7)).unwrap_or(7);
        match (bits, octets) {
            (0, _) => self.value(tag, &[0]),
            (_, 1) => self.value(tag, &[unused, first]),
            _ => self.value(tag, &[unused, first, second]),
        }
    }

    /// A small non-negative INTEGER under another tag.
    pub fn small_as(&mut self, tag: u8, n: u64) -> &mut Self {
        let octets = n.to_be_bytes();
        let start = octets.iter().position(|o| *o != 0).unwrap_or(octets.len() - 1);
        let octets = octets.get(start..).unwrap_or_default();
        self.nested(tag, |w| {
            if octets.first().is_some_and(|first| *first >= 0x80) {
                w.raw(&[0]);
            }
            w.raw(octets);
        })
    }

    fn length(&mut self, len: usize) {
        match u8::try_from(len) {
            Ok(short @ 0..=0x7f) => self.out.push(short),
            _ => self.out.extend(long_length(len).into_iter().skip_while(|o| *o == 0xff)),
        }
    }
}

// The long form of a length in five octets, those in front that are not needed filled with 0xff, which cannot begin a
// length. Nothing here is longer than 2^32 octets: the limits of the decoders see to that.
fn long_length(len: usize) -> [u8; 5] {
    let [a, b, c, d] = u32::try_from(len).unwrap_or(u32::MAX).to_be_bytes();
    match (a, b, c) {
        (0, 0, 0) => [0xff, 0xff, 0xff, 0x81, d],
        (0, 0, _) => [0xff, 0xff, 0x82, c, d],
        (0, _, _) => [0xff, 0x83, b, c, d],
        _ => [0x84, a, b, c, d],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(f: impl FnOnce(&mut Writer), expected: &[u8]) {
        let mut w = Writer::default();
        f(&mut w);
        assert_eq!(w.finish(), expected);
    }

    #[track_caller]
    fn nested_of(len: usize, head: &[u8]) {
        let mut w = Writer::default();
        w.sequence(|w| {
            w.raw(&vec![7; len]);
        });
        let out = w.finish();
        assert_eq!(&out[..head.len()], head);
        assert_eq!(out.len(), head.len() + len);
        let mut v = Writer::default();
        v.value(tag::SEQUENCE, &vec![7; len]);
        assert_eq!(v.finish(), out);
    }

    #[test]
    fn an_empty_sequence() {
        nested_of(0, &[0x30, 0]);
    }
    #[test]
    fn a_length_of_127() {
        nested_of(127, &[0x30, 127]);
    }
    #[test]
    fn a_length_of_128() {
        nested_of(128, &[0x30, 0x81, 128]);
    }
    #[test]
    fn a_length_of_255() {
        nested_of(255, &[0x30, 0x81, 255]);
    }
    #[test]
    fn a_length_of_256() {
        nested_of(256, &[0x30, 0x82, 1, 0]);
    }
    #[test]
    fn a_length_of_65536() {
        nested_of(65536, &[0x30, 0x83, 1, 0, 0]);
    }
    #[test]
    fn zero_is_one_octet() {
        check(
            |w| {
                w.small(0);
            },
            &[2, 1, 0],
        );
    }
    #[test]
    fn a_high_bit_is_padded() {
        check(
            |w| {
                w.small(128);
            },
            &[2, 2, 0, 128],
        );
    }
    #[test]
    fn digital_signature_alone() {
        check(
            |w| {
                w.named_bits(1);
            },
            &[3, 2, 7, 0x80],
        );
    }
    #[test]
    fn key_cert_sign_and_crl_sign() {
        check(
            |w| {
                w.named_bits(1 << 5 | 1 << 6);
            },
            &[3, 2, 1, 0x06],
        );
    }
    #[test]
    fn decipher_only_needs_a_second_octet() {
        check(
            |w| {
                w.named_bits(1 << 8);
            },
            &[3, 3, 7, 0, 0x80],
        );
    }
    #[test]
    fn no_bits() {
        check(
            |w| {
                w.named_bits(0);
            },
            &[3, 1, 0],
        );
    }
}
