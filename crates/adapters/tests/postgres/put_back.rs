//! A server that has less than it had: a standby that lagged, a dump that was loaded. Nobody takes it for the one of before.

use crate::server::Postgres;
use crate::support::*;
use adapters::store::SqlStore;
use adapters::store::log_mark::LogMark;
use adapters::store::sql::{OpenFault, Server};
use ports::StoreFault;
use ports::store::AuthorityStore;
use std::sync::Arc;

/// The database of before, as a template of the one that comes back.
const YESTERDAY: &str = "yesterday";
const ENTRIES_OF_A_TILE: u64 = 256;

/// A process whose box keeps how far the log has come.
fn process(server: &Postgres, name: &str, first: Option<&Box_>) -> Box_ {
    let mut b = Box_::new();
    let url = format!("host=127.0.0.1 port={} user=cradle dbname=records", server.port);
    let directory = first.map_or(&b.dir, |first| &first.dir);
    let log_mark = Some(LogMark::of(&directory.join("marks"), "test"));
    b.server = Some(Server { url, password: None, anchors: Vec::new(), process: name.into(), log_mark });
    if let Some(first) = first {
        b.key = Arc::clone(&first.key);
    }
    b
}

fn server() -> Postgres {
    let server = Postgres::new(&[]);
    server.client().batch_execute("CREATE DATABASE records").unwrap();
    server
}
/// Everything that is connected is thrown out, as when a server fails.
fn copy(server: &Postgres, from: &str, to: &str) {
    let mut client = server.client();
    for what in [
        format!("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname IN ('{from}', '{to}')"),
        format!("DROP DATABASE IF EXISTS {to} WITH (FORCE)"),
        format!("CREATE DATABASE {to} TEMPLATE {from}"),
    ] {
        client.batch_execute(&what).unwrap();
    }
}
fn keep(server: &Postgres) {
    copy(server, "records", YESTERDAY);
}
fn put_back(server: &Postgres) {
    copy(server, YESTERDAY, "records");
}
/// The first call behind a broken connection may only find that it is broken.
fn twice<R>(call: impl Fn() -> Result<R, StoreFault>) -> Result<R, StoreFault> {
    call().or_else(|_| call())
}
fn unseen(b: &Box_) -> Box_ {
    let server = b.server.clone().map(|server| Server { log_mark: None, ..server });
    Box_ { dir: b.dir.join("unseen"), key: Arc::clone(&b.key), server }
}

#[test]
fn records_that_went_back_are_not_opened() {
    let server = server();
    let b = process(&server, "km-1", None);
    let store = b.open();
    let authority = ready(&store);
    issue(&store, authority, 0);
    let before = store.audit_len().unwrap();
    drop(store);
    keep(&server);
    let store = b.open();
    issue(&store, authority, 1);
    let after = store.audit_len().unwrap();
    drop(store);
    put_back(&server);
    let behind = OpenFault::Behind { reached: after, found: before };
    assert_eq!(SqlStore::open(&b.dir, &b.opening()).err(), Some(behind.clone()));
    assert_eq!(b.read().err(), Some(behind.clone()), "nor read");
    let other = process(&server, "km-2", Some(&b));
    assert_eq!(SqlStore::open(&other.dir, &other.opening()).err(), Some(behind), "by any process of the box");
    // What is refused leaves no trace.
    let mut client = postgres::Client::connect(&b.server.as_ref().unwrap().url, postgres::NoTls).unwrap();
    let processes: i64 = client.query_one("SELECT count(*) FROM cradle.process", &[]).unwrap().get(0);
    assert_eq!(processes, 1);
}
#[test]
fn records_that_went_back_and_on_are_not_opened() {
    let server = server();
    let b = process(&server, "km-1", None);
    let store = b.open();
    let authority = ready(&store);
    keep(&server);
    twice(|| store.deposit("list b", &[offer(20)], NOW)).unwrap();
    let seen = store.audit_len().unwrap();
    drop(store);
    put_back(&server);
    let stranger = unseen(&b);
    std::fs::create_dir(&stranger.dir).unwrap();
    let store = stranger.open();
    (0..3).for_each(|n| issue(&store, authority, n));
    assert!(store.audit_len().unwrap() > seen);
    drop(store);
    assert_eq!(SqlStore::open(&b.dir, &b.opening()).err(), Some(OpenFault::Forked(seen)));
}
#[test]
fn whoever_runs_writes_nothing_to_a_server_that_went_back_and_reads_nothing() {
    let server = server();
    let b = process(&server, "km-1", None);
    let store = b.open();
    let authority = ready(&store);
    issue(&store, authority, 0);
    keep(&server);
    let again = twice(|| store.certificate(&serial(0)));
    assert!(again.unwrap().is_some(), "that the connection broke is no reason");
    twice(|| store.deposit("list b", &[offer(20)], NOW)).unwrap();
    issue(&store, authority, 1);
    // Signed, and about to be recorded.
    let intent = row(one(&store, draft(&store, authority, 2)));
    put_back(&server);
    let record = || {
        let certificate = vec![0x30, 2];
        store.record(vec![ports::store::authority::RecordDraft { intent, serial: serial(2), certificate, at: NOW }])
    };
    let told = twice(record).err();
    assert!(matches!(told, Some(StoreFault::Corrupt(why)) if why.contains("put back")), "{told:?}");
    let told = store.deposit("list c", &[offer(21)], NOW);
    assert!(matches!(told, Err(StoreFault::Corrupt(why)) if why.contains("put back")), "{told:?}");
    let read = twice(|| store.certificate(&serial(1))).err();
    assert!(matches!(read, Some(StoreFault::Corrupt(why)) if why.contains("put back")), "{read:?}");
}
#[test]
fn as_many_commits_on_another_server_are_not_taken_for_ours() {
    let server = server();
    let b = process(&server, "km-1", None);
    let other = unseen(&process(&server, "km-2", Some(&b)));
    let store = b.open();
    ready(&store);
    keep(&server);
    twice(|| store.deposit("list b", &[offer(20)], NOW)).unwrap();
    put_back(&server);
    std::fs::create_dir_all(&other.dir).unwrap();
    let stranger = other.open();
    stranger.deposit("list c", &[offer(21)], NOW).unwrap();
    let told = twice(|| store.deposit("list d", &[offer(22)], NOW));
    assert!(matches!(told, Err(StoreFault::Corrupt(why)) if why.contains("put back")), "{told:?}");
}
#[test]
fn a_log_of_several_tiles_is_compared_where_it_was_seen() {
    let server = server();
    let b = process(&server, "km-1", None);
    let store = b.open();
    ready(&store);
    let entry = || model::audit::Entry {
        at: NOW,
        by: model::Module::Supervisor,
        event: model::audit::Event::Repaired { what: "x".into() },
    };
    let add = |n: u64| {
        let entries = (0..n).map(|_| entry()).collect();
        ports::store::AuditSink::append(&store, entries).unwrap();
    };
    add(2 * ENTRIES_OF_A_TILE + 3);
    let seen = LogMark::of(&b.dir.join("marks"), "test").read().unwrap().unwrap();
    assert_eq!(seen.entries, store.audit_len().unwrap());
    add(3 * ENTRIES_OF_A_TILE);
    drop(store);
    // Seen by a box that was away since.
    let away = process(&server, "km-2", None);
    let away = Box_ { key: Arc::clone(&b.key), dir: away.dir.clone(), server: away.server.clone() };
    LogMark::of(&away.dir.join("marks"), "test").raise(seen).unwrap();
    assert!(away.read().is_ok());
    let root = model::Digest::new([0; 32]);
    let otherwise = adapters::store::log_mark::Reached { root, ..seen };
    LogMark::of(&away.dir.join("marks"), "test").put_back(otherwise).unwrap();
    assert_eq!(away.read().err(), Some(OpenFault::Forked(seen.entries)));
}
