//! Looking for a target along delegations: depth first, in the order in which they stand, each role once.
//! Source: TUF 1.0.34 §5.6.7.

use super::fault::BadMetadata;
use super::keys::{Keys, Rule};
use super::roles::Targets;
use super::target::Announced;
use std::collections::BTreeSet;
use std::sync::Arc;

/// A role that is to be asked, and who may sign for it according to the one that delegates to it.
#[derive(Clone, Debug)]
pub(super) struct Next {
    pub(super) name: String,
    pub(super) keys: Arc<Keys>,
    pub(super) rule: Rule,
}

/// A search that is under way.
#[derive(Debug)]
pub(super) struct Search {
    target: String,
    roles_max: usize,
    visited: BTreeSet<String>,
    // The last is the next one.
    to_visit: Vec<Next>,
    next: Option<Next>,
    found: Option<Announced>,
}

impl Search {
    pub(super) fn new(target: &str, roles_max: usize) -> Self {
        let (visited, to_visit) = (BTreeSet::new(), Vec::new());
        Self { target: target.to_owned(), roles_max, visited, to_visit, next: None, found: None }
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
        self.visited.insert(role.to_owned());
        if let Some(about) = targets.targets.get(&self.target) {
            self.found = Some(about.clone());
            self.to_visit.clear();
            return;
        }
        let Some(delegations) = &targets.delegations else { return };
        let mut children = Vec::new();
        for hop in delegations.hops(&self.target) {
            children.push(Next { name: hop.name, keys: Arc::clone(&delegations.keys), rule: hop.rule });
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
        while let Some(next) = self.to_visit.pop() {
            if self.visited.contains(&next.name) {
                continue;
            }
            if self.visited.len() > self.roles_max {
                return Err(BadMetadata::TooManyRoles);
            }
            self.next = Some(next);
            break;
        }
        Ok(self.next.as_ref())
    }
}
