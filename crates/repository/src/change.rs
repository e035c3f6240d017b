//! Changes that are staged: nobody sees them before they are published.

use crate::NAME_LEN_MAX;
use crate::fault::Fault;
use crate::release::Release;
use crate::state::{FIRST, Repository, check_role_name, enough, staged_file};
use model::UnixTime;
use std::collections::BTreeSet;
use std::io::{Read, Seek};
use update::tuf::write::{Body, Custom, Delegation, Draft, Key, Signers, Together, Top};
use update::tuf::{BadMetadata, Targets};
use update::{Image, Threshold};

/// What is left to whom.
#[derive(Clone, Debug)]
pub struct Leave {
    /// The role that leaves it.
    pub from: String,
    /// To whom.
    pub to: Delegation,
}

/// What a role is to say as another one does.
#[derive(Clone, Copy, Debug)]
pub struct Agreement<'a> {
    /// Of which target.
    pub target: &'a str,
    /// The role that is to say it.
    pub role: &'a str,
    /// The role that says it.
    pub with: &'a str,
    /// From when on it may be put on devices.
    pub not_before: Option<UnixTime>,
    /// Until when.
    pub not_after: Option<UnixTime>,
}

/// Other signers for a role.
#[derive(Clone, Debug, Default)]
pub struct Rotation {
    /// Keys that sign from now on.
    pub add: Vec<Key>,
    /// Identifiers of those that do not any longer, or the beginnings of them.
    pub remove: Vec<String>,
    /// How many must sign from now on; as before if nothing is said.
    pub threshold: Option<Threshold>,
}

impl Repository {
    /// Stages an image under a name, with nothing besides. Gives the role that will announce it: `role`, or the bin of this
    /// name, or `targets`.
    ///
    /// # Errors
    /// As [`Repository::add_release`].
    pub fn add<S: Read + Seek>(
        &mut self,
        name: &str,
        source: &mut S,
        custom: Option<&Custom>,
        role: Option<&str>,
        now: UnixTime,
    ) -> Result<(String, Image), Fault> {
        let added = self.add_release(name, source, Release { custom, role, ..Release::default() }, now)?;
        Ok((added.role, added.image))
    }

    /// Stages that a target is announced no longer, nor what goes with it. Gives the roles that did.
    ///
    /// # Errors
    /// [`Fault::NoTarget`], [`Fault::Disk`].
    pub fn remove(&mut self, name: &str, now: UnixTime) -> Result<Vec<String>, Fault> {
        let mut names = self.attached_to(name);
        names.insert(name.to_owned());
        let announces = |role: &String, names: &BTreeSet<String>| {
            let draft = self.role(role);
            draft.is_some_and(|draft| draft.targets().any(|listed| names.contains(listed.name)))
        };
        let only = BTreeSet::from([name.to_owned()]);
        if !self.role_names().iter().any(|role| announces(role, &only)) {
            return Err(Fault::NoTarget(name.to_owned()));
        }
        let roles: Vec<String> = self.role_names().into_iter().filter(|role| announces(role, &names)).collect();
        for role in &roles {
            self.edit(role, now, |body| {
                for name in &names {
                    body.remove_target(name);
                }
                Ok(())
            })?;
        }
        Ok(roles)
    }

    /// Stages that targets are left to a role. One that is new begins with nothing.
    ///
    /// # Errors
    /// [`Fault`]
    pub fn delegate(&mut self, leave: &Leave, now: UnixTime) -> Result<(), Fault> {
        let to = &leave.to;
        check_role_name(&to.name)?;
        enough(&to.name, &to.keys, to.threshold)?;
        self.edit(&leave.from, now, |body| body.delegate(to).map_err(Fault::metadata(&leave.from)))?;
        self.begin_role(&to.name, now)
    }

    /// Stages that targets are left to several roles that must agree (TAP 3). Those that are new begin with nothing.
    ///
    /// # Errors
    /// [`Fault`]; [`Fault::Metadata`] with [`BadMetadata::SharedKey`] if two of them have a key in common.
    pub fn delegate_together(&mut self, from: &str, to: &Together, now: UnixTime) -> Result<(), Fault> {
        check_role_name(&to.name)?;
        for role in &to.roles {
            check_role_name(&role.name)?;
            enough(&role.name, &role.keys, role.threshold)?;
        }
        self.edit(from, now, |body| body.delegate_together(to).map_err(Fault::metadata(from)))?;
        to.roles.iter().try_for_each(|role| self.begin_role(&role.name, now))
    }

    /// Stages that a role says of a target, and of what goes with it, what another role says, for a time.
    /// Gives the names.
    ///
    /// # Errors
    /// [`Fault::NoRole`]; [`Fault::NoTarget`] if the other role does not announce it; [`Fault::NotAsked`]; [`Fault::Disk`].
    pub fn agree(&mut self, asked: &Agreement<'_>, now: UnixTime) -> Result<Vec<String>, Fault> {
        let Agreement { target, role, with, not_before, not_after } = *asked;
        let other = self.role(with).cloned().ok_or_else(|| Fault::NoRole(with.to_owned()))?;
        if !other.targets().any(|listed| listed.name == target) {
            return Err(Fault::NoTarget(target.to_owned()));
        }
        let attached = self.attached_to(target);
        let has = |name: &String| other.targets().any(|listed| listed.name == *name);
        let names: Vec<String> = std::iter::once(target.to_owned()).chain(attached.into_iter().filter(has)).collect();
        for name in &names {
            self.role_for(name, Some(role))?;
        }
        self.edit(role, now, |body| {
            for name in &names {
                body.agree(name, &other, not_before, not_after).map_err(Fault::metadata(role))?;
            }
            Ok(())
        })?;
        Ok(names)
    }

    /// Stages that nothing is left to a role any longer. What it says stays in snapshots, or clients take it for an attack.
    ///
    /// # Errors
    /// [`Fault::NoRole`], [`Fault::Disk`].
    pub fn withdraw(&mut self, role: &str, now: UnixTime) -> Result<Vec<String>, Fault> {
        let parents = self.parents_of(role);
        for parent in &parents {
            self.edit(parent, now, |body| {
                body.withdraw(role);
                Ok(())
            })?;
        }
        if parents.is_empty() { Err(Fault::NoRole(role.to_owned())) } else { Ok(parents) }
    }

    /// Stages other signers for a role. What it says is signed anew when it is published.
    ///
    /// # Errors
    /// [`Fault::NoRole`], [`Fault::TooFewKeys`], [`Fault::Metadata`], [`Fault::Disk`].
    pub fn rotate(&mut self, role: &str, rotation: &Rotation, now: UnixTime) -> Result<(), Fault> {
        let signers = self.signers_of(role).ok_or_else(|| Fault::NoRole(role.to_owned()))?;
        let removed = |key: &Key| rotation.remove.iter().any(|id| !id.is_empty() && key.id().starts_with(id.as_str()));
        let mut keys: Vec<Key> = signers.keys().into_iter().filter(|key| !removed(key)).collect();
        keys.extend(rotation.add.iter().cloned());
        let before = u8::try_from(signers.threshold()).ok().and_then(Threshold::new);
        let threshold = rotation.threshold.or(before).ok_or_else(|| Fault::TooFewKeys(role.to_owned()))?;
        enough(role, &keys, threshold)?;
        if let Some(top) = Top::by_name(role) {
            let end = self.lifetimes.end(Some(Top::Root), now);
            let mut body = match (&self.staged.root, &self.published) {
                (Some(staged), _) => staged.body().expiring(end),
                (None, Some(published)) => published.root.body().next(end).map_err(Fault::metadata("root"))?,
                (None, None) => return Err(Fault::NoRepository),
            };
            body.assign(top, &keys, threshold);
            let draft = body.draft().map_err(Fault::metadata("root"))?;
            self.disk.write(&staged_file("root"), &draft.write())?;
            self.staged.root = Some(draft);
            return Ok(());
        }
        for parent in self.parents_of(role) {
            self.edit(&parent, now, |body| {
                body.assign(role, &keys, threshold);
                Ok(())
            })?;
        }
        Ok(())
    }

    /// Stages a file that was signed elsewhere: signatures for what is staged here, or what a supplier wrote himself. Gives
    /// the number of signatures that are new.
    ///
    /// # Errors
    /// [`Fault::Metadata`]: [`BadMetadata::OtherOctets`] if it says something other than what is staged.
    pub fn take(&mut self, role: &str, octets: &[u8]) -> Result<usize, Fault> {
        let bad = || Fault::metadata(role.to_owned());
        let file = staged_file(role);
        let (taken, octets) = match (Top::by_name(role), self.staged.roles.get_mut(role)) {
            (Some(Top::Root), _) => merge(self.staged.root.as_mut(), octets).map_err(bad())?,
            (Some(Top::Timestamp), _) => merge(self.staged.timestamp.as_mut(), octets).map_err(bad())?,
            (Some(Top::Snapshot), _) => merge(self.staged.snapshot.as_mut(), octets).map_err(bad())?,
            (_, Some(staged)) => merge(Some(staged), octets).map_err(bad())?,
            (_, None) => {
                if self.signers_of(role).is_none() {
                    return Err(Fault::NoRole(role.to_owned()));
                }
                let draft = Draft::<Targets>::decode(octets).map_err(bad())?;
                let octets = draft.write();
                self.staged.roles.insert(role.to_owned(), draft);
                (0, octets)
            }
        };
        self.disk.write(&file, &octets)?;
        Ok(taken)
    }

    /// Stages the same once more, for longer.
    pub(crate) fn prolong(&mut self, role: &str, now: UnixTime) -> Result<(), Fault> {
        if role != "root" {
            return self.edit(role, now, |_| Ok(()));
        }
        self.rotate("root", &Rotation::default(), now)
    }

    // Changes a targets role: what is staged of it, or what is published, in its next version.
    pub(crate) fn edit<T>(
        &mut self,
        role: &str,
        now: UnixTime,
        change: impl FnOnce(&mut Body<Targets>) -> Result<T, Fault>,
    ) -> Result<T, Fault> {
        let end = self.lifetimes.end(Some(Top::Targets), now);
        let published = self.published.as_ref().and_then(|published| published.roles.get(role));
        let mut body = match (self.staged.roles.get(role), published) {
            (Some(staged), _) => staged.body().expiring(end),
            (None, Some(published)) => published.body().next(end).map_err(Fault::metadata(role))?,
            (None, None) => return Err(Fault::NoRole(role.to_owned())),
        };
        let changed = change(&mut body)?;
        self.stage(role, body)?;
        Ok(changed)
    }

    pub(crate) fn stage(&mut self, role: &str, body: Body<Targets>) -> Result<(), Fault> {
        let file = staged_file(role);
        let draft = body.draft().map_err(Fault::metadata(&file))?;
        self.disk.write(&file, &draft.write())?;
        self.staged.roles.insert(role.to_owned(), draft);
        Ok(())
    }

    pub(crate) fn begin_role(&mut self, role: &str, now: UnixTime) -> Result<(), Fault> {
        if self.role(role).is_some() {
            return Ok(());
        }
        let body = Body::<Targets>::new(self.lifetimes.end(None, now));
        self.stage(role, body)
    }

    /// Who signs for a role, as it will be.
    pub(crate) fn signers_of(&self, role: &str) -> Option<Signers> {
        if let Some(top) = Top::by_name(role) {
            return Some(Signers::of_top(self.root()?, top));
        }
        let delegated = self.led_to().into_iter().filter_map(|name| self.role(&name)).flat_map(Draft::delegated);
        delegated.into_iter().find(|one| one.name == role).map(|one| one.signers)
    }

    fn parents_of(&self, role: &str) -> Vec<String> {
        let delegates = |name: &String| {
            let draft = self.role(name);
            draft.is_some_and(|draft| draft.delegated().iter().any(|one| one.name == role))
        };
        self.led_to().into_iter().filter(delegates).collect()
    }

    // The roles to which something is left, as it will be. Others are in snapshots for ever, and asked by nobody.
    fn led_to(&self) -> BTreeSet<String> {
        let (mut visited, mut to_visit) = (BTreeSet::new(), vec![FIRST.to_owned()]);
        while let Some(role) = to_visit.pop() {
            if visited.insert(role.clone()) {
                let delegated = self.role(&role).map(Draft::delegated).unwrap_or_default();
                to_visit.extend(delegated.into_iter().map(|one| one.name));
            }
        }
        visited
    }

    pub(crate) fn role_for(&self, name: &str, role: Option<&str>) -> Result<String, Fault> {
        let first = self.role(FIRST).ok_or_else(|| Fault::NoRole(FIRST.to_owned()))?;
        let bin = || first.asked_about(name).into_iter().next().filter(|_| first.is_in_bins());
        let role = role.map_or_else(|| bin().unwrap_or_else(|| FIRST.to_owned()), str::to_owned);
        if self.role(&role).is_none() {
            return Err(Fault::NoRole(role));
        }
        let (mut visited, mut to_visit) = (BTreeSet::new(), vec![FIRST.to_owned()]);
        while let Some(next) = to_visit.pop() {
            if visited.insert(next.clone()) {
                to_visit.extend(self.role(&next).map(|draft| draft.asked_about(name)).unwrap_or_default());
            }
        }
        if visited.contains(&role) { Ok(role) } else { Err(Fault::NotAsked { role, target: name.to_owned() }) }
    }
}

// The parts of a name are folders and files here, so this comes before anything is written under it.
pub(crate) fn check_image_name(name: &str) -> Result<(), Fault> {
    let nothing = Image { digest: x509::sha256(b""), length: 0 };
    let allowed = Body::<Targets>::new(UnixTime::NO_EXPIRY).set_target(name, nothing, None).is_ok();
    let short = name.split('/').all(|part| part.len() <= NAME_LEN_MAX);
    if allowed && short { Ok(()) } else { Err(Fault::BadTargetName(name.to_owned())) }
}

fn merge<R: update::tuf::Role>(staged: Option<&mut Draft<R>>, octets: &[u8]) -> Result<(usize, Vec<u8>), BadMetadata> {
    let other = Draft::decode(octets)?;
    let staged = staged.ok_or(BadMetadata::OtherOctets)?;
    let taken = staged.merge(&other)?;
    Ok((taken, staged.write()))
}
