//! Names: what the registration gives, and what a requester may add within the profile's limits.

use super::BadProfile;
use super::file::{AltNameLine, AttributeLine, Letters, NameKind, RequestLine, SubjectKind};
use super::template::{Facts, Scope, Template, sample};
use crate::encode;
use crate::text::{self, Network};
use const_oid::ObjectIdentifier;
use model::Reason;
use x509::extension::{GENERAL_NAMES_MAX, GeneralName};
use x509::name::{Attribute, attribute_type};
use x509::{Name, oids};

/// One attribute of the subject.
#[derive(Clone, Debug)]
pub(crate) struct AttributeRule {
    pub(crate) oid: ObjectIdentifier,
    pub(crate) source: Source,
}

/// Where an attribute comes from.
#[derive(Clone, Debug)]
pub(crate) enum Source {
    Template(Template),
    Request(Limits),
}

/// One subject alternative name, or several that a requester adds.
#[derive(Clone, Debug)]
pub(crate) enum AltNameRule {
    Uri(Template),
    Dns(Template),
    Email(Template),
    Ip(String, Vec<u8>),
    HardwareModuleName(Template, Template),
    PermanentIdentifier(Template),
    Request(NameKind, Limits),
}

/// How far a requester may choose.
#[derive(Clone, Debug)]
pub(crate) struct Limits {
    pub(crate) starts_with: Vec<Template>,
    pub(crate) ends_with: Vec<Template>,
    pub(crate) within: Vec<(String, Network)>,
    pub(crate) letters: Letters,
    pub(crate) len_max: usize,
    pub(crate) count_max: usize,
    pub(crate) required: bool,
}

/// Longest attribute that a requester may supply, in letters. Source: RFC 5280 appendix A.1 (`ub-common-name`).
const ATTRIBUTE_LEN_MAX: usize = 64;
/// Longest alternative name, in letters: the longest host name.
const ALT_NAME_LEN_MAX: usize = 253;
/// Most alternative names that one line may let a requester add.
const COUNT_MAX: usize = 16;
/// URIs by which devices and modules of ours are known: a requester never chooses one.
const OURS: [&str; 2] = ["urn:dev:ops:", "cradle:"];

pub(super) fn bad(place: &'static str, what: impl Into<String>) -> BadProfile {
    BadProfile { place, what: what.into() }
}

/// The object identifier in dotted numbers.
pub(super) fn oid(text: &str, place: &'static str) -> Result<ObjectIdentifier, BadProfile> {
    let canonical = ObjectIdentifier::new(text).ok().filter(|oid| oid.to_string() == text);
    canonical.ok_or_else(|| bad(place, format!("{text:?} is no object identifier")))
}

/// Attribute types whose string type we do not write.
const NOT_WRITTEN: [(&str, &str); 2] = [
    ("1.2.840.113549.1.9.1", "an e-mail address stands in subject_alt_name (RFC 5280 §4.1.2.6)"),
    ("2.5.4.46", "dnQualifier is not written"),
];

pub(super) fn attributes(
    lines: &[AttributeLine],
    kind: SubjectKind,
    place: &'static str,
) -> Result<Vec<AttributeRule>, BadProfile> {
    let rules = lines.iter().map(|line| attribute(line, kind, place)).collect::<Result<Vec<_>, _>>()?;
    let may_repeat = [oids::ORGANIZATIONAL_UNIT, oids::DOMAIN_COMPONENT];
    for (n, rule) in rules.iter().enumerate() {
        if !may_repeat.contains(&rule.oid) && rules.iter().skip(n + 1).any(|other| other.oid == rule.oid) {
            return Err(bad(place, format!("attribute {} stands twice", rule.oid)));
        }
    }
    Ok(rules)
}

fn attribute(line: &AttributeLine, kind: SubjectKind, place: &'static str) -> Result<AttributeRule, BadProfile> {
    let oid = match attribute_type(&line.r#type) {
        Some(oid) => oid,
        None if line.r#type.contains('.') => oid(&line.r#type, place)?,
        None => return Err(bad(place, format!("attribute type {:?} is not known", line.r#type))),
    };
    if let Some((_, why)) = NOT_WRITTEN.iter().find(|(dots, _)| *dots == oid.to_string()) {
        return Err(bad(place, *why));
    }
    let source = match (&line.value, &line.request) {
        (Some(value), None) => {
            let template = Template::read(value, Scope::Subject(kind), place)?;
            let tried = try_out(&template, kind).unwrap_or_default();
            if !fits(oid, &tried) {
                return Err(bad(place, format!("{value:?} cannot be a value of {}", line.r#type)));
            }
            Source::Template(template)
        }
        (None, Some(request)) if request.kind.is_none() && request.within.is_empty() && request.count_max.is_none() => {
            Source::Request(limits(request, kind, ATTRIBUTE_LEN_MAX, place)?)
        }
        (None, Some(_)) => return Err(bad(place, "kind, within and count_max are for subject_alt_name")),
        _ => return Err(bad(place, format!("{}: give either value or request", line.r#type))),
    };
    Ok(AttributeRule { oid, source })
}

/// Whether a text can be the value of an attribute. Source: RFC 5280 appendix A.1.
fn fits(oid: ObjectIdentifier, text: &str) -> bool {
    match oid {
        oids::COUNTRY => text.len() == 2 && text.bytes().all(|c| c.is_ascii_uppercase()),
        oids::SERIAL_NUMBER => text::is_printable_string(text),
        oids::DOMAIN_COMPONENT => text::is_host_name(text) && !text.contains('.'),
        _ => true,
    }
}

fn try_out(template: &Template, kind: SubjectKind) -> Option<String> {
    let entity = sample(kind)?;
    template.render(&Facts::Subject { entity: &entity, organization: "Example" })
}

fn limits(line: &RequestLine, kind: SubjectKind, len_bound: usize, place: &'static str) -> Result<Limits, BadProfile> {
    let templates = |texts: &[String]| {
        texts.iter().map(|text| Template::read(text, Scope::Subject(kind), place)).collect::<Result<Vec<_>, _>>()
    };
    let network = |text: &String| {
        let network = Network::read(text).ok_or_else(|| bad(place, format!("{text:?} is no network")))?;
        Ok((text.clone(), network))
    };
    let limits = Limits {
        starts_with: templates(&line.starts_with)?,
        ends_with: templates(&line.ends_with)?,
        within: line.within.iter().map(network).collect::<Result<_, _>>()?,
        letters: line.letters.unwrap_or(Letters::Printable),
        len_max: line.len_max.unwrap_or(len_bound),
        count_max: line.count_max.unwrap_or(1),
        required: line.required,
    };
    if !(1..=len_bound).contains(&limits.len_max) {
        return Err(bad(place, format!("len_max is from 1 to {len_bound}")));
    }
    if !(1..=COUNT_MAX).contains(&limits.count_max) {
        return Err(bad(place, format!("count_max is from 1 to {COUNT_MAX}")));
    }
    Ok(limits)
}

pub(super) fn alt_name(line: &AltNameLine, kind: SubjectKind) -> Result<AltNameRule, BadProfile> {
    const PLACE: &str = "subject_alt_name";
    // A template is tried on a sample: what would never be a name is found now.
    let template = |text: &String, is: fn(&str) -> bool, what: &str| {
        let template = Template::read(text, Scope::Subject(kind), PLACE)?;
        if text.contains('*') {
            return Err(bad(PLACE, "wildcards are not given"));
        }
        let tried = try_out(&template, kind).unwrap_or_default();
        if is(&tried) { Ok(template) } else { Err(bad(PLACE, format!("{text:?} is no {what}"))) }
    };
    let AltNameLine { uri, dns, email, ip, hardware_module_name, permanent_identifier, request } = line;
    match (uri, dns, email, ip, hardware_module_name, permanent_identifier, request) {
        (Some(text), None, None, None, None, None, None) if is_module_uri(text) && !speaks_on_the_bus(kind) => {
            Err(bad(PLACE, "cradle: names modules and operators, who speak on the bus, and nobody else"))
        }
        (Some(text), None, None, None, None, None, None) => template(text, text::is_uri, "URI").map(AltNameRule::Uri),
        (None, Some(text), None, None, None, None, None) => {
            template(text, text::is_host_name, "host name").map(AltNameRule::Dns)
        }
        (None, None, Some(text), None, None, None, None) => {
            template(text, text::is_email, "e-mail address").map(AltNameRule::Email)
        }
        (None, None, None, Some(text), None, None, None) => {
            let octets = text::ip_octets(text).ok_or_else(|| bad(PLACE, format!("{text:?} is no IP address")))?;
            Ok(AltNameRule::Ip(text.clone(), octets))
        }
        (None, None, None, None, Some(line), None, None) => {
            let hardware_type = Template::read(&line.r#type, Scope::Subject(kind), PLACE)?;
            oid(&try_out(&hardware_type, kind).unwrap_or_default(), PLACE)?;
            let serial = Template::read(&line.serial, Scope::Subject(kind), PLACE)?;
            Ok(AltNameRule::HardwareModuleName(hardware_type, serial))
        }
        (None, None, None, None, None, Some(text), None) => {
            template(text, text::is_identifier, "identifier").map(AltNameRule::PermanentIdentifier)
        }
        (None, None, None, None, None, None, Some(request)) => requested_alt_name(request, kind, PLACE),
        _ => Err(bad(
            PLACE,
            "each line has one of uri, dns, email, ip, hardware_module_name, permanent_identifier, request",
        )),
    }
}

fn requested_alt_name(line: &RequestLine, kind: SubjectKind, place: &'static str) -> Result<AltNameRule, BadProfile> {
    let Some(name_kind) = line.kind else { return Err(bad(place, "a request line has a kind")) };
    let limits = limits(line, kind, ALT_NAME_LEN_MAX, place)?;
    let all = |texts: &[String], is: fn(&str) -> bool| !texts.is_empty() && texts.iter().all(|text| is(text));
    // Without a limit anybody could ask for anybody's name.
    let ok = match name_kind {
        NameKind::Dns => all(&line.ends_with, |text| text.starts_with('.') && text.len() > 1 && !text.contains('*')),
        NameKind::Email => all(&line.ends_with, |text| text.starts_with('@') && text.len() > 1),
        NameKind::Uri => all(&line.starts_with, |text| text.contains(':') && !is_ours(text)),
        NameKind::Ip => !line.within.is_empty(),
    };
    let what = match name_kind {
        _ if ok => return Ok(AltNameRule::Request(name_kind, limits)),
        NameKind::Dns => "requested dns names need ends_with, each beginning with a dot, without a wildcard",
        NameKind::Email => "requested e-mail addresses need ends_with, each beginning with @",
        NameKind::Uri => "requested URIs need starts_with, each with its scheme, none that names a device or module",
        NameKind::Ip => "requested addresses need within: networks such as 10.0.0.0/8",
    };
    Err(bad(place, what))
}

fn is_module_uri(uri: &str) -> bool {
    uri.to_ascii_lowercase().starts_with("cradle:")
}

const fn speaks_on_the_bus(kind: SubjectKind) -> bool {
    matches!(kind, SubjectKind::Module | SubjectKind::Operator)
}

fn is_ours(uri: &str) -> bool {
    let uri = uri.to_ascii_lowercase();
    OURS.iter().any(|ours| uri.starts_with(ours) || ours.starts_with(&uri))
}

impl Limits {
    fn admit_text(&self, text: &str, facts: &Facts<'_>) -> bool {
        let letters = match self.letters {
            Letters::Digits => text.bytes().all(|c| c.is_ascii_digit()),
            Letters::Hex => text.bytes().all(|c| c.is_ascii_hexdigit()),
            Letters::Alphanumeric => text.bytes().all(|c| c.is_ascii_alphanumeric()),
            Letters::Printable => text::is_printable_string(text),
        };
        letters && self.admit_ends(text, facts, |end| end)
    }

    fn admit_ends(&self, text: &str, facts: &Facts<'_>, spell: fn(String) -> String) -> bool {
        let any = |templates: &[Template], is: &dyn Fn(&str) -> bool| {
            let rendered = |template: &Template| template.render(facts).is_some_and(|end| is(&spell(end)));
            templates.is_empty() || templates.iter().any(rendered)
        };
        (1..=self.len_max).contains(&text.len())
            && any(&self.starts_with, &|start| text.len() > start.len() && text.starts_with(start))
            && any(&self.ends_with, &|end| text.len() > end.len() && text.ends_with(end))
    }

    fn admit_name(&self, kind: NameKind, name: &GeneralName, facts: &Facts<'_>) -> bool {
        match (kind, name) {
            // One spelling only: a name in capitals would be another to some and the same to others. A registered serial
            // number may have capitals; below it, the name has none.
            (NameKind::Dns, GeneralName::Dns(text)) => {
                text::is_host_name(text)
                    && *text == text.to_ascii_lowercase()
                    && self.admit_ends(text, facts, |end| end.to_ascii_lowercase())
            }
            (NameKind::Uri, GeneralName::Uri(text)) => {
                text::is_uri(text) && !is_ours(text) && self.admit_ends(text, facts, |end| end)
            }
            (NameKind::Email, GeneralName::Rfc822(text)) => {
                text::is_email(text) && self.admit_ends(text, facts, |end| end)
            }
            (NameKind::Ip, GeneralName::Ip(octets)) => self.within.iter().any(|(_, network)| network.has(octets)),
            _ => false,
        }
    }
}

/// The subject: what is registered, and what the requester adds. `None` if the facts are of another kind.
///
/// A common name that is one of the alternative names says nothing of its own. Clients of ACME write it (RFC 8555 §7.4); where the
/// profile has no place for it, it is left out.
pub(super) fn subject(
    rules: &[AttributeRule],
    facts: &Facts<'_>,
    asked: Option<&Name>,
    alt_names: &[GeneralName],
    reasons: &mut Vec<Reason>,
) -> Option<Name> {
    let registered = |rule: &AttributeRule| match &rule.source {
        Source::Template(template) => template.render(facts).map(|text| Some(Attribute { oid: rule.oid, text })),
        Source::Request(_) => Some(None),
    };
    let mut attributes = rules.iter().map(registered).collect::<Option<Vec<_>>>()?;
    // A request may say less than is registered, and beyond it only what the profile lets it choose.
    for wish in asked.map(Name::attributes).unwrap_or_default() {
        if attributes.iter().flatten().any(|attribute| attribute == wish) {
            continue;
        }
        let slot = rules.iter().zip(&mut attributes).find(|(rule, filled)| match &rule.source {
            Source::Request(limits) => {
                filled.is_none()
                    && rule.oid == wish.oid
                    && fits(wish.oid, &wish.text)
                    && limits.admit_text(&wish.text, facts)
            }
            Source::Template(_) => false,
        });
        match slot {
            Some((_, slot)) => *slot = Some(wish.clone()),
            None if wish.oid == oids::COMMON_NAME && alt_names.contains(&GeneralName::Dns(wish.text.clone())) => {}
            None => reasons.push(Reason::NameMismatch),
        }
    }
    let missing = |(rule, filled): (&AttributeRule, &Option<Attribute>)| {
        filled.is_none() && matches!(&rule.source, Source::Request(limits) if limits.required)
    };
    if rules.iter().zip(&attributes).any(missing) {
        reasons.push(Reason::NameMismatch);
    }
    Some(Name::write(&attributes.into_iter().flatten().collect::<Vec<_>>()))
}

/// The alternative names, in the order of the file. `None` if the facts are of another kind.
pub(super) fn alt_names(
    rules: &[AltNameRule],
    facts: &Facts<'_>,
    asked: &[GeneralName],
    reasons: &mut Vec<Reason>,
) -> Option<Vec<GeneralName>> {
    let mut names = rules.iter().map(|rule| registered(rule, facts)).collect::<Option<Vec<_>>>()?;
    for wish in asked {
        if names.iter().flatten().any(|name| name == wish) {
            continue;
        }
        let slot = rules.iter().zip(&mut names).find(|(rule, filled)| match rule {
            AltNameRule::Request(kind, limits) => {
                filled.len() < limits.count_max && limits.admit_name(*kind, wish, facts)
            }
            _ => false,
        });
        match slot {
            Some((_, slot)) => slot.push(wish.clone()),
            None => reasons.push(Reason::NameMismatch),
        }
    }
    let missing = |(rule, filled): (&AltNameRule, &Vec<GeneralName>)| {
        filled.is_empty() && matches!(rule, AltNameRule::Request(_, limits) if limits.required)
    };
    if rules.iter().zip(&names).any(missing) || names.iter().map(Vec::len).sum::<usize>() > GENERAL_NAMES_MAX {
        reasons.push(Reason::NameMismatch);
    }
    Some(names.into_iter().flatten().collect())
}

fn registered(rule: &AltNameRule, facts: &Facts<'_>) -> Option<Vec<GeneralName>> {
    let name = match rule {
        AltNameRule::Uri(template) => GeneralName::Uri(template.render(facts)?),
        AltNameRule::Dns(template) => GeneralName::Dns(template.render(facts)?),
        AltNameRule::Email(template) => GeneralName::Rfc822(template.render(facts)?),
        AltNameRule::Ip(_, octets) => GeneralName::Ip(octets.to_vec()),
        AltNameRule::HardwareModuleName(hardware_type, serial) => {
            let hardware_type = ObjectIdentifier::new(&hardware_type.render(facts)?).ok()?;
            encode::hardware_module_name(hardware_type, &serial.render(facts)?)
        }
        AltNameRule::PermanentIdentifier(template) => GeneralName::permanent_identifier(&template.render(facts)?),
        AltNameRule::Request(..) => return Some(Vec::new()),
    };
    Some(vec![name])
}
