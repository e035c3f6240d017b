//! Room: ics. Knows which devices there are, who said so, and how far they have come; never changes history.
//!
//! What a list says leaves grants at km, so that km can decide later without asking anybody.

mod claims;
mod contract;
pub mod lists;
pub mod registry;
mod suppliers;

pub use claims::{BadClaim, Claims};
pub use contract::Identity;
