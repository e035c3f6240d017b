//! Every list of revoked certificates held against the records, as they stood when it was made: part of
//! [`SqlStore::check_deep`](super::SqlStore::check_deep).

use super::check::Walk;
use super::engine::{self, Row};
use super::read::fit;
use std::collections::{BTreeMap, HashSet};
use x509::{CertificateList, SerialNumber, sha256};

/// A list as it is stored.
struct Stored {
    authority: u64,
    number: u64,
    shard: u32,
    base: Option<u64>,
    edge: u64,
    this_update_ms: u64,
    digest: Vec<u8>,
    der: Option<Vec<u8>>,
}

/// What the last whole list of a scope was.
#[derive(Clone, Copy)]
struct Last {
    number: u64,
    edge: u64,
    this_update_ms: u64,
}

impl Walk<'_> {
    pub(super) fn lists(&mut self) -> engine::Result<()> {
        let mut statement = self.connection.statement(
            "SELECT authority, number, shard, base, edge, this_update, digest, der FROM crl ORDER BY authority, number",
        )?;
        let mut rows = statement.query(())?;
        let mut whole: BTreeMap<(u64, u32), Vec<Last>> = BTreeMap::new();
        while let Some(row) = rows.next()?.as_ref() {
            let stored = stored(row)?;
            self.counts.crls += 1;
            let before = whole.entry((stored.authority, stored.shard)).or_default();
            self.list(&stored, before)?;
            if stored.base.is_none() {
                before.push(Last { number: stored.number, edge: stored.edge, this_update_ms: stored.this_update_ms });
            }
        }
        Ok(())
    }

    fn list(&mut self, stored: &Stored, before: &[Last]) -> engine::Result<()> {
        let Some((name, key)) = self.authorities.get(&stored.authority).cloned() else { return Ok(()) };
        let place = format!("{name} CRL {}", stored.number);
        let last = before.last();
        if last.is_some_and(|last| stored.this_update_ms < last.this_update_ms || stored.edge < last.edge) {
            self.find("D7", &place, "the list is older than the one before it");
        }
        let base = stored.base.map(|base| before.iter().find(|list| list.number == base));
        if base.is_some_and(|base| base.is_none()) {
            self.find("D7", &place, "the list is a difference to one that was never issued");
        }
        let Some(der) = &stored.der else { return Ok(()) };
        let Ok(list) = CertificateList::decode(der) else {
            self.find("D7", place, "the list cannot be read");
            return Ok(());
        };
        if sha256(der).octets().as_slice() != stored.digest.as_slice() {
            self.find("D7", &place, "the list is not the one that was issued");
        }
        if list.verify(&key).is_err() || list.crl_number != stored.number {
            self.find("D7", &place, "the list is not signed by its authority under this number");
        }
        // A list of differences begins where its base ended; a whole one leaves out what expired before the last one.
        let behind = base.flatten().map_or(0, |base| base.edge);
        let expired_before = if stored.base.is_none() { last.map_or(0, |last| last.this_update_ms / 1000) } else { 0 };
        let listed = list.revoked.iter().map(|entry| entry.serial_number);
        let listed: HashSet<_> = listed.chain(list.removed.iter().copied()).collect();
        let due = self.due(stored, behind, expired_before)?;
        if due.iter().any(|serial| !listed.contains(serial)) {
            self.find("D7", &place, "a certificate that was revoked before is not on the list");
        }
        if listed.len() != due.len() || listed.iter().any(|serial| !due.contains(serial)) {
            self.find("D7", &place, "the list does not say what the records say");
        }
        Ok(())
    }

    /// The serial numbers that the list must name.
    fn due(&self, stored: &Stored, behind: u64, expired_before: u64) -> engine::Result<HashSet<SerialNumber>> {
        let mut statement = self.connection.statement(
            "SELECT i.serial FROM revocation r JOIN issuance i ON i.id = r.issuance
             WHERE r.authority = ?1 AND (r.shard = ?2 OR ?2 = 0) AND r.id > ?3 AND r.id <= ?4
             AND coalesce(r.ended, 4611686018427387904) > ?4 AND r.not_after >= ?5 AND NOT (r.reason = 8 AND ?3 = 0)",
        )?;
        let parameters = (stored.authority, stored.shard, behind, stored.edge, expired_before);
        statement.query_map(parameters, |row| fit(row, 0))?.collect()
    }
}

fn stored(row: &Row<'_>) -> engine::Result<Stored> {
    Ok(Stored {
        authority: row.get(0)?,
        number: row.get(1)?,
        shard: row.get(2)?,
        base: row.get(3)?,
        edge: row.get(4)?,
        this_update_ms: row.get(5)?,
        digest: row.get(6)?,
        der: row.get(7)?,
    })
}
