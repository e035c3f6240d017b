//! What `cradle.toml` says of the gateway.

use super::Config;
use adapters::http::serve::Oldest;
use authority::CmpLabel;
use gateway::{LabelStyle, ServerKeys};
use model::{EstLabel, ProfileName};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use wire::est::Lines;

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
    /// The label that is taken where a path has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) label: Option<EstLabel>,
    /// What is had under each label of EST.
    #[serde(default)]
    pub(crate) est: BTreeMap<EstLabel, LabelConfig>,
    /// What is had under each label of CMP; without one, CMP is not answered.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) cmp: BTreeMap<EstLabel, CmpConfig>,
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
    pub(crate) fn label(&self) -> CmpLabel {
        CmpLabel {
            profile: self.profile.clone(),
            implicit_confirm: self.implicit_confirm,
            confirm_within_s: self.confirm_within_s,
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
