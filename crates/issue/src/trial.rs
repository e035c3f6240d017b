//! What would be issued: the octets and every reason against them, without a grant, an intent or a signature.

use crate::lint::{self, Expected, Finding};
use crate::profile::{Profile, purpose_name};
use crate::request::{self, Request};
use crate::sign::{Issuer, compose};
use crate::{der, encode};
use model::contract::authority::Evidence;
use model::octets::hex;
use model::{Entity, Fault, Reason, UnixTime};
use x509::certificate::TbsCertificate;
use x509::extension::{BasicConstraints, GeneralName, KeyUsage, decode_extended_key_usage, decode_subject_alt_name};
use x509::{Extension, SerialNumber, oids};

/// What is tried.
#[derive(Clone, Copy, Debug)]
#[expect(missing_docs, reason = "the types and names say what the fields are")]
pub struct Case<'a> {
    pub evidence: &'a Evidence,
    pub subject: &'a Entity,
    pub profile: &'a Profile,
    pub issuer: &'a Issuer,
    pub organization: &'a str,
    pub now: UnixTime,
}

/// What came of it. There is nothing in it that can be signed:
/// ```compile_fail
/// # use issue::trial::Trial;
/// # fn f(t: Trial, i: ports::DurableIntent) {
/// t.intend(i);
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Trial {
    /// The octets that would be signed, but for the serial number, which is never given; absent if the profile is for
    /// another kind of thing.
    pub tbs: Option<Vec<u8>>,
    /// What they say: what it is about, and what it says.
    pub says: Vec<(&'static str, String)>,
    /// The rules that they would break, warnings included.
    pub findings: Vec<Finding>,
    /// Every reason why the request would be refused, the first one first; a grant and a right are taken for granted.
    pub refused: Vec<Reason>,
}

/// The serial number in a trial. Real ones begin with another octet.
const NEVER_GIVEN: [u8; 20] = [0x7f; 20];

/// Tries a request under a profile. Nothing is spent, recorded or signed.
///
/// # Errors
/// [`Fault::Malformed`] if the octets are not those of a request.
pub fn trial(case: &Case<'_>) -> Result<Trial, Fault> {
    let (asked, vouched, mut refused) = Request::decode(case.evidence)?.look();
    let Case { profile, subject, organization, issuer, now, .. } = *case;
    let conferred = request::judge(&asked, vouched, profile, subject, organization, &mut refused);
    let (tbs, findings) = match (conferred, SerialNumber::new(&NEVER_GIVEN)) {
        (Some(conferred), Ok(serial)) => {
            let key = asked.public_key;
            let tbs = compose(issuer, serial, now, profile, conferred, key, &mut refused);
            let expected = Expected {
                profile,
                issuer_key_type: issuer.key_type(),
                issuer_algorithm: issuer.algorithm(),
                issuer_not_after: issuer.not_after(),
                now,
                strong: None,
                issuer: None,
                extensions: &tbs.extensions,
            };
            let findings = lint::findings(&tbs.write(), &expected);
            (Some(tbs), findings)
        }
        (None, _) | (_, Err(_)) => (None, Vec::new()),
    };
    if !lint::is_clean(&findings) {
        refused.push(Reason::LintFailed);
    }
    let says = tbs.as_ref().map(read_out).unwrap_or_default();
    Ok(Trial { tbs: tbs.map(|tbs| tbs.write()), says, findings, refused })
}

/// What a certificate says, in plain words.
#[must_use]
pub fn read_out(tbs: &TbsCertificate) -> Vec<(&'static str, String)> {
    let mut says = vec![
        ("serial number", tbs.serial_number.to_string()),
        ("issuer", tbs.issuer.to_string()),
        ("not before", tbs.not_before.to_string()),
        ("not after", tbs.not_after.to_string()),
        ("subject", tbs.subject.to_string()),
        ("key", format!("{}, SHA-256 {}", tbs.subject_public_key.key_type(), tbs.subject_public_key.digest())),
        ("signed with", tbs.signature.to_string()),
    ];
    says.extend(tbs.extensions.iter().map(|extension| ("extension", words(extension))));
    says
}

fn words(extension: &Extension) -> String {
    let value = &extension.value;
    let said = match extension.oid {
        oids::AUTHORITY_KEY_IDENTIFIER => der::only(value)
            .map(|v| format!("authorityKeyIdentifier {}", hex(der::only(v.contents).map_or(&[], |v| v.contents)))),
        oids::SUBJECT_KEY_IDENTIFIER => der::only(value).map(|v| format!("subjectKeyIdentifier {}", hex(v.contents))),
        oids::KEY_USAGE => KeyUsage::decode(value).map(|usage| {
            let names = KeyUsage::NAMES.iter().filter(|(_, bit)| usage.has(*bit)).map(|(name, _)| *name);
            format!("keyUsage {}", names.collect::<Vec<_>>().join(", "))
        }),
        oids::BASIC_CONSTRAINTS => BasicConstraints::decode(value).map(|b| {
            let depth = b.path_len.map(|n| format!(", path length {n}")).unwrap_or_default();
            format!("basicConstraints CA:{}{depth}", b.ca)
        }),
        oids::EXTENDED_KEY_USAGE => decode_extended_key_usage(value).map(|purposes| {
            let purposes: Vec<_> = purposes.iter().map(|purpose| purpose_name(*purpose)).collect();
            format!("extKeyUsage {}", purposes.join(", "))
        }),
        oids::SUBJECT_ALT_NAME => decode_subject_alt_name(value)
            .map(|names| format!("subjectAltName {}", names.iter().map(name).collect::<Vec<_>>().join(", "))),
        oids::CRL_DISTRIBUTION_POINTS => Some(format!("cRLDistributionPoints {}", addresses(value).join(", "))),
        x509::oids::AUTHORITY_INFO_ACCESS => {
            Some(format!("authorityInformationAccess {}", addresses(value).join(", ")))
        }
        x509::oids::OCSP_NOCHECK => Some("ocsp-nocheck".to_owned()),
        _ => None,
    };
    let critical = if extension.critical { ", critical" } else { "" };
    said.unwrap_or_else(|| format!("{} {}", extension.oid, hex(value))) + critical
}

fn name(name: &GeneralName) -> String {
    match name {
        GeneralName::Dns(text) => format!("DNS:{}", model::text::printable(text, 256)),
        GeneralName::Uri(text) => format!("URI:{}", model::text::printable(text, 256)),
        GeneralName::Rfc822(text) => format!("email:{}", model::text::printable(text, 256)),
        GeneralName::Ip(octets) => format!("IP:{}", ip(octets)),
        GeneralName::Directory(name) => format!("directory:{name}"),
        GeneralName::Other(octets) => format!("other:{}", hex(octets)),
    }
}

fn ip(octets: &[u8]) -> String {
    if octets.len() == 4 {
        octets.iter().map(ToString::to_string).collect::<Vec<_>>().join(".")
    } else {
        octets.chunks(2).map(hex).collect::<Vec<_>>().join(":")
    }
}

/// The deepest place of a URI in what a profile writes: a list of points, a point, two choices.
const DEPTH_MAX: u8 = 5;

/// Every URI in a value, in its order.
fn addresses(value: &[u8]) -> Vec<String> {
    fn below(octets: &[u8], depth: u8, found: &mut Vec<String>) {
        const CONSTRUCTED: u8 = 0x20;
        for value in der::each(octets).into_iter().flatten() {
            if value.tag == encode::URI {
                found.push(model::text::printable(&String::from_utf8_lossy(value.contents), 256));
            } else if value.tag & CONSTRUCTED != 0 && depth < DEPTH_MAX {
                below(value.contents, depth + 1, found);
            }
        }
    }
    let mut found = Vec::new();
    below(value, 0, &mut found);
    found
}
