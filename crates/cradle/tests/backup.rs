//! Backups: what is restored repeats nothing and forgives nobody.
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
use common::{Box_, foreign};
use serde_json::{Value, json};
use std::collections::BTreeSet;

const PASSPHRASE: [&str; 2] = ["--passphrase-file", "kept-passphrase"];

/// An installation that was backed up with three devices; then it certified three more, revoked one of the first and
/// one of the last, and published its list. Then its data directory is gone, and its high-water marks are not.
fn lost(name: &str) -> (Box_, Known) {
    let b = Box_::with_software(name);
    b.device_type("sensor", "count = 3\n");
    assert_eq!(b.count("sensor")["provisioned"], 3);
    b.ok(&["mode", "set", "certificate-management", "--operator", "operator"]);
    b.ok(&["crl", "issue", "factory"]);
    b.ok(&["operator", "add", "alice"]);
    b.ok(&["mode", "set", "provision", "--operator", "operator"]);
    b.ok(&["backup", "create", "yesterday.backup"]);
    b.device_type("sensor", "count = 6\n");
    b.station("sensor");
    b.ok(&["mode", "set", "certificate-management", "--operator", "operator"]);
    for device in ["SN000001", "SN000004"] {
        b.ok(&["cert", "revoke", "--device", device, "--reason", "key-compromise", "--yes"]);
    }
    std::fs::create_dir(b.dir.join("www")).unwrap();
    let number = b.json(&["crl", "issue", "factory"])["number"].as_u64().unwrap();
    b.ok(&["crl", "publish", "www"]);
    let known = Known { serials: serials(&b, &[]), revoked: serials(&b, &["--revoked"]), number };
    assert_eq!((known.revoked.len(), known.number), (2, 2));
    std::fs::copy(b.data().join("secrets/passphrase"), b.dir.join("kept-passphrase")).unwrap();
    std::fs::rename(b.data(), b.dir.join("lost")).unwrap();
    (b, known)
}

struct Known {
    serials: BTreeSet<String>,
    revoked: BTreeSet<String>,
    number: u64,
}

fn serials(b: &Box_, more: &[&str]) -> BTreeSet<String> {
    let rows = b.json(&[&["cert", "list"], more].concat());
    rows.as_array().unwrap().iter().map(|row| row["serial"].as_str().unwrap().to_owned()).collect()
}
fn restore(b: &Box_, more: &[&str]) -> Value {
    b.json(&[&["backup", "restore", "yesterday.backup"], &PASSPHRASE[..], more].concat())
}
/// The passphrase is put beside the keys again.
fn unlock(b: &Box_) {
    std::fs::create_dir(b.data().join("secrets")).unwrap();
    std::fs::copy(b.dir.join("kept-passphrase"), b.data().join("secrets/passphrase")).unwrap();
}
#[test]
fn yesterdays_backup_repeats_nothing_and_forgives_nobody() {
    let (b, known) = lost("restore");
    let said = restore(&b, &[]);
    assert_eq!((said["certificates"].as_u64(), said["quarantined"].as_bool()), (Some(3), Some(true)), "{said}");
    assert_eq!(said["revocations"], 2);
    unlock(&b);
    // In quarantine nothing is signed, and everybody says so.
    b.fails(&["status"], 1, "attention");
    assert!(b.run(&["status"]).stdout.windows(15).any(|w| w == b"backup confirm`"));
    b.fails(&["doctor"], 1, "doctor");
    b.ok(&["mode", "set", "certificate-management", "--operator", "operator"]);
    b.fails(&["crl", "issue", "factory"], 3, "quarantined");
    b.ok(&["mode", "set", "provision", "--operator", "operator"]);
    b.write("one.csv", "serial,type\nSN000021,sensor\n");
    b.ok(&["list", "import", "one.csv"]);
    assert!(!b.count("sensor").contains_key("provisioned"));
    b.fails(&["backup", "confirm", "--yes"], 2, "operator");
    b.fails(&["backup", "confirm", "--operator", "alice"], 2, "not-confirmed");
    let confirmed = b.json(&["backup", "confirm", "--yes", "--operator", "alice"]);
    assert_eq!((confirmed["certificates"].as_u64(), confirmed["revocations"].as_u64()), (Some(3), Some(2)));
    b.fails(&["backup", "confirm", "--yes"], 6, "not-quarantined");
    let kept = "SELECT json_extract(CAST(entry AS TEXT), '$.event.\"quarantine-ended\".statements[0]') FROM audit
        WHERE CAST(entry AS TEXT) LIKE '%quarantine-ended%'";
    let statement = foreign(&b.dir, "sqlite3", &["data/cradle.db", kept]);
    assert!(statement.contains("\"signature\""), "what alice signed is kept: {statement}");
    // What was given is given: the three that were certified after the backup get nothing again.
    let counted = b.count("sensor");
    assert!(!counted.contains_key("provisioned"), "{counted:?}");
    b.ok(&["mode", "set", "certificate-management", "--operator", "operator"]);
    let list = b.json(&["crl", "issue", "factory"]);
    assert!(list["number"].as_u64().unwrap() > known.number, "{list}");
    assert_eq!(list["entries"], 2);
    let pem = b.ok(&["crl", "show", "factory"]);
    for serial in &known.revoked {
        assert!(pem.contains(serial.as_str()), "{serial} was revoked, and is good again: {pem}");
    }
    b.ok(&["crl", "publish", "www"]);
    // New devices are certified under serial numbers that were never used.
    b.ok(&["mode", "set", "provision", "--operator", "operator"]);
    b.device_type("sensor", "count = 9\n");
    let counted = b.count("sensor");
    assert_eq!(counted["provisioned"], 3, "{counted:?}");
    let new: BTreeSet<_> = serials(&b, &["--profile", "idevid"]).difference(&known.serials).cloned().collect();
    assert_eq!(new.len(), 3);
    b.sound();
    b.ok(&["audit", "verify"]);
    read_back(&b, &known);
}

/// What was read back is seen, held, released, revoked; and its device goes on.
fn read_back(b: &Box_, known: &Known) {
    assert_eq!(serials(b, &["--revoked"]), known.revoked);
    assert!(serials(b, &[]).is_superset(&known.serials));
    let row = |device: &str| b.json(&["cert", "list", "--device", device])[0].clone();
    let five = row("SN000005");
    assert_eq!((&five["state"], &five["authority"]), (&json!("read back"), &json!("factory")), "{five}");
    let serial = five["serial"].as_str().unwrap();
    assert!(b.ok(&["cert", "inspect", serial]).contains("READ BACK"));
    assert!(b.ok(&["cert", "export", "--to", "pem"]).lines().count() < 3);
    let files = std::fs::read_dir(b.dir.join("pem")).unwrap().count();
    assert_eq!(files, serials(b, &[]).len() - 3, "nobody has the octets of those");
    b.ok(&["mode", "set", "certificate-management", "--operator", "operator"]);
    b.ok(&["cert", "revoke", serial, "--reason", "certificate-hold", "--yes"]);
    b.ok(&["cert", "release", serial, "--yes"]);
    b.ok(&["cert", "revoke", "--device", "SN000005", "--reason", "superseded", "--yes"]);
    b.fails(&["cert", "revoke", "--device", "SN000005", "--yes"], 5, "serial-unknown");
    assert!(b.json(&["status"])["findings"].as_array().unwrap().iter().all(|f| f["code"] != "authority-waits"));
    b.ok(&["mode", "set", "provision", "--operator", "operator"]);
    // It was superseded, so it gets another; the one that was revoked for its key does not, nor the one that stands.
    let outcomes: std::collections::BTreeMap<_, _> = b.station("sensor").into_iter().collect();
    assert_eq!(outcomes["SN000005"], "provisioned", "{outcomes:?}");
    for device in ["SN000004", "SN000006"] {
        assert_eq!(outcomes[device], "grant-spent", "{outcomes:?}");
    }
    assert_eq!(row("SN000006")["state"], "read back");
    b.sound();
}

#[test]
fn without_its_marks_a_backup_is_not_restored() {
    let (b, _) = lost("no-marks");
    std::fs::rename(b.dir.join("data.marks"), b.dir.join("hidden.marks")).unwrap();
    let arguments = [&["backup", "restore", "yesterday.backup"], &PASSPHRASE[..]].concat();
    let said = b.fails(&arguments, 7, "marks-missing");
    assert!(said.contains("--without-marks"), "{said}");
    b.fails(&[&arguments[..], &["--without-marks"]].concat(), 4, "operators-needed");
    let twice = ["--without-marks", "--operator", "operator", "--operator", "operator"];
    b.fails(&[&arguments[..], &twice].concat(), 4, "operators-needed");
    let stranger = ["--without-marks", "--operator", "operator", "--operator", "mallory"];
    b.fails(&[&arguments[..], &stranger].concat(), 4, "operator");
    for left in ["data", "data.restoring", "data.marks"] {
        assert!(!b.dir.join(left).exists(), "what was refused left {left}");
    }
    let said = restore(&b, &["--marks", "hidden.marks"]);
    assert_eq!(said["certificates"], 3);
    // What was read back stands in the marks of the restored installation: the same backup again needs no others.
    std::fs::remove_dir_all(b.data()).unwrap();
    std::fs::remove_dir_all(b.dir.join("hidden.marks")).unwrap();
    let said = restore(&b, &[]);
    assert_eq!((said["certificates"].as_u64(), said["revocations"].as_u64()), (Some(3), Some(2)));
}

#[test]
fn the_marks_are_what_keeps_yesterday_from_coming_back() {
    // The control: what happens if nobody knows of the time after the backup, and two operators say so.
    let (b, known) = lost("control");
    std::fs::remove_dir_all(b.dir.join("data.marks")).unwrap();
    let said = restore(&b, &["--without-marks", "--operator", "operator", "--operator", "alice"]);
    assert_eq!(said["certificates"], 0);
    unlock(&b);
    // The same backup again meets the same gap.
    let other =
        [&["backup", "restore", "yesterday.backup", "--data", "other", "--marks", "data.marks"], &PASSPHRASE[..]];
    b.fails(&other.concat(), 7, "marks-missing");
    b.fails(&["backup", "confirm", "--yes", "--operator", "operator"], 4, "operators-needed");
    b.ok(&["backup", "confirm", "--yes", "--operator", "operator", "--operator", "alice"]);
    let counted = b.count("sensor");
    assert!(b.json(&["cert", "list", "--revoked"]).as_array().unwrap().is_empty(), "what was revoked is good again");
    b.ok(&["mode", "set", "certificate-management", "--operator", "operator"]);
    let number = b.json(&["crl", "issue", "factory"])["number"].as_u64().unwrap();
    assert_eq!(number, known.number, "a list number repeats: {counted:?}");
    b.fails(&["crl", "publish", "www"], 6, "published-differs");
}

#[test]
fn what_is_no_whole_backup_of_ours_is_refused() {
    let (b, _) = lost("bad-backup");
    let whole = b.read("yesterday.backup");
    let arguments = [&["backup", "restore", "yesterday.backup"], &PASSPHRASE[..]].concat();
    for cut in [0, 1000, whole.len() / 2] {
        b.write("yesterday.backup", &whole[..cut]);
        b.fails(&arguments, 1, "backup-altered");
        b.fails(&["backup", "show", "yesterday.backup"], 1, "backup-altered");
    }
    let mut altered = whole.clone();
    let middle = altered.len() / 2;
    altered[middle] ^= 1;
    b.write("yesterday.backup", &altered);
    b.fails(&arguments, 1, "backup-altered");
    b.write("yesterday.backup", &whole);
    b.write("wrong", "battery staple");
    b.fails(&["backup", "restore", "yesterday.backup", "--passphrase-file", "wrong"], 4, "key");
    b.fails(&["backup", "restore", "nowhere", "--passphrase-file", "wrong"], 1, "file");
    b.write("theirs.crl", "garbage");
    b.fails(&[&arguments[..], &["--crl", "theirs.crl"]].concat(), 6, "exists");
    assert!(!b.data().exists() && !b.dir.join("data.restoring").exists(), "what was refused left nothing");
    std::fs::create_dir(b.data()).unwrap();
    std::fs::write(b.data().join("precious"), "x").unwrap();
    b.fails(&arguments, 6, "exists");
    assert_eq!(std::fs::read(b.data().join("precious")).unwrap(), b"x");
}

#[test]
fn a_backup_is_made_while_others_work_and_holds_no_passphrase() {
    let b = Box_::with_software("backup");
    let held = b.store();
    let made = b.json(&["backup", "create", "a.backup"]);
    drop(held);
    let names: Vec<_> = made["files"].as_array().unwrap().iter().map(|file| file["name"].as_str().unwrap()).collect();
    for name in
        ["cradle.db", "cradle.toml", "audit.pub", "keys/root.p8", "profiles/idevid.toml", "device-types/sensor.toml"]
    {
        assert!(names.contains(&name), "{names:?}");
    }
    assert!(names.iter().any(|name| name.starts_with("vault/")), "{names:?}");
    assert!(!names.iter().any(|name| name.contains("passphrase") || *name == "lock"), "{names:?}");
    let listed = foreign(&b.dir, "tar", &["-tf", "a.backup"]);
    assert!(listed.starts_with("manifest.json\nmanifest.sig\n"), "{listed}");
    assert_eq!(b.json(&["backup", "show", "a.backup"])["files"], made["files"]);
    b.fails(&["backup", "create", "a.backup"], 6, "exists");
    b.fails(&["backup", "create", "nowhere/a.backup"], 1, "file");
    assert!(!b.data().join(".snapshot").exists());
    b.fails(&["backup", "confirm", "--yes"], 6, "not-quarantined");
    assert_eq!(b.json(&["status"])["quarantined"], json!(false));
}

#[test]
fn published_lists_tell_what_marks_do_not() {
    let (b, known) = lost("restore-crl");
    // The last marks were lost with the disk: all of those of the time after the backup that speak of lists and revocations.
    for entry in std::fs::read_dir(b.dir.join("data.marks")).unwrap() {
        let path = entry.unwrap().path();
        let text = std::fs::read_to_string(&path).unwrap();
        let kept: String =
            text.lines().filter(|l| !l.contains("revoked") && !l.contains("crl")).map(|l| format!("{l}\n")).collect();
        std::fs::write(path, kept).unwrap();
    }
    let said = restore(&b, &["--crl", "www/factory.crl"]);
    assert_eq!((said["revocations"].as_u64(), said["lists"].as_u64()), (Some(2), Some(1)), "{said}");
    unlock(&b);
    b.ok(&["backup", "confirm", "--yes", "--operator", "alice"]);
    b.ok(&["mode", "set", "certificate-management", "--operator", "operator"]);
    assert!(b.json(&["crl", "issue", "factory"])["number"].as_u64().unwrap() > known.number);
    b.ok(&["crl", "publish", "www"]);
    b.sound();
}
