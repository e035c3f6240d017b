//! Reports on their way to the director: those of sm, and those that pm has left, which has no network.

use crate::Software;
use crate::following::{Following, May};
use model::report::{Did, Reported};
use model::{Fault, Module, UnixTime};
use ports::reports::{Outbox, Waiting, taken, waiting};
use ports::source::NotFetched;
use ports::store::software::{BundleRow, TrustedFile};
use update::bundle::{Primary, Repository};
use update::uptane::{ManifestKey, SealedManifest, padded, padded_len};

/// Most reports that are sent in one go.
const AT_ONCE_MAX: usize = 64;
/// Under which name it is kept which bundle was reported last, among the reports' counters.
const REPORTED: &str = "reported.json";

/// The way to the director's ledger.
pub trait Reports: Send + Sync {
    /// Seals octets to a key; `info` is what they are bound to.
    ///
    /// # Errors
    /// [`Fault::Unavailable`]
    fn seal(&self, octets: &[u8], info: &[u8], to: &[u8; 32]) -> Result<Vec<u8>, Fault>;
    /// Sends a report, and gives the status that was answered.
    ///
    /// # Errors
    /// [`NotFetched`]: whether it was taken is not known then.
    fn send(&self, octets: &[u8]) -> Result<u16, NotFetched>;
}

impl Software {
    /// Leaves a report of the last bundle, if there is none yet. An interruption between the two is mended by asking again.
    pub(crate) fn report_bundle(&self, primary: &Primary, following: &Following) -> Result<(), Fault> {
        let store = self.parts.store.as_ref();
        let Some(row) = store.last_bundle()? else { return Ok(()) };
        let place = crate::following::place();
        let before = store.trusted(Module::Software, place)?.remove(REPORTED);
        let images = images(&row);
        // The same images under newer metadata are no news.
        let now = serde_json::to_vec(&images).map_err(|_| Fault::unavailable("a report cannot be written"))?;
        if before.as_ref() == Some(&now) || images.is_empty() {
            return Ok(());
        }
        let reporter = following.setting.reporter.clone();
        let outbox = Outbox::new(store, Module::Software, reporter, self.parts.signer.as_ref());
        outbox.put(&primary.device, row.at, Did::Verified, images)?;
        // Cut off before this, it is reported once more, under a number of its own.
        let file = TrustedFile { repository: place, name: REPORTED.to_owned(), octets: Some(now) };
        Ok(store.keep_trusted(Module::Software, &[file])?)
    }

    /// Sends what waits, in its order for each reporter; what is not taken waits, and holds up nothing else. Gives how many wait, and why the first of them does.
    pub(crate) fn send_reports(&self, following: &Following, may: &May) -> Result<(usize, Option<String>), Fault> {
        let Some(reports) = &following.setting.reports else { return Ok((0, None)) };
        let Some(primary) = self.parts.primary.as_ref().filter(|primary| primary.director_root.is_some()) else {
            return Ok((0, None));
        };
        self.report_bundle(primary, following)?;
        let store = self.parts.store.as_ref();
        let mut all = waiting(store, Module::Software)?;
        all.extend(waiting(store, Module::Provisioning)?);
        let (mut left, mut why) = (all.len(), None);
        if all.is_empty() {
            return Ok((0, None));
        }
        let Some(key) = self.manifest_key(primary)? else {
            return Ok((left, Some("the director announces no key to which they could be sealed".to_owned())));
        };
        for report in all.iter().take(AT_ONCE_MAX) {
            if !may() {
                return Ok((left, why));
            }
            // Of how many boards it is, nobody on the way learns by its length.
            let octets = padded(report.octets.clone(), padded_len(report.octets.len(), 1));
            let sealed = reports.seal(&octets, &SealedManifest::info(key.name(), &primary.device), key.octets())?;
            let sealed = SealedManifest { key: key.name(), sealed }.encode();
            match reports.send(&sealed) {
                Ok(200..=299) => {
                    taken(store, report)?;
                    left -= 1;
                }
                Ok(status) => drop(why.get_or_insert(format!("the director answered {status}"))),
                // The others would wait as long for nothing.
                Err(not) => return Ok((left, Some(not.to_string()))),
            }
        }
        Ok((left, why))
    }

    fn manifest_key(&self, primary: &Primary) -> Result<Option<ManifestKey>, Fault> {
        let Some(director) = primary.repository(Repository::Director) else { return Ok(None) };
        let mut kept = self.parts.store.trusted(Module::Software, director)?;
        Ok(kept.remove("targets.json").and_then(|octets| ManifestKey::in_targets(&octets)))
    }

    /// How many reports wait, of sm and of pm.
    ///
    /// # Errors
    /// [`Fault::Unavailable`]
    pub fn reports_waiting(&self) -> Result<Vec<Waiting>, Fault> {
        let store = self.parts.store.as_ref();
        let mut all = waiting(store, Module::Software)?;
        all.extend(waiting(store, Module::Provisioning)?);
        Ok(all)
    }
}

fn images(row: &BundleRow) -> Vec<Reported> {
    let reported = |release: &ports::store::software::BundledRow| Reported {
        device_type: release.device_type.clone(),
        release: release.release.clone(),
        release_counter: release.counter,
        image: release.image_digest,
        devices: Vec::new(),
    };
    row.releases.iter().map(reported).collect()
}

/// When reports are sent again that were not taken.
pub(crate) fn again(now: UnixTime, failures: u32, every_s: u64) -> UnixTime {
    now.plus_s(15_u64.saturating_mul(1 << failures.min(16)).min(every_s))
}
