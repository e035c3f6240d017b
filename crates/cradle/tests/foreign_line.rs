//! A foreign authority behind km, from the command line: attach, a line of boards, explain, revoke, what is interrupted,
//! and what answers otherwise than it should. `openssl cmp` answers; between it and us stands a front that makes what is
//! asked for, starts a server of OpenSSL for each certificate, and may hold messages back.
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
use std::collections::{BTreeMap, HashMap};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use wire::cmp::header::TypeAndValue;
use wire::cmp::protection::{MacAlgorithm, MacKind};
use wire::cmp::{Body, Message, message};
use x509::certificate::TbsCertificate;
use x509::crmf::CertReqMsg;
use x509::{Certificate, SerialNumber, SignatureAlgorithm, csr, pem};

/// What is done to certificates before they are signed.
type Change = fn(&mut TbsCertificate);

/// What the front does with a message that it knows by the number of its body.
#[derive(Clone, Copy, Default)]
struct Plan {
    /// Bodies whose messages are swallowed: nobody answers.
    swallow: Option<u8>,
    /// Bodies whose messages reach the server, and whose answers are lost.
    lose: Option<u8>,
    /// The file of the certificate that is said to be the authority's when somebody asks.
    says: Option<&'static str>,
    /// Arguments of the server of a new certificate.
    server: &'static str,
    change: Option<Change>,
}
const IR: u8 = 0;
const RR: u8 = 11;
const CERT_CONF: u8 = 24;
const POLL_REQ: u8 = 25;

struct Front {
    port: u16,
    plan: Mutex<Plan>,
    dir: PathBuf,
    told: Mutex<Sender<u8>>,
    state: Mutex<State>,
}

/// What it knows of its transactions and certificates.
#[derive(Default)]
struct State {
    servers: Vec<Server>,
    by_transaction: HashMap<Vec<u8>, usize>,
    by_serial: BTreeMap<SerialNumber, usize>,
    /// Every message: its body's number and its transaction.
    seen: Vec<(u8, Vec<u8>)>,
}

struct Server {
    child: Child,
    port: u16,
}
impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn openssl(dir: &Path, arguments: &str) -> Command {
    let mut command = Command::new("openssl");
    command.current_dir(dir).env("OPENSSL_CONF", "/dev/null").args(arguments.split_whitespace());
    command
}

fn serve(dir: &Path, arguments: &str) -> Server {
    let always = "cmp -port 0 -srv_cert server.pem -srv_key server.key -srv_trusted ca.pem \
                  -srv_ref foreign -srv_secret pass:shared -accept_raverified";
    let mut child =
        openssl(dir, &format!("{always} {arguments}")).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let port = lines.find_map(|line| {
        let line = line.unwrap();
        line.strip_prefix("ACCEPT ")?.split(' ').next()?.rsplit(':').next()?.parse().ok()
    });
    Server { child, port: port.expect("the server does not listen") }
}

/// The foreign authority's files, in a directory of the box.
fn authority(dir: &Path) {
    std::fs::create_dir_all(dir).unwrap();
    let run = |arguments: &str| {
        let done = openssl(dir, arguments).output().unwrap();
        assert!(done.status.success(), "{arguments}: {}", text(&done.stderr));
    };
    for name in ["ca", "server", "other", "twin"] {
        run(&format!("ecparam -name prime256v1 -genkey -noout -out {name}.key"));
    }
    for (name, subject) in
        [("ca", "/O=Foreign/CN=Issuing"), ("other", "/O=Foreign/CN=Other"), ("twin", "/O=Foreign/CN=Issuing")]
    {
        run(&format!(
            "req -x509 -new -key {name}.key -subj {subject} -days 3650 -out {name}.pem \
             -addext basicConstraints=critical,CA:TRUE -addext keyUsage=critical,keyCertSign,cRLSign"
        ));
    }
    std::fs::write(dir.join("ext"), "keyUsage=critical,digitalSignature\nextendedKeyUsage=1.3.6.1.5.5.7.3.27\n")
        .unwrap();
    run("req -new -key server.key -subj /O=Foreign/CN=server -out server.csr");
    run("x509 -req -in server.csr -CA ca.pem -CAkey ca.key -set_serial 0x70 -days 365 -extfile ext -out server.pem");
}

fn certificate(path: &Path) -> Certificate {
    Certificate::decode(&pem::decode(&std::fs::read(path).unwrap()).unwrap().1).unwrap()
}

impl Front {
    fn start(dir: PathBuf) -> (Arc<Self>, Receiver<u8>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let (tell, told) = channel();
        let port = listener.local_addr().unwrap().port();
        let base = serve(&dir, "-rsp_cert server.pem");
        let state = Mutex::new(State { servers: vec![base], ..State::default() });
        let front = Arc::new(Self { port, plan: Mutex::default(), dir, told: Mutex::new(tell), state });
        let answering = Arc::clone(&front);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let front = Arc::clone(&answering);
                std::thread::spawn(move || front.answer(stream.unwrap()));
            }
        });
        (front, told)
    }

    fn plan(&self, plan: Plan) {
        *self.plan.lock().unwrap() = plan;
    }
    /// The transactions in which this was asked, in the order of the messages.
    fn asked(&self, body: u8) -> Vec<Vec<u8>> {
        let state = self.state.lock().unwrap();
        state.seen.iter().filter(|(number, _)| *number == body).map(|(_, transaction)| transaction.clone()).collect()
    }
    fn count(&self, body: u8) -> usize {
        self.asked(body).len()
    }

    fn answer(&self, mut stream: TcpStream) {
        let Some(request) = read_post(&mut stream) else { return };
        let message = Message::decode(&request).unwrap();
        let transaction = message.header.transaction_id.unwrap().to_vec();
        let number = message.body.number();
        let plan = *self.plan.lock().unwrap();
        self.state.lock().unwrap().seen.push((number, transaction.clone()));
        if plan.swallow == Some(number) {
            self.told.lock().unwrap().send(number).unwrap();
            // Held open until whoever asked is gone.
            let _gone = stream.read(&mut [0]);
            return;
        }
        if let (Body::Genm(_), Some(says)) = (&message.body, plan.says) {
            let _gone = stream.write_all(&introduced(&message, &certificate(&self.dir.join(says))));
            return;
        }
        let port = self.server_of(&message, &transaction, plan);
        let answer = forward(port, &request);
        self.told.lock().unwrap().send(number).unwrap();
        if plan.lose != Some(number) {
            let _gone = stream.write_all(&answer);
        }
    }

    fn server_of(&self, message: &Message<'_>, transaction: &[u8], plan: Plan) -> u16 {
        let mut state = self.state.lock().unwrap();
        let known = match &message.body {
            Body::Rr(details) => {
                let named = |serial: &SerialNumber| {
                    details[0].cert_details.windows(serial.octets().len()).any(|w| w == serial.octets())
                };
                state.by_serial.iter().find(|(serial, _)| named(serial)).map(|(_, n)| *n)
            }
            Body::Ir(request) => Some(self.certify(&mut state, request, transaction, plan)),
            _ => state.by_transaction.get(transaction).copied(),
        };
        state.servers[known.unwrap_or(0)].port
    }

    /// Makes the certificate that is asked for, and a server that gives it.
    fn certify(&self, state: &mut State, request: &[u8], transaction: &[u8], plan: Plan) -> usize {
        let asked = CertReqMsg::decode_only(request).unwrap().cert_template;
        let issuer = certificate(&self.dir.join("ca.pem"));
        let n = state.servers.len();
        let mut serial = [0x5a; 10];
        serial[9] = u8::try_from(n).unwrap();
        let now = ports::Clock::now(&adapters::clock::SystemClock);
        let mut tbs = TbsCertificate {
            serial_number: SerialNumber::new(&serial).unwrap(),
            signature: SignatureAlgorithm::EcdsaSha256,
            issuer: issuer.tbs().subject.clone(),
            not_before: now.minus_s(60).whole_second(),
            not_after: now.plus_s(86_400).whole_second(),
            subject: asked.subject.unwrap(),
            subject_public_key: asked.public_key,
            extensions: asked.extensions,
        };
        if let Some(change) = plan.change {
            change(&mut tbs);
        }
        let octets = tbs.write();
        std::fs::write(self.dir.join(format!("tbs-{n}")), &octets).unwrap();
        foreign(
            &self.dir,
            "openssl",
            &["dgst", "-sha256", "-sign", "ca.key", "-out", &format!("sig-{n}"), &format!("tbs-{n}")],
        );
        let signature = std::fs::read(self.dir.join(format!("sig-{n}"))).unwrap();
        let der = csr::write_signed(&octets, SignatureAlgorithm::EcdsaSha256, &signature);
        std::fs::write(self.dir.join(format!("cert-{n}.pem")), pem::encode("CERTIFICATE", &der)).unwrap();
        state.servers.push(serve(&self.dir, &format!("-rsp_cert cert-{n}.pem {}", plan.server)));
        state.by_transaction.insert(transaction.to_vec(), n);
        state.by_serial.insert(tbs.serial_number, n);
        n
    }
}

/// The answer to the question for the authority's certificates, which the server of OpenSSL does not know.
fn introduced(asked: &Message<'_>, authority: &Certificate) -> Vec<u8> {
    let (salt, nonce) = ([3; 16], [4; 16]);
    let algorithm = MacAlgorithm::own(MacKind::PasswordBasedMac, &salt);
    let written = algorithm.write();
    let header = wire::cmp::Header {
        sender: asked.header.recipient,
        recipient: asked.header.sender,
        protection_alg: Some(&written),
        sender_nonce: Some(&nonce),
        recip_nonce: asked.header.sender_nonce,
        ..asked.header.clone()
    };
    let mut w = x509::Writer::with_capacity(1024);
    w.sequence(|w| {
        w.raw(authority.der());
    });
    let list = w.finish();
    let item = TypeAndValue { info_type: wire::cmp::oids::CA_CERTS, info_value: Some(&list) };
    let part = message::protected_part(&header, &Body::Genp(vec![item]));
    let answer = message::finish(&part, Some(&algorithm.mac(b"shared", &part)), &[]);
    let head =
        format!("HTTP/1.1 200 OK\r\nContent-Type: application/pkixcmp\r\nContent-Length: {}\r\n\r\n", answer.len());
    [head.as_bytes(), &answer].concat()
}

/// The body of a request over HTTP.
fn read_post(stream: &mut TcpStream) -> Option<Vec<u8>> {
    let mut octets = Vec::new();
    let mut buffer = [0; 4096];
    loop {
        let head = octets.windows(4).position(|w| w == b"\r\n\r\n");
        if let Some(head) = head {
            let lines = text(&octets[..head]);
            let length = lines.lines().find_map(|line| line.strip_prefix("Content-Length: "))?.parse::<usize>().ok()?;
            if octets.len() >= head + 4 + length {
                return Some(octets[head + 4..].to_vec());
            }
        }
        match stream.read(&mut buffer).ok()? {
            0 => return None,
            n => octets.extend(&buffer[..n]),
        }
    }
}

fn forward(port: u16, request: &[u8]) -> Vec<u8> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    let head = format!(
        "POST /pkix/ HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/pkixcmp\r\nContent-Length: {}\r\n\
         Connection: close\r\n\r\n",
        request.len()
    );
    stream.write_all(&[head.as_bytes(), request].concat()).unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    answer
}

/// A box whose devices are certified by a foreign authority, and that authority.
struct World {
    b: Box_,
    front: Arc<Front>,
    told: Receiver<u8>,
}

const ATTACH: [&str; 12] = [
    "ca",
    "attach",
    "outside",
    "--certificate",
    "foreign/ca.pem",
    "--secret-file",
    "foreign/secret",
    "--reference",
    "box-1",
    "--mac",
    "password-based",
    "--yes",
];

impl World {
    fn unattached(name: &str) -> Self {
        let b = Box_::with_software(name);
        let dir = b.dir.join("foreign");
        authority(&dir);
        b.write("foreign/secret", "shared\n");
        let (front, told) = Front::start(dir);
        let path = b.data().join("profiles/idevid.toml");
        let profile = std::fs::read_to_string(&path).unwrap();
        let profile = profile
            .replace("issuers = [\"factory\"]", "issuers = [\"outside\"]")
            .replace("not_after = \"99991231235959Z\"", "lifetime_s = 31_536_000");
        std::fs::write(path, profile).unwrap();
        b.device_type("sensor", "count = 1");
        Self { b, front, told }
    }

    fn url(&self) -> String {
        format!("cmp://127.0.0.1:{}/pkix/", self.front.port)
    }

    fn new(name: &str) -> Self {
        let world = Self::unattached(name);
        world.b.ok(&["mode", "set", "ceremony"]);
        world.b.ok(&[&ATTACH[..], &["--url", &world.url()]].concat());
        world.b.ok(&["mode", "set", "provision"]);
        world
    }

    #[track_caller]
    fn counts(&self, expected: &[(&str, usize)]) {
        let expected: BTreeMap<_, _> = expected.iter().map(|(what, n)| ((*what).to_owned(), *n)).collect();
        assert_eq!(self.b.count("sensor"), expected);
    }

    /// Runs the line, and kills it when the front says that this message came.
    fn kill_at(&self, body: u8) {
        self.front.plan(Plan { swallow: Some(body), ..Plan::default() });
        let mut command = self.b.command(&["station", "run", "sensor"]);
        let command = command.env("CRADLE_OPERATOR", "operator").stdout(Stdio::null()).stderr(Stdio::null());
        let mut child = command.spawn().unwrap();
        while self.told.recv().unwrap() != body {}
        child.kill().unwrap();
        child.wait().unwrap();
        self.front.plan(Plan::default());
    }

    fn open(&self) -> Vec<serde_json::Value> {
        self.b.json(&["ca", "show", "outside"])["open"].as_array().unwrap().clone()
    }
    /// The certificates that the foreign authority made, as the records know them.
    fn certificates(&self) -> Vec<serde_json::Value> {
        self.b.json(&["cert", "list", "--authority", "outside"]).as_array().unwrap().clone()
    }
}

#[test]
fn blank_boards_in_certified_devices_out() {
    let w = World::new("foreign-line");
    w.b.device_type("sensor", "count = 6");
    w.counts(&[("provisioned", 6)]);
    assert_eq!(w.certificates().len(), 6);
    assert_eq!((w.front.count(IR), w.front.count(CERT_CONF)), (6, 6));
    let sound = w.b.sound();
    assert_eq!(sound["devices_provisioned"], 6);
    let listed = w.b.json(&["ca", "list"]);
    let row = listed.as_array().unwrap().iter().find(|row| row["name"] == "outside").unwrap();
    let url = format!("http://127.0.0.1:{}/pkix/", w.front.port);
    assert_eq!((&row["kind"], &row["state"], row["url"].as_str()), (&"foreign".into(), &"asked".into(), Some(&*url)));
    let shown = w.b.json(&["ca", "show", "outside"]);
    assert_eq!((&shown["protection"], &shown["reference"]), (&"secret".into(), &"box-1".into()));
    // Who asked, what allowed it, and what was asked outside.
    let explained = w.b.ok(&["explain", "SN000003"]);
    for words in ["The foreign authority outside was asked", "Grant", "of list devices", "was taken and recorded"] {
        assert!(explained.contains(words), "{words}: {explained}");
    }
    // The secret is nowhere but in the keystore.
    for file in ["cradle.toml", "cradle.db", "cradle.db-wal", "keys/foreign.outside.1.p8"] {
        let octets = std::fs::read(w.b.data().join(file)).unwrap_or_default();
        assert!(!octets.windows(6).any(|w| w == b"shared"), "{file}");
    }
    let all = w.b.ok(&["cert", "export", "--authority", "outside", "--as", "pem"]);
    assert!(all.matches("BEGIN CERTIFICATE").count() >= 6);
}

#[test]
fn what_protects_requests_may_be_a_key() {
    let w = World::unattached("foreign-key");
    let dir = w.b.dir.join("foreign");
    let run = |arguments: &str| assert!(openssl(&dir, arguments).status().unwrap().success(), "{arguments}");
    run("genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out ra.key");
    run("req -new -key ra.key -subj /O=Foreign/CN=ra -out ra.csr");
    std::fs::write(dir.join("ra.ext"), "keyUsage=critical,digitalSignature\nextendedKeyUsage=1.3.6.1.5.5.7.3.28\n")
        .unwrap();
    run("x509 -req -in ra.csr -CA ca.pem -CAkey ca.key -set_serial 0x71 -days 365 -extfile ra.ext -out ra.pem");
    w.b.ok(&["mode", "set", "ceremony"]);
    let attach = ["ca", "attach", "outside", "--certificate", "foreign/ca.pem", "--url", &w.url(), "--yes"];
    let key = ["--key-file", "foreign/ra.key", "--key-certificate", "foreign/ra.pem"];
    w.b.ok(&[&attach[..], &key].concat());
    assert_eq!(w.b.json(&["ca", "show", "outside"])["protection"], "key");
    let other = ["--key-file", "foreign/ra.key", "--key-certificate", "foreign/server.pem"];
    w.b.fails(&[&attach[..], &other].concat(), 2, "key");
    w.b.ok(&["mode", "set", "provision"]);
    w.counts(&[("provisioned", 1)]);
    w.b.sound();
}

#[test]
fn what_is_wrong_with_an_attachment_is_said_before_anything_is_changed() {
    let w = World::unattached("foreign-attach");
    let url = w.url();
    let attach = |more: &[&'static str]| [&ATTACH[..], &["--url", &url], more].concat();
    let said = w.b.fails(&attach(&[]), 3, "wrong-mode");
    assert!(said.contains("cradle mode set ceremony"), "{said}");
    w.b.ok(&["mode", "set", "ceremony"]);
    let before = w.b.ok(&["ca", "list"]);
    let unreachable = [&ATTACH[..], &["--url", "cmp://127.0.0.1:9/pkix/"]].concat();
    let said = w.b.fails(&unreachable, 3, "foreign");
    assert!(said.contains("nothing was sent"), "{said}");
    w.b.write("foreign/secret", "another");
    let said = w.b.fails(&attach(&[]), 3, "foreign");
    assert!(said.contains("check the secret"), "{said}");
    w.b.write("foreign/secret", "shared");
    w.b.fails(&[&ATTACH[..], &["--url", "ftp://127.0.0.1/"]].concat(), 2, "foreign");
    assert_eq!(w.b.ok(&["ca", "list"]), before);
    // Shown and not done; then done, and done again with another secret.
    let dry: Vec<_> = attach(&["--dry-run"]);
    assert!(w.b.ok(&dry).contains("would have"));
    assert_eq!(w.b.ok(&["ca", "list"]), before);
    w.front.plan(Plan { says: Some("other.pem"), ..Plan::default() });
    let said = w.b.fails(&attach(&[]), 3, "foreign");
    assert!(said.contains("not the authority of --certificate"), "{said}");
    assert_eq!(w.b.ok(&["ca", "list"]), before);
    w.front.plan(Plan { says: Some("ca.pem"), ..Plan::default() });
    let attached = w.b.json(&attach(&[]));
    assert_eq!((&attached["kind"], &attached["found"][0]), (&"foreign".into(), &"O=Foreign, CN=Issuing".into()));
    w.b.ok(&attach(&[]));
    let other = ["foreign/other.pem"];
    let named: Vec<_> =
        attach(&[]).into_iter().map(|word| if word == "foreign/ca.pem" { other[0] } else { word }).collect();
    w.b.fails(&named, 6, "name-taken");
    // km has no lists and no authorities of its own below it.
    let path = w.b.data().join("profiles/issuing.toml");
    let profile = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, profile.replace("issuers = [\"root\"]", "issuers = [\"root\", \"outside\"]")).unwrap();
    let listed = w.b.ok(&["ca", "list"]);
    let create = ["ca", "create", "below", "--profile", "issuing", "--issuer", "outside"];
    w.b.fails(&create, 7, "issuer-not-allowed");
    assert_eq!(w.b.ok(&["ca", "list"]), listed);
    assert!(!w.b.data().join("keys/below.p8").exists());
    w.b.fails(&["ca", "rollover", "outside", "--profile", "root", "--yes"], 3, "key-offline");
    w.b.ok(&["mode", "set", "certificate-management"]);
    w.b.fails(&["crl", "issue", "outside"], 3, "key-offline");
    w.b.sound();
}

#[test]
fn a_server_that_is_gone_leaves_the_grant_free() {
    let w = World::new("foreign-gone");
    w.b.ok(&["mode", "set", "ceremony"]);
    w.b.ok(&[&ATTACH[..], &["--unasked", "--url", "cmp://127.0.0.1:9/pkix/"]].concat());
    w.b.ok(&["mode", "set", "provision"]);
    w.b.device_type("sensor", "count = 3");
    w.counts(&[("unavailable", 3)]);
    assert!(w.open().is_empty());
    w.b.sound();
    w.b.ok(&["mode", "set", "ceremony"]);
    w.b.ok(&[&ATTACH[..], &["--url", &w.url()]].concat());
    w.b.ok(&["mode", "set", "provision"]);
    w.counts(&[("provisioned", 3)]);
    w.b.sound();
}

#[test]
fn killed_before_the_answer_it_asks_again_in_the_same_transaction() {
    let w = World::new("foreign-kill-ask");
    w.kill_at(IR);
    w.b.sound();
    w.counts(&[("provisioned", 1)]);
    let asked = w.front.asked(IR);
    assert_eq!((asked.len(), &asked[0]), (2, &asked[1]));
    assert_eq!(w.certificates().len(), 1);
    assert!(w.open().is_empty());
    w.b.sound();
}

#[test]
fn what_was_asked_keeps_its_grant_while_the_authority_is_gone() {
    let w = World::new("foreign-kill-gone");
    w.kill_at(IR);
    let attach = |more: &[&'static str], url: &str| {
        w.b.ok(&["mode", "set", "ceremony"]);
        w.b.ok(&[&ATTACH[..], &["--url", url], more].concat());
        w.b.ok(&["mode", "set", "provision"]);
    };
    attach(&["--unasked"], "cmp://127.0.0.1:9/pkix/");
    w.counts(&[("unavailable", 1)]);
    assert_eq!(w.open().len(), 1);
    w.b.sound();
    attach(&[], &w.url());
    w.counts(&[("provisioned", 1)]);
    assert!(w.open().is_empty());
    w.b.sound();
}

#[test]
fn killed_before_the_certificate_was_taken_it_is_revoked_there_first() {
    let w = World::new("foreign-kill-take");
    w.kill_at(CERT_CONF);
    // Whoever looks sees its number; nothing is recorded as issued.
    assert!(w.certificates().is_empty());
    w.counts(&[("provisioned", 1)]);
    let asked = w.front.asked(IR);
    assert_eq!((asked.len(), w.front.count(RR)), (2, 1));
    assert_ne!(asked[0], asked[1], "a new transaction");
    let certificates = w.certificates();
    assert_eq!(certificates.len(), 1);
    assert_eq!(certificates[0]["serial"].as_str().unwrap(), "5a5a5a5a5a5a5a5a5a02");
    assert!(w.open().is_empty());
    w.b.sound();
}

#[test]
fn what_nobody_knows_keeps_its_grant_until_somebody_settles_it() {
    let w = World::new("foreign-settle");
    w.kill_at(IR);
    // The authority knows the transaction, and says no more.
    w.front.plan(Plan { server: "-pkistatus 2 -failure 21", ..Plan::default() });
    w.counts(&[("foreign-unsettled", 1)]);
    w.front.plan(Plan::default());
    let open = w.open();
    assert_eq!((open.len(), &open[0]["state"]), (1, &"not settled".into()));
    let explained = w.b.ok(&["explain", "SN000001"]);
    assert!(explained.contains("it is not known whether it certified that key"), "{explained}");
    w.b.sound();
    let findings = w.b.json_of(&["status"])["findings"].to_string();
    assert!(findings.contains("foreign-open"), "{findings}");
    // Another key of the same device gets nothing meanwhile: the first may be certified.
    std::fs::remove_dir_all(w.b.data().join("boards-sensor")).unwrap();
    w.counts(&[("grant-spent", 1)]);
    w.b.ok(&["mode", "set", "certificate-management"]);
    let settled = w.b.json(&["ca", "settle", "outside"]);
    assert_eq!((settled["settled"].as_array().unwrap().len(), settled["open"].as_array().unwrap().len()), (0, 1));
    let exchange = open[0]["exchange"].as_str().unwrap();
    w.b.fails(&["ca", "settle", "outside", "--exchange", exchange], 2, "foreign");
    w.b.ok(&["ca", "settle", "outside", "--exchange", exchange, "--none"]);
    w.b.fails(&["ca", "settle", "outside", "--exchange", exchange, "--none"], 5, "transaction-unknown");
    w.b.ok(&["mode", "set", "provision"]);
    w.counts(&[("provisioned", 1)]);
    w.b.sound();
}

#[test]
fn a_number_that_cannot_be_revoked_is_settled_when_it_can() {
    let w = World::new("foreign-number");
    w.kill_at(CERT_CONF);
    w.front.plan(Plan { lose: Some(RR), ..Plan::default() });
    w.counts(&[("unavailable", 1)]);
    w.front.plan(Plan::default());
    assert_eq!(w.open()[0]["serial"], "5a5a5a5a5a5a5a5a5a01");
    w.b.ok(&["mode", "set", "certificate-management"]);
    let settled = w.b.json(&["ca", "settle", "outside"]);
    assert_eq!(settled["settled"][0]["settled"], true, "{settled}");
    assert!(w.open().is_empty());
    w.b.sound();
}

#[test]
fn a_confirmation_that_is_lost_has_the_certificate_revoked() {
    let w = World::new("foreign-lost");
    w.front.plan(Plan { lose: Some(CERT_CONF), ..Plan::default() });
    w.counts(&[("unavailable", 1)]);
    assert_eq!((w.front.count(RR), w.certificates().len(), w.open().len()), (1, 0, 0));
    w.front.plan(Plan::default());
    w.counts(&[("provisioned", 1)]);
    w.b.sound();
}

#[test]
fn a_certificate_that_is_not_ready_is_waited_for() {
    let w = World::new("foreign-wait");
    w.front.plan(Plan { server: "-poll_count 2 -check_after 1", ..Plan::default() });
    w.counts(&[("provisioned", 1)]);
    assert!(w.front.count(POLL_REQ) >= 2);
    w.b.sound();
}

#[test]
fn a_certificate_that_takes_long_is_asked_for_again_by_whoever_repeats_the_request() {
    let w = World::new("foreign-wait-long");
    w.front.plan(Plan { server: "-poll_count 2 -check_after 60", ..Plan::default() });
    w.counts(&[("unavailable", 1)]);
    let open = w.open();
    assert_eq!((open.len(), &open[0]["state"]), (1, &"not settled".into()));
    w.b.sound();
    w.counts(&[("provisioned", 1)]);
    assert_eq!(w.front.count(IR), 1, "it was asked for once");
    w.b.sound();
}

#[test]
fn killed_while_it_waits_it_goes_on_waiting() {
    let w = World::new("foreign-wait-kill");
    w.front.plan(Plan { swallow: Some(POLL_REQ), server: "-poll_count 2 -check_after 1", ..Plan::default() });
    let mut command = w.b.command(&["station", "run", "sensor"]);
    let mut child =
        command.env("CRADLE_OPERATOR", "operator").stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    while w.told.recv().unwrap() != POLL_REQ {}
    child.kill().unwrap();
    child.wait().unwrap();
    w.front.plan(Plan::default());
    w.counts(&[("provisioned", 1)]);
    assert_eq!(w.front.count(IR), 1, "it was asked for once");
    w.b.sound();
}

#[track_caller]
fn not_taken(name: &str, change: Change, reason: &str, revoked: usize, open: usize) {
    let w = World::new(name);
    w.front.plan(Plan { change: Some(change), ..Plan::default() });
    w.counts(&[(reason, 1)]);
    assert_eq!((w.front.count(RR), w.open().len(), w.certificates().len()), (revoked, open, 0));
    w.b.sound();
    w.front.plan(Plan::default());
    if open == 0 {
        w.counts(&[("provisioned", 1)]);
    }
}
#[test]
fn a_certificate_that_may_sign_others_is_not_taken() {
    let more = |tbs: &mut TbsCertificate| {
        tbs.extensions.retain(|extension| extension.oid != x509::oids::KEY_USAGE);
        let usage = x509::extension::KeyUsage::DIGITAL_SIGNATURE.with(x509::extension::KeyUsage::KEY_CERT_SIGN);
        tbs.extensions.push(usage.extension());
    };
    not_taken("foreign-usage", more, "foreign-misfit", 1, 0);
}
#[test]
fn a_certificate_that_lasts_longer_is_not_taken() {
    let longer = |tbs: &mut TbsCertificate| tbs.not_after = tbs.not_after.plus_s(366 * 86_400);
    not_taken("foreign-longer", longer, "foreign-misfit", 1, 0);
}
#[test]
fn a_certificate_without_its_name_is_not_taken() {
    let nameless = |tbs: &mut TbsCertificate| {
        tbs.extensions.retain(|extension| extension.oid != x509::oids::SUBJECT_ALT_NAME);
    };
    not_taken("foreign-name", nameless, "foreign-misfit", 1, 0);
}
#[test]
fn a_certificate_for_another_key_is_left_for_somebody_to_settle() {
    let other = |tbs: &mut TbsCertificate| {
        let key = adapters::keystore::memory::MemoryKey::generate(x509::KeyType::P256);
        tbs.subject_public_key = ports::Signer::public_key(&key).clone();
    };
    not_taken("foreign-other-key", other, "foreign-misfit", 0, 1);
}
#[test]
fn a_number_that_is_recorded_is_not_taken_again() {
    let w = World::new("foreign-same-number");
    w.counts(&[("provisioned", 1)]);
    let first = |tbs: &mut TbsCertificate| {
        tbs.serial_number = SerialNumber::new(&[0x5a, 0x5a, 0x5a, 0x5a, 0x5a, 0x5a, 0x5a, 0x5a, 0x5a, 1]).unwrap();
    };
    w.front.plan(Plan { change: Some(first), ..Plan::default() });
    w.b.device_type("sensor", "count = 2");
    w.counts(&[("already-provisioned", 1), ("foreign-misfit", 1)]);
    // It is somebody's, so it is not revoked.
    assert_eq!((w.front.count(RR), w.certificates().len(), w.open().len()), (0, 1, 1));
    w.b.sound();
}
#[test]
fn a_refusal_leaves_the_grant_free_and_says_why() {
    let w = World::new("foreign-refused");
    w.front.plan(Plan { server: "-pkistatus 2 -failure 15 -statusstring no", ..Plan::default() });
    w.counts(&[("foreign-refused", 1)]);
    let explained = w.b.ok(&["explain", "SN000001"]);
    assert!(explained.contains("unacceptedPolicy"), "{explained}");
    w.front.plan(Plan::default());
    w.counts(&[("provisioned", 1)]);
    w.b.sound();
}

#[test]
fn a_revocation_goes_to_the_authority_first() {
    let w = World::new("foreign-revoke");
    w.b.device_type("sensor", "count = 2");
    w.counts(&[("provisioned", 2)]);
    w.b.ok(&["mode", "set", "certificate-management"]);
    let serials: Vec<_> = w.certificates().iter().map(|row| row["serial"].as_str().unwrap().to_owned()).collect();
    let revoke = |serial: &'static str| ["cert", "revoke", serial, "--reason", "key-compromise", "--yes"];
    let (first, second): (&'static str, &'static str) =
        (Box::leak(serials[0].clone().into_boxed_str()), Box::leak(serials[1].clone().into_boxed_str()));
    w.b.ok(&revoke(first));
    assert_eq!(w.front.count(RR), 1);
    assert_eq!(w.certificates()[0]["revocation_reason"], "key-compromise");
    w.b.fails(&revoke(first), 6, "already-revoked");
    assert_eq!(w.front.count(RR), 1, "it was not asked again");
    // What the authority did not hear is not recorded here: it would be good for everybody else.
    w.front.plan(Plan { lose: Some(RR), ..Plan::default() });
    w.b.fails(&revoke(second), 3, "unavailable");
    assert!(w.certificates()[1]["revoked_at"].is_null());
    w.front.plan(Plan::default());
    w.b.ok(&revoke(second));
    w.b.fails(&["cert", "release", first, "--yes"], 3, "key-offline");
    w.b.sound();
    // Its lists are its own business.
    let findings = w.b.json_of(&["status"])["findings"].to_string();
    assert!(!findings.contains("crl-missing"), "{findings}");
}

/// A list that the authority signs, of this number, with these entries of `openssl ca`.
fn list(w: &World, number: &str, by: &str, entries: &[(&str, &str)]) {
    let dir = w.b.dir.join("foreign");
    let rows: String = entries
        .iter()
        .map(|(serial, reason)| {
            format!("R\t400101000000Z\t260101000000Z,{reason}\t{}\tunknown\t/CN=x\n", serial.to_uppercase())
        })
        .collect();
    std::fs::write(dir.join("index.txt"), rows).unwrap();
    std::fs::write(dir.join("crlnumber"), format!("{number}\n")).unwrap();
    let settings = "[ca]\ndefault_ca=d\n[d]\ndatabase=index.txt\ncrlnumber=crlnumber\ndefault_md=sha256\n\
                    default_crl_days=30\ncrl_extensions=e\n[e]\nauthorityKeyIdentifier=keyid\n";
    std::fs::write(dir.join("crl.cnf"), settings).unwrap();
    let arguments = [
        "ca",
        "-config",
        "crl.cnf",
        "-gencrl",
        "-keyfile",
        &format!("{by}.key"),
        "-cert",
        &format!("{by}.pem"),
        "-out",
        "list.pem",
    ];
    foreign(&dir, "openssl", &arguments);
}

#[test]
fn what_its_list_says_is_taken_over() {
    let w = World::new("foreign-status");
    w.b.device_type("sensor", "count = 2");
    w.counts(&[("provisioned", 2)]);
    w.b.ok(&["mode", "set", "certificate-management"]);
    let serials: Vec<_> = w.certificates().iter().map(|row| row["serial"].as_str().unwrap().to_owned()).collect();
    let status = ["ca", "status", "outside", "foreign/list.pem"];
    let reasons = |w: &World| w.certificates().iter().map(|row| row["revocation_reason"].clone()).collect::<Vec<_>>();
    for another in ["other", "twin"] {
        list(&w, "05", another, &[]);
        let said = w.b.fails(&status, 7, "foreign");
        assert!(said.contains("did not sign it"), "{said}");
    }
    list(&w, "05", "ca", &[(&serials[0], "keyCompromise"), (&serials[1], "certificateHold"), ("0123", "superseded")]);
    let taken = w.b.json(&status);
    assert_eq!((taken["revoked"].as_array().unwrap().len(), &taken["strangers"]), (2, &1.into()), "{taken}");
    assert_eq!(reasons(&w), ["key-compromise", "certificate-hold"]);
    // The same again changes nothing, and an older one is not believed.
    assert!(w.b.json(&status)["revoked"].as_array().unwrap().is_empty());
    list(&w, "04", "ca", &[]);
    let said = w.b.fails(&status, 7, "foreign");
    assert!(said.contains("newer list"), "{said}");
    list(&w, "06", "ca", &[(&serials[0], "keyCompromise")]);
    assert_eq!(w.b.json(&status)["released"].as_array().unwrap().len(), 1);
    assert_eq!(reasons(&w), [serde_json::Value::from("key-compromise"), serde_json::Value::Null]);
    w.b.sound();
    // Over HTTP.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/list.crl", listener.local_addr().unwrap());
    let octets = w.b.read("foreign/list.pem");
    let sent = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let _request = stream.read(&mut [0; 4096]).unwrap();
        let head = format!(
            "HTTP/1.1 200 OK\r\nContent-Type: application/pkix-crl\r\nContent-Length: {}\r\n\r\n",
            octets.len()
        );
        stream.write_all(&[head.as_bytes(), &octets].concat()).unwrap();
    });
    assert_eq!(w.b.json(&["ca", "status", "outside", &url])["number"], 6);
    sent.join().unwrap();
}

#[test]
fn a_repeated_request_gets_the_same_certificate() {
    let w = World::new("foreign-again");
    // Issued, and the board did not take it: nobody has confirmed it.
    w.b.device_type(
        "sensor",
        "count = 1\nfaults = [{ kind = 'refuse', board = 'SIM-000001', step = 'certificate-chain' }]",
    );
    w.counts(&[("board-refused", 1)]);
    let given = w.certificates();
    w.b.device_type("sensor", "count = 1");
    w.counts(&[("provisioned", 1)]);
    assert_eq!(w.front.count(IR), 1, "it was asked for once");
    assert_eq!(w.certificates()[0]["serial"], given[0]["serial"]);
    w.b.sound();
}
#[test]
fn a_certificate_that_its_board_declines_is_revoked_there() {
    let w = World::new("foreign-declined");
    w.b.device_type("sensor", "count = 1\nfaults = [{ kind = 'wrong-key', board = 'SIM-000001' }]");
    w.counts(&[("challenge-failed", 1)]);
    assert_eq!((w.front.count(RR), w.certificates().len()), (1, 1));
    assert_eq!(w.certificates()[0]["revocation_reason"], "cessation-of-operation");
    w.b.device_type("sensor", "count = 1");
    w.counts(&[("provisioned", 1)]);
    assert_eq!(w.front.count(IR), 2);
    w.b.sound();
}
#[test]
fn who_changes_the_address_in_the_records_is_found() {
    let w = World::new("foreign-changed");
    w.b.sound();
    w.b.sql("UPDATE foreign_authority SET url = 'http://127.0.0.1:1/'");
    assert!(!w.b.run(&["verify", "--deep"]).status.success());
    w.b.sql("UPDATE authority SET key = 'cmp:http://127.0.0.1:1/' WHERE name = 'outside'");
    let found = w.b.run(&["verify", "--deep"]);
    assert!(text(&found.stderr).contains("not reached as the audit log tells"), "{}", text(&found.stderr));
}
