//! What a device is, where its repositories are, how it installs, and who certifies its key.

use crate::commands::Slots;
use crate::enrolment::Setting;
use crate::fault::{Failure, Result};
use crate::keys::{Keys, Private};
use crate::pieces::Pieces;
use crate::state::Carried;
use adapters::files;
use adapters::http::{Files, PATIENCE, Shown};
use model::{DeviceId, DeviceType};
use ports::Signer;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use update::uptane::ComponentId;
use x509::pem;
use zeroize::Zeroizing;

/// Longest configuration, in octets.
const CONFIG_LEN_MAX: u64 = 256 * 1024;
/// Longest file of certificates or of a key.
const PEM_LEN_MAX: u64 = 1024 * 1024;
/// Longest patience with a server, in seconds.
const PATIENCE_MAX_S: u64 = 3600;

/// The configuration, as it is written; names of files in it are relative to its directory.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    device: DeviceId,
    data: PathBuf,
    key: Option<PathBuf>,
    director: Option<Director>,
    images: Option<Images>,
    tls: Option<Tls>,
    #[serde(default)]
    privacy: Privacy,
    #[serde(default)]
    components: BTreeMap<String, ComponentConfig>,
    boot_id: Option<PathBuf>,
    enrolment: Option<Setting>,
    /// A token of PKCS #11, in which keys are made and found (RFC 7512, with `module-path` and `pin-source`).
    token: Option<String>,
}

/// What the agent is there for on a device: one of both, or both.
#[derive(Debug)]
pub(crate) struct Configured {
    /// Who the device is.
    pub(crate) device: DeviceId,
    /// What keeps its software up to date.
    pub(crate) software: Option<Config>,
    /// What keeps its certificate up to date.
    pub(crate) enrolment: Option<Setting>,
}

/// What a device needs to follow its repositories.
#[derive(Debug)]
pub(crate) struct Config {
    /// Who the device is.
    pub(crate) device: DeviceId,
    /// Where the agent keeps what it knows and what is on its way. Nobody else may enter it.
    pub(crate) data: PathBuf,
    /// The key that signs manifests: PKCS #8 in PEM, or the URI of one in the token.
    key: PathBuf,
    token: Option<String>,
    director: Director,
    images: Images,
    tls: Option<Tls>,
    /// What whoever watches is not to see.
    pub(crate) privacy: Privacy,
    /// What it is made of.
    pub(crate) components: BTreeMap<String, ComponentConfig>,
    /// A file that has other contents after each start of the machine.
    pub(crate) boot_id: PathBuf,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Director {
    /// What stands before the name of the device.
    url: String,
    /// Its first root, as it came with the device.
    root: PathBuf,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Images {
    metadata: String,
    targets: String,
    root: PathBuf,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Tls {
    /// By one of these a server's certificate must be issued.
    anchors: PathBuf,
    certificate: Option<PathBuf>,
    key: Option<PathBuf>,
    patience_s: Option<u64>,
}

/// What is kept from whoever carries what is asked and reported.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Privacy {
    pub(crate) manifests: Manifests,
    pub(crate) padding: Padding,
}

/// How manifests go to the director.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Manifests {
    /// Sealed to the key that it announces.
    #[default]
    Sealed,
    /// As they are, to a director that announces none.
    Plain,
}

/// How long is what is asked and reported, and in which pieces images are fetched.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Padding {
    /// In steps, so that it does not follow from what it is.
    #[default]
    Steps,
    /// As short as can be, for lines on which each octet costs.
    None,
}

impl Privacy {
    /// In which pieces an image of so many octets is fetched.
    pub(crate) fn pieces(self, length: u64) -> Pieces {
        match self.padding {
            Padding::Steps => Pieces::hiding(length),
            Padding::None => Pieces::whole(length),
        }
    }
}

/// A component of the device.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ComponentConfig {
    /// What hardware it is.
    pub(crate) hardware_id: DeviceType,
    /// How many roles of the image repository must say the same of its software (TAP 3).
    #[serde(default = "one")]
    pub(crate) signing_roles_min: usize,
    /// The key that signs its reports; the device's, if it has none of its own.
    key: Option<PathBuf>,
    /// What it left the factory with.
    pub(crate) carries: Option<Carried>,
    /// How it is installed.
    pub(crate) slots: Slots,
}

const fn one() -> usize {
    1
}
fn boot_id() -> PathBuf {
    PathBuf::from("/proc/sys/kernel/random/boot_id")
}

/// Where what a device follows is.
pub(crate) struct Places {
    /// What the director has for this device: nonces, and where manifests go.
    pub(crate) director: Files,
    pub(crate) director_metadata: Files,
    pub(crate) metadata: Files,
    pub(crate) targets: Files,
}

impl Configured {
    /// Reads a configuration.
    pub(crate) fn read(path: &Path) -> Result<Self> {
        let octets = files::read_bounded(path, CONFIG_LEN_MAX).map_err(|e| wrong(path, e))?;
        let text = std::str::from_utf8(&octets).map_err(|e| wrong(path, e))?;
        let written: Written = toml::from_str(text).map_err(|e| wrong(path, e))?;
        // Commands are given names of files, and may stand elsewhere.
        let absolute = std::path::absolute(path).map_err(|e| wrong(path, e))?;
        let directory = absolute.parent().unwrap_or(Path::new("/")).to_owned();
        written.settle(&directory).map_err(|why| wrong(path, why))
    }

    /// What keeps the software up to date, which is asked for.
    pub(crate) fn software(self, path: &Path) -> Result<Config> {
        self.software.ok_or_else(|| wrong(path, "it has no [director], [images] and [components]"))
    }

    /// What keeps the certificate up to date, which is asked for.
    pub(crate) fn enrolment(self, path: &Path) -> Result<Setting> {
        self.enrolment.ok_or_else(|| wrong(path, "it has no [enrolment]"))
    }
}

impl Written {
    /// The same, with the names of files below this directory.
    fn settle(self, directory: &Path) -> std::result::Result<Configured, String> {
        let here = |file: PathBuf| directory.join(file);
        let (device, data) = (self.device, here(self.data));
        let enrolment =
            self.enrolment.map(|setting| setting.settle(&device, &data, directory, self.token.clone())).transpose()?;
        let software = match (self.key, self.director, self.images, self.components) {
            (None, None, None, components) if components.is_empty() && enrolment.is_some() => None,
            (Some(key), Some(director), Some(images), mut components) => {
                components.values_mut().filter_map(|one| one.key.as_mut()).for_each(|key| *key = directory.join(&*key));
                let tls = self.tls.map(|tls| Tls {
                    anchors: here(tls.anchors),
                    certificate: tls.certificate.map(here),
                    key: tls.key.map(here),
                    ..tls
                });
                let config = Config {
                    device: device.clone(),
                    data,
                    key: here(key),
                    token: self.token,
                    director: Director { root: here(director.root), ..director },
                    images: Images { root: here(images.root), ..images },
                    tls,
                    privacy: self.privacy,
                    components,
                    boot_id: here(self.boot_id.unwrap_or_else(boot_id)),
                };
                config.check()?;
                Some(config)
            }
            _ => {
                return Err(
                    "key, [director], [images] and [components] belong together; without them, [enrolment]".into()
                );
            }
        };
        Ok(Configured { device, software, enrolment })
    }
}

impl Config {
    fn check(&self) -> std::result::Result<(), String> {
        if self.components.is_empty() {
            return Err("it names no component".to_owned());
        }
        for (name, component) in &self.components {
            name.parse::<ComponentId>().map_err(|_| format!("{name} is no name of a component"))?;
            component.slots.check().map_err(|why| format!("components.{name}.slots: {why}"))?;
        }
        match &self.tls {
            Some(Tls { certificate, key, .. }) if certificate.is_some() != key.is_some() => {
                Err("tls.certificate and tls.key belong together".to_owned())
            }
            Some(Tls { patience_s: Some(seconds), .. }) if !(1..=PATIENCE_MAX_S).contains(seconds) => {
                Err(format!("tls.patience_s is 1 to {PATIENCE_MAX_S}"))
            }
            _ => Ok(()),
        }
    }

    /// The first roots, by the names of the directories in which what is trusted is kept.
    pub(crate) fn roots(&self) -> [(&'static str, &Path); 2] {
        [("director", &self.director.root), ("images", &self.images.root)]
    }

    /// The ways to both repositories. The director's begins with the device.
    pub(crate) fn places(&self) -> Result<Places> {
        let director = format!("{}/{}", self.director.url.trim_end_matches('/'), self.device);
        let shown = self.shown()?;
        let below = |url: &str| self.below(url, shown.as_ref());
        Ok(Places {
            director: below(&director)?,
            director_metadata: below(&format!("{director}/metadata"))?,
            metadata: below(&self.images.metadata)?,
            targets: below(&self.images.targets)?,
        })
    }

    fn keys(&self) -> Result<Keys> {
        Keys::new(self.token.as_deref(), &self.data)
    }

    // What servers are shown that ask who the device is.
    fn shown(&self) -> Result<Option<Shown>> {
        match self.tls.as_ref().map(|tls| (&tls.certificate, &tls.key)) {
            Some((Some(certificate), Some(key))) => {
                Ok(Some(Shown { chain: certificates(certificate)?, key: self.keys()?.shown(&private(key)?)? }))
            }
            _ => Ok(None),
        }
    }

    fn below(&self, url: &str, shown: Option<&Shown>) -> Result<Files> {
        let bad = |why: &dyn std::fmt::Display| {
            Failure::usage(format!("{url} cannot be used")).because(why).next("correct the configuration")
        };
        let patience_s = self.tls.as_ref().and_then(|tls| tls.patience_s);
        let patience = patience_s.map_or(PATIENCE, Duration::from_secs);
        let files = match &self.tls {
            Some(tls) if url.starts_with("https://") => {
                let anchors = certificates(&tls.anchors)?;
                Files::showing(url, &anchors, shown, patience).map_err(|e| bad(&e))
            }
            _ => Files::below(url, &[], patience).map_err(|e| bad(&e)),
        };
        match self.privacy.padding {
            Padding::Steps => files.map(Files::padded),
            Padding::None => files,
        }
    }

    /// The key that signs manifests.
    pub(crate) fn device_key(&self) -> Result<Arc<dyn Signer>> {
        self.signing(&self.key)
    }

    /// The key that signs what a component reports, if it is another one.
    pub(crate) fn component_key(&self, component: &ComponentConfig) -> Result<Option<Arc<dyn Signer>>> {
        component.key.as_deref().map(|key| self.signing(key)).transpose()
    }

    fn signing(&self, path: &Path) -> Result<Arc<dyn Signer>> {
        let opened = self.keys()?.open_for_manifests(&private(path)?);
        opened.map_err(|failure| Failure { what: format!("{} cannot be used", path.display()), ..failure })
    }
}

pub(crate) fn wrong(path: &Path, why: impl std::fmt::Display) -> Failure {
    Failure::usage(format!("{} cannot be used", path.display()))
        .because(why)
        .next("correct it; docs/agent.md has an example")
}

fn octets_of(path: &Path) -> Result<Zeroizing<Vec<u8>>> {
    files::read_bounded(path, PEM_LEN_MAX).map(Zeroizing::new).map_err(|e| wrong(path, e))
}

/// The certificates of a file, which may have a key, too.
pub(crate) fn certificates(path: &Path) -> Result<Vec<Vec<u8>>> {
    pem::blocks_labelled(&octets_of(path)?, "CERTIFICATE").ok_or_else(|| wrong(path, "it has no certificate in PEM"))
}

fn private(path: &Path) -> Result<Private> {
    if files::open_to_others(path).map_err(|e| wrong(path, e))? {
        return Err(wrong(path, ErrorKind::PermissionDenied)
            .because("others than its owner can read it")
            .next("chmod 600"));
    }
    let found = Private::of_pem(&octets_of(path)?);
    found.ok_or_else(|| wrong(path, "it has neither PRIVATE KEY (PKCS #8) nor PKCS11 URI in PEM"))
}

#[cfg(test)]
pub(crate) fn of_text(text: &str) -> Config {
    let written: Written = toml::from_str(text).unwrap();
    written.settle(Path::new("/")).unwrap().software.unwrap()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, certificates_expected: Option<usize>, has_key: bool) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file.pem");
        files::replace(&path, text.as_bytes()).unwrap();
        assert_eq!(certificates(&path).ok().map(|all| all.len()), certificates_expected, "{text}");
        let key = private(&path).ok().map(|key| matches!(key, Private::File(pkcs8) if *pkcs8 == [1]));
        assert_eq!(key, has_key.then_some(true), "{text}");
    }
    #[test]
    fn a_key_and_its_certificates_may_be_in_one_file() {
        let (key, certificate) = (pem::encode("PRIVATE KEY", &[1]), pem::encode("CERTIFICATE", &[2]));
        check(&format!("{key}{certificate}{certificate}"), Some(2), true);
        check(&format!("{certificate}{key}"), Some(1), true);
        check(&certificate, Some(1), false);
        check(&key, None, true);
        check("", None, false);
    }
    #[test]
    fn a_key_that_others_can_read_is_none() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("key.pem");
        files::publish(&path, pem::encode("PRIVATE KEY", &[1]).as_bytes()).unwrap();
        assert!(private(&path).is_err_and(|failure| failure.to_string().contains("others than its owner")));
    }
}
