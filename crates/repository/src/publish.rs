//! Publishing: the steps in their order, each of which leaves something that clients can follow.

use crate::fault::Fault;
use crate::plan::{OldKeys, Plan, Waiting};
use crate::state::{
    FIRST, Published, Repository, STAGED_IMAGES, Staged, TARGETS, image_file, metadata_file, staged_file,
    timestamp_file,
};
use crate::trial;
use model::UnixTime;
use ports::Signer;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use update::tuf::write::{Draft, Top};
use update::tuf::{Role, Targets};

/// What was published, and what was not.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Publication {
    /// Each role whose new version clients can get, and that version.
    pub published: Vec<(String, u64)>,
    /// Images that clients can get now.
    pub images: Vec<String>,
    /// What is staged still.
    pub waiting: Vec<Waiting>,
}

impl Repository {
    /// Signs what is staged with these keys as far as they may, and publishes what is complete.
    ///
    /// # Errors
    /// [`Fault`]. Clients have what they had before, or all of it; the next [`Repository::open`] repairs.
    pub fn publish(
        &mut self,
        keys: &[Arc<dyn Signer>],
        now: UnixTime,
        old_keys: OldKeys,
    ) -> Result<Publication, Fault> {
        self.publish_until(keys, now, old_keys, now)
    }

    /// Says anew what expires within so many seconds and can be signed with these keys; what cannot stays staged for
    /// others.
    ///
    /// # Errors
    /// As [`Self::publish`].
    pub fn renew(&mut self, keys: &[Arc<dyn Signer>], now: UnixTime, within_s: u64) -> Result<Publication, Fault> {
        let before = now.plus_s(within_s);
        if let Some(published) = &self.published {
            let due =
                published.roles.iter().filter(|(_, draft)| draft.expires() <= before).map(|(role, _)| role.clone());
            let led_to = |role: &String| role == FIRST || self.signers_of(role).is_some();
            let mut due: Vec<String> = due.filter(led_to).collect();
            due.extend((published.root.expires() <= before).then(|| "root".to_owned()));
            for role in due {
                let staged = self.staged.roles.contains_key(&role) || (role == "root" && self.staged.root.is_some());
                // What others are signing at this moment is not changed under their hands.
                if !staged {
                    self.prolong(&role, now)?;
                }
            }
        }
        self.publish_until(keys, now, OldKeys::Sign, before)
    }

    fn publish_until(
        &mut self,
        keys: &[Arc<dyn Signer>],
        now: UnixTime,
        old_keys: OldKeys,
        renew_before: UnixTime,
    ) -> Result<Publication, Fault> {
        let images: BTreeSet<String> = self.disk.list(TARGETS)?.into_iter().collect();
        let staged_images: BTreeSet<String> = self.disk.list(STAGED_IMAGES)?.into_iter().collect();
        let has = |name: &str, hash: &str| {
            let file = image_file("", name, hash);
            let file = file.trim_start_matches('/');
            images.contains(file) || staged_images.contains(file)
        };
        let mut planner = self.planner(keys, now, old_keys, &has, self.demands()?);
        planner.renew_before = renew_before;
        let plan = planner.plan()?;
        let (staged, waiting) = (planner.staged, planner.waiting);
        // Signatures are kept before anything else: who gave them may be gone.
        self.keep(&staged)?;
        self.staged = staged;
        let Some(plan) = plan else { return Ok(Publication { waiting, ..Publication::default() }) };
        let files = files_of(&plan);
        trial::follow(&self.disk, &files, self.published.as_ref().map(|published| &published.root), old_keys, now)?;
        let images = self.carry_out(&plan, &files, &staged_images)?;
        Ok(Publication { published: versions(&plan), images, waiting })
    }

    // What is staged, as the planner left it.
    fn keep(&self, staged: &Staged) -> Result<(), Fault> {
        self.keep_one("root", self.staged.root.as_ref(), staged.root.as_ref())?;
        self.keep_one("snapshot", self.staged.snapshot.as_ref(), staged.snapshot.as_ref())?;
        self.keep_one("timestamp", self.staged.timestamp.as_ref(), staged.timestamp.as_ref())?;
        for (role, draft) in &staged.roles {
            self.keep_one(role, self.staged.roles.get(role), Some(draft))?;
        }
        Ok(())
    }
    fn keep_one<R: Role>(&self, role: &str, before: Option<&Draft<R>>, now: Option<&Draft<R>>) -> Result<(), Fault> {
        match (before.map(Draft::write), now.map(Draft::write)) {
            (before, Some(now)) if before.as_ref() != Some(&now) => self.disk.write(&staged_file(role), &now),
            (Some(_), None) => self.disk.remove(&staged_file(role)),
            _ => Ok(()),
        }
    }

    // The order is the promise: nothing is led to before it is there.
    fn carry_out(
        &mut self,
        plan: &Plan,
        files: &BTreeMap<String, Vec<u8>>,
        staged_images: &BTreeSet<String>,
    ) -> Result<Vec<String>, Fault> {
        let mut images = Vec::new();
        for listed in plan.roles.values().flat_map(Draft::targets) {
            let file = image_file("", listed.name, &listed.hashes.naming());
            if staged_images.contains(file.trim_start_matches('/'))
                && self.disk.open(&format!("{STAGED_IMAGES}{file}"))?.is_some()
            {
                self.disk.rename(&format!("{STAGED_IMAGES}{file}"), &format!("{TARGETS}{file}"))?;
                images.push(listed.name.to_owned());
            }
        }
        let root = plan.root.as_ref().map(|root| metadata_file(root.version(), "root"));
        let timestamp = timestamp_file();
        let is_last = |file: &&String| **file == timestamp || Some(*file) == root.as_ref();
        for file in files.keys().filter(|file| !is_last(file)) {
            self.put(file, files)?;
        }
        // With the keys that were, either of the two may come first, and this way the root stands for all the rest. Without
        // them no timestamp is good under both roots, so that the root must come first.
        match (&root, plan.old_keys) {
            (Some(root), OldKeys::Gone) if self.published.is_some() => {
                self.put(root, files)?;
                self.put(&timestamp, files)?;
            }
            (root, _) => {
                self.put(&timestamp, files)?;
                root.as_ref().map_or(Ok(()), |root| self.put(root, files))?;
            }
        }
        self.settle(plan)?;
        Ok(images)
    }

    fn put(&self, file: &str, files: &BTreeMap<String, Vec<u8>>) -> Result<(), Fault> {
        files.get(file).map_or(Ok(()), |octets| self.disk.write(file, octets))
    }

    // What was published is staged no longer.
    fn settle(&mut self, plan: &Plan) -> Result<(), Fault> {
        for role in plan.roles.keys() {
            self.staged.roles.remove(role);
            self.disk.remove(&staged_file(role))?;
        }
        if plan.root.is_some() {
            self.staged.root = None;
            self.disk.remove(&staged_file("root"))?;
        }
        if self.staged.snapshot.take().is_some() {
            self.disk.remove(&staged_file(Top::Snapshot.name()))?;
        }
        if self.staged.timestamp.take().is_some() {
            self.disk.remove(&staged_file(Top::Timestamp.name()))?;
        }
        let announced: BTreeSet<String> = self.staged.roles.values().flat_map(files_of_images).collect();
        for file in self.disk.list(STAGED_IMAGES)?.into_iter().filter(|file| !announced.contains(file)) {
            self.disk.remove(&format!("{STAGED_IMAGES}/{file}"))?;
        }
        self.published = self.published.take().map_or_else(|| Published::first(plan), |known| Some(known.after(plan)));
        Ok(())
    }
}

pub(crate) fn files_of_images(draft: &Draft<Targets>) -> Vec<String> {
    let file = |listed: update::tuf::write::Listed<'_>| image_file("", listed.name, &listed.hashes.naming());
    draft.targets().map(file).map(|file| file.trim_start_matches('/').to_owned()).collect()
}

fn versions(plan: &Plan) -> Vec<(String, u64)> {
    let roles = plan.roles.iter().map(|(role, draft)| (role.clone(), draft.version()));
    let tops = [
        plan.snapshot.as_ref().map(|draft| ("snapshot".to_owned(), draft.version())),
        plan.timestamp.as_ref().map(|draft| ("timestamp".to_owned(), draft.version())),
        plan.root.as_ref().map(|draft| ("root".to_owned(), draft.version())),
    ];
    roles.chain(tops.into_iter().flatten()).collect()
}

fn files_of(plan: &Plan) -> BTreeMap<String, Vec<u8>> {
    let roles = plan.roles.iter().map(|(role, draft)| (metadata_file(draft.version(), role), draft.write()));
    let tops = [
        plan.snapshot.as_ref().map(|draft| (metadata_file(draft.version(), "snapshot"), draft.write())),
        plan.timestamp.as_ref().map(|draft| (timestamp_file(), draft.write())),
        plan.root.as_ref().map(|draft| (metadata_file(draft.version(), "root"), draft.write())),
    ];
    roles.chain(tops.into_iter().flatten()).collect()
}

impl Published {
    fn first(plan: &Plan) -> Option<Self> {
        Some(Self {
            root: plan.root.clone()?,
            timestamp: plan.timestamp.clone()?,
            snapshot: plan.snapshot.clone()?,
            roles: plan.roles.clone(),
        })
    }
    fn after(mut self, plan: &Plan) -> Self {
        self.roles.extend(plan.roles.clone());
        self.root = plan.root.clone().unwrap_or(self.root);
        self.snapshot = plan.snapshot.clone().unwrap_or(self.snapshot);
        self.timestamp = plan.timestamp.clone().unwrap_or(self.timestamp);
        self
    }
}
