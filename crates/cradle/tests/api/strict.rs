//! What is not as it is described is refused, and changes nothing.

use crate::desk::Desk;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;

#[test]
fn what_is_not_described_is_refused() {
    let desk = Desk::new("api-strict");
    let json = ["--header", "Content-Type: application/json"];
    desk.get("/v1/devices?limits=1").fails(400, "request");
    desk.get("/v1/devices?limit=0").fails(400, "request");
    desk.get("/v1/devices?limit=1001").fails(400, "request");
    desk.get("/v1/devices?limit=1&limit=1").fails(400, "request");
    desk.get("/v1/mode?verbose=true").fails(400, "request");
    desk.post("/v1/devices/SN1/stolen?yes=1", "{}").fails(400, "request");
    desk.post("/v1/devices/SN1/stolen", "{\"recovered\": false, \"force\": true}").fails(400, "request");
    desk.post("/v1/devices/SN1/stolen", "{\"recovered\": false, \"recovered\": true}").fails(400, "request");
    desk.post("/v1/devices/SN1/stolen", "{\"recovered\": 1}").fails(400, "request");
    desk.post("/v1/devices/SN1/stolen", "{} {}").fails(400, "request");
    desk.post("/v1/devices/SN1/stolen", "").fails(400, "request");
    desk.post("/v1/devices/SN1/allow", "{\"days\": 36526}").fails(400, "usage");
    desk.post("/v1/mode", "{\"mode\": \"demo\"}").fails(400, "request");
    desk.post_once("", "/v1/devices/SN1/stolen", "{}").is(200);
    desk.post_once("a b", "/v1/devices/SN1/stolen", "{}").fails(400, "idempotency-key");
    desk.ask(&["--data-binary", "{}"], "/v1/devices/SN1/stolen").fails(415, "request");
    desk.ask(&[&["--request", "GET"], &json[..], &["--data-binary", "{}"]].concat(), "/v1/mode").fails(400, "request");
    desk.b.write("long.json", format!("{{\"recovered\": false{}}}", " ".repeat(16 * 1024)));
    let long = [&json[..], &["--data-binary", "@../long.json"]].concat();
    desk.ask(&long, "/v1/devices/SN1/stolen").fails(413, "request");
    desk.get("/v1/nothing").fails(404, "no-resource");
    desk.get("/v1/devices/SN9").fails(404, "not-on-list");
    desk.get("/v1/devices/%2e%2e%2f").fails(404, "device");
    desk.get("/v1/devices/%ff").fails(404, "no-resource");
    desk.get("/v1/certificates/xyz").fails(404, "no-resource");
    desk.get("/v1/certificates/01").fails(404, "serial-unknown");
    desk.get("/v1/authorities/nobody/chain").fails(404, "issuer-unknown");
    desk.post("/v1/approvals/7/approve", "{}").fails(404, "transaction-unknown");
    assert_eq!(desk.told_of("device-marked"), 1, "of all of these only the one without a key's value was done");
}

#[test]
fn other_methods_are_refused_and_the_answer_says_which_are_not() {
    let desk = Desk::new("api-methods");
    for method in ["DELETE", "PUT", "PATCH", "OPTIONS", "TRACE"] {
        let answer = desk.ask(&["--request", method], "/v1/mode");
        assert_eq!(answer.field("allow"), Some("GET,HEAD,POST"), "{answer:?}");
        answer.fails(405, "no-method");
    }
    desk.post("/v1/devices", "{}").fails(405, "no-method");
    desk.get("/v1/devices/SN1/stolen").fails(405, "no-method");
}

#[test]
fn a_problem_says_where_its_code_is_explained() {
    let desk = Desk::new("api-problem");
    let problem = desk.get("/v1/devices/SN9").fails(404, "not-on-list");
    let explained = desk.get(problem["type"].as_str().unwrap()).is(200);
    assert_eq!((&explained["code"], &explained["what"]), (&problem["code"], &problem["title"]));
}

#[test]
fn a_body_that_does_not_come_is_not_waited_for() {
    let desk = Desk::new("api-slow");
    let mut line = UnixStream::connect(desk.b.data().join("api.sock")).unwrap();
    let head = "POST /v1/devices/SN1/stolen HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n";
    write!(line, "{head}Content-Length: 16\r\nConnection: close\r\n\r\n{{").unwrap();
    // Others are answered meanwhile.
    desk.get("/v1/mode").is(200);
    let mut answer = String::new();
    line.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 408 ") && answer.contains("\"code\":\"request\""), "{answer}");
    assert_eq!(desk.told_of("device-marked"), 0);
}
