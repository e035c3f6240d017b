//! Names and purposes that `x509` does not know, and what profiles say in its words.

use crate::text::Network;
use const_oid::ObjectIdentifier;
use x509::constraints::NameConstraints;
use x509::extension::GeneralName;
use x509::points::AuthorityInfoAccess;
use x509::policy::{self, PolicyInformation, Qualifier};
use x509::write::tag;
use x509::{Extension, Name, Writer};

/// Object identifiers that `x509::oids` does not name.
pub(crate) mod oids {
    use const_oid::ObjectIdentifier as O;
    /// Source: RFC 4108 §5 (`id-on-hardwareModuleName`).
    pub(crate) const HARDWARE_MODULE_NAME: O = O::new_unwrap("1.3.6.1.5.5.7.8.4");
    /// Source: RFC 5280 §4.2.1.12.
    pub(crate) const EMAIL_PROTECTION: O = O::new_unwrap("1.3.6.1.5.5.7.3.4");
    /// Source: RFC 5280 §4.2.1.12.
    pub(crate) const TIME_STAMPING: O = O::new_unwrap("1.3.6.1.5.5.7.3.8");
    /// Source: RFC 6402 §2.10 (`id-kp-cmcCA`).
    pub(crate) const CMC_CA: O = O::new_unwrap("1.3.6.1.5.5.7.3.27");
    /// Source: RFC 6402 §2.10 (`id-kp-cmcRA`).
    pub(crate) const CMC_RA: O = O::new_unwrap("1.3.6.1.5.5.7.3.28");
    /// Source: RFC 9810 §4.5 (`id-kp-cmKGA`).
    pub(crate) const CM_KGA: O = O::new_unwrap("1.3.6.1.5.5.7.3.32");
}

/// Tags of `GeneralName`. Source: RFC 5280 §4.2.1.6.
pub(crate) const OTHER_NAME: u8 = tag::CONTEXT_CONSTRUCTED;
pub(crate) const URI: u8 = tag::CONTEXT | 6;

fn written(f: impl FnOnce(&mut Writer)) -> Vec<u8> {
    let mut w = Writer::default();
    f(&mut w);
    w.finish()
}

/// `otherName` of the type `HardwareModuleName`. Source: RFC 4108 §5.
pub(crate) fn hardware_module_name(hardware_type: ObjectIdentifier, serial: &str) -> GeneralName {
    GeneralName::Other(written(|w| {
        w.nested(OTHER_NAME, |w| {
            w.oid(oids::HARDWARE_MODULE_NAME).explicit(0, |w| {
                w.sequence(|w| {
                    w.oid(hardware_type).octet_string(serial.as_bytes());
                });
            });
        });
    }))
}

/// One end of a name constraint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Subtree {
    Dns(String),
    Uri(String),
    Email(String),
    DirectoryName(Name),
    Ip(Network),
}

impl Subtree {
    fn base(&self) -> GeneralName {
        match self {
            Self::Dns(text) => GeneralName::Dns(text.clone()),
            Self::Uri(text) => GeneralName::Uri(text.clone()),
            Self::Email(text) => GeneralName::Rfc822(text.clone()),
            Self::DirectoryName(name) => GeneralName::Directory(name.clone()),
            Self::Ip(network) => GeneralName::Ip([network.address(), &network.mask()].concat()),
        }
    }
}

/// The name constraints extension.
pub(crate) fn name_constraints(permitted: &[Subtree], excluded: &[Subtree]) -> Extension {
    let bases = |subtrees: &[Subtree]| subtrees.iter().map(Subtree::base).collect();
    NameConstraints { permitted: bases(permitted), excluded: bases(excluded) }.extension()
}

/// The certificate policies extension, each with the address of its practice statement if it has one.
pub(crate) fn certificate_policies(policies: &[(ObjectIdentifier, Option<String>)]) -> Extension {
    let information = |(policy, cps): &(ObjectIdentifier, Option<String>)| PolicyInformation {
        policy: *policy,
        qualifiers: cps.iter().cloned().map(Qualifier::Cps).collect(),
    };
    policy::certificate_policies(&policies.iter().map(information).collect::<Vec<_>>())
}

/// The authority information access extension.
pub(crate) fn authority_information_access(ocsp: Option<&str>, ca_issuers: Option<&str>) -> Extension {
    let list = |uri: Option<&str>| uri.into_iter().map(str::to_owned).collect();
    AuthorityInfoAccess { ocsp: list(ocsp), ca_issuers: list(ca_issuers) }.extension()
}

/// Extended key usage that who does not know a purpose must refuse. Source: RFC 5280 §4.2.1.12.
pub(crate) fn extended_key_usage(purposes: &[ObjectIdentifier], critical: bool) -> Extension {
    Extension { critical, ..x509::extension::extended_key_usage(purposes) }
}
