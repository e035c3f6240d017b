//! What can be published of what is staged: signed here by whoever can, and complete with all that it leads to.

use crate::demands::{Demands, unagreed};
use crate::fault::Fault;
use crate::state::{FIRST, Lifetimes, Published, Repository, Staged};
use model::UnixTime;
use ports::Signer;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use update::tuf::write::{Body, DelegatedRole, Draft, Listed, NotSigned, Signers, Top};
use update::tuf::{BadMetadata, Role, Root, Snapshot, Targets, Timestamp};

/// From how many roles on a snapshot announces versions only: with a hash for each it would be longer than clients take.
const HASHED_ROLES_MAX: usize = 256;

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
    /// For others: so many roles must say the same of this target, because of the hardware that it is for.
    Agreement {
        /// The target.
        target: String,
        /// The hardware.
        hardware: model::DeviceType,
        /// How many roles say it.
        said: usize,
        /// How many must.
        demanded: u8,
    },
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

/// Targets roles of which a new version is published.
type Taken = BTreeMap<String, Draft<Targets>>;

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
    /// How many roles must say the same of what is new.
    pub(crate) demands: Demands,
}

impl Repository {
    pub(crate) fn planner<'a>(
        &'a self,
        keys: &'a [Arc<dyn Signer>],
        now: UnixTime,
        old_keys: OldKeys,
        has_image: &'a dyn Fn(&str, &str) -> bool,
        demands: Demands,
    ) -> Planner<'a> {
        let (published, staged) = (self.published.as_ref(), self.staged.clone());
        let (lifetimes, waiting) = (self.lifetimes, Vec::new());
        Planner { keys, now, old_keys, renew_before: now, lifetimes, published, staged, waiting, has_image, demands }
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
        // As a role will be delegated is what it must be signed by; as it is delegated now counts too, if that has to wait.
        let first = || BTreeMap::from([(FIRST.to_owned(), rules.to_vec())]);
        let (mut must, mut may): (BTreeMap<String, Vec<Signers>>, BTreeMap<String, Vec<Signers>>) = (first(), first());
        let (mut visited, mut to_visit) = (BTreeSet::new(), vec![FIRST.to_owned()]);
        while let Some(role) = to_visit.pop() {
            if !visited.insert(role.clone()) {
                continue;
            }
            let drafts: Vec<&Draft<Targets>> =
                self.staged.roles.get(&role).into_iter().chain(self.known(&role)).collect();
            for (n, one) in
                drafts.iter().enumerate().flat_map(|(n, draft)| draft.delegated().into_iter().map(move |one| (n, one)))
            {
                to_visit.push(one.name.clone());
                if n == 0 {
                    must.entry(one.name.clone()).or_default().push(one.signers.clone());
                }
                may.entry(one.name).or_default().push(one.signers);
            }
        }
        for role in visited {
            let published = self.known(&role).filter(|_| !self.staged.roles.contains_key(&role));
            let others =
                published.filter(|draft| must.get(&role).is_some_and(|must| self.lacks(draft, must).is_some()));
            let mut draft = match (self.staged.roles.get(&role), others) {
                (Some(staged), _) => staged.clone(),
                (None, Some(published)) => {
                    let end = self.lifetimes.end(None, self.now);
                    let body = published.body().next(end).map_err(Fault::metadata(&role))?;
                    body.draft().map_err(Fault::metadata(&role))?
                }
                (None, None) => continue,
            };
            self.sign(&mut draft, may.get(&role).map(Vec::as_slice).unwrap_or_default())?;
            self.staged.roles.insert(role, draft);
        }
        Ok(())
    }

    // What is staged and can be published, role by role; `None` if the first role itself cannot be what it must be. What
    // cannot is left out, then what leads to it, until all that is left stands by itself.
    fn choose_all(&mut self, rules: &[Signers]) -> Option<Taken> {
        let staged = self.staged.roles.iter();
        let mut out: BTreeMap<String, Why> =
            staged.filter_map(|(role, draft)| Some((role.clone(), self.hindered(role, draft)?))).collect();
        let taken = loop {
            let (taken, spoilt) = self.walk(rules, &out);
            // Each turn leaves out one at least, so there are at most as many as are staged.
            if spoilt.is_empty() {
                break taken;
            }
            out.extend(spoilt);
        };
        let roles: Vec<(String, u64)> =
            self.staged.roles.iter().map(|(role, draft)| (role.clone(), draft.version())).collect();
        for (role, version) in roles {
            if taken.as_ref().is_some_and(|taken| taken.contains_key(&role)) {
                continue;
            }
            let rules = if role == FIRST { rules.to_vec() } else { self.rules_of(&role) };
            let lacks = self.staged.roles.get(&role).filter(|_| !rules.is_empty()).and_then(|d| self.lacks(d, &rules));
            // One that is ready itself is not led to yet.
            let why = lacks.or_else(|| out.remove(&role)).unwrap_or(Why::NobodyLeads);
            self.wait(&role, version, why);
        }
        taken
    }

    fn rules_of(&self, role: &str) -> Vec<Signers> {
        let published = self.published.iter().flat_map(|published| published.roles.iter());
        let known: BTreeMap<&String, &Draft<Targets>> = published.chain(self.staged.roles.iter()).collect();
        let mut delegated = known.values().flat_map(|draft| draft.delegated());
        delegated.find(|one| one.name == role).map(|one| one.signers).into_iter().collect()
    }

    // From the first role along all delegations, without those that are out: what would be taken, and what of it cannot.
    fn walk(&self, rules: &[Signers], out: &BTreeMap<String, Why>) -> (Option<Taken>, BTreeMap<String, Why>) {
        let (mut taken, mut spoilt, mut visited) = (BTreeMap::new(), BTreeMap::new(), BTreeSet::new());
        let mut to_visit = vec![(FIRST.to_owned(), rules.to_vec())];
        while let Some((role, rules)) = to_visit.pop() {
            if let Some(why) = taken.get(&role).and_then(|draft| self.lacks(draft, &rules)) {
                // Another one leads to it too, and wants other signers.
                spoilt.insert(role.clone(), why);
            }
            if !visited.insert(role.clone()) {
                continue;
            }
            let draft = match (self.staged.roles.get(&role).filter(|_| !out.contains_key(&role)), self.known(&role)) {
                (Some(staged), _) => {
                    let not_ready = staged.delegated().into_iter().find(|one| !self.is_possible(one, out));
                    let why = self.lacks(staged, &rules).or(not_ready.map(|one| Why::Role(one.name)));
                    spoilt.extend(why.map(|why| (role.clone(), why)));
                    taken.insert(role, staged.clone());
                    staged
                }
                (None, Some(published)) if self.lacks(published, &rules).is_none() => published,
                (None, _) if role == FIRST => return (None, spoilt),
                (None, _) => continue,
            };
            to_visit.extend(draft.delegated().into_iter().map(|one| (one.name, vec![one.signers])));
        }
        (Some(taken), spoilt)
    }

    fn known(&self, role: &str) -> Option<&Draft<Targets>> {
        self.published.and_then(|published| published.roles.get(role))
    }

    // Whether a role can be what one that leads to it wants.
    fn is_possible(&self, one: &DelegatedRole, out: &BTreeMap<String, Why>) -> bool {
        let staged = self.staged.roles.get(&one.name).filter(|_| !out.contains_key(&one.name));
        staged.into_iter().chain(self.known(&one.name)).any(|draft| one.signers.suffice(draft).is_ok())
    }

    // Why what is staged of a role cannot be published, whoever has signed it.
    fn hindered(&self, role: &str, draft: &Draft<Targets>) -> Option<Why> {
        let published = self.published.and_then(|published| published.snapshot.version_of(role)).unwrap_or(0);
        if draft.version() <= published {
            return Some(Why::Overtaken);
        }
        if draft.expires() <= self.now {
            return Some(Why::Expired);
        }
        let missing = draft.targets().find(|listed| !(self.has_image)(listed.name, &listed.hashes.naming()));
        missing.map(|listed| Why::Image(listed.name.to_owned())).or_else(|| self.unagreed(role, draft))
    }

    // What was published before a demand was made stays.
    fn unagreed(&self, role: &str, draft: &Draft<Targets>) -> Option<Why> {
        let published = self.published.iter().flat_map(|published| published.roles.iter());
        let roles: BTreeMap<&String, &Draft<Targets>> = published.chain(self.staged.roles.iter()).collect();
        let is_new = |listed: &Listed<'_>| {
            !self.known(role).is_some_and(|known| known.targets().any(|other| other.says_the_same(listed)))
        };
        draft.targets().filter(is_new).find_map(|listed| unagreed(&self.demands, &listed, &roles))
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
