//! Files in which operators say who a device is, and what is rolled out.

use crate::fault::{Exit, Failure, Result};
use adapters::files;
use director::{Component, Device, Name, Spki};
use model::{DeviceId, DeviceType};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use x509::{Certificate, PublicKey, pem};

/// Longest file of either kind, and of a key.
const LEN_MAX: u64 = 256 * 1024;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct DeviceFile {
    device: DeviceId,
    key: PathBuf,
    #[serde(default)]
    groups: BTreeSet<Name>,
    components: BTreeMap<Name, ComponentFile>,
    #[serde(default)]
    reporters: BTreeMap<Name, PathBuf>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ComponentFile {
    hardware_id: DeviceType,
    key: PathBuf,
}

pub(super) fn read_toml<T: DeserializeOwned>(path: &Path) -> Result<T> {
    let octets = files::read_bounded(path, LEN_MAX).map_err(|e| Failure::file(path, &e))?;
    let wrong = |why: String| {
        Failure::new(Exit::Usage, "usage", format!("{} cannot be used", path.display())).because(why).next("correct it")
    };
    let text = std::str::from_utf8(&octets).map_err(|e| wrong(e.to_string()))?;
    toml::from_str(text).map_err(|e| wrong(e.to_string().trim_end().to_owned()))
}

/// A device, and who reports for it; keys are public keys or certificates in PEM, in files beside it.
pub(super) fn read_device(path: &Path) -> Result<(Device, BTreeMap<Name, Spki>)> {
    let file: DeviceFile = read_toml(path)?;
    let beside = path.parent().unwrap_or(Path::new("."));
    let mut components = BTreeMap::new();
    for (name, component) in file.components {
        let key = read_key(&beside.join(component.key))?;
        components.insert(name, Component { hardware_id: component.hardware_id, key });
    }
    let key = read_key(&beside.join(file.key))?;
    let mut reporters = BTreeMap::new();
    for (name, file) in file.reporters {
        reporters.insert(name, read_key(&beside.join(file))?);
    }
    let device = Device { id: file.device, key, components, groups: file.groups, assigned: BTreeMap::new() };
    Ok((device, reporters))
}

fn read_key(path: &Path) -> Result<Spki> {
    let octets = files::read_bounded(path, LEN_MAX).map_err(|e| Failure::file(path, &e))?;
    let key = pem::decode(&octets).and_then(|(label, der)| match label.as_str() {
        "PUBLIC KEY" => PublicKey::decode(&der).ok(),
        "CERTIFICATE" => Certificate::decode(&der).ok().map(|found| found.tbs().subject_public_key.clone()),
        _ => None,
    });
    key.map(Spki::from).ok_or_else(|| {
        Failure::new(Exit::Usage, "usage", format!("{} cannot be used", path.display()))
            .because("it is neither a public key nor a certificate in PEM")
            .next("name the public half of the key")
    })
}
