//! The settings of one installation: `cradle.toml` in its data directory.

mod api;
mod gateway;
mod software;

pub(crate) use api::ApiConfig;
pub(crate) use gateway::{AcmeConfig, CmpConfig, GatewayConfig, LabelConfig};
pub(crate) use software::{NoticesConfig, SoftwareConfig};

use crate::fault::{Exit, Failure, Result};
use adapters::bus::nats::Domain;
use adapters::files;
use adapters::store::sql::{OpenFault, Server};
use model::{Digest, Module, StationName, UnixTime};
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};
use zeroize::Zeroizing;

/// The name of the file.
pub(crate) const FILE: &str = "cradle.toml";
const FILE_LEN_MAX: u64 = 64 * 1024;

/// The settings. Everything has a default but the organization's name.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Config {
    /// The maker's name, as certificates say it.
    pub(crate) organization: String,
    /// The maker's IANA private enterprise number. 32473 is the one for examples (RFC 5612).
    pub(crate) maker_pen: u32,
    /// The name of this box, which its modules carry.
    pub(crate) name: StationName,
    /// The box whose name the audit log has: the first one, where several boxes share it; this one if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) log: Option<StationName>,
    /// Whether this installation is a demonstration: its keys lie beside their passphrase and are worth nothing.
    #[serde(default)]
    pub(crate) demo: bool,
    /// The directory of the high-water marks, best on another disk; beside the data directory if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) marks: Option<PathBuf>,
    /// How a station works.
    #[serde(default)]
    pub(crate) station: StationConfig,
    /// Whether only lists that a supplier signed are taken: the operator's own word is not enough.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) signed_lists_only: bool,
    /// How many operators must approve before authorities are made or changed: from two on only in a ceremony.
    #[serde(default = "one", skip_serializing_if = "is_one")]
    pub(crate) operators_needed: usize,
    /// The server that has the records; without one they are in a file beside the keys.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) store: Option<StoreConfig>,
    /// The broker over which modules meet that run in processes of their own; without one they are in one process.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) bus: Option<BusConfig>,
    /// How PKCS #11 tokens are reached, where the URI of a key does not say it.
    #[serde(default, skip_serializing_if = "TokenConfig::is_default")]
    pub(crate) token: TokenConfig,
    /// How much one requester may ask for.
    #[serde(default, skip_serializing_if = "LimitsConfig::is_default")]
    pub(crate) limits: LimitsConfig,
    /// How long what has expired is kept whole; for ever if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) retention: Option<RetentionConfig>,
    /// Which repositories of software this box follows; none if absent, and then no software is taken or flashed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) follow: Option<FollowConfig>,
    /// Where the repositories are that sm follows by itself; it follows only when somebody says so if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) software: Option<SoftwareConfig>,
    /// The door to other networks; there is none if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) gateway: Option<GatewayConfig>,
    /// Whether a box that runs answers programs of operators; only `cradle api` does if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) api: Option<ApiConfig>,
    /// The public keys of those who may read stored images.
    pub(crate) vault: VaultConfig,
}

/// Which repositories of software a box follows: SHA-256 of their first roots, which are in `roots/`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct FollowConfig {
    /// The image repository: what there is.
    pub(crate) images: Digest,
    /// The director: what this box gets. Without one it gets the newest release for each of its device types.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) director: Option<Digest>,
}

const fn one() -> usize {
    1
}

// The signature is serde's.
const fn is_one(n: &usize) -> bool {
    *n == 1
}

/// How long what has expired is kept whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RetentionConfig {
    /// Days after a certificate expired, a list was due to be replaced, or a request ended.
    pub(crate) days_after_expiry: u64,
}

/// A hundred years: who wants longer sets nothing.
const RETENTION_DAYS_MAX: u64 = 36_525;

impl RetentionConfig {
    /// What expired before this moment may go.
    pub(crate) fn edge(self, now: UnixTime) -> UnixTime {
        UnixTime::from_ms(now.ms().saturating_sub(self.days_after_expiry.saturating_mul(86_400_000)))
    }
}

/// How PKCS #11 tokens are reached.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct TokenConfig {
    /// The library of the token's maker.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) module: Option<PathBuf>,
    /// The file that holds the PIN, and that nobody else may read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) pin_file: Option<PathBuf>,
    /// Sessions with each token; as many as cores if absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) sessions_max: Option<std::num::NonZeroUsize>,
}

impl TokenConfig {
    fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

impl From<TokenConfig> for adapters::keystore::Tokens {
    fn from(config: TokenConfig) -> Self {
        let TokenConfig { module, pin_file, sessions_max } = config;
        Self { module, pin_file, sessions_max }
    }
}

/// The PostgreSQL server that has the records.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct StoreConfig {
    /// Where it is: `postgres://USER@HOST/DATABASE`, or words as libpq takes them. No password.
    pub(crate) url: String,
    /// The file that holds the password, and that nobody else may read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) password_file: Option<PathBuf>,
    /// The certificates to trust, in PEM: with them, TLS is a must.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) trust: Option<PathBuf>,
}

/// The broker over which modules meet that run in processes of their own.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct BusConfig {
    /// The servers, `nats://HOST:PORT`; one of them is enough.
    pub(crate) servers: Vec<String>,
    /// The name of all that hear of each other over this broker.
    #[serde(default = "domain", skip_serializing_if = "is_domain")]
    pub(crate) domain: String,
    /// The directory of the seeds with which modules sign in: `bus` in the data directory if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) seeds: Option<PathBuf>,
    /// The certificates to trust, in PEM: with them, TLS is a must.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) trust: Option<PathBuf>,
    /// The modules that run on this box; all if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) modules: Option<Vec<Module>>,
    /// Processes of km on this box.
    #[serde(default = "one", skip_serializing_if = "is_one")]
    pub(crate) authorities: usize,
}

/// The name of all that hear of each other, if nobody says another.
pub(crate) fn domain() -> String {
    "cradle".to_owned()
}

fn is_domain(name: &str) -> bool {
    name == domain()
}

/// Most processes of km on one box: each has a connection to the server of the records, and more than cores are of no use.
const AUTHORITIES_MAX: usize = 64;

impl BusConfig {
    /// A broker at one address.
    pub(crate) fn at(server: String) -> Self {
        Self { servers: vec![server], domain: domain(), seeds: None, trust: None, modules: None, authorities: 1 }
    }

    /// Whether a module runs on this box.
    pub(crate) fn runs(&self, module: Module) -> bool {
        self.modules.as_ref().is_none_or(|modules| modules.contains(&module))
    }

    fn check(&self) -> std::result::Result<(), &'static str> {
        if self.servers.is_empty() {
            return Err("bus.servers names at least one server");
        }
        if self.domain.parse::<Domain>().is_err() {
            return Err("bus.domain is a name of small letters, digits and hyphens");
        }
        if !(1..=AUTHORITIES_MAX).contains(&self.authorities) {
            return Err("bus.authorities is from 1 to 64");
        }
        Ok(())
    }
}

/// Longest password, in octets.
const PASSWORD_LEN_MAX: u64 = 1024;
/// Longest file of certificates to trust, in octets.
const TRUST_LEN_MAX: u64 = 256 * 1024;

impl StoreConfig {
    /// A server at an address. The files are found from wherever a command is started.
    pub(crate) fn at(url: String, password_file: Option<&Path>, trust: Option<&Path>) -> Self {
        // A name that is none fails where it is read, by that name.
        let found = |file: &Path| std::path::absolute(file).unwrap_or_else(|_| file.to_owned());
        Self { url, password_file: password_file.map(found), trust: trust.map(found) }
    }

    /// The server, for a process of this name.
    pub(crate) fn server(&self, process: &str) -> std::result::Result<Server, OpenFault> {
        let unread = |e: std::io::Error| OpenFault::Setting(format!("the file of its password cannot be read: {e}"));
        let password = match &self.password_file {
            Some(path) => {
                let octets = Zeroizing::new(files::read_bounded(path, PASSWORD_LEN_MAX).map_err(unread)?);
                let text = std::str::from_utf8(&octets);
                let text = text.map_err(|_| OpenFault::Setting("the file of its password holds no text".into()))?;
                Some(Zeroizing::new(text.trim_end_matches(['\r', '\n']).to_owned()))
            }
            None => None,
        };
        let anchors = self.trust.as_deref().map(anchors).transpose()?.unwrap_or_default();
        Ok(Server { url: self.url.clone(), password, anchors, process: process.to_owned(), log_mark: None })
    }
}

/// The certificates that speak for the server, in DER.
fn anchors(path: &Path) -> std::result::Result<Vec<Vec<u8>>, OpenFault> {
    let bad = |why: String| OpenFault::Setting(format!("[store] trust: {}: {why}", path.display()));
    let text = files::read_bounded(path, TRUST_LEN_MAX).map_err(|e| bad(e.to_string()))?;
    match x509::pem::blocks(&text) {
        Some(anchors) if !anchors.is_empty() => Ok(anchors),
        _ => Err(bad("it holds no certificates in PEM".into())),
    }
}

/// How much one requester of certificates may ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct LimitsConfig {
    /// Certificates a second in the long run; as many as can be made if absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) certificates_per_s: Option<u32>,
    /// Certificates at once, after a silence.
    pub(crate) burst: u32,
    /// Requests that wait for approval at one time.
    pub(crate) waiting_max: u32,
}

impl LimitsConfig {
    fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

impl Default for LimitsConfig {
    fn default() -> Self {
        let authority::Limits { certificates_per_s, burst, waiting_max } = authority::Limits::default();
        Self { certificates_per_s, burst, waiting_max }
    }
}

impl From<LimitsConfig> for authority::Limits {
    fn from(config: LimitsConfig) -> Self {
        let LimitsConfig { certificates_per_s, burst, waiting_max } = config;
        Self { certificates_per_s, burst, waiting_max }
    }
}

/// The public keys of those who may read stored images, X25519 in hexadecimal digits.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct VaultConfig {
    /// sm's.
    pub(crate) software: Digest,
    /// pm's.
    pub(crate) provisioning: Digest,
}

/// How a station works.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct StationConfig {
    /// Boards that go through the line together.
    pub(crate) tray_len: usize,
    /// How often a flash that did not verify is repeated.
    pub(crate) flash_retries: u64,
}

impl Default for StationConfig {
    fn default() -> Self {
        Self { tray_len: 64, flash_retries: 1 }
    }
}

impl Config {
    /// The box whose name the audit log has.
    pub(crate) fn log(&self) -> &StationName {
        self.log.as_ref().unwrap_or(&self.name)
    }

    /// Whether the gateway listens in any mode.
    pub(crate) fn has_door(&self) -> bool {
        self.gateway.is_some() || self.software.as_ref().is_some_and(|software| software.notices.is_some())
    }

    /// Reads the settings of an installation.
    pub(crate) fn read(data: &Path) -> Result<Self> {
        let path = data.join(FILE);
        let octets = match files::read_bounded(&path, FILE_LEN_MAX) {
            Err(e) if e.kind() == std::io::ErrorKind::NotFound && data.join("keys").exists() => {
                let what = format!("{} is not whole", data.display());
                return Err(Failure::new(Exit::Failed, "half-made", what)
                    .because(format!("there is no {FILE} in it: `cradle init` was interrupted, or somebody removed it"))
                    .next("if init was interrupted, remove the directory and run it again; else restore the file from a backup"));
            }
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => {
                return Err(Failure::new(Exit::NotFound, "no-data", format!("{} is no installation", data.display()))
                    .because(format!("there is no {FILE} in it"))
                    .next("run `cradle init`, or name the data directory with --data or CRADLE_DATA"));
            }
            read => read.map_err(|e| Failure::file(&path, &e))?,
        };
        let text = String::from_utf8_lossy(&octets);
        let config: Self = toml::from_str(&text).map_err(|e| {
            Failure::new(Exit::Usage, "config", format!("{} is not right", path.display()))
                .because(e)
                .next("correct the line that is named")
        })?;
        config.check().map_err(|why| {
            Failure::new(Exit::Usage, "config", format!("{} is not right", path.display()))
                .because(why)
                .next("correct the value that is named")
        })?;
        Ok(config)
    }

    fn check(&self) -> std::result::Result<(), &'static str> {
        if !(1..=model::contract::BATCH_LEN_MAX).contains(&self.station.tray_len) {
            return Err("station.tray_len is from 1 to 512");
        }
        if self.retention.is_some_and(|kept| !(1..=RETENTION_DAYS_MAX).contains(&kept.days_after_expiry)) {
            return Err("retention.days_after_expiry is from 1 to 36525");
        }
        if !(1..=ceremony::OPERATORS_MAX).contains(&self.operators_needed) {
            return Err("operators_needed is from 1 to 32");
        }
        if let Some(gateway) = &self.gateway {
            gateway.check()?;
        }
        if let Some(software) = &self.software {
            software.check()?;
        }
        if let Some(api) = &self.api {
            api.check()?;
        }
        if let Some(bus) = &self.bus {
            bus.check()?;
            if self.store.is_none() {
                return Err("[bus] needs [store]: processes that share records share a server of them");
            }
        }
        check_organization(&self.organization)
    }

    /// Writes the settings of a new installation.
    pub(crate) fn write(&self, data: &Path) -> Result {
        let text = toml::to_string_pretty(self)
            .map_err(|e| Failure::new(Exit::Failed, "config", "the settings cannot be written").because(e))?;
        let path = data.join(FILE);
        files::write_new(&path, text.as_bytes()).map_err(|e| Failure::file(&path, &e))
    }
}

/// An organization's name fits into a certificate. Source: RFC 5280 appendix A.1 (`ub-organization-name`).
pub(crate) fn check_organization(name: &str) -> std::result::Result<(), &'static str> {
    // Authorities put words of their own behind it, and `ub-common-name` is 64 too.
    if name.trim().is_empty() || name.chars().count() > 32 || model::text::printable(name, 64) != name {
        return Err("the organization's name is 1 to 32 printable characters");
    }
    Ok(())
}

/// The places of an installation.
#[derive(Clone, Debug)]
pub(crate) struct Places {
    data: PathBuf,
}

impl Places {
    pub(crate) fn of(data: &Path) -> Self {
        Self { data: data.to_owned() }
    }
    pub(crate) fn data(&self) -> &Path {
        &self.data
    }
    /// The directory of the high-water marks: what must outlive the records.
    pub(crate) fn marks(&self, config: &Config) -> PathBuf {
        config.marks.clone().unwrap_or_else(|| {
            let mut name = self.data.file_name().unwrap_or_default().to_owned();
            name.push(".marks");
            self.data.with_file_name(name)
        })
    }
    pub(crate) fn keys(&self) -> PathBuf {
        self.data.join("keys")
    }
    pub(crate) fn passphrase(&self) -> PathBuf {
        self.data.join("secrets").join("passphrase")
    }
    pub(crate) fn profiles(&self) -> PathBuf {
        self.data.join("profiles")
    }
    pub(crate) fn device_types(&self) -> PathBuf {
        self.data.join("device-types")
    }
    /// The directory of the first roots of the repositories that this box follows.
    pub(crate) fn roots(&self) -> PathBuf {
        self.data.join("roots")
    }
    pub(crate) fn vault(&self) -> PathBuf {
        self.data.join("vault")
    }
    /// The directory of what modules sign in to the broker with.
    pub(crate) fn bus(&self, config: &BusConfig) -> PathBuf {
        config.seeds.clone().unwrap_or_else(|| self.data.join("bus"))
    }
    /// The directory of what this box keeps for itself where the other records are shared: its mode.
    pub(crate) fn box_records(&self) -> PathBuf {
        self.data.join("box")
    }
}
