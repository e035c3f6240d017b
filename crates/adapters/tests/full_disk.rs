//! A disk that somebody else fills while something is under way. Mounts a small file system of memory in a namespace of
//! its own, so it needs root or a kernel that lets users have namespaces, and runs only when it is asked for:
//! `cargo nextest run -p adapters --test full_disk --run-ignored all`.
#![allow(
    missing_docs,
    unreachable_pub,
    dead_code,
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that cannot go on has failed"
)]

#[path = "store/support.rs"]
mod support;

use adapters::store::SqlStore;
use adapters::store::marks::{Mark, Marks, read};
use adapters::store::sql::OpenFault;
use model::Fault;
use model::contract::authority::RevocationReason;
use ports::StoreFault;
use ports::store::AuthorityStore;
use ports::store::authority::Standing;
use std::path::{Path, PathBuf};
use std::process::Command;
use support::*;

/// Where the inner run finds the small file system.
const ROOM: &str = "FULL_DISK_TEST";

/// Runs this test again where it has a small file system, or gives that file system.
fn small(test: &str, size: &str) -> Option<PathBuf> {
    if let Some(room) = std::env::var_os(ROOM) {
        return Some(PathBuf::from(room));
    }
    let dir = tempfile::tempdir().unwrap();
    let script = format!("mount -t tmpfs -o size={size} none \"$0\" && exec \"$@\"");
    let status = Command::new("unshare")
        .args(["--mount", "--map-root-user", "sh", "-c", &script])
        .args([dir.path(), &std::env::current_exe().unwrap()])
        .args(["--exact", test, "--ignored", "--nocapture"])
        .env(ROOM, dir.path())
        .status()
        .unwrap();
    assert!(status.success(), "{test} failed where room is short");
    None
}

/// Takes all that is left.
fn fill(room: &Path) -> PathBuf {
    let filler = room.join("filler");
    let file = std::fs::File::create(&filler).unwrap();
    let stat = rustix::fs::statvfs(room).unwrap();
    rustix::fs::fallocate(&file, rustix::fs::FallocateFlags::empty(), 0, stat.f_bavail * stat.f_frsize).unwrap();
    assert_eq!(rustix::fs::statvfs(room).unwrap().f_bavail, 0);
    filler
}

#[test]
#[ignore = "mounts a file system"]
fn what_was_intended_is_recorded_on_a_full_disk_and_with_room_again_all_goes_on() {
    let Some(room) = small("what_was_intended_is_recorded_on_a_full_disk_and_with_room_again_all_goes_on", "8m") else {
        return;
    };
    let b = Box_::at(room.join("data"));
    let store = b.open();
    let ca = ready(&store);
    let (first, second) = (row(one(&store, draft(&store, ca, 1))), row(one(&store, draft(&store, ca, 2))));
    let filler = fill(&room);
    assert!(record(&store, first, 1), "the room for it was held");
    store.close(vec![second], "the signature failed", NOW).unwrap();
    let full = store.intend(vec![draft(&store, ca, 3)]).unwrap_err();
    assert_eq!(full, StoreFault::Full);
    assert_eq!(Fault::from(full), Fault::unavailable("the disk is full"));
    assert_eq!(grant(&store, 3).used, 0, "nothing was reserved");
    assert!(matches!(store.standing(ca, &serial(1)).unwrap(), Standing::Good { .. }), "reading goes on");
    assert_eq!(store.revoke(&serial(1), RevocationReason::Superseded, NOW).unwrap(), Ok(()), "so does revoking");
    std::fs::remove_file(filler).unwrap();
    issue(&store, ca, 3);
    assert_eq!(store.totals().unwrap().open_intents, 0);
}

#[test]
#[ignore = "mounts a file system"]
fn what_was_held_is_given_back_and_all_is_taken_into_the_database() {
    let Some(room) = small("what_was_held_is_given_back_and_all_is_taken_into_the_database", "8m") else { return };
    let b = Box_::at(room.join("data"));
    let store = b.open();
    let ca = ready(&store);
    issue(&store, ca, 1);
    let filler = fill(&room);
    drop(store);
    assert!(!b.dir.join("cradle.db-wal").exists(), "the log was taken in, which needs room");
    assert!(rustix::fs::statvfs(&room).unwrap().f_bavail > 0);
    std::fs::remove_file(filler).unwrap();
    fill(&room);
    let reader = SqlStore::open_to_read(&b.dir).unwrap();
    assert!(reader.certificate(&serial(1)).unwrap().is_some(), "what is settled is read without any room");
    assert_eq!(SqlStore::open(&b.dir, &b.opening()).err(), Some(OpenFault::Full));
}

#[test]
#[ignore = "mounts a file system"]
fn a_mark_that_did_not_fit_does_not_spoil_the_next() {
    let Some(room) = small("a_mark_that_did_not_fit_does_not_spoil_the_next", "1m") else { return };
    let marks = Marks::open(&room.join("marks"), "log", 0).unwrap();
    let filler = fill(&room);
    let long = |n| Mark::Crl { authority: "a".repeat(3000), number: n };
    assert!(marks.append(&[long(1), long(2)]).is_err(), "the first page has room for one of them");
    std::fs::remove_file(filler).unwrap();
    marks.append(&[long(3)]).unwrap();
    let mut found = Vec::new();
    read(&room.join("marks"), "log", 0, &mut |mark| found.push(mark)).unwrap();
    assert_eq!(found[1..], [long(3)]);
}
