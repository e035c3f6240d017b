//! `cradle cert`: certificates.

use super::Common;
use super::inspect;
use crate::compose::Installation;
use crate::fault::{Exit, Failure, Result};
use crate::output::{Format, Output};
use adapters::files;
use adapters::store::SqliteStore;
use model::contract::authority::{RevocationReason, Revoke};
use model::{AuthorityName, Digest, Entity};
use ports::store::AuthorityStore;
use ports::store::authority::{CertificateFilter, CertificateRow};
use serde::Serialize;
use std::path::{Path, PathBuf};
use x509::{Certificate, SerialNumber, pem};

/// Certificates.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(clap::Subcommand)]
enum Verb {
    /// List certificates in the order of issuing.
    List {
        /// Of this device or other subject: `urn:dev:ops:...`, `authority:NAME`, `operator:NAME`.
        #[arg(long)]
        subject: Option<Entity>,
        /// Of this authority.
        #[arg(long)]
        authority: Option<AuthorityName>,
        /// For the key of this SHA-256 (of its SubjectPublicKeyInfo).
        #[arg(long)]
        key: Option<String>,
        /// Only revoked ones.
        #[arg(long, conflicts_with = "valid")]
        revoked: bool,
        /// Only those that are not revoked.
        #[arg(long)]
        valid: bool,
        /// At most so many; 0 for all. If nothing is said, 50 for people and all for programs.
        #[arg(long)]
        limit: Option<u32>,
    },
    /// Show one certificate.
    Inspect {
        /// Its serial number in hexadecimal digits.
        serial: String,
    },
    /// Write certificates as PEM files, one for each, named by serial number.
    Export {
        /// The directory.
        #[arg(long, default_value = ".")]
        to: PathBuf,
        /// Of this authority.
        #[arg(long)]
        authority: Option<AuthorityName>,
    },
    /// Revoke a certificate, for good.
    Revoke {
        /// Its serial number in hexadecimal digits.
        #[arg(required_unless_present = "device")]
        serial: Option<String>,
        /// The certificate that this device holds: its serial number or its name.
        #[arg(long, conflicts_with = "serial")]
        device: Option<String>,
        /// Why: unspecified, key-compromise, ca-compromise, affiliation-changed, superseded,
        /// cessation-of-operation, privilege-withdrawn.
        #[arg(long, default_value = "unspecified")]
        reason: String,
        /// Do it without asking for the serial number again.
        #[arg(short, long)]
        yes: bool,
        /// Show what would be revoked, and do nothing.
        #[arg(long)]
        dry_run: bool,
    },
}

#[derive(Serialize)]
struct Row {
    serial: String,
    subject: String,
    profile: String,
    authority: String,
    issued_at: String,
    not_after: String,
    confirmed: bool,
    revoked_at: Option<String>,
    revocation_reason: Option<String>,
    transaction_id: String,
    profile_digest: String,
    pem: String,
}

/// Rows that are read at a time.
const PAGE: u32 = 1000;

pub(crate) fn run(common: &Common, arguments: Arguments) -> Result {
    match arguments.verb {
        Verb::List { subject, authority, key, revoked, valid, limit } => {
            let key = key
                .map(|text| text.parse::<Digest>())
                .transpose()
                .map_err(|e| Failure::new(Exit::Usage, "key", "the key is named by its SHA-256").because(e))?;
            let revoked = if revoked { Some(true) } else { valid.then_some(false) };
            let filter = CertificateFilter { subject, authority, key, revoked, after: 0, limit: PAGE };
            let out = common.out();
            list(out, &common.records()?, filter, out.limit(limit))
        }
        Verb::Inspect { serial } => {
            let store = common.records()?;
            let row = find(&store, &serial)?;
            let row_out = shown(&row);
            let certificate = Certificate::decode(&row.der).ok();
            common.out().one(&row_out, || {
                let mut text = certificate.map(|c| inspect::certificate_text(&c)).unwrap_or_default();
                text.push_str(&format!("device or holder   {}\n", row_out.subject));
                text.push_str(&format!("profile            {} ({})\n", row_out.profile, row_out.profile_digest));
                if let (Some(at), Some(reason)) = (&row_out.revoked_at, &row_out.revocation_reason) {
                    text.push_str(&format!("REVOKED            {at}, {reason}\n"));
                }
                text + &row_out.pem
            })
        }
        Verb::Export { to, authority } => export(common, &to, authority),
        Verb::Revoke { serial, device, reason, yes, dry_run } => {
            let serial = match device {
                Some(device) => held_by(common, &device)?,
                None => serial.unwrap_or_default(),
            };
            revoke(common, &serial, &reason, yes, dry_run)
        }
    }
}

fn list(out: Output, store: &SqliteStore, mut filter: CertificateFilter, limit: u32) -> Result {
    let columns = ["serial", "subject", "profile", "authority", "issued_at", "not_after", "revocation_reason"];
    let mut left = limit;
    let mut collected = Vec::new();
    loop {
        let page = store.certificates(&CertificateFilter { limit: PAGE.min(left), ..filter.clone() })?;
        let Some(last) = page.last() else { break };
        filter.after = last.id;
        left = left.saturating_sub(u32::try_from(page.len()).unwrap_or(u32::MAX));
        let mut rows = page.iter().map(shown);
        // A line at a time needs no memory, however many there are.
        if out.format() == Format::Jsonl {
            rows.try_for_each(|row| out.line(&row))?;
        } else {
            collected.extend(rows);
        }
        if left == 0 {
            break;
        }
    }
    if out.format() != Format::Jsonl {
        out.rows(&columns, &collected)?;
    }
    out.cut(limit - left, limit);
    Ok(())
}

fn shown(row: &CertificateRow) -> Row {
    let certificate = Certificate::decode(&row.der).ok();
    Row {
        serial: row.serial.to_string(),
        subject: row.subject.to_string(),
        profile: row.profile.to_string(),
        authority: row.authority.to_string(),
        issued_at: row.at.to_string(),
        not_after: certificate.map(|c| c.tbs().not_after.to_string()).unwrap_or_default(),
        confirmed: row.confirmed,
        revoked_at: row.revoked.map(|(at, _)| at.to_string()),
        revocation_reason: row.revoked.map(|(_, reason)| reason.name().to_owned()),
        transaction_id: row.transaction_id.to_string(),
        profile_digest: row.profile_digest.to_string(),
        pem: pem::encode("CERTIFICATE", &row.der),
    }
}

fn find(store: &SqliteStore, serial: &str) -> Result<CertificateRow> {
    let number = SerialNumber::from_hex(serial).ok_or_else(|| {
        Failure::new(Exit::Usage, "serial", format!("{serial:?} is no serial number"))
            .because("it is 1 to 20 octets in hexadecimal digits, and not zero")
            .next("write it as `cradle cert list` shows it")
    })?;
    store.certificate(&number)?.ok_or_else(|| {
        Failure::new(Exit::NotFound, "serial-unknown", format!("{number} is not known"))
            .because("no certificate has this serial number")
            .next("list them with `cradle cert list`")
    })
}

fn export(common: &Common, to: &Path, authority: Option<AuthorityName>) -> Result {
    let store = common.records()?;
    if let Some(name) = authority.as_ref() {
        super::ca::chain_of(&store, name)?;
    }
    let count = export_all(&store, to, authority)?;
    let place = to.display().to_string();
    common.out().one(&serde_json::json!({"certificates": count, "directory": place}), || {
        format!("{count} certificates written to {place}\n")
    })
}

/// Writes certificates as PEM files, one for each. Gives their number.
pub(crate) fn export_all(store: &SqliteStore, to: &Path, authority: Option<AuthorityName>) -> Result<u64> {
    std::fs::create_dir_all(to).map_err(|e| Failure::file(to, &e))?;
    let mut filter = CertificateFilter { authority, limit: PAGE, ..CertificateFilter::default() };
    let mut count: u64 = 0;
    loop {
        let page = store.certificates(&filter)?;
        let Some(last) = page.last() else { break };
        filter.after = last.id;
        for row in &page {
            let path = to.join(format!("{}.pem", row.serial));
            files::publish(&path, pem::encode("CERTIFICATE", &row.der).as_bytes())
                .map_err(|e| Failure::file(&path, &e))?;
            count += 1;
        }
    }
    Ok(count)
}

/// The serial number of the certificate that a device holds.
fn held_by(common: &Common, device: &str) -> Result<String> {
    let found = super::device::find(&common.records()?, device)?;
    found.certificate.ok_or_else(|| {
        Failure::new(Exit::NotFound, "serial-unknown", format!("{} holds no certificate", found.id))
            .because(format!("it is {}", found.custody))
            .next("see `cradle device show`")
    })
}

fn revoke(common: &Common, serial: &str, reason: &str, yes: bool, dry_run: bool) -> Result {
    let out = common.out();
    let reason = RevocationReason::by_name(reason).ok_or_else(|| {
        let names: Vec<_> = RevocationReason::ALL.iter().map(|r| r.name()).collect();
        Failure::new(Exit::Usage, "reason", format!("{reason:?} is no reason"))
            .because(format!("the reasons are {}", names.join(", ")))
            .next("choose one of them")
    })?;
    let (plan, authority) = {
        let row = find(&common.records()?, serial)?;
        let plan = format!("{} of {} ({}), for {}, for good", row.serial, row.subject, row.profile, reason.name());
        (plan, row.authority)
    };
    if dry_run {
        return out.one(&serde_json::json!({"would_revoke": plan}), || format!("would revoke {plan}\n"));
    }
    if !yes {
        super::confirm(out, &format!("This revokes {plan}."), serial)?;
    }
    let installation = Installation::open(&common.data, common.passphrase_file.as_deref())?;
    installation.ask(&Revoke { serial: serial.to_owned(), reason }, &format!("revoking {serial}"))?;
    out.one(&serde_json::json!({"revoked": serial, "reason": reason.name()}), || format!("revoked {plan}\n"))?;
    out.next(&format!("cradle crl issue {authority}, so that others learn of it"));
    Ok(())
}
