//! Quarantine: an installation that was restored from a backup issues nothing until an operator lets it.

use super::writer::Tx;
use super::{SqliteStore, WriteFault, entry};
use model::audit::Event;
use model::{Module, Reason, UnixTime};
use ports::StoreFault;
use rusqlite::OptionalExtension;

/// The name of the row that says so.
const QUARANTINE: &str = "quarantine";

/// The reason for which nothing is signed now.
pub(super) fn in_force(tx: &Tx<'_>) -> Result<Option<Reason>, WriteFault> {
    let mut statement = tx.statement("SELECT value FROM counter WHERE name = ?1 AND value > 0")?;
    Ok(statement.exists([QUARANTINE])?.then_some(Reason::Quarantined))
}

/// Puts the installation into quarantine.
pub(super) fn begin(tx: &Tx<'_>) -> Result<(), WriteFault> {
    tx.statement("INSERT OR REPLACE INTO counter (name, value) VALUES (?1, 1)")?.execute([QUARANTINE])?;
    Ok(())
}

impl SqliteStore {
    /// Whether the installation was restored and not let go yet.
    ///
    /// # Errors
    /// [`StoreFault`]
    pub fn is_quarantined(&self) -> Result<bool, StoreFault> {
        let value: Option<u64> = self.read(|c| {
            c.query_row("SELECT value FROM counter WHERE name = ?1", [QUARANTINE], |row| row.get(0)).optional()
        })?;
        Ok(value.unwrap_or(0) > 0)
    }

    /// Lets a restored installation issue again, in the name of these operators, who signed these statements.
    ///
    /// # Errors
    /// [`StoreFault`]
    pub fn end_quarantine(&self, operators: &str, statements: &[String], at: UnixTime) -> Result<(), StoreFault> {
        let (operators, statements) = (operators.to_owned(), statements.to_vec());
        self.write(move |tx| {
            tx.statement("DELETE FROM counter WHERE name = ?1")?.execute([QUARANTINE])?;
            let (operators, statements) = (operators.clone(), statements.clone());
            tx.audit(&entry(at, Module::Supervisor, Event::QuarantineEnded { operators, statements }))
        })
    }
}
