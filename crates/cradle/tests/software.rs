//! Software on its way to the boards: who is believed, and what is done when somebody is not.
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

fn import(b: &Box_) {
    b.ok(&["mode", "set", "software-import"]);
}

#[test]
fn only_signed_whole_and_newer_software_is_taken() {
    let b = Box_::with_software("software-intake");
    b.release(5, "sensor");
    b.fails(&["release", "import", "release-5.json", "image-5.bin"], 3, "module-off");
    import(&b);
    b.ok(&["release", "import", "release-5.json", "image-5.bin"]);
    b.ok(&["release", "import", "release-5.json", "image-5.bin"]);
    b.release(4, "sensor");
    b.fails(&["release", "import", "release-4.json", "image-4.bin"], 7, "release-rolled-back");
    b.release(6, "sensor");
    b.fails(&["release", "import", "release-6.json", "image-5.bin"], 7, "image-mismatch");
    b.write("long.bin", [b.read("image-6.bin"), vec![0]].concat());
    b.fails(&["release", "import", "release-6.json", "long.bin"], 7, "image-too-long");
    let text = String::from_utf8(b.read("release-6.json")).unwrap();
    b.write(
        "release-7.json",
        text.replace("\"release_counter\": 6", "\"release_counter\": 7")
            .replace("\"release_counter\":6", "\"release_counter\":7"),
    );
    b.fails(&["release", "import", "release-7.json", "image-6.bin"], 7, "upstream-signature");
    std::fs::remove_file(b.dir.join("maker.pem")).unwrap();
    std::fs::remove_file(b.dir.join("maker.pem.pub")).unwrap();
    b.ok(&["release", "key", "maker.pem"]);
    b.release(8, "sensor");
    let stranger = b.run(&["release", "import", "release-8.json", "image-8.bin"]);
    assert!(!stranger.status.success(), "a stranger's release was taken");
    assert_eq!(b.json(&["release", "list"]).as_array().unwrap().len(), 2);
    let log = b.json(&["audit", "list"]);
    let refused =
        log.as_array().unwrap().iter().filter_map(|entry| entry["event"]["release-refused"]["reason"].as_str());
    let expected = ["release-rolled-back", "image-mismatch", "image-too-long", "upstream-signature", "signer-unknown"];
    assert_eq!(refused.collect::<Vec<_>>(), expected);
}

#[test]
fn an_image_altered_at_rest_stops_the_line() {
    let b = Box_::with_software("software-altered");
    for entry in std::fs::read_dir(b.data().join("vault")).unwrap() {
        let path = entry.unwrap().path();
        let mut octets = std::fs::read(&path).unwrap();
        let middle = octets.len() / 2;
        octets[middle] ^= 1;
        std::fs::write(&path, octets).unwrap();
    }
    b.fails(&["station", "run", "sensor"], 7, "image-mismatch");
    import(&b);
    b.ok(&["release", "import", "release-1.json", "image-1.bin"]);
    b.ok(&["mode", "set", "provision"]);
    assert_eq!(b.count("sensor")["provisioned"], 6, "importing it again mends it");
}

#[test]
fn a_false_countersignature_stops_the_line() {
    let b = Box_::with_software("software-counter");
    b.sql("UPDATE release SET countersignature = CAST('{}' AS BLOB)");
    b.fails(&["station", "run", "sensor"], 7, "countersignature-invalid");
    assert_eq!(b.json(&["mode", "show"])["mode"], "provision-software");
}

#[test]
fn a_false_upstream_signature_stops_the_line() {
    let b = Box_::with_software("software-upstream");
    b.sql("DELETE FROM signer");
    b.fails(&["station", "run", "sensor"], 7, "upstream-signature");
    assert_eq!(b.json(&["mode", "show"])["mode"], "provision-software");
}

#[test]
fn both_signatures_false_seal_the_box() {
    let b = Box_::with_software("software-both");
    b.sql("DELETE FROM signer; UPDATE release SET countersignature = CAST('{}' AS BLOB)");
    b.fails(&["station", "run", "sensor"], 7, "both-signatures-invalid");
    let shown = b.json(&["mode", "show"]);
    assert_eq!(
        (&shown["mode"], shown["awake"].to_string().as_str()),
        (&"sealed".into(), "[\"console\",\"supervisor\"]")
    );
    b.fails(&["station", "run", "sensor"], 3, "sealed");
    b.fails(&["list", "import", "devices.csv"], 3, "sealed");
    let log = b.ok(&["audit", "list", "-o", "jsonl"]);
    assert!(log.contains("\"sealed\":{") && log.contains("both-signatures-invalid"), "{log}");
    b.ok(&["mode", "set", "provision"]);
}

#[test]
fn a_station_does_not_go_back_whatever_the_store_says() {
    let b = Box_::with_software("software-floor");
    import(&b);
    b.release(9, "sensor");
    b.ok(&["release", "import", "release-9.json", "image-9.bin"]);
    b.ok(&["mode", "set", "provision"]);
    assert_eq!(b.count("sensor")["provisioned"], 6);
    // sm, in other hands, puts the old release forward: it is validly signed and countersigned.
    b.sql("DELETE FROM release WHERE counter = 9");
    b.fails(&["station", "run", "sensor"], 7, "release-rolled-back");
}

#[test]
fn a_station_can_pin_the_makers_it_believes() {
    let b = Box_::with_software("software-pin");
    let path = b.data().join("device-types/sensor.toml");
    let text = std::fs::read_to_string(&path).unwrap();
    let pin = |digest: &str| std::fs::write(&path, format!("signers = [\"{digest}\"]\n{text}")).unwrap();
    pin(&"0".repeat(64));
    b.fails(&["station", "run", "sensor"], 7, "upstream-signature");
    pin(b.json(&["inspect", "maker.pem.pub"])["sha256"].as_str().unwrap());
    assert_eq!(b.count("sensor")["provisioned"], 6);
}
