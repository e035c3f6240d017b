//! `cradle migrate`: records of an older version.

use super::Common;
use crate::compose::Workshop;
use crate::config::Config;
use crate::fault::{Failure, Result};
use adapters::store::sql::{OpenFault, SCHEMA};
use serde::Serialize;

/// Bring records that an older version wrote up to date.
///
/// In one transaction: an interruption leaves the old ones. Older versions cannot read them afterwards.
#[derive(clap::Args)]
pub(crate) struct Arguments {}

#[derive(Serialize)]
struct Migrated {
    data: String,
    from: u32,
    to: u32,
    audit_entries: u64,
}

pub(crate) fn run(common: &Common, Arguments {}: &Arguments) -> Result {
    Config::read(&common.data)?;
    let (from, store) = match crate::compose::open_to_read(&common.data) {
        Ok(store) => (SCHEMA, store),
        Err(OpenFault::Older(from)) => {
            // Whoever opens for writing brings them up to date, behind the check that nobody touched the log.
            drop(Workshop::open(&common.data, common.passphrase_file.as_deref())?);
            (from, crate::compose::open_to_read(&common.data)?)
        }
        Err(fault) => return Err(Failure::from(fault)),
    };
    let migrated =
        Migrated { data: common.data.display().to_string(), from, to: SCHEMA, audit_entries: store.audit_len()? };
    common.out().one(&migrated, || {
        let Migrated { data, from, to, audit_entries } = &migrated;
        if from == to {
            return format!("{data} has schema {to} already: nothing was done\n");
        }
        format!("{data} was brought from schema {from} to {to}: {audit_entries} audit entries, none was changed\n")
    })?;
    if from != SCHEMA {
        common.out().next("cradle verify --deep, then a backup: `cradle backup create FILE`");
    }
    Ok(())
}
