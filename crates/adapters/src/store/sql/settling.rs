//! Takes the write-ahead log into the database beside the writer, while that writes on. When the log is long enough to begin
//! anew, which is the writer's to do, little of it is left to take in: nobody can write meanwhile.

use super::open::file;
use super::{engine, fault};
use rusqlite::Connection;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread::JoinHandle;

/// After so many changed rows the log is taken in: some 8 MiB of it, a quarter of what the writer begins anew at.
const CHANGES_ENOUGH: u64 = 24_576;

/// Who takes it in, once there is something.
pub(super) struct Settling {
    path: PathBuf,
    changes: u64,
    at_work: Option<AtWork>,
}

struct AtWork {
    tell: Option<SyncSender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Settling {
    pub(super) fn of(path: &Path) -> Self {
        Self { path: path.to_owned(), changes: 0, at_work: None }
    }

    /// Tells of a commit that changed so many rows.
    pub(super) fn committed(&mut self, changes: u64) {
        self.changes += changes;
        if self.changes < CHANGES_ENOUGH {
            return;
        }
        self.changes = 0;
        let at_work = self.at_work.get_or_insert_with(|| AtWork::begin(self.path.clone()));
        if let Some(tell) = &at_work.tell {
            // Who is at it still takes in what comes until then.
            let _not_told_twice = tell.try_send(());
        }
    }
}

impl AtWork {
    fn begin(path: PathBuf) -> Self {
        let (tell, told) = sync_channel(1);
        let work = move || {
            // Without a connection the writer does all of it.
            let Ok(connection) = file::connect_to_write(&path) else { return };
            while told.recv().is_ok() {
                settle(&connection);
            }
        };
        let thread = std::thread::Builder::new().name("settling".into()).spawn(work).ok();
        Self { tell: Some(tell), thread }
    }
}

impl Drop for AtWork {
    fn drop(&mut self) {
        drop(self.tell.take());
        if let Some(thread) = self.thread.take() {
            let _ended_by_a_panic = thread.join();
        }
    }
}

fn settle(connection: &Connection) {
    // It waits for nobody: what a reader still needs is left for later.
    let settled = connection.query_row("PRAGMA wal_checkpoint(PASSIVE)", (), |_| Ok(()));
    if let Err(error) = settled {
        // A medium that failed ends the process. What else there is, like a full disk, the writer meets itself.
        let _left_to_the_writer = fault(&engine::Error::from(error));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn after_enough_changes_the_log_is_in_the_database() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("records.db");
        let connection = file::connect_to_write(Path::new(&path)).unwrap_or_else(|_| {
            std::fs::write(&path, b"").unwrap();
            file::connect_to_write(&path).unwrap()
        });
        connection.execute_batch("CREATE TABLE t (octets BLOB)").unwrap();
        let len = || std::fs::metadata(&path).unwrap().len();
        let mut settling = Settling::of(&path);
        let check = |settling: &mut Settling, changes: u64, grows: bool| {
            connection.execute("INSERT INTO t VALUES (zeroblob(100000))", ()).unwrap();
            let before = len();
            settling.committed(changes);
            // Its end waits for the thread.
            settling.at_work = None;
            assert_eq!(len() > before, grows, "{changes}");
        };
        check(&mut settling, CHANGES_ENOUGH - 2, false);
        check(&mut settling, 1, false);
        check(&mut settling, 1, true);
        check(&mut settling, CHANGES_ENOUGH, true);
    }
}
