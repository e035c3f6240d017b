//! Bundles: what a station takes from an sm that it need not believe. Each attack has a name here.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::as_conversions,
    clippy::panic,
    reason = "what cannot go on here has failed"
)]

mod repository;

use model::{DeviceId, DeviceType, Fault, Reason, UnixTime};
use repository::{NOW, PAST, Repository, announced};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::io::{ErrorKind, Read};
use update::bundle::{
    BUNDLE_LEN_MAX, BadBundle, Bundle, CheckedReader, Chosen, Kept, Repository as Which, Roots, Statement, Terms,
    Verified, VerifiedImage, collect, follow, verify,
};
use update::tuf::{BadMetadata, Refused};
use update::uptane::{BadDirections, Component, Inventory};

const GATEWAY: &[u8] = b"software of a gateway";
const SENSOR: &[u8] = b"software of a sensor";
const AGE_MAX_S: u64 = 1000;

fn kind(name: &str) -> DeviceType {
    name.parse().unwrap()
}
fn device(installation: &str) -> DeviceId {
    format!("urn:dev:ops:32473-box-{installation}").parse().unwrap()
}
fn published(octets: &[u8], counter: u64, kinds: &[&str]) -> Value {
    let mut target = announced(octets);
    target["custom"] = json!({"release": "app", "release_version": counter.to_string(), "release_counter": counter, "hardware_ids": kinds});
    target
}

type Files = BTreeMap<String, Vec<u8>>;

/// What sm leaves in the store, and what it says of it.
#[derive(Clone, Debug)]
struct Stored {
    octets: Vec<u8>,
    statement: Option<Statement>,
    images: BTreeMap<String, Vec<u8>>,
}

impl Stored {
    fn files(&self) -> Files {
        Bundle::decode(&self.octets).unwrap().files().clone()
    }
    fn images_said(&self) -> Value {
        serde_json::to_value(&Bundle::decode(&self.octets).unwrap().manifest().images).unwrap()
    }
    /// The same with other contents, countersigned: sm's key is in the attacker's hands.
    fn forged(&self, files: &Files, images: &Value) -> Self {
        let entry = |(name, octets): (&String, &Vec<u8>)| json!({"name": name, "length": octets.len(), "sha256": x509::sha256(octets)});
        let files_said: Vec<_> = files.iter().map(entry).collect();
        let manifest = json!({"format": "cradle-bundle-1", "components": ["gateway", "sensor.a"], "files": files_said, "images": images});
        let line = serde_json::to_vec(&manifest).unwrap();
        let octets = [line.clone(), b"\n".to_vec(), files.values().flatten().copied().collect()].concat();
        let statement = self.statement.clone().map(|s| Statement { bundle: x509::sha256(&line), ..s });
        Self { octets, statement, images: self.images.clone() }
    }
    fn with_file(&self, name: &str, octets: &[u8]) -> Self {
        let mut files = self.files();
        files.insert(name.to_owned(), octets.to_vec());
        self.forged(&files, &self.images_said())
    }
    fn without_file(&self, name: &str) -> Self {
        let mut files = self.files();
        files.remove(name).unwrap();
        self.forged(&files, &self.images_said())
    }
    fn verified_at(mut self, at: UnixTime) -> Self {
        self.statement.as_mut().unwrap().verified_at = at;
        self
    }
}

/// A maker's repositories, the sm of a box that follows them, and its station.
#[derive(Clone)]
struct World {
    images: Repository,
    director: Option<Repository>,
    first_roots: (Vec<u8>, Option<Vec<u8>>),
    /// What the station has seen.
    seen: [Kept; 2],
    floors: BTreeMap<&'static str, u64>,
    now: UnixTime,
    /// The first release for gateways.
    gateway: &'static [u8],
}

impl World {
    /// The newest for each type is taken.
    fn alone() -> Self {
        Self::with(GATEWAY)
    }
    /// The same, with these octets for gateways.
    fn with(gateway: &'static [u8]) -> Self {
        let mut images = Repository::new();
        images.of("targets")["targets"]["gateway-1.img"] = published(gateway, 1, &["gateway"]);
        images.of("targets")["targets"]["sensor-1.img"] = published(SENSOR, 1, &["sensor.a", "sensor.b"]);
        images.publish_targets();
        let first_roots = (images.kept["root.json"].clone(), None);
        let (seen, floors) = (Default::default(), BTreeMap::new());
        Self { images, director: None, first_roots, seen, floors, now: NOW, gateway }
    }
    /// A director says that the gateway gets release 1, and nothing to sensors.
    fn directed() -> Self {
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
    fn inventory(&self) -> Inventory {
        let component = |name: &&str| {
            let floor = self.floors.get(*name).copied().unwrap_or(0);
            (name.parse().unwrap(), Component { hardware_id: kind(name), floor })
        };
        Inventory { device: device("works"), components: ["gateway", "sensor.a"].iter().map(component).collect() }
    }
    fn roots(&self) -> Roots<'_> {
        Roots { images: &self.first_roots.0, director: self.first_roots.1.as_deref() }
    }
    /// sm follows, collects, compares the images, and countersigns.
    fn make(&mut self) -> Stored {
        self.try_make().unwrap()
    }
    fn try_make(&mut self) -> Result<Stored, BadBundle> {
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
    fn verify(&mut self, stored: &Stored) -> Result<Verified, BadBundle> {
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
    fn flash(&mut self, stored: &Stored, name: &str) -> Result<Option<(String, u64, Vec<u8>)>, BadBundle> {
        let verified = self.verify(stored)?;
        let Some(release) = verified.release(&kind(name)) else { return Ok(None) };
        let octets = stored.images[&release.image().target].clone();
        let image = release.verify_image(octets.as_slice())?;
        let mut flashed = Vec::new();
        std::io::Read::read_to_end(&mut image.reader(octets.as_slice()), &mut flashed).unwrap();
        Ok(Some((image.title(), image.counter(), flashed)))
    }
    /// A newer release for gateways is published, made into a bundle, and seen by the station.
    fn second_release(&mut self) -> Stored {
        self.images.of("targets")["targets"]["gateway-2.img"] = published(GATEWAY, 2, &["gateway"]);
        self.images.publish_targets();
        let stored = self.make();
        self.verify(&stored).unwrap();
        stored
    }
}

fn upstream(file: &str, bad: BadMetadata) -> BadBundle {
    BadBundle::Upstream(Which::Images, Refused { file: file.to_owned(), bad })
}
/// What a station says to a bundle, which it refuses for this reason.
#[track_caller]
fn refused(world: &mut World, stored: &Stored, expected: &BadBundle, reason: Reason) {
    let seen = world.seen.clone();
    assert_eq!(world.verify(stored).map(|_| "taken").as_ref(), Err(expected));
    assert_eq!(Fault::from(expected), Fault::Refused(reason));
    assert_eq!(world.seen, seen, "what was refused has changed what is known");
}

// What is right.

#[test]
fn the_newest_release_for_each_type_is_what_a_box_alone_gets() {
    let mut world = World::alone();
    let stored = world.make();
    assert_eq!(world.flash(&stored, "gateway"), Ok(Some(("app 1".into(), 1, GATEWAY.to_vec()))));
    assert_eq!(world.flash(&stored, "sensor.a"), Ok(Some(("app 1".into(), 1, SENSOR.to_vec()))));
    assert_eq!(world.flash(&stored, "sensor.b"), Ok(None), "it is not of this box");
    let stored = world.second_release();
    assert_eq!(world.flash(&stored, "gateway"), Ok(Some(("app 2".into(), 2, GATEWAY.to_vec()))));
}
#[test]
fn what_the_director_says_is_what_a_box_gets() {
    let mut world = World::directed();
    world.images.of("targets")["targets"]["gateway-2.img"] = published(GATEWAY, 2, &["gateway"]);
    world.images.publish_targets();
    let stored = world.make();
    assert_eq!(world.flash(&stored, "gateway"), Ok(Some(("app 1".into(), 1, GATEWAY.to_vec()))));
    assert_eq!(world.flash(&stored, "sensor.a"), Ok(None));
    assert!(stored.files().keys().any(|name| name == "director/timestamp.json"));
}
#[test]
fn nothing_is_a_bundle_too() {
    let mut world = World::alone();
    world.images.of("targets")["targets"] = json!({});
    world.images.publish_targets();
    let stored = world.make();
    assert_eq!(world.flash(&stored, "gateway"), Ok(None));
}
#[test]
fn roots_and_delegated_roles_are_in_it() {
    let mut world = World::directed();
    world.images.delegate("targets", "supplier/x", 9, &["gateway-*"]);
    let target = world.images.of("targets")["targets"]["gateway-1.img"].take();
    world.images.of("targets")["targets"].as_object_mut().unwrap().remove("gateway-1.img");
    world.images.of("supplier/x")["targets"]["gateway-1.img"] = target;
    world.images.rekey("timestamp", &[8], 1);
    world.images.bump("root");
    world.images.publish_targets();
    let stored = world.make();
    let files: Vec<_> = stored.files().into_keys().filter(|name| name.starts_with("images/")).collect();
    let version = world.images.version("supplier/x");
    let (snapshot, targets) = (world.images.version("snapshot"), world.images.version("targets"));
    let delegated = format!("images/{version}.supplier%2Fx.json");
    let others = [format!("images/{snapshot}.snapshot.json"), format!("images/{targets}.targets.json")];
    let mut expected = vec!["images/2.root.json".to_owned(), "images/timestamp.json".to_owned(), delegated];
    expected.extend(others);
    expected.sort();
    assert_eq!(files, expected);
    assert_eq!(world.flash(&stored, "gateway"), Ok(Some(("app 1".into(), 1, GATEWAY.to_vec()))));
}
#[test]
fn a_repository_without_consistent_snapshots_is_collected_too() {
    let mut world = World::alone();
    world.images.of("root")["consistent_snapshot"] = json!(false);
    world.images.bump("root");
    world.images.publish_targets();
    let stored = world.make();
    assert!(stored.files().contains_key("images/targets.json"), "{:?}", stored.files().keys());
    assert!(world.flash(&stored, "gateway").unwrap().is_some());
}
#[test]
fn the_same_bundle_is_taken_again() {
    let mut world = World::directed();
    let stored = world.make();
    for _ in 0..2 {
        assert!(world.flash(&stored, "gateway").unwrap().is_some());
    }
}

// Two answers, and none.

#[test]
fn two_newest_releases_for_one_type() {
    let mut world = World::alone();
    world.images.of("targets")["targets"]["other.img"] = published(GATEWAY, 1, &["gateway"]);
    world.images.publish_targets();
    assert_eq!(world.try_make().err(), Some(BadBundle::Directions(BadDirections::ComponentTwice)));
}
#[test]
fn a_director_that_is_not_there_is_missed() {
    let mut world = World::directed();
    let alone = World::alone().make();
    let missing = Refused { file: "timestamp.json".into(), bad: BadMetadata::NotThere };
    let expected = BadBundle::Upstream(Which::Director, missing);
    refused(&mut world, &alone, &expected, Reason::UpstreamSignature);
}
#[test]
fn a_director_whom_this_box_does_not_have_says_nothing() {
    let stored = World::directed().make();
    let mut world = World::alone();
    let expected = BadBundle::ExtraFile("director/2.snapshot.json".into());
    refused(&mut world, &stored, &expected, Reason::UpstreamSignature);
}

// Octets.

#[test]
fn each_file_is_needed_as_it_is_even_if_sm_signs_another() {
    let mut honest = World::directed();
    honest.images.rekey("timestamp", &[8], 1);
    honest.images.bump("root");
    honest.images.publish_targets();
    let stored = honest.make();
    assert!(honest.clone().verify(&stored).is_ok());
    for (name, octets) in stored.files() {
        let mut world = honest.clone();
        let gone = world.verify(&stored.without_file(&name)).unwrap_err();
        assert!(matches!(gone, BadBundle::Upstream(..)), "{name}: {gone}");
        let mut file: Value = serde_json::from_slice(&octets).unwrap();
        file["signed"]["version"] = json!(file["signed"]["version"].as_u64().unwrap() + 1);
        let altered = stored.with_file(&name, &serde_json::to_vec(&file).unwrap());
        let altered = world.verify(&altered).unwrap_err();
        assert!(matches!(altered, BadBundle::Upstream(..)), "{name}: {altered}");
        assert_eq!(world.seen, honest.seen, "{name}");
    }
}
#[test]
fn a_file_that_nobody_asks_for() {
    let mut world = World::alone();
    let stored = world.make().with_file("images/2.extra.json", b"{}");
    let expected = BadBundle::ExtraFile("images/2.extra.json".into());
    refused(&mut world, &stored, &expected, Reason::UpstreamSignature);
}
#[test]
fn octets_that_are_altered_in_the_vault() {
    let mut world = World::alone();
    let stored = world.make();
    let end = stored.octets.len() - 1;
    for at in [end, stored.octets.iter().position(|c| *c == b'\n').unwrap() + 1] {
        let mut altered = stored.clone();
        altered.octets[at] ^= 1;
        assert!(matches!(world.verify(&altered), Err(BadBundle::OtherOctets(_))));
    }
    let mut altered = stored.clone();
    altered.octets.truncate(end);
    assert_eq!(world.verify(&altered).err(), Some(BadBundle::Shape("the bundle is cut off")));
    altered.octets = [stored.octets, vec![0]].concat();
    assert_eq!(world.verify(&altered).err(), Some(BadBundle::Shape("something follows the bundle")));
}
#[test]
fn a_manifest_that_was_altered_is_signed_by_nobody() {
    let mut world = World::alone();
    let mut stored = world.make();
    stored.octets[2] ^= 1;
    let bad = world.verify(&stored).unwrap_err();
    assert!(matches!(bad, BadBundle::Neither(_)), "{bad}");
    assert_eq!(Fault::from(bad), Fault::Refused(Reason::BothSignaturesInvalid));
}
#[test]
fn shapes_that_are_no_bundles() {
    let octets = World::alone().make().octets;
    let text = String::from_utf8(octets).unwrap();
    let (line, files) = text.split_once('\n').unwrap();
    let check = |line: &str| {
        assert!(matches!(Bundle::decode(format!("{line}\n{files}").as_bytes()), Err(BadBundle::Shape(_))), "{line}")
    };
    check(&line.replacen("cradle-bundle-1", "cradle-bundle-2", 1));
    check(&line.replacen("{\"format\"", "{\"more\":1,\"format\"", 1));
    check(&format!("[{line}]"));
    let mut twice: Value = serde_json::from_str(line).unwrap();
    twice["files"] = json!([twice["files"][0], twice["files"][0]]);
    check(&twice.to_string());
    assert!(matches!(Bundle::decode(line.as_bytes()), Err(BadBundle::Shape("the bundle has no manifest"))));
}

#[test]
fn a_bundle_has_so_many_octets_files_and_images_and_no_more() {
    // Sound in its shape; its file has other octets than it says.
    let long = |len: u64| {
        let head = |length: u64| {
            let file = json!({"name": "images/x", "length": length, "sha256": x509::sha256(b"")});
            json!({"format": "cradle-bundle-1", "components": [], "files": [file], "images": []}).to_string() + "\n"
        };
        let length = len - head(len - 200).len() as u64;
        let mut octets = head(length).into_bytes();
        octets.resize(len as usize, 0);
        octets
    };
    assert!(matches!(Bundle::decode(&long(BUNDLE_LEN_MAX)), Err(BadBundle::OtherOctets(_))));
    let too_long = BadBundle::Shape("the bundle is longer than the limit");
    assert_eq!(Bundle::decode(&long(BUNDLE_LEN_MAX + 1)).map(|_| ()), Err(too_long));
    let many = |files: usize, components: usize| {
        let file = |n: usize| json!({"name": format!("images/{n:05}"), "length": 0, "sha256": x509::sha256(b"")});
        let names: Vec<_> = (0..components).map(|n| format!("sensor.{n:05}")).collect();
        let files: Vec<_> = (0..files).map(file).collect();
        let manifest = json!({"format": "cradle-bundle-1", "components": names, "files": files, "images": []});
        Bundle::decode((manifest.to_string() + "\n").as_bytes()).map(|_| ())
    };
    assert_eq!(many(2048, 256), Ok(()));
    assert!(matches!(many(2049, 256), Err(BadBundle::Shape(_))) && matches!(many(2048, 257), Err(BadBundle::Shape(_))));
}

#[test]
fn a_bundle_that_another_program_has_written_is_read() {
    let octets = include_bytes!("../../../testdata/bundles/python-two-files");
    let bundle = Bundle::decode(octets).unwrap();
    let names: Vec<_> = bundle.files().keys().map(String::as_str).collect();
    assert_eq!(names, ["director/timestamp.json", "images/timestamp.json"]);
    let [image] = bundle.manifest().images.as_slice() else { panic!("{:?}", bundle.manifest()) };
    assert_eq!((image.target.as_str(), image.counter, image.length), ("app.img", 7, 8));
    assert_eq!(image.device_types, [kind("gateway"), kind("sensor.a")]);
    assert_eq!(bundle.digest(), x509::sha256(octets.split(|c| *c == b'\n').next().unwrap()));
}

// The countersignature.

#[test]
fn without_a_countersignature() {
    let mut world = World::alone();
    let stored = Stored { statement: None, ..world.make() };
    refused(&mut world, &stored, &BadBundle::NotCountersigned, Reason::CountersignatureInvalid);
}
#[test]
fn the_bundle_of_another_installation() {
    let mut world = World::alone();
    let mut stored = world.make();
    stored.statement.as_mut().unwrap().device = device("elsewhere");
    refused(&mut world, &stored, &BadBundle::NotCountersigned, Reason::CountersignatureInvalid);
}
#[test]
fn the_countersignature_of_another_bundle() {
    let mut world = World::alone();
    let first = world.make();
    let stored = Stored { statement: first.statement, ..world.clone().second_release() };
    refused(&mut world, &stored, &BadBundle::NotCountersigned, Reason::CountersignatureInvalid);
}
#[test]
fn what_nobody_has_signed() {
    let mut world = World::alone();
    let stored = world.make().with_file("images/timestamp.json", b"{}");
    let stored = Stored { statement: None, ..stored };
    let bad = world.verify(&stored).unwrap_err();
    assert!(matches!(&bad, BadBundle::Neither(inner) if matches!(**inner, BadBundle::Upstream(..))), "{bad}");
    assert_eq!(Fault::from(bad), Fault::Refused(Reason::BothSignaturesInvalid));
}
#[test]
fn what_nobody_has_signed_is_not_hidden_behind_what_has_expired() {
    let mut world = World::alone();
    let end = UnixTime::from_s(NOW.s() + 50);
    world.images.of("timestamp")["expires"] = json!(end.to_string());
    world.images.publish_targets();
    let stored = world.make();
    let file = format!("images/{}.targets.json", world.images.version("targets"));
    let stored = Stored { statement: None, ..stored.with_file(&file, b"{}") };
    world.now = end.plus_s(1);
    let bad = world.verify(&stored).unwrap_err();
    assert!(matches!(bad, BadBundle::Neither(_)), "{bad}");
}
#[test]
fn an_old_bundle_without_a_countersignature_does_not_seal_the_box() {
    let mut world = World::alone();
    let old = Stored { statement: None, ..world.make() };
    world.second_release();
    refused(&mut world, &old, &BadBundle::NotCountersigned, Reason::CountersignatureInvalid);
}

// Time.

#[test]
fn what_expired_after_it_was_verified_is_good() {
    let mut world = World::alone();
    let end = UnixTime::from_s(NOW.s() + 50);
    world.images.of("timestamp")["expires"] = json!(end.to_string());
    world.images.publish_targets();
    let stored = world.make();
    world.now = end.plus_s(1);
    assert!(world.flash(&stored, "gateway").unwrap().is_some());
    refused(
        &mut world,
        &stored.verified_at(end),
        &upstream("timestamp.json", BadMetadata::Expired),
        Reason::ReleaseExpired,
    );
}
#[test]
fn a_bundle_ages() {
    let mut world = World::alone();
    let stored = world.make();
    world.now = NOW.plus_s(AGE_MAX_S);
    assert!(world.verify(&stored).is_ok());
    world.now = NOW.plus_s(AGE_MAX_S + 1);
    refused(&mut world, &stored, &BadBundle::TooOld, Reason::ReleaseExpired);
}
#[test]
fn sm_has_not_verified_it_tomorrow() {
    let mut world = World::alone();
    let stored = world.make();
    let ahead = stored.clone().verified_at(NOW.plus_s(update::bundle::CLOCK_SKEW_MAX_S));
    assert!(world.verify(&ahead).is_ok());
    let ahead = stored.verified_at(NOW.plus_s(update::bundle::CLOCK_SKEW_MAX_S + 1));
    refused(&mut world, &ahead, &BadBundle::FromTheFuture, Reason::OutOfTime);
}
#[test]
fn what_was_expired_already_is_not_made_good_by_a_station_that_is_late() {
    let mut world = World::alone();
    let stored = world.make();
    world.images.of("targets")["expires"] = json!(PAST);
    world.images.publish_targets();
    assert_eq!(world.try_make().err().map(Fault::from), Some(Fault::Refused(Reason::ReleaseExpired)));
    assert!(world.verify(&stored).is_ok());
}

// Images.

#[test]
fn an_image_that_was_exchanged_in_the_vault() {
    let mut world = World::alone();
    let mut stored = world.make();
    stored.images.insert("gateway-1.img".into(), b"software of a Gateway".to_vec());
    assert_eq!(world.flash(&stored, "gateway"), Err(BadBundle::ImageMismatch("gateway-1.img".into())));
    stored.images.insert("gateway-1.img".into(), [GATEWAY, b"!"].concat());
    assert_eq!(world.flash(&stored, "gateway"), Err(BadBundle::ImageTooLong("gateway-1.img".into())));
    stored.images.insert("gateway-1.img".into(), GATEWAY[1..].to_vec());
    assert_eq!(world.flash(&stored, "gateway"), Err(BadBundle::ImageMismatch("gateway-1.img".into())));
}
/// What a box chooses that follows a repository which announces [`GATEWAY`].
fn chosen() -> Chosen {
    let mut world = World::alone();
    let inventory = world.inventory();
    match follow(&inventory, NOW, &mut world.images, world.director.as_mut()) {
        Ok(chosen) => chosen.into_iter().find(|chosen| chosen.target().name() == "gateway-1.img").unwrap(),
        Err(_) => panic!("the repository cannot be followed"),
    }
}
/// An image that flows by, as it does at sm on its way into the vault.
#[track_caller]
fn flow(image: &[u8], expected: Result<(), fn(String) -> BadBundle>) {
    let expected = expected.map_err(|bad| bad("gateway-1.img".into()));
    assert_eq!(CheckedReader::new(image, chosen()).read_through().map(|_| ()), expected);
    // The same, passed on.
    let mut checked = CheckedReader::new(image, chosen());
    let read = checked.read_to_end(&mut Vec::new());
    assert_eq!(read.is_err(), matches!(expected, Err(BadBundle::ImageTooLong(_))));
    assert_eq!(checked.finish().map(|_| ()), expected);
}

#[test]
fn the_image_that_was_announced() {
    flow(GATEWAY, Ok(()));
}
#[test]
fn an_image_with_one_octet_more() {
    flow(&[GATEWAY, b"!"].concat(), Err(BadBundle::ImageTooLong));
}
#[test]
fn an_image_with_one_octet_less() {
    flow(&GATEWAY[1..], Err(BadBundle::ImageMismatch));
}
#[test]
fn no_image() {
    flow(b"", Err(BadBundle::ImageMismatch));
}
#[test]
fn another_image_of_the_same_length() {
    flow(b"Software of a gateway", Err(BadBundle::ImageMismatch));
}
#[test]
fn an_endless_image_is_read_to_one_octet_more() {
    let mut source = std::io::repeat(7).take(1 << 40);
    let checked = CheckedReader::new(&mut source, chosen()).read_through().map(|_| ());
    assert_eq!(checked, Err(BadBundle::ImageTooLong("gateway-1.img".into())));
    assert_eq!((1 << 40) - source.limit(), GATEWAY.len() as u64 + 1);
}
#[test]
fn an_image_that_cannot_be_read() {
    struct Broken(ErrorKind);
    impl Read for Broken {
        fn read(&mut self, _: &mut [u8]) -> std::io::Result<usize> {
            Err(self.0.into())
        }
    }
    let read = |kind| CheckedReader::new(GATEWAY[..7].chain(Broken(kind)), chosen()).read_through().map(|_| ());
    assert_eq!(read(ErrorKind::Other), Err(BadBundle::ImageUnreadable("gateway-1.img".into())));
    assert_eq!(read(ErrorKind::InvalidData), Err(BadBundle::ImageMismatch("gateway-1.img".into())), "altered at rest");
}

/// More than is held back at the end.
static LONG: [u8; 200_000] = [9; 200_000];

/// Reads a verified image for a device, from a store that gives something else the second time: how much comes out?
fn reread(announced: &'static [u8], stored: &[u8]) -> (usize, bool) {
    let mut world = World::with(announced);
    let made = world.make();
    let release = world.verify(&made).unwrap().release(&kind("gateway")).unwrap();
    let verified: VerifiedImage = release.verify_image(announced).unwrap();
    let (mut out, mut reader) = (Vec::new(), verified.reader(stored));
    let whole = reader.read_to_end(&mut out).is_ok();
    assert!(whole || reader.read(&mut [0; 9]).is_err(), "a reader that failed stays so");
    assert_eq!(out, announced[..out.len()].to_vec());
    (out.len(), whole)
}

#[test]
fn a_verified_image_is_read_whole() {
    for len in [1, 65_535, 65_536, 65_537, 131_072, 200_000] {
        assert_eq!(reread(&LONG[..len], &LONG[..len]), (len, true));
    }
}
#[test]
fn an_image_altered_since_it_was_verified_never_comes_out_whole() {
    let mut altered = LONG.to_vec();
    altered[199_999] = 8;
    assert_eq!(reread(&LONG, &altered), (200_000 - 65_536, false));
    assert_eq!(reread(&LONG, &LONG[..199_999]), (200_000 - 65_536, false));
    assert_eq!(reread(&LONG, &[&LONG[..], b"!"].concat()), (200_000 - 65_536, false));
    assert_eq!(reread(&LONG, &LONG[..100_000]), (100_000, false));
}
#[test]
fn an_image_of_nothing_is_not_announced() {
    assert_eq!(update::Image::measure(&mut std::io::empty()), Err(update::BadRelease::BadLength));
}

/// Whoever has sm's key says something else of the images than upstream does.
#[track_caller]
fn said_otherwise(change: impl FnOnce(&mut Value)) {
    let mut world = World::alone();
    let stored = world.make();
    let mut images = stored.images_said();
    change(&mut images);
    let forged = stored.forged(&stored.files(), &images);
    refused(&mut world, &forged, &BadBundle::OtherImages, Reason::UpstreamSignature);
}
#[test]
fn the_manifest_says_nothing_that_the_metadata_does_not_say() {
    said_otherwise(|images| images[0]["device_types"] = json!(["gateway", "sensor.a"]));
    said_otherwise(|images| images[0]["counter"] = json!(7));
    said_otherwise(|images| images[0]["length"] = json!(7));
    said_otherwise(|images| images[0]["path"] = json!("elsewhere"));
    said_otherwise(|images| images[0]["target"] = json!("a.img"));
    said_otherwise(|images| *images = json!([images[0]]));
    said_otherwise(|images| *images = json!([]));
}
#[test]
fn images_are_not_exchanged_by_the_manifest() {
    let mut world = World::alone();
    let stored = world.make();
    let mut images = stored.images_said();
    images[0]["sha256"] = json!(x509::sha256(SENSOR));
    let mut forged = stored.forged(&stored.files(), &images);
    assert_eq!(world.flash(&forged, "gateway"), Err(BadBundle::OtherImages));
    forged.images.insert("gateway-1.img".into(), SENSOR.to_vec());
    assert_eq!(world.flash(&forged, "gateway"), Err(BadBundle::ImageMismatch("gateway-1.img".into())));
}
#[test]
fn a_type_that_the_box_has_only_now_has_no_release_yet() {
    let mut world = World::alone();
    let stored = world.make();
    assert_eq!(world.flash(&stored, "sensor.b"), Ok(None));
    let text = String::from_utf8(stored.octets.clone()).unwrap();
    // Whoever has sm's key says that the box had it: there is a release, and the manifest has none.
    let octets = text.replacen(r#""sensor.a"],"files""#, r#""sensor.a","sensor.b"],"files""#, 1).into_bytes();
    let line = octets.split(|c| *c == b'\n').next().unwrap();
    let statement = Statement { bundle: x509::sha256(line), ..stored.statement.clone().unwrap() };
    let forged = Stored { statement: Some(statement), octets, ..stored };
    refused(&mut world, &forged, &BadBundle::OtherImages, Reason::UpstreamSignature);
}
#[test]
fn a_bundle_has_all_images_that_were_chosen_and_no_other() {
    let mut world = World::alone();
    let stored = world.make();
    let inventory = world.inventory();
    let chosen = follow(&inventory, NOW, &mut world.images, None).unwrap();
    let again = |skip: usize| {
        let kept: Kept = world.images.kept.clone();
        let collected = collect(&inventory, NOW, world.roots(), &kept, None).unwrap();
        let octets = |c: &update::bundle::Chosen| stored.images[c.target().name()].clone();
        let checked =
            chosen.iter().skip(skip).map(|c| CheckedReader::new(octets(c).as_slice(), c.clone()).read_through());
        collected.close(checked.collect::<Result<_, _>>().unwrap()).map(|made| made.octets().to_vec())
    };
    assert_eq!(again(0), Ok(stored.octets.clone()));
    assert_eq!(again(1), Err(BadBundle::OtherImages));
}

// Going back. sm's key is in the attacker's hands in all of these: what it signs is countersigned.

#[test]
fn sm_brings_an_old_bundle_again() {
    let mut world = World::alone();
    let old = world.make();
    world.second_release();
    refused(&mut world, &old, &upstream("timestamp.json", BadMetadata::RolledBack), Reason::ReleaseRolledBack);
}
#[test]
fn sm_brings_an_old_bundle_to_a_station_that_has_forgotten_all_but_its_floor() {
    let mut world = World::alone();
    let old = world.make();
    world.second_release();
    world.seen = Default::default();
    world.floors.insert("gateway", 2);
    let expected = BadBundle::Directions(BadDirections::RolledBack);
    refused(&mut world, &old, &expected, Reason::ReleaseRolledBack);
}
#[test]
fn a_director_does_not_go_back_either() {
    let mut world = World::directed();
    world.floors.insert("gateway", 2);
    assert_eq!(world.try_make().err(), Some(BadBundle::Directions(BadDirections::RolledBack)));
    world.floors.insert("gateway", 1);
    assert!(world.try_make().is_ok());
}
#[test]
fn sm_brings_old_directions_again() {
    let mut world = World::directed();
    let old = world.make();
    // The director takes its direction back: the counters of releases say nothing of that.
    let director = world.director.as_mut().unwrap();
    director.of("targets")["targets"].as_object_mut().unwrap().clear();
    director.publish_targets();
    let new = world.make();
    world.verify(&new).unwrap();
    let director = |file: &str, bad| BadBundle::Upstream(Which::Director, Refused { file: file.into(), bad });
    let expected = director("timestamp.json", BadMetadata::RolledBack);
    refused(&mut world, &old, &expected, Reason::ReleaseRolledBack);
    // What is new of the images does not make what is old of the director any newer.
    let mut files = new.files();
    files.retain(|name, _| name.starts_with("images/"));
    files.extend(old.files().into_iter().filter(|(name, _)| name.starts_with("director/")));
    let mixed = new.forged(&files, &old.images_said());
    refused(&mut world, &mixed, &expected, Reason::ReleaseRolledBack);
    // Who has seen nothing of it takes it, and nothing older afterwards.
    let mut fresh = World { seen: Default::default(), ..world.clone() };
    assert!(fresh.flash(&old, "gateway").unwrap().is_some());
    assert!(fresh.flash(&new, "gateway").unwrap().is_none());
    refused(&mut fresh, &old, &expected, Reason::ReleaseRolledBack);
}
#[test]
fn directions_for_another_box_are_countersigned_for_this_one() {
    let mut world = World::directed();
    let mut other = world.clone();
    let director = other.director.as_mut().unwrap();
    director.of("targets")["custom"] = json!({"device": device("elsewhere").to_string()});
    director.publish_targets();
    let (own, other) = (world.make(), other.director.unwrap());
    let mut files = own.files();
    files.retain(|name, _| !name.starts_with("director/") || name.ends_with("root.json"));
    for role in ["snapshot", "targets"] {
        let name = format!("{}.{role}.json", other.version(role));
        files.insert(format!("director/{name}"), other.published[&name].clone());
    }
    files.insert("director/timestamp.json".into(), other.published["timestamp.json"].clone());
    let swapped = own.forged(&files, &own.images_said());
    let expected = BadBundle::Directions(BadDirections::OtherDevice);
    refused(&mut world, &swapped, &expected, Reason::UpstreamSignature);
    assert!(world.flash(&own, "gateway").unwrap().is_some());
}
#[test]
fn directions_that_have_expired_give_nothing() {
    let mut world = World::directed();
    let director = world.director.as_mut().unwrap();
    director.of("timestamp")["expires"] = json!(PAST);
    director.publish_targets();
    let expired = Refused { file: "timestamp.json".into(), bad: BadMetadata::Expired };
    assert_eq!(world.try_make().err(), Some(BadBundle::Upstream(Which::Director, expired)));
}
#[test]
fn sm_hides_a_root_that_took_a_key_away() {
    let mut world = World::alone();
    let old = world.make();
    world.images.rekey("timestamp", &[8], 1);
    world.images.bump("root");
    world.images.publish_targets();
    let new = world.make();
    world.verify(&new).unwrap();
    // The station knows the second root, and the old timestamp is not signed by its key.
    let expected = upstream("timestamp.json", BadMetadata::TooFewSignatures);
    refused(&mut world, &old, &expected, Reason::UpstreamSignature);
    let expected = upstream("timestamp.json", BadMetadata::TooFewSignatures);
    refused(&mut world, &new.without_file("images/2.root.json"), &expected, Reason::UpstreamSignature);
}
/// sm and whoever signs timestamp and snapshot (keys 2 and 3) are one attacker.
fn online(world: &World, change: impl FnOnce(&mut Repository)) -> Stored {
    let mut hostile = world.clone();
    change(&mut hostile.images);
    for role in ["snapshot", "timestamp"] {
        hostile.images.set_version(role, hostile.images.version(role) + 1);
        hostile.images.put(role);
    }
    let honest = hostile.clone().images;
    let names = ["timestamp.json".to_owned(), format!("{}.snapshot.json", honest.version("snapshot"))];
    let targets = honest.says["snapshot"]["meta"]["targets.json"]["version"].as_u64().unwrap_or(0);
    let names = names.into_iter().chain([format!("{targets}.targets.json")]);
    let files = names.filter_map(|name| Some((format!("images/{name}"), honest.published.get(&name)?.clone())));
    let stored = world.clone().make();
    stored.forged(&files.collect(), &stored.images_said())
}
#[test]
fn online_keys_and_sm_cannot_bring_back_old_targets() {
    let mut world = World::alone();
    world.make();
    let old = world.images.version("targets");
    world.second_release();
    let stored = online(&world, |images| images.of("snapshot")["meta"]["targets.json"]["version"] = json!(old));
    let file = format!("{}.snapshot.json", world.images.version("snapshot") + 1);
    refused(&mut world, &stored, &upstream(&file, BadMetadata::RolledBack), Reason::ReleaseRolledBack);
}
#[test]
fn online_keys_and_sm_cannot_let_targets_vanish() {
    let mut world = World::alone();
    world.images.delegate("targets", "supplier", 9, &["supplier-*"]);
    world.images.publish_targets();
    let stored = world.make();
    world.verify(&stored).unwrap();
    let stored = online(&world, |images| {
        images.of("snapshot")["meta"].as_object_mut().unwrap().remove("supplier.json").unwrap();
    });
    let file = format!("{}.snapshot.json", world.images.version("snapshot") + 1);
    refused(&mut world, &stored, &upstream(&file, BadMetadata::Vanished), Reason::ReleaseRolledBack);
}
#[test]
fn online_keys_and_sm_cannot_sign_targets() {
    let mut world = World::alone();
    let stored = world.make();
    world.verify(&stored).unwrap();
    let version = world.images.version("targets") + 1;
    let stored = online(&world, |images| {
        images.signers.insert("targets".into(), vec![2, 3]);
        images.of("targets")["targets"]["gateway-9.img"] = published(SENSOR, 9, &["gateway"]);
        images.set_version("targets", version);
        images.put("targets");
    });
    let expected = upstream(&format!("{version}.targets.json"), BadMetadata::TooFewSignatures);
    refused(&mut world, &stored, &expected, Reason::UpstreamSignature);
}
#[test]
fn online_keys_alone_cannot_bring_anything_past_sm() {
    let mut world = World::alone();
    let stored = world.make();
    let hostile = online(&world, |images| images.of("snapshot")["meta"]["targets.json"]["version"] = json!(1));
    // Without sm's key the countersignature is that of another bundle.
    let hostile = Stored { statement: stored.statement, ..hostile };
    let bad = world.verify(&hostile).unwrap_err();
    assert!(matches!(bad, BadBundle::NotCountersigned | BadBundle::Neither(_)), "{bad}");
}
#[test]
fn sm_with_keys_of_its_own_is_nobody_upstream() {
    let mut world = World::alone();
    let mut forger = World::alone();
    forger.images.of("root")["keys"] = json!({});
    for (n, role) in (21..).zip(repository::ROLES) {
        forger.images.rekey(role, &[n], 1);
    }
    forger.images.published.clear();
    forger.images.put("root");
    forger.images.of("targets")["targets"]["gateway-9.img"] = published(GATEWAY, 9, &["gateway"]);
    forger.images.publish_targets();
    forger.images.kept = [("root.json".to_owned(), forger.images.published["1.root.json"].clone())].into();
    forger.first_roots.0 = forger.images.kept["root.json"].clone();
    let stored = forger.make();
    assert!(forger.verify(&stored).is_ok(), "who trusts the forger takes it");
    let expected = upstream("timestamp.json", BadMetadata::TooFewSignatures);
    refused(&mut world, &stored, &expected, Reason::UpstreamSignature);
}
#[test]
fn a_station_that_saw_another_file_under_the_same_version_goes_by_what_it_saw() {
    // Upstream signs two timestamps of one version: one was seen, the other is in the bundle.
    let mut world = World::alone();
    let stored = world.make();
    world.verify(&stored).unwrap();
    let mut other = world.clone();
    other.images.of("targets")["targets"]["gateway-2.img"] = published(GATEWAY, 2, &["gateway"]);
    other.images.set_version("targets", other.images.version("targets") + 1);
    other.images.put("targets");
    other.images.set_version("snapshot", other.images.version("snapshot") + 1);
    other.images.put("snapshot");
    other.images.put("timestamp");
    other.images.kept.retain(|name, _| name == "root.json");
    let stored = other.make();
    refused(&mut world, &stored, &BadBundle::OtherImages, Reason::UpstreamSignature);
}

// What two roles must say alike (TAP 3).

/// A maker and an integrator must say the same of gateways' images; the integrator says it for a day.
fn together() -> World {
    let mut world = World::directed();
    let role = |name: &str, key| json!({"rolename": name, "keyids": [repository::id(key)], "threshold": 1});
    let targets = world.images.of("targets");
    targets["targets"].as_object_mut().unwrap().remove("gateway-1.img");
    targets["delegations"] = json!({"keys": repository::keys(&[8, 9]), "roles": [
        {"name": "gateways", "paths": ["gateway-*"], "terminating": true, "min_roles_in_agreement": 2,
         "roles": [role("maker", 8), role("integrator", 9)]}]});
    for (name, key) in [("maker", 8), ("integrator", 9)] {
        world.images.role(name, key);
        world.images.of(name)["targets"]["gateway-1.img"] = published(GATEWAY, 1, &["gateway"]);
    }
    let window = json!({"not_after": "2026-09-22T14:13:20Z"});
    world.images.of("integrator")["targets"]["gateway-1.img"]["custom"]["release_window"] = window;
    world.images.publish_targets();
    world
}
fn why(refused: &BadBundle) -> BadMetadata {
    match refused {
        BadBundle::Upstream(Which::Images, refused) => refused.bad,
        other => panic!("{other}"),
    }
}
#[test]
fn what_both_say_is_flashed() {
    let mut world = together();
    let stored = world.make();
    assert_eq!(world.flash(&stored, "gateway"), Ok(Some(("app 1".into(), 1, GATEWAY.to_vec()))));
}
#[test]
fn what_one_of_both_says_is_taken_by_nobody() {
    let mut world = together();
    let stored = world.make();
    world.images.of("integrator")["targets"] = json!({});
    world.images.publish_targets();
    assert_eq!(why(&world.try_make().unwrap_err()), BadMetadata::NotAgreed);
    // Nor can sm's key leave the integrator out.
    let file = stored.files().into_keys().find(|name| name.ends_with(".integrator.json")).unwrap();
    let bad = world.verify(&stored.without_file(&file)).unwrap_err();
    assert_eq!((why(&bad), Fault::from(&bad)), (BadMetadata::NotThere, Fault::Refused(Reason::UpstreamSignature)));
}
#[test]
fn after_the_last_day_it_is_taken_by_nobody() {
    let mut world = together();
    let stored = world.make();
    world.now = UnixTime::from_s(NOW.s() + 86_400);
    let in_time = stored.clone().verified_at(world.now);
    world.clone().verify(&in_time).unwrap();
    world.now = UnixTime::from_s(NOW.s() + 86_401);
    assert_eq!(why(&world.try_make().unwrap_err()), BadMetadata::TooLate);
    let bad = world.verify(&stored.verified_at(world.now)).unwrap_err();
    assert_eq!((why(&bad), Fault::from(&bad)), (BadMetadata::TooLate, Fault::Refused(Reason::ReleaseExpired)));
}
#[test]
fn before_the_first_day_it_is_out_of_time() {
    let mut world = together();
    world.images.of("maker")["targets"]["gateway-1.img"]["custom"]["release_window"] =
        json!({"not_before": "2026-09-22T00:00:00Z"});
    world.images.publish_targets();
    let bad = world.try_make().unwrap_err();
    assert_eq!((why(&bad), Fault::from(&bad)), (BadMetadata::TooEarly, Fault::Refused(Reason::OutOfTime)));
}
