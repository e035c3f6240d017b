//! The outside of a message: who signed, which transaction it is of, and what it asks for.
//!
//! Prevents: work for what is of no type that is answered; a signature that does not cover the transaction; two readings of one octet.

use super::ber::{definite, is_indefinite};
use super::{MESSAGE_LEN_MAX, oids};
use crate::read::{contents, inside};
use aws_lc_rs::digest::{SHA256, SHA384, SHA512, digest};
use der::Tag;
use std::borrow::Cow;
use std::fmt;
use x509::cms::{HashAlgorithm, SignerInfo};
use x509::{BadDer, Certificate, KeyType, SignatureAlgorithm, SignedData, weak};

/// Octets in a nonce. Source: RFC 8894 §3.2.1.5.
pub const NONCE_LEN: usize = 16;
/// Longest name of a transaction: clients write 20 to 64 letters.
const NAME_LEN_MAX: usize = 128;

/// What a message asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MessageType {
    /// A certificate in the place of the one that signs. Source: RFC 8894 §3.3.2.
    RenewalReq,
    /// A certificate. Source: RFC 8894 §3.3.2.
    PkcsReq,
    /// Whether it is there now. Source: RFC 8894 §3.3.3.
    CertPoll,
    /// A certificate that was issued before. Source: RFC 8894 §3.3.4.
    GetCert,
    /// A list of revoked certificates. Source: RFC 8894 §3.3.4.
    GetCrl,
    /// Something that nobody is given: answers, and numbers that the RFC does not have.
    Other,
}

impl MessageType {
    /// Source: RFC 8894 §3.2.1.2, a number in decimal. 18 was an update in drafts, and is none of the RFC's.
    fn read(text: &[u8]) -> Self {
        match text {
            b"17" => Self::RenewalReq,
            b"19" => Self::PkcsReq,
            b"20" => Self::CertPoll,
            b"21" => Self::GetCert,
            b"22" => Self::GetCrl,
            _ => Self::Other,
        }
    }
}

/// The name of a transaction, as the client chose it. Shape: 1 to 128 letters of a PrintableString.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct TransactionName(String);

impl TransactionName {
    fn read(text: &[u8]) -> Option<Self> {
        let is_printable = |octet: &u8| octet.is_ascii_alphanumeric() || b" '()+,-./:=?".contains(octet);
        let is_name = (1..=NAME_LEN_MAX).contains(&text.len()) && text.iter().all(is_printable);
        is_name.then(|| String::from_utf8(text.to_vec()).ok().map(Self)).flatten()
    }
    /// The letters.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for TransactionName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// A message whose outside was read. Nobody has verified anything of it.
#[derive(Clone, Debug)]
pub struct PkiMessage {
    /// What it asks for.
    pub message_type: MessageType,
    /// Of which transaction.
    pub transaction_id: TransactionName,
    /// What an answer has as `recipientNonce`.
    pub sender_nonce: [u8; NONCE_LEN],
    /// Whose key signs it, as it says: one's own certificate, signed by oneself, or one that was issued.
    pub signer: Certificate,
    signed: SignedData,
}

/// Why a message is nobody's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unverified {
    /// A hash, an algorithm or a key that is not strong enough, or that nobody knows.
    Algorithm,
    /// The signature is not the signer's, or over something else.
    Signature,
}

impl PkiMessage {
    /// Reads a message that a client sent.
    ///
    /// Off-spec: the outer layers may be BER with lengths that are not told before, which old clients write.
    /// Limits: [`MESSAGE_LEN_MAX`] octets, one signer, 16 certificates.
    /// # Errors
    /// [`BadDer`] if it is longer, no signed message with its content in it, without the signer's certificate, or without a type, a
    /// transaction and a nonce that are signed, each once.
    /// Source: RFC 8894 §3.2.
    pub fn decode(octets: &[u8]) -> Result<Self, BadDer> {
        const BAD: BadDer = BadDer("pkiMessage");
        if octets.len() > MESSAGE_LEN_MAX {
            return Err(BAD);
        }
        let der = if is_indefinite(octets) { Cow::Owned(definite(octets).ok_or(BAD)?) } else { Cow::Borrowed(octets) };
        let signed = SignedData::decode(&der)?;
        let [signer] = signed.signers() else { return Err(BAD) };
        let message_type = text(signer, oids::MESSAGE_TYPE).map(MessageType::read).ok_or(BAD)?;
        let transaction_id = text(signer, oids::TRANSACTION_ID).and_then(TransactionName::read).ok_or(BAD)?;
        let nonce = one(signer, oids::SENDER_NONCE, Tag::OctetString).ok_or(BAD)?;
        let sender_nonce = nonce.try_into().map_err(|_| BAD)?;
        let certificate = signed.certificates().iter().find(|certificate| signer.names(certificate));
        let certificate = certificate.cloned().ok_or(BAD)?;
        Ok(Self { message_type, transaction_id, sender_nonce, signer: certificate, signed })
    }

    /// Verifies that the signer has the key of its certificate, and signed this content in this transaction. Whether the certificate is
    /// anybody's is the caller's to find out. Gives the content: an envelope, in whatever encoding it came.
    ///
    /// # Errors
    /// [`Unverified`]
    /// Source: RFC 8894 §3.2, RFC 5652 §5.4, §5.6.
    pub fn verify(&self) -> Result<&[u8], Unverified> {
        let [signer] = self.signed.signers() else { return Err(Unverified::Signature) };
        let key = &self.signer.tbs().subject_public_key;
        let hash = signer.hash().filter(|_| signer.is_known()).ok_or(Unverified::Algorithm)?;
        if weak::check(key).is_err() {
            return Err(Unverified::Algorithm);
        }
        let content = self.signed.content().ok_or(Unverified::Signature)?;
        let algorithm = match hash {
            HashAlgorithm::Sha256 => &SHA256,
            HashAlgorithm::Sha384 => &SHA384,
            HashAlgorithm::Sha512 => &SHA512,
        };
        let is_over_it = signer.message_digest() == Some(digest(algorithm, content).as_ref());
        let is_signed = signer.verify(key).is_ok();
        if is_over_it && is_signed { Ok(content) } else { Err(Unverified::Signature) }
    }

    /// What is signed, if anything is. Nobody has verified it.
    #[must_use]
    pub fn content(&self) -> Option<&[u8]> {
        self.signed.content()
    }

    /// Whether an answer can be encrypted for whoever signed: for keys of RSA only.
    #[must_use]
    pub fn takes_secrets(&self) -> bool {
        matches!(self.signer.tbs().subject_public_key.key_type(), KeyType::Rsa(_))
    }
}

/// The algorithm in whose place an answer has no other: every client reads it.
pub(super) const ANSWERS_SIGNED_WITH: SignatureAlgorithm = SignatureAlgorithm::RsaSha256;

/// The one value of an attribute, which has this tag.
fn one(signer: &SignerInfo, oid: const_oid::ObjectIdentifier, tag: Tag) -> Option<&[u8]> {
    inside(signer.attribute(oid)?, |r| contents(r, tag)).ok()
}

/// The same for text. Off-spec: some write a UTF8String of the same letters.
fn text(signer: &SignerInfo, oid: const_oid::ObjectIdentifier) -> Option<&[u8]> {
    let values = signer.attribute(oid)?;
    inside(values, |r| match Tag::peek(r)? {
        tag @ (Tag::PrintableString | Tag::Utf8String) => contents(r, tag),
        _ => Err(r.error(der::ErrorKind::Failed)),
    })
    .ok()
}
