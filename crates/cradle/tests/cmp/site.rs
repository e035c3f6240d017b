//! A box that answers CMP, and `openssl cmp`.

use crate::common::{Box_, foreign, text};
use serde_json::Value;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};

const GATEWAY: &str = "
[gateway]
https = \"127.0.0.1:0\"
http = \"127.0.0.1:0\"
names = [\"cm.internal\"]
label = \"devices\"
[gateway.est.devices]
profile = \"ldevid\"
[gateway.cmp.devices]
profile = \"ldevid\"
[gateway.cmp.explicit]
profile = \"ldevid\"
implicit_confirm = false
confirm_within_s = 2
[gateway.cmp.identity]
profile = \"idevid\"
";

/// A box whose devices SN000001 to SN000009 are expected under `ldevid`.
pub struct Site {
    pub b: Box_,
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
        b.device_type("sensor", "");
        let lines: String = (1..=9).map(|n| format!("SN{n:06},sensor,,ldevid\n")).collect();
        b.write("devices.csv", format!("serial,type,board,profile\n{lines}"));
        b.ok(&["list", "import", "devices.csv"]);
        b.ok(&["mode", "set", "certificate-management"]);
        b.ok(&["module", "add", "gateway"]);
        b.write("chain.pem", b.ok(&["ca", "chain", "factory"]));
        Self { b }
    }

    /// Lets a device enrol with a secret. Gives the secret.
    pub fn secret(&self, serial: &str) -> String {
        self.b.json(&["device", "allow", serial, "--secret"])["secret"].as_str().unwrap().to_owned()
    }

    /// A new key, in NAME.key.
    pub fn key(&self, name: &str) {
        let key = format!("{name}.key");
        let new = ["genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-out", &key];
        foreign(&self.b.dir, "openssl", &new);
    }

    pub fn up(&self) -> Up<'_> {
        let mut child = self.b.command(&["up", "-o", "json"]).stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let said = serde_json::from_str(&line).unwrap_or_else(|e| panic!("{line}: {e}"));
        Up { site: self, child, said }
    }

    /// Why a message was refused, as the operator learns it.
    #[track_caller]
    pub fn why(&self, identifier: &str, code: &str) {
        let said = self.b.ok(&["explain", identifier]);
        assert!(said.contains(&format!("({code})")), "{said}");
    }

    /// The serial number of a certificate in a file.
    pub fn serial(&self, file: &str) -> String {
        let said = foreign(&self.b.dir, "openssl", &["x509", "-in", file, "-noout", "-serial"]);
        said.trim().trim_start_matches("serial=").to_lowercase()
    }

    /// How a certificate stands: each that was made under `ldevid`, by its number, with `true` if it is revoked.
    pub fn standing(&self) -> Vec<(String, bool)> {
        let rows = self.b.json(&["cert", "list", "--profile", "ldevid"]);
        let of = |row: &Value| (row["serial"].as_str().unwrap().to_owned(), !row["revoked_at"].is_null());
        rows.as_array().unwrap().iter().map(of).collect()
    }
}

impl Up<'_> {
    pub fn address(&self, which: &str) -> String {
        let port = self.said[which].as_str().unwrap().rsplit(':').next().unwrap();
        format!("127.0.0.1:{port}")
    }

    /// Runs `openssl cmp`. Whether it went well, and what it said.
    pub fn cmp(&self, path: &str, words: &[&str]) -> (bool, String) {
        let server = self.address("http");
        let always = ["cmp", "-config", "", "-server", &server, "-path", path, "-msg_timeout", "60"];
        let trust = ["-trusted", "chain.pem", "-no_proxy", "127.0.0.1"];
        let mut command = Command::new("openssl");
        command.current_dir(&self.site.b.dir).args(always).args(trust).args(words);
        let output = command.stdin(Stdio::null()).output().unwrap();
        (output.status.success(), text(&output.stdout) + &text(&output.stderr))
    }

    #[track_caller]
    pub fn goes(&self, path: &str, words: &[&str]) -> String {
        let (well, said) = self.cmp(path, words);
        assert!(well, "{words:?}: {said}");
        said
    }

    /// What `openssl cmp` is refused with: it names the failure, and the identifier is given back.
    #[track_caller]
    pub fn refused(&self, path: &str, words: &[&str], failure: &str) -> String {
        let (well, said) = self.cmp(path, words);
        assert!(!well && said.contains(failure), "{words:?}: {said}");
        identifier(&said).unwrap_or_else(|| panic!("{said}"))
    }

    /// Posts one message over HTTP/1.0 and gives the body of the answer.
    pub fn post(&self, path: &str, message: &[u8]) -> Vec<u8> {
        let mut line = TcpStream::connect(self.address("http")).unwrap();
        exchange(&mut line, path, "application/pkixcmp", message).1
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

/// The identifier that a refusal names.
pub fn identifier(said: &str) -> Option<String> {
    let (_, rest) = said.split_once("Identifier: ")?;
    Some(rest.chars().take_while(char::is_ascii_hexdigit).collect())
}

/// One request over HTTP/1.0 that keeps the connection, and its answer: status line and body.
pub fn exchange(line: &mut TcpStream, path: &str, media_type: &str, message: &[u8]) -> (String, Vec<u8>) {
    let head = format!(
        "POST {path} HTTP/1.0\r\nHost: cm\r\nConnection: keep-alive\r\nContent-Type: {media_type}\r\n\
         Content-Length: {}\r\n\r\n",
        message.len()
    );
    line.write_all(&[head.as_bytes(), message].concat()).unwrap();
    let mut reader = BufReader::new(line);
    let (mut status, mut length) = (String::new(), 0);
    reader.read_line(&mut status).unwrap();
    loop {
        let mut field = String::new();
        reader.read_line(&mut field).unwrap();
        let field = field.trim().to_lowercase();
        if field.is_empty() {
            break;
        }
        if let Some(said) = field.strip_prefix("content-length:") {
            length = said.trim().parse().unwrap();
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).unwrap();
    (status.trim().to_owned(), body)
}
