//! Tidy finds nothing in this workspace, and each broken rule in a made-up one.
#![allow(
    missing_docs,
    unreachable_pub,
    clippy::expect_used,
    clippy::panic,
    reason = "what cannot go on here has failed"
)]

mod arms;
mod decoders;
mod documents;
mod durable;
mod levels;
mod purity;
mod safety;
mod sizes;
mod texts;
mod tree;

use std::process::Command;
use tree::Tree;

const LOW: &str = "crates/low/src/lib.rs";
const MIDDLE: &str = "crates/middle/src/lib.rs";
const ADAPTERS: &str = "crates/adapters/src/lib.rs";

/// Writes a source into a file of a tree without findings.
#[track_caller]
fn source(path: &str, text: &str, expected: &[&str]) {
    Tree::new().with(path, text).check(expected);
}

/// Writes the sections of a crate's manifest.
#[track_caller]
fn manifest(name: &str, sections: &str, expected: &[&str]) {
    Tree::new().depending(name, sections).check(expected);
}

#[test]
fn this_workspace_is_tidy() {
    let said = Command::new(env!("CARGO_BIN_EXE_xtask")).arg("tidy").output().expect("tidy can be started");
    assert!(
        said.status.success(),
        "{}{}",
        String::from_utf8_lossy(&said.stdout),
        String::from_utf8_lossy(&said.stderr)
    );
}
#[test]
fn a_clean_tree_is_tidy() {
    Tree::new().check(&[]);
}
#[test]
fn a_finding_is_one_line() {
    let said = Tree::new().with(MIDDLE, "use std::fs;\n").tidy(&[]);
    let text = "crates/middle/src/lib.rs:1: `std::fs` in `middle`, what a pure crate does depends on its arguments \
                only, take octets [purity]\n";
    assert_eq!(String::from_utf8_lossy(&said.stdout), text);
    assert_eq!(said.status.code(), Some(1));
}
#[test]
fn a_tree_that_cannot_be_read_is_no_tidy_tree() {
    assert_eq!(Tree::new().without("layers.toml").tidy(&[]).status.code(), Some(2));
}
#[test]
fn an_unknown_key_in_layers_is_refused() {
    let tree = Tree::new().replacing("layers.toml", "level_max = 1", "level_max = 1\nlevel_min = 0");
    assert_eq!(tree.tidy(&[]).status.code(), Some(2));
}
#[test]
fn an_argument_that_is_not_understood_is_refused() {
    assert_eq!(Tree::new().tidy(&["--quick", "yes"]).status.code(), Some(2));
}
#[test]
fn what_is_not_rust_is_found() {
    source(MIDDLE, "fn (", &["parse crates/middle/src/lib.rs:1"]);
}
