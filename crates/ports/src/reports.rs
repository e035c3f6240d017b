//! Reports that wait until whoever keeps the ledger has them: numbered and signed when something was done, durable before it goes on, and
//! sent, as they are, until they are answered.

use crate::directory::Caller;
use crate::jws;
use crate::link::Link;
use crate::signer::Signer;
use crate::store::software::TrustedFile;
use crate::store::{SoftwareStore, StoreFault};
use model::report::{Did, REPORT, Report, Reported};
use model::{DeviceId, Digest, Fault, Module, UnixTime};
use x509::sha256;

/// Most reports of a module that wait. A box that cannot send any for longer than that reports no more, until some are taken.
pub const WAITING_MAX: usize = 4096;

fn place() -> Digest {
    sha256(b"cradle: reports that wait")
}
fn counter(reporter: &str) -> String {
    format!("next/{reporter}")
}

/// Where a module leaves what it has to report.
pub struct Outbox<'a> {
    store: &'a dyn SoftwareStore,
    module: Module,
    reporter: String,
    signer: &'a dyn Signer,
}

/// A report that waits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Waiting {
    module: Module,
    name: String,
    /// The signed report: a flattened JWS.
    pub octets: Vec<u8>,
}

/// What a module of a box is called as a reporter.
#[must_use]
pub fn reporter(caller: &Caller) -> String {
    format!("{}.{}", caller.instance, caller.module)
}

impl<'a> Outbox<'a> {
    /// That of a module, which signs with its own key.
    #[must_use]
    pub fn new(store: &'a dyn SoftwareStore, module: Module, reporter: String, signer: &'a dyn Signer) -> Self {
        Self { store, module, reporter, signer }
    }

    /// That of the module behind this link.
    #[must_use]
    pub fn of(store: &'a dyn SoftwareStore, link: &'a Link) -> Self {
        let caller = link.caller();
        Self::new(store, caller.module, reporter(&caller), link.signer())
    }

    /// Leaves a report. It is durable when this returns, and its number is used up.
    ///
    /// # Errors
    /// [`Fault::Unavailable`] of store and key; also if too many wait.
    pub fn put(&self, device: &DeviceId, at: UnixTime, did: Did, images: Vec<Reported>) -> Result<u64, Fault> {
        let kept = self.store.trusted(self.module, place())?;
        if kept.len() > WAITING_MAX {
            return Err(Fault::unavailable("too many reports wait: nobody takes them"));
        }
        let corrupt = || Fault::from(StoreFault::Corrupt("the number of the next report"));
        let number = match kept.get(&counter(&self.reporter)) {
            Some(octets) => std::str::from_utf8(octets).ok().and_then(|text| text.parse().ok()).ok_or_else(corrupt)?,
            None => 1_u64,
        };
        let report = Report { device: device.clone(), reporter: self.reporter.clone(), number, at, did, images };
        let payload = serde_json::to_vec(&report).map_err(|_| Fault::unavailable("a report cannot be written"))?;
        let octets = jws::sign(REPORT, &payload, self.signer)?;
        let file = |name: String, octets| TrustedFile { repository: place(), name, octets: Some(octets) };
        self.store.keep_trusted(
            self.module,
            &[
                file(format!("{}/{number:020}", self.reporter), octets),
                file(counter(&self.reporter), (number + 1).to_string().into_bytes()),
            ],
        )?;
        Ok(number)
    }
}

/// The reports of a module that wait, in their order.
///
/// # Errors
/// [`StoreFault`]
pub fn waiting(store: &dyn SoftwareStore, module: Module) -> Result<Vec<Waiting>, StoreFault> {
    let kept = store.trusted(module, place())?.into_iter().filter(|(name, _)| !name.starts_with("next/"));
    Ok(kept.map(|(name, octets)| Waiting { module, name, octets }).collect())
}

/// A report was taken into the ledger: it waits no longer.
///
/// # Errors
/// [`StoreFault`]
pub fn taken(store: &dyn SoftwareStore, report: &Waiting) -> Result<(), StoreFault> {
    let gone = TrustedFile { repository: place(), name: report.name.clone(), octets: None };
    store.keep_trusted(report.module, &[gone])
}
