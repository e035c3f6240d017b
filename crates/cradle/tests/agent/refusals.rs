//! What a device refuses, and what it says of it.

use crate::house::{House, Said, image};

/// A device that is refused something: what it says, that nothing was installed, and that `status` remembers it.
#[track_caller]
fn refuses(house: &House, words: &[&str]) {
    let said = house.fails();
    assert!(words.iter().all(|word| said.contains(word)), "{said}");
    assert!(house.did().is_empty(), "it was installed");
    let kept = house.status()["refused"].to_string();
    assert!(words.iter().all(|word| kept.contains(word)), "{kept}");
}

#[test]
fn an_image_that_the_server_altered() {
    let house = House::new("agent-refuses-altered");
    let served = house.serve();
    house.configure(&served.url());
    let os = image(50_000, 1);
    house.direct(2, "os.img", &os, 2);
    let path = format!("images/targets/{}.os.img", x509::sha256(&os));
    let mut altered = os.clone();
    altered[40_000] ^= 1;
    house.b.write(&path, &altered);
    refuses(&house, &["os.img", "the target is not the one that was announced", "arbitrary software"]);
    house.b.write(&path, [os.as_slice(), b"more"].concat());
    refuses(&house, &["os.img", "longer than was announced", "endless data"]);
    house.b.write(&path, &os);
    house.b.write("device/at-once", "");
    house.update();
    assert_eq!(house.modem(), (2, None));
}
#[test]
fn an_older_release() {
    let house = House::new("agent-refuses-older");
    let served = house.serve();
    house.direct(2, "os.img", &image(1000, 1), 2);
    // The director does not know what it carries.
    house.configure_with(&served.url(), "modem.a", 3, "");
    refuses(&house, &["director: targets.json", "release counter is below", "rollback"]);
    assert_eq!(house.status()["components"][0]["release_counter_min"], 3);
    // It does now, and gives nothing.
    assert_eq!(house.update(), "nothing is to be done\n");
}
#[test]
fn older_metadata() {
    let house = House::new("agent-refuses-metadata");
    let served = house.serve();
    house.configure(&served.url());
    let older = house.b.read("images/metadata/timestamp.json");
    house.publish(2, &[]);
    house.update();
    house.b.write("images/metadata/timestamp.json", older);
    refuses(&house, &["image repository: timestamp.json", "older than what is trusted", "rollback"]);
}
#[test]
fn two_repositories_that_do_not_say_the_same() {
    let house = House::new("agent-refuses-mixed");
    let served = house.serve();
    house.configure(&served.url());
    let (os, other) = (image(1000, 1), image(1000, 2));
    house.direct(2, "os.img", &os, 2);
    house.publish(3, &[Said { name: "os.img", octets: &other, counter: 2 }]);
    refuses(&house, &["os.img", "different hashes", "mix-and-match"]);
    house.publish(4, &[Said { name: "os.img", octets: &os, counter: 3 }]);
    refuses(&house, &["os.img", "different release counters", "mix-and-match"]);
    house.publish(5, &[]);
    refuses(&house, &["os.img", "no role that may says anything"]);
}
#[test]
fn other_hardware() {
    let house = House::new("agent-refuses-hardware");
    let served = house.serve();
    house.direct(2, "os.img", &image(1000, 1), 2);
    house.configure_with(&served.url(), "modem.b", 1, "");
    refuses(&house, &["director: targets.json", "not for the hardware", "wrong hardware"]);
}
#[test]
fn fewer_signatures_than_the_device_demands() {
    let house = House::new("agent-refuses-signatures");
    let served = house.serve();
    house.direct(2, "os.img", &image(1000, 1), 2);
    house.configure_with(&served.url(), "modem.a'\nsigning_roles_min = 2 # '", 1, "");
    refuses(&house, &["os.img", "fewer roles", "arbitrary software"]);
}
#[test]
fn a_root_that_is_none() {
    let house = House::new("agent-refuses-root");
    let served = house.serve();
    house.configure(&served.url());
    house.b.write("root.json", house.b.read("images/metadata/timestamp.json"));
    refuses(&house, &["root.json is no root to begin with", "arbitrary software"]);
}
#[test]
fn a_kept_root_that_the_medium_altered_is_begun_again_and_what_else_is_kept_stays_the_measure() {
    let house = House::new("agent-altered-root");
    let served = house.serve();
    house.configure(&served.url());
    let older = house.b.read("images/metadata/timestamp.json");
    house.direct(2, "os.img", &image(1000, 1), 2);
    house.update();
    let newer = house.b.read("images/metadata/timestamp.json");
    for kept in ["agent/images/root.json", "agent/director/root.json"] {
        let before = house.b.read(kept);
        let mut altered = before.clone();
        altered[before.len() / 2] ^= 1;
        for octets in [altered, Vec::new(), vec![b'['; 600_000]] {
            house.b.write(kept, octets);
            house.b.write("images/metadata/timestamp.json", &older);
            let (status, _, said) = house.run(&["update"]);
            assert!(said.contains(&format!("{kept} was no root any more")), "{said}");
            assert!(status == 1 && said.contains("older than what is trusted"), "{status}: {said}");
            house.b.write("images/metadata/timestamp.json", &newer);
            let (status, _, said) = house.run(&["update"]);
            assert!(status == 0 && said.is_empty() && house.b.read(kept) == before, "{status}: {said}");
        }
    }
}
#[test]
fn a_server_that_somebody_else_vouches_for_and_a_device_that_is_another() {
    let house = House::new("agent-refuses-tls");
    let served = house.serve();
    house.configure(&served.url());
    let config = String::from_utf8(house.b.read("agent.toml")).unwrap();
    house.b.write("agent.toml", config.replace("anchors = 'ca.pem'", "anchors = 'other.pem'"));
    assert!(house.fails().contains("TLS"));
    house.b.write("agent.toml", config.replace("'device.pem'\nkey = 'device.key'", "'other.pem'\nkey = 'other.key'"));
    let said = house.fails();
    assert!(said.contains("director: ") && said.contains("not there"), "{said}");
    house.b.write("agent.toml", config.replace("certificate = 'device.pem'\nkey = 'device.key'\n", ""));
    house.fails();
    assert_eq!(house.ledger(), (0, 0));
    house.b.write("agent.toml", config);
    house.update();
}
#[test]
fn a_key_that_others_can_read() {
    let house = House::new("agent-refuses-key");
    let served = house.serve();
    house.configure(&served.url());
    crate::common::foreign(&house.b.dir, "chmod", &["644", "device.key"]);
    let (status, _, said) = house.run(&["update"]);
    assert!(status == 2 && said.contains("others than its owner can read it"), "{status}: {said}");
}
