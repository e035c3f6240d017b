//! Rules that a certificate must not break, checked on its octets before they are signed.

use crate::profile::Profile;
use model::UnixTime;
use std::fmt;
use x509::certificate::TbsCertificate;
use x509::extension::{BasicConstraints, GeneralName, KeyUsage, decode_subject_alt_name};
use x509::{Extension, oids, weak};

/// A rule that would be broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Finding {
    /// Not the DER of a version 3 certificate, or a part of it stands twice. Source: RFC 5280 §4.1.
    Encoding,
    /// Writing what was read gives other octets: an encoding that is not the only one.
    NotCanonical,
    /// A serial number of less than 64 random bits' length. Source: CA/Browser Forum BR §7.1.
    SerialTooShort,
    /// It ends before it begins.
    Backwards,
    /// It ends after its issuer.
    OutlivesIssuer,
    /// No name at all. Source: RFC 5280 §4.1.2.6.
    Nameless,
    /// Without a subject the alternative name must be critical. Source: RFC 5280 §4.2.1.6.
    AltNameNotCritical,
    /// An issuer without a name. Source: RFC 5280 §4.1.2.4.
    IssuerNameless,
    /// An identifier of a key is missing or wrong. Source: RFC 5280 §4.2.1.1, §4.2.1.2.
    KeyIdentifier,
    /// keyUsage is missing, not critical, or not what the profile says. Source: RFC 5280 §4.2.1.3.
    KeyUsage,
    /// basicConstraints is not what the profile says, or not critical. Source: RFC 5280 §4.2.1.9.
    BasicConstraints,
    /// keyCertSign and CA:TRUE do not go together. Source: RFC 5280 §4.2.1.9.
    CertSign,
    /// An extension that the profile does not give.
    UnexpectedExtension,
    /// An extension that the profile gives is missing.
    MissingExtension,
    /// A name with a wildcard, a space, or not in ASCII.
    BadAltName,
    /// The key is weak.
    WeakKey,
    /// The profile does not name this type of key.
    KeyType,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self:?}")
    }
}

/// The shortest serial number that is let through, in octets.
const SERIAL_LEN_MIN: usize = 9;

/// Reads the octets as anybody else will, and looks for broken rules.
///
/// # Errors
/// The first [`Finding`].
pub fn check(tbs: &[u8], profile: &Profile, issuer_not_after: UnixTime) -> Result<(), Finding> {
    let read = TbsCertificate::decode(tbs).map_err(|_| Finding::Encoding)?;
    refuse(read.write() != tbs, Finding::NotCanonical)?;
    refuse(read.serial_number.octets().len() < SERIAL_LEN_MIN, Finding::SerialTooShort)?;
    refuse(read.not_before > read.not_after, Finding::Backwards)?;
    refuse(read.not_after > issuer_not_after, Finding::OutlivesIssuer)?;
    refuse(read.issuer.is_empty(), Finding::IssuerNameless)?;
    weak::check(&read.subject_public_key).map_err(|_| Finding::WeakKey)?;
    refuse(!profile.key_types().contains(&read.subject_public_key.key_type()), Finding::KeyType)?;
    names(&read)?;
    identifiers(&read)?;
    usage(&read, profile)?;
    conformity(&read, profile)
}

fn refuse(broken: bool, finding: Finding) -> Result<(), Finding> {
    if broken { Err(finding) } else { Ok(()) }
}

fn names(read: &TbsCertificate) -> Result<(), Finding> {
    let Some(alt_name) = read.extension(oids::SUBJECT_ALT_NAME) else {
        return refuse(read.subject.is_empty(), Finding::Nameless);
    };
    refuse(read.subject.is_empty() && !alt_name.critical, Finding::AltNameNotCritical)?;
    let names = decode_subject_alt_name(&alt_name.value).ok_or(Finding::Encoding)?;
    let broken = names.iter().any(|name| match name {
        GeneralName::Dns(text) | GeneralName::Uri(text) => {
            text.is_empty() || text.contains(|c: char| c == '*' || !c.is_ascii_graphic())
        }
        GeneralName::Other(_) => true,
    });
    refuse(broken, Finding::BadAltName)
}

fn identifiers(read: &TbsCertificate) -> Result<(), Finding> {
    let expected = x509::extension::subject_key_identifier(&read.subject_public_key.key_identifier());
    let subject = read.extension(oids::SUBJECT_KEY_IDENTIFIER) == Some(&expected);
    let authority = read.extension(oids::AUTHORITY_KEY_IDENTIFIER).is_some_and(|e| !e.critical);
    refuse(!subject || !authority, Finding::KeyIdentifier)
}

fn usage(read: &TbsCertificate, profile: &Profile) -> Result<(), Finding> {
    let usage = read.extension(oids::KEY_USAGE).filter(|e| e.critical).and_then(|e| KeyUsage::decode(&e.value));
    refuse(usage != Some(profile.key_usage()), Finding::KeyUsage)?;
    let written = read.extension(oids::BASIC_CONSTRAINTS);
    let constraints = written.and_then(|e| BasicConstraints::decode(&e.value));
    refuse(
        written.is_some_and(|e| !e.critical) || constraints != profile.basic_constraints(),
        Finding::BasicConstraints,
    )?;
    let ca = constraints.is_some_and(|c| c.ca);
    refuse(ca != usage.is_some_and(|u| u.has(KeyUsage::KEY_CERT_SIGN)), Finding::CertSign)
}

fn conformity(read: &TbsCertificate, profile: &Profile) -> Result<(), Finding> {
    let own = [oids::AUTHORITY_KEY_IDENTIFIER, oids::SUBJECT_KEY_IDENTIFIER, oids::SUBJECT_ALT_NAME];
    let fixed = profile.fixed_extensions();
    let unexpected = |e: &Extension| !own.contains(&e.oid) && !fixed.contains(e);
    refuse(read.extensions.iter().any(unexpected), Finding::UnexpectedExtension)?;
    refuse(fixed.iter().any(|e| !read.extensions.contains(e)), Finding::MissingExtension)
}
