//! The one writer: whoever wants to write queues, and the first in the queue writes for all who wait, commits once, and
//! answers each.
//!
//! So the records of one batch and the intents of the next share an fsync without knowing of each other, and one who is
//! alone writes on his own thread: a thread that only writes would cost him two changes of thread for each commit, which
//! take longer than the fsync.

use super::audit::Entries;
use super::engine::{self, Connection, Params, Statement};
use super::held::{Room, full_or};
use super::keys::Tail;
use super::{OpenFault, Opening, Place, WENT_BACK, WriteFault, fault};
use crate::store::log_mark::LogMark;
use crate::store::marks::{IssuedMark, Mark, Marks};
use crate::store::merkle::Edge;
use model::Digest;
use model::audit::{Entry, Event};
use ports::{Signer, StoreFault};
use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::sync::mpsc::{SyncSender, TryRecvError, sync_channel};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use x509::SerialNumber;

/// When a transaction has so many rows it is committed, even if more wait: an fsync shared by so many is cheap already,
/// and while one batch is written the cores sign and verify the next. (Taking all that wait makes everybody wait
/// together, and the cores idle: measured, 15 % of the throughput.)
const ROWS_ENOUGH: usize = 256;
/// The one who wrote for others broke down; nothing was committed.
const ABANDONED: StoreFault = StoreFault::Engine("the transaction was abandoned");

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

/// Writes for all. What waits is bounded by the threads that wait.
pub(super) struct Writer {
    queue: Mutex<Queue>,
    // Told whenever a transaction ends: somebody's job is done, and somebody may write next.
    ended: Condvar,
    pen: Mutex<Pen>,
}

#[derive(Default)]
struct Queue {
    jobs: VecDeque<Box<dyn Job>>,
    writing: bool,
}

/// What it takes to write: held by one thread at a time.
struct Pen {
    // Given back before the connection is closed, which takes the log into the database.
    room: Option<Room>,
    connection: Connection,
    known: Known,
    log: Log,
    marks: Option<Marks>,
    log_mark: Option<LogMark>,
}

struct Log {
    name: String,
    key: Arc<dyn Signer>,
}

/// What the writer knows of what is committed.
#[derive(Default)]
struct Known {
    edge: Edge,
    words: HashMap<String, i64>,
    profiles: HashMap<Digest, i64>,
    open: BTreeMap<u64, SerialNumber>,
    /// What the marks will tell of those that are open.
    marks: HashMap<u64, Arc<Mark>>,
    highest: u64,
    latest_ms: u64,
    /// The last entry of the log that tells of an operation mode.
    mode_entry: Option<u64>,
    /// The keys that are not in the index yet.
    keys: Tail,
}

/// A transaction that is being written, and what will be known when it is committed.
pub(super) struct Tx<'c> {
    connection: &'c Connection,
    known: &'c Known,
    learnt: Learnt,
    keeps_marks: bool,
}

/// What a transaction changes of what is known.
#[derive(Default)]
struct Learnt {
    words: Vec<(String, i64)>,
    profiles: Vec<(Digest, i64)>,
    opened: BTreeMap<u64, SerialNumber>,
    prepared: HashMap<u64, Arc<Mark>>,
    closed: HashSet<u64>,
    edge: Edge,
    latest_ms: u64,
    marks: Vec<Arc<Mark>>,
    mode_entry: Option<u64>,
    /// What it adds to the log: nothing in a transaction reads it before its end.
    entries: Entries,
    keys: Tail,
    /// Whether all keys are in the index now.
    keys_merged: bool,
}

impl Writer {
    pub(super) fn start(
        connection: Connection,
        opening: &Opening,
        edge: Edge,
        latest_ms: u64,
        (place, marks): (&Place, Option<Marks>),
    ) -> Result<Self, OpenFault> {
        let mut known = Known { edge, latest_ms, ..Known::default() };
        known.mode_entry = super::audit::last_mode(&connection).map_err(|e| OpenFault::of(&e))?;
        (known.open, known.highest) = super::issuance::restore(&connection).map_err(|e| OpenFault::of(&e))?;
        known.keys = Tail::restore(&connection).map_err(|e| OpenFault::of(&e))?;
        let log = Log { name: opening.log_name.clone(), key: Arc::clone(&opening.audit_key) };
        let room = match place {
            Place::File(path) => Some(Room::open(path, marks.as_ref(), opening.reserve)),
            // What the server's disk holds, the server knows.
            Place::Server(_) => None,
        };
        let room = room.transpose().map_err(|e| OpenFault::of_file(&e))?;
        let log_mark = opening.server.as_ref().and_then(|server| server.log_mark.clone());
        super::audit::note_reached(log_mark.as_ref(), &known.edge);
        let pen = Mutex::new(Pen { room, connection, known, log, marks, log_mark });
        Ok(Self { queue: Mutex::default(), ended: Condvar::new(), pen })
    }

    pub(super) fn run<R: Send + 'static>(
        self: &Arc<Self>,
        rows: usize,
        f: impl Fn(&mut Tx<'_>) -> Result<R, WriteFault> + Send + 'static,
    ) -> Result<R, StoreFault> {
        let (tell, told) = sync_channel(1);
        let mut queue = self.queue();
        queue.jobs.push_back(Box::new(Work { rows, write: f, value: None, tell }));
        if cfg!(feature = "control-answer-before-commit") {
            drop(queue);
            let writer = Arc::clone(self);
            std::thread::spawn(move || writer.write_all());
            return told.recv().unwrap_or(Err(ABANDONED));
        }
        loop {
            match told.try_recv() {
                Ok(outcome) => return outcome,
                Err(TryRecvError::Disconnected) => return Err(ABANDONED),
                Err(TryRecvError::Empty) => queue = self.turn(queue),
            }
        }
    }

    /// Writes what waits, or waits until another has written.
    fn turn<'w>(&'w self, mut queue: MutexGuard<'w, Queue>) -> MutexGuard<'w, Queue> {
        if queue.writing {
            return self.ended.wait(queue).unwrap_or_else(PoisonError::into_inner);
        }
        queue.writing = true;
        let jobs = queue.enough();
        drop(queue);
        let turn = Turn(self);
        self.pen.lock().unwrap_or_else(PoisonError::into_inner).write(jobs);
        drop(turn);
        self.queue()
    }

    /// For the control of `rigs/kill9`: writes in a thread of its own, so that the answer overtakes the commit.
    fn write_all(&self) {
        let mut queue = self.queue();
        while !queue.jobs.is_empty() {
            queue = self.turn(queue);
        }
    }

    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Queue {
    /// Those who have waited longest, and enough of them for one transaction.
    fn enough(&mut self) -> Vec<Box<dyn Job>> {
        let (mut jobs, mut rows) = (Vec::new(), 0);
        while rows < ROWS_ENOUGH
            && let Some(job) = self.jobs.pop_front()
        {
            rows += job.rows();
            jobs.push(job);
        }
        jobs
    }
}

// Ends a turn, also when a job panics.
struct Turn<'w>(&'w Writer);

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.0.queue().writing = false;
        self.0.ended.notify_all();
    }
}

impl Known {
    fn learn(&mut self, learnt: Learnt) {
        self.edge = learnt.edge;
        if learnt.keys_merged {
            self.keys = Tail::default();
        } else {
            self.keys.extend(learnt.keys);
        }
        self.latest_ms = learnt.latest_ms;
        self.mode_entry = learnt.mode_entry.or(self.mode_entry);
        if self.words.len() < WORDS_MAX {
            self.words.extend(learnt.words);
        }
        if self.profiles.len() < WORDS_MAX {
            self.profiles.extend(learnt.profiles);
        }
        self.highest = learnt.opened.keys().next_back().copied().unwrap_or(0).max(self.highest);
        self.open.extend(learnt.opened);
        self.marks.extend(learnt.prepared);
        for id in learnt.closed {
            self.open.remove(&id);
            self.marks.remove(&id);
        }
    }
}

impl Pen {
    fn write(&mut self, mut jobs: Vec<Box<dyn Job>>) {
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

    fn together(&mut self, jobs: &mut Vec<Box<dyn Job>>) -> Result<Learnt, StoreFault> {
        self.transaction(|tx| {
            jobs.iter_mut().try_for_each(|job| job.run(tx))?;
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

    /// Takes in what other processes have written since.
    fn catch_up(&mut self) -> Result<(), StoreFault> {
        let edge =
            super::audit::catch_up(&self.connection, &self.known.edge, &self.log.name, self.log.key.public_key());
        self.known.edge = edge.map_err(|e| fault(&e))?.map_err(|_| WENT_BACK)?;
        self.known.latest_ms = super::audit::latest_ms(&self.connection).map_err(|e| fault(&e))?;
        self.known.mode_entry = super::audit::last_mode(&self.connection).map_err(|e| fault(&e))?;
        self.connection.caught_up();
        Ok(())
    }

    fn transaction(&mut self, write: impl FnOnce(&mut Tx<'_>) -> Result<(), WriteFault>) -> Result<Learnt, StoreFault> {
        if self.connection.begin().map_err(|e| fault(&e))? {
            // Whoever writes there next need not wait until this one is thrown out.
            self.catch_up().inspect_err(|_| drop(self.connection.rollback()))?;
        }
        let (edge, latest_ms) = (self.known.edge.clone(), self.known.latest_ms);
        let learnt = Learnt { edge, latest_ms, ..Learnt::default() };
        let keeps_marks = self.marks.is_some();
        let before = self.connection.total_changes();
        let mut tx = Tx { connection: &self.connection, known: &self.known, learnt, keeps_marks };
        let written =
            write(&mut tx).and_then(|()| tx.merge_keys()).and_then(|()| tx.tell_log()).map_err(StoreFault::from);
        let written = written.and_then(|()| match &self.room {
            Some(room) => room.check(&tx, self.connection.total_changes() - before),
            None => Ok(()),
        });
        let written = written.and_then(|()| self.mark(&tx.learnt.marks));
        let committed = written.and_then(|()| tx.commit(&self.log));
        if committed.is_err() {
            let _nothing_was_committed = self.connection.rollback();
        }
        committed?;
        let learnt = tx.learnt;
        if learnt.edge.size() > self.known.edge.size() {
            super::audit::note_reached(self.log_mark.as_ref(), &learnt.edge);
        }
        Ok(learnt)
    }
}

impl Pen {
    /// Makes the marks of a transaction durable before it: what it does may not be forgotten with the database.
    fn mark(&self, marks: &[Arc<Mark>]) -> Result<(), StoreFault> {
        match &self.marks {
            Some(file) if !marks.is_empty() => file
                .append(marks.iter().map(Arc::as_ref))
                .map_err(|e| full_or(&e, "the high-water marks cannot be written")),
            _ => Ok(()),
        }
    }
}

impl<'c> Tx<'c> {
    /// Marks something that must not happen twice.
    pub(super) fn mark(&mut self, mark: impl FnOnce() -> Mark) {
        if self.keeps_marks {
            self.learnt.marks.push(Arc::new(mark()));
        }
    }

    /// Whether marks are kept: what only they need is not looked up otherwise.
    pub(super) const fn keeps_marks(&self) -> bool {
        self.keeps_marks
    }

    pub(super) fn write_counter(&self, name: &str, value: u64) -> engine::Result<usize> {
        self.statement("INSERT INTO counter (name, value) VALUES (?1, ?2) ON CONFLICT (name) DO UPDATE SET value = ?2")?
            .execute((name, value))
    }

    fn commit(&self, log: &Log) -> Result<(), StoreFault> {
        if !self.learnt.opened.is_empty() || !self.learnt.closed.is_empty() {
            let highest = self.learnt.opened.keys().next_back().copied().unwrap_or(0).max(self.known.highest);
            let floor = self.open_ids().next().unwrap_or(highest + 1);
            self.write_counter(&super::issuance::floor_name(self.connection), floor).map_err(|e| fault(&e))?;
        }
        if self.learnt.latest_ms > self.known.latest_ms {
            self.write_counter(super::audit::LATEST, self.learnt.latest_ms).map_err(|e| fault(&e))?;
        }
        let mode = self.learnt.mode_entry.or(self.known.mode_entry);
        super::audit::checkpoint(self.connection, &self.learnt.edge, mode, &log.name, log.key.as_ref())?;
        self.connection.commit().map_err(|e| fault(&e))
    }

    /// Takes keys into their index. What ends intents does not: the room that is held for it has none for that.
    fn merge_keys(&mut self) -> Result<(), WriteFault> {
        if !self.learnt.opened.is_empty() {
            self.learnt.keys_merged = super::keys::merge(self, &self.known.keys, &self.learnt.keys)?;
        }
        Ok(())
    }

    /// Writes what the transaction adds to the log.
    fn tell_log(&self) -> Result<(), WriteFault> {
        let first = self.known.edge.size();
        Ok(super::audit::append(self.connection, first, &self.learnt.entries)?)
    }

    /// Whether intents are ended in it, and none begun.
    pub(super) fn only_ends(&self) -> bool {
        self.learnt.opened.is_empty() && !self.learnt.closed.is_empty()
    }

    pub(super) fn open_ids(&self) -> impl Iterator<Item = u64> {
        // Rows grow, so what was opened now comes behind what was open before.
        let ids = self.known.open.keys().chain(self.learnt.opened.keys());
        ids.filter(|id| !self.learnt.closed.contains(id)).copied()
    }

    /// How many intents are open.
    pub(super) fn open_len(&self) -> usize {
        let closed = |id: &&u64| self.known.open.contains_key(id) || self.learnt.opened.contains_key(id);
        let begun = self.known.open.len() + self.learnt.opened.len();
        begun.saturating_sub(self.learnt.closed.iter().filter(closed).count())
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
    pub(super) fn statement(&self, sql: &str) -> engine::Result<Statement<'c>> {
        self.connection.statement(sql)
    }

    /// Adds a row, and gives its number; `None` if it is there already.
    pub(super) fn insert(&self, sql: &str, params: impl Params) -> engine::Result<Option<u64>> {
        self.connection.insert(sql, params)
    }

    /// The connection, for what is read in the transaction.
    pub(super) const fn connection(&self) -> &'c Connection {
        self.connection
    }

    /// Appends an entry to the audit log.
    pub(super) fn audit(&mut self, entry: &Entry) -> Result<(), WriteFault> {
        let learnt = &mut self.learnt;
        learnt.latest_ms = learnt.latest_ms.max(entry.at.ms());
        if matches!(entry.event, Event::ModeOrdered { .. } | Event::ModeEntered { .. } | Event::Sealed { .. }) {
            learnt.mode_entry = Some(learnt.edge.size());
        }
        let added = learnt.entries.push(entry, &mut learnt.edge);
        added.map_err(|_| WriteFault::Corrupt("an audit entry cannot be written"))
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
        self.statement("INSERT INTO word (text) VALUES (?1) ON CONFLICT DO NOTHING")?.execute([text])?;
        let id = self.connection.query_row("SELECT id FROM word WHERE text = ?1", [text], |row| row.get(0))?;
        self.learnt.words.push((text.to_owned(), id));
        Ok(id)
    }

    /// The word of a row.
    pub(super) fn text_of(&mut self, id: i64) -> Result<String, WriteFault> {
        let mut words = self.known.words.iter().map(|(text, id)| (text, *id));
        let mut fresh = self.learnt.words.iter().map(|(text, id)| (text, *id));
        if let Some((text, _)) = words.find(|word| word.1 == id).or_else(|| fresh.find(|word| word.1 == id)) {
            return Ok(text.clone());
        }
        let text: String = self.connection.query_row("SELECT text FROM word WHERE id = ?1", [id], |row| row.get(0))?;
        self.learnt.words.push((text.clone(), id));
        Ok(text)
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

    /// Remembers the key of a row, until it is in the index.
    pub(super) fn has_key(&mut self, row: u64, key: &Digest) {
        if self.connection.server().is_none() {
            self.learnt.keys.add(key, row);
        }
    }

    /// The rows that may have a key, of those that are not in the index yet.
    pub(super) fn rows_of_key(&self, key: &Digest) -> Vec<u64> {
        self.known.keys.of(key).chain(self.learnt.keys.of(key)).collect()
    }

    /// Remembers what the marks will tell of an intent when it is recorded.
    pub(super) fn prepare_mark(&mut self, id: u64, mark: IssuedMark) {
        self.learnt.prepared.insert(id, Arc::new(Mark::Issued(Box::new(mark))));
    }

    /// Marks what was remembered so; whether anything was.
    pub(super) fn mark_prepared(&mut self, id: u64) -> bool {
        let prepared = self.learnt.prepared.get(&id).or_else(|| self.known.marks.get(&id));
        let Some(mark) = prepared.map(Arc::clone) else { return false };
        self.learnt.marks.push(mark);
        true
    }

    /// Remembers that an intent is completed or closed.
    pub(super) fn closed(&mut self, id: u64) {
        self.learnt.closed.insert(id);
    }
}

/// Words that the writer remembers: profiles, stations, lists of a day.
const WORDS_MAX: usize = 1024;
