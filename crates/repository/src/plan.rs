//! What can be published of what is staged: signed here by whoever can, and complete with all that it leads to.

use crate::fault::Fault;
use crate::state::{FIRST, Lifetimes, Published, Repository, Staged};
use model::UnixTime;
use ports::Signer;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use update::tuf::write::{Body, Draft, NotSigned, Signers, Top};
use update::tuf::{BadMetadata, Role, Root, Snapshot, Targets, Timestamp};

/// Deepest delegation from a delegation. Clients visit at most 32 roles for one target.
const DEPTH_MAX: usize = 32;
/// From how many roles on a snapshot announces versions only: with a hash for each it would be longer than clients take.
const HASHED_ROLES_MAX: usize = 1024;

/// Whether those who signed until now sign along when the root gives a role to others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OldKeys {
    /// They do: a client follows at every moment.
    Sign,
    /// They cannot any more. Between two steps of the publication a client is refused, and follows after.
    Gone,
}

/// Something that is staged and not published yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Waiting {
    /// Of which role.
    pub role: String,
    /// In which version.
    pub version: u64,
    /// What it waits for.
    pub why: Why,
}

/// What something that is staged waits for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Why {
    /// For signatures: so many, of these keys.
    Signatures {
        /// How many.
        missing: usize,
        /// The identifiers of those who have not signed.
        keys: Vec<String>,
    },
    /// For another role to which it leads.
    Role(String),
    /// For an image that is neither staged nor published.
    Image(String),
    /// For being staged anew: it has expired.
    Expired,
    /// For being staged anew: its version was published meanwhile.
    Overtaken,
    /// For somebody who leaves targets to it.
    NobodyLeads,
    /// For the other roles: they must be signed by the keys that this root gives them.
    Followers,
}

/// What is to be published, complete.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) root: Option<Draft<Root>>,
    pub(crate) roles: BTreeMap<String, Draft<Targets>>,
    pub(crate) snapshot: Option<Draft<Snapshot>>,
    pub(crate) timestamp: Option<Draft<Timestamp>>,
    pub(crate) old_keys: OldKeys,
}

/// What a plan is made of.
pub(crate) struct Planner<'a> {
    pub(crate) keys: &'a [Arc<dyn Signer>],
    pub(crate) now: UnixTime,
    pub(crate) old_keys: OldKeys,
    /// What expires before this is said anew, if nothing else is new.
    pub(crate) renew_before: UnixTime,
    pub(crate) lifetimes: Lifetimes,
    pub(crate) published: Option<&'a Published>,
    pub(crate) staged: Staged,
    pub(crate) waiting: Vec<Waiting>,
    /// Whether an image is staged or published: its name, and the hash that names its file.
    pub(crate) has_image: &'a dyn Fn(&str, &str) -> bool,
}

impl Repository {
    pub(crate) fn planner<'a>(
        &'a self,
        keys: &'a [Arc<dyn Signer>],
        now: UnixTime,
        old_keys: OldKeys,
        has_image: &'a dyn Fn(&str, &str) -> bool,
    ) -> Planner<'a> {
        let (published, staged) = (self.published.as_ref(), self.staged.clone());
        let (lifetimes, waiting) = (self.lifetimes, Vec::new());
        Planner { keys, now, old_keys, renew_before: now, lifetimes, published, staged, waiting, has_image }
    }
}

impl Planner<'_> {
    /// Finds what can be published. What has been signed on the way, and what still waits, is left in the planner. `None`
    /// if there is nothing.
    pub(crate) fn plan(&mut self) -> Result<Option<Plan>, Fault> {
        let root = self.take_root()?;
        let with_root = root.is_some();
        match self.plan_under(root)? {
            None if with_root && self.published.is_some() => {
                // The root waits for what it gives to others; the rest may go on under the old one.
                let root = self.staged.root.as_ref().map_or(0, Draft::version);
                let waiting = std::mem::take(&mut self.waiting);
                let held = self.hold_back();
                let plan = self.plan_under(None)?;
                self.staged.roles.extend(held.map(|draft| (FIRST.to_owned(), draft)));
                let already: BTreeSet<String> = self.waiting.iter().map(|one| one.role.clone()).collect();
                self.waiting.extend(waiting.into_iter().filter(|one| !already.contains(&one.role)));
                self.wait("root", root, Why::Followers);
                Ok(plan)
            }
            plan => Ok(plan),
        }
    }

    fn wait(&mut self, role: &str, version: u64, why: Why) {
        self.waiting.push(Waiting { role: role.to_owned(), version, why });
    }

    // What only says the same anew, for the keys that the next root gives it, is of no use before that root.
    fn hold_back(&mut self) -> Option<Draft<Targets>> {
        let (staged, published) = (self.staged.roles.get(FIRST)?, self.published?.roles.get(FIRST)?);
        let anew = published.body().in_version(staged.version()).expiring(staged.expires()).draft().ok()?;
        if anew.says_the_same(staged) { self.staged.roles.remove(FIRST) } else { None }
    }

    // The staged root, signed, if the root before it and it itself have enough signatures.
    fn take_root(&mut self) -> Result<Option<Draft<Root>>, Fault> {
        let Some(mut root) = self.staged.root.clone() else { return Ok(None) };
        let mut rules = vec![Signers::of_top(&root, Top::Root)];
        rules.extend(self.published.map(|published| Signers::of_top(&published.root, Top::Root)));
        self.sign(&mut root, &rules)?;
        self.staged.root = Some(root.clone());
        let version = root.version();
        let expected = self.published.map_or(1, |published| published.root.version().saturating_add(1));
        let why = match self.lacks(&root, &rules) {
            _ if version != expected => Some(Why::Overtaken),
            None if root.expires() <= self.now => Some(Why::Expired),
            why => why,
        };
        match why {
            Some(why) => {
                self.wait("root", version, why);
                Ok(None)
            }
            None => Ok(Some(root)),
        }
    }

    // Everybody who must sign for one of the four: those of the root that clients have, and those of the next one.
    fn rules(&self, role: Top, next: Option<&Draft<Root>>) -> Vec<Signers> {
        let before = self.published.map(|published| Signers::of_top(&published.root, role));
        let next = next.map(|root| Signers::of_top(root, role));
        match (before, next, self.old_keys) {
            (_, Some(next), OldKeys::Gone) => vec![next],
            // A first root that is not complete says already who is to sign.
            (None, None, _) => self.staged.root.iter().map(|root| Signers::of_top(root, role)).collect(),
            (before, next, _) => before.into_iter().chain(next).collect(),
        }
    }

    fn plan_under(&mut self, root: Option<Draft<Root>>) -> Result<Option<Plan>, Fault> {
        let rules = self.rules(Top::Targets, root.as_ref());
        self.sign_roles(&rules)?;
        let Some(roles) = self.choose_all(&rules) else { return Ok(None) };
        if root.is_none() && self.published.is_none() {
            return Ok(None);
        }
        let Some(snapshot) = self.snapshot(root.as_ref(), &roles)? else { return Ok(None) };
        let Some(timestamp) = self.timestamp(root.as_ref(), snapshot.as_ref())? else { return Ok(None) };
        if root.is_none() && snapshot.is_none() && timestamp.is_none() {
            return Ok(None);
        }
        Ok(Some(Plan { root, roles, snapshot, timestamp, old_keys: self.old_keys }))
    }

    // Signs what is staged of targets roles, and has what is published said anew where its signers are others now.
    fn sign_roles(&mut self, rules: &[Signers]) -> Result<(), Fault> {
        let mut visited = BTreeSet::new();
        let mut to_visit = vec![(FIRST.to_owned(), rules.to_vec())];
        while let Some((role, rules)) = to_visit.pop() {
            if !visited.insert(role.clone()) {
                continue;
            }
            let published = self.published.and_then(|published| published.roles.get(&role));
            let must = if role == FIRST { rules.as_slice() } else { rules.get(..1).unwrap_or_default() };
            let others = published.is_some_and(|draft| self.lacks(draft, must).is_some());
            if let (true, false, Some(draft)) = (others, self.staged.roles.contains_key(&role), published) {
                let end = self.lifetimes.end(None, self.now);
                let body = draft.body().next(end).map_err(Fault::metadata(&role))?;
                self.staged.roles.insert(role.clone(), body.draft().map_err(Fault::metadata(&role))?);
            }
            let staged = self.staged.roles.get(&role).cloned();
            // As it will be delegated comes first; as it is delegated now counts too, if that has to wait.
            let mut delegated: BTreeMap<String, Vec<Signers>> = BTreeMap::new();
            for one in staged.iter().chain(published).flat_map(Draft::delegated) {
                delegated.entry(one.name).or_default().push(one.signers);
            }
            to_visit.extend(delegated);
            if let Some(mut draft) = staged {
                self.sign(&mut draft, &rules)?;
                self.staged.roles.insert(role, draft);
            }
        }
        Ok(())
    }

    // What is staged and can be published, role by role; `None` if the first role itself cannot be what it must be.
    fn choose_all(&mut self, rules: &[Signers]) -> Option<BTreeMap<String, Draft<Targets>>> {
        let mut taken = BTreeMap::new();
        let chosen = self.choose(FIRST, rules, 0, &mut taken);
        let roles: Vec<(String, u64)> =
            self.staged.roles.iter().map(|(role, draft)| (role.clone(), draft.version())).collect();
        for (role, version) in roles {
            if taken.contains_key(&role) {
                continue;
            }
            let rules = if role == FIRST { rules.to_vec() } else { self.rules_of(&role) };
            let why = self.staged.roles.get(&role).and_then(|draft| self.hindered(&role, draft, &rules, 0));
            // One that is ready itself is not led to yet.
            self.wait(&role, version, why.unwrap_or(Why::NobodyLeads));
        }
        chosen.then_some(taken)
    }

    fn rules_of(&self, role: &str) -> Vec<Signers> {
        let published = self.published.iter().flat_map(|published| published.roles.iter());
        let known: BTreeMap<&String, &Draft<Targets>> = published.chain(self.staged.roles.iter()).collect();
        let mut delegated = known.values().flat_map(|draft| draft.delegated());
        delegated.find(|one| one.name == role).map(|one| one.signers).into_iter().collect()
    }

    // Whether a role can be what its signers want: as it is staged, or else as it is published. What is staged is taken.
    fn choose(
        &self,
        role: &str,
        rules: &[Signers],
        depth: usize,
        taken: &mut BTreeMap<String, Draft<Targets>>,
    ) -> bool {
        if depth > DEPTH_MAX {
            return false;
        }
        if let Some(draft) = taken.get(role) {
            return self.lacks(draft, rules).is_none();
        }
        if let Some(draft) = self.staged.roles.get(role)
            && self.hindered(role, draft, rules, depth).is_none()
        {
            taken.insert(role.to_owned(), draft.clone());
            draft.delegated().iter().for_each(|one| {
                self.choose(&one.name, std::slice::from_ref(&one.signers), depth + 1, taken);
            });
            return true;
        }
        let published = self.published.and_then(|published| published.roles.get(role));
        let Some(draft) = published.filter(|draft| self.lacks(draft, rules).is_none()) else { return false };
        draft.delegated().iter().for_each(|one| {
            self.choose(&one.name, std::slice::from_ref(&one.signers), depth + 1, taken);
        });
        true
    }

    // Why what is staged of a role cannot be published.
    fn hindered(&self, role: &str, draft: &Draft<Targets>, rules: &[Signers], depth: usize) -> Option<Why> {
        let published = self.published.and_then(|published| published.snapshot.version_of(role)).unwrap_or(0);
        if draft.version() <= published {
            return Some(Why::Overtaken);
        }
        if let Some(why) = self.lacks(draft, rules) {
            return Some(why);
        }
        if draft.expires() <= self.now {
            return Some(Why::Expired);
        }
        let missing = draft.targets().find(|listed| !(self.has_image)(listed.name, &listed.hashes.naming()));
        if let Some(listed) = missing {
            return Some(Why::Image(listed.name.to_owned()));
        }
        let not_ready = |one: &update::tuf::write::DelegatedRole| {
            let rules = std::slice::from_ref(&one.signers);
            let staged = self.staged.roles.get(&one.name);
            let staged = staged
                .is_some_and(|draft| depth < DEPTH_MAX && self.hindered(&one.name, draft, rules, depth + 1).is_none());
            let published = self.published.and_then(|published| published.roles.get(&one.name));
            !staged && published.is_none_or(|draft| self.lacks(draft, rules).is_some())
        };
        draft.delegated().into_iter().find(not_ready).map(|one| Why::Role(one.name))
    }

    // The next snapshot: `Some(None)` if the one that is published is good; `None` if it waits.
    fn snapshot(
        &mut self,
        root: Option<&Draft<Root>>,
        roles: &BTreeMap<String, Draft<Targets>>,
    ) -> Result<Option<Option<Draft<Snapshot>>>, Fault> {
        let rules = self.rules(Top::Snapshot, root);
        let published = self.published.map(|published| &published.snapshot);
        let good = published.filter(|draft| self.lacks(draft, &rules).is_none() && draft.expires() > self.renew_before);
        if good.is_some() && roles.is_empty() {
            return Ok(Some(None));
        }
        let bad = || Fault::metadata("snapshot.json");
        let end = self.lifetimes.end(Some(Top::Snapshot), self.now);
        let mut body = match published {
            Some(draft) => draft.body().next(end).map_err(bad())?,
            None => Body::<Snapshot>::new(end),
        };
        let known = published.map_or(0, |draft| draft.versions().count());
        for (role, draft) in roles {
            let octets = draft.write();
            let hashed = known.max(roles.len()) <= HASHED_ROLES_MAX;
            body.set(role, draft.version(), hashed.then_some(octets.as_slice()));
        }
        let mut draft = kept(body, self.staged.snapshot.as_ref(), self.now).map_err(bad())?;
        self.sign(&mut draft, &rules)?;
        let why = self.lacks(&draft, &rules);
        // One that others have signed stays staged until it is published.
        self.staged.snapshot = (why.is_some() || self.staged.snapshot.is_some()).then(|| draft.clone());
        let Some(why) = why else { return Ok(Some(Some(draft))) };
        self.wait("snapshot", draft.version(), why);
        Ok(None)
    }

    fn timestamp(
        &mut self,
        root: Option<&Draft<Root>>,
        snapshot: Option<&Draft<Snapshot>>,
    ) -> Result<Option<Option<Draft<Timestamp>>>, Fault> {
        let rules = self.rules(Top::Timestamp, root);
        let published = self.published.map(|published| &published.timestamp);
        let good = published.filter(|draft| self.lacks(draft, &rules).is_none() && draft.expires() > self.renew_before);
        if good.is_some() && snapshot.is_none() {
            return Ok(Some(None));
        }
        let bad = || Fault::metadata("timestamp.json");
        let end = self.lifetimes.end(Some(Top::Timestamp), self.now);
        let body = match (published, snapshot) {
            (Some(draft), Some(snapshot)) => {
                let mut body = draft.body().next(end).map_err(bad())?;
                body.set_snapshot(snapshot.version(), &snapshot.write());
                body
            }
            (Some(draft), None) => draft.body().next(end).map_err(bad())?,
            (None, Some(snapshot)) => Body::<Timestamp>::new(end, snapshot.version(), &snapshot.write()),
            (None, None) => return Ok(None),
        };
        let mut draft = kept(body, self.staged.timestamp.as_ref(), self.now).map_err(bad())?;
        self.sign(&mut draft, &rules)?;
        let why = self.lacks(&draft, &rules);
        self.staged.timestamp = (why.is_some() || self.staged.timestamp.is_some()).then(|| draft.clone());
        let Some(why) = why else { return Ok(Some(Some(draft))) };
        // Its octets are what the timestamp announces, so they are not made anew.
        self.staged.snapshot = snapshot.cloned();
        self.wait("timestamp", draft.version(), why);
        Ok(None)
    }

    // Signs with each key here that may and has not.
    fn sign<R: Role>(&self, draft: &mut Draft<R>, rules: &[Signers]) -> Result<(), Fault> {
        for rule in rules {
            let signed: BTreeSet<String> = rule.signed(draft).into_iter().collect();
            for signer in self.keys {
                let Some(key) = rule.key(signer.public_key()).filter(|key| !signed.contains(key.id())) else {
                    continue;
                };
                match draft.sign(&key, |octets| signer.sign(octets)) {
                    Ok(()) | Err(NotSigned::Metadata(BadMetadata::SignedTwice)) => {}
                    Err(NotSigned::Metadata(bad)) => return Err(Fault::metadata(R::TYPE)(bad)),
                    Err(NotSigned::FalseSignature) => {
                        return Err(Fault::Signer(ports::SignFault(
                            "it gives signatures that are not of its public key",
                        )));
                    }
                    Err(NotSigned::Signer(fault)) => return Err(Fault::Signer(fault)),
                }
            }
        }
        Ok(())
    }

    // Which signatures a file lacks, if it does.
    fn lacks<R: Role>(&self, draft: &Draft<R>, rules: &[Signers]) -> Option<Why> {
        let lacking: Vec<&Signers> = rules.iter().filter(|rule| rule.missing(draft) > 0).collect();
        if !rules.is_empty() && lacking.is_empty() {
            return None;
        }
        let missing = lacking.iter().map(|rule| rule.missing(draft)).max().unwrap_or(1);
        let mut keys: Vec<String> = Vec::new();
        for rule in lacking {
            let signed = rule.signed(draft);
            keys.extend(rule.key_ids().iter().filter(|id| !signed.contains(id)).cloned());
        }
        keys.sort();
        keys.dedup();
        Some(Why::Signatures { missing, keys })
    }
}

// What is staged already and says the same, but for its end: others may have signed it.
fn kept<R: Role>(body: Body<R>, staged: Option<&Draft<R>>, now: UnixTime) -> Result<Draft<R>, BadMetadata> {
    if let Some(staged) = staged.filter(|staged| staged.expires() > now) {
        let same = body.clone().expiring(staged.expires()).draft()?;
        if same.says_the_same(staged) {
            return Ok(staged.clone());
        }
    }
    body.draft()
}
