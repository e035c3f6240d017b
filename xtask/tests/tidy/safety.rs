use super::*;

const UNSAFE: &str = "fn f() { unsafe {} }\n";

#[test]
fn unsafe_is_found() {
    source(MIDDLE, UNSAFE, &["safety crates/middle/src/lib.rs:1"]);
    source(MIDDLE, "macro_rules! m { () => { unsafe { f() } }; }\n", &["safety crates/middle/src/lib.rs:1"]);
}
#[test]
fn unsafe_in_tests_is_found() {
    source("crates/middle/tests/all.rs", UNSAFE, &["safety crates/middle/tests/all.rs:1"]);
    source("fuzz/fuzz_targets/word.rs", UNSAFE, &["safety fuzz/fuzz_targets/word.rs:1"]);
}
#[test]
fn the_word_alone_is_allowed() {
    source(MIDDLE, "// unsafe\nconst S: &str = \"unsafe\";\n", &[]);
}
#[test]
fn sys_may() {
    let tree = Tree::new().with("crates/sys/Cargo.toml", "[package]\nname = \"sys\"\n");
    tree.replacing("layers.toml", "low = 0", "low = 0\nsys = 0").with("crates/sys/src/lib.rs", UNSAFE).check(&[]);
}
#[test]
fn a_crate_without_the_lints_is_found() {
    let tree = Tree::new().with("crates/low/Cargo.toml", "[package]\nname = \"low\"\n");
    tree.check(&["safety crates/low/Cargo.toml:1"]);
    tree.with("crates/low/Cargo.toml", "[package]\nname = \"low\"\n[lints]\nworkspace = true\n").check(&[]);
}
