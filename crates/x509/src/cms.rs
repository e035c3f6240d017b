//! Signatures that stand beside what they sign: `SignedData` of the Cryptographic Message Syntax.
//!
//! Read are messages in DER over plain data, whose signers sign attributes with the digest of the data in them, so that the
//! data is hashed while it flows; it may stand in the message, too. What signs the data itself is read and verifies nothing; so does a hash or an
//! algorithm that is not in our lists.
//!
//! Source: RFC 5652 §5.

use crate::algorithm::SignatureAlgorithm;
use crate::certificate::Certificate;
use crate::extension::decode_subject_key_identifier;
use crate::key::PublicKey;
use crate::name::Name;
use crate::oids;
use crate::read::{self, BadDer, Held, Result, bad};
use crate::serial::SerialNumber;
use crate::signature::{self, BadSignature};
use crate::write::{Writer, tag};
use const_oid::ObjectIdentifier;
use der::{Reader, SliceReader, Tag};

/// Longest message in octets: a signature, and the certificates of a few signers.
pub const SIGNED_DATA_LEN_MAX: usize = 256 * 1024;
/// Most certificates in a message, and most signers of it.
const CERTIFICATES_MAX: usize = 16;
const SIGNERS_MAX: usize = 8;
/// Most signed attributes, and most hashes that are named in front: a signer writes four and one.
const ATTRIBUTES_MAX: usize = 32;
/// Of a message and of a signer: 1 where signers are named by issuer and serial number, 3 by the identifier of their key.
const VERSIONS: [u64; 2] = [1, 3];

/// A hash over what is signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum HashAlgorithm {
    /// SHA-256.
    Sha256,
    /// SHA-384.
    Sha384,
    /// SHA-512.
    Sha512,
}

/// A message that was read. Nobody has verified anything of it.
#[derive(Clone, Debug)]
pub struct SignedData {
    content: Option<Vec<u8>>,
    certificates: Vec<Certificate>,
    signers: Vec<SignerInfo>,
}

/// What one signer says.
#[derive(Clone, Debug)]
pub struct SignerInfo {
    id: SignerId,
    hash: Option<HashAlgorithm>,
    algorithm: Option<SignatureAlgorithm>,
    attributes: Option<Attributes>,
    signature: Vec<u8>,
}

#[derive(Clone, Debug)]
enum SignerId {
    IssuerAndSerialNumber(Name, SerialNumber),
    SubjectKeyIdentifier(Vec<u8>),
}

#[derive(Clone, Debug)]
struct Attributes {
    // As they are signed: a SET, whatever tag they have in the message.
    signed: Vec<u8>,
    message_digest: Vec<u8>,
    values: Vec<(ObjectIdentifier, Vec<u8>)>,
}

impl SignedData {
    /// Reads a message. Lists of revoked certificates and attributes that nobody signed are passed over.
    ///
    /// Limits: [`SIGNED_DATA_LEN_MAX`] octets, 16 certificates, 8 signers.
    /// # Errors
    /// [`BadDer`] if longer, not DER, of another content type, without a signer, or followed by other octets.
    /// Source: RFC 5652 §3, §5.1.
    pub fn decode(der: &[u8]) -> std::result::Result<Self, BadDer> {
        read::whole(der, SIGNED_DATA_LEN_MAX, "SignedData", |r| {
            let contents = read::contents(r, Tag::Sequence)?;
            read::inside(contents, |r| {
                if read::oid(r)? != oids::SIGNED_DATA {
                    return bad(r);
                }
                match read::optional(r, 0, true)? {
                    Some(content) => read::inside(content, Self::read),
                    None => bad(r),
                }
            })
        })
    }

    fn read(r: &mut SliceReader<'_>) -> Result<Self> {
        let contents = read::contents(r, Tag::Sequence)?;
        read::inside(contents, |r| {
            if !VERSIONS.contains(&read::small(r)?) {
                return bad(r);
            }
            read::walk(read::contents(r, Tag::Set)?, ATTRIBUTES_MAX, |r| read::contents(r, Tag::Sequence).map(|_| ()))?;
            let content = read::contents(r, Tag::Sequence)?;
            let content = read::inside(content, |r| {
                if read::oid(r)? != oids::DATA {
                    return bad(r);
                }
                read::optional(r, 0, true)
            })?;
            // Whose octets these are, who asks for them says: another type of content is passed over as it came.
            let content = content.map(<[u8]>::to_vec);
            let certificates = match read::optional(r, 0, true)? {
                Some(contents) => read_certificates(contents)?,
                None => Vec::new(),
            };
            read::optional(r, 1, true)?;
            let signers = read::each(read::contents(r, Tag::Set)?, SIGNERS_MAX, SignerInfo::read)?;
            if signers.is_empty() { bad(r) } else { Ok(Self { content, certificates, signers }) }
        })
    }

    /// Whether what is signed is elsewhere.
    #[must_use]
    pub const fn is_detached(&self) -> bool {
        self.content.is_none()
    }
    /// What is signed, if it stands in the message as an OCTET STRING.
    #[must_use]
    pub fn content(&self) -> Option<&[u8]> {
        let content = self.content.as_deref()?;
        read::inside(content, |r| read::contents(r, Tag::OctetString)).ok()
    }
    /// Certificates that came with it, in any order.
    #[must_use]
    pub fn certificates(&self) -> &[Certificate] {
        &self.certificates
    }
    /// Who says that they signed; at least one.
    #[must_use]
    pub fn signers(&self) -> &[SignerInfo] {
        &self.signers
    }
}

// What is no certificate of ours (attribute certificates, other versions) is none of a signer that we take.
fn read_certificates(contents: &[u8]) -> Result<Vec<Certificate>> {
    let read = |r: &mut SliceReader<'_>| Ok(Certificate::decode(r.tlv_bytes()?).ok());
    Ok(read::each(contents, CERTIFICATES_MAX, read)?.into_iter().flatten().collect())
}

impl SignerInfo {
    fn read(r: &mut SliceReader<'_>) -> Result<Self> {
        let contents = read::contents(r, Tag::Sequence)?;
        read::inside(contents, |r| {
            if !VERSIONS.contains(&read::small(r)?) {
                return bad(r);
            }
            let id = match read::optional(r, 0, false)? {
                Some(identifier) => SignerId::SubjectKeyIdentifier(identifier.to_vec()),
                None => read::inside(read::contents(r, Tag::Sequence)?, |r| {
                    Ok(SignerId::IssuerAndSerialNumber(Name::read(r)?, SerialNumber::read(r)?))
                })?,
            };
            let hash = read::inside(read::contents(r, Tag::Sequence)?, read_hash)?;
            let attributes = read::optional(r, 0, true)?.map(Attributes::read).transpose()?;
            let (algorithm, all) = read::contents_and_all(r, Tag::Sequence)?;
            let is_rsa = read::oid(&mut SliceReader::new(algorithm)?)? == oids::RSA_ENCRYPTION;
            // RFC 3370 §3.2: an RSA key may be named in the place of the algorithm, which follows from the hash then.
            let algorithm = match (is_rsa, hash) {
                (true, Some(HashAlgorithm::Sha256)) => Some(SignatureAlgorithm::RsaSha256),
                (true, Some(HashAlgorithm::Sha384)) => Some(SignatureAlgorithm::RsaSha384),
                (true, Some(HashAlgorithm::Sha512)) => Some(SignatureAlgorithm::RsaSha512),
                (true, None) => None,
                (false, _) => read::inside(all, SignatureAlgorithm::read).ok(),
            };
            let signature = read::contents(r, Tag::OctetString)?.to_vec();
            read::optional(r, 1, true)?;
            Ok(Self { id, hash, algorithm, attributes, signature })
        })
    }

    /// The hash of what is signed; `None` if it is none of our list.
    #[must_use]
    pub const fn hash(&self) -> Option<HashAlgorithm> {
        self.hash
    }
    /// Whether the signature is made by an algorithm of our list.
    #[must_use]
    pub const fn is_known(&self) -> bool {
        self.algorithm.is_some() && self.hash.is_some()
    }
    /// The digest of the data that was signed, if attributes were signed in its place.
    #[must_use]
    pub fn message_digest(&self) -> Option<&[u8]> {
        self.attributes.as_ref().map(|attributes| attributes.message_digest.as_slice())
    }
    /// The values of an attribute that was signed, in DER one after another: the contents of their SET.
    #[must_use]
    pub fn attribute(&self, oid: ObjectIdentifier) -> Option<&[u8]> {
        let values = &self.attributes.as_ref()?.values;
        values.iter().find(|(known, _)| *known == oid).map(|(_, values)| values.as_slice())
    }
    /// Whether the signer says that this is his certificate.
    #[must_use]
    pub fn names(&self, certificate: &Certificate) -> bool {
        let tbs = certificate.tbs();
        match &self.id {
            SignerId::IssuerAndSerialNumber(issuer, serial_number) => {
                tbs.issuer.matches(issuer) && tbs.serial_number == *serial_number
            }
            SignerId::SubjectKeyIdentifier(identifier) => {
                let own = tbs.extension(oids::SUBJECT_KEY_IDENTIFIER);
                own.and_then(|e| decode_subject_key_identifier(&e.value)).as_ref() == Some(identifier)
            }
        }
    }

    /// Verifies that this key signed the attributes. Whether [`Self::message_digest`] is that of the data is the caller's to
    /// compare.
    ///
    /// # Errors
    /// [`BadSignature`], also without signed attributes, and for an algorithm that is not in our list.
    /// Source: RFC 5652 §5.4.
    pub fn verify(&self, key: &PublicKey) -> std::result::Result<(), BadSignature> {
        match (self.algorithm, &self.attributes) {
            (Some(algorithm), Some(attributes)) => {
                signature::verify(key, algorithm, &attributes.signed, &self.signature)
            }
            (None, _) | (_, None) => Err(BadSignature),
        }
    }
}

// An AlgorithmIdentifier whose parameters are absent or NULL (RFC 5754 §2).
fn read_hash(r: &mut SliceReader<'_>) -> Result<Option<HashAlgorithm>> {
    let hash = match read::oid(r)? {
        oids::SHA256 => Some(HashAlgorithm::Sha256),
        oids::SHA384 => Some(HashAlgorithm::Sha384),
        oids::SHA512 => Some(HashAlgorithm::Sha512),
        _ => None,
    };
    if !r.is_finished() {
        read::any(r)?;
    }
    Ok(hash)
}

impl Attributes {
    // RFC 5652 §5.3: the type of the content and its digest are among them, each once and with one value.
    fn read(contents: &[u8]) -> Result<Self> {
        let mut seen: Vec<(ObjectIdentifier, Vec<u8>)> = Vec::new();
        let (mut is_data, mut message_digest) = (false, None);
        read::walk(contents, ATTRIBUTES_MAX, |r| {
            read::inside(read::contents(r, Tag::Sequence)?, |r| {
                let oid = read::oid(r)?;
                let values = read::contents(r, Tag::Set)?;
                if seen.iter().any(|(known, _)| *known == oid) {
                    return bad(r);
                }
                seen.push((oid, values.to_vec()));
                match oid {
                    oids::CONTENT_TYPE => is_data = read::inside(values, read::oid)? == oids::DATA,
                    oids::MESSAGE_DIGEST => {
                        message_digest = Some(read::inside(values, |r| read::contents(r, Tag::OctetString))?.to_vec());
                    }
                    _ => {}
                }
                Ok(())
            })
        })?;
        let mut w = Writer::with_capacity(contents.len() + 4);
        w.value(tag::SET, contents);
        match message_digest {
            Some(message_digest) if is_data => Ok(Self { signed: w.finish(), message_digest, values: seen }),
            _ => Err(der::ErrorKind::Failed.into()),
        }
    }
}
