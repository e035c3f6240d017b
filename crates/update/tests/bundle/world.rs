//! A maker, the sm of a box, and its station.

use crate::repository::{NOW, Repository, announced};
use model::{DeviceId, DeviceType, Fault, Reason, UnixTime};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use update::bundle::{
    BadBundle, Bundle, CheckedReader, Kept, Repository as Which, Roots, Statement, Terms, Verified, collect, follow,
    verify,
};
use update::tuf::{BadMetadata, Refused};
use update::uptane::{Component, Inventory};

pub(crate) const GATEWAY: &[u8] = b"software of a gateway";
pub(crate) const SENSOR: &[u8] = b"software of a sensor";
pub(crate) const AGE_MAX_S: u64 = 1000;

pub(crate) fn kind(name: &str) -> DeviceType {
    name.parse().unwrap()
}
pub(crate) fn device(installation: &str) -> DeviceId {
    format!("urn:dev:ops:32473-box-{installation}").parse().unwrap()
}
pub(crate) fn published(octets: &[u8], counter: u64, kinds: &[&str]) -> Value {
    let mut target = announced(octets);
    target["custom"] = json!({"release": "app", "release_version": counter.to_string(), "release_counter": counter, "hardware_ids": kinds});
    target
}

type Files = BTreeMap<String, Vec<u8>>;

/// What sm leaves in the store, and what it says of it.
#[derive(Clone, Debug)]
pub(crate) struct Stored {
    pub octets: Vec<u8>,
    pub statement: Option<Statement>,
    pub images: BTreeMap<String, Vec<u8>>,
}

impl Stored {
    pub(crate) fn files(&self) -> Files {
        Bundle::decode(&self.octets).unwrap().files().clone()
    }
    pub(crate) fn images_said(&self) -> Value {
        serde_json::to_value(&Bundle::decode(&self.octets).unwrap().manifest().images).unwrap()
    }
    /// The same with other contents, countersigned: sm's key is in the attacker's hands.
    pub(crate) fn forged(&self, files: &Files, images: &Value) -> Self {
        let entry = |(name, octets): (&String, &Vec<u8>)| json!({"name": name, "length": octets.len(), "sha256": x509::sha256(octets)});
        let files_said: Vec<_> = files.iter().map(entry).collect();
        let manifest = json!({"format": "cradle-bundle-1", "components": ["gateway", "sensor.a"], "files": files_said, "images": images});
        let line = serde_json::to_vec(&manifest).unwrap();
        let octets = [line.clone(), b"\n".to_vec(), files.values().flatten().copied().collect()].concat();
        let statement = self.statement.clone().map(|s| Statement { bundle: x509::sha256(&line), ..s });
        Self { octets, statement, images: self.images.clone() }
    }
    pub(crate) fn with_file(&self, name: &str, octets: &[u8]) -> Self {
        let mut files = self.files();
        files.insert(name.to_owned(), octets.to_vec());
        self.forged(&files, &self.images_said())
    }
    pub(crate) fn without_file(&self, name: &str) -> Self {
        let mut files = self.files();
        files.remove(name).unwrap();
        self.forged(&files, &self.images_said())
    }
    pub(crate) fn verified_at(mut self, at: UnixTime) -> Self {
        self.statement.as_mut().unwrap().verified_at = at;
        self
    }
}

/// A maker's repositories, the sm of a box that follows them, and its station.
#[derive(Clone)]
pub(crate) struct World {
    pub images: Repository,
    pub director: Option<Repository>,
    pub first_roots: (Vec<u8>, Option<Vec<u8>>),
    /// What the station has seen.
    pub seen: [Kept; 2],
    pub floors: BTreeMap<&'static str, u64>,
    pub now: UnixTime,
    /// The first release for gateways.
    pub gateway: &'static [u8],
}

impl World {
    /// The newest for each type is taken.
    pub(crate) fn alone() -> Self {
        Self::with(GATEWAY)
    }
    /// The same, with these octets for gateways.
    pub(crate) fn with(gateway: &'static [u8]) -> Self {
        let mut images = Repository::new();
        images.of("targets")["targets"]["gateway-1.img"] = published(gateway, 1, &["gateway"]);
        images.of("targets")["targets"]["sensor-1.img"] = published(SENSOR, 1, &["sensor.a", "sensor.b"]);
        images.publish_targets();
        let first_roots = (images.kept["root.json"].clone(), None);
        let (seen, floors) = (Default::default(), BTreeMap::new());
        Self { images, director: None, first_roots, seen, floors, now: NOW, gateway }
    }
    /// A director says that the gateway gets release 1, and nothing to sensors.
    pub(crate) fn directed() -> Self {
        let mut world = Self::alone();
        let mut director = Repository::new();
        director.of("targets")["custom"] = json!({"device": device("works").to_string()});
        director.of("targets")["targets"]["gateway-1.img"] = announced(GATEWAY);
        director.of("targets")["targets"]["gateway-1.img"]["custom"] =
            json!({"release_counter": 1, "components": {"gateway": {"hardware_id": "gateway"}}});
        director.publish_targets();
        world.first_roots.1 = Some(director.kept["root.json"].clone());
        world.director = Some(director);
        world
    }
    pub(crate) fn inventory(&self) -> Inventory {
        let component = |name: &&str| {
            let floor = self.floors.get(*name).copied().unwrap_or(0);
            (name.parse().unwrap(), Component { hardware_id: kind(name), floor })
        };
        Inventory { device: device("works"), components: ["gateway", "sensor.a"].iter().map(component).collect() }
    }
    pub(crate) fn roots(&self) -> Roots<'_> {
        Roots { images: &self.first_roots.0, director: self.first_roots.1.as_deref() }
    }
    /// sm follows, collects, compares the images, and countersigns.
    pub(crate) fn make(&mut self) -> Stored {
        self.try_make().unwrap()
    }
    pub(crate) fn try_make(&mut self) -> Result<Stored, BadBundle> {
        let inventory = self.inventory();
        follow(&inventory, self.now, &mut self.images, self.director.as_mut()).map_err(|why| match why {
            update::bundle::NotFollowed::Bad(bad) => bad,
            update::bundle::NotFollowed::Outside(fault) => panic!("{fault}"),
        })?;
        let collector = |repository: &Repository| {
            let roots = repository.published.iter().filter(|(name, _)| name.ends_with(".root.json"));
            let roots = roots.map(|(name, octets)| (format!("roots/{name}"), octets.clone()));
            repository.kept.clone().into_iter().chain(roots).collect::<Kept>()
        };
        let (images, director) = (collector(&self.images), self.director.as_ref().map(collector));
        let collected = collect(&inventory, self.now, self.roots(), &images, director.as_ref())?;
        let (mut checked, mut kept) = (Vec::new(), BTreeMap::new());
        for chosen in collected.chosen() {
            let name = chosen.target().name().to_owned();
            let octets = if name.starts_with("sensor") { SENSOR } else { self.gateway };
            checked.push(CheckedReader::new(octets, chosen.clone()).read_through()?);
            kept.insert(name, octets.to_vec());
        }
        let made = collected.close(checked)?;
        let statement = Some(Statement::of(&made, device("works"), self.now));
        Ok(Stored { octets: made.octets().to_vec(), statement, images: kept })
    }
    /// The station verifies, and keeps what it has seen.
    pub(crate) fn verify(&mut self, stored: &Stored) -> Result<Verified, BadBundle> {
        let statement = stored.statement.as_ref().map(Statement::encode);
        let verified = verify(
            &stored.octets,
            &Terms {
                device: &device("works"),
                floors: &self.floors.iter().map(|(name, floor)| (kind(name), *floor)).collect(),
                roots: self.roots(),
                images: &self.seen[0],
                director: &self.seen[1],
                statement: statement.as_deref(),
                now: self.now,
                bundle_age_max_s: AGE_MAX_S,
            },
        )?;
        for change in verified.changes() {
            let kept = &mut self.seen[usize::from(change.repository == Which::Director)];
            match &change.octets {
                Some(octets) => kept.insert(change.file.clone(), octets.clone()),
                None => kept.remove(&change.file),
            };
        }
        Ok(verified)
    }
    /// What the station puts on devices of a type, to the last octet.
    pub(crate) fn flash(&mut self, stored: &Stored, name: &str) -> Result<Option<(String, u64, Vec<u8>)>, BadBundle> {
        let verified = self.verify(stored)?;
        let Some(release) = verified.release(&kind(name)) else { return Ok(None) };
        let octets = stored.images[&release.image().target].clone();
        let image = release.verify_image(octets.as_slice())?;
        let mut flashed = Vec::new();
        std::io::Read::read_to_end(&mut image.reader(octets.as_slice()), &mut flashed).unwrap();
        Ok(Some((image.title(), image.counter(), flashed)))
    }
    /// A newer release for gateways is published, made into a bundle, and seen by the station.
    pub(crate) fn second_release(&mut self) -> Stored {
        self.images.of("targets")["targets"]["gateway-2.img"] = published(GATEWAY, 2, &["gateway"]);
        self.images.publish_targets();
        let stored = self.make();
        self.verify(&stored).unwrap();
        stored
    }
}

pub(crate) fn upstream(file: &str, bad: BadMetadata) -> BadBundle {
    BadBundle::Upstream(Which::Images, Refused { file: file.to_owned(), bad })
}
/// What a station says to a bundle, which it refuses for this reason.
#[track_caller]
pub(crate) fn refused(world: &mut World, stored: &Stored, expected: &BadBundle, reason: Reason) {
    let seen = world.seen.clone();
    assert_eq!(world.verify(stored).map(|_| "taken").as_ref(), Err(expected));
    assert_eq!(Fault::from(expected), Fault::Refused(reason));
    assert_eq!(world.seen, seen, "what was refused has changed what is known");
}
