//! Object identifiers by their standard names.

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
    EC_PUBLIC_KEY = "1.2.840.10045.2.1", "RFC 5480 §2.1.1";
    SECP256R1 = "1.2.840.10045.3.1.7", "RFC 5480 §2.1.1.1";
    SECP384R1 = "1.3.132.0.34", "RFC 5480 §2.1.1.1";
    SECP521R1 = "1.3.132.0.35", "RFC 5480 §2.1.1.1";
    RSA_ENCRYPTION = "1.2.840.113549.1.1.1", "RFC 8017 appendix C";
    ED25519 = "1.3.101.112", "RFC 8410 §3";
    ECDSA_WITH_SHA256 = "1.2.840.10045.4.3.2", "RFC 5758 §3.2";
    ECDSA_WITH_SHA384 = "1.2.840.10045.4.3.3", "RFC 5758 §3.2";
    ECDSA_WITH_SHA512 = "1.2.840.10045.4.3.4", "RFC 5758 §3.2";
    SHA256_WITH_RSA = "1.2.840.113549.1.1.11", "RFC 8017 appendix C";
    SHA384_WITH_RSA = "1.2.840.113549.1.1.12", "RFC 8017 appendix C";
    SHA512_WITH_RSA = "1.2.840.113549.1.1.13", "RFC 8017 appendix C";
    RSASSA_PSS = "1.2.840.113549.1.1.10", "RFC 8017 appendix C";
    MGF1 = "1.2.840.113549.1.1.8", "RFC 8017 appendix C";
    SHA256 = "2.16.840.1.101.3.4.2.1", "RFC 8017 appendix C";
    SHA384 = "2.16.840.1.101.3.4.2.2", "RFC 8017 appendix C";
    SHA512 = "2.16.840.1.101.3.4.2.3", "RFC 8017 appendix C";
    ML_DSA_44 = "2.16.840.1.101.3.4.3.17", "RFC 9881 §2";
    ML_DSA_65 = "2.16.840.1.101.3.4.3.18", "RFC 9881 §2";
    ML_DSA_87 = "2.16.840.1.101.3.4.3.19", "RFC 9881 §2";

    COMMON_NAME = "2.5.4.3", "RFC 5280 appendix A.1";
    SERIAL_NUMBER = "2.5.4.5", "RFC 5280 appendix A.1";
    COUNTRY = "2.5.4.6", "RFC 5280 appendix A.1";
    LOCALITY = "2.5.4.7", "RFC 5280 appendix A.1";
    STATE = "2.5.4.8", "RFC 5280 appendix A.1";
    ORGANIZATION = "2.5.4.10", "RFC 5280 appendix A.1";
    ORGANIZATIONAL_UNIT = "2.5.4.11", "RFC 5280 appendix A.1";
    DOMAIN_COMPONENT = "0.9.2342.19200300.100.1.25", "RFC 4519 §2.4";

    DATA = "1.2.840.113549.1.7.1", "RFC 5652 §4";
    SIGNED_DATA = "1.2.840.113549.1.7.2", "RFC 5652 §5.1";

    SUBJECT_KEY_IDENTIFIER = "2.5.29.14", "RFC 5280 §4.2.1.2";
    KEY_USAGE = "2.5.29.15", "RFC 5280 §4.2.1.3";
    SUBJECT_ALT_NAME = "2.5.29.17", "RFC 5280 §4.2.1.6";
    BASIC_CONSTRAINTS = "2.5.29.19", "RFC 5280 §4.2.1.9";
    CRL_NUMBER = "2.5.29.20", "RFC 5280 §5.2.3";
    REASON_CODE = "2.5.29.21", "RFC 5280 §5.3.1";
    DELTA_CRL_INDICATOR = "2.5.29.27", "RFC 5280 §5.2.4";
    ISSUING_DISTRIBUTION_POINT = "2.5.29.28", "RFC 5280 §5.2.5";
    NAME_CONSTRAINTS = "2.5.29.30", "RFC 5280 §4.2.1.10";
    CRL_DISTRIBUTION_POINTS = "2.5.29.31", "RFC 5280 §4.2.1.13";
    CERTIFICATE_POLICIES = "2.5.29.32", "RFC 5280 §4.2.1.4";
    ANY_POLICY = "2.5.29.32.0", "RFC 5280 §4.2.1.4";
    POLICY_MAPPINGS = "2.5.29.33", "RFC 5280 §4.2.1.5";
    AUTHORITY_KEY_IDENTIFIER = "2.5.29.35", "RFC 5280 §4.2.1.1";
    POLICY_CONSTRAINTS = "2.5.29.36", "RFC 5280 §4.2.1.11";
    EXTENDED_KEY_USAGE = "2.5.29.37", "RFC 5280 §4.2.1.12";
    FRESHEST_CRL = "2.5.29.46", "RFC 5280 §4.2.1.15";
    INHIBIT_ANY_POLICY = "2.5.29.54", "RFC 5280 §4.2.1.14";
    AUTHORITY_INFO_ACCESS = "1.3.6.1.5.5.7.1.1", "RFC 5280 §4.2.2.1";
    AD_OCSP = "1.3.6.1.5.5.7.48.1", "RFC 5280 §4.2.2.1";
    AD_CA_ISSUERS = "1.3.6.1.5.5.7.48.2", "RFC 5280 §4.2.2.1";
    OCSP_NOCHECK = "1.3.6.1.5.5.7.48.1.5", "RFC 6960 §4.2.2.2.1";
    QUALIFIER_CPS = "1.3.6.1.5.5.7.2.1", "RFC 5280 §4.2.1.4";
    EMAIL_ADDRESS = "1.2.840.113549.1.9.1", "RFC 5280 appendix A.1";

    CHALLENGE_PASSWORD = "1.2.840.113549.1.9.7", "RFC 2985 §5.4.1";
    EXTENSION_REQUEST = "1.2.840.113549.1.9.14", "RFC 2985 §5.4.2";
    SMIME_CAPABILITIES = "1.2.840.113549.1.9.15", "RFC 8551 §2.5.2";
    DECRYPT_KEY_IDENTIFIER = "1.2.840.113549.1.9.16.2.37", "RFC 4108 §2.2.5";
    ASYMMETRIC_DECRYPT_KEY_IDENTIFIER = "1.2.840.113549.1.9.16.2.54", "RFC 7030 §4.4.1.2";
    MICROSOFT_EXTENSION_REQUEST = "1.3.6.1.4.1.311.2.1.14", "Microsoft [MS-WCCE] §2.2.2.7.7";

    CONTENT_TYPE = "1.2.840.113549.1.9.3", "RFC 5652 §11.1";
    MESSAGE_DIGEST = "1.2.840.113549.1.9.4", "RFC 5652 §11.2";

    SERVER_AUTH = "1.3.6.1.5.5.7.3.1", "RFC 5280 §4.2.1.12";
    CLIENT_AUTH = "1.3.6.1.5.5.7.3.2", "RFC 5280 §4.2.1.12";
    ANY_EXTENDED_KEY_USAGE = "2.5.29.37.0", "RFC 5280 §4.2.1.12";
    OCSP_SIGNING = "1.3.6.1.5.5.7.3.9", "RFC 5280 §4.2.1.12";
    CODE_SIGNING = "1.3.6.1.5.5.7.3.3", "RFC 5280 §4.2.1.12";
}
