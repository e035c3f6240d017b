//! The room that is held for what must still be written when the disk is full: see ADR 12.

use super::transaction::Tx;
use crate::store::marks::Marks;
use crate::store::room::{Held, Reserve};
use ports::StoreFault;
use std::io;
use std::path::Path;

/// The room that is held for the ends of open intents.
pub(super) struct Room {
    reserve: Reserve,
    log: Held,
    marks: Option<Held>,
}

impl Room {
    pub(super) fn open(path: &Path, marks: Option<&Marks>, reserve: Reserve) -> io::Result<Self> {
        let log = Held::open(path.with_extension("db-wal"))?;
        let marks = marks.map(|marks| Held::open(marks.path().to_owned())).transpose()?;
        Ok(Self { reserve, log, marks })
    }

    /// Whether there is room for a transaction that changed so many rows, and behind it for the ends of all that is open
    /// then. What ends an intent needs no leave: it writes into the room that was held for it.
    pub(super) fn check(&self, tx: &Tx<'_>, changes: u64) -> Result<(), StoreFault> {
        let open = u64::try_from(tx.open_len()).unwrap_or(u64::MAX);
        if open == 0 || tx.only_ends() || cfg!(feature = "control-answer-before-commit") {
            return Ok(());
        }
        let own = self.reserve.fixed.saturating_add(changes.saturating_mul(CHANGE_LEN));
        let held = self.log.hold(self.reserve.of(open).saturating_add(own)).and_then(|()| match &self.marks {
            Some(marks) => marks.hold(open.saturating_mul(crate::store::marks::LINE_LEN_MAX)),
            None => Ok(()),
        });
        held.map_err(|e| full_or(&e, "the room for records cannot be held"))
    }
}

/// A changed row dirties its own page and one of an index, of 4 KiB each.
const CHANGE_LEN: u64 = 2 * 4096;

pub(super) fn full_or(error: &io::Error, what: &'static str) -> StoreFault {
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => StoreFault::Full,
        _ => StoreFault::Engine(what),
    }
}
