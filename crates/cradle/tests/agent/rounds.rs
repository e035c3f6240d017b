//! Rounds in which nothing goes wrong, and what is said of them.

use crate::common::text;
use crate::house::{DEVICE, House, image};

#[test]
fn a_device_installs_what_it_is_told_and_reports_it() {
    let house = House::new("agent-whole");
    let served = house.serve();
    house.configure(&served.url());
    assert_eq!(house.update(), "nothing is to be done\n");
    assert_eq!(house.ledger(), (1, 0), "what the factory gave it was not reported");

    let os = image(300_000, 1);
    house.direct(2, "os.img", &os, 2);
    assert_eq!(house.update(), "modem: os.img, release counter 2, is installed, and runs after the next start\n");
    assert_eq!(house.b.read("device/slot-B"), os);
    assert_eq!(house.ledger(), (1, 0), "it reported what does not run");
    assert_eq!(house.update(), "modem: os.img, release counter 2, is installed, and runs after the next start\n");
    assert_eq!(house.modem(), (1, Some("unconfirmed".into())));

    house.start();
    assert_eq!(house.update(), "modem: os.img, release counter 2, is installed\n");
    assert_eq!(house.modem(), (2, None));
    assert_eq!(house.did(), ["install", "confirm"]);
    let confirm = format!("confirm modem 2 {}", x509::sha256(&os));
    assert!(text(&house.b.read("device/did")).contains(&confirm));
    assert_eq!(house.director_says(&["who-has", "os.img"])[0]["device"], DEVICE);
    assert_eq!(house.update(), "nothing is to be done\n");
    assert_eq!(house.ledger(), (2, 0), "it reported what the director knows");
    assert!(!house.b.dir.join("agent/incoming/modem.image").exists(), "the image is kept for nothing");
}
#[test]
fn what_is_said_to_people_and_to_programs() {
    let house = House::new("agent-says");
    let served = house.serve();
    house.configure(&served.url());
    house.direct(2, "os.img", &image(1000, 1), 2);
    let (status, said, _) = house.run(&["update", "-o", "json"]);
    let said: serde_json::Value = serde_json::from_str(&said).unwrap();
    assert_eq!((status, &said["failures"]), (0, &serde_json::json!([])));
    assert_eq!(said["components"][0]["became"], "waits-for-start");
    let (_, said, _) = house.run(&["status"]);
    assert!(said.contains("factory.img, release counter 1; os.img, release counter 2, is unconfirmed"), "{said}");
    assert!(said.contains("manifest 1"), "{said}");
    let said = house.status();
    assert_eq!((&said["device"], &said["report_waits"]), (&DEVICE.into(), &false.into()));
    let modem = &said["components"][0];
    assert_eq!((&modem["hardware_id"], &modem["release_counter_min"]), (&"modem.a".into(), &1.into()));
    assert_eq!((&modem["pending"]["target"], &modem["pending"]["length"]), (&"os.img".into(), &1000.into()));
}
#[test]
fn the_same_octets_under_a_higher_counter_are_not_installed_again() {
    let house = House::new("agent-same");
    let served = house.serve();
    house.configure(&served.url());
    house.b.write("device/at-once", "");
    let os = image(1000, 1);
    house.direct(2, "os.img", &os, 2);
    assert_eq!(house.update(), "modem: os.img, release counter 2, is installed\n");
    house.direct(3, "os-again.img", &os, 3);
    assert_eq!(house.update(), "modem: os-again.img, release counter 3, is installed\n");
    assert_eq!((house.modem(), house.did().len()), ((3, None), 2));
    assert_eq!(house.director_says(&["who-has", "os-again.img"])[0]["device"], DEVICE);
}
#[test]
fn a_second_agent_waits_for_the_first() {
    let house = House::new("agent-two");
    let served = house.serve();
    house.configure(&served.url());
    house.direct(2, "os.img", &image(1000, 1), 2);
    let mut first = house.installing();
    let said = house.fails();
    assert!(said.contains("in-use") && said.contains("another agent"), "{said}");
    house.go_on();
    assert!(first.wait().unwrap().success());
    assert_eq!(house.did(), ["install"]);
}
#[test]
fn it_goes_on_round_after_round() {
    let house = House::new("agent-every");
    let served = house.serve();
    house.configure(&served.url());
    house.b.write("device/at-once", "");
    let mut agent = house.agent(&[], &["update", "--every", "1"]).spawn().unwrap();
    assert!((0..100_000).any(|_| house.ledger().0 == 1), "nothing is reported");
    house.direct(2, "os.img", &image(1000, 1), 2);
    assert!((0..100_000).any(|_| house.ledger().0 == 2), "nothing is installed");
    agent.kill().unwrap();
    agent.wait().unwrap();
    assert_eq!(house.modem(), (2, None));
}
