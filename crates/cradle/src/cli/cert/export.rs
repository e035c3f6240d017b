//! `cradle cert export`: certificates as files, PEM, CSV or JSON lines, however many there are.

use super::{PAGE, shown};
use crate::cli::Common;
use crate::fault::{Exit, Failure, Result};
use crate::output::{Format, Rows};
use crate::progress;
use adapters::files;
use adapters::store::SqlStore;
use model::AuthorityName;
use ports::store::AuthorityStore;
use ports::store::authority::{CertificateFilter, CertificateRow};
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use x509::pem;

/// What certificates are written as.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Written {
    /// One PEM file for each, named by serial number, in a directory.
    Files,
    /// All in one PEM file.
    Pem,
    /// RFC 4180 with a header line.
    Csv,
    /// One JSON object on each line.
    Jsonl,
}

/// The columns of CSV: all that is known but the certificate itself.
const COLUMNS_OF_ALL: [&str; 11] = [
    "serial",
    "subject",
    "profile",
    "profile_digest",
    "authority",
    "issued_at",
    "not_after",
    "confirmed",
    "revoked_at",
    "revocation_reason",
    "transaction_id",
];

/// Exports the certificates that a filter lets through.
pub(super) fn run(common: &Common, filter: CertificateFilter, written: Written, to: Option<&Path>) -> Result {
    let store = common.records()?;
    let (count, place) = match (written, to) {
        (Written::Files, to) => {
            let to = to.unwrap_or(Path::new("."));
            (files_of(&store, to, filter)?, to)
        }
        (_, None) => return to_standard_output(common, &store, filter, written),
        (_, Some(to)) => (to_file(common, &store, filter, written, to)?, to),
    };
    let place = place.display().to_string();
    common.out().one(&serde_json::json!({"certificates": count, "to": place}), || {
        format!("{count} certificates written to {place}\n")
    })
}

/// Writes certificates as PEM files, one for each. Gives their number.
pub(crate) fn export_all(store: &SqlStore, to: &Path, authority: Option<AuthorityName>) -> Result<u64> {
    files_of(store, to, CertificateFilter { authority, ..CertificateFilter::default() })
}

fn files_of(store: &SqlStore, to: &Path, filter: CertificateFilter) -> Result<u64> {
    std::fs::create_dir_all(to).map_err(|e| Failure::file(to, &e))?;
    octets_of_each(store, filter, |row| {
        let path = to.join(format!("{}.pem", row.serial));
        let text = pem::encode("CERTIFICATE", &row.der);
        crate::cli::publish(&path, text.as_bytes(), |older| older == text.as_bytes())
    })
}

/// As [`each`], but for those whose octets nobody has: they were purged, or read back after a restore.
fn octets_of_each(
    store: &SqlStore,
    filter: CertificateFilter,
    mut see: impl FnMut(&CertificateRow) -> Result,
) -> Result<u64> {
    let mut count = 0;
    each(store, filter, |row| {
        if row.der.is_empty() {
            return Ok(());
        }
        count += 1;
        see(row)
    })?;
    Ok(count)
}

/// Sees each certificate that a filter lets through, a page at a time: nobody who writes waits for a long reader, and
/// the memory that is needed does not grow. Gives their number.
pub(super) fn each(
    store: &SqlStore,
    mut filter: CertificateFilter,
    mut see: impl FnMut(&CertificateRow) -> Result,
) -> Result<u64> {
    filter.limit = PAGE;
    let mut count: u64 = 0;
    loop {
        let page = store.certificates(&filter)?;
        let Some(last) = page.last() else { return Ok(count) };
        filter.after = last.id;
        for row in &page {
            see(row)?;
            count += 1;
        }
    }
}

fn to_standard_output(common: &Common, store: &SqlStore, filter: CertificateFilter, written: Written) -> Result {
    let out = common.out();
    write(common, store, filter, written, |text| out.print(text)).map(|_| ())
}

/// Writes to a file that is there, whole and durable, or not there.
fn to_file(common: &Common, store: &SqlStore, filter: CertificateFilter, written: Written, to: &Path) -> Result<u64> {
    if std::fs::symlink_metadata(to).is_ok() {
        return Err(Failure::file(to, &std::io::ErrorKind::AlreadyExists.into()));
    }
    let (mut file, unfinished) = Unfinished::new(to).map_err(|e| Failure::file(to, &e))?;
    let count = write(common, store, filter, written, |text| {
        file.write_all(text.as_bytes()).map_err(|e| Failure::file(to, &e))
    })?;
    files::sync(&file, to);
    unfinished.finish(to).map_err(|e| Failure::file(to, &e))?;
    Ok(count)
}

fn write(
    common: &Common,
    store: &SqlStore,
    filter: CertificateFilter,
    written: Written,
    mut sink: impl FnMut(&str) -> Result,
) -> Result<u64> {
    let bar = progress::bar(common.out(), "exporting", store.totals()?.intents);
    let count = match written {
        Written::Pem | Written::Files => octets_of_each(store, filter, |row| {
            bar.set_position(row.id);
            sink(&pem::encode("CERTIFICATE", &row.der))
        })?,
        Written::Csv | Written::Jsonl => {
            let format = if written == Written::Csv { Format::Csv } else { Format::Jsonl };
            let mut rows = Rows::new(format, &COLUMNS_OF_ALL, sink);
            let count = each(store, filter, |row| {
                bar.set_position(row.id);
                rows.add(&shown(row))
            })?;
            rows.finish()?;
            count
        }
    };
    bar.finish_and_clear();
    Ok(count)
}

/// A file that has another name until it is whole, and is removed if it never is.
struct Unfinished(PathBuf);

impl Unfinished {
    fn new(to: &Path) -> std::io::Result<(File, Self)> {
        let name = to.file_name().ok_or(std::io::ErrorKind::InvalidInput)?;
        let mut hidden = std::ffi::OsString::from(".new-");
        hidden.push(name);
        let path = to.with_file_name(hidden);
        // One left behind by a crash is nobody's.
        match std::fs::remove_file(&path) {
            Err(e) if e.kind() != std::io::ErrorKind::NotFound => return Err(e),
            _ => {}
        }
        let file = OpenOptions::new().write(true).create_new(true).open(&path)?;
        Ok((file, Self(path)))
    }

    fn finish(self, to: &Path) -> std::io::Result<()> {
        // A link fails if the name was taken meanwhile, where a rename would replace it.
        std::fs::hard_link(&self.0, to)?;
        let parent = to.parent().filter(|parent| !parent.as_os_str().is_empty());
        files::sync_directory(parent.unwrap_or(Path::new(".")))
    }
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        let _left_behind = std::fs::remove_file(&self.0);
    }
}

/// Fails if nobody knows this authority.
pub(super) fn check_authority(common: &Common, authority: Option<&AuthorityName>) -> Result {
    let Some(name) = authority else { return Ok(()) };
    if common.records()?.authorities()?.iter().any(|row| row.name == *name) {
        return Ok(());
    }
    Err(Failure::new(Exit::NotFound, "issuer-unknown", format!("there is no authority {name}"))
        .because("nothing was made under this name")
        .next("list them with `cradle ca list`"))
}
