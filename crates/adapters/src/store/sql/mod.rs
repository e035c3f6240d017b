//! The store: one writer with group commit, many readers, in one SQLite file or at a PostgreSQL server.
//!
//! Prevents: answering before the commit is on disk; two processes writing at a time; going on after a failed fsync.

mod acme;
mod audit;
mod authority;
mod batch;
mod bundle;
mod check;
mod check_lists;
mod cmp;
mod confirm;
mod decision;
mod engine;
mod enrolment;
mod foreign;
mod foreign_check;
mod foreign_status;
mod held;
mod hierarchy;
mod identity;
mod intents;
mod invitation;
mod issuance;
mod keys;
mod line;
mod listing;
mod maker;
mod migrate;
mod mode;
mod open;
mod overview;
mod pending;
mod purge;
mod quarantine;
mod read;
mod recall;
mod received;
mod settling;
mod software;
mod standing;
pub mod survey;
mod takeover;
mod told;
mod transaction;
mod writer;

pub use audit::AuditEntry;
pub use check::{Counts, DeepFinding};
pub use decision::{About, ApprovalShown, Decision, GrantShown, Line, RightUsed, Said};
pub use invitation::{AdmittedBox, Invitation, InvitationFault, InvitationState};
pub use issuance::Synthetic;
pub use mode::LastModes;
pub use open::{Database, Server};
pub use overview::{ListShown, RightShown};
pub use purge::{Purge, Purged};
pub use recall::{ReadBack, marks_of_list};

use crate::files::DirectoryLock;
use crate::store::room::Reserve;
use engine::Connection;
use model::UnixTime;
use model::audit::{Entry, Event};
use ports::store::AuditSink;
use ports::{Clock, Entropy, Signer, StoreFault};
use rusqlite::{ErrorCode, ffi};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use transaction::Tx;
use writer::Writer;
use x509::serial::InstanceEpoch;

/// The version of the schema that this program writes.
pub const SCHEMA: u32 = 9;
/// The name of the database in its directory.
pub const FILE: &str = "cradle.db";
/// Reading connections that are kept for the next reader: as many as a busy box has threads that read.
const READERS_MAX: usize = 8;

/// The store.
pub struct SqlStore {
    place: Place,
    // Closed before the writer's: whose is the last connection takes the write-ahead log into the database.
    readers: Mutex<Vec<Connection>>,
    writer: Option<Arc<Writer>>,
    epoch: InstanceEpoch,
    _lock: Option<DirectoryLock>,
}

/// Where a store is.
enum Place {
    File(PathBuf),
    Server(Box<engine::postgres::Place>),
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
    /// The server was put back: its log has fewer entries than this box has seen.
    Behind {
        /// How many this box has seen.
        reached: u64,
        /// How many are there.
        found: u64,
    },
    /// The server was put back and written to since: so many of its first entries are not those that this box has seen.
    Forked(u64),
    /// It was written by a newer program: schema version.
    Newer(u32),
    /// It was written by an older program, and only who may write brings it up to date: schema version.
    Older(u32),
    /// There is no room left. Reading goes on.
    Full,
    /// The settings cannot be used; the text says which, and what they may be.
    Setting(String),
    /// The engine refused; the text says which step and why.
    Engine(String),
}

impl OpenFault {
    fn of(error: &engine::Error) -> Self {
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
            Self::Behind { reached, found } => {
                write!(f, "the server has {found} entries of the log, and this box has seen {reached}")
            }
            Self::Forked(entries) => {
                write!(f, "the first {entries} entries of the server's log are not those that this box has seen")
            }
            Self::Newer(version) => write!(f, "the store has schema {version}, this program knows {SCHEMA}"),
            Self::Older(version) => write!(f, "the store has schema {version}, this program reads {SCHEMA}"),
            Self::Full => f.write_str(ports::store::DISK_FULL),
            Self::Setting(what) => f.write_str(what),
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
    /// The server that has the records, if they are not in a file.
    pub server: Option<Server>,
}

impl SqlStore {
    /// Runs `f` on a reading connection.
    fn read<R>(&self, f: impl FnOnce(&Connection) -> engine::Result<R>) -> Result<R, StoreFault> {
        let idle = self.readers.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let connection = match idle {
            Some(connection) => connection,
            None => open::connect_to_read(&self.place)?,
        };
        let result = f(&connection);
        let mut readers = self.readers.lock().unwrap_or_else(PoisonError::into_inner);
        if connection.is_broken() {
            // So are the others that were made before, of a server that is gone.
            readers.clear();
        } else if readers.len() < READERS_MAX {
            readers.push(connection);
        }
        result.map_err(|e| read_fault(&e))
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

impl AuditSink for SqlStore {
    fn append(&self, entries: Vec<Entry>) -> Result<(), StoreFault> {
        self.write(move |tx| entries.iter().try_for_each(|entry| tx.audit(entry)))
    }
}

/// The server does not have what it had: nothing is read from it, and nothing is written to it.
const WENT_BACK: StoreFault =
    StoreFault::Corrupt("the server was put back: it does not have what this box has seen there (see `cradle status`)");

/// A statement failed, or what is stored does not make sense.
#[derive(Debug)]
enum WriteFault {
    Engine(engine::Error),
    Corrupt(&'static str),
}

impl From<engine::Error> for WriteFault {
    fn from(error: engine::Error) -> Self {
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
fn fault(error: &engine::Error) -> StoreFault {
    if error.sqlite_error_code() == Some(ErrorCode::SystemIoFailure) && !is_of_reading(error) {
        crate::store::die(&format!("the medium of the store failed ({error})"));
    }
    read_fault(error)
}

/// Whether nothing but a read failed: what is on the disk, and what the engine thinks is there, are the same still.
fn is_of_reading(error: &engine::Error) -> bool {
    let codes = [ffi::SQLITE_IOERR_READ, ffi::SQLITE_IOERR_SHORT_READ, ffi::SQLITE_IOERR_CORRUPTFS];
    error.sqlite_error().is_some_and(|error| codes.contains(&error.extended_code))
}

/// What an error of the engine means to one who reads.
fn read_fault(error: &engine::Error) -> StoreFault {
    if let engine::Error::Postgres(error) = error {
        return server_fault(error);
    }
    match error {
        engine::Error::Unsupported(what) => return StoreFault::Engine(what),
        engine::Error::Fenced => {
            return StoreFault::Engine("another process took the place of this one in the database");
        }
        _ => {}
    }
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

/// What the server says. Source: PostgreSQL, appendix A, error codes by class.
fn server_fault(error: &postgres::Error) -> StoreFault {
    let Some(code) = error.code() else { return StoreFault::Engine("the database cannot be reached") };
    match code.code().get(..2).unwrap_or_default() {
        "53" if code.code() == "53100" => StoreFault::Full,
        "53" => StoreFault::Engine("the database has no room for another connection or query"),
        "25" => StoreFault::Engine("the transaction took too long for the database, and nothing was committed"),
        "23" => StoreFault::Engine("a record contradicts another"),
        "40" | "55" => StoreFault::Engine("the database is busy"),
        "57" => StoreFault::Engine("the database is being shut down"),
        "XX" => StoreFault::Corrupt("the database is damaged"),
        _ => StoreFault::Engine("the database refused a statement"),
    }
}

/// An audit entry of this moment.
fn entry(at: UnixTime, by: model::Module, event: Event) -> Entry {
    Entry { at, by, event }
}
