//! `cradle audit`: the audit log.

use super::Common;
use crate::compose;
use crate::config::Places;
use crate::fault::{Exit, Failure, Result};
use crate::output::Format;
use crate::progress;
use adapters::store::SqliteStore;
use serde::Serialize;
use std::path::PathBuf;

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
        /// From this number on; counted from the end if negative.
        #[arg(long, default_value_t = -20, allow_negative_numbers = true)]
        from: i64,
        /// At most so many.
        #[arg(long, default_value_t = 1000)]
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
    let store = SqliteStore::open_to_read(&common.data)?;
    match arguments.verb {
        Verb::Verify { checkpoints } => {
            let kept = checkpoints.iter().map(read_checkpoint).collect::<Result<Vec<_>>>()?;
            let sound = verify(common, &store, &kept)?;
            out.one(&sound, || {
                format!(
                    "The audit log is sound: {} entries, root {}, {} checkpoints agree.\n",
                    sound.entries, sound.root, sound.checkpoints
                )
            })
        }
        Verb::List { from, limit } => list(common, &store, from, limit),
        Verb::Checkpoint => {
            let note = store.checkpoint()?.unwrap_or_default();
            out.one(&serde_json::json!({"checkpoint": note}), || note.clone())
        }
    }
}

fn read_checkpoint(path: &PathBuf) -> Result<String> {
    let octets = adapters::files::read_bounded(path, CHECKPOINT_LEN_MAX).map_err(|e| Failure::file(path, &e))?;
    Ok(String::from_utf8_lossy(&octets).into_owned())
}

/// Checks the log, or fails with the places.
pub(crate) fn verify_log(common: &Common, store: &SqliteStore, kept: &[String]) -> Result<(u64, String)> {
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

fn verify(common: &Common, store: &SqliteStore, kept: &[String]) -> Result<Sound> {
    let (entries, root) = verify_log(common, store, kept)?;
    Ok(Sound { entries, root, checkpoints: kept.len() + 1 })
}

fn list(common: &Common, store: &SqliteStore, from: i64, limit: u32) -> Result {
    let out = common.out();
    let size = u64::try_from(from).map_or_else(|_| log_size(store), |_| Ok(0))?;
    let start = u64::try_from(from).unwrap_or_else(|_| size.saturating_sub(from.unsigned_abs()));
    let entries = store.audit_entries(start, limit)?;
    let rows = entries.iter().map(|entry| {
        let value: serde_json::Value = serde_json::from_slice(&entry.entry).unwrap_or_default();
        let at = value.get("at").and_then(serde_json::Value::as_u64).map(model::UnixTime::from_ms);
        let event = value.get("event").cloned().unwrap_or_default();
        serde_json::json!({
            "number": entry.number,
            "at": at.map(|at| at.to_string()),
            "by": value.get("by"),
            "event": if out.format() == Format::Human { serde_json::Value::String(event.to_string()) } else { event },
        })
    });
    out.rows(&["number", "at", "by", "event"], &rows.collect::<Vec<_>>())
}

fn log_size(store: &SqliteStore) -> Result<u64> {
    let note = store.checkpoint()?.unwrap_or_default();
    Ok(note.lines().nth(1).and_then(|line| line.parse().ok()).unwrap_or_default())
}
