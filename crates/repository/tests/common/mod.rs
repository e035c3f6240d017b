//! A repository in a temporary directory, its keys, and a device that follows it: what the tests share.
#![allow(dead_code, missing_docs, unreachable_pub, reason = "shared by files that each use a part of it")]

use adapters::keystore::memory::MemoryKey;
use model::UnixTime;
use ports::Signer;
use repository::{Before, Fault, Lifetimes, OldKeys, Publication, Repository, Start};
use std::collections::BTreeMap;
use std::io::Cursor;
use std::path::Path;
use std::sync::Arc;
use update::Threshold;
use update::tuf::write::{Delegation, Key, Part, Top};
use update::tuf::{Answer, BadMetadata, Client, Limits, NotDone, Outside};
use x509::KeyType;

pub const NOW: UnixTime = UnixTime::from_s(1_790_000_000);
pub const DAY: u64 = 86_400;

pub type Keyring = Vec<Arc<dyn Signer>>;

pub fn signer() -> Arc<dyn Signer> {
    Arc::new(MemoryKey::generate(KeyType::Ed25519))
}
pub fn key(signer: &Arc<dyn Signer>) -> Key {
    Key::new(signer.public_key()).unwrap()
}
pub fn keys(of: &[Arc<dyn Signer>]) -> Vec<Key> {
    of.iter().map(key).collect()
}

/// Power that never goes.
pub fn always() -> Box<Before> {
    Box::new(|_: &Path| Ok(()))
}

pub struct Shop {
    pub dir: tempfile::TempDir,
    /// Root, timestamp, snapshot, targets.
    pub by: [Arc<dyn Signer>; 4],
    pub now: UnixTime,
}

impl Shop {
    /// Begun, with one key for each role, and nothing published.
    pub fn begun() -> Self {
        let by = [signer(), signer(), signer(), signer()];
        let role = |(role, signer): (Top, &Arc<dyn Signer>)| (role, (vec![key(signer)], Threshold::ONE));
        let roles = Top::ALL.into_iter().zip(&by).map(role).collect();
        Self::begun_with(roles, by)
    }
    pub fn begun_with(roles: BTreeMap<Top, (Vec<Key>, Threshold)>, by: [Arc<dyn Signer>; 4]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let start = Start { roles, lifetimes: Lifetimes::DEFAULT };
        Repository::begin(dir.path(), &start, NOW, always()).unwrap();
        Self { dir, by, now: NOW }
    }
    /// With one image, published.
    pub fn open_to_all() -> Self {
        let shop = Self::begun();
        shop.add("image", b"first");
        shop.publish();
        shop
    }
    pub fn repository(&self) -> Repository {
        Repository::open(self.dir.path(), always()).unwrap()
    }
    pub fn keyring(&self) -> Keyring {
        self.by.to_vec()
    }
    pub fn add(&self, name: &str, octets: &[u8]) {
        self.repository().add(name, &mut Cursor::new(octets), None, None, self.now).unwrap();
    }
    #[track_caller]
    pub fn publish(&self) -> Publication {
        let done = self.publish_with(&self.keyring());
        assert_eq!(done.waiting, [], "nothing waits");
        done
    }
    pub fn publish_with(&self, keyring: &[Arc<dyn Signer>]) -> Publication {
        self.repository().publish(keyring, self.now, OldKeys::Sign).unwrap()
    }
    #[track_caller]
    pub fn is_right(&self) {
        let found = self.repository().verify(self.now).unwrap();
        assert!(found.is_empty(), "{found:?}");
    }
    pub fn file(&self, name: &str) -> Vec<u8> {
        std::fs::read(self.dir.path().join(name)).unwrap()
    }
    pub fn device(&self) -> Device {
        Device { kept: BTreeMap::from([("root.json".to_owned(), self.file("metadata/1.root.json"))]) }
    }
}

pub fn to(name: &str, by: &[Arc<dyn Signer>], patterns: &[&str]) -> Delegation {
    let part = Part::Patterns(patterns.iter().map(|one| (*one).to_owned()).collect());
    Delegation { name: name.into(), keys: keys(by), threshold: Threshold::ONE, part, terminating: false }
}

/// A device that follows what a directory has, as a web server would serve it.
#[derive(Clone)]
pub struct Device {
    pub kept: BTreeMap<String, Vec<u8>>,
}

impl Device {
    pub fn refresh(&mut self, dir: &Path, now: UnixTime) -> Result<(), BadMetadata> {
        let mut side = Side { kept: &mut self.kept, dir };
        Client::new(Limits::DEFAULT, now).drive(&mut side).map_err(refused)
    }
    /// The octets of a target, downloaded and checked.
    pub fn get(&mut self, dir: &Path, name: &str, now: UnixTime) -> Result<Vec<u8>, BadMetadata> {
        let mut side = Side { kept: &mut self.kept, dir };
        let target = Client::new(Limits::DEFAULT, now).look_for(name, &mut side).map_err(refused)?;
        let octets = std::fs::read(dir.join("targets").join(target.path())).map_err(|_| BadMetadata::NotThere)?;
        let mut check = target.check();
        check.feed(&octets)?;
        check.finish()?;
        Ok(octets)
    }
    pub fn version(&self, role: &str) -> u64 {
        let file: serde_json::Value = serde_json::from_slice(&self.kept[&format!("{role}.json")]).unwrap();
        file["signed"]["version"].as_u64().unwrap()
    }
}

fn refused(not: NotDone<std::convert::Infallible>) -> BadMetadata {
    match not {
        NotDone::Refused(refused) => refused.bad,
        NotDone::Outside(never) => match never {},
    }
}

struct Side<'a> {
    kept: &'a mut BTreeMap<String, Vec<u8>>,
    dir: &'a Path,
}

impl Outside for Side<'_> {
    type Fault = std::convert::Infallible;
    fn load(&mut self, file: &str) -> Result<Answer, Self::Fault> {
        Ok(self.kept.get(file).map_or(Answer::NotThere, |octets| Answer::Octets(octets.clone())))
    }
    fn fetch(&mut self, file: &str, _len_max: u64) -> Answer {
        std::fs::read(self.dir.join("metadata").join(file)).map_or(Answer::NotThere, Answer::Octets)
    }
    fn forget(&mut self, file: &str) -> Result<(), Self::Fault> {
        self.kept.remove(file);
        Ok(())
    }
    fn persist(&mut self, file: &str, octets: &[u8]) -> Result<(), Self::Fault> {
        self.kept.insert(file.to_owned(), octets.to_vec());
        Ok(())
    }
}

/// What a role waits for, of what was published.
pub fn waits(done: &Publication, role: &str) -> Option<repository::Why> {
    done.waiting.iter().find(|one| one.role == role).map(|one| one.why.clone())
}
pub fn published(done: &Publication) -> Vec<(&str, u64)> {
    done.published.iter().map(|(role, version)| (role.as_str(), *version)).collect()
}
pub fn is_fault<T>(done: Result<T, Fault>, expected: &str) {
    let Err(fault) = done else { panic!("it was done") };
    assert_eq!(fault.to_string(), expected);
}
