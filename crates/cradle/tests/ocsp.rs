//! Whether certificates are revoked, as others ask it.
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

/// Three certified devices, in the mode certificate-management, and the factory's chain in `chain.pem`.
fn certified(name: &str) -> Box_ {
    let b = Box_::with_software(name);
    b.station("sensor");
    b.ok(&["mode", "set", "certificate-management"]);
    b.write("chain.pem", b.ok(&["ca", "chain", "factory"]));
    b
}
fn serial(b: &Box_, device: &str) -> String {
    b.json(&["device", "show", device])["certificate"].as_str().unwrap().to_owned()
}
/// What a stranger is told, verified by us and by OpenSSL.
fn told(b: &Box_, serial: &str) -> String {
    let said = b.json(&["ocsp", "ask", serial, "--request", "request.der", "--to", "answer.der"]);
    assert_eq!(said["signed_by"], "its responder");
    let arguments =
        ["ocsp", "-reqin", "request.der", "-respin", "answer.der", "-issuer", "chain.pem", "-CAfile", "chain.pem"];
    let output = std::process::Command::new("openssl").args(arguments).current_dir(&b.dir).output().unwrap();
    let heard = text(&output.stdout) + &text(&output.stderr);
    assert!(heard.contains("Response verify OK") && !heard.contains("WARNING: no nonce"), "{heard}");
    said["status"].as_str().unwrap().to_owned()
}

#[test]
fn good_held_released_and_revoked() {
    let b = certified("ocsp");
    let one = serial(&b, "SN000001");
    assert_eq!(told(&b, &one), "good");
    b.ok(&["cert", "revoke", "--device", "SN000001", "--reason", "certificate-hold", "--yes"]);
    assert_eq!(told(&b, &one), "revoked");
    b.ok(&["cert", "release", "--device", "SN000001", "--yes"]);
    assert_eq!(told(&b, &one), "good");
    b.ok(&["cert", "revoke", "--device", "SN000001", "--reason", "key-compromise", "--yes"]);
    assert_eq!(told(&b, &one), "revoked");
    assert_eq!(b.json(&["ocsp", "ask", &one])["reason"], "key-compromise");
    // One responder for all of these, certified once.
    assert_eq!(b.json(&["cert", "list", "--profile", "ocsp"]).as_array().unwrap().len(), 1);
    b.sound();
}
#[test]
fn what_was_never_issued_is_unknown_to_others() {
    let b = certified("ocsp-unknown");
    let ask = ["ocsp", "-issuer", "chain.pem", "-serial", "0x0123456789abcdef", "-reqout", "request.der", "-no_nonce"];
    foreign(&b.dir, "openssl", &ask);
    b.ok(&["ocsp", "answer", "request.der", "--to", "answer.der"]);
    let read = ["ocsp", "-respin", "answer.der", "-CAfile", "chain.pem", "-issuer", "chain.pem", "-resp_text"];
    assert!(foreign(&b.dir, "openssl", &read).contains("Cert Status: unknown"));
    b.fails(&["ocsp", "ask", "0123456789abcdef"], 5, "serial-unknown");
    b.fails(&["ocsp", "ask", "none"], 2, "usage");
}
#[test]
fn a_bad_request_gets_an_error_and_no_answer() {
    let b = certified("ocsp-bad");
    b.write("request.der", b"0");
    let said = b.ok(&["ocsp", "answer", "request.der", "--to", "answer.der"]);
    assert!(said.contains("an error"), "{said}");
    // OCSPResponseStatus 1: malformedRequest (RFC 6960 §4.2.1).
    assert_eq!(b.read("answer.der"), [0x30, 3, 0x0a, 1, 1]);
    b.fails(&["ocsp", "answer", "nowhere.der", "--to", "answer.der"], 5, "file");
}
#[test]
fn what_is_no_answer_is_not_replaced_by_one() {
    let b = certified("ocsp-overwritten");
    let one = serial(&b, "SN000001");
    told(&b, &one);
    for (option, file) in [("--to", "answer.der"), ("--request", "request.der")] {
        b.ok(&["ocsp", "ask", &one, option, file]);
        b.write(file, "precious");
        b.fails(&["ocsp", "ask", &one, option, file], 6, "exists");
        assert_eq!(b.read(file), b"precious");
    }
}
#[test]
fn a_responder_renews_its_certificate_before_it_ends() {
    let b = certified("ocsp-renewal");
    let one = serial(&b, "SN000001");
    b.ok(&["ocsp", "ask", &one]);
    for (offset, certificates) in [("+4d", 1), ("+6d", 2)] {
        let output = b.command_at(offset, &["ocsp", "ask", &one]).output().unwrap();
        assert!(output.status.success(), "{}", text(&output.stderr));
        assert_eq!(b.json(&["cert", "list", "--profile", "ocsp"]).as_array().unwrap().len(), certificates, "{offset}");
    }
}
#[test]
fn an_answer_never_looks_older_than_one_before_it() {
    let b = certified("ocsp-clock");
    let one = serial(&b, "SN000001");
    let update = |offset: &str| {
        let output = b.command_at(offset, &["ocsp", "ask", &one, "-o", "json"]).output().unwrap();
        assert!(output.status.success(), "{}", text(&output.stderr));
        let said: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        said["this_update"].as_str().unwrap().to_owned()
    };
    let later = update("+240s");
    assert!(update("+0s") >= later, "the clock went back, and the answer does not");
}
