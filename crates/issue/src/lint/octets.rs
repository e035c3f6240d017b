//! Rules about how it is written, checked on the octets themselves.

use super::{Finding, Found, SoundName};
use crate::der::{self, Value};
use const_oid::ObjectIdentifier;
use x509::oids;
use x509::write::tag;

/// The shortest serial number that is let through, in octets: 64 random bits and something before them.
const SERIAL_LEN_MIN: usize = 9;
const SERIAL_LEN_MAX: usize = 20;

/// Longest attributes in letters. Source: RFC 5280 appendix A.1.
const UPPER_BOUNDS: [(ObjectIdentifier, usize); 7] = [
    (oids::COMMON_NAME, 64),
    (oids::SERIAL_NUMBER, 64),
    (oids::COUNTRY, 2),
    (oids::LOCALITY, 128),
    (oids::STATE, 128),
    (oids::ORGANIZATION, 64),
    (oids::ORGANIZATIONAL_UNIT, 64),
];

/// `None` if it is not built like a certificate's part. Of an issuer that was looked at already the octets are compared only.
pub(super) fn check(tbs: &[u8], sound: Option<&SoundName>, found: &mut Found) -> Option<()> {
    let outer = der::only(tbs).filter(|v| v.tag == tag::SEQUENCE)?;
    let mut parts = der::each(outer.contents)?;
    let (_version, serial, _signature) = (parts.next()?, parts.next()?, parts.next()?);
    let (issuer, validity, subject, _key) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
    serial_number(&serial, found);
    let times = der::exactly::<2>(validity.contents);
    found.add(Finding::TimeEncoding, !times.is_some_and(|times| times.iter().all(is_time)));
    if sound.is_none_or(|sound| sound.der() != issuer.all) {
        name(&issuer, found)?;
    }
    name(&subject, found)?;
    match (parts.next(), parts.next()) {
        (None, _) => Some(()),
        (Some(wrapped), None) => extensions(&wrapped, found),
        (Some(_), Some(_)) => None,
    }
}

fn serial_number(serial: &Value<'_>, found: &mut Found) {
    let octets = serial.contents;
    let positive = octets.first().is_some_and(|first| *first < 0x80) && octets.iter().any(|octet| *octet != 0);
    found.add(Finding::SerialNotPositive, !positive);
    found.add(Finding::SerialTooLong, octets.len() > SERIAL_LEN_MAX);
    found.add(Finding::SerialTooShort, octets.len() < SERIAL_LEN_MIN);
}

fn is_time(time: &Value<'_>) -> bool {
    let Some((b'Z', digits)) = time.contents.split_last() else { return false };
    let year = digits.first_chunk::<4>();
    digits.iter().all(u8::is_ascii_digit)
        && match time.tag {
            tag::UTC_TIME => digits.len() == 12,
            tag::GENERALIZED_TIME => {
                digits.len() == 14 && year.is_some_and(|year| year.as_slice() >= b"2050".as_slice())
            }
            _ => false,
        }
}

/// The same of a name alone.
pub(super) fn name_alone(octets: &[u8], found: &mut Found) -> Option<()> {
    name(&der::only(octets)?, found)
}

fn name(name: &Value<'_>, found: &mut Found) -> Option<()> {
    let mut types = Vec::with_capacity(8);
    for set in der::each(name.contents)? {
        let attributes = der::each(set.contents)?;
        found.add(Finding::EmptySequence, attributes.is_empty());
        for attribute in attributes {
            let [kind, value] = der::exactly(attribute.contents)?;
            types.push(kind.contents);
            attribute_value(kind.contents, &value, found);
        }
    }
    let may_repeat = [oids::ORGANIZATIONAL_UNIT, oids::DOMAIN_COMPONENT];
    let twice = |(n, kind): (usize, &&[u8])| {
        types.iter().skip(n + 1).any(|other| other == kind) && may_repeat.iter().all(|oid| oid.as_bytes() != *kind)
    };
    found.add(Finding::AttributeTwice, types.iter().enumerate().any(twice));
    Some(())
}

// Whether its type is written as one is not asked here: who decodes it finds that.
fn attribute_value(kind: &[u8], value: &Value<'_>, found: &mut Found) {
    let is = |oid: ObjectIdentifier| kind == oid.as_bytes();
    let text = std::str::from_utf8(value.contents).unwrap_or_default();
    let bound = UPPER_BOUNDS.iter().find(|(bounded, _)| is(*bounded)).map_or(usize::MAX, |(_, bound)| *bound);
    found.add(Finding::AttributeTooLong, text.len() > bound && text.chars().count() > bound);
    let of_its_type = if is(oids::COUNTRY) || is(oids::SERIAL_NUMBER) {
        value.tag == tag::PRINTABLE_STRING
    } else if is(oids::DOMAIN_COMPONENT) {
        value.tag == tag::IA5_STRING && text.is_ascii()
    } else {
        value.tag == tag::UTF8_STRING || value.tag == tag::PRINTABLE_STRING
    };
    let printable = value.tag != tag::PRINTABLE_STRING || crate::text::is_printable_string(text);
    let visible = !text.is_empty() && crate::text::is_visible(text);
    found.add(Finding::AttributeString, !of_its_type || !printable || !visible);
    let country = !is(oids::COUNTRY) || (text.len() == 2 && text.bytes().all(|c| c.is_ascii_uppercase()));
    found.add(Finding::Country, !country);
}

fn extensions(wrapped: &Value<'_>, found: &mut Found) -> Option<()> {
    let list = der::only(wrapped.contents)?;
    let list = der::each(list.contents)?;
    found.add(Finding::EmptySequence, list.is_empty());
    let mut types = Vec::with_capacity(16);
    for extension in list {
        let [kind, value] = match der::exactly(extension.contents) {
            Some([kind, _, value]) => [kind, value],
            None => der::exactly(extension.contents)?,
        };
        let is_empty = der::only(value.contents).is_some_and(|v| v.tag == tag::SEQUENCE && v.contents.is_empty());
        // Only basicConstraints has nothing to say when it says no.
        let may_be_empty = kind.contents == oids::BASIC_CONSTRAINTS.as_bytes();
        found.add(Finding::EmptySequence, is_empty && !may_be_empty);
        types.push(kind.contents);
    }
    let twice = |(n, kind): (usize, &&[u8])| types.iter().skip(n + 1).any(|other| other == kind);
    found.add(Finding::ExtensionTwice, types.iter().enumerate().any(twice));
    Some(())
}
