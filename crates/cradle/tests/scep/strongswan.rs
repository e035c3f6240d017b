//! strongSwan's `pki --scepca` and `pki --scep`.

use crate::common::{Box_, foreign, port_of_its_own, text};
use crate::site::{Site, Up};
use std::process::Command;

/// The names that the profile gives a device: a client must write some.
pub fn names_of(site: &Site, serial: &str) -> String {
    let said = site.b.json(&["status"]);
    let organization = said["organization"].as_str().unwrap_or("Example Devices");
    format!("O={organization}, CN=sensor {serial}, serialNumber={serial}")
}

/// Divides the chain into the files that strongSwan reads.
pub fn trust(site: &Site) {
    let chain = String::from_utf8(site.read("chain.pem")).unwrap();
    let root = chain.rfind("-----BEGIN").unwrap();
    site.b.write("factory.pem", &chain[..root]);
    site.b.write("root.pem", &chain[root..]);
}

fn names(site: &Site, file: &str) -> String {
    let said = foreign(&site.b.dir, "openssl", &["x509", "-in", file, "-noout", "-subject", "-nameopt", "RFC2253"]);
    // strongSwan writes them in the other direction.
    let said = said.trim().trim_start_matches("subject=").trim().to_owned();
    said.split(',').rev().map(|part| part.trim()).collect::<Vec<_>>().join(", ")
}

#[test]
fn a_device_enrols_and_renews() {
    let site = Site::new("scep-strongswan");
    trust(&site);
    let challenge = site.challenge("SN000001", &[]);
    let up: Up<'_> = site.up();
    up.fetch("devices");
    foreign(&site.b.dir, "openssl", &["verify", "-CAfile", "root.pem", "-untrusted", "factory.pem", "ra.pem"]);
    site.key("first");
    let asked = names_of(&site, "SN000001");
    up.has("devices", "first", &["--dn", &asked, "--password", &challenge]);
    foreign(&site.b.dir, "openssl", &["verify", "-CAfile", "root.pem", "-untrusted", "factory.pem", "first.pem"]);
    // The same again: the same certificate.
    let first = site.serial("first.pem");
    up.has("devices", "first", &["--dn", &asked, "--password", &challenge]);
    assert_eq!(site.serial("first.pem"), first);
    // Another key with the same secret: nothing.
    site.key("second");
    up.asks("devices", "second", &["--dn", &asked, "--password", &challenge]).unwrap_err();
    // With the certificate, without a secret.
    let own = names(&site, "first.pem");
    up.has("devices", "second", &["--dn", &own, "--cert", "first.pem", "--key", "first.key"]);
    assert!(site.serial("second.pem") != first);
    assert_eq!(names(&site, "second.pem"), own);
    // A certificate is renewed once.
    site.key("third");
    up.asks("devices", "third", &["--dn", &own, "--cert", "first.pem", "--key", "first.key"]).unwrap_err();
    up.down();
    assert_eq!(site.standing("ldevid").len(), 2);
}

#[test]
fn strongswan_waits_for_operators() {
    let site = Site::new("scep-strongswan-waits");
    trust(&site);
    let challenge = site.challenge("SN000002", &["--profile", "guarded"]);
    let asked = names_of(&site, "SN000002");
    site.key("first");
    let up = site.up();
    up.fetch("guarded");
    let words = ["--dn", &asked, "--password", &challenge, "--maxpolltime", "2"];
    let said = up.asks("guarded", "first", &words).unwrap_err();
    assert!(said.contains("pending") || said.contains("poll"), "{said}");
    up.down();
    site.b.ok(&["approve", "yes", "1", "--operator", "operator"]);
    let up = site.up();
    up.fetch("guarded");
    up.has("guarded", "first", &words);
    foreign(&site.b.dir, "openssl", &["verify", "-CAfile", "root.pem", "-untrusted", "factory.pem", "first.pem"]);
    up.down();
    assert_eq!(site.standing("guarded").len(), 1);
}

#[test]
fn the_lines_of_the_chapter_work_as_they_stand() {
    let b = Box_::empty("scep-chapter");
    let document = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/gateway.md");
    let document = std::fs::read_to_string(document).unwrap();
    let (_, block) = document.split_once("```sh with-strongswan\n").unwrap();
    let (script, _) = block.split_once("\n```").unwrap();
    let script = script.replace("8080", &port_of_its_own().to_string());
    // The box ends even if a line before that fails.
    let script = format!("trap 'kill $(jobs -p) 2>/dev/null || true' EXIT\n{script}");
    let binary = std::path::Path::new(env!("CARGO_BIN_EXE_cradle")).parent().unwrap().display().to_string();
    let mut command = Command::new("bash");
    command.args(["-euo", "pipefail", "-c", &script]).current_dir(&b.dir).env_clear();
    let output = command.env("PATH", format!("{binary}:/usr/bin:/bin")).output().unwrap();
    let (out, err) = (text(&output.stdout), text(&output.stderr));
    assert!(output.status.success(), "{out}\n{err}");
    assert_eq!(out.matches("pem: OK").count(), 2, "{out}");
    assert!(out.contains("it came over SCEP") && out.contains("which it renews"), "{out}");
}
