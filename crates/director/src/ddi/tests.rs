//! What devices are given over DDI, and what becomes of what they say.

use super::said::Feedback;
use super::side::{Heard, Side};
use crate::{
    Assignment, Audience, Begun, Component, Device, Director, Interface, Manifests, Name, Outcome, Plan, Privacy,
    Rollout, Scope, Stage, Standing, State, Word,
};
use adapters::clock::SystemEntropy;
use adapters::http::serve::Beneath;
use adapters::keystore::memory::MemoryKey;
use model::{DeviceId, UnixTime};
use ports::Signer;
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use update::uptane::{Offer, Report, write_manifest, write_report};
use x509::{KeyType, sha256};

const NOW: UnixTime = UnixTime::from_s(1_790_000_000);

fn name(text: &str) -> Name {
    text.parse().unwrap()
}
fn id(serial: &str) -> DeviceId {
    format!("urn:dev:ops:32473-gateway-{serial}").parse().unwrap()
}
/// What the image repository says of a target whose octets are its name.
fn offer(image: &str, counter: u64) -> Offer {
    let (digest, length) = (sha256(image.as_bytes()), image.len());
    let kept = format!(
        "{{\"name\":\"{image}\",\"length\":{length},\"hashes\":{{\"sha256\":\"{digest}\"}},\
         \"release_counter\":{counter},\"hardware_ids\":[\"modem.a\"]}}"
    );
    Offer::kept(kept.as_bytes()).unwrap()
}

/// A director whose gateways are served over DDI.
struct House {
    director: Director,
    key: Arc<dyn Signer>,
    _dir: tempfile::TempDir,
}

impl House {
    fn new(images: &[(&str, u64)]) -> Self {
        let (dir, key) =
            (tempfile::tempdir().unwrap(), || -> Arc<dyn Signer> { Arc::new(MemoryKey::generate(KeyType::Ed25519)) });
        let begun = Begun { root_keys: &[key()], expires: NOW.plus_s(86_400) };
        let director = Director::begin(&dir.path().join("director.db"), key(), &begun).unwrap();
        let director = director.keeping(Privacy { manifests: Manifests::AlsoPlain, ..Privacy::default() });
        director.serve_type(&"gateway".parse().unwrap(), Interface::Ddi).unwrap();
        images.iter().for_each(|(image, counter)| director.take(offer(image, *counter)).unwrap());
        Self { director, key: key(), _dir: dir }
    }
    fn register(&self, serial: &str, groups: &[&str]) -> DeviceId {
        let key = self.key.public_key().clone();
        let modem = Component { hardware_id: "modem.a".parse().unwrap(), key: key.clone().into() };
        let components = BTreeMap::from([(name("modem"), modem)]);
        let groups = groups.iter().map(|group| name(group)).collect::<BTreeSet<_>>();
        let device = Device { id: id(serial), key: key.into(), components, groups, assigned: BTreeMap::new() };
        self.director.register(&device).unwrap();
        id(serial)
    }
    fn assign(&self, device: &DeviceId, image: &str) {
        self.director.assign_to(device, &name("modem"), image).unwrap();
    }
    /// Which action a device is offered, and which it is to leave alone.
    fn poll(&self, device: &DeviceId) -> (Option<u32>, Option<u32>) {
        let polled = self.director.ddi_poll(device, &SystemEntropy::default()).unwrap().unwrap();
        (polled.deployment, polled.cancel)
    }
    /// The action that a device is offered, and has looked at, and what is in it.
    #[track_caller]
    fn begins(&self, device: &DeviceId, expected: &str) -> u32 {
        let number = self.poll(device).0.unwrap();
        let parts = self.director.ddi_deployment(device, number).unwrap().unwrap();
        let names: Vec<_> = parts.iter().map(|(component, offer)| (component.as_str(), offer.name())).collect();
        assert_eq!(names, [("modem", expected)]);
        assert_eq!(self.director.ddi_begin(device, number), Ok(true));
        number
    }
    fn says(&self, device: &DeviceId, number: u32, outcome: Outcome) -> Heard {
        self.director.ddi_hear(device, number, &over(outcome), NOW).unwrap()
    }
    fn roll_out(&self, image: &str, stages: &[(Audience, u64)]) {
        let stages = stages.iter().map(|(audience, answers)| Stage { audience: audience.clone(), answers: *answers });
        let plan = Plan {
            name: name("spring"),
            image: image.to_owned(),
            component: name("modem"),
            device_type: "gateway".parse().unwrap(),
            group: None,
            stages: stages.collect(),
            success_percent: 80,
            failure_percent: 20,
            requires: vec![],
            conflicts: vec![],
        };
        self.director.roll_out(plan).unwrap();
    }
    fn rolled(&self) -> (State, usize, [u64; 3]) {
        let rollout = self.director.overview().unwrap().rollouts.remove(0);
        (rollout.state(), rollout.stage(), [rollout.all().installed, rollout.all().failed, rollout.unsigned()])
    }
    /// A manifest that the device signs.
    fn reports(&self, device: &DeviceId, image: &str, counter: u64) {
        let (nonce, _) = self.director.ask(device, &SystemEntropy::default(), NOW).unwrap();
        let report = Report {
            component: name("modem").plain().clone(),
            hardware_id: "modem.a".parse().unwrap(),
            target: image.to_owned(),
            image: update::Image { digest: sha256(image.as_bytes()), length: image.len().try_into().unwrap() },
            counter,
        };
        let report = write_report(&report, nonce, |message| self.key.sign(message)).unwrap();
        let manifest = write_manifest(device, nonce, &[report], |message| self.key.sign(message)).unwrap();
        self.director.manifest(device, &manifest, NOW).unwrap();
    }
}

fn over(outcome: Outcome) -> Feedback {
    Feedback::Over { outcome, details: vec!["a line".to_owned()] }
}
fn everybody() -> Audience {
    Audience::Percent(100)
}

#[test]
fn a_device_is_given_what_was_chosen_until_it_says_that_it_has_it() {
    let house = House::new(&[("a", 2), ("b", 3)]);
    let one = house.register("1", &[]);
    assert_eq!(house.poll(&one), (None, None));
    house.assign(&one, "a");
    let number = house.begins(&one, "a");
    assert_eq!(house.begins(&one, "a"), number, "the same action has another number");
    assert_eq!(house.director.ddi_hear(&one, number, &Feedback::Underway(vec![]), NOW), Ok(Heard::Nothing));
    assert_eq!(house.director.who_has("a").unwrap()[0].by, Word::Begun);
    assert!(matches!(house.says(&one, number, Outcome::Installed), Heard::Ended(Some(_))));
    assert_eq!(house.poll(&one), (None, None));
    let held = house.director.who_has("a").unwrap();
    assert_eq!(held.iter().map(|one| (one.release_counter, one.by)).collect::<Vec<_>>(), [(2, Word::Ddi)]);
    let overview = house.director.overview().unwrap();
    assert_eq!((overview.ddi, overview.reported, overview.manifests), (1, 0, 0));
    assert_eq!(overview.ddi_types, ["gateway"]);
    let polled = house.director.ddi_poll(&one, &SystemEntropy::default()).unwrap().unwrap();
    assert_eq!(polled.installed, Some(number));
    assert_eq!(house.director.ddi_installed(&one, number).unwrap().unwrap()[0].1.name(), "a");
    // Forwards it goes on, and backwards it does not.
    house.assign(&one, "b");
    let number = house.begins(&one, "b");
    house.says(&one, number, Outcome::Installed);
    house.assign(&one, "a");
    assert_eq!(house.poll(&one), (None, None), "it was given what is behind what it has");
}
#[test]
fn nobodys_unsigned_word_is_taken_whose_type_is_not_served_so() {
    let house = House::new(&[("a", 2)]);
    let one = house.register("1", &[]);
    house.assign(&one, "a");
    let number = house.begins(&one, "a");
    house.director.serve_type(&"gateway".parse().unwrap(), Interface::Uptane).unwrap();
    assert_eq!(house.director.ddi_poll(&one, &SystemEntropy::default()), Ok(None));
    assert_eq!(house.director.ddi_deployment(&one, number), Ok(None));
    assert_eq!(house.director.ddi_begin(&one, number), Ok(false));
    assert_eq!(house.director.ddi_installed(&one, number), Ok(None));
    assert_eq!(house.director.ddi_image(&one, &sha256(b"a").to_string()), Ok(None));
    assert_eq!(house.says(&one, number, Outcome::Installed), Heard::Unknown);
    assert_eq!(house.director.ddi_hear_cancel(&one, number, &over(Outcome::Installed)), Ok(Heard::Unknown));
    let change = || super::said::config(br#"{"data":{"a":"b"}}"#).unwrap();
    assert_eq!(house.director.ddi_describe(&one, &change()), Ok(None));
    assert_eq!(house.director.who_has("a").unwrap()[0].by, Word::Begun);
}
#[test]
fn what_failed_is_not_given_again_until_it_is_assigned_again() {
    let house = House::new(&[("a", 2), ("b", 3)]);
    let one = house.register("1", &[]);
    house.assign(&one, "a");
    let number = house.begins(&one, "a");
    house.says(&one, number, Outcome::Failed);
    assert_eq!(house.poll(&one), (None, None));
    let account = house.director.account(&one).unwrap();
    assert_eq!((account.failed[&name("modem")].details.len(), account.installed.len()), (1, 0));
    house.assign(&one, "a");
    let again = house.begins(&one, "a");
    assert_ne!(again, number);
    house.says(&one, again, Outcome::Installed);
    assert!(house.director.account(&one).unwrap().failed.is_empty());
    // A failure takes nothing from what it has.
    house.assign(&one, "b");
    let number = house.begins(&one, "b");
    house.says(&one, number, Outcome::Failed);
    assert_eq!(house.director.who_has("a").unwrap().len(), 1);
}
#[test]
fn what_failed_is_forgotten_when_something_else_is_there() {
    let house = House::new(&[("a", 2), ("b", 3)]);
    let one = house.register("1", &[]);
    let assign = |image: &str| {
        let scope = Scope::Type("gateway".parse().unwrap());
        house.director.assign(&Assignment { scope, component: name("modem"), image: image.into() }).unwrap();
    };
    for (image, outcome, failed) in [("a", Outcome::Failed, 1), ("b", Outcome::Installed, 0)] {
        assign(image);
        let number = house.begins(&one, image);
        house.says(&one, number, outcome);
        assert_eq!(house.director.account(&one).unwrap().failed.len(), failed);
    }
}
#[test]
fn who_failed_and_is_given_it_again_is_not_counted_again() {
    let house = House::new(&[("a", 2)]);
    let one = house.register("1", &[]);
    house.roll_out("a", &[(everybody(), 9)]);
    for outcome in [Outcome::Failed, Outcome::Installed] {
        let number = house.begins(&one, "a");
        house.says(&one, number, outcome);
        assert_eq!(house.rolled().2, [0, 1, 1]);
        house.assign(&one, "a");
    }
}
#[test]
fn roll_outs_count_it_once_and_say_that_nobody_signed_it() {
    let house = House::new(&[("a", 2)]);
    let (canary, other) = (house.register("1", &["canary"]), house.register("2", &[]));
    house.roll_out("a", &[(Audience::Group(name("canary")), 1), (everybody(), 1)]);
    assert_eq!(house.poll(&other), (None, None));
    let number = house.begins(&canary, "a");
    house.says(&canary, number, Outcome::Installed);
    assert_eq!(house.rolled(), (State::Running, 1, [1, 0, 1]));
    assert_eq!(house.says(&canary, number, Outcome::Installed), Heard::Nothing);
    assert_eq!(house.says(&canary, number, Outcome::Failed), Heard::Gone);
    assert_eq!(house.director.ddi_hear(&canary, number, &Feedback::Underway(vec![]), NOW), Ok(Heard::Gone));
    assert_eq!(house.rolled().2, [1, 0, 1], "it was counted twice");
    // Whoever signs it afterwards is not counted again.
    house.reports(&canary, "a", 2);
    assert_eq!(house.rolled().2, [1, 0, 1]);
    let number = house.begins(&other, "a");
    house.says(&other, number, Outcome::Installed);
    assert_eq!(house.rolled(), (State::Finished, 2, [2, 0, 2]));
}
#[test]
fn too_many_failures_halt_a_roll_out() {
    let house = House::new(&[("a", 2)]);
    let devices: Vec<_> = ["1", "2", "3"].map(|serial| house.register(serial, &[])).into();
    house.roll_out("a", &[(everybody(), 5)]);
    let numbers: Vec<_> = devices.iter().map(|device| house.begins(device, "a")).collect();
    house.says(&devices[0], numbers[0], Outcome::Failed);
    assert_eq!(house.rolled(), (State::Running, 0, [0, 1, 1]));
    house.says(&devices[1], numbers[1], Outcome::Failed);
    assert_eq!(house.rolled(), (State::Halted, 0, [0, 2, 2]));
    // Who has begun is told to leave it alone.
    assert_eq!(house.poll(&devices[2]), (None, Some(numbers[2])));
    house.director.steer(&name("spring"), Rollout::resume).unwrap();
    assert_eq!(house.poll(&devices[2]), (Some(numbers[2]), None));
}
#[test]
fn what_is_withdrawn_is_left_alone_and_counts_as_no_failure() {
    let house = House::new(&[("a", 2), ("b", 3)]);
    let (one, two) = (house.register("1", &[]), house.register("2", &[]));
    house.roll_out("a", &[(everybody(), 9)]);
    let (first, second) = (house.begins(&one, "a"), house.begins(&two, "a"));
    let cancel = |device: &DeviceId, number, outcome| house.director.ddi_hear_cancel(device, number, &over(outcome));
    assert_eq!(cancel(&one, first, Outcome::Installed), Ok(Heard::Unknown), "nobody has told it to");
    house.director.stand("a", Standing::Recalled).unwrap();
    assert_eq!(house.director.ddi_deployment(&one, first), Ok(None), "what was recalled was given");
    assert_eq!(house.poll(&one), (None, Some(first)));
    assert_eq!(house.director.ddi_begin(&one, first), Ok(false));
    assert_eq!(house.director.ddi_is_withdrawn(&one, first), Ok(true));
    // It does not want to; then it does.
    assert_eq!(cancel(&one, first, Outcome::Failed), Ok(Heard::Nothing));
    assert_eq!(house.director.ddi_hear_cancel(&one, first, &Feedback::Underway(vec![])), Ok(Heard::Nothing));
    assert_eq!(house.poll(&one), (None, Some(first)));
    assert_eq!(cancel(&one, first, Outcome::Installed), Ok(Heard::Ended(None)));
    assert_eq!(cancel(&one, first, Outcome::Installed), Ok(Heard::Nothing));
    assert_eq!(house.poll(&one), (None, None));
    assert_eq!(house.poll(&two), (None, Some(second)));
    assert_eq!(house.says(&two, second, Outcome::Failed), Heard::Ended(None));
    assert_eq!(house.rolled().2, [0, 0, 0]);
    assert!(house.director.account(&two).unwrap().failed.is_empty());
    // What comes in its place has another number.
    house.assign(&two, "b");
    assert_ne!(house.begins(&two, "b"), second);
}
#[test]
fn what_was_recalled_in_part_is_not_given_at_all() {
    let house = House::new(&[("a", 2), ("b", 3)]);
    let one = house.register("1", &[]);
    let mut device = house.director.device(&one).unwrap();
    let radio = device.components[&name("modem")].clone();
    device.components.insert(name("radio"), radio);
    house.director.register(&device).unwrap();
    house.assign(&one, "a");
    house.director.assign_to(&one, &name("radio"), "b").unwrap();
    let number = house.poll(&one).0.unwrap();
    assert_eq!(house.director.ddi_deployment(&one, number).unwrap().unwrap().len(), 2);
    house.director.stand("b", Standing::Recalled).unwrap();
    assert_eq!(house.director.ddi_deployment(&one, number), Ok(None));
    house.begins(&one, "a");
}
#[test]
fn what_comes_in_the_place_of_what_was_not_begun_comes_at_once() {
    let house = House::new(&[("a", 2), ("b", 3)]);
    let one = house.register("1", &[]);
    house.assign(&one, "a");
    let (first, _) = house.poll(&one);
    house.assign(&one, "b");
    let second = house.begins(&one, "b");
    assert_eq!(house.says(&one, first.unwrap(), Outcome::Installed), Heard::Unknown);
    // And of what was begun it says first that it leaves it alone.
    house.director.take(offer("c", 4)).unwrap();
    house.assign(&one, "c");
    assert_eq!(house.poll(&one), (None, Some(second)));
    house.director.ddi_hear_cancel(&one, second, &over(Outcome::Installed)).unwrap();
    house.begins(&one, "c");
}
#[test]
fn who_had_begun_with_it_perhaps_has_it() {
    let house = House::new(&[("a", 2), ("b", 3)]);
    let (one, two) = (house.register("1", &[]), house.register("2", &[]));
    house.assign(&one, "a");
    house.assign(&two, "a");
    let by = |image: &str| {
        let held = house.director.who_has(image).unwrap();
        held.iter().map(|held| (held.device == one.to_string(), held.release_counter, held.by)).collect::<Vec<_>>()
    };
    house.poll(&one);
    assert_eq!(by("a"), [], "it does not know what it is to install");
    let number = house.begins(&one, "a");
    assert_eq!(by("a"), [(true, 2, Word::Begun)]);
    house.director.stand("a", Standing::Recalled).unwrap();
    house.poll(&one);
    house.director.ddi_hear_cancel(&one, number, &over(Outcome::Installed)).unwrap();
    assert_eq!(by("a"), [(true, 2, Word::Begun)], "it may have installed it before it was told not to");
    house.assign(&one, "b");
    let number = house.begins(&one, "b");
    house.says(&one, number, Outcome::Installed);
    assert_eq!((by("a"), by("b")), (vec![], vec![(true, 3, Word::Ddi)]));
    // Who has begun with it, and signs that it has it, is listed once.
    house.assign(&two, "b");
    house.begins(&two, "b");
    house.reports(&two, "b", 3);
    assert_eq!(by("b"), [(false, 3, Word::Manifest), (true, 3, Word::Ddi)]);
}
#[test]
fn who_installed_it_nevertheless_has_it() {
    let house = House::new(&[("a", 2), ("b", 3)]);
    let one = house.register("1", &[]);
    house.roll_out("a", &[(everybody(), 9)]);
    let number = house.begins(&one, "a");
    house.assign(&one, "b");
    assert_eq!(house.poll(&one), (None, Some(number)));
    house.says(&one, number, Outcome::Installed);
    assert_eq!(house.rolled().2, [1, 0, 1]);
    house.begins(&one, "b");
}
#[test]
fn numbers_of_others_mean_nothing() {
    let house = House::new(&[("a", 2)]);
    let (one, two) = (house.register("1", &[]), house.register("2", &[]));
    house
        .director
        .assign(&Assignment {
            scope: Scope::Type("gateway".parse().unwrap()),
            component: name("modem"),
            image: "a".into(),
        })
        .unwrap();
    let (first, second) = (house.begins(&one, "a"), house.begins(&two, "a"));
    assert_eq!(house.says(&two, first, Outcome::Installed), Heard::Unknown);
    assert_eq!(house.director.ddi_deployment(&two, first), Ok(None));
    house.says(&one, first, Outcome::Installed);
    assert_eq!(house.director.ddi_installed(&two, first), Ok(None));
    assert_eq!(house.begins(&two, "a"), second);
}
#[test]
fn files_are_for_who_was_given_them() {
    let house = House::new(&[("a", 2), ("b", 3)]);
    let (one, two) = (house.register("1", &[]), house.register("2", &[]));
    house.assign(&one, "a");
    house.assign(&two, "b");
    let (first, _) = (house.begins(&one, "a"), house.begins(&two, "b"));
    let may = |device: &DeviceId, image: &str| {
        house.director.ddi_image(device, &sha256(image.as_bytes()).to_string()).unwrap().is_some()
    };
    assert_eq!([may(&one, "a"), may(&one, "b"), may(&two, "a"), may(&two, "b")], [true, false, false, true]);
    house.says(&one, first, Outcome::Installed);
    assert!(may(&one, "a"), "what it has is there to be repaired");
    house.director.stand("a", Standing::Recalled).unwrap();
    house.director.stand("b", Standing::Recalled).unwrap();
    assert_eq!([may(&one, "a"), may(&two, "b")], [false, false]);
}
#[test]
fn what_is_signed_goes_before_what_is_said() {
    let house = House::new(&[("a", 2), ("b", 3)]);
    let one = house.register("1", &[]);
    house.assign(&one, "b");
    let number = house.begins(&one, "b");
    house.says(&one, number, Outcome::Installed);
    house.reports(&one, "a", 2);
    let by = |image: &str| house.director.who_has(image).unwrap().iter().map(|one| one.by).collect::<Vec<_>>();
    assert_eq!((by("a"), by("b")), (vec![Word::Manifest], vec![]));
    house.begins(&one, "b");
}
#[test]
fn a_file_that_was_altered_is_not_served() {
    let house = House::new(&[("dir/a", 2)]);
    let dir = tempfile::tempdir().unwrap();
    let beneath = Beneath::open(dir.path()).unwrap();
    let sha1 = || house.director.ddi_sha1(&beneath, &offer("dir/a", 2)).map_err(|fault| fault.to_string());
    assert_eq!(sha1(), Err("its file cannot be read".into()));
    let file = dir.path().join(format!("targets/dir/{}.a", sha256(b"dir/a")));
    std::fs::create_dir_all(file.parent().unwrap()).unwrap();
    for altered in ["dir/b", "dir/a ", ""] {
        std::fs::write(&file, altered).unwrap();
        assert_eq!(sha1(), Err("its file is not the one that was signed".into()));
    }
    std::fs::write(&file, "dir/a").unwrap();
    // printf dir/a | sha1sum
    assert_eq!(sha1(), Ok("506a7d605b87debcde6314cd01e58ef0ef78b9c7".into()));
}
#[test]
fn so_many_attributes_and_no_more() {
    let house = House::new(&[]);
    let one = house.register("1", &[]);
    let describe = |mode: &str, numbers: std::ops::Range<u32>| {
        let data: Vec<_> = numbers.map(|n| format!("\"{n}\":\"x\"")).collect();
        let text = format!("{{\"mode\":\"{mode}\",\"data\":{{{}}}}}", data.join(","));
        house.director.ddi_describe(&one, &super::said::config(text.as_bytes()).unwrap()).unwrap()
    };
    let count = || house.director.account(&one).unwrap().attributes.len();
    assert!(house.director.ddi_poll(&one, &SystemEntropy::default()).unwrap().unwrap().is_unknown);
    assert_eq!((describe("merge", 0..60), describe("merge", 40..100), count()), (Some(true), Some(true), 100));
    assert_eq!((describe("merge", 100..101), describe("replace", 0..101), count()), (Some(false), Some(false), 100));
    assert_eq!(
        (describe("remove", 0..50), count(), describe("replace", 0..2), count()),
        (Some(true), 50, Some(true), 2)
    );
    assert!(!house.director.ddi_poll(&one, &SystemEntropy::default()).unwrap().unwrap().is_unknown);
}
#[test]
fn numbers_are_never_zero_and_fit_into_31_bits() {
    struct Same(u8);
    impl ports::Entropy for Same {
        fn fill(&self, out: &mut [u8]) {
            out.fill(self.0);
        }
    }
    for (octet, expected) in [(0, 1), (255, 0x7fff_ffff)] {
        let house = House::new(&[("a", 2)]);
        let one = house.register("1", &[]);
        house.assign(&one, "a");
        assert_eq!(house.director.ddi_poll(&one, &Same(octet)).unwrap().unwrap().deployment, Some(expected));
    }
}

/// What may come, in whatever order.
#[derive(Clone, Debug)]
enum Event {
    Wanted(Option<&'static str>),
    Looked,
    Said(usize, Feedback),
    Left(usize, Feedback),
}

fn events() -> impl Strategy<Value = Vec<Event>> {
    let feedback = || {
        prop_oneof![Just(Feedback::Underway(vec![])), Just(over(Outcome::Installed)), Just(over(Outcome::Failed))]
            .boxed()
    };
    let event = prop_oneof![
        prop_oneof![Just(None), Just(Some("a")), Just(Some("b"))].prop_map(Event::Wanted),
        Just(Event::Looked),
        (0_usize..3, feedback()).prop_map(|(back, feedback)| Event::Said(back, feedback)),
        (0_usize..3, feedback()).prop_map(|(back, feedback)| Event::Left(back, feedback)),
    ];
    proptest::collection::vec(event, 0..40)
}

proptest! {
    /// Each action ends once at most, whatever a device says; and nothing is given that is not wanted.
    #[test]
    fn an_action_ends_once(events in events()) {
        let (mut side, mut numbers, mut ended) = (Side::default(), vec![0_u32], BTreeSet::new());
        for event in events {
            let heard = |back: usize, numbers: &[u32]| numbers[numbers.len().saturating_sub(1 + back)];
            let (number, heard) = match event {
                Event::Wanted(image) => {
                    let wanted: BTreeMap<_, _> = image.map(|image| (name("modem"), image.to_owned())).into_iter().collect();
                    let next = u32::try_from(numbers.len()).unwrap();
                    side.turn(&wanted, next);
                    let polled = side.polled();
                    prop_assert!(polled.deployment.is_none() || polled.cancel.is_none());
                    if let Some(number) = polled.deployment {
                        prop_assert_eq!(side.given(number), Some(&wanted));
                    }
                    if polled.deployment == Some(next) {
                        numbers.push(next);
                    }
                    continue;
                }
                Event::Looked => {
                    side.begin();
                    continue;
                }
                Event::Said(back, feedback) => {
                    let number = heard(back, &numbers);
                    (number, side.hear(number, feedback, |_| 1, 1))
                }
                Event::Left(back, feedback) => {
                    let number = heard(back, &numbers);
                    (number, side.hear_cancel(number, &feedback))
                }
            };
            if matches!(heard, Heard::Ended(_)) {
                prop_assert!(ended.insert(number), "{} ended twice", number);
                prop_assert_eq!(side.given(number), None);
            }
        }
    }
}

#[test]
fn what_was_said_on_the_way_is_kept_with_how_it_ended() {
    let mut side = Side::default();
    let wanted = BTreeMap::from([(name("modem"), "os-1".to_owned())]);
    side.turn(&wanted, 7);
    let underway = |line: &str| Feedback::Underway(vec![line.to_owned()]);
    assert_eq!(side.hear(7, underway("ERROR: no such slot"), |_| 1, 0), Heard::Said);
    assert_eq!(side.hear(7, underway("ERROR: no such slot"), |_| 1, 0), Heard::Nothing, "the same again");
    assert_eq!(side.hear(7, Feedback::Underway(vec![]), |_| 1, 0), Heard::Nothing);
    let over = Feedback::Over { outcome: Outcome::Failed, details: vec!["failed".to_owned()] };
    assert!(matches!(side.hear(7, over, |_| 1, 0), Heard::Ended(Some(_))));
    assert_eq!(side.account().failed[&name("modem")].details, ["ERROR: no such slot", "failed"]);
    // Another action begins with nothing; of one that talks much the last lines count.
    let mut side = Side::default();
    side.turn(&wanted, 8);
    for n in 0..100 {
        side.hear(8, underway(&n.to_string()), |_| 1, 0);
    }
    side.hear(8, Feedback::Over { outcome: Outcome::Failed, details: vec![] }, |_| 1, 0);
    let details = side.account().failed[&name("modem")].details.clone();
    assert_eq!((details.len(), details[15].as_str()), (16, "99"));
}
