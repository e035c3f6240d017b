//! Room: ics. Knows which devices there are, who said so, and how far they have come; never changes history.
//!
//! What a list says leaves grants at km, so that km can decide later without asking anybody.

mod contract;
pub mod lists;
pub mod registry;

pub use contract::Identity;
