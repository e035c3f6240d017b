//! A broker that cheats. Each trick is played twice: on modules that seal what they say, who are not deceived; and, as the
//! control, on the same bus without seals, to show that the trick is one.

use crate::conformance::{Says, later};
use crate::nats::{open, setting, site};
use crate::proxy::{Frame, Trick, Way, before};
use crate::sealed::{Doer, Log, link};
use crate::server::Server;
use adapters::bus::NatsBus;
use adapters::clock::SystemClock;
use model::contract::Subject;
use model::contract::authority::Done;
use model::contract::identity::Mark;
use model::{Fault, Module, Reason};
use ports::bus::{BusFault, Served};
use ports::{Bus, Link};
use std::sync::{Arc, Mutex, mpsc};

const TO: Module = Module::Identity;
const SUBJECT: Subject = Subject::IdentityMark;

// ---- Tricks ----

/// Does something to the first message of a way, and nothing to any other.
fn first(of: Way, mut act: impl FnMut(Frame) -> Vec<Frame> + Send + 'static) -> Trick {
    let mut is_first = true;
    Box::new(move |way, frame| if way == of && std::mem::take(&mut is_first) { act(frame) } else { vec![frame] })
}
fn duplicate() -> Trick {
    first(Way::Call, |frame| vec![frame.clone(), frame])
}
/// The first call comes again after the second.
fn replay() -> Trick {
    let mut kept = None;
    Box::new(move |way, frame| match (way, kept.take()) {
        (Way::Answer, before) => {
            kept = before;
            vec![frame]
        }
        (Way::Call, None) => {
            kept = Some(Some(frame.clone()));
            vec![frame]
        }
        (Way::Call, Some(before)) => {
            kept = Some(None);
            std::iter::once(frame).chain(before).collect()
        }
    })
}
/// The first call comes after the second. Says when it is held.
fn reorder(holds: mpsc::Sender<()>) -> Trick {
    let mut held = None;
    let mut calls = 0;
    Box::new(move |way, frame| {
        calls += usize::from(way == Way::Call);
        match (way, calls) {
            (Way::Call, 1) => {
                held = Some(frame);
                holds.send(()).unwrap();
                Vec::new()
            }
            (Way::Call, 2) => std::iter::once(frame).chain(held.take()).collect(),
            _ => vec![frame],
        }
    })
}
fn redirect(from: &'static str, to: &'static str) -> Trick {
    first(Way::Call, move |frame| vec![frame.redirected(from, to)])
}
fn forge(way: Way) -> Trick {
    first(way, |frame| {
        vec![frame.with_body(|body| {
            let near_the_end = body.len() - 3;
            body[near_the_end] ^= 1;
        })]
    })
}
/// The second call gets the answer to the first.
fn answer_with_an_earlier_one() -> Trick {
    let mut earlier: Option<Frame> = None;
    Box::new(move |way, frame| match (way, &earlier) {
        (Way::Call, _) => vec![frame],
        (Way::Answer, None) => {
            earlier = Some(frame.clone());
            vec![frame]
        }
        (Way::Answer, Some(earlier)) => vec![earlier.clone().addressed_as(&frame)],
    })
}
/// The caller gets his own call for an answer.
fn reflect() -> Trick {
    let mut call = Vec::new();
    Box::new(move |way, frame| match way {
        Way::Call => {
            call = frame.body().to_vec();
            vec![frame]
        }
        Way::Answer => vec![frame.saying(&call)],
    })
}
fn say(headers: &'static str) -> Trick {
    first(Way::Answer, |frame| vec![frame.with_headers_only(headers)])
}
const NOBODY: &str = "NATS/1.0 503\r\n\r\n";
const BROKEN: &str = "NATS/1.0\r\nCradle-Fault: broken\r\n\r\n";

// ---- With seals ----

/// What becomes of the calls of a console to ics, which is reached over a broker that cheats.
struct Sealed {
    console: Arc<Link>,
    /// What the console did not believe.
    disbelieved: Arc<Log>,
    doer: Arc<Doer>,
    /// What ics and sm refused.
    refused: [Arc<Log>; 2],
    served: Vec<Box<dyn Served>>,
    _server: Server,
}

impl Sealed {
    fn new(trick: Trick) -> Self {
        let server = Server::start();
        let doer = Arc::new(Doer::default());
        let mut served = Vec::new();
        let refused = [TO, Module::Software].map(|module| {
            let (link, log) = link(module, Arc::new(open(&server, site("box"), module)));
            served.push(link.serve(doer.clone()).unwrap());
            log
        });
        let bus = cheated(&server, trick);
        let (console, disbelieved) = link(Module::Console, Arc::new(bus));
        Self { console, disbelieved, doer, refused, served, _server: server }
    }
    fn call(&self) -> Result<Done, Fault> {
        self.console.call(&Mark { device: "urn:dev:ops:32473-sensor-SN0001".parse().unwrap(), stolen: true })
    }
    /// Ends; says how often something was done, and what each side refused.
    fn end(self) -> (usize, Vec<Reason>, Vec<Reason>) {
        // What came is answered before.
        drop(self.served);
        let refused = self.refused.iter().flat_map(|log| log.refused()).collect();
        (self.doer.done(), refused, self.disbelieved.refused())
    }
}

fn cheated(server: &Server, trick: Trick) -> NatsBus {
    let setting = setting(before(server.port, trick), site("box"), Module::Console);
    NatsBus::open(&setting, Arc::new(SystemClock)).unwrap()
}

/// What the one who called is told.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Told {
    Done,
    Refused(Reason),
    /// He does not know what became of it, and asks again.
    Unsure,
}

/// Two calls, of which the first or the second meets the trick; the other must come to pass.
#[track_caller]
fn check(trick: Trick, told: [Told; 2], done: usize, refused: &[Reason], disbelieved: &[Reason]) {
    let sealed = Sealed::new(trick);
    let answers = [sealed.call(), sealed.call()].map(|answer| match answer {
        Ok(Done {}) => Told::Done,
        Err(Fault::Refused(reason)) => Told::Refused(reason),
        Err(Fault::Unavailable(_)) => Told::Unsure,
        Err(other) => panic!("{other:?}"),
    });
    assert_eq!(answers, told);
    assert_eq!(sealed.end(), (done, refused.to_vec(), disbelieved.to_vec()));
}

#[test]
fn a_broker_that_does_not_cheat() {
    check(Box::new(|_, frame| vec![frame]), [Told::Done, Told::Done], 2, &[], &[]);
}
#[test]
fn a_call_that_comes_twice_is_done_once() {
    let sealed = Sealed::new(duplicate());
    // Whichever answer comes first counts: that it is done, or that it is not known what the other copy did.
    assert!(matches!(sealed.call(), Ok(Done {}) | Err(Fault::Unavailable(_))));
    assert_eq!(sealed.call(), Ok(Done {}));
    assert_eq!(sealed.end(), (2, vec![Reason::Replayed], vec![]));
}
#[test]
fn a_call_that_comes_again_is_done_once() {
    let sealed = Sealed::new(replay());
    for _ in 0..3 {
        assert_eq!(sealed.call(), Ok(Done {}));
    }
    assert_eq!(sealed.end(), (3, vec![Reason::Replayed], vec![]));
}
#[test]
fn calls_that_change_places_are_each_done_once() {
    let (holds, held) = mpsc::channel();
    let sealed = Sealed::new(reorder(holds));
    std::thread::scope(|scope| {
        let one = scope.spawn(|| sealed.call());
        held.recv().unwrap();
        assert_eq!(sealed.call(), Ok(Done {}));
        assert_eq!(one.join().unwrap(), Ok(Done {}));
    });
    assert_eq!(sealed.end(), (2, vec![], vec![]));
}
#[test]
fn a_call_under_another_subject_is_refused() {
    let trick = redirect("identity.mark", "identity.trust");
    check(trick, [Told::Unsure, Told::Done], 1, &[Reason::WrongSubject], &[]);
}
#[test]
fn a_call_to_another_module_is_refused() {
    // Nor is its refusal believed: the console asked ics, not sm.
    let trick = redirect("test.identity", "test.software");
    check(trick, [Told::Unsure, Told::Done], 1, &[Reason::WrongSubject], &[Reason::WrongSubject]);
}
#[test]
fn a_call_that_was_altered_is_refused() {
    check(forge(Way::Call), [Told::Unsure, Told::Done], 1, &[Reason::SignatureInvalid], &[]);
}
#[test]
fn an_answer_that_was_altered_is_not_believed() {
    check(forge(Way::Answer), [Told::Unsure, Told::Done], 2, &[], &[Reason::SignatureInvalid]);
}
#[test]
fn an_earlier_answer_is_not_believed() {
    check(answer_with_an_earlier_one(), [Told::Done, Told::Unsure], 2, &[], &[Reason::Replayed]);
}
#[test]
fn the_own_call_is_no_answer() {
    let unbelieved = [Reason::SignatureInvalid; 2];
    check(reflect(), [Told::Unsure, Told::Unsure], 2, &[], &unbelieved);
}
#[test]
fn that_nobody_is_there_is_no_refusal() {
    // The call was done: whoever is told "refused" would rely on that it was not.
    check(say(NOBODY), [Told::Unsure, Told::Done], 2, &[], &[]);
}
#[test]
fn that_the_module_broke_down_is_no_refusal() {
    check(say(BROKEN), [Told::Unsure, Told::Done], 2, &[], &[]);
}

// ---- Without seals: the control ----

/// What arrived: at whom, under what, which octets.
type Arrived = Arc<Mutex<Vec<(Module, Subject, Vec<u8>)>>>;

struct Bare {
    console: NatsBus,
    arrived: Arrived,
    served: Vec<Box<dyn Served>>,
    _server: Server,
}

impl Bare {
    fn new(trick: Trick) -> Self {
        let server = Server::start();
        let arrived = Arrived::default();
        let serve = |module| {
            let told = Arc::clone(&arrived);
            let says = Says(move |subject, message: &[u8]| {
                told.lock().unwrap().push((module, subject, message.to_vec()));
                [b"answer to ", message].concat()
            });
            open(&server, site("box"), module).serve(module, Arc::new(says)).unwrap()
        };
        let served = vec![serve(TO), serve(Module::Software)];
        Self { console: cheated(&server, trick), arrived, served, _server: server }
    }
    fn call(&self, message: &str) -> Result<String, BusFault> {
        let answer = self.console.call(TO, SUBJECT, message.as_bytes(), later());
        answer.map(|answer| String::from_utf8(answer).unwrap())
    }
    fn end(self) -> Vec<(Module, Subject, String)> {
        drop(self.served);
        let mut arrived = self.arrived.lock().unwrap().clone();
        arrived.sort();
        arrived.into_iter().map(|(to, under, octets)| (to, under, String::from_utf8(octets).unwrap())).collect()
    }
}

/// Two calls without seals; gives the answers, and what arrived.
#[track_caller]
fn control(trick: Trick, answers: [Result<&str, BusFault>; 2], arrived: &[(Module, Subject, &str)]) {
    let bare = Bare::new(trick);
    let told = [bare.call("first"), bare.call("second")];
    assert_eq!(told, answers.map(|answer| answer.map(str::to_owned)));
    let came = bare.end();
    assert_eq!(came.iter().map(|(to, under, text)| (*to, *under, text.as_str())).collect::<Vec<_>>(), arrived);
}
const FIRST: Result<&str, BusFault> = Ok("answer to first");
const SECOND: Result<&str, BusFault> = Ok("answer to second");
const BOTH: [(Module, Subject, &str); 2] = [(TO, SUBJECT, "first"), (TO, SUBJECT, "second")];

#[test]
fn control_without_tricks() {
    control(Box::new(|_, frame| vec![frame]), [FIRST, SECOND], &BOTH);
}
#[test]
fn control_duplicate() {
    control(duplicate(), [FIRST, SECOND], &[BOTH[0], BOTH[0], BOTH[1]]);
}
#[test]
fn control_replay() {
    let bare = Bare::new(replay());
    for call in ["first", "second", "third"] {
        bare.call(call).unwrap();
    }
    let came: Vec<_> = bare.end().into_iter().map(|(_, _, text)| text).collect();
    assert_eq!(came, ["first", "first", "second", "third"]);
}
#[test]
fn control_reorder() {
    let (holds, held) = mpsc::channel();
    let bare = Bare::new(reorder(holds));
    std::thread::scope(|scope| {
        let one = scope.spawn(|| bare.call("first"));
        held.recv().unwrap();
        assert_eq!(bare.arrived.lock().unwrap().len(), 0, "the first waits for the second");
        assert_eq!(bare.call("second").as_deref(), SECOND.as_ref().copied());
        assert_eq!(one.join().unwrap().as_deref(), FIRST.as_ref().copied());
    });
    assert_eq!(bare.end().len(), 2);
}
#[test]
fn control_redirect_to_another_subject() {
    let arrived = [(TO, Subject::IdentityTrust, "first"), BOTH[1]];
    control(redirect("identity.mark", "identity.trust"), [FIRST, SECOND], &arrived);
}
#[test]
fn control_redirect_to_another_module() {
    let arrived = [(Module::Software, SUBJECT, "first"), BOTH[1]];
    control(redirect("test.identity", "test.software"), [FIRST, SECOND], &arrived);
}
#[test]
fn control_forge_a_call() {
    let arrived = [(TO, SUBJECT, "fisst"), BOTH[1]];
    control(forge(Way::Call), [Ok("answer to fisst"), SECOND], &arrived);
}
#[test]
fn control_forge_an_answer() {
    control(forge(Way::Answer), [Ok("answer to fisst"), SECOND], &BOTH);
}
#[test]
fn control_an_earlier_answer() {
    control(answer_with_an_earlier_one(), [FIRST, FIRST], &BOTH);
}
#[test]
fn control_reflect() {
    control(reflect(), [Ok("first"), Ok("second")], &BOTH);
}
#[test]
fn control_say_that_nobody_is_there() {
    control(say(NOBODY), [Err(BusFault::Nobody), SECOND], &BOTH);
}
#[test]
fn control_say_that_the_module_broke_down() {
    control(say(BROKEN), [Err(BusFault::Broken), SECOND], &BOTH);
}
