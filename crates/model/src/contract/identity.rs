//! Calls that ics answers.

use super::authority::Done;
use super::{Call, Subject};
use crate::{
    Base64, BoardId, DeviceId, DeviceSerial, DeviceType, Digest, Fault, OperatorName, StationName, SupplierName,
    UnixTime,
};
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
    /// Until when its devices may be certified, at the latest: a list may name an earlier end itself.
    pub until: UnixTime,
    /// The supplier's signature over the octets: ECDSA in DER, RSA PKCS #1 v1.5, or Ed25519. Without one the list is
    /// the operator's own word, and names no supplier.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signature: Option<Base64>,
    /// The operator's own list that this one takes the place of, as records call it: a supplier's says so itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replaces: Option<String>,
    /// Only say what the import would change; nothing is changed.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub dry_run: bool,
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
        /// Devices that the superseded list named with other words.
        #[serde(default, skip_serializing_if = "is_none")]
        changed: u64,
        /// Devices that the superseded list named and this one does not. Their grants have ended, if unconsumed.
        #[serde(default, skip_serializing_if = "is_none")]
        removed: u64,
        /// Who signed it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        supplier: Option<SupplierName>,
        /// Which of the supplier's lists it is.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        sequence: Option<u64>,
        /// Of a dry run: what would change, removed devices last. At most [`DIFFERENCES_MAX`].
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        differences: Vec<Difference>,
    },
    /// Nothing was imported.
    Refused(Vec<BadLine>),
}

/// Most differences that a dry run names: enough to look through, and little for a message.
pub const DIFFERENCES_MAX: usize = 1000;

/// One device that a list would change something of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Difference {
    /// Which device.
    pub serial: DeviceSerial,
    /// What would become of it.
    pub change: Change,
    /// The line that says so; none of a device that is removed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub line: Option<u64>,
}

/// What becomes of a device by a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Change {
    /// It was not expected before.
    Added,
    /// It was expected with other words.
    Changed,
    /// It is not expected any more.
    Removed,
}

// Of a count: serde hands over a reference.
#[expect(clippy::trivially_copy_pass_by_ref, reason = "the signature is serde's")]
const fn is_none(count: &u64) -> bool {
    *count == 0
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

/// Says whose signed lists are taken from now on, or not any more.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TrustSupplier {
    /// Whose.
    pub supplier: SupplierName,
    /// What changes.
    pub change: SupplierChange,
}

/// What changes of a supplier. The number of its last list stays in any case.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SupplierChange {
    /// The first key, or one after a revocation: SubjectPublicKeyInfo in DER. Doing it again changes nothing.
    Trust(Base64),
    /// Another key in the place of the present one.
    Replace(Base64),
    /// No key: its lists are refused. What it listed before stays.
    Revoke,
}

/// The supplier as it stands now.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SupplierTrusted {
    /// Digest of its key, if it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<Digest>,
    /// The number of the last list that was taken from it; 0: none.
    pub sequence: u64,
}

impl Call for TrustSupplier {
    const SUBJECT: Subject = Subject::IdentityTrust;
    type Reply = SupplierTrusted;
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
