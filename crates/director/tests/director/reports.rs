//! What boxes report, over a line that drops, repeats and reorders.

use crate::support::{House, NOW, Unit, key, name};
use director::{Director, DirectorFault};
use model::DeviceId;
use model::report::{Did, REPORT, Report, Reported};
use ports::{Signer, jws};
use std::collections::BTreeMap;
use std::sync::Arc;
use x509::sha256;

const SM: &str = "line-1.software";

struct Box_ {
    id: DeviceId,
    sm: Arc<dyn Signer>,
    pm: Arc<dyn Signer>,
}

impl Box_ {
    fn registered(director: &Director) -> Self {
        let unit = Unit::modem("BOX");
        director.register(&unit.device).unwrap();
        let (sm, pm) = (key(), key());
        let reporters = BTreeMap::from([
            (name(SM), sm.public_key().clone().into()),
            (name("line-1.provisioning"), pm.public_key().clone().into()),
        ]);
        director.register_reporters(&unit.device.id, &reporters).unwrap();
        Self { id: unit.device.id, sm, pm }
    }
    fn report(&self, number: u64) -> Report {
        let image = Reported {
            device_type: "gateway".parse().unwrap(),
            release: "app 1".into(),
            release_counter: number,
            image: sha256(b"image"),
            devices: Vec::new(),
        };
        let (device, reporter) = (self.id.clone(), SM.to_owned());
        Report { device, reporter, number, at: NOW, did: Did::Verified, images: vec![image] }
    }
    fn signed(&self, report: &Report) -> Vec<u8> {
        jws::sign(REPORT, &serde_json::to_vec(report).unwrap(), self.sm.as_ref()).unwrap()
    }
}

#[test]
fn each_is_recorded_once_whatever_the_line_does_and_gaps_are_seen() {
    let house = House::new();
    let director = &house.director;
    let box_ = Box_::registered(director);
    // 4 and 7 are dropped; the others come late, early and often.
    for number in [3, 1, 1, 2, 8, 3, 6, 5, 8, 2, 1] {
        assert_eq!(director.report(&box_.id, &box_.signed(&box_.report(number)), NOW), Ok(number));
    }
    let account = &director.reporters(&box_.id).unwrap()[SM];
    assert_eq!((account.reports, account.last, account.missing.as_slice()), (6, 8, [4, 7].as_slice()));
    // What was on its way for long fills the gap.
    director.report(&box_.id, &box_.signed(&box_.report(4)), NOW).unwrap();
    assert_eq!(director.reporters(&box_.id).unwrap()[SM].missing, [7]);
    let numbers: Vec<_> = director.reports(&box_.id).unwrap().iter().map(|entered| entered.report.number).collect();
    assert_eq!(numbers, [1, 2, 3, 4, 5, 6, 8]);
}

#[track_caller]
fn refused(director: &Director, box_: &Box_, octets: &[u8], of: &str) {
    let before = director.reports(&box_.id).unwrap();
    let Err(DirectorFault::Refused(why)) = director.report(&box_.id, octets, NOW) else { panic!("{of}") };
    assert!(why.contains(of), "{why}");
    assert_eq!(director.reports(&box_.id).unwrap(), before);
}

#[test]
fn what_is_not_the_reporters_own_word_is_not_taken() {
    let house = House::new();
    let director = &house.director;
    let box_ = Box_::registered(director);
    let report = box_.report(1);
    director.report(&box_.id, &box_.signed(&report), NOW).unwrap();
    // The same number, and something else.
    let mut other = report.clone();
    other.images[0].release_counter = 9;
    refused(director, &box_, &box_.signed(&other), "said something else");
    // Somebody else's key; pm's key under sm's name; another box.
    let by = |key: &Arc<dyn Signer>, report: &Report| {
        jws::sign(REPORT, &serde_json::to_vec(report).unwrap(), key.as_ref()).unwrap()
    };
    refused(director, &box_, &by(&key(), &box_.report(2)), "no module has");
    refused(director, &box_, &by(&box_.pm, &box_.report(2)), "another box or module");
    let another = Report { device: "urn:dev:ops:32473-gateway-X".parse().unwrap(), ..box_.report(2) };
    refused(director, &box_, &box_.signed(&another), "another box or module");
    // Altered, for another use, none.
    let mut altered = box_.signed(&box_.report(2));
    let at = altered.len() - 10;
    altered[at] = if altered[at] == b'A' { b'B' } else { b'A' };
    refused(director, &box_, &altered, "altered");
    let of_bus = jws::sign("cradle-call", &serde_json::to_vec(&box_.report(2)).unwrap(), box_.sm.as_ref()).unwrap();
    refused(director, &box_, &of_bus, "altered");
    refused(director, &box_, b"{}", "altered");
    let none = jws::sign(REPORT, b"{}", box_.sm.as_ref()).unwrap();
    refused(director, &box_, &none, "no report");
    refused(director, &box_, &box_.signed(&box_.report(0)), "another box or module");
}

#[test]
fn what_a_device_reports_is_no_news_to_others() {
    let house = House::with(&[("os-1", 1), ("os-2", 2)]);
    let mut unit = Unit::modem("SN1");
    house.register(&unit);
    let number = || house.director.telling().unwrap().0.number;
    let before = number();
    house.director.assign_to(&unit.device.id, &name("modem"), "os-1").unwrap();
    assert_eq!(number(), before + 1);
    house.tells(&mut unit, &["os-1"]);
    unit.install("modem", "os-1", 1);
    house.hears(&unit);
    assert_eq!(number(), before + 1, "who is told of each report would know who has what");
}
