//! The policies that a path is valid for.
//!
//! Source: RFC 5280 §6.1 as RFC 9618 amends it: a graph with one node for each policy and depth, so that mappings cannot
//! make it grow beyond measure.

use super::{Demands, PathFault, Rule, extension};
use crate::certificate::Certificate;
use crate::oids;
use crate::policy::{
    PolicyConstraints, decode_certificate_policies, decode_inhibit_any_policy, decode_policy_mappings,
};
use const_oid::ObjectIdentifier;

/// A policy that is valid at a depth.
struct Node {
    valid_policy: ObjectIdentifier,
    /// Policies of the next certificate that are this one.
    expected: Vec<ObjectIdentifier>,
    /// Places of the nodes of the depth above that expected it.
    parents: Vec<usize>,
}

pub(super) struct PolicyGraph {
    /// Depths, anchor first. Empty at the end: `valid_policy_graph` is NULL.
    levels: Vec<Vec<Node>>,
    initial: Vec<ObjectIdentifier>,
    explicit_policy: usize,
    policy_mapping: usize,
    inhibit_any_policy: usize,
}

impl PolicyGraph {
    /// RFC 5280 §6.1.2 (a), (d), (e), (f), for so many certificates below the anchor.
    pub(super) fn new(demands: &Demands, certificates: usize) -> Self {
        let start = |rule| if rule == Rule::Always { 0 } else { certificates + 1 };
        let root = Node { valid_policy: oids::ANY_POLICY, expected: vec![oids::ANY_POLICY], parents: Vec::new() };
        Self {
            levels: vec![vec![root]],
            initial: demands.policies.clone(),
            explicit_policy: start(demands.explicit_policy),
            policy_mapping: start(demands.inhibit_policy_mapping),
            inhibit_any_policy: start(demands.inhibit_any_policy),
        }
    }

    fn last(&self) -> &[Node] {
        self.levels.last().map_or(&[], Vec::as_slice)
    }

    /// RFC 5280 §6.1.3 (d) to (f).
    pub(super) fn certificate(
        &mut self,
        certificate: &Certificate,
        self_issued: bool,
        is_leaf: bool,
    ) -> Result<(), PathFault> {
        let policies = extension(certificate, oids::CERTIFICATE_POLICIES, decode_certificate_policies)?;
        let policies: Vec<_> = policies.unwrap_or_default().into_iter().map(|p| p.policy).collect();
        let above = self.last();
        let parents_of = |policy| -> Vec<usize> {
            above.iter().enumerate().filter(|(_, n)| n.expected.contains(&policy)).map(|(at, _)| at).collect()
        };
        let mut level: Vec<Node> = Vec::new();
        // (d) (1)
        for policy in policies.iter().copied().filter(|policy| *policy != oids::ANY_POLICY) {
            let mut parents = parents_of(policy);
            if parents.is_empty() {
                parents.extend(above.iter().position(|node| node.valid_policy == oids::ANY_POLICY));
            }
            if !parents.is_empty() {
                level.push(Node { valid_policy: policy, expected: vec![policy], parents });
            }
        }
        // (d) (2)
        let any_counts = self.inhibit_any_policy > 0 || !is_leaf && self_issued;
        if policies.contains(&oids::ANY_POLICY) && any_counts {
            for policy in above.iter().flat_map(|node| node.expected.iter().copied()) {
                if level.iter().all(|node| node.valid_policy != policy) {
                    level.push(Node { valid_policy: policy, expected: vec![policy], parents: parents_of(policy) });
                }
            }
        }
        // (d) (3) and (e): nodes without children are not looked at any more, see `wrap_up`.
        self.levels.push(level);
        self.explicit()
    }

    // (f)
    fn explicit(&self) -> Result<(), PathFault> {
        if self.explicit_policy == 0 && self.last().is_empty() { Err(PathFault::NoPolicy) } else { Ok(()) }
    }

    /// RFC 5280 §6.1.4 (a), (b), (h) to (j).
    pub(super) fn prepare(&mut self, certificate: &Certificate, self_issued: bool) -> Result<(), PathFault> {
        let mappings = extension(certificate, oids::POLICY_MAPPINGS, decode_policy_mappings)?.unwrap_or_default();
        if mappings.iter().any(|m| [m.issuer_domain, m.subject_domain].contains(&oids::ANY_POLICY)) {
            return Err(PathFault::BadExtension);
        }
        let may_map = self.policy_mapping > 0;
        // The node of anyPolicy above, below which a mapped policy may begin.
        let above = self.levels.len().checked_sub(2).and_then(|at| self.levels.get(at));
        let any_above = above.and_then(|nodes| nodes.iter().position(|n| n.valid_policy == oids::ANY_POLICY));
        if let Some(level) = self.levels.last_mut() {
            let has_any = level.iter().any(|node| node.valid_policy == oids::ANY_POLICY);
            for (n, mapping) in mappings.iter().enumerate() {
                let is_first = mappings.iter().take(n).all(|m| m.issuer_domain != mapping.issuer_domain);
                let found = level.iter_mut().find(|node| node.valid_policy == mapping.issuer_domain);
                match (found, may_map) {
                    (Some(node), true) => {
                        if is_first {
                            node.expected.clear();
                        }
                        if !node.expected.contains(&mapping.subject_domain) {
                            node.expected.push(mapping.subject_domain);
                        }
                    }
                    (None, true) if has_any => level.push(Node {
                        valid_policy: mapping.issuer_domain,
                        expected: vec![mapping.subject_domain],
                        parents: any_above.into_iter().collect(),
                    }),
                    (Some(_), false) => level.retain(|node| node.valid_policy != mapping.issuer_domain),
                    (None, _) => {}
                }
            }
        }
        if !self_issued {
            for counter in [&mut self.explicit_policy, &mut self.policy_mapping, &mut self.inhibit_any_policy] {
                *counter = counter.saturating_sub(1);
            }
        }
        self.constrain(certificate)
    }

    /// RFC 5280 §6.1.4 (i), (j): what an authority, the anchor among them, demands of those below.
    pub(super) fn constrain(&mut self, certificate: &Certificate) -> Result<(), PathFault> {
        let said = extension(certificate, oids::POLICY_CONSTRAINTS, PolicyConstraints::decode)?.unwrap_or_default();
        lower(&mut self.explicit_policy, said.require_explicit_policy);
        lower(&mut self.policy_mapping, said.inhibit_policy_mapping);
        let any = extension(certificate, oids::INHIBIT_ANY_POLICY, decode_inhibit_any_policy)?;
        lower(&mut self.inhibit_any_policy, any);
        Ok(())
    }

    /// RFC 5280 §6.1.5 (a), (b), (g): the user-constrained policies.
    pub(super) fn wrap_up(mut self, leaf: &Certificate) -> Result<Vec<ObjectIdentifier>, PathFault> {
        self.explicit_policy = self.explicit_policy.saturating_sub(1);
        let said = extension(leaf, oids::POLICY_CONSTRAINTS, PolicyConstraints::decode)?.unwrap_or_default();
        if said.require_explicit_policy == Some(0) {
            self.explicit_policy = 0;
        }
        let authority = self.authority_constrained();
        let valid = if self.initial.is_empty() || self.initial.contains(&oids::ANY_POLICY) {
            authority
        } else if authority.contains(&oids::ANY_POLICY) {
            self.initial
        } else {
            authority.into_iter().filter(|policy| self.initial.contains(policy)).collect()
        };
        if self.explicit_policy == 0 && valid.is_empty() { Err(PathFault::NoPolicy) } else { Ok(valid) }
    }

    // RFC 9618 §5.4: policies of nodes that begin below anyPolicy and live on to the end.
    fn authority_constrained(&self) -> Vec<ObjectIdentifier> {
        let mut policies = Vec::new();
        let mut alive: Vec<usize> = (0..self.last().len()).collect();
        for (below, nodes) in self.levels.iter().rev().enumerate() {
            let above = self.levels.len().checked_sub(below + 2).and_then(|at| self.levels.get(at));
            let is_any =
                |at: &usize| above.and_then(|a| a.get(*at)).is_some_and(|n| n.valid_policy == oids::ANY_POLICY);
            let mut parents = Vec::new();
            for node in alive.iter().filter_map(|at| nodes.get(*at)) {
                let begins = node.parents.iter().any(is_any) && node.valid_policy != oids::ANY_POLICY;
                let is_any_at_the_end = below == 0 && node.valid_policy == oids::ANY_POLICY;
                if (begins || is_any_at_the_end) && !policies.contains(&node.valid_policy) {
                    policies.push(node.valid_policy);
                }
                parents.extend(node.parents.iter().copied());
            }
            parents.sort_unstable();
            parents.dedup();
            alive = parents;
        }
        policies
    }
}

fn lower(counter: &mut usize, to: Option<u32>) {
    if let Some(to) = to.and_then(|to| usize::try_from(to).ok()) {
        *counter = (*counter).min(to);
    }
}
