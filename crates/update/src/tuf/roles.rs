//! What each of the roles says: root, timestamp, snapshot, targets.

use super::envelope::Role;
use super::envelope::sealed::{Fields, Sealed};
use super::fault::BadMetadata;
use super::hashes::Hashes;
use super::keys::{Keys, Rule};
use super::names::is_role_name;
use super::paths::{Bins, Pattern};
use super::target::Announced;
use crate::BadRelease;
use crate::json::Json;
use crate::metadata::{Object, number, object, text};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// The names of the four, none of which can be delegated to.
pub(super) const TOP_LEVEL: [&str; 4] = ["root", "timestamp", "snapshot", "targets"];
/// Most patterns or prefixes of one delegation, and most delegations of one file: a supplier has tens.
const PATTERNS_MAX: usize = 4096;
const DELEGATIONS_MAX: usize = 4096;
/// Most roles that are asked for agreement about one target: a maker and an integrator, or a few of them.
const TOGETHER_MAX: usize = 8;

/// Who may sign for the four roles. Source: TUF 1.0.34 §4.3.
#[derive(Clone, Debug)]
pub struct Root {
    pub(super) consistent_snapshot: bool,
    pub(super) keys: Keys,
    pub(super) root: Rule,
    pub(super) timestamp: Rule,
    pub(super) snapshot: Rule,
    pub(super) targets: Rule,
}

/// Which snapshot is the last one. Source: TUF 1.0.34 §4.6.
#[derive(Clone, Debug)]
pub struct Timestamp {
    pub(super) snapshot: MetaFile,
}

/// Which version of each targets role belongs together. Source: TUF 1.0.34 §4.4.
#[derive(Clone, Debug)]
pub struct Snapshot {
    pub(super) meta: BTreeMap<String, MetaFile>,
}

/// Which targets there are, and to whom others are left. Source: TUF 1.0.34 §4.5.
#[derive(Clone, Debug)]
pub struct Targets {
    pub(crate) targets: BTreeMap<String, Announced>,
    pub(crate) delegations: Option<Delegations>,
    pub(crate) custom: Option<Json>,
}

/// What is announced of a metadata file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct MetaFile {
    pub(super) version: u64,
    pub(super) length: Option<u64>,
    hashes: Option<Hashes>,
}

/// To whom targets are left.
#[derive(Clone, Debug)]
pub(crate) struct Delegations {
    // Shared with the search, which remembers who delegated.
    pub(super) keys: Arc<Keys>,
    pub(super) to: To,
}

#[derive(Clone, Debug)]
pub(super) enum To {
    /// Roles in the order in which they are asked.
    Roles(Vec<Delegated>),
    /// Bins by the hash of the target's name, one of which is asked. Source: TAP 15.
    Bins { rule: Rule, bins: Bins },
}

#[derive(Clone, Debug)]
pub(super) struct Delegated {
    pub(super) to: Asked,
    pub(super) terminating: bool,
    paths: Paths,
}

/// Who is asked about a target.
#[derive(Clone, Debug)]
pub(super) enum Asked {
    /// One role.
    One(RoleRule),
    /// Several, of which so many must say the same. Source: TAP 3.
    Together { in_agreement_min: usize, roles: Vec<RoleRule> },
}

/// A role, and who signs for it.
#[derive(Clone, Debug)]
pub(super) struct RoleRule {
    pub(super) name: String,
    pub(super) rule: Rule,
}

impl Asked {
    pub(super) fn roles(&self) -> &[RoleRule] {
        match self {
            Self::One(role) => std::slice::from_ref(role),
            Self::Together { roles, .. } => roles,
        }
    }
}

#[derive(Clone, Debug)]
enum Paths {
    Patterns(Vec<Pattern>),
    HashPrefixes(Vec<String>),
}

/// Who has a say about a target.
#[derive(Clone, Debug)]
pub(super) struct Hop {
    pub(super) to: Asked,
    pub(super) terminating: bool,
}

impl Sealed for Root {}
impl Role for Root {
    const TYPE: &'static str = "root";
    fn read(fields: &Fields<'_>) -> Result<Self, BadMetadata> {
        let roles = object(fields.0, "roles")?;
        let rule = |name: &'static str| Rule::read(object(roles, name)?);
        Ok(Self {
            consistent_snapshot: read_flag(fields.0, "consistent_snapshot")?,
            keys: Keys::read(object(fields.0, "keys")?)?,
            root: rule("root")?,
            timestamp: rule("timestamp")?,
            snapshot: rule("snapshot")?,
            targets: rule("targets")?,
        })
    }
}

impl Root {
    /// Whether the names of files have versions and hashes in front. Source: TUF 1.0.34 §6.2.
    pub(crate) const fn is_consistent(&self) -> bool {
        self.consistent_snapshot
    }
    // A key that could sign for the role and cannot any more: what it signed may have been signed by somebody else.
    pub(super) fn takes_keys_of(&self, before: &Self) -> bool {
        let lost = |rule: &Rule, rule_before: &Rule| !before.keys.of(rule_before).is_subset(&self.keys.of(rule));
        lost(&self.timestamp, &before.timestamp) || lost(&self.snapshot, &before.snapshot)
    }
}

impl Sealed for Timestamp {}
impl Role for Timestamp {
    const TYPE: &'static str = "timestamp";
    fn read(fields: &Fields<'_>) -> Result<Self, BadMetadata> {
        let meta = object(fields.0, "meta")?;
        Ok(Self { snapshot: MetaFile::read(object(meta, "snapshot.json")?)? })
    }
}

impl Sealed for Snapshot {}
impl Role for Snapshot {
    const TYPE: &'static str = "snapshot";
    fn read(fields: &Fields<'_>) -> Result<Self, BadMetadata> {
        let read = |(name, file): (&String, &Json)| {
            let file = file.object().ok_or(BadRelease::Field("meta"))?;
            Ok((name.clone(), MetaFile::read(file)?))
        };
        let meta = object(fields.0, "meta")?.iter().map(read).collect::<Result<BTreeMap<_, _>, BadMetadata>>()?;
        Ok(Self { meta })
    }
}

impl Snapshot {
    pub(super) fn of_role(&self, role: &str) -> Option<&MetaFile> {
        self.meta.get(&format!("{role}.json"))
    }

    // §5.5.5: every role of the one before is in this one, and none is older.
    pub(super) fn follows(&self, before: &Self) -> Result<(), BadMetadata> {
        for (name, file) in &before.meta {
            match self.meta.get(name) {
                None => return Err(BadMetadata::Vanished),
                Some(now) if now.version < file.version => return Err(BadMetadata::RolledBack),
                Some(_) => {}
            }
        }
        Ok(())
    }
}

impl Sealed for Targets {}
impl Role for Targets {
    const TYPE: &'static str = "targets";
    fn read(fields: &Fields<'_>) -> Result<Self, BadMetadata> {
        let read = |(name, about): (&String, &Json)| Ok((name.clone(), Announced::read(about)?));
        let targets = object(fields.0, "targets")?.iter().map(read).collect::<Result<BTreeMap<_, _>, BadMetadata>>()?;
        let delegations = fields.0.get("delegations").map(Delegations::read).transpose()?;
        Ok(Self { targets, delegations, custom: fields.0.get("custom").cloned() })
    }
}

impl MetaFile {
    fn read(file: &Object) -> Result<Self, BadMetadata> {
        let version = number(file, "version")?;
        if version == 0 {
            return Err(BadRelease::Field("version").into());
        }
        let length = file.get("length").map(|_| number(file, "length")).transpose()?;
        let hashes = file.get("hashes").map(|_| Hashes::read(object(file, "hashes")?)).transpose()?;
        Ok(Self { version, length, hashes })
    }

    pub(super) fn hold(&self, octets: &[u8]) -> Result<(), BadMetadata> {
        let len = u64::try_from(octets.len()).unwrap_or(u64::MAX);
        let hashes = self.hashes.as_ref().is_none_or(|hashes| hashes.hold(octets));
        if self.length.is_none_or(|length| length == len) && hashes { Ok(()) } else { Err(BadMetadata::OtherOctets) }
    }
}

impl Delegations {
    fn read(delegations: &Json) -> Result<Self, BadMetadata> {
        let members = delegations.object().ok_or(BadRelease::Field("delegations"))?;
        let keys = Arc::new(Keys::read(object(members, "keys")?)?);
        let to = match (members.get("roles"), members.get("succinct_roles")) {
            (Some(roles), None) => To::Roles(read_roles(roles, &keys)?),
            (None, Some(bins)) => {
                let bins = bins.object().ok_or(BadRelease::Field("succinct_roles"))?;
                To::Bins { rule: Rule::read(bins)?, bins: Bins::read(bins)? }
            }
            (Some(_), Some(_)) | (None, None) => return Err(BadMetadata::BadDelegation),
        };
        Ok(Self { keys, to })
    }

    /// The roles that have a say about a target, in order. Source: TUF 1.0.34 §5.6.7.2.
    pub(super) fn hops(&self, target: &str) -> Vec<Hop> {
        match &self.to {
            To::Bins { rule, bins } => {
                let bin = RoleRule { name: bins.of(target), rule: rule.clone() };
                vec![Hop { to: Asked::One(bin), terminating: true }]
            }
            To::Roles(roles) => {
                let hop = |role: &Delegated| Hop { to: role.to.clone(), terminating: role.terminating };
                roles.iter().filter(|role| role.paths.have(target)).map(hop).collect()
            }
        }
    }
}

impl Delegated {
    pub(super) const fn is_bin(&self) -> bool {
        matches!((&self.paths, &self.to), (Paths::HashPrefixes(_), Asked::One(_)))
    }
}

impl Paths {
    fn have(&self, target: &str) -> bool {
        match self {
            Self::Patterns(patterns) => patterns.iter().any(|pattern| pattern.matches(target)),
            Self::HashPrefixes(prefixes) => {
                let digest = x509::sha256(target.as_bytes()).to_string();
                prefixes.iter().any(|prefix| digest.starts_with(prefix))
            }
        }
    }

    fn read(role: &Object) -> Result<Self, BadMetadata> {
        match (role.get("paths"), role.get("path_hash_prefixes")) {
            (Some(patterns), None) => {
                let read = |text: &str| Ok(Pattern::read(text)?);
                Ok(Self::Patterns(
                    read_texts(patterns, "paths")?.into_iter().map(read).collect::<Result<_, BadMetadata>>()?,
                ))
            }
            (None, Some(prefixes)) => {
                let prefixes = read_texts(prefixes, "path_hash_prefixes")?;
                let is_digits =
                    |text: &&str| !text.is_empty() && text.bytes().all(|c| matches!(c, b'0'..=b'9' | b'a'..=b'f'));
                // An empty prefix would be every target's, and nobody writes that so.
                if !prefixes.iter().all(is_digits) {
                    return Err(BadRelease::Field("path_hash_prefixes").into());
                }
                Ok(Self::HashPrefixes(prefixes.into_iter().map(str::to_owned).collect()))
            }
            (Some(_), Some(_)) | (None, None) => Err(BadMetadata::BadDelegation),
        }
    }
}

fn read_texts<'a>(list: &'a Json, field: &'static str) -> Result<Vec<&'a str>, BadMetadata> {
    let list = list.list().ok_or(BadRelease::Field(field))?;
    if list.len() > PATTERNS_MAX {
        return Err(BadMetadata::TooMany);
    }
    Ok(list.iter().map(|text| text.text().ok_or(BadRelease::Field(field))).collect::<Result<_, _>>()?)
}

fn read_roles(roles: &Json, keys: &Keys) -> Result<Vec<Delegated>, BadMetadata> {
    let roles = roles.list().ok_or(BadRelease::Field("roles"))?;
    if roles.len() > DELEGATIONS_MAX {
        return Err(BadMetadata::TooMany);
    }
    let mut names = BTreeSet::new();
    let mut read_role = |role: &Object, field: &'static str| {
        let name = text(role, field)?;
        if !is_role_name(name) || TOP_LEVEL.contains(&name) {
            return Err(BadMetadata::BadRoleName);
        }
        if !names.insert(name.to_owned()) {
            return Err(BadMetadata::BadDelegation);
        }
        Ok(RoleRule { name: name.to_owned(), rule: Rule::read(role)? })
    };
    let mut read = |role: &Json| {
        let role = role.object().ok_or(BadRelease::Field("roles"))?;
        let to = match role.get("roles") {
            None => Asked::One(read_role(role, "name")?),
            Some(list) => {
                let list = list.list().filter(|list| (1..=TOGETHER_MAX).contains(&list.len()));
                let list = list.ok_or(BadMetadata::BadDelegation)?;
                let one = |role: &Json| read_role(role.object().ok_or(BadRelease::Field("roles"))?, "rolename");
                together(role, list.iter().map(one).collect::<Result<_, _>>()?, keys)?
            }
        };
        Ok(Delegated { to, terminating: read_flag(role, "terminating")?, paths: Paths::read(role)? })
    };
    roles.iter().map(&mut read).collect()
}

// Who is asked for agreement is somebody else each time: a key that two of the roles have would agree with itself.
fn together(about: &Object, roles: Vec<RoleRule>, keys: &Keys) -> Result<Asked, BadMetadata> {
    let in_agreement_min = usize::try_from(number(about, "min_roles_in_agreement")?).unwrap_or(usize::MAX);
    if !(1..=roles.len()).contains(&in_agreement_min) {
        return Err(BadMetadata::BadDelegation);
    }
    let mut seen = BTreeSet::new();
    for role in &roles {
        for key in keys.of(&role.rule) {
            if !seen.insert(key) {
                return Err(BadMetadata::SharedKey);
            }
        }
    }
    Ok(Asked::Together { in_agreement_min, roles })
}

fn read_flag(members: &Object, field: &'static str) -> Result<bool, BadMetadata> {
    match members.get(field) {
        None | Some(Json::Null) => Ok(false),
        Some(Json::Bool(value)) => Ok(*value),
        Some(_) => Err(BadRelease::Field(field).into()),
    }
}
