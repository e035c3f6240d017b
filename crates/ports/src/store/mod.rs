//! What modules keep, and the promises of whoever keeps it.
//!
//! Every writing call returns only when its effects are durable; what it fails with has had no effect. Each writes its
//! audit entries in the same transaction.

pub mod acme;
pub mod authority;
pub mod cmp;
pub mod foreign;
pub mod identity;
pub mod line;
pub mod maker;
pub mod mode;
pub mod software;

pub use acme::AcmeStore;
pub use authority::AuthorityStore;
pub use cmp::CmpStore;
pub use foreign::ForeignStore;
pub use identity::IdentityStore;
pub use line::LineStore;
pub use maker::MakerStore;
pub use mode::ModeStore;
pub use software::SoftwareStore;

use model::audit::Entry;
use model::{Digest, Fault};
use std::fmt;
use x509::SerialNumber;

/// How a full disk is told of, wherever it is met.
pub const DISK_FULL: &str = "the disk is full";

/// The store could not do it. Nothing was changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StoreFault {
    /// There is no room left. Reading goes on.
    Full,
    /// It is being shut down.
    Closing,
    /// What is stored does not make sense; the text says where.
    Corrupt(&'static str),
    /// The engine refused; the text says which step.
    Engine(&'static str),
}

impl fmt::Display for StoreFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Full => DISK_FULL,
            Self::Closing => "the store is being closed",
            Self::Corrupt(place) | Self::Engine(place) => place,
        })
    }
}
impl std::error::Error for StoreFault {}
impl From<StoreFault> for Fault {
    fn from(fault: StoreFault) -> Self {
        match fault {
            StoreFault::Full => Fault::unavailable(DISK_FULL),
            StoreFault::Closing => Fault::unavailable("the store is being closed"),
            StoreFault::Corrupt(place) | StoreFault::Engine(place) => Fault::unavailable(place),
        }
    }
}

/// Appends to the audit log.
pub trait AuditSink: Send + Sync {
    /// Appends entries, durable when this returns.
    ///
    /// # Errors
    /// [`StoreFault`]
    fn append(&self, entries: Vec<Entry>) -> Result<(), StoreFault>;
}

/// Proof that the intent to sign certain octets under a certain serial number is durable.
///
/// Only a store makes it. It is neither cloned nor written anywhere: what is proved is proved here and now.
#[derive(Debug)]
pub struct DurableIntent {
    row: u64,
    serial: SerialNumber,
    tbs_digest: Digest,
}

impl DurableIntent {
    /// Asserts that the intent is durable. Only a store adapter may say so (`cargo xtask tidy`).
    #[must_use]
    pub const fn assert_durable(row: u64, serial: SerialNumber, tbs_digest: Digest) -> Self {
        Self { row, serial, tbs_digest }
    }
    /// Where the store keeps it.
    #[must_use]
    pub const fn row(&self) -> u64 {
        self.row
    }
    /// The serial number that will be signed.
    #[must_use]
    pub const fn serial(&self) -> SerialNumber {
        self.serial
    }
    /// SHA-256 of the octets that will be signed.
    #[must_use]
    pub const fn tbs_digest(&self) -> Digest {
        self.tbs_digest
    }
}

/// Proof that a certificate, the grant it spent and the audit entry are durable. Only a store makes it.
#[derive(Debug)]
pub struct DurableRecord {
    serial: SerialNumber,
    certificate_digest: Digest,
}

impl DurableRecord {
    /// Asserts that the record is durable. Only a store adapter may say so (`cargo xtask tidy`).
    #[must_use]
    pub const fn assert_durable(serial: SerialNumber, certificate_digest: Digest) -> Self {
        Self { serial, certificate_digest }
    }
    /// The serial number that was recorded.
    #[must_use]
    pub const fn serial(&self) -> SerialNumber {
        self.serial
    }
    /// SHA-256 of the certificate that was recorded.
    #[must_use]
    pub const fn certificate_digest(&self) -> Digest {
        self.certificate_digest
    }
}
