//! What only the bus over nats-server does.

use crate::conformance::{SUBJECT, Says, TO, echo, later};
use crate::server::{PLAIN, Server};
use adapters::bus::nats::credentials::Login;
use adapters::bus::nats::{Age, CALLING_MAX, OpenFault, Reach, Setting, Site};
use adapters::bus::{CALLS_MAX, NatsBus};
use adapters::clock::{SystemClock, SystemEntropy};
use futures_util::{FutureExt, StreamExt};
use model::Module;
use model::contract::{MESSAGE_LEN_MAX, Subject};
use ports::bus::{BusFault, Served};
use ports::{Bus, Clock};
use std::path::PathBuf;
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, RwLock, mpsc};
use std::time::Duration;

pub fn site(instance: &str) -> Site {
    Site { domain: "test".parse().unwrap(), instance: instance.parse().unwrap() }
}
pub fn setting(address: String, site: Site, module: Module) -> Setting {
    Setting { servers: vec![address], site, module, seed: None, trust: None }
}
pub fn open(server: &Server, site: Site, module: Module) -> NatsBus {
    NatsBus::open(&setting(server.address(), site, module), Arc::new(SystemClock)).unwrap()
}
#[track_caller]
fn refused(setting: &Setting) -> OpenFault {
    NatsBus::open(setting, Arc::new(SystemClock)).err().unwrap()
}

// ---- Addresses ----

#[test]
fn two_processes_of_a_module_share_its_calls() {
    const CALLS: usize = 200;
    let server = Server::start();
    let counts: [Arc<AtomicUsize>; 2] = Default::default();
    let served: Vec<_> = counts
        .iter()
        .zip(["one", "two"])
        .map(|(count, name)| {
            let (bus, count) = (open(&server, site(name), TO), Arc::clone(count));
            let says = Says(move |_, _: &[u8]| {
                count.fetch_add(1, Ordering::SeqCst);
                vec![1]
            });
            bus.serve(TO, Arc::new(says)).unwrap()
        })
        .collect();
    let caller = open(&server, site("three"), Module::Console);
    for _ in 0..CALLS {
        assert_eq!(caller.call(TO, SUBJECT, b"", later()), Ok(vec![1]));
    }
    let [one, two] = counts.map(|count| count.load(Ordering::SeqCst));
    assert!(one > 0 && two > 0, "{one} and {two}");
    assert_eq!(one + two, CALLS);
    drop(served);
}
#[test]
fn each_process_of_a_module_takes_a_lease() {
    let server = Server::start();
    let (took, taken) = mpsc::channel();
    let serve = |name: &'static str| {
        let took = took.clone();
        let says = Says(move |_, _: &[u8]| {
            took.send(name).unwrap();
            vec![1]
        });
        open(&server, site("box"), TO).serve(TO, Arc::new(says)).unwrap()
    };
    let _served = (serve("one"), serve("two"));
    let caller = open(&server, site("box"), Module::Supervisor);
    assert_eq!(caller.call(TO, Subject::ModeLease, b"", later()), Ok(vec![1]));
    let mut by: Vec<_> = (0..2).map(|_| taken.recv_timeout(Duration::from_secs(60)).unwrap()).collect();
    by.sort_unstable();
    assert_eq!(by, ["one", "two"]);
}
/// Calls from another box or domain.
#[track_caller]
fn check_far(from: Site, to: Module, subject: Subject, expected: &Result<Vec<u8>, BusFault>) {
    let server = Server::start();
    let _served = open(&server, site("box"), to).serve(to, echo()).unwrap();
    let caller = open(&server, from, Module::Console);
    assert_eq!(&caller.call(to, subject, b"", later()), expected);
}
#[test]
fn a_call_reaches_another_box() {
    check_far(site("other"), TO, SUBJECT, &Ok(Vec::new()));
}
#[test]
fn a_lease_does_not_reach_another_box() {
    check_far(site("other"), TO, Subject::ModeLease, &Err(BusFault::Nobody));
}
#[test]
fn what_a_supervisor_is_told_does_not_reach_another_box() {
    check_far(site("box"), Module::Supervisor, Subject::ModeSeal, &Ok(Vec::new()));
    check_far(site("other"), Module::Supervisor, Subject::ModeSeal, &Err(BusFault::Nobody));
}
#[test]
fn a_call_does_not_reach_another_domain() {
    let other = Site { domain: "other".parse().unwrap(), ..site("box") };
    check_far(other, TO, SUBJECT, &Err(BusFault::Nobody));
}

// ---- Bounds ----

/// Runs something on a connection without our bus.
fn with_client<T>(server: &Server, f: impl AsyncFnOnce(async_nats::Client) -> T) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async { f(async_nats::connect(server.address()).await.unwrap()).await })
}
/// A module whose calls wait until they are let go, and whose leases do not; says how many calls it handled.
fn held(bus: &NatsBus) -> (Box<dyn Served>, Arc<AtomicUsize>, Arc<RwLock<()>>) {
    let (handled, gate): (Arc<AtomicUsize>, Arc<RwLock<()>>) = Default::default();
    let (count, opens) = (Arc::clone(&handled), Arc::clone(&gate));
    let says = Says(move |subject, _: &[u8]| {
        if subject != Subject::ModeLease {
            drop(opens.read().unwrap());
            count.fetch_add(1, Ordering::SeqCst);
        }
        vec![1]
    });
    (bus.serve(TO, Arc::new(says)).unwrap(), handled, gate)
}
#[test]
fn a_flood_is_dropped_and_a_lease_comes_through() {
    const FLOOD: usize = 1000;
    let server = Server::start();
    let (bus, supervisor) = (open(&server, site("box"), TO), open(&server, site("box"), Module::Supervisor));
    let (served, handled, gate) = held(&bus);
    let closed = gate.write().unwrap();
    with_client(&server, async |client| {
        for _ in 0..FLOOD {
            let call = site("box").call(TO, SUBJECT);
            client.publish_with_reply(call, "nobody.waits", "".into()).await.unwrap();
        }
        client.flush().await.unwrap();
    });
    // All turns are taken, and so are all places behind them.
    for _ in 0..20 {
        assert_eq!(supervisor.call(TO, Subject::ModeLease, b"", later()), Ok(vec![1]));
    }
    assert_eq!(handled.load(Ordering::SeqCst), 0);
    drop(closed);
    drop(served);
    let handled = handled.load(Ordering::SeqCst);
    assert!((CALLS_MAX + 256..FLOOD).contains(&handled), "{handled}");
}
#[test]
fn a_caller_does_not_send_more_than_may_be_on_their_way() {
    let server = Server::start();
    let (bus, caller) = (open(&server, site("box"), TO), open(&server, site("box"), Module::Console));
    let (_served, handled, gate) = held(&bus);
    let call = |deadline| caller.call(TO, SUBJECT, b"", deadline);
    let sent = with_client(&server, async |client| {
        let mut calls = client.subscribe(site("box").call(TO, SUBJECT)).await.unwrap();
        let mut fence = client.subscribe("fence").await.unwrap();
        client.publish("fence", "".into()).await.unwrap();
        fence.next().await.unwrap();
        std::thread::scope(|scope| {
            let closed = gate.write().unwrap();
            let waiting: Vec<_> = (0..CALLING_MAX).map(|_| scope.spawn(|| call(later()))).collect();
            while caller.calling(TO) < CALLING_MAX {
                std::thread::yield_now();
            }
            assert_eq!(call(SystemClock.now().plus_ms(50)), Err(BusFault::Late));
            drop(closed);
            assert!(waiting.into_iter().all(|call| call.join().unwrap() == Ok(vec![1])));
        });
        client.publish("fence", "".into()).await.unwrap();
        fence.next().await.unwrap();
        let mut sent = 0;
        while calls.next().now_or_never().is_some() {
            sent += 1;
        }
        sent
    });
    assert_eq!((sent, handled.load(Ordering::SeqCst)), (CALLING_MAX, CALLING_MAX));
}

#[test]
fn who_answers_refuses_what_is_too_long() {
    let server = Server::start();
    let handled = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&handled);
    let says = Says(move |_, _: &[u8]| {
        count.fetch_add(1, Ordering::SeqCst);
        vec![0; MESSAGE_LEN_MAX + 1]
    });
    let _served = open(&server, site("box"), TO).serve(TO, Arc::new(says)).unwrap();
    // A caller that looks at no length.
    for (message, expected) in [(vec![0; MESSAGE_LEN_MAX + 1], 0), (vec![0; MESSAGE_LEN_MAX], 1)] {
        let answer = with_client(&server, async |client| {
            client.request(site("box").call(TO, SUBJECT), message.into()).await.unwrap()
        });
        assert_eq!(answer.headers.unwrap().get("Cradle-Fault").unwrap().as_str(), "too-long");
        assert_eq!((answer.payload.len(), handled.load(Ordering::SeqCst)), (0, expected));
    }
}
#[test]
fn who_calls_refuses_what_is_too_long() {
    let server = Server::start();
    let caller = open(&server, site("box"), Module::Console);
    // It does not even ask whether somebody is there.
    assert_eq!(caller.call(TO, SUBJECT, &vec![0; MESSAGE_LEN_MAX + 1], later()), Err(BusFault::TooLong));
    // One who answers, and looks at no length.
    let answer = with_client(&server, async |client| {
        let mut calls = client.subscribe(site("box").call(TO, SUBJECT)).await.unwrap();
        let mut fence = client.subscribe("fence").await.unwrap();
        client.publish("fence", "".into()).await.unwrap();
        fence.next().await.unwrap();
        let call = std::thread::spawn(move || caller.call(TO, SUBJECT, b"", later()));
        let reply_to = calls.next().await.unwrap().reply.unwrap();
        client.publish(reply_to, vec![0; MESSAGE_LEN_MAX + 1].into()).await.unwrap();
        client.flush().await.unwrap();
        call
    });
    assert_eq!(answer.join().unwrap(), Err(BusFault::TooLong));
}

// ---- The server ----

#[test]
fn a_server_that_takes_too_little_is_refused_with_the_line_to_write() {
    let server = Server::with(&PLAIN.replace("max_payload: 4198400", "max_payload: 4194304"));
    let fault = refused(&setting(server.address(), site("box"), TO));
    assert!(matches!(fault, OpenFault::Payload { found: 4_194_304 }), "{fault}");
    let line = fault.next();
    let line = line.split('`').nth(1).unwrap();
    let server = Server::with(&PLAIN.replace("max_payload: 4198400", line));
    open(&server, site("box"), TO).round_trip().unwrap();
}
#[test]
fn the_broker_is_shown() {
    let mut server = Server::start();
    let bus = open(&server, site("box"), TO);
    bus.round_trip().unwrap();
    let standing = bus.standing();
    assert_eq!((standing.payload_len_max, standing.link), (4_198_400, Reach::Up));
    let minor: u32 = standing.version.split('.').nth(1).unwrap().parse().unwrap();
    assert!(standing.version.starts_with("2."), "{standing:?}");
    assert_eq!(standing.age, if minor < 10 { Age::Old } else { Age::Supported });
    server.kill();
    while bus.standing().link == Reach::Up {
        std::thread::yield_now();
    }
}
#[test]
fn no_server_no_bus() {
    let mut server = Server::start();
    server.kill();
    let fault = refused(&setting(server.address(), site("box"), TO));
    assert!(matches!(fault, OpenFault::Unreachable(_)), "{fault:?}");
    let fault = refused(&setting("nats://a b".to_owned(), site("box"), TO));
    assert!(matches!(fault, OpenFault::Setting(_)), "{fault:?}");
}

// ---- Who signs in ----

/// A server that knows one key; and a file with that key's seed, and one with a stranger's.
fn guarded() -> (Server, PathBuf, PathBuf) {
    let (ours, strangers) = (Login::make(&SystemEntropy::default()), Login::make(&SystemEntropy::default()));
    let (ours, strangers) = (ours.unwrap(), strangers.unwrap());
    let users = format!("authorization {{ users: [ {{ nkey: {} }} ] }}\n", ours.public_key);
    let server = Server::with(&format!("{PLAIN}{users}"));
    let keep = |name: &str, seed: &str| {
        let path = server.directory.path().join(name);
        std::fs::write(&path, format!("{seed}\n")).unwrap();
        path
    };
    let (ours, strangers) = (keep("ours", &ours.seed), keep("stranger", &strangers.seed));
    (server, ours, strangers)
}
#[test]
fn a_key_that_the_server_knows_signs_in() {
    let (server, seed, _) = guarded();
    let setting = Setting { seed: Some(seed), ..setting(server.address(), site("box"), TO) };
    NatsBus::open(&setting, Arc::new(SystemClock)).unwrap().round_trip().unwrap();
}
#[test]
fn a_key_that_the_server_does_not_know_is_refused() {
    let (server, _, stranger) = guarded();
    for seed in [Some(stranger), None] {
        let fault = refused(&Setting { seed, ..setting(server.address(), site("box"), TO) });
        assert!(matches!(fault, OpenFault::Refused), "{fault:?}");
    }
}
#[test]
fn the_seed_of_another_kind_of_key_is_refused() {
    let (server, seed, _) = guarded();
    std::fs::write(&seed, nkeys::KeyPair::new_account().seed().unwrap()).unwrap();
    let fault = refused(&Setting { seed: Some(seed), ..setting(server.address(), site("box"), TO) });
    assert!(matches!(fault, OpenFault::Seed(_)), "{fault:?}");
}
#[test]
fn a_file_without_a_seed_is_refused_and_not_shown() {
    let (server, seed, _) = guarded();
    let secret = std::fs::read_to_string(&seed).unwrap();
    for text in [&secret.trim()[1..], "", "SECRET", &"S".repeat(1000)] {
        std::fs::write(&seed, text).unwrap();
        let fault = refused(&Setting { seed: Some(seed.clone()), ..setting(server.address(), site("box"), TO) });
        assert!(matches!(fault, OpenFault::Seed(_)), "{fault:?}");
        assert!(text.is_empty() || !fault.to_string().contains(text), "{fault}");
    }
}

// ---- TLS ----

/// A server with a certificate; gives the file of it.
fn with_tls(name: &str) -> (Server, PathBuf, tempfile::TempDir) {
    let directory = tempfile::tempdir().unwrap();
    let (certificate, key) = (directory.path().join("certificate.pem"), directory.path().join("key.pem"));
    let made = Command::new("openssl")
        .args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", "/CN=broker"])
        .args(["-addext", "basicConstraints=critical,CA:FALSE", "-addext"])
        .arg(format!("subjectAltName={name}"))
        .arg("-out")
        .arg(&certificate)
        .arg("-keyout")
        .arg(&key)
        .output()
        .unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let tls = format!("tls {{ cert_file: \"{}\", key_file: \"{}\" }}\n", certificate.display(), key.display());
    (Server::with(&format!("{PLAIN}{tls}")), certificate, directory)
}
#[test]
fn over_tls() {
    let (server, certificate, _directory) = with_tls("IP:127.0.0.1");
    let setting = Setting { trust: Some(certificate), ..setting(server.address(), site("box"), TO) };
    NatsBus::open(&setting, Arc::new(SystemClock)).unwrap().round_trip().unwrap();
}
#[test]
fn a_certificate_of_another_server_is_refused() {
    let (server, certificate, _directory) = with_tls("IP:127.0.0.2");
    let fault = refused(&Setting { trust: Some(certificate), ..setting(server.address(), site("box"), TO) });
    assert!(matches!(fault, OpenFault::Unreachable(_)), "{fault:?}");
}
#[test]
fn a_server_without_tls_is_refused_where_tls_is_a_must() {
    let (_with, certificate, _directory) = with_tls("IP:127.0.0.1");
    let server = Server::start();
    let fault = refused(&Setting { trust: Some(certificate), ..setting(server.address(), site("box"), TO) });
    assert!(matches!(fault, OpenFault::Unreachable(_)), "{fault:?}");
}
