//! Quarantine: an installation that was restored from a backup issues nothing until an operator lets it.

use super::engine::OptionalExtension;
use super::transaction::Tx;
use super::{SqlStore, WriteFault, entry};
use model::audit::Event;
use model::{Module, Reason, UnixTime};
use ports::StoreFault;

/// The name of the row that says so.
const QUARANTINE: &str = "quarantine";

/// The name of the row that says at which audit entry the marks began anew, because those before were gone.
const MARKS_LOST: &str = "marks_lost";

/// The reason for which nothing is signed now.
pub(super) fn in_force(tx: &Tx<'_>) -> Result<Option<Reason>, WriteFault> {
    let mut statement = tx.statement("SELECT value FROM counter WHERE name = ?1 AND value > 0")?;
    Ok(statement.exists([QUARANTINE])?.then_some(Reason::Quarantined))
}

/// Puts the installation into quarantine.
pub(super) fn begin(tx: &Tx<'_>) -> Result<(), WriteFault> {
    tx.statement("INSERT INTO counter (name, value) VALUES (?1, 1) ON CONFLICT (name) DO UPDATE SET value = 1")?
        .execute([QUARANTINE])?;
    Ok(())
}

impl SqlStore {
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

    /// Where the high-water marks began anew after those before were gone, if that ever happened.
    ///
    /// # Errors
    /// [`StoreFault`]
    pub fn marks_lost(&self) -> Result<Option<u64>, StoreFault> {
        self.read(|c| {
            c.query_row("SELECT value FROM counter WHERE name = ?1", [MARKS_LOST], |row| row.get(0)).optional()
        })
    }

    /// Records that the high-water marks were gone, and begin anew at this entry of the log.
    ///
    /// # Errors
    /// [`StoreFault`]
    pub fn note_lost_marks(&self, entry_number: u64, at: UnixTime) -> Result<(), StoreFault> {
        self.write(move |tx| {
            tx.statement(
                "INSERT INTO counter (name, value) VALUES (?1, ?2) ON CONFLICT (name) DO UPDATE SET value = ?2",
            )?
            .execute((MARKS_LOST, entry_number))?;
            let what = format!("the high-water marks were gone, and begin anew at entry {entry_number}");
            tx.audit(&entry(at, Module::Supervisor, Event::Repaired { what }))
        })
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
