//! Events over a real nats-server: at least once, in order, each taken once.

use crate::nats::{open, site};
use crate::server::Server;
use adapters::bus::NatsBus;
use adapters::bus::nats::EventLog;
use adapters::bus::nats::events::{Cursor, Entries, Event, EventFault, Follower, Kept};
use futures_util::StreamExt;
use model::contract::MESSAGE_LEN_MAX;
use model::{Fault, Module};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

const LOG: &str = "cradle/32473/box";
/// How long a follower waits when he expects nothing more.
const SOON: Duration = Duration::from_millis(100);

fn event(number: u64) -> Event {
    Event { number, octets: format!("entry {number}").into_bytes() }
}
fn supervisor(server: &Server) -> NatsBus {
    open(server, site("box"), Module::Supervisor)
}

/// A log of so many entries.
struct Log(u64);
impl Entries for Log {
    fn read(&self, from: u64, limit: usize) -> Result<Vec<Event>, Fault> {
        Ok((from..self.0).take(limit).map(event).collect())
    }
}
#[derive(Default)]
struct Mark {
    next: AtomicU64,
    fails: AtomicBool,
}
impl Cursor for Mark {
    fn next(&self) -> Result<u64, Fault> {
        Ok(self.next.load(Ordering::SeqCst))
    }
    fn advance(&self, next: u64) -> Result<(), Fault> {
        if self.fails.swap(false, Ordering::SeqCst) {
            return Err(Fault::unavailable("the power failed"));
        }
        self.next.store(next, Ordering::SeqCst);
        Ok(())
    }
}
#[derive(Default)]
struct Reader {
    taken: Mutex<Vec<Event>>,
    fails: AtomicBool,
}
impl Reader {
    fn numbers(&self) -> Vec<u64> {
        self.taken.lock().unwrap().iter().map(|event| event.number).collect()
    }
}
impl Follower for Reader {
    fn next(&self, log: &str) -> Result<u64, Fault> {
        assert_eq!(log, LOG);
        Ok(self.taken.lock().unwrap().len().try_into().unwrap())
    }
    fn take(&self, _: &str, event: &Event) -> Result<(), Fault> {
        if self.fails.swap(false, Ordering::SeqCst) {
            return Err(Fault::unavailable("the disk is full"));
        }
        self.taken.lock().unwrap().push(event.clone());
        Ok(())
    }
}

#[test]
fn what_is_published_is_taken_in_order() {
    let server = Server::start();
    let (bus, other) = (supervisor(&server), open(&server, site("other"), Module::Console));
    let (log, mark) = (EventLog::open(&bus).unwrap(), Mark::default());
    assert_eq!(log.publish_new(LOG, &Log(300), &mark), Ok(300));
    assert_eq!(log.publish_new(LOG, &Log(300), &mark), Ok(0));
    assert_eq!(log.publish_new(LOG, &Log(303), &mark), Ok(3));
    let (events, reader) = (EventLog::open(&other).unwrap(), Reader::default());
    let taken = events.follow("reader", &reader, SOON).unwrap() + events.follow("reader", &reader, SOON).unwrap();
    assert_eq!((taken, events.follow("reader", &reader, SOON)), (303, Ok(0)));
    assert_eq!(*reader.taken.lock().unwrap(), (0..303).map(event).collect::<Vec<_>>());
}
#[test]
fn each_follower_takes_all() {
    let server = Server::start();
    let bus = supervisor(&server);
    let log = EventLog::open(&bus).unwrap();
    for number in 0..3 {
        log.publish(LOG, &event(number)).unwrap();
    }
    for name in ["one", "two"] {
        let reader = Reader::default();
        assert_eq!(log.follow(name, &reader, SOON), Ok(3));
        assert_eq!(reader.numbers(), [0, 1, 2]);
    }
}
#[test]
fn what_is_published_again_is_kept_once() {
    let server = Server::start();
    let bus = supervisor(&server);
    let (log, mark, reader) = (EventLog::open(&bus).unwrap(), Mark::default(), Reader::default());
    mark.fails.store(true, Ordering::SeqCst);
    assert!(matches!(log.publish_new(LOG, &Log(5), &mark), Err(EventFault::End(_))));
    assert_eq!(log.publish(LOG, &event(4)), Ok(Kept::Repeated));
    assert_eq!(log.publish_new(LOG, &Log(5), &mark), Ok(5));
    assert_eq!(log.publish(LOG, &event(5)), Ok(Kept::New));
    assert_eq!(log.follow("reader", &reader, SOON), Ok(6));
}
#[test]
fn what_comes_again_is_taken_once() {
    let server = Server::start();
    let bus = supervisor(&server);
    let (log, reader) = (EventLog::open(&bus).unwrap(), Reader::default());
    // The broker does not know them any more: they come without the name by which it knows repeats.
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
        let client = async_nats::connect(server.address()).await.unwrap();
        for number in [0, 1, 0, 1, 2, 1] {
            let mut headers = async_nats::HeaderMap::new();
            headers.insert("Cradle-Log", LOG);
            headers.insert("Cradle-Number", number.to_string());
            let context = async_nats::jetstream::new(client.clone());
            let sent = context.publish_with_headers("cradle.test.events.box", headers, "again".into()).await;
            sent.unwrap().await.unwrap();
        }
        client.publish("cradle.test.events.box", "no event".into()).await.unwrap();
        client.flush().await.unwrap();
    });
    assert_eq!(log.follow("reader", &reader, SOON), Ok(3));
    assert_eq!(reader.numbers(), [0, 1, 2]);
    log.publish(LOG, &event(3)).unwrap();
    assert_eq!(log.follow("reader", &reader, SOON), Ok(1));
}
#[test]
fn what_could_not_be_taken_comes_again() {
    let server = Server::start();
    let bus = supervisor(&server);
    let (log, reader) = (EventLog::open(&bus).unwrap(), Reader::default());
    log.publish_new(LOG, &Log(3), &Mark::default()).unwrap();
    reader.fails.store(true, Ordering::SeqCst);
    assert!(matches!(log.follow("reader", &reader, SOON), Err(EventFault::End(_))));
    assert_eq!(log.follow("reader", &reader, SOON), Ok(3));
    assert_eq!(reader.numbers(), [0, 1, 2]);
}
#[test]
fn what_somebody_has_not_said_that_he_took_holds_up_what_is_behind_it() {
    let server = Server::start();
    let bus = supervisor(&server);
    let (log, reader) = (EventLog::open(&bus).unwrap(), Reader::default());
    assert_eq!(log.follow("reader", &reader, SOON), Ok(0));
    log.publish_new(LOG, &Log(3), &Mark::default()).unwrap();
    // A process of the same follower takes the first, and dies.
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
        let context = async_nats::jetstream::new(async_nats::connect(server.address()).await.unwrap());
        let stream = context.get_stream(site("box").stream()).await.unwrap();
        let consumer = stream.get_consumer::<async_nats::jetstream::consumer::pull::Config>("reader").await.unwrap();
        let mut offered = consumer.fetch().max_messages(1).messages().await.unwrap();
        offered.next().await.unwrap().unwrap();
    });
    assert_eq!(log.follow("reader", &reader, SOON), Ok(0));
}
#[test]
fn what_is_missing_is_noticed() {
    let server = Server::start();
    let bus = supervisor(&server);
    let (log, reader) = (EventLog::open(&bus).unwrap(), Reader::default());
    for number in [0, 2, 3] {
        log.publish(LOG, &event(number)).unwrap();
    }
    let gap = EventFault::Gap { log: LOG.to_owned(), wanted: 1, found: 2 };
    assert_eq!(log.follow("reader", &reader, SOON), Err(gap.clone()));
    assert_eq!(log.follow("reader", &reader, SOON), Err(gap));
    // He reads it where it is.
    reader.taken.lock().unwrap().push(event(1));
    assert_eq!(log.follow("reader", &reader, SOON), Ok(2));
}
#[test]
fn a_log_with_a_hole_is_not_published_beyond_it() {
    struct Holed;
    impl Entries for Holed {
        fn read(&self, from: u64, _: usize) -> Result<Vec<Event>, Fault> {
            Ok(vec![event(from), event(from + 2)])
        }
    }
    let server = Server::start();
    let bus = supervisor(&server);
    let (log, mark) = (EventLog::open(&bus).unwrap(), Mark::default());
    let gap = EventFault::Gap { log: LOG.to_owned(), wanted: 1, found: 2 };
    assert_eq!(log.publish_new(LOG, &Holed, &mark), Err(gap));
    assert_eq!(mark.next(), Ok(1));
}
#[test]
fn what_the_broker_keeps_is_there_after_it_was_killed() {
    let mut server = Server::start();
    let bus = supervisor(&server);
    let (log, mark, reader) = (EventLog::open(&bus).unwrap(), Mark::default(), Reader::default());
    log.publish_new(LOG, &Log(10), &mark).unwrap();
    log.follow("reader", &reader, SOON).unwrap();
    log.publish_new(LOG, &Log(20), &mark).unwrap();
    server.kill();
    server.restart();
    // Again, on another connection: the first is on its way back.
    let bus = supervisor(&server);
    let log = EventLog::open(&bus).unwrap();
    log.publish_new(LOG, &Log(25), &mark).unwrap();
    assert_eq!(log.follow("reader", &reader, Duration::from_secs(1)), Ok(15));
    assert_eq!(reader.numbers(), (0..25).collect::<Vec<_>>());
}
#[test]
fn an_event_that_is_too_long_is_refused() {
    let server = Server::start();
    let bus = supervisor(&server);
    let log = EventLog::open(&bus).unwrap();
    let long = |len| Event { number: 0, octets: vec![0; len] };
    assert_eq!(log.publish(LOG, &long(MESSAGE_LEN_MAX + 1)), Err(EventFault::TooLong(0)));
    assert_eq!(log.publish(LOG, &long(MESSAGE_LEN_MAX)), Ok(Kept::New));
}
