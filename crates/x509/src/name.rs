//! Distinguished names.

use crate::oids;
use crate::read::{self, BadDer, Held, Result, bad};
use crate::write::{Writer, tag};
use const_oid::ObjectIdentifier;
use der::asn1::{Ia5StringRef, PrintableStringRef, Utf8StringRef};
use der::{SliceReader, Tag};
use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

/// Most attributes in a name; real ones have about five.
pub const ATTRIBUTES_MAX: usize = 32;
/// Longest name in octets.
pub const NAME_LEN_MAX: usize = 4096;

/// A `Name`: its octets as they were read or written, and its attributes.
/// Source: RFC 5280 §4.1.2.4.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Name(
    // Shared: an issuer's goes into each certificate.
    Arc<Written>,
);

#[derive(PartialEq, Eq, PartialOrd, Ord, Hash)]
struct Written {
    der: Vec<u8>,
    attributes: Vec<Attribute>,
}

/// A `Name` that lies in the octets which it was read from. The same octets are refused as for [`Name`].
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct NameRef<'a> {
    der: &'a [u8],
    attributes: usize,
}

impl<'a> NameRef<'a> {
    /// The octets.
    #[must_use]
    pub const fn der(&self) -> &'a [u8] {
        self.der
    }
    /// Whether there is no attribute.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.attributes == 0
    }
}

impl<'a> Held<'a> for NameRef<'a> {
    fn read(reader: &mut SliceReader<'a>) -> Result<Self> {
        let mut attributes = 0;
        let der = walk(reader, |_, _| attributes += 1)?;
        Ok(Self { der, attributes })
    }
    fn write(&self, w: &mut Writer) {
        w.raw(self.der);
    }
}

impl Held<'_> for Name {
    fn read(reader: &mut SliceReader<'_>) -> Result<Self> {
        let mut attributes = Vec::new();
        let der = walk(reader, |oid, text| attributes.push(Attribute { oid, text: text.into_owned() }))?;
        Ok(Self(Arc::new(Written { der: der.to_vec(), attributes })))
    }
    fn write(&self, w: &mut Writer) {
        w.raw(self.der());
    }
}

/// Reads a name, attribute by attribute; gives its octets.
fn walk<'a>(reader: &mut SliceReader<'a>, mut f: impl FnMut(ObjectIdentifier, Cow<'a, str>)) -> Result<&'a [u8]> {
    let (contents, der) = read::contents_and_all(reader, Tag::Sequence)?;
    if der.len() > NAME_LEN_MAX {
        return bad(reader);
    }
    read::walk(contents, ATTRIBUTES_MAX, |r| {
        let set = read::contents(r, Tag::Set)?;
        let count = read::walk(set, ATTRIBUTES_MAX, |r| {
            let (oid, text) = attribute(r)?;
            f(oid, text);
            Ok(())
        })?;
        if count == 0 { bad(r) } else { Ok(()) }
    })?;
    Ok(der)
}

/// One attribute of a name, as text.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Attribute {
    /// Its type.
    pub oid: ObjectIdentifier,
    /// Its value, whatever string type it was written as.
    pub text: String,
}

impl Name {
    /// Writes a name with one attribute in each relative name, in this order.
    ///
    /// Strings are PrintableString where the type demands it (country, serial number), IA5String for domain
    /// components, UTF8String otherwise (RFC 5280 §4.1.2.4).
    #[must_use]
    pub fn write(attributes: &[Attribute]) -> Self {
        let mut w = Writer::with_capacity(128);
        w.sequence(|w| {
            for attribute in attributes {
                w.set(|w| {
                    w.sequence(|w| {
                        w.oid(attribute.oid).value(string_tag(attribute.oid), attribute.text.as_bytes());
                    });
                });
            }
        });
        Self(Arc::new(Written { der: w.finish(), attributes: attributes.to_vec() }))
    }

    /// Reads a name on its own.
    ///
    /// # Errors
    /// [`BadDer`] if it is not DER, longer than [`NAME_LEN_MAX`], or followed by other octets.
    pub fn decode(der: &[u8]) -> std::result::Result<Self, BadDer> {
        read::whole(der, NAME_LEN_MAX, "Name", Self::read)
    }

    /// The octets.
    #[must_use]
    pub fn der(&self) -> &[u8] {
        &self.0.der
    }
    /// The attributes in their order.
    #[must_use]
    pub fn attributes(&self) -> &[Attribute] {
        &self.0.attributes
    }
    /// The attributes of each relative name, in their order.
    #[must_use]
    pub fn relative_names(&self) -> Vec<Vec<Attribute>> {
        let sets = read::whole(self.der(), NAME_LEN_MAX, "Name", |r| {
            let contents = read::contents(r, Tag::Sequence)?;
            read::each(contents, ATTRIBUTES_MAX, |r| {
                read::each(read::contents(r, Tag::Set)?, ATTRIBUTES_MAX, |r| {
                    attribute(r).map(|(oid, text)| Attribute { oid, text: text.into_owned() })
                })
            })
        });
        sets.unwrap_or_default()
    }
    /// Whether both are the same name: attribute by attribute, without regard to case and to repeated, leading and
    /// trailing spaces, whatever string types they are written as.
    ///
    /// Off-spec: RFC 5280 §7.1 folds compatibility characters too; here two texts that differ in them are two names.
    #[must_use]
    pub fn matches(&self, other: &Self) -> bool {
        self.der() == other.der() || self.folded() == other.folded()
    }
    /// Whether it is `base`, or below it in the directory. Source: RFC 5280 §4.2.1.10.
    #[must_use]
    pub fn is_within(&self, base: &Self) -> bool {
        self.folded().starts_with(&base.folded())
    }
    fn folded(&self) -> Vec<Vec<Attribute>> {
        let mut sets = self.relative_names();
        for set in &mut sets {
            set.iter_mut().for_each(|attribute| attribute.text = folded(&attribute.text));
            set.sort();
        }
        sets
    }
    /// Whether there is no attribute.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.attributes().is_empty()
    }
    /// The text of the first attribute of this type.
    #[must_use]
    pub fn first(&self, oid: ObjectIdentifier) -> Option<&str> {
        self.attributes().iter().find(|a| a.oid == oid).map(|a| a.text.as_str())
    }
}

fn folded(text: &str) -> String {
    text.split_whitespace().map(str::to_lowercase).collect::<Vec<_>>().join(" ")
}

fn string_tag(oid: ObjectIdentifier) -> u8 {
    match oid {
        oids::COUNTRY | oids::SERIAL_NUMBER => tag::PRINTABLE_STRING,
        oids::DOMAIN_COMPONENT => tag::IA5_STRING,
        _ => tag::UTF8_STRING,
    }
}

fn attribute<'a>(reader: &mut SliceReader<'a>) -> Result<(ObjectIdentifier, Cow<'a, str>)> {
    let contents = read::contents(reader, Tag::Sequence)?;
    read::inside(contents, |r| {
        let oid = read::oid(r)?;
        let (tag, value) = read::any(r)?;
        let text = match tag {
            Tag::Utf8String => Cow::Borrowed(Utf8StringRef::new(value)?.as_str()),
            Tag::PrintableString => Cow::Borrowed(PrintableStringRef::new(value)?.as_str()),
            Tag::Ia5String => Cow::Borrowed(Ia5StringRef::new(value)?.as_str()),
            Tag::BmpString => match utf16(value) {
                Some(text) => Cow::Owned(text),
                None => return bad(r),
            },
            // TeletexString and UniversalString mean different things to different readers: refused.
            _ => return bad(r),
        };
        // An embedded NUL ends the text for some readers and not for others.
        if text.contains('\0') || text.is_empty() { bad(r) } else { Ok((oid, text)) }
    })
}

fn utf16(octets: &[u8]) -> Option<String> {
    let (pairs, rest) = octets.as_chunks::<2>();
    let units = pairs.iter().map(|pair| u16::from_be_bytes(*pair));
    let text: String = char::decode_utf16(units).collect::<std::result::Result<_, _>>().ok()?;
    rest.is_empty().then_some(text)
}

/// Short names of attribute types, as RFC 4514 prints them.
const SHORT: [(ObjectIdentifier, &str); 8] = [
    (oids::COMMON_NAME, "CN"),
    (oids::SERIAL_NUMBER, "serialNumber"),
    (oids::COUNTRY, "C"),
    (oids::LOCALITY, "L"),
    (oids::STATE, "ST"),
    (oids::ORGANIZATION, "O"),
    (oids::ORGANIZATIONAL_UNIT, "OU"),
    (oids::DOMAIN_COMPONENT, "DC"),
];

/// The attribute type of a short name, as profiles write it.
#[must_use]
pub fn attribute_type(short: &str) -> Option<ObjectIdentifier> {
    SHORT.iter().find(|(_, name)| *name == short).map(|(oid, _)| *oid)
}

/// In the order of the octets, commas and invisible characters escaped: `CN=sensor, serialNumber=SN1`.
impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (n, Attribute { oid, text }) in self.attributes().iter().enumerate() {
            if n > 0 {
                f.write_str(", ")?;
            }
            match SHORT.iter().find(|(known, _)| known == oid) {
                Some((_, short)) => write!(f, "{short}=")?,
                None => write!(f, "{oid}=")?,
            }
            f.write_str(&model::text::printable(text, 256).replace('\\', "\\\\").replace(',', "\\,"))?;
        }
        Ok(())
    }
}
impl fmt::Debug for NameRef<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "NameRef({})", model::octets::hex(self.der))
    }
}
impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Name({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cn(text: &str) -> Attribute {
        Attribute { oid: oids::COMMON_NAME, text: text.into() }
    }
    fn with(tag: u8, text: &[u8]) -> Vec<u8> {
        let mut w = Writer::default();
        w.sequence(|w| {
            w.set(|w| {
                w.sequence(|w| {
                    w.oid(oids::COMMON_NAME).value(tag, text);
                });
            });
        });
        w.finish()
    }
    #[track_caller]
    fn check(der: &[u8], expected: Option<&str>) {
        assert_eq!(Name::decode(der).ok().map(|n| n.to_string()).as_deref(), expected);
    }

    #[test]
    fn what_is_written_is_read() {
        let name = Name::write(&[cn("ä, b"), Attribute { oid: oids::SERIAL_NUMBER, text: "SN-1".into() }]);
        assert_eq!(Name::decode(name.der()).unwrap(), name);
        assert_eq!(name.to_string(), "CN=ä\\, b, serialNumber=SN-1");
    }
    #[test]
    fn no_attribute_is_a_name() {
        check(&[0x30, 0], Some(""));
    }
    #[test]
    fn printable_and_utf8_say_the_same() {
        let a = Name::decode(&with(tag::PRINTABLE_STRING, b"x")).unwrap();
        let b = Name::decode(&with(tag::UTF8_STRING, b"x")).unwrap();
        assert!(a.attributes() == b.attributes() && a != b);
    }
    #[test]
    fn bmp_string_is_read() {
        check(&with(0x1e, &[0, b'x', 0x20, 0xac]), Some("CN=x€"));
    }
    #[test]
    fn half_a_bmp_letter_is_refused() {
        check(&with(0x1e, &[0]), None);
    }
    #[test]
    fn teletex_is_refused() {
        check(&with(0x14, b"x"), None);
    }
    #[test]
    fn nul_is_refused() {
        check(&with(tag::UTF8_STRING, b"a\0b"), None);
    }
    #[test]
    fn empty_text_is_refused() {
        check(&with(tag::UTF8_STRING, b""), None);
    }
    #[test]
    fn false_utf8_is_refused() {
        check(&with(tag::UTF8_STRING, &[0xff]), None);
    }
    #[test]
    fn an_empty_set_is_refused() {
        check(&[0x30, 2, 0x31, 0], None);
    }
    #[test]
    fn trailing_octets_are_refused() {
        check(&[0x30, 0, 0], None);
    }
    #[test]
    fn control_characters_are_escaped() {
        check(&with(tag::UTF8_STRING, b"a\nb"), Some("CN=a\\\\u{a}b"));
    }
}
