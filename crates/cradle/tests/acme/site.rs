//! A box that answers ACME.

use crate::common::{Box_, foreign, port_of_its_own};
use crate::names::Names;
use serde_json::Value;
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

const PROFILE: &str = r#"
description = "A device that serves TLS."
subject_kind = "device"
issuers = ["factory"]
key_types = ["p256", "ed25519", "rsa2048"]
ra_verified = false
subject = [{ type = "O", value = "{organization}" }, { type = "serialNumber", value = "{serial}" }]
subject_alt_name = [
  { uri = "{urn}" },
  { request = { kind = "dns", ends_with = [".{serial}.internal"], count_max = 4 } },
  { request = { kind = "ip", within = ["127.0.0.0/8"] } },
]
[validity]
lifetime_s = 7_776_000
backdate_s = 300
issuer_expiry = "shorten"
[extensions]
key_usage = ["digital-signature"]
extended_key_usage = ["server-auth", "client-auth"]
"#;

/// A box whose devices SN000001 to SN000009 are expected under `server`.
pub struct Site {
    pub b: Box_,
    _names: Names,
    /// Where names are to be proved over HTTP, and over TLS.
    pub http_port: u16,
    pub tls_port: u16,
}

/// A box that is up.
pub struct Up<'s> {
    pub site: &'s Site,
    child: Child,
    pub said: Value,
}

impl Site {
    pub fn new(name: &str) -> Self {
        let b = Box_::new(name);
        let names = Names::new(b.dir.join("texts"));
        let (http_port, tls_port) = (port_of_its_own(), port_of_its_own());
        let settings = b.data().join("cradle.toml");
        let before = std::fs::read_to_string(&settings).unwrap();
        let own =
            ["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", "tls.key"];
        let more = ["-out", "tls.pem", "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"];
        foreign(&b.dir, "openssl", &[&own[..], &more].concat());
        let (certificate, key) = (b.dir.join("tls.pem"), b.dir.join("tls.key"));
        let gateway = format!(
            "
[gateway]
https = \"127.0.0.1:0\"
http = \"127.0.0.1:0\"
names = [\"localhost\"]
tls_certificate = {certificate:?}
tls_key = {key:?}
[gateway.est.servers]
profile = \"server\"
[gateway.acme.servers]
profile = \"server\"
[gateway.acme.others]
profile = \"ldevid\"
[gateway.validation]
resolver = \"127.0.0.1:{}\"
http_port = {http_port}
tls_port = {tls_port}
allowed_networks = [\"127.0.0.0/8\"]
within_s = 2
",
            names.port
        );
        std::fs::write(&settings, before + &gateway).unwrap();
        std::fs::write(b.data().join("profiles/server.toml"), PROFILE).unwrap();
        b.device_type("sensor", "");
        let lines: String = (1..=9).map(|n| format!("SN{n:06},sensor,,server\n")).collect();
        b.write("devices.csv", format!("serial,type,board,profile\n{lines}"));
        b.ok(&["list", "import", "devices.csv"]);
        b.ok(&["mode", "set", "certificate-management"]);
        b.ok(&["module", "add", "gateway"]);
        b.write("chain.pem", b.ok(&["ca", "chain", "factory"]));
        Self { b, _names: names, http_port, tls_port }
    }

    /// Lets a device have an account. Gives the key that binds it.
    pub fn allow(&self, serial: &str) -> String {
        self.b.json(&["device", "allow", serial, "--secret"])["eab_hmac_key"].as_str().unwrap().to_owned()
    }

    pub fn up(&self) -> Up<'_> {
        let mut child = self.b.command(&["up", "-o", "json"]).stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let said = serde_json::from_str(&line).unwrap_or_else(|e| panic!("{line}: {e}"));
        Up { site: self, child, said }
    }

    /// Why something was refused, as the operator learns it.
    #[track_caller]
    pub fn why(&self, identifier: &str, code: &str) {
        let said = self.b.ok(&["explain", identifier]);
        assert!(said.contains(&format!("({code})")), "{said}");
    }

    /// How certificates stand: each that was made under `server`, by its number, with `true` if it is revoked.
    pub fn standing(&self) -> Vec<(String, bool)> {
        let rows = self.b.json(&["cert", "list", "--profile", "server"]);
        let of = |row: &Value| (row["serial"].as_str().unwrap().to_owned(), !row["revoked_at"].is_null());
        rows.as_array().unwrap().iter().map(of).collect()
    }

    /// The serial number of a certificate in a file.
    pub fn serial(&self, file: &str) -> String {
        let said = foreign(&self.b.dir, "openssl", &["x509", "-in", file, "-noout", "-serial"]);
        said.trim().trim_start_matches("serial=").to_lowercase()
    }
}

impl Up<'_> {
    /// Where it is, by the name that clients know it by.
    pub fn base(&self) -> String {
        let port = self.said["https"].as_str().unwrap().rsplit(':').next().unwrap();
        format!("https://localhost:{port}")
    }

    pub fn down(mut self) {
        self.end();
    }

    fn end(&mut self) {
        let _told = Command::new("kill").arg(self.child.id().to_string()).status();
        let ended = self.child.wait().unwrap();
        assert!(ended.success() || std::thread::panicking(), "it ended with {ended}");
    }
}

impl Drop for Up<'_> {
    fn drop(&mut self) {
        if !matches!(self.child.try_wait(), Ok(Some(_))) {
            self.end();
        }
    }
}
