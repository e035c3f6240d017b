//! Room: the director of Uptane. Who there is, what each gets, what each has; roll-outs; and the server that devices ask.
//!
//! ```text
//! Director::poll     a device asks        -> choose (pure) -> signed for it alone, durable, then answered
//! Director::manifest a device reports     -> verified, in the ledger once -> Rollout::report (pure) -> on, or halted
//! ```
//! What is said is a copy of what the image repository says; the director adds for whom it is, and nothing else.

mod choice;
mod conduct;
mod documents;
mod fault;
mod ledger;
mod names;
mod records;
mod rollout;
mod serve;

pub use choice::{Catalogue, Chosen, Has, Image, Standing, Subject, choose};
pub use conduct::{Begun, Director, LIFETIME};
pub use fault::DirectorFault;
pub use ledger::{Holder, NONCE_WITHIN, Overview};
pub use names::{Name, Spki};
pub use records::{Assignment, Component, Device, Scope};
pub use rollout::{Audience, Conflict, Outcome, Plan, Requirement, Rollout, Stage, State, Tally};
pub use serve::{Serving, device_of};
