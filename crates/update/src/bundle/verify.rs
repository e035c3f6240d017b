//! Verifying a bundle again, all of it: what a station does before it puts software on a device.

use super::chain::{Chosen, Kept, NotFollowed, Repository, Roots, follow};
use super::contents::{Bundle, ImageEntry, Manifest, name_of};
use super::fault::BadBundle;
use super::image::{CheckedReader, VerifiedImage};
use super::primary::inventory;
use super::statement::Statement;
use crate::tuf::{Answer, Client, Outside};
use crate::uptane::Inventory;
use model::{DeviceId, DeviceType, UnixTime};
use std::collections::{BTreeMap, BTreeSet};
use std::convert::Infallible;
use std::io::Read;

/// How far the clock of the one who verified may be ahead of ours, in seconds.
pub const CLOCK_SKEW_MAX_S: u64 = 300;

/// What a bundle must satisfy.
#[derive(Clone, Copy, Debug)]
pub struct Terms<'a> {
    /// Which box it must be for.
    pub device: &'a DeviceId,
    /// Below which release counters nothing is put on devices of these types.
    pub floors: &'a BTreeMap<DeviceType, u64>,
    /// The roots that this station begins with.
    pub roots: Roots<'a>,
    /// What it has kept of the image repository.
    pub images: &'a Kept,
    /// What it has kept of the director.
    pub director: &'a Kept,
    /// The payload of the countersignature, if its seal holds under sm's key; `None` if it does not.
    pub statement: Option<&'a [u8]>,
    /// The time.
    pub now: UnixTime,
    /// How long ago sm may have verified the bundle, in seconds.
    pub bundle_age_max_s: u64,
}

/// A file that is to be kept from now on; without octets, one that is to be forgotten.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// Of which repository.
    pub repository: Repository,
    /// Under which name.
    pub file: String,
    /// What is in it.
    pub octets: Option<Vec<u8>>,
}

/// A bundle of which everything but its images was verified. Only [`verify`] makes one.
#[derive(Debug)]
pub struct Verified {
    manifest: Manifest,
    chosen: Vec<Chosen>,
    changes: Vec<Change>,
}

/// What a verified bundle has for a type of device. Its image is still to be compared.
#[derive(Debug)]
pub struct Release {
    chosen: Chosen,
    entry: ImageEntry,
}

impl Verified {
    /// What it has for a type of device; `None` if nothing.
    #[must_use]
    pub fn release(&self, device_type: &DeviceType) -> Option<Release> {
        let both = self.chosen.iter().zip(&self.manifest.images);
        let mut both = both.filter(|(chosen, _)| chosen.device_types().contains(device_type));
        both.next().map(|(chosen, entry)| Release { chosen: chosen.clone(), entry: entry.clone() })
    }
    /// What is to be kept, in this order and before anything of it is used: it is the measure of the next bundle.
    #[must_use]
    pub fn changes(&self) -> &[Change] {
        &self.changes
    }
}

impl Release {
    /// The image that was announced.
    #[must_use]
    pub const fn image(&self) -> &ImageEntry {
        &self.entry
    }
    /// How many roles of the image repository say the same of it ([`crate::tuf::Target::agreeing`]).
    #[must_use]
    pub const fn agreeing(&self) -> usize {
        self.chosen.target().agreeing()
    }
    /// Compares all that `source` gives with what was announced; reads at most one octet more.
    ///
    /// # Errors
    /// [`BadBundle::ImageTooLong`], [`BadBundle::ImageMismatch`], [`BadBundle::ImageUnreadable`],
    /// [`BadBundle::OtherImages`] if the manifest has another hash than the image that upstream announced.
    pub fn verify_image(self, source: impl Read) -> Result<VerifiedImage, BadBundle> {
        VerifiedImage::of(CheckedReader::new(source, self.chosen).read_through()?, &self.entry)
    }
}

/// Verifies a bundle as it lies in the vault: the countersignature; from the pinned roots on, with nothing known but them, that
/// its files are all that it takes and lead to what the manifest says; then the same from what this station has kept, so that nothing is
/// older than what it has seen; then how long ago sm verified it. What comes next is an image ([`Verified::release`]).
///
/// # Errors
/// [`BadBundle`]. [`BadBundle::Neither`] if upstream's signatures fail and the countersignature, too.
pub fn verify(octets: &[u8], terms: &Terms<'_>) -> Result<Verified, BadBundle> {
    let statement = terms.statement.and_then(Statement::decode);
    let statement = statement.filter(|s| s.bundle == name_of(octets) && s.device == *terms.device);
    // Without a time that sm states, nothing has expired: what is asked then is only who signed.
    let at = statement.as_ref().map_or(UnixTime::from_s(0), |s| s.verified_at);
    let upstream = Bundle::decode(octets).and_then(|bundle| verify_upstream(bundle, terms, at));
    let (verified, statement) = match (upstream, statement) {
        (upstream, Some(statement)) => (upstream?, statement),
        // Both signatures are false, which seals the box. What is only old or expired was signed by upstream all the same.
        (Err(bad), None) if !bad.is_of_time() => return Err(BadBundle::Neither(Box::new(bad))),
        (_, None) => return Err(BadBundle::NotCountersigned),
    };
    if statement.verified_at > terms.now.plus_s(CLOCK_SKEW_MAX_S) {
        return Err(BadBundle::FromTheFuture);
    }
    if terms.now.since_ms(statement.verified_at) > terms.bundle_age_max_s.saturating_mul(1000) {
        return Err(BadBundle::TooOld);
    }
    Ok(verified)
}

fn verify_upstream(bundle: Bundle, terms: &Terms<'_>, at: UnixTime) -> Result<Verified, BadBundle> {
    let nothing = Kept::new();
    // What sm says of the box's device types can only leave some out, and they have no release then.
    let floor = |device_type: &DeviceType| terms.floors.get(device_type).copied().unwrap_or(0);
    let inventory = inventory(terms.device, &bundle.manifest().components, floor);
    // As somebody who knows nothing but the first roots.
    let (chosen, asked, _) = walk(&bundle, terms, (&inventory, at), (&nothing, &nothing))?;
    if let Some(extra) = bundle.files().keys().find(|name| !asked.contains(*name)) {
        return Err(BadBundle::ExtraFile(extra.clone()));
    }
    // As somebody who knows what was seen before.
    let (chosen_again, _, changes) = walk(&bundle, terms, (&inventory, at), (terms.images, terms.director))?;
    let said = &bundle.manifest().images;
    let same = chosen.len() == said.len() && chosen.iter().zip(said).all(|(chosen, entry)| is_of(chosen, entry));
    if chosen != chosen_again || !same {
        return Err(BadBundle::OtherImages);
    }
    Ok(Verified { manifest: bundle.manifest().clone(), chosen, changes })
}

fn is_of(chosen: &Chosen, entry: &ImageEntry) -> bool {
    let target = chosen.target();
    (target.name(), target.path().as_str(), target.length()) == (&entry.target, &entry.path, entry.length)
        && (chosen.counter(), chosen.device_types()) == (entry.counter, entry.device_types.as_slice())
}

type Walked = (Vec<Chosen>, BTreeSet<String>, Vec<Change>);

fn walk(
    bundle: &Bundle,
    terms: &Terms<'_>,
    (inventory, at): (&Inventory, UnixTime),
    kept: (&Kept, &Kept),
) -> Result<Walked, BadBundle> {
    let mut images = Offline::new(Repository::Images, bundle.files(), kept.0, terms.roots.images);
    let mut director =
        terms.roots.director.map(|root| Offline::new(Repository::Director, bundle.files(), kept.1, root));
    let chosen = match follow(inventory, at, &mut images, director.as_mut()) {
        Ok(chosen) => chosen,
        Err(NotFollowed::Bad(bad)) => return Err(bad),
        Err(NotFollowed::Outside(never)) => match never {},
    };
    let (mut asked, mut changes) = (images.asked, images.changes);
    if let Some(director) = director {
        asked.extend(director.asked);
        changes.extend(director.changes);
    }
    Ok((chosen, asked, changes))
}

// Fetches from the bundle, and keeps for the time being.
struct Offline<'a> {
    repository: Repository,
    files: &'a BTreeMap<String, Vec<u8>>,
    kept: Kept,
    asked: BTreeSet<String>,
    changes: Vec<Change>,
}

impl<'a> Offline<'a> {
    fn new(repository: Repository, files: &'a BTreeMap<String, Vec<u8>>, kept: &Kept, root: &[u8]) -> Self {
        let mut kept = kept.clone();
        // One that the medium has altered is as good as none.
        let last = kept.get("root.json").is_some_and(|octets| Client::can_begin_with(octets));
        if !last {
            kept.insert("root.json".to_owned(), root.to_vec());
        }
        Self { repository, files, kept, asked: BTreeSet::new(), changes: Vec::new() }
    }
    fn change(&mut self, file: &str, octets: Option<Vec<u8>>) {
        self.changes.push(Change { repository: self.repository, file: file.to_owned(), octets });
    }
}

impl Outside for Offline<'_> {
    type Fault = Infallible;

    fn load(&mut self, file: &str) -> Result<Answer, Infallible> {
        Ok(self.kept.get(file).map_or(Answer::NotThere, |octets| Answer::Octets(octets.clone())))
    }
    fn fetch(&mut self, file: &str, _len_max: u64) -> Answer {
        let name = format!("{}/{file}", self.repository.name());
        let Some(octets) = self.files.get(&name) else { return Answer::NotThere };
        self.asked.insert(name);
        Answer::Octets(octets.clone())
    }
    fn forget(&mut self, file: &str) -> Result<(), Infallible> {
        self.kept.remove(file);
        self.change(file, None);
        Ok(())
    }
    fn persist(&mut self, file: &str, octets: &[u8]) -> Result<(), Infallible> {
        self.kept.insert(file.to_owned(), octets.to_vec());
        self.change(file, Some(octets.to_vec()));
        Ok(())
    }
}
