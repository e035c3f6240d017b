//! The modules of the system.

use serde::{Deserialize, Serialize};
use std::fmt;

/// A part of the system that has its own key, can run alone, and speaks with the others only over the bus.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Module {
    /// pm: the programming station.
    Provisioning,
    /// km: registration, certification and validation authority.
    Authority,
    /// sm: fetches, verifies, keeps and releases software.
    Software,
    /// cm: the only door to any network that is not the local one.
    Gateway,
    /// ics: device registry, lists, lifecycle.
    Identity,
    /// The operator's way in: command line and pages.
    Console,
    /// Keeps the operation mode of one box and hands out leases.
    Supervisor,
}

impl Module {
    /// All modules, in a fixed order.
    pub const ALL: [Self; 7] = [
        Self::Provisioning,
        Self::Authority,
        Self::Software,
        Self::Gateway,
        Self::Identity,
        Self::Console,
        Self::Supervisor,
    ];

    /// The name in messages, files and certificates.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Provisioning => "provisioning",
            Self::Authority => "authority",
            Self::Software => "software",
            Self::Gateway => "gateway",
            Self::Identity => "identity",
            Self::Console => "console",
            Self::Supervisor => "supervisor",
        }
    }

    /// Whether only its own box calls it: a supervisor keeps the mode of its box, a station has a fixture there.
    #[must_use]
    pub const fn answers_at_home(self) -> bool {
        matches!(self, Self::Supervisor | Self::Provisioning)
    }

    /// The module of that name.
    #[must_use]
    pub fn by_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|m| m.name() == name)
    }
}

impl fmt::Display for Module {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_of_json() {
        for module in Module::ALL {
            assert_eq!(serde_json::to_string(&module).unwrap(), format!("\"{module}\""));
            assert_eq!(Module::by_name(module.name()), Some(module));
        }
    }
}
