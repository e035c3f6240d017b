//! `cradle status`: how an installation is, on one screen.

use super::Common;
use crate::fault::{Exit, Failure, Result};
use crate::survey::{AuthorityNow, Counting, DAY_S, Finding, Horizon, MakerNow, Severity, Survey};
use adapters::clock::SystemClock;
use model::UnixTime;
use model::text::printable;
use ports::Clock;
use std::fmt::Write;

/// Show how an installation is, and what needs attention.
///
/// Reads only, and works beside a running command. The exit status is 1 if anything needs attention: each finding says
/// what, why and what to do.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Count certificates even if there are so many that it takes a while.
    #[arg(long)]
    count: bool,
}

pub(crate) fn run(common: &Common, arguments: &Arguments) -> Result {
    let counting = if arguments.count { Counting::All } else { Counting::Few };
    let survey = Survey::take(&common.data, SystemClock.now(), counting)?;
    common.out().one(&survey, || text(&survey))?;
    attention(&survey.findings)
}

/// Fails if there is anything to attend to.
fn attention(findings: &[Finding]) -> Result {
    if findings.is_empty() {
        return Ok(());
    }
    let mut codes: Vec<_> = findings.iter().map(|finding| finding.code).collect();
    codes.dedup();
    let things = if findings.len() == 1 { "1 thing needs".into() } else { format!("{} things need", findings.len()) };
    Err(Failure::new(Exit::Failed, "attention", format!("{things} attention"))
        .because(codes.join(", "))
        .next("do what stands beside each of them"))
}

/// Width of the first column.
const NAME: usize = 14;

/// A line of what is known: a name and the words behind it.
fn line(text: &mut String, name: &str, words: &str) {
    // Writing into a String cannot fail.
    let _always_written = writeln!(text, "{name:<NAME$}{words}");
}

fn text(survey: &Survey) -> String {
    let mut text = String::new();
    let demo = if survey.demo { "  DEMO" } else { "" };
    line(&mut text, "installation", &format!("{} of {}{demo}, in {}", survey.name, survey.organization, survey.data));
    if let Some(mode) = &survey.mode {
        let to = mode.changing_to.as_ref().map(|to| format!(", changing to {to}")).unwrap_or_default();
        line(
            &mut text,
            "mode",
            &format!("{} ({}{to}); may be awake: {}", mode.order, mode.mode, mode.awake.join(", ")),
        );
    }
    if let Some(following) = &survey.following {
        line(&mut text, "following", &printable(&following.words(), 600));
    }
    if !survey.makers.is_empty() {
        let words: Vec<_> = survey.makers.iter().map(MakerNow::words).collect();
        line(&mut text, "makers", &words.join(", "));
    }
    if let Some(holder) = &survey.held_by {
        line(&mut text, "in use by", &format!("process {}: {}", holder.pid, holder.command));
    }
    for (name, holders) in [("modules", &survey.modules), ("operators", &survey.operators)] {
        let names: Vec<_> = holders.iter().map(|holder| holder.name.as_str()).collect();
        let first = holders.iter().map(|holder| holder.not_after).min();
        let first = first.map(|at| format!("; certified until {}", until(survey.at, at))).unwrap_or_default();
        line(&mut text, name, &format!("{}{first}", names.join(", ")));
    }
    authorities(&mut text, &survey.authorities, survey.at);
    horizon(&mut text, &survey.horizon);
    counts(&mut text, survey);
    text.push('\n');
    findings(&mut text, &survey.findings);
    text
}

fn authorities(text: &mut String, authorities: &[AuthorityNow], now: UnixTime) {
    let width = authorities.iter().map(|a| a.name.len() + 2 * a.depth).max().unwrap_or(0).max(9) + 2;
    let key = authorities.iter().map(|a| printable(&a.key, 40).chars().count()).max().unwrap_or(0).max(3) + 2;
    let _always_written = writeln!(
        text,
        "\n{:<width$}{:<27}{:<10}{:<key$}{:<24}valid, revoked",
        "authority", "until", "key type", "key", "CRL, next until"
    );
    for authority in authorities {
        let name = format!("{}{}", "  ".repeat(authority.depth), authority.name);
        let until = authority.not_after.map_or_else(|| "being made".into(), |at| until(now, at));
        let crl = authority.crl.as_ref().map_or_else(
            || "none".to_owned(),
            |list| format!("{}, {}{}", list.number, day(list.next_update), if list.overdue { " OVERDUE" } else { "" }),
        );
        let counts = authority
            .certificates
            .map_or_else(|| "not counted".to_owned(), |c| format!("{}, {}", c.valid(), c.revoked));
        let _always_written = writeln!(
            text,
            "{name:<width$}{until:<27}{:<10}{:<key$}{crl:<24}{counts}",
            authority.key_type,
            printable(&authority.key, 40)
        );
    }
}

/// A date, and how far away it is.
fn until(now: UnixTime, at: UnixTime) -> String {
    if at == UnixTime::NO_EXPIRY {
        return "no end".to_owned();
    }
    if at < now {
        return format!("{} EXPIRED", day(at));
    }
    format!("{} ({} days)", day(at), at.since_ms(now) / 1000 / DAY_S)
}

fn day(at: UnixTime) -> String {
    at.to_string().chars().take(10).collect()
}

fn horizon(text: &mut String, horizon: &[Horizon]) {
    text.push('\n');
    let mut head = String::new();
    for column in horizon {
        let _always_written = write!(head, "{:<28}", format!("{} days", column.within_days));
    }
    line(text, "expires in", head.trim_end());
    let mut row = |name: &str, cell: &dyn Fn(&Horizon) -> String| {
        let cells: String = horizon.iter().map(|h| format!("{:<28}", printable(&cell(h), 26))).collect();
        line(text, name, cells.trim_end());
    };
    let names = |names: &[String]| if names.is_empty() { "-".to_owned() } else { names.join(", ") };
    row("authorities", &|h| names(&h.authorities));
    row("modules", &|h| names(&h.modules));
    row("operators", &|h| names(&h.operators));
    row("devices", &|h| h.devices.map_or_else(|| "not counted".into(), |n| format!("{n} certificates")));
    text.push('\n');
}

fn counts(text: &mut String, survey: &Survey) {
    let tallies: Option<Vec<_>> = survey.authorities.iter().map(|a| a.certificates).collect();
    let open = survey.open_intents;
    match tallies {
        Some(tallies) => {
            let sum = |of: fn(&crate::survey::TallyNow) -> u64| tallies.iter().map(of).sum::<u64>();
            let words = format!(
                "{} valid ({} of them not confirmed yet), {} revoked, {} rejected, {} closed; {open} intents open",
                sum(|t| t.valid()),
                sum(|t| t.unconfirmed).saturating_sub(open),
                sum(|t| t.revoked),
                sum(|t| t.rejected),
                sum(|t| t.closed),
            );
            line(text, "certificates", &words);
        }
        None => {
            let words = format!("{} signatures, {open} intents open; --count tells them apart", survey.signatures);
            line(text, "certificates", &words);
        }
    }
    if let Some(d) = survey.devices {
        let words =
            format!("{} planned, {} made, {} provisioned; {} stolen", d.planned, d.made, d.provisioned, d.stolen);
        line(text, "devices", &words);
    }
    let audit = &survey.audit;
    let root = audit.root.as_deref().unwrap_or("none");
    line(text, "audit log", &format!("{} entries, the last at {}; signed root {root}", audit.entries, audit.latest));
    let disk = &survey.disk;
    let free = disk.free_octets.zip(disk.total_octets);
    let free = free.map_or_else(|| "unknown".to_owned(), |(free, all)| format!("{} of {}", octets(free), octets(all)));
    line(
        text,
        "disk",
        &format!(
            "database {}, its log {}, vault {}; free {free}",
            octets(disk.database_octets),
            octets(disk.wal_octets),
            octets(disk.vault_octets)
        ),
    );
    if let Some(purgeable) = &survey.purgeable {
        let crate::survey::PurgeableNow { before, certificates, lists, requests } = purgeable;
        let words = format!(
            "{certificates} certificates, {lists} lists, {requests} requests over since before {}: `cradle purge`",
            day(*before)
        );
        line(text, "purgeable", &words);
    }
    if let Some(marks) = disk.marks {
        let words = format!("free {} of {}", octets(marks.free_octets), octets(marks.total_octets));
        line(text, "disk of marks", &words);
    }
}

/// Octets in the largest unit of which there is one.
pub(crate) fn octets(n: u64) -> String {
    let units = [(40, "TiB"), (30, "GiB"), (20, "MiB"), (10, "KiB")];
    match units.into_iter().find(|(shift, _)| n >> shift > 0) {
        // One digit behind the point: the remainder in tenths of the unit.
        Some((shift, unit)) => format!("{}.{} {unit}", n >> shift, ((n >> (shift - 10)) % 1024) * 10 / 1024),
        None => format!("{n} B"),
    }
}

fn findings(text: &mut String, findings: &[Finding]) {
    if findings.is_empty() {
        text.push_str("Nothing needs attention.\n");
    }
    for finding in findings {
        let word = match finding.severity {
            Severity::Warn => "soon",
            Severity::Fail => "NOW",
        };
        let _always_written = writeln!(
            text,
            "{word:<6}{}\n      why:  {}\n      next: {}\n      code: {}",
            finding.what, finding.why, finding.next, finding.code
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(n: u64, expected: &str) {
        assert_eq!(octets(n), expected);
    }
    #[test]
    fn a_few_octets() {
        check(1023, "1023 B");
    }
    #[test]
    fn a_kibibyte_and_a_half() {
        check(1536, "1.5 KiB");
    }
    #[test]
    fn nearly_a_mebibyte() {
        check(1024 * 1024 - 1, "1023.9 KiB");
    }
    #[test]
    fn many_gibibytes() {
        check(200 * 1024 * 1024 * 1024, "200.0 GiB");
    }
}
