//! What an operator may say of makers, and what is not taken.

use crate::common::Box_;
use crate::maker::Maker;
use crate::{foreign, text, works};
use std::io::{BufRead, BufReader};
use std::process::Stdio;

#[test]
fn lists_of_a_maker_go_forward_only() {
    let (site, acme) = works("idevid-crl");
    let b = &site.b;
    let before = b.json(&["maker", "list"]);
    assert_eq!((&before[0]["number"], &before[0]["list"]), (&7.into(), &"demanded".into()), "{before}");
    // The same again is no harm; the next is taken; the one before is not.
    b.ok(&["maker", "revoked", "acme", "acme.crl"]);
    acme.idevid("thing");
    acme.revoke("thing");
    acme.list("next.crl", "30");
    b.ok(&["maker", "revoked", "acme", "next.crl"]);
    b.fails(&["maker", "revoked", "acme", "acme.crl"], 6, "maker-list-not-newer");
    // Another one of the same number is none.
    std::fs::write(acme.dir.join("crlnumber"), "08\n").unwrap();
    acme.list("again.crl", "20");
    b.fails(&["maker", "revoked", "acme", "again.crl"], 6, "maker-list-not-newer");
    assert_eq!(b.json(&["maker", "list"])[0]["number"], 8);
    b.sound();
}

#[test]
fn only_the_makers_own_whole_list_is_taken() {
    let (site, acme) = works("idevid-crl-of-another");
    let b = &site.b;
    // The same name, another key.
    let other = Maker::new(&b.dir, "other");
    std::fs::write(other.dir.join("crlnumber"), "20\n").unwrap();
    other.list("other.crl", "30");
    b.fails(&["maker", "revoked", "acme", "other.crl"], 4, "maker-list-invalid");
    // One octet of the signature is another.
    acme.list("acme2.crl", "30");
    foreign(&b.dir, "openssl", &["crl", "-in", "acme2.crl", "-outform", "DER", "-out", "acme2.der"]);
    let mut der = b.read("acme2.der");
    *der.last_mut().unwrap() ^= 1;
    b.write("acme2.der", &der);
    b.fails(&["maker", "revoked", "acme", "acme2.der"], 4, "maker-list-invalid");
    // A list of differences, which leaves out what was revoked before.
    let settings = acme.dir.join("ca.cnf");
    let before = std::fs::read_to_string(&settings).unwrap();
    std::fs::write(&settings, before.replace("[full]\n", "[full]\n2.5.29.27 = critical, DER:02:01:07\n")).unwrap();
    acme.list("delta.crl", "30");
    b.fails(&["maker", "revoked", "acme", "delta.crl"], 4, "maker-list-invalid");
    std::fs::write(
        &settings,
        before.replace("[full]\n", "[scope]\nonlyuser = TRUE\n[full]\nissuingDistributionPoint = critical, @scope\n"),
    )
    .unwrap();
    acme.list("users.crl", "30");
    b.fails(&["maker", "revoked", "acme", "users.crl"], 4, "maker-list-invalid");
    assert_eq!(b.json(&["maker", "list"])[0]["number"], 7);
    b.fails(&["maker", "revoked", "nobody", "acme.crl"], 5, "maker-unknown");
    // What is out of date when it comes is not taken: the clock is ahead.
    std::fs::write(&settings, before).unwrap();
    acme.list("short.crl", "1");
    let late = b.command_at("+3d", &["maker", "revoked", "acme", "short.crl"]).output().unwrap();
    assert!(text(&late.stderr).contains("code: maker-list-stale\n"), "{late:?}");
    let early = b.command_at("-1d", &["maker", "revoked", "acme", "short.crl"]).output().unwrap();
    assert!(!early.status.success(), "{early:?}");
    b.sound();
}

#[test]
fn a_maker_is_an_authority_and_is_replaced_explicitly() {
    let (site, acme) = works("idevid-maker");
    let b = &site.b;
    acme.idevid("thing");
    let said = b.run(&["maker", "trust", "thing", "thing.pem"]);
    assert!(!said.status.success() && text(&said.stderr).contains("none of an authority"), "{said:?}");
    // An authority that may not sign certificates, and one that may and is none.
    for (ca, usage) in [("CA:TRUE", "cRLSign"), ("CA:FALSE", "keyCertSign,cRLSign")] {
        let extensions = [format!("basicConstraints=critical,{ca}"), format!("keyUsage=critical,{usage}")];
        let half =
            ["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", "/CN=Half"];
        let more = ["-keyout", "half.key", "-out", "half.pem", "-addext", &extensions[0], "-addext", &extensions[1]];
        foreign(&b.dir, "openssl", &[&half[..], &more].concat());
        let said = b.run(&["maker", "trust", "half", "half.pem"]);
        assert!(
            !said.status.success() && text(&said.stderr).contains("none of an authority"),
            "{ca} {usage}: {said:?}"
        );
    }
    let weak = [
        "req", "-x509", "-newkey", "rsa:1024", "-nodes", "-subj", "/CN=Weak", "-keyout", "weak.key", "-out", "weak.pem",
    ];
    foreign(&b.dir, "openssl", &weak);
    let said = b.run(&["maker", "trust", "weak", "weak.pem"]);
    assert!(!said.status.success(), "{said:?}");
    let other = Maker::new(&b.dir, "other");
    b.fails(&["maker", "trust", "acme", &other.certificate()], 6, "maker-known");
    b.fails(&["maker", "trust", "nobody", &other.certificate(), "--replace"], 5, "maker-unknown");
    b.ok(&["maker", "trust", "acme", &acme.certificate()]);
    assert_eq!(b.json(&["maker", "list"])[0]["number"], 7);
    // With another key its lists are counted anew, and the old one is none.
    b.ok(&["maker", "trust", "acme", &other.certificate(), "--replace"]);
    let row = b.json(&["maker", "list"]);
    assert_eq!((&row[0]["number"], row[0]["next_update"].is_null()), (&0.into(), true), "{row}");
    b.sound();
    // What the records say of a maker is what the log tells.
    b.sql("UPDATE maker SET demanded = 0");
    assert!(b.fails(&["verify", "--deep"], 1, "records-disagree").contains("maker"));
}

/// The codes of what needs attention of a box with the clock so far ahead, and how it is about makers' lists.
fn attention(b: &Box_, offset: &str) -> (Vec<String>, String) {
    let said = |command: &str| -> serde_json::Value {
        serde_json::from_slice(&b.command_at(offset, &[command, "-o", "json"]).output().unwrap().stdout).unwrap()
    };
    let (survey, examined) = (said("status"), said("doctor"));
    let codes =
        survey["findings"].as_array().unwrap().iter().map(|finding| finding["code"].as_str().unwrap().to_owned());
    let check =
        examined["checks"].as_array().unwrap().iter().find(|check| check["check"] == "lists of makers").unwrap();
    (codes.filter(|code| code.starts_with("maker")).collect(), check["state"].as_str().unwrap().to_owned())
}

/// What monitoring is told.
fn metrics(b: &Box_) -> String {
    let mut child = b.command(&["serve", "-o", "json"]).stdout(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
    let said: serde_json::Value = serde_json::from_str(&line).unwrap();
    let metrics = foreign(&b.dir, "curl", &["-sS", &format!("{}/metrics", said["url"].as_str().unwrap())]);
    child.kill().unwrap();
    child.wait().unwrap();
    metrics
}

#[test]
fn the_end_of_a_makers_list_is_said_before() {
    let (site, _acme) = works("idevid-crl-end");
    let b = &site.b;
    let is = |offset: &str, code: &str, state: &str| {
        let (codes, check) = attention(b, offset);
        assert_eq!((codes.concat().as_str(), check.as_str()), (code, state), "{offset}");
    };
    is("+25d", "", "ok");
    is("+27d", "maker-list-due", "warn");
    is("+31d", "maker-list-overdue", "fail");
    let survey = b.json(&["status"]);
    assert_eq!((&survey["makers"][0]["name"], &survey["makers"][0]["number"]), (&"acme".into(), &7.into()), "{survey}");
    assert!(b.ok(&["status"]).contains("acme (list 7 until "));
    let metrics = metrics(b);
    assert!(metrics.contains("\ncradle_maker_list_next_update_timestamp_seconds{maker=\"acme\"} 1"), "{metrics}");
    // One whose list was never given; one who makes none; one who is trusted no more.
    let other = Maker::new(&b.dir, "other");
    b.ok(&["maker", "trust", "other", &other.certificate()]);
    is("+0d", "maker-list-missing", "fail");
    b.ok(&["maker", "trust", "other", &other.certificate(), "--replace", "--without-list"]);
    is("+0d", "", "ok");
    b.ok(&["maker", "distrust", "acme"]);
    is("+31d", "", "ok");
}
