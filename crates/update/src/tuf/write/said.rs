//! What a file says, for the one who goes on writing: claimed by the file, and proved only to who has asked [`Signers`].

use super::draft::Draft;
use super::key::Signers;
use super::targets::{Custom, SUCCINCT_BITS_MAX, has_role, is_named};
use crate::json::Json;
use crate::tuf::hashes::Hashes;
use crate::tuf::roles::{Asked, Delegated, RoleRule, Root, Snapshot, Targets, Timestamp, To};
use crate::tuf::target::Target;

/// A role to which something is left.
#[derive(Clone, Debug)]
pub struct DelegatedRole {
    /// What it is called.
    pub name: String,
    /// Who signs for it.
    pub signers: Signers,
    /// Whether nobody after it is asked.
    pub terminating: bool,
    /// How many of those that are asked together with it must say the same, if it is one of several.
    pub in_agreement_min: Option<usize>,
}

/// A target as a role announces it.
#[derive(Clone, Debug)]
pub struct Listed<'a> {
    /// Its name.
    pub name: &'a str,
    /// How many octets it has.
    pub length: u64,
    /// Its hashes.
    pub hashes: &'a Hashes,
    /// What the maker says besides.
    pub custom: Option<Custom>,
    about: &'a crate::tuf::target::Announced,
}

impl Listed<'_> {
    /// It, in a repository whose files have hashes in their names: where it is, and what compares octets with it.
    #[must_use]
    pub fn target(&self) -> Target {
        Target::new(self.name, self.about, true)
    }
    /// Whether another role says the same of it, but for when it may be put on devices.
    #[must_use]
    pub fn says_the_same(&self, other: &Self) -> bool {
        self.name == other.name && self.about.says_the_same(other.about)
    }
}

impl Draft<Root> {
    /// Whether files have their version or hash in their names.
    #[must_use]
    pub const fn is_consistent(&self) -> bool {
        self.said().consistent_snapshot
    }
}

impl Draft<Timestamp> {
    /// The version of the snapshot.
    #[must_use]
    pub const fn snapshot_version(&self) -> u64 {
        self.said().snapshot.version
    }
    /// Whether this is the snapshot that it announces.
    #[must_use]
    pub fn announces(&self, snapshot: &[u8]) -> bool {
        self.said().snapshot.hold(snapshot).is_ok()
    }
}

impl Draft<Snapshot> {
    /// Each targets role with its version, by name.
    pub fn versions(&self) -> impl Iterator<Item = (&str, u64)> {
        // A name without the suffix is none of a role.
        self.said().meta.iter().filter_map(|(file, about)| Some((file.strip_suffix(".json")?, about.version)))
    }
    /// The version of a role.
    #[must_use]
    pub fn version_of(&self, role: &str) -> Option<u64> {
        Some(self.said().of_role(role)?.version)
    }
    /// Whether these are the octets that it announces of a role.
    #[must_use]
    pub fn announces(&self, role: &str, octets: &[u8]) -> bool {
        self.said().of_role(role).is_some_and(|about| about.hold(octets).is_ok())
    }
}

impl Draft<Targets> {
    /// All targets that it announces, by name.
    pub fn targets(&self) -> impl Iterator<Item = Listed<'_>> {
        self.said().targets.iter().map(|(name, about)| Listed {
            name,
            length: about.length,
            hashes: &about.hashes,
            custom: about.custom.clone().map(Custom),
            about,
        })
    }

    /// The roles to which it leaves targets, in order; of succinct bins, each of the first 2^[`SUCCINCT_BITS_MAX`].
    #[must_use]
    pub fn delegated(&self) -> Vec<DelegatedRole> {
        let Some(delegations) = &self.said().delegations else { return Vec::new() };
        let signers = |rule: &crate::tuf::keys::Rule| Signers::new((*delegations.keys).clone(), rule.clone());
        match &delegations.to {
            To::Roles(delegated) => {
                let each = |one: &Delegated| {
                    let (roles, terminating) = (one.to.roles().to_vec(), one.terminating);
                    let in_agreement_min = match &one.to {
                        Asked::One(_) => None,
                        Asked::Together { in_agreement_min, .. } => Some(*in_agreement_min),
                    };
                    let role = move |role: RoleRule| DelegatedRole {
                        name: role.name,
                        signers: signers(&role.rule),
                        terminating,
                        in_agreement_min,
                    };
                    roles.into_iter().map(role)
                };
                delegated.iter().flat_map(each).collect()
            }
            To::Bins { rule, bins } => bins
                .names()
                .take(1 << SUCCINCT_BITS_MAX)
                .map(|name| DelegatedRole { name, signers: signers(rule), terminating: true, in_agreement_min: None })
                .collect(),
        }
    }

    /// Whether all targets are left to bins by their hash, succinct or not.
    #[must_use]
    pub fn is_in_bins(&self) -> bool {
        match self.said().delegations.as_ref().map(|delegations| &delegations.to) {
            Some(To::Bins { .. }) => true,
            Some(To::Roles(roles)) => !roles.is_empty() && roles.iter().all(|role| role.is_bin()),
            None => false,
        }
    }

    /// About which targets a role is asked, as the file says it: its patterns, or prefixes of hashes.
    #[must_use]
    pub fn part_of(&self, role: &str) -> Option<String> {
        let roles = self.fields().get("delegations")?.object()?.get("roles")?.list()?;
        let about = roles.iter().find(|one| is_named(one, role) || has_role(one, role))?.object()?;
        let part = about.get("paths").or_else(|| about.get("path_hash_prefixes"))?;
        Some(part.list()?.iter().filter_map(Json::text).collect::<Vec<_>>().join(" "))
    }

    /// The roles that are asked about a target, in order.
    #[must_use]
    pub fn asked_about(&self, target: &str) -> Vec<String> {
        let hops = self.said().delegations.as_ref().map(|delegations| delegations.hops(target));
        hops.unwrap_or_default().iter().flat_map(|hop| hop.to.roles()).map(|role| role.name.clone()).collect()
    }
}
