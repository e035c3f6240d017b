//! Replays the fuzzers' seeds, and mutations of them, on every test run. The properties are in `fuzz/src/identity.rs`.
#![allow(
    missing_docs,
    unreachable_pub,
    clippy::expect_used,
    clippy::panic,
    reason = "what cannot go on here has failed"
)]

#[path = "../../../fuzz/src/identity.rs"]
mod identity;
#[path = "../../../fuzz/src/replay.rs"]
mod replay;

fn check(target: &str, body: fn(&[u8])) {
    let root = std::path::Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."));
    replay::replay(root, target, body);
}

#[test]
fn list() {
    check("list", identity::list);
}
