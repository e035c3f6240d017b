//! A connection that ends in time, whatever the other side does.

use super::Address;
use ports::foreign::LineFault;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, StreamOwned};
use std::io::{self, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Most addresses of a host that are tried.
const ADDRESSES_MAX: usize = 4;

/// A connection, in the clear or not.
pub(crate) enum Connection {
    Clear(Timed),
    Tls(Box<StreamOwned<ClientConnection, Timed>>),
}

/// A socket on which all that is done together ends at one time: a server that sends an octet now and then holds nobody
/// up for longer.
pub(crate) struct Timed {
    stream: TcpStream,
    until: Instant,
}

impl Connection {
    /// Connects, and shakes hands if it is TLS: before that nothing of a message is sent.
    pub(crate) fn open(
        address: &Address,
        tls: Option<&Arc<ClientConfig>>,
        timeout: Duration,
    ) -> Result<Self, LineFault> {
        #[expect(clippy::disallowed_methods, reason = "what waits for others must end; nothing is decided on it")]
        let until = Instant::now() + timeout;
        let not_sent = |what: String| LineFault::NotSent(what);
        let stream = connect(address, until).map_err(|e| not_sent(e.to_string()))?;
        let mut timed = Timed { stream, until };
        let Some(config) = tls else { return Ok(Self::Clear(timed)) };
        let name = ServerName::try_from(address.host().to_owned())
            .map_err(|_| not_sent("the host is no name that a certificate can have".into()))?;
        let mut session = ClientConnection::new(Arc::clone(config), name).map_err(|e| not_sent(format!("TLS: {e}")))?;
        while session.is_handshaking() {
            session.complete_io(&mut timed).map_err(|e| not_sent(format!("TLS: {e}")))?;
        }
        Ok(Self::Tls(Box::new(StreamOwned::new(session, timed))))
    }

    /// Gives the other side this long from now on.
    pub(crate) fn renew(&mut self, timeout: Duration) {
        #[expect(clippy::disallowed_methods, reason = "what waits for others must end; nothing is decided on it")]
        let until = Instant::now() + timeout;
        match self {
            Self::Clear(timed) => timed.until = until,
            Self::Tls(stream) => stream.sock.until = until,
        }
    }
}

fn connect(address: &Address, until: Instant) -> io::Result<TcpStream> {
    let mut last = io::Error::new(io::ErrorKind::NotFound, "the host has no address");
    for found in (address.host(), address.port()).to_socket_addrs()?.take(ADDRESSES_MAX) {
        match left(until).and_then(|left| TcpStream::connect_timeout(&found, left)) {
            Ok(stream) => {
                // The last of a handshake and the first of a message go one after another: the kernel would wait for an answer between.
                stream.set_nodelay(true)?;
                return Ok(stream);
            }
            Err(e) => last = e,
        }
    }
    Err(last)
}

fn left(until: Instant) -> io::Result<Duration> {
    #[expect(clippy::disallowed_methods, reason = "what waits for others must end; nothing is decided on it")]
    let left = until.saturating_duration_since(Instant::now());
    if left.is_zero() { Err(io::Error::new(io::ErrorKind::TimedOut, "it took too long")) } else { Ok(left) }
}

/// A timeout of the socket has the name of a call that would have to wait.
fn named(fault: io::Error) -> io::Error {
    match fault.kind() {
        io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => {
            io::Error::new(io::ErrorKind::TimedOut, "it took too long")
        }
        _ => fault,
    }
}

impl Read for Timed {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        self.stream.set_read_timeout(Some(left(self.until)?))?;
        self.stream.read(into).map_err(named)
    }
}

impl Write for Timed {
    fn write(&mut self, from: &[u8]) -> io::Result<usize> {
        self.stream.set_write_timeout(Some(left(self.until)?))?;
        self.stream.write(from).map_err(named)
    }
    fn flush(&mut self) -> io::Result<()> {
        self.stream.flush()
    }
}

impl Read for Connection {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Clear(timed) => timed.read(into),
            Self::Tls(stream) => stream.read(into),
        }
    }
}

impl Write for Connection {
    fn write(&mut self, from: &[u8]) -> io::Result<usize> {
        match self {
            Self::Clear(timed) => timed.write(from),
            Self::Tls(stream) => stream.write(from),
        }
    }
    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Clear(timed) => timed.flush(),
            Self::Tls(stream) => stream.flush(),
        }
    }
}
