//! Object identifiers of this protocol, and of what it is made of.

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
    MESSAGE_TYPE = "2.16.840.1.113733.1.9.2", "RFC 8894 §3.2.1";
    PKI_STATUS = "2.16.840.1.113733.1.9.3", "RFC 8894 §3.2.1";
    FAIL_INFO = "2.16.840.1.113733.1.9.4", "RFC 8894 §3.2.1";
    SENDER_NONCE = "2.16.840.1.113733.1.9.5", "RFC 8894 §3.2.1";
    RECIPIENT_NONCE = "2.16.840.1.113733.1.9.6", "RFC 8894 §3.2.1";
    TRANSACTION_ID = "2.16.840.1.113733.1.9.7", "RFC 8894 §3.2.1";
    FAIL_INFO_TEXT = "1.3.6.1.5.5.7.24.1", "RFC 8894 §3.2.1";

    ENVELOPED_DATA = "1.2.840.113549.1.7.3", "RFC 5652 §6.1";
    RSAES_OAEP = "1.2.840.113549.1.1.7", "RFC 8017 appendix C";
    SHA1 = "1.3.14.3.2.26", "RFC 8017 appendix C";
    AES_128_CBC = "2.16.840.1.101.3.4.1.2", "RFC 3565 §4.1";
    AES_192_CBC = "2.16.840.1.101.3.4.1.22", "RFC 3565 §4.1";
    AES_256_CBC = "2.16.840.1.101.3.4.1.42", "RFC 3565 §4.1";
}
