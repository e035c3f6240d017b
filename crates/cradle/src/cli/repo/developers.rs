//! `cradle repo developer`: whose signatures over images are believed.

use super::super::Common;
use super::{Developer, act, said};
use crate::fault::{Failure, Result};
use adapters::files;
use model::text::printable;
use serde_json::{Value, json};
use std::path::Path;

/// Longest file of somebody who is registered: a key of OpenPGP with many names.
const FILE_LEN_MAX: u64 = 256 * 1024;

pub(super) fn run(common: &Common, dir: &Path, asked: &Developer) -> Result {
    match asked {
        Developer::Add { name, file } => {
            let octets = files::read_bounded(file, FILE_LEN_MAX).map_err(|e| Failure::file(file, &e))?;
            let kind = act::staged(common, dir, |repository| repository.register(name, &octets))?;
            common.out().one(&json!({"name": name.as_str(), "kind": kind.name()}), || {
                format!("{name} is registered: {}\n", kind.name())
            })
        }
        Developer::Remove { name } => {
            act::staged(common, dir, |repository| repository.unregister(name))?;
            common.out().one(&json!({"name": name, "registered": false}), || {
                format!("{} is registered no longer\n", printable(name, act::LINE_MAX))
            })
        }
        Developer::Require { count } => {
            act::staged(common, dir, |repository| repository.require_signatures(*count))?;
            common.out().one(&json!({"signatures_required": count}), || {
                format!("{count} developers must sign each image from now on\n")
            })
        }
        Developer::List => list(common, dir),
    }
}

fn list(common: &Common, dir: &Path) -> Result {
    let repository = act::open(common, dir)?;
    let known = repository.developers().map_err(|fault| said::failed(dir, &fault))?;
    let required = repository.signatures_required().map_err(|fault| said::failed(dir, &fault))?;
    let rows: Vec<Value> = known.iter().map(|one| json!({"name": one.name, "kind": one.kind.name()})).collect();
    common.out().one(&json!({"developers": rows, "signatures_required": required}), || {
        let lines = known.iter().map(|one| format!("{} {}\n", printable(&one.name, act::LINE_MAX), one.kind.name()));
        lines.collect::<String>() + &format!("{required} developers must sign each image\n")
    })
}
