//! `cradle crl`: lists of revoked certificates.

mod publish;

use super::{Common, inspect, shares};
use crate::compose::{self, Installation};
use crate::config::Places;
use crate::fault::{Exit, Failure, Result};
use crate::progress;
use adapters::store::SqlStore;
use model::AuthorityName;
use model::contract::authority::{CrlIssued, IssueCrl, IssueFilter};
use ports::store::AuthorityStore;
use ports::store::authority::{AuthorityRow, CrlRow, CrlScope};
use serde::Serialize;
use std::path::{Path, PathBuf};
use x509::{CertificateList, pem};

/// Longest list that is looked at before it is replaced.
const CRL_LEN_MAX: u64 = 1024 * 1024 * 1024;
/// Most shards of a profile.
const SHARDS_MAX: u32 = 4096;

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
        #[command(flatten)]
        scope: Scope,
        /// Of every shard that a profile divides the authority's certificates among, one list each.
        #[arg(long, conflicts_with_all = ["shard", "to"])]
        all_shards: bool,
        /// Write it to this file, as PEM.
        #[arg(long, value_name = "FILE")]
        to: Option<PathBuf>,
    },
    /// Show the last list.
    Show {
        #[command(flatten)]
        scope: Scope,
    },
    /// Write the status filter of an authority: the revoked certificates of its last whole list, for small devices.
    Filter {
        /// Of which authority.
        authority: AuthorityName,
        /// The file.
        #[arg(long, value_name = "FILE")]
        to: PathBuf,
    },
    /// Write the newest list of every authority and scope into a directory, in DER, for a web server to serve.
    ///
    /// NAME.crl, NAME-delta.crl, NAME-shard-N.crl, NAME-shard-N-delta.crl. A file is replaced only if it is an older list
    /// of the same authority; if one is not, none is written.
    Publish {
        /// The directory, which must exist.
        directory: PathBuf,
    },
}

/// Which list.
#[derive(clap::Args)]
struct Scope {
    /// Of which authority.
    authority: AuthorityName,
    /// Of one shard only, counted from 1.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=i64::from(SHARDS_MAX)))]
    shard: Option<u32>,
    /// Only what changed since the oldest whole list that still holds.
    #[arg(long)]
    delta: bool,
}

impl Scope {
    const fn call(&self, authority: AuthorityName, shard: u32) -> IssueCrl {
        IssueCrl { authority, shard, delta: self.delta }
    }
}

pub(crate) fn run(common: &Common, arguments: Arguments) -> Result {
    match arguments.verb {
        Verb::Issue { scope, all_shards: true, .. } => issue_all(common, &scope),
        Verb::Issue { scope, to, .. } => issue(common, &scope, to.as_deref()),
        Verb::Show { scope } => show(common, &scope),
        Verb::Filter { authority, to } => filter(common, authority, &to),
        Verb::Publish { directory } => publish::run(common, &directory),
    }
}

/// A list in words: `factory`, `factory, shard 3, changes only`.
fn title(authority: &AuthorityName, shard: u32, delta: bool) -> String {
    let shard = if shard == 0 { String::new() } else { format!(", shard {shard}") };
    format!("{authority}{shard}{}", if delta { ", changes only" } else { "" })
}

fn filter(common: &Common, authority: AuthorityName, to: &Path) -> Result {
    let installation = opened(common, &authority)?;
    let doing = format!("signing the status filter of {authority}");
    let made = installation.ask(&IssueFilter { authority: authority.clone() }, &doing)?;
    let octets: &[u8] = made.filter.as_ref();
    crate::cli::publish(to, octets, |older| wire::filter::decode(older).is_ok())?;
    let (number, entries, len) = (made.number, made.entries, octets.len());
    let said =
        serde_json::json!({"authority": authority, "number": number, "entries": entries, "octets": len, "to": to});
    common.out().one(&said, || {
        format!("filter of {authority}, as of CRL {number}: {entries} revoked in {len} octets: {}\n", to.display())
    })
}

fn issue(common: &Common, scope: &Scope, to: Option<&Path>) -> Result {
    to.map_or(Ok(()), refuse_other)?;
    let authority = &scope.authority;
    let shard = scope.shard.unwrap_or(0);
    let title = title(authority, shard, scope.delta);
    let installation = opened(common, authority)?;
    let mut made = installation.ask(&scope.call(authority.clone(), shard), &format!("signing the CRL of {title}"))?;
    if made.crl.as_ref().is_empty() {
        // It is longer than a message.
        let store = &installation.workshop.store;
        let scope_of = CrlScope { authority: authority_of(store, authority)?.id, shard };
        made.crl = store.crl(scope_of, scope.delta)?.map(|row| row.der).unwrap_or_default().into();
    }
    let text = pem::encode("X509 CRL", made.crl.as_ref());
    if let Some(path) = to {
        adapters::files::publish(path, text.as_bytes()).map_err(|e| {
            let signed = format!("CRL {} is signed: `cradle crl show {authority}` prints it", made.number);
            Failure::file(path, &e).next(signed)
        })?;
    }
    let mut said = said(authority, shard, &made);
    if let Some(fields) = said.as_object_mut() {
        fields.insert("pem".into(), text.clone().into());
    }
    common.out().one(&said, || match to {
        Some(path) => format!("CRL {} of {title}, {} entries: {}\n", made.number, made.entries, path.display()),
        None => text.clone(),
    })
}

fn said(authority: &AuthorityName, shard: u32, made: &CrlIssued) -> serde_json::Value {
    serde_json::json!({
        "authority": authority, "shard": shard, "number": made.number, "base": made.base, "entries": made.entries,
    })
}

#[derive(Serialize)]
struct Row {
    authority: String,
    shard: u32,
    number: u64,
    base: Option<u64>,
    entries: u64,
}

fn issue_all(common: &Common, scope: &Scope) -> Result {
    let authority = &scope.authority;
    let shards = shards_of(common, authority)?;
    if shards < 2 {
        let what = format!("the certificates of {authority} are not divided");
        return Err(Failure::new(Exit::NotFound, "no-shards", what)
            .because("no profile that names it as issuer has `shards`")
            .next(format!("sign one list of all of them with `cradle crl issue {authority}`")));
    }
    let installation = opened(common, authority)?;
    let bar = progress::bar(common.out(), "lists", u64::from(shards));
    let mut rows = Vec::new();
    for shard in 1..=shards {
        let doing = format!("signing the CRL of {}", title(authority, shard, scope.delta));
        let made = installation.ask(&scope.call(authority.clone(), shard), &doing)?;
        let CrlIssued { number, base, entries, .. } = made;
        rows.push(Row { authority: authority.to_string(), shard, number, base, entries });
        bar.inc(1);
    }
    bar.finish_and_clear();
    common.out().rows(&["authority", "shard", "number", "entries"], &rows)
}

/// Among how many lists the certificates of an authority are divided; 1 if they are not.
fn shards_of(common: &Common, authority: &AuthorityName) -> Result<u32> {
    let profiles = compose::profiles(&Places::of(&common.data))?;
    let named = profiles.values().filter(|profile| profile.issuers().contains(authority));
    Ok(named.map(|profile| u32::from(profile.shards())).max().unwrap_or(1))
}

fn show(common: &Common, scope: &Scope) -> Result {
    let store = common.records()?;
    let Scope { authority, delta, .. } = scope;
    let shard = scope.shard.unwrap_or(0);
    let row = authority_of(&store, authority)?;
    let last = store.crl(CrlScope { authority: row.id, shard }, *delta)?.ok_or_else(|| {
        let title = title(authority, shard, *delta);
        Failure::new(Exit::NotFound, "no-crl", format!("no CRL of {title} was signed"))
            .next(format!("sign one with `cradle crl issue {authority}`"))
    })?;
    let text = pem::encode("X509 CRL", &last.der);
    let CrlRow { number, base, this_update, next_update, .. } = &last;
    let said = serde_json::json!({
        "authority": authority, "shard": shard, "number": number, "base": base,
        "this_update": this_update.to_string(), "next_update": next_update.to_string(), "pem": text,
    });
    common.out().one(&said, || {
        let list = CertificateList::decode(&last.der).ok();
        list.map(|list| inspect::crl_text(&list)).unwrap_or_default() + &text
    })
}

/// The installation, if the key that is to sign can be opened in it.
fn opened(common: &Common, authority: &AuthorityName) -> Result<Installation> {
    let installation = shares::open(common)?;
    shares::check_open(&installation.workshop, authority)?;
    Ok(installation)
}

fn authority_of(store: &SqlStore, name: &AuthorityName) -> Result<AuthorityRow> {
    let row = store.authorities()?.into_iter().find(|row| row.name == *name && !row.certificate.is_empty());
    row.ok_or_else(|| {
        Failure::new(Exit::NotFound, "issuer-unknown", format!("there is no authority {name}"))
            .next("list them with `cradle ca list`")
    })
}

/// Fails if there is something else than a list where one is to be written: before it is signed, and for ever after.
fn refuse_other(path: &Path) -> Result {
    let place = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    if !place.is_dir() {
        return Err(Failure::file(place, &std::io::ErrorKind::NotFound.into()));
    }
    list_at(path).map(|_| ())
}

/// The list in a file, if there is a file; fails if that is something else.
pub(crate) fn list_at(path: &Path) -> Result<Option<(Vec<u8>, CertificateList)>> {
    if std::fs::symlink_metadata(path).is_err() {
        return Ok(None);
    }
    let octets = adapters::files::read_bounded(path, CRL_LEN_MAX).unwrap_or_default();
    let der = pem::der_or_pem(&octets, &["X509 CRL"]).map(|der| der.to_vec());
    let list = der.and_then(|der| CertificateList::decode(&der).ok().map(|list| (der, list)));
    list.map(Some).ok_or_else(|| {
        Failure::new(Exit::Conflict, "exists", format!("{} is there, and is no CRL", path.display()))
            .because("only an older list is replaced")
            .next("name another file")
    })
}
