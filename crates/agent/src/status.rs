//! What the agent says of its device.

use crate::config::{Config, Configured};
use crate::download::Download;
use crate::enrolment::{self, Identity};
use crate::fault::{Result, plain};
use crate::report;
use crate::round::note_of;
use crate::state::{Carried, Failed, PassedOver, Refusal, Stage, State};
use model::UnixTime;
use serde::Serialize;
use std::fmt::{self, Write as _};

#[derive(Serialize)]
pub(crate) struct Status {
    device: String,
    components: Vec<Row>,
    refused: Option<Refused>,
    reported: Option<Told>,
    /// Whether a manifest waits for an answer of the director.
    report_waits: bool,
    /// How it is with the certificate, if the agent keeps one.
    identity: Option<Identity>,
    /// Whether the agent follows repositories.
    #[serde(skip)]
    has_software: bool,
}

#[derive(Serialize)]
struct Row {
    component: String,
    hardware_id: String,
    installed: Option<Carried>,
    release_counter_min: u64,
    pending: Option<Coming>,
    failed: Option<Failure>,
    /// The last delta that was not used.
    delta_passed_over: Option<Passed>,
}

#[derive(Serialize)]
struct Coming {
    target: String,
    release_counter: u64,
    stage: &'static str,
    octets: u64,
    length: u64,
}

#[derive(Serialize)]
struct Failure {
    target: String,
    release_counter: u64,
    why: String,
    at: String,
}

#[derive(Serialize)]
struct Passed {
    delta: String,
    why: String,
    at: String,
}

#[derive(Serialize)]
struct Refused {
    at: String,
    what: String,
    why: String,
}

#[derive(Serialize)]
struct Told {
    at: String,
    number: u64,
}

pub(crate) fn status(configured: &Configured, now: UnixTime) -> Result<Status> {
    let mut status = Status {
        device: configured.device.to_string(),
        components: Vec::new(),
        refused: None,
        reported: None,
        report_waits: false,
        identity: configured.enrolment.as_ref().map(|setting| enrolment::identity(setting, now)),
        has_software: configured.software.is_some(),
    };
    if let Some(config) = &configured.software {
        software(config, &mut status)?;
    }
    Ok(status)
}

fn software(config: &Config, status: &mut Status) -> Result {
    let known = config.components.iter().map(|(name, component)| (name.as_str(), component.carries.as_ref()));
    let state = State::load(&config.data, known)?;
    for (name, component) in &config.components {
        let Some(known) = state.components.get(name) else { continue };
        let pending = known.pending.as_ref().map(|pending| Coming {
            target: pending.target.clone(),
            release_counter: pending.release_counter,
            stage: stage(pending.stage),
            octets: match pending.stage {
                Stage::Downloading => Download::noted(&note_of(config, name), pending.length),
                Stage::Installing { .. } | Stage::Unconfirmed | Stage::Reverting => pending.length,
            },
            length: pending.length,
        });
        status.components.push(Row {
            component: name.clone(),
            hardware_id: component.hardware_id.to_string(),
            installed: known.carries.clone(),
            release_counter_min: known.floor,
            pending,
            failed: known.failed.as_ref().map(failure),
            delta_passed_over: known.passed_over.as_ref().map(passed),
        });
    }
    status.refused = state.refused.as_ref().map(refused);
    status.reported = state.reported.as_ref().map(|told| Told { at: at(told.at_s), number: told.number });
    status.report_waits = report::is_waiting(config);
    Ok(())
}

fn at(s: u64) -> String {
    UnixTime::from_s(s).to_string()
}

fn failure(failed: &Failed) -> Failure {
    let (target, release_counter) = (failed.target.clone(), failed.release_counter);
    Failure { target, release_counter, why: failed.why.clone(), at: at(failed.at_s) }
}

fn passed(passed: &PassedOver) -> Passed {
    Passed { delta: passed.delta.clone(), why: passed.why.clone(), at: at(passed.at_s) }
}

fn refused(refusal: &Refusal) -> Refused {
    Refused { at: at(refusal.at_s), what: refusal.what.clone(), why: refusal.why.clone() }
}

const fn stage(stage: Stage) -> &'static str {
    match stage {
        Stage::Downloading => "downloading",
        Stage::Installing { .. } => "installing",
        Stage::Unconfirmed => "unconfirmed",
        Stage::Reverting => "reverting",
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.device)?;
        for row in &self.components {
            let mut line = match &row.installed {
                Some(carried) => format!("{}, release counter {}", plain(&carried.target), carried.release_counter),
                None => "nothing is known of what it carries".to_owned(),
            };
            if let Some(coming) = &row.pending {
                let (target, counter) = (plain(&coming.target), coming.release_counter);
                write!(line, "; {target}, release counter {counter}, is {}", coming.stage)?;
                if coming.stage == "downloading" {
                    write!(line, " ({} of {} octets)", coming.octets, coming.length)?;
                }
            }
            if let Some(failed) = &row.failed {
                write!(line, "; {} failed at {}: {}", plain(&failed.target), failed.at, plain(&failed.why))?;
            }
            if let Some(passed) = &row.delta_passed_over {
                write!(line, "; {} was passed over at {}: {}", plain(&passed.delta), passed.at, plain(&passed.why))?;
            }
            writeln!(f, "{} ({}): {line}", row.component, row.hardware_id)?;
        }
        if let Some(refused) = &self.refused {
            writeln!(f, "refused at {}: {}: {}", refused.at, plain(&refused.what), plain(&refused.why))?;
        }
        if let Some(identity) = &self.identity {
            write!(f, "{identity}")?;
        }
        if !self.has_software {
            return Ok(());
        }
        match (&self.reported, self.report_waits) {
            (_, true) => writeln!(f, "a report waits for the director's answer"),
            (Some(told), false) => writeln!(f, "reported at {}, manifest {}", told.at, told.number),
            (None, false) => writeln!(f, "not reported yet"),
        }
    }
}
