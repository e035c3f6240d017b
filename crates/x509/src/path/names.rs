//! Which names an authority may certify, and whether a certificate is for a name.

use super::PathFault;
use crate::certificate::Certificate;
use crate::constraints::NameConstraints;
use crate::extension::{GeneralName, decode_subject_alt_name};
use crate::oids;

/// Checks all names of a certificate against the constraints of all authorities above it.
/// Source: RFC 5280 §6.1.3 (b) and (c), §4.2.1.10.
pub(super) fn check(certificate: &Certificate, constraints: &[NameConstraints]) -> Result<(), PathFault> {
    if constraints.is_empty() {
        return Ok(());
    }
    let names = all_names(certificate)?;
    let fits = names.iter().all(|name| constraints.iter().all(|c| is_allowed(name, c)));
    if fits { Ok(()) } else { Err(PathFault::NameForbidden) }
}

/// Alternative names, the subject, and its mailbox if no alternative name is one.
fn all_names(certificate: &Certificate) -> Result<Vec<GeneralName>, PathFault> {
    let mut names = super::extension(certificate, oids::SUBJECT_ALT_NAME, decode_subject_alt_name)?.unwrap_or_default();
    let subject = &certificate.tbs().subject;
    if !names.iter().any(|name| matches!(name, GeneralName::Rfc822(_))) {
        let mailboxes = subject.attributes().iter().filter(|a| a.oid == oids::EMAIL_ADDRESS);
        names.extend(mailboxes.map(|a| GeneralName::Rfc822(a.text.clone())));
    }
    if !subject.is_empty() {
        names.push(GeneralName::Directory(subject.clone()));
    }
    Ok(names)
}

fn is_allowed(name: &GeneralName, constraints: &NameConstraints) -> bool {
    let of_kind = |base: &&GeneralName| is_same_kind(name, base);
    let mut permitted = constraints.permitted.iter().filter(of_kind).peekable();
    let mut excluded = constraints.excluded.iter().filter(of_kind).peekable();
    if permitted.peek().is_none() && excluded.peek().is_none() {
        return true;
    }
    // A name that cannot be compared is in no permitted subtree, and may be in an excluded one.
    if !is_comparable(name) || excluded.any(|base| is_within(name, base) || may_reach(name, base)) {
        return false;
    }
    permitted.peek().is_none() || permitted.any(|base| is_within(name, base))
}

fn is_same_kind(name: &GeneralName, base: &GeneralName) -> bool {
    match (name, base) {
        (GeneralName::Other(name), GeneralName::Other(base)) => name.first() == base.first(),
        _ => std::mem::discriminant(name) == std::mem::discriminant(base),
    }
}

fn is_comparable(name: &GeneralName) -> bool {
    match name {
        GeneralName::Dns(text) => is_host(text.strip_prefix("*.").unwrap_or(text)),
        GeneralName::Rfc822(text) => mailbox(text).is_some_and(|(_, host)| is_host(host)),
        // RFC 5280 §4.2.1.10: a URI without a host that is a domain name must be refused where URIs are constrained.
        GeneralName::Uri(text) => host_of(text).is_some_and(|host| is_host(host) && !is_address(host)),
        GeneralName::Directory(_) | GeneralName::Ip(_) => true,
        GeneralName::Other(_) => false,
    }
}

fn is_within(name: &GeneralName, base: &GeneralName) -> bool {
    match (name, base) {
        (GeneralName::Directory(name), GeneralName::Directory(base)) => name.is_within(base),
        (GeneralName::Dns(name), GeneralName::Dns(base)) => {
            base.is_empty() || equal(name, base) || is_below(name, base.strip_prefix('.').unwrap_or(base))
        }
        (GeneralName::Uri(uri), GeneralName::Uri(base)) => host_of(uri).is_some_and(|host| is_host_within(host, base)),
        (GeneralName::Rfc822(name), GeneralName::Rfc822(base)) => match (mailbox(name), mailbox(base)) {
            // Local parts are told apart by case (RFC 5280 §7.5).
            (Some((local, host)), Some((base_local, base_host))) => local == base_local && equal(host, base_host),
            (Some((_, host)), None) => is_host_within(host, base),
            (None, _) => false,
        },
        (GeneralName::Ip(address), GeneralName::Ip(range)) => {
            let (network, mask) = range.split_at(range.len() / 2);
            let fits = |((a, n), m): ((&u8, &u8), &u8)| a & m == n & m;
            address.len() == network.len() && address.iter().zip(network).zip(mask).all(fits)
        }
        _ => false,
    }
}

// A wildcard may stand for a name in the excluded subtree even if it is not in it itself.
fn may_reach(name: &GeneralName, base: &GeneralName) -> bool {
    match (name, base) {
        (GeneralName::Dns(name), GeneralName::Dns(base)) => {
            name.strip_prefix("*.").is_some_and(|parent| is_below(base, parent))
        }
        _ => false,
    }
}

// URIs and mailboxes: a base with a leading dot is all below it, one without is that host alone.
fn is_host_within(host: &str, base: &str) -> bool {
    match base.strip_prefix('.') {
        Some(domain) => is_below(host, domain),
        None => base.is_empty() || equal(host, base),
    }
}

fn is_below(host: &str, domain: &str) -> bool {
    let Some(at) = host.len().checked_sub(domain.len()).and_then(|n| n.checked_sub(1)) else { return false };
    match (host.get(..at), host.get(at..at + 1), host.get(at + 1..)) {
        (Some(label), Some("."), Some(rest)) => !label.is_empty() && equal(rest, domain),
        _ => false,
    }
}

const fn equal(a: &str, b: &str) -> bool {
    a.eq_ignore_ascii_case(b)
}

fn is_host(text: &str) -> bool {
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
    text.len() <= 253 && text.split('.').all(|label| (1..=63).contains(&label.len()) && label.chars().all(fits))
}

// Four numbers are an address, not a name.
fn is_address(host: &str) -> bool {
    host.rsplit('.').next().is_some_and(|last| last.chars().all(|c| c.is_ascii_digit()))
}

fn mailbox(text: &str) -> Option<(&str, &str)> {
    text.rsplit_once('@').filter(|(local, _)| !local.is_empty())
}

/// The host of a URI with an authority part. Source: RFC 3986 §3.2.
fn host_of(uri: &str) -> Option<&str> {
    let (_, rest) = uri.split_once("://")?;
    let authority = rest.split(['/', '?', '#']).next()?;
    let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    host.split(':').next().filter(|host| !host.is_empty())
}

/// Whether a certificate with the name `known` is one for `wanted`. A wildcard stands for one whole first label.
/// Source: RFC 9525 §6.3.
pub(super) fn is_certified(wanted: &GeneralName, known: &GeneralName) -> bool {
    match (wanted, known) {
        (GeneralName::Dns(wanted), GeneralName::Dns(known)) => match known.strip_prefix("*.") {
            Some(parent) => wanted.split_once('.').is_some_and(|(_, rest)| is_host(wanted) && equal(rest, parent)),
            None => equal(wanted, known),
        },
        _ => wanted == known,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::name::{Attribute, Name};

    fn dns(text: &str) -> GeneralName {
        GeneralName::Dns(text.into())
    }
    fn uri(text: &str) -> GeneralName {
        GeneralName::Uri(text.into())
    }
    fn mail(text: &str) -> GeneralName {
        GeneralName::Rfc822(text.into())
    }
    fn directory(texts: &[&str]) -> GeneralName {
        let attribute = |text: &&str| Attribute { oid: oids::ORGANIZATION, text: (*text).into() };
        GeneralName::Directory(Name::write(&texts.iter().map(attribute).collect::<Vec<_>>()))
    }
    #[track_caller]
    fn permitted(name: &GeneralName, base: &GeneralName, expected: bool) {
        let constraints = NameConstraints { permitted: vec![base.clone()], excluded: Vec::new() };
        assert_eq!(is_allowed(name, &constraints), expected);
    }
    #[track_caller]
    fn excluded(name: &GeneralName, base: &GeneralName, expected: bool) {
        let constraints = NameConstraints { permitted: Vec::new(), excluded: vec![base.clone()] };
        assert_eq!(!is_allowed(name, &constraints), expected);
    }

    #[test]
    fn a_host_and_all_below_it() {
        permitted(&dns("a.example"), &dns("a.example"), true);
        permitted(&dns("B.A.example"), &dns("a.EXAMPLE"), true);
        permitted(&dns("xa.example"), &dns("a.example"), false);
        permitted(&dns("example"), &dns("a.example"), false);
        permitted(&dns("b.a.example"), &dns(".a.example"), true);
        permitted(&dns("anything"), &dns(""), true);
    }
    #[test]
    fn a_wildcard_may_reach_what_is_excluded() {
        excluded(&dns("*.example"), &dns("a.example"), true);
        excluded(&dns("*.example"), &dns("example"), true);
        excluded(&dns("*.example"), &dns("a.test"), false);
        permitted(&dns("*.example"), &dns("a.example"), false);
    }
    #[test]
    fn names_that_are_no_hosts_are_refused_where_hosts_are_constrained() {
        for odd in ["a.example.", "", "a..example", "a b.example", "a.example\n"] {
            permitted(&dns(odd), &dns("example"), false);
            excluded(&dns(odd), &dns("other"), true);
        }
    }
    #[test]
    fn names_of_another_kind_are_not_touched() {
        permitted(&dns("a.test"), &uri("example"), true);
        excluded(&mail("a@example"), &dns("example"), false);
    }
    #[test]
    fn a_uri_is_judged_by_its_host() {
        permitted(&uri("https://u@pki.example:443/x?y"), &uri("pki.example"), true);
        permitted(&uri("https://pki.example#x"), &uri(".example"), true);
        permitted(&uri("https://example/"), &uri(".example"), false);
        permitted(&uri("https://a.pki.example"), &uri("pki.example"), false);
        permitted(&uri("https://evil.test/pki.example"), &uri("pki.example"), false);
        permitted(&uri("https://pki.example@evil.test"), &uri("pki.example"), false);
    }
    #[test]
    fn a_uri_without_host_is_refused_where_uris_are_constrained() {
        for text in ["urn:dev:ops:1-a-b", "https://192.0.2.1/", "https://[2001:db8::1]/", "https:///x", "mailto:a@b"] {
            permitted(&uri(text), &uri(""), false);
            excluded(&uri(text), &uri("example"), true);
        }
    }
    #[test]
    fn mailboxes() {
        permitted(&mail("a@Example"), &mail("a@example"), true);
        permitted(&mail("A@example"), &mail("a@example"), false);
        permitted(&mail("a@example"), &mail("example"), true);
        permitted(&mail("a@b.example"), &mail("example"), false);
        permitted(&mail("a@b.example"), &mail(".example"), true);
        permitted(&mail("example"), &mail("example"), false);
    }
    #[test]
    fn addresses() {
        let net = GeneralName::Ip(vec![10, 1, 0, 0, 255, 255, 0, 0]);
        permitted(&GeneralName::Ip(vec![10, 1, 2, 3]), &net, true);
        permitted(&GeneralName::Ip(vec![10, 2, 2, 3]), &net, false);
        permitted(&GeneralName::Ip(vec![0; 16]), &net, false);
        excluded(&GeneralName::Ip(vec![10, 1, 2, 3]), &net, true);
    }
    #[test]
    fn directory_names() {
        permitted(&directory(&["A", "b"]), &directory(&["a"]), true);
        permitted(&directory(&["a"]), &directory(&["a", "b"]), false);
        permitted(&directory(&["ab"]), &directory(&["a"]), false);
        permitted(&directory(&["x  y "]), &directory(&["X Y"]), true);
        excluded(&directory(&["a", "b"]), &directory(&[]), true);
    }
    #[test]
    fn kinds_that_cannot_be_compared_are_refused() {
        let id = GeneralName::Other(vec![0x88, 2, 0x2a, 3]);
        permitted(&id, &id, false);
        excluded(&id, &GeneralName::Other(vec![0x88, 2, 0x2a, 4]), true);
        permitted(&id, &GeneralName::Other(vec![0xa0, 0]), true);
    }
    #[test]
    fn wildcards_stand_for_one_label() {
        assert!(is_certified(&dns("a.example"), &dns("*.example")));
        assert!(!is_certified(&dns("a.b.example"), &dns("*.example")));
        assert!(!is_certified(&dns("example"), &dns("*.example")));
        assert!(is_certified(&dns("A.example"), &dns("a.example")));
        assert!(!is_certified(&uri("urn:x"), &uri("urn:X")));
    }
}
