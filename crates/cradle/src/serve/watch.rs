//! Looks at the installation for whoever asks, once for all who ask at the same time.

use crate::config::Config;
use crate::fault::{Exit, Failure, Result};
use crate::survey::{COUNTED_MAX, Counted, Survey};
use adapters::clock::{Stopwatch, SystemClock};
use ports::Clock;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// How much of the time may go into counting: a tenth.
const COUNTING_SHARE: u64 = 10;
/// What was counted is counted again after an hour even if nothing was recorded: days pass, and certificates expire.
const COUNTED_FOR_MS: u64 = 3_600_000;
/// How long somebody waits for an answer. A count of ten million takes a few seconds.
const ANSWER_WITHIN: Duration = Duration::from_secs(60);

/// An installation that is watched.
pub(crate) struct Watch {
    looking: Arc<Looking>,
    /// Whoever is let in looks; the others wait.
    door: tokio::sync::Mutex<()>,
}

struct Looking {
    data: PathBuf,
    errors: AtomicU64,
    counted: Mutex<Option<Held>>,
}

/// What was counted, when, and what it cost.
struct Held {
    counted: Counted,
    entries: u64,
    since: Stopwatch,
    cost_ms: u64,
}

impl Watch {
    pub(crate) fn new(data: PathBuf) -> Self {
        let looking = Looking { data, errors: AtomicU64::new(0), counted: Mutex::new(None) };
        Self { looking: Arc::new(looking), door: tokio::sync::Mutex::new(()) }
    }

    /// How often it could not be looked at the installation.
    pub(super) fn errors(&self) -> u64 {
        self.looking.errors.load(Ordering::Relaxed)
    }

    /// Looks at the installation. It is opened anew each time, so that one which vanished, or was put back from a
    /// backup, is seen as it is now.
    pub(super) async fn look(&self) -> Result<Box<Survey>> {
        let looked = tokio::time::timeout(ANSWER_WITHIN, async {
            let _alone = self.door.lock().await;
            let looking = Arc::clone(&self.looking);
            tokio::task::spawn_blocking(move || looking.look()).await
        });
        let result = match looked.await {
            Ok(Ok(survey)) => survey,
            Ok(Err(_)) | Err(_) => Err(Failure::new(Exit::Unavailable, "unavailable", "the records were not read")
                .because("it took too long, or the reader ended")
                .next("see the log, and what else the disk is busy with")),
        };
        if result.is_err() {
            self.looking.errors.fetch_add(1, Ordering::Relaxed);
        }
        result.map(Box::new)
    }
}

impl Looking {
    fn look(&self) -> Result<Survey> {
        let config = Config::read(&self.data)?;
        let store = crate::compose::open_to_read(&self.data)?;
        let totals = store.totals()?;
        let now = SystemClock.now();
        let mut held = self.counted.lock().unwrap_or_else(PoisonError::into_inner);
        if held.as_ref().is_none_or(|held| held.is_stale(totals.audit_entries)) {
            let since = Stopwatch::start();
            let counted = Counted::of(&store, now, totals.intents <= COUNTED_MAX)?;
            *held = Some(Held { counted, entries: totals.audit_entries, since, cost_ms: since.ms() });
        }
        let counted = held.as_ref().map(|held| &held.counted);
        Survey::with(&self.data, &config, &store, now, &totals, counted)
    }
}

impl Held {
    fn is_stale(&self, entries: u64) -> bool {
        let age = self.since.ms();
        age > COUNTED_FOR_MS || (entries != self.entries && age >= self.cost_ms * COUNTING_SHARE)
    }
}
