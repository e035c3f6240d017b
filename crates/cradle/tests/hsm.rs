//! Tokens, looked at by the doctor.
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
use std::os::unix::fs::PermissionsExt;
use std::process::Output;

/// SoftHSM2, as Debian installs it.
const MODULE: &str = "/usr/lib/softhsm/libsofthsm2.so";

/// A token `one` with the PIN in the file `pin`.
fn token(name: &str) -> Box_ {
    let b = Box_::empty(name);
    std::fs::create_dir(b.dir.join("tokens")).unwrap();
    b.write("softhsm2.conf", format!("directories.tokendir = {}\n", b.dir.join("tokens").display()));
    let conf = b.dir.join("softhsm2.conf").display().to_string();
    let init = ["softhsm2-util", "--init-token", "--free", "--label", "one", "--so-pin", "87654321", "--pin", "1234"];
    foreign(&b.dir, "env", &[&[format!("SOFTHSM2_CONF={conf}").as_str()], &init[..]].concat());
    pin(&b, "1234");
    b
}
fn pin(b: &Box_, octets: &str) {
    b.write("pin", octets);
    std::fs::set_permissions(b.dir.join("pin"), PermissionsExt::from_mode(0o600)).unwrap();
}
fn doctor(b: &Box_, arguments: &[&str]) -> Output {
    let mut command = b.command(&[&["hsm", "doctor"], arguments].concat());
    command.env("SOFTHSM2_CONF", b.dir.join("softhsm2.conf")).output().unwrap()
}
fn uri(token: &str) -> String {
    format!("pkcs11:token={token}?module-path={MODULE}")
}

#[test]
fn a_healthy_token_signs_and_is_measured() {
    let b = token("hsm");
    let output = doctor(&b, &[&uri("one"), "--pin-file", "pin", "--signatures", "5", "-o", "json"]);
    assert!(output.status.success(), "{}", text(&output.stderr));
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((report["logged_in"].as_bool(), report["speeds"][0]["key_type"].as_str()), (Some(true), Some("p256")));
    let human = doctor(&b, &["pkcs11:token=one", "--module", MODULE, "--pin-file", "pin", "--signatures", "0"]);
    let human = text(&human.stdout);
    assert!(
        human.contains("CKM_ECDSA") && human.contains("the one that is meant") && !human.contains("1234"),
        "{human}"
    );
}

#[test]
fn what_is_wrong_is_named() {
    let b = token("hsm-bad");
    let refused = |arguments: &[&str], status: i32, what: &str| {
        let output = doctor(&b, arguments);
        let said = text(&output.stdout) + &text(&output.stderr);
        assert_eq!(output.status.code(), Some(status), "{arguments:?}: {said}");
        assert!(said.contains(what) && said.contains("code: "), "{arguments:?}: {said}");
    };
    refused(&[&uri("other"), "--pin-file", "pin"], 1, "token-missing");
    refused(&["pkcs11:token=one", "--pin-file", "pin"], 2, "module");
    refused(&["pkcs11:token=one", "--module", "/nowhere.so"], 1, "FAIL");
    refused(&["file:one"], 2, "pkcs11:");
    refused(&[&uri("one"), "--key-types", "dsa"], 2, "dsa");
    refused(&[&uri("one"), "--pin-file", "nowhere"], 5, "nowhere");
    pin(&b, "9999");
    refused(&[&uri("one"), "--pin-file", "pin"], 1, "pin");
    std::fs::set_permissions(b.dir.join("pin"), PermissionsExt::from_mode(0o644)).unwrap();
    refused(&[&uri("one"), "--pin-file", "pin"], 2, "chmod");
}
