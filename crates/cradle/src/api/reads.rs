//! What is looked at.

use super::answer::bad_request;
use super::asked::Asked;
use super::desk::Desk;
use super::pages::{page, whole};
use crate::cli::{
    approve, audit as log, ca, cert, device as registry, explain as explaining, list, mode as modes, moment,
};
use crate::fault::{Exit, Failure, Result};
use crate::survey::{Counting, Survey};
use adapters::clock::SystemClock;
use model::lifecycle::Custody;
use model::{AuthorityName, Entity};
use ports::Clock;
use ports::store::authority::CertificateFilter;
use ports::store::identity::DeviceFilter;
use ports::store::{AuthorityStore, IdentityStore};
use serde::Serialize;
use serde_json::Value;

pub(super) fn value(thing: &impl Serialize) -> Result<Value> {
    serde_json::to_value(thing)
        .map_err(|e| Failure::new(Exit::Failed, "output", "a result cannot be written").because(e))
}

pub(super) fn status(desk: &Desk, _asked: &Asked) -> Result<Value> {
    value(&Survey::take(desk.data(), SystemClock.now(), Counting::Few)?)
}

pub(super) fn devices(desk: &Desk, asked: &Asked) -> Result<Value> {
    let store = desk.records()?;
    let custody = match asked.value("custody") {
        Some("planned") => Some(Custody::Planned),
        Some("made") => Some(Custody::Made),
        Some("provisioned") => Some(Custody::Provisioned),
        _ => None,
    };
    page(asked, |after, limit| {
        let rows = store.devices(&DeviceFilter { serial: None, custody, after, limit })?;
        Ok(rows.iter().map(|device| (device.row, registry::row(device))).collect())
    })
}

pub(super) fn device(desk: &Desk, asked: &Asked) -> Result<Value> {
    value(&registry::shown(&desk.records()?, asked.path("device"))?)
}

pub(super) fn certificates(desk: &Desk, asked: &Asked) -> Result<Value> {
    let store = desk.records()?;
    let subject = match (asked.value("device"), asked.parsed::<Entity>("subject")?) {
        (Some(_), Some(_)) => return Err(bad_request("the subject is named twice", "device and subject are one")),
        // A device that nobody knows has no certificates.
        (Some(device), None) => match registry::find(&store, device) {
            Ok(found) => Some(Entity::Device(found.id)),
            Err(failure) if failure.exit == Exit::NotFound => return Ok(whole::<cert::Row>(&[])),
            Err(failure) => return Err(bad_request("device has a value that it cannot have", failure.why)),
        },
        (None, subject) => subject,
    };
    // They were found to be moments before.
    let at = |name| asked.value(name).and_then(|text| moment(text).ok());
    let filter = CertificateFilter {
        subject,
        authority: asked.parsed("authority")?,
        key: None,
        revoked: asked.value("standing").map(|word| word == "revoked"),
        profile: asked.parsed("profile")?,
        expires_from: at("expires_after"),
        expires_before: at("expires_before"),
        after: 0,
        limit: 0,
    };
    page(asked, |after, limit| {
        let rows = store.certificates(&CertificateFilter { after, limit, ..filter })?;
        Ok(rows.iter().map(|row| (row.id, cert::shown(row))).collect())
    })
}

pub(super) fn certificate(desk: &Desk, asked: &Asked) -> Result<Value> {
    value(&cert::shown(&cert::find(&desk.records()?, asked.path("serial"))?))
}

pub(super) fn authorities(desk: &Desk, _asked: &Asked) -> Result<Value> {
    Ok(whole(&ca::list::rows(&desk.records()?)?))
}

pub(super) fn chain(desk: &Desk, asked: &Asked) -> Result<Value> {
    let named = asked.parsed::<AuthorityName>("authority")?;
    let named = named.ok_or_else(|| bad_request("no authority is named", "it is in the path"))?;
    value(&ca::list::chain_text(&desk.records()?, &named, asked.value("links") == Some("true"))?)
}

pub(super) fn lists(desk: &Desk, _asked: &Asked) -> Result<Value> {
    Ok(whole(&list::rows(&desk.records()?)?))
}

pub(super) fn suppliers(desk: &Desk, _asked: &Asked) -> Result<Value> {
    Ok(whole(&list::supplier_rows(&desk.records()?)?))
}

pub(super) fn approvals(desk: &Desk, _asked: &Asked) -> Result<Value> {
    Ok(whole(&approve::rows(&desk.records()?)?))
}

pub(super) fn mode(desk: &Desk, _asked: &Asked) -> Result<Value> {
    value(&modes::shown(&modes::of_box(desk.data())?))
}

pub(super) fn audit(desk: &Desk, asked: &Asked) -> Result<Value> {
    let store = desk.records()?;
    let from = asked.parsed::<u64>("from")?.unwrap_or(0);
    page(asked, |after, limit| {
        let rows = store.audit_entries(after.max(from), limit)?;
        Ok(rows.iter().map(|entry| (entry.number + 1, log::shown(entry, false))).collect())
    })
}

pub(super) fn explain(desk: &Desk, asked: &Asked) -> Result<Value> {
    value(&explaining::explain(desk.common(), asked.path("about"))?)
}
