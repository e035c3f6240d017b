//! A tray of boards on its way through the station.

use crate::station::{Label, Leaves};
use model::lifecycle::{Device, Flashed, Operational, Registered};
use model::{BoardId, DeviceId, DeviceSerial, Fault};
use ports::flasher::Board;

/// A tray of boards.
pub struct Tray {
    pub(crate) places: Vec<Place>,
}

/// One place in a tray.
pub(crate) struct Place {
    pub(crate) board: Box<dyn Board>,
    pub(crate) label: Option<Label>,
    pub(crate) at: Stage,
}

/// How far the board in a place has come. Each stage can only be made from the one before it.
pub(crate) enum Stage {
    Unknown,
    Registered(Device<Registered>),
    Flashed(Device<Flashed>),
    Operational(Device<Operational>),
    Left(Leaves, Option<DeviceId>),
}

/// What became of one board.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// What the hardware says of itself, if it answered.
    pub board: Option<BoardId>,
    /// What its label says.
    pub serial: Option<DeviceSerial>,
    /// Its name, if the registry knows it.
    pub device: Option<DeviceId>,
    /// What became of it.
    pub outcome: Outcome,
}

/// What became of one board.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It carries the software.
    Flashed,
    /// It carries the software and its certificate, and has proved its key.
    Provisioned {
        /// Serial number of the certificate in hexadecimal digits.
        certificate: String,
    },
    /// It left the line.
    Left {
        /// Why.
        fault: Fault,
        /// What the adapter said, made printable.
        detail: String,
    },
}

impl Tray {
    /// A tray of boards that nobody has asked anything yet.
    #[must_use]
    pub fn new(boards: Vec<Box<dyn Board>>) -> Self {
        let place = |board| Place { board, label: None, at: Stage::Unknown };
        Self { places: boards.into_iter().map(place).collect() }
    }

    /// Number of boards.
    #[must_use]
    pub fn len(&self) -> usize {
        self.places.len()
    }

    /// Whether there is no board.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.places.is_empty()
    }

    /// What became of each board, in the order of the tray.
    #[must_use]
    pub fn reports(&self) -> Vec<Report> {
        self.places.iter().map(Place::report).collect()
    }
}

impl Place {
    fn report(&self) -> Report {
        let (device, outcome) = match &self.at {
            Stage::Unknown => {
                (None, Outcome::Left { fault: Fault::unavailable("not worked on"), detail: String::new() })
            }
            Stage::Registered(device) => {
                let fault = Fault::unavailable("not flashed");
                (Some(device.id().clone()), Outcome::Left { fault, detail: String::new() })
            }
            Stage::Flashed(device) => (Some(device.id().clone()), Outcome::Flashed),
            Stage::Operational(device) => {
                let (_, _, certificate) = device.record();
                (Some(device.id().clone()), Outcome::Provisioned { certificate: certificate.to_owned() })
            }
            Stage::Left(Leaves { fault, detail }, device) => {
                (device.clone(), Outcome::Left { fault: fault.clone(), detail: detail.clone() })
            }
        };
        let (board, serial) = match &self.label {
            Some(label) => (Some(label.board.clone()), Some(label.serial.clone())),
            None => (None, None),
        };
        Report { board, serial, device, outcome }
    }

    /// Takes the board off the line.
    pub(crate) fn leave(&mut self, why: impl Into<Leaves>) {
        let device = match &self.at {
            Stage::Registered(device) => Some(device.id().clone()),
            Stage::Flashed(device) => Some(device.id().clone()),
            Stage::Operational(device) => Some(device.id().clone()),
            Stage::Unknown | Stage::Left(..) => None,
        };
        self.at = Stage::Left(why.into(), device);
    }

    /// Takes what is proved of the board out of its place, to go one stage further.
    pub(crate) fn take(&mut self) -> Stage {
        std::mem::replace(&mut self.at, Stage::Unknown)
    }
}
