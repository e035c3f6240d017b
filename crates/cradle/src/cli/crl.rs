//! `cradle crl`: lists of revoked certificates.

use super::{Common, inspect};
use crate::compose::Installation;
use crate::fault::{Exit, Failure, Result};
use adapters::store::SqliteStore;
use model::AuthorityName;
use model::contract::authority::IssueCrl;
use ports::store::AuthorityStore;
use std::path::PathBuf;
use x509::{CertificateList, pem};

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
            let installation = Installation::open(&common.data, common.passphrase_file.as_deref())?;
            let made = installation
                .ask(&IssueCrl { authority: authority.clone() }, &format!("signing the CRL of {authority}"))?;
            let text = pem::encode("X509 CRL", made.crl.as_ref());
            if let Some(path) = &to {
                std::fs::write(path, &text).map_err(|e| Failure::file(path, &e))?;
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
            let store = SqliteStore::open_to_read(&common.data)?;
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
