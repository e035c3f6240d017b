//! `cradle crl`: lists of revoked certificates.

use super::{Common, inspect};
use crate::compose::Installation;
use crate::fault::{Exit, Failure, Result};
use model::AuthorityName;
use model::contract::authority::IssueCrl;
use ports::store::AuthorityStore;
use std::path::{Path, PathBuf};
use x509::{CertificateList, pem};

/// Longest list that is looked at before it is replaced.
const CRL_LEN_MAX: u64 = 1024 * 1024 * 1024;

/// Lists of revoked certificates.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(clap::Subcommand)]
enum Verb {
    /// Sign a new list. Needs a mode in which the authority is awake.
    Issue {
        /// Of which authority.
        authority: AuthorityName,
        /// Write it to this file, as PEM.
        #[arg(long, value_name = "FILE")]
        to: Option<PathBuf>,
    },
    /// Show the last list.
    Show {
        /// Of which authority.
        authority: AuthorityName,
    },
}

pub(crate) fn run(common: &Common, arguments: Arguments) -> Result {
    let out = common.out();
    match arguments.verb {
        Verb::Issue { authority, to } => {
            to.as_deref().map_or(Ok(()), refuse_other)?;
            let installation = Installation::open(&common.data, common.passphrase_file.as_deref())?;
            let made = installation
                .ask(&IssueCrl { authority: authority.clone() }, &format!("signing the CRL of {authority}"))?;
            let text = pem::encode("X509 CRL", made.crl.as_ref());
            if let Some(path) = &to {
                adapters::files::publish(path, text.as_bytes()).map_err(|e| {
                    let signed = format!("CRL {} is signed: `cradle crl show {authority}` prints it", made.number);
                    Failure::file(path, &e).next(signed)
                })?;
            }
            let said = serde_json::json!({
                "authority": authority, "number": made.number, "entries": made.entries, "pem": text,
            });
            out.one(&said, || match &to {
                Some(path) => {
                    format!("CRL {} of {authority}, {} entries: {}\n", made.number, made.entries, path.display())
                }
                None => text.clone(),
            })
        }
        Verb::Show { authority } => {
            let store = common.records()?;
            let row = store.authorities()?.into_iter().find(|row| row.name == authority);
            let last = row.map(|row| store.crl(row.id)).transpose()?.flatten().ok_or_else(|| {
                Failure::new(Exit::NotFound, "no-crl", format!("{authority} has signed no CRL"))
                    .next(format!("sign one with `cradle crl issue {authority}`"))
            })?;
            let text = pem::encode("X509 CRL", &last.der);
            let said = serde_json::json!({
                "authority": authority, "number": last.number, "this_update": last.this_update.to_string(),
                "next_update": last.next_update.to_string(), "pem": text,
            });
            out.one(&said, || {
                let list = CertificateList::decode(&last.der).ok();
                list.map(|list| inspect::crl_text(&list)).unwrap_or_default() + &text
            })
        }
    }
}

/// Fails if there is something else than a list where one is to be written: before it is signed, and for ever after.
fn refuse_other(path: &Path) -> Result {
    let place = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    if !place.is_dir() {
        return Err(Failure::file(place, &std::io::ErrorKind::NotFound.into()));
    }
    if std::fs::symlink_metadata(path).is_err() {
        return Ok(());
    }
    let octets = adapters::files::read_bounded(path, CRL_LEN_MAX).unwrap_or_default();
    if pem::der_or_pem(&octets, &["X509 CRL"]).is_some_and(|der| CertificateList::decode(&der).is_ok()) {
        return Ok(());
    }
    Err(Failure::new(Exit::Conflict, "exists", format!("{} is there, and is no CRL", path.display()))
        .because("only an older list is replaced")
        .next("name another file"))
}
