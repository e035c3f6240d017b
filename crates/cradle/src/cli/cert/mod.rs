//! `cradle cert`: certificates.

mod expiry;
mod export;
pub(crate) mod standing;

pub(crate) use export::export_all;

use super::Common;
use super::inspect;
use crate::fault::{Exit, Failure, Result};
use crate::output::Output;
use adapters::store::SqlStore;
use model::{AuthorityName, Digest, Entity, ProfileName, UnixTime};
use ports::store::AuthorityStore;
use ports::store::authority::{CertificateFilter, CertificateRow, Kept};
use serde::Serialize;
use std::path::PathBuf;
use utoipa::ToSchema;
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
        #[command(flatten)]
        which: Which,
        /// At most so many; 0 for all. If nothing is said, 50 for people and all for programs.
        #[arg(long)]
        limit: Option<u32>,
    },
    /// Show one certificate.
    Inspect {
        /// Its serial number in hexadecimal digits.
        serial: String,
    },
    /// Write certificates as PEM, CSV or JSON lines, however many there are.
    Export {
        #[command(flatten)]
        which: Which,
        /// As what: `files` are PEM files in a directory, one for each, named by serial number.
        #[arg(long = "as", value_enum, default_value = "files", value_name = "FORM")]
        written: export::Written,
        /// The directory of the files, or the file; if it is left out this directory, or standard output.
        #[arg(long)]
        to: Option<PathBuf>,
    },
    /// Show what expires when, by month.
    Expiry {
        /// Draw it into this file too, as SVG.
        #[arg(long, value_name = "FILE")]
        svg: Option<PathBuf>,
    },
    /// Revoke a certificate, for good; or put it on hold.
    Revoke {
        #[command(flatten)]
        one: standing::One,
        /// Why: unspecified, key-compromise, ca-compromise, affiliation-changed, superseded,
        /// cessation-of-operation, privilege-withdrawn; or certificate-hold, which can be taken back.
        #[arg(long, default_value = "unspecified")]
        reason: String,
        /// With --device: everything that it holds.
        #[arg(long, requires = "device")]
        all: bool,
    },
    /// Release a certificate from hold: it is good again.
    Release {
        #[command(flatten)]
        one: standing::One,
    },
}

/// Which certificates.
#[derive(clap::Args)]
struct Which {
    /// Of this device or other subject: `urn:dev:ops:...`, `authority:NAME`, `operator:NAME`.
    #[arg(long)]
    subject: Option<Entity>,
    /// Of this device: its serial number or its name.
    #[arg(long, conflicts_with = "subject")]
    device: Option<String>,
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
    /// Issued under this profile.
    #[arg(long)]
    profile: Option<ProfileName>,
    /// That expire before this moment: `2027-01-31` or `2027-01-31T12:00:00Z`.
    #[arg(long, value_name = "MOMENT", value_parser = super::moment)]
    expires_before: Option<UnixTime>,
    /// That expire at or after this moment.
    #[arg(long, value_name = "MOMENT", value_parser = super::moment)]
    expires_after: Option<UnixTime>,
}

impl Which {
    fn filter(self, common: &Common) -> Result<CertificateFilter> {
        let key = self.key.map(|text| text.parse::<Digest>()).transpose();
        let key = key.map_err(|e| Failure::new(Exit::Usage, "key", "the key is named by its SHA-256").because(e))?;
        let subject = match self.device {
            Some(device) => Some(Entity::Device(super::device::find(&common.records()?, &device)?.id)),
            None => self.subject,
        };
        let revoked = if self.revoked { Some(true) } else { self.valid.then_some(false) };
        Ok(CertificateFilter {
            subject,
            authority: self.authority,
            key,
            revoked,
            profile: self.profile,
            expires_from: self.expires_after,
            expires_before: self.expires_before,
            after: 0,
            limit: PAGE,
        })
    }
}

/// A certificate.
#[derive(Serialize, ToSchema)]
#[schema(as = Certificate)]
pub(crate) struct Row {
    serial: String,
    subject: String,
    profile: String,
    authority: String,
    issued_at: String,
    not_after: String,
    confirmed: bool,
    state: &'static str,
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
        Verb::List { which, limit } => {
            let filter = which.filter(common)?;
            list(common.out(), &common.records()?, filter, common.out().limit(limit))
        }
        Verb::Inspect { serial } => {
            let store = common.records()?;
            let row = find(&store, &serial)?;
            let row_out = shown(&row);
            let certificate = Certificate::decode(&row.der).ok();
            common.out().one(&row_out, || {
                let mut text = certificate.map(|c| inspect::certificate_text(&c)).unwrap_or_default();
                if row.is_read_back() {
                    text.push_str(&format!("serial number      {}\n", row_out.serial));
                    text.push_str("READ BACK          it was issued after the backup: only its number is known\n");
                } else if row.der.is_empty() {
                    text.push_str(&format!("serial number      {}\n", row_out.serial));
                    text.push_str(&format!(
                        "PURGED             it expired at {}; its octets are gone\n",
                        row.not_after
                    ));
                }
                text.push_str(&format!("device or holder   {}\n", row_out.subject));
                text.push_str(&format!("profile            {} ({})\n", row_out.profile, row_out.profile_digest));
                if let (Some(at), Some(reason)) = (&row_out.revoked_at, &row_out.revocation_reason) {
                    text.push_str(&format!("REVOKED            {at}, {reason}\n"));
                }
                text + &row_out.pem
            })
        }
        Verb::Export { which, written, to } => {
            export::check_authority(common, which.authority.as_ref())?;
            export::run(common, which.filter(common)?, written, to.as_deref())
        }
        Verb::Expiry { svg } => expiry::run(common, svg.as_deref()),
        Verb::Revoke { one, reason, all: true } => standing::revoke_all(common, &one, &reason),
        Verb::Revoke { one, reason, all: false } => standing::revoke(common, &one, &reason),
        Verb::Release { one } => standing::release(common, &one),
    }
}

/// The columns of tables and CSV.
const COLUMNS: [&str; 8] =
    ["serial", "subject", "profile", "authority", "issued_at", "not_after", "state", "revocation_reason"];

fn list(out: Output, store: &SqlStore, mut filter: CertificateFilter, limit: u32) -> Result {
    let mut left = limit;
    let mut rows = out.stream(&COLUMNS);
    while left > 0 {
        let page = store.certificates(&CertificateFilter { limit: PAGE.min(left), ..filter.clone() })?;
        let Some(last) = page.last() else { break };
        filter.after = last.id;
        left = left.saturating_sub(u32::try_from(page.len()).unwrap_or(u32::MAX));
        page.iter().try_for_each(|row| rows.add(&shown(row)))?;
    }
    rows.finish()?;
    out.cut(limit - left, limit);
    Ok(())
}

pub(crate) fn shown(row: &CertificateRow) -> Row {
    Row {
        serial: row.serial.to_string(),
        subject: row.subject.to_string(),
        profile: row.profile.to_string(),
        authority: row.authority.to_string(),
        issued_at: row.at.to_string(),
        not_after: row.not_after.to_string(),
        confirmed: row.confirmed,
        state: match (row.kept, row.confirmed) {
            (Kept::Number, _) => "read back",
            (Kept::Purged, _) => "purged",
            (Kept::Octets, true) => "confirmed",
            (Kept::Octets, false) => "issued",
        },
        revoked_at: row.revoked.map(|(at, _)| at.to_string()),
        revocation_reason: row.revoked.map(|(_, reason)| reason.name().to_owned()),
        transaction_id: row.transaction_id.to_string(),
        profile_digest: row.profile_digest.to_string(),
        pem: if row.der.is_empty() { String::new() } else { pem::encode("CERTIFICATE", &row.der) },
    }
}

pub(crate) fn find(store: &SqlStore, serial: &str) -> Result<CertificateRow> {
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
