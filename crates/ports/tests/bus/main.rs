//! What the bus must hold against: whoever controls it, whoever has the key of a module, and mistakes.
#![allow(
    missing_docs,
    unreachable_pub,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "what cannot go on here has failed"
)]

mod answers;
mod boxes;
mod calls;
mod directory;
mod floods;
mod golden;
mod leases;
mod modes;
mod octets;
mod support;
