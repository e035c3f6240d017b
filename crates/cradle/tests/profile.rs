//! Profiles: explained, compared, tried.
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
use common::{Box_, foreign};

const DEVICE: [&str; 2] = ["--subject", "urn:dev:ops:32473-sensor-SN000001"];

/// An installation, and a request in device.csr.
fn with_request(name: &str) -> Box_ {
    let b = Box_::new(name);
    let key =
        ["req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", "device.key"];
    foreign(&b.dir, "openssl", &[&key[..], &["-subj", "/", "-out", "device.csr"]].concat());
    b
}

#[test]
fn every_shipped_profile_is_there_and_in_order() {
    let b = Box_::new("profiles-shipped");
    let rows = b.json(&["profile", "check"]);
    assert_eq!(rows.as_array().unwrap().len(), 19);
    for row in rows.as_array().unwrap() {
        let name = row["name"].as_str().unwrap();
        let said = b.ok(&["profile", "explain", name]);
        assert!(said.contains("who may ask") && said.contains("what is refused"), "{said}");
        assert_eq!(b.json(&["profile", "diff", name, name]), serde_json::json!([]));
    }
}

#[test]
fn a_looser_profile_is_called_that() {
    let b = Box_::new("profile-diff");
    let text = std::fs::read_to_string(b.data().join("profiles/idevid.toml")).unwrap();
    b.write("idevid.toml", text.replace("\"p384\", ", ""));
    let changed = b.json(&["profile", "diff", "idevid.toml", "idevid"]);
    assert_eq!((changed[0]["field"].as_str(), changed[0]["meaning"].as_str()), (Some("key_types"), Some("looser")));
    b.fails(&["profile", "diff", "idevid", "nosuch"], 5, "profile-unknown");
    b.fails(&["profile", "explain", "nosuch.toml"], 5, "file");
    b.write("bad.toml", "subject_kind = 3");
    b.fails(&["profile", "explain", "bad.toml"], 1, "profile");
}

#[test]
fn a_trial_shows_the_certificate_and_records_nothing() {
    let b = with_request("profile-try");
    let before = b.json(&["audit", "checkpoint"]);
    let said = b.json(&[&["profile", "try", "idevid", "device.csr"], &DEVICE[..]].concat());
    assert_eq!(said["issued"], true, "{said}");
    assert!(said["tbs"].as_str().unwrap().starts_with("30") && said.to_string().contains("SN000001"), "{said}");
    let human = b.ok(&[&["profile", "try", "idevid", "device.csr"], &DEVICE[..]].concat());
    assert!(human.contains("keyUsage digital") && human.contains("Factory CA"), "{human}");
    b.ok(&["profile", "try", "root", "device.csr", "--subject", "authority:other"]);
    assert_eq!(b.json(&["audit", "checkpoint"]), before);
}

#[test]
fn a_trial_names_every_refusal() {
    let b = with_request("profile-refused");
    let request = ["profile", "try", "operator", "device.csr", "--subject", "operator:alice"];
    let said = b.fails(&request, 7, "key-type-not-allowed");
    assert!(said.contains("would be refused"), "{said}");
    b.fails(
        &[&["profile", "try", "idevid", "device.csr", "--issuer", "nobody"], &DEVICE[..]].concat(),
        5,
        "issuer-unknown",
    );
    b.write("garbage", "garbage");
    b.fails(&[&["profile", "try", "idevid", "garbage"], &DEVICE[..]].concat(), 1, "malformed");
    assert_eq!(b.run(&["profile", "try", "idevid", "device.csr", "--subject", "nobody"]).status.code(), Some(2));
}
