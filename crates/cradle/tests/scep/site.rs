//! A box that answers SCEP.

use crate::common::{Box_, foreign, text};
use crate::hand::{Draft, Said, said};
use serde_json::Value;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, Command, Output, Stdio};

const GATEWAY: &str = "
[gateway]
http = \"127.0.0.1:0\"
names = [\"cm.internal\"]
[gateway.scep.devices]
profile = \"ldevid\"
[gateway.scep.guarded]
profile = \"guarded\"
[gateway.scep.est-only]
profile = \"est-only\"
";

/// A box whose devices SN000001 to SN000009 are expected under `ldevid`.
pub struct Site {
    pub b: Box_,
    /// How far the clock of everybody is off.
    pub offset: Option<&'static str>,
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
        let settings = b.data().join("cradle.toml");
        let before = std::fs::read_to_string(&settings).unwrap();
        std::fs::write(&settings, before + GATEWAY).unwrap();
        let profiles = b.data().join("profiles");
        let ldevid = std::fs::read_to_string(profiles.join("ldevid.toml")).unwrap();
        let guarded = format!("{ldevid}\n[enrolment]\napprovals = 1\n");
        std::fs::write(profiles.join("guarded.toml"), guarded).unwrap();
        let other = format!("{ldevid}\n[enrolment]\nprotocols = [\"est\"]\n");
        std::fs::write(profiles.join("est-only.toml"), other).unwrap();
        b.device_type("sensor", "");
        let lines: String = (1..=9).map(|n| format!("SN{n:06},sensor,,ldevid\n")).collect();
        b.write("devices.csv", format!("serial,type,board,profile\n{lines}"));
        b.ok(&["list", "import", "devices.csv"]);
        b.ok(&["mode", "set", "certificate-management"]);
        b.ok(&["module", "add", "gateway"]);
        b.write("chain.pem", b.ok(&["ca", "chain", "factory"]));
        Self { b, offset: None }
    }

    /// Lets a device enrol with a secret. Gives what it sends: its name and the secret.
    pub fn challenge(&self, serial: &str, more: &[&str]) -> String {
        let said = self.b.json(&[&["device", "allow", serial, "--secret"], more].concat());
        format!("{serial}:{}", said["secret"].as_str().unwrap())
    }

    /// A new key, in NAME.key.
    pub fn key(&self, name: &str) {
        let key = format!("{name}.key");
        let bits = "rsa_keygen_bits:2048";
        foreign(&self.b.dir, "openssl", &["genpkey", "-algorithm", "RSA", "-pkeyopt", bits, "-out", &key]);
    }

    pub fn up(&self) -> Up<'_> {
        let words = ["up", "-o", "json"];
        let mut command = match self.offset {
            Some(offset) => self.b.command_at(offset, &words),
            None => self.b.command(&words),
        };
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let said = serde_json::from_str(&line).unwrap_or_else(|e| panic!("{line}: {e}"));
        Up { site: self, child, said }
    }

    /// Why something was refused, as the operator learns it.
    #[track_caller]
    pub fn why(&self, identifier: &str, code: &str) {
        let said = match self.offset {
            Some(offset) => text(&self.b.command_at(offset, &["explain", identifier]).output().unwrap().stdout),
            None => self.b.ok(&["explain", identifier]),
        };
        assert!(said.contains(&format!("({code})")), "{code}: {said}");
    }

    /// How certificates stand: each that was made under a profile, by its number, with `true` if it is revoked.
    pub fn standing(&self, profile: &str) -> Vec<(String, bool)> {
        let words = ["cert", "list", "--profile", profile, "-o", "json"];
        let said = match self.offset {
            Some(offset) => text(&self.b.command_at(offset, &words).output().unwrap().stdout),
            None => self.b.ok(&words),
        };
        let rows: Value = serde_json::from_str(&said).unwrap();
        let of = |row: &Value| (row["serial"].as_str().unwrap().to_owned(), !row["revoked_at"].is_null());
        rows.as_array().unwrap().iter().map(of).collect()
    }

    /// The serial number of a certificate in a file.
    pub fn serial(&self, file: &str) -> String {
        let said = foreign(&self.b.dir, "openssl", &["x509", "-in", file, "-noout", "-serial"]);
        said.trim().trim_start_matches("serial=").to_lowercase()
    }

    pub fn read(&self, file: &str) -> Vec<u8> {
        std::fs::read(self.b.dir.join(file)).unwrap_or_else(|e| panic!("{file}: {e}"))
    }
}

/// What came over HTTP.
#[derive(Debug, PartialEq, Eq)]
pub struct Got {
    pub status: u16,
    pub media_type: String,
    pub body: Vec<u8>,
}

impl Draft<'_> {
    pub fn sent(&self, up: &Up<'_>, label: &str) -> Said {
        up.post(label, &self.signed(&up.site.b)).said(up)
    }
}

impl Got {
    #[track_caller]
    pub fn said(&self, up: &Up<'_>) -> Said {
        assert_eq!((self.status, self.media_type.as_str()), (200, "application/x-pki-message"), "{}", text(&self.body));
        said(&up.site.b, &self.body)
    }
}

impl Up<'_> {
    pub fn url(&self, label: &str) -> String {
        format!("http://{}/scep/{label}/pkiclient.exe", self.address())
    }
    fn address(&self) -> String {
        let port = self.said["http"].as_str().unwrap().rsplit(':').next().unwrap();
        format!("127.0.0.1:{port}")
    }

    /// strongSwan's `pki`, which is a client of this protocol.
    pub fn pki(&self, words: &[&str]) -> Output {
        let mut command = match self.site.offset {
            Some(offset) => {
                let mut command = Command::new("faketime");
                command.args(["-f", offset, "pki"]);
                command
            }
            None => Command::new("pki"),
        };
        command.args(words).current_dir(&self.site.b.dir).stdin(Stdio::null()).output().unwrap()
    }

    /// Has strongSwan fetch the certificates of a label, into `ra.pem`, and `ca.pem`, `ca-1.pem` and so on.
    #[track_caller]
    pub fn fetch(&self, label: &str) {
        let said = self.pki(&[
            "--scepca",
            "--url",
            &self.url(label),
            "--caout",
            "ca.pem",
            "--raout",
            "ra.pem",
            "--outform",
            "pem",
            "-F",
        ]);
        assert!(said.status.success(), "{}{}", text(&said.stdout), text(&said.stderr));
    }

    /// Has strongSwan ask for a certificate for NAME.key, into NAME.pem. What it complained of, if it has none.
    pub fn asks(&self, label: &str, name: &str, words: &[&str]) -> Result<(), String> {
        let (url, key) = (self.url(label), format!("{name}.key"));
        let always = ["--scep", "--url", &url, "--in", &key, "--outform", "pem", "--interval", "1"];
        let trust =
            ["--cacert-enc", "ra.pem", "--cacert-sig", "ra.pem", "--cacert", "factory.pem", "--cacert", "root.pem"];
        let output = self.pki(&[&always[..], &trust, words].concat());
        if !output.status.success() {
            return Err(text(&output.stdout) + &text(&output.stderr));
        }
        self.site.b.write(&format!("{name}.pem"), text(&output.stdout));
        Ok(())
    }

    #[track_caller]
    pub fn has(&self, label: &str, name: &str, words: &[&str]) {
        self.asks(label, name, words).unwrap_or_else(|said| panic!("{words:?}: {said}"));
    }

    /// One request over HTTP/1.0.
    pub fn http(&self, method: &str, path: &str, body: &[u8]) -> Got {
        let mut line = TcpStream::connect(self.address()).unwrap();
        let head = format!(
            "{method} {path} HTTP/1.0\r\nHost: cm\r\nContent-Type: application/x-pki-message\r\nContent-Length: {}\r\n\r\n",
            body.len()
        );
        // The answer to what is too long may come before all of it is sent.
        let _sent = line.write_all(head.as_bytes()).and_then(|()| line.write_all(body));
        let mut all = Vec::new();
        let _or_cut_off = line.read_to_end(&mut all);
        let end = all.windows(4).position(|four| four == b"\r\n\r\n").unwrap_or_else(|| panic!("{}", text(&all)));
        let head = text(&all[..end]).to_lowercase();
        let field = |name: &str| head.lines().find_map(|line| Some(line.strip_prefix(name)?.trim().to_owned()));
        Got {
            status: head.split(' ').nth(1).unwrap().parse().unwrap(),
            media_type: field("content-type:").unwrap_or_default(),
            body: all[end + 4..].to_vec(),
        }
    }

    pub fn post(&self, label: &str, message: &[u8]) -> Got {
        self.http("POST", &format!("/scep/{label}/pkiclient.exe?operation=PKIOperation"), message)
    }

    pub fn down(mut self) {
        self.end();
    }

    fn end(&mut self) {
        // Under another clock the box is a child of the program that gives it that.
        let own = self.child.id().to_string();
        let below =
            Command::new("pgrep").args(["-P", &own]).output().map(|said| text(&said.stdout)).unwrap_or_default();
        let told = if self.site.offset.is_some() { below.trim().to_owned() } else { own };
        let _told = Command::new("kill").arg(told).status();
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
