//! Restoring: what was used up after the backup stays used up, and nothing is issued until operators say so.

use super::{Common, failed, octets, verify};
use crate::cli::crl::list_at;
use crate::compose::{self, Workshop};
use crate::config::{Config, FILE, Places};
use crate::fault::{Exit, Failure, Result};
use crate::{operators, progress};
use adapters::backup::Manifest;
use adapters::store::marks::{self, BadMarks, Mark, Marks};
use adapters::store::sql::{ReadBack, marks_of_list};
use model::audit::{Entry, Event};
use model::{OperatorName, UnixTime};
use ports::store::AuthorityStore;
use serde::Serialize;
use serde_json::json;
use std::path::{Path, PathBuf};
use x509::Certificate;

/// What an operator signs to restore without marks, and to let a restored installation go.
const STATEMENT: &str = "cradle-restore";
/// Before the name of a backup in the record, if nothing was known of the time after it.
const WITHOUT: &str = "without high-water marks: ";
/// Where the marks of what is being restored lie, in its directory.
const STAGED: &str = ".marks";
/// Marks that are taken in together.
const PAGE: usize = 10_000;

pub(super) struct Asked {
    pub(super) file: PathBuf,
    pub(super) marks: Option<PathBuf>,
    pub(super) lists: Vec<PathBuf>,
    pub(super) without_marks: bool,
    pub(super) operators: Vec<OperatorName>,
}

/// What an operator signs.
#[derive(Serialize)]
struct Statement<'a> {
    says: &'a str,
    log: &'a str,
    entries: u64,
    operator: &'a OperatorName,
    at: UnixTime,
}

/// A directory that is gone again, unless it became the installation.
struct Staging(PathBuf);

impl Drop for Staging {
    fn drop(&mut self) {
        let _renamed_if_all_went_well = std::fs::remove_dir_all(&self.0);
    }
}

pub(super) fn run(common: &Common, asked: &Asked) -> Result {
    refuse_existing(&common.data)?;
    let manifest = verify(common, &asked.file)?;
    let mut name = common.data.file_name().unwrap_or_default().to_owned();
    name.push(".restoring");
    let staging = Staging(common.data.with_file_name(name));
    let bar = progress::bytes(common.out(), "restoring", octets(&manifest));
    // Under another name until it is in quarantine: an interruption leaves no installation that could issue.
    let _of_an_interruption = std::fs::remove_dir_all(&staging.0);
    let restored = adapters::backup::restore(&asked.file, &staging.0, FILE, &mut |n| bar.inc(n));
    bar.finish_and_clear();
    restored.map_err(failed)?;
    let read_back = read_back(common, asked, &manifest, &staging.0)?;
    if common.data.exists() {
        std::fs::remove_dir(&common.data).map_err(|e| Failure::file(&common.data, &e))?;
    }
    std::fs::rename(&staging.0, &common.data).map_err(|e| Failure::file(&common.data, &e))?;
    let parent = common.data.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    adapters::files::sync_directory(parent).map_err(|e| Failure::file(parent, &e))?;
    said(common, asked, &manifest, &read_back)
}

fn refuse_existing(data: &Path) -> Result {
    let is_empty = std::fs::read_dir(data).is_ok_and(|mut entries| entries.next().is_none());
    if std::fs::symlink_metadata(data).is_err() || is_empty {
        return Ok(());
    }
    Err(Failure::new(Exit::Conflict, "exists", format!("{} is not empty", data.display()))
        .because("an installation is restored into a directory of its own")
        .next("move away what is there, or name another directory with --data"))
}

/// Opens what was restored, puts it into quarantine, and takes in what happened after the backup.
fn read_back(common: &Common, asked: &Asked, manifest: &Manifest, staging: &Path) -> Result<ReadBack> {
    let places = Places::of(staging);
    let passphrase = compose::passphrase(&Places::of(&common.data), common.passphrase_file.as_deref())?;
    let keystore = compose::keystore(&places, passphrase);
    let key = compose::checked_audit_key(&places, &keystore)?;
    let config = Config::read(staging)?;
    if model::octets::hex(key.public_key().spki()) != manifest.audit_key || compose::log_name(&config) != manifest.log {
        return Err(Failure::new(Exit::Failed, "backup-altered", "the backup is not one of the installation in it")
            .because("another key than that of its audit log signed it")
            .next("take another one: nothing of this one was used"));
    }
    let name = marks::name_of(&manifest.log, key.public_key());
    let own = Places::of(&common.data).marks(&config);
    let directory = asked.marks.clone().unwrap_or_else(|| own.clone());
    let known = known_marks(asked, &directory, &name, manifest.entries)?;
    // Until all went well, the marks of this opening lie with it: a file of marks that says nothing of the time after the
    // backup would be taken for one that does.
    let staged = staging.join(STAGED);
    let workshop = Workshop::open_restored(staging, keystore, staged.clone())?;
    if !known {
        operators::check_count(&asked.operators, 2, "nobody knows what was issued and revoked after the backup")?;
        sign_all(&workshop, &asked.operators, "restore without high-water marks", manifest)?;
    }
    let old = known.then_some(Journal { directory: &directory, name: &name, entries: manifest.entries });
    let read_back = take_in(&workshop, asked, manifest, old)?;
    let new = Journal { directory: &staged, name: &name, entries: manifest.entries };
    keep_marks(&workshop, old, new, &own)?;
    drop(workshop);
    std::fs::remove_dir_all(&staged).map_err(|e| Failure::file(&staged, &e))?;
    Ok(read_back)
}

/// Begins quarantine and takes in what is known.
fn take_in(workshop: &Workshop, asked: &Asked, manifest: &Manifest, old: Option<Journal<'_>>) -> Result<ReadBack> {
    let (store, now) = (&workshop.store, workshop.clock.now());
    let file = asked.file.file_name().unwrap_or_default().to_string_lossy();
    let backup = format!("{}{}", if old.is_some() { "" } else { WITHOUT }, model::text::printable(&file, 120));
    store.begin_quarantine(&backup, manifest.entries, now)?;
    let mut all = ReadBack::default();
    if let Some(old) = old {
        old.pages(&mut |page| {
            add(&mut all, store.recall(page, now)?);
            Ok(())
        })?;
    } else {
        let names: Vec<_> = asked.operators.iter().map(ToString::to_string).collect();
        let what = format!("restored without high-water marks, in the name of {}", names.join(", "));
        let event = Event::Repaired { what };
        ports::store::AuditSink::append(store.as_ref(), vec![Entry { at: now, by: model::Module::Supervisor, event }])?;
    }
    for path in &asked.lists {
        let marks = marks_of_file(workshop, path)?;
        add(&mut all, store.recall(&marks, now)?);
    }
    Ok(all)
}

/// Puts what is known of the time after the backup where the installation keeps its marks from now on. If it is not
/// known, the new file begins behind the backup: who restores that again meets the same gap.
fn keep_marks(workshop: &Workshop, old: Option<Journal<'_>>, new: Journal<'_>, own: &Path) -> Result {
    let failed = |e: std::io::Error| Failure::file(own, &e);
    let entries = workshop.store.audit_len()?;
    let place = |path: &Path| std::fs::canonicalize(path).ok();
    let kept = Marks::begin(own, new.name, if old.is_some() { new.entries } else { entries }).map_err(failed)?;
    let mut append = |page: &[Mark]| kept.append(page).map_err(failed);
    if let Some(old) = old.filter(|old| place(old.directory) != place(own)) {
        old.pages(&mut append)?;
    }
    new.pages(&mut append)?;
    drop(Marks::begin(own, new.name, entries).map_err(failed)?);
    Ok(())
}

/// Marks that come after a backup of so many entries.
#[derive(Clone, Copy)]
struct Journal<'a> {
    directory: &'a Path,
    name: &'a str,
    entries: u64,
}

impl Journal<'_> {
    /// Reads them, many at a time.
    fn pages(&self, take: &mut dyn FnMut(&[Mark]) -> Result) -> Result {
        let (mut page, mut result) = (Vec::with_capacity(PAGE), Ok(()));
        let read = marks::read(self.directory, self.name, self.entries, &mut |mark| {
            page.push(mark);
            if page.len() == PAGE && result.is_ok() {
                result = take(&page);
                page.clear();
            }
        });
        read.map_err(|bad| {
            Failure::new(Exit::Failed, "marks-damaged", "the high-water marks cannot be read").because(bad)
        })?;
        result?;
        take(&page)
    }
}

fn sign_all(workshop: &Workshop, named: &[OperatorName], says: &str, manifest: &Manifest) -> Result {
    for operator in named {
        let at = workshop.clock.now();
        let statement = Statement { says, log: &manifest.log, entries: manifest.entries, operator, at };
        operators::sign(workshop, operator, STATEMENT, &statement)?;
    }
    Ok(())
}

/// Whether there are marks for the time after the backup.
fn known_marks(asked: &Asked, directory: &Path, name: &str, entries: u64) -> Result<bool> {
    let why = match marks::read(directory, name, entries, &mut |_| ()) {
        Ok(()) => return Ok(true),
        Err(BadMarks::Gap { .. }) if asked.without_marks => return Ok(false),
        Err(BadMarks::Gap { to: u64::MAX, .. }) => format!("there are none in {}", directory.display()),
        Err(bad) if matches!(bad, BadMarks::Gap { .. }) => bad.to_string(),
        Err(bad) => {
            return Err(Failure::new(Exit::Failed, "marks-damaged", "the high-water marks cannot be read")
                .because(bad)
                .next(
                    "look at the line that is named; without marks only two operators can restore (--without-marks)",
                ));
        }
    };
    Err(Failure::new(Exit::Refused, "marks-missing", "nothing was restored: the high-water marks of the time after the backup are missing")
        .because(format!("{why}; without them serial numbers, list numbers and grants would be used twice, and what was revoked since would be good again"))
        .next("name their directory with --marks; if they are lost, two operators can restore with --without-marks --operator A --operator B"))
}

pub(super) fn add(all: &mut ReadBack, more: ReadBack) {
    all.certificates += more.certificates;
    all.revocations += more.revocations;
    all.lists += more.lists;
    all.strangers.extend(more.strangers);
    all.strangers.sort_unstable();
    all.strangers.dedup();
}

/// What a published list tells, if one of our authorities signed it.
pub(super) fn marks_of_file(workshop: &Workshop, path: &Path) -> Result<Vec<Mark>> {
    let (_, list) = list_at(path)?.ok_or_else(|| Failure::file(path, &std::io::ErrorKind::NotFound.into()))?;
    let authorities = workshop.store.authorities()?;
    let signer = authorities.iter().find(|row| {
        let certificate = Certificate::decode(&row.certificate);
        certificate.is_ok_and(|certificate| list.verify(&certificate.tbs().subject_public_key).is_ok())
    });
    let signer = signer.ok_or_else(|| {
        let what = format!("{} is not a list of this installation", path.display());
        Failure::new(Exit::Failed, "published-foreign", what)
            .because(format!("it is one of {}, and no authority in the backup signed it", list.issuer))
            .next("leave it out")
    })?;
    Ok(marks_of_list(&signer.name, &list))
}

fn said(common: &Common, asked: &Asked, manifest: &Manifest, read_back: &ReadBack) -> Result {
    let ReadBack { certificates, revocations, lists, strangers } = read_back;
    let said = json!({
        "data": common.data.display().to_string(), "backup": asked.file.display().to_string(),
        "created": manifest.created.to_string(), "certificates": certificates, "revocations": revocations,
        "lists": lists, "unknown_authorities": strangers, "quarantined": true,
    });
    common.out().one(&said, || {
        format!(
            "{} is restored from the backup of {}.\nRead back of the time after it: {certificates} certificates, \
             {revocations} revocations, {lists} list numbers.\nIt issues nothing yet.\n",
            common.data.display(),
            manifest.created,
        )
    })?;
    if !strangers.is_empty() {
        let names = strangers.join(", ");
        common
            .out()
            .say(&format!("These authorities were made after the backup, and are lost with their keys: {names}"));
    }
    common.out().next("compare it with what you know of the time since, then: cradle backup confirm");
    Ok(())
}

/// The last restoring in the audit log: the backup's name and its entries, and what was read back behind it.
fn last_restored(workshop: &Workshop) -> Result<(String, u64, ReadBack)> {
    const ENTRIES: u32 = 1000;
    let mut end = workshop.store.audit_len()?;
    let mut all = ReadBack::default();
    while end > 0 {
        let start = end.saturating_sub(u64::from(ENTRIES));
        let page = workshop.store.audit_entries(start, u32::try_from(end - start).unwrap_or(ENTRIES))?;
        for entry in page.iter().rev() {
            let entry: Option<Entry> = serde_json::from_slice(&entry.entry).ok();
            match entry.map(|entry| entry.event) {
                Some(Event::Restored { backup, entries }) => return Ok((backup, entries, all)),
                Some(Event::ReadBack { certificates, revocations, lists }) => {
                    add(&mut all, ReadBack { certificates, revocations, lists, strangers: Vec::new() });
                }
                _ => {}
            }
        }
        end = start;
    }
    Ok((String::new(), 0, all))
}

pub(super) fn confirm(common: &Common, mut named: Vec<OperatorName>, yes: bool) -> Result {
    let workshop = Workshop::open(&common.data, common.passphrase_file.as_deref())?;
    if !workshop.store.is_quarantined()? {
        return Err(Failure::new(Exit::Conflict, "not-quarantined", "there is nothing to confirm")
            .because("this installation was not restored, or was let go already")
            .next("go on"));
    }
    let (backup, entries, read_back) = last_restored(&workshop)?;
    if named.is_empty() {
        named.push(workshop.operator(None)?);
    }
    let wanted = if backup.starts_with(WITHOUT) { 2 } else { 1 };
    operators::check_count(&named, wanted, "it was restored without high-water marks")?;
    named.sort();
    named.dedup();
    let ReadBack { certificates, revocations, lists, .. } = &read_back;
    let plan = format!(
        "This lets an installation issue that was restored from {backup} ({entries} audit entries). Read back since: \
         {certificates} certificates, {revocations} revocations, {lists} list numbers."
    );
    if !yes {
        crate::cli::confirm(common.out(), &plan, workshop.config.name.as_str())?;
    }
    let (log, at) = (compose::log_name(&workshop.config), workshop.clock.now());
    let mut statements = Vec::with_capacity(named.len());
    for operator in &named {
        let statement = Statement { says: "let it issue", log: &log, entries, operator, at };
        statements.push(operators::sign(&workshop, operator, STATEMENT, &statement)?);
    }
    let names = named.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    workshop.store.end_quarantine(&names, &statements, at)?;
    let said = json!({
        "backup": backup, "audit_entries": entries, "certificates": certificates, "revocations": revocations,
        "lists": lists, "operators": named,
    });
    common.out().one(&said, || format!("{plan}\nIt issues again, in the name of {names}.\n"))?;
    common.out().next("cradle crl issue for each authority, so that others learn what was read back");
    Ok(())
}
