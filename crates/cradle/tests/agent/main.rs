//! The agent of a device, in a process of its own, against a director that is served by the program itself.
#![allow(
    missing_docs,
    unreachable_pub,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "what cannot go on here has failed"
)]

#[path = "../common/mod.rs"]
mod common;
mod deltas;
mod front;
mod house;
mod leak;
mod lines;
mod refusals;
mod reports;
mod rounds;
mod slots;
mod small;

/// Not a test but the agent: other tests start this program again, and have it be what `cradle-agent` is.
#[test]
#[ignore = "it is the agent, which other tests start"]
fn the_agent() {
    let Some(arguments) = std::env::var_os(house::ARGUMENTS) else { return };
    let arguments = arguments.into_string().unwrap();
    let arguments: Vec<_> = arguments.split('\n').filter(|word| !word.is_empty()).map(Into::into).collect();
    std::process::exit(agent::main(arguments.into_iter()).into());
}
