//! A client that follows what is to be published, in memory, before the first step of it.

use crate::disk::Disk;
use crate::fault::Fault;
use crate::plan::OldKeys;
use crate::state::METADATA;
use model::UnixTime;
use std::collections::BTreeMap;
use update::tuf::write::Draft;
use update::tuf::{Answer, Client, Limits, NotDone, Outside, Root};

/// Follows from the root that clients have: all of it, and all but a new root, which comes last.
pub(crate) fn follow(
    disk: &Disk,
    files: &BTreeMap<String, Vec<u8>>,
    root: Option<&Draft<Root>>,
    old_keys: OldKeys,
    now: UnixTime,
) -> Result<(), Fault> {
    let ended = root.is_some_and(|root| root.expires() <= now);
    let Some(root) = root.map(Draft::write).or_else(|| files.get("metadata/1.root.json").cloned()) else {
        return Err(Fault::NoRepository);
    };
    Side { disk, files, with_roots: true, kept: kept(&root) }.follow(now)?;
    // Under a root that has expired nobody is told anything before the next one.
    if old_keys == OldKeys::Sign && !ended {
        Side { disk, files, with_roots: false, kept: kept(&root) }.follow(now)?;
    }
    Ok(())
}

fn kept(root: &[u8]) -> BTreeMap<String, Vec<u8>> {
    BTreeMap::from([("root.json".to_owned(), root.to_vec())])
}

/// What a client sees: new files over those that are there.
pub(crate) struct Side<'a> {
    pub(crate) disk: &'a Disk,
    pub(crate) files: &'a BTreeMap<String, Vec<u8>>,
    pub(crate) with_roots: bool,
    pub(crate) kept: BTreeMap<String, Vec<u8>>,
}

impl Side<'_> {
    fn follow(&mut self, now: UnixTime) -> Result<(), Fault> {
        match Client::new(Limits::DEFAULT, now).drive(self) {
            Ok(()) => Ok(()),
            Err(NotDone::Refused(refused)) => Err(Fault::WouldBeRefused(refused)),
            Err(NotDone::Outside(fault)) => Err(fault),
        }
    }
}

impl Outside for Side<'_> {
    type Fault = Fault;
    fn load(&mut self, file: &str) -> Result<Answer, Fault> {
        Ok(self.kept.get(file).map_or(Answer::NotThere, |octets| Answer::Octets(octets.clone())))
    }
    fn fetch(&mut self, file: &str, _len_max: u64) -> Answer {
        let file = format!("{METADATA}/{file}");
        match self.files.get(&file).filter(|_| self.with_roots || !file.ends_with(".root.json")) {
            Some(octets) => Answer::Octets(octets.clone()),
            None => match self.disk.read(&file) {
                Ok(Some(octets)) => Answer::Octets(octets),
                Ok(None) => Answer::NotThere,
                Err(_) => Answer::Unreachable,
            },
        }
    }
    fn forget(&mut self, file: &str) -> Result<(), Fault> {
        self.kept.remove(file);
        Ok(())
    }
    fn persist(&mut self, file: &str, octets: &[u8]) -> Result<(), Fault> {
        self.kept.insert(file.to_owned(), octets.to_vec());
        Ok(())
    }
}
