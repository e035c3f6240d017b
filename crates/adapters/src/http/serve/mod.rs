//! Answering over HTTP/1.1, with TLS 1.3 (1.2 where it is wanted) or in the clear, and over HTTP/2 inside of TLS where that is wanted: who
//! may connect, how long and how much, and what a handler sees of it.
//!
//! What answers ([`Service`]) blocks, and runs on a bounded number of threads: one request more is answered 503. Bodies come
//! and go in pieces; none is whole in memory unless the service wants it so. A request says its length, comes in chunks, or has no
//! body. One that another reader could take to end elsewhere is answered 400 and ends the connection (`strict.rs`): nobody in
//! front of this server understands another length than it does (RFC 9112 §2.2, §5, §6, §7.1).

mod address;
mod answer;
mod beneath;
mod body;
mod connections;
mod frames;
mod http2;
mod outgoing;
mod paced;
mod range;
mod request;
mod strict;
mod tls;

pub use answer::{Answer, Content};
pub use beneath::{Beneath, Sums};
pub use request::{BodyFault, BodyLimits, Channel, Head, Peer, Request, RequestBody, Taking};
pub use tls::{BadIdentity, ByAnchors, ClientVerifier, Clients, Identity, Oldest};

use connections::Shared;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;
use tokio::sync::oneshot;

/// Threads that read what is sent, beside those of the handlers: a full house does not hold up who is being answered.
const READERS: usize = 4;
/// Files of a process beside those of its connections: those of other listeners, too.
const OTHER_FILES: u64 = 8192;

/// What answers.
pub trait Service: Send + Sync + 'static {
    /// What the body of a request may be, told from its head. It does not block.
    fn limits(&self, head: &Head) -> BodyLimits;
    /// Answers a request. It may block; a panic is answered 500.
    fn answer(&self, request: &mut Request) -> Answer;
}

/// How much a server takes on.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Longest head of a request, in octets; at least 8192. Longer is answered 431.
    pub head_len_max: usize,
    /// Most fields in a head.
    pub fields_max: usize,
    /// Until TLS has shaken hands.
    pub handshake_within: Duration,
    /// Until the head of a request has come; a connection that is kept is idle no longer than that.
    pub head_within: Duration,
    /// How long the peer may take for each [`super::PACE_LEN`] octets of an answer.
    pub pace_within: Duration,
    /// Until a connection ends, however busy.
    pub connection_within: Duration,
    /// Most connections. More wait in the kernel's queue.
    pub connections_max: usize,
    /// Most connections of one address (IPv6: of one network of 64 bits). One more is closed.
    pub connections_per_address_max: usize,
    /// Requests of one address within a second, on average; more are answered 429.
    pub requests_per_second: u32,
    /// Requests of one address at once, before the average counts.
    pub requests_burst: u32,
    /// Requests that are answered at a time. One more is answered 503.
    pub handlers_max: usize,
    /// How long those that are being answered may take when the server stops.
    pub drain_within: Duration,
    /// Most requests of one connection at a time, over HTTP/2; 0: it is not spoken. It is never spoken in the clear.
    pub streams_max: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            head_len_max: 16 * 1024,
            fields_max: 64,
            handshake_within: Duration::from_secs(10),
            head_within: Duration::from_secs(20),
            pace_within: Duration::from_secs(30),
            connection_within: Duration::from_secs(3600),
            connections_max: 16 * 1024,
            connections_per_address_max: 256,
            requests_per_second: 200,
            requests_burst: 1000,
            handlers_max: 64,
            drain_within: Duration::from_secs(10),
            streams_max: 0,
        }
    }
}

/// A server that listens. Dropped, it stops as [`Server::stop`] does.
pub struct Server {
    at: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    /// Begins to listen; port 0 is any that is free. Without an identity it speaks in the clear.
    ///
    /// # Errors
    /// As the operating system says.
    pub fn start(
        address: SocketAddr,
        identity: Option<Identity>,
        limits: Limits,
        service: Arc<dyn Service>,
    ) -> io::Result<Self> {
        make_room(limits.connections_max);
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(std::thread::available_parallelism().map_or(1, Into::into))
            .max_blocking_threads(limits.handlers_max.saturating_add(READERS))
            .thread_name("http")
            .enable_all()
            .build()?;
        let listener = runtime.block_on(tokio::net::TcpListener::bind(address))?;
        let at = listener.local_addr()?;
        let (stop, stopped) = oneshot::channel();
        let shared = Arc::new(Shared::new(limits, identity, service));
        let thread = std::thread::Builder::new().name("http".into()).spawn(move || {
            runtime.block_on(connections::carry(listener, shared, async { drop(stopped.await) }));
            // A handler that does not return is not waited for.
            runtime.shutdown_background();
        })?;
        Ok(Self { at, stop: Some(stop), thread: Some(thread) })
    }

    /// Where it listens.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.at
    }

    /// Takes no more connections, lets those that are being answered finish, and ends.
    pub fn stop(mut self) {
        self.end();
    }

    fn end(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            let _ended_already = thread.join();
        }
    }
}

/// Has the system let this process open a file for each connection, as far as it may ask for that: most systems let it open a
/// thousand, and many thousands when asked.
fn make_room(connections_max: usize) {
    let limit = getrlimit(Resource::Nofile);
    let wanted = u64::try_from(connections_max).unwrap_or(u64::MAX).saturating_add(OTHER_FILES);
    let wanted = limit.maximum.map_or(wanted, |most| most.min(wanted));
    if limit.current.is_some_and(|now| now < wanted) {
        let _stays_as_it_was = setrlimit(Resource::Nofile, Rlimit { current: Some(wanted), maximum: limit.maximum });
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.end();
    }
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Server({})", self.at)
    }
}
