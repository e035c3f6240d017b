//! Replays the fuzzers' seeds, and mutations of them, on every test run. The properties are in `fuzz/src/x509.rs`.
#![allow(
    missing_docs,
    unreachable_pub,
    clippy::expect_used,
    clippy::panic,
    reason = "what cannot go on here has failed"
)]

#[path = "../../../fuzz/src/replay.rs"]
mod replay;
#[path = "../../../fuzz/src/x509.rs"]
mod x509;

fn check(target: &str, body: fn(&[u8])) {
    let root = std::path::Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."));
    replay::replay(root, target, body);
}

#[test]
fn authority_info_access() {
    check("authority_info_access", x509::authority_info_access);
}
#[test]
fn authority_key_identifier() {
    check("authority_key_identifier", x509::authority_key_identifier);
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
fn certificate_policies() {
    check("certificate_policies", x509::certificate_policies);
}
#[test]
fn cms() {
    check("cms", x509::cms);
}
#[test]
fn certs_only() {
    check("certs_only", x509::certs_only);
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
fn distribution_points() {
    check("distribution_points", x509::distribution_points);
}
#[test]
fn extended_key_usage() {
    check("extended_key_usage", x509::extended_key_usage);
}
#[test]
fn inhibit_any_policy() {
    check("inhibit_any_policy", x509::inhibit_any_policy);
}
#[test]
fn issuing_distribution_point() {
    check("issuing_distribution_point", x509::issuing_distribution_point);
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
fn name_constraints() {
    check("name_constraints", x509::name_constraints);
}
#[test]
fn path() {
    check("path", x509::path);
}
#[test]
fn pem() {
    check("pem", x509::pem);
}
#[test]
fn policy_constraints() {
    check("policy_constraints", x509::policy_constraints);
}
#[test]
fn policy_mappings() {
    check("policy_mappings", x509::policy_mappings);
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
fn subject_key_identifier() {
    check("subject_key_identifier", x509::subject_key_identifier);
}
#[test]
fn tbs_certificate() {
    check("tbs_certificate", x509::tbs_certificate);
}
