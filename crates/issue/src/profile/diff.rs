//! What changes between two profiles, and whether that lets more through.

use super::explain::{alt_name, attribute, custom, list, purpose_name, subtree, usages};
use super::extensions::SubtreeRule;
use super::{IssuerExpiry, NotAfter, Profile};
use std::collections::BTreeSet;
use x509::extension::KeyUsage;

/// What a change does to what is let through.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Meaning {
    /// Less is let through than before.
    Stricter,
    /// More is let through than before.
    Looser,
    /// Neither, or some of both.
    Different,
}

/// One field that says something else.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// Its name in the file.
    pub field: &'static str,
    /// What it said.
    pub before: String,
    /// What it says.
    pub after: String,
    /// What that does.
    pub meaning: Meaning,
}

/// What a field says, in the order in which more of it lets more through.
enum Said {
    /// Each element allows something.
    Allows(BTreeSet<String>),
    /// Each element forbids or demands something.
    Demands(BTreeSet<String>),
    /// None allows everything; otherwise as `Allows`.
    Limits(Option<BTreeSet<String>>),
    /// The higher, the more is let through; `None` is the highest.
    AtMost(Option<u64>),
    /// The higher, the less is let through.
    AtLeast(u64),
    /// Another one is only different.
    Text(String),
}

/// Finds what changes from one profile to the other, in the order of the file.
#[must_use]
pub fn diff(before: &Profile, after: &Profile) -> Vec<Change> {
    let pairs = fields(before).into_iter().zip(fields(after));
    let change = |((field, before), (_, after)): ((&'static str, Said), (&'static str, Said))| {
        let (said, says) = (text(&before), text(&after));
        (said != says).then(|| Change { field, meaning: meaning(&before, &after), before: said, after: says })
    };
    pairs.filter_map(change).collect()
}

fn fields(p: &Profile) -> Vec<(&'static str, Said)> {
    let extensions = &p.file.extensions;
    let shorten = p.issuer_expiry() == IssuerExpiry::Shorten;
    let path_len = p.basic_constraints().filter(|c| c.ca).map(|c| c.path_len);
    let subtrees = |rules: &[SubtreeRule]| rules.iter().map(subtree).collect::<BTreeSet<_>>();
    let permitted = Some(subtrees(&p.name_constraints.permitted)).filter(|set| !set.is_empty());
    let usage = KeyUsage::NAMES.iter().filter(|(_, bit)| p.key_usage().has(*bit)).map(|(_, bit)| usages(*bit));
    let purposes = Some(p.purposes().iter().map(|purpose| purpose_name(*purpose)).collect::<BTreeSet<_>>());
    let policies = extensions.policies.iter().map(|x| format!("{} {}", x.oid, x.cps.as_deref().unwrap_or_default()));
    let pointer = |template: &Option<super::template::Template>| {
        Said::Text(template.as_ref().map(|t| t.text().to_owned()).unwrap_or_default())
    };
    vec![
        ("version", Said::Text(p.version().to_string())),
        ("description", Said::Text(p.description().to_owned())),
        ("subject_kind", Said::Text(format!("{:?}", p.subject_kind()).to_lowercase())),
        ("issuers", Said::Allows(each(p.issuers()))),
        ("key_types", Said::Allows(each(p.key_types()))),
        ("ra_verified", Said::AtMost(Some(u64::from(p.ra_verified())))),
        ("subject", Said::Text(list(&p.subject.iter().map(attribute).collect::<Vec<_>>()))),
        ("subject_alt_name", Said::Text(list(&p.alt_names.iter().map(alt_name).collect::<Vec<_>>()))),
        // What has no end is not limited by one.
        (
            "validity.not_after",
            Said::AtMost(match p.not_after {
                NotAfter::At(end) if end < model::UnixTime::NO_EXPIRY => Some(end.s()),
                NotAfter::At(_) | NotAfter::Lifetime(_) => None,
            }),
        ),
        (
            "validity.lifetime_s",
            Said::AtMost(match p.not_after {
                NotAfter::Lifetime(s) => Some(s),
                NotAfter::At(_) => None,
            }),
        ),
        ("validity.backdate_s", Said::AtMost(Some(p.file.validity.backdate_s))),
        ("validity.issuer_expiry", Said::Text(if shorten { "shorten" } else { "refuse" }.to_owned())),
        ("extensions.key_usage", Said::Allows(usage.collect())),
        ("extensions.extended_key_usage", Said::Limits(purposes.filter(|set| !set.is_empty()))),
        ("extensions.extended_key_usage_critical", Said::AtLeast(u64::from(extensions.extended_key_usage_critical))),
        ("extensions.basic_constraints.ca", Said::AtMost(Some(u64::from(p.is_authority())))),
        // No authority has no depth at all; an authority without a limit has every depth.
        (
            "extensions.basic_constraints.path_len",
            match path_len {
                None => Said::AtMost(Some(0)),
                Some(None) => Said::AtMost(None),
                Some(Some(n)) => Said::AtMost(Some(u64::from(n))),
            },
        ),
        ("extensions.name_constraints.permitted", Said::Limits(permitted)),
        ("extensions.name_constraints.excluded", Said::Demands(subtrees(&p.name_constraints.excluded))),
        ("extensions.crl_distribution_point", pointer(&p.pointers.crl)),
        ("extensions.shards", Said::Text(p.shards().to_string())),
        ("extensions.authority_information_access.ocsp", pointer(&p.pointers.ocsp)),
        ("extensions.authority_information_access.ca_issuers", pointer(&p.pointers.ca_issuers)),
        ("extensions.policies", Said::Text(list(&policies.collect::<Vec<_>>()))),
        ("extensions.ocsp_nocheck", Said::AtMost(Some(u64::from(extensions.ocsp_nocheck)))),
        ("extensions.custom", Said::Text(custom(p).join(" "))),
        ("enrolment.requesters", Said::Limits(p.requesters().map(each))),
        ("enrolment.protocols", Said::Limits(p.protocols().map(each))),
        ("enrolment.approvals", Said::AtLeast(u64::from(p.approvals()))),
    ]
}

fn each(items: &[impl ToString]) -> BTreeSet<String> {
    items.iter().map(ToString::to_string).collect()
}

fn text(said: &Said) -> String {
    let join = |set: &BTreeSet<String>| set.iter().cloned().collect::<Vec<_>>().join(", ");
    match said {
        Said::Allows(set) | Said::Demands(set) | Said::Limits(Some(set)) => join(set),
        Said::Limits(None) | Said::AtMost(None) => "no limit".to_owned(),
        Said::AtMost(Some(n)) | Said::AtLeast(n) => n.to_string(),
        Said::Text(text) => text.clone(),
    }
}

fn meaning(before: &Said, after: &Said) -> Meaning {
    let sets = |a: &BTreeSet<String>, b: &BTreeSet<String>| match (a.is_subset(b), b.is_subset(a)) {
        (true, false) => Meaning::Looser,
        (false, true) => Meaning::Stricter,
        _ => Meaning::Different,
    };
    let higher = |a: u64, b: u64| if b > a { Meaning::Looser } else { Meaning::Stricter };
    match (before, after) {
        (Said::Allows(a), Said::Allows(b)) | (Said::Limits(Some(a)), Said::Limits(Some(b))) => sets(a, b),
        (Said::Demands(a), Said::Demands(b)) => sets(b, a),
        (Said::Limits(Some(_)), Said::Limits(None)) | (Said::AtMost(Some(_)), Said::AtMost(None)) => Meaning::Looser,
        (Said::Limits(None), Said::Limits(Some(_))) | (Said::AtMost(None), Said::AtMost(Some(_))) => Meaning::Stricter,
        (Said::AtMost(Some(a)), Said::AtMost(Some(b))) => higher(*a, *b),
        (Said::AtLeast(a), Said::AtLeast(b)) => higher(*b, *a),
        _ => Meaning::Different,
    }
}
