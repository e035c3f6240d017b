//! Where more is to be had: revocation lists, OCSP, the issuer's certificate.

use crate::extension::{Extension, GENERAL_NAMES_MAX, GeneralName};
use crate::oids;
use crate::read::{self, Result, bad};
use crate::write::{Writer, tag};
use const_oid::ObjectIdentifier;
use der::{SliceReader, Tag};

/// Most distribution points in one extension.
pub const POINTS_MAX: usize = 32;
/// Longest value in octets.
const VALUE_LEN_MAX: usize = 16 * 1024;
/// How many reasons there are. Source: RFC 5280 §4.2.1.13.
const REASONS: u16 = 9;

/// `AuthorityInfoAccessSyntax`, as far as it has URIs.
/// Source: RFC 5280 §4.2.2.1.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AuthorityInfoAccess {
    /// Where OCSP is answered.
    pub ocsp: Vec<String>,
    /// Where the issuer's certificate is.
    pub ca_issuers: Vec<String>,
}

impl AuthorityInfoAccess {
    /// The extension.
    #[must_use]
    pub fn extension(&self) -> Extension {
        Extension::of(oids::AUTHORITY_INFO_ACCESS, false, |w| {
            w.sequence(|w| {
                for (method, uris) in [(oids::AD_OCSP, &self.ocsp), (oids::AD_CA_ISSUERS, &self.ca_issuers)] {
                    for uri in uris {
                        w.sequence(|w| {
                            w.oid(method);
                            GeneralName::Uri(uri.clone()).write(w);
                        });
                    }
                }
            });
        })
    }

    /// Reads the value, passing over other methods and places that are no URI; `None` if it is not well formed or
    /// empty.
    #[must_use]
    pub fn decode(value: &[u8]) -> Option<Self> {
        let read = read::whole(value, VALUE_LEN_MAX, "AuthorityInfoAccessSyntax", |r| {
            let contents = read::contents(r, Tag::Sequence)?;
            read::each(contents, POINTS_MAX, |r| {
                let contents = read::contents(r, Tag::Sequence)?;
                read::inside(contents, |r| {
                    Ok((read::oid(r)?, GeneralName::read(r, crate::extension::IpShape::Address)?))
                })
            })
        });
        let descriptions = read.ok().filter(|descriptions| !descriptions.is_empty())?;
        let of = |wanted: ObjectIdentifier| {
            let uris = descriptions.iter().filter(|(method, _)| *method == wanted);
            uris.filter_map(|(_, at)| if let GeneralName::Uri(uri) = at { Some(uri.clone()) } else { None }).collect()
        };
        Some(Self { ocsp: of(oids::AD_OCSP), ca_issuers: of(oids::AD_CA_ISSUERS) })
    }
}

/// `DistributionPointName`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PointName {
    /// Several names of one and the same list.
    Full(Vec<GeneralName>),
    /// Relative to the name of the list's issuer: the attributes of a relative name, as they were read.
    Relative(Vec<u8>),
}

/// Reasons of revocation as a set; bit n of the number is bit n of the BIT STRING.
/// Source: RFC 5280 §4.2.1.13.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReasonFlags(pub u16);

/// `DistributionPoint`.
/// Source: RFC 5280 §4.2.1.13.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DistributionPoint {
    /// Where the list is, and how it calls itself.
    pub name: Option<PointName>,
    /// The reasons that the list covers; all if absent.
    pub reasons: Option<ReasonFlags>,
    /// Who signs the list, if that is not the issuer of the certificate.
    pub crl_issuer: Vec<GeneralName>,
}

/// The CRL distribution points extension: one list, to be had at each of these URIs. Source: RFC 5280 §4.2.1.13.
#[must_use]
pub fn crl_distribution_points(uris: &[&str]) -> Extension {
    distribution_points(oids::CRL_DISTRIBUTION_POINTS, &[at(uris)])
}

/// The freshest CRL extension: where the delta list is. Source: RFC 5280 §4.2.1.15 and §5.2.6.
#[must_use]
pub fn freshest_crl(uris: &[&str]) -> Extension {
    distribution_points(oids::FRESHEST_CRL, &[at(uris)])
}

fn at(uris: &[&str]) -> DistributionPoint {
    DistributionPoint { name: Some(PointName::uris(uris)), ..DistributionPoint::default() }
}

/// An extension of distribution points: [`oids::CRL_DISTRIBUTION_POINTS`] or [`oids::FRESHEST_CRL`].
#[must_use]
pub fn distribution_points(oid: ObjectIdentifier, points: &[DistributionPoint]) -> Extension {
    Extension::of(oid, false, |w| {
        w.sequence(|w| points.iter().for_each(|point| point.write(w)));
    })
}

/// Reads distribution points; `None` if they are not well formed, none, or more than [`POINTS_MAX`].
#[must_use]
pub fn decode_distribution_points(value: &[u8]) -> Option<Vec<DistributionPoint>> {
    let read = read::whole(value, VALUE_LEN_MAX, "CRLDistributionPoints", |r| {
        let contents = read::contents(r, Tag::Sequence)?;
        read::each(contents, POINTS_MAX, DistributionPoint::read)
    });
    read.ok().filter(|points| !points.is_empty())
}

impl PointName {
    /// A full name of these URIs.
    #[must_use]
    pub fn uris(uris: &[&str]) -> Self {
        Self::Full(uris.iter().map(|uri| GeneralName::Uri((*uri).to_owned())).collect())
    }

    /// Reads a name that stands alone, under the `[0]` that it has in every structure; `None` if it is not well formed.
    #[must_use]
    pub fn decode(der: &[u8]) -> Option<Self> {
        read::whole(der, VALUE_LEN_MAX, "DistributionPointName", Self::read).ok().flatten()
    }

    fn write(&self, w: &mut Writer) {
        // The choice makes the tag explicit.
        w.explicit(0, |w| {
            match self {
                Self::Full(names) => w.explicit(0, |w| names.iter().for_each(|name| name.write(w))),
                Self::Relative(attributes) => w.value(tag::CONTEXT_CONSTRUCTED | 1, attributes),
            };
        });
    }

    fn read(reader: &mut SliceReader<'_>) -> Result<Option<Self>> {
        let Some(contents) = read::optional(reader, 0, true)? else { return Ok(None) };
        read::inside(contents, |r| {
            if let Some(names) = read::optional(r, 0, true)? {
                return Ok(Some(Self::Full(GeneralName::read_all(names)?)));
            }
            let Some(attributes) = read::optional(r, 1, true)? else { return bad(r) };
            let count = read::each(attributes, GENERAL_NAMES_MAX, |r| read::contents(r, Tag::Sequence))?.len();
            if count == 0 { bad(r) } else { Ok(Some(Self::Relative(attributes.to_vec()))) }
        })
    }
}

impl DistributionPoint {
    fn write(&self, w: &mut Writer) {
        w.sequence(|w| {
            if let Some(name) = &self.name {
                name.write(w);
            }
            if let Some(ReasonFlags(bits)) = self.reasons {
                w.named_bits_as(tag::CONTEXT | 1, bits);
            }
            if !self.crl_issuer.is_empty() {
                w.explicit(2, |w| self.crl_issuer.iter().for_each(|name| name.write(w)));
            }
        });
    }

    fn read(reader: &mut SliceReader<'_>) -> Result<Self> {
        let contents = read::contents(reader, Tag::Sequence)?;
        read::inside(contents, |r| {
            let name = PointName::read(r)?;
            let reasons = reasons(r, 1)?;
            let crl_issuer = match read::optional(r, 2, true)? {
                Some(names) => GeneralName::read_all(names)?,
                None => Vec::new(),
            };
            // RFC 5280 §4.2.1.13: a point is never reasons alone.
            if name.is_none() && crl_issuer.is_empty() { bad(r) } else { Ok(Self { name, reasons, crl_issuer }) }
        })
    }
}

fn reasons(reader: &mut SliceReader<'_>, n: u32) -> Result<Option<ReasonFlags>> {
    let Some(contents) = read::optional(reader, n, false)? else { return Ok(None) };
    match read::named_bits(contents, REASONS) {
        Some(bits) => Ok(Some(ReasonFlags(bits))),
        None => bad(reader),
    }
}

/// Which certificates a list speaks of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Covers {
    /// All.
    #[default]
    All,
    /// `onlyContainsUserCerts`
    UserCertificates,
    /// `onlyContainsCACerts`
    AuthorityCertificates,
    /// `onlyContainsAttributeCerts`
    AttributeCertificates,
}

/// Whose certificates are in a list.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Issuers {
    /// Those of the list's own issuer.
    #[default]
    Own,
    /// Others' too: `indirectCRL`.
    Indirect,
}

/// `IssuingDistributionPoint`: what a list is for, if it is not for everything.
/// Source: RFC 5280 §5.2.5.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct IssuingDistributionPoint {
    /// The shard: only certificates that name this point are in it.
    pub name: Option<PointName>,
    /// The kind of certificates.
    pub covers: Covers,
    /// The reasons that are in it; all if absent.
    pub only_some_reasons: Option<ReasonFlags>,
    /// Whose certificates.
    pub issuers: Issuers,
}

impl IssuingDistributionPoint {
    /// The extension, critical as RFC 5280 demands.
    #[must_use]
    pub fn extension(&self) -> Extension {
        Extension::of(oids::ISSUING_DISTRIBUTION_POINT, true, |w| {
            w.sequence(|w| {
                let true_at = |w: &mut Writer, n: u8, yes: bool| {
                    if yes {
                        w.value(tag::CONTEXT | n, &[0xff]);
                    }
                };
                if let Some(name) = &self.name {
                    name.write(w);
                }
                true_at(w, 1, self.covers == Covers::UserCertificates);
                true_at(w, 2, self.covers == Covers::AuthorityCertificates);
                if let Some(ReasonFlags(bits)) = self.only_some_reasons {
                    w.named_bits_as(tag::CONTEXT | 3, bits);
                }
                true_at(w, 4, self.issuers == Issuers::Indirect);
                true_at(w, 5, self.covers == Covers::AttributeCertificates);
            });
        })
    }

    /// Reads the value; `None` if it is not well formed, says nothing, or says that the list is for two kinds only.
    #[must_use]
    pub fn decode(value: &[u8]) -> Option<Self> {
        let read = read::whole(value, VALUE_LEN_MAX, "IssuingDistributionPoint", |r| {
            let contents = read::contents(r, Tag::Sequence)?;
            read::inside(contents, |r| {
                let name = PointName::read(r)?;
                let (users, authorities) = (is_true(r, 1)?, is_true(r, 2)?);
                let only_some_reasons = reasons(r, 3)?;
                let issuers = if is_true(r, 4)? { Issuers::Indirect } else { Issuers::Own };
                let covers = match (users, authorities, is_true(r, 5)?) {
                    (false, false, false) => Covers::All,
                    (true, false, false) => Covers::UserCertificates,
                    (false, true, false) => Covers::AuthorityCertificates,
                    (false, false, true) => Covers::AttributeCertificates,
                    _ => return bad(r),
                };
                Ok(Self { name, covers, only_some_reasons, issuers })
            })
        });
        read.ok().filter(|point| *point != Self::default())
    }
}

// `[n]` BOOLEAN DEFAULT FALSE: DER leaves the default out.
fn is_true(reader: &mut SliceReader<'_>, n: u32) -> Result<bool> {
    match read::optional(reader, n, false)? {
        None => Ok(false),
        Some([0xff]) => Ok(true),
        Some(_) => bad(reader),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const URI: &str = "http://pki.example/1.crl";

    #[track_caller]
    fn check_points(points: &[DistributionPoint], ok: bool) {
        let value = distribution_points(oids::CRL_DISTRIBUTION_POINTS, points).value;
        assert_eq!(decode_distribution_points(&value).as_deref(), ok.then_some(points));
    }
    #[track_caller]
    fn check_issuing(point: &IssuingDistributionPoint, ok: bool) {
        assert_eq!(IssuingDistributionPoint::decode(&point.extension().value).as_ref(), ok.then_some(point));
    }

    #[test]
    fn several_uris_of_one_list() {
        let value = crl_distribution_points(&[URI, "ldap://pki.example"]).value;
        let [point] = &decode_distribution_points(&value).unwrap()[..] else { panic!() };
        assert_eq!(point.name, Some(PointName::uris(&[URI, "ldap://pki.example"])));
    }
    #[test]
    fn the_octets_are_those_of_before() {
        let expected = [&[0x30, 32, 0x30, 30, 0xa0, 28, 0xa0, 26, 0x86, 24], URI.as_bytes()].concat();
        assert_eq!(crl_distribution_points(&[URI]).value, expected);
    }
    #[test]
    fn points_with_everything_survive() {
        let mut point = at(&[URI]);
        point.reasons = Some(ReasonFlags(0b1_0000_0010));
        point.crl_issuer = vec![GeneralName::Dns("x".into())];
        check_points(&[point, at(&[URI])], true);
    }
    #[test]
    fn a_relative_name_is_kept() {
        let relative = PointName::Relative(vec![0x30, 8, 6, 3, 0x55, 4, 3, 0x0c, 1, b'x']);
        check_points(&[DistributionPoint { name: Some(relative), ..DistributionPoint::default() }], true);
    }
    #[test]
    fn reasons_alone_are_refused() {
        check_points(&[DistributionPoint { reasons: Some(ReasonFlags(2)), ..DistributionPoint::default() }], false);
    }
    #[test]
    fn no_point_is_refused() {
        check_points(&[], false);
    }
    #[test]
    fn an_empty_full_name_is_refused() {
        check_points(&[at(&[])], false);
    }
    #[test]
    fn a_shard_survives() {
        let name = Some(PointName::uris(&[URI]));
        check_issuing(&IssuingDistributionPoint { name, ..IssuingDistributionPoint::default() }, true);
    }
    #[test]
    fn every_scope_survives() {
        for covers in [Covers::UserCertificates, Covers::AuthorityCertificates, Covers::AttributeCertificates] {
            let all = IssuingDistributionPoint {
                name: Some(PointName::uris(&[URI])),
                covers,
                only_some_reasons: Some(ReasonFlags(4)),
                issuers: Issuers::Indirect,
            };
            check_issuing(&all, true);
            check_issuing(&IssuingDistributionPoint { covers, ..IssuingDistributionPoint::default() }, true);
        }
    }
    #[test]
    fn a_scope_of_nothing_in_particular_is_refused() {
        check_issuing(&IssuingDistributionPoint::default(), false);
    }
    #[test]
    fn two_scopes_are_refused() {
        assert_eq!(IssuingDistributionPoint::decode(&[0x30, 6, 0x81, 1, 0xff, 0x82, 1, 0xff]), None);
    }
    #[test]
    fn a_written_default_is_refused() {
        assert_eq!(IssuingDistributionPoint::decode(&[0x30, 6, 0x81, 1, 0, 0x82, 1, 0xff]), None);
    }
    #[test]
    fn places_survive() {
        let access = AuthorityInfoAccess {
            ocsp: vec!["http://ocsp.example".into(), "http://ocsp2.example".into()],
            ca_issuers: vec!["http://pki.example/ca.cer".into()],
        };
        assert_eq!(AuthorityInfoAccess::decode(&access.extension().value), Some(access));
        assert_eq!(AuthorityInfoAccess::decode(&[0x30, 0]), None);
    }
    #[test]
    fn other_methods_are_passed_over() {
        let value = [0x30, 9, 0x30, 7, 6, 2, 0x2a, 3, 0x86, 1, b'x'];
        assert_eq!(AuthorityInfoAccess::decode(&value), Some(AuthorityInfoAccess::default()));
    }
}
