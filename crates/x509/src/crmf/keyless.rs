//! Requests for a certificate and for the key to it: their template has none.

use super::{CONTROLS_MAX, CRMF_LEN_MAX, ProofOfPossession, write_only};
use crate::algorithm::KeyType;
use crate::key::PublicKey;
use crate::read::{self, BadDer, Result, bad};
use crate::write::{Writer, tag};
use der::{Reader, SliceReader, Tag, TagNumber};

/// Fields of a `CertTemplate`, and the number of its public key among them.
const FIELDS_MAX: usize = 10;
const PUBLIC_KEY: u32 = 6;

/// A request whose template has no public key, or one without any bits.
/// Source: RFC 9483 §4.1.6, RFC 4211 §5.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Keyless<'a> {
    /// Which type of key is asked for.
    pub wanted: WantedKey,
    /// Whether a proof of possession came along, of a key that is not there.
    pub has_proof: bool,
    // One DER value, whole; the fields before the public key, those behind it, and the controls.
    id: &'a [u8],
    before: &'a [u8],
    behind: &'a [u8],
    controls: &'a [u8],
}

/// Which type of key a request without one asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WantedKey {
    /// Whichever is made.
    Any,
    /// This one.
    Of(KeyType),
    /// One of RSA, or of no type of our list: its algorithm alone does not say how long it is to be.
    Other,
}

impl<'a> Keyless<'a> {
    /// Reads `CertReqMessages` with exactly one message, whose template has no public key. What else stands in the template is
    /// read by [`super::CertReqMsg::decode_only`], once there is a key.
    ///
    /// Limits: [`CRMF_LEN_MAX`] octets.
    /// # Errors
    /// [`BadDer`] if longer, not DER, with a public key, with none or several messages, or followed by other octets.
    pub fn decode(der: &'a [u8]) -> std::result::Result<Self, BadDer> {
        const BAD: BadDer = BadDer("CertReqMessages");
        if der.len() > CRMF_LEN_MAX {
            return Err(BAD);
        }
        read::inside(der, |r| {
            let messages = read::contents(r, Tag::Sequence)?;
            read::inside(messages, |r| read::inside(read::contents(r, Tag::Sequence)?, Self::read))
        })
        .map_err(|_| BAD)
    }

    fn read(r: &mut SliceReader<'a>) -> Result<Self> {
        let request = read::contents(r, Tag::Sequence)?;
        let has_proof = matches!(read::next_tag(r)?, Some(Tag::ContextSpecific { .. }));
        if has_proof {
            read::any(r)?;
        }
        // regInfo carries hints for people.
        if read::next_tag(r)? == Some(Tag::Sequence) {
            read::any(r)?;
        }
        read::inside(request, |r| {
            let mut ahead = r.clone();
            read::small(&mut ahead)?;
            let id = r.tlv_bytes()?;
            let template = read::contents(r, Tag::Sequence)?;
            let (before, wanted, behind) = divided(template)?;
            let controls = if r.is_finished() { &[][..] } else { read::contents_and_all(r, Tag::Sequence)?.1 };
            if !controls.is_empty() {
                let list = read::inside(controls, |r| read::contents(r, Tag::Sequence))?;
                read::each(list, CONTROLS_MAX, read::any)?;
            }
            Ok(Self { wanted, has_proof, id, before, behind, controls })
        })
    }

    /// The same request for this key, which signs it: `CertReqMessages`.
    ///
    /// # Errors
    /// Those of `sign`, which signs a `CertRequest` with this key.
    pub fn with_key<E>(
        &self,
        key: &PublicKey,
        sign: impl FnOnce(&[u8]) -> std::result::Result<Vec<u8>, E>,
    ) -> std::result::Result<Vec<u8>, E> {
        let spki = read::inside(key.spki(), |r| read::contents(r, Tag::Sequence)).unwrap_or_default();
        let mut w =
            Writer::with_capacity(self.before.len() + self.behind.len() + self.controls.len() + spki.len() + 32);
        w.sequence(|w| {
            w.raw(self.id).sequence(|w| {
                w.raw(self.before).value(tag::CONTEXT_CONSTRUCTED | 6, spki).raw(self.behind);
            });
            w.raw(self.controls);
        });
        let cert_request = w.finish();
        let signature = sign(&cert_request)?;
        let algorithm = key.key_type().signs_with();
        Ok(write_only(&cert_request, &ProofOfPossession::Signature { algorithm, signature }))
    }
}

/// What stands before the public key, which one is asked for, and what stands behind it.
fn divided(template: &[u8]) -> Result<(&[u8], WantedKey, &[u8])> {
    let (mut at, mut behind, mut last, mut wanted) = (0, template.len(), None, WantedKey::Any);
    let mut found = false;
    read::walk(template, FIELDS_MAX, |r| {
        let start = template.len() - usize::try_from(r.remaining_len())?;
        let (Tag::ContextSpecific { number: TagNumber(number), constructed }, contents) = read::any(r)? else {
            return bad(r);
        };
        let end = template.len() - usize::try_from(r.remaining_len())?;
        // X.690 §8.9: fields stand in their order, each once.
        if last.is_some_and(|last| last >= number) {
            return bad(r);
        }
        last = Some(number);
        match number {
            0..PUBLIC_KEY => at = end,
            PUBLIC_KEY if constructed => {
                (wanted, behind, found) = (read::inside(contents, bitless)?, end, true);
            }
            PUBLIC_KEY => return bad(r),
            _ if !found => (behind, found) = (start, true),
            _ => {}
        }
        Ok(())
    })?;
    Ok((template.get(..at).unwrap_or_default(), wanted, template.get(behind..).unwrap_or_default()))
}

/// A `SubjectPublicKeyInfo` without bits.
fn bitless(r: &mut SliceReader<'_>) -> Result<WantedKey> {
    let (_, algorithm) = read::contents_and_all(r, Tag::Sequence)?;
    if read::contents(r, Tag::BitString)? != [0] {
        return bad(r);
    }
    let is_of = |key_type: &KeyType| {
        let mut w = Writer::with_capacity(24);
        key_type.write_algorithm(&mut w);
        w.finish() == algorithm
    };
    let types = [KeyType::P256, KeyType::P384, KeyType::P521, KeyType::Ed25519];
    let ml_dsa = [KeyType::MlDsa44, KeyType::MlDsa65, KeyType::MlDsa87];
    Ok(types.into_iter().chain(ml_dsa).find(is_of).map_or(WantedKey::Other, WantedKey::Of))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::CertReqMsg;
    use crate::name::{Attribute, Name};
    use crate::oids;

    fn name() -> Name {
        Name::write(&[Attribute { oid: oids::COMMON_NAME, text: "a".into() }])
    }
    fn key() -> PublicKey {
        PublicKey::from_bits(KeyType::Ed25519, &[7; 32]).unwrap()
    }
    /// `CertReqMessages` with what `f` writes as the template.
    fn messages(f: impl FnOnce(&mut Writer), controls: bool, proof: Option<u8>) -> Vec<u8> {
        let mut w = Writer::default();
        w.sequence(|w| {
            w.sequence(|w| {
                w.sequence(|w| {
                    w.small(9).sequence(f);
                    if controls {
                        w.sequence(|w| {
                            w.sequence(|w| {
                                w.oid(oids::COMMON_NAME).small(1);
                            });
                        });
                    }
                });
                if let Some(tag) = proof {
                    w.value(tag, &[]);
                }
            });
        });
        w.finish()
    }
    fn subject(w: &mut Writer) {
        w.explicit(5, |w| {
            w.raw(name().der());
        });
    }
    fn extensions(w: &mut Writer) {
        w.explicit(9, |w| {
            w.sequence(|w| {
                w.oid(oids::KEY_USAGE).octet_string(&[3, 2, 7, 0x80]);
            });
        });
    }
    fn bitless(key_type: KeyType, w: &mut Writer) {
        w.explicit(6, |w| {
            key_type.write_algorithm(w);
            w.bit_string(&[]);
        });
    }
    #[track_caller]
    fn check(der: &[u8], wanted: WantedKey, has_proof: bool) {
        assert!(CertReqMsg::decode_only(der).is_err());
        let read = Keyless::decode(der).unwrap();
        assert_eq!((read.wanted, read.has_proof), (wanted, has_proof));
        let written = read.with_key(&key(), |_| Ok::<_, ()>(vec![1; 64])).unwrap();
        let whole = CertReqMsg::decode_only(&written).unwrap();
        assert_eq!((whole.cert_req_id, whole.cert_template.public_key), (9, key()));
        assert_eq!(whole.cert_template.subject, Some(name()));
        assert_eq!(whole.cert_template.extensions.len(), 1);
        assert!(Keyless::decode(&written).is_err(), "it has its key");
    }

    #[test]
    fn without_a_key_any_is_made() {
        let whole = |w: &mut Writer| {
            subject(w);
            extensions(w);
        };
        check(&messages(whole, false, None), WantedKey::Any, false);
        check(&messages(whole, true, Some(0x80)), WantedKey::Any, true);
    }
    #[test]
    fn a_key_without_bits_says_which_type() {
        for (key_type, wanted) in [
            (KeyType::P256, WantedKey::Of(KeyType::P256)),
            (KeyType::MlDsa65, WantedKey::Of(KeyType::MlDsa65)),
            (KeyType::Rsa(2048), WantedKey::Other),
        ] {
            let whole = |w: &mut Writer| {
                subject(w);
                bitless(key_type, w);
                extensions(w);
            };
            check(&messages(whole, false, None), wanted, false);
        }
    }
    #[test]
    fn an_empty_template_is_one_without_a_key() {
        let der = messages(|_| {}, false, None);
        let read = Keyless::decode(&der).unwrap();
        let written = read.with_key(&key(), |_| Ok::<_, ()>(vec![1; 64])).unwrap();
        assert_eq!(CertReqMsg::decode_only(&written).unwrap().cert_template.subject, None);
    }
    #[test]
    fn what_has_a_key_or_is_out_of_order_is_refused() {
        let with_bits = |w: &mut Writer| {
            w.explicit(6, |w| {
                KeyType::Ed25519.write_algorithm(w);
                w.bit_string(&[7; 32]);
            });
        };
        assert!(Keyless::decode(&messages(with_bits, false, None)).is_err());
        let out_of_order = |w: &mut Writer| {
            extensions(w);
            subject(w);
        };
        let twice = |w: &mut Writer| {
            bitless(KeyType::P256, w);
            bitless(KeyType::P256, w);
        };
        assert!(Keyless::decode(&messages(out_of_order, false, None)).is_err());
        assert!(Keyless::decode(&messages(twice, false, None)).is_err());
        let behind = [messages(subject, false, None), vec![0]].concat();
        assert!(Keyless::decode(&behind).is_err());
        assert!(Keyless::decode(&[0x30, 0]).is_err());
        assert!(Keyless::decode(&vec![0x30; CRMF_LEN_MAX + 1]).is_err());
    }
}
