//! Looking for a target along delegations: depth first, in the order in which they stand, each role once.
//! Source: TUF 1.0.34 §5.6.7.
//!
//! Where several roles must agree (TAP 3), each of them is asked for what it says itself, and not for whom it leaves targets to.
//! What so many of them say alike is found; if some say something and too few the same, the search ends there: nobody
//! after them can speak in their place.

use super::fault::BadMetadata;
use super::keys::{Keys, Rule};
use super::roles::{Asked, RoleRule, Targets};
use super::target::Announced;
use std::collections::BTreeSet;
use std::sync::Arc;

/// A role that is to be asked, and who may sign for it according to the one that delegates to it.
#[derive(Clone, Debug)]
pub(super) struct Next {
    pub(super) name: String,
    pub(super) keys: Arc<Keys>,
    pub(super) rule: Rule,
    // Asked together with others.
    is_one_of_several: bool,
}

#[derive(Debug)]
enum Step {
    Ask(Next),
    // All that are asked together have been.
    Compare { in_agreement_min: usize, terminating: bool },
}

/// A search that is under way.
#[derive(Debug)]
pub(super) struct Search {
    target: String,
    roles_max: usize,
    visited: BTreeSet<String>,
    visits: usize,
    // The last is the next one.
    to_visit: Vec<Step>,
    next: Option<Next>,
    // What those say who are asked together.
    said: Vec<Announced>,
    found: Option<Announced>,
}

impl Search {
    pub(super) fn new(target: &str, roles_max: usize) -> Self {
        Self {
            target: target.to_owned(),
            roles_max,
            visited: BTreeSet::new(),
            visits: 0,
            to_visit: Vec::new(),
            next: None,
            said: Vec::new(),
            found: None,
        }
    }

    pub(super) fn target(&self) -> &str {
        &self.target
    }
    pub(super) const fn found(&self) -> Option<&Announced> {
        self.found.as_ref()
    }
    pub(super) const fn next(&self) -> Option<&Next> {
        self.next.as_ref()
    }

    /// Takes what a role says that was verified.
    pub(super) fn visit(&mut self, role: &str, targets: &Targets) {
        self.visits += 1;
        let announced = targets.targets.get(&self.target);
        if self.next.as_ref().is_some_and(|next| next.is_one_of_several) {
            self.said.extend(announced.cloned());
            return;
        }
        self.visited.insert(role.to_owned());
        if let Some(about) = announced {
            self.found = Some(about.clone());
            self.to_visit.clear();
            return;
        }
        let Some(delegations) = &targets.delegations else { return };
        let mut children = Vec::new();
        for hop in delegations.hops(&self.target) {
            let next = |role: &RoleRule, is_one_of_several| {
                let keys = Arc::clone(&delegations.keys);
                Step::Ask(Next { name: role.name.clone(), keys, rule: role.rule.clone(), is_one_of_several })
            };
            match &hop.to {
                Asked::One(role) => children.push(next(role, false)),
                Asked::Together { in_agreement_min, roles } => {
                    children.extend(roles.iter().map(|role| next(role, true)));
                    let (in_agreement_min, terminating) = (*in_agreement_min, hop.terminating);
                    children.push(Step::Compare { in_agreement_min, terminating });
                }
            }
            // Whoever comes after a terminating delegation has no say, here or further up.
            if hop.terminating {
                self.to_visit.clear();
                break;
            }
        }
        self.to_visit.extend(children.into_iter().rev());
    }

    /// The next role to be asked; `None` at the end.
    pub(super) fn advance(&mut self) -> Result<Option<&Next>, BadMetadata> {
        self.next = None;
        while let Some(step) = self.to_visit.pop() {
            match step {
                // One that was asked for itself is asked again with others: under what its keys are there.
                Step::Ask(next) if !next.is_one_of_several && self.visited.contains(&next.name) => {}
                Step::Ask(_) if self.visits > self.roles_max => return Err(BadMetadata::TooManyRoles),
                Step::Ask(next) => {
                    self.next = Some(next);
                    break;
                }
                Step::Compare { in_agreement_min, terminating } => {
                    let said = std::mem::take(&mut self.said);
                    if said.is_empty() && !terminating {
                        continue;
                    }
                    self.to_visit.clear();
                    if !said.is_empty() {
                        self.found = Some(agreed(said, in_agreement_min)?);
                    }
                }
            }
        }
        Ok(self.next.as_ref())
    }
}

// What enough of them say alike; the words are those of the first of them.
fn agreed(said: Vec<Announced>, in_agreement_min: usize) -> Result<Announced, BadMetadata> {
    let alike = |one: &Announced| said.iter().filter(|other| one.says_the_same(other)).count();
    let found = said.iter().find(|one| alike(one) >= in_agreement_min).ok_or(BadMetadata::NotAgreed)?;
    let windows = said.iter().filter(|other| found.says_the_same(other)).filter_map(Announced::window_said);
    Ok(found.as_agreed(alike(found), windows.cloned().collect()))
}
