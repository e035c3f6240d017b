//! Room: names and invariants only. No I/O, no clock, no randomness, no cryptography.
//!
//! Everything that two modules must agree on is spelled here once: identifiers, time, operation modes, the
//! lifecycle of a device, the ways a request can fail, and the messages that travel over the bus.

pub mod audit;
pub mod callers;
pub mod contract;
pub mod fault;
pub mod lifecycle;
pub mod mode;
pub mod module;
pub mod octets;
pub mod report;
pub mod text;
pub mod time;

pub use fault::{Fault, Reason};
pub use mode::Mode;
pub use module::Module;
pub use octets::{AcmeId, Base64, Digest, Nonce, TransactionId};
pub use text::{
    AuthorityName, BoardId, CeremonyName, DeviceId, DeviceSerial, DeviceType, Entity, EstLabel, FileName, MakerName,
    OperatorName, ProfileName, StationName, SupplierName,
};
pub use time::UnixTime;
