//! Room: key ceremonies as data. No I/O, no clock, no randomness, no keys.
//!
//! ```text
//! octets -Plan::decode-> Plan -check(surroundings)-> findings
//! Journal: opened, (begun, split?, done | passed)*, finished; each line carries the digest of the line before it
//! plan, journal, approvals, outputs -> Transcript -> signed octets -> Report of what does not fit
//! ```
//!
//! A plan is approved by the digest of its octets: what was reviewed is what is run, to the last comment. Nothing here
//! decides what an authority may do; that stays with km, which is asked the same calls as ever.

mod check;
mod fields;
mod html;
mod journal;
mod plan;
mod statement;
mod transcript;
mod verify;
mod words;

pub use check::{Known, KnownProfile, Surroundings, check};
pub use fields::Finding;
pub use html::page;
pub use journal::{Approved, BadJournal, Event, JOURNAL_LEN_MAX, Journal, Line, Named};
pub use plan::{INPUT_LEN_MAX, Input, Making, OPERATORS_MAX, PLAN_LEN_MAX, Plan, STEPS_MAX, Split, Step};
pub use statement::{APPROVAL, Approval, SEAL, Seal, Signer};
pub use transcript::{Approver, Kept, StepRecord, TRANSCRIPT_LEN_MAX, Transcript, assemble, sealed, signed_digest};
pub use verify::{Anchor, Report, verify};
pub use words::words;
