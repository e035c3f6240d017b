//! The Online Certificate Status Protocol.
//!
//! A responder reads with [`Request::decode`], decides with [`responder`], and writes a [`ResponseData`] that the caller
//! signs and [`ResponseData::finish`] wraps. A client writes with [`request::write`], reads with [`Response::decode`] and
//! believes nothing before [`verify`].
//! Source: RFC 6960, RFC 5019, RFC 9654.

mod cert_id;
pub mod delegate;
pub mod http;
mod read;
pub mod request;
pub mod responder;
mod response;
mod verify;

pub use cert_id::{CertId, HashAlgorithm, HashValue, IssuerIds};
pub(crate) use read::algorithm_of;
pub use read::{BasicResponse, RESPONSE_LEN_MAX, ResponderId, Response, SingleResponse};
pub use request::{BadRequest, Request};
pub use response::{CertStatus, Identity, Moment, Named, ResponseData, ResponseStatus, Single};
pub use verify::{Asked, SignedBy, Unbelievable, Verified, verify};

/// Object identifiers of OCSP.
pub mod oids {
    use const_oid::ObjectIdentifier;

    macro_rules! oids {
        ($($name:ident = $dots:literal, $source:literal;)+) => {
            $(
                #[doc = concat!("`", $dots, "`. Source: ", $source, ".")]
                pub const $name: ObjectIdentifier = ObjectIdentifier::new_unwrap($dots);
            )+
        };
    }
    oids! {
        BASIC_RESPONSE = "1.3.6.1.5.5.7.48.1.1", "RFC 6960 §4.2.1";
        NONCE = "1.3.6.1.5.5.7.48.1.2", "RFC 9654 §2.1";
        ACCEPTABLE_RESPONSES = "1.3.6.1.5.5.7.48.1.4", "RFC 6960 §4.4.3";
        NO_CHECK = "1.3.6.1.5.5.7.48.1.5", "RFC 6960 §4.2.2.2.1";
        EXTENDED_REVOKE = "1.3.6.1.5.5.7.48.1.9", "RFC 6960 §4.4.8";
        OCSP_SIGNING = "1.3.6.1.5.5.7.3.9", "RFC 6960 §4.2.2.2";
        SHA1 = "1.3.14.3.2.26", "RFC 3279 §2.1";
        SHA256 = "2.16.840.1.101.3.4.2.1", "RFC 5754 §2.2";
        SHA384 = "2.16.840.1.101.3.4.2.2", "RFC 5754 §2.3";
        SHA512 = "2.16.840.1.101.3.4.2.3", "RFC 5754 §2.4";
    }
}

/// Longest nonce in octets.
/// Source: RFC 9654 §2.1.
pub const NONCE_LEN_MAX: usize = 128;
