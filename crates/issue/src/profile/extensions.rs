//! Extensions: those that are the same in every certificate, and those that are written for one.

use super::BadProfile;
use super::file::{CustomLine, Extensions, PolicyLine, Shape, SubjectKind, SubtreeLine};
use super::names::{self, AttributeRule, bad, oid};
use super::template::{Facts, Scope, Template, sample};
use crate::encode::{self, Subtree};
use crate::text::{self, Network};
use const_oid::ObjectIdentifier;
use model::{AuthorityName, Reason};
use x509::extension::{BasicConstraints, KeyUsage, crl_distribution_point};
use x509::write::tag;
use x509::{Extension, oids};

/// An extension of the profile's own.
#[derive(Clone, Debug)]
pub(crate) struct Custom {
    pub(crate) oid: ObjectIdentifier,
    pub(crate) critical: bool,
    pub(crate) value: CustomValue,
}

#[derive(Clone, Debug)]
pub(crate) enum CustomValue {
    /// The same in every certificate.
    Der(Vec<u8>),
    Template(Shape, Template),
    Request {
        shape: Shape,
        len_min: usize,
        len_max: usize,
        required: bool,
    },
}

/// What an extension says of who issues it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Pointers {
    pub(crate) crl: Option<Template>,
    pub(crate) ocsp: Option<Template>,
    pub(crate) ca_issuers: Option<Template>,
}

/// One end of a name constraint before it is filled in.
#[derive(Clone, Debug)]
pub(crate) enum SubtreeRule {
    Constant(Subtree, String),
    DirectoryName(Vec<AttributeRule>),
}

#[derive(Clone, Debug, Default)]
pub(crate) struct NameConstraints {
    pub(crate) permitted: Vec<SubtreeRule>,
    pub(crate) excluded: Vec<SubtreeRule>,
}

/// Names of purposes. Source: see `crate::encode::oids`.
pub(crate) const PURPOSES: [(&str, ObjectIdentifier); 9] = [
    ("server-auth", oids::SERVER_AUTH),
    ("client-auth", oids::CLIENT_AUTH),
    ("code-signing", oids::CODE_SIGNING),
    ("email-protection", encode::oids::EMAIL_PROTECTION),
    ("time-stamping", encode::oids::TIME_STAMPING),
    ("ocsp-signing", x509::oids::OCSP_SIGNING),
    ("cmc-ca", encode::oids::CMC_CA),
    ("cmc-ra", encode::oids::CMC_RA),
    ("cm-kga", encode::oids::CM_KGA),
];

/// Longest value of a custom extension in octets.
const CUSTOM_LEN_MAX: usize = 4096;

pub(super) fn purposes(names: &[String]) -> Result<Vec<ObjectIdentifier>, BadProfile> {
    const PLACE: &str = "extended_key_usage";
    let purpose = |name: &String| match PURPOSES.iter().find(|(known, _)| known == name) {
        Some((_, purpose)) => Ok(*purpose),
        None if name.contains('.') => oid(name, PLACE),
        None => Err(bad(PLACE, format!("{name:?} is not known"))),
    };
    let purposes = names.iter().map(purpose).collect::<Result<Vec<_>, _>>()?;
    if purposes.contains(&x509::oids::ANY_EXTENDED_KEY_USAGE) {
        return Err(bad(PLACE, "any purpose is no purpose: name those that are meant"));
    }
    Ok(purposes)
}

/// Extensions that are the same in every certificate, encoded once.
pub(super) fn fixed(
    file: &Extensions,
    key_usage: KeyUsage,
    basic_constraints: Option<BasicConstraints>,
    purposes: &[ObjectIdentifier],
    pointers: &Pointers,
    custom: &[Custom],
) -> Result<Vec<Extension>, BadProfile> {
    let mut fixed = vec![key_usage.extension()];
    fixed.extend(basic_constraints.map(BasicConstraints::extension));
    if !purposes.is_empty() {
        fixed.push(encode::extended_key_usage(purposes, file.extended_key_usage_critical));
    }
    if let Some(uri) = pointers.crl.as_ref().filter(|uri| uri.is_constant()) {
        fixed.push(crl_distribution_point(uri.text()));
    }
    if !file.policies.is_empty() {
        let policies = file.policies.iter().map(policy).collect::<Result<Vec<_>, _>>()?;
        let twice =
            |(n, (oid, _)): (usize, &(ObjectIdentifier, _))| policies.iter().skip(n + 1).any(|(other, _)| other == oid);
        if policies.iter().enumerate().any(twice) {
            return Err(bad("policies", "a policy stands twice (RFC 5280 §4.2.1.4)"));
        }
        fixed.push(encode::certificate_policies(&policies));
    }
    if file.ocsp_nocheck {
        fixed.push(x509::extension::ocsp_nocheck());
    }
    fixed.extend(custom.iter().filter_map(|custom| match &custom.value {
        CustomValue::Der(der) => Some(custom.with(der.clone())),
        CustomValue::Template(..) | CustomValue::Request { .. } => None,
    }));
    Ok(fixed)
}

fn policy(line: &PolicyLine) -> Result<(ObjectIdentifier, Option<String>), BadProfile> {
    match &line.cps {
        Some(uri) if !text::is_http(uri) => Err(bad("policies", format!("{uri:?} is no http or https address"))),
        cps => Ok((oid(&line.oid, "policies")?, cps.clone())),
    }
}

pub(super) fn pointers(file: &Extensions) -> Result<Pointers, BadProfile> {
    let pointer = |text: &Option<String>, place: &'static str| {
        let Some(text) = text else { return Ok(None) };
        let template = Template::read(text, Scope::Issuer, place)?;
        let authority: Option<AuthorityName> = "name".parse().ok();
        let tried = authority.and_then(|a| template.render(&Facts::Issuer { authority: &a, shard: 0 }));
        if tried.is_some_and(|tried| text::is_http(&tried)) {
            Ok(Some(template))
        } else {
            Err(bad(place, format!("{text:?} is no URI that begins with http:// or https://")))
        }
    };
    let access = file.authority_information_access.as_ref();
    let (ocsp, ca_issuers) = access.map(|a| (a.ocsp.clone(), a.ca_issuers.clone())).unwrap_or_default();
    const ACCESS: &str = "authority_information_access";
    let pointers = Pointers {
        crl: pointer(&file.crl_distribution_point, "crl_distribution_point")?,
        ocsp: pointer(&ocsp, ACCESS)?,
        ca_issuers: pointer(&ca_issuers, ACCESS)?,
    };
    if access.is_some() && pointers.ocsp.is_none() && pointers.ca_issuers.is_none() {
        return Err(bad(ACCESS, "give ocsp, ca_issuers, or both"));
    }
    Ok(pointers)
}

impl Pointers {
    pub(super) fn distribution_point(&self, facts: &Facts<'_>) -> Option<String> {
        self.crl.as_ref().and_then(|template| template.render(facts))
    }

    /// The extensions that speak of the issuer, but for those that are the same for all.
    pub(super) fn extensions(&self, facts: &Facts<'_>) -> Vec<Extension> {
        let render = |template: &Option<Template>| template.as_ref().and_then(|template| template.render(facts));
        let mut extensions = Vec::new();
        if let Some(template) = self.crl.as_ref().filter(|template| !template.is_constant()) {
            extensions.extend(template.render(facts).map(|uri| crl_distribution_point(&uri)));
        }
        let (ocsp, ca_issuers) = (render(&self.ocsp), render(&self.ca_issuers));
        if ocsp.is_some() || ca_issuers.is_some() {
            extensions.push(encode::authority_information_access(ocsp.as_deref(), ca_issuers.as_deref()));
        }
        extensions
    }
}

pub(super) fn custom(line: &CustomLine, kind: SubjectKind) -> Result<Custom, BadProfile> {
    const PLACE: &str = "custom";
    let id = oid(&line.oid, PLACE)?;
    // Those of RFC 5280 have fields of their own, where what they say is checked.
    if line.oid.starts_with("2.5.29.") || line.oid.starts_with("1.3.6.1.5.5.7.1.") || id == x509::oids::OCSP_NOCHECK {
        return Err(bad(PLACE, format!("{} is no extension of one's own", line.oid)));
    }
    let template = |text: &String, shape| {
        Ok::<_, BadProfile>(CustomValue::Template(shape, Template::read(text, Scope::Subject(kind), PLACE)?))
    };
    let value = match (&line.der, &line.utf8_string, &line.octet_string, &line.request) {
        (Some(hex), None, None, None) => {
            let der = model::octets::from_hex(hex).map_err(|_| bad(PLACE, "der is not hexadecimal"))?;
            if der.len() > CUSTOM_LEN_MAX || crate::der::only(&der).is_none() {
                return Err(bad(PLACE, "der is not one value in DER"));
            }
            CustomValue::Der(der)
        }
        (None, Some(text), None, None) => template(text, Shape::Utf8String)?,
        (None, None, Some(text), None) => template(text, Shape::OctetString)?,
        (None, None, None, Some(r)) if 1 <= r.len_min && r.len_min <= r.len_max && r.len_max <= CUSTOM_LEN_MAX => {
            CustomValue::Request { shape: r.shape, len_min: r.len_min, len_max: r.len_max, required: r.required }
        }
        (None, None, None, Some(_)) => return Err(bad(PLACE, "1 <= len_min <= len_max <= 4096")),
        _ => return Err(bad(PLACE, "each has one of der, utf8_string, octet_string, request")),
    };
    Ok(Custom { oid: id, critical: line.critical, value })
}

impl Shape {
    const fn tag(self) -> u8 {
        match self {
            Self::Utf8String => tag::UTF8_STRING,
            Self::OctetString => tag::OCTET_STRING,
        }
    }
    fn fits(self, contents: &[u8]) -> bool {
        match self {
            Self::Utf8String => std::str::from_utf8(contents).is_ok_and(text::is_visible),
            Self::OctetString => true,
        }
    }
}

impl Custom {
    fn with(&self, value: Vec<u8>) -> Extension {
        Extension { oid: self.oid, critical: self.critical, value }
    }

    /// The extension in one certificate, if it is not the same in all; the outer `None` if the facts are of another
    /// kind.
    pub(super) fn write(
        &self,
        facts: &Facts<'_>,
        asked: &[Extension],
        reasons: &mut Vec<Reason>,
    ) -> Option<Option<Extension>> {
        match &self.value {
            CustomValue::Der(_) => Some(None),
            CustomValue::Template(shape, template) => {
                let text = template.render(facts)?;
                Some(Some(Extension::of(self.oid, self.critical, |w| {
                    w.value(shape.tag(), text.as_bytes());
                })))
            }
            CustomValue::Request { shape, len_min, len_max, required } => {
                let wish = asked.iter().find(|wish| wish.oid == self.oid);
                let value = wish.and_then(|wish| crate::der::only(&wish.value));
                let ok = value.filter(|value| {
                    value.tag == shape.tag()
                        && (*len_min..=*len_max).contains(&value.contents.len())
                        && shape.fits(value.contents)
                });
                // A bad one is refused with all others that the profile does not give.
                if wish.is_none() && *required {
                    reasons.push(Reason::ExtensionNotAllowed);
                }
                Some(ok.map(|value| self.with(value.all.to_vec())))
            }
        }
    }
}

pub(super) fn subtree(line: &SubtreeLine, kind: SubjectKind) -> Result<SubtreeRule, BadProfile> {
    const PLACE: &str = "name_constraints";
    // RFC 5280 §4.2.1.10: a leading dot means what is below; a URI's constraint is a host.
    let host = |text: &String, make: fn(String) -> Subtree| {
        let name = text.strip_prefix('.').unwrap_or(text);
        if text::is_host_name(name) {
            Ok(SubtreeRule::Constant(make(text.clone()), text.clone()))
        } else {
            Err(bad(PLACE, format!("{text:?} is no host name, with or without a dot before it")))
        }
    };
    let SubtreeLine { dns, uri, email, ip, directory_name } = line;
    match (dns, uri, email, ip, directory_name) {
        (Some(text), None, None, None, None) => host(text, Subtree::Dns),
        (None, Some(text), None, None, None) => host(text, Subtree::Uri),
        (None, None, Some(text), None, None) if text::is_email(text) => {
            Ok(SubtreeRule::Constant(Subtree::Email(text.clone()), text.clone()))
        }
        (None, None, Some(text), None, None) => host(text, Subtree::Email),
        (None, None, None, Some(text), None) => {
            let network = Network::read(text).ok_or_else(|| bad(PLACE, format!("{text:?} is no network")))?;
            Ok(SubtreeRule::Constant(Subtree::Ip(network), text.clone()))
        }
        (None, None, None, None, Some(lines)) if lines.iter().all(|line| line.request.is_none()) => {
            Ok(SubtreeRule::DirectoryName(names::attributes(lines, kind, PLACE)?))
        }
        _ => Err(bad(PLACE, "each line has one of dns, uri, email, ip, directory_name, without requests")),
    }
}

impl NameConstraints {
    pub(super) fn is_empty(&self) -> bool {
        self.permitted.is_empty() && self.excluded.is_empty()
    }
    pub(super) fn write(&self, facts: &Facts<'_>) -> Option<Extension> {
        let written = |rules: &[SubtreeRule]| {
            let written = |rule: &SubtreeRule| match rule {
                SubtreeRule::Constant(subtree, _) => Some(subtree.clone()),
                SubtreeRule::DirectoryName(rules) => {
                    names::subject(rules, facts, None, &[], &mut Vec::new()).map(Subtree::DirectoryName)
                }
            };
            rules.iter().map(written).collect::<Option<Vec<_>>>()
        };
        Some(encode::name_constraints(&written(&self.permitted)?, &written(&self.excluded)?))
    }

    /// Whether it can be written for a subject of that kind.
    pub(super) fn can_be_written(&self, kind: SubjectKind) -> bool {
        let Some(entity) = sample(kind) else { return false };
        self.write(&Facts::Subject { entity: &entity, organization: "Example" }).is_some()
    }
}
