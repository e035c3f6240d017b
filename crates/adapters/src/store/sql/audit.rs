//! The audit log in the database.

use super::engine::{self, Connection, OptionalExtension};
use super::read::fit;
use super::{OpenFault, SqlStore};
use crate::store::audit_log::{Check, Finding, Sound};
use crate::store::log_mark::{LogMark, Reached};
use crate::store::merkle::{Edge, LEAF, TILE, TILE_HEIGHT, TileRoot};
use crate::store::note::Checkpoint;
use model::Digest;
use model::audit::Entry;
use ports::{Signer, StoreFault};
use std::collections::HashMap;
use std::ops::Range;
use x509::{PublicKey, sha256};

/// One entry of the log as it is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditEntry {
    /// Counted from 0.
    pub number: u64,
    /// One line of JSON.
    pub entry: Vec<u8>,
}

/// Checks that the tree as it is stored is the one that was signed last, under this name and by this key.
///
/// Not looked at here are the entries themselves: `cradle audit verify` walks them.
pub(super) fn check_edge(
    connection: &Connection,
    edge: &Edge,
    origin: &str,
    key: &PublicKey,
) -> engine::Result<Result<(), OpenFault>> {
    let note: Option<String> = connection.query_row("SELECT note FROM checkpoint", (), |row| row.get(0)).optional()?;
    let Some(note) = note else {
        return Ok(if edge.size() == 0 { Ok(()) } else { Err(OpenFault::Tampered("its checkpoint is gone")) });
    };
    let Some(signed) = Checkpoint::verify(&note, key).filter(|signed| signed.origin == origin) else {
        return Ok(Err(OpenFault::Tampered("its checkpoint is not signed by its key")));
    };
    if signed.size != edge.size() {
        return Ok(Err(OpenFault::Tampered("it has more entries, or fewer")));
    }
    Ok(if signed.root == edge.root() { Ok(()) } else { Err(OpenFault::Tampered("its entries are others")) })
}

/// The last entry that tells of an operation mode, as the checkpoint says. Its signature is verified when a store is
/// opened for writing.
pub(super) fn last_mode(connection: &Connection) -> engine::Result<Option<u64>> {
    let note: Option<String> = connection.query_row("SELECT note FROM checkpoint", (), |row| row.get(0)).optional()?;
    Ok(note.as_deref().and_then(Checkpoint::mode_of))
}

/// The name of the row that keeps the latest time of the log: later entries may be earlier, if a clock goes back.
pub(super) const LATEST: &str = "latest_ms";

/// Puts the tree together from the stored roots of tiles and the entries behind the last full tile. Gives the latest
/// time of all entries too, in milliseconds.
pub(super) fn restore(connection: &Connection) -> engine::Result<(Edge, u64)> {
    Ok((edge_at(connection, ENTRIES_MAX)?, latest_ms(connection)?))
}

/// More entries than any log has; a number that every engine takes.
const ENTRIES_MAX: u64 = 1 << 62;

/// The tree over so many of the first entries; over all of them, if there are fewer.
fn edge_at(connection: &Connection, entries: u64) -> engine::Result<Edge> {
    let mut edge = Edge::default();
    let highest: Option<u32> =
        connection.query_row("SELECT max(level) FROM audit_root", (), |row| row.get(0)).optional()?.flatten();
    for level in (1..=highest.unwrap_or(0)).rev() {
        // What stands in a full tile of this level is counted by the level above.
        let mut roots = connection.statement(
            "SELECT hash FROM audit_root WHERE level = ?1 AND number < ?3
             AND number >= (SELECT count(*) FROM audit_root WHERE level = ?1 AND number < ?3) / ?2 * ?2
             ORDER BY number",
        )?;
        // As many tiles of this level are full with so many entries.
        let full = entries.checked_shr(level.saturating_mul(TILE_HEIGHT)).unwrap_or(0);
        let roots = roots.query_map((level, u64::try_from(TILE).unwrap_or(256), full), |row| fit::<Digest>(row, 0))?;
        for root in roots {
            edge.push_subtree(level, root?);
        }
    }
    let mut tail = connection.statement("SELECT leaf FROM audit WHERE number >= ?1 AND number < ?2 ORDER BY number")?;
    for hash in tail.query_map((edge.size(), entries), |row| fit::<Digest>(row, 0))? {
        edge.push(hash?);
    }
    Ok(edge)
}

/// Refuses a log that is shorter than this box has seen it, or another one.
pub(super) fn check_mark(connection: &Connection, mark: Option<&LogMark>) -> Result<(), OpenFault> {
    // Read before the log is: that one grows meanwhile, and the mark never rises above it.
    let reached = mark.map(LogMark::read).transpose().map_err(|e| OpenFault::of_marks(&e))?.flatten();
    let Some(Reached { entries, root }) = reached else { return Ok(()) };
    let edge = edge_at(connection, entries).map_err(|e| OpenFault::of(&e))?;
    if edge.size() < entries {
        return Err(OpenFault::Behind { reached: entries, found: edge.size() });
    }
    if edge.root() == root { Ok(()) } else { Err(OpenFault::Forked(entries)) }
}

/// The latest time of all entries, in milliseconds.
pub(super) fn latest_ms(connection: &Connection) -> engine::Result<u64> {
    let latest = connection.query_row("SELECT value FROM counter WHERE name = ?1", [LATEST], |row| row.get(0));
    Ok(latest.optional()?.unwrap_or(0))
}

/// The edge behind which other processes have written. What full tiles they end, whoever wrote them has recorded. The log
/// goes on from what was known, as it was signed; or the server is not the one that it was.
pub(super) fn catch_up(
    connection: &Connection,
    known: &Edge,
    origin: &str,
    key: &PublicKey,
) -> engine::Result<Result<Edge, OpenFault>> {
    let mut edge = known.clone();
    let mut tail = connection.statement("SELECT leaf FROM audit WHERE number >= ?1 ORDER BY number")?;
    for hash in tail.query_map([edge.size()], |row| fit::<Digest>(row, 0))? {
        edge.push(hash?);
    }
    Ok(check_edge(connection, &edge, origin, key)?.map(|()| edge))
}

/// Keeps how far the log has come, should the server forget it.
pub(super) fn note_reached(mark: Option<&LogMark>, edge: &Edge) {
    let reached = Reached { entries: edge.size(), root: edge.root() };
    if let Some(Err(error)) = mark.map(|mark| mark.raise(reached)) {
        // What was committed stands; what would be missed is a server that is put back to before it.
        tracing::warn!(%error, "how far the log has come could not be noted beside the high-water marks");
    }
}

/// Entries that are added to the log together: each as it is hashed, with the octet of RFC 6962 before it.
#[derive(Default)]
pub(super) struct Entries {
    octets: Vec<u8>,
    added: Vec<(Range<usize>, Digest)>,
    tiles: Vec<TileRoot>,
}

impl Entries {
    /// Adds an entry behind the edge of the tree.
    pub(super) fn push(&mut self, entry: &Entry, edge: &mut Edge) -> serde_json::Result<()> {
        let start = self.octets.len();
        self.octets.push(LEAF);
        serde_json::to_writer(&mut self.octets, entry)?;
        let hashed = start..self.octets.len();
        let hash = sha256(self.octets.get(hashed.clone()).unwrap_or_default());
        self.added.push((start + 1..hashed.end, hash));
        self.tiles.extend(edge.push(hash));
        Ok(())
    }

    fn iter(&self) -> impl Iterator<Item = (&[u8], &Digest)> {
        self.added.iter().map(|(place, hash)| (self.octets.get(place.clone()).unwrap_or_default(), hash))
    }
}

/// Writes entries into the log, the first of them under this number.
pub(super) fn append(connection: &Connection, first: u64, entries: &Entries) -> engine::Result<()> {
    if entries.added.is_empty() {
        return Ok(());
    }
    if let Some(session) = connection.server() {
        let (octets, leaves): (Vec<_>, Vec<_>) =
            entries.iter().map(|(octets, leaf)| (octets, leaf.octets().as_slice())).unzip();
        super::batch::append(session, first, &octets, &leaves)?;
    } else {
        let mut insert = connection.statement("INSERT INTO audit (number, entry, leaf) VALUES (?1, ?2, ?3)")?;
        for (number, (octets, leaf)) in (first..).zip(entries.iter()) {
            insert.execute((number, octets, leaf.octets()))?;
        }
    }
    entries.tiles.iter().try_for_each(|tile| put_root(connection, tile))
}

fn put_root(connection: &Connection, root: &TileRoot) -> engine::Result<()> {
    let sql = "INSERT INTO audit_root (level, number, hash) VALUES (?1, ?2, ?3)";
    connection.execute(sql, (root.level, root.index, root.hash.octets())).map(|_| ())
}

/// Signs the log as it will be when the transaction is committed.
pub(super) fn checkpoint(
    connection: &Connection,
    edge: &Edge,
    mode: Option<u64>,
    origin: &str,
    key: &dyn Signer,
) -> Result<(), StoreFault> {
    let checkpoint = Checkpoint { origin: origin.to_owned(), size: edge.size(), root: edge.root(), mode };
    let note = checkpoint.sign(key).map_err(|_| StoreFault::Engine("the audit key cannot sign"))?;
    let written = connection
        .statement("INSERT INTO checkpoint (id, note) VALUES (1, ?1) ON CONFLICT (id) DO UPDATE SET note = ?1")
        .and_then(|mut statement| statement.execute([note]));
    written.map(|_| ()).map_err(|e| super::fault(&e))
}

impl SqlStore {
    /// The last signed checkpoint of the audit log.
    ///
    /// # Errors
    /// [`StoreFault`]
    pub fn checkpoint(&self) -> Result<Option<String>, StoreFault> {
        self.read(|c| c.query_row("SELECT note FROM checkpoint", (), |row| row.get(0)).optional())
    }

    /// Entries of the audit log from a number on, at most `limit`.
    ///
    /// # Errors
    /// [`StoreFault`]
    pub fn audit_entries(&self, from: u64, limit: u32) -> Result<Vec<AuditEntry>, StoreFault> {
        self.read(|c| {
            let mut statement =
                c.statement("SELECT number, entry FROM audit WHERE number >= ?1 ORDER BY number LIMIT ?2")?;
            let rows =
                statement.query_map((from, limit), |row| Ok(AuditEntry { number: row.get(0)?, entry: row.get(1)? }))?;
            rows.collect()
        })
    }

    /// Checks the whole audit log against its own last checkpoint and those that were kept elsewhere.
    ///
    /// # Errors
    /// [`StoreFault`]; the inner error is what was found.
    pub fn check_audit(
        &self,
        kept: &[String],
        key: &PublicKey,
        progress: &mut dyn FnMut(u64),
    ) -> Result<Result<Sound, Vec<Finding>>, StoreFault> {
        self.read(|c| {
            // One snapshot: the log may grow meanwhile.
            let snapshot = c.snapshot()?;
            let own: Option<String> =
                snapshot.query_row("SELECT note FROM checkpoint", (), |row| row.get(0)).optional()?;
            let mut roots = snapshot.statement("SELECT level, number, hash FROM audit_root")?;
            let roots = roots.query_map((), |row| Ok(((row.get(0)?, row.get(1)?), fit::<Digest>(row, 2)?)))?;
            let roots = roots.collect::<engine::Result<HashMap<_, _>>>()?;
            let mut check = Check::new(&own.unwrap_or_default(), kept, roots, key);
            let mut statement = snapshot.statement("SELECT number, entry, leaf FROM audit ORDER BY number")?;
            let mut rows = statement.query(())?;
            while let Some(row) = rows.next()?.as_ref() {
                let number = row.get(0)?;
                let entry: Vec<u8> = row.get(1)?;
                check.entry(number, &entry, Digest::from_slice(&row.get::<Vec<u8>>(2)?));
                progress(number);
            }
            Ok(check.finish())
        })
    }
}
