//! What a role will say, before anybody signs it: what all roles say, and root, timestamp and snapshot.

use super::draft::Draft;
use super::key::Key;
use crate::json::Json;
use crate::metadata::{COUNTER_MAX, Image, Object, SPEC_VERSION, Threshold};
use crate::tuf::envelope::Role;
use crate::tuf::fault::BadMetadata;
use crate::tuf::names::role_file;
use crate::tuf::roles::{Root, Snapshot, Timestamp};
use model::UnixTime;
use std::collections::{BTreeMap, BTreeSet};
use std::marker::PhantomData;

/// One of the four roles that the root assigns.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Top {
    /// Says who signs for the four.
    Root,
    /// Says which snapshot is the last.
    Timestamp,
    /// Says which versions belong together.
    Snapshot,
    /// Says which targets there are, and to whom others are left.
    Targets,
}

impl Top {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Root, Self::Timestamp, Self::Snapshot, Self::Targets];

    /// What it is called in metadata.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Root => "root",
            Self::Timestamp => "timestamp",
            Self::Snapshot => "snapshot",
            Self::Targets => "targets",
        }
    }
    /// The role of this name.
    #[must_use]
    pub fn by_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|role| role.name() == name)
    }
}

/// What a role will say. Fields that are not known here stay.
#[derive(Debug)]
pub struct Body<R> {
    pub(super) fields: Object,
    role: PhantomData<R>,
}

// The role itself is not in it, so it need not be copied.
impl<R> Clone for Body<R> {
    fn clone(&self) -> Self {
        Self { fields: self.fields.clone(), role: PhantomData }
    }
}

impl<R: Role> Body<R> {
    fn begin<const N: usize>(expires: UnixTime, special: [(&str, Json); N]) -> Self {
        let mut fields = BTreeMap::from([
            ("_type".to_owned(), Json::from(R::TYPE)),
            ("spec_version".to_owned(), SPEC_VERSION.into()),
            ("version".to_owned(), Json::Number(1)),
        ]);
        fields.extend(special.into_iter().map(|(name, value)| (name.to_owned(), value)));
        Self::of(fields).expiring(expires)
    }

    pub(super) const fn of(fields: Object) -> Self {
        Self { fields, role: PhantomData }
    }

    /// The version that it will have.
    #[must_use]
    pub fn version(&self) -> u64 {
        self.fields.get("version").and_then(Json::number).unwrap_or(0)
    }

    /// The same in the next version, until then.
    ///
    /// # Errors
    /// [`BadMetadata::Shape`] after the last version that every reader reads exactly.
    pub fn next(mut self, expires: UnixTime) -> Result<Self, BadMetadata> {
        let version = self.version().saturating_add(1);
        if version > COUNTER_MAX {
            return Err(crate::BadRelease::Field("version").into());
        }
        self.fields.insert("version".to_owned(), Json::Number(version));
        Ok(self.expiring(expires))
    }

    /// The same in this version: for who goes on where another one has been, or after a fast-forward.
    #[must_use]
    pub fn in_version(mut self, version: u64) -> Self {
        self.fields.insert("version".to_owned(), Json::Number(version));
        self
    }

    /// The same, until then, to the second.
    #[must_use]
    pub fn expiring(mut self, expires: UnixTime) -> Self {
        self.fields.insert("expires".to_owned(), Json::Text(expires.whole_second().to_string()));
        self
    }

    /// Makes it ready to be signed.
    ///
    /// # Errors
    /// [`BadMetadata`] as [`crate::tuf::Envelope::decode`]: what nobody could read is not signed.
    pub fn draft(self) -> Result<Draft<R>, BadMetadata> {
        Draft::of(Json::of([("signatures", Json::List(Vec::new())), ("signed", Json::Object(self.fields))]))
    }

    // An object in it, made if it is not there, or is none.
    pub(super) fn object_in(&mut self, field: &str) -> &mut Object {
        object_in(&mut self.fields, field)
    }
}

pub(super) fn object_in<'a>(members: &'a mut Object, field: &str) -> &'a mut Object {
    let value = members.entry(field.to_owned()).or_insert(Json::Null);
    if value.object().is_none() {
        *value = Json::Object(Object::new());
    }
    match value {
        Json::Object(members) => members,
        _ => unreachable!("it was made an object"),
    }
}

/// Who signs for a role, as root and delegations write it.
pub(super) fn rule(keys: &[Key], threshold: Threshold) -> [(&'static str, Json); 2] {
    // One key once: who names it twice means it once.
    let ids: BTreeSet<&str> = keys.iter().map(Key::id).collect();
    let ids = ids.into_iter().map(Json::from).collect();
    [("keyids", Json::List(ids)), ("threshold", Json::Number(threshold.get().into()))]
}

impl Body<Root> {
    /// A root that assigns nothing yet. Files have their version or hash in their names.
    #[must_use]
    pub fn new(expires: UnixTime) -> Self {
        let nothing = || Json::Object(Object::new());
        Self::begin(expires, [("consistent_snapshot", Json::Bool(true)), ("keys", nothing()), ("roles", nothing())])
    }

    /// Assigns a role to keys, in place of those before. Keys that no role has any more go.
    pub fn assign(&mut self, role: Top, keys: &[Key], threshold: Threshold) {
        for key in keys {
            self.object_in("keys").insert(key.id().to_owned(), key.json());
        }
        let about = object_in(self.object_in("roles"), role.name());
        about.extend(rule(keys, threshold).map(|(name, value)| (name.to_owned(), value)));
        let named: BTreeSet<String> = self.object_in("roles").values().flat_map(key_ids).collect();
        self.object_in("keys").retain(|id, _| named.contains(id));
    }
}

/// The key identifiers that an assignment or a delegation names, itself or in the roles that it asks together.
pub(super) fn key_ids(role: &Json) -> Vec<String> {
    let list = |role: &Json, field: &str| {
        let list = role.object().and_then(|role| role.get(field)).and_then(Json::list);
        list.unwrap_or_default().to_vec()
    };
    let together = list(role, "roles").iter().flat_map(|role| list(role, "keyids")).collect::<Vec<_>>();
    list(role, "keyids").iter().chain(&together).filter_map(Json::text).map(str::to_owned).collect()
}

/// What is announced of a metadata file: its version, and its length and hash too if the octets are given.
fn meta_file(version: u64, octets: Option<&[u8]>) -> Json {
    let mut about = BTreeMap::from([("version".to_owned(), Json::Number(version))]);
    if let Some(octets) = octets {
        let length = u64::try_from(octets.len()).unwrap_or(u64::MAX);
        about.insert("length".to_owned(), Json::Number(length));
        about.insert("hashes".to_owned(), hashes(Image { digest: x509::sha256(octets), length }));
    }
    Json::Object(about)
}

pub(super) fn hashes(image: Image) -> Json {
    Json::of([("sha256", Json::Text(image.digest.to_string()))])
}

impl Body<Timestamp> {
    /// A timestamp of this snapshot, whose length and hash it announces too.
    #[must_use]
    pub fn new(expires: UnixTime, version: u64, snapshot: &[u8]) -> Self {
        let mut timestamp = Self::begin(expires, []);
        timestamp.set_snapshot(version, snapshot);
        timestamp
    }

    /// Announces another snapshot.
    pub fn set_snapshot(&mut self, version: u64, snapshot: &[u8]) {
        let name = role_file(Top::Snapshot.name());
        self.object_in("meta").insert(name, meta_file(version, Some(snapshot)));
    }
}

impl Body<Snapshot> {
    /// A snapshot of nothing.
    #[must_use]
    pub fn new(expires: UnixTime) -> Self {
        Self::begin(expires, [("meta", Json::Object(Object::new()))])
    }

    /// Announces a version of a targets role; with the octets, their length and hash too. What is announced once stays
    /// so: a client takes a role that vanishes for an attack.
    pub fn set(&mut self, role: &str, version: u64, octets: Option<&[u8]>) {
        // Off-spec only to the eye: names in snapshots are not percent-encoded, names of files are (TUF 1.0.34 §4.4).
        self.object_in("meta").insert(format!("{role}.json"), meta_file(version, octets));
    }
}

impl Body<super::super::roles::Targets> {
    /// No targets, delegated to nobody.
    #[must_use]
    pub fn new(expires: UnixTime) -> Self {
        Self::begin(expires, [("targets", Json::Object(Object::new()))])
    }
}
