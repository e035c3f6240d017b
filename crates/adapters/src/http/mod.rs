//! Fetching files over HTTP and HTTPS: from whom does not matter, because what is fetched is verified.
//!
//! Nothing is followed elsewhere: a redirection is no answer. A file has a length from the beginning, in octets, beyond
//! which nothing is read; and it has to come at a pace ([`PACE_LEN`] within the patience of the line), so that nobody is
//! held up by an octet now and then. Source: RFC 9110, RFC 9112.

mod body;
mod incoming;
pub mod serve;

pub use incoming::Incoming;
pub use ports::source::NotFetched;

use crate::cmp::{Address, BadAddress, Connection, tls_showing};
use body::{Body, Paced};
use rustls::ClientConfig;
use std::fmt;
use std::io::{self, Read, Write};
use std::sync::Arc;
use std::time::Duration;
use zeroize::Zeroizing;

/// How many octets have to come within the patience of a line, if there are as many.
pub const PACE_LEN: u64 = 64 * 1024;
/// How long a line waits unless it is said otherwise: for the head of an answer, and for each [`PACE_LEN`] octets.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// What is shown to a server that asks who we are.
#[derive(Clone)]
pub struct Shown {
    /// Our certificate, and those between it and its root, in DER.
    pub chain: Vec<Vec<u8>>,
    /// Its key, as PKCS #8 in DER.
    pub key: Zeroizing<Vec<u8>>,
}

impl fmt::Debug for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Shown")
    }
}

/// A way to the files below one address.
#[derive(Clone)]
pub struct Files {
    base: String,
    tls: Option<Arc<ClientConfig>>,
    patience: Duration,
}

impl Files {
    /// A way to what is below `base`. `anchors` are the certificates, in DER, by one of which the server's TLS
    /// certificate must be issued; the ones of the system are not asked.
    ///
    /// # Errors
    /// [`BadAddress`], also if it says https and there is no anchor, or says http and there are some.
    pub fn below(base: &str, anchors: &[Vec<u8>], patience: Duration) -> Result<Self, BadAddress> {
        Self::showing(base, anchors, None, patience)
    }

    /// The same, to a server that asks who we are.
    ///
    /// # Errors
    /// As [`Files::below`], and if the key is not the certificate's.
    pub fn showing(
        base: &str,
        anchors: &[Vec<u8>],
        shown: Option<&Shown>,
        patience: Duration,
    ) -> Result<Self, BadAddress> {
        let address = Address::parse(base)?;
        let tls = match (address.is_https(), anchors.is_empty()) {
            (true, false) => Some(Arc::new(tls_showing(anchors, shown)?)),
            (true, true) => return Err(BadAddress("https needs the certificate of whoever issued the server's")),
            (false, true) => None,
            (false, false) => return Err(BadAddress("there are certificates for TLS, but the address says http")),
        };
        Ok(Self { base: base.trim_end_matches('/').to_owned(), tls, patience })
    }

    /// Begins to fetch a file; `path` is percent-encoded and not absolute.
    ///
    /// # Errors
    /// [`NotFetched`]
    pub fn open(&self, path: &str, len_max: u64) -> Result<Fetching, NotFetched> {
        let unreachable = |what: String| NotFetched::Unreachable(what);
        let address = Address::parse(&format!("{}/{path}", self.base)).map_err(|bad| unreachable(bad.0.to_owned()))?;
        let mut connection =
            Connection::open(&address, self.tls.as_ref(), self.patience).map_err(|e| unreachable(e.to_string()))?;
        let head = format!(
            "GET {} HTTP/1.1\r\nHost: {}\r\nAccept: */*\r\nAccept-Encoding: identity\r\nConnection: close\r\n\r\n",
            address.path(),
            address.authority(),
        );
        connection.write_all(head.as_bytes()).and_then(|()| connection.flush()).map_err(|e| body::fault(&e))?;
        let source = Patient { connection, patience: self.patience };
        Ok(Fetching(Body::begin(source, len_max)?))
    }

    /// Fetches a whole file.
    ///
    /// # Errors
    /// [`NotFetched`]
    pub fn fetch(&self, path: &str, len_max: u64) -> Result<Vec<u8>, NotFetched> {
        let mut octets = Vec::new();
        let mut body = self.open(path, len_max)?;
        body.read_to_end(&mut octets).map_err(|fault| body::fault(&fault))?;
        Ok(octets)
    }
}

impl fmt::Debug for Files {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Files({})", self.base)
    }
}

/// A file that is coming. [`Fetching::why`] says what an error of reading means.
pub struct Fetching(Body<Patient>);

impl Fetching {
    /// What an error of [`Read::read`] means.
    #[must_use]
    pub fn why(fault: &io::Error) -> NotFetched {
        body::fault(fault)
    }
}

impl Read for Fetching {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        self.0.read(into)
    }
}

impl fmt::Debug for Fetching {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Fetching")
    }
}

struct Patient {
    connection: Connection,
    patience: Duration,
}

impl Read for Patient {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        self.connection.read(into)
    }
}
impl Paced for Patient {
    fn renew(&mut self) {
        self.connection.renew(self.patience);
    }
}
