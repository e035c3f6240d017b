//! What the station is asked to do.

use super::authority::Done;
use super::supervisor::Trouble;
use super::{Call, Subject};
use crate::{BoardId, DeviceId, DeviceSerial, DeviceType, Fault, Nonce, OperatorName};
use serde::{Deserialize, Serialize};

/// Begins to take the boards in the fixture through the line. Asking again for the same run begins none anew while it is
/// known.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RunLine {
    /// Names the run.
    pub run: Nonce,
    /// The device type, whose file the station has.
    pub device_type: DeviceType,
    /// Who works at the station.
    pub operator: OperatorName,
    /// At most so many boards; all if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub boards_max: Option<u32>,
}

impl Call for RunLine {
    const SUBJECT: Subject = Subject::ProvisioningRun;
    type Reply = Done;
}

/// Asks how a run goes. The answer comes when there is news, or after a second.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WatchLine {
    /// The run.
    pub run: Nonce,
    /// How many reports the caller has.
    pub from: u32,
}

impl Call for WatchLine {
    const SUBJECT: Subject = Subject::ProvisioningWatch;
    type Reply = LineSeen;
}

/// How a run goes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LineSeen {
    /// What became of boards, behind those that the caller has: whoever reads it may rely on it.
    pub reports: Vec<BoardReport>,
    /// Octets that were flashed, and all of them.
    pub flash: Progress,
    /// Boards that were certified, and all of them.
    pub certify: Progress,
    /// How it ended, if it did and all reports are told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended: Option<LineEnded>,
}

/// So much of so much.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Progress {
    /// So much.
    pub done: u64,
    /// Of so much.
    pub of: u64,
}

/// How a run ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LineEnded {
    /// How long boards were flashed, in milliseconds.
    pub software_ms: u64,
    /// How long boards were certified, in milliseconds.
    pub certificates_ms: u64,
    /// Why it did not come to its end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trouble: Option<Trouble>,
}

/// What became of one board.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BoardReport {
    /// What the hardware says of itself, if it answered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub board: Option<BoardId>,
    /// What its label says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub serial: Option<DeviceSerial>,
    /// Its name, if the registry knows it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub device: Option<DeviceId>,
    /// What became of it.
    pub outcome: BoardOutcome,
}

/// What became of one board.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum BoardOutcome {
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
