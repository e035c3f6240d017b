//! What has expired long ago goes, when the settings and an operator say so; and nothing else.
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
use common::{Box_, text};
use serde_json::Value;

/// A box whose device certificates last ten days, and are kept whole for thirty after that.
fn short_lived(name: &str) -> Box_ {
    let b = Box_::with_software(name);
    let path = b.data().join("profiles/idevid.toml");
    let profile = std::fs::read_to_string(&path).unwrap();
    let short = profile.replace("not_after = \"99991231235959Z\"", "lifetime_s = 864_000");
    assert_ne!(short, profile);
    std::fs::write(&path, short).unwrap();
    b
}
fn keep(b: &Box_, days: u32) {
    let path = b.data().join("cradle.toml");
    let text = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, format!("{text}\n[retention]\ndays_after_expiry = {days}\n")).unwrap();
}
#[track_caller]
fn at(b: &Box_, offset: &str, arguments: &[&str]) -> Value {
    let output = b.command_at(offset, &[arguments, &["-o", "json"]].concat()).output().unwrap();
    let (out, err) = (text(&output.stdout), text(&output.stderr));
    serde_json::from_str(&out).unwrap_or_else(|_| panic!("{arguments:?}: {out}{err}"))
}

#[test]
fn what_expired_goes_and_all_else_is_as_it_was() {
    let b = short_lived("purge");
    b.station("sensor");
    let serial = b.json(&["cert", "list", "--device", "SN000001"])[0]["serial"].as_str().unwrap().to_owned();
    b.ok(&["mode", "set", "certificate-management"]);
    b.ok(&["cert", "revoke", &serial, "--yes"]);
    b.ok(&["crl", "issue", "factory"]);
    b.ok(&["crl", "issue", "factory"]);
    let failure = b.fails(&["purge", "--yes"], 2, "no-retention");
    assert!(failure.contains("days_after_expiry"), "{failure}");
    keep(&b, 30);
    assert_eq!(at(&b, "+39d", &["purge", "--dry-run"])["certificates"], 0, "not yet");
    let due = at(&b, "+41d", &["purge", "--dry-run"]);
    assert_eq!((&due["certificates"], &due["purged"]), (&6.into(), &false.into()));
    assert_eq!(at(&b, "+41d", &["status"])["purgeable"]["certificates"], 6);
    at(&b, "+41d", &["clock", "accept", "--yes"]);
    let unasked = b.command_at("+41d", &["purge"]).output().unwrap();
    assert!(text(&unasked.stderr).contains("code: not-confirmed"));
    let before = b.ok(&["audit", "checkpoint"]);
    let gone = at(&b, "+70d", &["purge", "--yes"]);
    assert_eq!((&gone["certificates"], &gone["lists"], &gone["purged"]), (&6.into(), &1.into(), &true.into()));
    b.write("witness", &before);
    b.ok(&["audit", "verify", "--checkpoint", "witness"]);
    let sound = b.sound();
    assert_eq!((&sound["revoked"], &sound["devices_provisioned"]), (&1.into(), &6.into()));
    let shown = b.ok(&["cert", "inspect", &serial]);
    assert!(shown.contains("PURGED") && shown.contains("REVOKED"), "{shown}");
    assert!(b.ok(&["explain", &serial]).contains("SN000001"), "it is explained as ever");
    assert!(!b.ok(&["cert", "export", "--device", "SN000001"]).contains("BEGIN"));
    assert_eq!(at(&b, "+70d", &["purge", "--yes"])["certificates"], 0);
    b.ok(&["backup", "create", "backup.cradle"]);
    b.ok(&[
        "--data",
        "again",
        "backup",
        "restore",
        "backup.cradle",
        "--marks",
        "data.marks",
        "--passphrase-file",
        "data/secrets/passphrase",
    ]);
    assert_eq!(b.json(&["--data", "again", "verify", "--deep"])["certificates"], sound["certificates"]);
}

#[test]
fn what_the_settings_cannot_mean_is_refused() {
    let b = Box_::new("purge-settings");
    keep(&b, 0);
    assert!(b.fails(&["purge", "--yes"], 2, "config").contains("from 1 to 36525"));
}
