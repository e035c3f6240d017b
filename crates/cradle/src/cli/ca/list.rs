//! Looking at authorities.

use crate::cli::Common;
use crate::fault::{Exit, Failure, Result};
use adapters::store::SqlStore;
use model::AuthorityName;
use ports::store::AuthorityStore;
use ports::store::authority::AuthorityRow;
use serde::Serialize;
use utoipa::ToSchema;
use x509::{Certificate, pem};

/// A certification authority.
#[derive(Serialize, ToSchema)]
#[schema(as = Authority)]
pub(crate) struct Row {
    name: String,
    kind: &'static str,
    state: &'static str,
    subject: String,
    issuer: Option<String>,
    key_type: String,
    not_after: String,
    serial: String,
    key: String,
    url: Option<String>,
    quota: Option<u64>,
    ends: Option<String>,
}

/// All authorities.
pub(crate) fn rows(store: &SqlStore) -> Result<Vec<Row>> {
    Ok(store.authorities()?.iter().map(row).collect())
}

pub(super) fn list(common: &Common) -> Result {
    let rows = rows(&common.records()?)?;
    let mut columns = vec!["name", "state", "subject", "issuer", "key_type", "not_after", "key"];
    if !common.out().is_human() {
        columns.extend(["kind", "url"]);
    }
    // A column that nobody uses is only in the way.
    if rows.iter().any(|row| row.quota.is_some() || row.ends.is_some()) || !common.out().is_human() {
        columns.extend(["quota", "ends"]);
    }
    common.out().rows(&columns, &rows)
}

fn row(authority: &AuthorityRow) -> Row {
    let certificate = Certificate::decode(&authority.certificate).ok();
    let tbs = certificate.as_ref().map(Certificate::tbs);
    Row {
        name: authority.name.to_string(),
        kind: kind(authority),
        state: state(authority),
        subject: tbs.map(|tbs| tbs.subject.to_string()).unwrap_or_default(),
        issuer: authority.issuer.as_ref().map(ToString::to_string),
        key_type: tbs.map(|tbs| tbs.subject_public_key.key_type().to_string()).unwrap_or_default(),
        not_after: tbs.map(|tbs| tbs.not_after.to_string()).unwrap_or_default(),
        serial: tbs.map(|tbs| tbs.serial_number.to_string()).unwrap_or_default(),
        key: authority.key.to_string(),
        url: authority.key.0.strip_prefix(ports::keystore::FOREIGN).map(str::to_owned),
        quota: authority.limits.quota,
        ends: authority.limits.ends.map(|ends| ends.to_string()),
    }
}

/// Whose key it is.
pub(super) fn kind(authority: &AuthorityRow) -> &'static str {
    if authority.key.is_foreign() { "foreign" } else { "own" }
}

/// What it does.
pub(super) fn state(authority: &AuthorityRow) -> &'static str {
    match (authority.retired, authority.certificate.is_empty()) {
        (true, _) => "retired",
        (false, true) => "waits",
        (false, false) if authority.key.0 == ports::keystore::OFFLINE => "elsewhere",
        (false, false) if authority.key.is_foreign() => "asked",
        (false, false) if matches!(authority.key.shares(), Ok(Some(_))) => "divided",
        (false, false) => "issues",
    }
}

/// The certificates above and including an authority's, in PEM.
#[derive(Serialize, ToSchema)]
pub(crate) struct Chain {
    name: String,
    chain: String,
}

pub(super) fn chain(common: &Common, name: &AuthorityName, with_links: bool) -> Result {
    let chain = chain_text(&common.records()?, name, with_links)?;
    common.out().one(&chain, || chain.chain.clone())
}

/// An authority's certificate and those above it, in PEM; with those that connect the keys of its root.
pub(crate) fn chain_text(store: &SqlStore, name: &AuthorityName, with_links: bool) -> Result<Chain> {
    let mut all = chain_of(store, name)?;
    if with_links {
        let links = links_of(store, all.last())?;
        // Who has the root needs it not; who has the other key's takes a root in the chain for the wrong one.
        if !links.is_empty() {
            all.pop();
        }
        all.extend(links);
    }
    let chain = all.iter().map(|der| pem::encode("CERTIFICATE", der)).collect();
    Ok(Chain { name: name.to_string(), chain })
}

/// An authority's certificate and those above it, in DER.
pub(crate) fn chain_of(store: &SqlStore, name: &AuthorityName) -> Result<Vec<Vec<u8>>> {
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

/// The certificates that connect the keys of a root: old with new, new with old, of every rollover that it had.
fn links_of(store: &SqlStore, root: Option<&Vec<u8>>) -> Result<Vec<Vec<u8>>> {
    let subject = |der: &[u8]| Certificate::decode(der).ok().map(|certificate| certificate.tbs().subject.clone());
    let wanted = root.and_then(|der| subject(der));
    let mut links = Vec::new();
    for row in store.authorities()? {
        links.extend(store.links(row.id)?.into_iter().filter(|link| subject(link) == wanted));
    }
    Ok(links)
}
