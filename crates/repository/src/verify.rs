//! Looking at all of a repository: as an auditor, file by file, and as a client, target by target.

use crate::fault::Fault;
use crate::state::{FIRST, METADATA, Published, Repository, TARGETS, image_file, metadata_file, versioned};
use crate::trial::Side;
use model::UnixTime;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::io::Read;
use update::tuf::write::{Draft, Listed, Signers, Top};
use update::tuf::{BadMetadata, Client, Limits, NotDone, Root};

/// How much of an image is in memory at once.
const PIECE_LEN: usize = 64 * 1024;

/// Something that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// With which file or target.
    pub what: String,
    /// What it is.
    pub wrong: Wrong,
}

/// What is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wrong {
    /// Nothing was published yet.
    NothingPublished,
    /// A metadata file, or an image, is not what it must be.
    Bad(BadMetadata),
    /// A client that looks for this target does not find what this role announces.
    NotFound {
        /// The role.
        role: String,
        /// Why.
        bad: BadMetadata,
    },
    /// A client that looks for it finds what another role announces.
    Hidden {
        /// The role that announces it too.
        role: String,
    },
    /// The file is none of a repository.
    Stranger,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.what)?;
        match &self.wrong {
            Wrong::NothingPublished => f.write_str("nothing was published yet"),
            Wrong::Bad(bad) => bad.fmt(f),
            Wrong::NotFound { role, bad } => write!(f, "{role} announces it, and clients do not find it: {bad}"),
            Wrong::Hidden { role } => write!(f, "{role} announces it, and clients find what another role says of it"),
            Wrong::Stranger => f.write_str("this file is none of a repository"),
        }
    }
}

impl Repository {
    /// Looks at every file, signature, hash and date, and for each target as a client does. Gives all that is wrong, in the
    /// order in which a client would meet it.
    ///
    /// # Errors
    /// [`Fault::Disk`] if it cannot be looked at.
    pub fn verify(&self, now: UnixTime) -> Result<Vec<Finding>, Fault> {
        let Some(published) = &self.published else {
            return Ok(vec![Finding { what: METADATA.to_owned(), wrong: Wrong::NothingPublished }]);
        };
        let mut found = Vec::new();
        self.verify_roots(published, now, &mut found)?;
        verify_tops(published, now, &mut found);
        verify_roles(published, now, &mut found);
        self.verify_images(published, &mut found)?;
        // A client takes nothing of what is wrong above, and would say so of each target again.
        if found.is_empty() {
            self.verify_as_client(published, now, &mut found)?;
        }
        self.verify_names(&mut found)?;
        Ok(found)
    }

    fn verify_roots(&self, published: &Published, now: UnixTime, found: &mut Vec<Finding>) -> Result<(), Fault> {
        let mut before: Option<Draft<Root>> = None;
        let names = self.disk.list(METADATA)?;
        let mut versions: Vec<u64> = names
            .iter()
            .filter_map(|name| versioned(name))
            .filter(|(_, role)| *role == "root")
            .map(|(v, _)| v)
            .collect();
        versions.sort_unstable();
        for (expected, version) in (1..).zip(versions) {
            let file = metadata_file(version, "root");
            if version != expected {
                note(&metadata_file(expected, "root"), Err(BadMetadata::NotThere), found);
                break;
            }
            let read =
                self.disk.read(&file)?.ok_or(BadMetadata::NotThere).and_then(|octets| Draft::<Root>::decode(&octets));
            let root = match read {
                Ok(root) => root,
                Err(bad) => {
                    found.push(Finding { what: file, wrong: Wrong::Bad(bad) });
                    before = None;
                    continue;
                }
            };
            let own = Signers::of_top(&root, Top::Root).suffice(&root);
            let earlier = before.map_or(Ok(()), |before| Signers::of_top(&before, Top::Root).suffice(&root));
            let numbered = if root.version() == version { Ok(()) } else { Err(BadMetadata::NotNextRoot) };
            note(&file, own.and(earlier).and(numbered), found);
            before = Some(root);
        }
        let file = metadata_file(published.root.version(), "root");
        note(&file, current(published.root.expires(), now), found);
        Ok(())
    }

    fn verify_images(&self, published: &Published, found: &mut Vec<Finding>) -> Result<(), Fault> {
        let mut seen = BTreeSet::new();
        for listed in published.roles.values().flat_map(Draft::targets) {
            let file = image_file(TARGETS, listed.name, &listed.hashes.naming());
            if seen.insert(file.clone()) {
                let checked = self.verify_image(&file, &listed)?;
                note(&file, checked, found);
            }
        }
        Ok(())
    }

    fn verify_image(&self, file: &str, listed: &Listed<'_>) -> Result<Result<(), BadMetadata>, Fault> {
        let Some(mut image) = self.disk.open(file)? else { return Ok(Err(BadMetadata::NotThere)) };
        let (mut check, mut piece) = (listed.target().check(), vec![0; PIECE_LEN]);
        loop {
            let len = image.read(&mut piece).map_err(|error| Fault::Disk { path: self.disk.path(file), error })?;
            if len == 0 {
                return Ok(check.finish());
            }
            if let Err(bad) = check.feed(piece.get(..len).unwrap_or_default()) {
                return Ok(Err(bad));
            }
        }
    }

    // Each target as a client that begins with the first root, of each role to which something is left.
    fn verify_as_client(&self, published: &Published, now: UnixTime, found: &mut Vec<Finding>) -> Result<(), Fault> {
        let first = self.disk.read(&metadata_file(1, "root"))?.unwrap_or_default();
        let kept = BTreeMap::from([("root.json".to_owned(), first)]);
        let mut side = Side { disk: &self.disk, files: &BTreeMap::new(), with_roots: true, kept };
        let led_to = led_to(published);
        for (role, draft) in published.roles.iter().filter(|(role, _)| led_to.contains(role.as_str())) {
            for listed in draft.targets() {
                let wrong = match Client::new(Limits::DEFAULT, now).look_for(listed.name, &mut side) {
                    Ok(target) if target.hashes() == listed.hashes => continue,
                    Ok(_) => Wrong::Hidden { role: role.clone() },
                    Err(NotDone::Refused(refused)) => Wrong::NotFound { role: role.clone(), bad: refused.bad },
                    Err(NotDone::Outside(fault)) => return Err(fault),
                };
                found.push(Finding { what: listed.name.to_owned(), wrong });
            }
        }
        Ok(())
    }

    fn verify_names(&self, found: &mut Vec<Finding>) -> Result<(), Fault> {
        let stranger = |name: &String| name != "timestamp.json" && versioned(name).is_none();
        for name in self.disk.list(METADATA)?.into_iter().filter(stranger) {
            found.push(Finding { what: format!("{METADATA}/{name}"), wrong: Wrong::Stranger });
        }
        Ok(())
    }
}

fn note(what: &str, checked: Result<(), BadMetadata>, found: &mut Vec<Finding>) {
    found.extend(checked.err().map(|bad| Finding { what: what.to_owned(), wrong: Wrong::Bad(bad) }));
}

fn current(expires: UnixTime, now: UnixTime) -> Result<(), BadMetadata> {
    if now >= expires { Err(BadMetadata::Expired) } else { Ok(()) }
}

fn verify_tops(published: &Published, now: UnixTime, found: &mut Vec<Finding>) {
    let signers = |role: Top| Signers::of_top(&published.root, role);
    let (timestamp, snapshot) = (&published.timestamp, &published.snapshot);
    let file = "metadata/timestamp.json";
    note(file, signers(Top::Timestamp).suffice(timestamp), found);
    note(file, current(timestamp.expires(), now), found);
    let file = metadata_file(snapshot.version(), "snapshot");
    note(&file, signers(Top::Snapshot).suffice(snapshot), found);
    note(&file, current(snapshot.expires(), now), found);
}

// Roles to which nobody leaves anything any longer are in snapshots for ever, and asked by nobody.
fn verify_roles(published: &Published, now: UnixTime, found: &mut Vec<Finding>) {
    let mut rules = vec![(FIRST.to_owned(), Signers::of_top(&published.root, Top::Targets))];
    rules.extend(published.roles.values().flat_map(Draft::delegated).map(|one| (one.name, one.signers)));
    for (role, signers) in rules {
        match published.roles.get(&role) {
            Some(draft) => {
                let file = metadata_file(draft.version(), &role);
                note(&file, signers.suffice(draft), found);
                note(&file, current(draft.expires(), now), found);
            }
            None => note(&format!("{METADATA}/{role}.json"), Err(BadMetadata::NotInSnapshot), found),
        }
    }
}

fn led_to(published: &Published) -> BTreeSet<String> {
    let mut led: BTreeSet<String> = BTreeSet::from([FIRST.to_owned()]);
    let mut to_visit = vec![FIRST.to_owned()];
    while let Some(role) = to_visit.pop() {
        let delegated = published.roles.get(&role).map(Draft::delegated).unwrap_or_default();
        to_visit.extend(delegated.into_iter().map(|one| one.name).filter(|name| led.insert(name.clone())));
    }
    led
}
