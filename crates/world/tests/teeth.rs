//! Each promise is broken on purpose, and the oracle must see it.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on has failed")]

use world::{Check, Logging, Plan, Runner, Sabotage};

/// Seeds until which each sabotage must be found: most are in the first.
const SEEDS: u64 = 60;

#[track_caller]
fn check(sabotage: Sabotage) {
    check_beside(sabotage, &[]);
}

/// The same for one that breaks these promises, too, now and then before the one that is looked for.
#[track_caller]
fn check_beside(sabotage: Sabotage, too: &[Check]) {
    let runner = Runner::new().unwrap();
    let plan = Plan { sabotage: Some(sabotage), ..Plan::default() };
    let mut found = (0..SEEDS).filter_map(|seed| runner.run(seed, plan).violation.map(|violation| (seed, violation)));
    // What the store's own check finds at the end is found; here it is the oracle that must find it, on the way.
    let Some((seed, violation)) = found.find(|(_, found)| found.check != Check::Deep && !too.contains(&found.check))
    else {
        panic!("{sabotage:?} was not found in {SEEDS} worlds");
    };
    assert_eq!(violation.check, sabotage.breaks(), "seed {seed}: {violation}");
}

#[test]
fn two_certificates_of_one_number_are_seen() {
    check(Sabotage::TwinSerial);
}
#[test]
fn a_signature_without_an_intent_is_seen() {
    check(Sabotage::IntentTakenBack);
}
#[test]
fn a_list_that_is_signed_before_its_intent_is_seen() {
    check(Sabotage::ListSignedEarly);
}
#[test]
fn a_disk_that_forgets_is_seen() {
    // The list that is forgotten may be the first that is missed.
    check_beside(Sabotage::LyingDisk, &[Check::D7]);
}
#[test]
fn a_refused_request_with_a_good_certificate_is_seen() {
    check(Sabotage::RecordDenied);
}
#[test]
fn an_intent_that_nobody_ends_is_seen() {
    check(Sabotage::IntentsLeftOpen);
}
#[test]
fn a_repetition_that_is_refused_is_seen() {
    check(Sabotage::TransactionsForgotten);
}
#[test]
fn a_repetition_that_is_answered_otherwise_is_seen() {
    check(Sabotage::AnswerOfAnother);
}
#[test]
fn a_revocation_that_is_undone_is_seen() {
    check(Sabotage::RevocationUndone);
}
#[test]
fn a_list_without_one_of_its_lines_is_seen() {
    check(Sabotage::LineLeftOut);
}
#[test]
fn a_list_number_that_comes_twice_is_seen() {
    check(Sabotage::NumberAgain);
}
#[test]
fn good_for_what_was_never_issued_is_seen() {
    check(Sabotage::UnknownIsGood);
}
#[test]
fn an_answer_that_looks_older_than_one_before_it_is_seen() {
    check(Sabotage::FloorForgotten);
}

#[test]
fn one_seed_is_one_world() {
    let runner = Runner::new().unwrap();
    let plan = Plan { logging: Logging::On, ..Plan::default() };
    for seed in 0..3 {
        let (once, again) = (runner.run(seed, plan), runner.run(seed, plan));
        assert!(once.log.len() > 100, "{once}");
        assert_eq!(once.log, again.log);
    }
}
