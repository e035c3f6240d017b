//! From the schema of an older version to ours, in one transaction: a crash leaves the old one.

use super::{OpenFault, SCHEMA, keys};
use rusqlite::Connection;
use x509::{Certificate, sha256};

/// Rows that are worked off at a time.
const PAGE: u32 = 1024;

/// Brings a database of an older schema up to date. Gives the version that it had, if that was another.
pub(super) fn migrate(connection: &mut Connection) -> Result<Option<u32>, OpenFault> {
    match super::open::file::schema_version(connection)? {
        SCHEMA => Ok(None),
        0 => Err(OpenFault::Missing),
        old if old < SCHEMA => {
            bring_up(connection, old)
                .map_err(|e| OpenFault::Engine(format!("the records cannot be brought up to date: {e}")))?;
            Ok(Some(old))
        }
        newer => Err(OpenFault::Newer(newer)),
    }
}

/// What schema 3 has more than schema 2, for both engines.
pub(super) const SCHEMA_3: &str = include_str!("schema-3.sql");
/// What schema 4 has more than schema 3, for both engines.
pub(super) const SCHEMA_4: &str = include_str!("schema-4.sql");

/// What schema 5 has more than schema 4, for both engines.
pub(super) const SCHEMA_5: &str = include_str!("schema-5.sql");

/// What schema 6 has more than schema 5, for both engines.
pub(super) const SCHEMA_6: &str = include_str!("schema-6.sql");

/// What schema 7 has more than schema 6, for both engines.
pub(super) const SCHEMA_7: &str = include_str!("schema-7.sql");

/// What schema 8 has more than schema 7, for both engines.
pub(super) const SCHEMA_8: &str = include_str!("schema-8.sql");

/// What schema 9 has more than schema 8, for both engines.
pub(super) const SCHEMA_9: &str = include_str!("schema-9.sql");

fn bring_up(connection: &mut Connection, from: u32) -> rusqlite::Result<()> {
    let tx = connection.transaction()?;
    if from < 2 {
        from_1(&tx)?;
    }
    if from < 3 {
        tx.execute_batch(SCHEMA_3)?;
    }
    if from < 4 {
        tx.execute_batch(SCHEMA_4)?;
    }
    if from < 5 {
        tx.execute_batch(SCHEMA_5)?;
        tx.execute_batch(keys::FOR_FILE)?;
        tx.execute_batch(keys::FROM_INDEX)?;
    }
    if from < 6 {
        tx.execute_batch(SCHEMA_6)?;
    }
    if from < 7 {
        tx.execute_batch(SCHEMA_7)?;
    }
    if from < 8 {
        tx.execute_batch(SCHEMA_8)?;
    }
    tx.execute_batch(SCHEMA_9)?;
    tx.pragma_update(None, "user_version", SCHEMA)?;
    tx.commit()
}

fn from_1(tx: &Connection) -> rusqlite::Result<()> {
    tx.execute_batch(include_str!("schema-2.sql"))?;
    expiries(tx)?;
    tx.execute(
        "UPDATE revocation SET not_after = (SELECT i.not_after FROM issuance i WHERE i.id = revocation.issuance)",
        [],
    )?;
    digests(tx)
}

/// When each certificate expires, from its octets.
fn expiries(tx: &Connection) -> rusqlite::Result<()> {
    let mut page = tx.prepare("SELECT id, der FROM certificate WHERE id > ?1 ORDER BY id LIMIT ?2")?;
    let mut set = tx.prepare("UPDATE issuance SET not_after = ?2 WHERE id = ?1")?;
    let mut last = 0;
    loop {
        let rows = page.query_map((last, PAGE), |row| Ok((row.get::<_, u64>(0)?, row.get::<_, Vec<u8>>(1)?)))?;
        let rows = rows.collect::<rusqlite::Result<Vec<_>>>()?;
        let Some((end, _)) = rows.last() else { return Ok(()) };
        last = *end;
        for (id, der) in rows {
            // What cannot be read lasts for ever: it stays on every list, and `verify --deep` names it.
            if let Ok(certificate) = Certificate::decode(&der) {
                set.execute((id, certificate.tbs().not_after.s()))?;
            }
        }
    }
}

fn digests(tx: &Connection) -> rusqlite::Result<()> {
    let mut keys = tx.prepare("SELECT authority, number FROM crl")?;
    let keys = keys.query_map([], |row| Ok((row.get::<_, u64>(0)?, row.get::<_, u64>(1)?)))?;
    let keys = keys.collect::<rusqlite::Result<Vec<_>>>()?;
    for key in keys {
        let digest = tx.query_row("SELECT der FROM crl WHERE authority = ?1 AND number = ?2", key, |row| {
            Ok(sha256(row.get_ref(0)?.as_blob()?))
        })?;
        tx.execute("UPDATE crl SET digest = ?3 WHERE authority = ?1 AND number = ?2", (key.0, key.1, digest.octets()))?;
    }
    Ok(())
}

/// The tables and indexes of a database and their columns, for comparing.
#[cfg(test)]
fn shape(connection: &Connection) -> Vec<String> {
    let mut statement = connection
        .prepare(
            "SELECT s.type || ' ' || s.name || ' ' || coalesce((SELECT group_concat(c.name || ' ' || c.type || ' ' ||
             c.\"notnull\" || ' ' || coalesce(c.dflt_value, '-') || ' ' || c.pk, ', ') FROM pragma_table_info(s.name) c), '')
             FROM sqlite_schema s WHERE s.name NOT LIKE 'sqlite_%' ORDER BY s.type, s.name",
        )
        .unwrap();
    statement.query_map([], |row| row.get(0)).unwrap().collect::<rusqlite::Result<_>>().unwrap()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fixture() -> (crate::testing::Temporary, Connection) {
        let dir = crate::testing::Temporary::new();
        let path = dir.path().join(super::super::FILE);
        let from = concat!(env!("CARGO_MANIFEST_DIR"), "/../../testdata/installations/schema-1/cradle.db");
        std::fs::copy(from, &path).unwrap();
        (dir, super::super::open::file::connect_to_write(&path).unwrap())
    }
    fn one<T: rusqlite::types::FromSql>(connection: &Connection, sql: &str) -> T {
        connection.query_row(sql, [], |row| row.get(0)).unwrap()
    }

    #[test]
    fn what_was_brought_up_to_date_looks_like_what_is_made_new() {
        let (dir, mut old) = fixture();
        assert_eq!(migrate(&mut old), Ok(Some(1)));
        let path = dir.path().join("new.db");
        std::fs::write(&path, b"").unwrap();
        let mut new = super::super::open::file::connect_to_write(&path).unwrap();
        super::super::open::file::create(&mut new).unwrap();
        assert_eq!(shape(&old), shape(&new));
    }
    #[test]
    fn schema_2_comes_up_to_date_too() {
        let (_dir, mut old) = fixture();
        let tx = old.transaction().unwrap();
        from_1(&tx).unwrap();
        tx.pragma_update(None, "user_version", 2).unwrap();
        tx.commit().unwrap();
        assert_eq!(migrate(&mut old), Ok(Some(2)));
        assert_eq!(one::<u64>(&old, "SELECT count(*) FROM foreign_intent"), 0);
    }
    #[test]
    fn schema_3_comes_up_to_date_too() {
        let (_dir, mut old) = fixture();
        let tx = old.transaction().unwrap();
        from_1(&tx).unwrap();
        tx.execute_batch(SCHEMA_3).unwrap();
        tx.pragma_update(None, "user_version", 3).unwrap();
        tx.commit().unwrap();
        assert_eq!(migrate(&mut old), Ok(Some(3)));
        assert_eq!(one::<u64>(&old, "SELECT count(*) FROM invitation"), 0);
    }
    #[test]
    fn schema_4_comes_up_to_date_too() {
        let (_dir, mut old) = fixture();
        let tx = old.transaction().unwrap();
        from_1(&tx).unwrap();
        tx.execute_batch(SCHEMA_3).unwrap();
        tx.execute_batch(SCHEMA_4).unwrap();
        tx.pragma_update(None, "user_version", 4).unwrap();
        tx.commit().unwrap();
        assert_eq!(migrate(&mut old), Ok(Some(4)));
        assert_eq!(one::<u64>(&old, "SELECT count(*) FROM bundle"), 0);
    }
    #[test]
    fn schema_5_comes_up_to_date_too() {
        let (_dir, mut old) = fixture();
        let tx = old.transaction().unwrap();
        from_1(&tx).unwrap();
        for more in [SCHEMA_3, SCHEMA_4, SCHEMA_5, keys::FOR_FILE, keys::FROM_INDEX] {
            tx.execute_batch(more).unwrap();
        }
        tx.pragma_update(None, "user_version", 5).unwrap();
        tx.commit().unwrap();
        assert_eq!(migrate(&mut old), Ok(Some(5)));
        assert_eq!(one::<u64>(&old, "SELECT count(*) FROM cmp_exchange"), 0);
    }
    #[test]
    fn schema_6_comes_up_to_date_too() {
        let (_dir, mut old) = fixture();
        let tx = old.transaction().unwrap();
        from_1(&tx).unwrap();
        for more in [SCHEMA_3, SCHEMA_4, SCHEMA_5, keys::FOR_FILE, keys::FROM_INDEX, SCHEMA_6] {
            tx.execute_batch(more).unwrap();
        }
        tx.pragma_update(None, "user_version", 6).unwrap();
        tx.commit().unwrap();
        assert_eq!(migrate(&mut old), Ok(Some(6)));
        assert_eq!(one::<u64>(&old, "SELECT count(*) FROM acme_account"), 0);
    }
    #[test]
    fn schema_7_comes_up_to_date_too() {
        let (_dir, mut old) = fixture();
        let tx = old.transaction().unwrap();
        from_1(&tx).unwrap();
        for more in [SCHEMA_3, SCHEMA_4, SCHEMA_5, keys::FOR_FILE, keys::FROM_INDEX, SCHEMA_6, SCHEMA_7] {
            tx.execute_batch(more).unwrap();
        }
        tx.pragma_update(None, "user_version", 7).unwrap();
        tx.commit().unwrap();
        assert_eq!(migrate(&mut old), Ok(Some(7)));
        assert_eq!(one::<u64>(&old, "SELECT count(key) FROM acme_authorization"), 0);
    }
    #[test]
    fn schema_8_comes_up_to_date_too() {
        let (_dir, mut old) = fixture();
        let tx = old.transaction().unwrap();
        from_1(&tx).unwrap();
        for more in [SCHEMA_3, SCHEMA_4, SCHEMA_5, keys::FOR_FILE, keys::FROM_INDEX, SCHEMA_6, SCHEMA_7, SCHEMA_8] {
            tx.execute_batch(more).unwrap();
        }
        tx.pragma_update(None, "user_version", 8).unwrap();
        tx.commit().unwrap();
        assert_eq!(migrate(&mut old), Ok(Some(8)));
        assert_eq!(one::<u64>(&old, "SELECT count(*) FROM maker"), 0);
    }
    #[test]
    fn it_is_done_once() {
        let (_dir, mut old) = fixture();
        assert_eq!(migrate(&mut old), Ok(Some(1)));
        assert_eq!(migrate(&mut old), Ok(None));
    }
    #[test]
    fn certificates_have_their_ends_and_lists_their_digests() {
        let (_dir, mut old) = fixture();
        migrate(&mut old).unwrap();
        let ends: u64 = one(&old, "SELECT count(DISTINCT not_after) FROM issuance");
        assert!(ends > 2, "root without an end, modules of five years, an operator of three");
        assert_eq!(one::<u64>(&old, "SELECT count(*) FROM crl WHERE length(digest) = 32 AND edge = 1"), 2);
        assert_eq!(one::<u64>(&old, "SELECT count(*) FROM revocation WHERE reason = 1 AND ended IS NULL"), 1);
    }
    #[test]
    fn a_newer_schema_is_left_alone() {
        let (_dir, mut old) = fixture();
        old.pragma_update(None, "user_version", SCHEMA + 1).unwrap();
        assert_eq!(migrate(&mut old), Err(OpenFault::Newer(SCHEMA + 1)));
    }
}
