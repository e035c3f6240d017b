//! Room: km. Decides from its own rows who gets a certificate, signs, records, revokes. Calls nobody.
//!
//! [`ra`] is the one conductor: every request for a certificate, from wherever it comes, goes through [`Ra::admit`].

pub mod acme;
mod approval;
pub mod ca;
pub mod cmp;
mod contract;
pub mod enrol;
pub mod foreign;
mod hierarchy;
mod leave;
mod limits;
pub mod lists;
mod looked;
mod maker;
mod ocsp;
mod offers;
pub mod ra;
mod renewal;
pub mod scep;
pub mod va;

pub use acme::{Acme, AcmeLabel};
pub use ca::{Ca, Setting};
pub use cmp::{Cmp, CmpLabel, REGISTRATION_AUTHORITIES_MAX};
pub use contract::Authority;
pub use enrol::Est;
pub use foreign::Abroad;
pub use limits::Limits;
pub use maker::MAKER_LIST_LEN_MAX;
pub use ra::Ra;
pub use scep::Scep;
