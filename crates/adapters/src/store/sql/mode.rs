//! What the supervisor keeps, in the database.

use super::engine::OptionalExtension;
use super::transaction::Tx;
use super::{SqlStore, WriteFault, entry};
use model::audit::{Entry, Event};
use model::mode::{Binding, Order};
use model::{Mode, Module, Reason, UnixTime};
use ports::StoreFault;
use ports::store::ModeStore;
use ports::store::mode::ModeRow;

impl ModeStore for SqlStore {
    fn mode(&self) -> Result<Option<ModeRow>, StoreFault> {
        let row = self.read(|c| {
            c.query_row("SELECT ordered, statement, binding, epoch FROM mode", (), |row| {
                let text = |n| row.get::<String>(n);
                Ok((text(0)?, text(1)?, text(2)?, row.get(3)?))
            })
            .optional()
        })?;
        let Some((order, statement, binding, epoch)) = row else { return Ok(None) };
        let order = Order::by_name(&order).ok_or(StoreFault::Corrupt("the stored order is none"))?;
        let binding = serde_json::from_str(&binding).map_err(|_| StoreFault::Corrupt("the stored mode is none"))?;
        Ok(Some(ModeRow { order, statement, binding, epoch }))
    }

    fn order(&self, order: Order, statement: &str, event: Event, at: UnixTime) -> Result<(), StoreFault> {
        let statement = statement.to_owned();
        self.write(move |tx| {
            let sealed = written(&Binding::settled(Mode::Sealed))?;
            tx.statement(
                "INSERT INTO mode (id, ordered, statement, binding, epoch) VALUES (1, ?1, ?2, ?3, 0)
                 ON CONFLICT (id) DO UPDATE SET ordered = ?1, statement = ?2",
            )?
            .execute((order.name(), &statement, sealed))?;
            tx.audit(&entry(at, Module::Supervisor, event.clone()))
        })
    }

    fn bind(&self, binding: Binding, at: UnixTime) -> Result<u64, StoreFault> {
        self.write(move |tx| bind(tx, binding, at))
    }

    fn seal(&self, by: Module, reason: Reason, at: UnixTime) -> Result<u64, StoreFault> {
        self.write(move |tx| {
            tx.audit(&entry(at, Module::Supervisor, Event::Sealed { by, reason }))?;
            // Only a new order leads out of it.
            tx.statement("UPDATE mode SET ordered = ?1")?.execute([Order::Stay(Mode::Sealed).name()])?;
            bind(tx, Binding::settled(Mode::Sealed), at)
        })
    }
}

/// What the audit log says of modes last.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LastModes {
    /// What the box was last ordered, or did to itself when it was sealed.
    pub ordered: Option<Order>,
    /// The modes that bind, and their epoch.
    pub entered: Option<(Binding, u64)>,
}

/// Entries of the log that are read at a time.
const PAGE: u64 = 512;

impl SqlStore {
    /// Looks for the last modes in the audit log: from where the checkpoint says, else from its end.
    ///
    /// # Errors
    /// [`StoreFault`]
    pub fn last_modes(&self) -> Result<LastModes, StoreFault> {
        self.read(|c| {
            let mut last = LastModes::default();
            let last_entry = match super::audit::last_mode(c)? {
                Some(entry) => Some(entry),
                None => c.query_row("SELECT max(number) FROM audit", (), |row| row.get(0))?,
            };
            let mut end = last_entry.map_or(0, |number| number + 1);
            let mut page =
                c.statement("SELECT entry FROM audit WHERE number >= ?1 AND number < ?2 ORDER BY number DESC")?;
            while end > 0 && (last.ordered.is_none() || last.entered.is_none()) {
                let start = end.saturating_sub(PAGE);
                let mut rows = page.query((start, end))?;
                while let Some(row) = rows.next()?.as_ref() {
                    let event = serde_json::from_slice::<Entry>(row.blob(0)?).map(|entry| entry.event);
                    match event {
                        Ok(Event::ModeOrdered { order, .. }) => drop(last.ordered.get_or_insert(order)),
                        Ok(Event::Sealed { .. }) => drop(last.ordered.get_or_insert(Order::Stay(Mode::Sealed))),
                        Ok(Event::ModeEntered { binding, epoch }) => drop(last.entered.get_or_insert((binding, epoch))),
                        _ => {}
                    }
                }
                end = start;
            }
            Ok(last)
        })
    }
}

fn written(binding: &Binding) -> Result<String, WriteFault> {
    serde_json::to_string(binding).map_err(|_| WriteFault::Corrupt("a mode cannot be written"))
}

fn bind(tx: &mut Tx<'_>, binding: Binding, at: UnixTime) -> Result<u64, WriteFault> {
    let epoch: Option<u64> = tx
        .statement("UPDATE mode SET binding = ?1, epoch = epoch + 1 RETURNING epoch")?
        .query_row([written(&binding)?], |row| row.get(0))
        .optional()?;
    let epoch = epoch.ok_or(WriteFault::Corrupt("no operator ever ordered a mode"))?;
    tx.audit(&entry(at, Module::Supervisor, Event::ModeEntered { binding, epoch }))?;
    Ok(epoch)
}
