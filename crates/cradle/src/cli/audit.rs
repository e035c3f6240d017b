//! `cradle audit`: the audit log.

use super::Common;
use crate::compose;
use crate::config::Places;
use crate::fault::{Exit, Failure, Result};
use crate::progress;
use adapters::store::SqlStore;
use adapters::store::note::Checkpoint;
use adapters::store::sql::AuditEntry;
use serde::Serialize;
use std::path::PathBuf;
use utoipa::ToSchema;
use x509::PublicKey;

/// The audit log.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(clap::Subcommand)]
enum Verb {
    /// Check that no entry was changed, deleted, added, reordered or cut off, and name the place if one was.
    Verify {
        /// Checkpoints that were kept elsewhere, written by `cradle audit checkpoint`.
        #[arg(long = "checkpoint", value_name = "FILE")]
        checkpoints: Vec<PathBuf>,
    },
    /// Print entries.
    List {
        /// From this number on; counted from the end if negative. If nothing is said, the last 20 for people and all
        /// for programs.
        #[arg(long, allow_negative_numbers = true)]
        from: Option<i64>,
        /// At most so many; 0 for all.
        #[arg(long, default_value_t = 0)]
        limit: u32,
    },
    /// Print the last signed checkpoint, to be kept outside this box.
    Checkpoint,
}

#[derive(Serialize)]
struct Sound {
    entries: u64,
    root: String,
    checkpoints: usize,
}

const CHECKPOINT_LEN_MAX: u64 = 64 * 1024;

pub(crate) fn run(common: &Common, arguments: Arguments) -> Result {
    let out = common.out();
    let store = common.records()?;
    match arguments.verb {
        Verb::Verify { checkpoints } => {
            let key = compose::audit_key(&Places::of(&common.data))?;
            let kept = checkpoints.iter().map(|path| read_checkpoint(path, &key)).collect::<Result<Vec<_>>>()?;
            let sound = verify(common, &store, &kept)?;
            out.one(&sound, || {
                let kept = match sound.checkpoints - 1 {
                    0 => "its last checkpoint agrees".to_owned(),
                    n => format!("its last checkpoint and {n} that {} kept agree", if n == 1 { "was" } else { "were" }),
                };
                format!("The audit log is sound: {} entries, root {}; {kept}.\n", sound.entries, sound.root)
            })
        }
        Verb::List { from, limit } => list(common, &store, from, limit),
        Verb::Checkpoint => {
            let note = store.checkpoint()?.unwrap_or_default();
            out.one(&serde_json::json!({"checkpoint": note}), || note.clone())
        }
    }
}

/// A checkpoint that was kept elsewhere. If it is none of ours the log is not to blame.
fn read_checkpoint(path: &PathBuf, key: &PublicKey) -> Result<String> {
    let octets = adapters::files::read_bounded(path, CHECKPOINT_LEN_MAX).map_err(|e| Failure::file(path, &e))?;
    let note = String::from_utf8_lossy(&octets).into_owned();
    if Checkpoint::verify(&note, key).is_some() {
        return Ok(note);
    }
    let what = format!("{} is no checkpoint of this log", path.display());
    Err(Failure::new(Exit::Failed, "checkpoint", what)
        .because("this log's key did not sign it, or it was changed afterwards; the log itself was not looked at")
        .next("take another one, or verify without it"))
}

/// Checks the log, or fails with the places.
pub(crate) fn verify_log(common: &Common, store: &SqlStore, kept: &[String]) -> Result<(u64, String)> {
    let key = compose::audit_key(&Places::of(&common.data))?;
    let bar = progress::bar(common.out(), "audit log", 0);
    let result = store.check_audit(kept, &key, &mut |n| {
        bar.set_length(n + 1);
        bar.set_position(n + 1);
    });
    bar.finish_and_clear();
    match result? {
        Ok(sound) => Ok((sound.size, sound.root.to_string())),
        Err(findings) => {
            let places: Vec<_> = findings.iter().map(ToString::to_string).collect();
            Err(Failure::new(Exit::Failed, "audit-broken", "the audit log was tampered with, or is damaged")
                .because(places.join("; "))
                .next("keep this data directory for examination; restore from a backup of before"))
        }
    }
}

fn verify(common: &Common, store: &SqlStore, kept: &[String]) -> Result<Sound> {
    let (entries, root) = verify_log(common, store, kept)?;
    Ok(Sound { entries, root, checkpoints: kept.len() + 1 })
}

/// Entries that people are shown if they do not say from where.
const SHOWN: i64 = 20;
/// Entries that are read at a time.
const PAGE: u32 = 1000;

fn list(common: &Common, store: &SqlStore, from: Option<i64>, limit: u32) -> Result {
    let out = common.out();
    let from = from.unwrap_or(if out.is_human() { -SHOWN } else { 0 });
    let size = u64::try_from(from).map_or_else(|_| log_size(store), |_| Ok(0))?;
    let mut start = u64::try_from(from).unwrap_or_else(|_| size.saturating_sub(from.unsigned_abs()));
    let mut left = if limit == 0 { u32::MAX } else { limit };
    let mut rows = out.stream(&["number", "at", "by", "event"]);
    while left > 0 {
        let page = store.audit_entries(start, PAGE.min(left))?;
        let Some(last) = page.last() else { break };
        start = last.number + 1;
        left = left.saturating_sub(u32::try_from(page.len()).unwrap_or(u32::MAX));
        page.iter().try_for_each(|entry| rows.add(&shown(entry, out.is_human())))?;
    }
    rows.finish()
}

/// An entry of the audit log.
#[derive(Serialize, ToSchema)]
#[schema(as = AuditEntry)]
pub(crate) struct Row {
    number: u64,
    at: Option<String>,
    by: serde_json::Value,
    event: serde_json::Value,
}

pub(crate) fn shown(entry: &AuditEntry, for_people: bool) -> Row {
    let value: serde_json::Value = serde_json::from_slice(&entry.entry).unwrap_or_default();
    let at = value.get("at").and_then(serde_json::Value::as_u64).map(model::UnixTime::from_ms);
    let event = value.get("event").cloned().unwrap_or_default();
    let event = if for_people { serde_json::Value::String(event.to_string()) } else { event };
    let by = value.get("by").cloned().unwrap_or_default();
    Row { number: entry.number, at: at.map(|at| at.to_string()), by, event }
}

fn log_size(store: &SqlStore) -> Result<u64> {
    let note = store.checkpoint()?.unwrap_or_default();
    Ok(note.lines().nth(1).and_then(|line| line.parse().ok()).unwrap_or_default())
}
