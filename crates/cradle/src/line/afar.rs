//! Watching a line that runs in another process, which may end at any moment and be started again.

use super::{Bars, Done};
use crate::compose::Workshop;
use crate::fault::{Exit, Failure, Result, of_fault, of_trouble};
use crate::mode::Remote;
use crate::output::Output;
use adapters::clock::Stopwatch;
use model::contract::provisioning::{BoardOutcome, BoardReport, LineEnded, RunLine, WatchLine};
use model::lifecycle::Custody;
use model::{DeviceType, Fault, Module, OperatorName, Reason, UnixTime};
use ports::clock::nonce;
use ports::store::IdentityStore;
use ports::store::identity::DeviceFilter;
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
    let began = workshop.clock.now();
    if let Err(failure) = remote.check_running(&[Module::Provisioning])
        && !is_passing(&failure)
    {
        // Its certificate was revoked, perhaps: waiting does not help.
        return Err(failure);
    }
    let lost = |report: &BoardReport| provisioned_since(workshop, report, began);
    loop {
        let ended = one_run((workshop, remote), task, &bars, &mut |report| {
            silent = Stopwatch::start();
            boards.take(report, &lost).map_or(Ok(()), &mut *told)
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

/// The certificate of a board that was provisioned since then, by the records: by a process that ended before it told.
fn provisioned_since(workshop: &Workshop, report: &BoardReport, since: UnixTime) -> Option<String> {
    let filter = DeviceFilter { serial: report.serial.clone(), limit: 1, ..DeviceFilter::default() };
    let found = workshop.store.devices(&filter).ok()?.pop()?;
    let is_it = report.serial.is_some() && found.board == report.board && found.custody == Custody::Provisioned;
    found.certificate.filter(|_| is_it && found.at >= since)
}

/// Whether it may be otherwise in a moment: something is not there, or a server still holds the place of a process that it lost.
fn is_passing(failure: &Failure) -> bool {
    matches!(failure.exit, Exit::Unavailable | Exit::TryAgain) && failure.code != "sealed"
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
    let mut silent = Stopwatch::start();
    loop {
        let seen = match remote.call_soon(&WatchLine { run, from }) {
            Ok(seen) => seen,
            // It goes on where it is, whoever watches: begun again, it would be told that what it did is done already.
            Err(Fault::Unavailable(_)) if silent.ms() < PATIENCE_MS => {
                std::thread::park_timeout(AGAIN_AFTER);
                continue;
            }
            Err(fault @ (Fault::Refused(_) | Fault::Malformed(_) | Fault::Unavailable(_))) => {
                // Its process ended, and another does not know of it.
                let ended = Fault::unavailable("the process of the station ended; it is started again");
                return Err(failed(if fault == Fault::Refused(Reason::TransactionUnknown) { ended } else { fault }));
            }
        };
        silent = Stopwatch::start();
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
    ///
    /// `lost` says whether it was provisioned by a run of this command whose report never came.
    fn take(&mut self, mut report: BoardReport, lost: &dyn Fn(&BoardReport) -> Option<String>) -> Option<BoardReport> {
        let name = self.name(&report);
        let is_done = |known: &BoardReport| !matches!(known.outcome, BoardOutcome::Left { .. });
        let is_known = self.all.get(&name).is_some_and(is_done);
        let already = Fault::Refused(Reason::AlreadyProvisioned);
        let is_again = matches!(&report.outcome, BoardOutcome::Left { fault, .. } if *fault == already);
        if is_known && is_again {
            // By an earlier run of this command.
            return None;
        }
        if is_again
            && self.tries > 0
            && let Some(certificate) = lost(&report)
        {
            report.outcome = BoardOutcome::Provisioned { certificate };
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

#[cfg(test)]
mod tests {
    use super::*;

    /// What is told of a board that the station says was provisioned before, at the given try.
    #[track_caller]
    fn check(tries: u32, lost: Option<&str>, expected: &BoardOutcome) {
        let mut boards = Boards { tries, ..Boards::default() };
        let report = BoardReport { board: "B-1".parse().ok(), serial: None, device: None, outcome: already() };
        let told = boards.take(report, &|_| lost.map(str::to_owned));
        assert_eq!(told.map(|report| report.outcome).as_ref(), Some(expected));
    }
    fn already() -> BoardOutcome {
        BoardOutcome::Left { fault: Fault::Refused(Reason::AlreadyProvisioned), detail: String::new() }
    }

    #[test]
    fn it_is_waited_for_what_passes_and_for_nothing_else() {
        let passes = |exit, code| is_passing(&Failure::new(exit, code, "no"));
        assert!(passes(Exit::Unavailable, "unavailable") && passes(Exit::TryAgain, "in-use"));
        assert!(!passes(Exit::Unavailable, "sealed") && !passes(Exit::Refused, "module-off"));
    }
    #[test]
    fn what_a_lost_process_provisioned_is_told_as_such() {
        check(1, Some("1a"), &BoardOutcome::Provisioned { certificate: "1a".into() });
    }
    #[test]
    fn what_was_provisioned_before_this_command_is_refused() {
        check(1, None, &already());
    }
    #[test]
    fn the_first_try_has_lost_nothing() {
        check(0, Some("1a"), &already());
    }
}
