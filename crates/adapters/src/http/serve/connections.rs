//! Connections: so many, for so long, with requests of such a size; and the end of it all.

use super::address::Accounts;
use super::answer::{Answer, Content};
use super::body::Coming;
use super::http2;
use super::outgoing::Outgoing;
use super::paced::Paced;
use super::request::{BodyFault, BodyLimits, Channel, Head, Peer, Request, RequestBody, Taking};
use super::strict::Strict;
use super::tls::{HTTP_2, Identity};
use super::{Limits, Service};
use hyper::body::Body;
use hyper::body::Incoming;
use hyper::header::{CONNECTION, CONTENT_LENGTH, HOST, HeaderName, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Response, StatusCode, Version};
use hyper_util::rt::{TokioIo, TokioTimer};
use rustls::{ProtocolVersion, ServerConnection};
use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::task::spawn_blocking;
use tokio::time::{Instant, timeout};
use tokio_rustls::TlsAcceptor;

/// Before it is tried again to take a connection, if the system had no descriptor left.
const RETRY_AFTER: Duration = Duration::from_millis(100);
/// The least that hyper takes as the room for a head.
const HEAD_ROOM_MIN: usize = 8192;

/// What all connections of a server have in common.
pub(super) struct Shared {
    limits: Limits,
    acceptor: Option<TlsAcceptor>,
    service: Arc<dyn Service>,
    accounts: Accounts,
    handlers: Arc<Semaphore>,
    // Requests that are taken in or answered. Over HTTP/1.1 there are no more of them than connections.
    requests: Semaphore,
    begun: Instant,
}

impl Shared {
    pub(super) fn new(limits: Limits, identity: Option<Identity>, service: Arc<dyn Service>) -> Self {
        let begun = Instant::now();
        let spoken = |identity: Identity| TlsAcceptor::from(identity.speaking_http(limits.streams_max));
        Self {
            acceptor: identity.map(spoken),
            service,
            accounts: Accounts::new(
                limits.connections_per_address_max,
                limits.requests_per_second,
                limits.requests_burst,
            ),
            handlers: Arc::new(Semaphore::new(limits.handlers_max)),
            requests: Semaphore::new(limits.connections_max.min(Semaphore::MAX_PERMITS)),
            begun,
            limits,
        }
    }

    pub(super) const fn limits(&self) -> &Limits {
        &self.limits
    }

    fn since_begun(&self) -> Duration {
        self.begun.elapsed()
    }
}

// The place of one connection among those of its address.
struct Place {
    shared: Arc<Shared>,
    peer: SocketAddr,
}
impl Drop for Place {
    fn drop(&mut self) {
        self.shared.accounts.ended(self.peer.ip());
    }
}

/// Takes connections until told to end, then lets those that are being answered finish.
pub(super) async fn carry(listener: TcpListener, shared: Arc<Shared>, ended: impl Future<Output = ()>) {
    let mut ended = pin!(ended);
    let connections_max = shared.limits.connections_max.min(Semaphore::MAX_PERMITS);
    let slots = Arc::new(Semaphore::new(connections_max));
    let (ending, told) = watch::channel(());
    loop {
        // A slot first, so that one connection more is not even taken.
        let taken = async {
            let slot = Arc::clone(&slots).acquire_owned().await;
            (slot, listener.accept().await)
        };
        let (slot, stream, peer) = tokio::select! {
            () = ended.as_mut() => break,
            (slot, accepted) = taken => match accepted {
                Ok((stream, peer)) => (slot, stream, peer),
                Err(error) => {
                    tracing::warn!(%error, "a connection was not taken");
                    tokio::time::sleep(RETRY_AFTER).await;
                    continue;
                }
            },
        };
        if !shared.accounts.begun(peer.ip(), shared.since_begun()) {
            continue;
        }
        let place = Place { shared: Arc::clone(&shared), peer };
        let told = told.clone();
        tokio::spawn(async move {
            let within = place.shared.limits.connection_within;
            let _ended_either_way = timeout(within, one(stream, &place, told)).await;
            drop((place, slot));
        });
    }
    drop(listener);
    drop(ending);
    let all = u32::try_from(connections_max).unwrap_or(u32::MAX);
    if timeout(shared.limits.drain_within, slots.acquire_many(all)).await.is_err() {
        tracing::warn!("connections were cut off: they were not answered in time");
    }
}

/// Shakes hands, if it is TLS, and answers until the peer closes it, it takes too long, or `told` is closed.
async fn one(stream: TcpStream, place: &Place, mut told: watch::Receiver<()>) {
    let (shared, address) = (&place.shared, place.peer);
    let _kernel_would_wait_for_more = stream.set_nodelay(true);
    let lingers = Arc::new(AtomicBool::new(false));
    let stream = Paced::new(stream, shared.limits.pace_within, Arc::clone(&lingers));
    let Some(acceptor) = &shared.acceptor else {
        return http(stream, shared, (Peer { address, certificate: None, channel: Channel::Nameless }, lingers), told)
            .await;
    };
    let shaken = tokio::select! {
        shaken = timeout(shared.limits.handshake_within, acceptor.accept(stream)) => shaken,
        _closed = told.changed() => return,
    };
    match shaken {
        Ok(Ok(stream)) => {
            let shown = stream.get_ref().1.peer_certificates().and_then(<[_]>::first);
            let certificate = shown.map(|der| Arc::from(der.as_ref()));
            let channel = channel(stream.get_ref().1);
            let is_2 = stream.get_ref().1.alpn_protocol() == Some(HTTP_2);
            let peer = Peer { address, certificate, channel };
            match is_2 {
                // Apart: who speaks the older one, or nothing yet, keeps no room for it.
                true => Box::pin(http2::serve(stream, shared, (peer, lingers), told)).await,
                false => http(stream, shared, (peer, lingers), told).await,
            }
        }
        Ok(Err(error)) => tracing::debug!(%error, "a connection was refused: TLS"),
        Err(_) => tracing::debug!("a connection was refused: TLS did not shake hands in time"),
    }
}

// RFC 9266 §2: without a context, 32 octets. It names a connection of TLS 1.3; older ones are not asked.
fn channel(connection: &ServerConnection) -> Channel {
    let is_13 = connection.protocol_version() == Some(ProtocolVersion::TLSv1_3);
    let exported = connection.export_keying_material([0; 32], b"EXPORTER-Channel-Binding", Some(&[]));
    exported.ok().filter(|_| is_13).map_or(Channel::Nameless, Channel::Exporter)
}

async fn http<S>(
    stream: S,
    shared: &Arc<Shared>,
    (peer, lingers): (Peer, Arc<AtomicBool>),
    mut told: watch::Receiver<()>,
) where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let limits = &shared.limits;
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.head_within)
        .max_buf_size(limits.head_len_max.max(HEAD_ROOM_MIN))
        .max_headers(limits.fields_max)
        .serve_connection(
            TokioIo::new(Strict::new(stream, Arc::clone(&lingers))),
            service_fn(|request| {
                let (shared, peer, lingers) = (Arc::clone(shared), peer.clone(), Arc::clone(&lingers));
                async move {
                    let (mut response, afterwards) = response(&shared, peer, request).await;
                    if afterwards != Afterwards::Keep {
                        response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
                        // What comes behind it is read by nobody.
                        lingers.store(true, Ordering::Relaxed);
                    }
                    Ok::<_, Infallible>(response)
                }
            }),
        );
    let mut connection = pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        _closed = told.changed() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        // The peer's doing: it went away, or did not speak HTTP.
        tracing::debug!(%error, "a connection was broken off");
    }
}

/// Whether the connection may carry another request.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Afterwards {
    Keep,
    /// Only if it carries others apart from this one, whose body ends nowhere: over HTTP/2 whoever asked has given it up.
    KeepOthers,
    Close,
}

/// The answer to a request, of whichever version.
pub(super) async fn response(
    shared: &Shared,
    peer: Peer,
    request: hyper::Request<Incoming>,
) -> (Response<Outgoing>, Afterwards) {
    let version = request.version();
    let is_body_wanted = version != Version::HTTP_2 || request.method() != Method::HEAD;
    let (answer, afterwards) = match admitted(shared, peer, &request) {
        Ok(head) => answered(shared, head, request.into_body(), version).await,
        Err(refused) => {
            Coming::new(request.into_body(), BodyLimits::NONE, version).drop_rest().await;
            (refused, Afterwards::Close)
        }
    };
    let mut response = Response::new(Outgoing::new(answer.content));
    *response.status_mut() = StatusCode::from_u16(answer.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    for (field, value) in &answer.fields {
        if let Ok(value) = HeaderValue::from_str(value) {
            response.headers_mut().insert(HeaderName::from_static(field), value);
        }
    }
    if !is_body_wanted {
        // RFC 9110 §9.3.2. Over HTTP/2 the library sends a body whatever was asked.
        if let Some(len) = response.body().size_hint().exact() {
            response.headers_mut().insert(CONTENT_LENGTH, len.into());
        }
        *response.body_mut() = Outgoing::new(Content::Octets(Vec::new()));
    }
    (response, afterwards)
}

/// What must hold of any request before anybody is asked.
fn admitted(shared: &Shared, peer: Peer, request: &hyper::Request<Incoming>) -> Result<Head, Answer> {
    if !shared.accounts.may_ask(peer.address.ip(), shared.since_begun()) {
        return Err(Answer::text(429, "Too many requests from this address.").with("retry-after", "1"));
    }
    let host = host(request).map_err(|why| Answer::text(400, why))?;
    if request.headers().len() > shared.limits.fields_max {
        return Err(Answer::text(431, "The request has too many fields."));
    }
    if !request.uri().path().starts_with('/') {
        return Err(Answer::text(400, "The path must begin with a slash."));
    }
    let field = |(name, value): (&HeaderName, &HeaderValue)| Some((name.to_string(), value.to_str().ok()?.to_owned()));
    let fields = request.headers().iter().map(field).collect::<Option<Vec<_>>>();
    let mut fields = fields.ok_or_else(|| Answer::text(400, "A field has a value that is no text."))?;
    fields.extend(host);
    Ok(Head {
        method: request.method().to_string(),
        path: request.uri().path().to_owned(),
        query: request.uri().query().map(str::to_owned),
        fields,
        peer,
    })
}

/// The field `host` that stands for what a request of HTTP/2 says in its place.
///
/// # Errors
/// What is wrong, if it is not clear who is asked.
fn host(request: &hyper::Request<Incoming>) -> Result<Option<(String, String)>, &'static str> {
    let mut hosts = request.headers().get_all(HOST).iter();
    let (first, second) = (hosts.next(), hosts.next());
    let authority = request.uri().authority().filter(|_| request.version() == Version::HTTP_2);
    // RFC 9113 §8.3.1: what is not asked inside of TLS is asked of somebody else. §8.5: nor is this a proxy.
    if authority.is_some() && request.uri().scheme_str().is_some_and(|scheme| scheme != "https") {
        return Err("The scheme must be https.");
    }
    match (first, second, authority) {
        // RFC 9112 §3.2: exactly one, unless the request is of HTTP/1.0.
        (Some(_), None, None) => Ok(None),
        (None, None, None) if request.version() < Version::HTTP_11 => Ok(None),
        (None, None, Some(authority)) if !authority.as_str().contains('@') => {
            Ok(Some((HOST.as_str().to_owned(), authority.as_str().to_owned())))
        }
        // RFC 9113 §8.3.1: both must say the same.
        (Some(host), None, Some(authority)) if host.as_bytes() == authority.as_str().as_bytes() => Ok(None),
        _ => Err("The request must have one field Host."),
    }
}

async fn answered(shared: &Shared, head: Head, body: Incoming, version: Version) -> (Answer, Afterwards) {
    let limits = shared.service.limits(&head);
    let mut coming = Coming::new(body, limits, version);
    let Ok(_place) = shared.requests.try_acquire() else {
        coming.drop_rest().await;
        return busy();
    };
    if coming.is_too_long() {
        coming.drop_rest().await;
        return refused(BodyFault::TooLong);
    }
    let whole = match limits.taking {
        Taking::Whole => match coming.gather().await {
            Ok(octets) => Ok(octets),
            Err(fault) => {
                coming.drop_rest().await;
                return refused(fault);
            }
        },
        Taking::Streamed => Err(coming),
    };
    let Ok(turn) = Arc::clone(&shared.handlers).try_acquire_owned() else {
        return busy();
    };
    let body = whole.map_or_else(|coming| RequestBody::streamed(coming.stream()), RequestBody::whole);
    let service = Arc::clone(&shared.service);
    let done = spawn_blocking(move || {
        let mut request = Request { head, body };
        let answer = service.answer(&mut request);
        drop(turn);
        (answer, request.body.fault)
    });
    match done.await {
        Ok((_, Some(fault))) => refused(fault),
        Ok((answer, None)) => (answer, Afterwards::Keep),
        Err(_) => {
            tracing::error!("a request was not answered: its handler panicked");
            (Answer::text(500, "This should not have happened; it was logged."), Afterwards::Close)
        }
    }
}

fn busy() -> (Answer, Afterwards) {
    (Answer::text(503, "All hands are busy.").with("retry-after", "1"), Afterwards::Close)
}

fn refused(fault: BodyFault) -> (Answer, Afterwards) {
    match fault {
        BodyFault::TooLong => (Answer::text(413, "The body is longer than it may be."), Afterwards::Close),
        BodyFault::TooSlow => (Answer::text(408, "The body did not come in time."), Afterwards::Close),
        BodyFault::BrokenOff => (Answer::text(400, "The body was broken off."), Afterwards::KeepOthers),
    }
}
