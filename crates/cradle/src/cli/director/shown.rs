//! What `cradle director` shows of devices, and of how all of it stands.

use super::{RolloutRow, failed, open};
use crate::cli::Common;
use crate::fault::Result;
use director::{Account, Director, Name};
use model::DeviceId;
use serde_json::json;

pub(super) fn device(common: &Common, id: &DeviceId) -> Result {
    let director = open(common)?;
    let device = director.device(id).map_err(failed(format!("{id} is not known")))?;
    let gaps = director.gaps(id).map_err(failed(format!("{id} cannot be looked at")))?;
    let account = director.account(id).map_err(failed(format!("{id} cannot be looked at")))?;
    let reporters = director.reporters(id).map_err(failed(format!("{id} cannot be looked at")))?;
    let shown = json!({ "device": device, "missing_manifests": gaps, "ddi": account, "reporters": reporters });
    common.out().one(&shown, || {
        let mut text = format!("{id}\n");
        for (name, component) in &device.components {
            let assigned = device.assigned.get(name).map_or("-", String::as_str);
            text += &format!("  {name}: {}, assigned: {assigned}\n", component.hardware_id);
        }
        let groups: Vec<_> = device.groups.iter().map(Name::as_str).collect();
        let gaps: Vec<_> = gaps.iter().map(ToString::to_string).collect();
        text += &format!("  groups: {}\n  manifests that did not come: {}\n", groups.join(" "), gaps.join(" "));
        for (name, account) in &reporters {
            let missing: Vec<_> = account.missing.iter().map(ToString::to_string).collect();
            text += &format!("  {name}: {} reports, did not come: {}\n", account.reports, missing.join(" "));
        }
        text + &said(&account)
    })
}

/// What a device has said over DDI; nothing if it has said nothing.
fn said(account: &Account) -> String {
    let mut text = String::new();
    for (component, claim) in &account.installed {
        text += &format!("  says, unsigned, that {component} has {}\n", claim.image);
    }
    for (component, claim) in &account.failed {
        text += &format!("  says, unsigned, that {component} could not install {}:\n", claim.image);
        claim.details.iter().for_each(|line| text += &format!("    {line}\n"));
    }
    for (name, value) in &account.attributes {
        text += &format!("  says of itself: {name} = {value}\n");
    }
    text
}

pub(super) fn who_has(common: &Common, director: &Director, image: &str) -> Result {
    let holders = director.who_has(image).map_err(failed("the reports cannot be read"))?;
    common.out().rows(&["device", "component", "image", "release_counter", "by"], &holders)
}

pub(super) fn status(common: &Common) -> Result {
    let overview = open(common)?.overview().map_err(failed("the director cannot be looked at"))?;
    let rollouts: Vec<_> = overview.rollouts.iter().map(RolloutRow::of).collect();
    let shown = json!({
        "devices": overview.devices, "reported": overview.reported, "manifests": overview.manifests,
        "missing_manifests": overview.gaps, "images": overview.images, "rollouts": rollouts,
        "ddi_types": overview.ddi_types, "ddi_devices": overview.ddi,
    });
    common.out().one(&shown, || {
        let mut text = format!(
            "{} devices, of which {} have reported\n{} manifests came, {} did not\n{} targets can be given\n",
            overview.devices, overview.reported, overview.manifests, overview.gaps, overview.images
        );
        if !overview.ddi_types.is_empty() || overview.ddi > 0 {
            let types = overview.ddi_types.join(", ");
            text +=
                &format!("over DDI: types {types}; {} devices said something, nothing of it signed\n", overview.ddi);
        }
        for row in &rollouts {
            let state = format!("{:?}", row.state).to_lowercase();
            text += &format!(
                "roll-out {} of {}: {state}, stage {} of {}, {} installed, {} failed",
                row.name, row.image, row.stage, row.stages, row.installed, row.failed
            );
            let unsigned = format!(", of which {} were only said over DDI, unsigned", row.unsigned);
            text += if row.unsigned > 0 { &unsigned } else { "" };
            text.push('\n');
        }
        text
    })
}
