//! Records that an older version left.
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
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

/// A copy of what the last version with schema 1 left.
fn old(name: &str) -> Box_ {
    let b = Box_::empty(name);
    let from = concat!(env!("CARGO_MANIFEST_DIR"), "/../../testdata/installations/schema-1");
    foreign(&b.dir, "cp", &["-r", from, "data"]);
    // A repository does not keep who may read a file.
    for folder in ["keys", "secrets"] {
        for entry in std::fs::read_dir(b.data().join(folder)).unwrap() {
            std::fs::set_permissions(entry.unwrap().path(), PermissionsExt::from_mode(0o600)).unwrap();
        }
    }
    b
}

#[test]
fn old_records_are_brought_up_to_date_and_lose_nothing() {
    let b = old("migrate");
    for command in [&["cert", "list"][..], &["device", "list"], &["verify"], &["status"], &["audit", "verify"]] {
        let said = b.fails(command, 1, "older-data");
        assert!(said.contains("cradle migrate"), "{said}");
    }
    let said = b.json(&["migrate"]);
    assert_eq!((said["from"].as_u64(), said["to"].as_u64()), (Some(1), Some(9)));
    b.sound();
    b.ok(&["audit", "verify", "--checkpoint", "data/checkpoint.txt"]);
    let devices = b.json(&["device", "list"]);
    assert_eq!(devices.as_array().unwrap().len(), 3, "{devices}");
    let certificates = b.json(&["cert", "list"]);
    let of = |profile: &str| certificates.as_array().unwrap().iter().filter(|c| c["profile"] == profile).count();
    assert_eq!((of("idevid"), of("root"), of("factory"), of("module"), of("operator")), (3, 1, 1, 6, 1));
    assert_eq!(b.json(&["cert", "list", "--revoked"]).as_array().unwrap().len(), 1);
}

#[test]
fn issuing_goes_on_after_it() {
    let b = old("migrate-on");
    b.ok(&["migrate"]);
    let before = b.json(&["cert", "list"]).as_array().unwrap().len();
    b.write("more.csv", "serial,type\nSN000004,sensor\nSN000005,sensor\nSN000006,sensor\n");
    b.ok(&["list", "import", "more.csv"]);
    b.device_type("sensor", "");
    b.ok(&["mode", "set", "provision"]);
    // Its software came in the format before bundles. What of that is in the records is not believed any more.
    let said = b.fails(&["station", "run", "sensor"], 7, "nothing-followed");
    assert!(said.contains("cradle release follow"), "{said}");
    b.ok(&["mode", "set", "software-import"]);
    let said = b.fails(&["release", "scrub"], 7, "nothing-followed");
    assert!(said.contains("cradle release follow"), "{said}");
    assert_eq!(b.json(&["release", "list"]), serde_json::json!([]));
    b.release(2, "sensor");
    b.ok(&["release", "follow", "--images", "repository/metadata/1.root.json"]);
    b.import();
    b.ok(&["mode", "set", "provision"]);
    // The first three boards are new, with the serial numbers of devices that were provisioned before.
    let counted = b.count("sensor");
    assert_eq!(counted["provisioned"], 3, "{counted:?}");
    assert!(b.json(&["cert", "list"]).as_array().unwrap().len() > before);
    b.ok(&["mode", "set", "certificate-management"]);
    assert_eq!(b.json(&["crl", "issue", "factory"])["number"], 3, "its lists are counted on");
    b.sound();
}

#[test]
fn what_is_up_to_date_is_left_alone() {
    let b = Box_::new("migrate-new");
    let before = b.json(&["audit", "checkpoint"]);
    let said = b.json(&["migrate"]);
    assert_eq!((said["from"].as_u64(), said["to"].as_u64()), (Some(9), Some(9)));
    assert_eq!(b.json(&["audit", "checkpoint"]), before);
    Box_::empty("migrate-none").fails(&["migrate"], 5, "no-data");
}

#[test]
fn old_records_that_somebody_touched_are_left_as_they_are() {
    let b = old("migrate-touched");
    b.sql("UPDATE audit SET leaf = zeroblob(32) WHERE number = (SELECT max(number) FROM audit)");
    b.fails(&["migrate"], 1, "audit-broken");
    b.fails(&["cert", "list"], 1, "older-data");
    assert!(Path::new(&b.data()).join("cradle.db").exists());
}

#[test]
fn without_the_passphrase_nothing_is_changed() {
    let b = old("migrate-locked");
    b.write("wrong", "battery staple\n");
    b.fails(&["migrate", "--passphrase-file", "wrong"], 4, "key");
    b.fails(&["cert", "list"], 1, "older-data");
}
