//! Reports that are lost on their way, or whose answers are.

use crate::front::{Fate, Front};
use crate::house::House;

fn is_manifest(line: &str) -> bool {
    line.starts_with("POST ") && line.ends_with("/manifest")
}

#[test]
fn a_report_that_is_lost_is_delivered_later_and_recorded_once() {
    let house = House::new("agent-report-lost");
    let served = house.serve();
    let fate = |line: &str, times| if is_manifest(line) && times <= 2 { Fate::Lost } else { Fate::Answered };
    let front = Front::of(&house.b.dir, &served.url(), fate);
    house.configure(&front.url());
    for _ in 0..2 {
        let said = house.fails();
        assert!(said.contains("manifest 1 was not delivered") && said.contains("it is kept"), "{said}");
        assert_eq!((&house.status()["report_waits"], house.ledger()), (&true.into(), (0, 0)));
    }
    let kept = house.b.read("agent/report.json");
    house.update();
    assert!(!kept.is_empty() && house.ledger() == (1, 0), "it is recorded {:?}", house.ledger());
    assert_eq!((&house.status()["reported"]["number"], &house.status()["report_waits"]), (&1.into(), &false.into()));
    let asked = front.asked.lock().unwrap().clone();
    assert_eq!(asked.iter().filter(|line| line.ends_with("/nonce")).count(), 1, "it was written anew");
    assert_eq!(asked.iter().filter(|line| is_manifest(line)).count(), 3);
}
#[test]
fn a_report_whose_answer_is_lost_is_not_recorded_twice() {
    let house = House::new("agent-report-unanswered");
    let served = house.serve();
    let fate = |line: &str, times| if is_manifest(line) && times == 1 { Fate::Unanswered } else { Fate::Answered };
    let front = Front::of(&house.b.dir, &served.url(), fate);
    house.configure(&front.url());
    assert!(house.fails().contains("manifest 1 was not delivered"));
    assert_eq!(house.ledger(), (1, 0));
    // The director does not take the same one again; what is carried is said under a number of its own.
    house.update();
    assert_eq!(house.ledger(), (2, 0));
    assert_eq!(house.status()["reported"]["number"], 2);
    house.update();
    assert_eq!(house.ledger(), (2, 0));
}
#[test]
fn a_report_that_was_damaged_is_written_anew() {
    let house = House::new("agent-report-damaged");
    let served = house.serve();
    let fate = |line: &str, times| if is_manifest(line) && times == 1 { Fate::Lost } else { Fate::Answered };
    let front = Front::of(&house.b.dir, &served.url(), fate);
    house.configure(&front.url());
    house.fails();
    house.b.write("agent/report.json", "{");
    house.update();
    assert_eq!(house.ledger(), (1, 1), "the number that was given first is missing, and shown so");
}
#[test]
fn a_round_without_news_asks_for_four_files() {
    let house = House::new("agent-quiet");
    let served = house.serve();
    let front = Front::of(&house.b.dir, &served.url(), |_: &str, _| Fate::Answered);
    house.configure(&front.url());
    house.update();
    front.asked.lock().unwrap().clear();
    assert_eq!(house.update(), "nothing is to be done\n");
    let asked = front.asked.lock().unwrap().clone();
    let files: Vec<_> = asked.iter().map(|line| line.rsplit('/').next().unwrap()).collect();
    assert_eq!(files, ["2.root.json", "timestamp.json", "2.root.json", "timestamp.json"]);
}
#[test]
fn nobody_is_told_which_software_runs() {
    let house = House::new("agent-silent");
    let served = house.serve();
    let front = Front::of(&house.b.dir, &served.url(), |_: &str, _| Fate::Answered);
    house.configure(&front.url());
    house.update();
    let asked = front.asked.lock().unwrap().join("\n");
    assert!(!asked.contains("factory") && asked.contains("/nonce"), "{asked}");
}
