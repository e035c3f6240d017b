//! Driving the clients of both repositories, with what they trust kept durably step by step.

use model::{Digest, Fault, Module, UnixTime};
use ports::source::{Files, NotFetched, Repositories};
use ports::store::SoftwareStore;
use ports::store::software::TrustedFile;
use update::bundle::{BadBundle, Kept, NotFollowed, Primary, Repository, follow};
use update::tuf::{Answer, BadMetadata, Client, Outside, Refused};
use update::uptane::Inventory;

/// The last root that was verified, and where each on the way to it is.
const ROOT: &str = "root.json";
const ROOTS: &str = "roots/";

/// Why there is no new bundle.
#[derive(Debug)]
pub(crate) enum Stopped {
    /// What repositories say is not taken.
    Bad(BadBundle),
    /// Something of ours does not work.
    Fault(Fault),
}

impl From<BadBundle> for Stopped {
    fn from(bad: BadBundle) -> Self {
        Self::Bad(bad)
    }
}
impl From<Fault> for Stopped {
    fn from(fault: Fault) -> Self {
        Self::Fault(fault)
    }
}

/// What is kept of both repositories, once they are up to date.
#[derive(Debug)]
pub(crate) struct Followed {
    pub(crate) images: Kept,
    pub(crate) director: Kept,
}

impl Followed {
    /// Brings both up to date, for a box that is made of this, at this time.
    pub(crate) fn by(
        store: &dyn SoftwareStore,
        primary: &Primary,
        from: &Repositories,
        (inventory, now): (&Inventory, UnixTime),
    ) -> Result<Self, Stopped> {
        let side = |repository, root, files| match primary.repository(repository) {
            Some(name) => Side::new(store, name, root, files).map(Some),
            None => Ok(None),
        };
        let images = Some(from.images.as_ref());
        let mut images = side(Repository::Images, &primary.images_root, images)?;
        let root = primary.director_root.as_deref().unwrap_or_default();
        let mut director = side(Repository::Director, root, from.director.as_deref())?;
        let Some(images_side) = &mut images else { return Err(Fault::unavailable("no image repository").into()) };
        let followed = follow(inventory, now, images_side, director.as_mut());
        let trouble = [images_side.trouble.take(), director.as_mut().and_then(|side| side.trouble.take())];
        match (followed, trouble.into_iter().flatten().next()) {
            (Ok(_), _) => {}
            (Err(NotFollowed::Outside(fault)), _) => return Err(fault.into()),
            // What the line says is worth more than that it did not answer.
            (
                Err(NotFollowed::Bad(BadBundle::Upstream(_, Refused { file, bad: BadMetadata::Unreachable }))),
                Some(why),
            ) => {
                return Err(Fault::Unavailable(format!("{file}: {why}").into()).into());
            }
            (Err(NotFollowed::Bad(bad)), _) => return Err(bad.into()),
        }
        let kept = |side: Option<Side<'_>>| side.map(|side| side.kept).unwrap_or_default();
        Ok(Self { images: kept(images), director: kept(director) })
    }
}

/// What became of a target that did not come.
pub(crate) fn not_come(target: &str, not: &NotFetched) -> Stopped {
    let bad = match not {
        NotFetched::NotThere => BadMetadata::NotThere,
        NotFetched::TooLong => BadMetadata::TargetTooLong,
        NotFetched::TooShort => BadMetadata::TargetMismatch,
        NotFetched::TooSlow => BadMetadata::TooSlow,
        NotFetched::Unreachable(why) => return Fault::Unavailable(format!("{target}: {why}").into()).into(),
    };
    BadBundle::Upstream(Repository::Images, Refused { file: target.to_owned(), bad }).into()
}

/// One repository, and what sm keeps of it.
struct Side<'a> {
    store: &'a dyn SoftwareStore,
    repository: Digest,
    root: &'a [u8],
    // None where there is no such repository: nothing of it is there.
    files: Option<&'a dyn Files>,
    kept: Kept,
    fetched: String,
    trouble: Option<String>,
}

impl<'a> Side<'a> {
    fn new(
        store: &'a dyn SoftwareStore,
        repository: Digest,
        root: &'a [u8],
        files: Option<&'a dyn Files>,
    ) -> Result<Self, Fault> {
        let mut kept = store.trusted(Module::Software, repository)?;
        let is_root = |name: &str| name == ROOT || name.starts_with(ROOTS);
        if kept.iter().any(|(name, octets)| is_root(name) && !Client::can_begin_with(octets)) {
            // The medium has altered one: the way begins again, and each is kept again. What else is kept stays the measure.
            kept.retain(|name, _| !is_root(name));
        }
        Ok(Self { store, repository, root, files, kept, fetched: String::new(), trouble: None })
    }

    fn keep(&mut self, changes: Vec<(String, Option<Vec<u8>>)>) -> Result<(), Fault> {
        let file = |(name, octets): &(String, Option<Vec<u8>>)| TrustedFile {
            repository: self.repository,
            name: name.clone(),
            octets: octets.clone(),
        };
        let files: Vec<_> = changes.iter().map(file).collect();
        self.store.keep_trusted(Module::Software, &files)?;
        for (name, octets) in changes {
            match octets {
                Some(octets) => self.kept.insert(name, octets),
                None => self.kept.remove(&name),
            };
        }
        Ok(())
    }
}

impl Outside for Side<'_> {
    type Fault = Fault;

    fn load(&mut self, file: &str) -> Result<Answer, Fault> {
        Ok(match self.kept.get(file) {
            Some(octets) => Answer::Octets(octets.clone()),
            None if file == ROOT => Answer::Octets(self.root.to_vec()),
            None => Answer::NotThere,
        })
    }

    fn fetch(&mut self, file: &str, len_max: u64) -> Answer {
        file.clone_into(&mut self.fetched);
        let Some(files) = self.files else { return Answer::NotThere };
        match files.fetch(file, len_max) {
            Ok(octets) => Answer::Octets(octets),
            Err(NotFetched::NotThere) => Answer::NotThere,
            Err(NotFetched::TooLong) => Answer::TooLong,
            Err(NotFetched::TooSlow) => Answer::TooSlow,
            Err(NotFetched::TooShort) => Answer::Unreachable,
            Err(NotFetched::Unreachable(why)) => {
                self.trouble = Some(why);
                Answer::Unreachable
            }
        }
    }

    fn forget(&mut self, file: &str) -> Result<(), Fault> {
        self.keep(vec![(file.to_owned(), None)])
    }

    fn persist(&mut self, file: &str, octets: &[u8]) -> Result<(), Fault> {
        let mut changes = vec![(file.to_owned(), Some(octets.to_vec()))];
        // Each root is needed for ever: who begins with the first goes through all of them.
        if file == ROOT {
            changes.push((format!("{ROOTS}{}", self.fetched), Some(octets.to_vec())));
        }
        self.keep(changes)
    }
}
