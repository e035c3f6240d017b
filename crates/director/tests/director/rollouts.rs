//! Roll-outs, as devices see them.

use crate::support::{House, Unit, name, offer, plan, refused};
use director::{Audience, Conflict, Requirement, Rollout, State};

fn everybody() -> Audience {
    Audience::Percent(100)
}
fn state(house: &House, rollout: &str) -> (State, usize) {
    let catalogue = house.director.catalogue().unwrap();
    let rollout = catalogue.rollouts.iter().find(|one| one.plan().name == name(rollout)).unwrap();
    (rollout.state(), rollout.stage())
}
fn units(house: &House, count: usize, groups: &[&str]) -> Vec<Unit> {
    let unit = |n: usize| Unit::new(&format!("{}{n}", groups.join("")), &[("modem", "modem.a")], groups);
    let units: Vec<_> = (0..count).map(unit).collect();
    units.iter().for_each(|unit| house.register(unit));
    units
}

#[test]
fn canaries_first_then_everybody() {
    let house = House::with(&[("a", 2)]);
    let (mut canaries, mut others) = (units(&house, 2, &["canary"]), units(&house, 2, &[]));
    let stages = [(Audience::Group(name("canary")), 2), (everybody(), 2)];
    house.director.roll_out(plan("spring", "a", &stages)).unwrap();
    for (n, unit) in canaries.iter_mut().enumerate() {
        house.tells(unit, &["a"]);
        house.tells(&mut others[0], &[]);
        assert_eq!(state(&house, "spring"), (State::Running, 0), "{n} have answered");
        unit.install("modem", "a", 2);
        house.hears(unit);
        // Who reports again is counted once.
        house.hears(unit);
    }
    assert_eq!(state(&house, "spring"), (State::Running, 1));
    for unit in &mut others {
        house.tells(unit, &["a"]);
        unit.install("modem", "a", 2);
        house.hears(unit);
    }
    assert_eq!(state(&house, "spring"), (State::Finished, 2));
}
#[test]
fn too_many_failures_halt_it() {
    let house = House::with(&[("a", 2)]);
    let mut all = units(&house, 12, &[]);
    house.director.roll_out(plan("spring", "a", &[(everybody(), 10)])).unwrap();
    let mut late = all.split_off(11);
    // 20 of 100 may fail: two of ten, and not three.
    for (n, unit) in all.iter_mut().take(3).enumerate() {
        house.tells(unit, &["a"]);
        for attempt in 1..=3 {
            assert_eq!(state(&house, "spring").0, State::Running, "{n} failed, at attempt {attempt} of the next");
            // Whoever asks again is not given another chance by it.
            house.tells(unit, &["a"]);
            house.hears(unit);
        }
    }
    assert_eq!(state(&house, "spring").0, State::Halted);
    house.tells(&mut all[0], &[]);
    house.tells(&mut late[0], &[]);
    // Who has it keeps it.
    all[5].install("modem", "a", 2);
    house.hears(&all[5]);
    house.tells(&mut all[5], &["a"]);
    house.director.steer(&name("spring"), Rollout::resume).unwrap();
    house.tells(&mut late[0], &["a"]);
    // A device is counted once, also if it fails again.
    house.tells(&mut all[0], &["a"]);
    (1..=3).for_each(|n| assert!(house.hears(&all[0]) > n));
    assert_eq!(tally(&house).failed, 3);
}
fn tally(house: &House) -> director::Tally {
    house.director.overview().unwrap().rollouts[0].all()
}
#[test]
fn an_operator_pauses_and_resumes_it() {
    let house = House::with(&[("a", 2)]);
    let mut unit = units(&house, 1, &[]).remove(0);
    house.director.roll_out(plan("spring", "a", &[(everybody(), 1)])).unwrap();
    house.tells(&mut unit, &["a"]);
    house.director.steer(&name("spring"), Rollout::pause).unwrap();
    refused(house.director.steer(&name("spring"), Rollout::pause), "paused");
    house.tells(&mut unit, &[]);
    // That it does not install what it is told to leave alone is no failure.
    for number in 1..=5 {
        assert_eq!(house.hears(&unit), number);
    }
    assert_eq!(tally(&house).failed, 0);
    house.director.steer(&name("spring"), Rollout::resume).unwrap();
    refused(house.director.steer(&name("spring"), Rollout::resume), "running");
    house.tells(&mut unit, &["a"]);
    assert_eq!(state(&house, "spring").0, State::Running);
    refused(house.director.steer(&name("autumn"), Rollout::pause), "no such roll-out");
}
#[test]
fn plans_that_are_none() {
    let house = House::with(&[("a", 2)]);
    let refuse = |stages: &[(Audience, u64)], why| refused(house.director.roll_out(plan("spring", "a", stages)), why);
    refuse(&[], "no stage");
    refuse(&[(everybody(), 0)], "answers");
    refuse(&[(Audience::Percent(0), 1)], "percentages");
    refuse(&[(Audience::Percent(101), 1)], "percentages");
    refuse(&[(Audience::Percent(50), 1), (Audience::Percent(50), 1)], "percentages");
    refused(house.director.roll_out(plan("spring", "b", &[(everybody(), 1)])), "no such target");
    house.director.roll_out(plan("spring", "a", &[(everybody(), 1)])).unwrap();
    refuse(&[(everybody(), 1)], "already");
}

fn pair(serial: &str) -> Unit {
    Unit::new(serial, &[("modem", "modem.a"), ("radio", "radio.a")], &[])
}
#[test]
fn what_is_required_is_there_before_or_comes_along() {
    let house = House::with(&[("a", 2)]);
    house.director.take(offer("r", 5, &["radio.a"])).unwrap();
    let mut unit = pair("1");
    house.register(&unit);
    let requires = vec![Requirement { component: name("radio"), release_counter: 5 }];
    house.director.roll_out(director::Plan { requires, ..plan("spring", "a", &[(everybody(), 9)]) }).unwrap();
    house.hears(&unit);
    house.tells(&mut unit, &[]);
    house.director.assign_to(&unit.device.id, &name("radio"), "r").unwrap();
    house.tells(&mut unit, &["a", "r"]);
    unit.install("radio", "r", 5);
    house.hears(&unit);
    house.tells(&mut unit, &["a", "r"]);
}
#[test]
fn what_is_in_conflict_is_not_there_and_does_not_come() {
    let house = House::with(&[("a", 2)]);
    house.director.take(offer("r", 5, &["radio.a"])).unwrap();
    let mut unit = pair("1");
    house.register(&unit);
    let conflicts = vec![Conflict { component: name("radio"), image: "r".into() }];
    house.director.roll_out(director::Plan { conflicts, ..plan("spring", "a", &[(everybody(), 9)]) }).unwrap();
    house.tells(&mut unit, &["a"]);
    house.director.assign_to(&unit.device.id, &name("radio"), "r").unwrap();
    house.tells(&mut unit, &["r"]);
    unit.install("radio", "r", 5);
    house.hears(&unit);
    house.tells(&mut unit, &["r"]);
}
