//! Replays the fuzzers' seeds, and mutations of them, on every test run. The properties are in `fuzz/src/wire.rs`.
#![allow(
    missing_docs,
    unreachable_pub,
    clippy::expect_used,
    clippy::panic,
    reason = "what cannot go on here has failed"
)]

#[path = "../../../fuzz/src/replay.rs"]
mod replay;
#[path = "../../../fuzz/src/wire.rs"]
mod wire;

fn check(target: &str, body: fn(&[u8])) {
    let root = std::path::Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."));
    replay::replay(root, target, body);
}

#[test]
fn cmp_message() {
    check("cmp_message", wire::cmp_message);
}
#[test]
fn acme_path() {
    check("acme_path", wire::acme_path);
}
#[test]
fn acme_message() {
    check("acme_message", wire::acme_message);
}
#[test]
fn acme_attestation() {
    check("acme_attestation", wire::acme_attestation);
}
#[test]
fn acme_dns() {
    check("acme_dns", wire::acme_dns);
}
#[test]
fn cmp_path() {
    check("cmp_path", wire::cmp_path);
}
#[test]
fn cmp_controls() {
    check("cmp_controls", wire::cmp_controls);
}
#[test]
fn est_path() {
    check("est_path", wire::est_path);
}
#[test]
fn est_body() {
    check("est_body", wire::est_body);
}
#[test]
fn est_basic() {
    check("est_basic", wire::est_basic);
}
#[test]
fn http_requests() {
    check("http_requests", wire::http_requests);
}
#[test]
fn ocsp_request() {
    check("ocsp_request", wire::ocsp_request);
}
#[test]
fn ocsp_response() {
    check("ocsp_response", wire::ocsp_response);
}
#[test]
fn ocsp_path() {
    check("ocsp_path", wire::ocsp_path);
}
#[test]
fn status_filter() {
    check("status_filter", wire::status_filter);
}
#[test]
fn scep_path() {
    check("scep_path", wire::scep_path);
}
#[test]
fn scep_message() {
    check("scep_message", wire::scep_message);
}
