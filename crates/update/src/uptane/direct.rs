//! What a director will say: targets of the image repository, word for word, and for which components of which device.

use super::directions::{COMPONENTS_MAX, ComponentId};
use super::fault::BadDirections;
use super::manifest::Report;
use super::sealed::ManifestKey;
use crate::fault::BadRelease;
use crate::json::Json;
use crate::metadata::{Object, SPEC_VERSION, number, object, read_hardware_ids, text};
use crate::tuf::write::Draft;
use crate::tuf::{BadMetadata, HashFunction, Hashes, Target, Targets};
use model::octets::hex;
use model::{DeviceId, DeviceType, UnixTime};
use std::collections::BTreeMap;

/// A target of the image repository, as a director copies it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Offer {
    name: String,
    length: u64,
    hashes: Hashes,
    counter: u64,
    hardware_ids: Vec<DeviceType>,
    agreeing: u64,
}

/// A target for components.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Given<'a> {
    /// What.
    pub offer: &'a Offer,
    /// Which components get it, and what hardware they are.
    pub components: BTreeMap<ComponentId, DeviceType>,
}

impl Offer {
    /// Copies a verified target.
    ///
    /// # Errors
    /// [`BadDirections::Shape`] if the image repository does not say its release counter and its hardware.
    pub fn of(target: &Target) -> Result<Self, BadDirections> {
        let custom = target.custom().and_then(Json::object).ok_or(BadRelease::Field("custom"))?;
        Ok(Self {
            name: target.name().to_owned(),
            length: target.length(),
            hashes: target.hashes().clone(),
            counter: number(custom, "release_counter")?,
            hardware_ids: read_hardware_ids(custom)?,
            agreeing: u64::try_from(target.agreeing()).unwrap_or(u64::MAX),
        })
    }

    /// Its octets, to be kept by who copied it.
    #[must_use]
    pub fn keep(&self) -> Vec<u8> {
        let hardware_ids = self.hardware_ids.iter().map(|id| id.as_str().into()).collect();
        let kept = [
            ("name", self.name.as_str().into()),
            ("length", Json::Number(self.length)),
            ("hashes", self.hashes.json()),
            ("release_counter", Json::Number(self.counter)),
            ("hardware_ids", Json::List(hardware_ids)),
        ];
        let several = (self.agreeing > 1).then_some(("agreeing", Json::Number(self.agreeing)));
        let kept = kept.into_iter().chain(several).map(|(name, said)| (name.to_owned(), said));
        let kept = Json::Object(kept.collect());
        kept.canonical()
    }

    /// One that was kept.
    ///
    /// # Errors
    /// [`BadDirections::Shape`]
    pub fn kept(octets: &[u8]) -> Result<Self, BadDirections> {
        let kept = Json::read(octets)?;
        let kept = kept.object().ok_or(BadRelease::NotJson)?;
        Ok(Self {
            name: text(kept, "name")?.to_owned(),
            length: number(kept, "length")?,
            hashes: Hashes::read(object(kept, "hashes")?).map_err(|_| BadRelease::BadHash)?,
            counter: number(kept, "release_counter")?,
            hardware_ids: read_hardware_ids(kept)?,
            // Of one that was kept before it was counted, one role is known.
            agreeing: if kept.contains_key("agreeing") { number(kept, "agreeing")? } else { 1 },
        })
    }

    /// Whether another is the same target, whoever says so.
    #[must_use]
    pub fn is_same_as(&self, other: &Self) -> bool {
        *self == Self { agreeing: self.agreeing, ..other.clone() }
    }
    /// How many roles of the image repository say it, each with keys of its own.
    #[must_use]
    pub const fn agreeing(&self) -> u64 {
        self.agreeing
    }
    /// Its name in both repositories.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }
    /// How many octets it has.
    #[must_use]
    pub const fn length(&self) -> u64 {
        self.length
    }
    /// Its release counter.
    #[must_use]
    pub const fn counter(&self) -> u64 {
        self.counter
    }
    /// The hardware that it is for.
    #[must_use]
    pub fn hardware_ids(&self) -> &[DeviceType] {
        &self.hardware_ids
    }
    /// Its SHA-256 in hexadecimal digits, if the image repository says it.
    #[must_use]
    pub fn sha256(&self) -> Option<String> {
        self.hashes.of(HashFunction::Sha256).map(hex)
    }
    /// The hash that stands in the name of its file.
    #[must_use]
    pub fn naming(&self) -> String {
        self.hashes.naming()
    }
    /// Whether this is what a component reports.
    #[must_use]
    pub fn is_reported(&self, report: &Report) -> bool {
        report.target == self.name
            && report.counter == self.counter
            && report.image.length == self.length
            && self.hashes.of(HashFunction::Sha256).is_some_and(|octets| hex(octets) == report.image.digest.to_string())
    }

    fn direct(&self, components: &BTreeMap<ComponentId, DeviceType>) -> Json {
        let about = |hardware_id: &DeviceType| Json::of([("hardware_id", hardware_id.as_str().into())]);
        let components = components.iter().map(|(id, hardware_id)| (id.to_string(), about(hardware_id))).collect();
        let custom =
            Json::of([("release_counter", Json::Number(self.counter)), ("components", Json::Object(components))]);
        Json::of([("length", Json::Number(self.length)), ("hashes", self.hashes.json()), ("custom", custom)])
    }
}

/// The targets metadata of a director for one device, to be signed; it names the device also if it gets nothing, and the key to which
/// it is to seal what it reports.
///
/// # Errors
/// [`BadDirections`] as [`Directions::read`](super::Directions::read): what its device would refuse is not signed.
pub fn direct(
    device: &DeviceId,
    version: u64,
    expires: UnixTime,
    given: &[Given<'_>],
    manifest_key: Option<ManifestKey>,
) -> Result<Draft<Targets>, BadDirections> {
    let (mut targets, mut served) = (Object::new(), BTreeMap::new());
    for one in given {
        if one.components.is_empty() {
            return Err(BadDirections::NoComponent);
        }
        for (id, hardware_id) in &one.components {
            if !one.offer.hardware_ids.contains(hardware_id) {
                return Err(BadDirections::WrongHardware);
            }
            if served.insert(id, ()).is_some() {
                return Err(BadDirections::ComponentTwice);
            }
        }
        if targets.insert(one.offer.name.clone(), one.offer.direct(&one.components)).is_some() {
            return Err(BadDirections::OtherName);
        }
    }
    if served.len() > COMPONENTS_MAX {
        return Err(BadDirections::TooMany);
    }
    let named = ("device".to_owned(), Json::Text(device.to_string()));
    let announced = manifest_key.map(|key| key.json()).map(|(field, key)| (field.to_owned(), key));
    let signed = Json::of([
        ("_type", "targets".into()),
        ("spec_version", SPEC_VERSION.into()),
        ("version", Json::Number(version)),
        ("expires", Json::Text(expires.whole_second().to_string())),
        ("targets", Json::Object(targets)),
        ("custom", Json::Object([named].into_iter().chain(announced).collect())),
    ]);
    let file = Json::of([("signatures", Json::List(Vec::new())), ("signed", signed)]);
    Draft::decode(&file.canonical()).map_err(|bad| match bad {
        BadMetadata::Shape(bad) => bad.into(),
        _ => BadDirections::TooMany,
    })
}
