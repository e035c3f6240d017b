use super::*;
use crate::clock::SystemEntropy;
use std::net::TcpListener;
use std::thread::{self, JoinHandle};

/// What is served to whoever comes: octets, over and over or once.
enum Serves {
    Once(&'static str),
    Endless(&'static str),
    Nothing,
}

/// A server of so many connections.
fn server(serves: Vec<Serves>) -> (u16, JoinHandle<Vec<String>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let serving = thread::spawn(move || {
        let mut asked = Vec::new();
        for serves in serves {
            let (mut line, _) = listener.accept().unwrap();
            let mut request = [0; 2048];
            let len = line.read(&mut request).unwrap();
            asked.push(String::from_utf8_lossy(&request[..len]).into_owned());
            match serves {
                Serves::Once(text) => line.write_all(text.as_bytes()).unwrap(),
                Serves::Endless(text) => {
                    line.write_all(b"HTTP/1.1 200 OK\r\n\r\n").unwrap();
                    while line.write_all(text.as_bytes()).is_ok() {}
                }
                Serves::Nothing => while line.read(&mut request).is_ok_and(|len| len > 0) {},
            }
        }
        asked
    });
    (port, serving)
}

fn from_here(port: u16, allowed: &[&str]) -> FromHere {
    let allowed = allowed.iter().map(|text| text.parse().unwrap()).collect();
    let within = Duration::from_millis(1500);
    let setting = Setting { resolver: None, http_port: port, tls_port: port, allowed, within };
    FromHere::new(setting, Arc::new(SystemEntropy::default()))
}

fn look(name: &str, kind: ChallengeKind) -> Look {
    Look { authorization: model::AcmeId::new([0; 16]), kind, name: name.into(), token: "t".into() }
}

#[track_caller]
fn check(serves: Vec<Serves>, expected: Result<&str, Reason>) -> Vec<String> {
    let (port, serving) = server(serves);
    let seen = from_here(port, &["127.0.0.0/8"]).look(&look("127.0.0.1", ChallengeKind::Http));
    assert_eq!(seen, expected.map(|text| SeenThere::Body(text.as_bytes().to_vec().into())));
    serving.join().unwrap()
}

#[test]
fn a_file_by_its_token() {
    let asked = check(vec![Serves::Once("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nt.k")], Ok("t.k"));
    assert!(asked[0].starts_with("GET /.well-known/acme-challenge/t HTTP/1.0\r\nHost: 127.0.0.1\r\n"), "{asked:?}");
    check(vec![Serves::Once("HTTP/1.0 200 OK\r\n\r\nt.k\n")], Ok("t.k\n"));
}
#[test]
fn an_address_that_is_not_allowed_is_not_connected_to() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let port = listener.local_addr().unwrap().port();
    for (name, allowed) in [("127.0.0.1", vec![]), ("127.0.0.1", vec!["10.0.0.0/8"]), ("::1", vec!["127.0.0.0/8"])] {
        for kind in [ChallengeKind::Http, ChallengeKind::TlsAlpn] {
            assert_eq!(from_here(port, &allowed).look(&look(name, kind)), Err(Reason::ChallengeAddress));
        }
    }
    assert!(listener.accept().is_err_and(|fault| fault.kind() == ErrorKind::WouldBlock), "somebody connected");
}
#[test]
fn a_redirection_within_the_scheme_is_followed() {
    let asked = check(
        vec![
            Serves::Once("HTTP/1.1 302 Found\r\nLocation: /other\r\n\r\n"),
            Serves::Once("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nt.k"),
        ],
        Ok("t.k"),
    );
    assert!(asked[1].starts_with("GET /other "), "{asked:?}");
}
#[test]
fn a_redirection_elsewhere_is_not() {
    for location in ["https://127.0.0.1/", "ftp://127.0.0.1/", "http://127.0.0.1:22/"] {
        let text: &'static str = format!("HTTP/1.1 301 Moved\r\nLocation: {location}\r\n\r\n").leak();
        check(vec![Serves::Once(text)], Err(Reason::ChallengeRedirect));
    }
    check(vec![Serves::Once("HTTP/1.1 301 Moved\r\n\r\n")], Err(Reason::ChallengeRedirect));
}
#[test]
fn a_redirection_to_an_address_that_is_not_allowed() {
    for location in ["http://169.254.169.254/latest", "http://10.0.0.1/", "http://[::1]/", "http://[fe80::1]/"] {
        let text: &'static str = format!("HTTP/1.1 301 Moved\r\nLocation: {location}\r\n\r\n").leak();
        check(vec![Serves::Once(text)], Err(Reason::ChallengeAddress));
    }
}
#[test]
fn redirections_in_a_circle_end() {
    let circle = || Serves::Once("HTTP/1.1 302 Found\r\nLocation: /x\r\n\r\n");
    check(vec![circle(), circle(), circle(), circle()], Err(Reason::ChallengeRedirect));
}
#[test]
fn what_never_ends_is_left() {
    check(vec![Serves::Endless("k")], Err(Reason::ChallengeTooLong));
    check(vec![Serves::Endless("X: y\r\n")], Err(Reason::ChallengeTooLong));
    let long = Serves::Once("HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n");
    check(vec![long], Err(Reason::ChallengeTooLong));
}
#[test]
fn a_head_that_never_ends_is_left() {
    let head: &'static str = format!("HTTP/1.1 200 OK\r\nX: {}", "y".repeat(9000)).leak();
    check(vec![Serves::Once(head)], Err(Reason::ChallengeTooLong));
}
#[test]
fn who_is_slow_is_left_in_time() {
    let began = now();
    check(vec![Serves::Nothing], Err(Reason::ChallengeSlow));
    assert!(began.elapsed() < Duration::from_secs(5));
}
#[test]
fn what_is_no_file() {
    check(vec![Serves::Once("HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")], Err(Reason::ChallengeWrong));
    check(vec![Serves::Once("hello\r\n")], Err(Reason::ChallengeWrong));
    let chunked = Serves::Once("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nt.k\r\n0\r\n\r\n");
    check(vec![chunked], Err(Reason::ChallengeWrong));
}
#[test]
fn nobody_there() {
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let there = from_here(free, &["127.0.0.0/8"]);
    assert_eq!(there.look(&look("127.0.0.1", ChallengeKind::Http)), Err(Reason::ChallengeUnreached));
}
