//! Documents under a kind and a key, in one SQLite file: for who keeps little of each of many things.
//!
//! What a change has put is durable when the change returns, all of it or nothing. Several processes may use one file; one
//! at a time changes it. A medium that fails while it is written ends the process.

use rusqlite::{Connection, ErrorCode, OptionalExtension, Transaction, TransactionBehavior, params};
use std::fmt;
use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// What `PRAGMA user_version` says of this form. A later form migrates, an unknown one is not touched.
const FORM: u32 = 1;
/// How long another process may take for its change.
const BUSY_WITHIN: Duration = Duration::from_secs(10);

/// Why documents cannot be had.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DocumentsFault {
    /// Another process is changing them for too long.
    Busy,
    /// There is no room left.
    Full,
    /// They are in a form that this version does not know.
    Form(u32),
    /// What the engine says.
    Engine(String),
}

impl fmt::Display for DocumentsFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Busy => f.write_str("another process has been changing them for too long"),
            Self::Full => f.write_str("there is no room left on the disk"),
            Self::Form(form) => write!(f, "they are in form {form}, which this version does not know"),
            Self::Engine(what) => f.write_str(what),
        }
    }
}
impl std::error::Error for DocumentsFault {}

impl From<rusqlite::Error> for DocumentsFault {
    fn from(error: rusqlite::Error) -> Self {
        match error.sqlite_error_code() {
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => Self::Busy,
            Some(ErrorCode::DiskFull) => Self::Full,
            // What was written before may or may not be there.
            Some(ErrorCode::SystemIoFailure) => {
                crate::store::die(&format!("the medium of the documents failed ({error})"))
            }
            _ => Self::Engine(error.to_string()),
        }
    }
}

/// All documents of one file.
pub struct Documents(Mutex<Connection>);

impl fmt::Debug for Documents {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Documents")
    }
}

impl Documents {
    /// Opens the file, or makes it.
    ///
    /// # Errors
    /// [`DocumentsFault`]
    pub fn open(path: &Path) -> Result<Self, DocumentsFault> {
        let mut connection = Connection::open(path)?;
        connection.busy_timeout(BUSY_WITHIN)?;
        let mode: String = connection.pragma_update_and_check(None, "journal_mode", "WAL", |row| row.get(0))?;
        if mode != "wal" {
            return Err(DocumentsFault::Engine(format!(
                "its journal is {mode:?}, and cannot be a write-ahead log here"
            )));
        }
        connection.pragma_update(None, "synchronous", "FULL")?;
        connection.pragma_update(None, "trusted_schema", "OFF")?;
        connection.pragma_update(None, "cell_size_check", "ON")?;
        let tx = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        match tx.pragma_query_value(None, "user_version", |row| row.get(0))? {
            0 => {
                tx.execute_batch(
                    "CREATE TABLE document (kind TEXT NOT NULL, key TEXT NOT NULL, value BLOB NOT NULL, \
                     PRIMARY KEY (kind, key)) WITHOUT ROWID, STRICT",
                )?;
                tx.pragma_update(None, "user_version", FORM)?;
            }
            FORM => {}
            form => return Err(DocumentsFault::Form(form)),
        }
        tx.commit()?;
        Ok(Self(Mutex::new(connection)))
    }

    /// Reads them as they are at one moment.
    ///
    /// # Errors
    /// [`DocumentsFault`], and what `f` gives.
    pub fn read<T, E: From<DocumentsFault>>(&self, f: impl FnOnce(&Moment<'_>) -> Result<T, E>) -> Result<T, E> {
        let mut connection = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let tx = connection.transaction().map_err(DocumentsFault::from)?;
        f(&Moment(tx))
    }

    /// Changes them. Nothing is changed if `f` fails, or panics.
    ///
    /// # Errors
    /// [`DocumentsFault`], and what `f` gives.
    pub fn change<T, E: From<DocumentsFault>>(&self, f: impl FnOnce(&Moment<'_>) -> Result<T, E>) -> Result<T, E> {
        let mut connection = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let begun = connection.transaction_with_behavior(TransactionBehavior::Immediate);
        let moment = Moment(begun.map_err(DocumentsFault::from)?);
        let given = f(&moment)?;
        moment.0.commit().map_err(DocumentsFault::from)?;
        Ok(given)
    }
}

/// The documents at one moment. What is put in a mere reading is gone after it.
pub struct Moment<'a>(Transaction<'a>);

impl fmt::Debug for Moment<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Moment")
    }
}

impl Moment<'_> {
    /// A document.
    ///
    /// # Errors
    /// [`DocumentsFault`]
    pub fn get(&self, kind: &str, key: &str) -> Result<Option<Vec<u8>>, DocumentsFault> {
        let mut statement = self.0.prepare_cached("SELECT value FROM document WHERE kind = ?1 AND key = ?2")?;
        Ok(statement.query_row(params![kind, key], |row| row.get(0)).optional()?)
    }

    /// Puts a document, in place of one under this key.
    ///
    /// # Errors
    /// [`DocumentsFault`]
    pub fn put(&self, kind: &str, key: &str, value: &[u8]) -> Result<(), DocumentsFault> {
        let mut statement = self.0.prepare_cached("INSERT OR REPLACE INTO document VALUES (?1, ?2, ?3)")?;
        statement.execute(params![kind, key, value])?;
        Ok(())
    }

    /// Takes a document away. Says whether it was there.
    ///
    /// # Errors
    /// [`DocumentsFault`]
    pub fn remove(&self, kind: &str, key: &str) -> Result<bool, DocumentsFault> {
        let mut statement = self.0.prepare_cached("DELETE FROM document WHERE kind = ?1 AND key = ?2")?;
        Ok(statement.execute(params![kind, key])? > 0)
    }

    /// Shows all documents of a kind whose keys begin with `prefix`, by key.
    ///
    /// # Errors
    /// [`DocumentsFault`], and what `f` gives.
    pub fn each<E: From<DocumentsFault>>(
        &self,
        kind: &str,
        prefix: &str,
        mut f: impl FnMut(&str, &[u8]) -> Result<(), E>,
    ) -> Result<(), E> {
        let sql = "SELECT key, value FROM document WHERE kind = ?1 AND key >= ?2 ORDER BY key";
        let mut statement = self.0.prepare_cached(sql).map_err(DocumentsFault::from)?;
        let mut rows = statement.query(params![kind, prefix]).map_err(DocumentsFault::from)?;
        while let Some(row) = rows.next().map_err(DocumentsFault::from)? {
            let key = row.get_ref(0).map_err(DocumentsFault::from)?.as_str().map_err(|e| engine(&e))?;
            let value = row.get_ref(1).map_err(DocumentsFault::from)?.as_blob().map_err(|e| engine(&e))?;
            // Keys stand in the order of their octets, so the first one without the prefix is behind the last one with it.
            if !key.starts_with(prefix) {
                break;
            }
            f(key, value)?;
        }
        Ok(())
    }
}

fn engine(error: &rusqlite::types::FromSqlError) -> DocumentsFault {
    DocumentsFault::Engine(error.to_string())
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "what cannot go on here has failed")]
mod tests {
    use super::*;

    type Done<T = ()> = Result<T, DocumentsFault>;

    fn all(documents: &Documents, kind: &str, prefix: &str) -> Vec<String> {
        let mut keys = Vec::new();
        let read = documents.read(|now| {
            now.each(kind, prefix, |key, value| -> Done {
                keys.push(format!("{key}={}", String::from_utf8_lossy(value)));
                Ok(())
            })
        });
        read.unwrap();
        keys
    }
    fn file() -> (tempfile::TempDir, std::path::PathBuf) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("documents");
        (dir, path)
    }

    #[test]
    fn what_was_put_is_there_for_whoever_opens_it() {
        let (_dir, path) = file();
        let documents = Documents::open(&path).unwrap();
        let put = documents.change(|now| {
            now.put("a", "x/1", b"one")?;
            now.put("a", "x/2", b"two")?;
            now.put("a", "y", b"three")?;
            now.put("b", "x/1", b"four")?;
            now.put("a", "x/1", b"five")?;
            now.remove("b", "x/1")
        });
        assert_eq!(put, Ok::<_, DocumentsFault>(true));
        let again = Documents::open(&path).unwrap();
        assert_eq!(all(&again, "a", "x/"), ["x/1=five", "x/2=two"]);
        assert_eq!(all(&again, "a", ""), ["x/1=five", "x/2=two", "y=three"]);
        assert!(all(&again, "b", "").is_empty());
        assert_eq!(again.read(|now| now.get("a", "y")).unwrap(), Some(b"three".to_vec()));
        assert_eq!(again.read(|now| now.get("a", "z")).unwrap(), None);
    }
    #[test]
    fn half_a_change_is_none() {
        let (_dir, path) = file();
        let documents = Documents::open(&path).unwrap();
        let failed = documents.change(|now| -> Done {
            now.put("a", "x", b"1")?;
            Err(DocumentsFault::Busy)
        });
        assert_eq!(failed, Err(DocumentsFault::Busy));
        documents.read(|now| now.put("a", "y", b"1")).unwrap();
        assert!(all(&documents, "a", "").is_empty());
    }
    #[test]
    fn a_form_of_later_is_not_touched() {
        let (_dir, path) = file();
        drop(Documents::open(&path).unwrap());
        Connection::open(&path).unwrap().pragma_update(None, "user_version", 2).unwrap();
        assert_eq!(Documents::open(&path).unwrap_err(), DocumentsFault::Form(2));
    }
    #[test]
    fn commits_wait_for_the_disk() {
        let (_dir, path) = file();
        let documents = Documents::open(&path).unwrap();
        let connection = documents.0.lock().unwrap();
        let says = |name: &str| connection.pragma_query_value(None, name, |row| row.get::<_, i64>(0)).unwrap();
        assert_eq!(says("synchronous"), 2);
    }
}
