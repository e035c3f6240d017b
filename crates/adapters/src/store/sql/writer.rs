//! The one writer: whoever wants to write queues, and the first in the queue writes for all who wait, commits once, and
//! answers each.
//!
//! So the records of one batch and the intents of the next share an fsync without knowing of each other, and one who is
//! alone writes on his own thread: a thread that only writes would cost him two changes of thread for each commit, which
//! take longer than the fsync.

use super::engine::Connection;
use super::held::{Room, full_or};
use super::keys::Tail;
use super::settling::Settling;
use super::transaction::{Known, Learnt, Log, Tx};
use super::{OpenFault, Opening, Place, WENT_BACK, WriteFault, fault};
use crate::store::log_mark::LogMark;
use crate::store::marks::{Mark, Marks};
use crate::store::merkle::Edge;
use ports::StoreFault;
use std::collections::VecDeque;
use std::sync::mpsc::{SyncSender, TryRecvError, sync_channel};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

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
    // Ends before the connection: the last one takes the rest of the log into the database.
    settling: Option<Settling>,
    // Given back before the connection is closed, which takes the log into the database.
    room: Option<Room>,
    connection: Connection,
    known: Known,
    log: Log,
    marks: Option<Marks>,
    log_mark: Option<LogMark>,
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
        let (room, settling) = match place {
            Place::File(path) => (Some(Room::open(path, marks.as_ref(), opening.reserve)), Some(Settling::of(path))),
            // What the server's disk holds, and when its log goes into its tables, the server knows.
            Place::Server(_) => (None, None),
        };
        let room = room.transpose().map_err(|e| OpenFault::of_file(&e))?;
        let log_mark = opening.server.as_ref().and_then(|server| server.log_mark.clone());
        super::audit::note_reached(log_mark.as_ref(), &known.edge);
        let pen = Mutex::new(Pen { settling, room, connection, known, log, marks, log_mark });
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
        if let Some(settling) = &mut self.settling {
            settling.committed(self.connection.total_changes() - before);
        }
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
