//! Records: whole, signed, and in time.

use super::{Check, Patient, State};
use crate::cli::status::octets;
use crate::compose;
use crate::config::{Config, Places};
use crate::machine;
use crate::survey::{Counting, Finding, Severity, Survey};
use adapters::store::SqlStore;
use model::UnixTime;
use std::path::Path;

/// A database of this size is read through without being asked: a second or two.
const CHECKED_MAX: u64 = 256 * 1024 * 1024;

/// Who writes at this moment.
pub(super) fn lock(data: &Path) -> Check {
    const CHECK: &str = "lock";
    match machine::holder(&data.join("lock")) {
        None => Check::ok(CHECK, "nobody holds the data directory"),
        Some(holder) => Check::ok(CHECK, format!("held by process {}: {}", holder.pid, holder.command)),
    }
}

/// What the records say of themselves.
pub(super) fn checks(patient: Patient<'_>, config: &Config, store: &SqlStore, now: UnixTime) -> Vec<Check> {
    let mut all = vec![pages(patient, store), audit(patient.data, config, store)];
    match Survey::take(patient.data, now, Counting::Few) {
        Ok(survey) => all.extend(of_findings(&survey)),
        Err(failure) => all.push(Check::of("survey", failure)),
    }
    all
}

/// Whether the engine finds its pages in order.
fn pages(patient: Patient<'_>, store: &SqlStore) -> Check {
    const CHECK: &str = "database";
    let len = match store.totals() {
        Ok(totals) => totals.octets,
        Err(fault) => return broken(CHECK, &fault.to_string()),
    };
    if len > CHECKED_MAX && !patient.deep {
        return Check::skipped(CHECK, format!("{} are not read through", octets(len)))
            .next("`cradle doctor --deep` does; it takes as long as reading them");
    }
    match store.quick_check() {
        Ok(found) if found.is_empty() => Check::ok(CHECK, format!("{}, all pages in order", octets(len))),
        Ok(found) => broken(CHECK, &found.join("; ")),
        Err(fault) => broken(CHECK, &fault.to_string()),
    }
}

fn broken(check: &'static str, why: &str) -> Check {
    Check::fail(check, "the database is damaged")
        .because(why)
        .next("keep the directory as it is; restore from a backup of before; look at the disk")
}

/// Whether the audit log is the one that was signed last.
fn audit(data: &Path, config: &Config, store: &SqlStore) -> Check {
    const CHECK: &str = "audit log";
    let key = match compose::audit_key(&Places::of(data)) {
        Ok(key) => key,
        Err(failure) => return Check::of(CHECK, failure),
    };
    match store.check_audit_edge(&compose::log_name(config), &key) {
        Ok(Ok(())) => Check::ok(CHECK, "its tree is the one that was signed last; `cradle audit verify` reads it all"),
        Ok(Err(fault)) => Check::of(CHECK, fault.into()),
        Err(fault) => broken(CHECK, &fault.to_string()),
    }
}

/// The findings of the status, by what they are about; what has none is in order.
fn of_findings(survey: &Survey) -> Vec<Check> {
    let about: [(&str, &[&str], &str); 8] = [
        ("clock", &["clock-ahead", "clock-behind"], "not behind the latest record, nor far ahead of it"),
        ("mode", &["mode-interrupted", "mode-missing"], "settled, or about to be"),
        ("quarantine", &["restored"], "not restored, or let go since"),
        ("high-water marks", &["marks-lost"], "they are there, as of the last backup"),
        ("intents", &["intents-open"], "none was left open"),
        ("lists of revoked certificates", &["crl-due", "crl-missing", "crl-overdue"], "none is overdue"),
        (
            "lists of makers",
            &["maker-list-due", "maker-list-missing", "maker-list-overdue"],
            "none is missing that is demanded, or ends within four days",
        ),
        (
            "certificates of our own",
            &[
                "authority-expired",
                "authority-expiring",
                "authority-unfinished",
                "authority-waits",
                "holder-expired",
                "holder-expiring",
            ],
            "none of an authority, module or operator expires within 90 days",
        ),
    ];
    let mut all = Vec::new();
    for (check, codes, fine) in about {
        let before = all.len();
        all.extend(survey.findings.iter().filter(|f| codes.contains(&f.code)).map(|f| of_finding(check, f)));
        if all.len() == before {
            all.push(Check::ok(check, fine));
        }
    }
    all
}

pub(super) fn of_finding(check: &'static str, finding: &Finding) -> Check {
    let state = match finding.severity {
        Severity::Warn => State::Warn,
        Severity::Fail => State::Fail,
    };
    Check::new(check, state, &finding.what).because(&finding.why).next(&finding.next)
}
