//! Whether a plan fits the installation that it is for, before anything is done.

use crate::fields::Finding;
use crate::plan::{Making, Plan, Step};
use model::{AuthorityName, OperatorName, ProfileName};
use std::collections::{BTreeMap, BTreeSet};
use x509::KeyType;

/// What an authority that is there already is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Known {
    /// It issues: its key is here, or in a token of this installation.
    Here,
    /// Its key is elsewhere.
    Elsewhere,
    /// It waits for its certificate.
    Waits,
    /// Another key took its place.
    Retired,
}

/// What of a profile decides whether a plan can be carried out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KnownProfile {
    /// Whether it is for authorities.
    pub is_authority: bool,
    /// Who may issue under it; nobody for a root.
    pub issuers: Vec<AuthorityName>,
    /// Which keys it allows.
    pub key_types: Vec<KeyType>,
}

/// The installation that a plan is for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names say it")]
pub struct Surroundings {
    pub organization: String,
    pub operators: BTreeSet<OperatorName>,
    /// How many operators must approve at least.
    pub operators_needed: usize,
    pub profiles: BTreeMap<ProfileName, KnownProfile>,
    pub authorities: BTreeMap<AuthorityName, Known>,
}

/// Everything that would stop the plan here.
#[must_use]
pub fn check(plan: &Plan, around: &Surroundings) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut whole = |field: &str, what: String| findings.push(Finding { step: None, field: field.to_owned(), what });
    if plan.organization != around.organization {
        whole("organization", format!("is {:?} here", around.organization));
    }
    if plan.approvals < around.operators_needed {
        whole("approvals", format!("is at least {}: operators_needed in cradle.toml says so", around.operators_needed));
    }
    for operator in plan.operators.iter().filter(|operator| !around.operators.contains(operator)) {
        whole("operators", format!("{operator} is no operator of this installation"));
    }
    let mut walk = Walk { around, authorities: around.authorities.clone(), findings };
    for (n, step) in plan.steps.iter().enumerate() {
        walk.step(n + 1, step);
    }
    walk.findings
}

struct Walk<'a> {
    around: &'a Surroundings,
    authorities: BTreeMap<AuthorityName, Known>,
    findings: Vec<Finding>,
}

impl Walk<'_> {
    fn wrong(&mut self, step: usize, field: &str, what: String) {
        self.findings.push(Finding { step: Some(step), field: field.to_owned(), what });
    }

    fn step(&mut self, n: usize, step: &Step) {
        match step {
            Step::Create(making) => {
                self.profile(n, making);
                self.may_issue(n, &making.profile, making.issuer.as_ref());
                self.issuer(n, making.issuer.as_ref(), &[Known::Here]);
                self.add(n, &making.name, Known::Here);
            }
            Step::Request(making) => {
                self.profile(n, making);
                self.issuer(n, making.issuer.as_ref(), &[Known::Here, Known::Elsewhere]);
                self.add(n, &making.name, Known::Waits);
            }
            Step::Rollover(making) => {
                self.profile(n, making);
                self.may_issue(n, &making.profile, making.issuer.as_ref());
                self.is(n, "name", &making.name, &[Known::Here]);
                self.issuer(n, making.issuer.as_ref(), &[Known::Here]);
            }
            Step::Sign { name, profile, issuer, .. } => {
                if self.around.profiles.get(profile).is_none_or(|profile| !profile.is_authority) {
                    self.wrong(n, "profile", format!("there is no profile {profile} for authorities"));
                }
                self.may_issue(n, profile, Some(issuer));
                self.issuer(n, Some(issuer), &[Known::Here]);
                if self.authorities.contains_key(name) {
                    self.wrong(n, "name", format!("{name} is an authority of this installation"));
                }
            }
            Step::Install { name, .. } => {
                self.is(n, "name", name, &[Known::Waits]);
                self.authorities.insert(name.clone(), Known::Here);
            }
            Step::Import { name, issuer, .. } => {
                self.issuer(n, issuer.as_ref(), &[Known::Here, Known::Elsewhere]);
                self.add(n, name, Known::Elsewhere);
            }
            Step::Limit { name, .. } => self.is(n, "name", name, &[Known::Here, Known::Elsewhere]),
            Step::Crl { authority, .. } => self.is(n, "authority", authority, &[Known::Here, Known::Retired]),
        }
    }

    fn profile(&mut self, n: usize, making: &Making) {
        let Some(profile) = self.around.profiles.get(&making.profile).filter(|profile| profile.is_authority) else {
            return self.wrong(n, "profile", format!("there is no profile {} for authorities", making.profile));
        };
        let allowed = KeyType::by_name(&making.key_type).is_none_or(|key| profile.key_types.contains(&key));
        let is_root = profile.issuers.is_empty();
        if !allowed {
            self.wrong(n, "key_type", format!("the profile {} allows no {} keys", making.profile, making.key_type));
        }
        match (&making.issuer, is_root) {
            (None, false) => {
                self.wrong(n, "issuer", format!("is left out, and {} is no profile for roots", making.profile))
            }
            (Some(_), true) => {
                self.wrong(n, "issuer", format!("{} is a profile for roots, which have none", making.profile))
            }
            (None, true) | (Some(_), false) => {}
        }
    }

    /// Whether the profile lets this issuer sign; that of a request is for whoever signs it elsewhere to judge.
    fn may_issue(&mut self, n: usize, profile: &ProfileName, issuer: Option<&AuthorityName>) {
        let issuers = self.around.profiles.get(profile).map(|profile| profile.issuers.as_slice()).unwrap_or_default();
        if let Some(issuer) = issuer.filter(|issuer| !issuers.is_empty() && !issuers.contains(issuer)) {
            self.wrong(n, "issuer", format!("the profile {profile} does not name {issuer} among its issuers"));
        }
    }

    fn issuer(&mut self, n: usize, issuer: Option<&AuthorityName>, kinds: &[Known]) {
        if let Some(issuer) = issuer {
            self.is(n, "issuer", issuer, kinds);
        }
    }

    fn is(&mut self, n: usize, field: &str, name: &AuthorityName, kinds: &[Known]) {
        let what = match self.authorities.get(name) {
            Some(kind) if kinds.contains(kind) => return,
            Some(Known::Here) => format!("{name} has its certificate already"),
            Some(Known::Elsewhere) => format!("the key of {name} is elsewhere"),
            Some(Known::Waits) => format!("{name} waits for its certificate"),
            Some(Known::Retired) => format!("another key took the place of {name}"),
            None => format!("there is no authority {name}, and no earlier step makes it"),
        };
        self.wrong(n, field, what);
    }

    fn add(&mut self, n: usize, name: &AuthorityName, kind: Known) {
        if self.authorities.insert(name.clone(), kind).is_some() {
            self.wrong(n, "name", format!("there is an authority {name} already"));
        }
    }
}
