//! The inside of a message: octets that are encrypted for somebody with a key of RSA.
//!
//! Prevents: a cipher that is broken; an answer that tells how an envelope did not open.
//! Source: RFC 8894 §3.2.2, RFC 5652 §6, RFC 3565, RFC 3560.

use super::ber::{definite, is_indefinite, joined};
use super::{MESSAGE_LEN_MAX, oids};
use crate::read::{Result as Read, any, bad, contents, inside, optional, sequence, serial_number};
use aws_lc_rs::cipher::{
    AES_128, AES_192, AES_256, Algorithm, DecryptionContext, EncryptionContext, PaddedBlockDecryptingKey,
    PaddedBlockEncryptingKey, UnboundCipherKey,
};
use const_oid::ObjectIdentifier;
use der::{Decode, Reader, SliceReader, Tag};
use std::borrow::Cow;
use x509::oids::{DATA, MGF1, RSA_ENCRYPTION, SHA256};
use x509::write::tag;
use x509::{BadDer, Certificate, Name, SerialNumber, Writer};
use zeroize::Zeroizing;

/// Octets in a block of AES.
const BLOCK_LEN: usize = 16;
/// Most recipients of an envelope: clients write one, some one for each certificate that they were given.
const RECIPIENTS_MAX: usize = 8;

/// How content is encrypted. What is older is not read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cipher {
    /// AES-128 in CBC.
    Aes128,
    /// AES-192 in CBC.
    Aes192,
    /// AES-256 in CBC.
    Aes256,
}

impl Cipher {
    const ALL: [Self; 3] = [Self::Aes128, Self::Aes192, Self::Aes256];

    /// Octets in a key.
    #[must_use]
    pub const fn key_len(self) -> usize {
        match self {
            Self::Aes128 => 16,
            Self::Aes192 => 24,
            Self::Aes256 => 32,
        }
    }
    const fn oid(self) -> ObjectIdentifier {
        match self {
            Self::Aes128 => oids::AES_128_CBC,
            Self::Aes192 => oids::AES_192_CBC,
            Self::Aes256 => oids::AES_256_CBC,
        }
    }
    const fn algorithm(self) -> &'static Algorithm {
        match self {
            Self::Aes128 => &AES_128,
            Self::Aes192 => &AES_192,
            Self::Aes256 => &AES_256,
        }
    }
}

/// How the key of the content is encrypted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    /// PKCS #1 version 1.5, which all clients write.
    Pkcs1,
    /// OAEP with SHA-1, its default.
    OaepSha1,
    /// OAEP with SHA-256.
    OaepSha256,
}

/// By what a recipient is named.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RecipientId {
    /// Its certificate.
    IssuerAndSerialNumber(Name, SerialNumber),
    /// Its key.
    SubjectKeyIdentifier(Vec<u8>),
}

/// Somebody who can open an envelope.
#[derive(Clone, Debug)]
pub struct Recipient {
    /// Who.
    pub id: RecipientId,
    /// How the key is encrypted; `None` if by nothing of our list.
    pub transport: Option<Transport>,
    /// The key of the content, encrypted.
    pub encrypted_key: Vec<u8>,
}

/// An envelope.
#[derive(Clone, Debug)]
pub struct Envelope {
    /// For whom it is.
    pub recipients: Vec<Recipient>,
    /// How the content is encrypted, and its initialisation vector; `None` if by nothing of our list.
    pub cipher: Option<(Cipher, [u8; BLOCK_LEN])>,
    encrypted: Vec<u8>,
}

impl Envelope {
    /// Reads an envelope.
    ///
    /// Off-spec: BER as [`super::PkiMessage::decode`] takes it, and content in pieces.
    /// Limits: [`MESSAGE_LEN_MAX`] octets, 8 recipients.
    /// # Errors
    /// [`BadDer`] if it is longer, no envelope around data, or followed by other octets.
    pub fn decode(octets: &[u8]) -> Result<Self, BadDer> {
        const BAD: BadDer = BadDer("pkcsPKIEnvelope");
        if octets.len() > MESSAGE_LEN_MAX {
            return Err(BAD);
        }
        let der = if is_indefinite(octets) { Cow::Owned(definite(octets).ok_or(BAD)?) } else { Cow::Borrowed(octets) };
        inside(&der, |r| {
            sequence(r, |r| {
                if ObjectIdentifier::decode(r)? != oids::ENVELOPED_DATA {
                    return bad(r);
                }
                match optional(r, 0)? {
                    Some(content) => inside(content, |r| sequence(r, Self::read)),
                    None => bad(r),
                }
            })
        })
        .map_err(|_| BAD)
    }

    // version, originatorInfo [0], recipientInfos, encryptedContentInfo, unprotectedAttrs [1].
    fn read(r: &mut SliceReader<'_>) -> Read<Self> {
        u8::decode(r)?;
        optional(r, 0)?;
        let recipients = inside(contents(r, Tag::Set)?, |r| {
            let mut recipients = Vec::new();
            while !r.is_finished() {
                if recipients.len() == RECIPIENTS_MAX {
                    return bad(r);
                }
                recipients.push(recipient(r)?);
            }
            Ok(recipients.into_iter().flatten().collect::<Vec<_>>())
        })?;
        let (cipher, encrypted) = sequence(r, |r| {
            if ObjectIdentifier::decode(r)? != DATA {
                return bad(r);
            }
            let cipher = sequence(r, cipher)?;
            let (tag, encrypted) = any(r)?;
            let Tag::ContextSpecific { constructed, number: der::TagNumber(0) } = tag else { return bad(r) };
            match (constructed, encrypted) {
                (false, whole) => Ok((cipher, whole.to_vec())),
                (true, pieces) => match joined(pieces) {
                    Some(whole) => Ok((cipher, whole)),
                    None => bad(r),
                },
            }
        })?;
        optional(r, 1)?;
        Ok(Self { recipients, cipher, encrypted })
    }

    /// The content, with the key that a recipient has found. `None` if it is not the key, or the content was altered such that it shows:
    /// nothing here proves that it was not, which only a signature inside does.
    #[must_use]
    pub fn open(&self, key: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
        let (cipher, iv) = self.cipher?;
        if self.encrypted.is_empty() || !self.encrypted.len().is_multiple_of(BLOCK_LEN) {
            return None;
        }
        let key = UnboundCipherKey::new(cipher.algorithm(), key).ok()?;
        let key = PaddedBlockDecryptingKey::cbc_pkcs7(key).ok()?;
        let mut content = Zeroizing::new(self.encrypted.clone());
        let len = key.decrypt(&mut content, DecryptionContext::Iv128(iv.into())).ok()?.len();
        content.truncate(len);
        Some(content)
    }
}

#[cfg(test)]
impl Envelope {
    /// The same with less of its content.
    pub(super) fn shorten(&mut self, len: usize) {
        self.encrypted.truncate(len);
    }
}

/// Writes an envelope for the holder of a certificate, whose key `encrypted_key` was encrypted for.
///
/// `None` if the content key is not one of the cipher.
#[must_use]
pub fn write_envelope(
    content: &[u8],
    to: &Certificate,
    (cipher, key, iv): (Cipher, &[u8], [u8; BLOCK_LEN]),
    (transport, encrypted_key): (Transport, &[u8]),
) -> Option<Vec<u8>> {
    let encrypted = encrypt(cipher, key, iv, content.to_vec())?;
    let tbs = to.tbs();
    let mut w = Writer::with_capacity(encrypted.len() + encrypted_key.len() + 256);
    w.sequence(|w| {
        w.oid(oids::ENVELOPED_DATA).explicit(0, |w| {
            w.sequence(|w| {
                w.small(0).set(|w| {
                    w.sequence(|w| {
                        w.small(0).sequence(|w| {
                            w.raw(tbs.issuer.der()).unsigned(tbs.serial_number.octets());
                        });
                        w.sequence(|w| write_transport(transport, w)).octet_string(encrypted_key);
                    });
                });
                w.sequence(|w| {
                    w.oid(DATA).sequence(|w| {
                        w.oid(cipher.oid()).octet_string(&iv);
                    });
                    w.value(tag::CONTEXT, &encrypted);
                });
            });
        });
    });
    Some(w.finish())
}

/// Encrypts in place, if the buffer has room for the padding.
fn encrypt(cipher: Cipher, key: &[u8], iv: [u8; BLOCK_LEN], mut content: Vec<u8>) -> Option<Vec<u8>> {
    let unbound = UnboundCipherKey::new(cipher.algorithm(), key).ok()?;
    let sealing = PaddedBlockEncryptingKey::cbc_pkcs7(unbound).ok()?;
    sealing.less_safe_encrypt(&mut content, EncryptionContext::Iv128(iv.into())).ok()?;
    Some(content)
}

/// AES-256 in CBC. What was to be encrypted is wiped.
pub(crate) fn encrypt_cbc(key: &[u8; 32], iv: [u8; BLOCK_LEN], content: Zeroizing<Vec<u8>>) -> Option<Vec<u8>> {
    // In a copy with room for the padding: a buffer that grows would leave what was in it behind.
    let mut room = Vec::with_capacity(content.len() + BLOCK_LEN);
    room.extend_from_slice(&content);
    encrypt(Cipher::Aes256, key, iv, room)
}

/// Somebody with a key of RSA. Other kinds are passed over.
fn recipient(r: &mut SliceReader<'_>) -> Read<Option<Recipient>> {
    if Tag::peek(r)? != Tag::Sequence {
        any(r)?;
        return Ok(None);
    }
    sequence(r, |r| {
        u8::decode(r)?;
        let id = match Tag::peek(r)? {
            Tag::Sequence => {
                let (issuer, serial_number) = sequence(r, |r| Ok((r.tlv_bytes()?, serial_number(r)?)))?;
                match Name::decode(issuer) {
                    Ok(issuer) => RecipientId::IssuerAndSerialNumber(issuer, serial_number),
                    Err(_) => return bad(r),
                }
            }
            _ => match any(r)? {
                (Tag::ContextSpecific { constructed: false, number: der::TagNumber(0) }, identifier) => {
                    RecipientId::SubjectKeyIdentifier(identifier.to_vec())
                }
                _ => return bad(r),
            },
        };
        let transport = inside(contents(r, Tag::Sequence)?, transport)?;
        Ok(Some(Recipient { id, transport, encrypted_key: contents(r, Tag::OctetString)?.to_vec() }))
    })
}

fn cipher(r: &mut SliceReader<'_>) -> Read<Option<(Cipher, [u8; BLOCK_LEN])>> {
    let oid = ObjectIdentifier::decode(r)?;
    let Some(cipher) = Cipher::ALL.into_iter().find(|cipher| cipher.oid() == oid) else {
        if !r.is_finished() {
            any(r)?;
        }
        return Ok(None);
    };
    match contents(r, Tag::OctetString)?.try_into() {
        Ok(iv) => Ok(Some((cipher, iv))),
        Err(_) => bad(r),
    }
}

// An AlgorithmIdentifier. Source: RFC 3370 §4.2.1, RFC 4055 §4.1.
fn transport(r: &mut SliceReader<'_>) -> Read<Option<Transport>> {
    let oid = ObjectIdentifier::decode(r)?;
    let parameters = if r.is_finished() { None } else { Some(r.tlv_bytes()?) };
    // RFC 4055 §2.1: NULL is written, and none is read, too. OpenSSL writes none.
    let is_oaep_sha256 = |said: &[u8]| {
        [HashParameters::Null, HashParameters::Absent].into_iter().any(|parameters| {
            let mut oaep = Writer::default();
            write_oaep(parameters, &mut oaep);
            oaep.finish() == said
        })
    };
    Ok(match (oid, parameters) {
        (RSA_ENCRYPTION, None | Some([5, 0])) => Some(Transport::Pkcs1),
        (oids::RSAES_OAEP, None | Some([0x30, 0])) => Some(Transport::OaepSha1),
        (oids::RSAES_OAEP, Some(said)) if is_oaep_sha256(said) => Some(Transport::OaepSha256),
        _ => None,
    })
}

fn write_transport(transport: Transport, w: &mut Writer) {
    match transport {
        Transport::Pkcs1 => _ = w.oid(RSA_ENCRYPTION).value(tag::NULL, &[]),
        Transport::OaepSha1 => _ = w.oid(oids::RSAES_OAEP).sequence(|_| {}),
        Transport::OaepSha256 => write_oaep(HashParameters::Null, w.oid(oids::RSAES_OAEP)),
    }
}

/// How an algorithm without parameters is written.
#[derive(Clone, Copy, PartialEq, Eq)]
enum HashParameters {
    Null,
    Absent,
}

/// The parameters of OAEP with SHA-256.
pub(crate) fn write_oaep_sha256(w: &mut Writer) {
    write_oaep(HashParameters::Null, w);
}

// RSAES-OAEP-params: the hash, and the same for the mask.
fn write_oaep(parameters: HashParameters, w: &mut Writer) {
    let sha256 = |w: &mut Writer| {
        w.sequence(|w| {
            w.oid(SHA256);
            if parameters == HashParameters::Null {
                w.value(tag::NULL, &[]);
            }
        });
    };
    w.sequence(|w| {
        w.explicit(0, sha256).explicit(1, |w| {
            w.sequence(|w| {
                w.oid(MGF1);
                sha256(w);
            });
        });
    });
}
