//! How many roles must say the same of an image (TAP 3), by the hardware that it is for.
//!
//! An image for such hardware is staged only in a role that is asked together with others, so many of which must agree; and what a role
//! says of it is not published before so many say it.

use crate::fault::Fault;
use crate::plan::Why;
use crate::state::Repository;
use model::DeviceType;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;
use update::tuf::Targets;
use update::tuf::write::{Draft, Listed};

/// Not served.
const FILE: &str = "demands.json";

/// How many roles must say the same, by hardware; not named is one.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Demands(BTreeMap<DeviceType, u8>);

impl Demands {
    /// Each hardware that demands more than one, and how many.
    pub fn all(&self) -> impl Iterator<Item = (&DeviceType, u8)> {
        self.0.iter().map(|(hardware, roles)| (hardware, *roles))
    }

    /// The highest demand of those that what is said of an image is for.
    fn of(&self, custom: &Value) -> Option<(&DeviceType, u8)> {
        let ids = custom.get("hardware_ids").and_then(Value::as_array);
        let ids = ids.into_iter().flatten().filter_map(Value::as_str);
        let found = ids.filter_map(|id| self.0.iter().find(|(hardware, _)| hardware.as_str() == id));
        found.map(|(hardware, roles)| (hardware, *roles)).max_by_key(|(_, roles)| *roles)
    }
}

impl Repository {
    /// Demands that so many roles say the same of what is for this hardware; 1 takes the demand away. What is published stays.
    ///
    /// # Errors
    /// [`Fault::Disk`]
    pub fn demand(&mut self, hardware: &DeviceType, roles: u8) -> Result<(), Fault> {
        let mut demands = self.demands()?;
        if roles > 1 {
            demands.0.insert(hardware.clone(), roles);
        } else {
            demands.0.remove(hardware);
        }
        self.disk.write(FILE, &serde_json::to_vec_pretty(&demands).unwrap_or_default())
    }

    /// What is demanded.
    ///
    /// # Errors
    /// [`Fault::Disk`], also if the file that says so is altered: then nobody knows.
    pub fn demands(&self) -> Result<Demands, Fault> {
        let Some(octets) = self.disk.read(FILE)? else { return Ok(Demands::default()) };
        serde_json::from_slice(&octets)
            .map_err(|e| Fault::Disk { path: self.disk.path(FILE), error: std::io::Error::other(e) })
    }

    /// Refuses an image of which nobody else would be asked to say the same.
    pub(crate) fn check_asked_together(&self, role: &str, custom: &Value) -> Result<(), Fault> {
        let demands = self.demands()?;
        let Some((hardware, demanded)) = demands.of(custom) else { return Ok(()) };
        let drafts: Vec<_> = self.role_names().iter().filter_map(|name| self.role(name)).collect();
        if is_asked_together(role, demanded, &drafts) {
            return Ok(());
        }
        Err(Fault::SignsAlone { role: role.to_owned(), hardware: hardware.clone(), demanded })
    }
}

// Whether so many must agree with what a role says.
fn is_asked_together(role: &str, demanded: u8, drafts: &[&Draft<Targets>]) -> bool {
    let mut delegated = drafts.iter().flat_map(|draft| draft.delegated());
    delegated.any(|one| one.name == role && one.in_agreement_min.unwrap_or(1) >= usize::from(demanded))
}

/// Why a target must wait that is new: too few of these roles say the same of it.
pub(crate) fn unagreed(
    demands: &Demands,
    listed: &Listed<'_>,
    roles: &BTreeMap<&String, &Draft<Targets>>,
) -> Option<Why> {
    let custom: Value = serde_json::from_str(&listed.custom.as_ref()?.json()).ok()?;
    let (hardware, demanded) = demands.of(&custom)?;
    let drafts: Vec<&Draft<Targets>> = roles.values().copied().collect();
    let agrees = |role: &str, draft: &Draft<Targets>| {
        is_asked_together(role, demanded, &drafts) && draft.targets().any(|other| other.says_the_same(listed))
    };
    let said = roles.iter().filter(|(role, draft)| agrees(role, draft)).count();
    let (target, hardware) = (listed.name.to_owned(), hardware.clone());
    (said < usize::from(demanded)).then_some(Why::Agreement { target, hardware, said, demanded })
}
