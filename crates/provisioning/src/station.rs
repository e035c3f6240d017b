//! A programming station: what both halves of the line have in common.

use crate::device_type::DeviceTypeFile;
use model::contract::identity::{Record, StepDone};
use model::{BoardId, DeviceSerial, Fault, OperatorName, UnixTime};
use ports::flasher::BoardFault;
use ports::store::{LineStore, SoftwareStore};
use ports::vault::Vault;
use ports::{Entropy, Link};
use std::sync::Arc;
use update::bundle::Primary;

/// What a station is made of.
#[derive(Clone)]
#[expect(missing_docs, reason = "the types say what the fields are")]
pub struct Setting {
    pub link: Arc<Link>,
    pub store: Arc<dyn LineStore>,
    /// Where bundles are recorded, which pm only reads; and what pm has seen of the repositories.
    pub releases: Arc<dyn SoftwareStore>,
    /// The box, if it follows repositories. Nothing is flashed if it does not.
    pub primary: Option<Primary>,
    /// Where images lie; pm only reads.
    pub vault: Arc<dyn Vault>,
    pub entropy: Arc<dyn Entropy>,
    pub operator: OperatorName,
    pub device_type: DeviceTypeFile,
    /// Certificates of the authorities that devices trust, PEM, root first.
    pub trust_anchors: String,
    /// How often a flash that did not verify is repeated.
    pub flash_retries: u64,
    /// Boards that are worked on at the same time.
    pub hands: usize,
}

/// A programming station for one device type.
pub struct Station {
    pub(crate) setting: Setting,
}

/// What a station does to a board, for who looks on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Work {
    /// Asking the board what it is.
    Identify,
    /// Writing and reading back the image.
    Flash,
    /// Asking for the device's key.
    Key,
    /// Writing the certificate and asking for proof of the key.
    Certify,
}

/// Looks on while a station works.
pub trait Watch: Sync {
    /// So much of so much is done of one work on one board of the tray.
    fn progress(&self, place: usize, work: Work, done: u64, of: u64);
}

/// Nobody looks on.
pub struct Unwatched;

impl Watch for Unwatched {
    fn progress(&self, _: usize, _: Work, _: u64, _: u64) {}
}

/// Why a board leaves the line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Leaves {
    pub(crate) fault: Fault,
    pub(crate) detail: String,
}

impl From<Fault> for Leaves {
    fn from(fault: Fault) -> Self {
        Self { detail: String::new(), fault }
    }
}
impl From<model::Reason> for Leaves {
    fn from(reason: model::Reason) -> Self {
        Fault::Refused(reason).into()
    }
}
impl From<BoardFault> for Leaves {
    fn from(fault: BoardFault) -> Self {
        use model::Reason as R;
        let detail = fault.to_string();
        let fault = match fault {
            BoardFault::Silent => R::BoardSilent.into(),
            BoardFault::Refused(_) => R::BoardRefused.into(),
            BoardFault::Mismatch => R::FlashMismatch.into(),
            BoardFault::Fixture(_) => Fault::unavailable("the fixture failed"),
            BoardFault::Source => Fault::unavailable("the image could not be read"),
        };
        Self { fault, detail }
    }
}

impl Station {
    /// A station.
    #[must_use]
    pub const fn new(setting: Setting) -> Self {
        Self { setting }
    }

    /// The device type that it works on.
    #[must_use]
    pub const fn device_type(&self) -> &DeviceTypeFile {
        &self.setting.device_type
    }

    pub(crate) fn now(&self) -> UnixTime {
        self.setting.link.now()
    }

    /// Tells ics what was done.
    pub(crate) fn record(&self, steps: Vec<StepDone>) -> Result<Vec<Result<(), Fault>>, Fault> {
        if steps.is_empty() {
            return Ok(Vec::new());
        }
        let station = self.setting.link.caller().instance;
        let operator = self.setting.operator.clone();
        Ok(self.setting.link.call(&Record { station, operator, steps })?.results)
    }

    /// Works on many boards with as many hands as the station has. The results are in the order of the boards.
    pub(crate) fn with_hands<T: Send, R: Send>(&self, items: Vec<T>, work: impl Fn(usize, T) -> R + Sync) -> Vec<R> {
        let hands = self.setting.hands.clamp(1, items.len().max(1));
        let (mut shares, len): (Vec<Vec<(usize, T)>>, _) = ((0..hands).map(|_| Vec::new()).collect(), items.len());
        for (n, item) in items.into_iter().enumerate() {
            if let Some(share) = shares.get_mut(n % hands) {
                share.push((n, item));
            }
        }
        let work = &work;
        let done = |share: Vec<(usize, T)>| share.into_iter().map(|(n, item)| (n, work(n, item))).collect::<Vec<_>>();
        let mut results: Vec<(usize, R)> = std::thread::scope(|scope| {
            let threads: Vec<_> = shares.into_iter().map(|share| scope.spawn(move || done(share))).collect();
            let joined = threads.into_iter().map(|thread| match thread.join() {
                Ok(results) => results,
                // A panic in the work on one board is a bug, and goes on as one.
                Err(panic) => std::panic::resume_unwind(panic),
            });
            joined.flatten().collect()
        });
        debug_assert_eq!(results.len(), len);
        results.sort_by_key(|(n, _)| *n);
        results.into_iter().map(|(_, result)| result).collect()
    }
}

/// A board's own words, for records and reports.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Label {
    pub(crate) board: BoardId,
    pub(crate) serial: DeviceSerial,
}
