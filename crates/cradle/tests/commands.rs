//! The command line: what it prints, what it refuses, and how it says so.
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

#[test]
fn the_demonstration_does_what_it_says_and_runs_again() {
    let b = Box_::empty("demo");
    for _ in 0..2 {
        let said = b.json(&["demo"]);
        assert_eq!((said["boards"].as_u64(), said["certified"].as_u64()), (Some(28), Some(24)));
        assert_eq!(said["refused"].to_string(), r#"{"not-on-list":1,"serial-taken":2,"wrong-type":1}"#);
        assert_eq!(said["tampered_image"], "image-mismatch");
        assert_eq!(said["older_release"], "release-rolled-back");
        assert_eq!(said["replayed_directions"], "rollback");
        assert_eq!(said["network"]["ocsp"], "revoked");
        assert_ne!(said["network"]["enrolled"], said["network"]["renewed"]);
        let targets = std::fs::read_dir(b.dir.join("cradle-demo/repository/targets")).unwrap();
        let mut targets = targets.map(|entry| entry.unwrap().path());
        let newer = targets.find(|path| path.to_str().unwrap().ends_with("demo-os-1.5.0.bin")).unwrap();
        assert!(b.read("cradle-demo/field/SN2000001/slot") == std::fs::read(newer).unwrap(), "it is not installed");
        let revoked = said["revoked"].as_str().unwrap().to_uppercase();
        let certificates: Vec<_> = std::fs::read_dir(b.dir.join("cradle-demo/certificates")).unwrap().collect();
        // Those of the devices, and that of the responder.
        assert_eq!(certificates.len(), 24 + 1);
        for entry in certificates {
            let path = entry.unwrap().path().display().to_string();
            foreign(&b.dir, "openssl", &["verify", "-CAfile", "cradle-demo/chain.pem", &path]);
        }
        let crl = foreign(
            &b.dir,
            "openssl",
            &["crl", "-in", "cradle-demo/factory.crl", "-noout", "-text", "-CAfile", "cradle-demo/chain.pem"],
        );
        assert!(crl.contains(&revoked) && crl.contains("Key Compromise"), "{crl}");
    }
    let human = b.ok(&["demo"]);
    assert!(human.contains("24 of 28 boards certified") && human.contains("Next:"), "{human}");
}

#[test]
fn the_demonstration_does_the_same_in_processes_of_their_own() {
    let b = Box_::empty("demo-apart");
    let said = b.ok(&["demo", "--apart"]);
    for line in [
        "apart: cradle up ",
        " network ",
        "SN2000002 enrols over EST with the factory's certificate, and renews",
        "a stranger asks over OCSP after the stolen one: revoked",
        "24 of 28 boards certified",
    ] {
        assert!(said.contains(line), "{line}: {said}");
    }
}

#[test]
fn the_demonstration_removes_only_its_own() {
    let b = Box_::empty("demo-own");
    std::fs::create_dir(b.dir.join("precious")).unwrap();
    b.write("precious/file", "x");
    b.fails(&["demo", "--dir", "precious"], 6, "exists");
    assert_eq!(b.read("precious/file"), b"x");
}

#[test]
fn without_an_installation_each_command_says_so() {
    let b = Box_::empty("no-data");
    for command in ["ca list", "cert list", "mode show", "audit verify", "verify", "device list", "crl show factory"] {
        let arguments: Vec<_> = command.split(' ').collect();
        let said = b.fails(&arguments, 5, "no-data");
        assert!(said.contains("cradle init"), "{said}");
    }
    for command in ["mode set sealed", "ca create x --profile root", "crl issue factory", "station run sensor"] {
        let arguments: Vec<_> = command.split(' ').collect();
        b.fails(&arguments, 5, "no-data");
    }
    b.fails(&["init", "--yes", "--organization", " "], 2, "organization");
    assert!(!b.data().exists(), "what was refused left nothing");
}

#[test]
fn an_installation_is_made_once() {
    let b = Box_::new("init-once");
    let before = b.ok(&["cert", "list", "-o", "json"]);
    b.fails(&["init", "--yes"], 6, "exists");
    assert_eq!(b.ok(&["cert", "list", "-o", "json"]), before);
    for name in ["keys/root.p8", "secrets/passphrase", "cradle.toml"] {
        let mode = std::fs::metadata(b.data().join(name)).unwrap().permissions().mode();
        assert_eq!(mode & 0o077, 0, "{name}");
    }
}

#[test]
fn a_passphrase_of_ones_own() {
    let b = Box_::empty("passphrase");
    b.write("secret", "correct horse\n");
    b.write("wrong", "battery staple\n");
    b.ok(&["init", "--yes", "--passphrase-file", "secret"]);
    assert!(!b.data().join("secrets").exists(), "a passphrase that was given is not kept");
    b.ok(&["mode", "set", "ceremony", "--passphrase-file", "secret"]);
    b.fails(&["mode", "set", "sealed", "--passphrase-file", "wrong"], 4, "key");
    b.fails(&["mode", "set", "sealed"], 4, "passphrase");
    let key = foreign(&b.dir, "openssl", &["pkey", "-in", "data/keys/root.p8", "-passin", "file:secret", "-pubout"]);
    assert!(key.contains("BEGIN PUBLIC KEY"), "OpenSSL opens what we keep");
}

#[test]
fn authorities_are_made_in_a_ceremony() {
    let b = Box_::empty("ceremony");
    b.ok(&["init", "--yes", "--bare"]);
    b.fails(&["ca", "create", "root", "--profile", "root"], 3, "module-off");
    b.ok(&["mode", "set", "certificate-management"]);
    b.fails(&["ca", "create", "root", "--profile", "root"], 3, "wrong-mode");
    b.ok(&["mode", "set", "ceremony"]);
    b.ok(&["ca", "create", "root", "--profile", "root", "--key-type", "p384"]);
    b.ok(&["ca", "create", "factory", "--profile", "factory", "--issuer", "root", "--key-type", "ed25519"]);
    b.fails(&["ca", "create", "factory", "--profile", "factory", "--issuer", "root"], 6, "name-taken");
    b.fails(&["ca", "create", "other", "--profile", "factory", "--issuer", "factory"], 7, "issuer-not-allowed");
    b.fails(&["ca", "create", "other", "--profile", "factory"], 7, "issuer-not-allowed");
    b.fails(&["ca", "create", "other", "--profile", "idevid"], 5, "profile-unknown");
    b.fails(&["ca", "create", "other", "--profile", "root", "--key-type", "rsa1024"], 7, "key-type-not-allowed");
    b.write("chain.pem", b.ok(&["ca", "chain", "factory"]));
    foreign(&b.dir, "openssl", &["verify", "-CAfile", "chain.pem", "chain.pem"]);
    b.fails(&["ca", "chain", "nobody"], 5, "issuer-unknown");
    let names: Vec<_> = b.json(&["ca", "list"]).as_array().unwrap().iter().map(|r| r["name"].to_string()).collect();
    // The one that its issuer may not have is named as what it is: begun, and not made.
    assert_eq!(names, ["\"modules\"", "\"root\"", "\"factory\"", "\"other\""]);
    assert_eq!(b.json(&["ca", "list"])[3]["state"], "waits");
    b.sound();
}

#[test]
fn a_certificate_is_revoked_for_good() {
    let b = Box_::with_software("revoke");
    b.station("sensor");
    let serial = b.json(&["device", "show", "SN000001"])["certificate"].as_str().unwrap().to_owned();
    b.fails(&["cert", "revoke", &serial, "--yes"], 3, "module-off");
    b.ok(&["mode", "set", "certificate-management"]);
    b.fails(&["cert", "revoke", &serial], 2, "not-confirmed");
    b.fails(&["cert", "revoke", &serial, "--yes", "--reason", "spite"], 2, "reason");
    b.fails(&["cert", "revoke", "00ff", "--yes"], 5, "serial-unknown");
    b.fails(&["cert", "revoke", "xyz", "--yes"], 2, "serial");
    b.ok(&["cert", "revoke", &serial, "--dry-run"]);
    b.ok(&["cert", "revoke", &serial, "--yes", "--reason", "key-compromise"]);
    b.fails(&["cert", "revoke", &serial, "--yes"], 6, "already-revoked");
    b.ok(&["crl", "issue", "factory", "--to", "one.crl"]);
    b.ok(&["crl", "issue", "factory", "--to", "two.crl"]);
    b.write("chain.pem", b.ok(&["ca", "chain", "factory"]));
    let number = |file: &str| {
        let said = foreign(&b.dir, "openssl", &["crl", "-in", file, "-noout", "-crlnumber", "-CAfile", "chain.pem"]);
        said.trim().to_owned()
    };
    assert_ne!(number("one.crl"), number("two.crl"));
    b.ok(&["cert", "export", "--to", "certificates", "--authority", "factory"]);
    let mut verdicts = std::collections::BTreeMap::new();
    foreign(&b.dir, "sh", &["-c", "cat chain.pem two.crl > trust.pem"]);
    for entry in std::fs::read_dir(b.dir.join("certificates")).unwrap() {
        let path = entry.unwrap().path();
        let output = std::process::Command::new("openssl")
            .args(["verify", "-crl_check", "-CAfile", "trust.pem"])
            .arg(&path)
            .current_dir(&b.dir)
            .output()
            .unwrap();
        let name = path.file_stem().unwrap().to_string_lossy().into_owned();
        verdicts.insert(name, output.status.success() || !text(&output.stderr).contains("revoked"));
    }
    assert_eq!(verdicts.iter().filter(|(_, good)| !**good).map(|(name, _)| name).collect::<Vec<_>>(), [&serial]);
    b.sound();
}

#[test]
fn a_bad_list_changes_nothing_and_names_its_lines() {
    let b = Box_::new("bad-list");
    b.write("bad.csv", "serial,type\nSN1,sensor\nSN 2,sensor\nSN1,sensor\n");
    let said = b.fails(&["list", "import", "bad.csv"], 1, "list-invalid");
    assert!(said.contains("line 3: serial \"SN 2\"") && said.contains("line 4: serial SN1 stands in line 2"), "{said}");
    assert_eq!(b.json(&["device", "list"]).as_array().unwrap().len(), 0);
    b.write("good.json", r#"[{"serial":"SN1","type":"sensor"}]"#);
    b.ok(&["list", "import", "good.json"]);
    b.write("other.csv", "serial,type\nSN2,sensor\nSN1,gateway\n");
    let said = b.fails(&["list", "import", "other.csv"], 1, "list-invalid");
    assert!(said.contains("line 3"), "{said}");
    assert_eq!(b.json(&["device", "list"]).as_array().unwrap().len(), 1);
}

#[test]
fn every_list_speaks_json_lines_and_csv() {
    let b = Box_::with_software("formats");
    b.station("sensor");
    b.ok(&["mode", "set", "certificate-management"]);
    b.ok(&["station", "entitle", "sensor", "--quota", "9"]);
    for command in [
        "ca list",
        "profile list",
        "cert list",
        "device list",
        "mode table",
        "audit list",
        "release list",
        "list show",
        "station rights",
        "station types",
        "explain",
    ] {
        let arguments: Vec<_> = command.split(' ').collect();
        let rows = b.json(&arguments);
        let count = rows.as_array().unwrap().len();
        assert!(count > 0, "{command}");
        let lines = b.ok(&[&arguments[..], &["-o", "jsonl"]].concat());
        assert_eq!(lines.lines().count(), count, "{command}");
        lines.lines().for_each(|line| assert!(serde_json::from_str::<serde_json::Value>(line).is_ok(), "{line}"));
        let csv = b.ok(&[&arguments[..], &["-o", "csv"]].concat());
        assert!(csv.lines().count() > count, "{command}");
        let table = b.ok(&arguments);
        // People are shown the end of the log; programs get all of it.
        let shown = if command == "audit list" { 20 } else { count };
        assert!(table.lines().count() > shown, "{command}");
    }
    for command in [
        "mode show",
        "crl show factory",
        "device show SN000001",
        "audit checkpoint",
        "audit verify",
        "verify",
        "profile show idevid",
    ] {
        let arguments: Vec<_> = command.split(' ').collect();
        if command == "crl show factory" {
            b.fails(&arguments, 5, "no-crl");
            continue;
        }
        assert!(b.json(&arguments).is_object(), "{command}");
    }
    let error = b.run(&["device", "show", "SN9", "-o", "json"]);
    let error: serde_json::Value = serde_json::from_slice(&error.stderr).unwrap();
    assert_eq!(error["error"]["code"], "not-on-list");
}

#[test]
fn files_are_shown_for_what_they_are() {
    let b = Box_::with_software("inspect");
    b.station("sensor");
    b.write("root.pem", b.ok(&["ca", "chain", "root"]));
    foreign(
        &b.dir,
        "openssl",
        &[
            "req",
            "-new",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:P-256",
            "-nodes",
            "-keyout",
            "k",
            "-subj",
            "/CN=x",
            "-out",
            "csr.pem",
        ],
    );
    b.write("noise", [0x30, 0x82, 0xff]);
    let kind = |file: &str| b.json(&["inspect", file])["kind"].as_str().unwrap().to_owned();
    assert_eq!(kind("root.pem"), "certificate");
    assert_eq!(kind("csr.pem"), "PKCS #10 request");
    foreign(&b.dir, "openssl", &["req", "-in", "csr.pem", "-noout", "-pubkey", "-out", "key.pub"]);
    assert_eq!(kind("key.pub"), "public key");
    assert_eq!(kind("repository/metadata/1.root.json"), "root of a repository");
    b.write("two.pem", [b.read("csr.pem"), b.read("root.pem")].concat());
    let both = b.json(&["inspect", "two.pem"]);
    assert_eq!((&both[0]["kind"], &both[1]["kind"]), (&"PKCS #10 request".into(), &"certificate".into()));
    b.write("not-text", [b"\0".to_vec(), b.read("csr.pem")].concat());
    b.fails(&["inspect", "not-text"], 1, "malformed");
    let short = ["req", "-new", "-newkey", "rsa:1024", "-nodes", "-keyout", "k", "-subj", "/CN=x", "-out", "short.pem"];
    foreign(&b.dir, "openssl", &short);
    let said = b.ok(&["inspect", "short.pem"]);
    assert!(said.contains("WEAK: its size") && said.contains("not verified: the key is too weak"), "{said}");
    b.fails(&["inspect", "noise"], 1, "malformed");
    b.fails(&["inspect", "missing"], 5, "file");
}

#[test]
fn wrong_words_are_a_usage_error() {
    let b = Box_::new("usage");
    for arguments in [
        &["frobnicate"][..],
        &["mode", "set", "party"],
        &["cert", "list", "--key", "xyz"],
        &["list", "import", "x", "--days", "0"],
    ] {
        let status = b.run(arguments).status.code().unwrap();
        assert!([2, 5].contains(&status), "{arguments:?} gave {status}");
    }
    for format in [&["-o", "json"][..], &["--output=json"], &["-ojsonl"]] {
        let said = b.run(&[&["mode", "frobnicate"], format].concat());
        let said: serde_json::Value = serde_json::from_slice(&said.stderr).unwrap();
        assert_eq!(
            (said["error"]["code"].as_str(), said["error"]["next"].as_str()),
            (Some("usage"), Some("see --help"))
        );
        assert!(said["error"]["what"].as_str().unwrap().contains("frobnicate"), "{said}");
    }
    assert_eq!(b.run(&["--help"]).status.code(), Some(0));
    assert!(b.ok(&["completions", "bash"]).contains("cradle"));
}

#[test]
fn a_second_command_is_kept_out_while_one_writes() {
    let b = Box_::new("lock");
    let lock = std::fs::File::open(b.data().join("lock")).unwrap();
    let held = std::process::Command::new("flock").arg("-F").arg(b.data().join("lock")).args(["sleep", "30"]).spawn();
    let mut held = held.unwrap();
    while lock.try_lock().is_ok() {
        lock.unlock().unwrap();
        std::thread::yield_now();
    }
    b.fails(&["mode", "set", "sealed"], 75, "in-use");
    b.ok(&["mode", "show"]);
    held.kill().unwrap();
    held.wait().unwrap();
}

#[test]
fn a_measurement_is_one_line_with_these_fields() {
    let b = Box_::empty("bench");
    let before = std::fs::read_dir(&b.dir).unwrap().count();
    let keys =
        ["what", "limit_per_s", "measured_per_s", "ratio", "p50_us", "p99_us", "rss_bytes", "disk_bytes", "core_us"];
    let update = ["update", "--images", "2", "--mib", "1"];
    let status = ["status", "--certificates", "5", "--clients", "2", "--seconds", "1"];
    for (arguments, lines) in
        [(&["issue", "--count", "100"][..], 8), (&["paper", "--repeat", "1"], 6), (&update, 2), (&status, 1)]
    {
        let said = b.ok(&[&["bench"], arguments, &["-o", "json"]].concat());
        assert_eq!(said.lines().count(), lines, "{said}");
        for line in said.lines() {
            let named: Vec<_> = line.split('"').skip(1).step_by(2).filter(|word| keys.contains(word)).collect();
            assert_eq!(named, keys, "{line}");
            let read: serde_json::Value = serde_json::from_str(line).unwrap();
            assert_eq!(read.as_object().unwrap().len(), keys.len(), "{line}");
            assert!(read["measured_per_s"].as_f64().unwrap() > 0.0, "{line}");
        }
    }
    assert!(b.dir.join("cradle-paper.svg").exists());
    // What was made for a measurement is gone afterwards.
    assert_eq!(std::fs::read_dir(&b.dir).unwrap().count(), before + 1);
}

#[test]
fn devices_come_back_when_they_were_told() {
    let b = Box_::empty("storm");
    let words = ["bench", "storm", "--devices", "60", "--lifetime", "120", "-o", "json"];
    let said = b.ok(&words);
    let rows: Vec<serde_json::Value> = said.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let [enrolled, told, busiest, each] = &rows[..] else { panic!("{said}") };
    // Each came once, in the second that km said, however slow this machine was: none would have had a certificate otherwise.
    assert!(enrolled["p99_us"].as_f64().unwrap() > 0.0 && each["p99_us"].as_f64().unwrap() > 0.0, "{said}");
    // Six of sixty if all tenths of the time were alike; the second that the answer took may move a few.
    assert_eq!(told["limit_per_s"], 6.0, "{said}");
    assert!(told["measured_per_s"].as_f64().unwrap() < 30.0, "all were told one time: {said}");
    assert!(busiest["limit_per_s"].as_f64().unwrap() >= 1.0, "{said}");
    assert_eq!(std::fs::read_dir(&b.dir).unwrap().count(), 0);
}

#[test]
fn the_passphrase_comes_from_where_it_is_kept() {
    let b = Box_::empty("passphrases");
    b.write("secret", "correct horse");
    b.ok(&["init", "--yes", "--passphrase-file", "secret"]);
    let asked = |name: &str, value: &str| {
        let mut command = b.command(&["mode", "set", "certificate-management"]);
        command.env(name, value).output().unwrap().status.code()
    };
    std::fs::create_dir(b.dir.join("credentials")).unwrap();
    b.write("credentials/cradle-passphrase", "correct horse\n");
    assert_eq!(b.run(&["mode", "set", "provision"]).status.code(), Some(4), "nobody says it");
    assert_eq!(asked("CRADLE_PASSPHRASE", "correct horse"), Some(0));
    assert_eq!(asked("CRADLE_PASSPHRASE", "wrong horse"), Some(4));
    assert_eq!(asked("CREDENTIALS_DIRECTORY", "credentials"), Some(0));
    assert_eq!(asked("CREDENTIALS_DIRECTORY", "nowhere"), Some(4));
}
