//! Changing the standing of a certificate: revoked, on hold, released.

use super::{Common, find};
use crate::compose::Installation;
use crate::fault::{Exit, Failure, Result};
use model::contract::authority::{Release, RevocationReason, Revoke};
use model::{AuthorityName, Entity};
use ports::store::AuthorityStore;
use ports::store::authority::{CertificateFilter, CertificateRow};

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
    fn row(&self, common: &Common) -> Result<CertificateRow> {
        let serial = match &self.device {
            Some(device) => held_by(common, device)?,
            None => self.serial.clone().unwrap_or_default(),
        };
        find(&common.records()?, &serial)
    }
}

/// The serial number of the certificate that a device holds; or of the one that was read back of it after a restore.
fn held_by(common: &Common, device: &str) -> Result<String> {
    let store = common.records()?;
    let found = crate::cli::device::find(&store, device)?;
    if let Some(serial) = found.certificate {
        return Ok(serial);
    }
    let subject = Some(Entity::Device(found.id.clone()));
    let mut rows = store.certificates(&CertificateFilter { subject, limit: 100, ..CertificateFilter::default() })?;
    rows.retain(|row| {
        let is_final = row.revoked.is_some_and(|(_, reason)| reason != RevocationReason::CertificateHold);
        row.is_read_back() && !is_final
    });
    match rows.as_slice() {
        [only] => Ok(only.serial.to_string()),
        [] => Err(Failure::new(Exit::NotFound, "serial-unknown", format!("{} holds no certificate", found.id))
            .because(format!("it is {}", found.custody))
            .next("see `cradle device show`")),
        several => {
            let serials: Vec<_> = several.iter().map(|row| row.serial.to_string()).collect();
            Err(Failure::new(Exit::Usage, "serial", format!("{} has several certificates", found.id))
                .because(format!("{} were read back after a restore", serials.join(", ")))
                .next("name one by its serial number"))
        }
    }
}

pub(super) fn revoke(common: &Common, one: &One, reason: &str) -> Result {
    let out = common.out();
    let reason = RevocationReason::by_name(reason).ok_or_else(|| {
        let names: Vec<_> = RevocationReason::ALL.iter().map(|r| r.name()).collect();
        Failure::new(Exit::Usage, "reason", format!("{reason:?} is no reason"))
            .because(format!("the reasons are {}", names.join(", ")))
            .next("choose one of them")
    })?;
    let row = one.row(common)?;
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
    installation.ask(&Revoke { serial: serial.clone(), reason }, &format!("revoking {serial}"))?;
    out.one(&serde_json::json!({"revoked": serial, "reason": reason.name()}), || format!("revoked {plan}\n"))?;
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
    let row = one.row(common)?;
    let serial = row.serial.to_string();
    let plan = format!("{serial} of {} ({}) from hold: it is good again", row.subject, row.profile);
    if one.dry_run {
        return out.one(&serde_json::json!({"would_release": plan}), || format!("would release {plan}\n"));
    }
    if !one.yes {
        super::super::confirm(out, &format!("This releases {plan}."), &serial)?;
    }
    let installation = Installation::open(&common.data, common.passphrase_file.as_deref())?;
    installation.ask(&Release { serial: serial.clone() }, &format!("releasing {serial}"))?;
    out.one(&serde_json::json!({"released": serial}), || format!("released {plan}\n"))?;
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
