//! Twelve hundred worlds of fixed seeds, sixty events each, in which every promise must be kept: some ninety seconds of one
//! core.
//!
//! A failure prints the log of the world and the line that runs it again. `just world` runs other seeds.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on has failed")]

use std::ops::Range;
use world::{Plan, Runner};

#[track_caller]
fn check(seeds: Range<u64>) {
    let runner = Runner::new().unwrap();
    let counts = runner.run_all(seeds, Plan::default()).unwrap_or_else(|outcome| panic!("{outcome}"));
    // What was never looked at was not kept either.
    let least = [
        counts.intents,
        counts.told,
        counts.repeated,
        counts.refused,
        counts.revoked,
        counts.held,
        counts.released,
        counts.lists,
        counts.statuses,
        counts.provisioned,
    ];
    assert!(least.into_iter().all(|count| count > 50), "{counts:?}");
}

#[test]
fn worlds_0() {
    check(0..150);
}
#[test]
fn worlds_1() {
    check(1000..1150);
}
#[test]
fn worlds_2() {
    check(2000..2150);
}
#[test]
fn worlds_3() {
    check(3000..3150);
}
#[test]
fn worlds_4() {
    check(4000..4150);
}
#[test]
fn worlds_5() {
    check(5000..5150);
}
#[test]
fn worlds_6() {
    check(6000..6150);
}
#[test]
fn worlds_7() {
    check(7000..7150);
}
