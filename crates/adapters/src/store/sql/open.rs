//! Opening a store.

pub(super) mod file;
mod server;

pub use server::{Database, Server};

use super::engine::Connection;
use super::{OpenFault, Opening, Place, SCHEMA, SqlStore, audit, entry, migrate};
use crate::store::marks::{self, Mark, Marks};
use crate::store::sql::writer::Writer;
use model::audit::Event;
use ports::StoreFault;
use ports::store::AuditSink;
use std::path::Path;
use std::sync::{Arc, Mutex};
use x509::serial::InstanceEpoch;

impl SqlStore {
    /// Makes an empty store, or opens the one that is there.
    ///
    /// # Errors
    /// As [`SqlStore::open`].
    pub fn make(directory: &Path, opening: &Opening) -> Result<Self, OpenFault> {
        if let Some(server) = &opening.server {
            server::make(server)?;
            return Self::open(directory, opening);
        }
        let lock = file::lock(directory)?;
        let path = directory.join(super::FILE);
        if !path.exists() {
            // The engine gives its other files the permissions of this one.
            crate::files::write_new(&path, b"").map_err(|e| OpenFault::of_file(&e))?;
        }
        let mut connection = file::connect_to_write(&path)?;
        if file::schema_version(&connection)? == 0 {
            file::create(&mut connection)?;
        }
        crate::files::sync_directory(directory).map_err(|e| OpenFault::of_file(&e))?;
        Self::on_file(&path, connection, opening).map(|store| Self { _lock: Some(lock), ..store })
    }

    /// Opens a store for reading and writing. The directory, or at a server the process's own schema, is locked for this
    /// process. A log that somebody touched since it was signed last is not written to: the next checkpoint would make it
    /// good.
    ///
    /// # Errors
    /// [`OpenFault`]
    pub fn open(directory: &Path, opening: &Opening) -> Result<Self, OpenFault> {
        if let Some(server) = &opening.server {
            let (place, connection) = server::join(server, opening.clock.now())?;
            return Self::on(Place::Server(Box::new(place)), connection, opening);
        }
        let lock = file::lock(directory)?;
        let path = directory.join(super::FILE);
        if !path.exists() {
            return Err(OpenFault::Missing);
        }
        let connection = file::connect_to_write(&path)?;
        Self::on_file(&path, connection, opening).map(|store| Self { _lock: Some(lock), ..store })
    }

    fn on_file(path: &Path, mut connection: rusqlite::Connection, opening: &Opening) -> Result<Self, OpenFault> {
        let version = file::schema_version(&connection)?;
        if version == 0 || version > SCHEMA {
            return Err(if version == 0 { OpenFault::Missing } else { OpenFault::Newer(version) });
        }
        let mut migrated = None;
        if version < SCHEMA {
            // Only behind the check: what somebody touched is kept as it is.
            let checked = Connection::Sqlite(connection);
            check(&checked, opening)?;
            connection = checked.into_embedded().map_err(|e| OpenFault::of(&e))?;
            migrated = migrate::migrate(&mut connection)?;
        }
        let store = Self::on(Place::File(path.to_owned()), Connection::Sqlite(connection), opening)?;
        if let Some(old) = migrated {
            let event = Event::Repaired { what: format!("records of schema {old} brought up to {SCHEMA}") };
            let noted = store.append(vec![entry(opening.clock.now(), model::Module::Supervisor, event)]);
            noted.map_err(|e| OpenFault::Engine(e.to_string()))?;
        }
        Ok(store)
    }

    fn on(place: Place, connection: Connection, opening: &Opening) -> Result<Self, OpenFault> {
        let (edge, latest_ms) = check(&connection, opening)?;
        let epoch = new_epoch(&connection, opening)?;
        let name = marks::name_of(&opening.log_name, opening.audit_key.public_key());
        let marks = opening.marks.as_ref().map(|directory| Marks::open(directory, &name, edge.size()));
        let marks = marks.transpose().map_err(|e| OpenFault::of_marks(&e))?;
        if let Some(marks) = &marks {
            marks.append(&[Mark::Epoch(epoch.0)]).map_err(|e| OpenFault::of_marks(&e))?;
        }
        if let Place::File(path) = &place {
            // The engine synchronises the directory when it makes its log, and does not look at what comes of it.
            let directory = path.parent().unwrap_or(Path::new("."));
            crate::files::sync_directory(directory).map_err(|e| OpenFault::of_file(&e))?;
        }
        let writer = Arc::new(Writer::start(connection, opening, edge, latest_ms, (&place, marks))?);
        Ok(Self { place, writer: Some(writer), readers: Mutex::default(), epoch, _lock: None })
    }

    /// Opens a store for reading, beside whoever writes to it.
    ///
    /// # Errors
    /// [`OpenFault`]
    pub fn open_to_read(directory: &Path) -> Result<Self, OpenFault> {
        let path = directory.join(super::FILE);
        if !path.exists() {
            return Err(OpenFault::Missing);
        }
        let connection = file::connect_to_read(&path)?;
        match file::schema_version(&connection)? {
            SCHEMA => {}
            0 => return Err(OpenFault::Missing),
            old if old < SCHEMA => return Err(OpenFault::Older(old)),
            newer => return Err(OpenFault::Newer(newer)),
        }
        Ok(Self::reading(Place::File(path), Connection::Sqlite(connection)))
    }

    /// The same at a server: what all share, and the log of the process that is named.
    ///
    /// # Errors
    /// [`OpenFault`]
    pub fn open_server_to_read(server: &Server) -> Result<Self, OpenFault> {
        let (place, connection) = server::look(server)?;
        Ok(Self::reading(Place::Server(Box::new(place)), connection))
    }

    fn reading(place: Place, connection: Connection) -> Self {
        Self { place, writer: None, readers: Mutex::new(vec![connection]), epoch: InstanceEpoch(0), _lock: None }
    }
}

/// The edge of the audit log and its latest time, if it is the log that was signed last.
fn check(connection: &Connection, opening: &Opening) -> Result<(crate::store::merkle::Edge, u64), OpenFault> {
    let (edge, latest_ms) = audit::restore(connection).map_err(|e| OpenFault::of(&e))?;
    let key = opening.audit_key.public_key();
    audit::check_edge(connection, &edge, &opening.log_name, key).map_err(|e| OpenFault::of(&e))??;
    Ok((edge, latest_ms))
}

pub(super) fn connect_to_read(place: &Place) -> Result<Connection, StoreFault> {
    let connected = match place {
        Place::File(path) => file::connect_to_read(path).map(Connection::Sqlite),
        Place::Server(place) => server::connect_to_read(place),
    };
    connected.map_err(|fault| match fault {
        OpenFault::Behind { .. } | OpenFault::Forked(_) => super::WENT_BACK,
        _ => StoreFault::Engine("the store cannot be opened for reading"),
    })
}

/// Draws an epoch that no opening before this one had, durable before it is used.
fn new_epoch(connection: &Connection, opening: &Opening) -> Result<InstanceEpoch, OpenFault> {
    let at = opening.clock.now().ms();
    let sql = "INSERT INTO epoch (value, at) VALUES (?1, ?2) ON CONFLICT DO NOTHING";
    // With 2^32 values and one row for each opening, a second draw is already rare.
    for _ in 0..16 {
        let value = u32::from_be_bytes(ports::clock::random(opening.entropy.as_ref()));
        let added = connection.execute(sql, (value, at)).map_err(|e| {
            // A medium that failed is written to no more, not even to close the store in order: this does not return then.
            let _others_come_back = super::fault(&e);
            OpenFault::of(&e)
        });
        if added? == 1 {
            return Ok(InstanceEpoch(value));
        }
    }
    Err(OpenFault::Engine("no unused epoch was found; is the source of randomness broken?".into()))
}

#[cfg(test)]
mod tests {
    use super::super::{fault, read_fault};
    use super::*;
    use rusqlite::ffi;

    fn failed(code: i32) -> super::super::engine::Error {
        rusqlite::Error::SqliteFailure(ffi::Error::new(code), None).into()
    }

    #[test]
    fn a_journal_that_is_no_write_ahead_log_is_refused() {
        let made = file::prepare(&mut rusqlite::Connection::open_in_memory().unwrap()).unwrap();
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
