//! Room: pm. Puts verified software and a certified key onto blank boards, and records what it did. Never decides who
//! gets a certificate, never runs while the gateway is on.
//!
//! [`mod@line`] is the way of a tray of boards through the station, in two halves that never share a mode;
//! [`release`] verifies the software before any board is touched; [`station`] is what both have in common.

mod bundle;
mod certify;
pub mod device_type;
mod flash;
pub mod line;
pub mod release;
pub mod station;
mod tray;

pub use device_type::DeviceTypeFile;
pub use line::Flashing;
pub use station::{Setting, Station, Unwatched, Watch, Work};
pub use tray::{Outcome, Report, Tray};
