//! Operators and modules: certified, renewed, revoked.
#![allow(
    missing_docs,
    unreachable_pub,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic
)]

mod common;
use common::Box_;

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
