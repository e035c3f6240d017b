use super::*;

const FILE: &str = "crates/middle/src/a.rs";

fn function(lines: usize) -> String {
    format!("fn f() {{\n{}}}\n", "g();\n".repeat(lines - 2))
}
#[track_caller]
fn ratchet(lines: usize, entry: &str, expected: &[&str]) {
    Tree::new().with(FILE, &function(lines)).with("xtask/ratchet.toml", entry).check(expected);
}
fn entry(lines: usize) -> String {
    format!("[[function]]\npath = \"{FILE}\"\nname = \"f\"\nlines = {lines}\n")
}

#[test]
fn seventy_lines_are_a_function() {
    source(FILE, &function(70), &[]);
}
#[test]
fn seventy_one_lines_are_found() {
    source(FILE, &function(71), &["sizes crates/middle/src/a.rs:1"]);
}
#[test]
fn documentation_is_not_counted() {
    source(FILE, &format!("{}{}", "/// x\n".repeat(100), function(70)), &[]);
}
#[test]
fn methods_are_functions() {
    source(FILE, &format!("impl S {{\n{}}}\n", function(71)), &["sizes crates/middle/src/a.rs:2"]);
}
#[test]
fn five_hundred_lines_are_a_file() {
    source(FILE, &"// x\n".repeat(500), &[]);
    source(FILE, &"// x\n".repeat(501), &["sizes crates/middle/src/a.rs:1"]);
}
#[test]
fn a_door_is_smaller() {
    source(MIDDLE, &"// x\n".repeat(99), &[]);
    source(MIDDLE, &"// x\n".repeat(100), &["sizes crates/middle/src/lib.rs:1"]);
}
#[test]
fn tests_are_not_counted() {
    let tests = format!("#[cfg(test)]\nmod tests {{\n{}}}\n", function(600));
    source(FILE, &format!("{}{tests}", "// x\n".repeat(500)), &[]);
    source("crates/middle/tests/all.rs", &function(600), &[]);
}
#[test]
fn what_is_on_the_ratchet_is_left_alone() {
    ratchet(80, &entry(80), &[]);
}
#[test]
fn what_grows_is_found() {
    ratchet(81, &entry(80), &["sizes crates/middle/src/a.rs:1"]);
}
#[test]
fn what_shrinks_takes_the_ratchet_along() {
    ratchet(79, &entry(80), &["sizes xtask/ratchet.toml:1"]);
}
#[test]
fn what_is_small_enough_leaves_the_ratchet() {
    ratchet(70, &entry(80), &["sizes xtask/ratchet.toml:1"]);
}
#[test]
fn what_is_gone_leaves_the_ratchet() {
    ratchet(10, "[[file]]\npath = \"crates/middle/src/b.rs\"\nlines = 600\n", &["sizes xtask/ratchet.toml:1"]);
}
