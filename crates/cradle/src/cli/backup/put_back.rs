//! Going on where a server put the records back: what it does not have, and this box has seen, is used up.

use super::Common;
use super::restore::{add, marks_of_file};
use crate::compose::{self, Workshop, log_name};
use crate::config::Config;
use crate::fault::{Exit, Failure, Result};
use adapters::store::marks::{self, Mark};
use adapters::store::sql::{OpenFault, ReadBack};
use model::UnixTime;
use serde_json::json;
use std::path::{Path, PathBuf};

/// Marks that are taken in together.
const PAGE: usize = 10_000;
/// So often all journals are read: each process has its own, and what one of them revoked another may have issued.
const PASSES: usize = 2;

pub(super) fn run(common: &Common, lists: &[PathBuf], yes: bool) -> Result {
    let why = match compose::open_to_read(&common.data) {
        Err(why @ (OpenFault::Behind { .. } | OpenFault::Forked(_))) => why,
        Err(other) => return Err(other.into()),
        Ok(_) => {
            return Err(Failure::new(Exit::Conflict, "not-behind", "there is nothing to read back")
                .because("the records are those that this box has seen")
                .next("go on"));
        }
    };
    let plan = format!(
        "The server was put back: {why}. This goes on with what is there, and gives up what is not: of that only \
         numbers, devices and revocations are known. Another server may have all of it."
    );
    if !yes {
        crate::cli::confirm(common.out(), &plan, Config::read(&common.data)?.name.as_str())?;
    }
    let workshop = Workshop::open_put_back(&common.data, common.passphrase_file.as_deref())?;
    let now = workshop.believed_now()?;
    let entries = workshop.store.audit_len()?;
    workshop.store.begin_quarantine("the server, which was put back", entries, now)?;
    let mut all = ReadBack::default();
    for _ in 0..PASSES {
        for journal in journals(&workshop)? {
            add(&mut all, take_in(&workshop, &journal, now)?);
        }
    }
    for path in lists {
        add(&mut all, workshop.store.recall(&marks_of_file(&workshop, path)?, now)?);
    }
    workshop.note_put_back()?;
    said(common, entries, &all)
}

/// The directories of this box's marks: one, or one for each process.
fn journals(workshop: &Workshop) -> Result<Vec<PathBuf>> {
    let directory = workshop.places.marks(&workshop.config);
    if workshop.config.bus.is_none() {
        return Ok(vec![directory]);
    }
    let failed = |e: std::io::Error| Failure::file(&directory, &e);
    let entries = std::fs::read_dir(&directory).map_err(failed)?;
    let paths = entries.map(|entry| entry.map(|entry| entry.path())).collect::<std::io::Result<Vec<_>>>();
    let mut paths = paths.map_err(failed)?;
    paths.retain(|path| path.is_dir());
    paths.sort();
    Ok(paths)
}

fn take_in(workshop: &Workshop, journal: &Path, now: UnixTime) -> Result<ReadBack> {
    let name = marks::name_of(&log_name(&workshop.config), &compose::audit_key(&workshop.places)?);
    let (mut all, mut page, mut result) = (ReadBack::default(), Vec::with_capacity(PAGE), Ok(()));
    let mut recall = |page: &mut Vec<Mark>| -> Result {
        add(&mut all, workshop.store.recall(page, now)?);
        page.clear();
        Ok(())
    };
    let read = marks::read_all(journal, &name, &mut |mark| {
        page.push(mark);
        if page.len() == PAGE && result.is_ok() {
            result = recall(&mut page);
        }
    });
    read.map_err(|bad| {
        Failure::new(Exit::Failed, "marks-damaged", "the high-water marks cannot be read")
            .because(bad)
            .next("look at the line that is named, and repeat this: what was taken in stays so")
    })?;
    result?;
    recall(&mut page)?;
    Ok(all)
}

fn said(common: &Common, entries: u64, read_back: &ReadBack) -> Result {
    let ReadBack { certificates, revocations, lists, strangers } = read_back;
    let said = json!({
        "audit_entries": entries, "certificates": certificates, "revocations": revocations, "lists": lists,
        "unknown_authorities": strangers, "quarantined": true,
    });
    common.out().one(&said, || {
        format!(
            "The records are taken as the server has them, with {entries} entries of the log.\nRead back of what it does \
             not have: {certificates} certificates, {revocations} revocations, {lists} list numbers.\nNothing is issued yet.\n"
        )
    })?;
    if !strangers.is_empty() {
        let names = strangers.join(", ");
        common.out().say(&format!("These authorities are not in the records, and are lost with their keys: {names}"));
    }
    common.out().next(
        "do the same on every other box of this installation, start `cradle up` anew where it runs, compare the records with \
         what you know, then: cradle backup confirm",
    );
    Ok(())
}
