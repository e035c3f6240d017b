//! The embedded database: one file beside the keys.

use crate::files::DirectoryLock;
use crate::store::sql::{OpenFault, SCHEMA, keys};
use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags};
use std::path::Path;
use std::time::Duration;

/// Prepared statements that a connection keeps.
const STATEMENTS: usize = 64;

fn of(error: rusqlite::Error) -> OpenFault {
    OpenFault::of(&error.into())
}

pub(super) fn lock(directory: &Path) -> Result<DirectoryLock, OpenFault> {
    DirectoryLock::take(directory).map_err(|e| match e.kind() {
        std::io::ErrorKind::WouldBlock => OpenFault::InUse,
        std::io::ErrorKind::NotFound => OpenFault::Missing,
        _ => OpenFault::of_file(&e),
    })
}

pub(in super::super) fn connect_to_write(path: &Path) -> Result<Connection, OpenFault> {
    let mut connection = connect(path, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
    prepare(&mut connection).map_err(of)??;
    Ok(connection)
}

/// Opens for reading. On a medium that cannot be written, or is full, the engine cannot make the files that readers share;
/// then a database into which all was taken, and to which nobody writes, is read as it stands.
pub(super) fn connect_to_read(path: &Path) -> Result<Connection, OpenFault> {
    let shared = connect(path, OpenFlags::SQLITE_OPEN_READ_ONLY)
        .and_then(|connection| schema_version(&connection).map(|_| connection));
    let log = path.with_extension("db-wal");
    let is_settled = std::fs::metadata(&log).is_ok_and(|log| log.len() == 0) || !log.exists();
    match (shared, path.to_str()) {
        (Err(OpenFault::Engine(_) | OpenFault::Full), Some(name)) if is_settled && !name.contains(['%', '?', '#']) => {
            let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_URI;
            connect(Path::new(&format!("file:{name}?immutable=1")), flags)
        }
        (shared, _) => shared,
    }
}

fn connect(path: &Path, flags: OpenFlags) -> Result<Connection, OpenFault> {
    let connection = Connection::open_with_flags(path, flags | OpenFlags::SQLITE_OPEN_NO_MUTEX).map_err(of)?;
    connection.set_prepared_statement_cache_capacity(STATEMENTS);
    let settings = [
        // A plan does not depend on what is bound to it. Without this the engine prepares anew whenever a value changes.
        (DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true),
        // The schema has none; whoever puts one in wants something of us.
        (DbConfig::SQLITE_DBCONFIG_ENABLE_TRIGGER, false),
        (DbConfig::SQLITE_DBCONFIG_ENABLE_VIEW, false),
    ];
    for (setting, value) in settings {
        connection.set_db_config(setting, value).map_err(of)?;
    }
    // A reader meets a lock only while a checkpoint resets the log.
    connection.busy_timeout(Duration::from_secs(5)).map_err(of)?;
    Ok(connection)
}

pub(super) fn prepare(connection: &mut Connection) -> rusqlite::Result<Result<(), OpenFault>> {
    // A certificate fits into a page.
    connection.pragma_update(None, "page_size", 4096)?;
    // What cannot be changed is no error to the engine: it says what the mode is, and that is another one then.
    let mode: String = connection.pragma_update_and_check(None, "journal_mode", "WAL", |row| row.get(0))?;
    if mode != "wal" {
        return Ok(Err(OpenFault::Engine(format!("its journal is {mode:?}, and cannot be a write-ahead log here"))));
    }
    let synchronous = if cfg!(feature = "control-synchronous-normal") { "NORMAL" } else { "FULL" };
    connection.pragma_update(None, "synchronous", synchronous)?;
    connection.pragma_update(None, "foreign_keys", "OFF")?;
    connection.pragma_update(None, "cell_size_check", "ON")?;
    connection.pragma_update(None, "trusted_schema", "OFF")?;
    connection.pragma_update(None, "temp_store", "MEMORY")?;
    // 64 MiB of pages: the right edges of all indexes, and what is looked for.
    connection.pragma_update(None, "cache_size", -65_536)?;
    // A checkpoint of 32 MiB at a time: it costs one fsync of the database, and the log stays short for readers.
    connection.pragma_update(None, "wal_autocheckpoint", 8192)?;
    Ok(Ok(()))
}

pub(in super::super) fn schema_version(connection: &Connection) -> Result<u32, OpenFault> {
    connection.pragma_query_value(None, "user_version", |row| row.get(0)).map_err(of)
}

pub(in super::super) fn create(connection: &mut Connection) -> Result<(), OpenFault> {
    let mut make = || {
        let tx = connection.transaction()?;
        tx.execute_batch(include_str!("../schema.sql"))?;
        tx.execute_batch(keys::FOR_FILE)?;
        tx.pragma_update(None, "user_version", SCHEMA)?;
        tx.commit()
    };
    make().map_err(of)
}
