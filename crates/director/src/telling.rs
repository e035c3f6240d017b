//! What devices are told: chosen, signed, durable, and only then said.

use crate::choice::{Catalogue, Chosen, Has, Subject, choose};
use crate::conduct::{Director, LIFETIME, last_root};
use crate::documents::{GENERATION, device, kind, load, store};
use crate::fault::DirectorFault;
use crate::names::Name;
use crate::privacy::{Padding, Privacy};
use crate::records::Device;
use adapters::documents::Moment;
use model::{DeviceId, UnixTime};
use ports::Signer;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::Arc;
use update::tuf::write::{Body, Draft, Key, Signers, Top};
use update::tuf::{Role, Root, Snapshot, Targets, Timestamp};
use update::uptane::{Given, ManifestKey, direct, padded};
use x509::sha256;

type Done<T = ()> = Result<T, DirectorFault>;

/// What is kept of what a device was told.
#[derive(Serialize, Deserialize)]
pub(crate) struct Kept {
    pub(crate) version: u64,
    // Of which generation of all that may be given it is; `None` once the device has reported something else.
    generation: Option<u64>,
    renew_at_s: u64,
    content: String,
    // How long its targets metadata is when it is said: it is not kept so long.
    #[serde(default)]
    pub(crate) targets_len: usize,
}

/// Who signs, as the last root knows it.
struct Signing<'a> {
    signer: &'a dyn Signer,
    privacy: &'a Privacy,
    targets: Key,
    snapshot: Key,
    timestamp: Key,
}

/// What devices are told from, at one moment.
struct Source {
    catalogue: Arc<Catalogue>,
    root: Draft<Root>,
    generation: Option<u64>,
    manifest_key: Option<ManifestKey>,
    padding: Padding,
}

/// What a device is to be told.
enum Step {
    /// The same as before: its timestamp.
    Same(Vec<u8>),
    New(Box<Unsigned>),
}

struct Unsigned {
    device: String,
    targets: Draft<Targets>,
    components: usize,
    kept: Kept,
}

/// Three files of one version.
struct Signed {
    targets: Vec<u8>,
    snapshot: Vec<u8>,
    timestamp: Vec<u8>,
    targets_len: usize,
}

impl Director {
    /// What a device is told now: its timestamp, in octets. Its snapshot and targets are durable before this returns.
    ///
    /// # Errors
    /// [`DirectorFault::NotFound`] if nobody has registered it.
    pub fn poll(&self, id: &DeviceId, now: UnixTime) -> Done<Vec<u8>> {
        if let Some(octets) = self.documents.read(|then| told(then, id, now))? {
            return Ok(octets);
        }
        self.documents.change(|then| {
            if let Some(octets) = told(then, id, now)? {
                return Ok(octets);
            }
            let source = self.source(then)?;
            match source.step(then, id, now)? {
                Step::Same(timestamp) => Ok(timestamp),
                Step::New(unsigned) => {
                    let signed = self.signing(&source.root)?.sign(&unsigned)?;
                    unsigned.keep(then, &signed)?;
                    Ok(signed.timestamp)
                }
            }
        })
    }

    /// Makes what many devices are told, before they ask: all cores sign, and one wait for the disk is for all of them.
    ///
    /// # Errors
    /// As [`Director::poll`]; then none of it was made.
    pub fn tell_all(&self, ids: &[&DeviceId], now: UnixTime) -> Done {
        self.documents.change(|then| {
            let source = self.source(then)?;
            let mut unsigned = Vec::with_capacity(ids.len());
            for id in ids {
                if told(then, id, now)?.is_none()
                    && let Step::New(new) = source.step(then, id, now)?
                {
                    unsigned.push(new);
                }
            }
            let signing = self.signing(&source.root)?;
            let signed = unsigned.par_iter().map(|one| signing.sign(one)).collect::<Done<Vec<_>>>()?;
            unsigned.iter().zip(&signed).try_for_each(|(one, signed)| one.keep(then, signed))
        })
    }

    fn source(&self, then: &Moment<'_>) -> Done<Source> {
        let (catalogue, root) = (self.catalogue_at(then)?, last_root(then)?);
        let generation = load(then, kind::STATE, GENERATION)?;
        let (manifest_key, padding) = (self.privacy.announced(), self.privacy.padding);
        Ok(Source { catalogue, root, generation, manifest_key, padding })
    }

    fn signing(&self, root: &Draft<Root>) -> Done<Signing<'_>> {
        let key = |role| {
            let key = Signers::of_top(root, role).key(self.signer.public_key());
            key.ok_or(DirectorFault::Key("the root does not name it"))
        };
        let (targets, snapshot, timestamp) = (key(Top::Targets)?, key(Top::Snapshot)?, key(Top::Timestamp)?);
        Ok(Signing { signer: self.signer.as_ref(), privacy: &self.privacy, targets, snapshot, timestamp })
    }
}

impl Source {
    fn step(&self, then: &Moment<'_>, id: &DeviceId, now: UnixTime) -> Done<Step> {
        let (device, key) = (device(then, id)?, id.to_string());
        let has: BTreeMap<Name, Has> = load(then, kind::HAS, &key)?.unwrap_or_default();
        let choice = choose(&Subject { device: &device, has: &has }, &self.catalogue);
        for (component, chosen) in &choice {
            crate::ledger::given(then, &key, chosen, has.get(component))?;
        }
        let given = given(&device, &choice);
        // Another root may know the key under another name.
        let (version, manifest_key, padding) = (self.root.version(), self.manifest_key, self.padding);
        let content = sha256(format!("{version} {given:?} {manifest_key:?} {padding:?}").as_bytes()).to_string();
        let generation = self.generation;
        let kept: Option<Kept> = load(then, kind::KEPT, &key)?;
        // The same, and for long enough still: it is not signed again.
        if let Some(kept) = &kept
            && kept.content == content
            && now.s() < kept.renew_at_s
            && let Some(timestamp) = then.get(kind::FILE, &format!("{key}/timestamp"))?
        {
            let (version, renew_at_s, targets_len) = (kept.version, kept.renew_at_s, kept.targets_len);
            store(then, kind::KEPT, &key, &Kept { version, generation, renew_at_s, content, targets_len })?;
            return Ok(Step::Same(timestamp));
        }
        // Also after records were put back from a backup no version is used twice, as long as the clock has not gone back with them.
        let version = kept.map_or(0, |kept| kept.version).saturating_add(1).max(now.s());
        let targets = direct(&device.id, version, now.plus_s(LIFETIME), &given, manifest_key)?;
        let renew_at_s = now.plus_s(LIFETIME / 2).s();
        let kept = Kept { version, generation, renew_at_s, content, targets_len: 0 };
        Ok(Step::New(Box::new(Unsigned { device: key, targets, components: device.components.len(), kept })))
    }
}

impl Signing<'_> {
    // Snapshot and timestamp have the version and the end of the targets: all three are made together.
    fn sign(&self, unsigned: &Unsigned) -> Done<Signed> {
        let (version, expires) = (unsigned.targets.version(), unsigned.targets.expires());
        let targets = self.signed(&self.targets, unsigned.targets.clone())?;
        let mut snapshot = Body::<Snapshot>::new(expires).in_version(version);
        // What is announced is what is said.
        let targets_len = self.privacy.targets_len(targets.len(), unsigned.components);
        snapshot.set(Top::Targets.name(), version, Some(&padded(targets.clone(), targets_len)));
        let snapshot = self.signed(&self.snapshot, snapshot.draft()?)?;
        let timestamp = Body::<Timestamp>::new(expires, version, &snapshot).in_version(version);
        let timestamp = self.signed(&self.timestamp, timestamp.draft()?)?;
        Ok(Signed { targets, snapshot, timestamp, targets_len })
    }

    fn signed<R: Role>(&self, key: &Key, mut draft: Draft<R>) -> Done<Vec<u8>> {
        draft.sign_believing(key, |message| self.signer.sign(message))?;
        Ok(draft.write())
    }
}

impl Kept {
    fn said_in(&self, targets_len: usize) -> Self {
        let Self { version, generation, renew_at_s, .. } = *self;
        Self { version, generation, renew_at_s, content: self.content.clone(), targets_len }
    }
}

impl Unsigned {
    fn keep(&self, then: &Moment<'_>, signed: &Signed) -> Done {
        let Self { device, kept, .. } = self;
        let Signed { targets, snapshot, timestamp, targets_len } = signed;
        for (file, octets) in [("targets", targets), ("snapshot", snapshot), ("timestamp", timestamp)] {
            then.put(kind::FILE, &format!("{device}/{file}"), octets)?;
        }
        store(then, kind::KEPT, device, &kept.said_in(*targets_len))
    }
}

/// What a device was told, if it would be told the same now.
fn told(then: &Moment<'_>, id: &DeviceId, now: UnixTime) -> Done<Option<Vec<u8>>> {
    let key = id.to_string();
    let generation: Option<u64> = load(then, kind::STATE, GENERATION)?;
    match load::<Kept>(then, kind::KEPT, &key)? {
        Some(kept) if kept.generation == generation && now.s() < kept.renew_at_s => {
            Ok(then.get(kind::FILE, &format!("{key}/timestamp"))?)
        }
        _ => Ok(None),
    }
}

/// A device has changed: it is told anew when it asks.
pub(crate) fn stale(now: &Moment<'_>, device: &str) -> Done {
    match load::<Kept>(now, kind::KEPT, device)? {
        Some(kept) => store(now, kind::KEPT, device, &Kept { generation: None, ..kept }),
        None => Ok(()),
    }
}

/// What is chosen, target by target.
fn given<'a>(device: &Device, choice: &BTreeMap<&Name, Chosen<'a>>) -> Vec<Given<'a>> {
    let mut given: BTreeMap<&str, Given<'a>> = BTreeMap::new();
    for (component, chosen) in choice {
        let Some(about) = device.components.get(*component) else { continue };
        let offer = &chosen.image.offer;
        let one = given.entry(offer.name()).or_insert_with(|| Given { offer, components: BTreeMap::new() });
        one.components.insert(component.plain().clone(), about.hardware_id.clone());
    }
    given.into_values().collect()
}
