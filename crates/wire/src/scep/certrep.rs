//! Answers: `CertRep`, signed by the server, with what was asked for in an envelope for the client.
//! Source: RFC 8894 §3.3.2.

use super::message::ANSWERS_SIGNED_WITH;
use super::{NONCE_LEN, TransactionName, oids};
use const_oid::ObjectIdentifier;
use x509::oids::{CONTENT_TYPE, DATA, MESSAGE_DIGEST, RSA_ENCRYPTION, SHA256, SIGNED_DATA};
use x509::write::tag;
use x509::{Certificate, SignatureAlgorithm, Writer, sha256};

/// Why a request is refused. Source: RFC 8894 §3.2.1.4.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FailInfo {
    /// A hash, a cipher, a key or an algorithm that is not taken.
    BadAlg,
    /// It is not signed, or not encrypted for us, as it should be.
    BadMessageCheck,
    /// It is not permitted, or there is no such request.
    BadRequest,
    /// It is too old or too new.
    BadTime,
    /// There is no such certificate.
    BadCertId,
}

impl FailInfo {
    /// As it is written.
    #[must_use]
    pub const fn number(self) -> &'static str {
        match self {
            Self::BadAlg => "0",
            Self::BadMessageCheck => "1",
            Self::BadRequest => "2",
            Self::BadTime => "3",
            Self::BadCertId => "4",
        }
    }
}

/// What comes of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// What was asked for, in an envelope.
    Success(Vec<u8>),
    /// Somebody decides.
    Pending,
    /// It is refused, and what people are told.
    Failure(FailInfo, String),
}

/// An answer.
#[derive(Clone, Debug)]
pub struct CertRep {
    /// The transaction of the request.
    pub transaction_id: TransactionName,
    /// The nonce of the request.
    pub recipient_nonce: [u8; NONCE_LEN],
    /// Our own.
    pub sender_nonce: [u8; NONCE_LEN],
    /// What comes of it.
    pub outcome: Outcome,
}

/// An answer whose signature is missing.
#[derive(Clone, Debug)]
pub struct Signing {
    attributes: Vec<u8>,
    content: Option<Vec<u8>>,
}

impl CertRep {
    /// What is to be signed.
    #[must_use]
    pub fn signing(self) -> Signing {
        let Self { transaction_id, recipient_nonce, sender_nonce, outcome } = self;
        let printable = |oid, text: &str| attribute(oid, tag::PRINTABLE_STRING, text.as_bytes());
        let (status, fail_info, content) = match outcome {
            Outcome::Success(envelope) => ("0", None, Some(envelope)),
            Outcome::Pending => ("3", None, None),
            Outcome::Failure(fail_info, text) => ("2", Some((fail_info, text)), None),
        };
        let digest = sha256(content.as_deref().unwrap_or_default());
        let mut attributes = vec![
            attribute(CONTENT_TYPE, tag::OBJECT_IDENTIFIER, DATA.as_bytes()),
            attribute(MESSAGE_DIGEST, tag::OCTET_STRING, digest.octets()),
            printable(oids::MESSAGE_TYPE, "3"),
            printable(oids::PKI_STATUS, status),
            printable(oids::TRANSACTION_ID, transaction_id.as_str()),
            attribute(oids::SENDER_NONCE, tag::OCTET_STRING, &sender_nonce),
            attribute(oids::RECIPIENT_NONCE, tag::OCTET_STRING, &recipient_nonce),
        ];
        if let Some((fail_info, text)) = fail_info {
            attributes.push(printable(oids::FAIL_INFO, fail_info.number()));
            attributes.push(attribute(oids::FAIL_INFO_TEXT, tag::UTF8_STRING, text.as_bytes()));
        }
        // A SET OF in DER is in the order of its elements' octets.
        attributes.sort_unstable();
        Signing { attributes: attributes.concat(), content }
    }
}

impl Signing {
    /// The octets that the server signs, with [`Self::ALGORITHM`]. Source: RFC 5652 §5.4.
    #[must_use]
    pub fn octets(&self) -> Vec<u8> {
        let mut w = Writer::with_capacity(self.attributes.len() + 8);
        w.value(tag::SET, &self.attributes);
        w.finish()
    }

    /// How answers are signed.
    pub const ALGORITHM: SignatureAlgorithm = ANSWERS_SIGNED_WITH;

    /// The message.
    #[must_use]
    pub fn finish(&self, server: &Certificate, signature: &[u8]) -> Vec<u8> {
        let sha256 = |w: &mut Writer| {
            w.sequence(|w| {
                w.oid(SHA256).value(tag::NULL, &[]);
            });
        };
        let tbs = server.tbs();
        let mut w = Writer::with_capacity(self.content.as_ref().map_or(0, Vec::len) + server.der().len() + 2048);
        w.sequence(|w| {
            w.oid(SIGNED_DATA).explicit(0, |w| {
                w.sequence(|w| {
                    w.small(1).set(sha256).sequence(|w| {
                        w.oid(DATA);
                        if let Some(content) = &self.content {
                            w.explicit(0, |w| _ = w.octet_string(content));
                        }
                    });
                    w.explicit(0, |w| _ = w.raw(server.der()));
                    w.set(|w| {
                        w.sequence(|w| {
                            w.small(1).sequence(|w| {
                                w.raw(tbs.issuer.der()).unsigned(tbs.serial_number.octets());
                            });
                            sha256(w);
                            w.value(tag::CONTEXT_CONSTRUCTED, &self.attributes);
                            w.sequence(|w| {
                                w.oid(RSA_ENCRYPTION).value(tag::NULL, &[]);
                            });
                            w.octet_string(signature);
                        });
                    });
                });
            });
        });
        w.finish()
    }
}

/// A list of revoked certificates, as it stands in an envelope: a message that nobody signed. Source: RFC 8894 §3.4.
#[must_use]
pub fn crl_only(crl: &[u8]) -> Vec<u8> {
    let mut w = Writer::with_capacity(crl.len() + 64);
    w.sequence(|w| {
        w.oid(SIGNED_DATA).explicit(0, |w| {
            w.sequence(|w| {
                w.small(1).set(|_| {}).sequence(|w| {
                    w.oid(DATA);
                });
                w.explicit(1, |w| _ = w.raw(crl)).set(|_| {});
            });
        });
    });
    w.finish()
}

fn attribute(oid: ObjectIdentifier, tag: u8, value: &[u8]) -> Vec<u8> {
    let mut w = Writer::with_capacity(value.len() + 24);
    w.sequence(|w| {
        w.oid(oid).set(|w| _ = w.value(tag, value));
    });
    w.finish()
}
