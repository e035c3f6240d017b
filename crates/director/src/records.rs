//! Devices, and what groups and types of them get.

use crate::names::{Name, Spki};
use model::{DeviceId, DeviceType};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// A part of a device that has software of its own.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Component {
    /// What hardware it is.
    pub hardware_id: DeviceType,
    /// The key with which it signs its report.
    pub key: Spki,
}

/// A device, as its maker has registered it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Device {
    /// Who it is.
    pub id: DeviceId,
    /// The key with which it signs its manifest.
    pub key: Spki,
    /// What it is made of.
    pub components: BTreeMap<Name, Component>,
    /// To which groups it belongs.
    #[serde(default)]
    pub groups: BTreeSet<Name>,
    /// What is assigned to this device alone: a target for each component.
    #[serde(default)]
    pub assigned: BTreeMap<Name, String>,
}

/// Over which interface devices of a type are served.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Interface {
    /// They follow signed directions, and sign what they report.
    Uptane,
    /// hawkBit's, besides: they believe the connection, and their reports are not signed.
    Ddi,
}

/// For whom an assignment is.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Scope {
    /// The devices of a group.
    Group(Name),
    /// The devices of a type.
    Type(DeviceType),
}

impl Scope {
    /// Whether this device is meant.
    #[must_use]
    pub fn covers(&self, device: &Device) -> bool {
        match self {
            Self::Group(group) => device.groups.contains(group),
            Self::Type(device_type) => device.id.device_type == *device_type,
        }
    }
}

/// What the devices of a scope get.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Assignment {
    /// For whom.
    pub scope: Scope,
    /// For which component.
    pub component: Name,
    /// Which target.
    pub image: String,
}
