//! Everything that can be wrong with an installation and its machine, each as a check with a cause and what to do.
//!
//! Reads only, but for one file beside the records that is written to measure the disk, and removed.

pub(crate) mod files;
mod machine;
mod records;

use crate::compose;
use crate::config::{Config, Places};
use crate::fault::Failure;
use adapters::clock::SystemClock;
use ports::Clock;
use serde::Serialize;
use std::path::Path;

/// How a check came out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum State {
    /// As it should be.
    Ok,
    /// It works; somebody should know.
    Warn,
    /// It does not work, or must not stay so.
    Fail,
    /// Not looked at: what it needs is not there, or it was not asked for.
    Skipped,
}

/// One check.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Check {
    pub(crate) check: &'static str,
    pub(crate) state: State,
    pub(crate) what: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(crate) why: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(crate) next: String,
}

impl Check {
    fn new(check: &'static str, state: State, what: impl Into<String>) -> Self {
        Self { check, state, what: what.into(), why: String::new(), next: String::new() }
    }
    fn ok(check: &'static str, what: impl Into<String>) -> Self {
        Self::new(check, State::Ok, what)
    }
    fn warn(check: &'static str, what: impl Into<String>) -> Self {
        Self::new(check, State::Warn, what)
    }
    fn fail(check: &'static str, what: impl Into<String>) -> Self {
        Self::new(check, State::Fail, what)
    }
    fn skipped(check: &'static str, what: impl Into<String>) -> Self {
        Self::new(check, State::Skipped, what)
    }
    fn because(mut self, why: impl std::fmt::Display) -> Self {
        self.why = why.to_string();
        self
    }
    fn next(mut self, next: impl Into<String>) -> Self {
        self.next = next.into();
        self
    }
    fn of(check: &'static str, failure: Failure) -> Self {
        Self { check, state: State::Fail, what: failure.what, why: failure.why, next: failure.next }
    }
}

/// What is looked at.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Patient<'a> {
    pub(crate) data: &'a Path,
    pub(crate) passphrase_file: Option<&'a Path>,
    /// Whether all pages of a large database are read too.
    pub(crate) deep: bool,
}

/// Looks at everything. What cannot be looked at because something before it is broken is skipped, and says so.
pub(crate) fn examine(patient: Patient<'_>) -> Vec<Check> {
    let places = Places::of(patient.data);
    let mut all = machine::checks(patient.data);
    all.extend(files::directory(patient.data));
    if !patient.data.is_dir() {
        return all;
    }
    let config = Config::read(patient.data);
    all.push(match &config {
        Ok(config) => Check::ok("settings", format!("{} of {}", config.name, config.organization)),
        Err(failure) => Check::of("settings", failure.clone()),
    });
    if let Ok(config) = &config {
        all.extend(machine::free_for_marks(patient.data, &places.marks(config)));
    }
    all.push(files::passphrase(&places, patient.passphrase_file, config.as_ref().is_ok_and(|config| config.demo)));
    all.push(records::lock(patient.data));
    let store = crate::compose::open_to_read(patient.data).map_err(Failure::from);
    let now = SystemClock.now();
    match (&config, &store) {
        (Ok(config), Ok(store)) => {
            all.push(Check::ok("records", format!("they open; schema {}", adapters::store::sql::SCHEMA)));
            all.extend(records::checks(patient, config, store, now));
            all.extend(files::keys(&places, config, store));
            all.push(files::profiles(&places, store));
            all.push(files::images(&places, store));
        }
        (_, Err(failure)) => all.push(Check::of("records", failure.clone())),
        (Err(_), Ok(_)) => all.push(Check::skipped("records", "not looked at without settings")),
    }
    all.push(key_opens(&places, patient.passphrase_file));
    all
}

/// Whether the keys open under the passphrase, tried with the one that signs the audit log.
fn key_opens(places: &Places, passphrase_file: Option<&Path>) -> Check {
    const CHECK: &str = "passphrase opens keys";
    if passphrase_file.is_none() && !places.passphrase().exists() {
        return Check::skipped(CHECK, "no passphrase is at hand").next("name a file with --passphrase-file");
    }
    match compose::passphrase(places, passphrase_file).and_then(|secret| {
        let keystore = compose::keystore(places, secret);
        compose::checked_audit_key(places, &keystore)
    }) {
        Ok(_) => Check::ok(CHECK, "the audit log's key opens, and is the one that audit.pub names"),
        Err(failure) => Check::of(CHECK, failure),
    }
}
