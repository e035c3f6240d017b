//! A box that is up, with a gateway, and devices that ask it: by the agent, or by curl and openssl.
#![allow(dead_code, reason = "not all of it is needed by each of the tests")]

use crate::common::{Box_, foreign, port_of_its_own, text};
use serde_json::Value;
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Output, Stdio};

/// If this is set, this program is the agent.
pub const ARGUMENTS: &str = "CRADLE_AGENT_ARGUMENTS";

/// A box whose devices SN000001 to SN000006 are expected under `ldevid`, over EST at a port that stays the same.
pub struct Site {
    pub b: Box_,
    https: u16,
    http: u16,
    /// How far the clock of everybody is off.
    pub offset: Option<&'static str>,
}

/// A box that is up.
pub struct Up<'s> {
    site: &'s Site,
    pub child: Child,
    pub said: Value,
}

/// What curl got.
pub struct Got {
    pub status: u16,
    pub body: Vec<u8>,
    pub head: String,
}

impl Got {
    /// The identifier of a refusal, which must look like every other.
    #[track_caller]
    pub fn refused(&self) -> String {
        let said = text(&self.body);
        assert_eq!(self.status, 403, "{said}");
        let id = said.strip_prefix("Refused. Identifier: ").unwrap_or_else(|| panic!("{said}"));
        id.trim().to_owned()
    }
}

impl Site {
    pub fn new(name: &str) -> Self {
        Self::with(name, |_| {})
    }

    /// The same, with profiles and settings that are changed before anything is made.
    pub fn with(name: &str, change: impl FnOnce(&Box_)) -> Self {
        let site = Self { b: Box_::new(name), https: port_of_its_own(), http: port_of_its_own(), offset: None };
        let b = &site.b;
        // The name under which a test reaches it, too.
        site.edit("profiles/gateway.toml", "subject_alt_name = [", "subject_alt_name = [{ dns = \"localhost\" }, ");
        let gateway = format!(
            "\n[gateway]\nhttps = \"127.0.0.1:{}\"\nhttp = \"127.0.0.1:{}\"\nnames = [\"cm.internal\"]\nlabel = \"devices\"\n\
             [gateway.est.devices]\nprofile = \"ldevid\"\n[gateway.est.servers]\nprofile = \"tls-server\"\n\
             [gateway.est.one-line]\nprofile = \"ldevid\"\nbase64_line = 0\n",
            site.https, site.http
        );
        let settings = b.data().join("cradle.toml");
        let before = std::fs::read_to_string(&settings).unwrap();
        std::fs::write(&settings, before + &gateway).unwrap();
        change(b);
        b.device_type("sensor", "");
        let lines: String = (1..=6).map(|n| format!("SN{n:06},sensor,,ldevid\n")).collect();
        b.write("devices.csv", format!("serial,type,board,profile\n{lines}"));
        b.ok(&["list", "import", "devices.csv"]);
        b.ok(&["mode", "set", "certificate-management"]);
        b.ok(&["module", "add", "gateway"]);
        let chain = b.ok(&["ca", "chain", "factory"]);
        let root = chain.rfind("-----BEGIN").unwrap();
        b.write("root.pem", &chain[root..]);
        b.write("chain.pem", &chain);
        site
    }

    /// No installation at all, for a server of somebody else's at this port.
    pub fn of_another(name: &str, port: u16) -> Self {
        Self { b: Box_::empty(name), https: port, http: 0, offset: None }
    }

    /// Replaces a text in a file of the installation, which must be there.
    pub fn edit(&self, file: &str, from: &str, to: &str) {
        let path = self.b.data().join(file);
        let before = std::fs::read_to_string(&path).unwrap();
        assert!(before.contains(from), "{before}");
        std::fs::write(&path, before.replacen(from, to, 1)).unwrap();
    }

    /// Lets a device enrol with a secret. Gives the secret.
    pub fn secret(&self, serial: &str) -> String {
        self.b.json(&["device", "allow", serial, "--secret"])["secret"].as_str().unwrap().to_owned()
    }

    /// A new key and a request, in NAME.key and NAME.csr.
    pub fn request(&self, name: &str, subject: &str) {
        let (key, csr) = (format!("{name}.key"), format!("{name}.csr"));
        let new = ["req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", &key];
        foreign(
            &self.b.dir,
            "openssl",
            &[&new[..], &["-subj", subject, "-outform", "DER", "-out", "request"]].concat(),
        );
        foreign(&self.b.dir, "openssl", &["base64", "-in", "request", "-out", &csr]);
    }

    /// The subject of a certificate in a file, as a request has it.
    pub fn subject(&self, file: &str) -> String {
        let words = ["x509", "-in", file, "-noout", "-subject", "-nameopt", "compat"];
        let said = foreign(&self.b.dir, "openssl", &words);
        said.trim().trim_start_matches("subject=").trim().to_owned()
    }

    /// The serial number of a certificate in a file.
    pub fn serial(&self, file: &str) -> String {
        let said = foreign(&self.b.dir, "openssl", &["x509", "-in", file, "-noout", "-serial"]);
        said.trim().trim_start_matches("serial=").to_lowercase()
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

    /// Why a request was refused, as the operator learns it.
    #[track_caller]
    pub fn why(&self, identifier: &str, code: &str) {
        let said = match self.offset {
            Some(offset) => text(&self.b.command_at(offset, &["explain", identifier]).output().unwrap().stdout),
            None => self.b.ok(&["explain", identifier]),
        };
        assert!(said.contains(&format!("({code})")), "{said}");
    }

    /// The ports that it is told to listen on.
    pub const fn ports(&self) -> [u16; 2] {
        [self.https, self.http]
    }

    /// The address of EST.
    pub fn url(&self) -> String {
        format!("https://localhost:{}/.well-known/est/devices", self.https)
    }

    /// A device NAME, whose agent keeps its things in the directory NAME and is configured so.
    pub fn device(&self, serial: &str, more: &str) {
        let url = self.url();
        self.b.write(
            "agent.toml",
            format!("device = 'urn:dev:ops:32473-sensor-{serial}'\ndata = 'agent'\n[enrolment]\nurl = '{url}'\nroot = 'root.pem'\n{more}"),
        );
    }

    /// A command of the agent, started by the words in `before` if there are any.
    pub fn agent(&self, before: &[&str], arguments: &[&str]) -> Command {
        let arguments = [arguments, &["--config", "agent.toml"]].concat();
        let own = std::env::current_exe().unwrap();
        let own = [own.to_str().unwrap(), "--exact", "the_agent", "--ignored", "--nocapture"];
        let clock = self.offset.map_or(vec![], |offset| vec!["faketime", "-f", offset]);
        let words = [&clock[..], before, &own].concat();
        let mut command = Command::new(words[0]);
        command.args(&words[1..]).current_dir(&self.b.dir).env(ARGUMENTS, arguments.join("\n"));
        command
    }

    pub fn run(&self, arguments: &[&str]) -> (i32, String, String) {
        said(&self.agent(&[], arguments).output().unwrap())
    }

    /// A command of the agent that ends well. Gives what it says.
    #[track_caller]
    pub fn does(&self, arguments: &[&str]) -> String {
        let (status, out, err) = self.run(arguments);
        assert_eq!((status, err.as_str()), (0, ""), "{out}");
        out
    }

    /// One that does not, for this reason. Gives its complaint.
    #[track_caller]
    pub fn fails(&self, arguments: &[&str], code: &str) -> String {
        let (status, out, err) = self.run(arguments);
        assert_eq!((status, out.as_str()), (1, ""), "{err}");
        assert!(err.contains(&format!("code: {code}\n")), "{err}");
        err
    }

    /// Writes a secret so that nobody else can read it, and has the agent enrol with it.
    #[track_caller]
    pub fn enrol(&self, secret: &str) -> String {
        self.keep("secret", secret);
        self.does(&["enrol", "--secret", "secret"])
    }

    /// Writes a file that nobody else can read.
    pub fn keep(&self, name: &str, octets: &str) {
        self.b.write(name, octets);
        foreign(&self.b.dir, "chmod", &["600", name]);
    }

    pub fn identity(&self) -> Value {
        let said: Value = serde_json::from_str(&self.does(&["status", "-o", "json"])).unwrap();
        said["identity"].clone()
    }
}

/// Status, output and complaints of the agent, without what the harness says around it.
pub fn said(output: &Output) -> (i32, String, String) {
    let out = text(&output.stdout);
    let out = out.split_once("running 1 test\n").map_or(out.as_str(), |(_, after)| after).to_owned();
    (output.status.code().unwrap_or(-1), out, text(&output.stderr))
}

/// The identifier that a refusal names.
pub fn identifier(said: &str) -> Option<String> {
    let (_, rest) = said.split_once("Identifier: ")?;
    Some(rest.chars().take_while(char::is_ascii_hexdigit).collect())
}

pub fn shows(name: &str) -> [String; 4] {
    ["--cert".into(), format!("{name}.pem"), "--key".into(), format!("{name}.key")]
}
pub fn words(owned: &[String]) -> Vec<&str> {
    owned.iter().map(String::as_str).collect()
}

impl Up<'_> {
    pub fn curl(&self, address: &str, words: &[&str]) -> Got {
        let port = self.said[address].as_str().unwrap().rsplit(':').next().unwrap().to_owned();
        let url = format!("{address}://localhost:{port}{}", words.last().unwrap());
        let curl = ["curl", "-sS", "-D", "head", "-o", "body"];
        let clock = self.site.offset.map_or(vec![], |offset| vec!["faketime", "-f", offset]);
        let all = [&clock[..], &curl].concat();
        let dir = &self.site.b.dir;
        let _none_before = (std::fs::remove_file(dir.join("head")), std::fs::remove_file(dir.join("body")));
        let mut command = Command::new(all[0]);
        command.args(&all[1..]).args(["-w", "%{http_code}", "--path-as-is", "--cacert", "root.pem"]);
        let output = command.args(&words[..words.len() - 1]).arg(&url).current_dir(dir).output().unwrap();
        assert!(output.status.success(), "{words:?}: {}", text(&output.stderr));
        let read = |name: &str| std::fs::read(dir.join(name)).unwrap_or_default();
        Got {
            status: text(&output.stdout).parse().unwrap(),
            body: read("body"),
            head: text(&read("head")).to_lowercase(),
        }
    }

    /// Posts a message of CMP and gives the body of the answer.
    pub fn post(&self, path: &str, message: &[u8]) -> Vec<u8> {
        self.site.b.write("message", message);
        let post = ["--data-binary", "@message", "-H", "Content-Type: application/pkixcmp"];
        self.curl("http", &[&post[..], &[path]].concat()).body
    }

    /// Asks for a certificate for NAME.csr.
    pub fn ask(&self, name: &str, operation: &str, shown: &[&str]) -> Got {
        let csr = format!("@{name}.csr");
        let path = format!("/.well-known/est/{operation}");
        let post = ["--data-binary", &csr, "-H", "Content-Type: application/pkcs10"];
        self.curl("https", &[&post[..], shown, &[&path]].concat())
    }

    /// The same; it must be had, and stands in NAME.pem then.
    #[track_caller]
    pub fn had(&self, name: &str, operation: &str, shown: &[&str]) -> Got {
        let got = self.ask(name, operation, shown);
        assert_eq!(got.status, 200, "{}", text(&got.body));
        assert!(got.head.contains("application/pkcs7-mime; smime-type=certs-only"), "{}", got.head);
        let (dir, pem) = (&self.site.b.dir, format!("{name}.pem"));
        // In one line or in many, openssl is told which.
        let lines: &[&str] = if text(&got.body).contains('\n') { &[] } else { &["-A"] };
        foreign(dir, "openssl", &[&["base64", "-d", "-in", "body", "-out", "p7"], lines].concat());
        foreign(dir, "openssl", &["pkcs7", "-inform", "DER", "-in", "p7", "-print_certs", "-out", &pem]);
        let certificates = std::fs::read_to_string(dir.join(&pem)).unwrap().matches("BEGIN CERTIFICATE").count();
        assert_eq!(certificates, 1, "RFC 7030 §4.2.3: the one that was issued");
        got
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
