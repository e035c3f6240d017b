//! A box as a primary of Uptane: who it is, what it provisions, and which repositories it follows.

use super::chain::{Repository, Roots};
use crate::uptane::{Component, Inventory};
use model::{DeviceId, DeviceType, Digest};
use x509::sha256;

/// A box that follows repositories. What follows is decided here, by the box, and not by what comes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Primary {
    /// Who it is: the installation, whose boxes have the same records.
    pub device: DeviceId,
    /// The types of devices that it provisions: its components, each called as its type.
    pub device_types: Vec<DeviceType>,
    /// The first root of the image repository.
    pub images_root: Vec<u8>,
    /// The first root of the director, if it follows one.
    pub director_root: Option<Vec<u8>>,
}

impl Primary {
    /// What it is made of, and below which release counter nothing is put on each type of device.
    #[must_use]
    pub fn inventory(&self, floor: impl Fn(&DeviceType) -> u64) -> Inventory {
        inventory(&self.device, &self.device_types, floor)
    }

    /// The roots that it begins with.
    #[must_use]
    pub fn roots(&self) -> Roots<'_> {
        Roots { images: &self.images_root, director: self.director_root.as_deref() }
    }

    /// The name under which files of a repository are kept: what was kept of another one is not touched when a box begins to follow
    /// this one. `None` if it does not follow a director.
    #[must_use]
    pub fn repository(&self, repository: Repository) -> Option<Digest> {
        match repository {
            Repository::Images => Some(sha256(&self.images_root)),
            Repository::Director => self.director_root.as_deref().map(sha256),
        }
    }
}

pub(super) fn inventory(
    device: &DeviceId,
    device_types: &[DeviceType],
    floor: impl Fn(&DeviceType) -> u64,
) -> Inventory {
    let component = |device_type: &DeviceType| {
        let component = Component { hardware_id: device_type.clone(), floor: floor(device_type) };
        // Each name of a device type is a name of a component.
        Some((device_type.as_str().parse().ok()?, component))
    };
    Inventory { device: device.clone(), components: device_types.iter().filter_map(component).collect() }
}
