//! A transaction of the writer: what is written in it, and what is known when it is committed.

use super::audit::Entries;
use super::engine::{self, Connection, Params, Statement};
use super::keys::Tail;
use super::{WriteFault, fault};
use crate::store::marks::{IssuedMark, Mark};
use crate::store::merkle::Edge;
use model::Digest;
use model::audit::{Entry, Event};
use ports::{Signer, StoreFault};
use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;
use x509::SerialNumber;

pub(super) struct Log {
    pub(super) name: String,
    pub(super) key: Arc<dyn Signer>,
}

/// An intent that is open.
pub(super) struct Open {
    pub(super) serial: SerialNumber,
    /// What the marks will tell of it, if this process began it.
    pub(super) mark: Option<Arc<Mark>>,
}

/// What the writer knows of what is committed.
#[derive(Default)]
pub(super) struct Known {
    pub(super) edge: Edge,
    pub(super) words: HashMap<String, i64>,
    pub(super) profiles: HashMap<Digest, i64>,
    pub(super) open: BTreeMap<u64, Open>,
    pub(super) highest: u64,
    pub(super) latest_ms: u64,
    /// The last entry of the log that tells of an operation mode.
    pub(super) mode_entry: Option<u64>,
    /// The keys that are not in the index yet.
    pub(super) keys: Tail,
}

/// A transaction that is being written, and what will be known when it is committed.
pub(super) struct Tx<'c> {
    pub(super) connection: &'c Connection,
    pub(super) known: &'c Known,
    pub(super) learnt: Learnt,
    pub(super) keeps_marks: bool,
}

/// What a transaction changes of what is known.
#[derive(Default)]
pub(super) struct Learnt {
    pub(super) words: Vec<(String, i64)>,
    pub(super) profiles: Vec<(Digest, i64)>,
    pub(super) opened: BTreeMap<u64, Open>,
    pub(super) closed: HashSet<u64>,
    pub(super) edge: Edge,
    pub(super) latest_ms: u64,
    pub(super) marks: Vec<Arc<Mark>>,
    pub(super) mode_entry: Option<u64>,
    /// What it adds to the log: nothing in a transaction reads it before its end.
    pub(super) entries: Entries,
    pub(super) keys: Tail,
    /// Whether all keys are in the index now.
    pub(super) keys_merged: bool,
}

impl Known {
    pub(super) fn learn(&mut self, learnt: Learnt) {
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
        for id in learnt.closed {
            self.open.remove(&id);
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

    pub(super) fn commit(&self, log: &Log) -> Result<(), StoreFault> {
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
    pub(super) fn merge_keys(&mut self) -> Result<(), WriteFault> {
        if !self.learnt.opened.is_empty() {
            self.learnt.keys_merged = super::keys::merge(self, &self.known.keys, &self.learnt.keys)?;
        }
        Ok(())
    }

    /// Writes what the transaction adds to the log.
    pub(super) fn tell_log(&self) -> Result<(), WriteFault> {
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
        self.intent(id).is_some_and(|open| open.serial == serial) && !self.learnt.closed.contains(&id)
    }

    fn intent(&self, id: u64) -> Option<&Open> {
        self.known.open.get(&id).or_else(|| self.learnt.opened.get(&id))
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
        self.learnt.opened.insert(id, Open { serial, mark: None });
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
        if let Some(open) = self.learnt.opened.get_mut(&id) {
            open.mark = Some(Arc::new(Mark::Issued(Box::new(mark))));
        }
    }

    /// Marks what was remembered so; whether anything was.
    pub(super) fn mark_prepared(&mut self, id: u64) -> bool {
        let Some(mark) = self.intent(id).and_then(|open| open.mark.clone()) else { return false };
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
