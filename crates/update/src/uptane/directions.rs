//! What the director says, and whether the image repository agrees.

use super::fault::BadDirections;
use crate::fault::BadRelease;
use crate::json::Json;
use crate::metadata::{Object, number, object, read_hardware_ids, text};
use crate::name::PlainName;
use crate::tuf::{Client, Target};
use model::{DeviceId, DeviceType};
use std::collections::BTreeMap;

/// Most components of a device, and most targets for it.
pub(super) const COMPONENTS_MAX: usize = 256;

/// The name of a component within its device.
pub type ComponentId = PlainName;

/// A component, as the device knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Component {
    /// What hardware it is.
    pub hardware_id: DeviceType,
    /// The release counter of what it carries: nothing below is put on it.
    pub floor: u64,
}

/// A device and all of its components, as it knows them itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Inventory {
    /// Who it is.
    pub device: DeviceId,
    /// What it is made of.
    pub components: BTreeMap<ComponentId, Component>,
}

/// What the director says of one target.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Direction {
    target: Target,
    counter: u64,
    components: BTreeMap<ComponentId, DeviceType>,
}

/// What the director says, compared with what the device knows of itself, and with nothing else yet.
#[derive(Debug)]
pub struct Directions {
    directions: Vec<Direction>,
}

/// A target on which both repositories agree, for these components. Only [`Directions::agree`] makes one.
#[derive(Debug, PartialEq, Eq)]
pub struct Agreed {
    target: Target,
    counter: u64,
    components: Vec<ComponentId>,
}

impl Agreed {
    /// Whether as many roles of the image repository say it as each of its components demands.
    ///
    /// # Errors
    /// [`BadDirections::TooFewAgree`]
    pub fn demanded(&self, of: impl Fn(&ComponentId) -> usize) -> Result<(), BadDirections> {
        let demand = self.components.iter().map(of).max().unwrap_or(1);
        if self.target.agreeing() < demand { Err(BadDirections::TooFewAgree) } else { Ok(()) }
    }

    /// The target, as the image repository has it.
    #[must_use]
    pub const fn target(&self) -> &Target {
        &self.target
    }
    /// Its release counter: the new floor of the components that will carry it.
    #[must_use]
    pub const fn counter(&self) -> u64 {
        self.counter
    }
    /// For which components.
    #[must_use]
    pub fn components(&self) -> &[ComponentId] {
        &self.components
    }
}

impl Directions {
    /// Looks at what a director's metadata says, once its client is up to date.
    ///
    /// Limits: 256 targets, and 256 components.
    /// # Errors
    /// [`BadDirections`]. Source: Uptane 2.1.0 §5.4.4.6.
    pub fn read(director: &Client, inventory: &Inventory) -> Result<Self, BadDirections> {
        let (said, consistent) = director.targets().ok_or(BadRelease::Field("targets"))?;
        if said.delegations.is_some() {
            return Err(BadDirections::Delegates);
        }
        let custom = said.custom.as_ref().and_then(Json::object).ok_or(BadRelease::Field("custom"))?;
        if text(custom, "device")? != inventory.device.to_string() {
            return Err(BadDirections::OtherDevice);
        }
        if said.targets.len() > COMPONENTS_MAX {
            return Err(BadDirections::TooMany);
        }
        let mut directions: Vec<Direction> = Vec::new();
        for (name, about) in &said.targets {
            let direction = Direction::read(Target::new(name, about, consistent))?;
            for (id, hardware_id) in &direction.components {
                let component = inventory.components.get(id).ok_or(BadDirections::UnknownComponent)?;
                if directions.iter().any(|other| other.components.contains_key(id)) {
                    return Err(BadDirections::ComponentTwice);
                }
                if component.hardware_id != *hardware_id {
                    return Err(BadDirections::WrongHardware);
                }
                if direction.counter < component.floor {
                    return Err(BadDirections::RolledBack);
                }
            }
            directions.push(direction);
        }
        Ok(Self { directions })
    }

    /// The names of the targets, which the image repository is to be asked for.
    pub fn targets(&self) -> impl Iterator<Item = &str> {
        self.directions.iter().map(|direction| direction.target.name())
    }

    /// Compares a target of the director with what the image repository says of it.
    ///
    /// # Errors
    /// [`BadDirections`] if they differ in anything, or the image repository's is not for the hardware.
    /// Source: Uptane 2.1.0 §5.4.4.2.
    pub fn agree(&self, image: &Target) -> Result<Agreed, BadDirections> {
        let named = |direction: &&Direction| direction.target.name() == image.name();
        let direction = self.directions.iter().find(named).ok_or(BadDirections::OtherName)?;
        if direction.target.length() != image.length() {
            return Err(BadDirections::OtherLength);
        }
        // All of them, and the same ones: a hash that only one of the two has was compared by nobody.
        if direction.target.hashes() != image.hashes() {
            return Err(BadDirections::OtherHashes);
        }
        let custom = custom(image)?;
        if number(custom, "release_counter")? != direction.counter {
            return Err(BadDirections::OtherCounter);
        }
        let hardware_ids = read_hardware_ids(custom)?;
        if !direction.components.values().all(|hardware_id| hardware_ids.contains(hardware_id)) {
            return Err(BadDirections::WrongHardware);
        }
        let components: Vec<_> = direction.components.keys().cloned().collect();
        Ok(Agreed { target: image.clone(), counter: direction.counter, components })
    }
}

impl Direction {
    fn read(target: Target) -> Result<Self, BadDirections> {
        let custom = custom(&target)?;
        let counter = number(custom, "release_counter")?;
        let named = object(custom, "components")?;
        if named.is_empty() {
            return Err(BadDirections::NoComponent);
        }
        if named.len() > COMPONENTS_MAX {
            return Err(BadDirections::TooMany);
        }
        let read = |(id, about): (&String, &Json)| {
            let about = about.object().ok_or(BadRelease::Field("components"))?;
            let hardware_id = text(about, "hardware_id")?.parse().map_err(|_| BadRelease::BadName)?;
            Ok((id.parse()?, hardware_id))
        };
        let components = named.iter().map(read).collect::<Result<_, BadRelease>>()?;
        Ok(Self { target, counter, components })
    }
}

fn custom(target: &Target) -> Result<&Object, BadRelease> {
    target.custom().and_then(Json::object).ok_or(BadRelease::Field("custom"))
}
