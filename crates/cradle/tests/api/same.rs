//! What the API answers is what the commands print; what it does, the commands see.

use crate::desk::Desk;
use adapters::clock::SystemClock;
use model::{Digest, Module, TransactionId};
use ports::Clock;
use ports::directory::Caller;
use ports::store::AuthorityStore;
use ports::store::authority::{Approval, PendingDraft};
use serde_json::{Value, json};

#[test]
fn what_is_answered_is_what_commands_print() {
    let desk = Desk::new("api-same");
    let b = &desk.b;
    assert_eq!(Value::from(desk.all("/v1/devices", 2)), b.json(&["device", "list"]));
    assert_eq!(Value::from(desk.all("/v1/certificates", 3)), b.json(&["cert", "list"]));
    assert_eq!(Value::from(desk.all("/v1/audit", 7)), b.json(&["audit", "list"]));
    let from = desk.get("/v1/audit?from=5&limit=1").is(200);
    assert_eq!(from["items"][0]["number"], 5);
    let items = |path| desk.get(path).is(200)["items"].clone();
    assert_eq!(items("/v1/authorities"), b.json(&["ca", "list"]));
    assert_eq!(items("/v1/lists"), b.json(&["list", "show"]));
    assert_eq!(items("/v1/suppliers"), b.json(&["list", "suppliers"]));
    assert_eq!(items("/v1/approvals"), b.json(&["approve", "list"]));
    assert_eq!(desk.get("/v1/devices/SN2").is(200), b.json(&["device", "show", "SN2"]));
    assert_eq!(desk.get("/v1/mode").is(200), b.json(&["mode", "show"]));
    assert_eq!(desk.get("/v1/explanations/no-grant").is(200), b.json(&["explain", "no-grant"]));
    assert_eq!(desk.get("/v1/explanations/SN1").is(200), b.json(&["explain", "SN1"]));
    let chain = desk.get("/v1/authorities/modules/chain").is(200);
    assert_eq!(chain, b.json(&["ca", "chain", "modules"]));
    let serial = desk.get("/v1/certificates?limit=1").is(200)["items"][0]["serial"].as_str().unwrap().to_owned();
    let one = desk.get(&format!("/v1/certificates/{serial}")).is(200);
    assert_eq!(one, b.json(&["cert", "inspect", &serial]));
    let (mut status, mut printed) = (desk.get("/v1/status").is(200), b.json_of(&["status"]));
    for changing in ["at", "disk", "held_by"] {
        assert!(status[changing].take() != Value::Null || printed[changing].take() == Value::Null, "{changing}");
        printed[changing].take();
    }
    assert_eq!(status, printed);
}

#[test]
fn what_is_asked_for_is_done_and_it_is_recorded_who_asked() {
    let desk = Desk::new("api-done");
    let serial = desk.certificate("bob");
    let path = format!("/v1/certificates/{serial}");
    let held = desk.post(&format!("{path}/revoke"), "{\"reason\": \"certificate-hold\"}").is(200);
    assert_eq!(held, json!({"revoked": serial, "reason": "certificate-hold"}));
    assert_eq!(desk.get(&path).is(200)["revocation_reason"], "certificate-hold");
    assert_eq!(desk.post(&format!("{path}/release"), "{}").is(200), json!({"released": serial}));
    assert_eq!(desk.post(&format!("{path}/revoke"), "{}").is(200)["reason"], "unspecified");
    desk.post(&format!("{path}/revoke"), "{}").fails(409, "already-revoked");
    let revoked = desk.get("/v1/certificates?standing=revoked").is(200);
    assert_eq!(revoked["items"].as_array().unwrap().len(), 1, "{revoked}");

    let marked = desk.post("/v1/devices/SN1/stolen", "{}").is(200);
    assert_eq!(marked["marked"], "stolen");
    assert_eq!(desk.get("/v1/devices/SN1").is(200)["stolen"], true);
    assert_eq!(desk.post("/v1/devices/SN1/stolen", "{\"recovered\": true}").is(200)["marked"], "recovered");
    assert_eq!(desk.post("/v1/devices/SN2/allow", "{\"profile\": \"ldevid\"}").is(200)["secret"], Value::Null);

    let own = std::os::unix::fs::MetadataExt::uid(&std::fs::metadata(desk.b.data()).unwrap());
    let entries = desk.all("/v1/audit", 100);
    let asked: Vec<_> = entries.iter().filter_map(|entry| entry["event"].get("asked-over-api")).collect();
    assert_eq!(asked.len(), 7, "what was refused is recorded too: {asked:?}");
    assert!(asked.iter().all(|asked| asked["who"] == format!("uid {own}")), "{asked:?}");
    assert_eq!(asked[0]["request"], format!("POST {path}/revoke"));
    let explained = desk.get(&format!("/v1/explanations/{serial}")).is(200).to_string();
    assert!(explained.contains(&format!("uid {own} asked over the operator API: POST {path}/revoke")), "{explained}");
    desk.b.sound();
}

#[test]
fn lists_are_imported_and_modes_are_ordered() {
    let desk = Desk::new("api-modes");
    let list = json!({"name": "more", "format": "csv", "content": "serial,type\nSN7,sensor\nSN8,sensor\n"}).to_string();
    let serial = desk.certificate("bob");
    desk.post("/v1/mode", "{\"mode\": \"provision\"}").fails(400, "operator");
    desk.post("/v1/mode", "{\"mode\": \"provision\", \"operators\": [\"eve\"]}").fails(403, "operator");
    let order = json!({"mode": "provision", "reason": "a new list", "operators": ["operator"]});
    let mode = desk.post("/v1/mode", &order.to_string()).is(200);
    assert_eq!((mode["mode"].as_str(), mode["order"].as_str()), (Some("provision-software"), Some("provision")));
    let refused = desk.post(&format!("/v1/certificates/{serial}/revoke"), "{}").fails(409, "module-off");
    let printed = desk.b.run(&["cert", "revoke", &serial, "--yes", "-o", "json"]);
    let printed: Value = serde_json::from_slice(&printed.stderr).unwrap();
    for word in ["code", "what", "why", "next"] {
        assert_eq!(refused[word], printed["error"][word], "the words are those of the command");
    }
    let imported = desk.post("/v1/lists", &list).is(200);
    assert_eq!((&imported["new"], &imported["list"]), (&json!(2), &json!("more")));
    let wrong = list.replace("SN8,sensor", "SN9,sensor,,,").replace("more", "wrong");
    let refused = desk.post("/v1/lists", &wrong).fails(422, "list-invalid");
    assert!(refused["why"].as_str().unwrap().contains("line 3"), "{refused}");
    assert_eq!(desk.b.json(&["device", "list"]).as_array().unwrap().len(), 5);
    assert_eq!(desk.b.json(&["mode", "show"])["order"], "provision");
}

#[test]
fn pages_stay_in_order_while_others_write() {
    let desk = Desk::new("api-pages");
    desk.post("/v1/mode", "{\"mode\": \"provision\"}").is(200);
    let first = desk.get("/v1/devices?limit=2").is(200);
    desk.b.write("more.csv", "serial,type\nA1,sensor\nA2,sensor\n");
    desk.b.ok(&["list", "import", "more.csv"]);
    let next = first["next"].as_str().unwrap();
    let second = desk.get(&format!("/v1/devices?limit=10&cursor={next}")).is(200);
    let serials = |page: &Value| -> Vec<String> {
        page["items"].as_array().unwrap().iter().map(|row| row["serial"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(serials(&first), ["SN1", "SN2"]);
    assert_eq!(serials(&second), ["SN3", "A1", "A2"], "none is left out, and none is there twice");
    assert_eq!(second["next"], Value::Null);
    desk.get(&format!("/v1/devices?custody=planned&cursor={next}")).fails(400, "cursor");
    desk.get(&format!("/v1/audit?cursor={next}")).fails(400, "cursor");
}

#[test]
fn operators_say_yes_and_no_to_requests_that_wait() {
    let desk = Desk::new("api-approvals");
    desk.b.ok(&["operator", "add", "alice"]);
    for n in [1, 2] {
        let now = SystemClock.now();
        let draft = PendingDraft {
            transaction_id: TransactionId::new([n; 16]),
            requester: Caller { module: Module::Provisioning, instance: "line-1".parse().unwrap() },
            subject: "urn:dev:ops:32473-sensor-SN1".parse().unwrap(),
            profile: "idevid".parse().unwrap(),
            request: Digest::new([n; 32]),
            needed: 2,
            at: now,
            until: now.plus_s(3600),
        };
        assert_eq!(desk.b.store().await_approval(&draft, 10).unwrap(), Approval::Awaited);
    }
    let waiting = desk.get("/v1/approvals").is(200)["items"].clone();
    assert_eq!(waiting, desk.b.json(&["approve", "list"]));
    assert_eq!(waiting.as_array().unwrap().len(), 2);
    desk.post("/v1/approvals/1/approve", "{}").fails(400, "operator");
    let said = desk.post("/v1/approvals/1/approve", "{\"operator\": \"alice\"}").is(200);
    assert_eq!((&said["says"], &said["approved"], &said["needed"]), (&json!("approve"), &json!(1), &json!(2)));
    // One operator is one operator, however often.
    desk.post("/v1/approvals/1/approve", "{\"operator\": \"alice\"}").fails(409, "transaction-closed");
    desk.post("/v1/approvals/2/deny", "{\"operator\": \"operator\"}").is(200);
    assert_eq!(desk.b.json(&["approve", "list"])[1]["denied"][0], "operator");
    assert_eq!(desk.told_of("approved"), 2);
    desk.b.sound();
}
