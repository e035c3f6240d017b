//! Extensions of certificates, requests and lists.

use crate::name::Name;
use crate::oids;
use crate::read::{self, Held, Result, bad};
use crate::serial::SerialNumber;
use crate::write::{Writer, tag};
use const_oid::ObjectIdentifier;
use der::{Decode, Reader, SliceReader, Tag};

/// Most extensions in one structure; real ones have about ten.
pub const EXTENSIONS_MAX: usize = 32;
/// Most names in a subject alternative name.
pub const GENERAL_NAMES_MAX: usize = 64;

/// One extension, its value still DER.
/// Source: RFC 5280 §4.2.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Extension {
    /// Its type.
    pub oid: ObjectIdentifier,
    /// Whether who does not know it must refuse.
    pub critical: bool,
    /// The contents of the OCTET STRING.
    pub value: Vec<u8>,
}

impl Extension {
    /// An extension whose value `f` writes.
    #[must_use]
    pub fn of(oid: ObjectIdentifier, critical: bool, f: impl FnOnce(&mut Writer)) -> Self {
        let mut w = Writer::default();
        f(&mut w);
        Self { oid, critical, value: w.finish() }
    }

    /// The same, lying here.
    #[must_use]
    pub fn as_ref(&self) -> ExtensionRef<'_> {
        ExtensionRef { oid: self.oid, critical: self.critical, value: &self.value }
    }

    /// Writes the `Extension`.
    pub fn write(&self, w: &mut Writer) {
        self.as_ref().write(w);
    }

    /// Writes `Extensions`, in this order.
    pub fn write_all(extensions: &[Self], w: &mut Writer) {
        w.sequence(|w| extensions.iter().for_each(|extension| extension.write(w)));
    }

    /// Reads `Extensions`: at least one, none twice.
    pub(crate) fn read_all(reader: &mut SliceReader<'_>) -> Result<Vec<Self>> {
        read_all(reader, |extension: &Self| extension.oid)
    }
}

/// Reads `Extensions` in either form: at least one, none twice.
pub(crate) fn read_all<'a, E: Held<'a>>(
    reader: &mut SliceReader<'a>,
    oid: impl Fn(&E) -> ObjectIdentifier,
) -> Result<Vec<E>> {
    let contents = read::contents(reader, Tag::Sequence)?;
    let extensions = read::each(contents, EXTENSIONS_MAX, E::read)?;
    let twice = |(n, a): (usize, &E)| extensions.iter().skip(n + 1).any(|b| oid(a) == oid(b));
    let twice = extensions.iter().enumerate().any(twice);
    if extensions.is_empty() || twice { bad(reader) } else { Ok(extensions) }
}

/// An extension that lies in the octets which it was read from. The same octets are refused as for [`Extension`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the fields are those of an Extension")]
pub struct ExtensionRef<'a> {
    pub oid: ObjectIdentifier,
    pub critical: bool,
    pub value: &'a [u8],
}

impl PartialEq<Extension> for ExtensionRef<'_> {
    fn eq(&self, other: &Extension) -> bool {
        *self == other.as_ref()
    }
}

impl Held<'_> for Extension {
    fn read(reader: &mut SliceReader<'_>) -> Result<Self> {
        let ExtensionRef { oid, critical, value } = ExtensionRef::read(reader)?;
        Ok(Self { oid, critical, value: value.to_vec() })
    }
    fn write(&self, w: &mut Writer) {
        self.as_ref().write(w);
    }
}

impl<'a> Held<'a> for ExtensionRef<'a> {
    fn write(&self, w: &mut Writer) {
        w.sequence(|w| {
            w.oid(self.oid);
            if self.critical {
                w.true_();
            }
            w.octet_string(self.value);
        });
    }

    fn read(reader: &mut SliceReader<'a>) -> Result<Self> {
        let contents = read::contents(reader, Tag::Sequence)?;
        read::inside(contents, |r| {
            let oid = read::oid(r)?;
            let critical = match read::next_tag(r)? {
                // DER leaves a default out, so FALSE is not written.
                Some(Tag::Boolean) => match bool::decode(r)? {
                    true => true,
                    false => return bad(r),
                },
                _ => false,
            };
            Ok(Self { oid, critical, value: read::contents(r, Tag::OctetString)? })
        })
    }
}

/// `BasicConstraints`.
/// Source: RFC 5280 §4.2.1.9.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BasicConstraints {
    /// Whether the subject is a certification authority.
    pub ca: bool,
    /// How many intermediate authorities may follow.
    pub path_len: Option<u8>,
}

impl BasicConstraints {
    /// The extension, critical as RFC 5280 demands for authorities.
    #[must_use]
    pub fn extension(self) -> Extension {
        Extension::of(oids::BASIC_CONSTRAINTS, true, |w| {
            w.sequence(|w| {
                if self.ca {
                    w.true_();
                }
                if let Some(path_len) = self.path_len {
                    w.small(u64::from(path_len));
                }
            });
        })
    }

    /// Reads the value; `None` if it is not well formed.
    #[must_use]
    pub fn decode(value: &[u8]) -> Option<Self> {
        read::whole(value, 16, "BasicConstraints", |r| {
            let contents = read::contents(r, Tag::Sequence)?;
            read::inside(contents, |r| {
                let ca = match read::next_tag(r)? {
                    Some(Tag::Boolean) => match bool::decode(r)? {
                        true => true,
                        false => return bad(r),
                    },
                    _ => false,
                };
                let path_len = if r.is_finished() { None } else { Some(u8::decode(r)?) };
                Ok(Self { ca, path_len })
            })
        })
        .ok()
    }
}

/// `KeyUsage` as a set of its named bits; bit n of the number is bit n of the BIT STRING.
/// Source: RFC 5280 §4.2.1.3.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeyUsage(pub u16);

impl KeyUsage {
    /// digitalSignature
    pub const DIGITAL_SIGNATURE: Self = Self(1);
    /// keyEncipherment
    pub const KEY_ENCIPHERMENT: Self = Self(1 << 2);
    /// keyAgreement
    pub const KEY_AGREEMENT: Self = Self(1 << 4);
    /// keyCertSign
    pub const KEY_CERT_SIGN: Self = Self(1 << 5);
    /// cRLSign
    pub const CRL_SIGN: Self = Self(1 << 6);

    /// The names that profiles use.
    pub const NAMES: [(&'static str, Self); 7] = [
        ("digital-signature", Self::DIGITAL_SIGNATURE),
        ("content-commitment", Self(1 << 1)),
        ("key-encipherment", Self::KEY_ENCIPHERMENT),
        ("data-encipherment", Self(1 << 3)),
        ("key-agreement", Self::KEY_AGREEMENT),
        ("key-cert-sign", Self::KEY_CERT_SIGN),
        ("crl-sign", Self::CRL_SIGN),
    ];

    /// All bits of both.
    #[must_use]
    pub const fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
    /// Whether all bits of `other` are set.
    #[must_use]
    pub const fn has(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }
    /// The extension, critical.
    #[must_use]
    pub fn extension(self) -> Extension {
        Extension::of(oids::KEY_USAGE, true, |w| {
            w.named_bits(self.0);
        })
    }
    /// Reads the value; `None` if it is not well formed or names bits that do not exist.
    #[must_use]
    pub fn decode(value: &[u8]) -> Option<Self> {
        let bits = read::whole(value, 8, "KeyUsage", |r| read::contents(r, Tag::BitString)).ok()?;
        read::named_bits(bits, 9).map(Self)
    }
}

/// The extended key usage extension. Source: RFC 5280 §4.2.1.12.
#[must_use]
pub fn extended_key_usage(purposes: &[ObjectIdentifier]) -> Extension {
    Extension::of(oids::EXTENDED_KEY_USAGE, false, |w| {
        w.sequence(|w| {
            for purpose in purposes {
                w.oid(*purpose);
            }
        });
    })
}

/// Reads an extended key usage; `None` if it is not well formed or empty.
#[must_use]
pub fn decode_extended_key_usage(value: &[u8]) -> Option<Vec<ObjectIdentifier>> {
    let read = read::whole(value, 1024, "ExtKeyUsageSyntax", |r| {
        let contents = read::contents(r, Tag::Sequence)?;
        read::each(contents, EXTENSIONS_MAX, read::oid)
    });
    read.ok().filter(|purposes| !purposes.is_empty())
}

/// The subject key identifier extension. Source: RFC 5280 §4.2.1.2.
#[must_use]
pub fn subject_key_identifier(identifier: &[u8]) -> Extension {
    Extension::of(oids::SUBJECT_KEY_IDENTIFIER, false, |w| {
        w.octet_string(identifier);
    })
}

/// The authority key identifier extension, key identifier only. Source: RFC 5280 §4.2.1.1.
#[must_use]
pub fn authority_key_identifier(identifier: &[u8]) -> Extension {
    Extension::of(oids::AUTHORITY_KEY_IDENTIFIER, false, |w| {
        w.sequence(|w| {
            w.value(tag::CONTEXT, identifier);
        });
    })
}

/// What an authority key identifier says of its key.
/// Source: RFC 5280 §4.2.1.1.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AuthorityKeyIdentifier {
    /// The subject key identifier of the issuer.
    pub key_identifier: Option<Vec<u8>>,
    /// The serial number of the issuer's certificate.
    pub serial_number: Option<SerialNumber>,
}

impl AuthorityKeyIdentifier {
    /// Reads the value; `None` if it is not well formed.
    #[must_use]
    pub fn decode(value: &[u8]) -> Option<Self> {
        read::whole(value, 8 * 1024, "AuthorityKeyIdentifier", |r| {
            let contents = read::contents(r, Tag::Sequence)?;
            read::inside(contents, |r| {
                let key_identifier = read::optional(r, 0, false)?.map(<[u8]>::to_vec);
                let issuer = read::optional(r, 1, true)?;
                let serial = read::optional(r, 2, false)?;
                // The issuer's name and serial number come together or not at all.
                if issuer.is_some() != serial.is_some() {
                    return bad(r);
                }
                let serial_number = match serial.map(SerialNumber::new) {
                    None => None,
                    Some(Ok(serial)) => Some(serial),
                    Some(Err(_)) => return bad(r),
                };
                Ok(Self { key_identifier, serial_number })
            })
        })
        .ok()
    }
}

/// Reads a subject key identifier; `None` if it is not well formed.
#[must_use]
pub fn decode_subject_key_identifier(value: &[u8]) -> Option<Vec<u8>> {
    read::whole(value, 1024, "SubjectKeyIdentifier", |r| read::contents(r, Tag::OctetString)).ok().map(<[u8]>::to_vec)
}

/// The extension that says: this certificate's state is not asked for. Source: RFC 6960 §4.2.2.2.1.
#[must_use]
pub fn ocsp_nocheck() -> Extension {
    Extension::of(oids::OCSP_NOCHECK, false, |w| {
        w.value(tag::NULL, &[]);
    })
}

/// A name in a subject alternative name, a distribution point or a name constraint.
/// Source: RFC 5280 §4.2.1.6.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum GeneralName {
    /// `dNSName`
    Dns(String),
    /// `uniformResourceIdentifier`
    Uri(String),
    /// `rfc822Name`
    Rfc822(String),
    /// `directoryName`
    Directory(Name),
    /// `iPAddress`: 4 or 16 octets; in a name constraint 8 or 32, address and mask.
    Ip(Vec<u8>),
    /// Any other kind (`otherName`, `x400Address`, `ediPartyName`, `registeredID`), as it was read.
    Other(Vec<u8>),
}

/// `id-on-permanentIdentifier`
const PERMANENT_IDENTIFIER: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.8.3");

impl GeneralName {
    /// `otherName` of the type `PermanentIdentifier`, with a value and no assigner. Source: RFC 4043 §2.
    #[must_use]
    pub fn permanent_identifier(value: &str) -> Self {
        let mut w = Writer::default();
        w.nested(OTHER_NAME, |w| {
            w.oid(PERMANENT_IDENTIFIER).explicit(0, |w| {
                w.sequence(|w| _ = w.value(tag::UTF8_STRING, value.as_bytes()));
            });
        });
        Self::Other(w.finish())
    }
}

const RFC822: u8 = tag::CONTEXT | 1;
const DNS: u8 = tag::CONTEXT | 2;
const DIRECTORY: u8 = tag::CONTEXT_CONSTRUCTED | 4;
const URI: u8 = tag::CONTEXT | 6;
const IP: u8 = tag::CONTEXT | 7;
const OTHER_NAME: u8 = tag::CONTEXT_CONSTRUCTED;
const X400_ADDRESS: u8 = tag::CONTEXT_CONSTRUCTED | 3;
const EDI_PARTY_NAME: u8 = tag::CONTEXT_CONSTRUCTED | 5;
const REGISTERED_ID: u8 = tag::CONTEXT | 8;

/// How many octets an `iPAddress` has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum IpShape {
    /// An address: 4 or 16.
    Address,
    /// Address and mask: 8 or 32.
    Range,
}

impl GeneralName {
    pub(crate) fn write(&self, w: &mut Writer) {
        match self {
            Self::Dns(text) => w.value(DNS, text.as_bytes()),
            Self::Uri(text) => w.value(URI, text.as_bytes()),
            Self::Rfc822(text) => w.value(RFC822, text.as_bytes()),
            Self::Directory(name) => w.value(DIRECTORY, name.der()),
            Self::Ip(octets) => w.value(IP, octets),
            Self::Other(der) => w.raw(der),
        };
    }

    pub(crate) fn read(reader: &mut SliceReader<'_>, shape: IpShape) -> Result<Self> {
        let der = reader.tlv_bytes()?;
        let (_, contents) = read::inside(der, read::any)?;
        let text = || {
            let text = der::asn1::Ia5StringRef::new(contents)?.as_str().to_owned();
            // An embedded NUL ends the text for some readers and not for others.
            if text.contains('\0') { bad(&mut SliceReader::new(contents)?) } else { Ok(text) }
        };
        let lens = match shape {
            IpShape::Address => [4, 16],
            IpShape::Range => [8, 32],
        };
        Ok(match der.first().copied().unwrap_or_default() {
            DNS => Self::Dns(text()?),
            URI => Self::Uri(text()?),
            RFC822 => Self::Rfc822(text()?),
            DIRECTORY => Self::Directory(read::inside(contents, Name::read)?),
            IP if lens.contains(&contents.len()) => Self::Ip(contents.to_vec()),
            OTHER_NAME | X400_ADDRESS | EDI_PARTY_NAME | REGISTERED_ID => Self::Other(der.to_vec()),
            _ => return bad(reader),
        })
    }

    /// The elements of `GeneralNames`, at least one.
    pub(crate) fn read_all(contents: &[u8]) -> Result<Vec<Self>> {
        read::inside(contents, |r| {
            let names =
                read::each(r.read_slice(r.remaining_len())?, GENERAL_NAMES_MAX, |r| Self::read(r, IpShape::Address))?;
            if names.is_empty() { bad(r) } else { Ok(names) }
        })
    }
}

/// The subject alternative name extension.
#[must_use]
pub fn subject_alt_name(names: &[GeneralName], critical: bool) -> Extension {
    Extension::of(oids::SUBJECT_ALT_NAME, critical, |w| {
        w.sequence(|w| names.iter().for_each(|name| name.write(w)));
    })
}

/// Reads a subject alternative name; `None` if it is not well formed or empty.
#[must_use]
pub fn decode_subject_alt_name(value: &[u8]) -> Option<Vec<GeneralName>> {
    read::whole(value, 16 * 1024, "SubjectAltName", |r| GeneralName::read_all(read::contents(r, Tag::Sequence)?)).ok()
}

/// The CRL distribution points extension with one full name. Source: RFC 5280 §4.2.1.13.
#[must_use]
pub fn crl_distribution_point(uri: &str) -> Extension {
    crate::points::crl_distribution_points(&[uri])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(der: &[u8], ok: bool) {
        let mut reader = SliceReader::new(der).unwrap();
        assert_eq!(Extension::read_all(&mut reader).is_ok(), ok);
    }
    fn extensions(of: &[Extension]) -> Vec<u8> {
        let mut w = Writer::default();
        Extension::write_all(of, &mut w);
        w.finish()
    }

    #[test]
    fn two_extensions() {
        check(&extensions(&[KeyUsage(1).extension(), subject_key_identifier(&[1])]), true);
    }
    #[test]
    fn none_is_refused() {
        check(&extensions(&[]), false);
    }
    #[test]
    fn one_twice_is_refused() {
        check(&extensions(&[KeyUsage(1).extension(), KeyUsage(2).extension()]), false);
    }
    #[test]
    fn thirty_three_are_refused() {
        let many: Vec<_> = (0..33)
            .map(|n| Extension {
                oid: ObjectIdentifier::new(&format!("1.2.{n}")).unwrap(),
                critical: false,
                value: vec![5, 0],
            })
            .collect();
        check(&extensions(&many[..32]), true);
        check(&extensions(&many), false);
    }
    #[test]
    fn a_written_default_is_refused() {
        check(&[0x30, 12, 0x30, 10, 6, 3, 0x55, 0x1d, 15, 1, 1, 0, 4, 0], false);
    }
    #[test]
    fn true_is_ff_only() {
        check(&[0x30, 12, 0x30, 10, 6, 3, 0x55, 0x1d, 15, 1, 1, 0xff, 4, 0], true);
        check(&[0x30, 12, 0x30, 10, 6, 3, 0x55, 0x1d, 15, 1, 1, 0x01, 4, 0], false);
    }
    #[test]
    fn basic_constraints_survive() {
        for constraints in [(false, None), (true, None), (true, Some(0)), (true, Some(3))] {
            let constraints = BasicConstraints { ca: constraints.0, path_len: constraints.1 };
            assert_eq!(BasicConstraints::decode(&constraints.extension().value), Some(constraints));
        }
    }
    #[test]
    fn key_usage_survives() {
        for bits in [1, 1 << 5 | 1 << 6, 1 << 8, 0x1ff] {
            assert_eq!(KeyUsage::decode(&KeyUsage(bits).extension().value), Some(KeyUsage(bits)));
        }
    }
    #[test]
    fn a_tenth_key_usage_is_refused() {
        assert_eq!(KeyUsage::decode(&[3, 3, 6, 0, 0x40]), None);
    }
    #[test]
    fn names_survive() {
        let names = [GeneralName::Dns("a.example".into()), GeneralName::Uri("urn:dev:ops:1-a-b".into())];
        assert_eq!(decode_subject_alt_name(&subject_alt_name(&names, false).value).unwrap(), names);
    }
    #[track_caller]
    fn check_name(der: &[u8], expected: Option<GeneralName>) {
        let value = [&[0x30, u8::try_from(der.len()).unwrap()], der].concat();
        let read = decode_subject_alt_name(&value);
        assert_eq!(read, expected.map(|name| vec![name]));
        if let Some(names) = read {
            assert_eq!(subject_alt_name(&names, false).value, value);
        }
    }
    #[test]
    fn an_address() {
        check_name(&[0x87, 4, 10, 0, 0, 1], Some(GeneralName::Ip(vec![10, 0, 0, 1])));
    }
    #[test]
    fn an_address_of_five_octets_is_refused() {
        check_name(&[0x87, 5, 10, 0, 0, 1, 1], None);
    }
    #[test]
    fn a_mailbox() {
        check_name(&[0x81, 3, b'a', b'@', b'b'], Some(GeneralName::Rfc822("a@b".into())));
    }
    #[test]
    fn a_directory_name() {
        let name = Name::write(&[crate::name::Attribute { oid: oids::COMMON_NAME, text: "x".into() }]);
        let der = [&[0xa4, 14], name.der()].concat();
        check_name(&der, Some(GeneralName::Directory(name)));
    }
    #[test]
    fn other_kinds_of_names_are_kept_as_they_are() {
        for der in [&[0x88, 2, 0x2a, 3][..], &[0xa0, 7, 6, 1, 0x2a, 0xa0, 2, 5, 0]] {
            check_name(der, Some(GeneralName::Other(der.to_vec())));
        }
    }
    #[test]
    fn kinds_of_names_that_do_not_exist_are_refused() {
        check_name(&[0x89, 1, 0], None);
        check_name(&[0x04, 1, 0], None);
    }
    #[test]
    fn names_that_are_not_ascii_or_hold_nul_are_refused() {
        check_name(&[0x82, 2, 0xc3, 0xa4], None);
        check_name(&[0x82, 3, b'a', 0, b'b'], None);
    }
    #[test]
    fn an_authority_key_identifier() {
        let value = authority_key_identifier(&[1, 2]).value;
        let expected = AuthorityKeyIdentifier { key_identifier: Some(vec![1, 2]), serial_number: None };
        assert_eq!(AuthorityKeyIdentifier::decode(&value), Some(expected));
    }
    #[test]
    fn half_of_issuer_and_serial_number_is_refused() {
        assert_eq!(AuthorityKeyIdentifier::decode(&[0x30, 3, 0x82, 1, 1]), None);
        assert!(AuthorityKeyIdentifier::decode(&[0x30, 8, 0xa1, 3, 0x82, 1, b'x', 0x82, 1, 1]).is_some());
    }
    #[test]
    fn a_subject_key_identifier() {
        let value = subject_key_identifier(&[7; 20]).value;
        assert_eq!(decode_subject_key_identifier(&value), Some(vec![7; 20]));
    }
    #[test]
    fn empty_purposes_are_refused() {
        assert_eq!(decode_extended_key_usage(&[0x30, 0]), None);
        assert_eq!(decode_subject_alt_name(&[0x30, 0]), None);
    }
}
