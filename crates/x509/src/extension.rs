//! Extensions of certificates, requests and lists.

use crate::oids;
use crate::read::{self, Result, bad};
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

    /// Writes the `Extension`.
    pub fn write(&self, w: &mut Writer) {
        w.sequence(|w| {
            w.oid(self.oid);
            if self.critical {
                w.true_();
            }
            w.octet_string(&self.value);
        });
    }

    /// Writes `Extensions`, in this order.
    pub fn write_all(extensions: &[Self], w: &mut Writer) {
        w.sequence(|w| extensions.iter().for_each(|extension| extension.write(w)));
    }

    /// Reads `Extensions`: at least one, none twice.
    pub(crate) fn read_all(reader: &mut SliceReader<'_>) -> Result<Vec<Self>> {
        let contents = read::contents(reader, Tag::Sequence)?;
        let extensions = read::each(contents, EXTENSIONS_MAX, Self::read)?;
        let twice = extensions.iter().enumerate().any(|(n, a)| extensions.iter().skip(n + 1).any(|b| a.oid == b.oid));
        if extensions.is_empty() || twice { bad(reader) } else { Ok(extensions) }
    }

    fn read(reader: &mut SliceReader<'_>) -> Result<Self> {
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
            Ok(Self { oid, critical, value: read::contents(r, Tag::OctetString)?.to_vec() })
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
        let bits = read::whole(value, 8, "KeyUsage", der::asn1::BitStringRef::decode).ok()?;
        let mut set = 0;
        for (n, bit) in bits.bits().enumerate() {
            if bit {
                set |= u16::try_from(n).ok().filter(|n| *n < 9).map(|n| 1 << n)?;
            }
        }
        Some(Self(set))
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

/// A name in a subject alternative name, of the kinds that we write.
/// Source: RFC 5280 §4.2.1.6.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum GeneralName {
    /// `dNSName`
    Dns(String),
    /// `uniformResourceIdentifier`
    Uri(String),
    /// Any other kind, as it was read: nothing of ours writes one.
    Other(Vec<u8>),
}

const DNS: u8 = tag::CONTEXT | 2;
const URI: u8 = tag::CONTEXT | 6;

/// The subject alternative name extension.
#[must_use]
pub fn subject_alt_name(names: &[GeneralName], critical: bool) -> Extension {
    Extension::of(oids::SUBJECT_ALT_NAME, critical, |w| {
        w.sequence(|w| {
            for name in names {
                match name {
                    GeneralName::Dns(text) => w.value(DNS, text.as_bytes()),
                    GeneralName::Uri(text) => w.value(URI, text.as_bytes()),
                    GeneralName::Other(der) => w.raw(der),
                };
            }
        });
    })
}

/// Reads a subject alternative name; `None` if it is not well formed or empty.
#[must_use]
pub fn decode_subject_alt_name(value: &[u8]) -> Option<Vec<GeneralName>> {
    let read = read::whole(value, 16 * 1024, "SubjectAltName", |r| {
        let contents = read::contents(r, Tag::Sequence)?;
        read::each(contents, GENERAL_NAMES_MAX, |r| {
            let der = r.tlv_bytes()?;
            let (_, contents) = read::inside(der, read::any)?;
            let text = der::asn1::Ia5StringRef::new(contents).ok().map(|t| t.as_str().to_owned());
            Ok(match (der.first().copied().unwrap_or_default(), text) {
                (DNS, Some(text)) => GeneralName::Dns(text),
                (URI, Some(text)) => GeneralName::Uri(text),
                _ => GeneralName::Other(der.to_vec()),
            })
        })
    });
    read.ok().filter(|names| !names.is_empty())
}

/// The CRL distribution points extension with one full name. Source: RFC 5280 §4.2.1.13.
#[must_use]
pub fn crl_distribution_point(uri: &str) -> Extension {
    Extension::of(oids::CRL_DISTRIBUTION_POINTS, false, |w| {
        w.sequence(|w| {
            w.sequence(|w| {
                w.explicit(0, |w| {
                    w.nested(tag::CONTEXT_CONSTRUCTED, |w| {
                        w.value(URI, uri.as_bytes());
                    });
                });
            });
        });
    })
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
    #[test]
    fn other_kinds_of_names_are_kept_as_they_are() {
        let ip = [0x30, 6, 0x87, 4, 10, 0, 0, 1];
        assert_eq!(decode_subject_alt_name(&ip), Some(vec![GeneralName::Other(vec![0x87, 4, 10, 0, 0, 1])]));
    }
    #[test]
    fn empty_purposes_are_refused() {
        assert_eq!(decode_extended_key_usage(&[0x30, 0]), None);
        assert_eq!(decode_subject_alt_name(&[0x30, 0]), None);
    }
}
