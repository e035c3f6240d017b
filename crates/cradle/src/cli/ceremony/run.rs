//! Carrying out a plan, step by step. Each step is in the journal before it is begun and after it was done, so that it
//! goes on after an interruption where it stopped; a rehearsal takes the same way.

use super::room::Room;
use super::{split, steps};
use crate::compose::Installation;
use crate::fault::{Exit, Failure, Result};
use adapters::files;
use ceremony::{BadJournal, Event, Journal, Named, Plan, Step};
use model::audit::{Entry, Event as AuditEvent};
use model::{AuthorityName, FileName, UnixTime};
use ports::store::AuditSink;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// The directory of the shares, below that of the outputs.
pub(super) const SHARES: &str = "shares";

/// A ceremony that is being carried out.
pub(super) struct Run<'a> {
    pub(super) plan: &'a Plan,
    pub(super) inputs: &'a BTreeMap<FileName, Vec<u8>>,
    pub(super) installation: &'a Installation,
    pub(super) room: Room,
    /// Where outputs and shares go.
    pub(super) to: &'a Path,
    pub(super) journal: Journal,
    /// In a rehearsal, authorities that stand in for others.
    pub(super) stand_ins: BTreeSet<AuthorityName>,
    pub(super) tell: &'a dyn Fn(&str),
}

/// What became of a step.
pub(super) enum Outcome {
    /// Done; `found` if it was done before an interruption.
    Done { output: Option<String>, found: bool },
    /// In a rehearsal: only looked at.
    Passed(String),
}

impl Run<'_> {
    pub(super) fn now(&self) -> UnixTime {
        self.installation.workshop.clock.now()
    }

    /// Writes what happened into the journal, durable when this returns.
    pub(super) fn note(&mut self, event: Event) -> Result {
        let at = self.now();
        let failed = |bad: BadJournal| Failure::new(Exit::Failed, "journal", "the journal cannot go on").because(bad);
        self.journal.add(event, at).map_err(failed)?;
        self.room.keep_journal(&self.journal)
    }

    /// Opens the ceremony, unless it was opened before.
    pub(super) fn open(&mut self, approvals: Vec<ceremony::Approved>, rehearsal: bool) -> Result {
        if self.journal.opened().is_some() {
            return Ok(());
        }
        let workshop = &self.installation.workshop;
        self.room.furnish(self.plan)?;
        if !rehearsal {
            let operators: Vec<_> = approvals.iter().map(|approved| approved.operator.to_string()).collect();
            let (ceremony, operators) = (self.plan.ceremony.to_string(), operators.join(", "));
            self.record(AuditEvent::CeremonyBegun { ceremony, plan: self.plan.digest(), operators })?;
        }
        let opened = Event::Opened {
            ceremony: self.plan.ceremony.clone(),
            plan: self.plan.digest(),
            installation: workshop.config.name.to_string(),
            program: format!("cradle {}", env!("CARGO_PKG_VERSION")),
            rehearsal,
            approvals,
        };
        self.note(opened)
    }

    fn record(&self, event: AuditEvent) -> Result {
        let entry = Entry { at: self.now(), by: model::Module::Console, event };
        Ok(self.installation.workshop.store.append(vec![entry])?)
    }

    /// Carries out what is left. Nothing of this is done twice, however often it is begun.
    pub(super) fn go(&mut self) -> Result {
        split::take_back(self)?;
        let steps = &self.plan.steps;
        for (n, step) in steps.iter().enumerate().skip(self.journal.steps_done()) {
            self.step(n + 1, step)?;
        }
        if !self.journal.is_finished() {
            if !self.journal.is_rehearsal() {
                let (ceremony, journal) = (self.plan.ceremony.to_string(), self.journal.head());
                self.record(AuditEvent::CeremonyFinished { ceremony, plan: self.plan.digest(), journal })?;
            }
            let checkpoint = self.installation.workshop.store.checkpoint()?.unwrap_or_default();
            self.note(Event::Finished { checkpoint })?;
        }
        // Those of steps that were done before an interruption, perhaps into another directory.
        for step in steps {
            if let Some(name) = step.output()
                && let Some(text) = self.room.output(name.as_str())?
            {
                write(&self.to.join(name.as_str()), text.as_bytes())?;
            }
        }
        Ok(())
    }

    fn step(&mut self, n: usize, step: &Step) -> Result {
        let named = |input: &ceremony::Input| {
            let octets = self.inputs.get(&input.file)?;
            Some(Named::of(&input.file, octets))
        };
        let inputs = step.input().and_then(named).into_iter().collect();
        self.note(Event::Begun { step: n, inputs })?;
        let output = match steps::carry_out(self, n, step)? {
            Outcome::Passed(why) => {
                (self.tell)(&format!("{n}. {} Only looked at: {why}.", ceremony::words(step)));
                return self.note(Event::Passed { step: n, why });
            }
            Outcome::Done { output, found } => {
                let output = step.output().zip(output);
                let mut outputs = Vec::new();
                if let Some((name, text)) = output {
                    // Here first: what was signed can be written again from here.
                    self.room.keep_output(name, &text)?;
                    write(&self.to.join(name.as_str()), text.as_bytes())?;
                    outputs.push(Named::of(name, text.as_bytes()));
                }
                Event::Done { step: n, outputs, found }
            }
        };
        self.note(output)?;
        (self.tell)(&format!("{n}. {} Done.", ceremony::words(step)));
        Ok(())
    }
}

/// Writes a file, unless it is there already with the same octets. Nothing is overwritten.
pub(super) fn write(path: &Path, octets: &[u8]) -> Result {
    match files::write_new(path, octets) {
        Err(e) if e.kind() == std::io::ErrorKind::AlreadyExists => {
            let len_max = u64::try_from(octets.len()).unwrap_or(u64::MAX);
            let same = files::read_bounded(path, len_max).is_ok_and(|there| there == octets);
            if same { Ok(()) } else { Err(Failure::file(path, &e)) }
        }
        written => written.map_err(|e| Failure::file(path, &e)),
    }
}

/// Makes the directory for outputs. One that is there keeps its permissions: it may be anybody's.
pub(super) fn make_directory(to: &Path) -> Result {
    if to.is_dir() {
        return Ok(());
    }
    files::private_directory(to).map_err(|e| Failure::file(to, &e))
}

/// Fails if something lies where a ceremony that has not begun will write.
pub(super) fn check_free(plan: &Plan, to: &Path) -> Result {
    let outputs = plan.steps.iter().filter_map(Step::output).map(FileName::as_str);
    for name in outputs.chain(["transcript.json", "transcript.html", SHARES]) {
        let path = to.join(name);
        if std::fs::symlink_metadata(&path).is_ok() {
            return Err(Failure::file(&path, &std::io::ErrorKind::AlreadyExists.into()));
        }
    }
    Ok(())
}
