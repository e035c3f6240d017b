//! The embedded store: one SQLite file, one writer with group commit, many readers.
//!
//! Prevents: answering before the commit is on disk; two processes writing; going on after a failed fsync.

mod audit;
mod authority;
mod check;
mod check_lists;
mod confirm;
mod decision;
mod hierarchy;
mod identity;
mod issuance;
mod line;
mod listing;
mod migrate;
mod mode;
mod overview;
mod pending;
mod purge;
mod quarantine;
mod read;
mod recall;
mod software;
mod standing;
pub mod survey;
mod told;
mod writer;

pub use audit::AuditEntry;
pub use check::{Counts, DeepFinding};
pub use decision::{About, ApprovalShown, Decision, GrantShown, Line, RightUsed, Said};
pub use issuance::Synthetic;
pub use mode::LastModes;
pub use overview::{ListShown, RightShown};
pub use purge::{Purge, Purged};
pub use recall::{ReadBack, marks_of_list};

use crate::files::DirectoryLock;
use crate::store::marks::{self, Mark, Marks};
use crate::store::room::Reserve;
use model::UnixTime;
use model::audit::{Entry, Event};
use ports::store::AuditSink;
use ports::{Clock, Entropy, Signer, StoreFault};
use rusqlite::config::DbConfig;
use rusqlite::{Connection, ErrorCode, OpenFlags, ffi};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use writer::{Tx, Writer};
use x509::serial::InstanceEpoch;

/// The version of the schema that this program writes.
pub const SCHEMA: u32 = 2;
/// The name of the database in its directory.
pub const FILE: &str = "cradle.db";
/// Prepared statements that a connection keeps.
const STATEMENTS: usize = 64;
/// Reading connections that are kept for the next reader: as many as a busy box has threads that read.
const READERS_MAX: usize = 8;

/// The store.
pub struct SqliteStore {
    path: PathBuf,
    // Closed before the writer's: whose is the last connection takes the write-ahead log into the database.
    readers: Mutex<Vec<Connection>>,
    writer: Option<Arc<Writer>>,
    epoch: InstanceEpoch,
    _lock: Option<DirectoryLock>,
}

/// Why a store cannot be opened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OpenFault {
    /// Another process writes to it.
    InUse,
    /// There is none, or an empty one.
    Missing,
    /// The audit log is not the one that was signed last.
    Tampered(&'static str),
    /// It was written by a newer program: schema version.
    Newer(u32),
    /// It was written by an older program, and only who may write brings it up to date: schema version.
    Older(u32),
    /// There is no room left. Reading goes on.
    Full,
    /// The engine refused; the text says which step and why.
    Engine(String),
}

impl OpenFault {
    fn of(error: &rusqlite::Error) -> Self {
        // The memory that readers share is a file; that it cannot grow is no failure of the medium.
        let shared = error.sqlite_error().is_some_and(|error| error.extended_code == ffi::SQLITE_IOERR_SHMSIZE);
        match error.sqlite_error_code() {
            Some(ErrorCode::DiskFull) => Self::Full,
            Some(ErrorCode::SystemIoFailure) if shared => Self::Full,
            _ => Self::Engine(error.to_string()),
        }
    }
    fn of_file(error: &std::io::Error) -> Self {
        match error.kind() {
            std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded => Self::Full,
            _ => Self::Engine(error.to_string()),
        }
    }
    fn of_marks(error: &std::io::Error) -> Self {
        match Self::of_file(error) {
            Self::Engine(what) => Self::Engine(format!("the high-water marks: {what}")),
            full => full,
        }
    }
}

impl std::fmt::Display for OpenFault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::InUse => f.write_str("another cradle process holds this data directory"),
            Self::Missing => f.write_str("there is no store in this data directory"),
            Self::Tampered(what) => write!(f, "the audit log is not the one that was signed last: {what}"),
            Self::Newer(version) => write!(f, "the store has schema {version}, this program knows {SCHEMA}"),
            Self::Older(version) => write!(f, "the store has schema {version}, this program reads {SCHEMA}"),
            Self::Full => f.write_str(ports::store::DISK_FULL),
            Self::Engine(what) => write!(f, "the store cannot be opened: {what}"),
        }
    }
}
impl std::error::Error for OpenFault {}

/// What a writing store is opened with.
#[derive(Clone)]
pub struct Opening {
    /// The name of the audit log, which stands in its checkpoints.
    pub log_name: String,
    /// The key that signs checkpoints, Ed25519.
    pub audit_key: Arc<dyn Signer>,
    /// The clock.
    pub clock: Arc<dyn Clock>,
    /// Randomness.
    pub entropy: Arc<dyn Entropy>,
    /// The directory of the high-water marks, if they are kept.
    pub marks: Option<PathBuf>,
    /// The room that is held for the ends of open intents.
    pub reserve: Reserve,
}

impl SqliteStore {
    /// Makes an empty store, or opens the one that is there.
    ///
    /// # Errors
    /// As [`SqliteStore::open`].
    pub fn make(directory: &Path, opening: &Opening) -> Result<Self, OpenFault> {
        let lock = lock(directory)?;
        let path = directory.join(FILE);
        if !path.exists() {
            // The engine gives its other files the permissions of this one.
            crate::files::write_new(&path, b"").map_err(|e| OpenFault::of_file(&e))?;
        }
        let mut connection = connect_to_write(&path)?;
        if schema_version(&connection)? == 0 {
            create(&mut connection)?;
        }
        crate::files::sync_directory(directory).map_err(|e| OpenFault::of_file(&e))?;
        Self::on(path, lock, connection, opening)
    }

    /// Opens a store for reading and writing. The directory is locked for this process. A log that somebody touched since
    /// it was signed last is not written to: the next checkpoint would make it good.
    ///
    /// # Errors
    /// [`OpenFault`]
    pub fn open(directory: &Path, opening: &Opening) -> Result<Self, OpenFault> {
        let lock = lock(directory)?;
        let path = directory.join(FILE);
        if !path.exists() {
            return Err(OpenFault::Missing);
        }
        let connection = connect_to_write(&path)?;
        Self::on(path, lock, connection, opening)
    }

    fn on(
        path: PathBuf,
        lock: DirectoryLock,
        mut connection: Connection,
        opening: &Opening,
    ) -> Result<Self, OpenFault> {
        let version = schema_version(&connection)?;
        if version == 0 || version > SCHEMA {
            return Err(if version == 0 { OpenFault::Missing } else { OpenFault::Newer(version) });
        }
        let engine = |e: rusqlite::Error| OpenFault::of(&e);
        let (edge, latest_ms) = audit::restore(&connection).map_err(engine)?;
        let key = opening.audit_key.public_key();
        audit::check_edge(&connection, &edge, &opening.log_name, key).map_err(engine)??;
        // Only behind the check: what somebody touched is kept as it is.
        let migrated = migrate::migrate(&mut connection)?;
        let epoch = new_epoch(&connection, opening)?;
        let name = marks::name_of(&opening.log_name, key);
        let marks = opening.marks.as_ref().map(|directory| Marks::open(directory, &name, edge.size()));
        let marks = marks.transpose().map_err(|e| OpenFault::of_marks(&e))?;
        if let Some(marks) = &marks {
            marks.append(&[Mark::Epoch(epoch.0)]).map_err(|e| OpenFault::of_marks(&e))?;
        }
        // The engine synchronises the directory when it makes its log, and does not look at what comes of it.
        let directory = path.parent().unwrap_or(Path::new("."));
        crate::files::sync_directory(directory).map_err(|e| OpenFault::of_file(&e))?;
        let writer = Arc::new(Writer::start(connection, opening, edge, latest_ms, (&path, marks))?);
        let store = Self { path, writer: Some(writer), readers: Mutex::default(), epoch, _lock: Some(lock) };
        if let Some(old) = migrated {
            let event = Event::Repaired { what: format!("records of schema {old} brought up to {SCHEMA}") };
            let noted = store.append(vec![entry(opening.clock.now(), model::Module::Supervisor, event)]);
            noted.map_err(|e| OpenFault::Engine(e.to_string()))?;
        }
        Ok(store)
    }

    /// Opens a store for reading, beside whoever writes to it.
    ///
    /// # Errors
    /// [`OpenFault`]
    pub fn open_to_read(directory: &Path) -> Result<Self, OpenFault> {
        let path = directory.join(FILE);
        if !path.exists() {
            return Err(OpenFault::Missing);
        }
        let connection = connect_to_read(&path)?;
        match schema_version(&connection)? {
            SCHEMA => {}
            0 => return Err(OpenFault::Missing),
            old if old < SCHEMA => return Err(OpenFault::Older(old)),
            newer => return Err(OpenFault::Newer(newer)),
        }
        let readers = Mutex::new(vec![connection]);
        Ok(Self { path, writer: None, readers, epoch: InstanceEpoch(0), _lock: None })
    }

    /// Runs `f` on a reading connection.
    fn read<R>(&self, f: impl FnOnce(&Connection) -> rusqlite::Result<R>) -> Result<R, StoreFault> {
        let idle = self.readers.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let connection = match idle {
            Some(connection) => connection,
            None => {
                connect_to_read(&self.path).map_err(|_| StoreFault::Engine("the store cannot be opened for reading"))?
            }
        };
        let result = f(&connection).map_err(|e| read_fault(&e));
        let mut readers = self.readers.lock().unwrap_or_else(PoisonError::into_inner);
        if readers.len() < READERS_MAX {
            readers.push(connection);
        }
        result
    }

    /// Runs `f` in a transaction of the writer, together with what others want to write at this moment. Returns when
    /// the transaction is durable. `f` runs again if the transaction was rolled back for somebody else's sake.
    fn write<R: Send + 'static>(
        &self,
        f: impl Fn(&mut Tx<'_>) -> Result<R, WriteFault> + Send + 'static,
    ) -> Result<R, StoreFault> {
        self.write_rows(1, f)
    }

    /// The same for a batch of rows.
    fn write_rows<R: Send + 'static>(
        &self,
        rows: usize,
        f: impl Fn(&mut Tx<'_>) -> Result<R, WriteFault> + Send + 'static,
    ) -> Result<R, StoreFault> {
        match &self.writer {
            Some(writer) => writer.run(rows, f),
            None => Err(StoreFault::Engine("the store was opened for reading only")),
        }
    }
}

impl AuditSink for SqliteStore {
    fn append(&self, entries: Vec<Entry>) -> Result<(), StoreFault> {
        self.write(move |tx| entries.iter().try_for_each(|entry| tx.audit(entry)))
    }
}

/// A statement failed, or what is stored does not make sense.
#[derive(Debug)]
enum WriteFault {
    Engine(rusqlite::Error),
    Corrupt(&'static str),
}

impl From<rusqlite::Error> for WriteFault {
    fn from(error: rusqlite::Error) -> Self {
        Self::Engine(error)
    }
}
impl From<WriteFault> for StoreFault {
    fn from(failure: WriteFault) -> Self {
        match failure {
            WriteFault::Engine(error) => fault(&error),
            WriteFault::Corrupt(place) => Self::Corrupt(place),
        }
    }
}

/// What an error of the engine means to one who writes. A write or fsync that failed ends the process here.
fn fault(error: &rusqlite::Error) -> StoreFault {
    if error.sqlite_error_code() == Some(ErrorCode::SystemIoFailure) && !is_of_reading(error) {
        crate::store::die(&format!("the medium of the store failed ({error})"));
    }
    read_fault(error)
}

/// Whether nothing but a read failed: what is on the disk, and what the engine thinks is there, are the same still.
fn is_of_reading(error: &rusqlite::Error) -> bool {
    let codes = [ffi::SQLITE_IOERR_READ, ffi::SQLITE_IOERR_SHORT_READ, ffi::SQLITE_IOERR_CORRUPTFS];
    error.sqlite_error().is_some_and(|error| codes.contains(&error.extended_code))
}

/// What an error of the engine means to one who reads.
fn read_fault(error: &rusqlite::Error) -> StoreFault {
    match error.sqlite_error_code() {
        Some(ErrorCode::DiskFull) => StoreFault::Full,
        Some(ErrorCode::ReadOnly | ErrorCode::CannotOpen) => StoreFault::Engine("the medium cannot be written"),
        Some(ErrorCode::SystemIoFailure) => StoreFault::Engine("the medium of the store cannot be read"),
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => StoreFault::Corrupt("the database is damaged"),
        Some(ErrorCode::ConstraintViolation) => StoreFault::Engine("a record contradicts another"),
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => StoreFault::Engine("the database is busy"),
        _ => StoreFault::Engine("the database refused a statement"),
    }
}

fn lock(directory: &Path) -> Result<DirectoryLock, OpenFault> {
    DirectoryLock::take(directory).map_err(|e| match e.kind() {
        std::io::ErrorKind::WouldBlock => OpenFault::InUse,
        std::io::ErrorKind::NotFound => OpenFault::Missing,
        _ => OpenFault::of_file(&e),
    })
}

fn connect_to_write(path: &Path) -> Result<Connection, OpenFault> {
    let mut connection = connect(path, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
    prepare(&mut connection).map_err(|e| OpenFault::of(&e))??;
    Ok(connection)
}

/// Opens for reading. On a medium that cannot be written, or is full, the engine cannot make the files that readers share;
/// then a database into which all was taken, and to which nobody writes, is read as it stands.
fn connect_to_read(path: &Path) -> Result<Connection, OpenFault> {
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
    let connection =
        Connection::open_with_flags(path, flags | OpenFlags::SQLITE_OPEN_NO_MUTEX).map_err(|e| OpenFault::of(&e))?;
    connection.set_prepared_statement_cache_capacity(STATEMENTS);
    let settings = [
        // A plan does not depend on what is bound to it. Without this the engine prepares anew whenever a value changes.
        (DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true),
        // The schema has none; whoever puts one in wants something of us.
        (DbConfig::SQLITE_DBCONFIG_ENABLE_TRIGGER, false),
        (DbConfig::SQLITE_DBCONFIG_ENABLE_VIEW, false),
    ];
    for (setting, value) in settings {
        connection.set_db_config(setting, value).map_err(|e| OpenFault::of(&e))?;
    }
    // A reader meets a lock only while a checkpoint resets the log.
    connection.busy_timeout(Duration::from_secs(5)).map_err(|e| OpenFault::of(&e))?;
    Ok(connection)
}

fn prepare(connection: &mut Connection) -> rusqlite::Result<Result<(), OpenFault>> {
    // A certificate fits into a page, and a key that falls somewhere into its index dirties no more than one.
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
    // 64 MiB of pages: the right edges of all indexes, and the middle of the one by key.
    connection.pragma_update(None, "cache_size", -65_536)?;
    // A checkpoint of 32 MiB at a time: it costs one fsync of the database, and the log stays short for readers.
    connection.pragma_update(None, "wal_autocheckpoint", 8192)?;
    Ok(Ok(()))
}

fn schema_version(connection: &Connection) -> Result<u32, OpenFault> {
    connection.pragma_query_value(None, "user_version", |row| row.get(0)).map_err(|e| OpenFault::of(&e))
}

fn create(connection: &mut Connection) -> Result<(), OpenFault> {
    let mut make = || {
        let tx = connection.transaction()?;
        tx.execute_batch(include_str!("schema.sql"))?;
        tx.pragma_update(None, "user_version", SCHEMA)?;
        tx.commit()
    };
    make().map_err(|e: rusqlite::Error| OpenFault::of(&e))
}

/// Draws an epoch that no opening before this one had, durable before it is used.
fn new_epoch(connection: &Connection, opening: &Opening) -> Result<InstanceEpoch, OpenFault> {
    let at = opening.clock.now().ms();
    // With 2^32 values and one row for each opening, a second draw is already rare.
    for _ in 0..16 {
        let value = u32::from_be_bytes(ports::clock::random(opening.entropy.as_ref()));
        let added = connection.execute("INSERT OR IGNORE INTO epoch (value, at) VALUES (?1, ?2)", (value, at));
        if added.map_err(|e| OpenFault::of(&e))? == 1 {
            return Ok(InstanceEpoch(value));
        }
    }
    Err(OpenFault::Engine("no unused epoch was found; is the source of randomness broken?".into()))
}

/// An audit entry of this moment.
fn entry(at: UnixTime, by: model::Module, event: Event) -> Entry {
    Entry { at, by, event }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failed(code: i32) -> rusqlite::Error {
        rusqlite::Error::SqliteFailure(ffi::Error::new(code), None)
    }

    #[test]
    fn a_journal_that_is_no_write_ahead_log_is_refused() {
        let made = prepare(&mut Connection::open_in_memory().unwrap()).unwrap();
        assert!(matches!(made, Err(OpenFault::Engine(why)) if why.contains("\"memory\"")));
    }
    #[test]
    fn a_read_that_fails_ends_nobody() {
        for code in [ffi::SQLITE_IOERR_READ, ffi::SQLITE_IOERR_SHORT_READ] {
            assert_eq!(fault(&failed(code)), StoreFault::Engine("the medium of the store cannot be read"));
        }
        assert_eq!(read_fault(&failed(ffi::SQLITE_IOERR_LOCK)), fault(&failed(ffi::SQLITE_IOERR_READ)));
    }
    #[test]
    fn room_is_short_in_several_words() {
        for code in [ffi::SQLITE_FULL, ffi::SQLITE_IOERR_SHMSIZE] {
            assert_eq!(OpenFault::of(&failed(code)), OpenFault::Full);
        }
        assert_eq!(OpenFault::of_marks(&std::io::ErrorKind::StorageFull.into()), OpenFault::Full);
        assert!(matches!(OpenFault::of(&failed(ffi::SQLITE_IOERR_WRITE)), OpenFault::Engine(_)));
    }
}
