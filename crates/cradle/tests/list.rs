//! Lists that suppliers sign, as an operator takes them in.
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

/// An installation that trusts acme, whose key is in `acme.key`.
fn trusting(name: &str) -> Box_ {
    let b = Box_::new(name);
    b.device_type("sensor", "");
    foreign(&b.dir, "openssl", &["genpkey", "-algorithm", "ed25519", "-out", "acme.key"]);
    foreign(&b.dir, "openssl", &["pkey", "-in", "acme.key", "-pubout", "-out", "acme.pub"]);
    let said = b.ok(&["list", "trust", "acme", "acme.pub"]);
    assert!(said.contains("lists of acme") && said.contains("above number 0"), "{said}");
    b
}
/// Writes and signs a list of acme's, in `N.csv` and `N.sig`.
fn list(b: &Box_, sequence: u32, more: &str, serials: &[&str]) {
    let lines: String = serials.iter().map(|serial| format!("{serial},sensor\n")).collect();
    let head =
        format!("# supplier: acme\n# sequence: {sequence}\n# count: {}\n# valid until: 2099-12-31\n", serials.len());
    let (file, signature) = (format!("{sequence}.csv"), format!("{sequence}.sig"));
    b.write(&file, format!("{head}{more}serial,type\n{lines}"));
    foreign(&b.dir, "openssl", &["pkeyutl", "-sign", "-rawin", "-inkey", "acme.key", "-in", &file, "-out", &signature]);
}

#[test]
fn a_signed_list_is_compared_taken_in_once_and_superseded() {
    let b = trusting("list-signed");
    list(&b, 7, "", &["SN000001", "SN000002"]);
    let rows = b.json(&["list", "diff", "7.csv", "--signature", "7.sig"]);
    assert_eq!((rows[0]["serial"].as_str(), rows[0]["change"].as_str()), (Some("SN000001"), Some("added")), "{rows}");
    assert_eq!(b.json(&["device", "list"]), serde_json::json!([]), "a comparison changes nothing");
    let said = b.ok(&["list", "import", "7.csv", "--signature", "7.sig"]);
    assert_eq!(said, "list 7 (7 of acme): 2 new, 0 known already\n");
    b.fails(&["list", "import", "7.csv", "--signature", "7.sig"], 6, "list-not-newer");
    list(&b, 8, "# supersedes: 7\n", &["SN000002", "SN000003"]);
    let rows = b.json(&["list", "diff", "8.csv", "--signature", "8.sig"]);
    let shown: Vec<_> = rows.as_array().unwrap().iter().map(|row| row["change"].as_str().unwrap()).collect();
    assert_eq!(shown, ["added", "taken back"], "{rows}");
    let said = b.ok(&["list", "import", "8.csv", "--signature", "8.sig"]);
    assert_eq!(said, "list 8 (8 of acme): 1 new, 1 known already, 0 changed, 1 taken back\n");
    let rows = b.json(&["list", "suppliers"]);
    assert_eq!((rows[0]["supplier"].as_str(), rows[0]["sequence"].as_u64()), (Some("acme"), Some(8)), "{rows}");
    assert_eq!(b.json(&["list", "show"])[1]["supplier"], "acme");
    b.sound();
}
#[test]
fn what_is_not_the_suppliers_is_refused_and_changes_nothing() {
    let b = trusting("list-refused");
    list(&b, 7, "", &["SN000001"]);
    b.fails(&["list", "import", "7.csv"], 4, "list-unsigned");
    b.write("7.csv", String::from_utf8(b.read("7.csv")).unwrap().replace("SN000001", "SN000009"));
    b.fails(&["list", "import", "7.csv", "--signature", "7.sig"], 4, "list-signature");
    b.fails(&["list", "import", "7.csv", "--signature", "nowhere"], 5, "file");
    b.write("key", "no key");
    b.fails(&["list", "trust", "acme", "key"], 2, "key");
    foreign(&b.dir, "openssl", &["genpkey", "-algorithm", "ed25519", "-out", "other.key"]);
    foreign(&b.dir, "openssl", &["pkey", "-in", "other.key", "-pubout", "-out", "other.pub"]);
    b.fails(&["list", "trust", "acme", "other.pub"], 6, "supplier-known");
    let said = b.ok(&["list", "distrust", "acme"]);
    assert_eq!(said, "lists of acme are not taken any more\n");
    list(&b, 8, "", &["SN000001"]);
    b.fails(&["list", "import", "8.csv", "--signature", "8.sig"], 5, "supplier-unknown");
    assert_eq!(b.json(&["device", "list"]), serde_json::json!([]));
}
#[test]
fn the_operators_word_may_be_not_enough() {
    let b = trusting("list-signed-only");
    let path = b.data().join("cradle.toml");
    let text = std::fs::read_to_string(&path).unwrap();
    std::fs::write(path, format!("signed_lists_only = true\n{text}")).unwrap();
    b.write("own.csv", "serial,type\nSN000001,sensor\n");
    b.fails(&["list", "import", "own.csv"], 4, "list-unsigned");
    list(&b, 1, "", &["SN000001"]);
    b.ok(&["list", "import", "1.csv", "--signature", "1.sig"]);
}

#[test]
fn a_mistake_in_a_list_of_ones_own_is_corrected() {
    let b = Box_::new("list-corrected");
    for name in ["sensor", "pump"] {
        b.device_type(name, "");
    }
    b.write("first.csv", "serial,type\nSN000001,pump\nSN000002,sensor\n");
    b.write("second.csv", "serial,type\nSN000001,sensor\n");
    b.ok(&["list", "import", "first.csv"]);
    let said = b.fails(&["list", "import", "second.csv"], 1, "list-invalid");
    assert!(said.contains("stands with type pump in line 2 of list first") && said.contains("--replaces"), "{said}");
    let said = b.fails(&["list", "import", "second.csv", "--replaces", "none"], 1, "list-invalid");
    assert!(said.contains("there is none of that name"), "{said}");
    let shown = b.json(&["list", "diff", "second.csv", "--replaces", "first"]);
    assert_eq!((shown[0]["change"].as_str(), shown[1]["change"].as_str()), (Some("changed"), Some("taken back")));
    let said = b.ok(&["list", "import", "second.csv", "--replaces", "first"]);
    assert_eq!(said, "list second: 0 new, 0 known already, 1 changed, 1 taken back\n");
    let devices = b.json(&["device", "list"]);
    assert_eq!((devices[0]["serial"].as_str(), devices[0]["type"].as_str()), (Some("SN000001"), Some("sensor")));
    b.sound();
}

/// The blocks between fences of a document, in order.
fn blocks(document: &str) -> Vec<&str> {
    document.split("```").skip(1).step_by(2).map(|block| block.trim_start_matches("sh").trim_start()).collect()
}
#[test]
fn the_documented_lists_are_signed_and_taken_word_for_word() {
    let document = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/lists.md")).unwrap();
    let (b, blocks) = (Box_::new("list-documented"), blocks(&document));
    b.device_type("sensor", "");
    let said: Vec<_> = blocks.iter().filter(|block| block.contains("cradle ")).collect();
    let shell = |lines: &str| foreign(&b.dir, "sh", &["-ec", lines]);
    b.write("list.csv", blocks[0]);
    let keys = blocks.iter().find(|block| block.contains("genpkey")).unwrap();
    shell(keys);
    let typed = |line: &str| b.ok(&line.split(' ').skip(1).collect::<Vec<_>>());
    let lines: Vec<_> = said[0].lines().collect();
    lines[..4].iter().for_each(|line| drop(typed(line)));
    // The second list, in JSON, takes the place of the first.
    b.write("list.json", blocks[1]);
    let json = |line: &str| line.replace("list.csv", "list.json");
    shell(&json(keys.lines().last().unwrap()));
    typed(&json(lines[1]));
    assert!(typed(&json(lines[2])).contains("1 taken back"));
    typed(lines[4]);
    b.sound();
}
