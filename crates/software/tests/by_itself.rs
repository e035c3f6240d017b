//! sm follows by itself: at its time, when it is told, and only while it may reach a network.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "what cannot go on here has failed"
)]

#[path = "../../update/tests/repository/mod.rs"]
mod repository;
mod support;

use model::audit::Event;
use model::contract::software::{HearNotice, Heard, Source};
use model::report::{Did, REPORT, Report, Reported};
use model::{Digest, Fault, Module, Reason, UnixTime};
use ports::Entropy;
use ports::jws;
use ports::reports::Outbox;
use ports::source::NotFetched;
use ports::store::SoftwareStore;
use ports::store::software::TrustedFile;
use repository::{Repository, announced};
use serde_json::json;
use software::{May, Reports, Setting, Software, Standing};
use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use support::{NOW_S, SM, World, following, key};
use update::bundle::Primary;
use update::notice::{Notice, Secret};
use update::uptane::SealedManifest;
use x509::sha256;

const IMAGE: &[u8] = b"software of a sensor";
const HOUR: u64 = 3600;

struct Zero;
impl Entropy for Zero {
    fn fill(&self, out: &mut [u8]) {
        out.fill(0);
    }
}

fn secret(n: u8) -> Secret {
    Secret::read(model::octets::base64(&[n; 32]).as_bytes()).unwrap()
}
fn always() -> May {
    Arc::new(|| true)
}

/// A box, and the repository that it follows.
struct House {
    world: Arc<World>,
    images: Repository,
    root: Digest,
    sm: Software,
}

impl House {
    fn new() -> Self {
        Self::reporting(None, None)
    }
    fn reporting(director_root: Option<Vec<u8>>, reports: Option<Arc<dyn Reports>>) -> Self {
        let world = World::default();
        world.now_s.store(NOW_S, Ordering::SeqCst);
        let (world, mut images) = (Arc::new(world), Repository::new());
        let images_root = images.kept["root.json"].clone();
        let mut target = announced(IMAGE);
        target["custom"] =
            json!({"release": "app", "release_version": "1", "release_counter": 1, "hardware_ids": ["sensor"]});
        images.of("targets")["targets"]["app.img"] = target;
        images.publish_targets();
        let root = sha256(&images_root);
        let primary = Primary {
            device: "urn:dev:ops:32473-box-works".parse().unwrap(),
            device_types: vec!["sensor".parse().unwrap()],
            images_root,
            director_root,
        };
        let setting = Setting {
            source: Source::Directory("line".into()),
            every_s: HOUR,
            secret: Some(secret(1)),
            entropy: Arc::new(Zero),
            reporter: "line-1.software".into(),
            reports,
        };
        let sm = following(&world, SM, Some(primary)).by_itself(setting);
        let house = Self { world, images, root, sm };
        house.publish();
        house
    }
    fn publish(&self) {
        let named = |(name, octets): (&String, &Vec<u8>)| (format!("images/metadata/{name}"), octets.clone());
        let mut files: std::collections::BTreeMap<_, _> = self.images.published.iter().map(named).collect();
        files.insert(format!("images/targets/{}.app.img", sha256(IMAGE)), IMAGE.to_vec());
        self.world.sticks.lock().unwrap().insert("line".into(), files);
    }
    fn pass(&self, s: u64) -> UnixTime {
        UnixTime::from_s(self.world.now_s.fetch_add(s, Ordering::SeqCst) + s)
    }
    fn now(&self) -> UnixTime {
        self.pass(0)
    }
    fn standing(&self) -> Standing {
        Standing::of(self.world.as_ref()).unwrap().unwrap()
    }
    fn looks(&self) -> bool {
        self.sm.look(&always()).unwrap()
    }
    fn refusals(&self) -> usize {
        let log = self.world.log.lock().unwrap();
        log.iter().filter(|entry| matches!(entry.event, Event::BundleRefused { .. })).count()
    }
    fn hears(&self, of: Digest, number: u64, by: u8) -> Result<Heard, Fault> {
        let sent = Notice { of, number }.seal(&secret(by), self.now());
        let (id, timestamp, signature) = (sent.id, sent.timestamp, sent.signature);
        self.sm.hear(&HearNotice { id, timestamp, signature, body: sent.body.into() })
    }
}

#[test]
fn it_looks_at_its_time_and_keeps_what_verifies() {
    let house = House::new();
    assert!(house.looks());
    assert_eq!(house.world.bundles.lock().unwrap().len(), 1);
    let standing = house.standing();
    assert_eq!((standing.succeeded_at, standing.failed), (Some(house.now()), None));
    assert_eq!(standing.next_at.since_ms(house.now()), 54 * 60 * 1000);
    house.pass(53 * 60);
    assert!(!house.looks());
    house.pass(60);
    assert!(house.looks());
}
#[test]
fn a_freeze_is_kept_and_recorded_once() {
    let mut house = House::new();
    assert!(house.looks());
    house.images.of("timestamp")["expires"] = json!("2020-01-01T00:00:00Z");
    house.images.publish_targets();
    house.publish();
    for times in 1..=5 {
        house.pass(2 * HOUR);
        assert!(house.looks());
        let failed = house.standing().failed.unwrap();
        assert!(failed.is_freeze() && failed.times == times, "{failed:?}");
        assert!(failed.what.contains("freeze"), "{failed:?}");
    }
    assert_eq!(house.refusals(), 1, "what is the same is recorded once");
    assert!(house.standing().succeeded_at.is_some(), "the last success is known");
    assert_eq!(house.world.bundles.lock().unwrap().len(), 1, "the bundle from before stands");
}
#[test]
fn a_line_that_is_down_is_tried_again_ever_more_slowly() {
    let house = House::new();
    house.world.sticks.lock().unwrap().clear();
    let mut waits = Vec::new();
    for _ in 0..4 {
        assert!(house.looks());
        let wait = house.standing().next_at.since_ms(house.now()) / 100;
        waits.push(wait);
        house.pass(wait / 10 + 1);
    }
    assert_eq!(waits, [75, 150, 300, 600]);
    assert_eq!(house.standing().failed.unwrap().code, "unavailable");
    house.publish();
    assert!(house.looks());
    assert_eq!(house.standing().failed, None);
}
#[test]
fn a_notice_has_it_look_soon() {
    let house = House::new();
    assert!(house.looks());
    house.pass(60);
    assert!(!house.looks());
    assert_eq!(house.hears(house.root, 7, 1), Ok(Heard::New));
    assert!(house.looks());
    // The same again is no news.
    house.pass(60);
    assert_eq!(house.hears(house.root, 7, 1), Ok(Heard::Known));
    assert!(!house.looks());
    assert_eq!(house.hears(house.root, 8, 1), Ok(Heard::New));
    assert!(house.looks());
}
#[test]
fn who_does_not_know_the_secret_moves_nothing() {
    let house = House::new();
    assert!(house.looks());
    house.pass(60);
    assert_eq!(house.hears(house.root, 7, 2), Err(Reason::SignatureInvalid.into()));
    assert_eq!(house.hears(Digest::new([1; 32]), 7, 1), Err(Reason::NothingFollowed.into()));
    let old = Notice { of: house.root, number: 7 }.seal(&secret(1), house.now());
    house.pass(301);
    let (id, timestamp, signature) = (old.id, old.timestamp, old.signature);
    let old = HearNotice { id, timestamp, signature, body: old.body.into() };
    assert_eq!(house.sm.hear(&old), Err(Reason::OutOfTime.into()));
    let standing = house.standing();
    assert!(!house.looks() && standing.noticed_at.is_none(), "{standing:?}");
}
#[test]
fn a_flood_of_notices_is_a_look_each_five_seconds() {
    let house = House::new();
    let mut looks = 0;
    for number in 0..600 {
        assert_eq!(house.hears(house.root, number, 1), Ok(Heard::New));
        looks += u32::from(house.looks());
        house.world.now_s.fetch_add(u64::from(number % 10 == 9), Ordering::SeqCst);
    }
    assert!(looks <= 60 / 5 + 1, "{looks}");
}
#[test]
fn no_file_is_asked_for_once_it_may_not_and_that_is_no_failure() {
    let house = House::new();
    let never: May = Arc::new(|| false);
    assert!(!house.sm.look(&never).unwrap());
    // It may ask for one thing after the other, and then not.
    for asked in 1..20 {
        let left = Arc::new(AtomicU64::new(asked));
        let may: May =
            Arc::new(move || left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |n| n.checked_sub(1)).is_ok());
        assert!(house.sm.look(&may).unwrap());
        let standing = house.standing();
        assert_eq!(standing.failed, None, "{asked}");
        if standing.succeeded_at.is_some() {
            assert!(asked > 4, "{asked}");
            return;
        }
    }
    panic!("it never came to its end");
}
#[test]
fn what_is_heard_while_it_looks_is_not_forgotten() {
    let house = Arc::new(House::new());
    let (heard, inner) = (AtomicU64::new(0), Arc::clone(&house));
    let may: May = Arc::new(move || {
        if heard.fetch_add(1, Ordering::SeqCst) == 3 {
            assert_eq!(inner.hears(inner.root, 7, 1), Ok(Heard::New));
        }
        true
    });
    assert!(house.sm.look(&may).unwrap());
    assert!(house.standing().noticed_at.is_some());
    house.pass(6);
    assert!(house.looks(), "what was published while it looked is looked for");
}

/// A line that does in turn what it is told to, and the ledger at its end.
#[derive(Default)]
struct Line {
    trouble: Mutex<VecDeque<Trouble>>,
    came: Mutex<Vec<Vec<u8>>>,
}

#[derive(Clone, Copy)]
enum Trouble {
    Dropped,
    AnswerLost,
    Refused(u16),
}

impl Reports for Line {
    // What is sealed is shown as it is: sealing is another's business.
    fn seal(&self, octets: &[u8], _: &[u8], to: &[u8; 32]) -> Result<Vec<u8>, Fault> {
        assert_eq!(to, &[9; 32]);
        Ok(octets.to_vec())
    }
    fn send(&self, octets: &[u8]) -> Result<u16, NotFetched> {
        let gone = || Err(NotFetched::Unreachable("the line is cut".into()));
        let came = || self.came.lock().unwrap().push(SealedManifest::decode(octets).unwrap().sealed);
        match self.trouble.lock().unwrap().pop_front() {
            None => came(),
            Some(Trouble::Dropped) => return gone(),
            Some(Trouble::AnswerLost) => {
                came();
                return gone();
            }
            Some(Trouble::Refused(status)) => return Ok(status),
        }
        Ok(200)
    }
}

/// A box with a director that announces a key, over this line; the director's metadata itself is away.
fn reporting(line: &Arc<Line>) -> House {
    let root = b"the director's first root".to_vec();
    let house = House::reporting(Some(root.clone()), Some(Arc::<Line>::clone(line)));
    let targets = json!({"signed": {"custom": {"manifest_key": {
        "suite": "hpke-x25519-sha256-aes256gcm", "public": "09".repeat(32),
    }}}});
    let octets = Some(targets.to_string().into_bytes());
    let file = TrustedFile { repository: sha256(&root), name: "targets.json".into(), octets };
    house.world.keep_trusted(Module::Software, &[file]).unwrap();
    house
}

fn flashed(house: &House, devices: &[&str]) -> u64 {
    let pm = key(7);
    let outbox = Outbox::new(house.world.as_ref(), Module::Provisioning, "line-1.provisioning".into(), &pm);
    let image = Reported {
        device_type: "sensor".parse().unwrap(),
        release: "app 1".into(),
        release_counter: 1,
        image: sha256(IMAGE),
        devices: devices.iter().map(|device| (*device).to_owned()).collect(),
    };
    outbox.put(&"urn:dev:ops:32473-box-works".parse().unwrap(), house.now(), Did::Flashed, vec![image]).unwrap()
}

#[test]
fn what_pm_has_left_is_sent_until_it_is_answered_and_each_is_one_report() {
    let line = Arc::new(Line::default());
    let house = reporting(&line);
    let numbers: Vec<_> = (0..5).map(|n| flashed(&house, &[&format!("SN{n}")])).collect();
    assert_eq!(numbers, [1, 2, 3, 4, 5]);
    use Trouble::{AnswerLost, Dropped, Refused};
    line.trouble.lock().unwrap().extend([
        Dropped,
        Dropped,
        AnswerLost,
        Refused(503),
        AnswerLost,
        Refused(422),
        Dropped,
    ]);
    let mut rounds = 0;
    while rounds == 0 || house.standing().reports_waiting > 0 {
        house.looks();
        house.pass(60);
        rounds += 1;
        assert!(rounds < 200, "it never comes to its end");
    }
    // Repeated as they were signed: who records them by their numbers has each once.
    let mut ledger = BTreeMap::new();
    let came = line.came.lock().unwrap();
    for octets in came.iter() {
        let pm = key(7);
        let public = ports::Signer::public_key(&pm);
        let (payload, ()) = jws::verify(REPORT, octets, |_| Some((public, ()))).unwrap();
        let report: Report = serde_json::from_slice(&payload).unwrap();
        let before = ledger.insert(report.number, report.clone());
        assert!(before.is_none_or(|before| before == report));
    }
    assert!(came.len() > ledger.len(), "some came twice");
    assert_eq!(ledger.keys().copied().collect::<Vec<_>>(), numbers);
    assert!(house.sm.reports_waiting().unwrap().is_empty());
    assert_eq!(flashed(&house, &["SN9"]), 6, "numbers are not used twice");
}
#[test]
fn nothing_is_reported_in_the_clear() {
    let line = Arc::new(Line::default());
    let house = House::reporting(Some(b"root".to_vec()), Some(Arc::<Line>::clone(&line)));
    flashed(&house, &["SN1"]);
    assert!(house.looks());
    let standing = house.standing();
    assert_eq!((standing.reports_waiting, line.came.lock().unwrap().len()), (1, 0));
    assert!(standing.reports_why.unwrap().contains("announces no key"));
}
/// Of how many boards a report is, nobody on the way learns by its length.
#[test]
fn reports_of_a_few_boards_and_of_none_are_of_one_length() {
    let line = Arc::new(Line::default());
    let house = reporting(&line);
    for devices in [&[][..], &["SN1"], &["SN1", "SN22", "SN333"]] {
        flashed(&house, devices);
    }
    house.looks();
    let came = line.came.lock().unwrap();
    let lengths: Vec<_> = came.iter().map(Vec::len).collect();
    assert!(lengths.len() == 3 && lengths.iter().all(|len| *len == lengths[0]), "{lengths:?}");
    // Which is a power of two, and not what they happen to be.
    assert!(lengths[0].is_power_of_two(), "{lengths:?}");
}
