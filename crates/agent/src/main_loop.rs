//! From arguments to an exit status.

use crate::arguments::{Asked, Format, HELP, read};
use crate::config::Configured;
use crate::enrolment::{self, Done};
use crate::fault::{Exit, Failure, Result, plain};
use crate::round::{Became, Outcome, round};
use crate::status::status;
use adapters::clock::SystemClock;
use ports::Clock;
use serde_json::json;
use std::ffi::OsString;
use std::io::Write;
use std::path::Path;
use std::sync::mpsc;
use std::time::Duration;

/// Does what the arguments ask for, and gives the exit status.
pub fn main(arguments: impl Iterator<Item = OsString>) -> u8 {
    let exit = read(arguments).and_then(|asked| match asked {
        Asked::Help => said(HELP),
        Asked::Version => said(concat!("cradle-agent ", env!("CARGO_PKG_VERSION"), "\n")),
        Asked::Enrol { config, secret, when, format } => {
            let setting = Configured::read(&config)?.enrolment(&config)?;
            tell(enrolment::enrol(&setting, &secret, when, &SystemClock), format)
        }
        Asked::Renew { config, when, format } => {
            let setting = Configured::read(&config)?.enrolment(&config)?;
            tell(enrolment::renew(&setting, when, &SystemClock), format)
        }
        Asked::Status { config, format } => {
            let status = status(&Configured::read(&config)?, SystemClock.now())?;
            match format {
                Format::Human => said(&status.to_string()),
                Format::Json => document(&json!(status)),
            }
        }
        Asked::Update { config, every, format } => update(&config, every, format),
    });
    match exit {
        Ok(None) => 0,
        Ok(Some(exit)) => exit.status(),
        Err(failure) => {
            complain(&failure);
            failure.exit.status()
        }
    }
}

/// One round, or rounds without end.
fn update(path: &Path, every: Option<Duration>, format: Format) -> Result<Option<Exit>> {
    // Nobody ever sends: it only waits.
    let (_held, waiting) = mpsc::channel::<()>();
    loop {
        // Read again each time: certificates are renewed, and people correct what is wrong.
        let config = Configured::read(path).and_then(|configured| configured.software(path));
        let ended = config.and_then(|config| round(&config, SystemClock.now()));
        let exit = match ended {
            Ok(outcome) => show(&outcome, format)?,
            Err(failure) if every.is_none() => return Err(failure),
            Err(failure) => {
                complain(&failure);
                None
            }
        };
        let Some(every) = every else { return Ok(exit) };
        let _waited = waiting.recv_timeout(every);
    }
}

fn show(outcome: &Outcome, format: Format) -> Result<Option<Exit>> {
    let exit = outcome.failures.iter().map(|failure| failure.exit).next();
    match format {
        Format::Json => {
            let failures: Vec<_> = outcome.failures.iter().map(shown).collect();
            let notes: Vec<_> = outcome.notes.iter().map(shown).collect();
            document(&json!({ "components": outcome.rows, "failures": failures, "notes": notes }))?;
        }
        Format::Human => {
            for row in &outcome.rows {
                let became = match row.became {
                    Became::Installed => "is installed",
                    Became::WaitsForStart => "is installed, and runs after the next start",
                    Became::Unconfirmed => "runs and is not confirmed",
                    Became::Reverting => "is not well; the device goes back",
                    Became::WentBack => "failed; the device runs what it ran before",
                    Became::Failed => "failed before, and is not tried again until something else is directed",
                };
                let (component, target, counter) = (&row.component, plain(&row.target), row.release_counter);
                said(&format!("{component}: {target}, release counter {counter}, {became}\n"))?;
            }
            if outcome.rows.is_empty() && outcome.failures.is_empty() {
                said("nothing is to be done\n")?;
            }
        }
    }
    outcome.notes.iter().for_each(|note| say("note", note));
    outcome.failures.iter().for_each(complain);
    Ok(exit)
}

/// What became of the certificate.
fn tell(done: Result<Done>, format: Format) -> Result<Option<Exit>> {
    let (done, failure) = match done {
        Ok(Done { became, identity, failure }) => (Some((became, identity)), failure),
        Err(failure) => (None, Some(failure)),
    };
    match format {
        Format::Json => {
            let (became, identity) = done.unzip();
            let failures: Vec<_> = failure.iter().map(shown).collect();
            document(&json!({ "became": became, "identity": identity, "failures": failures }))?;
        }
        Format::Human => {
            if let Some((became, identity)) = done {
                let became = match became {
                    enrolment::Became::Enrolled => "enrolled",
                    enrolment::Became::Renewed => "renewed",
                    enrolment::Became::Kept => "nothing is to be done",
                };
                said(&format!("{became}\n{identity}"))?;
            }
        }
    }
    failure.iter().for_each(complain);
    Ok(failure.map(|failure| failure.exit))
}

fn shown(failure: &Failure) -> serde_json::Value {
    json!({ "what": failure.what, "why": failure.why, "next": failure.next, "code": failure.code })
}

fn document(value: &serde_json::Value) -> Result<Option<Exit>> {
    said(&format!("{value}\n"))
}

fn said(text: &str) -> Result<Option<Exit>> {
    let mut out = std::io::stdout().lock();
    let written = out.write_all(text.as_bytes()).and_then(|()| out.flush());
    written.map_err(|e| Failure::new("output", "nothing can be said to standard output").because(e))?;
    Ok(None)
}

fn complain(failure: &Failure) {
    say("error", failure);
}

fn say(what: &str, failure: &Failure) {
    // Who listens to nothing is told nothing.
    let _unheard = writeln!(std::io::stderr(), "{what}: {failure}");
}
