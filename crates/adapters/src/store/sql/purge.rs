//! Taking out what nobody needs any more: the octets of certificates of devices that expired long ago and of lists that
//! are long out of date, and requests that ended without a word of an operator.
//!
//! Rows stay, with serial numbers, digests and all that was decided; so do revocations and the audit log. Certificates of
//! authorities, modules and operators stay whole: they are few, and what was signed with their keys can be verified for
//! ever. In the row of a certificate that went are no octets, so it is not taken for an intent that is open.

use super::check::Walk;
use super::engine::{self, Connection};
use super::{SqlStore, WriteFault, entry};
use model::audit::Event;
use model::{Module, UnixTime};
use ports::StoreFault;

/// Rows of a table that go in one transaction: as many as a batch of issuing has, so that nobody waits longer.
const BATCH: u32 = 512;
/// Lists that go in one transaction: they may be long.
const LISTS: u32 = 16;

// `urn:` and before `urn;` are the names of devices.
const CERTIFICATES: &str = "FROM issuance i JOIN certificate c ON c.id = i.id JOIN grant_ g ON g.id = i.grant_id
    WHERE i.id > ?1 AND i.not_after < ?2 AND length(c.der) > 0 AND g.subject >= 'urn:' AND g.subject < 'urn;'";
// The last list of a scope stays, however old it is: the next one goes on from it.
const LISTS_DUE: &str = "FROM crl l WHERE l.next_update < ?1 AND l.der IS NOT NULL AND EXISTS (SELECT 1 FROM crl n
    WHERE n.authority = l.authority AND n.shard = l.shard AND n.base IS NULL AND n.number > l.number)";
const REQUESTS: &str = "FROM pending WHERE until < ?1 AND id NOT IN (SELECT pending FROM approval)";

/// What went, or could go.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Purged {
    /// Certificates that have no octets any more.
    pub certificates: u64,
    /// Lists of revoked certificates that have none.
    pub lists: u64,
    /// Requests that waited for operators.
    pub requests: u64,
}

impl Purged {
    /// Whether it is nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// A purge that is under way. It may end at any time; another goes on where it is.
#[derive(Clone, Debug)]
pub struct Purge {
    before: UnixTime,
    operator: String,
    /// The certificates up to this row have been seen.
    row: u64,
}

impl Purge {
    /// Of what expired, or was due to be replaced, or ended, before this moment.
    #[must_use]
    pub fn new(before: UnixTime, operator: &str) -> Self {
        Self { before, operator: operator.to_owned(), row: 0 }
    }
}

impl SqlStore {
    /// Counts what could go.
    ///
    /// # Errors
    /// [`StoreFault`]
    pub fn purgeable(&self, before: UnixTime) -> Result<Purged, StoreFault> {
        self.read(|c| {
            let certificates = format!("SELECT count(*) {CERTIFICATES}");
            Ok(Purged {
                certificates: c.query_row(&certificates, (0, before.s()), |row| row.get(0))?,
                lists: c.query_row(&format!("SELECT count(*) {LISTS_DUE}"), [before.ms()], |row| row.get(0))?,
                requests: c.query_row(&format!("SELECT count(*) {REQUESTS}"), [before.ms()], |row| row.get(0))?,
            })
        })
    }

    /// Takes out some of it, in one transaction of the writer with the audit entry that says so, and gives what went;
    /// nothing if nothing is left.
    ///
    /// # Errors
    /// [`StoreFault`]; [`StoreFault::Corrupt`] if it would take what has not expired.
    pub fn purge(&self, purge: &mut Purge, at: UnixTime) -> Result<Purged, StoreFault> {
        if purge.before > at {
            return Err(StoreFault::Corrupt("what has not expired is not purged"));
        }
        let (Purge { before, operator, row }, now) = (purge.clone(), at);
        let (certificates, lists, requests) = self.read(|c| due(c, row, before))?;
        if certificates.is_empty() && lists.is_empty() && requests.is_empty() {
            return Ok(Purged::default());
        }
        let last = certificates.last().copied().unwrap_or(row);
        let rows = certificates.len() + lists.len() + requests.len();
        let purged = self.write_rows(rows, move |tx| {
            let mut purged = Purged::default();
            for id in &certificates {
                // A row that only gets shorter leaves its page as it is; one that goes lets pages become one.
                let gone = tx.statement("DELETE FROM certificate WHERE id = ?1 AND length(der) > 0")?.execute([id])?;
                if gone == 1 {
                    tx.statement("INSERT INTO certificate (id, der) VALUES (?1, CAST('' AS BLOB))")?.execute([id])?;
                }
                purged.certificates += changed(gone);
            }
            for list in &lists {
                let sql = "UPDATE crl SET der = NULL WHERE authority = ?1 AND number = ?2 AND der IS NOT NULL";
                purged.lists += changed(tx.statement(sql)?.execute(*list)?);
            }
            for id in &requests {
                let sql = "DELETE FROM pending WHERE id = ?1 AND id NOT IN (SELECT pending FROM approval)";
                purged.requests += changed(tx.statement(sql)?.execute([id])?);
            }
            let Purged { certificates, lists, requests } = purged;
            let event = Event::Purged { before, certificates, lists, requests, operator: operator.clone() };
            tx.audit(&entry(now, Module::Supervisor, event))?;
            Ok::<_, WriteFault>(purged)
        })?;
        purge.row = last;
        Ok(purged)
    }
}

fn changed(rows: usize) -> u64 {
    u64::try_from(rows).unwrap_or(u64::MAX)
}

type Due = (Vec<u64>, Vec<(u64, u64)>, Vec<u64>);

/// The rows that go next.
fn due(c: &Connection, after: u64, before: UnixTime) -> engine::Result<Due> {
    let mut statement = c.statement(&format!("SELECT i.id {CERTIFICATES} ORDER BY i.id LIMIT {BATCH}"))?;
    let certificates = statement.query_map((after, before.s()), |row| row.get(0))?.collect::<engine::Result<_>>()?;
    let mut statement = c.statement(&format!("SELECT l.authority, l.number {LISTS_DUE} LIMIT {LISTS}"))?;
    let lists = statement.query_map([before.ms()], |row| Ok((row.get(0)?, row.get(1)?)))?;
    let lists = lists.collect::<engine::Result<_>>()?;
    let mut statement = c.statement(&format!("SELECT id {REQUESTS} LIMIT {BATCH}"))?;
    let requests = statement.query_map([before.ms()], |row| row.get(0))?.collect::<engine::Result<_>>()?;
    Ok((certificates, lists, requests))
}

/// What the log has told of purges.
#[derive(Default)]
pub(super) struct PurgesTold {
    certificates: u64,
    lists: u64,
    /// The latest moment before which anything went.
    before: UnixTime,
}

impl Walk<'_> {
    /// Takes in an entry of a purge.
    pub(super) fn purged(&mut self, at: UnixTime, event: &Event) {
        let Event::Purged { before, certificates, lists, .. } = event else { return };
        if *before > at {
            self.find("D3", format!("a purge at {at}"), "what had not expired was purged");
        }
        let told = &mut self.told.purges;
        told.certificates += certificates;
        told.lists += lists;
        told.before = told.before.max(*before);
    }

    /// Octets are absent only where a purge was recorded, and only of what was long over then.
    pub(super) fn purges(&mut self) -> engine::Result<()> {
        let PurgesTold { certificates, lists, before } = self.told.purges;
        let one =
            |sql: &str| self.connection.query_row(sql, (), |row| Ok((row.get::<u64>(0)?, row.get::<Option<u64>>(1)?)));
        let gone = one("SELECT count(*), max(i.not_after) FROM certificate c JOIN issuance i ON i.id = c.id
             WHERE length(c.der) = 0")?;
        let lists_gone = one("SELECT count(*), max(next_update) FROM crl WHERE der IS NULL")?;
        let others: u64 = self.connection.query_row(
            "SELECT count(*) FROM certificate c JOIN issuance i ON i.id = c.id JOIN grant_ g ON g.id = i.grant_id
             WHERE length(c.der) = 0 AND NOT (g.subject >= 'urn:' AND g.subject < 'urn;')",
            (),
            |row| row.get(0),
        )?;
        let last: u64 = self.connection.query_row(
            "SELECT count(*) FROM crl l WHERE l.der IS NULL AND NOT EXISTS (SELECT 1 FROM crl n
             WHERE n.authority = l.authority AND n.shard = l.shard AND n.base IS NULL AND n.number > l.number)",
            (),
            |row| row.get(0),
        )?;
        if gone.0 != certificates {
            self.find("D3", gone.0, "certificates have no octets, and another number of them was purged");
        }
        if gone.1.is_some_and(|latest| latest >= before.s()) {
            self.find(
                "D3",
                gone.0,
                "certificates have no octets, and one of them had not expired when they were purged",
            );
        }
        if others > 0 {
            self.find("D3", others, "certificates have no octets, and are of no device");
        }
        if lists_gone.0 != lists {
            self.find("D7", lists_gone.0, "lists have no octets, and another number of them was purged");
        }
        if lists_gone.1.is_some_and(|latest| latest >= before.ms()) || last > 0 {
            self.find("D7", lists_gone.0, "lists have no octets, and one of them was not out of date, or was the last");
        }
        Ok(())
    }
}
