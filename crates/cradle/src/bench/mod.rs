//! `cradle bench`: this machine's limit, and this program on it.
//!
//! Absolute figures shake on shared machines, so each measurement stands beside a limit that was measured in the same
//! run: the bare primitives on all cores.

mod boards;
mod bulk;
mod director;
mod issue;
mod limit;
mod paper;
mod picture;
mod scale;
mod standing;
mod status;
mod storm;
mod update;

use crate::cli::Common;
use crate::fault::Result;
use crate::output::{Format, Output};
use clap::Subcommand;
use indicatif::ProgressBar;
use serde::Serialize;
use std::path::PathBuf;

/// Measure this machine and this program on it.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand)]
enum What {
    /// The bare primitives of this machine, on all cores.
    Limit,
    /// Certificates from request to durable record, over the signed local bus and SQLite FULL.
    Issue(issue::Arguments),
    /// Make an installation with so many certificates, to be measured by the following; it is kept.
    Fill(scale::Fill),
    /// How long an installation takes from its files to the first answer, and how much memory.
    Start(scale::Start),
    /// Certificates by serial number, key and device, against a bare read of a row.
    Lookup(scale::Lookup),
    /// Octets on the disk for each certificate, against those of the certificate itself.
    Disk,
    /// A list of what an authority has revoked: time of the processors, memory, octets.
    Crl(standing::Crl),
    /// Answers whether certificates are revoked, signed as they are asked for and before.
    Ocsp(standing::Ocsp),
    /// The same over HTTP, against a server that says the same octets always.
    Status(status::Arguments),
    /// What it costs to tell each device what it gets, and to be asked by devices for which nothing is new.
    Director(director::Arguments),
    /// What it costs to believe a repository of updates, and to fetch an image and verify it.
    Update(update::Arguments),
    /// What it is when many devices renew, each in the second that it was told.
    Storm(storm::Arguments),
    /// The measurements of the published reference, on this machine, with a picture.
    Paper(paper::Arguments),
}

/// One measurement. A field is empty where it has no meaning.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Measurement {
    pub(crate) what: String,
    pub(crate) limit_per_s: Option<f64>,
    pub(crate) measured_per_s: Option<f64>,
    pub(crate) ratio: Option<f64>,
    pub(crate) p50_us: Option<f64>,
    pub(crate) p99_us: Option<f64>,
    pub(crate) rss_bytes: Option<u64>,
    pub(crate) disk_bytes: Option<u64>,
    /// Time of the processors for each, in microseconds: what other work on the machine changes least.
    pub(crate) core_us: Option<f64>,
}

impl Measurement {
    pub(crate) fn of(what: impl Into<String>, limit_per_s: Option<f64>, measured_per_s: Option<f64>) -> Self {
        let ratio = measured_per_s.zip(limit_per_s).map(|(measured, limit)| rounded(measured / limit, 1000.0));
        let limit_per_s = limit_per_s.map(|n| rounded(n, 10.0));
        let measured_per_s = measured_per_s.map(|n| rounded(n, 10.0));
        let what = what.into();
        Self {
            what,
            limit_per_s,
            measured_per_s,
            ratio,
            p50_us: None,
            p99_us: None,
            rss_bytes: None,
            disk_bytes: None,
            core_us: None,
        }
    }

    /// Adds the median and the 99th percentile of single durations, in nanoseconds.
    pub(crate) fn with_durations(mut self, mut ns: Vec<u64>) -> Self {
        ns.sort_unstable();
        let at = |part: usize| ns.get((ns.len() * part / 100).min(ns.len().saturating_sub(1))).copied();
        self.p50_us = at(50).map(|ns| rounded(number(ns) / 1000.0, 10.0));
        self.p99_us = at(99).map(|ns| rounded(number(ns) / 1000.0, 10.0));
        self
    }
}

fn rounded(n: f64, steps: f64) -> f64 {
    (n * steps).round() / steps
}

/// A count as a number to divide with. What is measured here has far fewer than 2^53 of anything.
pub(crate) fn number(n: u64) -> f64 {
    #[expect(clippy::as_conversions, clippy::cast_precision_loss, reason = "exact below 2^53")]
    let n = n as f64;
    n
}

/// So many in so long, per second.
pub(crate) fn per_s(count: u64, ns: u64) -> f64 {
    number(count) * 1e9 / number(ns.max(1))
}

pub(crate) fn run(common: &Common, arguments: &Arguments) -> Result {
    let mut said = Said { out: common.out(), all: Vec::new() };
    match &arguments.what {
        What::Limit => limit::run(&mut said)?,
        What::Issue(arguments) => issue::run(&mut said, arguments)?,
        What::Fill(arguments) => return scale::fill(common, arguments),
        What::Start(arguments) => scale::start(&mut said, common, arguments)?,
        What::Lookup(arguments) => scale::lookup(&mut said, common, arguments)?,
        What::Disk => return scale::disk(common),
        What::Crl(arguments) => standing::crl(&mut said, common, arguments)?,
        What::Ocsp(arguments) => standing::ocsp(&mut said, common, arguments)?,
        What::Status(arguments) => status::run(&mut said, arguments)?,
        What::Director(arguments) => director::run(&mut said, arguments)?,
        What::Update(arguments) => update::run(&mut said, arguments)?,
        What::Storm(arguments) => storm::run(&mut said, arguments)?,
        What::Paper(arguments) => paper::run(&mut said, arguments)?,
    }
    said.finish()
}

/// Prints measurements as they come, or together at the end.
pub(crate) struct Said {
    out: Output,
    all: Vec<Measurement>,
}

impl Said {
    pub(crate) fn say(&mut self, measurement: Measurement) -> Result {
        match self.out.format() {
            Format::Json | Format::Jsonl => self.out.line(&measurement)?,
            Format::Human | Format::Csv => self.all.push(measurement),
        }
        Ok(())
    }
    /// How far it is, for work of minutes.
    pub(crate) fn bar(&self, what: &'static str, len: usize) -> ProgressBar {
        crate::progress::bar(self.out, what, u64::try_from(len).unwrap_or(u64::MAX))
    }
    pub(crate) fn doing(&self, what: &str) {
        if self.out.is_human() {
            self.out.say(what);
        }
    }
    fn finish(&self) -> Result {
        let columns = [
            "what",
            "limit_per_s",
            "measured_per_s",
            "ratio",
            "p50_us",
            "p99_us",
            "rss_bytes",
            "disk_bytes",
            "core_us",
        ];
        if matches!(self.out.format(), Format::Human | Format::Csv) {
            self.out.rows(&columns, &self.all)
        } else {
            Ok(())
        }
    }
}

/// The largest this process has been in memory, in octets.
pub(crate) fn peak_memory() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|line| line.starts_with("VmHWM:"))?;
    let kib: u64 = line.split_whitespace().nth(1)?.parse().ok()?;
    Some(kib * 1024)
}

/// Nanoseconds of all processors that this process used, as the system counts them: in hundredths of a second.
pub(crate) fn cpu_ns() -> u64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    let ticks = |n: usize| fields.get(n).and_then(|field| field.parse::<u64>().ok()).unwrap_or(0);
    (ticks(11) + ticks(12)) * 10_000_000
}

/// The octets of all files in a directory.
pub(crate) fn octets_in(directory: &std::path::Path) -> u64 {
    let Ok(entries) = std::fs::read_dir(directory) else { return 0 };
    let sizes = entries.flatten().filter_map(|entry| entry.metadata().ok()).filter(std::fs::Metadata::is_file);
    sizes.map(|metadata| metadata.len()).sum()
}

/// A directory for one measurement, removed when it is done.
pub(crate) struct Scratch(pub(crate) PathBuf);

impl Scratch {
    pub(crate) fn new(parent: &std::path::Path) -> Result<Self> {
        let path = parent.join(format!("cradle-bench-{}", std::process::id()));
        std::fs::create_dir(&path).map_err(|e| crate::fault::Failure::file(&path, &e))?;
        Ok(Self(path))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _left_behind = std::fs::remove_dir_all(&self.0);
    }
}
