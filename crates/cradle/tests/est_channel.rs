//! EST by other versions of TLS, requests that say on which connection they come, and keys that are made for devices: curl and openssl ask.
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

use common::{Box_, foreign, text};
use site::{Site, Up, shows, words};
use std::io::{Read, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

/// What stands in cradle.toml before anything is made.
fn settings(b: &Box_, from: &str, to: &str) {
    let path = b.data().join("cradle.toml");
    let before = std::fs::read_to_string(&path).unwrap();
    assert!(before.contains(from), "{before}");
    std::fs::write(path, before.replacen(from, to, 1)).unwrap();
}

fn at(up: &Up<'_>) -> String {
    format!("localhost:{}", up.said["https"].as_str().unwrap().rsplit(':').next().unwrap())
}

/// Whether openssl shakes hands so.
fn shakes(site: &Site, up: &Up<'_>, words: &[&str]) -> bool {
    let at = at(up);
    let all = [&["s_client", "-connect", &at, "-CAfile", "root.pem", "-verify_return_error"], words].concat();
    let openssl = Command::new("openssl").args(all).current_dir(&site.b.dir).stdin(Stdio::null()).output().unwrap();
    openssl.status.success()
}

/// Whether curl has the certificates of the authority with these words.
fn curls(site: &Site, up: &Up<'_>, words: &[&str]) -> bool {
    let url = format!("https://{}/.well-known/est/cacerts", at(up));
    let mut curl = Command::new("curl");
    let curl = curl.args(["-sSf", "-o", "/dev/null", "--cacert", "root.pem"]).args(words).arg(url);
    curl.current_dir(&site.b.dir).output().unwrap().status.success()
}

#[test]
fn tls_13_and_the_version_before_only_where_that_is_wanted() {
    let site = Site::new("tls-13");
    let up = site.up();
    assert!(shakes(&site, &up, &["-tls1_3"]) && curls(&site, &up, &["--tlsv1.3"]));
    assert!(!shakes(&site, &up, &["-tls1_2"]) && !curls(&site, &up, &["--tls-max", "1.2"]));
    up.down();
    site.edit("cradle.toml", "[gateway]\n", "[gateway]\ntls = \"1.2\"\n");
    let up = site.up();
    assert!(shakes(&site, &up, &["-tls1_3"]) && curls(&site, &up, &["--tlsv1.3"]));
    assert!(shakes(&site, &up, &["-tls1_2"]) && curls(&site, &up, &["--tls-max", "1.2"]));
    // A key that is agreed on anew each time, and authenticated encryption: or nothing.
    let speaks = |cipher: &str| shakes(&site, &up, &["-tls1_2", "-cipher", cipher]);
    assert!(speaks("ECDHE-ECDSA-AES128-GCM-SHA256") && speaks("ECDHE-ECDSA-CHACHA20-POLY1305"));
    for old in ["ECDHE-ECDSA-AES128-SHA256", "ECDHE-ECDSA-AES256-SHA", "kRSA", "kDHE", "NULL:@SECLEVEL=0"] {
        assert!(!speaks(old), "{old}");
    }
    for version in ["-tls1_1", "-tls1"] {
        assert!(!shakes(&site, &up, &[version, "-cipher", "ALL:@SECLEVEL=0"]), "{version}");
    }
}

/// A connection by openssl, which tells what it is.
struct Line {
    client: Child,
    to: ChildStdin,
    from: ChildStdout,
    /// `tls-exporter`, in base64.
    name: String,
}

impl Line {
    fn new(site: &Site, up: &Up<'_>, version: &str) -> Self {
        let at = at(up);
        let words = ["s_client", "-connect", &at, "-CAfile", "root.pem", version, "-ign_eof", "-keymatexportlen", "32"];
        let mut openssl = Command::new("openssl");
        openssl.args(words).args(["-keymatexport", "EXPORTER-Channel-Binding"]).current_dir(&site.b.dir);
        let mut client = openssl.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let (to, mut from) = (client.stdin.take().unwrap(), client.stdout.take().unwrap());
        let said = until(&mut from, "\n---\n", "Keying material: ");
        let hex = said.split("Keying material: ").nth(1).unwrap().lines().next().unwrap();
        let octets: Vec<u8> =
            (0..hex.len() / 2).map(|n| u8::from_str_radix(&hex[2 * n..2 * n + 2], 16).unwrap()).collect();
        site.b.write("exported", octets);
        let name = foreign(&site.b.dir, "openssl", &["base64", "-A", "-in", "exported"]).trim().to_owned();
        Self { client, to, from, name }
    }

    /// Asks for a certificate on it for NAME.csr. Gives the status and what was said.
    fn ask(mut self, site: &Site, label: &str, name: &str, user: &str) -> (u16, String) {
        let body = site.b.read(&format!("{name}.csr"));
        site.b.write("user", user);
        let user = foreign(&site.b.dir, "openssl", &["base64", "-A", "-in", "user"]).trim().to_owned();
        let head = format!(
            "POST /.well-known/est/{label}/simpleenroll HTTP/1.1\r\nHost: localhost\r\nAuthorization: Basic {user}\r\n\
             Connection: close\r\nContent-Type: application/pkcs10\r\nContent-Length: {}\r\n\r\n",
            body.len()
        );
        self.to.write_all(&[head.as_bytes(), &body].concat()).unwrap();
        self.to.flush().unwrap();
        let mut said = Vec::new();
        self.from.read_to_end(&mut said).unwrap();
        drop(self.to);
        let _ended = self.client.wait();
        let said = text(&said);
        let answer = said.split("HTTP/1.1 ").nth(1).unwrap_or_else(|| panic!("no answer: {said}"));
        (answer[..3].parse().unwrap(), answer.to_owned())
    }
}

/// What comes until this has come, and this behind it.
fn until(from: &mut ChildStdout, end: &str, before: &str) -> String {
    let mut said = Vec::new();
    let mut octet = [0];
    while from.read(&mut octet).unwrap() == 1 {
        said.push(octet[0]);
        let so_far = text(&said);
        if so_far.split_once(before).is_some_and(|(_, behind)| behind.contains(end)) {
            return so_far;
        }
    }
    panic!("the connection ended: {}", text(&said));
}

#[track_caller]
fn identifier((status, said): (u16, String)) -> String {
    assert_eq!(status, 403, "{said}");
    said.split("Refused. Identifier: ").nth(1).unwrap().split_whitespace().next().unwrap().to_owned()
}

/// A request of a device with a password, in this kind of text.
fn with_password(site: &Site, name: &str, serial: &str, password: &str, kind: &str) {
    let organization = site.b.json(&["status"])["organization"].as_str().unwrap_or("Example Devices").to_owned();
    let subject = format!("O={organization}\nCN=sensor {serial}\nserialNumber={serial}\n");
    let lines = format!(
        "[req]\nprompt=no\nstring_mask={kind}\ndistinguished_name=dn\nattributes=a\n[dn]\n{subject}[a]\nchallengePassword={password}\n"
    );
    site.b.write("req.cnf", lines);
    let new = ["req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout"];
    let key = format!("{name}.key");
    let rest = [&key, "-config", "req.cnf", "-outform", "DER", "-out", "request"];
    foreign(&site.b.dir, "openssl", &[&new[..], &rest].concat());
    foreign(&site.b.dir, "openssl", &["base64", "-in", "request", "-out", &format!("{name}.csr")]);
}

#[test]
fn a_request_is_for_the_connection_on_which_it_comes() {
    let site = Site::with("est-bound", |b| {
        settings(b, "[gateway]\n", "[gateway]\ntls = \"1.2\"\n");
        let label =
            "[gateway.est.bound]\nprofile = \"ldevid\"\nchannel_binding = \"required\"\n[gateway.est.servers]\n";
        settings(b, "[gateway.est.servers]\n", label);
    });
    let users = ["SN000001", "SN000002", "SN000003"].map(|serial| format!("{serial}:{}", site.secret(serial)));
    let up = site.up();
    let mut refused = Vec::new();
    // Where it must: another connection's name, none, and an empty one, which is none.
    let elsewhere = Line::new(&site, &up, "-tls1_3");
    with_password(&site, "a", "SN000001", &elsewhere.name, "utf8only");
    refused.push(Line::new(&site, &up, "-tls1_3").ask(&site, "bound", "a", &users[0]));
    site.request("b", "/");
    refused.push(Line::new(&site, &up, "-tls1_3").ask(&site, "bound", "b", &users[0]));
    // On 1.2 nobody can tell: what has to be told is not passed over, and what is told is not believed.
    let line = Line::new(&site, &up, "-tls1_2");
    with_password(&site, "c", "SN000001", &line.name, "utf8only");
    refused.push(line.ask(&site, "bound", "c", &users[0]));
    refused.push(Line::new(&site, &up, "-tls1_2").ask(&site, "bound", "b", &users[0]));
    refused.push(Line::new(&site, &up, "-tls1_2").ask(&site, "devices", "c", &users[0]));
    // Where it need not, what is said counts all the same.
    refused.push(Line::new(&site, &up, "-tls1_3").ask(&site, "devices", "a", &users[0]));
    // And the right one, in both kinds of text; under the label that does not ask for it none is as good.
    for (n, (label, kind)) in [("bound", "utf8only"), ("devices", "nombstr")].into_iter().enumerate() {
        let line = Line::new(&site, &up, "-tls1_3");
        with_password(&site, "d", &format!("SN00000{}", n + 1), &line.name, kind);
        let (status, said) = line.ask(&site, label, "d", &users[n]);
        assert_eq!(status, 200, "{said}");
    }
    let (status, said) = Line::new(&site, &up, "-tls1_2").ask(&site, "devices", "b", &users[2]);
    assert_eq!(status, 200, "{said}");
    // A client learns of it from the attributes.
    let got = up.curl("https", &["/.well-known/est/bound/csrattrs"]);
    assert_eq!(got.status, 200);
    foreign(&site.b.dir, "openssl", &["base64", "-d", "-in", "body", "-out", "attributes"]);
    let said = foreign(&site.b.dir, "openssl", &["asn1parse", "-inform", "DER", "-in", "attributes"]);
    assert!(said.contains("challengePassword"), "{said}");
    up.down();
    for answer in refused {
        site.why(&identifier(answer), "channel-unbound");
    }
    site.b.sound();
}

/// The two parts of an answer with a key, in NAME.key (PEM) and NAME.pem.
fn parts(site: &Site, name: &str, body: &[u8]) {
    let body = text(body);
    let parts: Vec<&str> = body.split("--estServerKeyGen").collect();
    assert!(parts.len() == 4 && parts[0].is_empty() && parts[3] == "--\r\n", "{}", parts.len());
    assert!(parts[1].contains("Content-Type: application/pkcs8\r\n"));
    assert!(parts[2].contains("Content-Type: application/pkcs7-mime; smime-type=certs-only\r\n"));
    let dir = &site.b.dir;
    for (part, file) in [(parts[1], "key.der"), (parts[2], "p7")] {
        site.b.write("part", part.split_once("\r\n\r\n").unwrap().1);
        foreign(dir, "openssl", &["base64", "-d", "-in", "part", "-out", file]);
    }
    let (key, pem) = (format!("{name}.key"), format!("{name}.pem"));
    foreign(dir, "openssl", &["pkey", "-inform", "DER", "-in", "key.der", "-out", &key]);
    foreign(dir, "openssl", &["pkcs7", "-inform", "DER", "-in", "p7", "-print_certs", "-out", &pem]);
    let of_key = foreign(dir, "openssl", &["pkey", "-in", &key, "-pubout"]);
    let of_certificate = foreign(dir, "openssl", &["x509", "-in", &pem, "-noout", "-pubkey"]);
    assert_eq!(of_key, of_certificate, "the key is not the certificate's");
    foreign(dir, "openssl", &["verify", "-CAfile", "chain.pem", &pem]);
}

#[test]
fn a_key_is_made_for_who_may_have_one_and_given_once() {
    let site = Site::with("est-keys", |b| {
        let label = "[gateway.est.keys]\nprofile = \"ldevid\"\nserver_keys = true\n[gateway.est.servers]\n";
        settings(b, "[gateway.est.servers]\n", label);
    });
    let user = format!("SN000001:{}", site.secret("SN000001"));
    site.request("a", "/");
    let up = site.up();
    let own_key = foreign(&site.b.dir, "openssl", &["pkey", "-in", "a.key", "-pubout"]);
    // Not under another label, not for nobody, and not in another form than the client can open.
    assert_eq!(up.ask("a", "devices/serverkeygen", &["-u", &user]).status, 404);
    assert_eq!(up.ask("a", "keys/serverkeygen", &[]).status, 401);
    let guessed = up.ask("a", "keys/serverkeygen", &["-u", "SN000001:guessed"]).refused();
    let got = up.ask("a", "keys/serverkeygen", &["-u", &user]);
    assert_eq!(got.status, 200, "{}", text(&got.body));
    assert!(got.head.contains("multipart/mixed; boundary=estserverkeygen"), "{}", got.head);
    assert!(got.head.contains("cache-control: no-store"), "{}", got.head);
    parts(&site, "made", &got.body);
    assert_ne!(foreign(&site.b.dir, "openssl", &["pkey", "-in", "made.key", "-pubout"]), own_key);
    let again = up.ask("a", "keys/serverkeygen", &["-u", &user]).refused();
    // In the place of the certificate that it has, once more.
    site.request("b", &site.subject("made.pem"));
    let shown = shows("made");
    let got = up.ask("b", "keys/serverkeygen", &words(&shown));
    assert_eq!(got.status, 200, "{}", text(&got.body));
    let second = site.b.read("key.der");
    parts(&site, "next", &got.body);
    assert_ne!(site.b.read("key.der"), second);
    let twice = up.ask("b", "keys/serverkeygen", &words(&shown)).refused();
    up.down();
    site.why(&guessed, "secret-unknown");
    site.why(&again, "secret-used");
    site.why(&twice, "already-renewed");
    // What was given away is nowhere in the installation.
    let der = site.b.read("key.der");
    let line = foreign(&site.b.dir, "openssl", &["base64", "-A", "-in", "key.der"]);
    let has = |octets: &[u8], part: &[u8]| octets.windows(part.len()).any(|window| window == part);
    // The part of it that is secret, which any other form would have, too.
    let secret = &der[36..68];
    let mut files = vec![site.b.data()];
    while let Some(path) = files.pop() {
        if path.is_dir() {
            files.extend(std::fs::read_dir(path).unwrap().map(|entry| entry.unwrap().path()));
            continue;
        }
        let octets = std::fs::read(&path).unwrap_or_default();
        assert!(!has(&octets, secret) && !has(&octets, line.trim().as_bytes()), "{}", path.display());
    }
    site.b.sound();
}
