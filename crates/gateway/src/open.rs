//! The sockets: opened when the mode lets the gateway run, gone when this is dropped.

use crate::est::AnyCertificate;
use adapters::http::serve::{BadIdentity, Clients, Identity, Limits, Oldest, Server, Service};
use model::UnixTime;
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;
use zeroize::Zeroizing;

/// What the gateway listens on.
#[derive(Default)]
pub struct Setting {
    /// Where EST is answered, and how.
    pub https: Option<(SocketAddr, Tls, Arc<dyn Service>)>,
    /// Requests a second that one address has there, and ten times as many at `http`; five times as many at once after a silence. 20 if
    /// absent.
    pub requests_per_s: Option<NonZeroU32>,
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

/// Requests a second that one address has where EST is answered, unless it is said otherwise.
const REQUESTS_PER_S: u32 = 20;
/// So many times as many where status is answered.
const STATUS_EASIER: u32 = 10;
/// Seconds of quiet that are saved up.
const BURST_S: u32 = 5;

/// EST: a handshake and a signature each. A device comes once in months; a site behind one address, one after another.
fn est_limits(requests_per_s: Option<NonZeroU32>) -> Limits {
    let requests_per_second = requests_per_s.map_or(REQUESTS_PER_S, NonZeroU32::get);
    Limits {
        head_within: Duration::from_secs(10),
        connection_within: Duration::from_secs(300),
        connections_per_address_max: 64,
        requests_per_second,
        requests_burst: requests_per_second.saturating_mul(BURST_S),
        handlers_max: 32,
        streams_max: 8,
        ..Limits::default()
    }
}

/// Status: many clients, each with little.
fn status_limits(requests_per_s: Option<NonZeroU32>) -> Limits {
    let requests_per_second = requests_per_s.map_or(REQUESTS_PER_S, NonZeroU32::get).saturating_mul(STATUS_EASIER);
    Limits {
        head_within: Duration::from_secs(10),
        connection_within: Duration::from_secs(300),
        requests_per_second,
        requests_burst: requests_per_second.saturating_mul(BURST_S),
        ..Limits::default()
    }
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
            let server = Server::start(address, Some(identity), est_limits(setting.requests_per_s), service);
            https = Some(server.map_err(|e| NotOpen::Address(address, e))?);
        }
        let http = setting.http.map(|(address, service)| {
            Server::start(address, None, status_limits(setting.requests_per_s), service)
                .map_err(|e| NotOpen::Address(address, e))
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
