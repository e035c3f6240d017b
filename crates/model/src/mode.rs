//! Operation modes: which module may be awake when.

use crate::{Module, OperatorName, UnixTime};
use serde::{Deserialize, Serialize};
use std::fmt;

/// An operation mode of one box.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Mode {
    /// Flash verified software.
    ProvisionSoftware,
    /// Certify a device at the station.
    ProvisionCertificate,
    /// Talk to the remote repository.
    SoftwareManagement,
    /// Serve devices over the network.
    CertificateManagement,
    /// Take software from a stick.
    SoftwareImport,
    /// Make or rotate keys of certification authorities.
    Ceremony,
    /// Nothing but status and backup.
    Sealed,
}

/// What a mode says of a module.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Leave {
    /// It must not run: no socket, no connection, no decrypted key.
    Off,
    /// It may run, if there is work for it.
    Optional,
    /// It runs.
    On,
}

use Leave::{Off, On, Optional};

/// One row of the table of modes.
#[derive(Clone, Copy, Debug)]
#[expect(missing_docs, reason = "the fields are the modules")]
pub struct Row {
    pub mode: Mode,
    pub gateway: Leave,
    pub software: Leave,
    pub authority: Leave,
    pub provisioning: Leave,
    pub identity: Leave,
}

const fn row(mode: Mode, [gateway, software, authority, provisioning, identity]: [Leave; 5]) -> Row {
    Row { mode, gateway, software, authority, provisioning, identity }
}

/// Who may be awake when: the only place that says so. Everything else asks [`Mode::leave`].
pub const TABLE: [Row; 7] = [
    //                                 cm       sm        km       pm       ics
    row(Mode::ProvisionSoftware, /**/ [Off, Optional, Off, On, On]),
    row(Mode::ProvisionCertificate, /**/ [Off, Off, On, On, On]),
    row(Mode::SoftwareManagement, /**/ [On, On, Off, Off, On]),
    row(Mode::CertificateManagement, /**/ [On, Off, On, Off, On]),
    row(Mode::SoftwareImport, /**/ [Off, On, Off, Off, On]),
    row(Mode::Ceremony, /**/ [Off, Off, On, Off, On]),
    row(Mode::Sealed, /**/ [Off, Off, Off, Off, Off]),
];

impl Mode {
    /// All modes, in the order of the table.
    pub const ALL: [Self; 7] = [
        Self::ProvisionSoftware,
        Self::ProvisionCertificate,
        Self::SoftwareManagement,
        Self::CertificateManagement,
        Self::SoftwareImport,
        Self::Ceremony,
        Self::Sealed,
    ];

    /// What this mode says of `module`. The console and the supervisor are local and always on.
    #[must_use]
    pub fn leave(self, module: Module) -> Leave {
        let Some(row) = TABLE.iter().find(|row| row.mode == self) else { return Off };
        match module {
            Module::Gateway => row.gateway,
            Module::Software => row.software,
            Module::Authority => row.authority,
            Module::Provisioning => row.provisioning,
            Module::Identity => row.identity,
            Module::Console | Module::Supervisor => On,
        }
    }

    /// The name on the command line and in messages.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::ProvisionSoftware => "provision-software",
            Self::ProvisionCertificate => "provision-certificate",
            Self::SoftwareManagement => "software-management",
            Self::CertificateManagement => "certificate-management",
            Self::SoftwareImport => "software-import",
            Self::Ceremony => "ceremony",
            Self::Sealed => "sealed",
        }
    }
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// What an operator orders: a mode to stay in, or the two modes that a factory line needs in one takt.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Order {
    /// Stay in one mode.
    Stay(Mode),
    /// The declared sequence [`Mode::ProvisionSoftware`], [`Mode::ProvisionCertificate`], switched by the supervisor
    /// for each tray. At rest the box is in the first of them, in which no certificate can be made.
    Provision,
}

impl Order {
    /// All orders, in the order of the table, the sequence last.
    #[must_use]
    pub fn all() -> Vec<Self> {
        Mode::ALL.into_iter().map(Self::Stay).chain([Self::Provision]).collect()
    }

    /// The mode of a box that has this order and no work.
    #[must_use]
    pub const fn at_rest(self) -> Mode {
        match self {
            Self::Stay(mode) => mode,
            Self::Provision => Mode::ProvisionSoftware,
        }
    }

    /// Whether the supervisor may switch to `mode` under this order without asking the operator again.
    #[must_use]
    pub fn covers(self, mode: Mode) -> bool {
        match self {
            Self::Stay(only) => mode == only,
            Self::Provision => matches!(mode, Mode::ProvisionSoftware | Mode::ProvisionCertificate),
        }
    }

    /// The name on the command line.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Stay(mode) => mode.name(),
            Self::Provision => "provision",
        }
    }

    /// The order of that name.
    #[must_use]
    pub fn by_name(name: &str) -> Option<Self> {
        Self::all().into_iter().find(|order| order.name() == name)
    }
}

impl fmt::Display for Order {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// What an operator signs to change the mode of a box.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Statement {
    /// What is ordered.
    pub order: Order,
    /// Rises with each statement; a statement that is not newer is refused.
    pub epoch: u64,
    /// When it was signed.
    pub at: UnixTime,
    /// Who signed it.
    pub operator: OperatorName,
    /// Why, in the operator's words.
    pub reason: String,
}

/// The modes that bind a box at one moment: one, or two while it changes from one to the other.
///
/// A module may run only if all of them let it, so a change that was interrupted leaves the stricter of both.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Binding {
    /// The mode that was in force.
    pub current: Mode,
    /// The mode that the box is changing to.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub pending: Option<Mode>,
}

impl Binding {
    /// A box that is not changing.
    #[must_use]
    pub const fn settled(current: Mode) -> Self {
        Self { current, pending: None }
    }

    /// What the stricter of the modes says of `module`.
    #[must_use]
    pub fn leave(self, module: Module) -> Leave {
        let current = self.current.leave(module);
        self.pending.map_or(current, |pending| current.min(pending.leave(module)))
    }

    /// Whether `module` may run.
    #[must_use]
    pub fn permits(self, module: Module) -> bool {
        self.leave(module) != Off
    }
}

impl fmt::Display for Binding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.pending {
            None => self.current.fmt(f),
            Some(pending) => write!(f, "{} (changing to {pending})", self.current),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_of_json() {
        for mode in Mode::ALL {
            assert_eq!(serde_json::to_string(&mode).unwrap(), format!("\"{mode}\""));
        }
        for order in Order::all() {
            assert_eq!(Order::by_name(order.name()), Some(order));
        }
    }
    #[test]
    fn every_mode_has_one_row() {
        for mode in Mode::ALL {
            assert_eq!(TABLE.iter().filter(|row| row.mode == mode).count(), 1);
        }
    }
    #[test]
    fn the_station_is_never_awake_with_the_gateway() {
        for row in TABLE {
            assert!(row.provisioning == Off || row.gateway == Off, "{row:?}");
        }
    }
    #[test]
    fn authority_and_software_are_never_awake_together() {
        for row in TABLE {
            assert!(row.authority == Off || row.software == Off, "{row:?}");
        }
    }
    #[test]
    fn sealed_lets_only_console_and_supervisor_run() {
        let awake: Vec<_> = Module::ALL.into_iter().filter(|m| Mode::Sealed.leave(*m) != Off).collect();
        assert_eq!(awake, [Module::Console, Module::Supervisor]);
    }
    #[test]
    fn a_change_is_as_strict_as_both_modes() {
        for current in Mode::ALL {
            for next in Mode::ALL {
                let between = Binding { current, pending: Some(next) };
                for module in Module::ALL {
                    let both = current.leave(module) != Off && next.leave(module) != Off;
                    assert_eq!(between.permits(module), both, "{current} {next} {module}");
                }
            }
        }
    }
    #[test]
    fn the_sequence_covers_its_two_modes_only() {
        let covered: Vec<_> = Mode::ALL.into_iter().filter(|m| Order::Provision.covers(*m)).collect();
        assert_eq!(covered, [Mode::ProvisionSoftware, Mode::ProvisionCertificate]);
    }
}
