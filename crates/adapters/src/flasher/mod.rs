//! Room: how a station reaches boards. Files, lines, processes and time limits; no policy, no network, no database.
//!
//! Four adapters behind [`ports::flasher::Flasher`], chosen by the `[flasher]` table of a device type:
//! * [`simulated`]: boards in software, thousands at once;
//! * [`block`]: an image on a block device or in a file;
//! * [`serial`]: a bootloader behind a tty;
//! * [`command`]: any program that speaks the protocol of `docs/flasher-protocol.md`.
//!
//! Every wait has a limit, every text from outside has a longest length, and what a board says is made printable before
//! it is shown.

pub mod block;
pub mod command;
mod deadline;
mod fault;
mod layout;
mod offer;
pub mod serial;
pub mod simulated;
mod slot;
mod source;
mod tail;

pub use layout::Area;
pub use offer::Offer;
pub use slot::{BadSlot, Slot};

use ports::Clock;
use ports::flasher::{BoardFault, Flasher};
use serde::Deserialize;
use std::path::Path;
use std::sync::Arc;

/// The `[flasher]` table of a device type. Its member `adapter` says which.
#[derive(Clone, Debug, Deserialize)]
#[serde(tag = "adapter", rename_all = "kebab-case")]
pub enum FlasherConfig {
    /// `adapter = "simulated"`
    Simulated(simulated::SimulatedConfig),
    /// `adapter = "block"`
    Block(block::BlockConfig),
    /// `adapter = "serial"`
    Serial(Box<serial::SerialConfig>),
    /// `adapter = "command"`
    Command(command::CommandConfig),
}

/// Opens the fixture that a device type describes. No board is touched yet.
///
/// `base_dir` is where relative paths of the configuration begin: the directory of the device type's file. `work_dir` is
/// a private directory for this fixture alone, where `command` lays the image for the time of one step.
///
/// # Errors
/// [`BoardFault::Fixture`] if the configuration contradicts itself, or names what cannot be used.
pub fn open(
    config: &FlasherConfig,
    base_dir: &Path,
    work_dir: &Path,
    clock: Arc<dyn Clock>,
) -> Result<Box<dyn Flasher>, BoardFault> {
    Ok(match config {
        FlasherConfig::Simulated(config) => Box::new(simulated::Simulated::open(config, base_dir)?),
        FlasherConfig::Block(config) => Box::new(block::Block::open(config, base_dir, clock)?),
        FlasherConfig::Serial(config) => Box::new(serial::Serial::open(config, base_dir, clock)?),
        FlasherConfig::Command(config) => Box::new(command::Command::open(config, base_dir, work_dir, clock)?),
    })
}
