//! Who is told that something was published. What is told follows from what is published, so no interruption loses it.

use crate::disk::Disk;
use crate::fault::Fault;
use crate::state::Repository;
use serde::{Deserialize, Serialize};
use std::io::{Error, ErrorKind};
use update::notice::{Notice, SUBSCRIBERS_MAX, Subscriber, Told};
use x509::sha256;

const FILE: &str = "notices.json";
const FIRST_ROOT: &str = "metadata/1.root.json";

#[derive(Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Kept {
    subscribers: Vec<Subscriber>,
}

fn read(disk: &Disk) -> Result<Kept, Fault> {
    let Some(octets) = disk.read(FILE)? else { return Ok(Kept::default()) };
    serde_json::from_slice(&octets).map_err(|e| Fault::Disk { path: disk.path(FILE), error: Error::other(e) })
}

impl Repository {
    /// What is to be told now, and to whom; nothing before the first publication. The number is the version of the timestamp: it rises
    /// whenever anything is published.
    ///
    /// # Errors
    /// [`Fault::Disk`]
    pub fn telling(&self) -> Result<(Option<Notice>, Vec<Subscriber>), Fault> {
        let subscribers = read(&self.disk)?.subscribers;
        let Some(published) = &self.published else { return Ok((None, subscribers)) };
        let first = self.disk.read(FIRST_ROOT)?;
        let of = first.as_deref().map(sha256);
        let number = published.timestamp.version();
        Ok((of.map(|of| Notice { of, number }), subscribers))
    }

    /// Tells somebody from now on of what is published.
    ///
    /// # Errors
    /// [`Fault::Disk`], also if there are too many.
    pub fn subscribe(&mut self, subscriber: &Subscriber) -> Result<(), Fault> {
        let (notice, mut all) = self.telling()?;
        all.retain(|one| one.name != subscriber.name);
        if all.len() >= SUBSCRIBERS_MAX {
            let error = Error::new(ErrorKind::QuotaExceeded, format!("{SUBSCRIBERS_MAX} are told already"));
            return Err(Fault::Disk { path: self.disk.path(FILE), error });
        }
        // He has what there is when he asks; he is told of what comes.
        let told = Told::default().heard(notice.map_or(0, |notice| notice.number));
        all.push(Subscriber { told, ..subscriber.clone() });
        self.keep_subscribers(all)
    }

    /// Tells somebody no longer. Says whether there was anybody of this name.
    ///
    /// # Errors
    /// [`Fault::Disk`]
    pub fn unsubscribe(&mut self, name: &str) -> Result<bool, Fault> {
        let (_, mut all) = self.telling()?;
        let before = all.len();
        all.retain(|one| one.name != name);
        let was_there = all.len() < before;
        self.keep_subscribers(all)?;
        Ok(was_there)
    }

    /// Notes how far some were told, by their names. Who is told no longer stays so.
    ///
    /// # Errors
    /// [`Fault::Disk`]
    pub fn told(&mut self, told: &[(String, Told)]) -> Result<(), Fault> {
        let (_, mut all) = self.telling()?;
        for subscriber in &mut all {
            if let Some((_, told)) = told.iter().find(|(name, _)| *name == subscriber.name) {
                subscriber.told = told.clone();
            }
        }
        self.keep_subscribers(all)
    }

    fn keep_subscribers(&self, subscribers: Vec<Subscriber>) -> Result<(), Fault> {
        let octets = serde_json::to_vec_pretty(&Kept { subscribers }).unwrap_or_default();
        self.disk.write(FILE, &octets)
    }
}
