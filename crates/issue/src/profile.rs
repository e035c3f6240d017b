//! Certificate profiles: what a certificate may say.

use const_oid::ObjectIdentifier;
use model::{AuthorityName, Digest, Entity, ProfileName, UnixTime};
use serde::Deserialize;
use std::fmt;
use x509::extension::{
    BasicConstraints, GeneralName, KeyUsage, crl_distribution_point, extended_key_usage, subject_alt_name,
};
use x509::name::{Attribute, attribute_type};
use x509::{Extension, KeyType, Name, oids, sha256};

/// Longest profile file in octets.
pub const PROFILE_LEN_MAX: usize = 64 * 1024;

/// A certificate profile, checked.
#[derive(Clone, Debug)]
pub struct Profile {
    name: ProfileName,
    digest: Digest,
    file: File,
    key_types: Vec<KeyType>,
    subject: Vec<(ObjectIdentifier, Template)>,
    alt_names: Vec<AltName>,
    fixed: Vec<Extension>,
    not_after: NotAfter,
    key_usage: KeyUsage,
    basic_constraints: Option<BasicConstraints>,
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

/// What kind of thing a profile's certificates are for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SubjectKind {
    /// Devices.
    Device,
    /// Certification authorities of this instance.
    Authority,
    /// Modules of this system.
    Module,
    /// People who operate this system.
    Operator,
}

/// What happens if a certificate would be valid longer than its issuer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum IssuerExpiry {
    /// It is not issued.
    Refuse,
    /// It ends when its issuer ends.
    Shorten,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    description: String,
    subject_kind: SubjectKind,
    /// Authorities that may issue; empty: the subject issues its own (a root).
    issuers: Vec<AuthorityName>,
    key_types: Vec<String>,
    /// Whether a station may vouch for the key (`raVerified`).
    ra_verified: bool,
    subject: Vec<AttributeLine>,
    #[serde(default)]
    subject_alt_name: Vec<AltNameLine>,
    validity: Validity,
    extensions: Extensions,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct AttributeLine {
    r#type: String,
    value: String,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
enum AltNameLine {
    Uri(String),
    Dns(String),
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Validity {
    /// `99991231235959Z`, or absent if `lifetime_s` is given.
    not_after: Option<String>,
    lifetime_s: Option<u64>,
    /// How long before now it begins, for devices whose clocks are behind.
    backdate_s: u64,
    issuer_expiry: IssuerExpiry,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Extensions {
    key_usage: Vec<String>,
    #[serde(default)]
    extended_key_usage: Vec<String>,
    #[serde(default)]
    basic_constraints: Option<BasicConstraintsLine>,
    #[serde(default)]
    crl_distribution_point: Option<String>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct BasicConstraintsLine {
    ca: bool,
    path_len: Option<u8>,
}

#[derive(Clone, Copy, Debug)]
enum NotAfter {
    Never,
    Lifetime(u64),
}

#[derive(Clone, Debug)]
enum AltName {
    Uri(Template),
    Dns(Template),
}

/// The longest lifetime that a profile may give, in seconds: a hundred years. Who needs more means `99991231235959Z`.
const LIFETIME_MAX_S: u64 = 100 * 366 * 86_400;

impl Profile {
    /// Reads and checks a profile file.
    ///
    /// # Errors
    /// [`BadProfile`] if it is not TOML, has unknown or missing fields, names unknown algorithms, or would give
    /// certificates that break the rules (a leaf that signs certificates, an authority that does not).
    pub fn read(name: ProfileName, toml: &str) -> Result<Self, BadProfile> {
        let bad = |place: &'static str, what: String| BadProfile { place, what };
        if toml.len() > PROFILE_LEN_MAX {
            return Err(bad("file", format!("longer than {PROFILE_LEN_MAX} octets")));
        }
        let file: File = toml::from_str(toml).map_err(|e| bad("file", e.to_string()))?;
        let key_types = each(&file.key_types, "key_types", KeyType::by_name)?;
        if key_types.is_empty() {
            return Err(bad("key_types", "at least one is needed".into()));
        }
        let subject = file.subject.iter().map(|line| attribute(line, file.subject_kind)).collect::<Result<_, _>>()?;
        let alt_names =
            file.subject_alt_name.iter().map(|line| alt_name(line, file.subject_kind)).collect::<Result<_, _>>()?;
        let not_after = not_after(&file.validity)?;
        let key_usage = each(&file.extensions.key_usage, "key_usage", |n| {
            KeyUsage::NAMES.iter().find(|(name, _)| *name == n).map(|(_, bit)| *bit)
        })?
        .into_iter()
        .fold(KeyUsage(0), KeyUsage::with);
        let basic_constraints =
            file.extensions.basic_constraints.as_ref().map(|b| BasicConstraints { ca: b.ca, path_len: b.path_len });
        check_authority(&file, key_usage, basic_constraints)?;
        let fixed = fixed(&file, key_usage, basic_constraints)?;
        let digest = sha256(toml.as_bytes());
        Ok(Self { name, digest, key_types, subject, alt_names, fixed, not_after, key_usage, basic_constraints, file })
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

    /// The subject of a certificate for `entity`; `None` if it is of another kind.
    #[must_use]
    pub fn subject(&self, entity: &Entity, organization: &str) -> Option<Name> {
        let attributes = self
            .subject
            .iter()
            .map(|(oid, template)| Some(Attribute { oid: *oid, text: template.render(entity, organization)? }));
        attributes.collect::<Option<Vec<_>>>().map(|attributes| Name::write(&attributes))
    }

    /// The subject alternative name of a certificate for `entity`, if the profile has one; the outer `None` if the
    /// entity is of another kind.
    #[must_use]
    pub fn alt_name(&self, entity: &Entity, organization: &str) -> Option<Option<Extension>> {
        let names = self.alt_names.iter().map(|name| {
            Some(match name {
                AltName::Uri(template) => GeneralName::Uri(template.render(entity, organization)?),
                AltName::Dns(template) => GeneralName::Dns(template.render(entity, organization)?),
            })
        });
        let names = names.collect::<Option<Vec<_>>>()?;
        Some((!names.is_empty()).then(|| subject_alt_name(&names, self.subject.is_empty())))
    }

    /// First and last second of a certificate that is made at `now`.
    #[must_use]
    pub fn validity(&self, now: UnixTime) -> (UnixTime, UnixTime) {
        let not_before = now.whole_second().minus_s(self.file.validity.backdate_s);
        let not_after = match self.not_after {
            NotAfter::Never => UnixTime::NO_EXPIRY,
            // RFC 5280 §4.1.2.5 counts both ends, so a day is 86 400 seconds with the last one inside.
            NotAfter::Lifetime(s) => now.whole_second().plus_s(s).minus_s(1),
        };
        (not_before, not_after)
    }
}

fn each<T>(names: &[String], place: &'static str, f: impl Fn(&str) -> Option<T>) -> Result<Vec<T>, BadProfile> {
    names.iter().map(|n| f(n).ok_or_else(|| BadProfile { place, what: format!("{n:?} is not known") })).collect()
}

fn attribute(line: &AttributeLine, kind: SubjectKind) -> Result<(ObjectIdentifier, Template), BadProfile> {
    let unknown = || BadProfile { place: "subject", what: format!("attribute type {:?} is not known", line.r#type) };
    Ok((attribute_type(&line.r#type).ok_or_else(unknown)?, Template::read(&line.value, kind, "subject")?))
}

fn alt_name(line: &AltNameLine, kind: SubjectKind) -> Result<AltName, BadProfile> {
    const PLACE: &str = "subject_alt_name";
    match line {
        AltNameLine::Uri(text) => Template::read(text, kind, PLACE).map(AltName::Uri),
        AltNameLine::Dns(text) if text.contains('*') => {
            Err(BadProfile { place: PLACE, what: "wildcards are not given".into() })
        }
        AltNameLine::Dns(text) => Template::read(text, kind, PLACE).map(AltName::Dns),
    }
}

/// A device whose clock is further behind has no clock.
const BACKDATE_MAX_S: u64 = 7 * 86_400;

fn not_after(validity: &Validity) -> Result<NotAfter, BadProfile> {
    let bad = |what: &str| Err(BadProfile { place: "validity", what: what.to_owned() });
    match (validity.not_after.as_deref(), validity.lifetime_s) {
        _ if validity.backdate_s > BACKDATE_MAX_S => bad("backdate_s is at most a week"),
        (Some("99991231235959Z"), None) => Ok(NotAfter::Never),
        (None, Some(s @ 1..=LIFETIME_MAX_S)) => Ok(NotAfter::Lifetime(s)),
        (None, Some(_)) => bad("lifetime_s is from one second to a hundred years"),
        (Some(_), None) => bad("not_after can only be \"99991231235959Z\""),
        _ => bad("give either not_after or lifetime_s"),
    }
}

fn check_authority(
    file: &File,
    key_usage: KeyUsage,
    basic_constraints: Option<BasicConstraints>,
) -> Result<(), BadProfile> {
    let ca = basic_constraints.is_some_and(|b| b.ca);
    let what = if key_usage.has(KeyUsage::KEY_CERT_SIGN) != ca {
        "keyCertSign and basicConstraints CA:TRUE go together (RFC 5280 §4.2.1.9)"
    } else if ca != (file.subject_kind == SubjectKind::Authority) {
        "CA:TRUE is for subject_kind = \"authority\", and only for it"
    } else if !ca && basic_constraints.is_some_and(|b| b.path_len.is_some()) {
        "path_len is for authorities (RFC 5280 §4.2.1.9)"
    } else if !ca && file.issuers.is_empty() {
        "somebody must issue: name an authority in issuers"
    } else if key_usage.0 == 0 {
        "key_usage must name something"
    } else {
        return Ok(());
    };
    Err(BadProfile { place: "extensions", what: what.into() })
}

fn fixed(
    file: &File,
    key_usage: KeyUsage,
    basic_constraints: Option<BasicConstraints>,
) -> Result<Vec<Extension>, BadProfile> {
    let purposes = each(&file.extensions.extended_key_usage, "extended_key_usage", |n| match n {
        "server-auth" => Some(oids::SERVER_AUTH),
        "client-auth" => Some(oids::CLIENT_AUTH),
        "code-signing" => Some(oids::CODE_SIGNING),
        _ => None,
    })?;
    let mut fixed = vec![key_usage.extension()];
    fixed.extend(basic_constraints.map(BasicConstraints::extension));
    if !purposes.is_empty() {
        fixed.push(extended_key_usage(&purposes));
    }
    if let Some(uri) = &file.extensions.crl_distribution_point {
        if !uri.is_ascii() || !uri.contains(':') {
            return Err(BadProfile { place: "crl_distribution_point", what: format!("{uri:?} is no URI") });
        }
        fixed.push(crl_distribution_point(uri));
    }
    Ok(fixed)
}

/// Text with places to fill in: `{serial}`.
#[derive(Clone, Debug)]
struct Template(Vec<Piece>);

#[derive(Clone, Debug)]
enum Piece {
    Text(String),
    Variable(Variable),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Variable {
    Organization,
    DeviceType,
    Serial,
    Urn,
    Name,
    Module,
    Instance,
}

impl Variable {
    fn by_name(name: &str, kind: SubjectKind) -> Option<Self> {
        use SubjectKind as K;
        match (name, kind) {
            ("organization", _) => Some(Self::Organization),
            ("device_type", K::Device) => Some(Self::DeviceType),
            ("serial", K::Device) => Some(Self::Serial),
            ("urn", K::Device) => Some(Self::Urn),
            ("name", K::Authority | K::Operator) => Some(Self::Name),
            ("module", K::Module) => Some(Self::Module),
            ("instance", K::Module) => Some(Self::Instance),
            _ => None,
        }
    }
}

impl Template {
    fn read(text: &str, kind: SubjectKind, place: &'static str) -> Result<Self, BadProfile> {
        let bad = |what: String| BadProfile { place, what };
        let mut pieces = Vec::new();
        let mut rest = text;
        while let Some((before, from)) = rest.split_once('{') {
            let (name, after) = from.split_once('}').ok_or_else(|| bad(format!("{text:?} has an open brace")))?;
            let variable = Variable::by_name(name, kind)
                .ok_or_else(|| bad(format!("{{{name}}} is not known for this subject_kind")))?;
            pieces.extend([Piece::Text(before.to_owned()), Piece::Variable(variable)]);
            rest = after;
        }
        pieces.push(Piece::Text(rest.to_owned()));
        if text.is_empty() { Err(bad("a value is empty".into())) } else { Ok(Self(pieces)) }
    }

    fn render(&self, entity: &Entity, organization: &str) -> Option<String> {
        use std::fmt::Write as _;
        let mut out = String::new();
        for piece in &self.0 {
            match piece {
                Piece::Text(text) => out.push_str(text),
                Piece::Variable(variable) => match (variable, entity) {
                    (Variable::Organization, _) => out.push_str(organization),
                    (Variable::DeviceType, Entity::Device(id)) => out.push_str(id.device_type.as_str()),
                    (Variable::Serial, Entity::Device(id)) => out.push_str(id.serial.as_str()),
                    (Variable::Urn, Entity::Device(id)) => write!(out, "{id}").ok()?,
                    (Variable::Name, Entity::Authority(name)) => out.push_str(name.as_str()),
                    (Variable::Name, Entity::Operator(name)) => out.push_str(name.as_str()),
                    (Variable::Module, Entity::Module(module, _)) => out.push_str(module.name()),
                    (Variable::Instance, Entity::Module(_, instance)) => out.push_str(instance.as_str()),
                    _ => return None,
                },
            }
        }
        Some(out)
    }
}

#[cfg(test)]
mod tests;
