//! Following both repositories to what a box gets, and collecting the files by which anybody else comes to the same.

use super::fault::BadBundle;
use crate::fault::BadRelease;
use crate::json::Json;
use crate::metadata::{number, read_hardware_ids, text};
use crate::tuf::{Answer, Client, Envelope, Limits, NotDone, Outside, Refused, Root, Target};
use crate::uptane::{Agreed, BadDirections, Directions, Inventory};
use model::{DeviceType, UnixTime};
use std::collections::{BTreeMap, BTreeSet};
use std::convert::Infallible;

/// One of the two repositories.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Repository {
    /// What there is.
    Images,
    /// What this box gets.
    Director,
}

impl Repository {
    /// What it is called, and what the names of its files in a bundle begin with.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Images => "images",
            Self::Director => "director",
        }
    }
}

/// The roots that a box begins with. Whether there is a director is decided by the box, not by what comes.
#[derive(Clone, Copy, Debug)]
pub struct Roots<'a> {
    /// Of the image repository.
    pub images: &'a [u8],
    /// Of the director, if this box has one. Without, the newest release for each type of device is what it gets.
    pub director: Option<&'a [u8]>,
}

/// Files that were kept of a repository, by the names under which its client keeps them; and, for who collects bundles, each
/// root that followed the first, as `roots/N.root.json`.
pub type Kept = BTreeMap<String, Vec<u8>>;

/// Whether this is a root that stands by itself.
///
/// # Errors
/// [`Refused`]
pub fn is_root(octets: &[u8]) -> Result<(), Refused> {
    Client::new(Limits::DEFAULT, UnixTime::from_s(0)).answer(Answer::Octets(octets.to_vec()))
}

/// A target that this box gets, for some of its device types. Only [`follow`] makes one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chosen {
    target: Target,
    counter: u64,
    device_types: Vec<DeviceType>,
}

impl Chosen {
    /// The target, as the image repository has it.
    #[must_use]
    pub const fn target(&self) -> &Target {
        &self.target
    }
    /// Its release counter.
    #[must_use]
    pub const fn counter(&self) -> u64 {
        self.counter
    }
    /// For which of the box's device types.
    #[must_use]
    pub fn device_types(&self) -> &[DeviceType] {
        &self.device_types
    }
    /// What it is called: its name and version as whoever publishes says, or the name of its file.
    #[must_use]
    pub fn title(&self) -> String {
        let custom = self.target.custom().and_then(Json::object);
        let plain = |field| custom.and_then(|c| text(c, field).ok()).and_then(|t| t.parse::<crate::PlainName>().ok());
        let name = plain("release").map_or_else(|| self.target.file(), |name| name.to_string());
        plain("release_version").map_or(name.clone(), |version| format!("{name} {version}"))
    }
}

/// Why repositories were not followed to their end.
#[derive(Debug, PartialEq, Eq)]
pub enum NotFollowed<F> {
    /// What they say was refused.
    Bad(BadBundle),
    /// Our own side could not.
    Outside(F),
}

impl<F> From<BadBundle> for NotFollowed<F> {
    fn from(bad: BadBundle) -> Self {
        Self::Bad(bad)
    }
}

/// What this box gets, in the order of the names of the targets.
pub type Followed<F> = Result<Vec<Chosen>, NotFollowed<F>>;

/// Brings both repositories up to date and gives what they agree on for this box. Its components are called as the device types
/// that it provisions.
///
/// Without a director the release with the highest counter is what a device type gets, of those that the top-level targets role
/// of the image repository names itself.
/// # Errors
/// [`NotFollowed`]
pub fn follow<O: Outside>(
    inventory: &Inventory,
    now: UnixTime,
    images: &mut O,
    director: Option<&mut O>,
) -> Followed<O::Fault> {
    let directions = match director {
        Some(outside) => {
            let director = Side::refreshed(Repository::Director, now, outside)?;
            Some(Directions::read(&director.client, inventory).map_err(BadBundle::from)?)
        }
        None => None,
    };
    let mut images = Side::refreshed(Repository::Images, now, images)?;
    let Some(directions) = directions else {
        let newest = newest(&images.client, inventory).map_err(BadBundle::from)?;
        let chosen = |(name, (counter, device_types)): (String, Newest)| {
            Ok(Chosen { target: images.find(&name)?, counter, device_types })
        };
        return newest.into_iter().map(chosen).collect();
    };
    let chosen = |name: &str| {
        let agreed = directions.agree(&images.find(name)?).map_err(BadBundle::from)?;
        Ok(Chosen::agreed(&agreed, inventory))
    };
    directions.targets().map(chosen).collect()
}

// A client that is up to date, and what it is driven with.
struct Side<'a, O> {
    repository: Repository,
    client: Client,
    outside: &'a mut O,
}

impl<'a, O: Outside> Side<'a, O> {
    fn refreshed(repository: Repository, now: UnixTime, outside: &'a mut O) -> Result<Self, NotFollowed<O::Fault>> {
        let mut side = Self { repository, client: Client::new(Limits::DEFAULT, now), outside };
        side.drive()?;
        Ok(side)
    }

    fn drive(&mut self) -> Result<(), NotFollowed<O::Fault>> {
        let repository = self.repository;
        self.client.drive(self.outside).map_err(|why| match why {
            NotDone::Refused(refused) => NotFollowed::Bad(BadBundle::Upstream(repository, refused)),
            NotDone::Outside(fault) => NotFollowed::Outside(fault),
        })
    }

    fn find(&mut self, name: &str) -> Result<Target, NotFollowed<O::Fault>> {
        let refused = |refused| BadBundle::Upstream(Repository::Images, refused);
        self.client.find(name).map_err(refused)?;
        self.drive()?;
        Ok(self.client.found().map_err(refused)?)
    }
}

impl Chosen {
    fn agreed(agreed: &Agreed, inventory: &Inventory) -> Self {
        let hardware = |id| inventory.components.get(id).map(|component| component.hardware_id.clone());
        let device_types = agreed.components().iter().filter_map(hardware).collect();
        Self { target: agreed.target().clone(), counter: agreed.counter(), device_types }
    }
}

// A release counter, and the device types for which it is the highest.
type Newest = (u64, Vec<DeviceType>);

// By the names of the targets. What says nothing of a release counter and hardware is no software.
fn newest(images: &Client, inventory: &Inventory) -> Result<BTreeMap<String, Newest>, BadDirections> {
    let (said, consistent) = images.targets().ok_or(BadRelease::Field("targets"))?;
    let about = |(name, about): (&String, _)| {
        let target = Target::new(name, about, consistent);
        let custom = target.custom().and_then(Json::object)?;
        Some((name.clone(), number(custom, "release_counter").ok()?, read_hardware_ids(custom).ok()?))
    };
    let releases: Vec<_> = said.targets.iter().filter_map(about).collect();
    let mut newest = BTreeMap::<String, Newest>::new();
    for component in inventory.components.values() {
        let fits = releases.iter().filter(|(_, _, hardware_ids)| hardware_ids.contains(&component.hardware_id));
        let Some((name, counter, _)) = fits.clone().max_by_key(|(_, counter, _)| *counter) else { continue };
        if fits.filter(|(_, other, _)| other == counter).count() > 1 {
            return Err(BadDirections::ComponentTwice);
        }
        if *counter < component.floor {
            return Err(BadDirections::RolledBack);
        }
        let (_, device_types) = newest.entry(name.clone()).or_insert_with(|| (*counter, Vec::new()));
        device_types.push(component.hardware_id.clone());
    }
    Ok(newest)
}

/// What a box gets, and each file that it takes to come to that from the first roots on. Nothing else comes into a bundle.
#[derive(Debug)]
pub struct Collected {
    components: Vec<DeviceType>,
    files: BTreeMap<String, Vec<u8>>,
    chosen: Vec<Chosen>,
}

impl Collected {
    /// What this box gets.
    #[must_use]
    pub fn chosen(&self) -> &[Chosen] {
        &self.chosen
    }
    pub(super) fn components(&self) -> &[DeviceType] {
        &self.components
    }
    pub(super) const fn files(&self) -> &BTreeMap<String, Vec<u8>> {
        &self.files
    }
}

/// Goes the whole way again from the first roots, on what was kept, and collects what is asked for.
///
/// # Errors
/// [`BadBundle`] if that does not lead to an end: something that was kept is missing or altered.
pub fn collect(
    inventory: &Inventory,
    now: UnixTime,
    roots: Roots<'_>,
    images: &Kept,
    director: Option<&Kept>,
) -> Result<Collected, BadBundle> {
    let mut images = Again::new(Repository::Images, roots.images, images)?;
    let mut director = match (roots.director, director) {
        (Some(root), Some(kept)) => Some(Again::new(Repository::Director, root, kept)?),
        (Some(root), None) => Some(Again::new(Repository::Director, root, &NOTHING)?),
        (None, _) => None,
    };
    let chosen = match follow(inventory, now, &mut images, director.as_mut()) {
        Ok(chosen) => chosen,
        Err(NotFollowed::Bad(bad)) => return Err(bad),
        Err(NotFollowed::Outside(never)) => match never {},
    };
    let mut files = images.asked;
    files.extend(director.map(|side| side.asked).unwrap_or_default());
    let hardware: BTreeSet<_> = inventory.components.values().map(|component| component.hardware_id.clone()).collect();
    Ok(Collected { components: hardware.into_iter().collect(), files, chosen })
}

static NOTHING: Kept = Kept::new();

// Answers from what was kept, under the names that the repository has.
struct Again<'a> {
    repository: Repository,
    root: &'a [u8],
    kept: &'a Kept,
    consistent: bool,
    asked: BTreeMap<String, Vec<u8>>,
}

impl<'a> Again<'a> {
    fn new(repository: Repository, root: &'a [u8], kept: &'a Kept) -> Result<Self, BadBundle> {
        let last = kept.get("root.json").map_or(root, Vec::as_slice);
        let refused = |bad| BadBundle::Upstream(repository, Refused { file: "root.json".to_owned(), bad });
        let consistent = Envelope::<Root>::decode(last).map_err(refused)?.claims().is_consistent();
        Ok(Self { repository, root, kept, consistent, asked: BTreeMap::new() })
    }
}

impl Outside for Again<'_> {
    type Fault = Infallible;

    fn load(&mut self, file: &str) -> Result<Answer, Infallible> {
        Ok(if file == "root.json" { Answer::Octets(self.root.to_vec()) } else { Answer::NotThere })
    }

    fn fetch(&mut self, file: &str, _len_max: u64) -> Answer {
        let unversioned = file.split_once('.').map_or(file, |(_, rest)| rest);
        let octets = match unversioned {
            "root.json" => self.kept.get(&format!("roots/{file}")),
            _ if self.consistent && file != "timestamp.json" => self.kept.get(unversioned),
            _ => self.kept.get(file),
        };
        let Some(octets) = octets else { return Answer::NotThere };
        self.asked.insert(format!("{}/{file}", self.repository.name()), octets.clone());
        Answer::Octets(octets.clone())
    }

    fn forget(&mut self, _: &str) -> Result<(), Infallible> {
        Ok(())
    }
    fn persist(&mut self, _: &str, _: &[u8]) -> Result<(), Infallible> {
        Ok(())
    }
}
