//! Watching a line that runs in another process, which may end at any moment and be started again.

use super::{Bars, Done};
use crate::compose::Workshop;
use crate::fault::{Exit, Failure, Result, of_fault, of_trouble};
use crate::mode::Remote;
use crate::output::Output;
use adapters::clock::Stopwatch;
use model::contract::provisioning::{BoardOutcome, BoardReport, LineEnded, RunLine, WatchLine};
use model::{DeviceType, Fault, OperatorName, Reason};
use ports::clock::nonce;
use std::collections::BTreeMap;
use std::time::Duration;

/// How long it may go on without any news before it is given up: processes are started again meanwhile.
const PATIENCE_MS: u64 = 120_000;
/// Between two tries.
const AGAIN_AFTER: Duration = Duration::from_millis(250);

/// What is to be done afar.
pub(crate) struct Task<'a> {
    pub(crate) device_type: &'a DeviceType,
    pub(crate) operator: &'a OperatorName,
    pub(crate) boards_max: Option<u32>,
}

/// Has the boards of a fixture taken through the line by pm's process, and shows how it goes. What a process did not
/// finish that ended is begun again: what is recorded is not done twice.
pub(crate) fn run_afar(
    (workshop, remote): (&Workshop, &Remote),
    task: &Task<'_>,
    out: Output,
    told: &mut dyn FnMut(BoardReport) -> Result,
) -> Result<Done> {
    let mut boards = Boards::default();
    let mut done = Done::default();
    let bars = Bars::new(out);
    let mut silent = Stopwatch::start();
    loop {
        let ended = one_run((workshop, remote), task, &bars, &mut |report| {
            silent = Stopwatch::start();
            boards.take(report).map_or(Ok(()), &mut *told)
        });
        match ended {
            Ok(ended) => {
                done.software_ms += ended.software_ms;
                done.certificates_ms += ended.certificates_ms;
                match ended.trouble.as_ref().map(of_trouble) {
                    None if boards.unfinished == 0 => break,
                    None => boards.begin_again(),
                    Some(failure) if is_passing(&failure) && silent.ms() < PATIENCE_MS => boards.begin_again(),
                    Some(failure) => return Err(failure),
                }
            }
            Err(failure) if is_passing(&failure) && silent.ms() < PATIENCE_MS => boards.begin_again(),
            Err(failure) => return Err(failure),
        }
        if silent.ms() >= PATIENCE_MS {
            break;
        }
        std::thread::park_timeout(AGAIN_AFTER);
    }
    bars.finish();
    for report in boards.rest() {
        told(report)?;
    }
    boards.all.values().for_each(|report| done.count(report));
    Ok(done)
}

/// Whether it may be otherwise in a moment: something is not there.
fn is_passing(failure: &Failure) -> bool {
    matches!(failure.exit, Exit::Unavailable) && failure.code != "sealed"
}

fn one_run(
    (workshop, remote): (&Workshop, &Remote),
    task: &Task<'_>,
    bars: &Bars,
    told: &mut dyn FnMut(BoardReport) -> Result,
) -> Result<LineEnded> {
    let run = nonce(workshop.entropy.as_ref());
    let call = RunLine {
        run,
        device_type: task.device_type.clone(),
        operator: task.operator.clone(),
        boards_max: task.boards_max,
    };
    let fail = |fault: &Fault| of_fault(fault, "running the line");
    let failed = |fault: Fault| fail(&fault);
    match remote.call_soon(&call) {
        // If it began all the same, it is watched; if not, it is not known.
        Ok(_) | Err(Fault::Unavailable(_)) => {}
        Err(fault @ (Fault::Refused(_) | Fault::Malformed(_))) => return Err(fail(&fault)),
    }
    let mut from = 0;
    loop {
        let seen = remote.call_soon(&WatchLine { run, from }).map_err(|fault| {
            // Its process ended, and another does not know of it.
            let ended = Fault::unavailable("the process of the station ended; it is started again");
            failed(if fault == Fault::Refused(Reason::TransactionUnknown) { ended } else { fault })
        })?;
        bars.show(seen.flash, seen.certify);
        for report in seen.reports {
            from += 1;
            told(report)?;
        }
        if let Some(ended) = seen.ended {
            return Ok(ended);
        }
    }
}

/// What became of each board, over all runs.
#[derive(Default)]
struct Boards {
    all: BTreeMap<String, BoardReport>,
    /// How many of this run were left for a reason that passes.
    unfinished: usize,
    tries: u32,
    nameless: u64,
}

/// How often boards are tried that something was missing for.
const TRIES_MAX: u32 = 20;

impl Boards {
    /// Takes a report. Gives it back if it is the last word.
    fn take(&mut self, report: BoardReport) -> Option<BoardReport> {
        let name = self.name(&report);
        let is_done = |known: &BoardReport| !matches!(known.outcome, BoardOutcome::Left { .. });
        let is_known = self.all.get(&name).is_some_and(is_done);
        let already = Fault::Refused(Reason::AlreadyProvisioned);
        let is_again = matches!(&report.outcome, BoardOutcome::Left { fault, .. } if *fault == already);
        if is_known && is_again {
            // By an earlier run of this command.
            return None;
        }
        let passes = matches!(&report.outcome, BoardOutcome::Left { fault: Fault::Unavailable(_), .. });
        let is_first = self.all.insert(name, report.clone()).is_none_or(|before| before != report);
        if passes && self.tries < TRIES_MAX {
            self.unfinished += 1;
            return None;
        }
        is_first.then_some(report)
    }

    fn begin_again(&mut self) {
        self.unfinished = 0;
        self.tries += 1;
    }

    /// What was left for a reason that would have passed, and did not.
    fn rest(&self) -> Vec<BoardReport> {
        let is_left = |report: &&BoardReport| {
            self.tries < TRIES_MAX && matches!(&report.outcome, BoardOutcome::Left { fault: Fault::Unavailable(_), .. })
        };
        self.all.values().filter(is_left).cloned().collect()
    }

    fn name(&mut self, report: &BoardReport) -> String {
        match (&report.board, &report.serial) {
            (Some(board), _) => format!("board {board}"),
            (None, Some(serial)) => format!("serial {serial}"),
            (None, None) => {
                self.nameless += 1;
                format!("nameless {}", self.nameless)
            }
        }
    }
}
