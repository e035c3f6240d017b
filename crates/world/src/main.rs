//! Runs simulated worlds: one, to look at it, or many, to find one that fails.

use std::io::{self, Write};
use std::ops::Range;
use std::process::ExitCode;
use world::{Logging, Outcome, Plan, Runner};

const USAGE: &str = "Runs simulated worlds.

  world --seed N [--steps M] [--log]   runs one, and says what happens
  world --seeds A..B [--steps M]       runs many, and stops at the first that fails
";

/// What is asked for.
struct Asked {
    seeds: Range<u64>,
    plan: Plan,
}

fn main() -> ExitCode {
    let mut out = io::stdout().lock();
    let Some(asked) = asked(std::env::args().skip(1)) else {
        // Who reads it no more needs no word about it.
        let _gone = io::stderr().write_all(USAGE.as_bytes());
        return ExitCode::from(2);
    };
    let ran = run(&asked, &mut out);
    match ran {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) | Err(_) => ExitCode::FAILURE,
    }
}

fn asked(arguments: impl Iterator<Item = String>) -> Option<Asked> {
    let mut asked = Asked { seeds: 0..0, plan: Plan::default() };
    let mut arguments = arguments;
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--seed" => {
                let seed: u64 = arguments.next()?.parse().ok()?;
                asked.seeds = seed..seed.checked_add(1)?;
            }
            "--seeds" => {
                let text = arguments.next()?;
                let (first, end) = text.split_once("..")?;
                asked.seeds = first.parse().ok()?..end.parse().ok()?;
            }
            "--steps" => asked.plan.steps = arguments.next()?.parse().ok()?,
            "--log" => asked.plan.logging = Logging::On,
            _ => return None,
        }
    }
    (!asked.seeds.is_empty()).then_some(asked)
}

/// Runs what is asked for. Gives whether all promises were kept.
fn run(asked: &Asked, out: &mut impl Write) -> io::Result<bool> {
    let runner = match Runner::new() {
        Ok(runner) => runner,
        Err(stuck) => {
            writeln!(out, "the world cannot be made: {}", stuck.0)?;
            return Ok(false);
        }
    };
    let is_one = asked.seeds.clone().count() == 1;
    if is_one {
        let outcome: Outcome = runner.run(asked.seeds.start, asked.plan);
        writeln!(out, "{outcome}\n{:?}", outcome.counts)?;
        return Ok(outcome.violation.is_none());
    }
    match runner.run_all(asked.seeds.clone(), asked.plan) {
        Ok(counts) => {
            writeln!(out, "seeds {}..{}: everything holds\n{counts:?}", asked.seeds.start, asked.seeds.end)?;
            Ok(true)
        }
        Err(outcome) => {
            writeln!(out, "{outcome}")?;
            Ok(false)
        }
    }
}
