//! What a device reports: which software each component has, signed by the component, and all of it by the device.
//!
//! Whoever reads it gives a nonce before, and it stands in the manifest and in each report: an older manifest, or an older report
//! of a component in a new one, is refused.

use super::directions::{COMPONENTS_MAX, ComponentId};
use super::fault::BadDirections;
use crate::fault::BadRelease;
use crate::json::Json;
use crate::metadata::{Image, Object, number, object, text};
use model::octets::{from_hex, hex};
use model::{DeviceId, DeviceType, Nonce};
use std::collections::BTreeMap;
use x509::{KeyType, PublicKey, SignatureAlgorithm, signature};

/// Longest manifest, in octets: a report takes about six hundred.
pub const MANIFEST_LEN_MAX: usize = 512 * 1024;

const MANIFEST: &str = "manifest";
const REPORT: &str = "report";

/// What a component says that it carries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// Which component.
    pub component: ComponentId,
    /// What hardware it is.
    pub hardware_id: DeviceType,
    /// The name of the target in the repositories.
    pub target: String,
    /// Its octets.
    pub image: Image,
    /// Its release counter.
    pub counter: u64,
}

/// A manifest that was read and is believed by nobody.
#[derive(Debug)]
pub struct Manifest {
    device: String,
    nonce: Nonce,
    reports: Vec<Sealed>,
    seal: Seal,
}

// What was signed, octet for octet, and by what.
#[derive(Debug)]
struct Seal {
    message: Vec<u8>,
    signature: Vec<u8>,
}

#[derive(Debug)]
struct Sealed {
    report: Report,
    nonce: Nonce,
    seal: Seal,
}

/// Who is to have signed what.
#[derive(Clone, Copy, Debug)]
pub struct Expected<'a> {
    /// The device.
    pub device: &'a DeviceId,
    /// Its key.
    pub key: &'a PublicKey,
    /// The nonce that it was given for this manifest.
    pub nonce: Nonce,
    /// All of its components: their keys, and what hardware they are.
    pub components: &'a BTreeMap<ComponentId, (PublicKey, DeviceType)>,
}

/// What all components of a device have reported. Only [`Manifest::verify`] makes one.
#[derive(Debug, PartialEq, Eq)]
pub struct Reported(BTreeMap<ComponentId, Report>);

impl Reported {
    /// What each component carries.
    #[must_use]
    pub const fn components(&self) -> &BTreeMap<ComponentId, Report> {
        &self.0
    }
}

impl Manifest {
    /// Reads a manifest.
    ///
    /// Limits: [`MANIFEST_LEN_MAX`], 256 components, [`crate::DEPTH_MAX`].
    /// # Errors
    /// [`BadDirections::Shape`], [`BadDirections::TooMany`]
    pub fn decode(octets: &[u8]) -> Result<Self, BadDirections> {
        if octets.len() > MANIFEST_LEN_MAX {
            return Err(BadRelease::TooLong.into());
        }
        let file = Json::read(octets)?;
        let (signed, seal) = unseal(&file, MANIFEST)?;
        let list = signed.get("reports").and_then(Json::list).ok_or(BadRelease::Field("reports"))?;
        if list.len() > COMPONENTS_MAX {
            return Err(BadDirections::TooMany);
        }
        let reports = list.iter().map(Sealed::read).collect::<Result<_, BadRelease>>()?;
        Ok(Self { device: text(signed, "device")?.to_owned(), nonce: nonce(signed)?, reports, seal })
    }

    /// Verifies that the device and each of its components say this, now.
    ///
    /// # Errors
    /// [`BadDirections`]. Source: Uptane 2.1.0 §5.4.2.1, §5.3.2.
    pub fn verify(self, expected: &Expected<'_>) -> Result<Reported, BadDirections> {
        if !self.seal.holds(expected.key) {
            return Err(BadDirections::NotTheDevice);
        }
        if self.device != expected.device.to_string() {
            return Err(BadDirections::OtherDevice);
        }
        if self.nonce != expected.nonce {
            return Err(BadDirections::Replayed);
        }
        let mut reported = BTreeMap::new();
        for Sealed { report, nonce, seal } in self.reports {
            let (key, hardware_id) =
                expected.components.get(&report.component).ok_or(BadDirections::UnknownComponent)?;
            if !seal.holds(key) {
                return Err(BadDirections::NotTheComponent);
            }
            if nonce != expected.nonce {
                return Err(BadDirections::Replayed);
            }
            if report.hardware_id != *hardware_id {
                return Err(BadDirections::WrongHardware);
            }
            if reported.insert(report.component.clone(), report).is_some() {
                return Err(BadDirections::ComponentTwice);
            }
        }
        if reported.len() < expected.components.len() {
            return Err(BadDirections::ComponentMissing);
        }
        Ok(Reported(reported))
    }
}

impl Seal {
    fn holds(&self, key: &PublicKey) -> bool {
        signature::verify(key, algorithm(key.key_type()), &self.message, &self.signature).is_ok()
    }
}

impl Sealed {
    fn read(report: &Json) -> Result<Self, BadRelease> {
        let (signed, seal) = unseal(report, REPORT)?;
        let digest = text(object(signed, "hashes")?, "sha256").map_err(|_| BadRelease::BadHash)?;
        let image =
            Image { digest: digest.parse().map_err(|_| BadRelease::BadHash)?, length: number(signed, "length")? };
        let report = Report {
            component: text(signed, "component")?.parse()?,
            hardware_id: text(signed, "hardware_id")?.parse().map_err(|_| BadRelease::BadName)?,
            target: text(signed, "target")?.to_owned(),
            image,
            counter: number(signed, "release_counter")?,
        };
        Ok(Self { report, nonce: nonce(signed)?, seal })
    }
}

fn unseal<'a>(file: &'a Json, expected: &str) -> Result<(&'a Object, Seal), BadRelease> {
    let members = file.object().ok_or(BadRelease::Field("signed"))?;
    let signed = members.get("signed").ok_or(BadRelease::Field("signed"))?;
    let fields = signed.object().ok_or(BadRelease::Field("signed"))?;
    if text(fields, "_type")? != expected {
        return Err(BadRelease::UnknownType);
    }
    let signature = from_hex(text(members, "sig")?).map_err(|_| BadRelease::Field("sig"))?;
    Ok((fields, Seal { message: signed.canonical(), signature }))
}

fn nonce(signed: &Object) -> Result<Nonce, BadRelease> {
    text(signed, "nonce")?.parse().map_err(|_| BadRelease::Field("nonce"))
}

/// One algorithm for each type of key, so that nobody is asked.
const fn algorithm(key: KeyType) -> SignatureAlgorithm {
    match key {
        KeyType::Ed25519 => SignatureAlgorithm::Ed25519,
        KeyType::P256 => SignatureAlgorithm::EcdsaSha256,
        KeyType::P384 => SignatureAlgorithm::EcdsaSha384,
        KeyType::P521 => SignatureAlgorithm::EcdsaSha512,
        KeyType::Rsa(_) => SignatureAlgorithm::RsaPssSha256,
        KeyType::MlDsa44 => SignatureAlgorithm::MlDsa44,
        KeyType::MlDsa65 => SignatureAlgorithm::MlDsa65,
        KeyType::MlDsa87 => SignatureAlgorithm::MlDsa87,
    }
}

/// Writes what a component reports. `sign` gets what is signed, and nothing else.
///
/// # Errors
/// What `sign` gives.
pub fn write_report<E>(
    report: &Report,
    nonce: Nonce,
    sign: impl FnOnce(&[u8]) -> Result<Vec<u8>, E>,
) -> Result<Vec<u8>, E> {
    let signed = Json::of([
        ("_type", REPORT.into()),
        ("component", report.component.as_str().into()),
        ("hardware_id", report.hardware_id.as_str().into()),
        ("target", report.target.as_str().into()),
        ("length", Json::Number(report.image.length)),
        ("hashes", Json::of([("sha256", Json::Text(report.image.digest.to_string()))])),
        ("release_counter", Json::Number(report.counter)),
        ("nonce", Json::Text(nonce.to_string())),
    ]);
    Ok(seal(signed, sign)?.canonical())
}

/// Writes what a device reports, of what its components have reported.
///
/// # Errors
/// What `sign` gives. Reports that are no JSON are left out; whoever reads the manifest misses them.
pub fn write_manifest<E>(
    device: &DeviceId,
    nonce: Nonce,
    reports: &[Vec<u8>],
    sign: impl FnOnce(&[u8]) -> Result<Vec<u8>, E>,
) -> Result<Vec<u8>, E> {
    let reports = reports.iter().filter_map(|report| Json::read(report).ok()).collect();
    let signed = Json::of([
        ("_type", MANIFEST.into()),
        ("device", Json::Text(device.to_string())),
        ("nonce", Json::Text(nonce.to_string())),
        ("reports", Json::List(reports)),
    ]);
    Ok(seal(signed, sign)?.canonical())
}

fn seal<E>(signed: Json, sign: impl FnOnce(&[u8]) -> Result<Vec<u8>, E>) -> Result<Json, E> {
    let signature = sign(&signed.canonical())?;
    Ok(Json::of([("sig", Json::Text(hex(&signature))), ("signed", signed)]))
}
