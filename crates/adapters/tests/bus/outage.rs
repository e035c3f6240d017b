//! The server dies in the middle of calls, and comes back.

use crate::conformance::{SUBJECT, Says, TO, later};
use crate::nats::{open, setting, site};
use crate::proxy::{Way, before};
use crate::server::Server;
use adapters::bus::NatsBus;
use adapters::bus::nats::Reach;
use adapters::clock::SystemClock;
use model::Module;
use ports::bus::BusFault;
use ports::{Bus, Clock};
use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

const CALLERS: usize = 8;
/// Calls that each caller has answered before the server dies, and again after it is back.
const ANSWERED: usize = 100;
/// Most calls that a caller makes.
const CALLS_MAX: usize = 100_000;
/// How long a call waits.
const PATIENCE_MS: u64 = 500;

#[test]
fn every_call_ends_and_none_is_handled_twice() {
    let mut server = Server::start();
    let handled: Arc<Mutex<HashMap<Vec<u8>, usize>>> = Arc::default();
    let seen = Arc::clone(&handled);
    let says = Says(move |_, message: &[u8]| {
        *seen.lock().unwrap().entry(message.to_vec()).or_default() += 1;
        message.to_vec()
    });
    let _served = open(&server, site("box"), TO).serve(TO, Arc::new(says)).unwrap();
    let caller = open(&server, site("box"), Module::Console);
    let (answered, unanswered) = (AtomicUsize::new(0), AtomicUsize::new(0));
    // How many answers all together end it; nobody knows before the server is back.
    let enough = AtomicUsize::new(usize::MAX);
    std::thread::scope(|scope| {
        for n in 0..CALLERS {
            let (caller, answered, unanswered, enough) = (&caller, &answered, &unanswered, &enough);
            scope.spawn(move || {
                for call in 0..CALLS_MAX {
                    if answered.load(Ordering::SeqCst) >= enough.load(Ordering::SeqCst) {
                        return;
                    }
                    let message = format!("{n}: {call}").into_bytes();
                    let deadline = SystemClock.now().plus_ms(PATIENCE_MS);
                    match caller.call(TO, SUBJECT, &message, deadline) {
                        Ok(answer) => {
                            assert_eq!(answer, message);
                            answered.fetch_add(1, Ordering::SeqCst);
                        }
                        Err(BusFault::Late | BusFault::Nobody) => {
                            unanswered.fetch_add(1, Ordering::SeqCst);
                        }
                        Err(other) => panic!("{other:?}"),
                    }
                    let over = SystemClock.now().since_ms(deadline);
                    assert!(over < 5_000, "a call ended {over} ms behind its deadline");
                }
                panic!("the calls do not succeed any more");
            });
        }
        while answered.load(Ordering::SeqCst) < CALLERS * ANSWERED {
            std::thread::yield_now();
        }
        server.kill();
        // Each has been without an answer now.
        while unanswered.load(Ordering::SeqCst) < CALLERS {
            std::thread::yield_now();
        }
        server.restart();
        enough.store(answered.load(Ordering::SeqCst) + CALLERS * ANSWERED, Ordering::SeqCst);
    });
    let handled = handled.lock().unwrap();
    let twice: Vec<_> = handled.iter().filter(|(_, times)| **times > 1).collect();
    assert!(twice.is_empty(), "{twice:?}");
    assert!(handled.len() >= answered.load(Ordering::SeqCst));
}
#[test]
fn a_call_waits_for_the_server_until_its_deadline() {
    let mut server = Server::start();
    let caller = open(&server, site("box"), Module::Console);
    server.kill();
    while caller.standing().link == Reach::Up {
        std::thread::yield_now();
    }
    assert_eq!(caller.call(TO, SUBJECT, b"", SystemClock.now().plus_ms(50)), Err(BusFault::Late));
    std::thread::scope(|scope| {
        let call = scope.spawn(|| caller.call(TO, SUBJECT, b"", later()));
        server.restart();
        // Nobody is there, says the server that is back.
        assert_eq!(call.join().unwrap(), Err(BusFault::Nobody));
    });
}
#[test]
fn what_is_late_is_not_sent_when_the_server_is_back() {
    let mut server = Server::start();
    let sent = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&sent);
    let counts = move |way, frame| {
        count.fetch_add(usize::from(way == Way::Call), Ordering::SeqCst);
        vec![frame]
    };
    let setting = setting(before(server.port, Box::new(counts)), site("box"), Module::Console);
    let caller = NatsBus::open(&setting, Arc::new(SystemClock)).unwrap();
    server.kill();
    while caller.standing().link == Reach::Up {
        std::thread::yield_now();
    }
    for _ in 0..3 {
        assert_eq!(caller.call(TO, SUBJECT, b"", SystemClock.now().plus_ms(20)), Err(BusFault::Late));
    }
    server.restart();
    assert_eq!(caller.call(TO, SUBJECT, b"", later()), Err(BusFault::Nobody));
    assert_eq!(sent.load(Ordering::SeqCst), 1);
}
#[test]
fn a_module_leaves_although_the_server_is_gone() {
    let mut server = Server::start();
    let bus = open(&server, site("box"), TO);
    let served = bus.serve(TO, crate::conformance::echo()).unwrap();
    server.kill();
    while bus.standing().link == Reach::Up {
        std::thread::yield_now();
    }
    drop(served);
    server.restart();
    let caller = open(&server, site("box"), Module::Console);
    assert_eq!(caller.call(TO, SUBJECT, b"", later()), Err(BusFault::Nobody));
}
