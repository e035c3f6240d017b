//! Certificates that are revoked, on hold, released; and finding them.
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

/// Six devices with certificates, in a mode in which they can be revoked.
fn devices(name: &str) -> Box_ {
    let b = Box_::with_software(name);
    b.station("sensor");
    b.ok(&["mode", "set", "certificate-management"]);
    b
}
fn held(b: &Box_, device: &str) -> String {
    b.json(&["device", "show", device])["certificate"].as_str().unwrap().to_owned()
}
fn list(b: &Box_) -> String {
    b.ok(&["crl", "issue", "factory", "--to", "factory.crl"]);
    foreign(&b.dir, "openssl", &["crl", "-in", "factory.crl", "-noout", "-text"])
}

#[test]
fn a_hold_is_told_and_taken_back() {
    let b = devices("hold");
    let serial = held(&b, "SN000001");
    b.ok(&["cert", "revoke", "--device", "SN000001", "--reason", "certificate-hold", "--yes"]);
    assert_eq!(b.json(&["cert", "list", "--revoked"])[0]["revocation_reason"], "certificate-hold");
    let told = list(&b);
    assert!(told.contains(&serial.to_uppercase()) && told.contains("Certificate Hold"), "{told}");
    b.fails(&["cert", "release", &serial], 2, "not-confirmed");
    let plan = b.ok(&["cert", "release", &serial, "--dry-run"]);
    assert!(plan.starts_with("would release") && plan.contains("SN000001"), "{plan}");
    assert_eq!(b.json(&["cert", "list", "--revoked"]).as_array().unwrap().len(), 1, "nothing was done");
    b.ok(&["cert", "release", "--device", "SN000001", "--yes"]);
    assert_eq!(b.json(&["cert", "list", "--revoked"]), serde_json::json!([]));
    assert!(list(&b).contains("No Revoked Certificates"));
    b.fails(&["cert", "release", &serial, "--yes"], 6, "not-held");
    b.sound();
}

#[test]
fn what_is_revoked_for_good_is_not_released() {
    let b = devices("no-release");
    b.ok(&["cert", "revoke", "--device", "SN000002", "--reason", "certificate-hold", "--yes"]);
    b.ok(&["cert", "revoke", "--device", "SN000002", "--reason", "key-compromise", "--yes"]);
    b.fails(&["cert", "release", "--device", "SN000002", "--yes"], 6, "not-held");
    b.fails(&["cert", "revoke", "--device", "SN000002", "--reason", "certificate-hold", "--yes"], 6, "already-revoked");
    assert_eq!(b.json(&["cert", "list", "--revoked"])[0]["revocation_reason"], "key-compromise");
    b.sound();
}

#[test]
fn what_is_not_there_is_not_released() {
    let b = devices("release-unknown");
    b.fails(&["cert", "release", "00", "--yes"], 2, "serial");
    b.fails(&["cert", "release", "1234", "--yes"], 5, "serial-unknown");
    b.fails(&["cert", "release", "--device", "SN000009", "--yes"], 5, "serial-unknown");
    b.fails(&["cert", "release", "--device", "nobody", "--yes"], 5, "not-on-list");
    assert_eq!(b.run(&["cert", "release"]).status.code(), Some(2));
}

#[test]
fn certificates_are_found_by_profile_and_end() {
    let b = devices("found");
    let count = |more: &[&str]| b.json(&[&["cert", "list"], more].concat()).as_array().unwrap().len();
    let all = count(&[]);
    assert_eq!(
        (count(&["--profile", "idevid"]), count(&["--profile", "module"]), count(&["--profile", "x"])),
        (6, 6, 0)
    );
    // Modules and operators end; what is for devices, and those who issue it, does not.
    let (ending, endless) = (count(&["--expires-before", "2100-01-01"]), count(&["--expires-after", "2100-01-01"]));
    assert_eq!((ending + endless, count(&["--profile", "idevid", "--expires-before", "2100-01-01"])), (all, 0));
    assert!(ending >= 7 && endless >= 8, "{ending} {endless}");
    assert_eq!(count(&["--expires-after", "9999-12-31T23:59:59Z"]), endless);
    assert_eq!(count(&["--profile", "idevid", "--limit", "2"]), 2);
    let bad = b.run(&["cert", "list", "--expires-before", "tomorrow"]);
    assert_eq!(bad.status.code(), Some(2));
    assert!(common::text(&bad.stderr).contains("2027-01-31"));
}
