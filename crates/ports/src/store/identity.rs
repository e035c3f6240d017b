//! What ics keeps.

use super::{AuditSink, StoreFault};
use model::contract::authority::GrantOffer;
use model::contract::identity::{BoardSeen, StepDone};
use model::lifecycle::Custody;
use model::{BoardId, DeviceId, DeviceSerial, Digest, OperatorName, ProfileName, Reason, StationName, UnixTime};

/// A device that a list names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListedDevice {
    /// Its name.
    pub id: DeviceId,
    /// The hardware it must be on, if the list says so.
    pub board: Option<BoardId>,
    /// What it may be certified as.
    pub profile: ProfileName,
    /// The line of the list, counted from 1.
    pub line: u64,
}

/// A list whose every line was understood.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct List {
    /// What it is called in records.
    pub name: String,
    /// Digest of its octets.
    pub digest: Digest,
    /// Until when its devices may be certified.
    pub until: UnixTime,
    /// Its devices.
    pub devices: Vec<ListedDevice>,
}

/// What came of a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ListOutcome {
    /// Imported.
    Imported {
        /// Devices that were not known.
        new: u64,
        /// Devices that were known, with the same words.
        known: u64,
    },
    /// These lines say something else than an earlier list; nothing was imported.
    Contradicts(Vec<u64>),
}

/// What is known of one device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeviceRow {
    /// Where the store keeps it.
    pub row: u64,
    /// Its name.
    pub id: DeviceId,
    /// What it may be certified as.
    pub profile: ProfileName,
    /// The list that named it first.
    pub list: String,
    /// How far it has come.
    pub custody: Custody,
    /// Whether it is marked as stolen.
    pub stolen: bool,
    /// The hardware that carries the name.
    pub board: Option<BoardId>,
    /// The image that was flashed.
    pub image: Option<Digest>,
    /// Its key.
    pub key: Option<Digest>,
    /// Serial number of its certificate.
    pub certificate: Option<String>,
    /// The station that worked on it last.
    pub station: Option<StationName>,
    /// When it was touched last.
    pub at: UnixTime,
}

/// Which devices.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct DeviceFilter {
    /// Of this serial number.
    pub serial: Option<DeviceSerial>,
    /// That have come so far.
    pub custody: Option<Custody>,
    /// Behind this row.
    pub after: u64,
    /// At most so many.
    pub limit: u32,
}

/// Grants that ics has not left at km yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PendingGrants {
    /// Where they come from.
    pub origin: String,
    /// The grants.
    pub offers: Vec<GrantOffer>,
    /// Their rows, to be given back when they are left.
    pub rows: Vec<u64>,
}

/// What ics keeps.
pub trait IdentityStore: AuditSink {
    /// Imports a list, all of it or nothing, with the grants that follow from it to be left at km.
    ///
    /// # Errors
    /// [`StoreFault`]
    fn import(&self, list: &List, at: UnixTime) -> Result<ListOutcome, StoreFault>;

    /// The oldest grants that are not left at km yet, of one list.
    ///
    /// # Errors
    /// [`StoreFault`]
    fn pending(&self, limit: usize) -> Result<Option<PendingGrants>, StoreFault>;

    /// Forgets grants that were left at km.
    ///
    /// # Errors
    /// [`StoreFault`]
    fn deposited(&self, rows: &[u64]) -> Result<(), StoreFault>;

    /// Binds boards to the names on their labels, or says why not.
    ///
    /// # Errors
    /// [`StoreFault`]
    fn admit(&self, boards: &[BoardSeen], at: UnixTime) -> Result<Vec<Result<DeviceId, Reason>>, StoreFault>;

    /// Records what a station did.
    ///
    /// # Errors
    /// [`StoreFault`]
    fn done(
        &self,
        station: &StationName,
        operator: &OperatorName,
        steps: &[StepDone],
        at: UnixTime,
    ) -> Result<Vec<Result<(), Reason>>, StoreFault>;

    /// Marks a device as stolen or takes the mark back.
    ///
    /// # Errors
    /// [`StoreFault`]; the inner error is [`Reason::NotOnList`].
    fn mark(&self, device: &DeviceId, stolen: bool, at: UnixTime) -> Result<Result<(), Reason>, StoreFault>;

    /// Devices in the order of their lists.
    ///
    /// # Errors
    /// [`StoreFault`]
    fn devices(&self, filter: &DeviceFilter) -> Result<Vec<DeviceRow>, StoreFault>;
}
