//! `cradle station`: the programming station.

use super::Common;
use crate::compose::Installation;
use crate::config::{Config, Places};
use crate::fault::{Exit, Failure, Result, exit_of};
use crate::line::{self, Done};
use crate::output::Format;
use model::contract::authority::Entitle;
use model::contract::provisioning::{BoardOutcome, BoardReport};
use model::{DeviceType, Fault, OperatorName, StationName};
use provisioning::DeviceTypeFile;
use serde::Serialize;
use serde_json::json;

/// The programming station.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(clap::Subcommand)]
enum Verb {
    /// Take the boards in the fixture through the line: verified software, then a certificate for each.
    ///
    /// Needs the mode `provision`; `provision-software` and `provision-certificate` run one half. Interrupted, it goes
    /// on where it stopped when it is run again.
    Run {
        /// The device type: a file in device-types/.
        device_type: DeviceType,
        /// At most so many boards; 0 for all.
        #[arg(long, default_value_t = 0)]
        boards: usize,
        /// Who works at the station: the only operator, if nobody is named.
        #[arg(long, env = "CRADLE_OPERATOR")]
        operator: Option<OperatorName>,
    },
    /// List the device types.
    Types,
    /// List what stations may vouch for.
    Rights,
    /// Let a station vouch for devices that only show their public key. Needs a mode in which the authority is awake.
    Entitle {
        /// The device type.
        device_type: DeviceType,
        /// For how many devices, counted from the first.
        #[arg(long)]
        quota: u32,
        /// For how many days.
        #[arg(long, default_value_t = 365)]
        days: u64,
        /// The station; this box if not given.
        #[arg(long)]
        station: Option<StationName>,
    },
}

#[derive(Serialize)]
struct Row {
    board: Option<String>,
    serial: Option<String>,
    device: Option<String>,
    outcome: &'static str,
    certificate: Option<String>,
    reason: Option<String>,
    detail: Option<String>,
}

pub(crate) fn run(common: &Common, arguments: Arguments) -> Result {
    match arguments.verb {
        Verb::Run { device_type, boards, operator } => run_line(common, &device_type, boards, operator),
        Verb::Types => types(common),
        Verb::Rights => rights(common),
        Verb::Entitle { device_type, quota, days, station } => {
            crate::cli::check_days(days)?;
            let installation = Installation::open(&common.data, common.passphrase_file.as_deref())?;
            line::device_type(&installation.workshop, &device_type)?;
            let station = station.unwrap_or_else(|| installation.workshop.config.name.clone());
            let until = installation.workshop.clock.now().plus_s(days.saturating_mul(86_400));
            let call = Entitle { station: station.clone(), device_type: device_type.clone(), quota, until };
            installation.ask(&call, &format!("entitling {station}"))?;
            let said =
                json!({"station": station, "device_type": device_type, "quota": quota, "until": until.to_string()});
            common
                .out()
                .one(&said, || format!("{station} may vouch for {quota} devices of type {device_type} until {until}\n"))
        }
    }
}

fn run_line(common: &Common, device_type: &DeviceType, boards: usize, operator: Option<OperatorName>) -> Result {
    let out = common.out();
    let installation = Installation::open(&common.data, common.passphrase_file.as_deref())?;
    let operator = installation.workshop.operator(operator.as_ref())?;
    let mut rows = Vec::new();
    let mut told = |report: BoardReport| {
        // A line for each board as soon as it is recorded: who reads along may rely on what was printed.
        if out.format() == Format::Jsonl {
            return out.line(&row(&report));
        }
        rows.push(row(&report));
        Ok(())
    };
    let done = line::run_wherever(&installation, device_type, boards, &operator, out, &mut told)?;
    if out.format() != Format::Jsonl {
        out.rows(&["serial", "board", "outcome", "certificate", "reason", "detail"], &rows)?;
    }
    out.say(&summary(&done));
    verdict(&done)
}

/// What a board's report says in a row.
fn row(report: &BoardReport) -> Row {
    let (outcome, certificate, reason, detail) = match &report.outcome {
        BoardOutcome::Flashed => ("flashed", None, None, None),
        BoardOutcome::Provisioned { certificate } => ("provisioned", Some(certificate.clone()), None, None),
        BoardOutcome::Left { fault, detail } => {
            let words = if detail.is_empty() { fault.to_string() } else { detail.clone() };
            let outcome = if matches!(fault, Fault::Refused(_)) { "refused" } else { "failed" };
            (outcome, None, Some(fault.code().to_owned()), Some(words))
        }
    };
    Row {
        board: report.board.as_ref().map(ToString::to_string),
        serial: report.serial.as_ref().map(ToString::to_string),
        device: report.device.as_ref().map(ToString::to_string),
        outcome,
        certificate,
        reason,
        detail,
    }
}

fn summary(done: &Done) -> String {
    let seconds = |ms: u64| format!("{}.{:03} s", ms / 1000, ms % 1000);
    let left: Vec<_> = done.left.iter().map(|(reason, n)| format!("{n} {reason}")).collect();
    let left = if left.is_empty() { "none".to_owned() } else { left.join(", ") };
    format!(
        "{} boards: {} flashed in {}, {} certified in {}; set aside: {left}",
        done.boards,
        done.flashed,
        seconds(done.software_ms),
        done.provisioned,
        seconds(done.certificates_ms),
    )
}

/// All boards done, now or before: 0. Some: 8. None: what the first of them met with.
fn verdict(done: &Done) -> Result {
    let Some(first) = &done.first_fault else { return Ok(()) };
    let left = done.left.values().sum::<u64>() - done.done_before;
    let some = done.flashed + done.done_before > 0;
    let exit = match first {
        _ if some => Exit::Partial,
        Fault::Refused(reason) => exit_of(*reason),
        Fault::Malformed(_) => Exit::Failed,
        Fault::Unavailable(_) => Exit::Unavailable,
    };
    Err(Failure::new(exit, first.code(), format!("{left} of {} boards were set aside", done.boards))
        .because("see the reason of each board")
        .next("`cradle explain REASON` says what to do; then run the station again"))
}

#[derive(Serialize)]
struct Right {
    station: String,
    device_type: String,
    quota: u32,
    used: u32,
    until: String,
}

fn rights(common: &Common) -> Result {
    let rows = common.records()?.rights()?.into_iter().map(|right| Right {
        station: right.station,
        device_type: right.device_type,
        quota: right.quota,
        used: right.used,
        until: right.until.to_string(),
    });
    common.out().rows(&["station", "device_type", "quota", "used", "until"], &rows.collect::<Vec<_>>())
}

fn types(common: &Common) -> Result {
    let places = Places::of(&common.data);
    Config::read(&common.data)?;
    let directory = places.device_types();
    let mut rows = Vec::new();
    for entry in std::fs::read_dir(&directory).map_err(|e| Failure::file(&directory, &e))? {
        let path = entry.map_err(|e| Failure::file(&directory, &e))?.path();
        let stem = path.file_stem().and_then(|s| s.to_str()).unwrap_or_default();
        if path.extension().is_none_or(|extension| extension != "toml") {
            continue;
        }
        let octets = adapters::files::read_bounded(&path, line::FILE_LEN_MAX).map_err(|e| Failure::file(&path, &e))?;
        let text = String::from_utf8_lossy(&octets);
        let read = stem.parse::<DeviceType>().map_err(|e| e.to_string());
        let read = read.and_then(|name| DeviceTypeFile::read(name, &text).map_err(|e| e.to_string()));
        rows.push(match read {
            Ok(file) => json!({
                "type": file.name, "description": file.description, "profile": file.profile,
                "key_type": file.key_type.to_string(),
                "adapter": file.flasher.get("adapter").and_then(|a| a.as_str()).unwrap_or_default(),
            }),
            Err(why) => json!({"type": stem, "description": format!("NOT USABLE: {why}")}),
        });
    }
    rows.sort_by_key(|row| row["type"].as_str().unwrap_or_default().to_owned());
    common.out().rows(&["type", "adapter", "profile", "key_type", "description"], &rows)
}
