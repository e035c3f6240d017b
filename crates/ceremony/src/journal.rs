//! What was done so far: one line of JSON for each event, each with the digest of the line before it.

use model::{CeremonyName, Digest, FileName, OperatorName, UnixTime};
use serde::{Deserialize, Serialize};
use std::fmt;

/// Longest journal in octets: three lines for each step, and names and digests in them.
pub const JOURNAL_LEN_MAX: u64 = 1024 * 1024;

/// A file and its SHA-256.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Named {
    /// Its name.
    pub name: String,
    /// The digest of its octets.
    pub sha256: Digest,
}

impl Named {
    /// Names octets.
    #[must_use]
    pub fn of(name: &FileName, octets: &[u8]) -> Self {
        Self { name: name.to_string(), sha256: x509::sha256(octets) }
    }
}

/// An approval that was counted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Approved {
    /// Who.
    pub operator: OperatorName,
    /// The serial number of the certificate that says who.
    pub serial: String,
    /// The digest of what was signed, as it was kept.
    pub statement: Digest,
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
#[expect(missing_docs, reason = "the fields are named by what they are")]
pub enum Event {
    /// The ceremony began, approved by enough operators; or a rehearsal, approved by nobody.
    Opened {
        ceremony: CeremonyName,
        plan: Digest,
        installation: String,
        program: String,
        rehearsal: bool,
        approvals: Vec<Approved>,
    },
    /// A step was begun, with these inputs.
    Begun { step: usize, inputs: Vec<Named> },
    /// A key of a step was made and divided: its digest, and its shares.
    Split { step: usize, key: Digest, shares: Vec<Named> },
    /// A step was done. `found`: it was done before an interruption, and was found so.
    Done { step: usize, outputs: Vec<Named>, found: bool },
    /// A step of a rehearsal was only looked at, for this reason.
    Passed { step: usize, why: String },
    /// All steps were done; the audit log stood here.
    Finished { checkpoint: String },
}

/// One line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Line {
    /// Its number, counted from 0.
    pub n: usize,
    /// The digest of the line before; of the plan in the first one.
    pub before: Digest,
    /// When it was written.
    pub at: UnixTime,
    /// What happened.
    pub event: Event,
}

/// The journal does not hang together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadJournal {
    /// The line, counted from 1.
    pub line: usize,
    /// What is wrong with it.
    pub what: &'static str,
}

impl fmt::Display for BadJournal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {} of the journal {}", self.line, self.what)
    }
}
impl std::error::Error for BadJournal {}

/// The journal of one ceremony.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Journal {
    plan: Digest,
    texts: Vec<String>,
    lines: Vec<Line>,
}

impl Journal {
    /// The journal of a ceremony that has not begun.
    #[must_use]
    pub const fn new(plan: Digest) -> Self {
        Self { plan, texts: Vec::new(), lines: Vec::new() }
    }

    /// Reads a journal, of a plan with this digest.
    ///
    /// # Errors
    /// [`BadJournal`]: the first line that does not hang together with those before it.
    pub fn decode(octets: &[u8], plan: Digest) -> Result<Self, BadJournal> {
        let text = std::str::from_utf8(octets).map_err(|_| BadJournal { line: 1, what: "is not text" })?;
        let whole = text.is_empty() || text.ends_with('\n');
        let mut journal = Self::new(plan);
        for line in text.lines() {
            journal.push(line)?;
        }
        if !whole {
            return Err(BadJournal { line: journal.texts.len(), what: "has no end" });
        }
        Ok(journal)
    }

    fn push(&mut self, text: &str) -> Result<(), BadJournal> {
        let bad = |what| BadJournal { line: self.texts.len() + 1, what };
        let line: Line = serde_json::from_str(text).map_err(|_| bad("is none"))?;
        if line.n != self.lines.len() {
            return Err(bad("has another number than its place says: one was taken out or put in"));
        }
        if line.before != self.head() {
            return Err(bad("does not follow the line before it: one of both was changed"));
        }
        if !self.may_follow(&line.event) {
            return Err(bad("cannot happen after what happened before"));
        }
        self.texts.push(text.to_owned());
        self.lines.push(line);
        Ok(())
    }

    /// Adds what happened. Gives the line.
    ///
    /// # Errors
    /// [`BadJournal`] if it cannot happen now.
    pub fn add(&mut self, event: Event, at: UnixTime) -> Result<&str, BadJournal> {
        let line = Line { n: self.lines.len(), before: self.head(), at, event };
        let text = serde_json::to_string(&line)
            .map_err(|_| BadJournal { line: self.lines.len() + 1, what: "cannot be written" })?;
        self.push(&text)?;
        Ok(self.texts.last().map_or("", String::as_str))
    }

    /// Whether an event may come next. A step that was interrupted is begun again.
    fn may_follow(&self, event: &Event) -> bool {
        let open = !self.lines.is_empty() && !self.is_finished();
        let next = self.steps_done() + 1;
        match event {
            Event::Opened { plan, .. } => self.lines.is_empty() && *plan == self.plan,
            Event::Begun { step, .. } => open && *step == next,
            Event::Split { step, .. } | Event::Done { step, .. } | Event::Passed { step, .. } => {
                open && *step == next && self.begun(*step).is_some()
            }
            Event::Finished { .. } => open && self.begun(next).is_none(),
        }
    }

    /// The digest that the next line carries.
    #[must_use]
    pub fn head(&self) -> Digest {
        self.texts.last().map_or(self.plan, |text| x509::sha256(text.as_bytes()))
    }

    /// Its octets, as they are kept.
    #[must_use]
    pub fn octets(&self) -> Vec<u8> {
        self.texts.iter().flat_map(|text| [text.as_bytes(), b"\n"]).flatten().copied().collect()
    }

    /// Its lines as they were written.
    #[must_use]
    pub fn texts(&self) -> &[String] {
        &self.texts
    }

    /// Its lines.
    #[must_use]
    pub fn lines(&self) -> &[Line] {
        &self.lines
    }

    /// How many steps were done.
    #[must_use]
    pub fn steps_done(&self) -> usize {
        let ended = |line: &&Line| matches!(line.event, Event::Done { .. } | Event::Passed { .. });
        self.lines.iter().filter(ended).count()
    }

    /// When a step was begun first, if it was.
    #[must_use]
    pub fn begun(&self, step: usize) -> Option<UnixTime> {
        let of = |line: &&Line| matches!(&line.event, Event::Begun { step: n, .. } if *n == step);
        self.lines.iter().find(of).map(|line| line.at)
    }

    /// When the ceremony was opened.
    #[must_use]
    pub fn opened(&self) -> Option<UnixTime> {
        self.lines.first().map(|line| line.at)
    }

    /// The key that a step made and divided last, and its shares.
    #[must_use]
    pub fn split(&self, step: usize) -> Option<(Digest, &[Named])> {
        self.lines.iter().rev().find_map(|line| match &line.event {
            Event::Split { step: n, key, shares } if *n == step => Some((*key, shares.as_slice())),
            _ => None,
        })
    }

    /// What a step wrote.
    #[must_use]
    pub fn outputs(&self, step: usize) -> &[Named] {
        let found = self.lines.iter().find_map(|line| match &line.event {
            Event::Done { step: n, outputs, .. } if *n == step => Some(outputs.as_slice()),
            _ => None,
        });
        found.unwrap_or_default()
    }

    /// Whether all was done.
    #[must_use]
    pub fn is_finished(&self) -> bool {
        self.lines.iter().any(|line| matches!(line.event, Event::Finished { .. }))
    }

    /// Whether it is that of a rehearsal.
    #[must_use]
    pub fn is_rehearsal(&self) -> bool {
        self.lines.iter().any(|line| matches!(line.event, Event::Opened { rehearsal: true, .. }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan() -> Digest {
        x509::sha256(b"plan")
    }
    fn opened() -> Event {
        Event::Opened {
            ceremony: "c".parse().unwrap(),
            plan: plan(),
            installation: "line-1".into(),
            program: "cradle".into(),
            rehearsal: false,
            approvals: Vec::new(),
        }
    }
    fn journal(events: &[Event]) -> Result<Journal, BadJournal> {
        let mut journal = Journal::new(plan());
        for event in events {
            journal.add(event.clone(), UnixTime::from_s(1))?;
        }
        Ok(journal)
    }
    fn begun(step: usize) -> Event {
        Event::Begun { step, inputs: Vec::new() }
    }
    fn done(step: usize) -> Event {
        Event::Done { step, outputs: Vec::new(), found: false }
    }
    fn whole() -> Journal {
        let finished = Event::Finished { checkpoint: "note".into() };
        journal(&[opened(), begun(1), done(1), begun(2), begun(2), done(2), finished]).unwrap()
    }

    #[test]
    fn what_is_written_is_read() {
        let octets = whole().octets();
        assert_eq!(Journal::decode(&octets, plan()).unwrap(), whole());
        assert_eq!(Journal::decode(b"", plan()).unwrap(), Journal::new(plan()));
    }
    #[test]
    fn each_beginning_of_a_journal_is_one() {
        let texts = whole().texts().to_vec();
        for n in 0..texts.len() {
            let octets: String = texts.iter().take(n).map(|text| format!("{text}\n")).collect();
            assert_eq!(Journal::decode(octets.as_bytes(), plan()).unwrap().texts().len(), n);
        }
    }
    #[test]
    fn a_line_that_is_taken_out_is_missed_wherever_it_was() {
        let texts = whole().texts().to_vec();
        // All but the last: a journal that ends early is that of a ceremony that was interrupted.
        for n in 0..texts.len() - 1 {
            let mut left = texts.clone();
            left.remove(n);
            let octets: String = left.iter().map(|text| format!("{text}\n")).collect();
            assert_eq!(Journal::decode(octets.as_bytes(), plan()).unwrap_err().line, n + 1);
        }
    }
    #[test]
    fn a_line_that_is_changed_is_noticed_in_the_next_one() {
        let text = String::from_utf8(whole().octets()).unwrap();
        let changed = text.replacen("\"found\":false", "\"found\":true", 1);
        assert_eq!(Journal::decode(changed.as_bytes(), plan()).unwrap_err().line, 4);
    }
    #[test]
    fn a_journal_belongs_to_one_plan() {
        assert!(Journal::decode(&whole().octets(), x509::sha256(b"other")).is_err());
    }
    #[test]
    fn half_a_line_is_none() {
        let octets = whole().octets();
        assert!(Journal::decode(&octets[..octets.len() - 1], plan()).is_err());
        assert!(Journal::decode(&octets[..octets.len() - 9], plan()).is_err());
    }

    #[track_caller]
    fn check_order(events: &[Event], may: bool) {
        assert_eq!(journal(events).is_ok(), may, "{events:?}");
    }
    #[test]
    fn it_begins_with_its_opening() {
        check_order(&[opened(), begun(1)], true);
        check_order(&[begun(1)], false);
        check_order(&[opened(), opened()], false);
    }
    #[test]
    fn steps_come_in_their_order() {
        check_order(&[opened(), begun(2)], false);
        check_order(&[opened(), begun(1), begun(2)], false);
        check_order(&[opened(), begun(1), done(1), done(1)], false);
        check_order(&[opened(), done(1)], false);
    }
    #[test]
    fn nothing_follows_the_end() {
        let end = Event::Finished { checkpoint: String::new() };
        check_order(&[opened(), begun(1), done(1), end.clone(), begun(2)], false);
        check_order(&[opened(), begun(1), end.clone()], false);
        check_order(&[end], false);
    }
}
