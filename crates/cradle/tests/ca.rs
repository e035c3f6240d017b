//! Authorities: an offline root, limits, rollover.
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
use serde_json::Value;

/// An installation without authorities for devices, in the mode ceremony.
fn bare(name: &str) -> Box_ {
    let b = Box_::empty(name);
    b.ok(&["init", "--yes", "--bare"]);
    b.ok(&["mode", "set", "ceremony"]);
    b
}
fn authority(b: &Box_, name: &str) -> Value {
    b.json(&["ca", "list"]).as_array().unwrap().iter().find(|row| row["name"] == name).unwrap().clone()
}
/// Certificates of devices, in certificates/.
fn export(b: &Box_) -> Vec<String> {
    b.ok(&["cert", "export", "--authority", "factory", "--to", "certificates"]);
    let entries = std::fs::read_dir(b.dir.join("certificates")).unwrap();
    entries.map(|entry| entry.unwrap().path().display().to_string()).collect()
}

/// A factory whose root is in another installation, up to the request in factory.csr; and that root.
fn apart(name: &str) -> (Box_, Box_) {
    let (root, factory) = (bare(&format!("{name}-root")), bare(&format!("{name}-factory")));
    root.ok(&["ca", "create", "root", "--profile", "root", "--key-type", "p384"]);
    factory.write("root.pem", root.ok(&["ca", "chain", "root"]));
    factory.ok(&["ca", "import", "root", "root.pem", "--yes"]);
    let request = ["ca", "request", "factory", "--profile", "factory", "--issuer", "root", "--to", "factory.csr"];
    factory.ok(&request);
    root.write("factory.csr", factory.read("factory.csr"));
    (root, factory)
}
const SIGN: [&str; 11] = [
    "ca",
    "sign",
    "factory.csr",
    "--name",
    "factory",
    "--profile",
    "factory",
    "--issuer",
    "root",
    "--to",
    "factory.pem",
];

#[test]
fn a_factory_below_an_offline_root() {
    let (root, factory) = apart("offline");
    foreign(&factory.dir, "openssl", &["req", "-in", "factory.csr", "-noout", "-verify"]);
    assert_eq!(authority(&factory, "root")["state"], "elsewhere");
    assert_eq!(authority(&factory, "factory")["state"], "waits");
    root.fails(&SIGN, 2, "not-confirmed");
    root.ok(&[&SIGN[..], &["--yes"]].concat());
    factory.write("factory.pem", root.read("factory.pem"));
    factory.ok(&["ca", "install", "factory", "factory.pem", "--yes"]);
    assert_eq!(authority(&factory, "factory")["state"], "issues");
    assert_eq!(authority(&factory, "factory")["key"], "file:factory");
    factory.supply();
    assert_eq!(factory.count("sensor")["provisioned"], 6);
    factory.write("chain.pem", factory.ok(&["ca", "chain", "factory"]));
    for certificate in export(&factory) {
        let arguments = ["verify", "-CAfile", "root.pem", "-untrusted", "factory.pem", &certificate];
        foreign(&factory.dir, "openssl", &arguments);
    }
    foreign(&factory.dir, "openssl", &["verify", "-CAfile", "chain.pem", "chain.pem"]);
    factory.ok(&["mode", "set", "certificate-management"]);
    factory.fails(&["crl", "issue", "root"], 3, "key-offline");
    factory.ok(&["crl", "issue", "factory"]);
    factory.sound();
    root.sound();
}

/// An installation with a root of its own, and one that OpenSSL made and that is elsewhere.
fn two_roots(name: &str) -> Box_ {
    let b = bare(name);
    // OpenSSL's defaults: no keyUsage, and SHA-256 under a P-384 key.
    let made = "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-384 -sha256 -nodes -keyout off.key -out off.pem \
                -subj /CN=Offline -days 3650";
    foreign(&b.dir, "openssl", &made.split_whitespace().collect::<Vec<_>>());
    b.ok(&["ca", "create", "root", "--profile", "root"]);
    b.ok(&["ca", "import", "offline", "off.pem", "--yes"]);
    b
}
const REQUEST: [&str; 9] =
    ["ca", "request", "later", "--profile", "factory", "--issuer", "offline", "--to", "later.csr"];
fn sign_later(request: &str, name: &str) -> Vec<String> {
    let words = format!("ca sign {request} --name {name} --profile factory --issuer root --to x.pem --yes");
    words.split(' ').map(ToOwned::to_owned).collect()
}
fn strs(words: &[String]) -> Vec<&str> {
    words.iter().map(String::as_str).collect()
}

#[test]
fn a_key_that_is_gone_is_found_before_its_use_is_recorded() {
    let b = Box_::with_software("key-gone");
    let intents = || b.ok(&["audit", "list", "-o", "json"]).matches("intended").count();
    let before = intents();
    b.sql("UPDATE authority SET key = 'file:gone' WHERE name = 'factory'");
    let outcomes = b.station("sensor");
    assert!(outcomes.iter().all(|(_, outcome)| outcome != "provisioned"), "{outcomes:?}");
    assert_eq!(intents(), before, "{outcomes:?}");
}
#[test]
fn a_root_that_another_program_made_is_sound() {
    let b = two_roots("foreign-root");
    b.ok(&REQUEST);
    b.sound();
}

#[test]
fn what_waits_is_not_given_a_certificate_of_another_issuer() {
    let b = two_roots("other-issuer");
    foreign(&b.dir, "openssl", &["ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", "x.key"]);
    foreign(&b.dir, "openssl", &["req", "-new", "-key", "x.key", "-subj", "/", "-out", "x.csr"]);
    // One of another box, of a name that is taken here only later.
    b.ok(&strs(&sign_later("x.csr", "later")));
    b.ok(&REQUEST);
    // The authority starts, and finishes what an interruption left.
    b.ok(&["mode", "set", "certificate-management"]);
    b.ok(&["crl", "issue", "root"]);
    assert_eq!(authority(&b, "later")["state"], "waits");
    b.sound();
}

#[test]
fn a_request_is_not_signed_where_it_waits_for_another_issuer() {
    let b = two_roots("wrong-box");
    b.ok(&REQUEST);
    let said = b.fails(&strs(&sign_later("later.csr", "later")), 6, "name-taken");
    assert!(said.contains("offline"), "{said}");
    b.fails(&strs(&sign_later("later.csr", "other")), 7, "key-in-use");
    assert_eq!(authority(&b, "later")["state"], "waits");
    assert!(b.json(&["cert", "list", "--subject", "authority:later"]).as_array().unwrap().is_empty());
    assert!(b.json(&["cert", "list", "--subject", "authority:other"]).as_array().unwrap().is_empty());
    b.sound();
}

#[test]
fn what_does_not_fit_together_is_refused_and_changes_nothing() {
    let (root, factory) = apart("misfit");
    root.ok(&[&SIGN[..], &["--yes"]].concat());
    factory.write("factory.pem", root.read("factory.pem"));
    factory.write("garbage", "garbage");
    let install = |file: &str| ["ca", "install", "factory", file, "--yes"].map(ToOwned::to_owned);
    let refused = |file: &str, status: i32, code: &str| {
        let arguments = install(file);
        factory.fails(&arguments.each_ref().map(String::as_str), status, code);
    };
    refused("garbage", 1, "malformed");
    refused("nowhere.pem", 5, "file");
    refused("root.pem", 7, "key-changed");
    factory.fails(&["ca", "install", "other", "factory.pem", "--yes"], 5, "issuer-unknown");
    let said = factory.fails(&["ca", "install", "factory", "root.pem", "--yes"], 7, "key-changed");
    assert!(said.contains("ca request") && !said.contains("board"), "{said}");
    // A dry run refuses what would be refused, and promises nothing else.
    factory.fails(&["ca", "install", "factory", "root.pem", "--dry-run"], 7, "key-changed");
    factory.ok(&["ca", "install", "factory", "factory.pem", "--dry-run"]);
    // What waits is no breakage.
    let waits = factory.json_of(&["status"])["findings"][0].clone();
    assert_eq!(waits["code"], "authority-waits", "{waits}");
    assert!(waits["next"].as_str().unwrap().contains("cradle ca install factory"), "{waits}");
    let checked = factory.json(&["doctor"]).to_string();
    assert!(checked.contains("ca install factory") && !checked.contains("interrupted;"), "{checked}");
    // The same key, certified by another root.
    let other = bare("misfit-other");
    other.ok(&["ca", "create", "root", "--profile", "root"]);
    other.write("factory.csr", factory.read("factory.csr"));
    other.ok(&[&SIGN[..], &["--yes"]].concat());
    factory.write("other.pem", other.read("factory.pem"));
    refused("other.pem", 7, "issuer-not-allowed");
    assert_eq!(authority(&factory, "factory")["state"], "waits");
    factory.fails(&["ca", "import", "root", "root.pem", "--yes"], 6, "name-taken");
    factory.fails(&["ca", "import", "x", "factory.pem", "--yes"], 7, "issuer-not-allowed");
    factory.fails(&["ca", "import", "x", "garbage", "--yes"], 1, "malformed");
    factory.fails(&["ca", "import", "x", "root.pem"], 2, "not-confirmed");
    root.fails(&[&SIGN[..], &["--yes"]].concat(), 6, "exists");
    let request = ["ca", "request", "f2", "--profile", "factory", "--issuer", "nobody", "--to", "f2.csr"];
    factory.fails(&request, 5, "issuer-unknown");
    assert!(!factory.dir.join("f2.csr").exists());
    // The request again is one for the same key.
    let again = ["ca", "request", "factory", "--profile", "factory", "--issuer", "root", "--to", "again.csr"];
    factory.ok(&again);
    let key = |file: &str| foreign(&factory.dir, "openssl", &["req", "-in", file, "-noout", "-pubkey"]);
    assert_eq!(key("again.csr"), key("factory.csr"));
    factory.ok(&["ca", "install", "factory", "factory.pem", "--yes"]);
    let said = factory.fails(&["ca", "install", "factory", "factory.pem", "--yes"], 6, "name-taken");
    assert!(said.contains("already"), "{said}");
    factory.ok(&["mode", "set", "certificate-management"]);
    factory.fails(&["ca", "install", "factory", "factory.pem", "--dry-run"], 3, "wrong-mode");
    factory.sound();
}

#[test]
fn what_makes_authorities_needs_a_ceremony() {
    let b = Box_::new("no-ceremony");
    b.write("root.pem", b.ok(&["ca", "chain", "root"]));
    b.ok(&["mode", "set", "certificate-management"]);
    b.fails(&["ca", "import", "x", "root.pem", "--yes"], 3, "wrong-mode");
    b.fails(&["ca", "rollover", "root", "--yes"], 3, "wrong-mode");
    b.fails(&["ca", "request", "x", "--profile", "factory", "--issuer", "root", "--to", "x.csr"], 3, "wrong-mode");
    b.ok(&["ca", "rollover", "root", "--dry-run"]);
    b.fails(&["ca", "rollover", "nobody", "--yes"], 5, "issuer-unknown");
    assert_eq!(b.json(&["ca", "list"]).as_array().unwrap().len(), 3);
}

#[test]
fn a_key_lies_where_it_is_said_to() {
    let b = bare("key-place");
    b.ok(&["ca", "create", "root", "--profile", "root", "--key", "file:vaulted-root"]);
    assert_eq!(authority(&b, "root")["key"], "file:vaulted-root");
    assert!(b.data().join("keys/vaulted-root.p8").exists() && !b.data().join("keys/root.p8").exists());
    let bad = b.run(&["ca", "create", "x", "--profile", "root", "--key", "https://example.com"]);
    assert!(!bad.status.success() && text(&bad.stderr).contains("code: "), "{}", text(&bad.stderr));
}

#[test]
fn a_roots_key_is_replaced_and_both_chains_hold() {
    let b = Box_::with_software("rollover");
    b.station("sensor");
    b.write("old.pem", b.ok(&["ca", "chain", "root"]));
    b.write("factory.pem", b.ok(&["cert", "list", "--subject", "authority:factory", "-o", "json"]));
    let of_factory: Value = serde_json::from_slice(&b.read("factory.pem")).unwrap();
    b.write("factory.pem", of_factory[0]["pem"].as_str().unwrap());
    b.ok(&["mode", "set", "ceremony"]);
    b.fails(&["ca", "rollover", "root"], 2, "not-confirmed");
    let made = b.json(&["ca", "rollover", "root", "--key-type", "p384", "--yes"]);
    assert_eq!((made["renamed"].as_str(), made["links"].as_array().unwrap().len()), (Some("root-1"), 2));
    b.write("new.pem", b.ok(&["ca", "chain", "root"]));
    b.write("links.pem", b.ok(&["ca", "chain", "root", "--links"]));
    assert_eq!(text(&b.read("links.pem")).matches("BEGIN CERTIFICATE").count(), 2);
    b.write("below.pem", [b.read("factory.pem"), b.read("links.pem")].concat());
    b.write("below-old.pem", b.read("factory.pem"));
    for certificate in export(&b) {
        // Who trusts the old key, and who trusts the new one only.
        foreign(&b.dir, "openssl", &["verify", "-CAfile", "old.pem", "-untrusted", "below-old.pem", &certificate]);
        foreign(&b.dir, "openssl", &["verify", "-CAfile", "new.pem", "-untrusted", "below.pem", &certificate]);
    }
    b.ok(&["ca", "create", "factory2", "--profile", "factory", "--issuer", "root"]);
    let made = b.json(&["cert", "list", "--subject", "authority:factory2"]);
    b.write("factory2.pem", made[0]["pem"].as_str().unwrap());
    foreign(&b.dir, "openssl", &["verify", "-CAfile", "new.pem", "factory2.pem"]);
    foreign(&b.dir, "openssl", &["verify", "-CAfile", "old.pem", "-untrusted", "links.pem", "factory2.pem"]);
    assert_eq!(
        (authority(&b, "root-1")["state"].clone(), authority(&b, "root")["key_type"].clone()),
        ("retired".into(), "p384".into())
    );
    assert_eq!(authority(&b, "factory")["issuer"], "root-1");
    let old = b.ok(&["ca", "chain", "factory", "--links"]);
    assert_eq!(old.matches("BEGIN CERTIFICATE").count(), 3, "factory and both links");
    b.ok(&["mode", "set", "certificate-management"]);
    b.ok(&["crl", "issue", "root-1", "--to", "old.crl"]);
    foreign(&b.dir, "openssl", &["crl", "-in", "old.crl", "-noout", "-CAfile", "old.pem"]);
    b.ok(&["mode", "set", "provision"]);
    b.sound();
}

#[test]
fn a_retired_authority_signs_lists_and_issues_nothing() {
    let b = Box_::with_software("retired");
    b.ok(&["mode", "set", "ceremony"]);
    b.ok(&["ca", "rollover", "factory", "--yes"]);
    b.ok(&["mode", "set", "certificate-management"]);
    b.ok(&["crl", "issue", "factory-1"]);
    let path = b.data().join("profiles/idevid.toml");
    let profile = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, profile.replace("[\"factory\"]", "[\"factory-1\"]")).unwrap();
    b.ok(&["mode", "set", "provision"]);
    assert_eq!(b.count("sensor"), [("authority-ended".to_owned(), 6)].into());
    std::fs::write(&path, profile).unwrap();
    assert_eq!(b.count("sensor")["provisioned"], 6, "the new key issues");
    b.sound();
}

#[test]
fn a_limited_authority_stops_by_name() {
    let b = Box_::with_software("limits");
    b.ok(&["mode", "set", "certificate-management"]);
    b.fails(&["ca", "limit", "factory", "--quota", "2"], 2, "not-confirmed");
    b.fails(&["ca", "limit", "nobody", "--quota", "2", "--yes"], 5, "issuer-unknown");
    b.ok(&["ca", "limit", "factory", "--quota", "2", "--yes"]);
    assert_eq!(authority(&b, "factory")["quota"], 2);
    assert!(b.ok(&["ca", "list"]).contains("quota"));
    b.ok(&["mode", "set", "provision"]);
    let counted = b.count("sensor");
    assert_eq!((counted["provisioned"], counted["authority-spent"]), (2, 4), "{counted:?}");
    b.ok(&["mode", "set", "certificate-management"]);
    b.ok(&["ca", "limit", "factory", "--ends", "2020-01-01", "--yes"]);
    b.ok(&["mode", "set", "provision"]);
    assert_eq!(b.count("sensor")["authority-ended"], 4);
    b.ok(&["mode", "set", "certificate-management"]);
    b.ok(&["ca", "limit", "factory", "--yes"]);
    assert_eq!(authority(&b, "factory")["ends"], Value::Null);
    b.ok(&["mode", "set", "provision"]);
    assert_eq!(b.count("sensor")["provisioned"], 4);
    b.sound();
}
