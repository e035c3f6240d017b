//! What a bus must do, whichever it is; and what the one over nats-server must hold against.
#![allow(
    missing_docs,
    unreachable_pub,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "what cannot go on here has failed"
)]

mod conformance;
mod events;
mod hostile;
mod nats;
mod outage;
mod permissions;
mod proxy;
mod sealed;
mod server;
