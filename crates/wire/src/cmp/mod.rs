//! The Certificate Management Protocol.
//!
//! [`Message::decode`] reads, and keeps the octets that are protected; [`message::protected_part`] and
//! [`message::finish`] write. [`protection`] makes and verifies MACs and verifies signatures; who signs stands elsewhere.
//! [`client`] is one side of a transaction as a value: octets come in, the next octets go out, nothing waits. The types
//! of messages know neither side. [`server`] is what the other side needs besides: paths, what a refusal is called, what
//! a confirmation is compared with.
//! Source: RFC 9810, RFC 9811, RFC 9481; the profile is RFC 9483.

pub mod body;
pub mod client;
pub mod header;
pub mod message;
pub mod protection;
pub mod server;
mod shape;
pub mod status;
pub mod template;

pub use body::Body;
pub use header::{Header, Pvno};
pub use message::{MESSAGE_LEN_MAX, Message};
pub use protection::ProtectionAlgorithm;
pub use status::{PkiStatus, StatusInfo};

/// Media type of requests and answers. Source: RFC 9811 §3.
pub const MEDIA_TYPE: &str = "application/pkixcmp";

/// Object identifiers of CMP.
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
        PASSWORD_BASED_MAC = "1.2.840.113533.7.66.13", "RFC 9481 §6.1.1";
        PBMAC1 = "1.2.840.113549.1.5.14", "RFC 9481 §6.1.2";
        PBKDF2 = "1.2.840.113549.1.5.12", "RFC 8018 §5.2";
        HMAC_SHA1 = "1.3.6.1.5.5.8.1.2", "RFC 9481 §6.2.1";
        HMAC_WITH_SHA1 = "1.2.840.113549.2.7", "RFC 8018 appendix B.1.1";
        HMAC_WITH_SHA256 = "1.2.840.113549.2.9", "RFC 9481 §6.2.1";
        HMAC_WITH_SHA384 = "1.2.840.113549.2.10", "RFC 9481 §6.2.1";
        HMAC_WITH_SHA512 = "1.2.840.113549.2.11", "RFC 9481 §6.2.1";
        IMPLICIT_CONFIRM = "1.3.6.1.5.5.7.4.13", "RFC 9810 §5.1.1.1";
        CA_CERTS = "1.3.6.1.5.5.7.4.17", "RFC 9810 §5.3.19.14";
        ROOT_CA_CERT = "1.3.6.1.5.5.7.4.20", "RFC 9810 §5.3.19.15";
        ROOT_CA_KEY_UPDATE = "1.3.6.1.5.5.7.4.18", "RFC 9810 §5.3.19.15";
        CERT_REQ_TEMPLATE = "1.3.6.1.5.5.7.4.19", "RFC 9810 §5.3.19.16";
        REG_CTRL_ALG_ID = "1.3.6.1.5.5.7.5.1.11", "RFC 9810 §5.3.19.16";
        REG_CTRL_RSA_KEY_LEN = "1.3.6.1.5.5.7.5.1.12", "RFC 9810 §5.3.19.16";
        CURRENT_CRL = "1.3.6.1.5.5.7.4.6", "RFC 9810 §5.3.19.6";
        CRL_STATUS_LIST = "1.3.6.1.5.5.7.4.22", "RFC 9810 §5.3.19.17";
        CRLS = "1.3.6.1.5.5.7.4.23", "RFC 9810 §5.3.19.17";
        OLD_CERT_ID = "1.3.6.1.5.5.7.5.1.5", "RFC 4211 §6.5";
        CONFIRM_WAIT_TIME = "1.3.6.1.5.5.7.4.14", "RFC 9810 §5.1.1.2";
        CMC_CA = "1.3.6.1.5.5.7.3.27", "RFC 6402 §2.10";
        CMC_RA = "1.3.6.1.5.5.7.3.28", "RFC 6402 §2.10";
        CM_KGA = "1.3.6.1.5.5.7.3.32", "RFC 9810 §4.5";
        KEY_PACKAGE = "2.16.840.1.101.2.1.2.78.5", "RFC 5958 §2";
        STD_DH_SHA256_KDF = "1.3.132.1.11.1", "RFC 5753 §7.1.4";
        AES_256_WRAP = "2.16.840.1.101.3.4.1.45", "RFC 9481 §4.3.1";
        PWRI_KEK = "1.2.840.113549.1.9.16.3.9", "RFC 3211 §3.2";
    }
}
