//! `cradle list`: registration lists.

use super::Common;
use crate::compose::Installation;
use crate::fault::{Exit, Failure, Result};
use adapters::store::SqlStore;
use model::contract::identity::{
    BadLine, Change, DepositPending, ImportList, ListFormat, ListImported, SupplierChange, TrustSupplier,
};
use model::{Module, SupplierName, UnixTime};
use ports::store::IdentityStore;
use serde::Serialize;
use serde_json::json;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use utoipa::ToSchema;
use x509::pem;

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
    Import(Source),
    /// Say what an import would change, and change nothing.
    Diff(Source),
    /// Show the lists that were imported, oldest first.
    Show,
    /// Trust a supplier: lists that this key signed are taken from now on.
    Trust {
        /// The supplier, as its lists name it.
        supplier: SupplierName,
        /// Its public key, PEM or DER.
        key: PathBuf,
        /// Put the key in the place of the present one.
        #[arg(long)]
        replace: bool,
    },
    /// Take no more lists of a supplier. What it listed before stays.
    Distrust {
        /// The supplier.
        supplier: SupplierName,
    },
    /// List the suppliers, their keys, and the number of the last list of each.
    Suppliers,
}

/// A list that somebody sent.
#[derive(clap::Args)]
struct Source {
    /// The file.
    file: PathBuf,
    /// The supplier's signature over the file; without one it is the operator's own word.
    #[arg(long, value_name = "FILE")]
    signature: Option<PathBuf>,
    /// The operator's own list that this one takes the place of: of devices that nobody worked on, what it says
    /// otherwise is changed, and what it leaves out is taken back.
    #[arg(long, value_name = "NAME", conflicts_with = "signature")]
    replaces: Option<String>,
    /// How it is written, if the name does not tell.
    #[arg(long, value_enum)]
    format: Option<Written>,
    /// What the list is called in records; the file's name if not given.
    #[arg(long)]
    name: Option<String>,
    /// For how many days its devices may be certified, at most.
    #[arg(long, default_value_t = 365, value_name = "DAYS")]
    days: u64,
}

/// A registration list.
#[derive(Serialize, ToSchema)]
#[schema(as = RegistrationList)]
pub(crate) struct Row {
    list: String,
    supplier: Option<String>,
    sequence: Option<u64>,
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

/// Longest signature or key that is read, in octets.
const SIGNATURE_LEN_MAX: u64 = 16 * 1024;

pub(crate) fn run(common: &Common, arguments: Arguments) -> Result {
    match arguments.verb {
        Verb::Import(source) => import(common, &source),
        Verb::Diff(source) => diff(common, &source),
        Verb::Show => show(common),
        Verb::Trust { supplier, key, replace } => {
            let octets = read(&key, SIGNATURE_LEN_MAX)?;
            let der = pem::der_or_pem(&octets, &["PUBLIC KEY"]).ok_or_else(|| {
                Failure::new(Exit::Usage, "key", format!("{} holds no public key", key.display()))
                    .next("write it with `openssl pkey -pubout`")
            })?;
            let change = if replace { SupplierChange::Replace(der.into()) } else { SupplierChange::Trust(der.into()) };
            trust(common, supplier, change)
        }
        Verb::Distrust { supplier } => trust(common, supplier, SupplierChange::Revoke),
        Verb::Suppliers => suppliers(common),
    }
}

fn read(path: &Path, len_max: u64) -> Result<Vec<u8>> {
    adapters::files::read_bounded(path, len_max).map_err(|e| Failure::file(path, &e))
}

impl Source {
    fn format(&self) -> ListFormat {
        match self.format {
            Some(Written::Json) => ListFormat::Json,
            Some(Written::Csv) => ListFormat::Csv,
            None if self.file.extension().is_some_and(|e| e.eq_ignore_ascii_case("json")) => ListFormat::Json,
            None => ListFormat::Csv,
        }
    }

    fn call(&self, now: UnixTime, dry_run: bool) -> Result<ImportList> {
        super::check_days(self.days)?;
        let octets = read(&self.file, FILE_LEN_MAX)?;
        let signature = self.signature.as_deref().map(|path| read(path, SIGNATURE_LEN_MAX)).transpose()?;
        let stem = self.file.file_stem().map(|stem| stem.to_string_lossy().into_owned());
        Ok(ImportList {
            name: self.name.clone().or(stem).unwrap_or_default(),
            format: self.format(),
            octets: octets.into(),
            until: now.plus_s(self.days * 86_400),
            signature: signature.map(Into::into),
            replaces: self.replaces.clone(),
            dry_run,
        })
    }
}

fn import(common: &Common, source: &Source) -> Result {
    let installation = Installation::open(&common.data, common.passphrase_file.as_deref())?;
    let call = source.call(installation.workshop.clock.now(), false)?;
    let pen = installation.workshop.config.maker_pen;
    let listed: BTreeSet<_> = identity::lists::decode(&call.name, call.format, call.octets.as_ref(), call.until, pen)
        .map(|list| list.devices.into_iter().map(|device| device.id.device_type).collect())
        .unwrap_or_default();
    let imported = import_in(&installation, &call, &source.file)?;
    common.out().one(&imported, || imported.words())?;
    let types = installation.workshop.places.device_types();
    for name in listed.iter().filter(|name| !types.join(format!("{name}.toml")).exists()) {
        common.out().say(&format!("There is no {}/{name}.toml yet: no station can take up a {name}.", types.display()));
    }
    Ok(())
}

/// What came of an import.
#[derive(Serialize, ToSchema)]
pub(crate) struct Imported {
    list: String,
    new: u64,
    known: u64,
    changed: u64,
    removed: u64,
    supplier: Option<String>,
    sequence: Option<u64>,
    sha256: String,
    /// Whether grants were left at the authority; they are at the next change of mode, if not.
    granted: bool,
}

impl Imported {
    fn words(&self) -> String {
        let Self { list, new, known, changed, removed, supplier, sequence, .. } = self;
        let of = supplier.as_ref().zip(*sequence).map(|(who, n)| format!(" ({n} of {who})")).unwrap_or_default();
        let more =
            if changed + removed > 0 { format!(", {changed} changed, {removed} taken back") } else { String::new() };
        format!("list {list}{of}: {new} new, {known} known already{more}\n")
    }
}

/// Imports a list: all of it, or nothing. `file` is what it is called where it is refused.
pub(crate) fn import_in(installation: &Installation, call: &ImportList, file: &Path) -> Result<Imported> {
    let made = installation.ask(call, &format!("importing {}", file.display()))?;
    let ListImported::Done { new, known, digest, changed, removed, supplier, sequence, .. } = made else {
        return Err(not_done(file, &made));
    };
    // While km is off the grants wait; they are left at the next change to a mode in which it is awake.
    let granted = installation.supervisor.row().binding.permits(Module::Authority);
    if granted {
        installation.ask(&DepositPending {}, "leaving grants at the authority")?;
    }
    let supplier = supplier.map(|supplier| supplier.to_string());
    let (list, sha256) = (call.name.clone(), digest.to_string());
    Ok(Imported { list, new, known, changed, removed, supplier, sequence, sha256, granted })
}

fn not_done(file: &Path, made: &ListImported) -> Failure {
    match made {
        ListImported::Refused(bad) => refused(file, bad),
        ListImported::Done { .. } => refused(file, &[]),
    }
}

#[derive(Serialize)]
struct Different {
    serial: String,
    change: &'static str,
    line: Option<u64>,
}

fn diff(common: &Common, source: &Source) -> Result {
    let installation = Installation::open(&common.data, common.passphrase_file.as_deref())?;
    let call = source.call(installation.workshop.clock.now(), true)?;
    let made = installation.ask(&call, &format!("comparing {}", source.file.display()))?;
    let ListImported::Done { differences, .. } = &made else { return Err(not_done(&source.file, &made)) };
    let rows = differences.iter().map(|difference| Different {
        serial: difference.serial.to_string(),
        change: match difference.change {
            Change::Added => "added",
            Change::Changed => "changed",
            Change::Removed => "taken back",
        },
        line: difference.line,
    });
    common.out().rows(&["serial", "change", "line"], &rows.collect::<Vec<_>>())
}

fn trust(common: &Common, supplier: SupplierName, change: SupplierChange) -> Result {
    let installation = Installation::open(&common.data, common.passphrase_file.as_deref())?;
    let call = TrustSupplier { supplier: supplier.clone(), change };
    let now = installation.ask(&call, &format!("changing whom lists are taken from: {supplier}"))?;
    let said = json!({"supplier": supplier, "key": now.key, "sequence": now.sequence});
    common.out().one(&said, || match now.key {
        Some(key) => format!("lists of {supplier} (key {key}) above number {} are taken from now on\n", now.sequence),
        None => format!("lists of {supplier} are not taken any more\n"),
    })
}

/// Somebody whose lists are taken.
#[derive(Serialize, ToSchema)]
#[schema(as = Supplier)]
pub(crate) struct SupplierShown {
    supplier: String,
    key: Option<String>,
    sequence: u64,
}

fn suppliers(common: &Common) -> Result {
    common.out().rows(&["supplier", "key", "sequence"], &supplier_rows(&common.records()?)?)
}

/// The suppliers, their keys, and the number of the last list of each.
pub(crate) fn supplier_rows(store: &SqlStore) -> Result<Vec<SupplierShown>> {
    let rows = store.suppliers()?.into_iter().map(|row| SupplierShown {
        supplier: row.supplier.to_string(),
        key: row.key.map(|spki| x509::sha256(&spki).to_string()),
        sequence: row.sequence,
    });
    Ok(rows.collect())
}

/// The lists that were imported, oldest first.
pub(crate) fn rows(store: &SqlStore) -> Result<Vec<Row>> {
    let rows = store.lists()?.into_iter().map(|list| Row {
        list: list.name,
        sequence: list.supplied.as_ref().map(|(_, sequence)| *sequence),
        supplier: list.supplied.map(|(supplier, _)| supplier),
        devices: list.devices,
        provisioned: list.provisioned,
        imported_at: list.imported_at.to_string(),
        until: list.until.to_string(),
        sha256: list.digest.to_string(),
    });
    Ok(rows.collect())
}

fn show(common: &Common) -> Result {
    common.out().rows(
        &["list", "supplier", "sequence", "devices", "provisioned", "imported_at", "until"],
        &rows(&common.records()?)?,
    )
}

fn refused(file: &Path, bad: &[BadLine]) -> Failure {
    let lines: Vec<_> = bad.iter().map(|b| format!("line {}: {}", b.line, b.what)).collect();
    Failure::new(Exit::Failed, "list-invalid", format!("{} was not imported, no line of it", file.display()))
        .because(lines.join("\n        "))
        .next("correct the lines that are named and import the list again; --replaces NAME corrects a list of your own")
}
