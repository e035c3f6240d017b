//! The one writer: takes what many threads want to write, puts it into one transaction, commits once, answers all.
//!
//! So the records of one batch and the intents of the next share an fsync without knowing of each other.

use super::{Opening, WriteFault, fault};
use crate::store::merkle::Edge;
use model::Digest;
use model::audit::Entry;
use ports::{Signer, StoreFault};
use rusqlite::{CachedStatement, Connection};
use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;
use x509::SerialNumber;

/// When a transaction has so many rows it is committed, even if more wait: an fsync shared by so many is cheap already,
/// and while one batch is written the cores sign and verify the next. (Taking all that wait makes everybody wait
/// together, and the cores idle: measured, 15 % of the throughput.)
const ROWS_ENOUGH: usize = 256;
/// Jobs that may wait; who comes later waits before the queue.
const QUEUE_MAX: usize = 256;

/// Something to write.
trait Job: Send {
    /// Writes it. May be asked again, if the transaction was rolled back for somebody else's sake.
    fn run(&mut self, tx: &mut Tx<'_>) -> Result<(), WriteFault>;
    /// How many rows it writes, about.
    fn rows(&self) -> usize;
    /// Tells the caller what became of it.
    fn answer(self: Box<Self>, outcome: Result<(), StoreFault>);
}

struct Work<F, R> {
    rows: usize,
    write: F,
    value: Option<R>,
    tell: SyncSender<Result<R, StoreFault>>,
}

impl<F, R> Job for Work<F, R>
where
    F: Fn(&mut Tx<'_>) -> Result<R, WriteFault> + Send,
    R: Send,
{
    fn run(&mut self, tx: &mut Tx<'_>) -> Result<(), WriteFault> {
        self.value = Some((self.write)(tx)?);
        Ok(())
    }
    fn rows(&self) -> usize {
        self.rows
    }
    fn answer(self: Box<Self>, outcome: Result<(), StoreFault>) {
        let Self { value, tell, .. } = *self;
        let none = StoreFault::Engine("the transaction was rolled back");
        // A caller that went away needs no answer.
        let _gone = tell.send(outcome.and_then(|()| value.ok_or(none)));
    }
}

/// The thread that writes.
pub(super) struct Writer {
    queue: Option<SyncSender<Box<dyn Job>>>,
    thread: Option<JoinHandle<()>>,
}

/// What the writer knows of what is committed.
#[derive(Default)]
struct Known {
    edge: Edge,
    words: HashMap<String, i64>,
    profiles: HashMap<Digest, i64>,
    open: BTreeMap<u64, SerialNumber>,
    highest: u64,
    latest_ms: u64,
}

/// A transaction that is being written, and what will be known when it is committed.
pub(super) struct Tx<'c> {
    connection: &'c Connection,
    known: &'c Known,
    learnt: Learnt,
}

/// What a transaction changes of what is known.
#[derive(Default)]
struct Learnt {
    words: Vec<(String, i64)>,
    profiles: Vec<(Digest, i64)>,
    opened: BTreeMap<u64, SerialNumber>,
    closed: HashSet<u64>,
    edge: Edge,
    latest_ms: u64,
}

impl Writer {
    pub(super) fn start(connection: Connection, opening: &Opening) -> rusqlite::Result<Self> {
        let mut known = Known::default();
        (known.edge, known.latest_ms) = super::audit::restore(&connection)?;
        (known.open, known.highest) = super::issuance::restore(&connection)?;
        let (queue, jobs) = sync_channel(QUEUE_MAX);
        let log = Log { name: opening.log_name.clone(), key: Arc::clone(&opening.audit_key) };
        let thread = std::thread::Builder::new().name("store-writer".into()).spawn(move || {
            Loop { connection, known, log, jobs }.run();
        });
        let thread = thread.map_err(|_| rusqlite::Error::InvalidQuery)?;
        Ok(Self { queue: Some(queue), thread: Some(thread) })
    }

    pub(super) fn run<R: Send + 'static>(
        &self,
        rows: usize,
        f: impl Fn(&mut Tx<'_>) -> Result<R, WriteFault> + Send + 'static,
    ) -> Result<R, StoreFault> {
        let (tell, told) = sync_channel(1);
        let job: Box<dyn Job> = Box::new(Work { rows, write: f, value: None, tell });
        let queue = self.queue.as_ref().ok_or(StoreFault::Closing)?;
        queue.send(job).map_err(|_| StoreFault::Closing)?;
        told.recv().map_err(|_| StoreFault::Closing)?
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        // The thread ends when the queue is closed and empty.
        drop(self.queue.take());
        if let Some(thread) = self.thread.take() {
            let _ended_already = thread.join();
        }
    }
}

struct Log {
    name: String,
    key: Arc<dyn Signer>,
}

struct Loop {
    connection: Connection,
    known: Known,
    log: Log,
    jobs: Receiver<Box<dyn Job>>,
}

impl Known {
    fn learn(&mut self, learnt: Learnt) {
        self.edge = learnt.edge;
        self.latest_ms = learnt.latest_ms;
        if self.words.len() < WORDS_MAX {
            self.words.extend(learnt.words);
        }
        if self.profiles.len() < WORDS_MAX {
            self.profiles.extend(learnt.profiles);
        }
        self.highest = learnt.opened.keys().next_back().copied().unwrap_or(0).max(self.highest);
        self.open.extend(learnt.opened);
        for id in learnt.closed {
            self.open.remove(&id);
        }
    }
}

impl Loop {
    fn run(mut self) {
        while let Ok(first) = self.jobs.recv() {
            let mut jobs = vec![first];
            match self.together(&mut jobs) {
                Ok(learnt) => {
                    self.known.learn(learnt);
                    jobs.into_iter().for_each(|job| job.answer(Ok(())));
                }
                // One of them cannot be written. Which one is found by writing each on its own.
                Err(_) if jobs.len() > 1 => jobs.into_iter().for_each(|job| self.alone(job)),
                Err(failure) => jobs.into_iter().for_each(|job| job.answer(Err(failure))),
            }
        }
    }

    /// Writes the first job, and those that come while it is written, in one transaction.
    fn together(&self, jobs: &mut Vec<Box<dyn Job>>) -> Result<Learnt, StoreFault> {
        self.transaction(|tx| {
            let (mut next, mut rows) = (0, 0);
            while let Some(job) = jobs.get_mut(next) {
                job.run(tx)?;
                (next, rows) = (next + 1, rows + job.rows());
                if next == jobs.len() && rows < ROWS_ENOUGH {
                    jobs.extend(self.jobs.try_recv());
                }
            }
            #[cfg(feature = "control-answer-before-commit")]
            std::mem::take(jobs).into_iter().for_each(|job| job.answer(Ok(())));
            Ok(())
        })
    }

    fn alone(&mut self, mut job: Box<dyn Job>) {
        match self.transaction(|tx| job.run(tx)) {
            Ok(learnt) => {
                self.known.learn(learnt);
                job.answer(Ok(()));
            }
            Err(failure) => job.answer(Err(failure)),
        }
    }

    fn transaction(&self, write: impl FnOnce(&mut Tx<'_>) -> Result<(), WriteFault>) -> Result<Learnt, StoreFault> {
        self.connection.execute_batch("BEGIN IMMEDIATE").map_err(|e| fault(&e))?;
        let (edge, latest_ms) = (self.known.edge.clone(), self.known.latest_ms);
        let learnt = Learnt { edge, latest_ms, ..Learnt::default() };
        let mut tx = Tx { connection: &self.connection, known: &self.known, learnt };
        let committed = write(&mut tx).map_err(StoreFault::from).and_then(|()| tx.commit(&self.log));
        if committed.is_err() {
            let _nothing_was_committed = self.connection.execute_batch("ROLLBACK");
        }
        committed.map(|()| tx.learnt)
    }
}

impl<'c> Tx<'c> {
    fn write_floor(&self, floor: u64) -> rusqlite::Result<usize> {
        self.statement("INSERT OR REPLACE INTO counter (name, value) VALUES ('open_intent_floor', ?1)")?
            .execute([floor])
    }

    fn commit(&self, log: &Log) -> Result<(), StoreFault> {
        if !self.learnt.opened.is_empty() || !self.learnt.closed.is_empty() {
            let highest = self.learnt.opened.keys().next_back().copied().unwrap_or(0).max(self.known.highest);
            let floor = self.open_ids().next().unwrap_or(highest + 1);
            self.write_floor(floor).map_err(|e| fault(&e))?;
        }
        super::audit::checkpoint(self.connection, &self.learnt.edge, &log.name, log.key.as_ref())?;
        self.connection.execute_batch("COMMIT").map_err(|e| fault(&e))
    }

    fn open_ids(&self) -> impl Iterator<Item = u64> {
        // Rows grow, so what was opened now comes behind what was open before.
        let ids = self.known.open.keys().chain(self.learnt.opened.keys());
        ids.filter(|id| !self.learnt.closed.contains(id)).copied()
    }

    /// The intents that are open.
    pub(super) fn open_intents(&self) -> Vec<u64> {
        self.open_ids().collect()
    }

    /// Whether the intent of this row is open, and for this serial number.
    pub(super) fn is_open(&self, id: u64, serial: SerialNumber) -> bool {
        let open = self.known.open.get(&id).or_else(|| self.learnt.opened.get(&id));
        open == Some(&serial) && !self.learnt.closed.contains(&id)
    }

    /// A prepared statement.
    pub(super) fn statement(&self, sql: &str) -> rusqlite::Result<CachedStatement<'c>> {
        self.connection.prepare_cached(sql)
    }

    /// The connection, for what is read in the transaction.
    pub(super) const fn connection(&self) -> &'c Connection {
        self.connection
    }

    /// Appends an entry to the audit log.
    pub(super) fn audit(&mut self, entry: &Entry) -> Result<(), WriteFault> {
        let octets = serde_json::to_vec(entry).map_err(|_| WriteFault::Corrupt("an audit entry cannot be written"))?;
        self.learnt.latest_ms = self.learnt.latest_ms.max(entry.at.ms());
        super::audit::append(self, &octets)
    }

    /// The tree over the audit log.
    pub(super) const fn edge(&mut self) -> &mut Edge {
        &mut self.learnt.edge
    }

    /// The latest time in the audit log, in milliseconds.
    pub(super) const fn latest_ms(&self) -> u64 {
        self.learnt.latest_ms
    }

    /// The row of a word, which is made if there is none.
    pub(super) fn word(&mut self, text: &str) -> Result<i64, WriteFault> {
        let fresh = || self.learnt.words.iter().find(|(word, _)| word == text).map(|(_, id)| *id);
        if let Some(id) = self.known.words.get(text).copied().or_else(fresh) {
            return Ok(id);
        }
        self.statement("INSERT OR IGNORE INTO word (text) VALUES (?1)")?.execute([text])?;
        let id = self.statement("SELECT id FROM word WHERE text = ?1")?.query_row([text], |row| row.get(0))?;
        self.learnt.words.push((text.to_owned(), id));
        Ok(id)
    }

    /// The row of a profile's version, if it was met before.
    pub(super) fn known_profile(&self, digest: &Digest) -> Option<i64> {
        let fresh = || self.learnt.profiles.iter().find(|(known, _)| known == digest).map(|(_, id)| *id);
        self.known.profiles.get(digest).copied().or_else(fresh)
    }

    /// Remembers the row of a profile's version.
    pub(super) fn learn_profile(&mut self, digest: Digest, id: i64) {
        self.learnt.profiles.push((digest, id));
    }

    /// Remembers that an intent is open.
    pub(super) fn opened(&mut self, id: u64, serial: SerialNumber) {
        self.learnt.opened.insert(id, serial);
    }

    /// Remembers that an intent is completed or closed.
    pub(super) fn closed(&mut self, id: u64) {
        self.learnt.closed.insert(id);
    }
}

/// Words that the writer remembers: profiles, stations, lists of a day.
const WORDS_MAX: usize = 1024;
