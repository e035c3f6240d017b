//! Room: traits for what the modules need of the world, and the records that pass through them. No driver is known here.
//!
//! Also here, because every module does it alike and none may do it otherwise: sealing and opening bus messages
//! ([`envelope`], [`link`]) and keeping to the operation mode ([`gate`]). All of it is pure: time, randomness, keys and
//! the bus itself are arguments.

mod answering;
pub mod bus;
pub mod clock;
pub mod directory;
pub mod envelope;
pub mod flasher;
pub mod foreign;
pub mod gate;
pub mod jws;
pub mod keymaker;
pub mod keystore;
pub mod link;
pub mod looking;
pub mod refusals;
pub mod replay;
pub mod reports;
pub mod secrets;
pub mod signer;
pub mod source;
pub mod store;
pub mod vault;

pub use bus::{Bus, BusFault, Handler};
pub use clock::{Clock, Entropy, Pause};
pub use directory::{Caller, Directory};
pub use gate::Gate;
pub use keymaker::KeyMaker;
pub use keystore::Keystore;
pub use link::{Link, Service};
pub use looking::Looker;
pub use secrets::SecretReader;
pub use signer::{SignFault, Signer};
pub use store::{DurableIntent, DurableRecord, StoreFault};
