//! A repository that a test can change at will, and the storage of its client: what the tests of TUF share.
#![allow(dead_code, missing_docs, unreachable_pub, reason = "shared by files that each use a part of it")]

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};
use model::UnixTime;
use model::octets::hex;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use update::tuf::{Answer, BadMetadata, Client, Limits, NotDone, Outside, Refused, Target};

/// Before the end of all metadata here.
pub const NOW: UnixTime = UnixTime::from_s(1_790_000_000);
pub const EXPIRES: &str = "2027-06-30T12:00:00Z";
pub const PAST: &str = "2026-01-01T00:00:00Z";
/// The names of the four.
pub const ROLES: [&str; 4] = ["root", "timestamp", "snapshot", "targets"];

pub fn pair(n: u8) -> Ed25519KeyPair {
    Ed25519KeyPair::from_seed_unchecked(&[n; 32]).unwrap()
}
/// A key as metadata has it. Its identifier says nothing.
pub fn public(n: u8) -> Value {
    json!({"keytype": "ed25519", "scheme": "ed25519", "keyval": {"public": hex(pair(n).public_key().as_ref())}})
}
pub fn id(n: u8) -> String {
    format!("key-{n}")
}
pub fn keys(of: &[u8]) -> Value {
    of.iter().map(|n| (id(*n), public(*n))).collect()
}
pub fn rule(of: &[u8], threshold: u64) -> Value {
    json!({"keyids": of.iter().map(|n| id(*n)).collect::<Vec<_>>(), "threshold": threshold})
}

/// Signs as TUF does: the canonical form, which is what is written without spaces, and with ends of lines as they are.
pub fn sign(signed: &Value, by: &[u8]) -> Vec<u8> {
    let message = serde_json::to_string(signed).unwrap().replace("\\n", "\n").into_bytes();
    let signature = |n: &u8| json!({"keyid": id(*n), "sig": hex(pair(*n).sign(&message).as_ref())});
    let file = json!({"signatures": by.iter().map(signature).collect::<Vec<_>>(), "signed": signed});
    serde_json::to_vec_pretty(&file).unwrap()
}

pub fn sha256(octets: &[u8]) -> String {
    x509::sha256(octets).to_string()
}

fn common(role: &str) -> Value {
    json!({"_type": role, "spec_version": "1.0.34", "version": 1, "expires": EXPIRES})
}
pub fn targets() -> Value {
    let mut targets = common("targets");
    targets["targets"] = json!({});
    targets
}
pub fn announced(octets: &[u8]) -> Value {
    json!({"length": octets.len(), "hashes": {"sha256": sha256(octets)}})
}

/// What the repository says next, role by role; what it has published; and what its client keeps.
#[derive(Clone)]
pub struct Repository {
    pub says: BTreeMap<String, Value>,
    pub signers: BTreeMap<String, Vec<u8>>,
    /// Whether snapshot and timestamp announce lengths and hashes.
    pub hashes: bool,
    pub published: BTreeMap<String, Vec<u8>>,
    pub answers: BTreeMap<String, Answer>,
    pub kept: BTreeMap<String, Vec<u8>>,
    /// What the client did, in order.
    pub log: Vec<String>,
    pub limits: Limits,
    pub now: UnixTime,
    /// After how many acts the power goes, if it does.
    pub power: Option<usize>,
}

impl Repository {
    /// Four roles, each with a key of its own: 1 to 4. Its client has its first root.
    pub fn new() -> Self {
        let mut root = common("root");
        root["consistent_snapshot"] = json!(true);
        root["keys"] = keys(&[1, 2, 3, 4]);
        root["roles"] = (1..).zip(ROLES).map(|(n, role)| (role.to_owned(), rule(&[n], 1))).collect();
        let (mut timestamp, mut snapshot) = (common("timestamp"), common("snapshot"));
        timestamp["meta"] = json!({"snapshot.json": {"version": 1}});
        snapshot["meta"] = json!({"targets.json": {"version": 1}});
        let says = ROLES.into_iter().zip([root, timestamp, snapshot, targets()]);
        let mut repository = Self {
            says: says.map(|(role, says)| (role.to_owned(), says)).collect(),
            signers: (1..).zip(ROLES).map(|(n, role)| (role.to_owned(), vec![n])).collect(),
            hashes: false,
            published: BTreeMap::new(),
            answers: BTreeMap::new(),
            kept: BTreeMap::new(),
            log: Vec::new(),
            limits: Limits::DEFAULT,
            now: NOW,
            power: None,
        };
        for role in ROLES {
            repository.put(role);
        }
        repository.kept.insert("root.json".into(), repository.published["1.root.json"].clone());
        repository
    }

    /// The same, and its client is up to date.
    pub fn followed() -> Self {
        let mut repository = Self::new();
        repository.refresh().unwrap();
        repository
    }

    pub fn of(&mut self, role: &str) -> &mut Value {
        self.says.get_mut(role).unwrap()
    }
    pub fn version(&self, role: &str) -> u64 {
        self.says[role]["version"].as_u64().unwrap_or(0)
    }

    /// Publishes a role as it is now, under the version that it has.
    pub fn put(&mut self, role: &str) {
        let file = sign(&self.says[role], &self.signers[role]);
        self.put_octets(role, file);
    }
    pub fn put_octets(&mut self, role: &str, file: Vec<u8>) {
        let consistent = self.says["root"]["consistent_snapshot"] == json!(true);
        let name = role.replace('/', "%2F").replace('?', "%3F");
        let name = match role {
            "timestamp" => "timestamp.json".to_owned(),
            "root" => format!("{}.root.json", self.version(role)),
            _ if consistent => format!("{}.{name}.json", self.version(role)),
            _ => format!("{name}.json"),
        };
        let mut meta = json!({"version": self.version(role)});
        if self.hashes {
            meta["length"] = json!(file.len());
            meta["hashes"] = json!({"sha256": sha256(&file)});
        }
        match role {
            "root" | "timestamp" => {}
            "snapshot" => self.of("timestamp")["meta"]["snapshot.json"] = meta,
            _ => self.of("snapshot")["meta"][format!("{role}.json")] = meta,
        }
        self.published.insert(name, file);
    }

    /// Publishes the next version of a role, and of those that announce it.
    pub fn bump(&mut self, role: &str) {
        let chain: &[&str] = match role {
            "root" => &["root"],
            "timestamp" => &["timestamp"],
            "snapshot" => &["snapshot", "timestamp"],
            other => &[other, "snapshot", "timestamp"],
        };
        for role in chain {
            self.set_version(role, self.version(role) + 1);
            self.put(role);
        }
    }
    pub fn set_version(&mut self, role: &str, version: u64) {
        self.of(role)["version"] = json!(version);
    }

    /// Gives a role other keys and signers, which the next root says.
    pub fn rekey(&mut self, role: &str, keys: &[u8], threshold: u64) {
        for n in keys {
            self.of("root")["keys"][id(*n)] = public(*n);
        }
        self.of("root")["roles"][role] = rule(keys, threshold);
        self.signers.insert(role.to_owned(), keys.to_vec());
    }

    /// `from` delegates targets of these patterns to `to`, whose key is `key`.
    pub fn delegate(&mut self, from: &str, to: &str, key: u8, paths: &[&str]) {
        let mut role = rule(&[key], 1);
        role["name"] = json!(to);
        role["terminating"] = json!(false);
        role["paths"] = json!(paths);
        self.delegate_as(from, role, key);
    }
    pub fn delegate_as(&mut self, from: &str, role: Value, key: u8) {
        let to = role["name"].as_str().unwrap().to_owned();
        let delegator = self.of(from);
        if delegator.get("delegations").is_none() {
            delegator["delegations"] = json!({"keys": {}, "roles": []});
        }
        delegator["delegations"]["keys"][id(key)] = public(key);
        delegator["delegations"]["roles"].as_array_mut().unwrap().push(role);
        self.says.entry(to.clone()).or_insert_with(targets);
        self.signers.entry(to).or_insert_with(|| vec![key]);
    }
    /// A role that says nothing yet, whoever leaves something to it.
    pub fn role(&mut self, name: &str, key: u8) {
        self.says.insert(name.to_owned(), targets());
        self.signers.insert(name.to_owned(), vec![key]);
    }
    /// Publishes all targets roles, then snapshot and timestamp, each in its next version.
    pub fn publish_targets(&mut self) {
        let roles: Vec<String> = self.says.keys().filter(|r| !ROLES[..3].contains(&r.as_str())).cloned().collect();
        for role in roles.iter().map(String::as_str).chain(["snapshot", "timestamp"]) {
            self.set_version(role, self.version(role) + 1);
            self.put(role);
        }
    }
    pub fn announce(&mut self, role: &str, target: &str, octets: &[u8]) {
        self.of(role)["targets"][target] = announced(octets);
    }

    pub fn client(&self) -> Client {
        Client::new(self.limits, self.now)
    }
    pub fn refresh(&mut self) -> Result<(), Refused> {
        self.log.clear();
        refused(self.client().drive(self))
    }
    pub fn look_for(&mut self, target: &str) -> Result<Target, Refused> {
        self.log.clear();
        refused(self.client().look_for(target, self))
    }
    /// What was fetched, in order.
    pub fn fetched(&self) -> Vec<&str> {
        self.log.iter().filter_map(|line| line.strip_prefix("fetch ")).collect()
    }
    pub fn kept_version(&self, role: &str) -> Option<u64> {
        let file: Value = serde_json::from_slice(self.kept.get(&format!("{role}.json"))?).unwrap();
        file["signed"]["version"].as_u64()
    }
}

fn refused<T>(done: Result<T, NotDone<&'static str>>) -> Result<T, Refused> {
    match done {
        Ok(done) => Ok(done),
        Err(NotDone::Refused(refused)) => Err(refused),
        Err(NotDone::Outside(fault)) => panic!("{fault}"),
    }
}

impl Repository {
    fn act(&mut self, what: String) -> Result<(), &'static str> {
        self.log.push(what);
        match &mut self.power {
            Some(0) => Err("the power is gone"),
            Some(left) => {
                *left -= 1;
                Ok(())
            }
            None => Ok(()),
        }
    }
}

impl Outside for Repository {
    type Fault = &'static str;
    fn load(&mut self, file: &str) -> Result<Answer, Self::Fault> {
        assert!(!file.contains('/'), "{file} leads elsewhere");
        Ok(self.kept.get(file).map_or(Answer::NotThere, |octets| Answer::Octets(octets.clone())))
    }
    fn fetch(&mut self, file: &str, len_max: u64) -> Answer {
        self.log.push(format!("fetch {file}"));
        if let Some(answer) = self.answers.get(file) {
            return answer.clone();
        }
        match self.published.get(file) {
            Some(octets) if u64::try_from(octets.len()).is_ok_and(|len| len > len_max) => Answer::TooLong,
            Some(octets) => Answer::Octets(octets.clone()),
            None => Answer::NotThere,
        }
    }
    fn forget(&mut self, file: &str) -> Result<(), Self::Fault> {
        self.act(format!("forget {file}"))?;
        self.kept.remove(file);
        Ok(())
    }
    fn persist(&mut self, file: &str, octets: &[u8]) -> Result<(), Self::Fault> {
        assert!(!file.contains('/'), "{file} leads elsewhere");
        self.act(format!("persist {file}"))?;
        self.kept.insert(file.to_owned(), octets.to_vec());
        Ok(())
    }
}

/// A client that is up to date meets a change, and refuses it for this reason and under this name of an attack. It keeps
/// nothing of what was refused, and follows the honest repository again, as if nothing had been.
#[track_caller]
pub fn attack(change: impl FnOnce(&mut Repository), expected: BadMetadata, class: Option<&str>) {
    let honest = Repository::followed();
    attack_on(honest, change, expected, class);
}
#[track_caller]
pub fn attack_on(
    mut honest: Repository,
    change: impl FnOnce(&mut Repository),
    expected: BadMetadata,
    class: Option<&str>,
) {
    let mut hostile = honest.clone();
    change(&mut hostile);
    assert_eq!(hostile.refresh().map_err(|refused| refused.bad), Err(expected));
    assert_eq!(expected.attack().map(|attack| attack.name()), class);
    recovers(&mut honest, hostile.kept);
}
#[track_caller]
pub fn recovers(honest: &mut Repository, kept: BTreeMap<String, Vec<u8>>) {
    honest.kept = kept;
    // Whoever publishes goes on from the highest version that anybody has seen.
    for role in ["timestamp", "snapshot", "targets"] {
        honest.set_version(role, honest.version(role).max(honest.kept_version(role).unwrap_or(0)));
    }
    honest.publish_targets();
    assert_eq!(honest.refresh(), Ok(()), "the client does not recover");
}

/// A legitimate neighbour of an attack.
#[track_caller]
pub fn accepted(change: impl FnOnce(&mut Repository)) -> Repository {
    let mut repository = Repository::followed();
    change(&mut repository);
    assert_eq!(repository.refresh(), Ok(()));
    repository
}
