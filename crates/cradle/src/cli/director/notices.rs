//! Who is told that something has changed for some device.

use super::{failed, open};
use crate::cli::Common;
use crate::cli::notices::{self, Teller, Verb};
use crate::fault::Result;
use director::{Director, DirectorFault};
use std::sync::Arc;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread::JoinHandle;
use update::notice::{Notice, Subscriber, Told};

struct Changes(Arc<Director>);

impl Teller for Changes {
    fn telling(&self) -> Result<(Option<Notice>, Vec<Subscriber>)> {
        let (notice, subscribers) = self.0.telling().map_err(failed("nobody can be told"))?;
        Ok((Some(notice), subscribers))
    }
    fn subscribe(&self, subscriber: &Subscriber) -> Result {
        self.0.subscribe(subscriber).map_err(failed("nobody was added"))
    }
    fn unsubscribe(&self, name: &str) -> Result<bool> {
        match self.0.unsubscribe(name) {
            Err(DirectorFault::NotFound(_)) => Ok(false),
            done => done.map(|()| true).map_err(failed("nobody was removed")),
        }
    }
    fn told(&self, name: &str, told: Told) -> Result {
        self.0.told(name, &told).map_err(failed("it cannot be noted who was told"))
    }
}

pub(super) fn run(common: &Common, verb: Verb) -> Result {
    notices::run(common, &Changes(Arc::new(open(common)?)), verb)
}

/// Tells whoever is to be told, beside those who are answered, until it is dropped.
pub(super) struct Telling(Option<SyncSender<()>>, Option<JoinHandle<()>>);

impl Telling {
    pub(super) fn start(director: &Arc<Director>) -> std::io::Result<Self> {
        let (end, ended) = sync_channel(1);
        let changes = Changes(Arc::clone(director));
        let thread = std::thread::Builder::new().name("notices".into());
        Ok(Self(Some(end), Some(thread.spawn(move || notices::keep_telling(&changes, &ended))?)))
    }
}

impl Drop for Telling {
    fn drop(&mut self) {
        drop(self.0.take());
        if let Some(thread) = self.1.take() {
            let _ended_already = thread.join();
        }
    }
}
