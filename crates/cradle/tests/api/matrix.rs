//! Every call of the operator API, by everybody: the table that docs/access.md shows.

use crate::calls::{Call, Verdict, Who, verdict};
use crate::common::Box_;
use crate::desk::{Answer, Desk};
use crate::doors::{open_to_others, other_user};
use adapters::clock::SystemClock;
use model::{Digest, Module, TransactionId};
use ports::Clock;
use ports::directory::Caller;
use ports::store::AuthorityStore;
use ports::store::authority::{Approval, PendingDraft};
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// Who has something done, each of whom has things of his own: the number of their devices and requests.
const fn number(who: Who) -> u64 {
    match who {
        Who::Token => 2,
        _ => 1,
    }
}

/// A box that is up and answers at both doors, with two operators, requests that wait, and a certificate of somebody who has left.
struct Scene {
    desk: Desk,
    serial: String,
    token: String,
}

impl Scene {
    fn new() -> Self {
        let b = Box_::new("api-matrix");
        b.write("devices.csv", "serial,type\nSN1,sensor\nSN2,sensor\nSN3,sensor\nSN4,sensor\n");
        b.ok(&["list", "import", "devices.csv"]);
        b.ok(&["mode", "set", "certificate-management"]);
        b.ok(&["operator", "add", "alice"]);
        let rows = b.json(&["cert", "list", "--subject", "module:provisioning:line-1"]);
        let serial = rows[0]["serial"].as_str().unwrap().to_owned();
        await_approvals(&b);
        let path = b.data().join("cradle.toml");
        let settings = std::fs::read_to_string(&path).unwrap();
        std::fs::write(&path, format!("{settings}\n[api]\nlisten = \"127.0.0.1:0\"\n")).unwrap();
        let desk = Desk::of(b, &["up"]);
        open_to_others(&desk.b);
        let token = std::fs::read_to_string(desk.b.data().join("api/token")).unwrap();
        Self { desk, serial, token }
    }

    /// The path and the body of a call, which is right but for who makes it and when.
    fn request(&self, call: Call, who: Who) -> (String, Value) {
        let n = number(who);
        let device = if call == Call::MarkDevice { n + 2 } else { n };
        let id = if call == Call::Deny { n + 2 } else { n };
        let path = call.at().1.replace("{device}", &format!("SN{device}")).replace("{serial}", &self.serial);
        let path = path.replace("{authority}", "factory").replace("{id}", &id.to_string());
        let operator = match who {
            Who::Unnamed => None,
            Who::NotOne => Some("eve"),
            _ => Some("alice"),
        };
        let mode = match who {
            Who::Provisioning => "provision-software",
            Who::Sealed => "software-import",
            _ => "certificate-management",
        };
        let body = match call {
            Call::AllowDevice => json!({"profile": "ldevid"}),
            Call::RevokeCertificate => json!({"reason": "certificate-hold"}),
            Call::ImportList => {
                let name = format!("list-{who:?}");
                let content = format!("serial,type\n{name},sensor\n");
                json!({"name": name, "format": "csv", "content": content})
            }
            Call::Approve | Call::Deny => operator.map_or(json!({}), |name| json!({"operator": name})),
            Call::SetMode => json!({"mode": mode, "operators": operator.as_slice()}),
            _ => json!({}),
        };
        (path.replace("{about}", "no-grant"), body)
    }

    fn ask(&self, call: Call, who: Who) -> Answer {
        let (path, body) = self.request(call, who);
        let body = body.to_string();
        let sent = ["--header", "Content-Type: application/json", "--data-binary", &body];
        let sent = if call.writes() { &sent[..] } else { &[] };
        let at_socket = |before: &[&str]| {
            let url = format!("http://localhost{path}");
            self.desk.curl(before, &[&["--unix-socket", "api.sock"], sent, &[&url]].concat())
        };
        let over_tcp = |fields: &[&str]| {
            let url = format!("{}{path}", self.desk.said["api"]["url"].as_str().unwrap());
            self.desk.curl(&[], &[fields, sent, &[&url]].concat())
        };
        let bearer = format!("Authorization: Bearer {}", self.token);
        match who {
            Who::OtherUser => at_socket(&other_user(&self.desk.b)),
            Who::NoToken => over_tcp(&[]),
            Who::OtherToken => {
                over_tcp(&["--header", "Authorization: Bearer AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8"])
            }
            Who::OtherHost => over_tcp(&["--header", &bearer, "--header", "Host: evil.example"]),
            Who::Token => over_tcp(&["--header", &bearer]),
            Who::Unnamed | Who::NotOne | Who::Owner | Who::Provisioning | Who::Sealed => at_socket(&[]),
        }
    }

    #[track_caller]
    fn order(&self, mode: &str) {
        let body = json!({"mode": mode, "operators": ["operator"]}).to_string();
        self.desk.post("/v1/mode", &body).is(200);
    }
}

/// Requests 1 to 4, which wait for operators.
fn await_approvals(b: &Box_) {
    for n in 1..=4 {
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
        assert_eq!(b.store().await_approval(&draft, 10).unwrap(), Approval::Awaited);
    }
}

#[test]
fn everybody_is_answered_as_the_table_says() {
    let mut scene = Scene::new();
    let mut wrong = Vec::new();
    for who in Who::ALL {
        match who {
            Who::Provisioning => scene.order("provision-software"),
            Who::Sealed => scene.order("sealed"),
            _ => {}
        }
        let before = scene.desk.told_of("asked-over-api");
        for call in Call::ALL {
            let wanted = verdict(call, who);
            if wanted == Verdict::Unspoken {
                continue;
            }
            let got = scene.ask(call, who);
            let code = got.body["code"].as_str().unwrap_or_default();
            let is_so = match wanted {
                Verdict::Answered => got.status == 200,
                Verdict::Refused(status, wanted) => (got.status, code) == (status, wanted),
                Verdict::Unspoken => true,
            };
            if !is_so {
                wrong.push(format!("{call:?} by {who:?}: {} {}, not {wanted:?}", got.status, got.body));
            }
        }
        let is_stranger = matches!(who, Who::OtherUser | Who::NoToken | Who::OtherToken | Who::OtherHost);
        let is_recorded = scene.desk.told_of("asked-over-api") > before;
        if is_stranger == is_recorded {
            wrong.push(format!(
                "{who:?}: {} that something was asked for",
                if is_recorded { "it is recorded" } else { "it is not recorded" }
            ));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    // Two together may leave, and what was refused has left nothing.
    let both = json!({"mode": "certificate-management", "operators": ["operator", "alice"]}).to_string();
    scene.desk.post("/v1/mode", &both).is(200);
    let waiting = scene.desk.get("/v1/approvals").is(200)["items"].clone();
    let said = |by: &str| waiting.as_array().unwrap().iter().filter(|row| row[by] == json!(["alice"])).count();
    assert_eq!((said("approved"), said("denied")), (2, 2), "{waiting}");
    let lists = scene.desk.get("/v1/lists").is(200)["items"].as_array().unwrap().len();
    assert_eq!(
        lists, 4,
        "that of the box, and those of the owner, the token, and the owner while boards get their software"
    );
    scene.desk.stop();
    scene.desk.b.sound();
}

/// What the program says that it answers has a row, and each row is answered.
#[test]
fn each_row_is_a_call() {
    let b = Box_::empty("api-rows");
    let described: Value = serde_json::from_str(&b.ok(&["api", "openapi"])).unwrap();
    let mut there = BTreeSet::new();
    for (path, methods) in described["paths"].as_object().unwrap() {
        for (method, operation) in methods.as_object().unwrap() {
            there.insert((method.clone(), path.clone(), operation["operationId"].as_str().unwrap().to_owned()));
        }
    }
    let of = |call: Call| call.at();
    let rows: BTreeSet<_> = Call::ALL.into_iter().map(of).map(|(m, p, id)| (m.into(), p.into(), id.into())).collect();
    assert_eq!(there, rows, "a route of the operator API has no row in tests/matrix/calls.rs, or a row no route");
}
