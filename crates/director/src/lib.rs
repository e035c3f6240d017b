//! Room: the director of Uptane. Who there is, what each gets, what each has; roll-outs; and the server that devices ask.
//!
//! ```text
//! Director::poll     a device asks        -> choose (pure) -> signed for it alone, durable, then answered
//! Director::manifest a device reports     -> verified, in the ledger once -> Rollout::report (pure) -> on, or halted
//! Ddi::answer        the same for clients of hawkBit, which sign nothing: their word is kept apart from manifests
//! ```
//! What is said is a copy of what the image repository says; the director adds for whom it is, and nothing else.

mod choice;
mod conduct;
mod ddi;
mod documents;
mod fault;
mod ledger;
mod names;
mod notices;
mod privacy;
mod records;
mod reports;
mod rollout;
mod route;
mod serve;
mod telling;

pub use choice::{Catalogue, Chosen, Has, Image, Standing, Subject, choose};
pub use conduct::{Begun, Director, LIFETIME};
pub use ddi::{Account, Claim, DdiPath, Room, SLEEP_S_MAX, Settings};
pub use fault::DirectorFault;
pub use ledger::{Holder, NONCE_WITHIN, Overview, Word};
pub use names::{Name, Spki};
pub use privacy::{Manifests, Padding, Privacy};
pub use records::{Assignment, Component, Device, Interface, Scope};
pub use reports::{Account as ReporterAccount, Entered};
pub use rollout::{Audience, Conflict, Outcome, Plan, Requirement, Rollout, Stage, State, Tally};
pub use route::{ImagePath, Route, UptanePath};
pub use serve::{Serving, device_of};
