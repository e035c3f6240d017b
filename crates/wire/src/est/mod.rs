//! Enrolment over Secure Transport: what stands in paths, in requests and in answers. TLS and HTTP are others' business.
//!
//! [`decode_path`] finds the label and the operation, [`decode_body`] the PKCS #10 request in whatever form clients send
//! it, [`decode_basic`] who says that it knows a one-time secret; [`certs_only`] and [`write_base64`] write the answers.
//! Source: RFC 7030, RFC 8951, RFC 9908.

mod answer;
mod attributes;
mod basic;
mod body;
mod channel;
mod fault;
mod path;

pub use answer::{Lines, certs_only, key_and_certificate, write_base64};
pub use attributes::{CsrAttribute, csr_attributes};
pub use basic::{BASIC_LEN_MAX, Credentials, decode_basic};
pub use body::{BODY_LEN_MAX, BadBody, Form, decode_body};
pub use channel::{Binding, binding};
pub use fault::{Told, told};
pub use path::{BadPath, Operation, PREFIX, Route, decode_path};

/// Media type of a request for a certificate. Source: RFC 7030 §4.2.1.
pub const PKCS10: &str = "application/pkcs10";
/// Media type of an answer with certificates only. Source: RFC 7030 §4.1.3, §4.2.3.
pub const CERTS_ONLY: &str = "application/pkcs7-mime; smime-type=certs-only";
/// The same where only certificates are asked for: RFC 7030 §4.1.3 names no parameter there.
pub const CA_CERTS: &str = "application/pkcs7-mime";
/// Media type of a key and its certificate. Source: RFC 7030 §4.4.2.
pub const KEY_AND_CERTIFICATE: &str = "multipart/mixed; boundary=estServerKeyGen";
/// Media type of a key. Source: RFC 5958 §7, RFC 7030 §4.4.2.
pub const PKCS8: &str = "application/pkcs8";
/// Media type of attributes of a request. Source: RFC 7030 §4.5.2.
pub const CSR_ATTRS: &str = "application/csrattrs";
/// `Content-Transfer-Encoding` of all of them; it says nothing and is written for clients that look for it.
/// Source: RFC 8951 §3.1.
pub const TRANSFER_ENCODING: &str = "base64";
