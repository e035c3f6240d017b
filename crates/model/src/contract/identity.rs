//! Calls that ics answers.

use super::authority::Done;
use super::{Call, Subject};
use crate::{Base64, BoardId, DeviceId, DeviceSerial, DeviceType, Digest, Fault, OperatorName, StationName, UnixTime};
use serde::{Deserialize, Serialize};

/// Imports a registration list: all of it, or nothing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ImportList {
    /// What the list is called in records.
    pub name: String,
    /// How it is written.
    pub format: ListFormat,
    /// The list as it was received.
    pub octets: Base64,
    /// Until when its devices may be certified.
    pub until: UnixTime,
}

/// How a list is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ListFormat {
    /// RFC 4180 with a header line.
    Csv,
    /// One array of objects.
    Json,
}

/// What came of a list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ListImported {
    /// Imported.
    Done {
        /// Devices that were not known before.
        new: u64,
        /// Devices that were known, with the same words.
        known: u64,
        /// Digest of the octets.
        digest: Digest,
    },
    /// Nothing was imported.
    Refused(Vec<BadLine>),
}

/// What is wrong with one line of a list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BadLine {
    /// Counted from 1, the header line too; in JSON the number of the element.
    pub line: u64,
    /// What is wrong, made printable.
    pub what: String,
}

impl Call for ImportList {
    const SUBJECT: Subject = Subject::IdentityImportList;
    type Reply = ListImported;
}

/// Asks ics to leave at km the grants that it could not leave while km was off.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DepositPending {}

/// How many grants were left.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PendingDeposited {
    /// Grants handed over in this call.
    pub deposited: u64,
}

impl Call for DepositPending {
    const SUBJECT: Subject = Subject::IdentityDeposit;
    type Reply = PendingDeposited;
}

/// Asks whether boards may be provisioned, and binds each that may to its device name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Admit {
    /// At most [`super::BATCH_LEN_MAX`].
    pub boards: Vec<BoardSeen>,
}

/// A board in the fixture.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BoardSeen {
    /// What the hardware says of itself.
    pub board: BoardId,
    /// What its label says.
    pub serial: DeviceSerial,
    /// What it says it is.
    pub device_type: DeviceType,
}

/// One admission for each board.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Admitted {
    /// In the order of the boards.
    pub admissions: Vec<Result<DeviceId, Fault>>,
}

impl Call for Admit {
    const SUBJECT: Subject = Subject::IdentityAdmit;
    type Reply = Admitted;
}

/// Records what a station did.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Record {
    /// Which station.
    pub station: StationName,
    /// Who worked at it.
    pub operator: OperatorName,
    /// At most [`super::BATCH_LEN_MAX`].
    pub steps: Vec<StepDone>,
}

/// A step that was done to a device.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StepDone {
    /// To which device.
    pub device: DeviceId,
    /// On which board.
    pub board: BoardId,
    /// What was done.
    pub step: Step,
}

/// What was done to a device.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Step {
    /// Flashed, read back and compared.
    Flashed {
        /// Digest of the image.
        image: Digest,
        /// How long it took.
        duration_ms: u64,
        /// How often it had to be repeated.
        retries: u64,
    },
    /// Certified, and the key proved.
    Provisioned {
        /// Serial number of the certificate in hexadecimal digits.
        serial: String,
        /// Digest of the key's SubjectPublicKeyInfo.
        key: Digest,
    },
}

/// One result for each step.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Recorded {
    /// In the order of the steps.
    pub results: Vec<Result<(), Fault>>,
}

impl Call for Record {
    const SUBJECT: Subject = Subject::IdentityRecord;
    type Reply = Recorded;
}

/// Marks a device as stolen, or takes the mark back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Mark {
    /// Which device.
    pub device: DeviceId,
    /// Stolen or not.
    pub stolen: bool,
}

impl Call for Mark {
    const SUBJECT: Subject = Subject::IdentityMark;
    type Reply = Done;
}
