//! Holds the workspace to STYLE.md and layers.toml. Each check has its own file and knows nothing of the others.

mod arms;
mod decoders;
mod documents;
mod durable;
mod layers;
mod levels;
mod markers;
mod names;
mod people;
mod places;
mod purity;
mod safety;
mod sizes;
mod source;
mod workspace;

use serde::Serialize;
use std::fmt;
use std::path::Path;
use workspace::Workspace;

/// Something that is not as it should be.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub(crate) struct Finding {
    /// Where, from the root of the workspace.
    pub path: String,
    /// Which line, counted from 1.
    pub line: usize,
    /// Which check found it.
    pub check: &'static str,
    /// What was found.
    pub what: String,
    /// Why that is not as it should be.
    pub why: String,
    /// What to do next.
    pub next: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { path, line, check, what, why, next } = self;
        write!(f, "{path}:{line}: {what}, {why}, {next} [{check}]")
    }
}

type Check = fn(&Workspace, &mut Vec<Finding>);

const CHECKS: [Check; 11] = [
    levels::check,
    purity::check,
    durable::check,
    sizes::check,
    documents::check,
    arms::check,
    markers::check,
    people::check,
    decoders::check,
    places::check,
    safety::check,
];

/// Looks at the workspace at `root`. Findings are in the order of paths and lines.
///
/// # Errors
/// A sentence, if the workspace, `layers.toml` or the ratchet cannot be read.
pub(crate) fn run(root: &Path) -> Result<Vec<Finding>, String> {
    let workspace = Workspace::load(root)?;
    let mut findings = workspace.unreadable();
    CHECKS.iter().for_each(|check| check(&workspace, &mut findings));
    findings.sort();
    findings.dedup();
    Ok(findings)
}
