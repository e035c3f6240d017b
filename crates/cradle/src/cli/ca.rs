//! `cradle ca`: certification authorities.

use super::Common;
use crate::compose::Installation;
use crate::fault::{Exit, Failure, Result};
use adapters::store::SqliteStore;
use model::contract::authority::CreateAuthority;
use model::{AuthorityName, ProfileName};
use ports::store::AuthorityStore;
use ports::store::authority::AuthorityRow;
use serde::Serialize;
use x509::{Certificate, pem};

/// Certification authorities.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(clap::Subcommand)]
enum Verb {
    /// Make an authority: a root, or one below another. Needs the mode `ceremony`.
    Create {
        /// Its name.
        name: AuthorityName,
        /// What its certificate may say: a profile for authorities.
        #[arg(long)]
        profile: ProfileName,
        /// Who issues its certificate; a root issues its own.
        #[arg(long)]
        issuer: Option<AuthorityName>,
        /// The type of its key: p256, p384, ed25519, rsa3072.
        #[arg(long, default_value = "p256", value_name = "TYPE")]
        key_type: String,
    },
    /// List the authorities.
    List,
    /// Print an authority's chain as PEM, its own certificate first.
    Chain {
        /// Its name.
        name: AuthorityName,
    },
}

#[derive(Serialize)]
struct Row {
    name: String,
    subject: String,
    issuer: Option<String>,
    key_type: String,
    not_after: String,
    serial: String,
    key: String,
}

pub(crate) fn run(common: &Common, arguments: Arguments) -> Result {
    match arguments.verb {
        Verb::Create { name, profile, issuer, key_type } => {
            let installation = Installation::open(&common.data, common.passphrase_file.as_deref())?;
            let call = CreateAuthority { name: name.clone(), profile, issuer, key_type };
            let made = installation.ask(&call, &format!("making the authority {name}"))?;
            let text = pem::encode("CERTIFICATE", made.certificate.as_ref());
            common.out().one(&serde_json::json!({"name": name, "certificate": text}), || text.clone())
        }
        Verb::List => {
            let store = common.records()?;
            let rows: Vec<_> = store.authorities()?.iter().filter_map(row).collect();
            common.out().rows(&["name", "subject", "issuer", "key_type", "not_after"], &rows)
        }
        Verb::Chain { name } => {
            let store = common.records()?;
            let text = chain(&store, &name)?;
            common.out().one(&serde_json::json!({"name": name, "chain": text}), || text.clone())
        }
    }
}

fn row(authority: &AuthorityRow) -> Option<Row> {
    let certificate = Certificate::decode(&authority.certificate).ok()?;
    let tbs = certificate.tbs();
    Some(Row {
        name: authority.name.to_string(),
        subject: tbs.subject.to_string(),
        issuer: authority.issuer.as_ref().map(ToString::to_string),
        key_type: tbs.subject_public_key.key_type().to_string(),
        not_after: tbs.not_after.to_string(),
        serial: tbs.serial_number.to_string(),
        key: authority.key.to_string(),
    })
}

/// An authority's certificate and those above it, as PEM.
fn chain(store: &SqliteStore, name: &AuthorityName) -> Result<String> {
    Ok(chain_of(store, name)?.iter().map(|der| pem::encode("CERTIFICATE", der)).collect())
}

/// An authority's certificate and those above it, in DER.
pub(crate) fn chain_of(store: &SqliteStore, name: &AuthorityName) -> Result<Vec<Vec<u8>>> {
    let rows = store.authorities()?;
    let find = |name: &AuthorityName| rows.iter().find(|row| row.name == *name && !row.certificate.is_empty());
    let first = find(name).ok_or_else(|| {
        Failure::new(Exit::NotFound, "issuer-unknown", format!("there is no authority {name}"))
            .next("list them with `cradle ca list`")
    })?;
    let up =
        std::iter::successors(Some(first), |row| find(row.issuer.as_ref()?).filter(|above| above.name != row.name));
    Ok(up.take(rows.len()).map(|row| row.certificate.clone()).collect())
}
