//! Making a backup, beside whoever works.

use super::{Common, failed, print, verify};
use crate::compose;
use crate::config::{Config, Places};
use crate::fault::{Exit, Failure, Result};
use crate::progress;
use adapters::backup::{Manifest, RECORDS};
use adapters::clock::SystemClock;
use adapters::files;
use adapters::store::{SqlStore, marks};
use ports::Clock;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Where the snapshot lies while the backup is written.
const SNAPSHOT: &str = ".snapshot";
/// What is in no backup: the passphrase, and what belongs to a process that runs, the operator API's among them.
const LEFT_OUT: [&str; 7] = ["secrets", "lock", "cradle.db", "cradle.db-wal", "cradle.db-shm", "api", "api.sock"];

/// The directory of the snapshot, which is gone when this is.
struct Snapshot(PathBuf);

impl Drop for Snapshot {
    fn drop(&mut self) {
        // What is left is removed by the next backup.
        let _next_time = std::fs::remove_dir_all(&self.0);
    }
}

impl Snapshot {
    fn take(places: &Places, store: &SqlStore) -> Result<Self> {
        let directory = places.data().join(SNAPSHOT);
        let _nothing_left = std::fs::remove_dir_all(&directory);
        let snapshot = Self(directory.clone());
        let path = directory.join(RECORDS);
        files::private_directory(&directory)
            .and_then(|()| files::write_new(&path, b""))
            .map_err(|e| Failure::file(&directory, &e))?;
        store.snapshot(&path)?;
        Ok(snapshot)
    }
}

pub(super) fn run(common: &Common, file: &Path) -> Result {
    let places = Places::of(&common.data);
    let config = Config::read(&common.data)?;
    if std::fs::symlink_metadata(file).is_ok() {
        return Err(Failure::file(file, &std::io::ErrorKind::AlreadyExists.into()));
    }
    let keystore = compose::keystore(&places, compose::passphrase(&places, common.passphrase_file.as_deref())?);
    let key = compose::checked_audit_key(&places, &keystore)?;
    let store = crate::compose::open_to_read(&common.data)?;
    if store.is_quarantined()? {
        common
            .out()
            .say("This installation was restored and has not been released: so is what is made of this backup.");
    }
    let snapshot = Snapshot::take(&places, &store)?;
    // The snapshot says itself how far it goes: the records go on meanwhile.
    let taken = SqlStore::open_to_read(&snapshot.0)?;
    let entries = taken.audit_len()?;
    let manifest = Manifest {
        version: 0,
        log: compose::log_name(&config),
        created: SystemClock.now(),
        entries,
        checkpoint: taken.checkpoint()?.unwrap_or_default(),
        audit_key: String::new(),
        files: BTreeMap::new(),
    };
    drop(taken);
    let mut contents = vec![(RECORDS.to_owned(), snapshot.0.join(RECORDS))];
    contents.extend(beside(common, places.data())?);
    let len = contents.iter().filter_map(|(_, path)| std::fs::metadata(path).ok()).map(|file| file.len()).sum::<u64>();
    // Each file is read twice: once for its digest.
    let bar = progress::bytes(common.out(), "writing", 2 * len);
    let made = adapters::backup::create(file, manifest, &contents, key.as_ref(), &mut |n| bar.inc(n));
    bar.finish_and_clear();
    made.map_err(failed)?;
    drop(snapshot);
    let name = marks::name_of(&compose::log_name(&config), key.public_key());
    // Only for who asks whether a backup is younger than the marks; who may not write there has his backup all the same.
    let _not_noted = marks::note_backup(&places.marks(&config), &name, entries);
    let manifest = verify(common, file)?;
    print(common, file, &manifest)?;
    common.out().next("keep it, the passphrase, and the high-water marks in three different places");
    Ok(())
}

/// All other files of an installation, by their names in the backup.
fn beside(common: &Common, data: &Path) -> Result<Vec<(String, PathBuf)>> {
    let mut found = Vec::new();
    for (name, path) in entries(data)? {
        if LEFT_OUT.contains(&name.as_str()) || name.starts_with('.') {
            continue;
        }
        if !path.is_dir() {
            found.push((name, path));
            continue;
        }
        for (below, path) in entries(&path)?.into_iter().filter(|(below, _)| !below.starts_with('.')) {
            if path.is_dir() {
                common.out().say(&format!("{} is left out: no file of an installation is so deep.", path.display()));
            } else if !below.ends_with(".part") {
                found.push((format!("{name}/{below}"), path));
            }
        }
    }
    found.sort();
    Ok(found)
}

fn entries(directory: &Path) -> Result<Vec<(String, PathBuf)>> {
    let io = |e: std::io::Error| Failure::file(directory, &e);
    let mut found = Vec::new();
    for entry in std::fs::read_dir(directory).map_err(io)? {
        let entry = entry.map_err(io)?;
        let name = entry.file_name().into_string().map_err(|name| {
            Failure::new(Exit::Failed, "name", format!("{} cannot be in a backup", name.display()))
                .because("its name is not text")
                .next("move it out of the data directory")
        })?;
        found.push((name, entry.path()));
    }
    Ok(found)
}
