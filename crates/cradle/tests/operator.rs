//! Operators and modules: certified, renewed, revoked.
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
use common::{Box_, foreign, text};

fn names(b: &Box_, noun: &str) -> Vec<String> {
    let rows = b.json(&[noun, "list"]);
    rows.as_array().unwrap().iter().map(|row| row["name"].as_str().unwrap().to_owned()).collect()
}
fn managed(name: &str) -> Box_ {
    let b = Box_::new(name);
    b.ok(&["mode", "set", "certificate-management"]);
    b
}

#[test]
fn another_operator_orders_and_the_first_may_go() {
    let b = managed("operator-add");
    b.ok(&["operator", "add", "alice@example"]);
    assert_eq!(names(&b, "operator"), ["alice@example", "operator"]);
    b.fails(&["operator", "add", "alice@example"], 6, "name-taken");
    let said = b.fails(&["mode", "set", "sealed"], 2, "operator");
    assert!(said.contains("alice@example") && said.contains("--operator"), "{said}");
    b.fails(&["operator", "revoke", "operator", "--yes"], 6, "operator-in-force");
    b.ok(&["mode", "set", "certificate-management", "--operator", "alice@example"]);
    b.fails(&["operator", "revoke", "operator"], 2, "not-confirmed");
    b.ok(&["operator", "revoke", "operator", "--yes"]);
    b.fails(&["mode", "set", "sealed", "--operator", "operator"], 4, "operator");
    b.fails(&["operator", "renew", "operator"], 5, "operator-unknown");
    b.fails(&["operator", "revoke", "alice@example", "--yes"], 6, "operator-in-force");
    b.ok(&["mode", "set", "sealed"]);
    b.sound();
}

#[test]
fn a_sealed_box_is_opened_by_two_where_there_are_two() {
    let b = managed("operator-sealed");
    b.ok(&["mode", "set", "sealed"]);
    b.ok(&["mode", "set", "certificate-management"]);
    b.ok(&["operator", "add", "alice"]);
    b.ok(&["mode", "set", "sealed", "--operator", "alice"]);
    let said = b.fails(&["mode", "set", "provision", "--operator", "alice"], 4, "operators-needed");
    assert!(said.contains("--operator ONE --operator ANOTHER"), "{said}");
    b.fails(&["mode", "set", "provision", "--operator", "alice,alice"], 4, "operators-needed");
    b.fails(&["mode", "set", "provision", "--operator", "alice,bob"], 4, "operator");
    assert!(b.ok(&["mode", "show"]).contains("mode   sealed"));
    // Sealed again, by one.
    b.ok(&["mode", "set", "sealed", "--operator", "operator"]);
    b.ok(&["mode", "set", "provision", "--operator", "alice", "--operator", "operator"]);
    assert!(b.ok(&["audit", "list", "-o", "jsonl"]).contains("alice, operator"), "both stand in the log");
    b.sound();
}

#[test]
fn nobody_is_certified_in_another_mode() {
    let b = Box_::new("operator-mode");
    for command in
        [&["operator", "add", "alice"][..], &["operator", "renew", "operator"], &["module", "renew", "--all"]]
    {
        b.fails(command, 3, "wrong-mode");
    }
    assert_eq!(names(&b, "operator"), ["operator"]);
    assert!(!b.data().join("keys/operator.alice.p8").exists());
    b.ok(&["mode", "set", "ceremony"]);
    b.ok(&["operator", "add", "alice"]);
    assert_eq!(b.run(&["operator", "add", "a/b"]).status.code(), Some(2));
}

#[test]
fn modules_and_operators_are_certified_again_and_outlive_their_first_certificates() {
    let b = managed("renew");
    b.fails(&["module", "renew", "gateway"], 5, "module-unknown");
    b.fails(&["module", "renew", "nonsense"], 5, "module-unknown");
    // Two years later.
    let later = |arguments: &[&str]| {
        let output = b.command_at("+800d", arguments).output().unwrap();
        assert!(output.status.success(), "{arguments:?}: {}", common::text(&output.stderr));
        common::text(&output.stdout)
    };
    later(&["clock", "accept", "--yes"]);
    let renewed: serde_json::Value = serde_json::from_str(&later(&["module", "renew", "--all", "-o", "json"])).unwrap();
    assert_eq!(renewed.as_array().unwrap().len(), 6, "{renewed}");
    later(&["operator", "renew", "operator"]);
    // Six years from the beginning all first certificates have expired.
    for command in [&["clock", "accept", "--yes"][..], &["mode", "set", "sealed"]] {
        let much_later = b.command_at("+1860d", command).output().unwrap();
        assert!(much_later.status.success(), "{}", common::text(&much_later.stderr));
    }
    assert_eq!(names(&b, "module").len(), 12);
    b.sound();
}

#[test]
fn without_renewing_modules_do_not_run_for_ever() {
    let b = managed("no-renew");
    assert!(b.command_at("+1860d", &["clock", "accept", "--yes"]).output().unwrap().status.success());
    let output = b.command_at("+1860d", &["mode", "set", "sealed"]).output().unwrap();
    assert_eq!(output.status.code(), Some(4), "{}", common::text(&output.stderr));
}

const PASSWORD: &str = "correct horse battery";

/// What a file says to Python, with a password: the names in it.
fn in_python(b: &Box_, file: &str) -> String {
    let program = format!(
        "from cryptography.hazmat.primitives.serialization import pkcs12, Encoding, PublicFormat\n\
         p = pkcs12.load_pkcs12(open('{file}', 'rb').read(), b'{PASSWORD}')\n\
         raw = lambda key: key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)\n\
         own = p.cert.certificate\n\
         assert raw(p.key.public_key()) == raw(own.public_key())\n\
         own.verify_directly_issued_by(p.additional_certs[0].certificate)\n\
         print(p.cert.friendly_name.decode(), len(p.additional_certs), format(own.serial_number, '040x'))\n"
    );
    foreign(&b.dir, "python3", &["-c", &program])
}

#[test]
fn an_operators_key_is_exported_by_two_and_read_by_others() {
    let b = managed("operator-export");
    b.ok(&["operator", "add", "alice"]);
    b.ok(&["operator", "add", "bob"]);
    b.write("password", format!("{PASSWORD}\n"));
    let export = ["operator", "export", "alice", "--to", "alice.p12", "--password-file", "password"];
    let with = |operators: &[&'static str]| {
        let named = operators.iter().flat_map(|operator| ["--operator", *operator]);
        export.iter().copied().chain(named).collect::<Vec<_>>()
    };
    b.fails(&export, 4, "operators-needed");
    b.fails(&with(&["alice"]), 4, "operators-needed");
    b.fails(&with(&["alice", "alice"]), 4, "operators-needed");
    b.fails(&with(&["alice", "mallory"]), 4, "operator");
    assert!(!b.dir.join("alice.p12").exists());
    assert!(!b.ok(&["audit", "list"]).contains("key-exported"));
    let said = b.json(&with(&["operator", "bob"]));
    let serial = said["serial"].as_str().unwrap().to_owned();
    assert_eq!(in_python(&b, "alice.p12"), format!("alice 1 {serial}\n"));
    let log = b.ok(&["audit", "list", "-o", "jsonl"]);
    assert!(log.contains("key-exported") && log.contains("bob, operator") && log.contains(&serial), "{log}");
    b.fails(&with(&["operator", "bob"]), 6, "exists");
    let read = ["pkcs12", "-in", "alice.p12", "-nodes", "-passin", "file:password"];
    let pem = foreign(&b.dir, "openssl", &read);
    assert_eq!((pem.matches("BEGIN CERTIFICATE").count(), pem.matches("BEGIN PRIVATE KEY").count()), (2, 1), "{pem}");
    use std::os::unix::fs::PermissionsExt;
    assert_eq!(std::fs::metadata(b.dir.join("alice.p12")).unwrap().permissions().mode() & 0o777, 0o600);
    b.sound();
}

#[test]
fn the_only_operator_exports_alone_and_what_is_not_here_is_not_exported() {
    let b = managed("operator-export-alone");
    b.write("password", PASSWORD);
    let export = |name: &'static str| ["operator", "export", name, "--to", "key.p12", "--password-file", "password"];
    b.fails(&export("nobody"), 5, "key");
    b.write("password", "too short");
    b.fails(&export("operator"), 2, "password");
    b.write("password", "long enough\u{7} but with a bell");
    b.fails(&export("operator"), 2, "password");
    b.write("password", PASSWORD);
    let asked = b.run(&["operator", "export", "operator", "--to", "key.p12"]);
    assert!(!asked.status.success() && text(&asked.stderr).contains("code: password"), "no terminal to ask on");
    assert!(!b.dir.join("key.p12").exists());
    b.ok(&export("operator"));
    assert!(in_python(&b, "key.p12").starts_with("operator 1 "));
    // Where more are needed one is not enough, though there is only one.
    let config = b.data().join("cradle.toml");
    let settings = std::fs::read_to_string(&config).unwrap();
    std::fs::write(&config, format!("operators_needed = 2\n{settings}")).unwrap();
    std::fs::remove_file(b.dir.join("key.p12")).unwrap();
    b.fails(&export("operator"), 4, "operators-needed");
    b.sound();
}
