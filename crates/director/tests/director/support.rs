//! A director in a temporary directory, and devices that ask it.

use adapters::clock::SystemEntropy;
use adapters::keystore::memory::MemoryKey;
use director::{Audience, Begun, Component, Device, Director, DirectorFault, Manifests, Name, Plan, Privacy, Stage};
use model::{DeviceId, Nonce, UnixTime};
use ports::Signer;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use update::Image;
use update::tuf::{Answer, Client, Limits, NotDone, Outside, Refused};
use update::uptane::{
    self, BadDirections, Directions, Inventory, ManifestKey, Offer, Report, write_manifest, write_report,
};
use x509::{KeyType, sha256};

pub(crate) const NOW: UnixTime = UnixTime::from_s(1_790_000_000);

pub(crate) fn key() -> Arc<dyn Signer> {
    Arc::new(MemoryKey::generate(KeyType::Ed25519))
}
pub(crate) fn name(text: &str) -> Name {
    text.parse().unwrap()
}
pub(crate) fn id(serial: &str) -> DeviceId {
    format!("urn:dev:ops:32473-gateway-{serial}").parse().unwrap()
}

/// What the image repository says of a target whose octets are its name.
pub(crate) fn offer(image: &str, counter: u64, hardware_ids: &[&str]) -> Offer {
    let hardware_ids = hardware_ids.iter().map(|id| format!("\"{id}\"")).collect::<Vec<_>>().join(",");
    let (digest, length) = (sha256(image.as_bytes()), image.len());
    let kept = format!(
        "{{\"name\":\"{image}\",\"length\":{length},\"hashes\":{{\"sha256\":\"{digest}\"}},\
         \"release_counter\":{counter},\"hardware_ids\":[{hardware_ids}]}}"
    );
    Offer::kept(kept.as_bytes()).unwrap()
}

/// A device with its keys, what it carries, and the metadata that it trusts.
pub(crate) struct Unit {
    pub(crate) device: Device,
    key: Arc<dyn Signer>,
    components: BTreeMap<Name, Arc<dyn Signer>>,
    pub(crate) carries: BTreeMap<Name, (String, u64)>,
    kept: BTreeMap<String, Vec<u8>>,
}

impl Unit {
    pub(crate) fn new(serial: &str, components: &[(&str, &str)], groups: &[&str]) -> Self {
        let (key, mut keys, mut about) = (key(), BTreeMap::new(), BTreeMap::new());
        let mut carries = BTreeMap::new();
        for (component, hardware_id) in components {
            let signer = self::key();
            let hardware_id = hardware_id.parse().unwrap();
            about.insert(name(component), Component { hardware_id, key: signer.public_key().clone().into() });
            keys.insert(name(component), signer);
            carries.insert(name(component), ("factory".to_owned(), 1));
        }
        let groups = groups.iter().map(|group| name(group)).collect();
        let assigned = BTreeMap::new();
        let device =
            Device { id: id(serial), key: key.public_key().clone().into(), components: about, groups, assigned };
        Self { device, key, components: keys, carries, kept: BTreeMap::new() }
    }
    pub(crate) fn modem(serial: &str) -> Self {
        Self::new(serial, &[("modem", "modem.a")], &[])
    }

    fn report(&self, component: &Name, nonce: Nonce) -> Vec<u8> {
        let (image, counter) = &self.carries[component];
        let report = Report {
            component: component.plain().clone(),
            hardware_id: self.device.components[component].hardware_id.clone(),
            target: image.clone(),
            image: Image { digest: sha256(image.as_bytes()), length: image.len().try_into().unwrap() },
            counter: *counter,
        };
        write_report(&report, nonce, |message| self.components[component].sign(message)).unwrap()
    }
    pub(crate) fn manifest(&self, nonce: Nonce) -> Vec<u8> {
        let reports: Vec<_> = self.components.keys().map(|component| self.report(component, nonce)).collect();
        write_manifest(&self.device.id, nonce, &reports, |message| self.key.sign(message)).unwrap()
    }
    pub(crate) fn install(&mut self, component: &str, image: &str, counter: u64) {
        self.carries.insert(name(component), (image.to_owned(), counter));
    }
    /// How long each file is that it was told.
    pub(crate) fn lengths(&self) -> Vec<usize> {
        self.kept.values().map(Vec::len).collect()
    }
    fn inventory(&self) -> Inventory {
        let components = self.device.components.iter().map(|(id, component)| {
            let hardware_id = component.hardware_id.clone();
            (id.plain().clone(), uptane::Component { hardware_id, floor: self.carries[id].1 })
        });
        Inventory { device: self.device.id.clone(), components: components.collect() }
    }
}

struct Line<'a> {
    kept: &'a mut BTreeMap<String, Vec<u8>>,
    director: &'a Director,
    id: &'a DeviceId,
    now: UnixTime,
}
impl Outside for Line<'_> {
    type Fault = ();
    fn load(&mut self, file: &str) -> Result<Answer, ()> {
        Ok(self.kept.get(file).cloned().map_or(Answer::NotThere, Answer::Octets))
    }
    fn fetch(&mut self, file: &str, len_max: u64) -> Answer {
        match self.director.file(self.id, file, self.now).unwrap() {
            Some(octets) if octets.len() <= len_max.try_into().unwrap() => Answer::Octets(octets),
            Some(_) => Answer::TooLong,
            None => Answer::NotThere,
        }
    }
    fn forget(&mut self, file: &str) -> Result<(), ()> {
        self.kept.remove(file);
        Ok(())
    }
    fn persist(&mut self, file: &str, octets: &[u8]) -> Result<(), ()> {
        self.kept.insert(file.to_owned(), octets.to_vec());
        Ok(())
    }
}

/// A director that has begun.
pub(crate) struct House {
    pub(crate) director: Director,
    pub(crate) dir: tempfile::TempDir,
    pub(crate) root: Arc<dyn Signer>,
    pub(crate) online: Arc<dyn Signer>,
}

impl House {
    pub(crate) fn new() -> Self {
        let (dir, root, online) = (tempfile::tempdir().unwrap(), key(), key());
        let begun = Begun { root_keys: &[Arc::clone(&root)], expires: NOW.plus_s(86_400 * 365) };
        let director = Director::begin(&dir.path().join("director.db"), Arc::clone(&online), &begun).unwrap();
        let director = director.keeping(Privacy { manifests: Manifests::AlsoPlain, ..Privacy::default() });
        Self { director, dir, root, online }
    }
    pub(crate) fn path(&self) -> PathBuf {
        self.dir.path().join("director.db")
    }
    /// One with these targets, all of them for `modem.a`.
    pub(crate) fn with(images: &[(&str, u64)]) -> Self {
        let house = Self::new();
        images.iter().for_each(|(image, counter)| house.director.take(offer(image, *counter, &["modem.a"])).unwrap());
        house
    }
    pub(crate) fn register(&self, unit: &Unit) {
        self.director.register(&unit.device).unwrap();
    }

    /// What a device is told, as its own client understands it: the names of targets.
    pub(crate) fn follow(&self, unit: &mut Unit, now: UnixTime) -> Result<Vec<String>, String> {
        let client = self.client(unit, now)?;
        let directions = Directions::read(&client, &unit.inventory()).map_err(|bad: BadDirections| bad.to_string())?;
        Ok(directions.targets().map(str::to_owned).collect())
    }
    /// The key that a device is told to seal to.
    pub(crate) fn announced(&self, unit: &mut Unit) -> Option<ManifestKey> {
        ManifestKey::announced(&self.client(unit, NOW).unwrap()).unwrap()
    }
    fn client(&self, unit: &mut Unit, now: UnixTime) -> Result<Client, String> {
        if unit.kept.is_empty() {
            unit.kept.insert("root.json".into(), self.director.roots().unwrap()[0].1.clone());
        }
        let mut client = Client::new(Limits::DEFAULT, now);
        let mut line = Line { kept: &mut unit.kept, director: &self.director, id: &unit.device.id, now };
        match client.drive(&mut line) {
            Ok(()) => Ok(client),
            Err(NotDone::Refused(Refused { file, bad })) => Err(format!("{file}: {bad}")),
            Err(NotDone::Outside(())) => unreachable!(),
        }
    }
    #[track_caller]
    pub(crate) fn tells(&self, unit: &mut Unit, expected: &[&str]) {
        assert_eq!(self.follow(unit, NOW).unwrap(), expected);
    }
    /// A device reports what it carries.
    pub(crate) fn hears(&self, unit: &Unit) -> u64 {
        let (nonce, _) = self.director.ask(&unit.device.id, &SystemEntropy::default(), NOW).unwrap();
        self.director.manifest(&unit.device.id, &unit.manifest(nonce), NOW).unwrap()
    }
}

pub(crate) fn plan(rollout: &str, image: &str, stages: &[(Audience, u64)]) -> Plan {
    let stages = stages.iter().map(|(audience, answers)| Stage { audience: audience.clone(), answers: *answers });
    Plan {
        name: name(rollout),
        image: image.to_owned(),
        component: name("modem"),
        device_type: "gateway".parse().unwrap(),
        group: None,
        stages: stages.collect(),
        success_percent: 80,
        failure_percent: 20,
        requires: vec![],
        conflicts: vec![],
    }
}

#[track_caller]
pub(crate) fn refused<T: std::fmt::Debug>(done: Result<T, DirectorFault>, why: &str) {
    let fault = done.unwrap_err().to_string();
    assert!(fault.contains(why), "{fault}");
}
