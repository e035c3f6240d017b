//! The Simple Certificate Enrolment Protocol: what stands in paths, in messages and in answers. Sockets and keys are others' business.
//!
//! ```text
//! decode_path, decode_query  where a request goes, and what for
//! PkiMessage::decode         the signed outside: type, transaction, nonce, whose certificate; verify
//! Envelope::decode           the encrypted inside: for whom, how, and open with the content key
//! IssuerAndSerialNumber::decode  the inside of what asks for something that there is
//! CertRep                    the answer: what is to be signed, and the message around the signature
//! ```
//! Source: RFC 8894.

mod ber;
mod certrep;
mod content;
mod envelope;
mod fault;
mod message;
pub mod oids;
mod path;
#[cfg(test)]
mod tests;

pub use certrep::{CertRep, FailInfo, Outcome, Signing, crl_only};
pub use content::IssuerAndSerialNumber;
pub use envelope::{Cipher, Envelope, Recipient, RecipientId, Transport, write_envelope};
pub(crate) use envelope::{encrypt_cbc, write_oaep_sha256};
pub use fault::{Told, told};
pub use message::{MessageType, NONCE_LEN, PkiMessage, TransactionName, Unverified};
pub use path::{BadPath, BadQuery, MESSAGE_IN_QUERY_LEN_MAX, Operation, decode_message, decode_path, decode_query};

/// Longest message in octets: the longest request, encrypted, and the certificates of a signer.
pub const MESSAGE_LEN_MAX: usize = 64 * 1024;
/// Media type of messages both ways. Source: RFC 8894 §4.3.
pub const PKI_MESSAGE: &str = "application/x-pki-message";
/// Media type of the certificates of the server, where there are several. Source: RFC 8894 §4.2.1.
pub const CA_RA_CERT: &str = "application/x-x509-ca-ra-cert";
/// What the server can do, one word a line. Source: RFC 8894 §3.5.2.
///
/// `SHA-256` and `AES` are what every client of this RFC has; without `DES3` and `SHA-1`, older ones learn that they are too old.
/// strongSwan 5.9.8 finds `AES` and `SHA-256` only where `SHA-384` stands beside them, which no list of the RFC has and which is true.
pub const CAPABILITIES: &str = "AES\nPOSTPKIOperation\nRenewal\nSHA-256\nSHA-384\nSHA-512\nSCEPStandard\n";
