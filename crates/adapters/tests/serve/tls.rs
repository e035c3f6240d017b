//! Who is let in over TLS.

use crate::support::{House, PATIENCE, limits, rest, status};
use adapters::http::serve::{ByAnchors, ClientVerifier, Clients, Identity, Limits, Oldest};
use model::UnixTime;
use ports::Clock;
use rustls::crypto::aws_lc_rs::kx_group::{X25519, X25519MLKEM768};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, ClientConnection, HandshakeKind, NamedGroup, RootCertStore, StreamOwned};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use x509::Certificate;
use x509::crl::CertificateList;
use zeroize::Zeroizing;

/// Two authorities, and certificates for a server and for clients, by OpenSSL.
pub(crate) struct Papers(tempfile::TempDir);

const CA: &str = "[ca]\ndefault_ca=c\n[c]\ndatabase=index\nserial=serial\ncrlnumber=crlnumber\ndefault_md=sha256\n\
    default_crl_days=9\ncrl_extensions=e\n[e]\nauthorityKeyIdentifier=keyid\n";
const ROOT: &str = "-addext basicConstraints=critical,CA:TRUE -addext keyUsage=critical,keyCertSign,cRLSign \
    -addext subjectKeyIdentifier=hash";
const KEY: &str = "genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -outform DER -out";

impl Papers {
    pub(crate) fn new() -> Self {
        let papers = Self(tempfile::tempdir().unwrap());
        papers.write("server", "subjectAltName=DNS:localhost\nextendedKeyUsage=serverAuth\n");
        papers.write("client", "extendedKeyUsage=clientAuth\n");
        papers.write("ca.cnf", CA);
        papers.write("crlnumber", "01\n");
        papers.write("index", "");
        for ca in ["ca", "other"] {
            papers.openssl(&format!("{KEY} {ca}.key"));
            papers.openssl(&format!(
                "req -x509 -new -keyform DER -key {ca}.key -subj /CN={ca} -days 9 -out {ca}.pem {ROOT}"
            ));
            papers.openssl(&format!("x509 -in {ca}.pem -outform DER -out {ca}.der"));
        }
        papers.certify("server", "server", "ca", 2);
        papers.certify("client", "client", "ca", 3);
        papers.certify("stranger", "client", "other", 4);
        papers.openssl("ca -config ca.cnf -gencrl -keyfile ca.key -cert ca.pem -out none.pem");
        papers.openssl("ca -config ca.cnf -revoke client.pem -keyfile ca.key -cert ca.pem");
        papers.openssl("ca -config ca.cnf -gencrl -keyfile ca.key -cert ca.pem -out client-crl.pem");
        for list in ["none", "client-crl"] {
            papers.openssl(&format!("crl -in {list}.pem -outform DER -out {list}.crl"));
        }
        papers
    }
    fn write(&self, name: &str, text: &str) {
        std::fs::write(self.0.path().join(name), text).unwrap();
    }
    pub(crate) fn read(&self, name: &str) -> Vec<u8> {
        std::fs::read(self.0.path().join(name)).unwrap()
    }
    fn openssl(&self, arguments: &str) {
        let mut openssl = Command::new("openssl");
        let openssl = openssl.current_dir(self.0.path()).env("OPENSSL_CONF", "/dev/null");
        let done = openssl.args(arguments.split_whitespace()).output().unwrap();
        assert!(done.status.success(), "{arguments}: {}", String::from_utf8_lossy(&done.stderr));
    }
    fn certify(&self, name: &str, extensions: &str, ca: &str, serial: u8) {
        self.openssl(&format!("{KEY} {name}.key"));
        self.openssl(&format!("req -new -keyform DER -key {name}.key -subj /CN={name} -out {name}.csr"));
        self.openssl(&format!(
            "x509 -req -in {name}.csr -CA {ca}.pem -CAkeyform DER -CAkey {ca}.key -set_serial {serial} -days 5 \
             -extfile {extensions} -out {name}.pem"
        ));
        self.openssl(&format!("x509 -in {name}.pem -outform DER -out {name}.der"));
        self.openssl(&format!("pkcs8 -topk8 -nocrypt -inform DER -in {name}.key -outform DER -out {name}.p8"));
    }
    fn certificate(&self, name: &str) -> Certificate {
        Certificate::decode(&self.read(&format!("{name}.der"))).unwrap()
    }
    pub(crate) fn identity(&self, clients: Clients) -> Identity {
        Identity::new(&[self.read("server.der")], &Zeroizing::new(self.read("server.p8")), clients).unwrap()
    }
    pub(crate) fn roots(&self) -> RootCertStore {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from(self.read("ca.der"))).unwrap();
        roots
    }
    /// The client's side, with the certificate of `name`.
    pub(crate) fn client(&self, name: Option<&str>) -> Arc<ClientConfig> {
        let roots = self.roots();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
        let config = config.with_root_certificates(roots);
        Arc::new(match name {
            None => config.with_no_client_auth(),
            Some(name) => {
                let key = PrivateKeyDer::try_from(self.read(&format!("{name}.p8"))).unwrap();
                config.with_client_auth_cert(vec![self.read(&format!("{name}.der")).into()], key).unwrap()
            }
        })
    }
}

/// A clock that stands where it is put.
#[derive(Clone)]
pub(crate) struct Standing(Arc<AtomicU64>);
impl Clock for Standing {
    fn now(&self) -> UnixTime {
        UnixTime::from_ms(self.0.load(Ordering::SeqCst))
    }
}

/// A house that believes the clients of `ca`, a minute after the client's certificate begins.
fn believing(papers: &Papers, lists: &[&str], clients: fn(Arc<ByAnchors>) -> Clients) -> (House, Standing) {
    believing_within(limits(), papers, lists, clients)
}
/// The same, within these limits, of clients that must show a certificate.
pub(crate) fn believing_with(limits: Limits, papers: &Papers) -> (House, Standing) {
    believing_within(limits, papers, &[], must)
}
fn believing_within(
    limits: Limits,
    papers: &Papers,
    lists: &[&str],
    clients: fn(Arc<ByAnchors>) -> Clients,
) -> (House, Standing) {
    let clock = Standing(Arc::new(AtomicU64::new(papers.certificate("client").tbs().not_before.plus_s(60).ms())));
    let lists = lists.iter().map(|list| CertificateList::decode(&papers.read(&format!("{list}.crl"))).unwrap());
    let verifier = ByAnchors::new(vec![papers.certificate("ca")], lists.collect(), Arc::new(clock.clone()));
    (House::of(limits, Some(papers.identity(clients(Arc::new(verifier))))), clock)
}
fn must(verifier: Arc<ByAnchors>) -> Clients {
    Clients::MustShow(verifier)
}
fn may(verifier: Arc<ByAnchors>) -> Clients {
    Clients::MayShow(verifier)
}

fn ask(house: &House, config: &Arc<ClientConfig>) -> (String, Option<HandshakeKind>) {
    let session = ClientConnection::new(Arc::clone(config), ServerName::try_from("localhost").unwrap()).unwrap();
    let mut stream = StreamOwned::new(session, house.connect());
    let _refused = stream.write_all(b"GET /who HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n");
    let said = rest(&mut stream);
    (said, stream.conn.handshake_kind())
}
#[track_caller]
fn check(house: &House, papers: &Papers, name: Option<&str>, expected: bool) {
    let (said, _) = ask(house, &papers.client(name));
    if !expected {
        return assert_eq!(said, "", "{name:?} was let in");
    }
    status(&said, 200);
    let certificate = name.map_or(vec![], |name| papers.read(&format!("{name}.der")));
    assert!(said.contains(&format!("content-length: {}\r\n", certificate.len())), "{said}");
}

#[test]
fn who_must_show_a_certificate_shows_a_good_one() {
    let papers = Papers::new();
    let (house, _) = believing(&papers, &[], must);
    check(&house, &papers, Some("client"), true);
    check(&house, &papers, None, false);
    check(&house, &papers, Some("stranger"), false);
    // It is of the right authority, and for servers.
    check(&house, &papers, Some("server"), false);
}
#[test]
fn who_may_show_a_certificate_shows_a_good_one_or_none() {
    let papers = Papers::new();
    let (house, _) = believing(&papers, &[], may);
    check(&house, &papers, Some("client"), true);
    check(&house, &papers, None, true);
    check(&house, &papers, Some("stranger"), false);
}
#[test]
fn who_is_not_asked_is_nobody() {
    let papers = Papers::new();
    let house = House::of(limits(), Some(papers.identity(Clients::Nobody)));
    check(&house, &papers, None, true);
    assert!(ask(&house, &papers.client(Some("client"))).0.contains("content-length: 0\r\n"));
}
#[test]
fn a_certificate_is_believed_until_its_last_second_and_by_nobody_who_resumes() {
    let papers = Papers::new();
    let (house, clock) = believing(&papers, &[], must);
    let config = papers.client(Some("client"));
    let not_after = papers.certificate("client").tbs().not_after.ms();
    clock.0.store(not_after, Ordering::SeqCst);
    for _ in 0..2 {
        let (said, kind) = ask(&house, &config);
        status(&said, 200);
        assert_eq!(kind, Some(HandshakeKind::Full));
    }
    clock.0.store(not_after + 1000, Ordering::SeqCst);
    assert_eq!(ask(&house, &config).0, "");
}
#[test]
fn a_revoked_certificate_is_not_believed() {
    let papers = Papers::new();
    check(&believing(&papers, &["none"], must).0, &papers, Some("client"), true);
    check(&believing(&papers, &["client-crl"], must).0, &papers, Some("client"), false);
}
#[test]
fn lists_are_replaced_while_it_listens() {
    let papers = Papers::new();
    let list = |name: &str| CertificateList::decode(&papers.read(&format!("{name}.crl"))).unwrap();
    let now = UnixTime::from_ms(papers.certificate("client").tbs().not_before.plus_s(60).ms());
    let clock = Standing(Arc::new(AtomicU64::new(now.ms())));
    let verifier = ByAnchors::new(vec![papers.certificate("ca")], vec![list("none")], Arc::new(clock));
    let client = papers.read("client.der");
    assert!(verifier.is_believed(&client, &[]));
    verifier.replace(vec![list("client-crl")]);
    assert!(!verifier.is_believed(&client, &[]));
}
#[test]
fn the_key_must_be_the_certificates() {
    let papers = Papers::new();
    let key = Zeroizing::new(papers.read("client.p8"));
    assert!(Identity::new(&[papers.read("server.der")], &key, Clients::Nobody).is_err());
    assert!(Identity::new(&[], &key, Clients::Nobody).is_err());
    assert!(Identity::new(&[papers.read("server.der")], &Zeroizing::new(vec![0; 9]), Clients::Nobody).is_err());
}
#[test]
fn older_versions_are_not_spoken() {
    let papers = Papers::new();
    let (house, _) = believing(&papers, &[], may);
    let speaks = |version: &str| {
        let port = house.server.address().port();
        let mut openssl = Command::new("openssl");
        let openssl = openssl.args(["s_client", version, "-connect", &format!("127.0.0.1:{port}")]);
        openssl.stdin(std::process::Stdio::null()).output().unwrap().status.success()
    };
    assert!(speaks("-tls1_3"));
    assert!(!speaks("-tls1_2"));
}
#[test]
fn by_the_older_version_a_client_is_as_well_known_and_no_session_is_resumed() {
    let papers = Papers::new();
    let now = papers.certificate("client").tbs().not_before.plus_s(60).ms();
    let clock = Standing(Arc::new(AtomicU64::new(now)));
    let verifier = ByAnchors::new(vec![papers.certificate("ca")], vec![], Arc::new(clock));
    let key = Zeroizing::new(papers.read("server.p8"));
    let clients = Clients::MustShow(Arc::new(verifier));
    let identity = Identity::speaking(Oldest::Tls12, &[papers.read("server.der")], &key, clients).unwrap();
    let house = House::of(limits(), Some(identity));
    let older = |name| {
        let mut config = (*papers.client(name)).clone();
        let provider = Arc::clone(config.crypto_provider());
        let roots = papers.roots();
        let plain = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&rustls::version::TLS12])
            .unwrap()
            .with_root_certificates(roots);
        let resolver = Arc::clone(&config.client_auth_cert_resolver);
        config = plain.with_client_cert_resolver(resolver);
        Arc::new(config)
    };
    let config = older(Some("client"));
    for _ in 0..2 {
        let (said, kind) = ask(&house, &config);
        status(&said, 200);
        assert_eq!(kind, Some(HandshakeKind::Full));
    }
    assert_eq!(ask(&house, &older(Some("stranger"))).0, "");
    assert_eq!(ask(&house, &older(None)).0, "");
}
#[test]
fn a_connection_has_a_name_where_both_sides_know_one() {
    let papers = Papers::new();
    let key = Zeroizing::new(papers.read("server.p8"));
    let identity = Identity::speaking(Oldest::Tls12, &[papers.read("server.der")], &key, Clients::Nobody).unwrap();
    let house = House::of(limits(), Some(identity));
    let named = |version: &'static rustls::SupportedProtocolVersion| {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = ClientConfig::builder_with_provider(provider).with_protocol_versions(&[version]).unwrap();
        let config = Arc::new(config.with_root_certificates(papers.roots()).with_no_client_auth());
        let session = ClientConnection::new(config, ServerName::try_from("localhost").unwrap()).unwrap();
        let mut stream = StreamOwned::new(session, house.connect());
        stream.write_all(b"GET /channel HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n").unwrap();
        let mut said = Vec::new();
        let _closed = stream.read_to_end(&mut said);
        let at = said.windows(4).position(|four| four == b"\r\n\r\n").unwrap() + 4;
        let own = stream.conn.export_keying_material([0; 32], b"EXPORTER-Channel-Binding", Some(&[])).unwrap();
        (said[at..].to_vec(), own.to_vec())
    };
    let (one, other) = (named(&rustls::version::TLS13), named(&rustls::version::TLS13));
    assert!(one.0 == one.1 && other.0 == other.1 && one.0 != other.0);
    // On 1.2 the name that clients know is another one, which nobody tells here.
    assert_eq!(named(&rustls::version::TLS12).0, b"");
}
#[test]
fn what_is_recorded_is_not_for_quantum_computers() {
    let papers = Papers::new();
    let house = House::of(limits(), Some(papers.identity(Clients::Nobody)));
    let agreed = |groups: &[&'static dyn rustls::crypto::SupportedKxGroup]| {
        let provider = rustls::crypto::aws_lc_rs::default_provider();
        let provider = Arc::new(rustls::crypto::CryptoProvider { kx_groups: groups.to_vec(), ..provider });
        let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
        let config = Arc::new(config.with_root_certificates(papers.roots()).with_no_client_auth());
        let session = ClientConnection::new(config, ServerName::try_from("localhost").unwrap()).unwrap();
        let mut stream = StreamOwned::new(session, house.connect());
        stream.write_all(b"GET /who HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n").unwrap();
        status(&rest(&mut stream), 200);
        stream.conn.negotiated_key_exchange_group().map(|group| group.name())
    };
    // Alone, where the client begins with it as well, and not where it does not know it.
    assert_eq!(agreed(&[X25519MLKEM768]), Some(NamedGroup::X25519MLKEM768));
    assert_eq!(agreed(&[X25519MLKEM768, X25519]), Some(NamedGroup::X25519MLKEM768));
    assert_eq!(agreed(&[X25519]), Some(NamedGroup::X25519));
}
#[test]
fn who_does_not_shake_hands_is_let_go() {
    let papers = Papers::new();
    let limits = Limits { handshake_within: crate::support::SOON, head_within: PATIENCE, ..limits() };
    let house = House::of(limits, Some(papers.identity(Clients::Nobody)));
    let mut silent: TcpStream = house.connect();
    assert_eq!(rest(&mut silent), "");
    // Who speaks in the clear is let go, too.
    assert!(!house.say("GET /x HTTP/1.1\r\nHost: h\r\n\r\n").contains("HTTP/1.1"));
}
