//! What is asked for once is done once, and a secret is told once.

use crate::desk::Desk;
use serde_json::Value;
use std::process::Command;

#[test]
fn the_same_key_is_carried_out_once() {
    let mut desk = Desk::new("api-once");
    let serial = desk.certificate("bob");
    let path = format!("/v1/certificates/{serial}/revoke");
    let first = desk.post_once("a-key", &path, "{\"reason\": \"superseded\"}").is(200);
    let again = desk.post_once("a-key", &path, "{\"reason\": \"superseded\"}").is(200);
    assert_eq!(first, again, "without the key it would be refused: it is revoked already");
    // Also by the process after this one.
    desk.start(&["api"]);
    assert_eq!(desk.post_once("a-key", &path, "{\"reason\": \"superseded\"}").is(200), first);
    assert_eq!((desk.told_of("revoked"), desk.told_of("asked-over-api")), (1, 1));
    desk.post_once("a-key", &path, "{\"reason\": \"superseded\" }").fails(422, "idempotency-key");
    desk.post_once("a-key", "/v1/devices/SN1/stolen", "{\"reason\": \"superseded\"}").fails(422, "idempotency-key");
    // What was refused stays refused.
    desk.post_once("b-key", &path, "{}").fails(409, "already-revoked");
    desk.post_once("b-key", &path, "{}").fails(409, "already-revoked");
    assert_eq!(desk.told_of("asked-over-api"), 2);
}

#[test]
fn a_secret_is_told_once_and_kept_nowhere() {
    let desk = Desk::new("api-secret");
    let body = "{\"profile\": \"ldevid\", \"secret\": true}";
    let answer = desk.post_once("a-key", "/v1/devices/SN1/allow", body);
    assert_eq!(answer.field("cache-control"), Some("no-store"));
    let allowed = answer.is(200);
    let secret = allowed["secret"].as_str().unwrap();
    assert!(secret.len() > 20, "{allowed}");
    desk.post_once("a-key", "/v1/devices/SN1/allow", body).fails(409, "secret-told");
    let mut grep = Command::new("grep");
    let found = grep.args(["-rlF", secret, "data", "api.log"]).current_dir(&desk.b.dir).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&found.stdout), "", "the secret is in a file");
    assert_ne!(desk.post_once("b-key", "/v1/devices/SN1/allow", body).is(200)["secret"], secret);
}

#[test]
fn what_was_interrupted_is_not_done_again() {
    let desk = Desk::new("api-interrupted");
    // A request that was interrupted: that it was begun is known, and no more.
    let kept = desk.b.data().join("api/answers");
    desk.post_once("a-key", "/v1/devices/SN1/stolen", "{}").is(200);
    let file = std::fs::read_dir(&kept).unwrap().next().unwrap().unwrap().path();
    let mut begun: Value = serde_json::from_slice(&std::fs::read(&file).unwrap()).unwrap();
    assert!(begun.as_object_mut().unwrap().remove("given").is_some(), "{begun}");
    std::fs::write(&file, begun.to_string()).unwrap();
    desk.post_once("a-key", "/v1/devices/SN1/stolen", "{}").fails(409, "outcome-unknown");
    assert_eq!(desk.told_of("device-marked"), 1);
    assert!(!file.to_string_lossy().contains("a-key"), "{}", file.display());
}

#[test]
fn the_same_key_at_the_same_time_is_carried_out_once() {
    let desk = Desk::new("api-together");
    let path = format!("/v1/certificates/{}/revoke", desk.certificate("bob"));
    let answers: Vec<_> = std::thread::scope(|scope| {
        let asking: Vec<_> =
            (0..6).map(|_| scope.spawn(|| desk.post_once("a-key", &path, "{\"reason\": \"superseded\"}"))).collect();
        asking.into_iter().map(|asking| asking.join().unwrap()).collect()
    });
    for answer in answers {
        assert_eq!(answer.is(200)["reason"], "superseded");
    }
    assert_eq!((desk.told_of("revoked"), desk.told_of("asked-over-api")), (1, 1));
}

#[test]
fn what_nobody_decided_may_be_asked_again() {
    let desk = Desk::new("api-again");
    let (keys, away) = (desk.b.data().join("keys"), desk.b.data().join("keys-away"));
    std::fs::rename(&keys, &away).unwrap();
    let refused = desk.post_once("a-key", "/v1/devices/SN1/stolen", "{}");
    assert_eq!(refused.field("retry-after"), Some("1"));
    assert_eq!(refused.status, 503, "{refused:?}");
    std::fs::rename(&away, &keys).unwrap();
    assert_eq!(desk.post_once("a-key", "/v1/devices/SN1/stolen", "{}").is(200)["marked"], "stolen");
    assert_eq!(desk.told_of("device-marked"), 1);
}
