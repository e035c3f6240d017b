//! Installing, confirming, and going back.

use crate::house::{House, Served, image};

const REVERT: &str = "revert = ['DIR/device/revert']\n";

/// A device that has installed release 2 and was not started since.
fn installed(name: &str, slots: &str) -> (House, Served) {
    let house = House::new(name);
    let served = house.serve();
    house.configure_with(&served.url(), "modem.a", 1, slots);
    house.direct(2, "os.img", &image(1000, 1), 2);
    assert!(house.update().contains("after the next start"));
    (house, served)
}

#[test]
fn a_device_that_went_back_by_itself_reports_what_it_carries_and_does_not_try_again() {
    let (house, _served) = installed("agent-back", "");
    house.start_from("A");
    assert_eq!(
        house.update(),
        "modem: os.img, release counter 2, failed before, and is not tried again until something else is directed\n"
    );
    let modem = &house.status()["components"][0];
    assert_eq!((&modem["installed"]["release_counter"], &modem["release_counter_min"]), (&1.into(), &1.into()));
    assert_eq!(modem["failed"]["target"], "os.img");
    // The director is told three times, and not for ever.
    (0..4).for_each(|_| assert!(house.update().contains("failed before")));
    assert_eq!((house.did(), house.ledger()), (vec!["install".to_owned()], (4, 0)));
    // What is directed then may be older than what failed: it was never confirmed.
    house.b.write("device/at-once", "");
    house.direct(3, "newer.img", &image(1000, 3), 3);
    assert_eq!(house.update(), "modem: newer.img, release counter 3, is installed\n");
}
#[test]
fn what_is_not_confirmed_is_no_floor() {
    let (house, _served) = installed("agent-floor", "");
    house.start_from("A");
    house.update();
    // Under the counter of what is carried, not of what failed.
    house.b.write("device/at-once", "");
    house.direct(3, "mended.img", &image(1000, 3), 1);
    assert_eq!(house.update(), "modem: mended.img, release counter 1, is installed\n");
}
#[test]
fn what_is_not_well_is_tried_until_the_device_goes_back() {
    let (house, _served) = installed("agent-unwell", "");
    house.start();
    house.b.write("device/unwell", "");
    for _ in 0..2 {
        let said = house.fails();
        assert!(said.contains("/device/confirm failed") && said.contains("it said: no network"), "{said}");
        assert_eq!(house.modem(), (1, Some("unconfirmed".into())));
    }
    // Its other slot is what it can go back to: nothing is written there.
    house.direct(3, "newer.img", &image(1000, 3), 3);
    house.fails();
    assert_eq!((house.did().iter().filter(|did| *did == "install").count(), house.ledger()), (1, (1, 0)));
    std::fs::remove_file(house.b.dir.join("device/unwell")).unwrap();
    let said = house.update();
    assert!(said.contains("newer.img, release counter 3, is installed, and runs after the next start"), "{said}");
    assert_eq!(house.modem(), (2, Some("unconfirmed".into())));
}
#[test]
fn what_is_not_well_is_told_to_go_back() {
    let (house, _served) = installed("agent-revert", REVERT);
    house.start();
    house.b.write("device/unwell", "");
    assert!(house.fails().contains("it said: no network"));
    assert_eq!(
        (house.modem(), house.did()),
        ((1, Some("reverting".into())), ["install", "confirm", "revert"].map(String::from).to_vec())
    );
    assert!(house.update().contains("is not well; the device goes back"));
    assert_eq!(house.did().len(), 3, "it was told again before it was started");
    house.start();
    assert!(house.update().contains("failed before"));
    assert_eq!(house.status()["components"][0]["installed"]["release_counter"], 1);
}
#[test]
fn a_command_that_fails_is_tried_three_times() {
    let house = House::new("agent-broken");
    let served = house.serve();
    house.configure(&served.url());
    house.direct(2, "os.img", &image(1000, 1), 2);
    house.b.write("device/broken", "");
    for _ in 0..3 {
        let said = house.fails();
        assert!(said.contains("/device/install failed") && said.contains("it said: no flash"), "{said}");
    }
    assert!(house.update().contains("failed before"));
    assert!(house.update().contains("failed before"));
    assert_eq!(house.did().len(), 3);
    assert_eq!(house.status()["components"][0]["failed"]["why"], "it could not be installed");
}
#[test]
fn an_image_is_written_to_the_slot_itself() {
    let house = House::new("agent-inactive");
    let served = house.serve();
    let slots = "inactive = ['/bin/cat', 'DIR/device/where']\n";
    house.configure_with(&served.url(), "modem.a", 1, slots);
    let place = house.b.dir.join("device/partition");
    // A slot that held something longer.
    std::fs::write(&place, vec![1; 5000]).unwrap();
    house.b.write("device/where", place.to_str().unwrap());
    house.b.write("device/at-once", "");
    let os = image(1000, 1);
    house.direct(2, "os.img", &os, 2);
    house.update();
    assert_eq!((house.modem(), std::fs::read(&place).unwrap() == os), ((2, None), true));
    assert!(!house.b.dir.join("agent/incoming/modem.image").exists());
    house.b.write("device/where", "partition");
    house.direct(3, "newer.img", &image(1000, 3), 3);
    assert!(house.fails().contains("no absolute path"));
}
#[test]
fn what_was_begun_to_be_installed_and_is_not_wanted_any_more_is_undone() {
    let house = House::new("agent-undone");
    let served = house.serve();
    house.configure_with(&served.url(), "modem.a", 1, REVERT);
    house.direct(2, "os.img", &image(1000, 1), 2);
    house.b.write("device/broken", "");
    house.fails();
    // Another one, which takes its place; then none, three times in vain.
    house.direct(3, "newer.img", &image(1000, 3), 3);
    (0..3).for_each(|_| _ = house.fails());
    assert_eq!(house.did(), ["install", "revert", "install", "install", "install"]);
    house.update();
    assert_eq!(house.did().last().map(String::as_str), Some("revert"));
    house.direct(4, "newest.img", &image(1000, 4), 4);
    house.fails();
    house.director(&["recall", "newest.img"]);
    house.director(&["recall", "newer.img"]);
    house.update();
    assert_eq!(house.did()[6..], ["install", "revert"]);
    assert_eq!(house.modem(), (1, None));
}
#[test]
fn what_is_recalled_comes_no_further() {
    let house = House::new("agent-recalled");
    let served = house.serve();
    house.configure(&served.url());
    house.direct(2, "os.img", &image(1000, 1), 2);
    house.b.write("device/broken", "");
    house.fails();
    house.director(&["recall", "os.img"]);
    assert_eq!(house.update(), "nothing is to be done\n");
    assert_eq!(house.modem(), (1, None));
    assert!(!house.b.dir.join("agent/incoming/modem.image").exists());
}
