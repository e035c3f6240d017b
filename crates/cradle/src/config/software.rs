//! What `cradle.toml` says of following repositories of software by itself.

use adapters::cmp::Address;
use serde::{Deserialize, Serialize};
use std::net::SocketAddr;
use std::path::PathBuf;

/// Which servers sm asks by itself, in the mode software-management.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct SoftwareConfig {
    /// The address below which the image repository has `metadata` and `targets`.
    pub(crate) images: String,
    /// The address below which the director has `metadata` for this box.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) director: Option<String>,
    /// The certificates, in PEM, by one of which that of an https server must be issued.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) tls_anchors: Option<PathBuf>,
    /// What is shown to servers that ask who this box is: a certificate, and those above it, in PEM.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) tls_certificate: Option<PathBuf>,
    /// The key of that certificate: PKCS #8 in PEM, readable by nobody else.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) tls_key: Option<PathBuf>,
    /// How long it is from one look to the next, in seconds, a tenth more or less.
    #[serde(default = "every_s")]
    pub(crate) every_s: u64,
    /// Where others may say that there is news; nowhere if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) notices: Option<NoticesConfig>,
}

/// Where others may say that there is news.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct NoticesConfig {
    /// Where the gateway listens for them.
    pub(crate) listen: SocketAddr,
    /// The secret that both sides know: 24 to 64 octets in base64, readable by nobody else.
    pub(crate) secret_file: PathBuf,
    /// The gateway's certificate for it, and those above it, in PEM. Without one it is plain HTTP, on this machine only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) tls_certificate: Option<PathBuf>,
    /// The key of that certificate: PKCS #8 in PEM, readable by nobody else.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) tls_key: Option<PathBuf>,
}

const fn every_s() -> u64 {
    3600
}

impl SoftwareConfig {
    pub(super) fn check(&self) -> Result<(), &'static str> {
        if self.tls_certificate.is_some() != self.tls_key.is_some() {
            return Err("software.tls_certificate and software.tls_key go together");
        }
        if !software::EVERY_S.contains(&self.every_s) {
            return Err("software.every_s is from 10 to 2592000");
        }
        if [Some(&self.images), self.director.as_ref()].into_iter().flatten().any(|url| Address::parse(url).is_err()) {
            return Err("software.images and software.director are addresses of http or https");
        }
        let Some(notices) = &self.notices else { return Ok(()) };
        if notices.tls_certificate.is_some() != notices.tls_key.is_some() {
            return Err("software.notices.tls_certificate and software.notices.tls_key go together");
        }
        if notices.tls_certificate.is_none() && !notices.listen.ip().is_loopback() {
            return Err("software.notices.listen needs tls_certificate and tls_key, or an address of this machine");
        }
        Ok(())
    }
}
