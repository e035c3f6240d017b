//! How a repository is: what is published until when, and what waits.

use crate::fault::Fault;
use crate::plan::{OldKeys, Waiting};
use crate::state::{FIRST, Repository, STAGED_IMAGES, TARGETS, image_file};
use model::UnixTime;
use std::collections::BTreeSet;
use update::tuf::write::{Draft, Signers, Top};

/// A role that is published.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RoleStatus {
    /// Which.
    pub role: String,
    /// In which version.
    pub version: u64,
    /// Until when.
    pub expires: UnixTime,
    /// How many must sign.
    pub threshold: usize,
    /// Who may, as identifiers of keys.
    pub keys: Vec<String>,
    /// How many targets it announces.
    pub targets: usize,
}

/// What is published, and what waits.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Status {
    /// Each role that clients can get.
    pub roles: Vec<RoleStatus>,
    /// What is staged. What waits for nothing is published by the next command that publishes.
    pub waiting: Vec<Waiting>,
    /// Roles that are staged and complete.
    pub ready: Vec<String>,
}

impl Repository {
    /// How it is. Nothing is signed.
    ///
    /// # Errors
    /// [`Fault::Disk`]
    pub fn status(&self, now: UnixTime) -> Result<Status, Fault> {
        let images: BTreeSet<String> =
            self.disk.list(TARGETS)?.into_iter().chain(self.disk.list(STAGED_IMAGES)?).collect();
        let has = |name: &str, hash: &str| images.contains(image_file("", name, hash).trim_start_matches('/'));
        let mut planner = self.planner(&[], now, OldKeys::Sign, &has, self.demands()?);
        let plan = planner.plan()?;
        let waits: BTreeSet<String> = planner.waiting.iter().map(|one| one.role.clone()).collect();
        let staged = self.staged.roles.keys().cloned().chain(self.staged.root.iter().map(|_| "root".to_owned()));
        let ready = staged.filter(|role| !waits.contains(role)).collect();
        // Snapshot and timestamp are signed when all the rest is, so nobody waits for them who has not begun.
        let begun = |one: &Waiting| match Top::by_name(&one.role) {
            Some(Top::Snapshot) => self.staged.snapshot.is_some(),
            Some(Top::Timestamp) => self.staged.timestamp.is_some(),
            _ => true,
        };
        let waiting = planner.waiting.into_iter().filter(begun).collect();
        drop(plan);
        Ok(Status { roles: self.published_roles(), waiting, ready })
    }

    fn published_roles(&self) -> Vec<RoleStatus> {
        let Some(published) = &self.published else { return Vec::new() };
        let row = |role: &str, version, expires, signers: Option<&Signers>, targets| RoleStatus {
            role: role.to_owned(),
            version,
            expires,
            threshold: signers.map_or(0, Signers::threshold),
            keys: signers.map(|signers| signers.key_ids().to_vec()).unwrap_or_default(),
            targets,
        };
        let of = |role: Top| Signers::of_top(&published.root, role);
        let (root, timestamp, snapshot) = (&published.root, &published.timestamp, &published.snapshot);
        let mut rows = vec![
            row("root", root.version(), root.expires(), Some(&of(Top::Root)), 0),
            row("timestamp", timestamp.version(), timestamp.expires(), Some(&of(Top::Timestamp)), 0),
            row("snapshot", snapshot.version(), snapshot.expires(), Some(&of(Top::Snapshot)), 0),
        ];
        let delegated: std::collections::BTreeMap<String, Signers> =
            published.roles.values().flat_map(Draft::delegated).map(|one| (one.name, one.signers)).collect();
        let first = of(Top::Targets);
        for (role, draft) in &published.roles {
            let signers = if role == FIRST { Some(&first) } else { delegated.get(role) };
            rows.push(row(role, draft.version(), draft.expires(), signers, draft.targets().count()));
        }
        rows
    }
}
