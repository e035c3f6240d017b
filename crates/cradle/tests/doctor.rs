//! Everything that can be wrong with an installation, broken, and found.
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
use common::{Box_, text};
use ports::store::SoftwareStore;
use serde_json::Value;
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Output};

/// The checks that came out so, once each.
fn with_state(output: &Output, state: &str) -> Vec<String> {
    let examined: Value = serde_json::from_slice(&output.stdout).unwrap();
    let mut names = Vec::new();
    for check in examined["checks"].as_array().unwrap() {
        if state == "fail" && check["state"] == "fail" || state == "warn" && check["state"] == "warn" {
            for field in ["what", "why", "next"] {
                assert!(check[field].as_str().is_some_and(|words| !words.is_empty()), "{check}");
            }
        }
        if check["state"] == state {
            names.push(check["check"].as_str().unwrap().to_owned());
        }
    }
    names.dedup();
    names
}

/// The checks that fail. The exit status must say the same.
#[track_caller]
fn fails(b: &Box_, more: &[&str]) -> Vec<String> {
    let output = b.run(&[&["doctor", "-o", "json"], more].concat());
    let fails = with_state(&output, "fail");
    assert_eq!(output.status.code(), Some(i32::from(!fails.is_empty())), "{}", text(&output.stderr));
    if !fails.is_empty() {
        assert!(text(&output.stderr).contains("\"code\":\"doctor\""), "{}", text(&output.stderr));
    }
    fails
}

fn mode(b: &Box_, name: &str, mode: u32) {
    std::fs::set_permissions(b.data().join(name), std::fs::Permissions::from_mode(mode)).unwrap();
}

#[test]
fn a_new_installation_is_well_but_for_its_passphrase() {
    let b = Box_::new("doctor-well");
    assert_eq!(fails(&b, &["--deep"]), [""; 0]);
    let output = b.run(&["doctor", "-o", "json"]);
    assert!(with_state(&output, "warn").contains(&"passphrase file".to_owned()));
    let shown = b.ok(&["doctor"]);
    assert!(shown.contains("ok    audit log") && shown.contains("next: keep it elsewhere"), "{shown}");
    assert!(!b.data().join(".doctor").exists(), "nothing is left behind");
}

#[test]
fn what_is_open_to_others_is_found() {
    let b = Box_::new("doctor-open");
    mode(&b, "", 0o750);
    assert_eq!(fails(&b, &[]), ["permissions"]);
    mode(&b, "", 0o700);
    mode(&b, "keys", 0o701);
    assert_eq!(fails(&b, &[]), ["permissions"]);
    mode(&b, "keys", 0o700);
    mode(&b, "secrets/passphrase", 0o640);
    assert_eq!(fails(&b, &[]), ["passphrase file"]);
    mode(&b, "secrets/passphrase", 0o600);
    mode(&b, "keys/factory.p8", 0o644);
    assert_eq!(fails(&b, &[]), ["key files"]);
    mode(&b, "keys/factory.p8", 0o600);
    assert_eq!(fails(&b, &[]), [""; 0]);
}

#[test]
fn keys_that_are_gone_are_found() {
    let b = Box_::new("doctor-keys");
    for name in ["factory", "module.authority", "vault.software"] {
        let path = b.data().join(format!("keys/{name}.p8"));
        let key = std::fs::read(&path).unwrap();
        std::fs::remove_file(&path).unwrap();
        assert_eq!(fails(&b, &[]), ["key files"], "{name}");
        std::fs::write(&path, key).unwrap();
        mode(&b, &format!("keys/{name}.p8"), 0o600);
    }
    std::fs::remove_file(b.data().join("keys/operator.operator.p8")).unwrap();
    let output = b.run(&["doctor", "-o", "json"]);
    assert!(with_state(&output, "warn").contains(&"operators' keys".to_owned()));
    assert_eq!(output.status.code(), Some(0), "an operator's key may be with the operator");
    b.write("wrong", "battery staple\n");
    b.run(&["doctor"]);
    std::fs::set_permissions(b.dir.join("wrong"), std::fs::Permissions::from_mode(0o600)).unwrap();
    assert_eq!(fails(&b, &["--passphrase-file", "wrong"]), ["passphrase opens keys"]);
    assert_eq!(fails(&b, &["--passphrase-file", "nothing"]), ["passphrase file", "passphrase opens keys"]);
}

#[test]
fn records_that_were_touched_are_found() {
    let b = Box_::new("doctor-records");
    b.sql("DELETE FROM audit WHERE number = (SELECT max(number) FROM audit)");
    assert_eq!(fails(&b, &[]), ["audit log"]);
    b.sql("PRAGMA user_version = 99");
    assert_eq!(fails(&b, &[]), ["records"]);
    let b = Box_::new("doctor-pages");
    let path = b.data().join("cradle.db");
    b.sql("PRAGMA wal_checkpoint(TRUNCATE)");
    let mut octets = std::fs::read(&path).unwrap();
    // Beyond the first page, which holds the schema: the octets that say where the cells of a page are.
    for page in 2..octets.len() / 4096 {
        octets[page * 4096 + 8..page * 4096 + 40].fill(0xff);
    }
    std::fs::write(&path, octets).unwrap();
    let found = fails(&b, &[]);
    assert!(found.contains(&"database".to_owned()) || found.contains(&"records".to_owned()), "{found:?}");
    std::fs::remove_file(&path).unwrap();
    assert_eq!(fails(&b, &[]), ["records"]);
}

#[test]
fn settings_and_profiles_that_cannot_be_read_are_found() {
    let b = Box_::new("doctor-settings");
    std::fs::write(b.data().join("profiles/idevid.toml"), "nonsense = true\n").unwrap();
    assert_eq!(fails(&b, &[]), ["profiles"]);
    std::fs::remove_file(b.data().join("profiles/idevid.toml")).unwrap();
    std::fs::write(b.data().join("cradle.toml"), "organization = 1\n").unwrap();
    assert_eq!(fails(&b, &[]), ["settings"]);
    std::fs::remove_file(b.data().join("audit.pub")).unwrap();
    std::fs::remove_file(b.data().join("cradle.toml")).unwrap();
    assert_eq!(fails(&b, &[]), ["settings", "passphrase opens keys"]);
    assert_eq!(fails(&b, &["--data", "nothing"]), ["data directory"]);
    assert_eq!(fails(&b, &["--data", "/dev/null"]), ["data directory"]);
}

#[test]
fn what_the_status_finds_is_found() {
    let b = Box_::new("doctor-status");
    let at = |offset: &str| with_state(&b.command_at(offset, &["doctor", "-o", "json"]).output().unwrap(), "fail");
    assert_eq!(at("-1d"), ["clock"]);
    assert_eq!(at("+1100d"), ["clock", "certificates of our own"]);
    b.sql("DELETE FROM mode");
    assert_eq!(fails(&b, &[]), ["mode"]);
}

#[test]
fn an_image_that_is_gone_is_named_with_its_release() {
    let b = Box_::with_software("doctor-vault");
    assert_eq!(fails(&b, &[]), [""; 0]);
    let row = b.store().last_bundle().unwrap().unwrap();
    let image = b.data().join("vault").join(&row.releases[0].image.0);
    std::fs::remove_file(&image).unwrap();
    assert_eq!(fails(&b, &[]), ["images in the vault"]);
    let file = image.file_name().unwrap().to_str().unwrap().to_owned();
    let said = b.fails(&["verify", "--deep"], 1, "records-disagree");
    for shown in [said, text(&b.run(&["doctor"]).stdout)] {
        assert!(shown.contains("app 1 for sensor (counter 1)") && shown.contains(&file), "{shown}");
    }
    // What is said beside it helps.
    b.import();
    b.sound();
}

#[test]
fn who_holds_the_directory_is_named() {
    let b = Box_::new("doctor-lock");
    let held = adapters::files::DirectoryLock::take(&b.data()).unwrap();
    let shown = b.ok(&["doctor"]);
    assert!(shown.contains(&format!("held by process {}", std::process::id())), "{shown}");
    drop(held);
    assert!(b.ok(&["doctor"]).contains("nobody holds"));
}

/// Runs the doctor in a shell that was set so before.
fn after(b: &Box_, before: &str) -> Output {
    let script = format!("{before}; exec {} doctor -o json", env!("CARGO_BIN_EXE_cradle"));
    let mut command = Command::new("bash");
    command.args(["-c", &script]).current_dir(&b.dir).env("CRADLE_DATA", "data").output().unwrap()
}

#[test]
fn limits_of_the_process_are_looked_at() {
    let b = Box_::new("doctor-limits");
    assert_eq!(with_state(&after(&b, "ulimit -n 255"), "fail"), ["open files"]);
    assert_eq!(with_state(&after(&b, "ulimit -n 256"), "fail"), [""; 0]);
    let hard = text(&Command::new("bash").args(["-c", "ulimit -Hc"]).output().unwrap().stdout);
    if hard.trim() != "0" {
        // The program sees to it itself: crates/cradle/tests/memory.rs.
        let well = with_state(&after(&b, "ulimit -Sc unlimited || ulimit -Sc $(ulimit -Hc)"), "ok");
        assert!(well.contains(&"core dumps".to_owned()), "{well:?}");
    }
}

#[test]
fn records_in_memory_are_warned_of() {
    let b = Box_::empty("doctor-memory");
    let place = format!("/dev/shm/cradle-doctor-{}", std::process::id());
    b.ok(&["--data", &place, "init", "--yes"]);
    let output = b.run(&["--data", &place, "doctor", "-o", "json"]);
    std::fs::remove_dir_all(&place).unwrap();
    assert!(with_state(&output, "warn").contains(&"file system".to_owned()), "{}", text(&output.stdout));
}
