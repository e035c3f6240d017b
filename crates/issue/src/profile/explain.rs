//! A profile in plain words.

use super::extensions::{CustomValue, PURPOSES, SubtreeRule};
use super::file::{Letters, NameKind, Shape};
use super::names::{AltNameRule, AttributeRule, Limits, Source};
use super::{IssuerExpiry, NotAfter, Profile, Protocol, SubjectKind};
use const_oid::ObjectIdentifier;
use x509::extension::KeyUsage;
use x509::name::{Attribute, Name};

/// What a line is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Topic {
    /// Who may ask, how, and how often.
    WhoMayAsk,
    /// What the certificate will say.
    WhatItSays,
    /// What is refused.
    WhatIsRefused,
}

/// One sentence about a profile.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// What it is about.
    pub topic: Topic,
    /// The sentence.
    pub text: String,
}

/// Says in plain words who may ask under a profile, what the certificate will say, and what is refused.
#[must_use]
pub fn explain(profile: &Profile) -> Vec<Line> {
    let topics: [(Topic, Vec<String>); 3] = [
        (Topic::WhoMayAsk, who(profile)),
        (Topic::WhatItSays, says(profile)),
        (Topic::WhatIsRefused, refused(profile)),
    ];
    let lines = |(topic, texts): (Topic, Vec<String>)| texts.into_iter().map(move |text| Line { topic, text });
    topics.into_iter().flat_map(lines).collect()
}

fn who(profile: &Profile) -> Vec<String> {
    let mut lines = vec![format!(
        "It is for {}, and needs a grant for the one that is named.",
        match profile.subject_kind() {
            SubjectKind::Device => "devices",
            SubjectKind::Authority => "certification authorities of this installation",
            SubjectKind::Module => "modules of this system",
            SubjectKind::Operator => "people who operate this system",
            SubjectKind::Responder => "responders, each for the authority that issues its certificate",
        }
    )];
    lines.push(match profile.requesters() {
        None => "Whoever has the grant may ask.".to_owned(),
        Some(requesters) => format!("Only {} may ask.", list(requesters)),
    });
    lines.push(match profile.protocols() {
        None => "Any protocol will do.".to_owned(),
        Some(protocols) => format!("Only by {}.", list(protocols)),
    });
    if profile.ra_verified() {
        lines.push("A station with a right may vouch for the key (raVerified).".to_owned());
    }
    if profile.approvals() > 0 {
        lines.push(format!("Each request needs the approval of {} operator(s).", profile.approvals()));
    }
    lines.push(if profile.issuers().is_empty() {
        "It signs itself.".to_owned()
    } else {
        format!("It is issued by {}.", list(profile.issuers()))
    });
    lines
}

fn says(profile: &Profile) -> Vec<String> {
    let mut lines: Vec<String> = profile.subject.iter().map(|rule| format!("Subject: {}.", attribute(rule))).collect();
    lines.extend(profile.alt_names.iter().map(|rule| format!("Alternative name: {}.", alt_name(rule))));
    lines.push(validity(profile));
    lines.push(format!("Its key may be used for {}.", usages(profile.key_usage())));
    if !profile.purposes().is_empty() {
        let purposes: Vec<_> = profile.purposes().iter().map(|purpose| purpose_name(*purpose)).collect();
        lines.push(format!("Only for {}.", list(&purposes)));
    }
    if let Some(constraints) = profile.basic_constraints().filter(|c| c.ca) {
        let depth = match constraints.path_len {
            None => "any number of authorities below it".to_owned(),
            Some(0) => "no authority below it".to_owned(),
            Some(n) => format!("at most {n} authorities below it in a row"),
        };
        lines.push(format!("It is an authority, with {depth}."));
    }
    lines.extend(constraints(profile));
    lines.extend(pointers(profile));
    lines.extend(profile.file.extensions.policies.iter().map(|policy| match &policy.cps {
        Some(cps) => format!("Policy {}, described at {cps}.", policy.oid),
        None => format!("Policy {}.", policy.oid),
    }));
    if profile.file.extensions.ocsp_nocheck {
        lines.push("Nobody asks whether it is revoked (ocsp-nocheck).".to_owned());
    }
    lines.extend(custom(profile));
    lines
}

fn refused(profile: &Profile) -> Vec<String> {
    let mut lines = vec![
        format!("Keys of other types than {}, and weak ones.", list(profile.key_types())),
        "Names, extensions and usages that are not above; wildcards; another's name.".to_owned(),
    ];
    if !profile.ra_verified() {
        lines.push("Requests whose sender does not prove that it holds the key.".to_owned());
    }
    if !profile.is_authority() {
        lines.push("Requests to become an authority.".to_owned());
    }
    if profile.issuer_expiry() == IssuerExpiry::Refuse {
        lines.push("Certificates that would be valid longer than their issuer.".to_owned());
    }
    lines
}

pub(super) fn list(items: &[impl ToString]) -> String {
    items.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

pub(super) fn usages(usage: KeyUsage) -> String {
    let names: Vec<_> = KeyUsage::NAMES.iter().filter(|(_, bit)| usage.has(*bit)).map(|(name, _)| *name).collect();
    names.join(", ")
}

pub(crate) fn purpose_name(purpose: ObjectIdentifier) -> String {
    let known = PURPOSES.iter().find(|(_, known)| *known == purpose);
    known.map_or_else(|| purpose.to_string(), |(name, _)| (*name).to_owned())
}

/// How a name would print an attribute: `CN=…`.
fn attribute_text(oid: ObjectIdentifier, text: &str) -> String {
    Name::write(&[Attribute { oid, text: text.to_owned() }]).to_string()
}

pub(super) fn attribute(rule: &AttributeRule) -> String {
    match &rule.source {
        Source::Template(template) => attribute_text(rule.oid, template.text()),
        Source::Request(limits) => format!("{} {}", attribute_text(rule.oid, ""), wish(limits)),
    }
}

pub(super) fn alt_name(rule: &AltNameRule) -> String {
    match rule {
        AltNameRule::Uri(template) => format!("URI {}", template.text()),
        AltNameRule::Dns(template) => format!("host name {}", template.text()),
        AltNameRule::Email(template) => format!("e-mail address {}", template.text()),
        AltNameRule::Ip(text, _) => format!("IP address {text}"),
        AltNameRule::HardwareModuleName(hardware_type, serial) => {
            format!("hardware module of type {}, serial number {}", hardware_type.text(), serial.text())
        }
        AltNameRule::PermanentIdentifier(template) => format!("permanent identifier {}", template.text()),
        AltNameRule::Request(kind, limits) => {
            let kind = match kind {
                NameKind::Dns => "host name",
                NameKind::Uri => "URI",
                NameKind::Email => "e-mail address",
                NameKind::Ip => "IP address",
            };
            format!("up to {} {kind}(s) {}", limits.count_max, wish(limits))
        }
    }
}

/// The limits of what a requester may choose.
pub(super) fn wish(limits: &Limits) -> String {
    let texts = |templates: &[super::template::Template]| {
        templates.iter().map(|template| format!("{:?}", template.text())).collect::<Vec<_>>().join(" or ")
    };
    let mut parts =
        vec![if limits.required { "that the request must bring" } else { "if the request brings it" }.to_owned()];
    if !limits.starts_with.is_empty() {
        parts.push(format!("beginning with {}", texts(&limits.starts_with)));
    }
    if !limits.ends_with.is_empty() {
        parts.push(format!("ending in {}", texts(&limits.ends_with)));
    }
    if !limits.within.is_empty() {
        let networks: Vec<_> = limits.within.iter().map(|(text, _)| text.as_str()).collect();
        parts.push(format!("within {}", networks.join(" or ")));
    }
    match limits.letters {
        Letters::Digits => parts.push("of digits".to_owned()),
        Letters::Hex => parts.push("of hexadecimal digits".to_owned()),
        Letters::Alphanumeric => parts.push("of letters and digits".to_owned()),
        Letters::Printable => {}
    }
    parts.push(format!("at most {} letters", limits.len_max));
    parts.join(", ")
}

fn validity(profile: &Profile) -> String {
    let end = match profile.not_after {
        NotAfter::At(model::UnixTime::NO_EXPIRY) => "without an end".to_owned(),
        NotAfter::At(end) => format!("until {end}"),
        NotAfter::Lifetime(s) => format!("for {}", lifetime(s)),
    };
    let issuer = match profile.issuer_expiry() {
        IssuerExpiry::Refuse => "",
        IssuerExpiry::Shorten => ", or until its issuer ends",
    };
    format!("Valid {end}{issuer}; it begins {} s before it is made.", profile.file.validity.backdate_s)
}

fn lifetime(s: u64) -> String {
    match (s / 86_400, s % 86_400) {
        (days @ 1.., 0) => format!("{days} day(s)"),
        _ => format!("{s} s"),
    }
}

pub(super) fn subtree(rule: &SubtreeRule) -> String {
    match rule {
        SubtreeRule::Constant(subtree, text) => {
            use crate::encode::Subtree as S;
            let kind = match subtree {
                S::Dns(_) => "host names in",
                S::Uri(_) => "URIs at",
                S::Email(_) => "e-mail addresses at",
                S::Ip(_) => "addresses in",
                S::DirectoryName(_) => "names below",
            };
            format!("{kind} {text}")
        }
        SubtreeRule::DirectoryName(rules) => {
            format!("names below {}", rules.iter().map(attribute).collect::<Vec<_>>().join(", "))
        }
    }
}

fn constraints(profile: &Profile) -> Vec<String> {
    let permitted =
        profile.name_constraints.permitted.iter().map(|r| format!("What it issues is limited to {}.", subtree(r)));
    let excluded =
        profile.name_constraints.excluded.iter().map(|r| format!("What it issues never has {}.", subtree(r)));
    permitted.chain(excluded).collect()
}

fn pointers(profile: &Profile) -> Vec<String> {
    let pointer = |what: &str, template: &Option<super::template::Template>| {
        template.as_ref().map(|template| format!("{what} {}.", template.text()))
    };
    let mut lines: Vec<String> = [
        pointer("What is revoked is listed at", &profile.pointers.crl),
        pointer("Whether it is revoked is answered at", &profile.pointers.ocsp),
        pointer("Its issuer's certificate is at", &profile.pointers.ca_issuers),
    ]
    .into_iter()
    .flatten()
    .collect();
    if profile.shards() > 1 {
        lines.push(format!("The revoked are divided among {} lists.", profile.shards()));
    }
    lines
}

pub(super) fn custom(profile: &Profile) -> Vec<String> {
    let line = |custom: &super::extensions::Custom| {
        let critical = if custom.critical { ", critical" } else { "" };
        let value = match &custom.value {
            CustomValue::Der(der) => format!("the DER {}", model::octets::hex(der)),
            CustomValue::Template(Shape::Utf8String, template) => format!("the text {:?}", template.text()),
            CustomValue::Template(Shape::OctetString, template) => format!("the octets of {:?}", template.text()),
            CustomValue::Request { shape, len_min, len_max, required } => {
                let shape = if *shape == Shape::Utf8String { "text" } else { "octets" };
                let must = if *required { "that the request must bring" } else { "if the request brings it" };
                format!("{shape} {must}, {len_min} to {len_max} octets")
            }
        };
        format!("Extension {}{critical}: {value}.", custom.oid)
    };
    profile.custom.iter().map(line).collect()
}

impl std::fmt::Display for Protocol {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(match self {
            Self::Bus => "bus",
            Self::Console => "console",
            Self::Est => "est",
            Self::Cmp => "cmp",
            Self::Scep => "scep",
            Self::Acme => "acme",
        })
    }
}
