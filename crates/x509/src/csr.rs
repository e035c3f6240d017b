//! PKCS #10 requests.

use crate::algorithm::SignatureAlgorithm;
use crate::extension::Extension;
use crate::key::PublicKey;
use crate::name::Name;
use crate::read::{self, BadDer, Held, Result, bad};
use crate::signature::{self, BadSignature};
use crate::weak::StrongKey;
use crate::write::{Writer, tag};
use crate::{oids, read::bit_string_octets};
use const_oid::ObjectIdentifier;
use der::{Reader, SliceReader, Tag};

/// Longest request in octets: ML-DSA-87 with a dozen names needs about 8 KiB.
pub const CSR_LEN_MAX: usize = 16 * 1024;
const UTF8_STRING: u8 = 0x0c;
/// Most attributes in a request.
const ATTRIBUTES_MAX: usize = 16;

/// A `CertificationRequest`, not verified.
/// Source: RFC 2986 §4.
#[derive(Clone, Debug)]
pub struct CertificationRequest {
    /// The octets that are signed.
    pub info: Vec<u8>,
    /// The name that the requester writes.
    pub subject: Name,
    /// The key.
    pub public_key: PublicKey,
    /// The extensions that the requester asks for.
    pub extensions: Vec<Extension>,
    /// The octets of the text in `challengePassword`, whatever kind of text it is. Source: RFC 2985 §5.4.1.
    pub challenge_password: Option<Vec<u8>>,
    /// The types of all attributes, those of extensions and of the password among them.
    pub attributes: Vec<ObjectIdentifier>,
    /// How it is signed.
    pub algorithm: SignatureAlgorithm,
    /// The signature.
    pub signature: Vec<u8>,
}

impl CertificationRequest {
    /// Reads a request.
    ///
    /// Limits: [`CSR_LEN_MAX`] octets.
    /// # Errors
    /// [`BadDer`] if longer, not DER, with an attribute or extension twice, or followed by other octets.
    pub fn decode(der: &[u8]) -> std::result::Result<Self, BadDer> {
        read::whole(der, CSR_LEN_MAX, "CertificationRequest", |r| {
            let contents = read::contents(r, Tag::Sequence)?;
            read::inside(contents, |r| {
                let info = r.tlv_bytes()?;
                let algorithm = SignatureAlgorithm::read(r)?;
                let signature = bit_string_octets(r)?.to_vec();
                let Info { subject, public_key, extensions, challenge_password, attributes } =
                    read::inside(info, request_info)?;
                let info = info.to_vec();
                Ok(Self { info, subject, public_key, extensions, challenge_password, attributes, algorithm, signature })
            })
        })
    }

    /// Verifies that the holder of the key signed the request.
    ///
    /// # Errors
    /// [`BadSignature`]
    pub fn verify(&self) -> std::result::Result<(), BadSignature> {
        signature::verify(&self.public_key, self.algorithm, &self.info, &self.signature)
    }

    /// The same with the request's key, which was looked at before.
    ///
    /// # Errors
    /// [`BadSignature`], also if it is another key.
    pub fn verify_with(&self, key: &StrongKey) -> std::result::Result<(), BadSignature> {
        if *key.key() != self.public_key {
            return Err(BadSignature);
        }
        key.verify(self.algorithm, &self.info, &self.signature)
    }
}

struct Info {
    subject: Name,
    public_key: PublicKey,
    extensions: Vec<Extension>,
    challenge_password: Option<Vec<u8>>,
    attributes: Vec<ObjectIdentifier>,
}

enum Attribute {
    Extensions(Vec<Extension>),
    ChallengePassword(Vec<u8>),
    Other,
}

fn request_info(reader: &mut SliceReader<'_>) -> Result<Info> {
    let contents = read::contents(reader, Tag::Sequence)?;
    read::inside(contents, |r| {
        if read::small(r)? != 0 {
            return bad(r);
        }
        let subject = Name::read(r)?;
        let public_key = PublicKey::read(r)?;
        // The attributes are not optional, but some clients leave the empty set out.
        let attributes = read::optional(r, 0, true)?.unwrap_or_default();
        let (mut extensions, mut challenge_password, mut types) = (None, None, Vec::new());
        for (oid, found) in read::each(attributes, ATTRIBUTES_MAX, attribute)? {
            types.push(oid);
            let before = match found {
                Attribute::Extensions(found) => extensions.replace(found).is_some(),
                Attribute::ChallengePassword(found) => challenge_password.replace(found).is_some(),
                Attribute::Other => false,
            };
            if before {
                return bad(r);
            }
        }
        let extensions = extensions.unwrap_or_default();
        Ok(Info { subject, public_key, extensions, challenge_password, attributes: types })
    })
}

// What an attribute says; others (unstructured name) are not ours.
fn attribute(reader: &mut SliceReader<'_>) -> Result<(ObjectIdentifier, Attribute)> {
    let contents = read::contents(reader, Tag::Sequence)?;
    read::inside(contents, |r| {
        let oid = read::oid(r)?;
        let values = read::contents(r, Tag::Set)?;
        let found = match oid {
            oids::EXTENSION_REQUEST | oids::MICROSOFT_EXTENSION_REQUEST => {
                Attribute::Extensions(read::inside(values, Extension::read_all)?)
            }
            // RFC 2985 §5.4.1: one DirectoryString; some write an IA5String.
            oids::CHALLENGE_PASSWORD => {
                Attribute::ChallengePassword(read::inside(values, |r| read::any(r).map(|(_, text)| text.to_vec()))?)
            }
            _ => Attribute::Other,
        };
        Ok((oid, found))
    })
}

/// Writes a `CertificationRequestInfo`, the octets that the key must sign.
#[must_use]
pub fn write_info(subject: &Name, public_key: &PublicKey, extensions: &[Extension]) -> Vec<u8> {
    write_info_with(subject, public_key, extensions, None)
}

/// The same with a `challengePassword`, as a UTF8String.
#[must_use]
pub fn write_info_with(
    subject: &Name,
    public_key: &PublicKey,
    extensions: &[Extension],
    challenge_password: Option<&str>,
) -> Vec<u8> {
    let attribute = |oid, values: &dyn Fn(&mut Writer)| {
        let mut w = Writer::with_capacity(128);
        w.sequence(|w| {
            w.oid(oid).set(values);
        });
        w.finish()
    };
    let mut attributes = Vec::new();
    if let Some(text) = challenge_password {
        attributes.push(attribute(oids::CHALLENGE_PASSWORD, &|w| {
            w.value(UTF8_STRING, text.as_bytes());
        }));
    }
    if !extensions.is_empty() {
        attributes.push(attribute(oids::EXTENSION_REQUEST, &|w| Extension::write_all(extensions, w)));
    }
    // A SET in DER is in the order of its elements' octets.
    attributes.sort_unstable();
    let mut w = Writer::with_capacity(256);
    w.sequence(|w| {
        w.small(0).raw(subject.der()).raw(public_key.spki());
        w.nested(tag::CONTEXT_CONSTRUCTED, |w| {
            for attribute in &attributes {
                w.raw(attribute);
            }
        });
    });
    w.finish()
}

/// Puts a signed structure together: the signed octets, the algorithm, the signature. `CertificationRequest`,
/// `Certificate` and `CertificateList` all have this shape.
#[must_use]
pub fn write_signed(signed: &[u8], algorithm: SignatureAlgorithm, signature: &[u8]) -> Vec<u8> {
    let mut w = Writer::with_capacity(signed.len() + signature.len() + 32);
    w.sequence(|w| {
        w.raw(signed);
        algorithm.write(w);
        w.bit_string(signature);
    });
    w.finish()
}

/// The octets that are signed of a structure that [`write_signed`] put together.
#[must_use]
pub fn signed_part(der: &[u8]) -> Option<&[u8]> {
    let contents = read::whole(der, usize::MAX, "SIGNED", |r| read::contents(r, Tag::Sequence)).ok()?;
    let mut reader = SliceReader::new(contents).ok()?;
    reader.tlv_bytes().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    // A request that nobody signed, with these attributes.
    fn with(attributes: &[u8]) -> std::result::Result<CertificationRequest, BadDer> {
        let key = PublicKey::from_bits(crate::KeyType::Ed25519, &[9; 32]).unwrap();
        let mut w = Writer::with_capacity(256);
        w.sequence(|w| {
            w.small(0).raw(Name::write(&[]).der()).raw(key.spki());
            w.nested(tag::CONTEXT_CONSTRUCTED, |w| {
                w.raw(attributes);
            });
        });
        CertificationRequest::decode(&write_signed(&w.finish(), SignatureAlgorithm::Ed25519, &[0; 64]))
    }
    fn attribute(oid: ObjectIdentifier, values: &[u8]) -> Vec<u8> {
        let mut w = Writer::with_capacity(64);
        w.sequence(|w| {
            w.oid(oid).set(|w| {
                w.raw(values);
            });
        });
        w.finish()
    }
    fn password(octets: &[u8]) -> Vec<u8> {
        attribute(oids::CHALLENGE_PASSWORD, octets)
    }

    #[test]
    fn a_password_in_whatever_kind_of_text() {
        for kind in [0x0c, 0x13, 0x16, 0x1e] {
            let read = with(&password(&[kind, 2, b'a', b'b'])).unwrap();
            assert_eq!(read.challenge_password.as_deref(), Some(b"ab".as_slice()));
        }
        assert_eq!(with(&password(&[0x0c, 0])).unwrap().challenge_password, Some(vec![]));
        assert_eq!(with(&[]).unwrap().challenge_password, None);
    }
    #[test]
    fn two_passwords_are_none() {
        let one = password(&[0x0c, 1, b'a']);
        assert!(with(&[one.clone(), one].concat()).is_err());
        assert!(with(&password(&[0x0c, 1, b'a', 0x0c, 1, b'b'])).is_err());
        assert!(with(&password(&[])).is_err());
    }
    #[test]
    fn extensions_are_asked_for_under_either_name_and_not_under_both() {
        let names = crate::extension::subject_alt_name(&[crate::extension::GeneralName::Dns("a".into())], false);
        let mut w = Writer::with_capacity(64);
        Extension::write_all(std::slice::from_ref(&names), &mut w);
        let value = w.finish();
        let asked = |oid| attribute(oid, &value);
        let (one, other) = (asked(oids::EXTENSION_REQUEST), asked(oids::MICROSOFT_EXTENSION_REQUEST));
        for attribute in [&one, &other] {
            assert_eq!(with(attribute).unwrap().extensions, std::slice::from_ref(&names));
        }
        assert!(with(&[one, other].concat()).is_err());
    }
    #[test]
    fn what_is_written_is_read() {
        let key = PublicKey::from_bits(crate::KeyType::Ed25519, &[9; 32]).unwrap();
        let names = crate::extension::subject_alt_name(&[crate::extension::GeneralName::Dns("a".into())], false);
        let (password, extensions) = (oids::CHALLENGE_PASSWORD, oids::EXTENSION_REQUEST);
        let long = "long".repeat(25);
        // The shorter one stands first: its length is the first octet that differs.
        for (text, order) in [("", [password, extensions]), (&long, [extensions, password])] {
            let info = write_info_with(&Name::write(&[]), &key, std::slice::from_ref(&names), Some(text));
            let der = write_signed(&info, SignatureAlgorithm::Ed25519, &[0; 64]);
            let read = CertificationRequest::decode(&der).unwrap();
            assert_eq!(read.challenge_password.as_deref(), Some(text.as_bytes()));
            assert_eq!((read.extensions.as_slice(), read.attributes), (std::slice::from_ref(&names), order.to_vec()));
        }
    }
}
