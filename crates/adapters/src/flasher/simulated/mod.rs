//! Boards in software: thousands in one process, each with its own key, for demonstrations, tests and load.
//!
//! A board keeps what a real one keeps when it is switched off: what was flashed, trust anchors, key, certificates. With
//! a `directory` it keeps them in files, so that an interrupted run continues with the same boards. Files are replaced by
//! renaming and not synchronised: a simulated board may forget at a power cut, but never half remember.
//! The keys stand in the files in clear and protect nothing.

mod board;
mod key;
mod memory;
mod trouble;

pub use memory::Contents;
pub use trouble::{Kind, Step, Trouble};

use super::fault;
use super::offer::Offer;
use board::{Board, Shared};
use memory::Cell;
use model::{BoardId, DeviceSerial, DeviceType};
use ports::flasher::{self, BoardFault, Flasher, Identity};
use serde::Deserialize;
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Most boards of one fixture: their names and locks stay in memory.
pub const COUNT_MAX: u32 = 100_000;
/// Most digits of a counted name: those of the largest `u64`.
const DIGITS_MAX: usize = 20;

/// What a simulated fixture holds: `count` boards that are numbered, and then the `extra` ones.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SimulatedConfig {
    /// What the numbered boards are.
    pub device_type: DeviceType,
    /// How many numbered boards. Limits: [`COUNT_MAX`].
    #[serde(default)]
    pub count: u32,
    /// The number of the first.
    #[serde(default = "defaults::first_serial")]
    pub first_serial: u64,
    /// What stands before the number on the label.
    #[serde(default = "defaults::serial_prefix")]
    pub serial_prefix: String,
    /// What stands before the number in the board identifier.
    #[serde(default = "defaults::board_prefix")]
    pub board_prefix: String,
    /// How many digits a number has at least. Limits: 20.
    #[serde(default = "defaults::digits")]
    pub digits: usize,
    /// How the boards show their keys.
    #[serde(default)]
    pub key_offer: Offer,
    /// Where the boards remember; they forget with the process if there is none. For one process at a time.
    pub directory: Option<PathBuf>,
    /// Further boards: unlisted ones, of other types, with a label that another has too, or the same board once more.
    #[serde(default)]
    pub extra: Vec<Extra>,
    /// What goes wrong.
    #[serde(default)]
    pub faults: Vec<Trouble>,
}

mod defaults {
    pub(super) fn first_serial() -> u64 {
        1
    }
    pub(super) fn serial_prefix() -> String {
        "SN".to_owned()
    }
    pub(super) fn board_prefix() -> String {
        "SIM-".to_owned()
    }
    pub(super) fn digits() -> usize {
        6
    }
}

/// A board that is named. Two with one `board` are one board that is in the fixture twice.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Extra {
    /// What its hardware says.
    pub board: BoardId,
    /// What its label says.
    pub serial: DeviceSerial,
    /// What it is.
    pub device_type: DeviceType,
}

/// A fixture full of simulated boards.
pub struct Simulated {
    shared: Arc<Shared>,
    places: Vec<(Identity, Arc<Cell>)>,
}

impl Simulated {
    /// Makes the boards, or takes up those that the directory remembers.
    ///
    /// # Errors
    /// [`BoardFault::Fixture`] if the configuration contradicts itself, or the directory cannot be made.
    pub fn open(config: &SimulatedConfig, base_dir: &Path) -> Result<Self, BoardFault> {
        config.faults.iter().try_for_each(Trouble::check)?;
        let directory = config.directory.as_ref().map(|d| base_dir.join(d));
        if let Some(directory) = &directory {
            std::fs::create_dir_all(directory).map_err(fault::system("the boards' directory"))?;
        }
        let mut known: HashMap<BoardId, Arc<Cell>> = HashMap::new();
        let places = identities(config)?
            .into_iter()
            .map(|identity| {
                let new = || Arc::new(Cell::new(directory.as_deref(), &identity.board));
                let cell = Arc::clone(known.entry(identity.board.clone()).or_insert_with(new));
                (identity, cell)
            })
            .collect();
        Ok(Self { shared: Arc::new(Shared::new(config.key_offer, &config.faults)), places })
    }

    /// What a board holds: what a person with a probe would read from it.
    ///
    /// # Errors
    /// [`BoardFault::Silent`] if no such board is in the fixture; [`BoardFault::Fixture`] if its file cannot be read.
    pub fn contents(&self, board: &BoardId) -> Result<Contents, BoardFault> {
        let place = self.places.iter().find(|(identity, _)| identity.board == *board);
        let (_, cell) = place.ok_or(BoardFault::Silent)?;
        cell.with(|memory| Ok(memory.contents()))
    }
}

impl Flasher for Simulated {
    fn boards(&self, max: usize) -> Result<Vec<Box<dyn flasher::Board>>, BoardFault> {
        let board = |(number, (identity, cell)): (usize, &(Identity, Arc<Cell>))| -> Box<dyn flasher::Board> {
            Box::new(Board::new(Arc::clone(&self.shared), number, identity.clone(), Arc::clone(cell)))
        };
        Ok(self.places.iter().enumerate().take(max).map(board).collect())
    }
}

fn identities(config: &SimulatedConfig) -> Result<Vec<Identity>, BoardFault> {
    if config.count > COUNT_MAX || config.extra.len() > usize::try_from(COUNT_MAX).unwrap_or(usize::MAX) {
        return Err(fault::fixture(format_args!("at most {COUNT_MAX} simulated boards")));
    }
    if config.digits > DIGITS_MAX {
        return Err(fault::fixture(format_args!("a number has at most {DIGITS_MAX} digits")));
    }
    let numbered = (0..u64::from(config.count)).map(|n| {
        let number = config.first_serial.checked_add(n).ok_or_else(|| fault::fixture("serial numbers run over"))?;
        let number = format!("{number:0width$}", width = config.digits);
        Ok(Identity {
            board: format!("{}{number}", config.board_prefix).parse().map_err(fault::fixture)?,
            serial: format!("{}{number}", config.serial_prefix).parse().map_err(fault::fixture)?,
            device_type: config.device_type.clone(),
        })
    });
    let extra = config.extra.iter().cloned().map(|Extra { board, serial, device_type }| {
        let identity: Result<_, BoardFault> = Ok(Identity { board, serial, device_type });
        identity
    });
    numbered.chain(extra).collect()
}
