//! How an installation is: what needs attention, and that it is found.
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
use serde_json::Value;

/// The codes of what needs attention, with the clock off by so much. The status must say the same.
#[track_caller]
fn attention(b: &Box_, offset: &str) -> Vec<String> {
    let output = b.command_at(offset, &["status", "-o", "json"]).output().unwrap();
    let survey: Value = serde_json::from_slice(&output.stdout).unwrap();
    let mut codes = Vec::new();
    for finding in survey["findings"].as_array().unwrap() {
        for field in ["what", "why", "next"] {
            assert!(!finding[field].as_str().unwrap().is_empty(), "{finding}");
        }
        let code = finding["code"].as_str().unwrap().to_owned();
        b.ok(&["explain", &code]);
        codes.push(code);
    }
    assert_eq!(output.status.code(), Some(i32::from(!codes.is_empty())), "{}", text(&output.stderr));
    codes.dedup();
    codes
}

#[test]
fn a_new_installation_needs_nothing() {
    let b = Box_::new("status-new");
    assert_eq!(attention(&b, "+0d"), [""; 0]);
    let shown = b.ok(&["status"]);
    assert!(shown.contains("Nothing needs attention.") && shown.contains("  factory"), "{shown}");
    assert!(shown.lines().count() < 40, "it fits on a screen");
    let survey = b.json(&["status"]);
    let depths: Vec<_> = survey["authorities"].as_array().unwrap().iter().map(|a| a["depth"].to_string()).collect();
    assert_eq!(depths, ["0", "0", "1"]);
    assert_eq!(survey["modules"].as_array().unwrap().len(), 6);
    assert_eq!(survey["open_intents"], 0);
}

#[test]
fn what_expires_is_said_before_and_after() {
    let b = Box_::new("status-expiry");
    // Operators last three years, modules five, the module authority twenty.
    assert_eq!(attention(&b, "+1000d"), ["clock-ahead"]);
    assert_eq!(attention(&b, "+1010d"), ["clock-ahead", "holder-expiring"]);
    assert_eq!(attention(&b, "+1100d"), ["holder-expired", "clock-ahead"]);
    assert_eq!(attention(&b, "+7250d"), ["holder-expired", "clock-ahead", "authority-expiring"]);
    assert_eq!(attention(&b, "+7350d"), ["authority-expired", "holder-expired", "clock-ahead"]);
    let next = |offset: &str| text(&b.command_at(offset, &["status"]).output().unwrap().stdout);
    assert!(next("+1010d").contains("`cradle operator renew operator` in the mode"));
    assert!(next("+1780d").contains("`cradle module renew --all` in the mode"));
    assert!(next("+1860d").contains("`cradle module renew --all --expired`"));
    let output = b.command_at("+1010d", &["status", "-o", "json"]).output().unwrap();
    assert!(!output.stdout.is_empty(), "{}", text(&output.stderr));
    let survey: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(survey["horizon"][1]["operators"][0], "operator");
}

#[test]
fn lists_are_looked_after() {
    let b = Box_::with_software("status-lists");
    b.station("sensor");
    let survey = b.json(&["status"]);
    assert_eq!(survey["devices"]["provisioned"], 6);
    b.ok(&["mode", "set", "certificate-management"]);
    b.ok(&["cert", "revoke", "--device", "SN000001", "--yes"]);
    assert_eq!(attention(&b, "+0d"), ["crl-missing"]);
    b.ok(&["crl", "issue", "factory"]);
    assert_eq!(attention(&b, "+0d"), [""; 0]);
    assert_eq!(attention(&b, "+27d"), ["crl-due"]);
    assert_eq!(attention(&b, "+31d"), ["crl-overdue", "clock-ahead"]);
    let survey = b.json(&["status"]);
    let factory = &survey["authorities"][2];
    assert_eq!(
        (factory["certificates"]["confirmed"].as_u64(), factory["certificates"]["revoked"].as_u64()),
        (Some(5), Some(1))
    );
    assert_eq!(factory["crl"]["number"], 1);
    assert_eq!(b.json(&["verify", "--deep"])["revoked"], 1, "the same as what is counted the long way");
}

#[test]
fn marks_that_are_gone_are_said_until_a_backup_was_taken() {
    let b = Box_::new("status-marks");
    std::fs::rename(b.dir.join("data.marks"), b.dir.join("away.marks")).unwrap();
    assert_eq!(attention(&b, "+0d"), ["marks-lost"]);
    assert!(text(&b.run(&["doctor"]).stdout).contains("are gone from data.marks"));
    std::fs::rename(b.dir.join("away.marks"), b.dir.join("data.marks")).unwrap();
    assert_eq!(attention(&b, "+0d"), [""; 0]);
    b.ok(&["backup", "create", "before.backup"]);
    b.ok(&["mode", "set", "provision"]);
    for entry in std::fs::read_dir(b.dir.join("data.marks")).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "marks") {
            std::fs::remove_file(path).unwrap();
        }
    }
    // They are made anew, and not in silence.
    b.ok(&["mode", "set", "ceremony"]);
    b.ok(&["mode", "set", "certificate-management"]);
    assert_eq!(attention(&b, "+0d"), ["marks-lost"]);
    assert_eq!(b.ok(&["audit", "list", "--from", "0", "-o", "json"]).matches("marks were gone").count(), 1);
    b.ok(&["backup", "create", "after.backup"]);
    assert_eq!(attention(&b, "+0d"), [""; 0]);
    std::fs::rename(b.data(), b.dir.join("lost")).unwrap();
    let secret = "lost/secrets/passphrase";
    let said = b.fails(&["backup", "restore", "before.backup", "--passphrase-file", secret], 7, "marks-missing");
    assert!(said.contains("they begin at audit entry") && said.contains("the backup ends at"), "{said}");
    b.ok(&["backup", "restore", "after.backup", "--passphrase-file", secret]);
}

#[test]
fn a_clock_that_was_set_back_is_said() {
    let b = Box_::new("status-clock");
    assert_eq!(attention(&b, "-1d"), ["clock-behind"]);
}

#[test]
fn what_was_interrupted_is_said() {
    let b = Box_::new("status-interrupted");
    b.sql("UPDATE mode SET binding = json_set(binding, '$.pending', 'ceremony')");
    assert_eq!(attention(&b, "+0d"), ["mode-interrupted"]);
    b.sql(
        "UPDATE counter SET value = 0 WHERE name = 'open_intent_floor';
         DELETE FROM certificate WHERE id = (SELECT max(id) FROM certificate)",
    );
    assert_eq!(attention(&b, "+0d"), ["mode-interrupted", "intents-open"]);
    // While somebody works on it, both are as they should be.
    let held = adapters::files::DirectoryLock::take(&b.data()).unwrap();
    assert_eq!(attention(&b, "+0d"), [""; 0]);
    assert_eq!(b.json(&["status"])["held_by"]["pid"], std::process::id());
    drop(held);
    b.sql("UPDATE authority SET certificate = NULL WHERE name = 'factory'; DELETE FROM mode");
    assert_eq!(attention(&b, "+0d"), ["mode-missing", "authority-unfinished", "intents-open"]);
}

#[test]
fn marks_on_another_disk_have_their_own_room() {
    let b = Box_::new("status-marks");
    assert!(b.json(&["status"])["disk"]["marks"].is_null(), "beside the records they have the same");
    let marks = std::path::Path::new("/dev/shm").join(format!("cradle-marks-{}", std::process::id()));
    std::fs::create_dir(&marks).unwrap();
    let path = b.data().join("cradle.toml");
    let text = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, format!("marks = \"{}\"\n{text}", marks.display())).unwrap();
    // It also says that there are no marks yet.
    let (survey, said) = (b.json_of(&["status"]), b.run(&["status"]));
    let said = String::from_utf8_lossy(&said.stdout).into_owned();
    let checks = b.run(&["doctor", "-o", "json"]);
    std::fs::remove_dir(&marks).unwrap();
    assert!(survey["disk"]["marks"]["free_octets"].as_u64().unwrap() > 0, "{survey}");
    assert!(said.contains("disk of marks "), "{said}");
    assert!(String::from_utf8_lossy(&checks.stdout).contains("room for marks"));
}
