//! The line to a server of CMP, against servers that do not do what they should, and over TLS.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "what cannot go on here has failed"
)]

use adapters::cmp::{Address, HttpLine, TIMEOUT};
use ports::foreign::{Issuing, LineFault};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::Command;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Type: application/pkixcmp\r\nContent-Length: 3\r\n\r\nyes";

fn address(scheme: &str, host: &str, port: u16) -> Address {
    Address::parse(&format!("{scheme}://{host}:{port}/pkix/a")).unwrap()
}

/// Reads a request to the end of its body of two octets.
fn request(stream: &mut impl Read) -> String {
    let mut read = Vec::new();
    while !read.ends_with(b"\r\n\r\nhi") {
        let mut octet = [0];
        stream.read_exact(&mut octet).unwrap();
        read.extend(octet);
    }
    String::from_utf8(read).unwrap()
}

/// Serves one connection and gives what `serve` gives.
fn once<T: Send + 'static>(serve: impl FnOnce(TcpStream) -> T + Send + 'static) -> (u16, thread::JoinHandle<T>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    (port, thread::spawn(move || serve(listener.accept().unwrap().0)))
}

#[test]
fn a_request_is_one_of_rfc_9811() {
    let (port, server) = once(|mut stream| {
        let request = request(&mut stream);
        stream.write_all(ANSWER).unwrap();
        request
    });
    let line = HttpLine::new(address("http", "127.0.0.1", port), &[], TIMEOUT, 10).unwrap();
    assert_eq!(line.exchange(b"hi"), Ok(b"yes".to_vec()));
    let request = server.join().unwrap();
    let expected = format!(
        "POST /pkix/a HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nContent-Type: application/pkixcmp\r\n\
         Accept: application/pkixcmp\r\nContent-Length: 2\r\nConnection: close\r\n\r\nhi"
    );
    assert_eq!(request, expected);
}

const SOON: Duration = Duration::from_millis(300);

#[track_caller]
fn silent(said: &'static [u8]) {
    // The connection stays open until the client has given up.
    let (port, server) = once(move |mut stream| {
        request(&mut stream);
        stream.write_all(said).unwrap();
        let _until_it_ends = stream.read(&mut [0]);
    });
    let line = HttpLine::new(address("http", "127.0.0.1", port), &[], SOON, 10).unwrap();
    let fault = line.exchange(b"hi").unwrap_err();
    assert!(matches!(&fault, LineFault::Unanswered(what) if what.contains("too long")), "{fault}");
    server.join().unwrap();
}
#[test]
fn a_server_that_says_nothing() {
    silent(b"");
}
#[test]
fn a_server_that_stops_in_the_middle() {
    silent(b"HTTP/1.1 200 OK\r\nContent-Type: application/pkixcmp\r\nContent-Length: 3\r\n\r\nye");
}
#[test]
fn a_server_that_keeps_sending_is_not_waited_for_longer() {
    // An octet whenever the last one is gone, for as long as somebody listens: each of them in time.
    let (port, server) = once(move |mut stream| {
        request(&mut stream);
        stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Type: application/pkixcmp\r\n\r\n").unwrap();
        stream.set_read_timeout(Some(SOON / 10)).unwrap();
        while stream.read(&mut [0]).is_err() && stream.write_all(b"a").is_ok() {}
    });
    let line = HttpLine::new(address("http", "127.0.0.1", port), &[], SOON, usize::MAX).unwrap();
    let fault = line.exchange(b"hi").unwrap_err();
    assert!(matches!(&fault, LineFault::Unanswered(what) if what.contains("too long")), "{fault}");
    server.join().unwrap();
}
#[test]
fn a_server_that_hangs_up() {
    let (port, server) = once(|mut stream| request(&mut stream));
    let line = HttpLine::new(address("http", "127.0.0.1", port), &[], TIMEOUT, 10).unwrap();
    let fault = line.exchange(b"hi").unwrap_err();
    assert!(matches!(fault, LineFault::Unanswered(_)), "{fault}");
    server.join().unwrap();
}
#[test]
fn a_redirection_is_not_followed() {
    let elsewhere = TcpListener::bind("127.0.0.1:0").unwrap();
    let to = elsewhere.local_addr().unwrap();
    let (port, server) = once(move |mut stream| {
        request(&mut stream);
        let head = "Content-Type: application/pkixcmp\r\nContent-Length: 0";
        write!(stream, "HTTP/1.1 308 X\r\nLocation: http://{to}/\r\n{head}\r\n\r\n").unwrap();
    });
    let line = HttpLine::new(address("http", "127.0.0.1", port), &[], TIMEOUT, 10).unwrap();
    let fault = line.exchange(b"hi").unwrap_err();
    assert!(matches!(&fault, LineFault::NoAnswer(what) if what.contains("308")), "{fault}");
    server.join().unwrap();
    elsewhere.set_nonblocking(true).unwrap();
    assert!(elsewhere.accept().is_err(), "it was followed");
}
#[test]
fn nobody_listens() {
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let line = HttpLine::new(address("http", "127.0.0.1", port), &[], TIMEOUT, 10).unwrap();
    assert!(matches!(line.exchange(b"hi"), Err(LineFault::NotSent(_))));
}

/// An authority and a server's certificate for `localhost`, by OpenSSL.
struct Tls {
    dir: tempfile::TempDir,
}
impl Tls {
    fn new() -> Self {
        let tls = Self { dir: tempfile::tempdir().unwrap() };
        std::fs::write(tls.dir.path().join("names"), "subjectAltName=DNS:localhost\n").unwrap();
        for arguments in [
            "genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -outform DER -out ca.key",
            "genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -outform DER -out server.key",
            "req -x509 -new -keyform DER -key ca.key -subj /CN=CA -days 9 -out ca.pem -addext basicConstraints=critical,CA:TRUE",
            "x509 -in ca.pem -outform DER -out ca.der",
            "req -new -keyform DER -key server.key -subj /CN=S -out server.csr",
            "x509 -req -in server.csr -CA ca.pem -CAkeyform DER -CAkey ca.key -set_serial 2 -days 9 -extfile names \
             -outform DER -out server.der",
        ] {
            let mut openssl = Command::new("openssl");
            let openssl = openssl.current_dir(tls.dir.path()).env("OPENSSL_CONF", "/dev/null");
            let done = openssl.args(arguments.split_whitespace()).output().unwrap();
            assert!(done.status.success(), "{arguments}: {}", String::from_utf8_lossy(&done.stderr));
        }
        tls
    }
    fn read(&self, name: &str) -> Vec<u8> {
        std::fs::read(self.dir.path().join(name)).unwrap()
    }
    /// Serves one connection; whether a request came.
    fn serve(&self) -> (u16, thread::JoinHandle<bool>) {
        let key = PrivateKeyDer::try_from(self.read("server.key")).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
        let chain = vec![CertificateDer::from(self.read("server.der"))];
        let config = Arc::new(config.with_no_client_auth().with_single_cert(chain, key).unwrap());
        once(move |stream| {
            let mut stream = StreamOwned::new(ServerConnection::new(config).unwrap(), stream);
            let mut first = [0];
            if !stream.read(&mut first).is_ok_and(|len| len == 1) {
                return false;
            }
            assert!(request(&mut stream).starts_with("OST "));
            stream.write_all(ANSWER).unwrap();
            true
        })
    }
}

#[test]
fn over_tls() {
    let tls = Tls::new();
    let (port, server) = tls.serve();
    let line = HttpLine::new(address("https", "localhost", port), &[tls.read("ca.der")], TIMEOUT, 10).unwrap();
    assert_eq!(line.exchange(b"hi"), Ok(b"yes".to_vec()));
    assert!(server.join().unwrap());
}
#[track_caller]
fn not_sent(tls: &Tls, host: &str, anchor: Vec<u8>) {
    let (port, server) = tls.serve();
    let line = HttpLine::new(address("https", host, port), &[anchor], TIMEOUT, 10).unwrap();
    let fault = line.exchange(b"hi").unwrap_err();
    assert!(matches!(&fault, LineFault::NotSent(what) if what.contains("TLS")), "{fault}");
    assert!(!server.join().unwrap(), "a request arrived");
}
#[test]
fn over_tls_to_a_server_of_another_authority() {
    not_sent(&Tls::new(), "localhost", Tls::new().read("ca.der"));
}
#[test]
fn over_tls_to_a_server_of_another_name() {
    let tls = Tls::new();
    not_sent(&tls, "127.0.0.1", tls.read("ca.der"));
}
#[test]
fn anchors_and_scheme_go_together() {
    let anchor = Tls::new().read("ca.der");
    assert!(HttpLine::new(address("https", "localhost", 1), &[], TIMEOUT, 10).is_err());
    assert!(HttpLine::new(address("http", "localhost", 1), std::slice::from_ref(&anchor), TIMEOUT, 10).is_err());
    assert!(HttpLine::new(address("https", "localhost", 1), &[b"no certificate".to_vec()], TIMEOUT, 10).is_err());
}
