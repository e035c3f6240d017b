//! What is published and what is staged, as the directory has it; and the repair of what an interruption left.

use crate::NAME_LEN_MAX;
use crate::developers::DEVELOPERS;
use crate::disk::{Before, Disk};
use crate::fault::Fault;
use model::UnixTime;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::Path;
use update::Threshold;
use update::tuf::write::{Body, Draft, Key, Top};
use update::tuf::{BadMetadata, Role, Root, Snapshot, Targets, Timestamp};

pub(crate) const SETTINGS: &str = "settings.json";
pub(crate) const METADATA: &str = "metadata";
pub(crate) const TARGETS: &str = "targets";
pub(crate) const STAGED: &str = "staged";
pub(crate) const STAGED_IMAGES: &str = "staged/targets";
/// The role that every search begins with.
pub(crate) const FIRST: &str = "targets";
/// Seconds of a day.
const DAY_S: u64 = 86_400;

/// For how many days each role speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Lifetimes {
    /// Root.
    pub root: u64,
    /// Targets, and every role to which targets are left.
    pub targets: u64,
    /// Snapshot.
    pub snapshot: u64,
    /// Timestamp: as long as a client can be kept from what is new.
    pub timestamp: u64,
}

impl Lifetimes {
    /// A year for what people sign, a month and a week for what machines sign.
    pub const DEFAULT: Self = Self { root: 365, targets: 365, snapshot: 30, timestamp: 7 };

    pub(crate) const fn days(&self, role: Option<Top>) -> u64 {
        match role {
            Some(Top::Root) => self.root,
            Some(Top::Timestamp) => self.timestamp,
            Some(Top::Snapshot) => self.snapshot,
            Some(Top::Targets) | None => self.targets,
        }
    }
    pub(crate) const fn end(&self, role: Option<Top>, now: UnixTime) -> UnixTime {
        now.plus_s(self.days(role).saturating_mul(DAY_S))
    }
}

/// Who signs for the four roles at the beginning.
#[derive(Clone, Debug)]
pub struct Start {
    /// Keys of each role, and how many of them must sign.
    pub roles: BTreeMap<Top, (Vec<Key>, Threshold)>,
    /// For how many days each role speaks.
    pub lifetimes: Lifetimes,
}

/// A repository that this process has for itself.
#[derive(Debug)]
pub struct Repository {
    pub(crate) disk: Disk,
    pub(crate) lifetimes: Lifetimes,
    pub(crate) published: Option<Published>,
    pub(crate) staged: Staged,
    repaired: Vec<String>,
}

/// What clients can get.
#[derive(Clone, Debug)]
pub(crate) struct Published {
    pub(crate) root: Draft<Root>,
    pub(crate) timestamp: Draft<Timestamp>,
    pub(crate) snapshot: Draft<Snapshot>,
    pub(crate) roles: BTreeMap<String, Draft<Targets>>,
}

/// What comes next.
#[derive(Clone, Debug, Default)]
pub(crate) struct Staged {
    pub(crate) root: Option<Draft<Root>>,
    pub(crate) timestamp: Option<Draft<Timestamp>>,
    pub(crate) snapshot: Option<Draft<Snapshot>>,
    pub(crate) roles: BTreeMap<String, Draft<Targets>>,
}

impl Repository {
    /// Begins a repository: a root and an empty targets role are staged, in version 1.
    ///
    /// # Errors
    /// [`Fault::Exists`], [`Fault::TooFewKeys`], [`Fault::Disk`].
    pub fn begin(dir: &Path, start: &Start, now: UnixTime, before: Box<Before>) -> Result<Self, Fault> {
        let mut root = Body::<Root>::new(start.lifetimes.end(Some(Top::Root), now));
        for role in Top::ALL {
            let Some((keys, threshold)) = start.roles.get(&role) else {
                return Err(Fault::TooFewKeys(role.name().into()));
            };
            enough(role.name(), keys, *threshold)?;
            root.assign(role, keys, *threshold);
        }
        if dir.join(SETTINGS).exists() || dir.join(METADATA).exists() {
            return Err(Fault::Exists);
        }
        std::fs::create_dir_all(dir).map_err(|error| Fault::Disk { path: dir.to_owned(), error })?;
        let disk = Disk::take(dir, before)?;
        let root = root.draft().map_err(Fault::metadata("staged/root.json"))?;
        let targets = Body::<Targets>::new(start.lifetimes.end(Some(Top::Targets), now)).draft();
        let targets = targets.map_err(Fault::metadata("staged/targets.json"))?;
        disk.make_folder(TARGETS)?;
        disk.write(&staged_file("root"), &root.write())?;
        disk.write(&staged_file(FIRST), &targets.write())?;
        let settings = serde_json::to_vec_pretty(&start.lifetimes).unwrap_or_default();
        disk.write(SETTINGS, &settings)?;
        let staged =
            Staged { root: Some(root), roles: BTreeMap::from([(FIRST.to_owned(), targets)]), ..Staged::default() };
        Ok(Self { disk, lifetimes: start.lifetimes, published: None, staged, repaired: Vec::new() })
    }

    /// Opens a repository, and takes away what an interruption left. [`Self::repaired`] says what that was.
    ///
    /// # Errors
    /// [`Fault::NoRepository`], [`Fault::InUse`], [`Fault::Metadata`], [`Fault::Disk`].
    pub fn open(dir: &Path, before: Box<Before>) -> Result<Self, Fault> {
        if !dir.join(SETTINGS).is_file() {
            return Err(Fault::NoRepository);
        }
        let disk = Disk::take(dir, before)?;
        let settings = disk.read(SETTINGS)?.unwrap_or_default();
        let lifetimes: Lifetimes = serde_json::from_slice(&settings)
            .map_err(|e| Fault::Disk { path: disk.path(SETTINGS), error: std::io::Error::other(e) })?;
        let mut repaired = Vec::new();
        for folder in [METADATA, TARGETS, STAGED, DEVELOPERS] {
            repaired.extend(disk.sweep(folder)?);
        }
        let published = Published::read(&disk)?;
        for name in disk.list(METADATA)? {
            if is_beyond(&name, published.as_ref()) {
                let file = format!("{METADATA}/{name}");
                disk.remove(&file)?;
                repaired.push(file);
            }
        }
        let mut staged = Staged::read(&disk)?;
        for role in staged.published_already(published.as_ref()) {
            disk.remove(&staged_file(&role))?;
            repaired.push(staged_file(&role));
        }
        Ok(Self { disk, lifetimes, published, staged, repaired })
    }

    /// What an interruption had left, and is gone: files below the directory.
    #[must_use]
    pub fn repaired(&self) -> &[String] {
        &self.repaired
    }
    /// For how many days each role speaks.
    #[must_use]
    pub const fn lifetimes(&self) -> Lifetimes {
        self.lifetimes
    }
    /// The root that clients have now, or will begin with.
    #[must_use]
    pub fn root(&self) -> Option<&Draft<Root>> {
        self.staged.root.as_ref().or(self.published.as_ref().map(|published| &published.root))
    }

    /// What a targets role will say: what is staged of it, or what is published.
    pub(crate) fn role(&self, role: &str) -> Option<&Draft<Targets>> {
        self.staged.roles.get(role).or_else(|| self.published.as_ref()?.roles.get(role))
    }
    /// All targets roles that are published or staged.
    pub(crate) fn role_names(&self) -> Vec<String> {
        let published = self.published.iter().flat_map(|published| published.roles.keys());
        let mut names: Vec<String> = published.chain(self.staged.roles.keys()).cloned().collect();
        names.sort();
        names.dedup();
        names
    }
}

/// Refuses a role that could never be signed.
pub(crate) fn enough(role: &str, keys: &[Key], threshold: Threshold) -> Result<(), Fault> {
    let mut different: Vec<&[u8]> = keys.iter().map(|key| key.public().spki()).collect();
    different.sort_unstable();
    different.dedup();
    if different.len() < usize::from(threshold.get()) { Err(Fault::TooFewKeys(role.to_owned())) } else { Ok(()) }
}

/// Refuses names of roles whose files a web server would look for elsewhere: it decodes what clients encode.
pub(crate) fn check_role_name(role: &str) -> Result<(), Fault> {
    let plain = role.bytes().all(|c| c.is_ascii_alphanumeric() || matches!(c, b'-' | b'_' | b'.' | b'~'));
    if plain && !role.is_empty() && !role.starts_with('.') && role.len() <= NAME_LEN_MAX && Top::by_name(role).is_none()
    {
        Ok(())
    } else {
        Err(Fault::BadRoleName(role.to_owned()))
    }
}

pub(crate) fn staged_file(role: &str) -> String {
    format!("{STAGED}/{role}.json")
}
pub(crate) fn metadata_file(version: u64, role: &str) -> String {
    format!("{METADATA}/{version}.{role}.json")
}
pub(crate) fn timestamp_file() -> String {
    format!("{METADATA}/timestamp.json")
}

/// Where a target is below a folder: as a web server looks for it once it has decoded what a client asks for.
pub(crate) fn image_file(folder: &str, name: &str, hash: &str) -> String {
    match name.rsplit_once('/') {
        Some((above, last)) => format!("{folder}/{above}/{hash}.{last}"),
        None => format!("{folder}/{hash}.{name}"),
    }
}

/// The version and role of a file of metadata.
pub(crate) fn versioned(name: &str) -> Option<(u64, &str)> {
    let (version, role) = name.strip_suffix(".json")?.split_once('.')?;
    let number: u64 = version.parse().ok()?;
    // One number is written in one way.
    (number.to_string() == version && !role.is_empty()).then_some((number, role))
}

// Whether a file is of a publication that did not come to its end: no client has been told of it.
fn is_beyond(name: &str, published: Option<&Published>) -> bool {
    let Some(published) = published else { return name == "timestamp.json" || versioned(name).is_some() };
    match versioned(name) {
        Some((version, "root")) => version > published.root.version(),
        Some((version, "snapshot")) => version > published.snapshot.version(),
        Some((version, role)) => published.snapshot.version_of(role).is_none_or(|known| version > known),
        None => false,
    }
}

/// A file as it is read, and its octets.
type Found<R> = (Draft<R>, Vec<u8>);

fn read<R: Role>(disk: &Disk, file: &str) -> Result<Option<Found<R>>, Fault> {
    let Some(octets) = disk.read(file)? else { return Ok(None) };
    let draft = Draft::decode(&octets).map_err(Fault::metadata(file))?;
    Ok(Some((draft, octets)))
}
fn must<T>(file: &str, read: Option<T>) -> Result<T, Fault> {
    read.ok_or_else(|| Fault::metadata(file)(BadMetadata::NotThere))
}

impl Published {
    // The last root stands for there being a repository: it is written last.
    fn read(disk: &Disk) -> Result<Option<Self>, Fault> {
        let names = disk.list(METADATA)?;
        let roots = names.iter().filter_map(|name| versioned(name)).filter(|(_, role)| *role == "root");
        let Some((last, _)) = roots.max_by_key(|(version, _)| *version) else { return Ok(None) };
        let file = metadata_file(last, "root");
        let (root, _) = must(&file, read::<Root>(disk, &file)?)?;
        let file = timestamp_file();
        let (timestamp, _) = must(&file, read::<Timestamp>(disk, &file)?)?;
        let file = metadata_file(timestamp.snapshot_version(), "snapshot");
        let (snapshot, octets) = must(&file, read::<Snapshot>(disk, &file)?)?;
        if !timestamp.announces(&octets) {
            return Err(Fault::metadata(file)(BadMetadata::OtherOctets));
        }
        let mut roles = BTreeMap::new();
        for (role, version) in snapshot.versions() {
            let file = metadata_file(version, role);
            let (draft, octets) = must(&file, read::<Targets>(disk, &file)?)?;
            if draft.version() != version || !snapshot.announces(role, &octets) {
                return Err(Fault::metadata(file)(BadMetadata::OtherOctets));
            }
            roles.insert(role.to_owned(), draft);
        }
        Ok(Some(Self { root, timestamp, snapshot, roles }))
    }
}

impl Staged {
    fn read(disk: &Disk) -> Result<Self, Fault> {
        let mut staged = Self::default();
        for name in disk.list(STAGED)? {
            let Some(role) = name.strip_suffix(".json").filter(|role| !role.contains('/')) else { continue };
            let file = staged_file(role);
            match Top::by_name(role) {
                Some(Top::Root) => staged.root = read(disk, &file)?.map(|(draft, _)| draft),
                Some(Top::Timestamp) => staged.timestamp = read(disk, &file)?.map(|(draft, _)| draft),
                Some(Top::Snapshot) => staged.snapshot = read(disk, &file)?.map(|(draft, _)| draft),
                Some(Top::Targets) | None => {
                    staged.roles.extend(read(disk, &file)?.map(|(draft, _)| (role.to_owned(), draft)));
                }
            }
        }
        Ok(staged)
    }

    // What was published and not taken away here any more. It goes; the names are given.
    fn published_already(&mut self, published: Option<&Published>) -> Vec<String> {
        let Some(published) = published else { return Vec::new() };
        let mut gone = Vec::new();
        drop_same(&mut self.root, &published.root, Top::Root, &mut gone);
        drop_same(&mut self.timestamp, &published.timestamp, Top::Timestamp, &mut gone);
        drop_same(&mut self.snapshot, &published.snapshot, Top::Snapshot, &mut gone);
        self.roles.retain(|role, draft| {
            let same = published.roles.get(role).is_some_and(|known| known.says_the_same(draft));
            if same {
                gone.push(role.clone());
            }
            !same
        });
        gone
    }
}

fn drop_same<R: Role>(staged: &mut Option<Draft<R>>, published: &Draft<R>, role: Top, gone: &mut Vec<String>) {
    if staged.as_ref().is_some_and(|draft| draft.says_the_same(published)) {
        *staged = None;
        gone.push(role.name().to_owned());
    }
}
