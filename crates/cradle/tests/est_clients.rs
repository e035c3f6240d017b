//! EST, asked by clients that others wrote for it: strongSwan's `pki`, which speaks TLS by a library of its own.
#![allow(
    missing_docs,
    unreachable_pub,
    dead_code,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "what cannot go on here has failed"
)]

mod common;
mod site;

use common::{foreign, text};
use site::{Site, Up};
use std::process::{Command, Output};

/// One of its commands, with what is to be on its input; its output is left in `out`.
fn pki(site: &Site, words: &[&str], input: &str) -> Output {
    let script = format!("exec pki \"$@\" < {input} > out");
    let mut sh = Command::new("sh");
    sh.args(["-c", &script, "pki"])
        .args(words)
        .current_dir(&site.b.dir)
        .env("STRONGSWAN_CONF", "strongswan.conf")
        .output()
        .unwrap()
}

/// The same; it must end well.
#[track_caller]
fn does(site: &Site, words: &[&str], input: &str, kept: &str) {
    let done = pki(site, words, input);
    assert!(done.status.success(), "{words:?}: {}", text(&done.stderr));
    std::fs::rename(site.b.dir.join("out"), site.b.dir.join(kept)).unwrap();
}

/// A key and a request, by it, in NAME.key and NAME.req.
fn request(site: &Site, name: &str, subject: &str) {
    does(site, &["--gen", "--type", "ecdsa", "--size", "256", "--outform", "pem"], "/dev/null", &format!("{name}.key"));
    let key = format!("{name}.key");
    does(site, &["--req", "--type", "priv", "--in", &key, "--dn", subject], "/dev/null", &format!("{name}.req"));
}

fn est(site: &Site, up: &Up<'_>, name: &str, shown: &[&str]) -> Output {
    let port = up.said["https"].as_str().unwrap().rsplit(':').next().unwrap();
    let url = format!("https://localhost:{port}");
    let words = ["--est", "--url", &url, "--cacert", "root.pem", "--cacert", "chain.pem", "--outform", "pem"];
    pki(site, &[&words[..], shown].concat(), &format!("{name}.req"))
}

/// A certificate, and another one in its place.
fn whole_life(name: &str, tls: &str, configuration: &str) {
    let site = Site::new(name);
    site.b.write("strongswan.conf", configuration);
    // It knows no labels, and reads one line only.
    site.edit("cradle.toml", "label = \"devices\"", &format!("label = \"one-line\"\ntls = \"{tls}\""));
    let organization = site.b.json(&["status"])["organization"].as_str().unwrap_or("Example Devices").to_owned();
    let user = format!("SN000001:{}", site.secret("SN000001"));
    let up = site.up();
    let port = up.said["https"].as_str().unwrap().rsplit(':').next().unwrap();
    let url = format!("https://localhost:{port}");
    let authorities = ["--estca", "--url", &url, "--cacert", "root.pem", "--caout", "ca.pem", "--outform", "pem"];
    does(&site, &authorities, "/dev/null", "authorities");
    let subject = format!("O={organization}, CN=sensor SN000001, serialNumber=SN000001");
    request(&site, "a", &subject);
    let refused = est(&site, &up, "a", &["--userpass", "SN000001:guessed"]);
    assert!(!refused.status.success());
    let had = est(&site, &up, "a", &["--userpass", &user]);
    assert!(had.status.success(), "{}", text(&had.stderr));
    std::fs::rename(site.b.dir.join("out"), site.b.dir.join("a.pem")).unwrap();
    foreign(&site.b.dir, "openssl", &["verify", "-CAfile", "chain.pem", "a.pem"]);
    request(&site, "b", &subject);
    let had = est(&site, &up, "b", &["--cert", "a.pem", "--key", "a.key"]);
    assert!(had.status.success(), "{}", text(&had.stderr));
    std::fs::rename(site.b.dir.join("out"), site.b.dir.join("b.pem")).unwrap();
    foreign(&site.b.dir, "openssl", &["verify", "-CAfile", "chain.pem", "b.pem"]);
    assert_ne!(site.serial("a.pem"), site.serial("b.pem"));
    up.down();
    let told = site.b.ok(&["explain", &site.serial("b.pem")]);
    assert!(told.contains("which it renews"), "{told}");
    site.b.sound();
}

#[test]
fn strongswan_enrols_and_renews() {
    whole_life("est-strongswan", "1.3", "libtls {\n  version_max = 1.3\n}\n");
}
#[test]
fn strongswan_as_debian_has_it_needs_the_older_version() {
    whole_life("est-strongswan-12", "1.2", "");
}
