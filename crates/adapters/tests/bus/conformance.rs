//! What each bus does alike.

use crate::nats::{open, site};
use crate::server::Server;
use adapters::bus::{CALLS_MAX, LocalBus};
use adapters::clock::SystemClock;
use model::contract::{MESSAGE_LEN_MAX, Subject};
use model::{Module, UnixTime};
use ports::bus::BusFault;
use ports::{Bus, Clock, Handler};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

pub const TO: Module = Module::Authority;
pub const SUBJECT: Subject = Subject::AuthorityCertify;

/// A bus, from both ends.
struct Ends {
    calls: Arc<dyn Bus>,
    answers: Arc<dyn Bus>,
    _server: Option<Server>,
}

/// Nobody answers: one bus knows, the other is told.
fn is_nobody(answer: &Result<Vec<u8>, BusFault>) -> bool {
    matches!(answer, Err(BusFault::Off | BusFault::Nobody))
}

fn local() -> Ends {
    let bus = Arc::new(LocalBus::new(Arc::new(SystemClock)));
    Ends { calls: bus.clone(), answers: bus, _server: None }
}

fn nats() -> Ends {
    let server = Server::start();
    let end = |module| Arc::new(open(&server, site("box"), module));
    Ends { calls: end(Module::Console), answers: end(TO), _server: Some(server) }
}

macro_rules! each_bus {
    ($($name:ident)+) => {
        mod local { $(#[test] fn $name() { super::$name(&super::local()); })+ }
        mod over_nats { $(#[test] fn $name() { super::$name(&super::nats()); })+ }
    };
}

each_bus! {
    a_call_is_answered
    an_empty_answer_is_an_answer
    a_call_arrives_under_its_subject
    a_lease_goes_to_the_module_that_it_is_for
    nobody_answers_for_a_module_that_is_off
    a_module_is_served_once
    a_module_that_left_may_come_back
    a_panic_is_one_callers_misfortune
    a_long_message_is_refused
    a_long_answer_is_refused
    each_of_many_gets_its_own_answer
    a_crowd_waits_until_its_deadline_and_leaving_waits_for_the_calls
}

/// Answers with what a function says.
pub struct Says<F>(pub F);
impl<F: Fn(Subject, &[u8]) -> Vec<u8> + Send + Sync> Handler for Says<F> {
    fn handle(&self, subject: Subject, message: &[u8]) -> Vec<u8> {
        self.0(subject, message)
    }
}
pub fn echo() -> Arc<dyn Handler> {
    Arc::new(Says(|_, message: &[u8]| message.to_vec()))
}
pub fn soon() -> UnixTime {
    SystemClock.now().plus_ms(20)
}
pub fn later() -> UnixTime {
    SystemClock.now().plus_s(60)
}

fn a_call_is_answered(bus: &Ends) {
    let _served = bus.answers.serve(TO, echo()).unwrap();
    assert_eq!(bus.calls.call(TO, SUBJECT, b"hello", later()), Ok(b"hello".to_vec()));
}
fn an_empty_answer_is_an_answer(bus: &Ends) {
    let _served = bus.answers.serve(TO, echo()).unwrap();
    assert_eq!(bus.calls.call(TO, SUBJECT, b"", later()), Ok(Vec::new()));
}
fn a_call_arrives_under_its_subject(bus: &Ends) {
    let _served = bus.answers.serve(TO, Arc::new(Says(|subject: Subject, _: &[u8]| subject.as_str().into()))).unwrap();
    for subject in Subject::ALL.iter().copied().filter(|subject| subject.module() == TO) {
        assert_eq!(bus.calls.call(TO, subject, b"", later()), Ok(subject.as_str().into()));
    }
}
fn a_lease_goes_to_the_module_that_it_is_for(bus: &Ends) {
    for module in Module::ALL {
        let says = Says(move |subject: Subject, _: &[u8]| format!("{subject} to {module}").into_bytes());
        let _served = bus.answers.serve(module, Arc::new(says)).unwrap();
        let answer = bus.calls.call(module, Subject::ModeLease, b"", later());
        assert_eq!(answer, Ok(format!("mode.lease to {module}").into_bytes()));
    }
}
fn nobody_answers_for_a_module_that_is_off(bus: &Ends) {
    assert!(is_nobody(&bus.calls.call(TO, SUBJECT, b"hello", later())));
    drop(bus.answers.serve(TO, echo()).unwrap());
    assert!(is_nobody(&bus.calls.call(TO, SUBJECT, b"hello", later())));
}
fn a_module_is_served_once(bus: &Ends) {
    let _served = bus.answers.serve(TO, echo()).unwrap();
    assert_eq!(bus.answers.serve(TO, echo()).err(), Some(BusFault::Taken));
}
fn a_module_that_left_may_come_back(bus: &Ends) {
    drop(bus.answers.serve(TO, echo()).unwrap());
    a_call_is_answered(bus);
}
fn a_panic_is_one_callers_misfortune(bus: &Ends) {
    let says = Says(|_, message: &[u8]| if message.is_empty() { panic!("a bug in one request") } else { vec![1] });
    let served = bus.answers.serve(TO, Arc::new(says)).unwrap();
    // More often than there are places.
    for _ in 0..=CALLS_MAX {
        assert_eq!(bus.calls.call(TO, SUBJECT, b"", later()), Err(BusFault::Broken));
    }
    assert_eq!(bus.calls.call(TO, SUBJECT, b"another", later()), Ok(vec![1]));
    drop(served);
}
fn a_long_message_is_refused(bus: &Ends) {
    let _served = bus.answers.serve(TO, echo()).unwrap();
    assert_eq!(bus.calls.call(TO, SUBJECT, &vec![7; MESSAGE_LEN_MAX], later()), Ok(vec![7; MESSAGE_LEN_MAX]));
    assert_eq!(bus.calls.call(TO, SUBJECT, &vec![7; MESSAGE_LEN_MAX + 1], later()), Err(BusFault::TooLong));
}
fn a_long_answer_is_refused(bus: &Ends) {
    let _served = bus.answers.serve(TO, Arc::new(Says(|_, _: &[u8]| vec![0; MESSAGE_LEN_MAX + 1]))).unwrap();
    assert_eq!(bus.calls.call(TO, SUBJECT, b"", later()), Err(BusFault::TooLong));
}
fn each_of_many_gets_its_own_answer(bus: &Ends) {
    let _served = bus.answers.serve(TO, echo()).unwrap();
    std::thread::scope(|scope| {
        for caller in 0..32_u32 {
            let calls = &bus.calls;
            scope.spawn(move || {
                for n in 0..50_u32 {
                    let message = format!("{caller} asks {n}").into_bytes();
                    assert_eq!(calls.call(TO, SUBJECT, &message, later()), Ok(message));
                }
            });
        }
    });
}
/// Holds whoever is asked until it is dropped, so that a test that fails ends too.
#[derive(Default)]
struct Held {
    /// How many are held or were, and whether they may go.
    state: Mutex<(usize, bool)>,
    changed: Condvar,
}

impl Held {
    fn hold(&self) {
        let mut state = self.state.lock().unwrap();
        state.0 += 1;
        self.changed.notify_all();
        let _gone = self.changed.wait_while(state, |(_, may_go)| !*may_go).unwrap();
    }
    /// How many came until there were so many, or a minute was over.
    fn come(&self, expected: usize) -> usize {
        let state = self.state.lock().unwrap();
        let wait = Duration::from_secs(60);
        self.changed.wait_timeout_while(state, wait, |(come, _)| *come < expected).unwrap().0.0
    }
}

struct Gate(Arc<Held>);
impl Drop for Gate {
    fn drop(&mut self) {
        self.0.state.lock().unwrap().1 = true;
        self.0.changed.notify_all();
    }
}

fn a_crowd_waits_until_its_deadline_and_leaving_waits_for_the_calls(bus: &Ends) {
    let held = Arc::new(Held::default());
    let inner = Arc::clone(&held);
    let holds = Says(move |_, _: &[u8]| {
        inner.hold();
        vec![1]
    });
    let served = bus.answers.serve(TO, Arc::new(holds)).unwrap();
    std::thread::scope(|scope| {
        let gate = Gate(Arc::clone(&held));
        let calls: Vec<_> = (0..CALLS_MAX).map(|_| scope.spawn(|| bus.calls.call(TO, SUBJECT, b"", later()))).collect();
        assert_eq!(held.come(CALLS_MAX), CALLS_MAX);
        assert_eq!(bus.calls.call(TO, SUBJECT, b"", soon()), Err(BusFault::Late));
        let leaving = scope.spawn(move || drop(served));
        // It is late as long as the module has not begun to leave.
        let left = (0..1000).find_map(|_| match bus.calls.call(TO, SUBJECT, b"", soon()) {
            Err(BusFault::Late) => None,
            other => Some(other),
        });
        assert!(left.as_ref().is_some_and(is_nobody), "{left:?}");
        assert!(!leaving.is_finished(), "it left while it was asked");
        drop(gate);
        for call in calls {
            assert_eq!(call.join().unwrap(), Ok(vec![1]));
        }
        leaving.join().unwrap();
    });
    // Who gave up is not served either.
    assert_eq!(held.come(0), CALLS_MAX);
}

#[test]
fn who_answers_is_known() {
    let bus = LocalBus::new(Arc::new(SystemClock));
    assert_eq!(bus.serving(), []);
    let served = (bus.serve(Module::Identity, echo()).unwrap(), bus.serve(TO, echo()).unwrap());
    assert_eq!(bus.serving(), [TO, Module::Identity]);
    drop(served);
    assert_eq!(bus.serving(), []);
}
