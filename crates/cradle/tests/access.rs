//! Who gets in: nobody over the network while boards are provisioned, and nobody whose certificate was revoked.

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
use std::os::unix::fs::PermissionsExt;

#[test]
fn the_line_has_no_socket_open_while_it_works() {
    let b = Box_::with_software("no-socket");
    // The board's program looks at the station that started it, and is of no more use.
    b.write("board", "#!/bin/sh\nls -l /proc/$PPID/fd > fds\ncat /proc/$PPID/comm >> fds\n");
    std::fs::set_permissions(b.dir.join("board"), PermissionsExt::from_mode(0o755)).unwrap();
    let dir = b.dir.display();
    let text = format!(
        "description = \"a test\"\nprofile = \"idevid\"\nkey_type = \"p256\"\n[flasher]\nadapter = \"command\"\n\
         program = \"/bin/sh\"\narguments = [\"-c\", \"cd '{dir}' && exec ./board\"]\n"
    );
    std::fs::write(b.data().join("device-types/sensor.toml"), text).unwrap();
    assert_eq!(b.count("sensor"), [("unavailable".to_owned(), 1)].into());
    let fds = String::from_utf8(b.read("fds")).unwrap();
    assert!(fds.ends_with("cradle\n") && fds.contains("cradle.db"), "{fds}");
    assert!(!fds.contains("socket:"), "{fds}");
}

/// The serial number of the certificate of this subject.
fn serial_of(b: &Box_, subject: &str) -> String {
    let rows = b.json(&["cert", "list"]);
    let row = rows.as_array().unwrap().iter().find(|row| row["subject"] == subject).unwrap();
    row["serial"].as_str().unwrap().to_owned()
}

fn revoke(b: &Box_, subject: &str) {
    b.ok(&["mode", "set", "certificate-management"]);
    b.ok(&["cert", "revoke", &serial_of(b, subject), "--reason", "key-compromise", "--yes"]);
}

#[test]
fn a_revoked_provisioning_module_provisions_nothing_and_holds_up_nobody() {
    let b = Box_::with_software("revoked-pm");
    revoke(&b, "module:provisioning:line-1");
    b.ok(&["mode", "set", "provision"]);
    b.fails(&["station", "run", "sensor"], 4, "not-certified");
    assert_eq!(b.json(&["device", "list", "--custody", "provisioned"]), serde_json::json!([]));
    b.ok(&["mode", "set", "certificate-management"]);
    b.ok(&["crl", "issue", "modules"]);
    b.sound();
}

#[test]
fn a_revoked_authority_module_issues_nothing() {
    let b = Box_::with_software("revoked-km");
    revoke(&b, "module:authority:line-1");
    b.fails(&["crl", "issue", "modules"], 4, "not-certified");
    b.ok(&["mode", "set", "provision"]);
    // Software still gets onto boards; certificates do not.
    b.fails(&["station", "run", "sensor"], 4, "not-certified");
    b.sound();
}

#[test]
fn a_revoked_operator_orders_nothing() {
    let b = Box_::with_software("revoked-operator");
    revoke(&b, "operator:operator");
    for command in [&["mode", "set", "provision"][..], &["station", "run", "sensor"], &["crl", "issue", "modules"]] {
        b.fails(command, 4, "not-ordered");
    }
    assert_eq!(b.json(&["mode", "show"])["mode"], "certificate-management");
    assert!(b.ok(&["cert", "list"]).contains("key-compromise"));
    b.sound();
}

#[test]
fn a_module_that_is_off_refuses() {
    let b = Box_::with_software("off");
    let serial = serial_of(&b, "module:provisioning:line-1");
    b.fails(&["cert", "revoke", &serial, "--yes"], 3, "module-off");
    b.fails(&["crl", "issue", "factory"], 3, "module-off");
    b.ok(&["mode", "set", "certificate-management"]);
    b.fails(&["station", "run", "sensor"], 3, "module-off");
    b.release(2, "sensor");
    b.fails(&["release", "import", "repository"], 3, "module-off");
    b.sound();
}

#[test]
fn what_is_secret_is_the_owners_alone() {
    let b = Box_::empty("permissions");
    // Whatever the directory was before.
    std::fs::create_dir(b.data()).unwrap();
    std::fs::set_permissions(b.data(), PermissionsExt::from_mode(0o777)).unwrap();
    b.ok(&["init", "--yes"]);
    let mode = |name: &str| std::fs::metadata(b.data().join(name)).unwrap().permissions().mode() & 0o777;
    for directory in ["", "keys", "secrets", "vault"] {
        assert_eq!(mode(directory), 0o700, "{directory}");
    }
    for file in ["cradle.db", "secrets/passphrase", "keys/audit.p8"] {
        assert_eq!(mode(file), 0o600, "{file}");
    }
}
