//! Records and files that somebody touched, took away or put in the way.
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

use adapters::clock::SystemClock;
use common::Box_;
use model::Mode;
use model::mode::Binding;
use ports::Clock;
use ports::store::ModeStore;

#[test]
fn the_audit_log_tells_who_touched_it() {
    let b = Box_::with_software("audit");
    b.station("sensor");
    b.write("kept", b.ok(&["audit", "checkpoint"]));
    b.ok(&["mode", "set", "sealed"]);
    b.ok(&["audit", "verify", "--checkpoint", "kept"]);
    b.sql("UPDATE audit SET entry = CAST(replace(entry, 'SIM-000001', 'SIM-000009') AS BLOB) WHERE number = (SELECT max(number) FROM audit WHERE instr(entry, 'SIM-000001'))");
    let said = b.fails(&["audit", "verify"], 1, "audit-broken");
    assert!(said.contains("was changed"), "{said}");
    b.fails(&["verify"], 1, "audit-broken");
}

#[test]
fn records_that_contradict_each_other_are_found() {
    let b = Box_::with_software("deep");
    b.station("sensor");
    b.sound();
    b.sql("UPDATE certificate SET der = CAST(der || x'00' AS BLOB) WHERE id = 12");
    let said = b.fails(&["verify", "--deep"], 1, "records-disagree");
    assert!(said.contains("D3"), "{said}");
}

#[test]
fn a_change_of_mode_that_was_interrupted_leaves_the_stricter() {
    let b = Box_::with_software("mode-crash");
    b.ok(&["mode", "set", "certificate-management"]);
    b.ok(&["mode", "set", "provision"]);
    // As a crash between the two records of that change leaves it.
    let between = Binding { current: Mode::CertificateManagement, pending: Some(Mode::ProvisionSoftware) };
    b.store().bind(between, SystemClock.now()).unwrap();
    let shown = b.json(&["mode", "show"]);
    assert_eq!(shown["awake"].to_string(), "[\"identity\",\"console\",\"supervisor\"]");
    assert!(b.ok(&["mode", "show"]).contains("was interrupted"));
    b.fails(&["crl", "issue", "factory"], 3, "module-off");
    b.ok(&["mode", "set", "provision"]);
    assert_eq!(b.count("sensor")["provisioned"], 6);
}

#[test]
fn a_mode_that_nobody_ordered_is_not_believed() {
    let b = Box_::with_software("mode-false");
    b.sql("UPDATE mode SET ordered = 'ceremony', binding = '{\"current\":\"ceremony\"}'");
    b.fails(&["ca", "create", "mine", "--profile", "root"], 1, "records-disagree");
    b.fails(&["verify", "--deep"], 1, "records-disagree");
}

#[test]
fn an_order_that_nobody_signed_is_not_believed() {
    let b = Box_::with_software("mode-unsigned");
    b.sql("UPDATE mode SET statement = replace(statement, substr(statement, 60, 1), 'x')");
    b.fails(&["ca", "create", "mine", "--profile", "root"], 4, "signature-invalid");
}

#[test]
fn an_older_order_that_is_put_back_is_not_believed() {
    let b = Box_::with_software("mode-replayed");
    b.ok(&["mode", "set", "certificate-management"]);
    b.sql("ATTACH 'kept.db' AS kept; CREATE TABLE kept.mode AS SELECT * FROM mode");
    b.ok(&["mode", "set", "sealed"]);
    b.sql("ATTACH 'kept.db' AS kept; DELETE FROM mode; INSERT INTO mode SELECT * FROM kept.mode");
    b.fails(&["crl", "issue", "factory"], 1, "records-disagree");
    b.fails(&["verify", "--deep"], 1, "records-disagree");
}

#[test]
fn a_log_that_was_touched_is_not_written_to() {
    // Each would be made good by the next checkpoint.
    for (n, edit) in [
        "DELETE FROM audit WHERE number = (SELECT max(number) FROM audit)",
        "UPDATE audit SET leaf = zeroblob(32) WHERE number = (SELECT max(number) FROM audit)",
        "DELETE FROM checkpoint",
        "UPDATE checkpoint SET note = replace(note, 'cradle', 'cradlf')",
    ]
    .into_iter()
    .enumerate()
    {
        let b = Box_::new(&format!("touched-{n}"));
        b.sql(edit);
        let before = b.json(&["audit", "checkpoint"]);
        b.fails(&["mode", "set", "sealed"], 1, "audit-broken");
        b.fails(&["audit", "verify"], 1, "audit-broken");
        assert_eq!(b.json(&["audit", "checkpoint"]), before);
    }
}

#[test]
fn records_that_are_gone_are_not_made_anew() {
    let b = Box_::new("gone");
    let settle = |name: &str| drop(std::fs::remove_file(b.data().join(name)));
    settle("cradle.db-wal");
    settle("cradle.db-shm");
    std::fs::write(b.data().join("cradle.db"), b"").unwrap();
    b.fails(&["mode", "set", "sealed"], 1, "records-gone");
    b.fails(&["cert", "list"], 1, "records-gone");
    settle("cradle.db");
    let said = b.fails(&["mode", "set", "sealed"], 1, "records-gone");
    assert!(said.contains("backup") && !b.data().join("cradle.db").exists(), "{said}");
    settle("cradle.toml");
    b.fails(&["cert", "list"], 1, "half-made");
    b.fails(&["init", "--yes"], 1, "half-made");
}

#[test]
fn everything_is_in_the_database_when_a_command_has_ended() {
    let b = Box_::new("settled");
    assert!(!b.data().join("cradle.db-wal").exists());
}

#[test]
fn a_list_with_a_profile_that_is_not_for_devices_changes_nothing() {
    let b = Box_::new("profiles");
    for profile in ["nosuch", "root", "operator"] {
        b.write("list.csv", format!("serial,type,profile\nSN1,sensor,idevid\nSN2,sensor,{profile}\n"));
        let said = b.fails(&["list", "import", "list.csv"], 1, "list-invalid");
        assert!(said.contains("line 3") && said.contains(profile), "{said}");
    }
    assert_eq!(b.json(&["device", "list"]), serde_json::json!([]));
}

#[test]
fn a_profile_that_cannot_be_read_does_not_keep_a_box_from_being_sealed() {
    let b = Box_::new("bad-profile");
    b.ok(&["mode", "set", "certificate-management"]);
    std::fs::write(b.data().join("profiles/bad.toml"), "subject_kind = 3").unwrap();
    b.fails(&["crl", "issue", "factory"], 2, "profile");
    b.ok(&["mode", "set", "sealed"]);
}

#[test]
fn a_later_list_gives_a_device_more_time() {
    let b = Box_::with_software("later-list");
    b.sql("UPDATE list SET until = 1; UPDATE grant_ SET until = 1 WHERE subject LIKE 'urn:%'");
    // What waits for km's next waking hours is left then.
    assert_eq!(b.count("sensor"), [("grant-expired".to_owned(), 6)].into());
    b.ok(&["list", "import", "devices.csv", "--name", "again", "--days", "30"]);
    assert_eq!(b.count("sensor")["provisioned"], 6);
}

#[test]
fn nothing_is_overwritten_that_is_something_else() {
    let b = Box_::with_software("overwrite");
    b.write("maker.pem", "a key");
    b.fails(&["release", "export", "repository"], 6, "exists");
    b.ok(&["mode", "set", "certificate-management"]);
    b.fails(&["crl", "issue", "factory", "--to", "maker.pem"], 6, "exists");
    b.fails(&["crl", "issue", "factory", "--to", "nowhere/factory.crl"], 5, "file");
    b.fails(&["crl", "show", "factory"], 5, "no-crl");
    assert_eq!(b.read("maker.pem"), b"a key");
    b.ok(&["crl", "issue", "factory", "--to", "factory.crl"]);
    b.ok(&["crl", "issue", "factory", "--to", "factory.crl"]);
}

#[test]
fn a_pipe_or_an_endless_file_keeps_nobody_waiting() {
    let b = Box_::new("pipes");
    let made = std::process::Command::new("mkfifo").arg("pipe").current_dir(&b.dir).status().unwrap();
    assert!(made.success());
    for command in [
        &["list", "import", "pipe"][..],
        &["inspect", "pipe"],
        &["profile", "check", "pipe"],
        &["release", "follow", "--images", "pipe"],
        &["audit", "verify", "--checkpoint", "pipe"],
        &["mode", "set", "sealed", "--passphrase-file", "pipe"],
        &["inspect", "/dev/zero"],
    ] {
        b.fails(command, 1, "file");
    }
}

#[test]
fn what_others_wrote_does_not_reach_the_terminal_as_it_is() {
    let b = Box_::new("escapes");
    let said = b.fails(&["inspect", "x\u{1b}[2J\u{202e}"], 5, "file");
    assert!(!said.contains('\u{1b}') && !said.contains('\u{202e}'), "{said}");
    b.ok(&["mode", "set", "sealed", "--reason", "a\u{202e}b\u{9b}c"]);
    let said = b.ok(&["audit", "list", "-o", "json"]);
    assert!(!said.contains('\u{202e}') && !said.contains('\u{9b}'), "{said}");
}

#[test]
fn an_operator_is_who_was_certified_as_one() {
    let b = Box_::with_software("operators");
    b.fails(&["station", "run", "sensor", "--operator", "ceo@example"], 4, "operator");
    b.fails(&["mode", "set", "sealed", "--operator", "ceo@example"], 4, "operator");
}

#[test]
fn the_logs_key_is_the_one_that_is_named() {
    let b = Box_::new("audit-key");
    std::fs::copy(b.data().join("keys/modules.p8"), b.data().join("keys/audit.p8")).unwrap();
    b.fails(&["mode", "set", "sealed"], 1, "key");
}

#[test]
fn a_checkpoint_that_was_changed_is_not_blamed_on_the_log() {
    let b = Box_::new("checkpoint");
    let note = b.ok(&["audit", "checkpoint"]);
    b.write("kept", &note);
    b.ok(&["audit", "verify", "--checkpoint", "kept"]);
    b.write("kept", note.replacen('2', "3", 1));
    let said = b.fails(&["audit", "verify", "--checkpoint", "kept"], 1, "checkpoint");
    assert!(said.contains("kept"), "{said}");
    b.ok(&["audit", "verify"]);
}

#[test]
fn every_table_is_held_against_the_log() {
    let b = Box_::with_software("deep");
    b.station("sensor");
    b.ok(&["mode", "set", "certificate-management"]);
    b.ok(&["station", "entitle", "sensor", "--quota", "9"]);
    b.ok(&["cert", "revoke", "--device", "SN000001", "--reason", "key-compromise", "--yes"]);
    b.ok(&["crl", "issue", "factory"]);
    b.ok(&["crl", "issue", "factory"]);
    b.ok(&["device", "stolen", "SN000001"]);
    b.sound();
    for edit in [
        "UPDATE revocation SET issuance = (SELECT max(id) FROM issuance)",
        "UPDATE revocation SET reason = 4",
        "UPDATE revocation SET authority = 1",
        "DELETE FROM revocation",
        "INSERT INTO revocation (issuance, authority, shard, at, reason, not_after) SELECT id, authority, 0, at, 4, not_after FROM issuance LIMIT 1",
        "UPDATE revocation SET ended = 9",
        "UPDATE crl SET edge = 0 WHERE number = 2",
        "UPDATE crl SET digest = zeroblob(32) WHERE number = 2",
        "DELETE FROM crl WHERE number = 2",
        "DELETE FROM crl WHERE number = 2; UPDATE authority SET crl_number = 1 WHERE name = 'factory'",
        "UPDATE authority SET crl_number = 9 WHERE name = 'factory'",
        "UPDATE crl SET der = (SELECT der FROM crl WHERE number = 1)",
        "INSERT INTO bundle (digest, blob, countersignature, at) VALUES (zeroblob(32), 'mallory', x'00', 1)",
        "DELETE FROM bundle_release; DELETE FROM bundle",
        "UPDATE bundle SET digest = zeroblob(32)",
        "UPDATE right_ SET quota = 10",
        "UPDATE right_ SET until = until + 1",
        "UPDATE right_ SET used = 1",
        "INSERT INTO right_ (station, device_type, until, quota) VALUES ('line-2', 'sensor', 1, 1)",
        "DELETE FROM right_",
        "UPDATE device SET custody = 0 WHERE serial = 'SN000002'",
        "UPDATE device SET custody = 2 WHERE serial = 'SN000009'",
        "UPDATE device SET board = 'X' WHERE serial = 'SN000002'",
        "UPDATE device SET certificate = (SELECT certificate FROM device WHERE serial = 'SN000003') WHERE serial = 'SN000002'",
        "DELETE FROM device WHERE serial = 'SN000002'",
        "UPDATE device SET stolen = 0",
        "UPDATE device SET stolen = 1 WHERE serial = 'SN000002'",
        "DELETE FROM list",
        "UPDATE grant_ SET used = 0 WHERE used = 1",
        "UPDATE issuance SET tbs = zeroblob(32) WHERE id = 12",
        "DELETE FROM certificate WHERE id = 12",
        "UPDATE mode SET ordered = 'ceremony'",
        "CREATE TRIGGER t AFTER INSERT ON list BEGIN DELETE FROM list; END",
        "CREATE VIEW v AS SELECT 1",
    ] {
        let copied =
            std::process::Command::new("cp").args(["-r", "data", "copy"]).current_dir(&b.dir).status().unwrap();
        let edited = std::process::Command::new("sqlite3").args(["copy/cradle.db", edit]).current_dir(&b.dir).status();
        assert!(copied.success() && edited.unwrap().success(), "{edit}");
        let output = b.run(&["verify", "--deep", "--data", "copy"]);
        let said = common::text(&output.stderr);
        assert!(output.status.code() == Some(1) && said.contains("code: records-disagree"), "{edit}: {said}");
        std::fs::remove_dir_all(b.dir.join("copy")).unwrap();
    }
}

#[test]
fn triggers_that_somebody_put_in_do_nothing() {
    let b = Box_::with_software("triggers");
    b.sql("CREATE TRIGGER t AFTER INSERT ON audit BEGIN DELETE FROM device; END");
    b.ok(&["mode", "set", "sealed"]);
    assert_eq!(b.json(&["device", "list"]).as_array().unwrap().len(), 20);
}

#[test]
fn records_are_read_where_nothing_can_be_written() {
    let b = Box_::with_software("unwritable");
    // As on a medium that is read-only: the file that readers share cannot be made.
    let shared = std::fs::canonicalize(b.data()).unwrap().join("cradle.db-shm").display().to_string();
    let program = env!("CARGO_BIN_EXE_cradle");
    let inject = ["-f", "-qq", "-o", "/dev/null", "-P", &shared, "-e", "inject=openat:error=EROFS", program];
    for command in [&["device", "list"][..], &["audit", "verify"], &["verify", "--deep"]] {
        common::foreign(&b.dir, "strace", &[&inject[..], command, &["--data", "data"]].concat());
    }
}

#[test]
fn a_link_is_replaced_and_not_followed() {
    let b = Box_::new("links");
    let row = &b.json(&["cert", "list", "--authority", "root"])[0];
    b.write("victim", "precious");
    let name = format!("{}.pem", row["serial"].as_str().unwrap());
    std::os::unix::fs::symlink("victim", b.dir.join(&name)).unwrap();
    b.ok(&["cert", "export", "--authority", "root"]);
    assert_eq!(b.read("victim"), b"precious");
    assert!(b.read(&name).starts_with(b"-----BEGIN CERTIFICATE-----"));
}

#[test]
fn what_lasts_for_ever_or_belongs_to_nothing_is_refused() {
    let b = Box_::with_software("slips");
    b.ok(&["mode", "set", "certificate-management"]);
    b.fails(&["station", "entitle", "sensor", "--quota", "1", "--days", "36526"], 2, "usage");
    b.fails(&["station", "entitle", "nope", "--quota", "1"], 5, "device-type-unknown");
    b.fails(&["cert", "export", "--authority", "nope", "--to", "x"], 5, "issuer-unknown");
    assert_eq!(b.json(&["station", "rights"]), serde_json::json!([]));
}
