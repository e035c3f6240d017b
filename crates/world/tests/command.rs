//! The command that runs worlds.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::process::{Command, Output};

fn run(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_world")).args(arguments).output().unwrap()
}

#[track_caller]
fn check(arguments: &[&str], status: i32, expected: &str) {
    let output = run(arguments);
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8(said).unwrap();
    assert_eq!(output.status.code(), Some(status), "{said}");
    assert!(said.contains(expected), "{said}");
}

#[test]
fn one_world_tells_what_happens() {
    check(&["--seed", "7", "--steps", "5", "--log"], 0, "step 4: ");
    check(&["--seed", "7", "--steps", "5"], 0, "seed 7: everything holds after 5 steps");
}
#[test]
fn many_worlds_are_counted() {
    check(&["--seeds", "7..9", "--steps", "5"], 0, "seeds 7..9: everything holds");
}
#[test]
fn what_is_not_understood_is_explained() {
    check(&[], 2, "--seeds A..B");
    check(&["--seed", "many"], 2, "--seeds A..B");
    check(&["--seeds", "9..7"], 2, "--seeds A..B");
}
