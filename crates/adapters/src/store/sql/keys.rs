//! Which rows have a key.
//!
//! A digest falls anywhere, so an index that grows with each row dirties a page for each. In the file the index therefore
//! grows in portions, in the order of the keys: what came since the last portion is in the writer's memory, and readers
//! find it at the end of the table. A server, to which several write, keeps an index of its own.

use super::WriteFault;
use super::engine::{Connection, OptionalExtension, Result, Statement};
use super::transaction::Tx;
use model::Digest;
use std::collections::BTreeSet;

/// So many rows are taken into the index at a time: few enough to be read by every process that starts, and in a moment.
const PORTION: usize = 4096;
/// The row of `counter` that says up to which row the index goes.
const FLOOR: &str = "key_index_floor";

/// The table that is the index in a file; at a server it is an index.
pub(super) const FOR_FILE: &str = "
CREATE TABLE issuance_by_key (
  prefix BLOB NOT NULL, -- the first 8 octets of the key's digest
  issuance INTEGER NOT NULL,
  PRIMARY KEY (prefix, issuance)
) STRICT, WITHOUT ROWID;";
pub(super) const FOR_SERVER: &str = "CREATE INDEX issuance_key ON issuance (substr(key, 1, 8));";
/// Fills it from what was an index before schema 4.
pub(super) const FROM_INDEX: &str = "DROP INDEX issuance_key;
INSERT INTO issuance_by_key SELECT substr(key, 1, 8), id FROM issuance ORDER BY 1, 2;
INSERT INTO counter (name, value) SELECT 'key_index_floor', coalesce(max(id), 0) FROM issuance;";

type Prefix = [u8; 8];

fn prefix(key: &Digest) -> Prefix {
    let octets = key.octets();
    std::array::from_fn(|i| octets.get(i).copied().unwrap_or_default())
}

/// Rows by key, behind the end of the index.
#[derive(Clone, Default)]
pub(super) struct Tail(BTreeSet<(Prefix, u64)>);

impl Tail {
    /// What is behind the end of the index.
    pub(super) fn restore(connection: &Connection) -> Result<Self> {
        if connection.server().is_some() {
            return Ok(Self::default());
        }
        let mut rows = connection.statement("SELECT substr(key, 1, 8), id FROM issuance WHERE id > ?1")?;
        let rows = rows.query_map([floor(connection)?], |row| {
            let octets: Vec<u8> = row.get(0)?;
            Ok((std::array::from_fn(|i| octets.get(i).copied().unwrap_or_default()), row.get(1)?))
        })?;
        rows.collect::<Result<_>>().map(Self)
    }

    pub(super) fn add(&mut self, key: &Digest, row: u64) {
        self.0.insert((prefix(key), row));
    }

    pub(super) fn extend(&mut self, more: Self) {
        self.0.extend(more.0);
    }

    /// The rows that may have this key.
    pub(super) fn of(&self, key: &Digest) -> impl Iterator<Item = u64> + use<'_> {
        let prefix = prefix(key);
        self.0.range((prefix, 0)..=(prefix, u64::MAX)).map(|(_, row)| *row)
    }
}

/// Up to which row the index goes.
fn floor(connection: &Connection) -> Result<u64> {
    let floor = connection.query_row("SELECT value FROM counter WHERE name = ?1", [FLOOR], |row| row.get(0));
    Ok(floor.optional()?.unwrap_or(0))
}

/// Takes a portion into the index, if there is enough for one. Whether it was.
pub(super) fn merge(tx: &Tx<'_>, known: &Tail, learnt: &Tail) -> Result<bool> {
    if known.0.len() + learnt.0.len() < PORTION {
        return Ok(false);
    }
    let mut insert = tx.statement("INSERT INTO issuance_by_key (prefix, issuance) VALUES (?1, ?2)")?;
    for (prefix, row) in known.0.union(&learnt.0) {
        insert.execute((prefix.as_slice(), *row))?;
    }
    let highest = known.0.iter().chain(&learnt.0).map(|(_, row)| *row).max().unwrap_or(0);
    tx.write_counter(FLOOR, highest)?;
    Ok(true)
}

/// The condition that row `i` of the issuances has the key that is parameter `number`.
pub(super) fn condition(connection: &Connection, number: usize) -> String {
    match connection {
        Connection::Sqlite(_) => format!(
            "i.key = ?{number} AND i.id IN (
               SELECT k.issuance FROM issuance_by_key k WHERE k.prefix = substr(CAST(?{number} AS BLOB), 1, 8)
               UNION ALL SELECT t.id FROM issuance t WHERE t.key = ?{number}
               AND t.id > coalesce((SELECT value FROM counter WHERE name = '{FLOOR}'), 0))"
        ),
        Connection::Postgres(_) => {
            format!("substr(i.key, 1, 8) = substr(CAST(?{number} AS BLOB), 1, 8) AND i.key = ?{number}")
        }
    }
}

/// Finds the grants of others with the same key, for many intents.
pub(super) struct Uses<'c> {
    indexed: Statement<'c>,
    row: Statement<'c>,
}

impl<'c> Uses<'c> {
    pub(super) fn prepare(tx: &Tx<'c>) -> Result<Self> {
        let indexed = match tx.connection() {
            Connection::Sqlite(_) => {
                "SELECT i.grant_id FROM issuance_by_key k JOIN issuance i ON i.id = k.issuance
                 WHERE k.prefix = substr(CAST(?1 AS BLOB), 1, 8) AND i.key = ?1 AND i.grant_id <> ?2"
            }
            Connection::Postgres(_) => {
                "SELECT grant_id FROM issuance
                 WHERE substr(key, 1, 8) = substr(CAST(?1 AS BLOB), 1, 8) AND key = ?1 AND grant_id <> ?2"
            }
        };
        let row = "SELECT grant_id FROM issuance WHERE id = ?3 AND key = ?1 AND grant_id <> ?2";
        Ok(Self { indexed: tx.statement(indexed)?, row: tx.statement(row)? })
    }

    /// The other grants under which a key was certified, or is being.
    pub(super) fn others(&mut self, tx: &Tx<'_>, key: &Digest, grant: u64) -> Result<Vec<u64>, WriteFault> {
        let mut grants = Vec::new();
        let mut rows = self.indexed.query((key.octets(), grant))?;
        while let Some(row) = rows.next()?.as_ref() {
            grants.push(row.get(0)?);
        }
        drop(rows);
        for row in tx.rows_of_key(key) {
            let found: Option<u64> = self.row.query_row((key.octets(), grant, row), |row| row.get(0)).optional()?;
            grants.extend(found);
        }
        Ok(grants)
    }
}

/// Rows of a file that its index should lead to, and does not; and how many it leads to beyond its end.
pub(super) fn missing(connection: &Connection) -> Result<u64> {
    if connection.server().is_some() {
        return Ok(0);
    }
    let floor = floor(connection)?;
    connection.query_row(
        "SELECT (SELECT count(*) FROM issuance i WHERE i.id <= ?1 AND NOT EXISTS (SELECT 1 FROM issuance_by_key k
         WHERE k.prefix = substr(i.key, 1, 8) AND k.issuance = i.id))
         + (SELECT count(*) FROM issuance_by_key k LEFT JOIN issuance i ON i.id = k.issuance AND i.id <= ?1
         WHERE i.id IS NULL)",
        [floor],
        |row| row.get(0),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A file with rows 1 to 9, of which the index has those up to 5. Their keys begin alike in threes.
    fn file() -> Connection {
        let mut connection = rusqlite::Connection::open_in_memory().unwrap();
        connection.pragma_update(None, "foreign_keys", "OFF").unwrap();
        super::super::open::file::create(&mut connection).unwrap();
        for n in 1..=9_u8 {
            let sql =
                "INSERT INTO issuance (id, serial, authority, transaction_id, requester, grant_id, profile, key, tbs,
                       at, state) VALUES (?1, ?2, 1, ?2, 1, 1, 1, ?3, x'00', 0, 0)";
            connection.execute(sql, (n, [n], key(n).octets())).unwrap();
        }
        let merge = "INSERT INTO issuance_by_key SELECT substr(key, 1, 8), id FROM issuance WHERE id <= 5;
                     INSERT INTO counter VALUES ('key_index_floor', 5)";
        connection.execute_batch(merge).unwrap();
        Connection::Sqlite(connection)
    }
    fn key(n: u8) -> Digest {
        Digest::new(std::array::from_fn(|i| if i < 8 { n / 3 } else { n }))
    }
    fn rows(connection: &Connection, key: &Digest) -> Vec<u64> {
        let sql = format!("SELECT i.id FROM issuance i WHERE {} AND i.id > ?1 ORDER BY i.id", condition(connection, 2));
        let mut statement = connection.statement(&sql).unwrap();
        let rows = statement.query_map((0_u64, key.octets()), |row| row.get(0)).unwrap();
        rows.collect::<Result<_>>().unwrap()
    }

    #[test]
    fn a_row_is_found_on_both_sides_of_the_end_of_the_index() {
        let file = file();
        for n in 1..=9 {
            assert_eq!(rows(&file, &key(n)), [u64::from(n)]);
        }
        assert_eq!(rows(&file, &key(10)), [0_u64; 0]);
    }
    #[test]
    fn no_table_is_walked_to_find_a_row() {
        let file = file();
        let sql = format!("EXPLAIN QUERY PLAN SELECT i.id FROM issuance i WHERE i.id > ?1 AND {}", condition(&file, 2));
        let mut statement = file.statement(&format!("{sql} ORDER BY i.id LIMIT 10")).unwrap();
        let steps = statement.query_map((0_u64, key(1).octets()), |row| row.get::<String>(3)).unwrap();
        let steps = steps.collect::<Result<Vec<_>>>().unwrap();
        assert!(steps.iter().any(|step| step.starts_with("SEARCH i USING INTEGER PRIMARY KEY (rowid=?)")), "{steps:?}");
        assert!(!steps.iter().any(|step| step.starts_with("SCAN") && !step.contains("VIRTUAL")), "{steps:?}");
    }
    #[test]
    fn what_is_behind_the_index_is_remembered() {
        let tail = Tail::restore(&file()).unwrap();
        let found = |n| tail.of(&key(n)).collect::<Vec<_>>();
        assert_eq!(found(4), [0_u64; 0]);
        // 5 is in the index; those that begin alike may be the key too.
        assert_eq!(found(5), [0_u64; 0]);
        assert_eq!(found(7), [6, 7, 8]);
        assert_eq!(found(9), [9]);
    }
    #[track_caller]
    fn check(sql: &str, expected: u64) {
        let file = file();
        file.execute_batch(sql).unwrap();
        assert_eq!(missing(&file).unwrap(), expected);
    }
    #[test]
    fn an_index_that_is_whole_misses_nothing() {
        check("SELECT 1", 0);
    }
    #[test]
    fn a_row_that_left_the_index_is_missed() {
        check("DELETE FROM issuance_by_key WHERE issuance = 4", 1);
    }
    #[test]
    fn a_row_under_another_key_is_missed() {
        check("UPDATE issuance_by_key SET prefix = x'0909090909090909' WHERE issuance = 4", 1);
    }
    #[test]
    fn an_end_that_is_too_high_is_noticed() {
        check("UPDATE counter SET value = 7 WHERE name = 'key_index_floor'", 2);
    }
    #[test]
    fn an_end_that_is_too_low_is_noticed() {
        check("UPDATE counter SET value = 3 WHERE name = 'key_index_floor'", 2);
    }
}
