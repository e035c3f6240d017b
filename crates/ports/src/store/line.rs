//! What pm keeps: how far it came with each device, so that an interruption is continued and nothing is done twice.

use super::{AuditSink, StoreFault};
use model::{DeviceId, DeviceType, Digest, TransactionId};

/// How far the station came with one device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Job {
    /// The device.
    pub device: DeviceId,
    /// The image that it was flashed with, if it was.
    pub image: Option<Digest>,
    /// The transaction under which its certificate is asked for.
    pub transaction_id: Option<TransactionId>,
    /// The key that the certificate was asked for.
    pub key: Option<Digest>,
    /// Whether it is finished.
    pub finished: bool,
}

/// What pm keeps.
pub trait LineStore: AuditSink {
    /// The jobs of these devices, in their order.
    ///
    /// # Errors
    /// [`StoreFault`]
    fn jobs(&self, devices: &[DeviceId]) -> Result<Vec<Option<Job>>, StoreFault>;

    /// Sets jobs, replacing what was known of the same devices.
    ///
    /// # Errors
    /// [`StoreFault`]
    fn set_jobs(&self, jobs: &[Job]) -> Result<(), StoreFault>;

    /// The highest release counter that was flashed to a device type.
    ///
    /// # Errors
    /// [`StoreFault`]
    fn release_floor(&self, device_type: &DeviceType) -> Result<u64, StoreFault>;

    /// Raises the floor of a device type; a lower one changes nothing.
    ///
    /// # Errors
    /// [`StoreFault`]
    fn raise_release_floor(&self, device_type: &DeviceType, counter: u64) -> Result<(), StoreFault>;
}
