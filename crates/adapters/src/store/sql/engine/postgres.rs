//! The server: PostgreSQL 15 or newer. Many processes write to one database, one transaction after the other: whoever
//! writes holds the row `head`, so the audit log has one order, and what is first in it is first everywhere.
//!
//! Prevents: writing to a server that answers before its disk has it; going on where another process took this one's
//! place; an end of a transaction that is guessed.

use super::tls::Tls;
use super::{Column, Error, Result, Value};
use crate::store::log_mark::LogMark;
use bytes::BytesMut;
use postgres::types::{IsNull, ToSql, Type, to_sql_checked};
use postgres::{Client, Config, NoTls, Row, Statement};
use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::time::Duration;

/// The oldest server that is used.
pub(crate) const VERSION_MIN: i32 = 150_000;
/// Statements that a session keeps.
const STATEMENTS_MAX: usize = 256;
/// How long a connection may take.
const CONNECT: Duration = Duration::from_secs(5);
/// How often, after a connection broke in the middle of a commit, the server is asked what became of it, a connection of
/// [`CONNECT`] apart at most. Behind that nobody knows, and the process ends.
const ASKED_MAX: u32 = 12;

/// A process that is stopped in the middle of a transaction holds up all others for so long, and is thrown out then.
const IDLE_S: u32 = 5;

/// Where a database is.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    /// The server, the database and the user.
    pub(crate) config: Config,
    /// Who speaks for the server; without it the connection is not encrypted.
    pub(crate) tls: Option<Tls>,
    /// How far its log had come when this box last saw it.
    pub(crate) log_mark: Option<LogMark>,
}

/// The schema of all tables.
pub(crate) const SCHEMA_NAME: &str = "cradle";

/// A connection to a server.
pub(crate) struct Session {
    place: Place,
    inner: RefCell<Inner>,
    fence: Cell<Option<Fence>>,
    /// How many transactions all processes have committed, at the beginning of this one.
    head: Cell<u64>,
    /// How many of them this process knows.
    seen: Cell<u64>,
    /// Whether a transaction is open.
    is_open: Cell<bool>,
    cursors: Cell<u64>,
}

struct Inner {
    client: Client,
    prepared: HashMap<String, Statement>,
}

/// What a writing process was given when it opened the database. Whoever takes its place raises the epoch.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Fence {
    /// Its row.
    pub(crate) process: u64,
    /// Which opening it is.
    pub(crate) epoch: u64,
    /// How many transactions it has committed.
    pub(crate) commits: u64,
}

/// A statement that the server knows.
pub(crate) struct Prepared<'c> {
    session: &'c Session,
    sql: String,
    statement: Statement,
}

/// Rows that the server sent.
pub(crate) struct Found<'s> {
    rows: std::vec::IntoIter<Row>,
    current: Option<Row>,
    /// Where the next page comes from, if there is one.
    pages: Option<(&'s Session, Statement)>,
}

/// Rows that are sent at a time where all of a table are walked.
const PAGE: usize = 1000;

impl Session {
    /// Connects.
    pub(crate) fn open(place: Place) -> Result<Self> {
        let inner = RefCell::new(connect(&place)?);
        Ok(Self {
            place,
            inner,
            fence: Cell::new(None),
            head: Cell::new(0),
            seen: Cell::new(0),
            is_open: Cell::new(false),
            cursors: Cell::new(0),
        })
    }

    /// Lets this session write in the name of a process.
    pub(crate) fn fence(&self, fence: Fence) -> Result<()> {
        self.fence.set(Some(fence));
        self.batch(&format!("SET cradle.process = '{}'", fence.process))
    }

    pub(super) fn prepare(&self, sql: &str) -> Result<Prepared<'_>> {
        let mut inner = self.inner.borrow_mut();
        if let Some(statement) = inner.prepared.get(sql) {
            return Ok(Prepared { session: self, sql: sql.to_owned(), statement: statement.clone() });
        }
        let translated = translate(sql);
        let statement = inner.client.prepare(&translated)?;
        if inner.prepared.len() >= STATEMENTS_MAX {
            inner.prepared.clear();
        }
        inner.prepared.insert(sql.to_owned(), statement.clone());
        Ok(Prepared { session: self, sql: sql.to_owned(), statement })
    }

    /// Carries out statements that have no parameters.
    pub(crate) fn batch(&self, sql: &str) -> Result<()> {
        Ok(self.inner.borrow_mut().client.batch_execute(sql)?)
    }

    /// The process in whose name this session writes.
    pub(crate) fn process(&self) -> Option<u64> {
        self.fence.get().map(|fence| fence.process)
    }

    /// Begins a transaction, on a new connection if the last one broke, and waits until no other process writes. Gives
    /// whether another one has written what this one does not know yet ([`Session::caught_up`]).
    pub(crate) fn begin(&self) -> Result<bool> {
        if self.is_broken() {
            *self.inner.borrow_mut() = connect(&self.place)?;
            self.is_open.set(false);
            // Another server may answer now, on which as many were committed: the log is looked at.
            self.seen.set(u64::MAX);
            if let Some(fence) = self.fence.get() {
                self.fence(fence)?;
            }
        }
        // One that is open still is given up: a job panicked in the middle of it.
        if self.is_open.get() {
            self.rollback()?;
        }
        self.batch("BEGIN")?;
        self.is_open.set(true);
        let found = self.rows("SELECT commits FROM head FOR UPDATE", &[])?;
        let commits: i64 = found.first().ok_or(Error::NoRow)?.try_get(0)?;
        self.head.set(u64::try_from(commits).unwrap_or_default());
        Ok(self.seen.get() != self.head.get())
    }

    /// What other processes have written is known now.
    pub(crate) fn caught_up(&self) {
        self.seen.set(self.head.get());
    }

    /// Whether the server ended the connection.
    pub(crate) fn is_broken(&self) -> bool {
        self.inner.borrow().client.is_closed()
    }

    /// Gives a transaction up.
    pub(crate) fn rollback(&self) -> Result<()> {
        self.is_open.set(false);
        self.batch("ROLLBACK")
    }

    /// Begins to look at everything as it is at one moment.
    pub(crate) fn snapshot(&self) -> Result<()> {
        self.batch("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")?;
        self.is_open.set(true);
        Ok(())
    }

    /// Carries out a statement for many rows at once: its parameters are arrays.
    pub(crate) fn rows(&self, sql: &str, params: &[&(dyn ToSql + Sync)]) -> Result<Vec<Row>> {
        let statement = self.prepare(sql)?.statement;
        Ok(self.inner.borrow_mut().client.query(&statement, params)?)
    }

    /// The same without rows that come back. Gives how many were changed.
    pub(crate) fn change(&self, sql: &str, params: &[&(dyn ToSql + Sync)]) -> Result<u64> {
        let statement = self.prepare(sql)?.statement;
        Ok(self.inner.borrow_mut().client.execute(&statement, params)?)
    }

    /// Ends a transaction, if this process still is who it was. A connection that breaks here leaves open what became of
    /// it: then the server is asked.
    pub(crate) fn commit(&self) -> Result<()> {
        let Some(fence) = self.fence.get() else { return self.batch("COMMIT") };
        // Here and not at the beginning: only behind the lock of `head` nobody changes it.
        let sql = "WITH ours AS (UPDATE process SET commits = commits + 1 WHERE id = ?1 AND epoch = ?2 RETURNING id)
                   UPDATE head SET commits = commits + 1 WHERE EXISTS (SELECT 1 FROM ours)";
        let ours = [Value::Int(whole(fence.process)), Value::Int(whole(fence.epoch))];
        if self.prepare(sql)?.execute(&ours)? == 0 {
            return Err(Error::Fenced);
        }
        let ended = match self.batch("COMMIT") {
            Err(Error::Postgres(error)) if error.as_db_error().is_none() => self.became(fence),
            said => said,
        };
        self.is_open.set(false);
        if ended.is_ok() {
            self.fence.set(Some(Fence { commits: fence.commits + 1, ..fence }));
            self.seen.set(self.head.get() + 1);
        }
        ended
    }

    fn became(&self, fence: Fence) -> Result<()> {
        for _ in 0..ASKED_MAX {
            // The lock waits for the transaction, should the server be at it still.
            let sql = "SELECT epoch, commits FROM process WHERE id = $1 FOR UPDATE";
            let asked = connect(&self.place).and_then(|mut inner| {
                let row = inner.client.query_one(sql, &[&whole(fence.process)])?;
                Ok((inner, row.try_get::<_, i64>(0)?, row.try_get::<_, i64>(1)?))
            });
            let Ok((inner, epoch, commits)) = asked else {
                std::thread::park_timeout(CONNECT);
                continue;
            };
            *self.inner.borrow_mut() = inner;
            self.fence(fence)?;
            // What was committed stands, whoever took this one's place behind it.
            return match (commits == whole(fence.commits + 1), epoch == whole(fence.epoch)) {
                (true, _) => Ok(()),
                (false, true) => {
                    Err(Error::Unsupported("the connection to the database broke, and nothing was committed"))
                }
                (false, false) => Err(Error::Fenced),
            };
        }
        crate::store::die(
            "the connection to the database broke, and nobody knows whether the transaction was committed",
        )
    }
}

fn whole(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// How soon the server finds that this side is gone without a word: until then it keeps the name of the process. While an answer of its is
/// under way nothing is probed; without a limit of its own it would be sent again for a quarter of an hour.
const KEEPALIVE: &str = "SET tcp_keepalives_idle = 5; SET tcp_keepalives_interval = 5; SET tcp_keepalives_count = 3; \
     SET tcp_user_timeout = 20000";

fn connect(place: &Place) -> Result<Inner> {
    let mut config = place.config.clone();
    config.application_name("cradle").connect_timeout(CONNECT).keepalives_idle(Duration::from_secs(10));
    config.tcp_user_timeout(Duration::from_secs(20));
    let mut client = match &place.tls {
        Some(tls) => config.connect(tls.clone())?,
        None => config.connect(NoTls)?,
    };
    client.batch_execute(&format!(
        "SET search_path = {SCHEMA_NAME}; SET lock_timeout = '20s'; \
         SET idle_in_transaction_session_timeout = '{IDLE_S}s'; {KEEPALIVE}"
    ))?;
    Ok(Inner { client, prepared: HashMap::new() })
}

/// The words of the server for the words that statements are written in.
fn translate(sql: &str) -> String {
    let mut text = String::with_capacity(sql.len());
    let mut is_quoted = false;
    for c in sql.chars() {
        is_quoted ^= c == '\'';
        text.push(if c == '?' && !is_quoted { '$' } else { c });
    }
    // What the planner of the embedded engine must be told, the server finds out.
    [
        ("CROSS JOIN", "JOIN"),
        (" NOT INDEXED", ""),
        (" INDEXED BY revocation_list", ""),
        ("AS BLOB)", "AS BYTEA)"),
        ("AS INTEGER)", "AS BIGINT)"),
    ]
    .iter()
    .fold(text, |text, (theirs, ours)| text.replace(theirs, ours))
}

/// The tables, in the words of the server. Which rows belong together is checked by whoever verifies the records, as in a file: a
/// server that looks for each reference of each row takes half of its time for that.
pub(crate) fn schema(sql: &str) -> String {
    let mut sql = sql.to_owned();
    while let Some((start, end)) = reference(&sql) {
        sql.replace_range(start..end, "");
    }
    [
        ("INTEGER PRIMARY KEY", "BIGINT GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY"),
        ("INTEGER", "BIGINT"),
        ("BLOB", "BYTEA"),
        (") STRICT, WITHOUT ROWID;", ");"),
        (") STRICT;", ");"),
    ]
    .iter()
    .fold(sql, |text, (theirs, ours)| text.replace(theirs, ours))
}

/// Where ` REFERENCES table (column)` stands.
fn reference(sql: &str) -> Option<(usize, usize)> {
    let start = sql.find(" REFERENCES ")?;
    let len = sql.get(start..)?.find(')')?;
    Some((start, start + len + 1))
}

impl Prepared<'_> {
    pub(super) fn execute(&self, values: &[Value<'_>]) -> Result<usize> {
        let mut inner = self.session.inner.borrow_mut();
        let changed = inner.client.execute(&self.statement, &parameters(values))?;
        Ok(usize::try_from(changed).unwrap_or(usize::MAX))
    }

    pub(super) fn query<'s>(&'s self, values: &[Value<'_>]) -> Result<Found<'s>> {
        // Without parameters, at one moment: whoever asks so walks a whole table, however long it is.
        if values.is_empty() && self.session.is_open.get() && self.session.fence.get().is_none() {
            return self.walk();
        }
        let mut inner = self.session.inner.borrow_mut();
        let rows = inner.client.query(&self.statement, &parameters(values))?;
        Ok(Found { rows: rows.into_iter(), current: None, pages: None })
    }

    fn walk<'s>(&'s self) -> Result<Found<'s>> {
        let number = self.session.cursors.get();
        self.session.cursors.set(number + 1);
        // It ends with the transaction.
        let mut inner = self.session.inner.borrow_mut();
        inner.client.batch_execute(&format!("DECLARE walk{number} NO SCROLL CURSOR FOR {}", translate(&self.sql)))?;
        let next = inner.client.prepare(&format!("FETCH {PAGE} FROM walk{number}"))?;
        Ok(Found { rows: Vec::new().into_iter(), current: None, pages: Some((self.session, next)) })
    }
}

fn parameters<'v>(values: &'v [Value<'_>]) -> Vec<&'v (dyn ToSql + Sync)> {
    values
        .iter()
        .map(|value| {
            let value: &(dyn ToSql + Sync) = value;
            value
        })
        .collect()
}

impl Found<'_> {
    pub(super) fn next(&mut self) -> Result<Option<&Row>> {
        self.current = self.rows.next();
        if let (None, Some((session, next))) = (&self.current, &self.pages) {
            self.rows = session.inner.borrow_mut().client.query(next, &[])?.into_iter();
            self.current = self.rows.next();
        }
        Ok(self.current.as_ref())
    }
}

/// What stands in a column.
pub(super) fn column(row: &Row, column: usize) -> Result<Column<'_>> {
    let kind = row.columns().get(column).ok_or(Error::Misfit(column))?.type_();
    let found = match *kind {
        Type::BOOL => row.try_get::<_, Option<bool>>(column)?.map(|truth| Column::Int(i64::from(truth))),
        Type::INT2 => row.try_get::<_, Option<i16>>(column)?.map(|number| Column::Int(i64::from(number))),
        Type::INT4 => row.try_get::<_, Option<i32>>(column)?.map(|number| Column::Int(i64::from(number))),
        Type::INT8 => row.try_get::<_, Option<i64>>(column)?.map(Column::Int),
        Type::TEXT | Type::VARCHAR | Type::NAME => row.try_get::<_, Option<&str>>(column)?.map(Column::Text),
        Type::BYTEA => row.try_get::<_, Option<&[u8]>>(column)?.map(Column::Blob),
        _ => return Err(Error::Misfit(column)),
    };
    Ok(found.unwrap_or(Column::Null))
}

impl ToSql for Value<'_> {
    fn to_sql(
        &self,
        kind: &Type,
        out: &mut BytesMut,
    ) -> std::result::Result<IsNull, Box<dyn std::error::Error + Sync + Send>> {
        match (self, kind) {
            (Self::Null, _) => Ok(IsNull::Yes),
            (Self::Int(number), &Type::BOOL) => (*number != 0).to_sql(kind, out),
            (Self::Int(number), &Type::INT2) => i16::try_from(*number)?.to_sql(kind, out),
            (Self::Int(number), &Type::INT4) => i32::try_from(*number)?.to_sql(kind, out),
            (Self::Int(number), &Type::INT8) => number.to_sql(kind, out),
            (Self::Text(text), &Type::TEXT | &Type::VARCHAR | &Type::NAME) => text.to_sql(kind, out),
            (Self::Blob(octets), &Type::BYTEA) => octets.to_sql(kind, out),
            (value, kind) => Err(format!("{value:?} is bound where {kind} is wanted").into()),
        }
    }

    fn accepts(_: &Type) -> bool {
        true
    }

    to_sql_checked!();
}
