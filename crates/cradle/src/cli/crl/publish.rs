//! Publishing lists as files, so that a list that others have seen is never replaced by an older one.

use super::{list_at, shards_of, title};
use crate::cli::Common;
use crate::fault::{Exit, Failure, Result};
use adapters::files::{DirectoryLock, publish};
use adapters::store::SqlStore;
use ports::store::AuthorityStore;
use ports::store::authority::{AuthorityRow, CrlRow, CrlScope};
use serde::Serialize;
use std::path::{Path, PathBuf};
use x509::{Certificate, CertificateList};

/// A list and the file that it is for.
struct Planned {
    path: PathBuf,
    title: String,
    row: CrlRow,
    /// Whether the file has it already.
    there: bool,
}

#[derive(Serialize)]
struct Row {
    file: String,
    list: String,
    number: u64,
    next_update: String,
    written: bool,
}

pub(super) fn run(common: &Common, directory: &Path) -> Result {
    let store = common.records()?;
    // Nobody else publishes into it between the look at a file and its replacement.
    let _lock = DirectoryLock::take(directory).map_err(|e| match e.kind() {
        std::io::ErrorKind::WouldBlock => {
            Failure::new(Exit::TryAgain, "in-use", format!("{} is in use", directory.display()))
                .because("another command publishes into it")
                .next("wait until it has ended, then repeat this one")
        }
        _ => Failure::file(directory, &e),
    })?;
    // Read behind the lock: what is newest now is what is written.
    let authorities = store.authorities()?;
    let mut planned = Vec::new();
    for authority in authorities.iter().filter(|row| !row.certificate.is_empty()) {
        for (shard, delta) in scopes(common, authority)? {
            planned.extend(plan(&store, &authorities, authority, directory, shard, delta)?);
        }
    }
    if planned.is_empty() {
        return Err(Failure::new(Exit::NotFound, "no-crl", "nothing was published: no authority has signed a CRL")
            .next("sign one with `cradle crl issue AUTHORITY`"));
    }
    for it in planned.iter().filter(|it| !it.there) {
        publish(&it.path, &it.row.der).map_err(|e| Failure::file(&it.path, &e))?;
    }
    let rows: Vec<_> = planned.iter().map(shown).collect();
    common.out().rows(&["file", "list", "number", "next_update", "written"], &rows)
}

/// The lists that an authority may have: whole ones, and of changes.
fn scopes(common: &Common, authority: &AuthorityRow) -> Result<Vec<(u32, bool)>> {
    let shards = match shards_of(common, &authority.name)? {
        1 => 0,
        shards => shards,
    };
    Ok((0..=shards).flat_map(|shard| [(shard, false), (shard, true)]).collect())
}

fn plan(
    store: &SqlStore,
    authorities: &[AuthorityRow],
    authority: &AuthorityRow,
    directory: &Path,
    shard: u32,
    delta: bool,
) -> Result<Option<Planned>> {
    let scope = CrlScope { authority: authority.id, shard };
    let Some(row) = store.crl(scope, delta)?.filter(|row| !row.der.is_empty()) else { return Ok(None) };
    // Changes that a later whole list has taken up tell nobody anything.
    if delta && store.crl(scope, false)?.is_some_and(|whole| whole.number > row.number) {
        return Ok(None);
    }
    let shard_name = if shard == 0 { String::new() } else { format!("-shard-{shard}") };
    let name = format!("{}{shard_name}{}.crl", authority.name, if delta { "-delta" } else { "" });
    let path = directory.join(name);
    let there = match list_at(&path)? {
        Some((der, list)) => compare(&path, authorities, authority, &row, (&der, &list))?,
        None => false,
    };
    Ok(Some(Planned { path, title: title(&authority.name, shard, delta), row, there }))
}

/// Fails if a published list must not be replaced by this one. Gives whether it is the same.
fn compare(
    path: &Path,
    authorities: &[AuthorityRow],
    authority: &AuthorityRow,
    row: &CrlRow,
    (der, published): (&[u8], &CertificateList),
) -> Result<bool> {
    let what = format!("{} is not replaced, and nothing was published", path.display());
    if !signed_by(published, authority) {
        // Before a rollover this name was that of another key, which goes on under its own.
        let is_subject = |other: &&AuthorityRow| other.retired && subject(other) == subject(authority);
        if authorities.iter().filter(is_subject).any(|retired| signed_by(published, retired)) {
            return Ok(false);
        }
        let why = format!("it is a list of {}, and the key of {} did not sign it", published.issuer, authority.name);
        return Err(Failure::new(Exit::Conflict, "published-foreign", what)
            .because(why)
            .next("publish into a directory of this installation's own"));
    }
    match published.crl_number.cmp(&row.number) {
        std::cmp::Ordering::Less => Ok(false),
        std::cmp::Ordering::Equal if der == row.der => Ok(true),
        std::cmp::Ordering::Equal => Err(Failure::new(Exit::Conflict, "published-differs", what)
            .because(format!(
                "it has number {}, as the list that would replace it, and says something else",
                row.number
            ))
            .next("find out where it was signed: two installations with one key count against each other")),
        std::cmp::Ordering::Greater => Err(Failure::new(Exit::Conflict, "published-newer", what)
            .because(format!(
                "it has number {}, and the last one that these records know is {}",
                published.crl_number, row.number
            ))
            .next("these records are older than what was published: restore with `cradle backup restore --crl FILE`")),
    }
}

fn signed_by(list: &CertificateList, authority: &AuthorityRow) -> bool {
    Certificate::decode(&authority.certificate).is_ok_and(|certificate| {
        let tbs = certificate.tbs();
        list.issuer == tbs.subject && list.verify(&tbs.subject_public_key).is_ok()
    })
}

fn subject(authority: &AuthorityRow) -> Option<x509::Name> {
    Certificate::decode(&authority.certificate).ok().map(|certificate| certificate.tbs().subject.clone())
}

fn shown(it: &Planned) -> Row {
    Row {
        file: it.path.display().to_string(),
        list: it.title.clone(),
        number: it.row.number,
        next_update: it.row.next_update.to_string(),
        written: !it.there,
    }
}
