//! What was begun and finished on this installation.

use super::room::Room;
use super::unknown;
use crate::cli::Common;
use crate::config::Config;
use crate::fault::Result;
use ceremony::{Event, Journal, Plan};
use model::Digest;
use serde::Serialize;

#[derive(Serialize)]
struct Row {
    ceremony: String,
    state: &'static str,
    approvals: usize,
    needed: usize,
    done: usize,
    steps: usize,
    opened: Option<String>,
    sha256: Digest,
    purpose: String,
}

#[derive(Serialize)]
struct StepRow {
    step: usize,
    #[serde(rename = "do")]
    verb: &'static str,
    state: &'static str,
    at: Option<String>,
    outputs: Vec<String>,
    words: String,
}

/// All ceremonies whose plans are kept here.
fn all(common: &Common) -> Result<Vec<(Plan, Room, Journal)>> {
    Config::read(&common.data)?;
    let mut found = Vec::new();
    for (digest, room) in Room::all(&common.data)? {
        if let Some(plan) = room.plan()?.filter(|plan| plan.digest() == digest) {
            let journal = room.journal(digest)?;
            found.push((plan, room, journal));
        }
    }
    Ok(found)
}

fn state(journal: &Journal) -> &'static str {
    match (journal.opened(), journal.is_finished()) {
        (None, _) => "waits",
        (Some(_), false) => "begun",
        (Some(_), true) => "finished",
    }
}

pub(super) fn list(common: &Common) -> Result {
    let mut rows = Vec::new();
    for (plan, room, journal) in all(common)? {
        let mut approvals = 0;
        for operator in &plan.operators {
            approvals += usize::from(room.approval(operator)?.is_some());
        }
        rows.push(Row {
            ceremony: plan.ceremony.to_string(),
            state: state(&journal),
            approvals,
            needed: plan.approvals,
            done: journal.steps_done(),
            steps: plan.steps.len(),
            opened: journal.opened().map(|at| at.to_string()),
            sha256: plan.digest(),
            purpose: plan.purpose.clone(),
        });
    }
    rows.sort_by(|a, b| (&a.opened, &a.ceremony).cmp(&(&b.opened, &b.ceremony)));
    common.out().rows(&["ceremony", "state", "approvals", "needed", "done", "steps", "opened", "sha256"], &rows)
}

pub(super) fn show(common: &Common, name: &str) -> Result {
    let named = |(plan, _, _): &(Plan, Room, Journal)| {
        plan.ceremony.as_str() == name || (name.len() >= 8 && plan.digest().to_string().starts_with(name))
    };
    let (plan, _, journal) = all(common)?.into_iter().rfind(named).ok_or_else(|| unknown(name))?;
    let row = |(n, step): (usize, &ceremony::Step)| {
        let n = n + 1;
        let ended = journal.lines().iter().find(|line| match &line.event {
            Event::Done { step, .. } | Event::Passed { step, .. } => *step == n,
            Event::Opened { .. } | Event::Begun { .. } | Event::Split { .. } | Event::Finished { .. } => false,
        });
        StepRow {
            step: n,
            verb: step.verb(),
            state: match (ended, journal.begun(n)) {
                (Some(_), _) => "done",
                (None, Some(_)) => "begun",
                (None, None) => "waits",
            },
            at: ended.map(|line| line.at).or(journal.begun(n)).map(|at| at.to_string()),
            outputs: journal.outputs(n).iter().map(|output| output.name.clone()).collect(),
            words: ceremony::words(step),
        }
    };
    let rows: Vec<_> = plan.steps.iter().enumerate().map(row).collect();
    common.out().say(&format!("{}: {}, SHA-256 {}", plan.ceremony, state(&journal), plan.digest()));
    common.out().rows(&["step", "do", "state", "at", "words"], &rows)
}
