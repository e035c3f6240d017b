//! `cradle doctor`: everything that can be wrong with an installation and its machine.

use super::Common;
use crate::doctor::{Check, Patient, State, examine};
use crate::fault::{Exit, Failure, Result};
use model::text::printable;
use serde::Serialize;
use std::fmt::Write;

/// Check everything that can be wrong with an installation and its machine.
///
/// Changes nothing; writes one file of 40 KiB into the data directory to measure the disk, and removes it. The exit
/// status is 1 if a check fails; warnings alone leave it 0.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Read a large database through, too.
    #[arg(long)]
    deep: bool,
}

#[derive(Serialize)]
struct Examined {
    fails: usize,
    warns: usize,
    checks: Vec<Check>,
}

pub(crate) fn run(common: &Common, arguments: &Arguments) -> Result {
    let passphrase_file = common.passphrase_file.as_deref();
    let checks = examine(Patient { data: &common.data, passphrase_file, deep: arguments.deep });
    let count = |state: State| checks.iter().filter(|check| check.state == state).count();
    let examined = Examined { fails: count(State::Fail), warns: count(State::Warn), checks };
    common.out().one(&examined, || text(&examined.checks))?;
    if examined.fails == 0 {
        return Ok(());
    }
    let bad = examined.checks.iter().filter(|check| check.state == State::Fail).map(|check| check.check);
    let mut bad: Vec<_> = bad.collect();
    bad.dedup();
    let things = if examined.fails == 1 { "1 check fails".into() } else { format!("{} checks fail", examined.fails) };
    Err(Failure::new(Exit::Failed, "doctor", things).because(bad.join(", ")).next("do what stands beside each of them"))
}

/// Longest line of a check.
const LINE_MAX: usize = 500;

fn text(checks: &[Check]) -> String {
    let mut text = String::new();
    for check in checks {
        let word = match check.state {
            State::Ok => "ok",
            State::Warn => "warn",
            State::Fail => "FAIL",
            State::Skipped => "-",
        };
        // Writing into a String cannot fail.
        let _always_written = writeln!(text, "{word:<5} {:<30} {}", check.check, printable(&check.what, LINE_MAX));
        for (name, words) in [("why:", &check.why), ("next:", &check.next)] {
            if !words.is_empty() {
                let _always_written = writeln!(text, "      {:<30} {name:<5} {}", "", printable(words, LINE_MAX));
            }
        }
    }
    text
}
