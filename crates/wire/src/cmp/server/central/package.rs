//! `AsymmetricKeyPackage`, signed.

use crate::cmp::client::hash_of;
use crate::cmp::oids;
use crate::ocsp::{HashAlgorithm, oids as hash_oids};
use const_oid::ObjectIdentifier;
use x509::extension::decode_subject_key_identifier;
use x509::oids::{CONTENT_TYPE, MESSAGE_DIGEST, SUBJECT_KEY_IDENTIFIER};
use x509::write::tag;
use x509::{Certificate, SignatureAlgorithm, Writer};
use zeroize::Zeroizing;

/// Octets that a signature, digests and names need beside the key and the certificates, and more: a buffer that grows leaves a
/// copy of the key behind.
const ROOM: usize = 8 * 1024;

/// An `AsymmetricKeyPackage` with one key in its PKCS #8 form.
/// Source: RFC 5958 §2.
#[must_use]
pub fn write_key_package(pkcs8: &[u8]) -> Zeroizing<Vec<u8>> {
    let mut w = Writer::with_capacity(pkcs8.len() + 16);
    w.sequence(|w| {
        w.raw(pkcs8);
    });
    Zeroizing::new(w.finish())
}

/// A key package, and what is to be signed of it.
pub struct SignedKey<'a> {
    package: &'a [u8],
    algorithm: SignatureAlgorithm,
    hash: HashAlgorithm,
    attributes: Vec<u8>,
}

impl<'a> SignedKey<'a> {
    /// A package that is signed by this algorithm.
    #[must_use]
    pub fn new(package: &'a [u8], algorithm: SignatureAlgorithm) -> Self {
        let (hash, _) = hash_of(algorithm);
        let mut w = Writer::with_capacity(128);
        w.set(|w| {
            // X.690 §11.6: the shorter one stands first.
            w.sequence(|w| {
                w.oid(CONTENT_TYPE).set(|w| {
                    w.oid(oids::KEY_PACKAGE);
                });
            });
            w.sequence(|w| {
                w.oid(MESSAGE_DIGEST).set(|w| {
                    w.octet_string(hash.hash(package).octets());
                });
            });
        });
        Self { package, algorithm, hash, attributes: w.finish() }
    }

    /// What is signed: the attributes, as a SET. Source: RFC 5652 §5.4.
    #[must_use]
    pub fn to_be_signed(&self) -> &[u8] {
        &self.attributes
    }

    /// The `SignedData` around the package.
    ///
    /// `chain` has the signer's certificate first. `None` if that has no identifier of its key, by which the signer is named.
    /// Source: RFC 5652 §5.1, RFC 9483 §4.1.6.
    #[must_use]
    pub fn write(&self, signer: &Certificate, chain: &[&[u8]], signature: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
        let identifier = signer.tbs().extension(SUBJECT_KEY_IDENTIFIER)?;
        let identifier = decode_subject_key_identifier(&identifier.value)?;
        let attributes = self.attributes.get(set_head(&self.attributes)?..)?;
        let certificates: usize = chain.iter().map(|der| der.len()).sum();
        let mut w = Writer::with_capacity(self.package.len() + certificates + signature.len() + ROOM);
        let digest = |w: &mut Writer| {
            w.sequence(|w| {
                w.oid(hash_oid(self.hash));
            });
        };
        w.sequence(|w| {
            w.small(3).set(digest);
            w.sequence(|w| {
                w.oid(oids::KEY_PACKAGE).explicit(0, |w| {
                    w.octet_string(self.package);
                });
            });
            w.explicit(0, |w| {
                for der in chain {
                    w.raw(der);
                }
            });
            w.set(|w| {
                w.sequence(|w| {
                    w.small(3).value(tag::CONTEXT, &identifier);
                    digest(w);
                    w.value(tag::CONTEXT_CONSTRUCTED, attributes);
                    self.algorithm.write(w);
                    w.octet_string(signature);
                });
            });
        });
        Some(Zeroizing::new(w.finish()))
    }
}

/// Octets of tag and length of a SET.
fn set_head(der: &[u8]) -> Option<usize> {
    match der.get(1)? {
        0..=0x7f => Some(2),
        long => Some(2 + usize::from(long & 0x7f)),
    }
}

const fn hash_oid(hash: HashAlgorithm) -> ObjectIdentifier {
    match hash {
        HashAlgorithm::Sha384 => hash_oids::SHA384,
        HashAlgorithm::Sha512 => hash_oids::SHA512,
        _ => hash_oids::SHA256,
    }
}
