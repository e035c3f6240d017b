//! Replays the fuzzers' seeds, and mutations of them, on every test run. The properties are in `fuzz/src/update.rs`.
#![allow(
    missing_docs,
    unreachable_pub,
    clippy::expect_used,
    clippy::panic,
    reason = "what cannot go on here has failed"
)]

#[path = "../../../fuzz/src/replay.rs"]
mod replay;
#[path = "../../../fuzz/src/update.rs"]
mod update;

fn check(target: &str, body: fn(&[u8])) {
    let root = std::path::Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."));
    replay::replay(root, target, body);
}

#[test]
fn tuf_metadata() {
    check("tuf_metadata", update::tuf_metadata);
}
#[test]
fn bundle() {
    check("bundle", update::bundle);
}
#[test]
fn developer() {
    check("developer", update::developer);
}
#[test]
fn delta() {
    check("delta", update::delta);
}
#[test]
fn manifest() {
    check("manifest", update::manifest);
}
#[test]
fn sealed_manifest() {
    check("sealed_manifest", update::sealed_manifest);
}
