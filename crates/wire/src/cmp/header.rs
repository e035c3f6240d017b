//! `PKIHeader`.

use super::oids;
use super::shape::{explicit_sequence, octets, some, write_time};
use super::status::FreeText;
use crate::read::{self, Result, bad};
use const_oid::ObjectIdentifier;
use der::{Decode, Reader, SliceReader, Tag, TagNumber};
use model::UnixTime;
use x509::write::tag;
use x509::{Name, Writer};

/// Longest key identifier, nonce or transaction identifier that is read. Ours have 16 octets or 20; a reference may be
/// a name that people type.
pub const IDENTIFIER_LEN_MAX: usize = 128;
/// Most entries of `generalInfo`.
const GENERAL_INFO_MAX: usize = 16;

/// `pvno`: which syntax a message has. Version 3 only differs where `hashAlg` or `EnvelopedData` is used.
/// Source: RFC 9810 §7.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pvno {
    /// `cmp2000`
    V2,
    /// `cmp2021`
    V3,
}

/// A `PKIHeader` where it was read, or as it is to be written.
/// Source: RFC 9810 §5.1.1.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the fields are named as in RFC 9810")]
pub struct Header<'a> {
    pub pvno: Pvno,
    pub sender: PeerName<'a>,
    pub recipient: PeerName<'a>,
    pub message_time: Option<UnixTime>,
    /// An `AlgorithmIdentifier`, whole; [`super::ProtectionAlgorithm::read`] reads it.
    pub protection_alg: Option<&'a [u8]>,
    pub sender_kid: Option<&'a [u8]>,
    pub recip_kid: Option<&'a [u8]>,
    pub transaction_id: Option<&'a [u8]>,
    pub sender_nonce: Option<&'a [u8]>,
    pub recip_nonce: Option<&'a [u8]>,
    pub free_text: Option<FreeText<'a>>,
    pub general_info: Vec<TypeAndValue<'a>>,
}

/// A `GeneralName`, whole: who says to have sent a message, and whom it is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PeerName<'a> {
    der: &'a [u8],
}

/// An `InfoTypeAndValue`; the value is one DER value, whole.
/// Source: RFC 9810 §5.3.19.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the fields are named as in RFC 9810")]
pub struct TypeAndValue<'a> {
    pub info_type: ObjectIdentifier,
    pub info_value: Option<&'a [u8]>,
}

impl Pvno {
    const fn number(self) -> u64 {
        match self {
            Self::V2 => 2,
            Self::V3 => 3,
        }
    }
}

impl<'a> PeerName<'a> {
    /// A directory name from what [`write_directory_name`] wrote.
    ///
    /// `None` if the octets are not one `GeneralName`.
    #[must_use]
    pub fn new(der: &'a [u8]) -> Option<Self> {
        read::inside(der, Self::read).ok()
    }

    /// The octets.
    #[must_use]
    pub const fn der(self) -> &'a [u8] {
        self.der
    }

    /// The name, if it is a directory name.
    #[must_use]
    pub fn directory_name(self) -> Option<Name> {
        let name = read::inside(self.der, |r| read::optional(r, 4)).ok()??;
        Name::decode(name).ok()
    }

    fn read(reader: &mut SliceReader<'a>) -> Result<Self> {
        match Tag::peek(reader)? {
            Tag::ContextSpecific { number: TagNumber(0..=8), .. } => Ok(Self { der: reader.tlv_bytes()? }),
            _ => bad(reader),
        }
    }
}

/// Writes a `GeneralName` that is a directory name.
#[must_use]
pub fn write_directory_name(name: &Name) -> Vec<u8> {
    let mut w = Writer::with_capacity(name.der().len() + 4);
    w.explicit(4, |w| {
        w.raw(name.der());
    });
    w.finish()
}

impl<'a> Header<'a> {
    /// Whether `implicitConfirm` is asked for or granted.
    /// Source: RFC 9810 §5.1.1.1.
    #[must_use]
    pub fn implicit_confirm(&self) -> bool {
        let null = Some([tag::NULL, 0].as_slice());
        self.general_info.iter().any(|info| info.info_type == oids::IMPLICIT_CONFIRM && info.info_value == null)
    }

    pub(super) fn read(reader: &mut SliceReader<'a>) -> Result<Self> {
        read::sequence(reader, |r| {
            let pvno = match u64::decode(r)? {
                2 => Pvno::V2,
                3 => Pvno::V3,
                _ => return bad(r),
            };
            let (sender, recipient) = (PeerName::read(r)?, PeerName::read(r)?);
            let message_time = match read::optional(r, 0)? {
                Some(time) => Some(read::inside(time, read::generalized_time)?),
                None => None,
            };
            let protection_alg = explicit_sequence(r, 1)?;
            let sender_kid = octets(r, 2, IDENTIFIER_LEN_MAX)?;
            let recip_kid = octets(r, 3, IDENTIFIER_LEN_MAX)?;
            let transaction_id = octets(r, 4, IDENTIFIER_LEN_MAX)?;
            let sender_nonce = octets(r, 5, IDENTIFIER_LEN_MAX)?;
            let recip_nonce = octets(r, 6, IDENTIFIER_LEN_MAX)?;
            let free_text = match read::optional(r, 7)? {
                Some(text) => Some(read::inside(text, FreeText::read)?),
                None => None,
            };
            let general_info = match read::optional(r, 8)? {
                Some(list) => read::inside(list, |r| some(r, GENERAL_INFO_MAX, TypeAndValue::read))?,
                None => Vec::new(),
            };
            Ok(Self {
                pvno,
                sender,
                recipient,
                message_time,
                protection_alg,
                sender_kid,
                recip_kid,
                transaction_id,
                sender_nonce,
                recip_nonce,
                free_text,
                general_info,
            })
        })
    }

    pub(super) fn write(&self, w: &mut Writer) {
        w.sequence(|w| {
            w.small(self.pvno.number()).raw(self.sender.der).raw(self.recipient.der);
            if let Some(at) = self.message_time {
                w.explicit(0, |w| write_time(at, w));
            }
            if let Some(algorithm) = self.protection_alg {
                w.explicit(1, |w| {
                    w.raw(algorithm);
                });
            }
            let identifiers =
                [self.sender_kid, self.recip_kid, self.transaction_id, self.sender_nonce, self.recip_nonce];
            for (n, identifier) in (2..).zip(identifiers) {
                if let Some(identifier) = identifier {
                    w.explicit(n, |w| {
                        w.octet_string(identifier);
                    });
                }
            }
            if let Some(text) = self.free_text {
                w.explicit(7, |w| {
                    w.raw(text.der());
                });
            }
            if !self.general_info.is_empty() {
                w.explicit(8, |w| {
                    w.sequence(|w| self.general_info.iter().for_each(|info| info.write(w)));
                });
            }
        });
    }
}

impl<'a> TypeAndValue<'a> {
    /// `implicitConfirm`, whose value is NULL.
    pub const IMPLICIT_CONFIRM: TypeAndValue<'static> =
        TypeAndValue { info_type: oids::IMPLICIT_CONFIRM, info_value: Some(&[tag::NULL, 0]) };

    pub(super) fn read(reader: &mut SliceReader<'a>) -> Result<Self> {
        read::sequence(reader, |r| {
            let info_type = ObjectIdentifier::decode(r)?;
            let info_value = if r.is_finished() { None } else { Some(r.tlv_bytes()?) };
            Ok(Self { info_type, info_value })
        })
    }

    pub(super) fn write(&self, w: &mut Writer) {
        w.sequence(|w| {
            w.oid(self.info_type).raw(self.info_value.unwrap_or_default());
        });
    }
}
