//! A repository made by the reference implementation of TUF. Provenance: `testdata/PROVENANCE.toml`.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "what cannot go on here has failed"
)]

mod support;

use std::collections::BTreeMap;
use std::convert::Infallible;
use update::tuf::{Answer, BadMetadata, Client, Limits, NotDone, Outside, Target};

struct Golden {
    kept: BTreeMap<String, Vec<u8>>,
    fetched: Vec<String>,
    // Changes an octet of a file at this place.
    flip: Option<(String, usize)>,
}

impl Golden {
    fn new() -> Self {
        let root = support::golden("repository/1.root.json");
        Self { kept: BTreeMap::from([("root.json".into(), root)]), fetched: Vec::new(), flip: None }
    }
    fn look_for(&mut self, target: &str) -> Result<Target, BadMetadata> {
        match Client::new(Limits::DEFAULT, support::now()).look_for(target, self) {
            Ok(target) => Ok(target),
            Err(NotDone::Refused(refused)) => Err(refused.bad),
            Err(NotDone::Outside(never)) => match never {},
        }
    }
}

impl Outside for Golden {
    type Fault = Infallible;
    fn load(&mut self, file: &str) -> Result<Answer, Infallible> {
        Ok(self.kept.get(file).map_or(Answer::NotThere, |octets| Answer::Octets(octets.clone())))
    }
    fn fetch(&mut self, file: &str, _len_max: u64) -> Answer {
        self.fetched.push(file.to_owned());
        let Ok(mut octets) = std::fs::read(support::testdata("repository").join(file)) else { return Answer::NotThere };
        if let Some((_, at)) = self.flip.as_ref().filter(|(flipped, _)| flipped == file) {
            octets[*at] ^= 1;
        }
        Answer::Octets(octets)
    }
    fn forget(&mut self, file: &str) -> Result<(), Infallible> {
        self.kept.remove(file);
        Ok(())
    }
    fn persist(&mut self, file: &str, octets: &[u8]) -> Result<(), Infallible> {
        self.kept.insert(file.to_owned(), octets.to_vec());
        Ok(())
    }
}

#[track_caller]
fn check(target: &str, asked: &[&str]) {
    let mut golden = Golden::new();
    let found = golden.look_for(target).unwrap();
    let mut check = found.check();
    check.feed(&support::image()).unwrap();
    check.finish().unwrap();
    let top = ["2.root.json", "3.root.json", "4.root.json", "timestamp.json", "7.snapshot.json", "5.targets.json"];
    assert_eq!(golden.fetched, [&top, asked].concat());
    assert_eq!(golden.kept["root.json"], support::golden("repository/3.root.json"));
}

#[test]
fn a_foreign_target() {
    check("image.bin", &[]);
}
#[test]
fn a_foreign_supplier() {
    check("supplier/image.bin", &["3.supplier.json"]);
}
#[test]
fn foreign_bins() {
    check("packages/a.bin", &["2.bins.json", "1.bin-5.json"]);
}
#[test]
fn no_foreign_file_is_taken_with_another_octet() {
    // Every 31st octet of every file, so that this takes a second.
    for file in ["2.root.json", "3.root.json", "timestamp.json", "7.snapshot.json", "5.targets.json", "3.supplier.json"]
    {
        let len = support::golden(&format!("repository/{file}")).len();
        for at in (0..len).step_by(31) {
            let mut golden = Golden::new();
            golden.flip = Some((file.to_owned(), at));
            assert!(golden.look_for("supplier/image.bin").is_err(), "octet {at} of {file}");
        }
    }
}
