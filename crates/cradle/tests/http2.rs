//! The gateway over HTTP/2: curl, and a client that keeps a connection while the world changes.
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
#[path = "../../adapters/tests/serve/frames.rs"]
mod frames;
mod site;

use common::{foreign, text};
use frames::{DATA, END_HEADERS, END_STREAM, HEADERS, Line, head};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use site::{Site, Up, shows, words};
use std::net::TcpStream;
use std::sync::Arc;
use std::time::Duration;

type Tls = StreamOwned<ClientConnection, TcpStream>;

/// A connection of HTTP/2 with the certificate of `name`, if there is one.
fn connect(site: &Site, up: &Up<'_>, name: Option<&str>) -> Line<Tls> {
    let file = |name: &str| site.b.dir.join(name);
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(file("root.pem")).unwrap()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let config = config.with_root_certificates(roots);
    let mut config = match name {
        None => config.with_no_client_auth(),
        Some(name) => {
            let certificate = CertificateDer::from_pem_file(file(&format!("{name}.pem"))).unwrap();
            let key = PrivateKeyDer::from_pem_file(file(&format!("{name}.key"))).unwrap();
            config.with_client_auth_cert(vec![certificate], key).unwrap()
        }
    };
    config.alpn_protocols = vec![b"h2".to_vec()];
    let session = ClientConnection::new(Arc::new(config), ServerName::try_from("localhost").unwrap()).unwrap();
    let port: u16 = up.said["https"].as_str().unwrap().rsplit(':').next().unwrap().parse().unwrap();
    let socket = TcpStream::connect(("127.0.0.1", port)).unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    Line::begin(StreamOwned::new(session, socket), 1 << 20)
}

/// Asks on this stream for a certificate for NAME.csr. Gives the status and the body.
fn ask(site: &Site, line: &mut Line<Tls>, stream: u32, path: &str, name: &str, more: &[(&str, &str)]) -> (u16, String) {
    let body = site.b.read(&format!("{name}.csr"));
    let path = format!("/.well-known/est/{path}");
    let kind = [("content-type", "application/pkcs10")];
    line.send(HEADERS, END_HEADERS, stream, &head("POST", &path, &[&kind[..], more].concat()));
    line.send(DATA, END_STREAM, stream, &body);
    match line.answer(stream) {
        frames::Came::Answer(status, _, body) => (status, text(&body)),
        other => panic!("{other:?}"),
    }
}

fn base64(site: &Site, octets: impl AsRef<[u8]>) -> String {
    site.b.write("octets", octets);
    foreign(&site.b.dir, "openssl", &["base64", "-A", "-in", "octets"]).trim().to_owned()
}

/// A certificate out of an answer, in NAME.pem.
fn keep(site: &Site, name: &str, body: &str) {
    site.b.write("body", body);
    let (dir, pem) = (&site.b.dir, format!("{name}.pem"));
    foreign(dir, "openssl", &["base64", "-d", "-in", "body", "-out", "p7"]);
    foreign(dir, "openssl", &["pkcs7", "-inform", "DER", "-in", "p7", "-print_certs", "-out", &pem]);
}

#[track_caller]
fn refused((status, said): (u16, String)) -> String {
    assert_eq!(status, 403, "{said}");
    said.trim().strip_prefix("Refused. Identifier: ").unwrap().to_owned()
}

/// `openssl cmp` in the clear, with these words.
fn cmp(site: &Site, words: &[&str]) {
    let server = format!("127.0.0.1:{}", site.ports()[1]);
    let usual = ["cmp", "-server", &server, "-path", ".well-known/cmp/p/devices", "-no_proxy", "127.0.0.1"];
    foreign(&site.b.dir, "openssl", &[&usual[..], &["-trusted", "chain.pem"], words].concat());
}

fn with_cmp(name: &str) -> Site {
    Site::with(name, |b| {
        let path = b.data().join("cradle.toml");
        let before = std::fs::read_to_string(&path).unwrap();
        let more = "\n[gateway.est.bound]\nprofile = \"ldevid\"\nchannel_binding = \"required\"\n\
            [gateway.cmp.devices]\nprofile = \"ldevid\"\n";
        std::fs::write(path, before + more).unwrap();
    })
}

#[test]
fn curl_speaks_either_version_with_the_same_outcome() {
    let site = with_cmp("http2-curl");
    let secrets = ["SN000001", "SN000002"].map(|serial| format!("{serial}:{}", site.secret(serial)));
    let of_cmp = site.secret("SN000003");
    ["a", "c"].into_iter().for_each(|name| site.request(name, "/"));
    let up = site.up();
    for (version, says, name, next, secret) in
        [("--http2", "http/2 ", "a", "b", &secrets[0]), ("--http1.1", "http/1.1 ", "c", "d", &secrets[1])]
    {
        let got = up.curl("https", &[version, "/.well-known/est/cacerts"]);
        assert!(got.head.starts_with(says) && got.status == 200, "{}", got.head);
        assert_eq!(up.curl("https", &[version, "/.well-known/est/csrattrs"]).status, 204);
        assert_eq!(up.curl("https", &[version, "-I", "/.well-known/est/cacerts"]).status, 405);
        let got = up.ask(name, "simpleenroll", &[version]);
        assert!(got.status == 401 && got.head.contains("www-authenticate: basic"), "{}", got.head);
        let got = up.had(name, "simpleenroll", &[version, "-u", secret]);
        assert!(got.head.starts_with(says), "{}", got.head);
        site.request(next, &site.subject(&format!("{name}.pem")));
        let shown = shows(name);
        let got = up.had(next, "simplereenroll", &[&[version][..], &words(&shown)].concat());
        assert!(got.head.starts_with(says), "{}", got.head);
        foreign(&site.b.dir, "openssl", &["verify", "-CAfile", "chain.pem", &format!("{next}.pem")]);
    }
    // A message of CMP, once more over TLS.
    foreign(&site.b.dir, "openssl", &["ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", "one.key"]);
    let secret = format!("pass:{of_cmp}");
    let ir = ["-cmd", "ir", "-ref", "SN000003", "-secret", &secret, "-newkey", "one.key", "-certout", "one.pem"];
    cmp(&site, &[&ir[..], &["-reqout", "ir.der,conf.der"]].concat());
    let post = ["--http2", "--data-binary", "@ir.der", "-H", "Content-Type: application/pkixcmp"];
    let got = up.curl("https", &[&post[..], &["/.well-known/cmp/p/devices"]].concat());
    assert!(
        got.head.starts_with("http/2 200") && got.head.contains("content-type: application/pkixcmp"),
        "{}",
        got.head
    );
    // In the clear there is one version, whatever is offered.
    let status = ["ocsp", "-issuer", "chain.pem", "-cert", "b.pem", "-no_nonce", "-reqout", "ocsp.der"];
    foreign(&site.b.dir, "openssl", &status);
    let post = ["--http2", "--data-binary", "@ocsp.der", "-H", "Content-Type: application/ocsp-request", "/ocsp"];
    let got = up.curl("http", &post);
    assert!(got.head.starts_with("http/1.1 200"), "{}", got.head);
    up.down();
    site.b.sound();
}

#[test]
fn what_is_revoked_is_worth_nothing_on_a_connection_that_is_open() {
    let site = with_cmp("http2-revoked");
    let user = format!("SN000001:{}", site.secret("SN000001"));
    site.request("a", "/");
    let up = site.up();
    up.had("a", "simpleenroll", &["-u", &user]);
    site.request("b", &site.subject("a.pem"));
    let mut line = connect(&site, &up, Some("a"));
    // The same request is answered the same, as long as what is shown holds.
    let first = ask(&site, &mut line, 1, "simplereenroll", "b", &[]);
    assert_eq!(first.0, 200, "{}", first.1);
    assert_eq!(ask(&site, &mut line, 3, "simplereenroll", "b", &[]).0, 200);
    keep(&site, "b", &first.1);
    cmp(&site, &["-cmd", "rr", "-cert", "b.pem", "-key", "b.key", "-oldcert", "a.pem", "-revreason", "1"]);
    // Nothing was said on the connection meanwhile, and it is the same.
    let now = refused(ask(&site, &mut line, 5, "simplereenroll", "b", &[]));
    assert_eq!(line.goaway, None);
    drop(line);
    up.down();
    site.why(&now, "client-revoked");
    site.b.sound();
}

#[test]
fn a_request_is_for_the_connection_on_which_it_comes() {
    let site = with_cmp("http2-bound");
    let user = format!("SN000001:{}", site.secret("SN000001"));
    let organization = site.b.json(&["status"])["organization"].as_str().unwrap_or("Example Devices").to_owned();
    let up = site.up();
    let (mut one, mut other) = (connect(&site, &up, None), connect(&site, &up, None));
    for line in [&mut one, &mut other] {
        line.ask(1, "/.well-known/est/bound/cacerts").body(200);
    }
    let name = one.stream.conn.export_keying_material([0; 32], b"EXPORTER-Channel-Binding", Some(&[])).unwrap();
    site.b.write(
        "req.cnf",
        format!(
            "[req]\nprompt=no\nstring_mask=utf8only\ndistinguished_name=dn\nattributes=a\n[dn]\nO={organization}\n\
             CN=sensor SN000001\nserialNumber=SN000001\n[a]\nchallengePassword={}\n",
            base64(&site, name)
        ),
    );
    let new = ["req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", "a.key"];
    let rest = ["-config", "req.cnf", "-outform", "DER", "-out", "request"];
    foreign(&site.b.dir, "openssl", &[&new[..], &rest].concat());
    foreign(&site.b.dir, "openssl", &["base64", "-in", "request", "-out", "a.csr"]);
    let basic = format!("Basic {}", base64(&site, &user));
    let shown = [("authorization", basic.as_str())];
    let elsewhere = refused(ask(&site, &mut other, 3, "bound/simpleenroll", "a", &shown));
    // The same octets, on the connection that they name, and again on it.
    for stream in [3, 5] {
        let (status, said) = ask(&site, &mut one, stream, "bound/simpleenroll", "a", &shown);
        assert_eq!(status, 200, "{said}");
    }
    drop((one, other));
    up.down();
    site.why(&elsewhere, "channel-unbound");
    site.b.sound();
}
