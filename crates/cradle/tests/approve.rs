//! Requests that wait for operators.
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
use model::{Digest, Module, TransactionId};
use ports::Clock;
use ports::directory::Caller;
use ports::store::AuthorityStore;
use ports::store::authority::{Approval, PendingDraft};

/// A request that waits for two operators.
fn pending(n: u8) -> PendingDraft {
    let now = SystemClock.now();
    PendingDraft {
        transaction_id: TransactionId::new([n; 16]),
        requester: Caller { module: Module::Provisioning, instance: "line-1".parse().unwrap() },
        subject: "urn:dev:ops:32473-sensor-SN000001".parse().unwrap(),
        profile: "idevid".parse().unwrap(),
        request: Digest::new([n; 32]),
        needed: 2,
        at: now,
        until: now.plus_s(3600),
    }
}
fn ask(b: &Box_, n: u8) -> Approval {
    b.store().await_approval(&pending(n), 10).unwrap()
}
fn waiting(name: &str) -> Box_ {
    let b = Box_::new(name);
    b.ok(&["mode", "set", "certificate-management"]);
    b.ok(&["operator", "add", "alice"]);
    assert_eq!(ask(&b, 1), Approval::Awaited);
    b
}

#[test]
fn enough_operators_approve() {
    let b = waiting("approve");
    let rows = b.json(&["approve", "list"]);
    assert_eq!((rows[0]["id"].as_u64(), rows[0]["needed"].as_u64()), (Some(1), Some(2)), "{rows}");
    b.fails(&["approve", "yes", "1"], 2, "operator");
    b.ok(&["approve", "yes", "1", "--operator", "alice"]);
    assert_eq!(ask(&b, 1), Approval::Awaited);
    b.fails(&["approve", "yes", "1", "--operator", "alice"], 6, "transaction-closed");
    b.ok(&["approve", "yes", "1", "--operator", "operator"]);
    assert_eq!(ask(&b, 1), Approval::Given);
    let log = b.ok(&["audit", "list", "-o", "jsonl"]);
    assert_eq!(log.matches("\"approved\":{").count(), 2, "{log}");
    b.sound();
}

#[test]
fn one_who_denies_is_enough() {
    let b = waiting("deny");
    b.ok(&["approve", "no", "1", "--operator", "alice"]);
    assert!(matches!(ask(&b, 1), Approval::Refused(model::Reason::ApprovalDenied)));
    assert_eq!(b.json(&["approve", "list"])[0]["denied"][0], "alice");
}

#[test]
fn what_does_not_wait_and_who_is_nobody_are_refused() {
    let b = waiting("approve-bad");
    b.fails(&["approve", "yes", "2", "--operator", "alice"], 5, "transaction-unknown");
    b.fails(&["approve", "yes", "1", "--operator", "mallory"], 4, "operator");
    b.ok(&["mode", "set", "sealed", "--operator", "alice"]);
    b.fails(&["approve", "yes", "1", "--operator", "alice"], 3, "module-off");
    assert_eq!(b.json(&["approve", "list"])[0]["approved"], serde_json::json!([]));
}

/// An installation whose devices' profile says this of who may have a certificate.
fn enrolling(name: &str, enrolment: &str) -> Box_ {
    let b = Box_::with_software(name);
    let path = b.data().join("profiles/idevid.toml");
    let text = std::fs::read_to_string(&path).unwrap();
    std::fs::write(path, format!("{text}\n[enrolment]\n{enrolment}\n")).unwrap();
    b
}

#[test]
fn a_profile_that_wants_an_operators_approval_gets_it() {
    let b = enrolling("approve-line", "approvals = 1");
    assert!(b.station("sensor").iter().all(|(_, outcome)| outcome == "awaiting-approval"));
    b.ok(&["mode", "set", "certificate-management"]);
    assert_eq!(b.json(&["cert", "list", "--profile", "idevid"]), serde_json::json!([]), "nothing was issued");
    let waiting = b.json(&["approve", "list"]);
    assert!(!waiting.as_array().unwrap().is_empty());
    let first = waiting[0]["id"].to_string();
    b.ok(&["approve", "yes", &first, "--operator", "operator"]);
    b.ok(&["mode", "set", "provision"]);
    let outcomes = b.station("sensor");
    let count = |word: &str| outcomes.iter().filter(|(_, outcome)| outcome == word).count();
    assert_eq!(count("provisioned"), 1, "{outcomes:?}");
    assert_eq!(count("awaiting-approval"), outcomes.len() - 1, "{outcomes:?}");
    b.sound();
}
#[test]
fn who_may_not_ask_is_refused() {
    let b = enrolling("enrolment-requesters", "requesters = [\"device\"]");
    assert!(b.station("sensor").iter().all(|(_, outcome)| outcome == "caller-not-allowed"));
}
#[test]
fn who_asks_too_fast_waits() {
    let b = Box_::with_software("rate");
    let path = b.data().join("cradle.toml");
    let text = std::fs::read_to_string(&path).unwrap();
    std::fs::write(path, format!("{text}\n[limits]\ncertificates_per_s = 1\nburst = 2\n")).unwrap();
    let outcomes = b.station("sensor");
    let count = |word: &str| outcomes.iter().filter(|(_, outcome)| outcome == word).count();
    assert!(count("provisioned") >= 2 && count("rate-exceeded") > 0, "{outcomes:?}");
}
