//! Contradictions: what each part of a profile allows and all of it does not.

use super::extensions::CustomValue;
use super::file::{File, SubjectKind};
use super::names::{AttributeRule, bad};
use super::{BadProfile, Profile, Requester};
use crate::encode::oids as more;
use const_oid::ObjectIdentifier;
use x509::extension::{BasicConstraints, EXTENSIONS_MAX, KeyUsage};
use x509::{KeyType, oids};

/// Most shards of a list. More than that is more files than entries.
const SHARDS_MAX: u16 = 4096;
/// Most approvals that a profile may ask for.
const APPROVALS_MAX: u8 = 16;
const NON_REPUDIATION: KeyUsage = KeyUsage(1 << 1);
const DATA_ENCIPHERMENT: KeyUsage = KeyUsage(1 << 3);

/// A complaint, if it is one.
fn refuse(place: &'static str, what: &str, is_so: bool) -> Result<(), BadProfile> {
    if is_so { Err(bad(place, what)) } else { Ok(()) }
}

fn twice<T: PartialEq>(items: &[T]) -> bool {
    items.iter().enumerate().any(|(n, item)| items.iter().skip(n + 1).any(|other| other == item))
}

pub(super) fn authority(
    file: &File,
    key_usage: KeyUsage,
    basic_constraints: Option<BasicConstraints>,
) -> Result<(), BadProfile> {
    const PLACE: &str = "extensions";
    let ca = basic_constraints.is_some_and(|b| b.ca);
    let complain = |what, is_so| refuse(PLACE, what, is_so);
    complain(
        "keyCertSign and basicConstraints CA:TRUE go together (RFC 5280 §4.2.1.9)",
        key_usage.has(KeyUsage::KEY_CERT_SIGN) != ca,
    )?;
    complain(
        "CA:TRUE is for subject_kind = \"authority\", and only for it",
        ca != (file.subject_kind == SubjectKind::Authority),
    )?;
    complain(
        "path_len is for authorities (RFC 5280 §4.2.1.9)",
        !ca && basic_constraints.is_some_and(|b| b.path_len.is_some()),
    )?;
    let is_responder = file.subject_kind == SubjectKind::Responder;
    complain("somebody must issue: name an authority in issuers", !ca && file.issuers.is_empty() && !is_responder)?;
    complain("a responder is certified by the authority that it answers for: leave issuers empty", {
        is_responder && !file.issuers.is_empty()
    })?;
    complain("key_usage must name something", key_usage.0 == 0)?;
    complain("crl-sign is for authorities", !ca && key_usage.has(KeyUsage::CRL_SIGN))?;
    complain(
        "extended_key_usage is for leaves: an authority is used to issue, and for nothing else",
        ca && !file.extensions.extended_key_usage.is_empty(),
    )?;
    complain(
        "name_constraints are for authorities (RFC 5280 §4.2.1.10)",
        !ca && file.extensions.name_constraints.is_some(),
    )?;
    complain("ra_verified is for devices: a station vouches for nobody else", {
        file.ra_verified && file.subject_kind != SubjectKind::Device
    })
}

pub(super) fn lists(file: &File) -> Result<(), BadProfile> {
    refuse("version", "versions count from 1", file.version == 0)?;
    refuse("issuers", "an authority stands twice", twice(&file.issuers))?;
    refuse("key_types", "a key type stands twice", twice(&file.key_types))?;
    refuse("key_usage", "a usage stands twice", twice(&file.extensions.key_usage))
}

/// What a key usage demands of the key, and a purpose of the key usage.
pub(super) fn usage(
    file: &File,
    key_usage: KeyUsage,
    purposes: &[ObjectIdentifier],
    key_types: &[KeyType],
) -> Result<(), BadProfile> {
    if let Some(what) = unfit_key(key_usage, key_types) {
        return Err(bad("key_usage", what));
    }
    const PLACE: &str = "extended_key_usage";
    refuse(PLACE, "a purpose stands twice", twice(purposes))?;
    if let Some(purpose) = purposes.iter().find(|purpose| !goes_with(**purpose, key_usage)) {
        return Err(bad(PLACE, format!("{purpose} does not go with this key_usage (RFC 5280 §4.2.1.12)")));
    }
    let has = |purpose| purposes.contains(&purpose);
    refuse(
        PLACE,
        "time-stamping stands alone and is critical (RFC 3161 §2.3)",
        has(more::TIME_STAMPING) && (purposes.len() > 1 || !file.extensions.extended_key_usage_critical),
    )?;
    refuse(
        PLACE,
        "ocsp-signing stands alone: a responder does nothing else",
        has(x509::oids::OCSP_SIGNING) && purposes.len() > 1,
    )?;
    refuse(
        PLACE,
        "extended_key_usage_critical without a purpose",
        file.extensions.extended_key_usage_critical && purposes.is_empty(),
    )?;
    refuse(
        "ocsp_nocheck",
        "it is for responders: it needs ocsp-signing (RFC 6960 §4.2.2.2.1)",
        file.extensions.ocsp_nocheck && !has(x509::oids::OCSP_SIGNING),
    )
}

/// Why keys of these types cannot be used so. Source: RFC 3279 §2.3.1, RFC 8410 §5, RFC 8813 §3.
fn unfit_key(key_usage: KeyUsage, key_types: &[KeyType]) -> Option<&'static str> {
    let is_rsa = |key: &KeyType| matches!(key, KeyType::Rsa(_));
    let is_curve = |key: &KeyType| matches!(key, KeyType::P256 | KeyType::P384 | KeyType::P521);
    let enciphers = key_usage.0 & KeyUsage::KEY_ENCIPHERMENT.with(DATA_ENCIPHERMENT).0 != 0;
    if enciphers && !key_types.iter().all(is_rsa) {
        Some("only RSA keys encipher (RFC 8813 §3, RFC 8410 §5)")
    } else if key_usage.has(KeyUsage::KEY_AGREEMENT) && !key_types.iter().all(is_curve) {
        Some("only keys on NIST curves agree on keys here (RFC 3279 §2.3.1, RFC 8410 §5)")
    } else {
        None
    }
}

/// Whether keys of this type may be used so.
pub(crate) fn is_fit(key_usage: KeyUsage, key_type: KeyType) -> bool {
    unfit_key(key_usage, &[key_type]).is_none()
}

/// Whether a purpose can be served with a key usage. Source: RFC 5280 §4.2.1.12.
pub(crate) fn goes_with(purpose: ObjectIdentifier, key_usage: KeyUsage) -> bool {
    let signs = KeyUsage::DIGITAL_SIGNATURE;
    let serving = match purpose {
        oids::SERVER_AUTH => signs.with(KeyUsage::KEY_ENCIPHERMENT).with(KeyUsage::KEY_AGREEMENT),
        oids::CLIENT_AUTH => signs.with(KeyUsage::KEY_AGREEMENT),
        oids::CODE_SIGNING => signs,
        x509::oids::OCSP_SIGNING | more::TIME_STAMPING => signs.with(NON_REPUDIATION),
        more::EMAIL_PROTECTION => {
            signs.with(NON_REPUDIATION).with(KeyUsage::KEY_ENCIPHERMENT).with(KeyUsage::KEY_AGREEMENT)
        }
        more::CMC_CA | more::CMC_RA | more::CM_KGA => signs,
        _ => return true,
    };
    key_usage.0 & serving.0 != 0
}

pub(super) fn enrolment(file: &File, requesters: Option<&[Requester]>) -> Result<(), BadProfile> {
    const PLACE: &str = "enrolment";
    let enrolment = &file.enrolment;
    let complain = |what, is_so| refuse(PLACE, what, is_so);
    complain("requesters names nobody", requesters.is_some_and(<[_]>::is_empty))?;
    complain("a requester stands twice", requesters.is_some_and(twice))?;
    complain(
        "devices ask for themselves only: subject_kind is another",
        file.subject_kind != SubjectKind::Device && requesters.is_some_and(|r| r.contains(&Requester::Device)),
    )?;
    complain("protocols names none", enrolment.protocols.as_deref().is_some_and(<[_]>::is_empty))?;
    complain("a protocol stands twice", enrolment.protocols.as_deref().is_some_and(twice))?;
    complain("approvals are at most 16", enrolment.approvals > APPROVALS_MAX)
}

/// What can be said only of the whole.
pub(super) fn whole(profile: &Profile) -> Result<(), BadProfile> {
    refuse("shards", "they are from 1 to 4096", !(1..=SHARDS_MAX).contains(&profile.shards()))?;
    let crl = profile.pointers.crl.as_ref();
    let names_shard = crl.is_some_and(super::template::Template::names_shard);
    refuse(
        "crl_distribution_point",
        "with several shards it says which one: {shard}",
        profile.shards() > 1 && !names_shard,
    )?;
    let access = [&profile.pointers.ocsp, &profile.pointers.ca_issuers];
    refuse(
        "authority_information_access",
        "{shard} is for crl_distribution_point",
        access.into_iter().flatten().any(super::template::Template::names_shard),
    )?;
    let nameless = profile.subject.is_empty() && profile.alt_names.is_empty();
    refuse("subject", "no name at all (RFC 5280 §4.1.2.6)", nameless)?;
    let named = |rule: &AttributeRule| matches!(rule.source, super::names::Source::Template(_));
    refuse(
        "subject",
        "an authority's name comes from the registration and is not empty (RFC 5280 §4.1.2.6)",
        profile.is_authority() && !(profile.subject.iter().any(named) && profile.subject.iter().all(named)),
    )?;
    let constraints = profile.file.extensions.name_constraints.as_ref();
    refuse(
        "name_constraints",
        "give permitted, excluded, or both (RFC 5280 §4.2.1.10)",
        constraints.is_some() && profile.name_constraints.is_empty(),
    )?;
    refuse(
        "name_constraints",
        "a directory name cannot be written",
        !profile.name_constraints.can_be_written(profile.subject_kind()),
    )?;
    let custom: Vec<_> = profile.custom.iter().map(|custom| custom.oid).collect();
    refuse("custom", "an extension stands twice", twice(&custom))?;
    // Key identifiers, alternative name, pointers and name constraints stand beside these.
    let written = profile.custom.iter().filter(|custom| !matches!(custom.value, CustomValue::Der(_))).count();
    refuse("custom", "too many extensions", profile.fixed.len() + written + 6 > EXTENSIONS_MAX)
}
