//! hawkBit's interface for devices (DDI), for devices that speak nothing else: what they get is what the director chose; what
//! they report is not signed, and is kept as such.
//!
//! Source: Eclipse hawkBit, Direct Device Integration API, v1.

mod answers;
mod conduct;
mod said;
mod serve;
mod side;
#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "what cannot go on here has failed")]
mod tests;

pub use serve::{DdiPath, Room, SLEEP_S_MAX, Settings};
pub use side::{Account, Claim};

pub(crate) use conduct::{claims_of, failed_no_more};
pub(crate) use serve::{Ddi, limits};
pub(crate) use side::Side;
