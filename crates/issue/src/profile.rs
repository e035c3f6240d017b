//! Certificate profiles: what a certificate may say.

mod check;
mod demands;
mod diff;
mod explain;
mod extensions;
mod file;
mod names;
mod template;

pub use demands::Demands;
pub use diff::{Change, Meaning, diff};
pub use explain::{Line, Topic, explain};
pub use file::{IssuerExpiry, Protocol, SubjectKind};

pub(crate) use check::{goes_with, is_fit};
pub(crate) use explain::purpose_name;

use crate::request::Asked;
use const_oid::ObjectIdentifier;
use extensions::{Custom, NameConstraints, Pointers};
use file::File;
use model::time::Civil;
use model::{AuthorityName, Digest, Entity, Module, ProfileName, Reason, UnixTime};
use names::{AltNameRule, AttributeRule, bad};
use std::fmt;
use template::Facts;
use x509::extension::{BasicConstraints, GeneralName, KeyUsage, decode_subject_alt_name, subject_alt_name};
use x509::{Extension, KeyType, Name, SerialNumber, oids, sha256};

/// Longest profile file in octets.
pub const PROFILE_LEN_MAX: usize = 64 * 1024;

/// A certificate profile, checked.
#[derive(Clone, Debug)]
pub struct Profile {
    name: ProfileName,
    digest: Digest,
    file: File,
    key_types: Vec<KeyType>,
    subject: Vec<AttributeRule>,
    alt_names: Vec<AltNameRule>,
    fixed: Vec<Extension>,
    pointers: Pointers,
    custom: Vec<Custom>,
    name_constraints: NameConstraints,
    not_after: NotAfter,
    key_usage: KeyUsage,
    purposes: Vec<ObjectIdentifier>,
    basic_constraints: Option<BasicConstraints>,
    requesters: Option<Vec<Requester>>,
}

/// Why a profile is not used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadProfile {
    /// Where in the file.
    pub place: &'static str,
    /// What is wrong there.
    pub what: String,
}

impl fmt::Display for BadProfile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.place, self.what)
    }
}
impl std::error::Error for BadProfile {}

/// Who may ask for a certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Requester {
    /// The device itself, by a protocol of the gateway.
    Device,
    /// A person.
    Operator,
    /// A module, on behalf of others or for itself.
    Module(Module),
}

impl Requester {
    /// Its name in profiles: `device`, `operator`, or the name of a module.
    #[must_use]
    pub fn by_name(name: &str) -> Option<Self> {
        match name {
            "device" => Some(Self::Device),
            "operator" => Some(Self::Operator),
            _ => Module::by_name(name).map(Self::Module),
        }
    }
}

impl fmt::Display for Requester {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Device => f.pad("device"),
            Self::Operator => f.pad("operator"),
            Self::Module(module) => module.fmt(f),
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum NotAfter {
    At(UnixTime),
    Lifetime(u64),
}

/// What one certificate says of its subject, decided.
#[derive(Debug)]
pub(crate) struct Conferred {
    pub(crate) subject: Name,
    /// Those that are written for this subject; the alternative name stands last.
    pub(crate) extensions: Vec<Extension>,
}

/// The longest lifetime that a profile may give, in seconds: a hundred years. Who needs more means `99991231235959Z`.
const LIFETIME_MAX_S: u64 = 100 * 366 * 86_400;

impl Profile {
    /// Reads and checks a profile file. `docs/profiles.md` describes it.
    ///
    /// # Errors
    /// [`BadProfile`] if it is not TOML, has unknown or missing fields, names unknown algorithms, or would give
    /// certificates that break the rules (a leaf that signs certificates, an authority that does not).
    pub fn read(name: ProfileName, toml: &str) -> Result<Self, BadProfile> {
        if toml.len() > PROFILE_LEN_MAX {
            return Err(bad("file", format!("longer than {PROFILE_LEN_MAX} octets")));
        }
        let file: File = toml::from_str(toml).map_err(|e| bad("file", e.to_string()))?;
        check::lists(&file)?;
        let kind = file.subject_kind;
        let key_types = each(&file.key_types, "key_types", KeyType::by_name)?;
        if key_types.is_empty() {
            return Err(bad("key_types", "at least one is needed"));
        }
        let subject = names::attributes(&file.subject, kind, "subject")?;
        let alt_names = file.subject_alt_name.iter().map(|line| names::alt_name(line, kind));
        let alt_names = alt_names.collect::<Result<Vec<_>, _>>()?;
        let not_after = not_after(&file.validity)?;
        let key_usage = each(&file.extensions.key_usage, "key_usage", |n| {
            KeyUsage::NAMES.iter().find(|(name, _)| *name == n).map(|(_, bit)| *bit)
        })?
        .into_iter()
        .fold(KeyUsage(0), KeyUsage::with);
        let basic_constraints =
            file.extensions.basic_constraints.as_ref().map(|b| BasicConstraints { ca: b.ca, path_len: b.path_len });
        check::authority(&file, key_usage, basic_constraints)?;
        let purposes = extensions::purposes(&file.extensions.extended_key_usage)?;
        check::usage(&file, key_usage, &purposes, &key_types)?;
        let requesters = file.enrolment.requesters.as_ref();
        let requesters = requesters.map(|names| each(names, "enrolment", Requester::by_name)).transpose()?;
        check::enrolment(&file, requesters.as_deref())?;
        let pointers = extensions::pointers(&file.extensions)?;
        let custom = file.extensions.custom.iter().map(|line| extensions::custom(line, kind));
        let custom = custom.collect::<Result<Vec<_>, _>>()?;
        let fixed = extensions::fixed(&file.extensions, key_usage, basic_constraints, &purposes, &pointers, &custom)?;
        let name_constraints = name_constraints(&file)?;
        let digest = sha256(toml.as_bytes());
        let profile = Self {
            name,
            digest,
            key_types,
            subject,
            alt_names,
            fixed,
            pointers,
            custom,
            name_constraints,
            not_after,
            key_usage,
            purposes,
            basic_constraints,
            requesters,
            file,
        };
        check::whole(&profile)?;
        Ok(profile)
    }

    /// Its name.
    #[must_use]
    pub const fn name(&self) -> &ProfileName {
        &self.name
    }
    /// SHA-256 of its file.
    #[must_use]
    pub const fn digest(&self) -> Digest {
        self.digest
    }
    /// Its version, as its author counts.
    #[must_use]
    pub const fn version(&self) -> u32 {
        self.file.version
    }
    /// What it is for, in one sentence.
    #[must_use]
    pub fn description(&self) -> &str {
        &self.file.description
    }
    /// What kind of thing its certificates are for.
    #[must_use]
    pub const fn subject_kind(&self) -> SubjectKind {
        self.file.subject_kind
    }
    /// The authorities that may issue; none for a root.
    #[must_use]
    pub fn issuers(&self) -> &[AuthorityName] {
        &self.file.issuers
    }
    /// The key types that are allowed.
    #[must_use]
    pub fn key_types(&self) -> &[KeyType] {
        &self.key_types
    }
    /// Whether a requester may choose alternative names.
    #[must_use]
    pub fn takes_alt_names(&self) -> bool {
        self.alt_names.iter().any(|rule| matches!(rule, AltNameRule::Request(..)))
    }
    /// Whether a station may vouch for the key.
    #[must_use]
    pub const fn ra_verified(&self) -> bool {
        self.file.ra_verified
    }
    /// Whether its certificates are those of authorities.
    #[must_use]
    pub fn is_authority(&self) -> bool {
        self.basic_constraints.is_some_and(|b| b.ca)
    }
    /// The key usage.
    #[must_use]
    pub const fn key_usage(&self) -> KeyUsage {
        self.key_usage
    }
    /// The purposes; none means any that the key usage allows.
    #[must_use]
    pub fn purposes(&self) -> &[ObjectIdentifier] {
        &self.purposes
    }
    /// Basic constraints, if it has any.
    #[must_use]
    pub const fn basic_constraints(&self) -> Option<BasicConstraints> {
        self.basic_constraints
    }
    /// What happens if a certificate would outlive its issuer.
    #[must_use]
    pub const fn issuer_expiry(&self) -> IssuerExpiry {
        self.file.validity.issuer_expiry
    }
    /// The extensions that are the same in all its certificates.
    #[must_use]
    pub fn fixed_extensions(&self) -> &[Extension] {
        &self.fixed
    }

    /// Who may ask; `None`: whoever has a grant.
    #[must_use]
    pub fn requesters(&self) -> Option<&[Requester]> {
        self.requesters.as_deref()
    }
    /// By which protocols; `None`: by any.
    #[must_use]
    pub fn protocols(&self) -> Option<&[Protocol]> {
        self.file.enrolment.protocols.as_deref()
    }
    /// How many operators must approve of each request.
    #[must_use]
    pub const fn approvals(&self) -> u8 {
        self.file.enrolment.approvals
    }
    /// Into how many shards the list of what is revoked is divided; one: it is not.
    #[must_use]
    pub fn shards(&self) -> u16 {
        self.file.extensions.shards.unwrap_or(1)
    }
    /// The shard in which a certificate of this serial number would be revoked, counted from 1; 0 if there is but one list.
    #[must_use]
    pub fn shard(&self, serial: &SerialNumber) -> u16 {
        if self.shards() == 1 {
            return 0;
        }
        // The last octets of a serial number are random, so the shards grow alike.
        let last = serial.octets().last_chunk().map_or(0, |octets| u16::from_be_bytes(*octets));
        last % self.shards() + 1
    }

    /// Where the list of revoked certificates of an authority's shard is, if certificates say so.
    #[must_use]
    pub fn distribution_point(&self, authority: &AuthorityName, shard: u16) -> Option<String> {
        self.pointers.distribution_point(&Facts::Issuer { authority, shard })
    }

    /// Whether somebody may ask by this protocol.
    ///
    /// # Errors
    /// [`Reason::CallerNotAllowed`]
    pub fn admit(&self, requester: Requester, protocol: Protocol) -> Result<(), Reason> {
        let who = self.requesters().is_none_or(|requesters| requesters.contains(&requester));
        let how = self.protocols().is_none_or(|protocols| protocols.contains(&protocol));
        if who && how { Ok(()) } else { Err(Reason::CallerNotAllowed) }
    }

    /// Whether a certificate for `entity` may have just these alternative names, besides those that the registration gives it.
    ///
    /// # Errors
    /// [`Reason::NameMismatch`]; [`Reason::ProfileUnknown`] if the profile is for another kind of thing.
    pub fn admit_names(&self, entity: &Entity, organization: &str, names: &[GeneralName]) -> Result<(), Reason> {
        let mut reasons = Vec::new();
        let facts = Facts::Subject { entity, organization };
        names::alt_names(&self.alt_names, &facts, names, &mut reasons).ok_or(Reason::ProfileUnknown)?;
        reasons.first().map_or(Ok(()), |reason| Err(*reason))
    }

    /// Decides what a certificate for `entity` says of it. `None` if the profile is for another kind of thing; what
    /// the profile does not let the requester ask for is added to `reasons`.
    pub(crate) fn confer(
        &self,
        entity: &Entity,
        organization: &str,
        asked: &Asked,
        reasons: &mut Vec<Reason>,
    ) -> Option<Conferred> {
        let facts = Facts::Subject { entity, organization };
        let wishes = match asked.extensions.iter().find(|e| e.oid == oids::SUBJECT_ALT_NAME) {
            None => Vec::new(),
            Some(wish) => decode_subject_alt_name(&wish.value).unwrap_or_else(|| {
                reasons.push(Reason::NameMismatch);
                Vec::new()
            }),
        };
        let names = names::alt_names(&self.alt_names, &facts, &wishes, reasons)?;
        let subject = names::subject(&self.subject, &facts, asked.subject.as_ref(), &names, reasons)?;
        let mut extensions = Vec::new();
        if !self.name_constraints.is_empty() {
            extensions.push(self.name_constraints.write(&facts)?);
        }
        for custom in &self.custom {
            extensions.extend(custom.write(&facts, &asked.extensions, reasons)?);
        }
        if !names.is_empty() {
            // RFC 5280 §4.2.1.6: critical if the subject is empty.
            extensions.push(subject_alt_name(&names, subject.is_empty()));
        }
        Some(Conferred { subject, extensions })
    }

    /// The extensions that say where to ask the issuer, but for those that are the same for all.
    pub(crate) fn pointers(&self, authority: &AuthorityName, serial: &SerialNumber) -> Vec<Extension> {
        self.pointers.extensions(&Facts::Issuer { authority, shard: self.shard(serial) })
    }

    /// First and last second of a certificate that is made at `now`.
    #[must_use]
    pub fn validity(&self, now: UnixTime) -> (UnixTime, UnixTime) {
        let not_before = now.whole_second().minus_s(self.file.validity.backdate_s);
        let not_after = match self.not_after {
            NotAfter::At(end) => end,
            // RFC 5280 §4.1.2.5 counts both ends, so a day is 86 400 seconds with the last one inside.
            NotAfter::Lifetime(s) => now.whole_second().plus_s(s).minus_s(1),
        };
        (not_before, not_after)
    }
}

fn each<T>(names: &[String], place: &'static str, f: impl Fn(&str) -> Option<T>) -> Result<Vec<T>, BadProfile> {
    names.iter().map(|n| f(n).ok_or_else(|| bad(place, unknown(n)))).collect()
}

fn unknown(name: &str) -> String {
    let weak = ["rsa512", "rsa1024", "rsa1536", "dsa", "p192", "p224"].contains(&name);
    format!("{name:?} is {}", if weak { "weak" } else { "not known" })
}

fn name_constraints(file: &File) -> Result<NameConstraints, BadProfile> {
    let Some(lines) = &file.extensions.name_constraints else { return Ok(NameConstraints::default()) };
    let rules = |lines: &[file::SubtreeLine]| {
        lines.iter().map(|line| extensions::subtree(line, file.subject_kind)).collect::<Result<Vec<_>, _>>()
    };
    Ok(NameConstraints { permitted: rules(&lines.permitted)?, excluded: rules(&lines.excluded)? })
}

/// A device whose clock is further behind has no clock.
const BACKDATE_MAX_S: u64 = 7 * 86_400;

fn not_after(validity: &file::Validity) -> Result<NotAfter, BadProfile> {
    let no = |what: &str| Err(bad("validity", what));
    match (validity.not_after.as_deref(), validity.lifetime_s) {
        _ if validity.backdate_s > BACKDATE_MAX_S => no("backdate_s is at most a week"),
        (Some(text), None) => match moment(text) {
            Some(end) => Ok(NotAfter::At(end)),
            None => no("not_after is a moment such as \"20491231235959Z\", or \"99991231235959Z\" for none"),
        },
        (None, Some(s @ 1..=LIFETIME_MAX_S)) => Ok(NotAfter::Lifetime(s)),
        (None, Some(_)) => no("lifetime_s is from one second to a hundred years"),
        _ => no("give either not_after or lifetime_s"),
    }
}

fn moment(text: &str) -> Option<UnixTime> {
    let digits = text.strip_suffix('Z').filter(|digits| digits.len() == 14)?;
    let number = |range: std::ops::Range<usize>| {
        digits.get(range).filter(|part| part.bytes().all(|c| c.is_ascii_digit()))?.parse().ok()
    };
    UnixTime::from_civil(Civil {
        year: number(0..4)?,
        month: number(4..6)?,
        day: number(6..8)?,
        hour: number(8..10)?,
        minute: number(10..12)?,
        second: number(12..14)?,
    })
}

#[cfg(test)]
mod tests;
