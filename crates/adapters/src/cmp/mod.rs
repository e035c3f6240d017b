//! CMP over HTTP and HTTPS: one request, one answer, one connection.
//! Source: RFC 9811 (which took the place of RFC 6712), RFC 9112.

mod address;
#[cfg(feature = "installation")]
mod answer;
mod connection;
#[cfg(feature = "installation")]
mod line;
#[cfg(feature = "installation")]
mod lines;
#[cfg(feature = "installation")]
mod secrets;

pub use address::{Address, BadAddress};
#[cfg(feature = "installation")]
pub use line::{HttpLine, TIMEOUT, fetch};
#[cfg(feature = "installation")]
pub use lines::{CmpLines, keep_secret};
#[cfg(feature = "installation")]
pub use secrets::SecretKey;

use crate::http::Shown;
pub(crate) use connection::Connection;
use rustls::ClientConfig;
use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use std::sync::Arc;

#[cfg(feature = "installation")]
pub(crate) fn tls(anchors: &[Vec<u8>]) -> Result<ClientConfig, BadAddress> {
    tls_showing(anchors, None)
}

pub(crate) fn tls_showing(anchors: &[Vec<u8>], shown: Option<&Shown>) -> Result<ClientConfig, BadAddress> {
    let mut roots = RootCertStore::empty();
    for anchor in anchors {
        roots
            .add(CertificateDer::from(anchor.as_slice()))
            .map_err(|_| BadAddress("a certificate for TLS cannot be used as an anchor"))?;
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])
        .map_err(|_| BadAddress("this build has no version of TLS"))?;
    let config = config.with_root_certificates(roots);
    let Some(shown) = shown else { return Ok(config.with_no_client_auth()) };
    shown.show(config)
}
