//! The one writer: takes what many threads want to write, puts it into one transaction, commits once, answers all.
//!
//! So the records of one batch and the intents of the next share an fsync without knowing of each other.

use super::{Opening, WriteFault, fault};
use crate::store::merkle::Edge;
use model::audit::Entry;
use ports::{Signer, StoreFault};
use rusqlite::{CachedStatement, Connection};
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, TryRecvError, sync_channel};
use std::thread::JoinHandle;

/// Most jobs in one transaction. Each is a batch of up to 512 rows; a longer transaction would only make those wait who
/// came first.
const JOBS_MAX: usize = 64;
/// Jobs that may wait; who comes later waits before the queue.
const QUEUE_MAX: usize = 256;

/// Tells a thread what became of its job.
type Answer = Box<dyn FnOnce(Result<(), StoreFault>) + Send>;

/// Answers that wait for the commit, and what is known of their jobs already.
type Answers = Vec<(Answer, Result<(), StoreFault>)>;

/// Something to write.
trait Job: Send {
    /// Writes it. Gives what is to be called when it is durable, or was not.
    fn run(self: Box<Self>, tx: &mut Tx<'_>) -> (Result<(), WriteFault>, Answer);
    /// Does not write it.
    fn refuse(self: Box<Self>) -> Answer;
}

struct Work<F, R> {
    write: F,
    tell: SyncSender<Result<R, StoreFault>>,
}

impl<F, R> Job for Work<F, R>
where
    F: FnOnce(&mut Tx<'_>) -> Result<R, WriteFault> + Send,
    R: Send + 'static,
{
    fn run(self: Box<Self>, tx: &mut Tx<'_>) -> (Result<(), WriteFault>, Answer) {
        let Self { write, tell } = *self;
        let (outcome, value) = match write(tx) {
            Ok(value) => (Ok(()), Some(value)),
            Err(failure) => (Err(failure), None),
        };
        let answer = move |committed: Result<(), StoreFault>| {
            // A caller that went away needs no answer.
            let _gone = tell.send(committed.and_then(|()| value.ok_or(ROLLED_BACK)));
        };
        (outcome, Box::new(answer))
    }
    fn refuse(self: Box<Self>) -> Answer {
        let tell = self.tell;
        Box::new(move |refused| {
            let _gone = tell.send(refused.and(Err(ROLLED_BACK)));
        })
    }
}

const ROLLED_BACK: StoreFault = StoreFault::Engine("the transaction was rolled back");

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
    latest_ms: u64,
}

/// A transaction that is being written, and what will be known when it is committed.
pub(super) struct Tx<'c> {
    connection: &'c Connection,
    words: &'c HashMap<String, i64>,
    fresh: Vec<(String, i64)>,
    edge: Edge,
    latest_ms: u64,
}

impl Writer {
    pub(super) fn start(connection: Connection, opening: &Opening) -> rusqlite::Result<Self> {
        let mut known = Known::default();
        (known.edge, known.latest_ms) = super::audit::restore(&connection)?;
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
        f: impl FnOnce(&mut Tx<'_>) -> Result<R, WriteFault> + Send + 'static,
    ) -> Result<R, StoreFault> {
        let (tell, told) = sync_channel(1);
        let job: Box<dyn Job> = Box::new(Work { write: f, tell });
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

/// What is known anew after a commit.
struct Learnt {
    fresh: Vec<(String, i64)>,
    edge: Edge,
    latest_ms: u64,
}

impl Loop {
    fn run(mut self) {
        while let Ok(first) = self.jobs.recv() {
            let (answers, learnt) = self.transaction(first);
            if let Some(learnt) = learnt {
                self.known.edge = learnt.edge;
                self.known.latest_ms = learnt.latest_ms;
                if self.known.words.len() < WORDS_MAX {
                    self.known.words.extend(learnt.fresh);
                }
            }
            for (answer, outcome) in answers {
                answer(outcome);
            }
        }
    }

    /// Writes the first job and those that wait behind it, and commits.
    fn transaction(&self, first: Box<dyn Job>) -> (Answers, Option<Learnt>) {
        if let Err(error) = self.connection.execute_batch("BEGIN IMMEDIATE") {
            return (vec![(first.refuse(), Err(fault(&error)))], None);
        }
        let mut tx = Tx {
            connection: &self.connection,
            words: &self.known.words,
            fresh: Vec::new(),
            edge: self.known.edge.clone(),
            latest_ms: self.known.latest_ms,
        };
        let mut answers = Vec::new();
        let mut next = Some(first);
        while let Some(job) = next {
            let (done, answer) = tx.run(job);
            answers.push((answer, done));
            next = match self.jobs.try_recv() {
                Ok(job) if answers.len() < JOBS_MAX => Some(job),
                Ok(job) => {
                    let (done, answer) = tx.run(job);
                    answers.push((answer, done));
                    None
                }
                Err(TryRecvError::Empty | TryRecvError::Disconnected) => None,
            };
        }
        #[cfg(feature = "control-answer-before-commit")]
        let answers = {
            answers.into_iter().for_each(|(answer, done): (Answer, _)| answer(done));
            Answers::new()
        };
        match tx.commit(&self.log) {
            Ok(()) => (answers, Some(Learnt { fresh: tx.fresh, edge: tx.edge, latest_ms: tx.latest_ms })),
            Err(failure) => {
                let _nothing_was_committed = self.connection.execute_batch("ROLLBACK");
                (answers.into_iter().map(|(answer, done)| (answer, done.and(Err(failure)))).collect(), None)
            }
        }
    }
}

impl<'c> Tx<'c> {
    /// Runs one job. What a failed one wrote is taken back, and the others go on.
    fn run(&mut self, job: Box<dyn Job>) -> (Result<(), StoreFault>, Answer) {
        let (edge, latest_ms, fresh) = (self.edge.clone(), self.latest_ms, self.fresh.len());
        let begun = self.simple("SAVEPOINT job");
        if let Err(error) = begun {
            return (Err(fault(&error)), job.refuse());
        }
        let (done, answer) = job.run(self);
        let ended = match &done {
            Ok(()) => self.simple("RELEASE job"),
            Err(_) => self.simple("ROLLBACK TO job").and_then(|()| self.simple("RELEASE job")),
        };
        if done.is_err() || ended.is_err() {
            (self.edge, self.latest_ms) = (edge, latest_ms);
            self.fresh.truncate(fresh);
        }
        (done.map_err(StoreFault::from).and(ended.map_err(|e| fault(&e))), answer)
    }

    fn simple(&self, sql: &str) -> rusqlite::Result<()> {
        self.statement(sql)?.execute([]).map(|_| ())
    }

    fn commit(&mut self, log: &Log) -> Result<(), StoreFault> {
        super::audit::checkpoint(self.connection, &self.edge, &log.name, log.key.as_ref())?;
        self.connection.execute_batch("COMMIT").map_err(|e| fault(&e))
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
        self.latest_ms = self.latest_ms.max(entry.at.ms());
        super::audit::append(self, &octets)
    }

    /// The tree over the audit log.
    pub(super) const fn edge(&mut self) -> &mut Edge {
        &mut self.edge
    }

    /// The latest time in the audit log, in milliseconds.
    pub(super) const fn latest_ms(&self) -> u64 {
        self.latest_ms
    }

    /// The row of a word, which is made if there is none.
    pub(super) fn word(&mut self, text: &str) -> Result<i64, WriteFault> {
        let fresh = || self.fresh.iter().find(|(word, _)| word == text).map(|(_, id)| *id);
        if let Some(id) = self.words.get(text).copied().or_else(fresh) {
            return Ok(id);
        }
        self.statement("INSERT OR IGNORE INTO word (text) VALUES (?1)")?.execute([text])?;
        let id = self.statement("SELECT id FROM word WHERE text = ?1")?.query_row([text], |row| row.get(0))?;
        self.fresh.push((text.to_owned(), id));
        Ok(id)
    }
}

/// Words that the writer remembers: profiles, stations, lists of a day.
const WORDS_MAX: usize = 1024;
