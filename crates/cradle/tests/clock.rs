//! A clock that is wrong, and a box that lay in store.
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

/// Runs a command under another clock. Gives its exit status and all it said.
fn at(b: &Box_, offset: &str, arguments: &[&str]) -> (Option<i32>, String) {
    let output = b.command_at(offset, arguments).output().unwrap();
    (output.status.code(), text(&output.stdout) + &text(&output.stderr))
}
#[track_caller]
fn ok(b: &Box_, offset: &str, arguments: &[&str]) -> String {
    let (status, said) = at(b, offset, arguments);
    assert_eq!(status, Some(0), "{arguments:?}: {said}");
    said
}
#[track_caller]
fn fails(b: &Box_, offset: &str, arguments: &[&str], status: i32, code: &str) -> String {
    let (found, said) = at(b, offset, arguments);
    assert_eq!(found, Some(status), "{arguments:?}: {said}");
    assert!(said.contains(&format!("code: {code}\n")), "{arguments:?}: {said}");
    said
}
fn log(b: &Box_) -> String {
    b.ok(&["audit", "list", "--from", "0", "-o", "json"])
}

#[test]
fn a_clock_that_jumped_records_nothing_until_an_operator_says_that_it_is_right() {
    let b = Box_::new("clock-jump");
    b.ok(&["mode", "set", "certificate-management"]);
    let before = log(&b);
    let said = fails(&b, "+366d", &["crl", "issue", "factory"], 1, "clock-ahead");
    assert!(said.contains("cradle clock accept"), "{said}");
    fails(&b, "+31d", &["mode", "set", "ceremony"], 1, "clock-ahead");
    assert_eq!(log(&b), before, "nothing was recorded");
    b.ok(&["crl", "issue", "factory"]);
    ok(&b, "+29d", &["crl", "issue", "factory"]);
    assert!(ok(&b, "+366d", &["clock", "show"]).contains("far ahead"));
    assert!(at(&b, "+366d", &["status"]).1.contains("cradle clock accept"));
    fails(&b, "+366d", &["clock", "accept"], 2, "not-confirmed");
    fails(&b, "+366d", &["clock", "accept", "--yes", "--operator", "mallory"], 4, "operator");
    fails(&b, "+366d", &["crl", "issue", "factory"], 1, "clock-ahead");
    // What is noted on the way is not taken for a sign that the clock is right.
    std::fs::remove_dir_all(b.dir.join("data.marks")).unwrap();
    fails(&b, "+366d", &["clock", "accept", "--yes", "--operator", "mallory"], 4, "operator");
    assert!(log(&b).contains("marks were gone"));
    fails(&b, "+366d", &["crl", "issue", "factory"], 1, "clock-ahead");
    let said = ok(&b, "+366d", &["clock", "accept", "--yes"]);
    assert!(said.contains("is right, says operator"), "{said}");
    assert!(log(&b).contains("clock-accepted"));
    ok(&b, "+366d", &["crl", "issue", "factory"]);
    let again = ok(&b, "+366d", &["clock", "accept", "--yes"]);
    assert!(again.contains("nothing was to be accepted"), "{again}");
    b.sound();
}

#[test]
fn before_its_certificates_began_a_box_says_look_at_the_clock() {
    let b = Box_::new("clock-back");
    let said = fails(&b, "-366d", &["mode", "set", "ceremony"], 4, "not-certified");
    assert!(said.contains("not valid yet") && said.contains("clock") && !said.contains("revoked"), "{said}");
}

#[test]
fn an_operator_whose_certificate_expired_in_store_comes_back() {
    let b = Box_::new("lapsed-operator");
    b.ok(&["mode", "set", "certificate-management"]);
    b.ok(&["operator", "add", "alice"]);
    b.ok(&["operator", "revoke", "alice", "--yes"]);
    b.fails(&["operator", "renew", "operator", "--expired"], 6, "not-expired");
    let years = "+1460d";
    fails(&b, years, &["operator", "renew", "operator", "--expired"], 1, "clock-ahead");
    ok(&b, years, &["clock", "accept", "--yes", "--operator", "operator"]);
    let said = fails(&b, years, &["mode", "set", "ceremony"], 4, "not-ordered");
    assert!(said.contains("cradle operator renew NAME --expired"), "{said}");
    assert!(at(&b, years, &["status"]).1.contains("`cradle operator renew operator --expired`"));
    fails(&b, years, &["operator", "renew", "operator"], 4, "not-ordered");
    fails(&b, years, &["operator", "renew", "alice", "--expired"], 4, "operator");
    b.write("wrong", "battery staple");
    let wrong = ["operator", "renew", "operator", "--expired", "--passphrase-file", "wrong"];
    fails(&b, years, &wrong, 4, "key");
    ok(&b, years, &["operator", "renew", "operator", "--expired"]);
    let log = log(&b);
    assert_eq!(log.matches("expired-renewal").count(), 1, "{log}");
    ok(&b, years, &["mode", "set", "ceremony"]);
    fails(&b, years, &["operator", "renew", "operator", "--expired"], 6, "not-expired");
    b.sound();
}

#[test]
fn another_key_than_the_certified_one_renews_nothing() {
    let b = Box_::new("lapsed-forged");
    b.ok(&["mode", "set", "certificate-management"]);
    b.ok(&["operator", "add", "alice"]);
    let keys = b.data().join("keys");
    std::fs::copy(keys.join("operator.alice.p8"), keys.join("operator.operator.p8")).unwrap();
    ok(&b, "+1460d", &["clock", "show"]);
    fails(&b, "+1460d", &["clock", "accept", "--yes", "--operator", "operator"], 4, "unknown-caller");
    ok(&b, "+1460d", &["clock", "accept", "--yes", "--operator", "alice"]);
    fails(&b, "+1460d", &["operator", "renew", "operator", "--expired"], 4, "unknown-caller");
    assert!(!log(&b).contains("expired-renewal"));
}

#[test]
fn modules_whose_certificates_expired_in_store_come_back() {
    let b = Box_::new("lapsed-modules");
    let years = "+2200d";
    ok(&b, years, &["clock", "accept", "--yes"]);
    let said = fails(&b, years, &["mode", "set", "ceremony"], 4, "not-certified");
    assert!(said.contains("cradle module renew --all --expired"), "{said}");
    let all = ["module", "renew", "--all", "--expired", "-o", "json"];
    let said = fails(&b, years, &all[..4], 4, "not-ordered");
    assert!(said.contains("cradle operator renew operator --expired"), "{said}");
    ok(&b, years, &["operator", "renew", "operator", "--expired"]);
    let renewed: serde_json::Value = serde_json::from_str(&ok(&b, years, &all)).unwrap();
    assert_eq!(renewed.as_array().unwrap().len(), 6, "{renewed}");
    fails(&b, years, &["module", "renew", "console", "--expired"], 6, "not-expired");
    ok(&b, years, &["mode", "set", "ceremony"]);
    assert_eq!(log(&b).matches("expired-renewal").count(), 7);
    b.sound();
}
