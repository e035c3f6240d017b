//! One request and its answer, over a connection of their own.

use super::{Address, BadAddress, Connection, answer, tls};
use ports::foreign::{Issuing, LineFault};
use rustls::ClientConfig;
use std::io::Write;
use std::sync::Arc;
use std::time::Duration;

/// Media type of requests and answers. Source: RFC 9811 §3.
pub(super) const MEDIA_TYPE: &str = "application/pkixcmp";

/// How long a whole exchange may take unless it is said otherwise: an authority that signs with a busy token needs
/// seconds.
pub const TIMEOUT: Duration = Duration::from_secs(30);

/// The line to a server of CMP.
pub struct HttpLine {
    address: Address,
    tls: Option<Arc<ClientConfig>>,
    timeout: Duration,
    answer_len_max: usize,
}

impl HttpLine {
    /// A line to `address`. `anchors` are the certificates, in DER, by one of which the server's TLS certificate must be
    /// issued; the ones of the system are not asked.
    ///
    /// Limits: `timeout` for a whole exchange, `answer_len_max` octets of an answer.
    /// # Errors
    /// [`BadAddress`] if the address says https and no anchor can be used, or says http and there are some.
    pub fn new(
        address: Address,
        anchors: &[Vec<u8>],
        timeout: Duration,
        answer_len_max: usize,
    ) -> Result<Self, BadAddress> {
        let tls = match (address.is_https(), anchors.is_empty()) {
            (true, false) => Some(Arc::new(tls(anchors)?)),
            (true, true) => return Err(BadAddress("https needs the certificate of whoever issued the server's")),
            (false, true) => None,
            (false, false) => return Err(BadAddress("there are certificates for TLS, but the address says http")),
        };
        Ok(Self { address, tls, timeout, answer_len_max })
    }
}

/// Fetches a file over HTTP, such as a list of revoked certificates, which is signed: who carries it does not matter.
///
/// Limits: `timeout` for all of it, `len_max` octets.
/// # Errors
/// [`LineFault`]
pub fn fetch(address: &Address, timeout: Duration, len_max: usize) -> Result<Vec<u8>, LineFault> {
    if address.is_https() {
        return Err(LineFault::NotSent(
            "files are fetched over http only; fetch it yourself, and name the file".into(),
        ));
    }
    let mut connection = Connection::open(address, None, timeout)?;
    let head = format!(
        "GET {} HTTP/1.1\r\nHost: {}\r\nAccept: */*\r\nConnection: close\r\n\r\n",
        address.path(),
        address.authority(),
    );
    connection
        .write_all(head.as_bytes())
        .and_then(|()| connection.flush())
        .map_err(|e| LineFault::Unanswered(e.to_string()))?;
    answer::read_file(&mut connection, len_max)
}

impl Issuing for HttpLine {
    fn exchange(&self, message: &[u8]) -> Result<Vec<u8>, LineFault> {
        let mut connection = Connection::open(&self.address, self.tls.as_ref(), self.timeout)?;
        let head = format!(
            "POST {} HTTP/1.1\r\nHost: {}\r\nContent-Type: {MEDIA_TYPE}\r\nAccept: {MEDIA_TYPE}\r\n\
             Content-Length: {}\r\nConnection: close\r\n\r\n",
            self.address.path(),
            self.address.authority(),
            message.len(),
        );
        let sent = [head.as_bytes(), message].concat();
        connection
            .write_all(&sent)
            .and_then(|()| connection.flush())
            .map_err(|e| LineFault::Unanswered(e.to_string()))?;
        answer::read(&mut connection, self.answer_len_max)
    }
}
