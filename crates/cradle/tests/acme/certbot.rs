//! What honest clients do, by certbot.

use crate::common::{foreign, port_of_its_own, text};
use crate::site::{Site, Up};
use std::process::Command;

impl Up<'_> {
    fn certbot(&self, words: &[&str]) -> (bool, String) {
        let dir = &self.site.b.dir;
        let directory = format!("{}/acme/servers/directory", self.base());
        let always = ["--config-dir", "bot", "--work-dir", "bot/work", "--logs-dir", "bot/logs", "--non-interactive"];
        let mut command = Command::new("certbot");
        command.current_dir(dir).args(words).args(always).args(["--server", &directory]);
        let output = command.env("REQUESTS_CA_BUNDLE", dir.join("tls.pem")).output().unwrap();
        (output.status.success(), text(&output.stdout) + &text(&output.stderr))
    }

    #[track_caller]
    fn goes(&self, words: &[&str]) -> String {
        let (well, said) = self.certbot(words);
        let log = || text(&std::fs::read(self.site.b.dir.join("bot/logs/letsencrypt.log")).unwrap_or_default());
        assert!(well, "{words:?}: {said}\n{}", log());
        said
    }
}

fn register<'a>(kid: &'a str, key: &'a str) -> [&'a str; 9] {
    ["register", "--agree-tos", "-m", "admin@site.internal", "--eab-kid", kid, "--eab-hmac-key", key, "--no-eff-email"]
}

const LIVE: &str = "bot/live/www.sn000001.internal";

/// The certificate that certbot holds now, in NAME.pem.
fn keep(site: &Site, name: &str) -> String {
    let file = format!("{name}.pem");
    site.b.write(&file, site.b.read(&format!("{LIVE}/cert.pem")));
    foreign(&site.b.dir, "openssl", &["verify", "-CAfile", "chain.pem", &file]);
    site.serial(&file)
}

#[test]
fn a_device_registers_has_a_certificate_renews_and_revokes() {
    let site = Site::new("acme-life");
    let key = site.allow("SN000001");
    let up = site.up();
    up.goes(&register("SN000001", &key));
    let port = site.http_port.to_string();
    let standalone = ["certonly", "--standalone", "--http-01-address", "127.0.0.1", "--http-01-port", &port];
    let names = ["-d", "www.sn000001.internal", "-d", "api.sn000001.internal", "--key-type", "ecdsa"];
    up.goes(&[&standalone[..], &names].concat());
    let first = keep(&site, "first");
    let said = foreign(&site.b.dir, "openssl", &["x509", "-in", "first.pem", "-noout", "-ext", "subjectAltName"]);
    for name in ["DNS:www.sn000001.internal", "DNS:api.sn000001.internal", "URI:urn:dev:ops:32473-sensor-SN000001"] {
        assert!(said.contains(name), "{said}");
    }
    // With another key, in the place of the first one.
    up.goes(&["renew", "--force-renewal", "--http-01-port", &port, "--no-random-sleep-on-renew"]);
    let second = keep(&site, "second");
    assert_ne!(first, second);
    // The account revokes the old one, and whoever has its key the new one.
    up.goes(&["revoke", "--cert-path", "first.pem", "--reason", "superseded", "--no-delete-after-revoke"]);
    let live_key = format!("{LIVE}/privkey.pem");
    let by_key = ["revoke", "--cert-path", "second.pem", "--key-path", &live_key, "--reason", "keycompromise"];
    up.goes(&[&by_key[..], &["--no-delete-after-revoke"]].concat());
    up.goes(&["update_account", "-m", "other@site.internal"]);
    up.goes(&["unregister"]);
    up.down();
    assert_eq!(site.standing(), [(first.clone(), true), (second.clone(), true)]);
    let told = site.b.ok(&["explain", &first]);
    assert!(told.contains("it came over ACME, under the label servers, and showed account "), "{told}");
    let told = site.b.ok(&["explain", "SN000001"]);
    assert!(told.contains("bound by a one-time secret"), "{told}");
    site.b.sound();
}

#[test]
fn names_are_proved_by_records_of_the_resolver() {
    let site = Site::new("acme-dns");
    let key = site.allow("SN000001");
    let up = site.up();
    up.goes(&register("SN000001", &key));
    let texts = site.b.dir.join("texts");
    let hook = format!("echo _acme-challenge.$CERTBOT_DOMAIN $CERTBOT_VALIDATION >> {}", texts.display());
    let manual = ["certonly", "--manual", "--preferred-challenges", "dns", "--manual-auth-hook", &hook];
    up.goes(&[&manual[..], &["-d", "www.sn000001.internal"]].concat());
    keep(&site, "first");
    up.down();
    site.b.sound();
}

#[test]
fn the_lines_of_the_chapter_work_as_they_stand() {
    let b = crate::common::Box_::empty("acme-chapter");
    let document = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/gateway.md");
    let document = std::fs::read_to_string(document).unwrap();
    let (_, block) = document.split_once("```sh with-certbot\n").unwrap();
    let (script, _) = block.split_once("\n```").unwrap();
    // Other tests run beside this one.
    let script = script.replace("8443", &port_of_its_own().to_string()).replace("8081", &port_of_its_own().to_string());
    let binary = std::path::Path::new(env!("CARGO_BIN_EXE_cradle")).parent().unwrap().display().to_string();
    let path = format!("{binary}:{}", std::env::var_os("PATH").unwrap().display());
    let mut command = Command::new("bash");
    command.args(["-euo", "pipefail", "-c", &script]).current_dir(&b.dir).env_clear().env("PATH", path);
    let output = command.output().unwrap();
    let (out, err) = (text(&output.stdout), text(&output.stderr));
    assert!(output.status.success(), "{out}\n{err}");
    assert_eq!(out.matches("cert.pem: OK").count(), 2, "{out}");
    assert!(out.contains("it came over ACME") && out.contains("superseded"), "{out}");
}
