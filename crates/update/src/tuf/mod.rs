//! TUF (specification 1.0.34, TAP 15 and the signatures of TAP 21), over octets: the client's side here, the publisher's in
//! [`mod@write`].
//!
//! [`Client`] is the whole workflow as a machine that opens nothing; [`Outside`] is what it is driven with;
//! [`Target`] is what comes of it, and [`TargetCheck`] compares octets with it while they flow.
//!
//! Prevents: rollback of every role, freezing for longer than metadata lasts, arbitrary software, mix-and-match, endless
//! metadata and targets; names that lead elsewhere. Does not prevent: a threshold of a role's keys in other hands; and
//! slow retrieval only with a driver that looks at the clock.

mod client;
mod drive;
mod envelope;
mod fault;
mod hashes;
mod keys;
mod names;
mod paths;
mod roles;
mod search;
mod target;
pub mod write;

pub use client::{Answer, Client, Limits, Want};
pub use drive::{NotDone, Outside};
pub use envelope::{Envelope, FILE_LEN_MAX, Role};
pub use fault::{Attack, BadMetadata, Refused};
pub use hashes::{HashFunction, Hashes};
pub use names::TARGET_NAME_LEN_MAX;
pub use roles::{Root, Snapshot, Targets, Timestamp};
#[cfg(test)]
pub(crate) use target::announced;
pub use target::{Target, TargetCheck};
