//! What the program says of its own doings: one line for each event, nothing hidden in it, no secret.
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
use serde_json::Value;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt;
use std::process::Stdio;

/// Whether a line begins with a time to the millisecond.
fn is_event(line: &str) -> bool {
    let time = line.split(' ').next().unwrap_or_default();
    time.len() == "2026-11-21T03:40:00.000Z".len() && time.ends_with('Z') && time.as_bytes()[10] == b'T'
}

#[test]
fn commands_say_when_they_begin_and_end_if_they_are_asked() {
    let b = Box_::new("log-commands");
    assert_eq!(text(&b.run(&["ca", "list"]).stderr), "", "nobody asked");
    let said = text(&b.run(&["ca", "list", "--log-level", "debug"]).stderr);
    let lines: Vec<_> = said.lines().collect();
    assert!(lines.len() == 2 && lines.iter().all(|line| is_event(line)), "{said}");
    assert!(lines[0].contains("command begun") && lines[0].contains("command=ca list"), "{said}");
    assert!(lines[1].contains("status=0") && lines[1].contains("ms="), "{said}");
    let output = b.command(&["ca", "list", "--log-format", "json"]).env("CRADLE_LOG", "debug").output().unwrap();
    let events: Vec<Value> = text(&output.stderr).lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!((events.len(), events[1]["message"].as_str()), (2, Some("command ended")));
    assert_eq!((events[1]["level"].as_str(), events[1]["status"].as_u64()), (Some("DEBUG"), Some(0)));
    let output = b.command(&["ca", "list"]).env("CRADLE_LOG", "loud").output().unwrap();
    assert_eq!(output.status.code(), Some(2));
}

#[test]
fn what_somebody_else_wrote_does_not_break_a_line() {
    let b = Box_::empty("log-lines");
    let evil = "x\n2026-11-21T03:40:00.000Z ERROR forged\r\x1b[2J\u{202e}\u{85}";
    for format in ["human", "json"] {
        let arguments = ["status", "--data", evil, "--log-level", "trace", "--log-format", format, "-o", "json"];
        let output = b.run(&arguments);
        let said = text(&output.stderr);
        assert_eq!(output.status.code(), Some(5), "{said}");
        let hidden = |c: char| (c.is_control() && c != '\n') || c == '\u{202e}';
        assert!(!said.contains(hidden), "{said:?}");
        let events = said.lines().filter(|line| line.contains("command begun") || line.contains("command ended"));
        assert_eq!(events.count(), 2, "{said}");
        assert!(
            !said.lines().any(|line| line.contains("ERROR") && is_event(line) && !line.contains("begun")),
            "{said}"
        );
        if format == "json" {
            assert!(said.lines().all(|line| serde_json::from_str::<Value>(line).is_ok()), "{said}");
        }
    }
}

#[test]
fn no_secret_is_logged() {
    let b = Box_::empty("log-secrets");
    b.write("secret", "correct horse battery\n");
    std::fs::set_permissions(b.dir.join("secret"), std::fs::Permissions::from_mode(0o600)).unwrap();
    let with = ["--passphrase-file", "secret", "--log-level", "trace"];
    for command in [&["init", "--yes"][..], &["mode", "set", "ceremony"], &["doctor"], &["audit", "verify"]] {
        let output = b.run(&[command, &with].concat());
        let said = text(&output.stderr) + &text(&output.stdout);
        assert!(output.status.success() && said.contains("command ended"), "{said}");
        for secret in ["correct horse", "PRIVATE KEY"] {
            assert!(!said.contains(secret), "{command:?}: {said}");
        }
    }
}

#[test]
fn each_request_is_logged() {
    let b = Box_::new("log-requests");
    let mut child = b
        .command(&["serve", "-o", "json", "--log-format", "json"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
    let said: Value = serde_json::from_str(&line).unwrap();
    let address = said["url"].as_str().unwrap().strip_prefix("http://").unwrap().to_owned();
    for (request, status) in [("GET /health", 200), ("POST /status", 405), ("GET /\u{202e}dlrow", 404)] {
        let mut stream = TcpStream::connect(&address).unwrap();
        let head = format!("{request} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
        stream.write_all(head.as_bytes()).unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).unwrap();
        assert!(text(&answer).starts_with(&format!("HTTP/1.1 {status} ")), "{}", text(&answer));
    }
    let pid = child.id().to_string();
    assert!(std::process::Command::new("kill").arg(&pid).status().unwrap().success());
    let output = child.wait_with_output().unwrap();
    let said = text(&output.stderr);
    assert!(!said.contains('\u{202e}'), "{said}");
    let events: Vec<Value> = said.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let seen: Vec<_> = events
        .iter()
        .filter(|event| event["message"] == "request")
        .map(|event| {
            assert!(event["us"].is_u64(), "{event}");
            (event["method"].as_str().unwrap(), event["path"].as_str().unwrap(), event["status"].as_u64().unwrap())
        })
        .collect();
    assert_eq!(seen, [("GET", "/health", 200), ("POST", "/status", 405), ("GET", "/\u{202e}dlrow", 404)]);
}
