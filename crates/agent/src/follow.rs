//! Bringing both repositories up to date, and what they agree on for this device.

use crate::config::{Config, Places};
use crate::fault::{Failure, Result};
use crate::keep::{Side, begin_with};
use crate::state::State;
use model::UnixTime;
use std::collections::BTreeMap;
use update::tuf::{Client, Limits};
use update::uptane::{Agreed, Component, ComponentId, Directions, Inventory, ManifestKey};

/// Brings both up to date, and gives what they agree on. One time judges all of it. The key to which the director wants reports sealed
/// is kept. What was not as it was left goes to `notes`.
pub(crate) fn follow(
    config: &Config,
    places: &Places,
    state: &mut State,
    notes: &mut Vec<Failure>,
    now: UnixTime,
) -> Result<Vec<Agreed>> {
    let inventory = inventory(config, state)?;
    for (name, root) in config.roots() {
        notes.extend(begin_with(&config.data.join(name), root, now)?);
    }
    let mut director_side = Side::new(config.data.join("director"), &places.director_metadata);
    let mut images_side = Side::new(config.data.join("images"), &places.metadata);
    let mut director = Client::new(Limits::DEFAULT, now);
    director.drive(&mut director_side).map_err(|why| director_side.failed("director", why))?;
    let said = |bad| Failure::disagree("director: targets.json", bad);
    // Also if its directions are refused: that the device carries something else is then what it has to report.
    let manifest_key = ManifestKey::announced(&director).map_err(said)?;
    if state.manifest_key != manifest_key {
        state.manifest_key = manifest_key;
        state.save(&config.data)?;
    }
    let directions = Directions::read(&director, &inventory).map_err(said)?;
    drop(director);
    let mut images = Client::new(Limits::DEFAULT, now);
    images.drive(&mut images_side).map_err(|why| images_side.failed("image repository", why))?;
    let mut all = Vec::new();
    for name in directions.targets() {
        images.find(name).map_err(|refused| Failure::refused(&refused))?;
        images.drive(&mut images_side).map_err(|why| images_side.failed("image repository", why))?;
        let target = images.found().map_err(|refused| Failure::refused(&refused))?;
        let agreed = directions.agree(&target).map_err(|bad| Failure::disagree(name, bad))?;
        let demand = |id: &ComponentId| config.components.get(&id.to_string()).map_or(1, |one| one.signing_roles_min);
        agreed.demanded(demand).map_err(|bad| Failure::disagree(name, bad))?;
        all.push(agreed);
    }
    Ok(all)
}

fn inventory(config: &Config, state: &State) -> Result<Inventory> {
    let mut components = BTreeMap::new();
    for (name, component) in &config.components {
        let id = name.parse().map_err(|_| Failure::usage(format!("{name} is no name of a component")))?;
        let floor = state.components.get(name).map_or(0, |known| known.floor);
        components.insert(id, Component { hardware_id: component.hardware_id.clone(), floor });
    }
    Ok(Inventory { device: config.device.clone(), components })
}
