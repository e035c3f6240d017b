//! `CertReqTemplateContent`: what a request for a certificate must look like.

use crate::cmp::oids;
use crate::cmp::template::write_named;
use crate::read::{self, Result, bad};
use const_oid::ObjectIdentifier;
use der::{Decode, Reader, SliceReader, Tag};
use x509::name::Attribute;
use x509::{BadDer, Extension, KeyType, Name, Writer};

/// Most key types that are named, in either direction: as many as there are.
const KEYS_MAX: usize = 16;
/// Most attributes of a subject.
const ATTRIBUTES_MAX: usize = 32;

/// What a request must look like. Empty values are for the requester to fill in.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RequestTemplate {
    /// The subject.
    pub subject: Option<Name>,
    /// Extensions that the request must have.
    pub extensions: Vec<Extension>,
    /// The types of keys of which one is to be chosen; none: any.
    pub keys: Vec<KeyType>,
}

impl RequestTemplate {
    /// Writes `CertReqTemplateContent`. `None` if nothing is demanded: then there is no value.
    ///
    /// Source: RFC 9810 §5.3.19.16, RFC 9483 §4.3.3: the length of an RSA key by `rsaKeyLen`, all other keys by `algId`.
    #[must_use]
    pub fn write(&self) -> Option<Vec<u8>> {
        if *self == Self::default() {
            return None;
        }
        let mut w = Writer::with_capacity(256);
        w.sequence(|w| {
            w.sequence(|w| write_named(self.subject.as_ref(), &self.extensions, w));
            if !self.keys.is_empty() {
                w.sequence(|w| self.keys.iter().for_each(|key| write_key(*key, w)));
            }
        });
        Some(w.finish())
    }

    /// Reads what [`Self::write`] writes.
    ///
    /// # Errors
    /// [`BadDer`] if it is not that: other fields of a `CertTemplate`, other controls, a length that no RSA key has.
    pub fn read(der: &[u8]) -> std::result::Result<Self, BadDer> {
        let read = read::inside(der, |r| {
            read::sequence(r, |r| {
                let template = read::contents(r, Tag::Sequence)?;
                let (subject, extensions) = read::inside(template, named)?;
                let keys = if r.is_finished() { Vec::new() } else { crate::cmp::shape::some(r, KEYS_MAX, key)? };
                Ok(Self { subject, extensions, keys })
            })
        });
        read.map_err(|_| BadDer("CertReqTemplateContent"))
    }
}

fn write_key(key: KeyType, w: &mut Writer) {
    w.sequence(|w| match key {
        KeyType::Rsa(bits) => {
            w.oid(oids::REG_CTRL_RSA_KEY_LEN).small(u64::from(bits));
        }
        key => key.write_algorithm(w.oid(oids::REG_CTRL_ALG_ID)),
    });
}

fn key(reader: &mut SliceReader<'_>) -> Result<KeyType> {
    read::sequence(reader, |r| match ObjectIdentifier::decode(r)? {
        oids::REG_CTRL_RSA_KEY_LEN => Ok(KeyType::Rsa(u16::decode(r)?)),
        oids::REG_CTRL_ALG_ID => {
            let algorithm = r.tlv_bytes()?;
            let is_it = |key: &KeyType| {
                let mut w = Writer::with_capacity(32);
                key.write_algorithm(&mut w);
                !matches!(key, KeyType::Rsa(_)) && w.finish() == algorithm
            };
            KeyType::NAMED.into_iter().find(is_it).map_or_else(|| bad(r), Ok)
        }
        _ => bad(r),
    })
}

/// Subject and extensions of a `CertTemplate` that has nothing else.
fn named(reader: &mut SliceReader<'_>) -> Result<(Option<Name>, Vec<Extension>)> {
    let subject = match read::optional(reader, 5)? {
        Some(name) => Some(read::inside(name, name_to_fill)?),
        None => None,
    };
    let mut list = Vec::new();
    if let Some(contents) = read::optional(reader, 9)? {
        let mut w = Writer::with_capacity(contents.len() + 4);
        w.sequence(|w| {
            w.raw(contents);
        });
        let own = |e: &read::Extension<'_>| Extension { oid: e.oid, critical: e.critical, value: e.value.to_vec() };
        list = read::extensions(&w.finish())?.iter().map(own).collect();
    }
    Ok((subject, list))
}

/// A name as we write it, one attribute in each relative name. In a certificate none of them may be empty.
fn name_to_fill(reader: &mut SliceReader<'_>) -> Result<Name> {
    let attributes = crate::cmp::shape::some(reader, ATTRIBUTES_MAX, |r| {
        let attribute = read::contents(r, Tag::Set)?;
        read::inside(attribute, |r| {
            read::sequence(r, |r| {
                let oid = ObjectIdentifier::decode(r)?;
                let (found, octets) = read::any(r)?;
                match (found, String::from_utf8(octets.to_vec())) {
                    (Tag::Utf8String | Tag::PrintableString | Tag::Ia5String, Ok(text)) => Ok(Attribute { oid, text }),
                    _ => bad(r),
                }
            })
        })
    })?;
    Ok(Name::write(&attributes))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn subject() -> Name {
        let attribute = |oid, text: &str| Attribute { oid, text: text.to_owned() };
        Name::write(&[attribute(x509::oids::ORGANIZATION, "Example"), attribute(x509::oids::COMMON_NAME, "")])
    }
    #[track_caller]
    fn check(template: &RequestTemplate, hex: &str) {
        let der = template.write().unwrap();
        assert_eq!(model::octets::hex(&der), hex);
        assert_eq!(RequestTemplate::read(&der).as_ref(), Ok(template));
    }

    #[test]
    fn nothing_that_is_demanded_is_nothing_that_is_said() {
        assert_eq!(RequestTemplate::default().write(), None);
    }
    #[test]
    fn keys_by_their_algorithm_and_rsa_by_its_length() {
        let keys = vec![KeyType::P256, KeyType::Ed25519, KeyType::Rsa(3072)];
        check(
            &RequestTemplate { keys, ..RequestTemplate::default() },
            "304b30003047\
             302006092b060105050705010b301306072a8648ce3d020106082a8648ce3d030107\
             301206092b060105050705010b300506032b6570\
             300f06092b060105050705010c02020c00",
        );
    }
    #[test]
    fn a_name_with_what_is_to_be_filled_in_and_an_extension_without_a_value() {
        let san = Extension { oid: x509::oids::SUBJECT_ALT_NAME, critical: false, value: Vec::new() };
        check(
            &RequestTemplate { subject: Some(subject()), extensions: vec![san], keys: Vec::new() },
            "302e302ca51f301d3110300e060355040a0c074578616d706c653109300706035504030c00a90930070603551d110400",
        );
    }
    #[test]
    fn what_else_a_template_may_have_is_refused() {
        for hex in ["", "3000", "30023001", "30043002a000", "3005300002010a", "300430000500"] {
            let der = model::octets::from_hex(hex).unwrap_or_default();
            assert!(RequestTemplate::read(&der).is_err(), "{hex}");
        }
    }
}
