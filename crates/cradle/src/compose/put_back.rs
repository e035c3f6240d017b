//! Records that a server put back: how they are found, and how they are opened all the same.

use super::{Role, Workshop, audit_key, broken, keystore, log_name, passphrase};
use crate::config::{Config, Places};
use crate::fault::{Failure, Result};
use adapters::store::log_mark::{LogMark, Reached};
use adapters::store::note::Checkpoint;
use adapters::store::sql::{Opening, Server};
use adapters::store::{SqlStore, marks};
use std::path::Path;

/// How far the log had come when this box last saw it.
pub(super) fn log_mark(places: &Places, config: &Config) -> Result<LogMark> {
    let name = marks::name_of(&log_name(config), &audit_key(places)?);
    Ok(LogMark::of(&places.marks(config), &name))
}

impl Workshop {
    /// Opens records that a server put back, for what this box knows of the rest. Behind that: [`Self::note_put_back`].
    pub(crate) fn open_put_back(data: &Path, passphrase_file: Option<&Path>) -> Result<Self> {
        let places = Places::of(data);
        let config = Config::read(data)?;
        let keystore = keystore(&places, passphrase(&places, passphrase_file)?);
        let marks = places.marks(&config);
        Self::assemble(places, config, keystore, (Role::Console, marks), |data, opening| {
            let server = opening.server.clone().map(|server| Server { log_mark: None, ..server });
            SqlStore::open(data, &Opening { server, ..opening.clone() })
        })
    }

    /// From now on the log is the one that the server has.
    pub(crate) fn note_put_back(&self) -> Result {
        let mark = log_mark(&self.places, &self.config)?;
        let note = self.store.checkpoint()?.unwrap_or_default();
        let signed = Checkpoint::verify(&note, &audit_key(&self.places)?);
        let signed = signed.ok_or_else(|| broken("the checkpoint of the audit log is not signed by its key"))?;
        let reached = Reached { entries: signed.size, root: signed.root };
        mark.put_back(reached).map_err(|e| Failure::file(self.places.marks(&self.config), &e))
    }
}
