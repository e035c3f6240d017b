//! ACME: messages as JWS, objects as JSON, challenges, and what a resolver of names says.
//!
//! Stricter than JSON: no member stands twice in an object, so that one message has one meaning.
//! Source: RFC 8555, RFC 7515, RFC 7517, RFC 7638, RFC 8738, RFC 9773.

mod address;
mod attest;
mod cert_id;
mod challenge;
pub mod dns;
mod fault;
mod json;
mod jwk;
mod jws;
mod nonce;
mod object;
mod path;
mod payload;

pub use attest::{Attestation, BadAttestation, attested_octets};
pub use cert_id::CertId;
pub use challenge::{Seen, is_answer, key_authorization, token};
pub use fault::{Problem, problem};
pub use jwk::{Jwk, thumbprint};
pub use jws::{Algorithm, Binding, Jws, SignedBy, binding_key};
pub use nonce::{NONCE_LIFETIME_S, read_nonce, write_nonce};
pub use object::{
    AccountObject, AuthorizationObject, ChallengeObject, OrderObject, Urls, directory, key_url, problem_object,
    renewal_object,
};
pub use path::{BadPath, PREFIX, Resource, Route, decode_path};
pub use payload::{AccountWish, Identifier, KeyChange, OrderWish, Revocation, finalisation, is_deactivation};

/// The media type of messages. Source: RFC 8555 §6.2.
pub const JOSE: &str = "application/jose+json";
/// The media type of objects.
pub const JSON: &str = "application/json";
/// The media type of problems. Source: RFC 9457.
pub const PROBLEM: &str = "application/problem+json";
/// The media type of certificates. Source: RFC 8555 §9.1.
pub const CHAIN: &str = "application/pem-certificate-chain";
/// Longest message, in octets: a request of 16 KiB, in base64 twice, and what is around it.
pub const MESSAGE_LEN_MAX: usize = 64 * 1024;
