//! Software on its way into the vault, and what is left of the format before bundles.
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

/// A copy of the repository, as somebody carries it about.
fn copied(b: &Box_, name: &str) {
    foreign(&b.dir, "cp", &["-r", "repository", name]);
}
/// The image of this release on a stick.
fn image(b: &Box_, stick: &str, counter: u8) -> std::path::PathBuf {
    let digest = x509::sha256(&vec![counter; 100_000]);
    b.dir.join(format!("{stick}/targets/{digest}.sensor-{counter}.bin"))
}

#[test]
fn only_signed_whole_and_newer_software_is_taken() {
    let b = Box_::with_software("software-intake");
    copied(&b, "old");
    b.release(5, "sensor");
    b.fails(&["release", "import", "repository"], 3, "module-off");
    b.import();
    b.import();
    b.fails(&["release", "import", "old"], 7, "release-rolled-back");
    b.release(6, "sensor");
    copied(&b, "altered");
    std::fs::write(image(&b, "altered", 6), vec![7; 100_000]).unwrap();
    b.fails(&["release", "import", "altered"], 7, "image-mismatch");
    std::fs::write(image(&b, "altered", 6), vec![6; 100_001]).unwrap();
    b.fails(&["release", "import", "altered"], 7, "image-too-long");
    copied(&b, "forged");
    let timestamp = b.dir.join("forged/metadata/timestamp.json");
    let said = std::fs::read_to_string(&timestamp).unwrap();
    let further = said.replace("\"version\": 3", "\"version\": 9").replace("\"version\":3", "\"version\":9");
    assert_ne!(said, further);
    std::fs::write(&timestamp, further).unwrap();
    b.fails(&["release", "import", "forged"], 7, "upstream-signature");
    foreign(&b.dir, "mv", &["repository", "ours"]);
    std::fs::remove_file(b.dir.join("maker.p8")).unwrap();
    b.release(8, "sensor");
    b.fails(&["release", "import", "repository"], 7, "upstream-signature");
    assert_eq!(b.json(&["release", "list"]).as_array().unwrap().len(), 2);
    let log = b.json(&["audit", "list"]);
    let refused =
        log.as_array().unwrap().iter().filter_map(|entry| entry["event"]["bundle-refused"]["reason"].as_str());
    let expected =
        ["release-rolled-back", "image-mismatch", "image-too-long", "upstream-signature", "upstream-signature"];
    assert_eq!(refused.collect::<Vec<_>>(), expected);
}

#[test]
fn single_releases_are_not_taken() {
    let b = Box_::with_software("software-single");
    b.write("release.json", "{}");
    b.ok(&["mode", "set", "software-import"]);
    let said = b.fails(&["release", "import", "release.json"], 2, "usage");
    assert!(said.contains("cradle repo"), "{said}");
    for words in [&["import", "release.json", "app.bin"][..], &["create"], &["sign"], &["trust"], &["makers"], &["key"]]
    {
        assert_eq!(b.run(&[&["release"], words].concat()).status.code(), Some(2), "{words:?}");
    }
}

#[test]
fn a_pin_that_nothing_keeps_to_any_more_stops_the_line() {
    let b = Box_::with_software("software-pin");
    let path = b.data().join("device-types/sensor.toml");
    let with = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, format!("signers = [\"{}\"]\n{with}", "0".repeat(64))).unwrap();
    let output = b.run(&["station", "run", "sensor"]);
    let said = text(&output.stderr);
    assert!(!output.status.success() && said.contains("cradle release follow"), "{said}");
    std::fs::write(&path, with).unwrap();
    assert_eq!(b.count("sensor")["provisioned"], 6);
}
