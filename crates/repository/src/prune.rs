//! Letting go of what no client asks for any more.

use crate::fault::Fault;
use crate::publish::files_of_images;
use crate::state::{METADATA, Published, Repository, TARGETS, versioned};
use std::collections::{BTreeMap, BTreeSet};
use update::tuf::Targets;
use update::tuf::write::Draft;

impl Repository {
    /// Takes away versions of snapshot and targets roles but the last `kept` and the one that is published, and images that
    /// nothing announces that is left. Roots stay: a client that comes late goes through all of them. Gives the files.
    ///
    /// # Errors
    /// [`Fault::Disk`], [`Fault::Metadata`]. What is left then is as good as before.
    pub fn prune(&mut self, kept: u64) -> Result<Vec<String>, Fault> {
        let Some(published) = &self.published else { return Ok(Vec::new()) };
        let mut gone = Vec::new();
        let mut announced: BTreeSet<String> = BTreeSet::new();
        let mut names: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for name in self.disk.list(METADATA)? {
            let file = format!("{METADATA}/{name}");
            match versioned(&name).filter(|(_, role)| *role != "root") {
                Some((version, role)) if is_old(published, role, version, kept) => {
                    self.disk.remove(&file)?;
                    gone.push(file);
                }
                Some((_, role)) if role != "snapshot" => names.entry(role.to_owned()).or_default().push(file),
                _ => {}
            }
        }
        // What an older version announces that is left may still be on its way to a client.
        for file in names.into_values().flatten() {
            let octets = self.disk.read(&file)?.unwrap_or_default();
            let draft = Draft::<Targets>::decode(&octets).map_err(Fault::metadata(&file))?;
            announced.extend(files_of_images(&draft));
        }
        announced.extend(self.staged.roles.values().flat_map(files_of_images));
        for image in self.disk.list(TARGETS)?.into_iter().filter(|image| !announced.contains(image)) {
            let file = format!("{TARGETS}/{image}");
            self.disk.remove(&file)?;
            gone.push(file);
        }
        Ok(gone)
    }
}

fn is_old(published: &Published, role: &str, version: u64, kept: u64) -> bool {
    let now = match role {
        "snapshot" => Some(published.snapshot.version()),
        role => published.snapshot.version_of(role),
    };
    now.is_some_and(|now| version.saturating_add(kept) < now)
}
