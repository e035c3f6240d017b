//! `cradle list`: registration lists.

use super::Common;
use crate::compose::Installation;
use crate::fault::{Exit, Failure, Result};
use model::contract::identity::{BadLine, DepositPending, ImportList, ListFormat, ListImported};
use model::{Module, UnixTime};
use serde::Serialize;
use serde_json::json;
use std::collections::BTreeSet;
use std::path::PathBuf;

/// Registration lists: the devices that are expected.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(clap::Subcommand)]
enum Verb {
    /// Import a list: all of it, or nothing and the bad lines.
    ///
    /// CSV with a header line, or a JSON array of objects. Columns: serial, type, and if wanted board (what the
    /// hardware says of itself) and profile (what it is certified as; idevid if left out).
    Import {
        /// The file.
        file: PathBuf,
        /// How it is written, if the name does not tell.
        #[arg(long, value_enum)]
        format: Option<Written>,
        /// What the list is called in records; the file's name if not given.
        #[arg(long)]
        name: Option<String>,
        /// For how many days its devices may be certified.
        #[arg(long, default_value_t = 365, value_name = "DAYS")]
        days: u64,
    },
    /// Show the lists that were imported, oldest first.
    Show,
}

#[derive(Serialize)]
struct Row {
    list: String,
    devices: u64,
    provisioned: u64,
    imported_at: String,
    until: String,
    sha256: String,
}

#[derive(Clone, Copy, clap::ValueEnum)]
enum Written {
    Csv,
    Json,
}

/// Longest list that is read; ics has its own limit.
const FILE_LEN_MAX: u64 = 4 * 1024 * 1024;

pub(crate) fn run(common: &Common, arguments: Arguments) -> Result {
    let Verb::Import { file, format, name, days } = arguments.verb else { return show(common) };
    let octets = adapters::files::read_bounded(&file, FILE_LEN_MAX).map_err(|e| Failure::file(&file, &e))?;
    let is_json = file.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("json"));
    let format = match format {
        Some(Written::Json) => ListFormat::Json,
        Some(Written::Csv) => ListFormat::Csv,
        None if is_json => ListFormat::Json,
        None => ListFormat::Csv,
    };
    super::check_days(days)?;
    let stem = file.file_stem().map(|stem| stem.to_string_lossy().into_owned());
    let installation = Installation::open(&common.data, common.passphrase_file.as_deref())?;
    let until: UnixTime = installation.workshop.clock.now().plus_s(days * 86_400);
    let name = name.or(stem).unwrap_or_default();
    let pen = installation.workshop.config.maker_pen;
    let listed: BTreeSet<_> = identity::lists::decode(&name, format, &octets, until, pen)
        .map(|list| list.devices.into_iter().map(|device| device.id.device_type).collect())
        .unwrap_or_default();
    let call = ImportList { name: name.clone(), format, octets: octets.into(), until };
    let (new, known, digest) = match installation.ask(&call, &format!("importing {}", file.display()))? {
        ListImported::Done { new, known, digest } => (new, known, digest),
        ListImported::Refused(bad) => return Err(refused(&file, &bad)),
    };
    // While km is off the grants wait; they are left at the next change to a mode in which it is awake.
    let awake = installation.supervisor.row().binding.permits(Module::Authority);
    if awake {
        installation.ask(&DepositPending {}, "leaving grants at the authority")?;
    }
    let said = json!({"list": name, "new": new, "known": known, "sha256": digest, "granted": awake});
    common.out().one(&said, || format!("list {name}: {new} new, {known} known already\n"))?;
    let types = installation.workshop.places.device_types();
    for name in listed.iter().filter(|name| !types.join(format!("{name}.toml")).exists()) {
        common.out().say(&format!("There is no {}/{name}.toml yet: no station can take up a {name}.", types.display()));
    }
    Ok(())
}

fn show(common: &Common) -> Result {
    let rows = common.records()?.lists()?.into_iter().map(|list| Row {
        list: list.name,
        devices: list.devices,
        provisioned: list.provisioned,
        imported_at: list.imported_at.to_string(),
        until: list.until.to_string(),
        sha256: list.digest.to_string(),
    });
    common.out().rows(&["list", "devices", "provisioned", "imported_at", "until"], &rows.collect::<Vec<_>>())
}

fn refused(file: &std::path::Path, bad: &[BadLine]) -> Failure {
    let lines: Vec<_> = bad.iter().map(|b| format!("line {}: {}", b.line, b.what)).collect();
    Failure::new(Exit::Failed, "list-invalid", format!("{} was not imported, no line of it", file.display()))
        .because(lines.join("\n        "))
        .next("correct the lines that are named and import the list again")
}
