//! Rules about what it says, and whether that is what the profile says.

use super::{Expected, Finding, Found};
use crate::der;
use crate::encode;
use crate::profile::{IssuerExpiry, goes_with, is_fit};
use crate::text;
use model::UnixTime;
use x509::certificate::TbsRef;
use x509::extension::{BasicConstraints, GeneralName, KeyUsage, decode_extended_key_usage, decode_subject_alt_name};
use x509::{KeyType, oids, weak};

pub(super) fn check(read: &TbsRef<'_>, expected: &Expected<'_>, found: &mut Found) {
    validity(read, expected, found);
    names(read, found);
    identifiers(read, found);
    keys(read, expected, found);
    usage(read, expected, found);
    pointers(read, found);
    policies(read, found);
    conformity(read, expected, found);
}

fn validity(read: &TbsRef<'_>, expected: &Expected<'_>, found: &mut Found) {
    found.add(Finding::Backwards, read.not_before > read.not_after);
    found.add(Finding::Ended, read.not_after < expected.now.whole_second());
    found.add(Finding::OutlivesIssuer, read.not_after > expected.issuer_not_after);
    let (not_before, wanted) = expected.profile.validity(expected.now);
    let not_after = match expected.profile.issuer_expiry() {
        IssuerExpiry::Refuse => wanted,
        IssuerExpiry::Shorten => wanted.min(expected.issuer_not_after),
    };
    found.add(Finding::Validity, (read.not_before, read.not_after) != (not_before, not_after));
}

fn names(read: &TbsRef<'_>, found: &mut Found) {
    found.add(Finding::IssuerNameless, read.issuer.is_empty());
    let Some(alt_name) = read.extension(oids::SUBJECT_ALT_NAME) else {
        found.add(Finding::Nameless, read.subject.is_empty());
        return;
    };
    found.add(Finding::AltNameNotCritical, read.subject.is_empty() && !alt_name.critical);
    let names = decode_subject_alt_name(alt_name.value);
    found.add(Finding::BadAltName, !names.is_some_and(|names| names.iter().all(is_name)));
}

fn is_name(name: &GeneralName) -> bool {
    match name {
        GeneralName::Dns(text) => text::is_host_name(text),
        GeneralName::Uri(text) => text::is_uri(text),
        GeneralName::Rfc822(text) => text::is_email(text),
        GeneralName::Ip(octets) => matches!(octets.len(), 4 | 16),
        GeneralName::Directory(_) => false,
        GeneralName::Other(der) => der::only(der)
            .is_some_and(|value| value.tag == encode::OTHER_NAME && der::exactly::<2>(value.contents).is_some()),
    }
}

fn identifiers(read: &TbsRef<'_>, found: &mut Found) {
    let right = x509::extension::subject_key_identifier(&read.subject_public_key.key_identifier());
    let subject = read.extension(oids::SUBJECT_KEY_IDENTIFIER).is_some_and(|e| e == right);
    let authority = read.extension(oids::AUTHORITY_KEY_IDENTIFIER).is_some_and(|e| !e.critical);
    found.add(Finding::KeyIdentifier, !subject || !authority);
}

fn keys(read: &TbsRef<'_>, expected: &Expected<'_>, found: &mut Found) {
    let key = &read.subject_public_key;
    let key_type = key.key_type();
    // The verdict is on the octets. If these are those that were found strong, it is known.
    let is_known = expected.strong.is_some_and(|strong| strong.key() == key);
    found.add(Finding::WeakKey, !is_known && weak::check(key).is_err());
    found.add(Finding::KeyType, !expected.profile.key_types().contains(&key_type));
    found.add(Finding::Algorithm, read.signature != expected.issuer_algorithm);
    found.add(Finding::IssuerWeaker, strength_bits(expected.issuer_key_type) < strength_bits(key_type));
}

/// Source: NIST SP 800-57 part 1 §5.6.1.
const fn strength_bits(key_type: KeyType) -> u16 {
    match key_type {
        KeyType::Rsa(0..3072) => 112,
        KeyType::Rsa(_) | KeyType::P256 | KeyType::Ed25519 => 128,
        KeyType::P384 | KeyType::MlDsa65 => 192,
        KeyType::P521 | KeyType::MlDsa87 => 256,
        // FIPS 204 §4: category 2, the strength of a hash of 256 bits against collisions.
        KeyType::MlDsa44 => 128,
    }
}

fn usage(read: &TbsRef<'_>, expected: &Expected<'_>, found: &mut Found) {
    let profile = expected.profile;
    let usage = read.extension(oids::KEY_USAGE).filter(|e| e.critical).and_then(|e| KeyUsage::decode(e.value));
    found.add(Finding::KeyUsage, usage != Some(profile.key_usage()));
    let written = read.extension(oids::BASIC_CONSTRAINTS);
    let constraints = written.and_then(|e| BasicConstraints::decode(e.value));
    found.add(
        Finding::BasicConstraints,
        written.is_some_and(|e| !e.critical) || constraints != profile.basic_constraints(),
    );
    let ca = constraints.is_some_and(|c| c.ca);
    let usage = usage.unwrap_or(KeyUsage(0));
    found.add(Finding::CertSign, ca != usage.has(KeyUsage::KEY_CERT_SIGN));
    found.add(Finding::KeyUnfit, !is_fit(usage, read.subject_public_key.key_type()));
    let purposes = read.extension(oids::EXTENDED_KEY_USAGE).map(|e| decode_extended_key_usage(e.value));
    let purposes = purposes.map_or(Some(Vec::new()), |purposes| purposes);
    found.add(Finding::Purposes, purposes.as_deref() != Some(profile.purposes()));
    let served = purposes.unwrap_or_default().into_iter().all(|purpose| goes_with(purpose, usage));
    found.add(Finding::PurposeUnserved, !served);
    if let Some(constraints) = read.extension(x509::oids::NAME_CONSTRAINTS) {
        let ends = der::only(constraints.value).and_then(|v| der::each(v.contents));
        let says = ends.is_some_and(|mut ends| !ends.is_empty() && ends.all(|end| !end.contents.is_empty()));
        found.add(Finding::NameConstraints, !ca || !constraints.critical || !says);
    }
}

fn pointers(read: &TbsRef<'_>, found: &mut Found) {
    let points = read.extension(oids::CRL_DISTRIBUTION_POINTS);
    let access = read.extension(x509::oids::AUTHORITY_INFO_ACCESS);
    found.add(Finding::Pointer, points.is_some_and(|e| !crl_points(e.value).unwrap_or(false)));
    found.add(Finding::Pointer, access.is_some_and(|e| !access_points(e.value).unwrap_or(false)));
    let silent = points.is_none() && access.is_none() && read.extension(x509::oids::OCSP_NOCHECK).is_none();
    found.add(Finding::NotRevocable, silent && read.not_after < UnixTime::NO_EXPIRY);
}

fn is_address(name: &der::Value<'_>) -> bool {
    name.tag == encode::URI && std::str::from_utf8(name.contents).is_ok_and(text::is_http)
}

// Each point has a full name and nothing else: `SEQUENCE { [0] { [0] { names } } }`.
fn crl_points(value: &[u8]) -> Option<bool> {
    let points = der::each(der::only(value)?.contents)?;
    let mut right = !points.is_empty();
    for point in points {
        let mut names = der::each(der::only(der::only(point.contents)?.contents)?.contents)?;
        right &= !names.is_empty() && names.all(|name| is_address(&name));
    }
    Some(right)
}

fn access_points(value: &[u8]) -> Option<bool> {
    let descriptions = der::each(der::only(value)?.contents)?;
    let mut right = !descriptions.is_empty();
    for description in descriptions {
        let [_method, location] = der::exactly(description.contents)?;
        right &= is_address(&location);
    }
    Some(right)
}

fn policies(read: &TbsRef<'_>, found: &mut Found) {
    let Some(policies) = read.extension(x509::oids::CERTIFICATE_POLICIES) else { return };
    let identifiers = || -> Option<Vec<&[u8]>> {
        let policies = der::each(der::only(policies.value)?.contents)?;
        policies.map(|policy| der::each(policy.contents)?.next().map(|oid| oid.contents)).collect()
    };
    let identifiers = identifiers().unwrap_or_default();
    let twice = |(n, policy): (usize, &&[u8])| identifiers.iter().skip(n + 1).any(|other| other == policy);
    found.add(Finding::PolicyTwice, identifiers.iter().enumerate().any(twice));
}

fn conformity(read: &TbsRef<'_>, expected: &Expected<'_>, found: &mut Found) {
    let (given, fixed) = (expected.extensions, expected.profile.fixed_extensions());
    found.add(Finding::UnexpectedExtension, read.extensions.iter().any(|e| given.iter().all(|g| e != g)));
    let missing = given.iter().chain(fixed).any(|g| read.extensions.iter().all(|e| e != g));
    found.add(Finding::MissingExtension, missing);
}
