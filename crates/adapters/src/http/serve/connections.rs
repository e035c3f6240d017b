//! Connections: so many, for so long, with requests of such a size; and the end of it all.

use super::address::Accounts;
use super::answer::Answer;
use super::body::Coming;
use super::outgoing::Outgoing;
use super::paced::Paced;
use super::request::{BodyFault, Channel, Head, Peer, Request, RequestBody, Taking};
use super::strict::Strict;
use super::tls::Identity;
use super::{Limits, Service};
use hyper::body::Incoming;
use hyper::header::{CONNECTION, HOST, HeaderName, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Response, StatusCode, Version};
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
    begun: Instant,
}

impl Shared {
    pub(super) fn new(limits: Limits, identity: Option<Identity>, service: Arc<dyn Service>) -> Self {
        let begun = Instant::now();
        Self {
            acceptor: identity.map(|identity| TlsAcceptor::from(identity.config)),
            service,
            accounts: Accounts::new(
                limits.connections_per_address_max,
                limits.requests_per_second,
                limits.requests_burst,
            ),
            handlers: Arc::new(Semaphore::new(limits.handlers_max)),
            begun,
            limits,
        }
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
            http(stream, shared, (Peer { address, certificate, channel }, lingers), told).await;
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
                async move { Ok::<_, Infallible>(response(&shared, peer, request, &lingers).await) }
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
enum Afterwards {
    Keep,
    Close,
}

async fn response(
    shared: &Shared,
    peer: Peer,
    request: hyper::Request<Incoming>,
    lingers: &AtomicBool,
) -> Response<Outgoing> {
    let (answer, afterwards) = match admitted(shared, peer, &request) {
        Ok(head) => answered(shared, head, request.into_body()).await,
        Err(refused) => (refused, Afterwards::Close),
    };
    let mut response = Response::new(Outgoing::new(answer.content));
    *response.status_mut() = StatusCode::from_u16(answer.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    for (field, value) in &answer.fields {
        if let Ok(value) = HeaderValue::from_str(value) {
            response.headers_mut().insert(HeaderName::from_static(field), value);
        }
    }
    if afterwards == Afterwards::Close {
        response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
        // What comes behind it is read by nobody.
        lingers.store(true, Ordering::Relaxed);
    }
    response
}

/// What must hold of any request before anybody is asked.
fn admitted(shared: &Shared, peer: Peer, request: &hyper::Request<Incoming>) -> Result<Head, Answer> {
    if !shared.accounts.may_ask(peer.address.ip(), shared.since_begun()) {
        return Err(Answer::text(429, "Too many requests from this address.").with("retry-after", "1"));
    }
    // RFC 9112 §3.2: exactly one, unless the request is of HTTP/1.0.
    let hosts = request.headers().get_all(HOST).iter().count();
    if hosts > 1 || (hosts == 0 && request.version() == Version::HTTP_11) {
        return Err(Answer::text(400, "The request must have one field Host."));
    }
    if !request.uri().path().starts_with('/') {
        return Err(Answer::text(400, "The path must begin with a slash."));
    }
    let field = |(name, value): (&HeaderName, &HeaderValue)| Some((name.to_string(), value.to_str().ok()?.to_owned()));
    let fields = request.headers().iter().map(field).collect::<Option<_>>();
    let fields = fields.ok_or_else(|| Answer::text(400, "A field has a value that is no text."))?;
    Ok(Head {
        method: request.method().to_string(),
        path: request.uri().path().to_owned(),
        query: request.uri().query().map(str::to_owned),
        fields,
        peer,
    })
}

async fn answered(shared: &Shared, head: Head, body: Incoming) -> (Answer, Afterwards) {
    let limits = shared.service.limits(&head);
    let coming = Coming::new(body, limits);
    if coming.is_too_long() {
        return refused(BodyFault::TooLong);
    }
    let whole = match limits.taking {
        Taking::Whole => match coming.gather().await {
            Ok(octets) => Ok(octets),
            Err(fault) => return refused(fault),
        },
        Taking::Streamed => Err(coming),
    };
    let Ok(turn) = Arc::clone(&shared.handlers).try_acquire_owned() else {
        return (Answer::text(503, "All hands are busy.").with("retry-after", "1"), Afterwards::Close);
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

fn refused(fault: BodyFault) -> (Answer, Afterwards) {
    let answer = match fault {
        BodyFault::TooLong => Answer::text(413, "The body is longer than it may be."),
        BodyFault::TooSlow => Answer::text(408, "The body did not come in time."),
        BodyFault::BrokenOff => Answer::text(400, "The body was broken off."),
    };
    (answer, Afterwards::Close)
}
