//! What is asked.

use hyper::body::Bytes;
use std::fmt;
use std::io::{self, ErrorKind, Read};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc::Receiver;

/// Whether a handler waits for the body, or the body for a handler.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Taking {
    /// All of it is there before the handler is called: who sends it slowly takes no handler's time.
    Whole,
    /// The handler reads it while it comes.
    Streamed,
}

/// What the body of a request may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BodyLimits {
    /// Most octets. More are answered 413.
    pub len_max: u64,
    /// Until all of it has come. Later is answered 408.
    pub within: Duration,
    /// Who waits for whom.
    pub taking: Taking,
}

impl BodyLimits {
    /// No body.
    pub const NONE: Self = Self { len_max: 0, within: Duration::ZERO, taking: Taking::Whole };
}

/// What the connection is, that nobody in the middle can make the same of two connections.
#[derive(Clone, PartialEq, Eq)]
pub enum Channel {
    /// Nothing: it is in the clear, or of a version of TLS whose name for itself (`tls-unique`) the TLS library does not tell.
    Nameless,
    /// `tls-exporter`. Source: RFC 9266 §2.
    Exporter([u8; 32]),
}

impl fmt::Debug for Channel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Nameless => "Nameless",
            Self::Exporter(_) => "Exporter",
        })
    }
}

/// Who asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Peer {
    /// Where from.
    pub address: SocketAddr,
    /// The certificate that was shown and verified, in DER.
    pub certificate: Option<Arc<[u8]>>,
    /// What the connection is.
    pub channel: Channel,
}

/// A request without its body.
#[derive(Clone, Debug)]
pub struct Head {
    pub(super) method: String,
    pub(super) path: String,
    pub(super) query: Option<String>,
    pub(super) fields: Vec<(String, String)>,
    pub(super) peer: Peer,
}

impl Head {
    /// `GET`, `HEAD`, `POST`, `PUT`, ...
    #[must_use]
    pub fn method(&self) -> &str {
        &self.method
    }
    /// The path, as it was sent: it begins with `/`, and is percent-encoded.
    #[must_use]
    pub fn path(&self) -> &str {
        &self.path
    }
    /// What stands behind `?`.
    #[must_use]
    pub fn query(&self) -> Option<&str> {
        self.query.as_deref()
    }
    /// The value of a field that was sent once. One that was sent twice has no value.
    #[must_use]
    pub fn field(&self, name: &str) -> Option<&str> {
        let mut values = self.fields.iter().filter(|(field, _)| field.eq_ignore_ascii_case(name));
        match (values.next(), values.next()) {
            (Some((_, value)), None) => Some(value),
            _ => None,
        }
    }
    /// Who asks.
    #[must_use]
    pub const fn peer(&self) -> &Peer {
        &self.peer
    }
}

/// A request.
#[derive(Debug)]
pub struct Request {
    /// All but the body.
    pub head: Head,
    /// The body.
    pub body: RequestBody,
}

/// Why a body did not come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BodyFault {
    /// Longer than it may be.
    TooLong,
    /// Not there in time.
    TooSlow,
    /// The connection ended.
    BrokenOff,
}

impl From<BodyFault> for io::Error {
    fn from(fault: BodyFault) -> Self {
        match fault {
            BodyFault::TooLong => Self::new(ErrorKind::FileTooLarge, "the body is longer than it may be"),
            BodyFault::TooSlow => Self::new(ErrorKind::TimedOut, "the body did not come in time"),
            BodyFault::BrokenOff => Self::new(ErrorKind::UnexpectedEof, "the connection ended in the middle"),
        }
    }
}

/// The body of a request. If it cannot be read, the server says why instead of what the handler answers.
pub struct RequestBody {
    pub(super) source: Option<Receiver<Result<Bytes, BodyFault>>>,
    pub(super) piece: Bytes,
    pub(super) fault: Option<BodyFault>,
}

impl RequestBody {
    /// All of a body that is there.
    #[must_use]
    pub fn of(octets: &[u8]) -> Self {
        Self::whole(Bytes::copy_from_slice(octets))
    }
    pub(super) const fn whole(piece: Bytes) -> Self {
        Self { source: None, piece, fault: None }
    }
    pub(super) const fn streamed(source: Receiver<Result<Bytes, BodyFault>>) -> Self {
        Self { source: Some(source), piece: Bytes::new(), fault: None }
    }
}

impl Read for RequestBody {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        if let Some(fault) = self.fault {
            return Err(fault.into());
        }
        while self.piece.is_empty() {
            match self.source.as_mut().and_then(Receiver::blocking_recv) {
                Some(Ok(piece)) => self.piece = piece,
                Some(Err(fault)) => {
                    self.fault = Some(fault);
                    return Err(fault.into());
                }
                None => return Ok(0),
            }
        }
        let len = self.piece.len().min(into.len());
        into.iter_mut().zip(self.piece.split_to(len)).for_each(|(to, from)| *to = from);
        Ok(len)
    }
}

impl fmt::Debug for RequestBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RequestBody")
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "what cannot go on here has failed")]
mod tests {
    use super::*;
    use tokio::sync::mpsc::channel;

    #[test]
    fn pieces_become_one_body() {
        let (sender, receiver) = channel(4);
        for piece in ["ab", "", "cde"] {
            sender.try_send(Ok(Bytes::from(piece))).unwrap();
        }
        drop(sender);
        let mut text = String::new();
        RequestBody::streamed(receiver).read_to_string(&mut text).unwrap();
        assert_eq!(text, "abcde");
    }
    #[test]
    fn a_fault_stays() {
        let (sender, receiver) = channel(4);
        sender.try_send(Ok(Bytes::from("ab"))).unwrap();
        sender.try_send(Err(BodyFault::TooLong)).unwrap();
        drop(sender);
        let mut body = RequestBody::streamed(receiver);
        let mut octets = Vec::new();
        for _ in 0..2 {
            assert_eq!(body.read_to_end(&mut octets).unwrap_err().kind(), ErrorKind::FileTooLarge);
        }
        assert_eq!(octets, b"ab");
    }
}
