//! `EncryptedKey`: an `EnvelopedData` for one reader.

use crate::cmp::oids;
use crate::scep::{encrypt_cbc, oids as cms_oids, write_oaep_sha256};
use aws_lc_rs::key_wrap::{AES_256, AesKek, KeyWrap};
use aws_lc_rs::pbkdf2;
use der::{SliceReader, Tag};
use std::num::NonZeroU32;
use x509::extension::decode_subject_key_identifier;
use x509::oids::{SIGNED_DATA, SUBJECT_KEY_IDENTIFIER};
use x509::write::tag;
use x509::{Certificate, PublicKey, Writer, sha256_of_parts};
use zeroize::Zeroizing;

/// Octets of the key that encrypts the content: AES-256.
pub const CONTENT_KEY_LEN: usize = 32;
/// Octets of an initialisation vector.
pub const IV_LEN: usize = 16;
/// Random octets behind a key that a password wraps, up to whole blocks.
pub const FILLER_LEN: usize = 12;
/// Iterations that make a key of a password: as many as for a MAC with it.
const ITERATIONS: NonZeroU32 = NonZeroU32::MIN.saturating_add(9_999);

/// Who reads it, and with what the key of the content comes to him.
pub enum Reader<'a> {
    /// The holder of a certificate with a key on a curve: by a key that was agreed upon.
    Agreement {
        /// The certificate.
        certificate: &'a Certificate,
        /// A key that was made for this, on the same curve.
        ephemeral: &'a PublicKey,
        /// What was agreed upon: the first coordinate of a point.
        shared: &'a [u8],
    },
    /// The holder of a certificate with a key of RSA.
    Transport {
        /// The certificate.
        certificate: &'a Certificate,
        /// The key of the content, encrypted by OAEP with SHA-256.
        encrypted_key: &'a [u8],
    },
    /// Who knows a secret.
    Password {
        /// The secret.
        secret: &'a [u8],
        /// Random.
        salt: [u8; IV_LEN],
        /// Random.
        iv: [u8; IV_LEN],
        /// Random.
        filler: [u8; FILLER_LEN],
    },
}

/// Encrypts a `SignedData` for a reader, and writes it as an `EncryptedKey`.
///
/// `None` if the library does not encrypt.
/// Source: RFC 4211 §4.2.1 (`envelopedData`), RFC 5652 §6.1, RFC 9483 §4.1.6.1 to §4.1.6.3.
#[must_use]
pub fn write_encrypted_key(
    signed: Zeroizing<Vec<u8>>,
    key: &[u8; CONTENT_KEY_LEN],
    iv: [u8; IV_LEN],
    reader: &Reader<'_>,
) -> Option<Vec<u8>> {
    let encrypted = encrypt_cbc(key, iv, signed)?;
    // RFC 5652 §6.1: 3 where a password is among the readers, otherwise 2.
    let version = if matches!(reader, Reader::Password { .. }) { 3 } else { 2 };
    let recipient = recipient(reader, key)?;
    let mut w = Writer::with_capacity(encrypted.len() + 1024);
    // The choice `envelopedData` of EncryptedKey is [0] IMPLICIT.
    w.explicit(0, |w| {
        w.small(version).set(|w| {
            w.raw(&recipient);
        });
        w.sequence(|w| {
            w.oid(SIGNED_DATA).sequence(|w| {
                w.oid(cms_oids::AES_256_CBC).octet_string(&iv);
            });
            w.value(tag::CONTEXT, &encrypted);
        });
    });
    Some(w.finish())
}

fn recipient(reader: &Reader<'_>, key: &[u8; CONTENT_KEY_LEN]) -> Option<Vec<u8>> {
    let mut w = Writer::with_capacity(1024);
    match reader {
        Reader::Agreement { certificate, ephemeral, shared } => {
            let wrapped = wrap(&agreed_key(shared), key)?;
            let originator = contents_of(ephemeral.spki())?;
            w.explicit(1, |w| {
                w.small(3);
                w.explicit(0, |w| {
                    w.value(tag::CONTEXT_CONSTRUCTED | 1, originator);
                });
                w.sequence(|w| {
                    w.oid(oids::STD_DH_SHA256_KDF).sequence(|w| {
                        w.oid(oids::AES_256_WRAP);
                    });
                });
                w.sequence(|w| {
                    w.sequence(|w| {
                        match identifier(certificate) {
                            // RecipientKeyIdentifier
                            Some(identifier) => w.explicit(0, |w| {
                                w.octet_string(&identifier);
                            }),
                            None => issuer_and_serial_number(certificate, w),
                        };
                        w.octet_string(&wrapped);
                    });
                });
            });
        }
        Reader::Transport { certificate, encrypted_key } => {
            w.sequence(|w| {
                match identifier(certificate) {
                    Some(identifier) => w.small(2).value(tag::CONTEXT, &identifier),
                    None => issuer_and_serial_number(certificate, w.small(0)),
                };
                w.sequence(|w| write_oaep_sha256(w.oid(cms_oids::RSAES_OAEP))).octet_string(encrypted_key);
            });
        }
        Reader::Password { secret, salt, iv, filler } => {
            let mut kek = Zeroizing::new([0; CONTENT_KEY_LEN]);
            pbkdf2::derive(pbkdf2::PBKDF2_HMAC_SHA256, ITERATIONS, salt, secret, kek.as_mut());
            let wrapped = wrap_by_password(&kek, key, *iv, filler)?;
            w.explicit(3, |w| {
                w.small(0).explicit(0, |w| {
                    w.oid(oids::PBKDF2).sequence(|w| {
                        w.octet_string(salt).small(u64::from(ITERATIONS.get())).sequence(|w| {
                            w.oid(oids::HMAC_WITH_SHA256).value(tag::NULL, &[]);
                        });
                    });
                });
                w.sequence(|w| {
                    w.oid(oids::PWRI_KEK).sequence(|w| {
                        w.oid(cms_oids::AES_256_CBC).octet_string(iv);
                    });
                });
                w.octet_string(&wrapped);
            });
        }
    }
    Some(w.finish())
}

fn identifier(certificate: &Certificate) -> Option<Vec<u8>> {
    decode_subject_key_identifier(&certificate.tbs().extension(SUBJECT_KEY_IDENTIFIER)?.value)
}

fn issuer_and_serial_number<'w>(certificate: &Certificate, w: &'w mut Writer) -> &'w mut Writer {
    let tbs = certificate.tbs();
    w.sequence(|w| {
        w.raw(tbs.issuer.der()).unsigned(tbs.serial_number.octets());
    })
}

fn contents_of(sequence: &[u8]) -> Option<&[u8]> {
    let mut reader = SliceReader::new(sequence).ok()?;
    crate::read::contents(&mut reader, Tag::Sequence).ok()
}

// The key derivation of ANSI X9.63 with SHA-256, whose first block is a key of AES-256.
// Source: RFC 5753 §7.1.8 (ECC-CMS-SharedInfo), SEC 1 §3.6.1.
fn agreed_key(shared: &[u8]) -> Zeroizing<[u8; CONTENT_KEY_LEN]> {
    let mut info = Writer::with_capacity(32);
    info.sequence(|w| {
        w.sequence(|w| {
            w.oid(oids::AES_256_WRAP);
        });
        w.explicit(2, |w| {
            w.octet_string(&256u32.to_be_bytes());
        });
    });
    let digest = sha256_of_parts([shared, &1u32.to_be_bytes(), &info.finish()].into_iter());
    Zeroizing::new(*digest.octets())
}

fn wrap(kek: &[u8; CONTENT_KEY_LEN], key: &[u8; CONTENT_KEY_LEN]) -> Option<Vec<u8>> {
    let mut wrapped = vec![0; CONTENT_KEY_LEN + 8];
    let len = AesKek::new(&AES_256, kek).ok()?.wrap(key, &mut wrapped).ok()?.len();
    wrapped.truncate(len);
    Some(wrapped)
}

// Length, check, key and filler, encrypted twice, so that each octet depends on each.
// Off-spec: RFC 9481 §4.3 names the key wrap of AES here as well; OpenSSL reads this one only, which RFC 5652 §6.2.4 is
// made for (ADR 26).
// Source: RFC 3211 §2.3.1.
fn wrap_by_password(
    kek: &[u8; CONTENT_KEY_LEN],
    key: &[u8; CONTENT_KEY_LEN],
    iv: [u8; IV_LEN],
    filler: &[u8; FILLER_LEN],
) -> Option<Vec<u8>> {
    let [a, b, c, ..] = *key;
    let len = u8::try_from(CONTENT_KEY_LEN).ok()?;
    let mut block = Zeroizing::new(Vec::with_capacity(64));
    block.extend_from_slice(&[len, !a, !b, !c]);
    block.extend_from_slice(key);
    block.extend_from_slice(filler);
    let blocks = block.len();
    // What pads the last block, which is whole already, is left away.
    let mut once = encrypt_cbc(kek, iv, block)?;
    once.truncate(blocks);
    let last: [u8; IV_LEN] = once.last_chunk().copied()?;
    let mut twice = encrypt_cbc(kek, last, Zeroizing::new(once))?;
    twice.truncate(blocks);
    Some(twice)
}
