//! What a certificate, a transaction or a device has been through, in plain words.
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
use common::Box_;

fn devices(name: &str) -> Box_ {
    let b = Box_::with_software(name);
    b.station("sensor");
    b
}

#[test]
fn a_certificate_is_explained_from_its_request_to_its_end() {
    let b = devices("explain-serial");
    let row = b.json(&["cert", "list", "--device", "SN000001"]);
    let (serial, transaction) = (row[0]["serial"].as_str().unwrap(), row[0]["transaction_id"].as_str().unwrap());
    let said = b.ok(&["explain", serial]);
    for words in
        ["urn:dev:ops:32473-sensor-SN000001", "factory", "idevid", "as it was then", "was taken by", transaction]
    {
        assert!(said.contains(words), "{words}: {said}");
    }
    assert!(!said.contains("SN000002"), "{said}");
    let told = &b.json(&["explain", serial])["decisions"][0];
    assert_eq!((&told["requester"], &told["profile"]), (&"provisioning:line-1".into(), &"idevid".into()));
    assert_eq!((&told["grant"]["list"], &told["grant"]["line"]), (&"devices".into(), &2.into()), "{told}");
    assert_eq!((told["right"].is_null(), told["approval"].is_null()), (true, true));
    for words in [
        "was asked for by provisioning:line-1",
        "this box's clock said 20",
        "line 2 of list devices",
        "no station's right was needed",
        told["profile_digest"].as_str().unwrap(),
    ] {
        assert!(said.contains(words), "{words}: {said}");
    }
    b.ok(&["mode", "set", "certificate-management"]);
    b.ok(&["cert", "revoke", serial, "--reason", "certificate-hold", "--yes"]);
    let path = b.data().join("profiles/idevid.toml");
    let text = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, text.replace("backdate_s = 300", "backdate_s = 301")).unwrap();
    let said = b.ok(&["explain", serial]);
    assert!(said.contains("on hold since") && said.contains("was changed since"), "{said}");
    let of_transaction = b.json(&["explain", transaction]);
    assert_eq!(of_transaction["whole"], true);
    assert!(of_transaction["history"].to_string().contains(serial), "{of_transaction}");
}

#[test]
fn a_device_is_explained_by_either_of_its_names() {
    let b = devices("explain-device");
    for name in ["SN000003", "urn:dev:ops:32473-sensor-SN000003"] {
        let said = b.ok(&["explain", name]);
        for words in ["the list devices", "provisioned with", "by operator", "was admitted as", "It is good"] {
            assert!(said.contains(words), "{words}: {said}");
        }
    }
    let said = b.ok(&["explain", "SN000019"]);
    assert!(said.contains("It is planned") && !said.contains("Certificate "), "{said}");
}

#[test]
fn a_refusal_is_explained_with_what_to_do() {
    let b = Box_::with_software("explain-refused");
    b.sql("UPDATE list SET until = 1; UPDATE grant_ SET until = 1 WHERE subject LIKE 'urn:%'");
    b.station("sensor");
    let said = b.ok(&["explain", "SN000001"]);
    assert!(said.contains("was refused (grant-expired)") && said.contains("next: "), "{said}");
}

#[test]
fn what_is_nothing_is_said_to_be_nothing() {
    let b = Box_::new("explain-none");
    for words in ["nonsense", "00112233445566778899aabbccddeeff", "1234", "urn:dev:ops:32473-sensor-X"] {
        b.fails(&["explain", words], 5, "code-unknown");
    }
    assert!(b.ok(&["explain", "quarantined"]).contains("backup confirm"));
    Box_::empty("explain-nothing").fails(&["explain", "nonsense"], 5, "no-data");
}

#[test]
fn the_right_of_the_station_is_told() {
    let b = Box_::with_software("explain-right");
    b.device_type("sensor", "key_offer = \"public-key\"\ncount = 1\n");
    b.ok(&["mode", "set", "certificate-management"]);
    b.ok(&["station", "entitle", "sensor", "--quota", "7"]);
    b.ok(&["mode", "set", "provision"]);
    assert_eq!(b.count("sensor")["provisioned"], 1);
    let said = b.ok(&["explain", "SN000001"]);
    assert!(said.contains("The station line-1 vouched for its key") && said.contains("1 of 7 used"), "{said}");
}

#[test]
fn who_approved_is_told_before_and_after() {
    let b = Box_::with_software("explain-approval");
    b.device_type("sensor", "count = 1\n");
    let path = b.data().join("profiles/idevid.toml");
    let text = std::fs::read_to_string(&path).unwrap();
    std::fs::write(path, format!("{text}\n[enrolment]\napprovals = 1\n")).unwrap();
    b.station("sensor");
    b.ok(&["mode", "set", "certificate-management"]);
    let transaction = b.json(&["approve", "list"])[0]["transaction_id"].as_str().unwrap().to_owned();
    let said = b.ok(&["explain", &transaction]);
    assert!(said.contains("1 operators had to approve it") && said.contains("No operator has said"), "{said}");
    b.ok(&["approve", "yes", "1", "--operator", "operator"]);
    let waited = &b.json(&["explain", &transaction])["waited"]["said"][0];
    assert!(waited["statement"].as_str().unwrap().contains("\"signature\""), "a JWS: {waited}");
    b.ok(&["mode", "set", "provision"]);
    assert_eq!(b.count("sensor")["provisioned"], 1);
    let told = &b.json(&["explain", &transaction])["decisions"][0];
    assert_eq!(told["approval"]["said"][0]["operator"], "operator");
    assert!(b.ok(&["explain", "SN000001"]).contains("operator approved it at "));
}
