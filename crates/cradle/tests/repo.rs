//! Publishing software by the command line.
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
use serde_json::{Value, json};

fn begun(name: &str, words: &[&str]) -> Box_ {
    let b = Box_::empty(name);
    b.write("image", "octets");
    b.json(&[&["repo", "init"], words].concat());
    b
}
/// With one image, published.
fn published(name: &str) -> Box_ {
    let b = begun(name, &[]);
    b.ok(&["repo", "add", "image"]);
    b.ok(&["repo", "publish"]);
    b
}
fn key(b: &Box_, name: &str) {
    foreign(&b.dir, "openssl", &["genpkey", "-algorithm", "ed25519", "-out", name]);
}

#[test]
fn what_is_published_is_said() {
    let b = begun("repo", &["--days", "timestamp=1"]);
    assert_eq!(b.json_of(&["repo", "verify"])["wrong"][0], "metadata: nothing was published yet");
    let added = b.json(&["repo", "add", "image", "--name", "dir/image", "--custom", r#"{"version":"1"}"#]);
    assert_eq!((&added["role"], &added["length"]), (&json!("targets"), &json!(6)));
    let status = b.json(&["repo", "status"]);
    assert_eq!((&status["ready"], &status["roles"]), (&json!([]), &json!([])));
    assert_eq!(status["waiting"][0]["why"].as_str().map(|why| why.ends_with("must sign")), Some(true), "{status}");
    let done = b.json(&["repo", "publish"]);
    assert_eq!((&done["images"], &done["waiting"]), (&json!(["dir/image"]), &json!([])));
    assert_eq!(done["published"].as_array().unwrap().len(), 4);
    assert_eq!(b.json(&["repo", "verify"]), json!({"wrong": []}));
    let status = b.json(&["repo", "status"]);
    let roles: Vec<_> = status["roles"].as_array().unwrap().iter().map(|role| role["role"].clone()).collect();
    assert_eq!(roles, ["root", "timestamp", "snapshot", "targets"]);
    assert!(b.ok(&["repo", "status"]).contains("published targets version 1 until "));
    assert_eq!(b.ok(&["repo", "publish"]), "nothing is new\n");
    let seen = b.json(&["inspect", "repository/metadata/1.targets.json"]);
    assert_eq!(seen["kind"], "targets of a repository");
    assert!(seen["says"][1].as_str().unwrap().starts_with("+ target dir/image: 6 octets"), "{seen}");
    for (file, kind) in [("1.root", "root"), ("timestamp", "timestamp"), ("1.snapshot", "snapshot")] {
        let said = b.ok(&["inspect", &format!("repository/metadata/{file}.json")]);
        assert!(said.starts_with(&format!("{kind}: version 1 until ")), "{said}");
    }
    assert_eq!(b.json(&["repo", "remove", "dir/image"])["roles"], json!(["targets"]));
    assert!(b.ok(&["repo", "publish"]).contains("published targets version 2\n"));
    // For a day and with three days' notice, the timestamp is renewed each time.
    assert!(b.ok(&["repo", "renew"]).contains("published timestamp version 3\n"));
    assert_eq!(b.json(&["repo", "prune", "--keep", "0"])["removed"].as_array().unwrap().len(), 3);
    b.json(&["repo", "verify"]);
}
#[test]
fn what_waits_is_said_and_has_a_status() {
    let b = Box_::empty("repo-waits");
    b.write("image", "octets");
    ["one.pem", "two.pem"].into_iter().for_each(|name| key(&b, name));
    foreign(&b.dir, "openssl", &["pkey", "-in", "two.pem", "-pubout", "-out", "two.pub"]);
    let words = ["--key", "targets=one.pem", "--key", "targets=two.pub", "--threshold", "targets=2"];
    b.ok(&[&["repo", "init"], words.as_slice()].concat());
    b.ok(&["repo", "add", "image"]);
    let said = b.fails(&["repo", "publish", "--key", "one.pem"], 8, "repository-waits");
    assert!(said.contains("targets: 1 more of the keys "), "{said}");
    let said: Value = b.json_of(&["repo", "publish"]);
    assert_eq!(said["waiting"][0]["signatures_missing"], 1, "{said}");
    // Signed where there is no repository.
    std::fs::create_dir(b.dir.join("elsewhere")).unwrap();
    std::fs::copy(b.dir.join("repository/staged/targets.json"), b.dir.join("elsewhere/targets.json")).unwrap();
    let sign = ["repo", "sign", "elsewhere/targets.json", "--key", "two.pem"];
    b.fails(&sign, 2, "not-confirmed");
    let signed = b.json(&[sign.as_slice(), &["--yes"]].concat());
    assert!(signed["says"][1].as_str().unwrap().starts_with("+ target image: 6 octets"), "{signed}");
    let said = b.fails(&[sign.as_slice(), &["--yes"]].concat(), 1, "not-signed");
    assert!(said.contains("this key has signed it already"), "{said}");
    b.ok(&["repo", "publish", "elsewhere/targets.json"]);
    b.json(&["repo", "verify"]);
}
#[test]
fn keys_under_a_passphrase() {
    let b = Box_::empty("repo-passphrase");
    b.write("image", "octets");
    b.write("phrase", "a passphrase");
    b.write("wrong", "another");
    let with = |phrase: &'static str, words: &[&'static str]| [&["--passphrase-file", phrase, "repo"], words].concat();
    b.ok(&with("phrase", &["init"]));
    b.ok(&["repo", "add", "image"]);
    assert!(text(&b.read("repository/keys/root.p8")).starts_with("-----BEGIN ENCRYPTED PRIVATE KEY"));
    b.fails(&with("wrong", &["publish"]), 1, "key");
    b.fails(&["repo", "publish"], 4, "passphrase");
    b.ok(&with("phrase", &["publish"]));
    b.json(&["repo", "verify"]);
}
#[test]
fn a_key_in_a_token_signs_when_it_is_there() {
    let b = Box_::empty("repo-token");
    b.write("image", "octets");
    let dir = b.dir.display().to_string();
    std::fs::create_dir_all(b.dir.join("tokens")).unwrap();
    b.write("softhsm2.conf", format!("directories.tokendir = {dir}/tokens\nlog.level = ERROR\n"));
    b.write("pin", "1234");
    std::fs::set_permissions(b.dir.join("pin"), std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    let conf = format!("SOFTHSM2_CONF={dir}/softhsm2.conf");
    foreign(
        &b.dir,
        "openssl",
        &["genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-out", "k.pem"],
    );
    let tool = |words: &[&str]| foreign(&b.dir, "env", &[&[conf.as_str(), "softhsm2-util"], words].concat());
    tool(&["--init-token", "--free", "--label", "online", "--so-pin", "87654321", "--pin", "1234"]);
    tool(&["--import", "k.pem", "--token", "online", "--label", "timestamp", "--id", "01", "--pin", "1234"]);
    let uri = format!(
        "timestamp=pkcs11:token=online;object=timestamp?module-path=/usr/lib/softhsm/libsofthsm2.so&pin-source=file:{dir}/pin"
    );
    let run =
        |words: &[&str], conf: &str| b.command(words).env("SOFTHSM2_CONF", format!("{dir}/{conf}")).output().unwrap();
    let init = run(&["repo", "init", "--key", &uri], "softhsm2.conf");
    assert!(init.status.success(), "{}", text(&init.stderr));
    b.ok(&["repo", "add", "image"]);
    b.write("none.conf", format!("directories.tokendir = {dir}/nowhere\nlog.level = ERROR\n"));
    let away = run(&["repo", "publish"], "none.conf");
    assert_eq!(away.status.code(), Some(8), "{}", text(&away.stderr));
    assert!(text(&away.stderr).contains("timestamp-0.uri: this key does not sign now"), "{}", text(&away.stderr));
    let there = run(&["repo", "publish"], "softhsm2.conf");
    assert!(there.status.success(), "{}", text(&there.stderr));
    b.json(&["repo", "verify"]);
}
#[test]
fn what_a_crash_left_is_said() {
    let b = published("repo-left");
    let file = |name: &str| b.dir.join("repository/metadata").join(name);
    std::fs::copy(file("1.snapshot.json"), file("2.snapshot.json")).unwrap();
    std::fs::write(file(".new-timestamp.json"), b"half").unwrap();
    let output = b.run(&["repo", "status"]);
    let said = text(&output.stderr);
    assert!(output.status.success() && said.matches("repaired: ").count() == 2, "{said}");
    assert!(!file("2.snapshot.json").exists() && !file(".new-timestamp.json").exists());
    assert!(!text(&b.run(&["repo", "status"]).stderr).contains("repaired"));
}
#[test]
fn what_cannot_be_done_says_why() {
    let b = published("repo-bad");
    b.fails(&["repo", "--repository", "nowhere", "status"], 5, "no-repository");
    assert!(!b.dir.join("nowhere").exists());
    b.fails(&["repo", "init"], 6, "exists");
    b.fails(&["repo", "add", "nothing"], 5, "file");
    b.fails(&["repo", "add", "image", "--name", "../image"], 2, "repository");
    b.fails(&["repo", "add", "image", "--role", "nobody"], 5, "repository");
    b.fails(&["repo", "add", "image", "--custom", "1.5"], 2, "usage");
    b.fails(&["repo", "remove", "nothing"], 5, "repository");
    b.fails(&["repo", "delegate", "a/b", "--path", "*"], 2, "repository");
    assert!(!b.dir.join("repository/keys/a").exists(), "no key is made for a role that cannot be");
    b.fails(&["repo", "delegate", "../../b", "--path", "*"], 2, "repository");
    b.fails(&["repo", "bins", "1", "--prefix", "../../b"], 2, "repository");
    assert!(!b.dir.join("b.pem").exists(), "no key is made elsewhere");
    b.fails(&["repo", "delegate", "supplier", "--path", "*", "--signer", "image"], 1, "key");
    b.fails(&["repo", "rotate", "root", "--threshold", "2"], 2, "repository");
    b.fails(&["repo", "sign", "image", "--key", "image"], 1, "repository");
    b.fails(&["repo", "publish", "image"], 5, "repository");
    b.fails(&["repo", "init", "--repository", "other", "--threshold", "root=2"], 2, "repository");
    b.fails(&["repo", "bins", "13"], 1, "repository");
    b.fails(&["repo", "init", "--repository", "other", "--key-type", "p521"], 2, "usage");
    let image = std::fs::read_dir(b.dir.join("repository/targets")).unwrap().next().unwrap().unwrap().path();
    std::fs::write(image, b"0ctets").unwrap();
    let said = b.fails(&["repo", "verify"], 1, "repository-wrong");
    assert!(said.contains("the target is not the one that was announced"), "{said}");
}
#[test]
fn a_supplier_and_bins() {
    let b = published("repo-roles");
    b.ok(&["repo", "delegate", "supplier", "--path", "supplier/*", "--terminating"]);
    b.ok(&["repo", "add", "image", "--name", "supplier/image", "--role", "supplier"]);
    assert!(b.ok(&["repo", "publish"]).contains("published supplier version 1\n"));
    let said = b.fails(&["repo", "bins", "4"], 2, "repository");
    assert!(said.contains("left to other roles already"), "{said}");
    b.ok(&["repo", "delegate", "supplier", "--withdraw"]);
    assert_eq!(b.json(&["repo", "bins", "4", "--succinct"])["bins"], 16);
    assert_eq!(b.json(&["repo", "publish"])["published"].as_array().unwrap().len(), 16 + 3);
    assert_eq!(b.json(&["repo", "verify"]), json!({"wrong": []}));
}

#[test]
fn from_a_makers_build_to_a_board() {
    let b = Box_::new("repo-line");
    b.write("app.bin", vec![1_u8; 100_000]);
    b.json(&["repo", "init"]);
    b.ok(&["repo", "add", "app.bin", "--for", "sensor", "--counter", "1", "--version", "1.0"]);
    b.ok(&["repo", "publish"]);
    b.device_type("sensor", "");
    b.write("devices.csv", "serial,type\nSN000001,sensor\nSN000002,sensor\n");
    b.ok(&["list", "import", "devices.csv"]);
    b.ok(&["release", "follow", "--images", "repository/metadata/1.root.json"]);
    b.ok(&["mode", "set", "software-import"]);
    b.ok(&["release", "import", "repository"]);
    assert_eq!(b.json(&["release", "list"])[0]["release"], json!("app.bin 1.0"));
    b.ok(&["mode", "set", "provision"]);
    assert_eq!(b.count("sensor")["provisioned"], 2);
}
#[test]
fn what_is_said_of_an_image_is_said_once() {
    let b = begun("repo-about", &[]);
    let about = |custom: &str| {
        b.fails(&["repo", "add", "image", "--for", "sensor", "--counter", "1", "--custom", custom], 2, "usage")
    };
    assert!(about(r#"{"release_counter":2}"#).contains("release_counter has an option of its own"));
    assert!(about("[]").contains("--custom cannot be said"));
    for half in [["--for", "sensor"], ["--counter", "1"]] {
        assert_eq!(b.run(&[&["repo", "add", "image"], &half[..]].concat()).status.code(), Some(2));
    }
    b.ok(&[
        "repo",
        "add",
        "image",
        "--for",
        "sensor",
        "--for",
        "gateway",
        "--counter",
        "3",
        "--custom",
        r#"{"own":[1]}"#,
    ]);
    b.ok(&["repo", "publish"]);
    let file: Value =
        serde_json::from_slice(&std::fs::read(b.dir.join("repository/metadata/1.targets.json")).unwrap()).unwrap();
    let custom = json!({"own": [1], "release_counter": 3, "hardware_ids": ["sensor", "gateway"]});
    assert_eq!(file["signed"]["targets"]["image"]["custom"], custom);
}
