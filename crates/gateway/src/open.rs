//! The sockets: opened when the mode lets the gateway run, gone when this is dropped.

use crate::est::AnyCertificate;
use adapters::http::serve::{BadIdentity, Clients, Identity, Limits, Oldest, Server, Service};
use model::UnixTime;
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use zeroize::Zeroizing;

/// What the gateway listens on.
pub struct Setting {
    /// Where EST is answered, and how.
    pub https: Option<(SocketAddr, Tls, Arc<dyn Service>)>,
    /// Where OCSP, lists and certificates of authorities are answered, and how.
    pub http: Option<(SocketAddr, Arc<dyn Service>)>,
}

/// Who the gateway is.
pub struct Tls {
    /// Its certificate, and those above it, in DER.
    pub chain: Vec<Vec<u8>>,
    /// Its key, as PKCS #8 in DER.
    pub key: Zeroizing<Vec<u8>>,
    /// When it is due to be replaced, if that is the gateway's business.
    pub due: Option<UnixTime>,
    /// The oldest version of TLS that is spoken.
    pub oldest: Oldest,
}

/// Why the gateway does not listen.
#[derive(Debug)]
pub enum NotOpen {
    /// Its certificate and key cannot be used.
    Identity(BadIdentity),
    /// An address cannot be listened on.
    Address(SocketAddr, io::Error),
}

impl fmt::Display for NotOpen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Identity(bad) => write!(f, "its TLS certificate cannot be used: {bad}"),
            Self::Address(address, error) => write!(f, "{address} cannot be listened on: {error}"),
        }
    }
}
impl std::error::Error for NotOpen {}

/// A gateway that listens. Dropped, it takes no more connections, answers what was begun, and closes its sockets.
pub struct Gateway {
    https: Option<Server>,
    http: Option<Server>,
    due: Option<UnixTime>,
}

/// EST: a handshake and a signature each. A device comes once in months; a site behind one address, one after another.
fn est_limits() -> Limits {
    Limits {
        head_within: Duration::from_secs(10),
        connection_within: Duration::from_secs(300),
        connections_per_address_max: 64,
        requests_per_second: 20,
        requests_burst: 100,
        handlers_max: 32,
        streams_max: 8,
        ..Limits::default()
    }
}

/// Status: many clients, each with little.
fn status_limits() -> Limits {
    Limits { head_within: Duration::from_secs(10), connection_within: Duration::from_secs(300), ..Limits::default() }
}

impl Gateway {
    /// Begins to listen.
    ///
    /// # Errors
    /// [`NotOpen`]; nothing listens then.
    pub fn open(setting: Setting) -> Result<Self, NotOpen> {
        let (mut https, mut due) = (None, None);
        if let Some((address, tls, service)) = setting.https {
            let clients = Clients::MayShow(Arc::new(AnyCertificate));
            let identity = Identity::speaking(tls.oldest, &tls.chain, &tls.key, clients).map_err(NotOpen::Identity)?;
            due = tls.due;
            let server = Server::start(address, Some(identity), est_limits(), service);
            https = Some(server.map_err(|e| NotOpen::Address(address, e))?);
        }
        let http = setting.http.map(|(address, service)| {
            Server::start(address, None, status_limits(), service).map_err(|e| NotOpen::Address(address, e))
        });
        Ok(Self { https, http: http.transpose()?, due })
    }

    /// Where EST is answered.
    #[must_use]
    pub fn https(&self) -> Option<SocketAddr> {
        self.https.as_ref().map(Server::address)
    }
    /// Where status is answered.
    #[must_use]
    pub fn http(&self) -> Option<SocketAddr> {
        self.http.as_ref().map(Server::address)
    }
    /// Whether its certificate is to be replaced: it is opened anew then.
    #[must_use]
    pub fn is_due(&self, now: UnixTime) -> bool {
        self.due.is_some_and(|due| now >= due)
    }
}
