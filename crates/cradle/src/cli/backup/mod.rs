//! `cradle backup`: what an installation is made of, in one file; and back.

mod create;
mod put_back;
mod restore;

use super::Common;
use crate::fault::{Exit, Failure, Result};
use crate::progress;
use adapters::backup::{BadBackup, Manifest};
use model::OperatorName;
use serde_json::json;
use std::path::{Path, PathBuf};

/// Backups.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(clap::Subcommand)]
enum Verb {
    /// Write everything but the passphrase into one signed file, while other commands run, and read it back.
    Create {
        /// The file, which must not exist.
        file: PathBuf,
    },
    /// Read a backup, compare all of it with what was signed, and say what is in it.
    Show {
        /// The file.
        file: PathBuf,
    },
    /// Make an installation of a backup, in the directory that --data names.
    ///
    /// What happened after the backup is read from the high-water marks and from published lists, so that nothing is used
    /// twice and nothing revoked is good again. Until `cradle backup confirm` nothing is issued.
    Restore {
        /// The file.
        file: PathBuf,
        /// The directory of the high-water marks; beside the data directory if left out.
        #[arg(long, value_name = "DIR")]
        marks: Option<PathBuf>,
        /// A published list of revoked certificates, PEM or DER.
        #[arg(long = "crl", value_name = "FILE")]
        lists: Vec<PathBuf>,
        /// Go on although what happened after the backup is not known. Two operators must say so.
        #[arg(long)]
        without_marks: bool,
        /// Who says so.
        #[arg(long = "operator", value_name = "NAME")]
        operators: Vec<OperatorName>,
    },
    /// Go on with the records as a server has them that was put back: a standby that lagged, a dump that was loaded.
    ///
    /// What it does not have, and this box has seen, is read from the high-water marks and from published lists, so that
    /// nothing is used twice and nothing revoked is good again. Until `cradle backup confirm` nothing is issued. What was
    /// issued is lost but for its number: first look for a server that has all of it.
    ReadBack {
        /// A published list of revoked certificates, PEM or DER.
        #[arg(long = "crl", value_name = "FILE")]
        lists: Vec<PathBuf>,
        /// Do it without asking.
        #[arg(short, long)]
        yes: bool,
    },
    /// Let a restored installation issue again: all that can be known of the time after the backup was read back.
    Confirm {
        /// Who says so; two if the high-water marks were missing.
        #[arg(long = "operator", env = "CRADLE_OPERATOR", value_name = "NAME")]
        operators: Vec<OperatorName>,
        /// Do it without asking.
        #[arg(short, long)]
        yes: bool,
    },
}

pub(crate) fn run(common: &Common, arguments: Arguments) -> Result {
    match arguments.verb {
        Verb::Create { file } => create::run(common, &file),
        Verb::Show { file } => show(common, &file),
        Verb::Restore { file, marks, lists, without_marks, operators } => {
            let asked = restore::Asked { file, marks, lists, without_marks, operators };
            restore::run(common, &asked)
        }
        Verb::ReadBack { lists, yes } => put_back::run(common, &lists, yes),
        Verb::Confirm { operators, yes } => restore::confirm(common, operators, yes),
    }
}

fn failed(bad: BadBackup) -> Failure {
    match bad {
        BadBackup::Io(what, why) => Failure::new(Exit::Failed, "file", format!("{what} cannot be used"))
            .because(why)
            .next("check the path, its permissions, and the room on the disk"),
        BadBackup::Altered(what) => {
            Failure::new(Exit::Failed, "backup-altered", "the backup is no backup, is damaged, or was altered")
                .because(what)
                .next("take another one: nothing of this one was used")
        }
        BadBackup::Version(_) => Failure::new(Exit::Failed, "newer-data", "the backup was written by another version")
            .because(bad)
            .next("use that version"),
        BadBackup::Taken(path) => Failure::file(&path, &std::io::ErrorKind::AlreadyExists.into()),
    }
}

fn octets(manifest: &Manifest) -> u64 {
    manifest.files.values().map(|content| content.len).sum()
}

/// Reads a whole backup and compares it with what was signed.
fn verify(common: &Common, file: &Path) -> Result<Manifest> {
    let (manifest, _) = adapters::backup::inspect(file).map_err(failed)?;
    let bar = progress::bytes(common.out(), "reading", octets(&manifest));
    let verified = adapters::backup::verify(file, &mut |n| bar.inc(n));
    bar.finish_and_clear();
    verified.map_err(failed)
}

fn show(common: &Common, file: &Path) -> Result {
    let manifest = verify(common, file)?;
    print(common, file, &manifest)
}

fn print(common: &Common, file: &Path, manifest: &Manifest) -> Result {
    let said = json!({
        "file": file.display().to_string(), "log": manifest.log, "created": manifest.created.to_string(),
        "audit_entries": manifest.entries, "checkpoint": manifest.checkpoint, "octets": octets(manifest),
        "files": manifest.files.iter().map(|(name, content)| json!({"name": name, "octets": content.len,
            "sha256": content.sha256.to_string()})).collect::<Vec<_>>(),
    });
    common.out().one(&said, || {
        format!(
            "backup         {}, whole, as it was signed\ninstallation   {}\nmade           {}\naudit log      {} entries\n\
             holds          {} files, {}; the keys in it are encrypted, the passphrase is not in it\n",
            file.display(),
            manifest.log,
            manifest.created,
            manifest.entries,
            manifest.files.len(),
            super::status::octets(octets(manifest)),
        )
    })
}
