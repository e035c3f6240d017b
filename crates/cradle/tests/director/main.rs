//! A director in a process of its own, and a device that follows it over TLS.
#![allow(
    missing_docs,
    unreachable_pub,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "what cannot go on here has failed"
)]

#[path = "../common/mod.rs"]
mod common;
#[path = "../matrix/directions.rs"]
#[allow(dead_code, reason = "the page is made elsewhere")]
mod directions;
mod house;
mod matrix;
#[path = "../matrix/table.rs"]
#[allow(dead_code, reason = "only who asks is of use here")]
mod table;

use common::{foreign, text};
use house::{DEVICE, House, IMAGE, OTHER, Served, ddi, list_revoked, revoke, said};
use x509::sha256;

#[test]
fn a_device_gets_what_was_assigned_to_it_and_reports_it() {
    let house = House::new("director-whole");
    let served = house.serve();
    let (status, said) = house.follow(&served, "device", "download");
    assert_eq!((status, said.trim()), (0, "[]"), "it got something before anything was assigned");
    house.ok(&["take", "os.img", "newer.img", "--images", "images"]);
    house.ok(&["assign", "os.img", "--component", "modem", "--device", DEVICE]);
    let (status, said) = house.follow(&served, "device", "download");
    assert_eq!(status, 0, "{said}");
    let said: serde_json::Value = serde_json::from_str(&said).unwrap();
    assert_eq!((&said[0]["target"], &said[0]["release_counter"]), (&"os.img".into(), &2.into()));
    assert_eq!(house.b.read(said[0]["file"].as_str().unwrap()), IMAGE);

    house.report(&served, "os.img", 2);
    let (said, status) = house.send(&served);
    assert!(status == "422" && said.contains("nonce"), "a manifest was taken twice: {status} {said}");
    assert_eq!(house.json(&["who-has", "os.img"])[0]["device"], DEVICE);
    let recalled = house.json(&["recall", "os.img"]);
    assert_eq!((&recalled[0]["device"], &recalled[0]["release_counter"]), (&DEVICE.into(), &2.into()));
    let (status, said) = house.follow(&served, "device", "refresh");
    assert_eq!((status, said.trim()), (0, "[]"));

    house.ok(&["assign", "newer.img", "--component", "modem", "--type", "gateway"]);
    let (_, said) = house.follow(&served, "device", "refresh");
    assert!(said.contains("newer.img"), "{said}");
    let said = house.json(&["status"]);
    let counts =
        ["devices", "reported", "manifests", "missing_manifests", "images"].map(|key| said[key].as_u64().unwrap());
    assert_eq!(counts, [1, 1, 1, 0, 2]);
    assert!(house.ok(&["device", "show", DEVICE]).contains("modem: modem.a, assigned: os.img"));
}
#[test]
fn a_device_is_who_its_certificate_says() {
    let house = House::new("director-who");
    let served = house.serve();
    let own = format!("director/{DEVICE}/metadata/timestamp.json");
    let check = |as_: &str, path: &str, expected: &str| {
        let (said, status) = house.curl(&served, as_, path, &[]);
        assert_eq!(status, expected, "{as_} {path}: {said}");
    };
    check("device", &own, "200");
    check("device", &own.replace('%', "%25"), "200");
    check("device", "images/metadata/timestamp.json", "200");
    // Nobody; somebody else, for the device and for itself, whom nobody has registered; a server.
    check("", &own, "000");
    check("", "images/metadata/timestamp.json", "000");
    check("server", &own, "000");
    check("other", &own, "403");
    // Whoever is no device may have what there is, and no directions.
    check("module", "images/metadata/timestamp.json", "200");
    check("module", &own, "403");
    check("other", &format!("director/{OTHER}/metadata/timestamp.json"), "403");
    check("device", &format!("director/{OTHER}/metadata/timestamp.json"), "403");
    // What is not there.
    check("device", &format!("director/{DEVICE}/metadata/1.targets.json"), "404");
    check("device", &format!("director/{DEVICE}/other"), "404");
    check("device", "images/metadata/../../pass", "404");
    check("device", "images/metadata", "404");
    check("device", "images/pass", "404");
    check("device", "", "404");
    let (status, said) = house.follow(&served, "other", "refresh");
    assert!(status == 1 && said.contains("tuf-"), "{said}");
}
#[test]
fn images_come_in_parts_and_manifests_are_not_endless() {
    let house = House::new("director-parts");
    let served = house.serve();
    let target = format!("images/targets/{}.os.img", sha256(IMAGE));
    let (said, status) = house.curl(&served, "device", &target, &["-r", "5-8"]);
    assert_eq!((said.as_bytes(), status.as_str()), (&IMAGE[5..9], "206"));
    house.b.write("manifest", vec![b' '; 600_000]);
    assert_eq!(house.send(&served).1, "413");
    house.b.write("manifest", "{}");
    let (said, status) = house.send(&served);
    assert!(status == "422" && said.contains("not sealed"), "{status} {said}");
}
#[test]
fn what_was_sealed_to_the_key_before_is_taken_and_to_older_ones_not() {
    let house = House::new("director-manifest-keys");
    let (first, none) = house.sealing_keys(&[]);
    assert_eq!((house.sealing_keys(&[]), none), ((first, None), None));
    let (second, before) = house.sealing_keys(&["--renew"]);
    assert_eq!(before, Some(first));
    let served = house.serve();
    let send = |served: &Served, key| {
        house.manifest(key, &house.nonce(served), "os.img", 2);
        house.send(served)
    };
    assert_eq!((send(&served, first).1, send(&served, second).1), ("200".into(), "200".into()));
    drop(served);
    let (third, before) = house.sealing_keys(&["--renew"]);
    assert_eq!(before, Some(second));
    let served = house.serve();
    let (said, status) = send(&served, first);
    assert!(status == "422" && said.contains("a key that the director does not have"), "{status} {said}");
    assert_eq!((send(&served, second).1, send(&served, third).1), ("200".into(), "200".into()));
}
#[test]
fn a_roll_out_goes_on_when_its_canary_has_reported() {
    let house = House::new("director-rollout");
    house.ok(&["take", "os.img", "--images", "images"]);
    let plan = "name = \"spring\"\nimage = \"os.img\"\ncomponent = \"modem\"\ndevice_type = \"gateway\"\n\
        success_percent = 95\nfailure_percent = 5\n\
        [[stages]]\naudience = { group = \"canary\" }\nanswers = 1\n[[stages]]\naudience = { percent = 100 }\nanswers = 10\n";
    house.b.write("plan.toml", plan);
    let row = |words: &[&str]| {
        let rows = house.json(&[&["rollout"], words].concat());
        ["state", "stage", "installed"].map(|key| rows[0][key].to_string())
    };
    assert_eq!(row(&["start", "plan.toml"]), ["\"running\"", "1", "0"]);
    let served = house.serve();
    assert!(house.follow(&served, "device", "refresh").1.contains("os.img"));
    house.report(&served, "os.img", 2);
    assert_eq!(row(&["list"]), ["\"running\"", "2", "1"]);
    assert_eq!(row(&["pause", "spring"]), ["\"paused\"", "2", "1"]);
    house.refused(&["rollout", "pause", "spring"], 7, "it is paused");
    assert_eq!(row(&["resume", "spring"]), ["\"running\"", "2", "1"]);
    assert!(house.ok(&["status"]).contains("roll-out spring of os.img: running, stage 2 of 2, 1 installed, 0 failed"));
    house.b.write("plan.toml", plan.replace("answers = 10", "answers = 0").replace("spring", "autumn"));
    house.refused(&["rollout", "start", "plan.toml"], 7, "answers must be 1 at least");
    house.b.write("plan.toml", plan.replace("answers", "replies"));
    house.refused(&["rollout", "start", "plan.toml"], 2, "replies");
}
#[test]
fn what_cannot_be_is_refused_with_its_reason() {
    let house = House::new("director-refused");
    let init =
        ["init", "--root-keys", "root-keys", "--images-root", "images/metadata/1.root.json", "--root", "root.json"];
    house.refused(&init, 7, "it has been begun already");
    house.refused(&["take", "nothing.img", "--images", "images"], 1, "tuf-no-target");
    house.refused(&["take", "plain.img", "--images", "images"], 7, "custom");
    house.refused(
        &["assign", "os.img", "--component", "modem", "--device", DEVICE],
        5,
        "take it from the image repository",
    );
    house.refused(&["assign", "os.img", "--component", "modem"], 2, "--device");
    house.refused(&["root", "root.json"], 7, "the next one is 2");
    house.refused(&["device", "show", OTHER], 5, "no such device");
    house.b.write("device.toml", "device = \"SN1\"\n");
    house.refused(&["device", "add", "device.toml"], 2, "urn:dev:ops:");
    let output = house.b.run(&["director", "--data", "nowhere", "--passphrase-file", "pass", "status"]);
    assert!(text(&output.stderr).contains("cradle director init"), "{}", text(&output.stderr));
    house.b.write("pass", "another one");
    house.refused(&["status"], 7, "passphrase is wrong");
}
#[test]
fn a_key_that_others_can_read_is_not_used() {
    let house = House::new("director-key");
    foreign(&house.b.dir, "chmod", &["644", "server.key"]);
    let words = [
        "serve",
        "--listen",
        "127.0.0.1:0",
        "--tls-certificate",
        "server.pem",
        "--tls-key",
        "server.key",
        "--device-anchors",
        "ca.pem",
    ];
    house.refused(&words, 1, "can be read by others");
}
#[test]
fn a_device_that_is_revoked_is_let_in_no_more() {
    let house = House::new("director-revoked");
    let served = house.serve_with(&["--device-crl", "ca.crl", "--crl-every", "1"]);
    let own = format!("director/{DEVICE}/metadata/timestamp.json");
    let answered = || house.curl(&served, "device", &own, &[]).1;
    assert_eq!(answered(), "200");
    revoke(&house.b.dir, "device");
    // A list that cannot be used changes nothing: it lets in whom the last one lets in, and nobody else.
    house.b.write("ca.crl", "no list");
    assert_eq!(answered(), "200");
    list_revoked(&house.b.dir);
    assert!((0..2000).any(|_| answered() == "000"), "it is let in still");
    assert_eq!(house.curl(&served, "other", "images/metadata/timestamp.json", &[]).1, "200");
}
#[test]
fn it_ends_when_it_is_told_to() {
    let house = House::new("director-ends");
    let mut served = house.serve();
    foreign(&house.b.dir, "kill", &["-TERM", &served.0.id().to_string()]);
    assert!(served.0.wait().unwrap().success());
    // What was begun is opened again.
    let served = house.serve();
    assert_eq!(house.follow(&served, "device", "refresh").0, 0);
}

#[test]
fn a_client_of_hawkbit_is_given_what_was_assigned_and_says_that_it_has_it() {
    let house = House::with_ddi("director-ddi", "os.img");
    let served = house.serve_with(&["--ddi-poll", "3661"]);
    let root = house.asks(&served, &ddi(""));
    assert_eq!(root["config"]["polling"]["sleep"], "01:01:01");
    house.tells(&served, "PUT", &house.link(&served, &root, "configData"), "{\"data\":{\"hw\":\"2\"}}", "200");
    let path = house.link(&served, &root, "deploymentBase");
    let action = house.asks(&served, &path);
    assert_eq!(action["id"].as_str().unwrap(), path.rsplit('/').next().unwrap());
    let chunk = &action["deployment"]["chunks"][0];
    assert_eq!(["part", "name", "version"].map(|key| chunk[key].as_str().unwrap()), ["modem", "os.img", "2"]);
    let artifact = &chunk["artifacts"][0];
    assert_eq!((&artifact["filename"], &artifact["size"]), (&"os.img".into(), &IMAGE.len().into()));
    assert_eq!(artifact["hashes"]["sha256"], sha256(IMAGE).to_string());
    house.b.write("image", IMAGE);
    let sha1 = foreign(&house.b.dir, "sha1sum", &["image"]);
    assert_eq!(artifact["hashes"]["sha1"], sha1.split(' ').next().unwrap());
    let image = house.link(&served, artifact, "download");
    assert_eq!(house.curl(&served, "device", &image, &["-r", "5-8"]), ("a mo".into(), "206".into()));
    let (body, status) = house.curl(&served, "device", &image, &[]);
    assert_eq!((body.as_bytes(), status.as_str()), (IMAGE, "200"));

    let feedback = format!("{path}/feedback");
    house.tells(&served, "POST", &feedback, &said("proceeding", "none"), "200");
    assert_eq!(house.json(&["status"])["ddi_devices"], 0);
    house.tells(&served, "POST", &feedback, &said("closed", "success"), "200");
    house.tells(&served, "POST", &feedback, &said("closed", "success"), "200");
    house.tells(&served, "POST", &feedback, &said("closed", "failure"), "410");
    house.tells(&served, "POST", &feedback, &said("proceeding", "none"), "410");
    let root = house.asks(&served, &ddi(""));
    assert!(root["_links"]["deploymentBase"].is_null() && root["_links"]["configData"].is_null(), "{root}");
    assert_eq!(house.asks(&served, &house.link(&served, &root, "installedBase")), action);
    let holder = &house.json(&["who-has", "os.img"])[0];
    assert_eq!((&holder["device"], &holder["by"]), (&DEVICE.into(), &"ddi".into()));
    let shown = house.json(&["device", "show", DEVICE]);
    assert_eq!(shown["ddi"]["attributes"]["hw"], "2");
    assert_eq!(shown["ddi"]["installed"]["modem"]["image"], "os.img");
    assert!(house.ok(&["device", "show", DEVICE]).contains("says, unsigned, that modem has os.img\n"));
    assert!(
        house.ok(&["status"]).contains("over DDI: types gateway; 1 devices said something, nothing of it signed\n")
    );
}
#[test]
fn a_failure_over_ddi_halts_a_roll_out_and_says_why() {
    let house = House::new("director-ddi-halt");
    assert!(house.ok(&["type", "gateway", "--over", "ddi"]).contains("not signed"));
    house.ok(&["take", "os.img", "--images", "images"]);
    let plan = "name = \"spring\"\nimage = \"os.img\"\ncomponent = \"modem\"\ndevice_type = \"gateway\"\n\
        success_percent = 95\nfailure_percent = 5\n[[stages]]\naudience = { percent = 100 }\nanswers = 10\n";
    house.b.write("plan.toml", plan);
    house.ok(&["rollout", "start", "plan.toml"]);
    let served = house.serve();
    let path = house.link(&served, &house.asks(&served, &ddi("")), "deploymentBase");
    house.asks(&served, &path);
    house.tells(&served, "POST", &format!("{path}/feedback"), &said("closed", "failure"), "200");
    let status = house.ok(&["status"]);
    let line = "halted, stage 1 of 1, 0 installed, 1 failed, of which 1 were only said over DDI, unsigned\n";
    assert!(status.contains(line), "{status}");
    assert_eq!(house.json(&["rollout", "list"])[0]["unsigned"], 1);
    let shown = house.ok(&["device", "show", DEVICE]);
    let said = "says, unsigned, that modem could not install os.img:\n    ERROR: \\u{1b}[31mno room\n";
    assert!(shown.contains(said), "{shown}");
    assert!(house.asks(&served, &ddi(""))["_links"]["deploymentBase"].is_null());
}
#[test]
fn what_was_recalled_is_taken_back_over_ddi() {
    let house = House::with_ddi("director-ddi-recall", "os.img");
    let served = house.serve();
    let path = house.link(&served, &house.asks(&served, &ddi("")), "deploymentBase");
    let action = house.asks(&served, &path);
    let image = house.link(&served, &action["deployment"]["chunks"][0]["artifacts"][0], "download");
    house.ok(&["recall", "os.img"]);
    assert_eq!(house.curl(&served, "device", &image, &[]).1, "404");
    let root = house.asks(&served, &ddi(""));
    assert!(root["_links"]["deploymentBase"].is_null());
    let cancel = house.link(&served, &root, "cancelAction");
    let told = house.asks(&served, &cancel);
    assert_eq!((&told["id"], &told["cancelAction"]["stopId"]), (&action["id"], &action["id"]));
    assert_eq!(house.curl(&served, "device", &path, &[]).1, "404");
    house.tells(&served, "POST", &format!("{cancel}/feedback"), &said("closed", "success"), "200");
    assert!(house.asks(&served, &ddi(""))["_links"]["cancelAction"].is_null());
    assert_eq!(house.curl(&served, "device", &cancel, &[]).1, "404");
}
#[test]
fn over_ddi_a_device_is_who_its_certificate_says_and_learns_of_nobody_else() {
    let house = House::with_ddi("director-ddi-who", "os.img");
    let served = house.serve();
    let root = house.asks(&served, &ddi(""));
    let action = house.asks(&served, &house.link(&served, &root, "deploymentBase"));
    let number = action["id"].as_str().unwrap();
    let others = |rest: &str| format!("default/controller/v1/{OTHER}{rest}");
    let check = |as_: &str, path: &str, more: &[&str], expected: &str| {
        let (said, status) = house.curl(&served, as_, path, more);
        assert_eq!(status, expected, "{as_} {path} {more:?}: {said}");
        said
    };
    // Its own name in whatever way it is written, and its tenant in small letters or capitals.
    check("device", &ddi("").replace("default", "DEFAULT"), &[], "200");
    check("device", &ddi("").replace('%', "%25").replace(':', "%3A"), &[], "200");
    // Nobody; a server; others for it; it for others, who may be there or not.
    check("", &ddi(""), &[], "000");
    check("server", &ddi(""), &[], "000");
    check("module", &ddi(""), &[], "404");
    check("other", &ddi(""), &[], "404");
    let unknown = check("other", &ddi(&format!("/deploymentBase/{number}")), &[], "404");
    assert_eq!(check("device", &others(""), &[], "404"), unknown, "it says who is there");
    check("device", &others("x"), &[], "404");
    // Nobody has registered it; then it is, and the action is another's.
    check("other", &others(""), &[], "403");
    house.b.write("device.toml", text(&house.b.read("device.toml")).replace(DEVICE, OTHER));
    house.ok(&["device", "add", "device.toml"]);
    check("other", &others(""), &[], "200");
    check("other", &others(&format!("/deploymentBase/{number}")), &[], "404");
    check("other", &others(&format!("/artifacts/{}", sha256(IMAGE))), &[], "404");
    // What is not there, and how it is not asked for.
    check("device", &ddi("").replace("default", "other"), &[], "404");
    for rest in ["/", "/x", "/deploymentBase", "/deploymentBase/0", "/deploymentBase/+1", "/deploymentBase/99999999999"]
    {
        check("device", &ddi(rest), &[], "404");
    }
    for rest in ["/confirmationBase", "/installedBase/1", "/cancelAction/1", "/artifacts/../../pass", "/artifacts/x"] {
        check("device", &ddi(rest), &[], "404");
    }
    check("device", &ddi(&format!("/deploymentBase/0{number}")), &[], "404");
    check("device", &ddi(&format!("/deploymentBase/{number}/feedback/x")), &[], "404");
    check("device", &ddi("/configData"), &[], "405");
    check("device", &ddi(&format!("/deploymentBase/{number}/feedback")), &[], "405");
    check("device", &ddi(""), &["-X", "DELETE"], "405");
    for host in ["a b", "a/b", "a\"b", "a@b", &"a".repeat(261)] {
        check("device", &ddi(""), &["-H", &format!("host: {host}")], "400");
    }
}
#[test]
fn what_is_said_over_ddi_is_bounded_and_must_be_what_it_is() {
    let house = House::with_ddi("director-ddi-said", "os.img");
    let served = house.serve();
    let path = house.link(&served, &house.asks(&served, &ddi("")), "deploymentBase");
    house.asks(&served, &path);
    let (feedback, config) = (format!("{path}/feedback"), ddi("/configData"));
    let padded = |text: &str, len: usize| format!("{text}{}", " ".repeat(len - text.len()));
    let going = said("proceeding", "none");
    house.tells(&served, "POST", &feedback, &padded(&going, 128 * 1024), "200");
    house.tells(&served, "POST", &feedback, &padded(&going, 128 * 1024 + 1), "413");
    house.tells(&served, "PUT", &config, &padded("{\"data\":{}}", 64 * 1024), "200");
    house.tells(&served, "PUT", &config, &padded("{\"data\":{}}", 64 * 1024 + 1), "413");
    house.tells(&served, "GET", &ddi(""), "x", "413");
    house.tells(&served, "POST", &ddi("/other/feedback"), "x", "413");
    assert!(house.tells(&served, "POST", &feedback, "{}", "400").contains("status.execution"));
    assert!(house.tells(&served, "POST", &feedback, &said("closed", "none"), "400").contains("success or failure"));
    assert!(house.tells(&served, "PUT", &config, "{\"data\":{\"a\":\"\\u202e\"}}", "400").contains("cannot be seen"));
    house.tells(&served, "POST", &ddi("/deploymentBase/1/feedback"), &said("closed", "success"), "404");
    house.tells(&served, "POST", &ddi("/cancelAction/1/feedback"), &said("closed", "success"), "404");
    assert_eq!(house.json(&["device", "show", DEVICE])["ddi"]["installed"], serde_json::json!({}));
    assert_eq!(house.json(&["who-has", "os.img"])[0]["by"], "begun");
}
#[test]
fn over_ddi_nothing_is_served_that_is_not_said_to_be() {
    let house = House::with_ddi("director-ddi-off", "os.img");
    let served = house.serve();
    let path = house.link(&served, &house.asks(&served, &ddi("")), "deploymentBase");
    // Nobody serves images; a file that somebody has altered. Nobody has begun with anything then.
    let alone = house.serve_alone(&[]);
    assert_eq!(house.curl(&alone, "device", &path, &[]).1, "503");
    let file = format!("images/targets/{}.os.img", sha256(IMAGE));
    house.b.write(&file, "what a modem should not run");
    assert_eq!(house.curl(&served, "device", &path, &[]).1, "503");
    assert_eq!(house.json(&["who-has", "os.img"]), serde_json::json!([]));
    house.b.write(&file, IMAGE);
    assert_eq!(house.curl(&served, "device", &path, &[]).1, "200");
    house.ok(&["type", "gateway", "--over", "uptane"]);
    let (said, status) = house.curl(&served, "device", &ddi(""), &[]);
    assert!(status == "404" && said.contains("not served over DDI"), "{status} {said}");
    house.tells(&served, "POST", &format!("{path}/feedback"), &self::said("closed", "success"), "404");
    house.tells(&served, "PUT", &ddi("/configData"), "{\"data\":{\"a\":\"b\"}}", "404");
    assert_eq!(house.json(&["status"])["ddi_types"], serde_json::json!([]));
}
