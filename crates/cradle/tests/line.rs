//! The line, from the command line: boards in, certified devices out, and what is set aside.
#![allow(
    missing_docs,
    unreachable_pub,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "what cannot go on here has failed"
)]

mod common;
use common::Box_;

fn counts(pairs: &[(&str, usize)]) -> std::collections::BTreeMap<String, usize> {
    pairs.iter().map(|(reason, n)| ((*reason).to_owned(), *n)).collect()
}

#[test]
fn blank_boards_in_certified_devices_out() {
    let b = Box_::with_software("line-plain");
    assert_eq!(b.count("sensor"), counts(&[("provisioned", 6)]));
    let devices = b.json(&["device", "list", "--custody", "provisioned"]);
    assert_eq!(devices.as_array().unwrap().len(), 6);
    assert_eq!(b.sound()["devices_provisioned"], 6);
    // The box is at rest in the mode in which nothing can be certified.
    assert_eq!(b.json(&["mode", "show"])["mode"], "provision-software");
}

#[test]
fn what_turns_up_in_a_factory_is_set_aside_with_its_reason() {
    let b = Box_::with_software("line-aside");
    b.device_type(
        "sensor",
        "count = 3\n\
         extra = [{ board = 'X1', serial = 'NOBODY', device_type = 'sensor' },\
                  { board = 'X2', serial = 'SN000007', device_type = 'gateway' },\
                  { board = 'X3', serial = 'SN000008', device_type = 'sensor' },\
                  { board = 'X4', serial = 'SN000008', device_type = 'sensor' },\
                  { board = 'X5', serial = 'SN000009', device_type = 'sensor' },\
                  { board = 'X5', serial = 'SN000009', device_type = 'sensor' },\
                  { board = 'X6', serial = 'SN000010', device_type = 'sensor' }]\n\
         faults = [{ kind = 'silent', board = 'X6' }]",
    );
    let expected = counts(&[
        ("provisioned", 4),
        ("not-on-list", 1),
        ("wrong-type", 1),
        ("serial-taken", 2),
        ("already-provisioned", 1),
        ("board-silent", 1),
    ]);
    assert_eq!(b.count("sensor"), expected);
    b.fails(&["station", "run", "sensor"], 8, "not-on-list");
    let again = counts(&[
        ("already-provisioned", 5),
        ("not-on-list", 1),
        ("wrong-type", 1),
        ("serial-taken", 2),
        ("board-silent", 1),
    ]);
    assert_eq!(b.count("sensor"), again);
    // Another board under a serial number that is in use.
    b.device_type("sensor", "count = 1\nboard_prefix = 'COPY-'");
    assert_eq!(b.count("sensor"), counts(&[("serial-taken", 1)]));
    // A board whose label was changed.
    b.device_type(
        "sensor",
        "count = 0\nextra = [{ board = 'SIM-000001', serial = 'SN000011', device_type = 'sensor' }]",
    );
    assert_eq!(b.count("sensor"), counts(&[("board-taken", 1)]));
    assert_eq!(b.sound()["devices_provisioned"], 4);
}

#[test]
fn a_stolen_device_gets_nothing() {
    let b = Box_::with_software("line-stolen");
    b.ok(&["device", "stolen", "SN000002"]);
    assert_eq!(b.count("sensor"), counts(&[("provisioned", 5), ("board-held", 1)]));
    b.ok(&["device", "stolen", "SN000002", "--recovered"]);
    assert_eq!(b.count("sensor"), counts(&[("already-provisioned", 5), ("provisioned", 1)]));
}

#[test]
fn a_cable_that_comes_out_is_continued() {
    let b = Box_::with_software("line-cable");
    b.device_type("sensor", "faults = [{ kind = 'cable-out', percent = 50, board = 'SIM-000003' }]");
    assert_eq!(b.count("sensor"), counts(&[("provisioned", 5), ("board-silent", 1)]));
    b.device_type("sensor", "");
    assert_eq!(b.count("sensor"), counts(&[("already-provisioned", 5), ("provisioned", 1)]));
    assert_eq!(b.sound()["certificates"].as_u64().unwrap(), 10 + 6);
}

#[test]
fn a_board_that_holds_another_key_has_its_certificate_revoked_and_may_begin_anew() {
    let b = Box_::with_software("line-key");
    b.device_type("sensor", "count = 1\nfaults = [{ kind = 'wrong-key', board = 'SIM-000001' }]");
    assert_eq!(b.count("sensor"), counts(&[("challenge-failed", 1)]));
    let revoked = b.json(&["cert", "list", "--revoked"]);
    assert_eq!(revoked.as_array().unwrap().len(), 1);
    assert_eq!(revoked[0]["revocation_reason"], "cessation-of-operation");
    b.device_type("sensor", "count = 1");
    assert_eq!(b.count("sensor"), counts(&[("provisioned", 1)]));
    let device = b.json(&["device", "show", "SN000001"]);
    let states: Vec<_> = device["certificates"].as_array().unwrap().iter().map(|c| c["revoked"].is_null()).collect();
    assert_eq!(states, [false, true], "one valid certificate for one stage");
    b.sound();
}

#[test]
fn a_station_vouches_only_where_it_may() {
    let b = Box_::with_software("line-vouch");
    b.device_type("sensor", "key_offer = \"public-key\"");
    assert_eq!(b.count("sensor"), counts(&[("right-missing", 6)]));
    b.fails(&["station", "entitle", "sensor", "--quota", "4"], 3, "module-off");
    b.ok(&["mode", "set", "certificate-management"]);
    b.ok(&["station", "entitle", "sensor", "--quota", "4"]);
    b.ok(&["mode", "set", "provision"]);
    // More boards than the right allows: over-production ends at the quota.
    assert_eq!(b.count("sensor"), counts(&[("provisioned", 4), ("right-spent", 2)]));
    assert_eq!(b.count("sensor"), counts(&[("already-provisioned", 4), ("right-spent", 2)]));
    b.sound();
}

#[test]
fn the_halves_of_the_line_run_in_their_own_modes() {
    let b = Box_::with_software("line-halves");
    b.ok(&["mode", "set", "provision-certificate"]);
    assert_eq!(b.count("sensor"), counts(&[("software-missing", 6)]));
    b.ok(&["mode", "set", "provision-software"]);
    assert_eq!(b.count("sensor"), counts(&[("flashed", 6)]));
    assert_eq!(b.json(&["cert", "list", "--authority", "factory"]).as_array().unwrap().len(), 0);
    b.ok(&["mode", "set", "provision-certificate"]);
    assert_eq!(b.count("sensor"), counts(&[("provisioned", 6)]));
    b.ok(&["mode", "set", "software-import"]);
    b.fails(&["station", "run", "sensor"], 3, "module-off");
    b.ok(&["mode", "set", "sealed"]);
    b.fails(&["station", "run", "sensor"], 3, "sealed");
}

#[test]
fn no_software_no_line() {
    let b = Box_::new("line-nothing");
    b.device_type("sensor", "");
    let said = b.fails(&["station", "run", "sensor"], 7, "nothing-followed");
    assert!(said.contains("cradle release follow"), "{said}");
    b.release(1, "sensor");
    b.ok(&["release", "follow", "--images", "repository/metadata/1.root.json"]);
    let said = b.fails(&["station", "run", "sensor"], 5, "release-unknown");
    assert!(said.contains("cradle release import"), "{said}");
    b.fails(&["station", "run", "nothing"], 5, "device-type-unknown");
}

/// A type whose boards stand behind the example program, or one that was made of it.
fn behind_a_program(b: &Box_, program: &str, key_type: &str) {
    let text = format!(
        "description = \"a test\"\nprofile = \"idevid\"\nkey_type = \"{key_type}\"\n[flasher]\nadapter = \"command\"\n\
         program = \"/usr/bin/python3\"\nslots = [\"1\"]\n\
         arguments = [\"{program}\", \"--directory\", \"../boards-{key_type}\", \"--device-type\", \"sensor\", \
         \"--serial-prefix\", \"SN00000\"]\n"
    );
    std::fs::write(b.data().join("device-types/sensor.toml"), text).unwrap();
}
const EXAMPLE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../demo/command-example/board");

#[test]
fn a_program_reaches_a_board_wherever_the_data_directory_is_named_from() {
    let b = Box_::with_software("line-command");
    // The data directory is named by a relative path; the program runs elsewhere.
    behind_a_program(&b, EXAMPLE, "p256");
    assert_eq!(b.station("sensor"), [("SN000001".to_owned(), "provisioned".to_owned())]);
}

#[test]
fn a_board_does_not_choose_its_key_type() {
    let b = Box_::with_software("line-key-type");
    // It is asked for P-384, and makes a P-256 key.
    b.write("liar", std::fs::read_to_string(EXAMPLE).unwrap().replace("P-384", "P-256"));
    behind_a_program(&b, &b.dir.join("liar").display().to_string(), "p384");
    assert_eq!(b.station("sensor"), [("SN000001".to_owned(), "key-type-not-allowed".to_owned())]);
}
