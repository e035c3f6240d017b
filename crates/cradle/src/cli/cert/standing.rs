//! Changing the standing of a certificate: revoked, on hold, released.

use super::{Common, find};
use crate::compose::Installation;
use crate::fault::{Exit, Failure, Result};
use adapters::clock::SystemClock;
use model::contract::authority::{Release, RevocationReason, Revoke};
use model::{AuthorityName, Entity};
use ports::Clock;
use ports::store::AuthorityStore;
use ports::store::authority::{CertificateFilter, CertificateRow};
use ports::store::identity::DeviceRow;
use serde::Serialize;
use std::collections::BTreeSet;
use utoipa::ToSchema;

/// Which certificate, and whether somebody is asked first.
#[derive(clap::Args)]
pub(super) struct One {
    /// Its serial number in hexadecimal digits.
    #[arg(required_unless_present = "device")]
    serial: Option<String>,
    /// The certificate that this device holds: its serial number or its name.
    #[arg(long, conflicts_with = "serial")]
    device: Option<String>,
    /// Do it without asking for the serial number again.
    #[arg(short, long)]
    yes: bool,
    /// Show what would be done, and do nothing.
    #[arg(long)]
    dry_run: bool,
}

impl One {
    /// The one that is meant; of a device only those count that are as `is_meant` says.
    fn row(&self, common: &Common, is_meant: impl Fn(&CertificateRow) -> bool) -> Result<CertificateRow> {
        match &self.device {
            Some(device) => held_by(common, device, is_meant),
            None => find(&common.records()?, self.serial.as_deref().unwrap_or_default()),
        }
    }
}

/// Whether it is revoked for good.
fn is_final(row: &CertificateRow) -> bool {
    row.revoked.is_some_and(|(_, reason)| reason != RevocationReason::CertificateHold)
}

/// Most certificates of one device that are looked at.
const HELD_MAX: u32 = 1000;

/// The device, and its certificates that have not ended and are not revoked for good: that of its station, those that it enrolled
/// for, and those that were read back after a restore.
fn standing_of(common: &Common, device: &str) -> Result<(DeviceRow, Vec<CertificateRow>)> {
    let store = common.records()?;
    let found = crate::cli::device::find(&store, device)?;
    let subject = Some(Entity::Device(found.id.clone()));
    let expires_from = Some(SystemClock.now());
    let filter = CertificateFilter { subject, expires_from, limit: HELD_MAX, ..CertificateFilter::default() };
    let mut rows = store.certificates(&filter)?;
    rows.retain(|row| !is_final(row));
    Ok((found, rows))
}

/// The only certificate of a device that is meant.
fn held_by(common: &Common, device: &str, is_meant: impl Fn(&CertificateRow) -> bool) -> Result<CertificateRow> {
    let (found, mut rows) = standing_of(common, device)?;
    rows.retain(is_meant);
    match (rows.len(), rows.pop(), &found.certificate) {
        (1, Some(only), _) => Ok(only),
        (0, _, Some(serial)) => find(&common.records()?, serial),
        (0, _, None) => Err(holds_none(&found)),
        (_, last, _) => {
            let serials: Vec<_> = rows.iter().chain(&last).map(|row| row.serial.to_string()).collect();
            Err(Failure::new(Exit::Usage, "serial", format!("{} has several certificates", found.id))
                .because(serials.join(", "))
                .next("name one by its serial number, or revoke all of them with --all; `cradle device show` says which is which"))
        }
    }
}

fn holds_none(found: &DeviceRow) -> Failure {
    Failure::new(Exit::NotFound, "serial-unknown", format!("{} holds no certificate", found.id))
        .because(format!("it is {}", found.custody))
        .next("see `cradle device show`")
}

/// Revokes everything that a device holds.
pub(super) fn revoke_all(common: &Common, one: &One, reason: &str) -> Result {
    let (out, reason) = (common.out(), reason_of(reason)?);
    let (found, rows) = standing_of(common, one.device.as_deref().unwrap_or_default())?;
    if rows.is_empty() {
        return Err(holds_none(&found));
    }
    let serials: Vec<_> = rows.iter().map(|row| row.serial.to_string()).collect();
    let plan = format!("{} of {}, for {}", serials.join(", "), found.id, reason.name());
    if one.dry_run {
        return out.one(&serde_json::json!({"would_revoke": plan}), || format!("would revoke {plan}\n"));
    }
    if !one.yes {
        super::super::confirm(out, &format!("This revokes {plan}."), found.id.serial.as_str())?;
    }
    let installation = Installation::open(&common.data, common.passphrase_file.as_deref())?;
    for serial in &serials {
        revoke_in(&installation, serial, reason)?;
    }
    out.one(&serde_json::json!({"revoked": serials, "reason": reason.name()}), || format!("revoked {plan}\n"))?;
    let authorities: BTreeSet<_> = rows.iter().map(|row| &row.authority).collect();
    authorities.into_iter().try_for_each(|authority| tell_others(common, authority))
}

/// A certificate that was revoked.
#[derive(Serialize, ToSchema)]
pub(crate) struct Revoked {
    revoked: String,
    reason: &'static str,
}

/// Revokes a certificate, for good, or puts it on hold.
pub(crate) fn revoke_in(installation: &Installation, serial: &str, reason: RevocationReason) -> Result<Revoked> {
    installation.ask(&Revoke { serial: serial.to_owned(), reason }, &format!("revoking {serial}"))?;
    Ok(Revoked { revoked: serial.to_owned(), reason: reason.name() })
}

/// A certificate that was released from hold.
#[derive(Serialize, ToSchema)]
pub(crate) struct Released {
    released: String,
}

/// Releases a certificate from hold.
pub(crate) fn release_in(installation: &Installation, serial: &str) -> Result<Released> {
    installation.ask(&Release { serial: serial.to_owned() }, &format!("releasing {serial}"))?;
    Ok(Released { released: serial.to_owned() })
}

pub(crate) fn reason_of(reason: &str) -> Result<RevocationReason> {
    RevocationReason::by_name(reason).ok_or_else(|| {
        let names: Vec<_> = RevocationReason::ALL.iter().map(|r| r.name()).collect();
        Failure::new(Exit::Usage, "reason", format!("{reason:?} is no reason"))
            .because(format!("the reasons are {}", names.join(", ")))
            .next("choose one of them")
    })
}

pub(super) fn revoke(common: &Common, one: &One, reason: &str) -> Result {
    let out = common.out();
    let reason = reason_of(reason)?;
    let row = one.row(common, |_| true)?;
    let serial = row.serial.to_string();
    let is_hold = reason == RevocationReason::CertificateHold;
    let length = if is_hold { "until it is released" } else { "for good" };
    let plan = format!("{serial} of {} ({}), for {}, {length}", row.subject, row.profile, reason.name());
    if one.dry_run {
        return out.one(&serde_json::json!({"would_revoke": plan}), || format!("would revoke {plan}\n"));
    }
    if !one.yes {
        super::super::confirm(out, &format!("This revokes {plan}."), &serial)?;
    }
    let installation = Installation::open(&common.data, common.passphrase_file.as_deref())?;
    out.one(&revoke_in(&installation, &serial, reason)?, || format!("revoked {plan}\n"))?;
    tell_others(common, &row.authority)?;
    if row.is_read_back() && reason == RevocationReason::Superseded && row.subject.device().is_some() {
        out.next(&format!("cradle station run: {} may be certified once more", row.subject));
    }
    if is_hold {
        out.next(&format!("cradle cert release {serial}, if it turns out that nothing was wrong"));
    }
    Ok(())
}

pub(super) fn release(common: &Common, one: &One) -> Result {
    let out = common.out();
    let row = one.row(common, |row| row.revoked.is_some())?;
    let serial = row.serial.to_string();
    let plan = format!("{serial} of {} ({}) from hold: it is good again", row.subject, row.profile);
    if one.dry_run {
        return out.one(&serde_json::json!({"would_release": plan}), || format!("would release {plan}\n"));
    }
    if !one.yes {
        super::super::confirm(out, &format!("This releases {plan}."), &serial)?;
    }
    let installation = Installation::open(&common.data, common.passphrase_file.as_deref())?;
    out.one(&release_in(&installation, &serial)?, || format!("released {plan}\n"))?;
    tell_others(common, &row.authority)
}

fn tell_others(common: &Common, authority: &AuthorityName) -> Result {
    let rows = common.records()?.authorities()?;
    if rows.iter().any(|row| row.name == *authority && row.key.is_foreign()) {
        common.out().say(&format!("Others learn of it from the lists of {authority}, which makes its own."));
    } else {
        common.out().next(&format!("cradle crl issue {authority}, so that others learn of it"));
    }
    Ok(())
}
