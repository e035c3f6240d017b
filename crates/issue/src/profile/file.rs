//! The profile file as it is written, before it is checked. `docs/profiles.md` describes every field.

use model::AuthorityName;
use serde::Deserialize;

/// What kind of thing a profile's certificates are for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SubjectKind {
    /// Devices.
    Device,
    /// Certification authorities of this instance.
    Authority,
    /// Modules of this system.
    Module,
    /// People who operate this system.
    Operator,
    /// Who answers whether certificates of one authority are revoked; that authority issues.
    Responder,
}

/// What happens if a certificate would be valid longer than its issuer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum IssuerExpiry {
    /// It is not issued.
    Refuse,
    /// It ends when its issuer ends.
    Shorten,
}

/// The ways in which a request may come in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Protocol {
    /// From another module, over the bus.
    Bus,
    /// From an operator, on the command line or the pages.
    Console,
    /// RFC 7030.
    Est,
    /// RFC 9810.
    Cmp,
    /// RFC 8894.
    Scep,
    /// RFC 8555.
    Acme,
}

/// What the text of a requested name may be made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Letters {
    Digits,
    Hex,
    Alphanumeric,
    /// Whatever a PrintableString can write.
    Printable,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct File {
    #[serde(default = "one")]
    pub(super) version: u32,
    pub(super) description: String,
    pub(super) subject_kind: SubjectKind,
    /// Authorities that may issue; empty: the subject issues its own (a root).
    pub(super) issuers: Vec<AuthorityName>,
    pub(super) key_types: Vec<String>,
    /// Whether a station may vouch for the key (`raVerified`).
    pub(super) ra_verified: bool,
    pub(super) subject: Vec<AttributeLine>,
    #[serde(default)]
    pub(super) subject_alt_name: Vec<AltNameLine>,
    pub(super) validity: Validity,
    pub(super) extensions: Extensions,
    #[serde(default)]
    pub(super) enrolment: Enrolment,
}

const fn one() -> u32 {
    1
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct AttributeLine {
    pub(super) r#type: String,
    pub(super) value: Option<String>,
    pub(super) request: Option<RequestLine>,
}

/// Exactly one of them is given.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct AltNameLine {
    pub(super) uri: Option<String>,
    pub(super) dns: Option<String>,
    pub(super) email: Option<String>,
    pub(super) ip: Option<String>,
    pub(super) hardware_module_name: Option<HardwareModuleNameLine>,
    pub(super) permanent_identifier: Option<String>,
    pub(super) request: Option<RequestLine>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct HardwareModuleNameLine {
    pub(super) r#type: String,
    pub(super) serial: String,
}

/// What a requester may supply, and how far.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RequestLine {
    pub(super) kind: Option<NameKind>,
    #[serde(default)]
    pub(super) starts_with: Vec<String>,
    #[serde(default)]
    pub(super) ends_with: Vec<String>,
    #[serde(default)]
    pub(super) within: Vec<String>,
    pub(super) letters: Option<Letters>,
    pub(super) len_max: Option<usize>,
    pub(super) count_max: Option<usize>,
    #[serde(default)]
    pub(super) required: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum NameKind {
    Dns,
    Uri,
    Email,
    Ip,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Validity {
    /// `YYYYMMDDHHMMSSZ`, or absent if `lifetime_s` is given.
    pub(super) not_after: Option<String>,
    pub(super) lifetime_s: Option<u64>,
    /// How long before now it begins, for devices whose clocks are behind.
    pub(super) backdate_s: u64,
    pub(super) issuer_expiry: IssuerExpiry,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Extensions {
    pub(super) key_usage: Vec<String>,
    #[serde(default)]
    pub(super) extended_key_usage: Vec<String>,
    #[serde(default)]
    pub(super) extended_key_usage_critical: bool,
    #[serde(default)]
    pub(super) basic_constraints: Option<BasicConstraintsLine>,
    #[serde(default)]
    pub(super) crl_distribution_point: Option<String>,
    /// How many lists the revoked are divided among.
    pub(super) shards: Option<u16>,
    #[serde(default)]
    pub(super) authority_information_access: Option<AccessLine>,
    #[serde(default)]
    pub(super) policies: Vec<PolicyLine>,
    #[serde(default)]
    pub(super) name_constraints: Option<NameConstraintsLine>,
    #[serde(default)]
    pub(super) ocsp_nocheck: bool,
    #[serde(default)]
    pub(super) custom: Vec<CustomLine>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct BasicConstraintsLine {
    pub(super) ca: bool,
    pub(super) path_len: Option<u8>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct AccessLine {
    pub(super) ocsp: Option<String>,
    pub(super) ca_issuers: Option<String>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct PolicyLine {
    pub(super) oid: String,
    pub(super) cps: Option<String>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct NameConstraintsLine {
    #[serde(default)]
    pub(super) permitted: Vec<SubtreeLine>,
    #[serde(default)]
    pub(super) excluded: Vec<SubtreeLine>,
}

/// Exactly one of them is given.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SubtreeLine {
    pub(super) dns: Option<String>,
    pub(super) uri: Option<String>,
    pub(super) email: Option<String>,
    pub(super) ip: Option<String>,
    pub(super) directory_name: Option<Vec<AttributeLine>>,
}

/// Exactly one of the last four is given.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct CustomLine {
    pub(super) oid: String,
    #[serde(default)]
    pub(super) critical: bool,
    pub(super) der: Option<String>,
    pub(super) utf8_string: Option<String>,
    pub(super) octet_string: Option<String>,
    pub(super) request: Option<CustomRequestLine>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct CustomRequestLine {
    pub(super) shape: Shape,
    pub(super) len_min: usize,
    pub(super) len_max: usize,
    #[serde(default)]
    pub(super) required: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Shape {
    Utf8String,
    OctetString,
}

/// Who may have a certificate under the profile, and how; absent: as the grants say.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Enrolment {
    pub(super) requesters: Option<Vec<String>>,
    pub(super) protocols: Option<Vec<Protocol>>,
    #[serde(default)]
    pub(super) approvals: u8,
}
