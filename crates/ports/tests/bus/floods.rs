//! Floods of messages that are refused.

use crate::support::{Draft, NOW, Outcome, STRANGER, World, silence};
use model::contract::Subject;
use model::{Module, Nonce, Reason};
use ports::refusals::{PERIOD_MS, RECORDED_MAX};

/// As many of these as fit into a period; gives what is in the log then, and what one more message adds after it.
fn flood(world: &World, count: u32, wrong: impl Fn(&mut Draft, u32)) -> (usize, Vec<(String, Reason)>) {
    let handler = world.wire.handlers.lock().unwrap()[&Module::Identity].clone();
    for n in 0..count {
        let mut draft = Draft::mark();
        let mut nonce = [0; 16];
        nonce[..4].copy_from_slice(&n.to_be_bytes());
        draft.claims.nonce = Nonce::new(nonce);
        wrong(&mut draft, n);
        handler.handle(draft.arrives_under, &draft.seal());
    }
    let recorded = world.refused().len();
    world.clock.set(NOW.plus_ms(PERIOD_MS));
    world.bind(model::mode::Binding::settled(model::Mode::ProvisionCertificate), crate::support::EPOCH);
    let draft = Draft { now: NOW.plus_ms(PERIOD_MS), ..Draft::mark() };
    handler.handle(Subject::IdentityMark, &draft.seal());
    (recorded, world.refused().split_off(recorded))
}

#[track_caller]
fn check(wrong: impl Fn(&mut Draft, u32), caller: &str, reason: Reason) {
    let (recorded, then) = flood(&World::new(), 1000, wrong);
    assert_eq!(u64::try_from(recorded).unwrap(), RECORDED_MAX);
    assert_eq!(then, [(format!("{caller} ({} more)", 1000 - RECORDED_MAX), reason)]);
}

#[test]
fn of_a_stranger() {
    check(|d, _| d.signed_by = STRANGER, "unknown", Reason::UnknownCaller);
}
#[test]
fn of_a_module_that_may_not_call() {
    check(|d, _| d.from(Module::Gateway), "gateway:box", Reason::CallerNotAllowed);
}
#[test]
fn of_one_call_again_and_again() {
    // The first is carried out.
    let again = |d: &mut Draft, _: u32| d.claims.nonce = Nonce::new([9; 16]);
    let (recorded, then) = flood(&World::new(), 1001, again);
    assert_eq!(u64::try_from(recorded).unwrap(), RECORDED_MAX);
    let (more, again) = (then[0].clone(), then[1].clone());
    assert_eq!(more, (format!("console:box ({} more)", 1000 - RECORDED_MAX), Reason::Replayed));
    assert_eq!(again, ("console:box".to_owned(), Reason::Replayed));
}
#[test]
fn under_many_subjects_is_one_flood() {
    let everywhere = |d: &mut Draft, n: u32| {
        d.signed_by = STRANGER;
        d.arrives_under = Subject::ALL[usize::try_from(n).unwrap() % Subject::ALL.len()];
    };
    check(everywhere, "unknown", Reason::UnknownCaller);
}
#[test]
fn does_not_hide_what_a_module_does() {
    let world = World::new();
    flood(&world, 1000, |d, _| d.signed_by = STRANGER);
    let mut draft = Draft::mark();
    draft.from(Module::Software);
    assert_eq!(draft.arrive(&world), Outcome::Refused(Reason::CallerNotAllowed));
}
#[test]
fn is_counted_when_the_module_stops() {
    let world = World::new();
    for _ in 0..RECORDED_MAX {
        let mut draft = Draft::mark();
        draft.signed_by = STRANGER;
        assert_eq!(draft.arrive(&world), silence(Reason::UnknownCaller));
    }
    let handler = world.wire.handlers.lock().unwrap()[&Module::Identity].clone();
    handler.handle(Subject::IdentityMark, &Draft { signed_by: STRANGER, ..Draft::mark() }.seal());
    drop(handler);
    let World { links, wire, log, .. } = world;
    wire.handlers.lock().unwrap().clear();
    drop(links);
    let last = log.entries.lock().unwrap().pop().unwrap();
    assert!(serde_json::to_string(&last).unwrap().contains("unknown (1 more)"));
}
