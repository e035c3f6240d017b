//! Many processes at one server: what each was told stands, whatever breaks in between.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "what cannot go on here has failed"
)]

mod proxy;
mod put_back;
mod server;
#[path = "../store/support.rs"]
#[expect(dead_code, reason = "the suite of every store uses the rest")]
mod support;
mod tls;

use adapters::store::SqlStore;
use adapters::store::sql::{OpenFault, Server};
use model::{Reason, UnixTime};
use ports::StoreFault;
use ports::store::AuthorityStore;
use ports::store::authority::{IntentDraft, IntentOutcome};
use proxy::{CARRY, CUT_AFTER, CUT_BEFORE, CUT_OFF, Proxy, STALL};
use server::Postgres;
use std::sync::Arc;
use support::*;

fn at(port: u16, process: &str) -> Server {
    let url = format!("host=127.0.0.1 port={port} user=cradle dbname=postgres");
    Server { url, password: None, anchors: Vec::new(), process: process.into(), log_mark: None }
}

/// A process of this name; all of them have one key for the log.
fn process(port: u16, name: &str, first: Option<&Box_>) -> Box_ {
    let mut b = Box_::new();
    b.server = Some(at(port, name));
    if let Some(first) = first {
        b.key = Arc::clone(&first.key);
    }
    b
}

fn issue_each(store: &SqlStore, authority: u64, numbers: std::ops::Range<u8>) {
    numbers.for_each(|n| issue(store, authority, n));
}

#[track_caller]
fn is_sound(b: &Box_, store: &SqlStore) {
    assert!(store.check_audit(&[], b.key.public_key(), &mut |_| ()).unwrap().is_ok());
    // The certificates of these tests are no certificates; what counts is what is found beyond that.
    let found = store.check_deep(&mut |_| ()).unwrap().err().unwrap_or_default();
    let found: Vec<_> = found.into_iter().filter(|f| !f.what.contains("cannot be read")).collect();
    assert!(found.is_empty(), "{found:?}");
}

#[test]
fn two_processes_write_one_log() {
    let server = Postgres::new(&[]);
    let first = process(server.port, "km-1", None);
    let second = process(server.port, "km-2", Some(&first));
    let (one, two) = (first.open(), second.open());
    let authority = ready(&one);
    std::thread::scope(|scope| {
        scope.spawn(|| issue_each(&one, authority, 0..5));
        scope.spawn(|| issue_each(&two, authority, 5..10));
    });
    is_sound(&first, &two);
    assert_ne!(one.epoch(), two.epoch(), "serial numbers of two processes differ");
}
#[test]
fn tables_of_an_older_version_come_up_to_date() {
    let server = Postgres::new(&[]);
    let first = process(server.port, "km-1", None);
    drop(first.open());
    let eight = "maker".to_owned();
    let six = format!("{eight}, acme_account, acme_order, acme_authorization, acme_nonce, acme_key");
    let five = format!("{six}, cmp_exchange, cmp_secret");
    let four = format!("{five}, bundle_release, bundle, trusted_file");
    let three = format!("{four}, invitation");
    let two = format!("{three}, foreign_authority, foreign_intent, received");
    for (version, tables) in [(8, eight), (6, six), (5, five), (4, four), (3, three), (2, two)] {
        let tables = tables.split(", ").map(|table| format!("DROP TABLE cradle.{table};")).collect::<String>();
        let reference = "ALTER TABLE cradle.certificate ADD FOREIGN KEY (id) REFERENCES cradle.issuance (id);";
        let column = "ALTER TABLE cradle.device DROP COLUMN idevid;";
        let older = format!("{tables} {column} {reference} UPDATE cradle.schema_version SET value = {version}");
        server.client().batch_execute(&older).unwrap();
        let read = SqlStore::open_server_to_read(&at(server.port, "reader")).map(drop);
        assert_eq!(read, Err(OpenFault::Older(version)));
        let store = SqlStore::open(&first.dir, &first.opening()).unwrap();
        assert_eq!(store.invitations().unwrap(), []);
        let row = server.client().query_one("SELECT value FROM cradle.schema_version", &[]).unwrap();
        assert_eq!(row.get::<_, i64>(0), i64::from(adapters::store::sql::SCHEMA));
        let references =
            server.client().query_one("SELECT count(*) FROM pg_constraint WHERE contype = 'f'", &[]).unwrap();
        assert_eq!(references.get::<_, i64>(0), 0, "the server checks each row");
    }
}
#[test]
fn a_grant_is_spent_once_however_many_processes_reserve_it() {
    let server = Postgres::new(&[]);
    let first = process(server.port, "km-1", None);
    let second = process(server.port, "km-2", Some(&first));
    let (a, b) = (first.open(), second.open());
    let authority = ready(&a);
    let of = |n: u8| IntentDraft { grant: grant(&a, 0).id, ..draft(&a, authority, n) };
    let (mine, theirs) = (of(1), of(2));
    let reserved = std::thread::scope(|scope| {
        let other = scope.spawn(|| one(&b, theirs));
        [one(&a, mine), other.join().unwrap()]
    });
    let durable = reserved.iter().filter(|outcome| matches!(outcome, IntentOutcome::Durable(_))).count();
    let spent = reserved.iter().filter(|o| matches!(o, IntentOutcome::Refused(Reason::GrantSpent))).count();
    assert_eq!((durable, spent), (1, 1));
}
#[test]
fn a_transaction_that_another_process_ended_is_repeated() {
    let server = Postgres::new(&[]);
    let first = process(server.port, "km-1", None);
    let second = process(server.port, "km-2", Some(&first));
    let (a, b) = (first.open(), second.open());
    let authority = ready(&a);
    let asked = draft(&a, authority, 1);
    issue(&a, authority, 1);
    let again = IntentDraft { serial: serial(77), ..asked };
    assert!(matches!(one(&b, again), IntentOutcome::Repeated { certificate, .. } if certificate == [0x30, 1]));
}
#[test]
fn a_process_that_does_not_go_on_loses_its_place_and_what_it_signed_is_not_released() {
    let server = Postgres::new(&[]);
    let first = process(server.port, "km-1", None);
    let second = process(server.port, "km-2", Some(&first));
    let (a, b) = (first.open(), second.open());
    let authority = ready(&a);
    let asked = draft(&a, authority, 1);
    // It is stopped here, with a signature in its hands.
    let stopped = row(one(&a, asked.clone()));
    let soon = IntentDraft { serial: serial(77), at: NOW.plus_s(29), ..asked.clone() };
    assert!(matches!(one(&b, soon), IntentOutcome::InProgress), "it may still end");
    let late = IntentDraft { serial: serial(78), at: NOW.plus_s(31), ..asked };
    assert!(matches!(one(&b, late), IntentOutcome::Durable(_)), "its place is taken");
    let told = a.record(vec![ports::store::authority::RecordDraft {
        intent: stopped,
        serial: serial(1),
        certificate: vec![0x30, 1],
        at: NOW,
    }]);
    let place = StoreFault::Engine("another process took the place of this one in the database");
    assert_eq!(told.err(), Some(place));
    assert_eq!(a.deposit("list b", &[offer(20)], NOW), Err(place), "and it writes nothing more");
    assert!(b.certificate(&serial(1)).unwrap().is_none());
    is_sound(&second, &b);
    drop(a);
    // Started again it is somebody: with an epoch of its own.
    assert_eq!(first.open().deposit("list b", &[offer(20)], NOW), Ok(1));
}
#[test]
fn a_name_is_one_processs() {
    let server = Postgres::new(&[]);
    let first = process(server.port, "km-1", None);
    let _held = first.open();
    let same = process(server.port, "km-1", Some(&first));
    assert_eq!(SqlStore::open(&same.dir, &same.opening()).err(), Some(OpenFault::InUse));
}
#[test]
fn what_was_told_survives_the_server() {
    let mut server = Postgres::new(&[]);
    let b = process(server.port, "km-1", None);
    let store = b.open();
    let authority = ready(&store);
    issue_each(&store, authority, 0..3);
    server.kill();
    let gone = store.deposit("list b", &[offer(20)], NOW);
    assert!(matches!(gone, Err(StoreFault::Engine(why)) if why.starts_with("the database ")), "{gone:?}");
    server.restart();
    // The first call meets what is left of the old connection; whoever repeats it is served.
    let again = store.deposit("list b", &[offer(20)], NOW).or_else(|_| store.deposit("list b", &[offer(20)], NOW));
    assert_eq!(again, Ok(1));
    let _meets_the_old_connection = store.certificate(&serial(0));
    (0..3).for_each(|n| assert!(store.certificate(&serial(n)).unwrap().is_some()));
    is_sound(&b, &store);
}

/// Breaks the connection at the commit of a deposit.
fn cut(what: u8) -> (Postgres, Box_, SqlStore, Result<u32, StoreFault>) {
    let server = Postgres::new(&[]);
    let proxy = Proxy::to(server.port);
    let b = process(proxy.port, "km-1", None);
    let store = b.open();
    ready(&store);
    proxy.at_commit(what);
    let told = store.deposit("list b", &[offer(20)], NOW);
    (server, b, store, told)
}

#[test]
fn a_commit_that_was_not_heard_was_not() {
    let (_server, b, store, told) = cut(CUT_BEFORE);
    assert_eq!(told, Err(StoreFault::Engine("the connection to the database broke, and nothing was committed")));
    assert_eq!(store.deposit("list b", &[offer(20)], NOW), Ok(1));
    is_sound(&b, &store);
}
#[test]
fn a_commit_whose_answer_was_not_heard_is_found_out() {
    let (_server, b, store, told) = cut(CUT_AFTER);
    assert_eq!(told, Ok(1));
    assert_eq!(store.deposit("list b", &[offer(20)], NOW), Ok(0), "it is there");
    is_sound(&b, &store);
}

#[test]
fn what_was_committed_stands_though_its_process_lost_its_place_behind_it() {
    let server = Postgres::new(&[]);
    let proxy = Proxy::to(server.port);
    let b = process(proxy.port, "km-1", None);
    let store = b.open();
    ready(&store);
    let mut client = server.client();
    let mut commits = || client.query_one("SELECT commits FROM cradle.head", &[]).unwrap().get::<_, i64>(0);
    let before = commits();
    proxy.at_commit(CUT_OFF);
    std::thread::scope(|scope| {
        let cut = scope.spawn(|| store.deposit("list b", &[offer(20)], NOW));
        while commits() == before {
            std::thread::yield_now();
        }
        server.client().batch_execute("UPDATE cradle.process SET epoch = epoch + 1").unwrap();
        proxy.at_commit(CARRY);
        assert_eq!(cut.join().unwrap(), Ok(1), "it was committed");
    });
    let place = StoreFault::Engine("another process took the place of this one in the database");
    assert_eq!(store.deposit("list c", &[offer(21)], NOW), Err(place));
}

#[track_caller]
fn refuses(option: &'static str, named: &str) {
    let server = Postgres::new(&[option]);
    let b = process(server.port, "km-1", None);
    let refused = SqlStore::make(&b.dir, &b.opening()).err();
    assert!(matches!(&refused, Some(OpenFault::Engine(why)) if why.contains(named)), "{refused:?}");
}
#[test]
fn a_server_that_does_not_synchronise_is_refused() {
    refuses("fsync=off", "set fsync = on");
}
#[test]
fn a_server_that_answers_before_its_disk_is_refused() {
    refuses("synchronous_commit=off", "set synchronous_commit = on");
}
#[test]
fn a_server_that_tears_pages_is_refused() {
    refuses("full_page_writes=off", "set full_page_writes = on");
}
#[test]
fn a_password_is_not_in_the_address_and_not_shown() {
    let mut b = process(1, "km-1", None);
    b.server.as_mut().unwrap().url += " password=geheim";
    let refused = SqlStore::make(&b.dir, &b.opening()).err();
    assert!(matches!(&refused, Some(OpenFault::Setting(why)) if why.contains("in a file of its own")), "{refused:?}");
    let server = Server { password: Some("geheim".to_owned().into()), ..at(1, "km-1") };
    assert!(!format!("{server:?} {refused:?}").contains("geheim"));
}
#[test]
fn a_server_that_is_not_there_is_named() {
    let b = process(1, "km-1", None);
    let refused = SqlStore::make(&b.dir, &b.opening()).err();
    assert!(matches!(&refused, Some(OpenFault::Engine(why)) if why.contains("cannot be reached")), "{refused:?}");
}
#[test]
fn who_is_stopped_in_the_middle_of_a_transaction_holds_up_nobody_for_long() {
    let server = Postgres::new(&[]);
    let proxy = Proxy::to(server.port);
    let first = process(proxy.port, "km-1", None);
    let second = process(server.port, "km-2", Some(&first));
    let (a, b) = (first.open(), second.open());
    ready(&a);
    proxy.at_commit(STALL);
    std::thread::scope(|scope| {
        let stalled = scope.spawn(|| a.deposit("list b", &[offer(20)], NOW));
        proxy.is_stalled();
        assert_eq!(b.deposit("list c", &[offer(21)], NOW), Ok(1));
        proxy.at_commit(CARRY);
        // The server's last words may be lost with the connection; then it is asked.
        let told = stalled.join().unwrap();
        assert!(matches!(told, Err(StoreFault::Engine(why)) if why.ends_with("nothing was committed")), "{told:?}");
    });
    is_sound(&second, &b);
}
#[test]
fn a_log_that_somebody_touched_is_not_written_to() {
    let server = Postgres::new(&[]);
    let b = process(server.port, "km-1", None);
    let store = b.open();
    let authority = ready(&store);
    issue_each(&store, authority, 0..3);
    drop(store);
    server.client().batch_execute("DELETE FROM cradle.audit WHERE number = 3").unwrap();
    assert!(matches!(SqlStore::open(&b.dir, &b.opening()), Err(OpenFault::Tampered(_))));
}
#[test]
fn times_are_those_of_the_log_also_for_another_process() {
    let server = Postgres::new(&[]);
    let first = process(server.port, "km-1", None);
    let second = process(server.port, "km-2", Some(&first));
    let (a, b) = (first.open(), second.open());
    let authority = ready(&a);
    let (early, later) = (draft(&b, authority, 1), NOW.plus_s(60));
    a.deposit("list b", &[offer(20)], later).unwrap();
    refused(one(&b, IntentDraft { at: UnixTime::from_s(later.s() - 30), ..early }), Reason::ClockBackwards);
}
