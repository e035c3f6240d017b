//! Replays the fuzzers' seeds, and mutations of them, on every test run. The properties are in `fuzz/src/x509.rs`.
#![allow(missing_docs, unreachable_pub, clippy::expect_used, clippy::panic)]

#[path = "../../../fuzz/src/replay.rs"]
mod replay;
#[path = "../../../fuzz/src/x509.rs"]
mod x509;

fn check(target: &str, body: fn(&[u8])) {
    let root = std::path::Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."));
    replay::replay(root, target, body);
}

#[test]
fn basic_constraints() {
    check("basic_constraints", x509::basic_constraints);
}
#[test]
fn certificate() {
    check("certificate", x509::certificate);
}
#[test]
fn crl() {
    check("crl", x509::crl);
}
#[test]
fn crmf() {
    check("crmf", x509::crmf);
}
#[test]
fn csr() {
    check("csr", x509::csr);
}
#[test]
fn extended_key_usage() {
    check("extended_key_usage", x509::extended_key_usage);
}
#[test]
fn key_usage() {
    check("key_usage", x509::key_usage);
}
#[test]
fn name() {
    check("name", x509::name);
}
#[test]
fn pem() {
    check("pem", x509::pem);
}
#[test]
fn public_key() {
    check("public_key", x509::public_key);
}
#[test]
fn subject_alt_name() {
    check("subject_alt_name", x509::subject_alt_name);
}
#[test]
fn tbs_certificate() {
    check("tbs_certificate", x509::tbs_certificate);
}
