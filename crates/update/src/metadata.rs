//! The metadata of a release: read, then verified, then found to be current. Each step takes the one before.
//!
//! A release that is only parsed has no way to the image's digest, to the check of an image, or to a device.
//!
//! ```
//! # use update::{BadRelease, Metadata, Parsed, Statement, StoredRelease, Terms, Threshold};
//! # fn f(parsed: Metadata<Parsed>, keys: &[x509::PublicKey], now: model::UnixTime, t: &model::DeviceType,
//! #      image: &mut dyn std::io::Read, stored: StoredRelease<'_>, terms: &Terms<'_>) -> Result<(), BadRelease> {
//! let verified = parsed.verify(keys, Threshold::ONE)?.current(now)?.verify_image(image)?;
//! let statement = Statement::of(&verified, now);
//!
//! let verified = stored.verify(terms)?.verify_image(image)?;
//! let cleared = verified.clear(t, 0)?;
//! let digest = cleared.image().digest;
//! # Ok(()) }
//! ```
//! What is not verified is not current:
//! ```compile_fail,E0599
//! # use update::{Metadata, Parsed};
//! # fn f(parsed: Metadata<Parsed>, now: model::UnixTime) {
//! parsed.current(now);
//! # }
//! ```
//! What is not known to be current has no image:
//! ```compile_fail,E0599
//! # use update::{Metadata, Verified};
//! # fn f(verified: Metadata<Verified>, image: &mut dyn std::io::Read) {
//! verified.verify_image(image);
//! # }
//! ```
//! What is not verified says nothing:
//! ```compile_fail,E0599
//! # use update::{Metadata, Parsed};
//! # fn f(parsed: Metadata<Parsed>) {
//! parsed.release();
//! # }
//! ```
//! Without its image, not even verified metadata gives the digest away:
//! ```compile_fail,E0624
//! # use update::{Current, Metadata};
//! # fn f(current: Metadata<Current>) {
//! current.image().digest;
//! # }
//! ```
//! An image that is not finished is not verified:
//! ```compile_fail,E0599
//! # use update::{Countersigned, ImageCheck};
//! # fn f(check: ImageCheck<Countersigned>, t: &model::DeviceType) {
//! check.clear(t, 0);
//! # }
//! ```
//! A verified image is not put on a device before it is cleared for it:
//! ```compile_fail,E0599
//! # use update::{Countersigned, VerifiedImage};
//! # fn f(image: VerifiedImage<Countersigned>, source: std::io::Empty) {
//! image.reader(source);
//! # }
//! ```
//! Nor is it cleared if nobody countersigned it:
//! ```compile_fail,E0599
//! # use update::{Current, VerifiedImage};
//! # fn f(image: VerifiedImage<Current>, t: &model::DeviceType) {
//! image.clear(t, 0);
//! # }
//! ```
//! A proof is not copied:
//! ```compile_fail,E0599
//! # use update::{Current, VerifiedImage};
//! # fn f(image: VerifiedImage<Current>) -> VerifiedImage<Current> {
//! image.clone()
//! # }
//! ```
//! Nor is it made of octets:
//! ```compile_fail,E0277
//! # fn f(octets: &[u8]) {
//! serde_json::from_slice::<update::Metadata<update::Verified>>(octets);
//! # }
//! ```
//! What was not verified is not countersigned:
//! ```compile_fail,E0308
//! # use update::{Current, Metadata, Statement};
//! # fn f(current: &Metadata<Current>, now: model::UnixTime) {
//! Statement::of(current, now);
//! # }
//! ```

use crate::fault::BadRelease;
use crate::json::Json;
use crate::name::PlainName;
use model::octets::from_hex;
use model::time::Civil;
use model::{DeviceType, Digest, UnixTime};
use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroU8;
use x509::{PublicKey, SignatureAlgorithm, sha256, signature};

/// Longest metadata file, in octets. One target with its signatures takes about two; the rest is for unknown fields.
pub const METADATA_LEN_MAX: usize = 64 * 1024;
/// Most signatures under one release: more people than ever sign one.
pub const SIGNATURES_MAX: usize = 16;
/// Most device types that one release is for.
pub const HARDWARE_IDS_MAX: usize = 64;
/// Largest image, in octets: 64 GiB, more than the memory of any device of this kind.
pub const IMAGE_LEN_MAX: u64 = 64 << 30;
/// Highest release counter, and highest version of a metadata file: every reader of JSON reads it exactly, and every
/// store keeps it. Source: RFC 8259 §6.
pub const COUNTER_MAX: u64 = (1 << 53) - 1;
// Longest signature in octets (RSA-4096 has 512, ML-DSA-65 has 3309), and longest key identifier in characters.
const SIGNATURE_LEN_MAX: usize = 4096;
pub(crate) const KEY_ID_LEN_MAX: usize = 128;

pub(crate) const TYPE: &str = "targets";
pub(crate) const SPEC_VERSION: &str = "1.0.34";
pub(crate) const SPEC_MAJOR: &str = "1";

/// How many keys must have signed. Never zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Threshold(NonZeroU8);

impl Threshold {
    /// One key.
    pub const ONE: Self = Self(NonZeroU8::MIN);

    /// This many keys; `None` for zero, which would need no signature at all.
    #[must_use]
    pub fn new(keys: u8) -> Option<Self> {
        NonZeroU8::new(keys).map(Self)
    }

    /// How many.
    #[must_use]
    pub const fn get(self) -> u8 {
        self.0.get()
    }
}

/// What a release says of itself, without its image's digest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Release {
    /// Name of the target.
    pub target: PlainName,
    /// What it is called.
    pub name: PlainName,
    /// Which version of it.
    pub version: PlainName,
    /// Rises with each release for a device type, whatever the version is called.
    pub counter: u64,
    /// For which device types. At least one, each once.
    pub hardware_ids: Vec<DeviceType>,
    /// Version of the metadata file itself; at least 1.
    pub metadata_version: u64,
    /// When the metadata ends. It is not current from this moment on.
    pub expires: UnixTime,
}

impl Release {
    /// Name and version, as records say it.
    #[must_use]
    pub fn title(&self) -> String {
        format!("{} {}", self.name, self.version)
    }
}

/// Length and digest of an image.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Image {
    /// SHA-256 of its octets.
    pub digest: Digest,
    /// How many octets.
    pub length: u64,
}

/// The metadata of a release. `S` says how much of it is proved: [`Parsed`], [`Verified`],
/// [`Current`] or [`Countersigned`].
///
/// What is only parsed tells nothing of the image, and nothing can be checked against it.
#[derive(Debug)]
pub struct Metadata<S> {
    release: Release,
    image: Image,
    digest: Digest,
    state: S,
}

/// Read, of the right shape, believed by nobody.
#[derive(Debug)]
pub struct Parsed {
    to_be_verified: Vec<u8>,
    signatures: Vec<Signature>,
}
/// Signed by enough known keys.
#[derive(Debug)]
pub struct Verified(());
/// Verified, and not expired at the moment for which it was asked: as sm has it.
#[derive(Debug)]
pub struct Current(());
/// Verified and countersigned, and not expired when it was countersigned: as a station has it.
#[derive(Debug)]
pub struct Countersigned(());

/// Metadata that an image may be compared with.
pub trait Timely: sealed::Sealed {}
impl Timely for Current {}
impl Timely for Countersigned {}

mod sealed {
    pub trait Sealed {}
    impl Sealed for super::Current {}
    impl Sealed for super::Countersigned {}
}

#[derive(Debug)]
struct Signature {
    key_id: String,
    octets: Vec<u8>,
}

impl Metadata<Parsed> {
    /// Reads a metadata file.
    ///
    /// Limits: [`METADATA_LEN_MAX`], [`SIGNATURES_MAX`], [`HARDWARE_IDS_MAX`], [`IMAGE_LEN_MAX`], [`crate::DEPTH_MAX`].
    /// # Errors
    /// [`BadRelease`]
    /// Source: TUF 1.0.34 §4.2, §4.5.
    pub fn decode(octets: &[u8]) -> Result<Self, BadRelease> {
        if octets.len() > METADATA_LEN_MAX {
            return Err(BadRelease::TooLong);
        }
        Self::of(&Json::read(octets)?, sha256(octets))
    }

    pub(crate) fn of(file: &Json, digest: Digest) -> Result<Self, BadRelease> {
        let members = file.object().ok_or(BadRelease::Field("signed"))?;
        let signed = members.get("signed").ok_or(BadRelease::Field("signed"))?;
        let signatures = read_signatures(members.get("signatures"))?;
        let (release, image) = read_signed(signed)?;
        // What is verified is the canonical form of the very tree that was read here.
        Ok(Self { release, image, digest, state: Parsed { to_be_verified: signed.canonical(), signatures } })
    }

    /// Verifies the signatures. Those of unknown keys count nothing; no key counts twice.
    ///
    /// # Errors
    /// [`BadRelease::UnknownSigner`] if no signature names a key of `keys`; [`BadRelease::TooFewSignatures`] if fewer
    /// hold than `threshold` asks for.
    /// Source: TUF 1.0.34 §5.6.4.
    pub fn verify(self, keys: &[PublicKey], threshold: Threshold) -> Result<Metadata<Verified>, BadRelease> {
        let known: BTreeMap<String, &PublicKey> = keys.iter().map(|key| (key_id(key), key)).collect();
        let mine = self.state.signatures.iter().filter_map(|s| Some((*known.get(&s.key_id)?, s)));
        if mine.clone().next().is_none() {
            return Err(BadRelease::UnknownSigner);
        }
        // Key identifiers are all different (`read_signatures`), and so are keys of different identifiers.
        let holding = mine.filter(|(key, s)| holds(key, &self.state.to_be_verified, &s.octets)).count();
        if holding < usize::from(threshold.0.get()) {
            return Err(BadRelease::TooFewSignatures);
        }
        Ok(self.become_(Verified(())))
    }

    // For the one who signs: this and nothing else is signed.
    pub(crate) fn to_be_signed(&self) -> &[u8] {
        &self.state.to_be_verified
    }
    pub(crate) fn signed_by(&self, key_id: &str) -> bool {
        self.state.signatures.iter().any(|signature| signature.key_id == key_id)
    }
    pub(crate) const fn claims(&self) -> (&Release, Image) {
        (&self.release, self.image)
    }
}

impl Metadata<Verified> {
    /// Takes it for current at `now`.
    ///
    /// # Errors
    /// [`BadRelease::Expired`]
    pub fn current(self, now: UnixTime) -> Result<Metadata<Current>, BadRelease> {
        if now >= self.release.expires { Err(BadRelease::Expired) } else { Ok(self.become_(Current(()))) }
    }

    // Only for the one who has found a countersignature of it; the time is that of the countersignature.
    pub(crate) fn countersigned(self, verified_at: UnixTime) -> Result<Metadata<Countersigned>, BadRelease> {
        Ok(self.current(verified_at)?.become_(Countersigned(())))
    }

    /// What it says.
    #[must_use]
    pub const fn release(&self) -> &Release {
        &self.release
    }
}

impl<S: Timely> Metadata<S> {
    /// What it says.
    #[must_use]
    pub const fn release(&self) -> &Release {
        &self.release
    }
    /// How many octets its image has.
    #[must_use]
    pub const fn length(&self) -> u64 {
        self.image.length
    }
}

impl<S> Metadata<S> {
    /// SHA-256 of the file as it was received.
    #[must_use]
    pub const fn digest(&self) -> Digest {
        self.digest
    }
    pub(crate) const fn image(&self) -> Image {
        self.image
    }
    fn become_<T>(self, state: T) -> Metadata<T> {
        Metadata { release: self.release, image: self.image, digest: self.digest, state }
    }
}

/// The identifier of a key: SHA-256 of its SubjectPublicKeyInfo in lower-case hexadecimal digits.
#[must_use]
pub fn key_id(key: &PublicKey) -> String {
    key.digest().to_string()
}

pub(crate) fn holds(key: &PublicKey, message: &[u8], octets: &[u8]) -> bool {
    signature::verify(key, SignatureAlgorithm::Ed25519, message, octets).is_ok()
}

pub(crate) type Object = BTreeMap<String, Json>;

fn read_signatures(list: Option<&Json>) -> Result<Vec<Signature>, BadRelease> {
    const SIGNATURES: BadRelease = BadRelease::Field("signatures");
    let list = list.and_then(Json::list).ok_or(SIGNATURES)?;
    if list.len() > SIGNATURES_MAX {
        return Err(BadRelease::TooManySignatures);
    }
    let mut seen = BTreeSet::new();
    let read = |signature: &Json| {
        let signature = signature.object().ok_or(SIGNATURES)?;
        let key_id = text(signature, "keyid")?;
        let octets = from_hex(text(signature, "sig")?).map_err(|_| BadRelease::Field("sig"))?;
        if key_id.len() > KEY_ID_LEN_MAX || octets.len() > SIGNATURE_LEN_MAX {
            return Err(SIGNATURES);
        }
        if !seen.insert(key_id.to_owned()) {
            return Err(BadRelease::KeyTwice);
        }
        Ok(Signature { key_id: key_id.to_owned(), octets })
    };
    list.iter().map(read).collect()
}

fn read_signed(signed: &Json) -> Result<(Release, Image), BadRelease> {
    let signed = signed.object().ok_or(BadRelease::Field("signed"))?;
    if text(signed, "_type")? != TYPE {
        return Err(BadRelease::UnknownType);
    }
    read_spec_version(text(signed, "spec_version")?)?;
    let metadata_version = number(signed, "version")?;
    if metadata_version == 0 {
        return Err(BadRelease::Field("version"));
    }
    let expires = read_time(text(signed, "expires")?).ok_or(BadRelease::BadExpiry)?;
    let targets = object(signed, "targets")?;
    let mut targets_in_order = targets.iter();
    let (Some((target, about)), None) = (targets_in_order.next(), targets_in_order.next()) else {
        return Err(BadRelease::NotOneTarget);
    };
    let about = about.object().ok_or(BadRelease::Field("targets"))?;
    let custom = object(about, "custom")?;
    let release = Release {
        target: target.parse()?,
        name: text(custom, "release")?.parse()?,
        version: text(custom, "release_version")?.parse()?,
        counter: number(custom, "release_counter")?,
        hardware_ids: read_hardware_ids(custom)?,
        metadata_version,
        expires,
    };
    Ok((release, read_image(about)?))
}

fn read_image(about: &Object) -> Result<Image, BadRelease> {
    let length = number(about, "length")?;
    if length == 0 || length > IMAGE_LEN_MAX {
        return Err(BadRelease::BadLength);
    }
    let hashes = object(about, "hashes")?;
    let digest = text(hashes, "sha256").map_err(|_| BadRelease::BadHash)?;
    Ok(Image { digest: digest.parse().map_err(|_| BadRelease::BadHash)?, length })
}

pub(crate) fn read_hardware_ids(custom: &Object) -> Result<Vec<DeviceType>, BadRelease> {
    const FIELD: BadRelease = BadRelease::Field("hardware_ids");
    let list = custom.get("hardware_ids").and_then(Json::list).ok_or(FIELD)?;
    let read = |id: &Json| id.text().ok_or(FIELD)?.parse().map_err(|_| BadRelease::BadName);
    let hardware_ids = list.iter().take(HARDWARE_IDS_MAX + 1).map(read).collect::<Result<Vec<DeviceType>, _>>()?;
    if hardware_ids.is_empty() {
        return Err(BadRelease::NoHardware);
    }
    let different: BTreeSet<&DeviceType> = hardware_ids.iter().collect();
    if hardware_ids.len() > HARDWARE_IDS_MAX || different.len() != hardware_ids.len() {
        return Err(BadRelease::TooMuchHardware);
    }
    Ok(hardware_ids)
}

// Three numbers, of which the first must be ours.
fn read_spec_version(version: &str) -> Result<(), BadRelease> {
    let parts: Vec<&str> = version.split('.').take(4).collect();
    let counts = parts.iter().all(|part| !part.is_empty() && part.bytes().all(|c| c.is_ascii_digit()));
    if counts && parts.len() == 3 && parts.first() == Some(&SPEC_MAJOR) {
        Ok(())
    } else {
        Err(BadRelease::OtherSpecVersion)
    }
}

// `2027-01-31T00:00:00Z`, and no other way to write it.
pub(crate) fn read_time(text: &str) -> Option<UnixTime> {
    let number = |from: usize, to: usize| text.get(from..to)?.parse().ok();
    let civil = Civil {
        year: number(0, 4)?,
        month: number(5, 7)?,
        day: number(8, 10)?,
        hour: number(11, 13)?,
        minute: number(14, 16)?,
        second: number(17, 19)?,
    };
    UnixTime::from_civil(civil).filter(|time| time.to_string() == text)
}

pub(crate) fn object<'a>(members: &'a Object, field: &'static str) -> Result<&'a Object, BadRelease> {
    members.get(field).and_then(Json::object).ok_or(BadRelease::Field(field))
}
pub(crate) fn text<'a>(members: &'a Object, field: &'static str) -> Result<&'a str, BadRelease> {
    members.get(field).and_then(Json::text).ok_or(BadRelease::Field(field))
}
pub(crate) fn number(members: &Object, field: &'static str) -> Result<u64, BadRelease> {
    members.get(field).and_then(Json::number).filter(|n| *n <= COUNTER_MAX).ok_or(BadRelease::Field(field))
}
