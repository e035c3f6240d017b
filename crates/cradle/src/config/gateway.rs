//! What `cradle.toml` says of the gateway.

use super::Config;
use adapters::http::serve::Oldest;
use adapters::looking;
use authority::{AcmeLabel, CmpLabel, REGISTRATION_AUTHORITIES_MAX};
use gateway::{LabelStyle, ServerKeys};
use model::contract::acme::ChallengeKind;
use model::{EstLabel, ProfileName, StationName};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use wire::est::Lines;
use x509::Certificate;

/// Most labels.
const LABELS_MAX: usize = 256;
/// Most host names of the gateway: as many as its profile gives.
const NAMES_MAX: usize = 8;

/// The door to other networks. It is open in the mode certificate-management only.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct GatewayConfig {
    /// Where EST and CMP are answered, over TLS; nowhere if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) https: Option<SocketAddr>,
    /// Where CMP, OCSP, lists and certificates of authorities are answered, in the clear; nowhere if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) http: Option<SocketAddr>,
    /// The host names by which clients know it. km certifies it for them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) names: Vec<String>,
    /// Its certificate and those above it, in PEM, if km does not certify it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) tls_certificate: Option<PathBuf>,
    /// The key of that certificate: PKCS #8 in PEM, readable by nobody else.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) tls_key: Option<PathBuf>,
    /// The oldest version of TLS that is spoken: 1.2 is for clients that cannot be changed.
    #[serde(default, skip_serializing_if = "is_default")]
    pub(crate) tls: OldestTls,
    /// Requests a second that one address has at `https`, and ten times as many at `http`; more where many devices are behind one address. 20 if
    /// absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) requests_per_s: Option<NonZeroU32>,
    /// The label that is taken where a path has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) label: Option<EstLabel>,
    /// What is had under each label of EST.
    #[serde(default)]
    pub(crate) est: BTreeMap<EstLabel, LabelConfig>,
    /// What is had under each label of CMP; without one, CMP is not answered.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) cmp: BTreeMap<EstLabel, CmpConfig>,
    /// What is had under each label of ACME; without one, ACME is not answered.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) acme: BTreeMap<EstLabel, AcmeConfig>,
    /// What is had under each label of SCEP; without one, SCEP is not answered.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) scep: BTreeMap<EstLabel, ScepConfig>,
    /// How it is looked where names are to be proved.
    #[serde(default)]
    pub(crate) validation: ValidationConfig,
}

/// What is had under one label of SCEP.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ScepConfig {
    /// Certificates of which profile.
    pub(crate) profile: ProfileName,
}

/// What is had under one label of ACME.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct AcmeConfig {
    /// Certificates of which profile.
    pub(crate) profile: ProfileName,
    /// By which challenges names are proved.
    #[serde(default = "all_challenges")]
    pub(crate) challenges: Vec<ChallengeKind>,
    /// A file with the certificates of who vouches for TPMs, in PEM.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) attestation_roots: Option<PathBuf>,
}

fn all_challenges() -> Vec<ChallengeKind> {
    ChallengeKind::ALL.to_vec()
}

/// How it is looked where names are to be proved.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct ValidationConfig {
    /// The resolver that is asked; the first one of the system if absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) resolver: Option<SocketAddr>,
    /// The port of `http-01`.
    pub(crate) http_port: u16,
    /// The port of `tls-alpn-01`.
    pub(crate) tls_port: u16,
    /// Networks that are asked although they are private, such as `10.0.0.0/8`.
    pub(crate) allowed_networks: Vec<String>,
    /// How long one look takes at most.
    pub(crate) within_s: u64,
}

impl Default for ValidationConfig {
    fn default() -> Self {
        Self { resolver: None, http_port: 80, tls_port: 443, allowed_networks: Vec::new(), within_s: 10 }
    }
}

/// How long one look may take: a client waits for it, and so do the next ones.
const LOOK_WITHIN_S: RangeInclusive<u64> = 1..=30;

impl ValidationConfig {
    fn check(&self) -> Result<(), &'static str> {
        if !LOOK_WITHIN_S.contains(&self.within_s) {
            return Err("gateway.validation.within_s is from 1 to 30");
        }
        if self.http_port == 0 || self.tls_port == 0 {
            return Err("gateway.validation has ports from 1 to 65535");
        }
        let is_network = |text: &String| text.parse::<looking::Network>().is_ok();
        if self.allowed_networks.len() > LABELS_MAX || !self.allowed_networks.iter().all(is_network) {
            return Err("gateway.validation.allowed_networks has networks such as 10.0.0.0/8");
        }
        Ok(())
    }

    pub(crate) fn looking(&self) -> looking::Setting {
        looking::Setting {
            resolver: self.resolver,
            http_port: self.http_port,
            tls_port: self.tls_port,
            allowed: self.allowed_networks.iter().filter_map(|text| text.parse().ok()).collect(),
            within: Duration::from_secs(self.within_s),
        }
    }
}

/// A version of TLS.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum OldestTls {
    /// The one that is spoken anyway.
    #[default]
    #[serde(rename = "1.3")]
    Tls13,
    /// The one before.
    #[serde(rename = "1.2")]
    Tls12,
}

impl From<OldestTls> for Oldest {
    fn from(oldest: OldestTls) -> Self {
        match oldest {
            OldestTls::Tls13 => Self::Tls13,
            OldestTls::Tls12 => Self::Tls12,
        }
    }
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

/// What is had under one label of CMP.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct CmpConfig {
    /// Certificates of which profile.
    pub(crate) profile: ProfileName,
    /// Whether who asks for it need not confirm.
    #[serde(default = "allowed")]
    pub(crate) implicit_confirm: bool,
    /// How long a confirmation is waited for; then the certificate is revoked.
    #[serde(default = "confirm_within_s")]
    pub(crate) confirm_within_s: u64,
    /// Who may hand on messages of others: the name of each registration authority, and a file with its certificate in PEM.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) registration_authorities: BTreeMap<StationName, PathBuf>,
    /// Whether keys are made here for who asks for one.
    #[serde(default, skip_serializing_if = "is_default")]
    pub(crate) server_keys: bool,
}

const fn allowed() -> bool {
    true
}
const fn confirm_within_s() -> u64 {
    300
}
/// How long a confirmation may be waited for: a lost answer blocks no device for longer than a day.
const CONFIRM_WITHIN_S: RangeInclusive<u64> = 2..=86_400;

impl CmpConfig {
    pub(crate) fn label(&self, registration_authorities: BTreeMap<StationName, Certificate>) -> CmpLabel {
        CmpLabel {
            profile: self.profile.clone(),
            implicit_confirm: self.implicit_confirm,
            confirm_within_s: self.confirm_within_s,
            registration_authorities: Arc::new(registration_authorities),
            server_keys: self.server_keys,
        }
    }
}

/// What is had under one label.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct LabelConfig {
    /// Certificates of which profile.
    pub(crate) profile: ProfileName,
    /// Letters in a line of base64: 64, or 0 for one line.
    #[serde(default = "wrapped")]
    pub(crate) base64_line: u8,
    /// Whether a request must say on which connection it comes (channel binding).
    #[serde(default, skip_serializing_if = "is_default")]
    pub(crate) channel_binding: ChannelBinding,
    /// Whether keys are made here for who asks for one (`serverkeygen`).
    #[serde(default, skip_serializing_if = "is_default")]
    pub(crate) server_keys: bool,
}

/// Whether a request must say on which connection it comes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum ChannelBinding {
    /// If it does, it must be this one.
    #[default]
    WhenPresent,
    /// It must.
    Required,
}

const fn wrapped() -> u8 {
    64
}

impl LabelConfig {
    /// Certificates of this profile, and nothing unusual.
    pub(crate) fn of(profile: ProfileName) -> Self {
        let channel_binding = ChannelBinding::default();
        Self { profile, base64_line: wrapped(), channel_binding, server_keys: false }
    }

    pub(crate) const fn style(&self) -> LabelStyle {
        LabelStyle {
            lines: if self.base64_line == 0 { Lines::One } else { Lines::Wrapped },
            keys: if self.server_keys { ServerKeys::Made } else { ServerKeys::NotOffered },
        }
    }
}

impl AcmeConfig {
    pub(crate) fn label(&self, vouchers: Vec<Certificate>) -> AcmeLabel {
        AcmeLabel { profile: self.profile.clone(), challenges: self.challenges.clone(), vouchers }
    }
}

impl GatewayConfig {
    pub(super) fn check(&self) -> Result<(), &'static str> {
        if self.tls_certificate.is_some() != self.tls_key.is_some() {
            return Err("gateway.tls_certificate and gateway.tls_key go together");
        }
        if self.https.is_some() && self.tls_certificate.is_none() && self.names.is_empty() {
            return Err(
                "gateway.https needs gateway.names, the host names of its certificate, or gateway.tls_certificate",
            );
        }
        if self.names.len() > NAMES_MAX || self.est.len() > LABELS_MAX || self.cmp.len() > LABELS_MAX {
            return Err("gateway has at most 8 names and 256 labels");
        }
        let is_label = |label: &EstLabel| self.est.contains_key(label) || self.cmp.contains_key(label);
        if self.label.as_ref().is_some_and(|label| !is_label(label)) {
            return Err("gateway.label is one of those in gateway.est or gateway.cmp");
        }
        if self.cmp.values().any(|label| !CONFIRM_WITHIN_S.contains(&label.confirm_within_s)) {
            return Err("gateway.cmp.LABEL.confirm_within_s is from 2 to 86400");
        }
        if self.cmp.values().any(|label| label.registration_authorities.len() > REGISTRATION_AUTHORITIES_MAX) {
            return Err("gateway.cmp.LABEL has at most 64 registration_authorities");
        }
        if self.acme.len() > LABELS_MAX || self.acme.values().any(|label| label.challenges.is_empty()) {
            return Err("gateway.acme has at most 256 labels, each with challenges");
        }
        if !self.acme.is_empty() && (self.names.is_empty() || self.https.is_none()) {
            return Err("gateway.acme needs gateway.https, and gateway.names: the names by which clients know it");
        }
        if self.scep.len() > LABELS_MAX {
            return Err("gateway.scep has at most 256 labels");
        }
        self.validation.check()?;
        if self.est.values().any(|label| ![0, 64].contains(&label.base64_line)) {
            return Err("gateway.est.LABEL.base64_line is 64, or 0 for one line");
        }
        Ok(())
    }
}

impl Config {
    /// What km knows of EST.
    pub(crate) fn est(&self) -> authority::Est {
        self.gateway.as_ref().map_or_else(authority::Est::default, |gateway| authority::Est {
            labels: gateway.est.iter().map(|(label, config)| (label.clone(), config.profile.clone())).collect(),
            default: gateway.label.clone(),
            bound: gateway
                .est
                .iter()
                .filter(|(_, config)| config.channel_binding == ChannelBinding::Required)
                .map(|(label, _)| label.clone())
                .collect(),
            names: gateway.names.clone(),
        })
    }
}
