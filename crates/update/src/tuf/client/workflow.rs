//! The workflow itself: what a client makes of each file that it is given.

use super::super::envelope::{Envelope, Role, Signed};
use super::super::fault::BadMetadata;
use super::super::keys::{Keys, Rule};
use super::super::names::{role_file, versioned};
use super::super::roles::{MetaFile, Root, Snapshot, Targets, Timestamp};
use super::super::search::Search;
use super::{Act, Client, ROOT, SNAPSHOT, State, TARGETS, TIMESTAMP};

/// Root. Source: TUF 1.0.34 §5.2, §5.3.
impl Client {
    // §5.2: the root that came with the device, or was kept. It must stand by itself.
    pub(super) fn begin_with(&mut self, octets: &[u8]) -> Result<(), BadMetadata> {
        let root = Envelope::<Root>::decode(octets)?;
        root.check(&root.signed.role.keys, &root.signed.role.root)?;
        self.root = Some(root.signed);
        self.next_root()
    }

    fn next_root(&mut self) -> Result<(), BadMetadata> {
        // §5.3.3: more than this many in one go are for the next one; the last that was verified is good.
        if self.rotations == self.limits.root_rotations_max {
            return self.settle_root();
        }
        let version = self.root.as_ref().map_or(0, |root| root.version).saturating_add(1);
        self.go(State::FetchRoot, &versioned(version, ROOT));
        Ok(())
    }

    pub(super) fn rotate(&mut self, octets: Vec<u8>) -> Result<(), BadMetadata> {
        let new = Envelope::<Root>::decode(&octets)?;
        let before = self.root.as_ref().ok_or(BadMetadata::OutOfStep)?;
        // §5.3.4: signed by as many as the root before wants, and by as many as it wants itself.
        new.check(&before.role.keys, &before.role.root)?;
        new.check(&new.signed.role.keys, &new.signed.role.root)?;
        // §5.3.5: the next version, and no other.
        if Some(new.signed.version) != before.version.checked_add(1) {
            return Err(BadMetadata::NotNextRoot);
        }
        // §5.3.11: whoever had a key that is gone may have moved the versions far ahead. What is kept is forgotten
        // before the new root is persisted, so that an interruption between the two is no way around it.
        if new.signed.role.takes_keys_of(&before.role) {
            self.acts.push_back(Act::Forget(TIMESTAMP.to_owned()));
            self.acts.push_back(Act::Forget(SNAPSHOT.to_owned()));
        }
        // §5.3.8: as received, and before the next one is asked for.
        self.persist(ROOT, octets);
        self.root = Some(new.signed);
        self.rotations += 1;
        self.next_root()
    }

    // §5.3.10: only the last root must not have expired.
    pub(super) fn settle_root(&mut self) -> Result<(), BadMetadata> {
        ROOT.clone_into(&mut self.file);
        self.root.as_ref().ok_or(BadMetadata::OutOfStep)?.is_current(self.now)?;
        self.go(State::LoadTimestamp, TIMESTAMP);
        Ok(())
    }
}

/// Timestamp and snapshot. Source: TUF 1.0.34 §5.4, §5.5.
impl Client {
    // What is kept and does not verify is as good as nothing.
    pub(super) fn recall_timestamp(&mut self, octets: Option<Vec<u8>>) -> Result<(), BadMetadata> {
        let root = self.root()?;
        self.timestamp = octets.and_then(|octets| verified(&octets, &root.keys, &root.timestamp).ok());
        self.go(State::FetchTimestamp, TIMESTAMP);
        Ok(())
    }

    pub(super) fn take_timestamp(&mut self, octets: Vec<u8>) -> Result<(), BadMetadata> {
        let root = self.root()?;
        let new: Signed<Timestamp> = verified(&octets, &root.keys, &root.timestamp)?;
        if let Some(kept) = &self.timestamp {
            // §5.4.3.1: never older. The same version is nothing new, whatever else is in it.
            if new.version < kept.version {
                return Err(BadMetadata::RolledBack);
            }
            if new.version == kept.version {
                kept.is_current(self.now)?;
                self.go(State::LoadSnapshot, SNAPSHOT);
                return Ok(());
            }
            // §5.4.3.2
            if new.role.snapshot.version < kept.role.snapshot.version {
                return Err(BadMetadata::RolledBack);
            }
        }
        // §5.4.4
        new.is_current(self.now)?;
        self.timestamp = Some(new);
        self.persist(TIMESTAMP, octets);
        self.go(State::LoadSnapshot, SNAPSHOT);
        Ok(())
    }

    fn announced_snapshot(&self) -> Result<&MetaFile, BadMetadata> {
        self.timestamp.as_ref().map(|timestamp| &timestamp.role.snapshot).ok_or(BadMetadata::OutOfStep)
    }

    pub(super) fn recall_snapshot(&mut self, octets: Option<Vec<u8>>) -> Result<(), BadMetadata> {
        let root = self.root()?;
        let kept = octets.and_then(|octets| Some((verified(&octets, &root.keys, &root.snapshot).ok()?, octets)));
        let announced = self.announced_snapshot()?;
        let version = announced.version;
        if let Some((kept, octets)) = kept {
            let kept: Signed<Snapshot> = kept;
            let is_it = kept.version == version && announced.hold(&octets).is_ok() && kept.is_current(self.now).is_ok();
            if is_it {
                self.snapshot = Some(kept);
                return self.begin_targets();
            }
            self.snapshot_before = Some(kept);
        }
        let file = self.file_of(version, "snapshot")?;
        self.go(State::FetchSnapshot, &file);
        Ok(())
    }

    pub(super) fn take_snapshot(&mut self, octets: Vec<u8>) -> Result<(), BadMetadata> {
        let announced = self.announced_snapshot()?;
        // §5.5.2: before anything in it is looked at.
        announced.hold(&octets)?;
        let root = self.root()?;
        let new: Signed<Snapshot> = verified(&octets, &root.keys, &root.snapshot)?;
        // §5.5.4
        if new.version != announced.version {
            return Err(BadMetadata::OtherVersion);
        }
        // §5.5.5
        if let Some(before) = &self.snapshot_before {
            if new.version < before.version {
                return Err(BadMetadata::RolledBack);
            }
            new.role.follows(&before.role)?;
        }
        // §5.5.6
        new.is_current(self.now)?;
        self.snapshot = Some(new);
        self.persist(SNAPSHOT, octets);
        self.begin_targets()
    }
}

/// Targets, and whom they delegate to. Source: TUF 1.0.34 §5.6.
impl Client {
    fn begin_targets(&mut self) -> Result<(), BadMetadata> {
        self.go(State::LoadTargets, &role_file(TARGETS));
        self.meta_of(TARGETS).map(|_| ())
    }

    pub(super) fn recall_targets(&mut self, octets: Option<Vec<u8>>) -> Result<(), BadMetadata> {
        let root = self.root()?;
        let kept = octets.and_then(|octets| self.check_targets(&octets, TARGETS, &root.keys, &root.targets).ok());
        if kept.is_some() {
            self.targets = kept;
            self.go(State::Refreshed, &role_file(TARGETS));
            return Ok(());
        }
        let file = self.file_of(self.meta_of(TARGETS)?.version, TARGETS)?;
        self.go(State::FetchTargets, &file);
        Ok(())
    }

    pub(super) fn take_targets(&mut self, octets: Vec<u8>) -> Result<(), BadMetadata> {
        let root = self.root()?;
        self.targets = Some(self.check_targets(&octets, TARGETS, &root.keys, &root.targets)?);
        self.persist(&role_file(TARGETS), octets);
        self.go(State::Refreshed, &role_file(TARGETS));
        Ok(())
    }

    // §5.6.2 to §5.6.5, the same for what is kept and for what was fetched.
    fn check_targets(
        &self,
        octets: &[u8],
        role: &str,
        keys: &Keys,
        rule: &Rule,
    ) -> Result<Signed<Targets>, BadMetadata> {
        let announced = self.meta_of(role)?;
        announced.hold(octets)?;
        let targets: Signed<Targets> = verified(octets, keys, rule)?;
        if targets.version != announced.version {
            return Err(BadMetadata::OtherVersion);
        }
        targets.is_current(self.now)?;
        Ok(targets)
    }

    fn check_delegated(&self, octets: &[u8]) -> Result<(String, Signed<Targets>), BadMetadata> {
        let hop = self.search.as_ref().and_then(Search::next).ok_or(BadMetadata::OutOfStep)?;
        Ok((hop.name.clone(), self.check_targets(octets, &hop.name, &hop.keys, &hop.rule)?))
    }

    pub(super) fn go_on_searching(&mut self) -> Result<(), BadMetadata> {
        let Some(search) = &mut self.search else { return Err(BadMetadata::OutOfStep) };
        let next = search.advance()?.map(|hop| hop.name.clone());
        match next {
            Some(role) => {
                self.go(State::LoadDelegated, &role_file(&role));
                self.meta_of(&role).map(|_| ())
            }
            None => {
                self.go(State::Refreshed, &role_file(TARGETS));
                Ok(())
            }
        }
    }

    pub(super) fn recall_delegated(&mut self, octets: Option<Vec<u8>>) -> Result<(), BadMetadata> {
        if let Some((role, kept)) = octets.and_then(|octets| self.check_delegated(&octets).ok()) {
            return self.visit(&role, &kept);
        }
        let role = self.search.as_ref().and_then(Search::next).ok_or(BadMetadata::OutOfStep)?.name.clone();
        let file = self.file_of(self.meta_of(&role)?.version, &role)?;
        self.go(State::FetchDelegated, &file);
        Ok(())
    }

    // §5.6.7: a role that is not valid ends this search. It is not kept, and no other search comes by it.
    pub(super) fn take_delegated(&mut self, octets: Vec<u8>) -> Result<(), BadMetadata> {
        let (role, new) = self.check_delegated(&octets)?;
        self.persist(&role_file(&role), octets);
        self.visit(&role, &new)
    }

    fn visit(&mut self, role: &str, targets: &Signed<Targets>) -> Result<(), BadMetadata> {
        if let Some(search) = &mut self.search {
            search.visit(role, &targets.role);
        }
        self.go_on_searching()
    }
}

fn verified<R: Role>(octets: &[u8], keys: &Keys, rule: &Rule) -> Result<Signed<R>, BadMetadata> {
    Envelope::decode(octets)?.verify(keys, rule)
}
