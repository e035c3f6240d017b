//! Certificate policies: under what rules a certificate was issued.

use crate::extension::Extension;
use crate::oids;
use crate::read::{self, bad};
use crate::write::tag;
use const_oid::ObjectIdentifier;
use der::{Reader, Tag};

/// Most policies, and most mappings, in one certificate.
pub const POLICIES_MAX: usize = 32;
/// Most qualifiers of one policy.
const QUALIFIERS_MAX: usize = 8;
/// Longest value in octets.
const VALUE_LEN_MAX: usize = 16 * 1024;

/// `PolicyInformation`.
/// Source: RFC 5280 §4.2.1.4.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PolicyInformation {
    /// The policy.
    pub policy: ObjectIdentifier,
    /// What else is said of it.
    pub qualifiers: Vec<Qualifier>,
}

/// `PolicyQualifierInfo`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Qualifier {
    /// Where the certification practice statement is: a URI.
    Cps(String),
    /// Another one, as it was read: the whole `PolicyQualifierInfo`.
    Other(Vec<u8>),
}

/// The certificate policies extension, not critical.
#[must_use]
pub fn certificate_policies(policies: &[PolicyInformation]) -> Extension {
    Extension::of(oids::CERTIFICATE_POLICIES, false, |w| {
        w.sequence(|w| {
            for PolicyInformation { policy, qualifiers } in policies {
                w.sequence(|w| {
                    w.oid(*policy);
                    if !qualifiers.is_empty() {
                        w.sequence(|w| qualifiers.iter().for_each(|qualifier| qualifier.write(w)));
                    }
                });
            }
        });
    })
}

/// Reads certificate policies; `None` if they are not well formed, none, more than [`POLICIES_MAX`], or one twice.
#[must_use]
pub fn decode_certificate_policies(value: &[u8]) -> Option<Vec<PolicyInformation>> {
    let read = read::whole(value, VALUE_LEN_MAX, "CertificatePolicies", |r| {
        let contents = read::contents(r, Tag::Sequence)?;
        read::each(contents, POLICIES_MAX, |r| {
            let contents = read::contents(r, Tag::Sequence)?;
            read::inside(contents, |r| {
                let policy = read::oid(r)?;
                let qualifiers = match read::next_tag(r)? {
                    None => Vec::new(),
                    Some(_) => read::each(read::contents(r, Tag::Sequence)?, QUALIFIERS_MAX, Qualifier::read)?,
                };
                Ok(PolicyInformation { policy, qualifiers })
            })
        })
    });
    let policies = read.ok()?;
    let twice = policies.iter().enumerate().any(|(n, a)| policies.iter().skip(n + 1).any(|b| a.policy == b.policy));
    (!policies.is_empty() && !twice).then_some(policies)
}

impl Qualifier {
    fn write(&self, w: &mut crate::Writer) {
        match self {
            Self::Cps(uri) => w.sequence(|w| {
                w.oid(oids::QUALIFIER_CPS).value(tag::IA5_STRING, uri.as_bytes());
            }),
            Self::Other(der) => w.raw(der),
        };
    }

    fn read(reader: &mut der::SliceReader<'_>) -> read::Result<Self> {
        let der = reader.tlv_bytes()?;
        let contents = read::inside(der, |r| read::contents(r, Tag::Sequence))?;
        read::inside(contents, |r| {
            let oid = read::oid(r)?;
            let (tag, value) = read::any(r)?;
            match (oid, tag) {
                (oids::QUALIFIER_CPS, Tag::Ia5String) => {
                    Ok(Self::Cps(der::asn1::Ia5StringRef::new(value)?.as_str().to_owned()))
                }
                (oids::QUALIFIER_CPS, _) => bad(r),
                _ => Ok(Self::Other(der.to_vec())),
            }
        })
    }
}

/// `PolicyConstraints`: after how many more certificates something begins to hold.
/// Source: RFC 5280 §4.2.1.11.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PolicyConstraints {
    /// `requireExplicitPolicy`
    pub require_explicit_policy: Option<u32>,
    /// `inhibitPolicyMapping`
    pub inhibit_policy_mapping: Option<u32>,
}

impl PolicyConstraints {
    /// The extension, critical as RFC 5280 demands.
    #[must_use]
    pub fn extension(self) -> Extension {
        Extension::of(oids::POLICY_CONSTRAINTS, true, |w| {
            w.sequence(|w| {
                for (n, skip) in [(0, self.require_explicit_policy), (1, self.inhibit_policy_mapping)] {
                    if let Some(skip) = skip {
                        w.small_as(tag::CONTEXT | n, u64::from(skip));
                    }
                }
            });
        })
    }

    /// Reads the value; `None` if it is not well formed or says nothing.
    #[must_use]
    pub fn decode(value: &[u8]) -> Option<Self> {
        let (explicit, mapping) = read::whole(value, 32, "PolicyConstraints", |r| {
            let contents = read::contents(r, Tag::Sequence)?;
            read::inside(contents, |r| Ok((read::optional(r, 0, false)?, read::optional(r, 1, false)?)))
        })
        .ok()?;
        let skip = |contents: Option<&[u8]>| match contents {
            None => Some(None),
            Some(contents) => read::small_contents(contents).and_then(|n| u32::try_from(n).ok()).map(Some),
        };
        let read = Self { require_explicit_policy: skip(explicit)?, inhibit_policy_mapping: skip(mapping)? };
        (read != Self::default()).then_some(read)
    }
}

/// The inhibit anyPolicy extension, critical as RFC 5280 demands. Source: RFC 5280 §4.2.1.14.
#[must_use]
pub fn inhibit_any_policy(skip_certs: u32) -> Extension {
    Extension::of(oids::INHIBIT_ANY_POLICY, true, |w| {
        w.small(u64::from(skip_certs));
    })
}

/// Reads an inhibit anyPolicy: after how many more certificates; `None` if it is not well formed.
#[must_use]
pub fn decode_inhibit_any_policy(value: &[u8]) -> Option<u32> {
    read::whole(value, 8, "InhibitAnyPolicy", <u32 as der::Decode>::decode).ok()
}

/// Which policy of the subject's domain stands for which of the issuer's.
/// Source: RFC 5280 §4.2.1.5.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PolicyMapping {
    /// `issuerDomainPolicy`
    pub issuer_domain: ObjectIdentifier,
    /// `subjectDomainPolicy`
    pub subject_domain: ObjectIdentifier,
}

/// The policy mappings extension, critical as RFC 5280 recommends.
#[must_use]
pub fn policy_mappings(mappings: &[PolicyMapping]) -> Extension {
    Extension::of(oids::POLICY_MAPPINGS, true, |w| {
        w.sequence(|w| {
            for mapping in mappings {
                w.sequence(|w| {
                    w.oid(mapping.issuer_domain).oid(mapping.subject_domain);
                });
            }
        });
    })
}

/// Reads policy mappings; `None` if they are not well formed, none, or more than [`POLICIES_MAX`].
#[must_use]
pub fn decode_policy_mappings(value: &[u8]) -> Option<Vec<PolicyMapping>> {
    let read = read::whole(value, VALUE_LEN_MAX, "PolicyMappings", |r| {
        let contents = read::contents(r, Tag::Sequence)?;
        read::each(contents, POLICIES_MAX, |r| {
            let contents = read::contents(r, Tag::Sequence)?;
            read::inside(contents, |r| {
                Ok(PolicyMapping { issuer_domain: read::oid(r)?, subject_domain: read::oid(r)? })
            })
        })
    });
    read.ok().filter(|mappings| !mappings.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn oid(n: u32) -> ObjectIdentifier {
        ObjectIdentifier::new(&format!("1.2.3.{n}")).unwrap()
    }
    fn plain(n: u32) -> PolicyInformation {
        PolicyInformation { policy: oid(n), qualifiers: Vec::new() }
    }
    #[track_caller]
    fn check(policies: &[PolicyInformation], ok: bool) {
        let read = decode_certificate_policies(&certificate_policies(policies).value);
        assert_eq!(read.as_deref(), ok.then_some(policies));
    }

    #[test]
    fn two_policies() {
        check(&[plain(1), plain(2)], true);
    }
    #[test]
    fn a_policy_with_its_statement_and_a_notice() {
        let cps = Qualifier::Cps("https://pki.example/cps".into());
        let notice = Qualifier::Other(vec![0x30, 12, 6, 8, 0x2b, 6, 1, 5, 5, 7, 2, 2, 0x30, 0]);
        check(&[PolicyInformation { policy: oid(1), qualifiers: vec![cps, notice] }], true);
    }
    #[test]
    fn no_policy_is_refused() {
        check(&[], false);
    }
    #[test]
    fn one_policy_twice_is_refused() {
        check(&[plain(1), plain(2), plain(1)], false);
    }
    #[test]
    fn thirty_three_policies_are_refused() {
        let many: Vec<_> = (0..33).map(plain).collect();
        check(&many[..32], true);
        check(&many, false);
    }
    #[test]
    fn policy_constraints_survive() {
        for (explicit, mapping) in [(Some(0), None), (None, Some(1)), (Some(127), Some(128)), (Some(u32::MAX), None)] {
            let read = PolicyConstraints { require_explicit_policy: explicit, inhibit_policy_mapping: mapping };
            assert_eq!(PolicyConstraints::decode(&read.extension().value), Some(read));
        }
    }
    #[test]
    fn policy_constraints_that_say_nothing_are_refused() {
        assert_eq!(PolicyConstraints::decode(&[0x30, 0]), None);
    }
    #[test]
    fn negative_and_padded_numbers_are_refused() {
        assert_eq!(PolicyConstraints::decode(&[0x30, 3, 0x80, 1, 0x80]), None);
        assert_eq!(PolicyConstraints::decode(&[0x30, 4, 0x80, 2, 0, 1]), None);
        assert_eq!(decode_inhibit_any_policy(&[2, 1, 0xff]), None);
    }
    #[test]
    fn inhibit_any_policy_survives() {
        assert_eq!(decode_inhibit_any_policy(&inhibit_any_policy(0).value), Some(0));
        assert_eq!(decode_inhibit_any_policy(&inhibit_any_policy(300).value), Some(300));
    }
    #[test]
    fn mappings_survive() {
        let mappings = [PolicyMapping { issuer_domain: oid(1), subject_domain: oid(2) }];
        assert_eq!(decode_policy_mappings(&policy_mappings(&mappings).value).as_deref(), Some(&mappings[..]));
        assert_eq!(decode_policy_mappings(&[0x30, 0]), None);
    }
}
