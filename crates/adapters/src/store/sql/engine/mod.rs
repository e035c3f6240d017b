//! The engines below the store. Statements are written once, in the words that both understand: `?1` for a parameter,
//! `ON CONFLICT` for what is there already, a `CAST` where one of them could not know of what kind a parameter is.

pub(super) mod postgres;
pub(super) mod sqlite;
pub(super) mod tls;
mod value;

pub(crate) use value::{Column, Owned, Params, Value};

use self::postgres::Session;
use std::fmt;

/// What a statement gives, or why it failed.
pub(crate) type Result<T, E = Error> = std::result::Result<T, E>;

/// A statement failed.
#[derive(Debug)]
pub(crate) enum Error {
    /// The embedded engine says so.
    Sqlite(rusqlite::Error),
    /// The server says so, or cannot be reached.
    Postgres(::postgres::Error),
    /// One row was expected, and there is none.
    NoRow,
    /// A column, counted from 0, holds something else than was expected.
    Misfit(usize),
    /// Another process took the place of this one.
    Fenced,
    /// Something is asked of an engine that it does not do, or did not; the text says what.
    Unsupported(&'static str),
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sqlite(error) => error.fmt(f),
            Self::Postgres(error) => match error.as_db_error() {
                Some(said) => write!(f, "{} ({})", said.message(), said.code().code()),
                None => error.fmt(f),
            },
            Self::NoRow => f.write_str("a row is missing"),
            Self::Misfit(column) => write!(f, "column {column} holds something else"),
            Self::Fenced => f.write_str("another process took the place of this one"),
            Self::Unsupported(what) => f.write_str(what),
        }
    }
}
impl std::error::Error for Error {}
impl From<rusqlite::Error> for Error {
    fn from(error: rusqlite::Error) -> Self {
        match error {
            rusqlite::Error::QueryReturnedNoRows => Self::NoRow,
            other => Self::Sqlite(other),
        }
    }
}
impl From<::postgres::Error> for Error {
    fn from(error: ::postgres::Error) -> Self {
        Self::Postgres(error)
    }
}

impl Error {
    /// The code of the embedded engine, if it was that.
    pub(crate) fn sqlite_error(&self) -> Option<&rusqlite::ffi::Error> {
        match self {
            Self::Sqlite(error) => error.sqlite_error(),
            Self::Postgres(_) | Self::NoRow | Self::Misfit(_) | Self::Fenced | Self::Unsupported(_) => None,
        }
    }

    /// The kind of code of the embedded engine.
    pub(crate) fn sqlite_error_code(&self) -> Option<rusqlite::ErrorCode> {
        self.sqlite_error().map(|error| error.code)
    }
}

/// Turns a missing row into `None`.
pub(crate) trait OptionalExtension<T> {
    /// The row, if there is one.
    fn optional(self) -> Result<Option<T>>;
}
impl<T> OptionalExtension<T> for Result<T> {
    fn optional(self) -> Result<Option<T>> {
        match self {
            Ok(value) => Ok(Some(value)),
            Err(Error::NoRow) => Ok(None),
            Err(other) => Err(other),
        }
    }
}

/// A connection to a database.
pub(crate) enum Connection {
    /// Its file.
    Sqlite(rusqlite::Connection),
    /// Its server.
    Postgres(Box<Session>),
}

/// A statement that is ready to be carried out.
pub(crate) enum Statement<'c> {
    /// In the embedded engine.
    Sqlite(rusqlite::CachedStatement<'c>),
    /// At the server.
    Postgres(postgres::Prepared<'c>),
}

/// A statement that adds a row each time.
pub(crate) struct Insertion<'c> {
    connection: &'c Connection,
    statement: Statement<'c>,
}

/// What a statement gave, row after row.
pub(crate) enum Rows<'s> {
    /// Read from the file as they are asked for.
    Sqlite(rusqlite::Rows<'s>),
    /// What the server sent.
    Postgres(postgres::Found<'s>),
}

/// One row.
#[derive(Clone, Copy)]
pub(crate) enum Row<'r> {
    /// Of the file.
    Sqlite(&'r rusqlite::Row<'r>),
    /// Of the server.
    Postgres(&'r ::postgres::Row),
}

/// One view of all tables, until it is dropped.
pub(crate) struct Snapshot<'c>(&'c Connection);

impl Connection {
    /// Prepares a statement, or takes one that was prepared before.
    pub(crate) fn statement(&self, sql: &str) -> Result<Statement<'_>> {
        Ok(match self {
            Self::Sqlite(connection) => Statement::Sqlite(connection.prepare_cached(sql)?),
            Self::Postgres(session) => Statement::Postgres(session.prepare(sql)?),
        })
    }

    /// Carries out a statement. Gives how many rows it changed.
    pub(crate) fn execute(&self, sql: &str, params: impl Params) -> Result<usize> {
        self.statement(sql)?.execute(params)
    }

    /// Carries out a statement that adds a row, and gives the row's number; `None` if the row is there already.
    pub(crate) fn insert(&self, sql: &str, params: impl Params) -> Result<Option<u64>> {
        self.insertion(sql)?.insert(params)
    }

    /// Prepares a statement that adds rows, for many of them.
    pub(crate) fn insertion(&self, sql: &str) -> Result<Insertion<'_>> {
        let statement = match self {
            Self::Sqlite(_) => self.statement(sql)?,
            Self::Postgres(_) => self.statement(&format!("{sql} RETURNING id"))?,
        };
        Ok(Insertion { connection: self, statement })
    }

    /// Reads one row.
    pub(crate) fn query_row<T>(
        &self,
        sql: &str,
        params: impl Params,
        f: impl FnOnce(&Row<'_>) -> Result<T>,
    ) -> Result<T> {
        self.statement(sql)?.query_row(params, f)
    }

    /// Carries out statements that have no parameters.
    pub(crate) fn execute_batch(&self, sql: &str) -> Result<()> {
        match self {
            Self::Sqlite(connection) => Ok(connection.execute_batch(sql)?),
            Self::Postgres(session) => session.batch(sql),
        }
    }

    /// Begins a transaction that writes. One that is open still is given up: a job panicked in the middle of it. Gives
    /// whether another process has written what this one does not know yet ([`Connection::caught_up`]).
    pub(crate) fn begin(&self) -> Result<bool> {
        match self {
            Self::Sqlite(connection) => {
                if !connection.is_autocommit() {
                    connection.execute_batch("ROLLBACK")?;
                }
                connection.execute_batch("BEGIN IMMEDIATE")?;
                Ok(false)
            }
            Self::Postgres(session) => session.begin(),
        }
    }

    /// Whether it leads to nobody any more.
    pub(crate) fn is_broken(&self) -> bool {
        match self {
            Self::Sqlite(_) => false,
            Self::Postgres(session) => session.is_broken(),
        }
    }

    /// Gives it up.
    pub(crate) fn rollback(&self) -> Result<()> {
        match self {
            Self::Sqlite(connection) => Ok(connection.execute_batch("ROLLBACK")?),
            Self::Postgres(session) => session.rollback(),
        }
    }

    /// The server's session, for what it does with many rows at once.
    pub(crate) const fn server(&self) -> Option<&Session> {
        match self {
            Self::Sqlite(_) => None,
            Self::Postgres(session) => Some(session),
        }
    }

    /// What other processes have written is known now.
    pub(crate) fn caught_up(&self) {
        if let Self::Postgres(session) = self {
            session.caught_up();
        }
    }

    /// The process in whose name this connection writes, where several do.
    pub(crate) fn process(&self) -> Option<u64> {
        match self {
            Self::Sqlite(_) => None,
            Self::Postgres(session) => session.process(),
        }
    }

    /// Triggers and views, of which the schema has none.
    pub(crate) fn strangers(&self) -> Result<u64> {
        let sql = match self {
            Self::Sqlite(_) => "SELECT count(*) FROM sqlite_schema WHERE type IN ('trigger', 'view')",
            Self::Postgres(_) => {
                "SELECT (SELECT count(*) FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid
                 WHERE NOT t.tgisinternal AND c.relnamespace = 'cradle'::regnamespace)
                 + (SELECT count(*) FROM pg_class WHERE relnamespace = 'cradle'::regnamespace AND relkind IN ('v', 'm'))
                 + (SELECT count(*) FROM pg_rules WHERE schemaname = 'cradle')"
            }
        };
        self.query_row(sql, (), |row| row.get(0))
    }

    /// Ends it. What was written is durable when this returns.
    pub(crate) fn commit(&self) -> Result<()> {
        match self {
            Self::Sqlite(connection) => Ok(connection.execute_batch("COMMIT")?),
            Self::Postgres(session) => session.commit(),
        }
    }

    /// Begins to look at all tables as they are at one moment.
    pub(crate) fn snapshot(&self) -> Result<Snapshot<'_>> {
        match self {
            Self::Sqlite(connection) => connection.execute_batch("BEGIN DEFERRED")?,
            Self::Postgres(session) => session.snapshot()?,
        }
        Ok(Snapshot(self))
    }

    /// How many rows were changed since the connection was made. The server does not tell.
    pub(crate) fn total_changes(&self) -> u64 {
        match self {
            Self::Sqlite(connection) => connection.total_changes(),
            Self::Postgres(_) => 0,
        }
    }

    /// Copies the database into a new file, as it is at one moment. A server has its own tools for that.
    pub(crate) fn copy_to(&self, path: &str) -> Result<()> {
        match self {
            Self::Sqlite(_) => self.execute("VACUUM INTO ?1", [path]).map(|_| ()),
            Self::Postgres(_) => Err(Error::Unsupported("a server is backed up by its own tools: see pg_basebackup")),
        }
    }

    /// How many octets the database takes.
    pub(crate) fn octets(&self) -> Result<u64> {
        match self {
            Self::Sqlite(connection) => {
                let pragma = |name| connection.pragma_query_value(None, name, |row| row.get::<_, u64>(0));
                Ok(pragma("page_count")? * pragma("page_size")?)
            }
            Self::Postgres(_) => self.query_row("SELECT pg_database_size(current_database())", (), |row| row.get(0)),
        }
    }

    /// Pages that hold nothing, and are used before the database grows. A server sees to that itself.
    pub(crate) fn free_pages(&self) -> Result<u64> {
        match self {
            Self::Sqlite(_) => self.query_row("PRAGMA freelist_count", (), |row| row.get(0)),
            Self::Postgres(_) => Ok(0),
        }
    }

    /// Has the embedded engine look over its pages. Gives what it found. A server looks after its own.
    pub(crate) fn quick_check(&self, lines_max: u32) -> Result<Vec<String>> {
        self.looked_over(&format!("PRAGMA quick_check({lines_max})"))
    }

    /// The same, and whether all indexes agree with their tables. Ends with the first finding.
    pub(crate) fn integrity_check(&self) -> Result<Vec<String>> {
        self.looked_over("PRAGMA integrity_check(1)")
    }

    fn looked_over(&self, sql: &str) -> Result<Vec<String>> {
        let Self::Sqlite(_) = self else { return Ok(Vec::new()) };
        let mut statement = self.statement(sql)?;
        let lines = statement.query_map((), |row| row.get::<String>(0))?.collect::<Result<Vec<_>>>()?;
        Ok(lines.into_iter().filter(|line| line != "ok").collect())
    }

    /// The embedded engine's connection itself.
    pub(crate) fn into_embedded(self) -> Result<rusqlite::Connection> {
        match self {
            Self::Sqlite(connection) => Ok(connection),
            Self::Postgres(_) => Err(Error::Unsupported("only the embedded database can do that")),
        }
    }
}

impl std::ops::Deref for Snapshot<'_> {
    type Target = Connection;
    fn deref(&self) -> &Connection {
        self.0
    }
}

impl Drop for Snapshot<'_> {
    fn drop(&mut self) {
        // Nothing was written; a connection that broke has no view any more.
        let _was_read_only = self.0.rollback();
    }
}

impl<'c> Statement<'c> {
    /// Carries it out. Gives how many rows were changed.
    pub(crate) fn execute(&mut self, params: impl Params) -> Result<usize> {
        params.with(|values| match self {
            Self::Sqlite(statement) => Ok(statement.execute(rusqlite::params_from_iter(values))?),
            Self::Postgres(prepared) => prepared.execute(values),
        })
    }

    /// Reads rows.
    pub(crate) fn query(&mut self, params: impl Params) -> Result<Rows<'_>> {
        params.with(|values| {
            Ok(match self {
                Self::Sqlite(statement) => Rows::Sqlite(statement.query(rusqlite::params_from_iter(values))?),
                Self::Postgres(prepared) => Rows::Postgres(prepared.query(values)?),
            })
        })
    }

    /// Reads one row.
    pub(crate) fn query_row<T>(&mut self, params: impl Params, f: impl FnOnce(&Row<'_>) -> Result<T>) -> Result<T> {
        let mut rows = self.query(params)?;
        let row = rows.next()?.ok_or(Error::NoRow)?;
        f(&row)
    }

    /// Reads rows, each as `f` says.
    pub(crate) fn query_map<T, F: FnMut(&Row<'_>) -> Result<T>>(
        &mut self,
        params: impl Params,
        f: F,
    ) -> Result<Mapped<'_, F>> {
        Ok(Mapped { rows: self.query(params)?, f })
    }

    /// Whether there is a row.
    pub(crate) fn exists(&mut self, params: impl Params) -> Result<bool> {
        Ok(self.query(params)?.next()?.is_some())
    }
}

impl Insertion<'_> {
    /// Adds a row, and gives its number; `None` if it is there already.
    pub(crate) fn insert(&mut self, params: impl Params) -> Result<Option<u64>> {
        match self.connection {
            Connection::Sqlite(connection) => {
                let added = self.statement.execute(params)?;
                Ok((added > 0).then(|| u64::try_from(connection.last_insert_rowid()).unwrap_or_default()))
            }
            Connection::Postgres(_) => self.statement.query_row(params, |row| row.get(0)).optional(),
        }
    }
}

impl Rows<'_> {
    /// The next row.
    pub(crate) fn next(&mut self) -> Result<Option<Row<'_>>> {
        Ok(match self {
            Self::Sqlite(rows) => rows.next()?.map(Row::Sqlite),
            Self::Postgres(found) => found.next()?.map(Row::Postgres),
        })
    }
}

/// Rows that are read as something.
pub(crate) struct Mapped<'s, F> {
    rows: Rows<'s>,
    f: F,
}

impl<T, F: FnMut(&Row<'_>) -> Result<T>> Iterator for Mapped<'_, F> {
    type Item = Result<T>;
    fn next(&mut self) -> Option<Result<T>> {
        match self.rows.next() {
            Ok(Some(row)) => Some((self.f)(&row)),
            Ok(None) => None,
            Err(error) => Some(Err(error)),
        }
    }
}

impl<'r> Row<'r> {
    /// What stands in a column, counted from 0.
    pub(crate) fn column(&self, column: usize) -> Result<Column<'r>> {
        match self {
            Self::Sqlite(row) => sqlite::column(row, column),
            Self::Postgres(row) => postgres::column(row, column),
        }
    }
}
