//! A connection of HTTP/2: so many requests at a time, frames that are paid for, and an end when it is quiet.
//!
//! The HTTP library bounds what it keeps: streams, heads, resets that nobody has seen yet. What it does not bound is work over time, and
//! waiting; that is done here. Source: RFC 9113 §10.5.

use super::Limits;
use super::connections::{Afterwards, Shared, response};
use super::frames::{Frames, Standing, WRITTEN_LEN};
use super::outgoing::Outgoing;
use super::request::Peer;
use hyper::body::{Body, Bytes, Frame, SizeHint};
use hyper::server::conn::http2;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use std::convert::Infallible;
use std::io::{self, ErrorKind, IoSlice};
use std::ops::ControlFlow;
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::{Notify, watch};
use tokio::time::{Instant, sleep_until};

/// Most octets of a request's body that are on their way: what a route takes is gathered as it comes.
const WINDOW_LEN: u32 = 64 * 1024;
/// The same, for all requests of a connection.
const CONNECTION_WINDOW_LEN: u32 = 128 * 1024;
/// Most octets of answers that wait in a connection, for each request.
const SEND_LEN_MAX: usize = 64 * 1024;
/// Most requests that were reset before they were looked at, and most resets for what was wrong; one more ends the connection.
const RESETS_MAX: usize = 20;
/// How long who was told that it ends may go on saying nothing.
const FAREWELL_WITHIN: Duration = Duration::from_secs(2);
/// Most octets of nothing that the HTTP library is given to read, so that it ends the connection: any frame, and a head behind it.
const NOTHING_LEN_MAX: usize = 32 * 1024;

/// Answers until the peer closes it, nothing happens any more, or `told` is closed.
pub(super) async fn serve<S>(
    stream: S,
    shared: &Arc<Shared>,
    (peer, lingers): (Peer, Arc<AtomicBool>),
    mut told: watch::Receiver<()>,
) where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let limits = shared.limits();
    let life = Arc::new(Life::begin(lingers));
    let service = service_fn(|request| {
        let (shared, peer) = (Arc::clone(shared), peer.clone());
        let turn = Turn::begin(&life);
        async move {
            let (response, afterwards) = response(&shared, peer, request).await;
            let life = (afterwards == Afterwards::Close).then(|| Arc::clone(&turn.0));
            Ok::<_, Infallible>(response.map(|outgoing| Parting { outgoing, life }))
        }
    });
    let stream = TokioIo::new(Metered::new(stream, Arc::clone(&life)));
    let mut connection = pin!(builder(limits).serve_connection(stream, service));
    let mut until = Instant::now() + limits.head_within;
    let mut is_leaving = false;
    let ended = loop {
        let is_to_leave = tokio::select! {
            // First what has been answered, then GOAWAY.
            biased;
            ended = connection.as_mut() => break ended,
            _closed = told.changed(), if !is_leaving => true,
            () = life.over.notified(), if !is_leaving => true,
            () = sleep_until(until) => {
                let within = if is_leaving { FAREWELL_WITHIN } else { limits.head_within };
                match life.look_again(within) {
                    Some(later) => {
                        until = later;
                        false
                    }
                    None if is_leaving => return tracing::debug!("a connection was cut off: it was quiet"),
                    None => true,
                }
            }
        };
        if is_to_leave {
            is_leaving = true;
            life.end();
            connection.as_mut().graceful_shutdown();
            until = Instant::now() + FAREWELL_WITHIN;
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "a connection was broken off");
    }
}

fn builder(limits: &Limits) -> http2::Builder<TokioExecutor> {
    let mut builder = http2::Builder::new(TokioExecutor::new());
    builder
        .max_concurrent_streams(limits.streams_max)
        .max_header_list_size(u32::try_from(limits.head_len_max).unwrap_or(u32::MAX))
        .max_pending_accept_reset_streams(RESETS_MAX)
        .max_local_error_reset_streams(RESETS_MAX)
        .initial_stream_window_size(WINDOW_LEN)
        .initial_connection_window_size(CONNECTION_WINDOW_LEN)
        .max_send_buf_size(SEND_LEN_MAX);
    builder
}

/// What a connection does, as far as its end hangs on it.
struct Life {
    /// Requests that are taken in or worked on. What is sent in answer is not among them: it has to be taken at a pace.
    working: AtomicUsize,
    /// Whether the peer lets the socket wait; then the socket is what ends it.
    is_held_up: AtomicBool,
    /// Octets that were sent.
    written: AtomicU64,
    /// Since when nothing counts as happening, and what had been sent then.
    quiet: Mutex<(Instant, u64)>,
    is_leaving: AtomicBool,
    over: Notify,
    /// Whether the peer may be sending what nobody reads.
    lingers: Arc<AtomicBool>,
}

impl Life {
    fn begin(lingers: Arc<AtomicBool>) -> Self {
        Self {
            working: AtomicUsize::new(0),
            is_held_up: AtomicBool::new(false),
            written: AtomicU64::new(0),
            quiet: Mutex::new((Instant::now(), 0)),
            is_leaving: AtomicBool::new(false),
            over: Notify::new(),
            lingers,
        }
    }

    /// No request more is taken on; those that were begun are answered.
    fn end(&self) {
        self.is_leaving.store(true, Ordering::Relaxed);
        self.lingers.store(true, Ordering::Relaxed);
        self.over.notify_one();
    }

    /// When it is to be looked at again; never, if it was quiet for so long: nothing asked, and what is sent is not taken at a pace.
    fn look_again(&self, within: Duration) -> Option<Instant> {
        let now = Instant::now();
        if self.working.load(Ordering::Relaxed) > 0 || self.is_held_up.load(Ordering::Relaxed) {
            return Some(now + within);
        }
        let written = self.written.load(Ordering::Relaxed);
        let mut quiet = self.quiet.lock().unwrap_or_else(PoisonError::into_inner);
        if written.saturating_sub(quiet.1) >= super::super::PACE_LEN {
            *quiet = (now, written);
        }
        let until = quiet.0 + within;
        (until > now).then_some(until)
    }
}

/// A request that is being taken in or worked on, until it is dropped.
struct Turn(Arc<Life>);

impl Turn {
    fn begin(life: &Arc<Life>) -> Self {
        life.working.fetch_add(1, Ordering::Relaxed);
        Self(Arc::clone(life))
    }
}
impl Drop for Turn {
    fn drop(&mut self) {
        let written = self.0.written.load(Ordering::Relaxed);
        *self.0.quiet.lock().unwrap_or_else(PoisonError::into_inner) = (Instant::now(), written);
        self.0.working.fetch_sub(1, Ordering::Relaxed);
    }
}

/// The body of an answer. After the last one the connection ends: not before, since clients (curl 7.88) hear GOAWAY and listen no more.
struct Parting {
    outgoing: Outgoing,
    life: Option<Arc<Life>>,
}

impl Body for Parting {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        Pin::new(&mut self.outgoing).poll_frame(cx)
    }
    fn is_end_stream(&self) -> bool {
        self.outgoing.is_end_stream()
    }
    fn size_hint(&self) -> SizeHint {
        self.outgoing.size_hint()
    }
}
impl Drop for Parting {
    fn drop(&mut self) {
        if let Some(life) = &self.life {
            life.end();
        }
    }
}

/// A stream on which every frame of the peer is paid for. When it has nothing left, the HTTP library reads what ends a connection: octets
/// that are zero are a frame that nobody may send (DATA of no stream, RFC 9113 §6.1), whatever stands before them.
struct Metered<S> {
    inner: S,
    frames: Frames,
    life: Arc<Life>,
    earned: u64,
    nothing: Option<usize>,
}

impl<S> Metered<S> {
    const fn new(inner: S, life: Arc<Life>) -> Self {
        Self { inner, frames: Frames::new(), life, earned: 0, nothing: None }
    }

    /// Counts what was read, and gives how much of it may be seen.
    fn read(&mut self, came: &[u8]) -> ControlFlow<usize> {
        let earned = self.life.written.load(Ordering::Relaxed) / WRITTEN_LEN;
        self.frames.earn(earned.saturating_sub(self.earned));
        self.earned = earned;
        let standing = if self.life.is_leaving.load(Ordering::Relaxed) { Standing::Leaving } else { Standing::Open };
        self.frames.read(came, standing)
    }

    fn wrote(&self, written: &Poll<io::Result<usize>>) {
        self.life.is_held_up.store(written.is_pending(), Ordering::Relaxed);
        if let Poll::Ready(Ok(len)) = written {
            self.life.written.fetch_add(u64::try_from(*len).unwrap_or(u64::MAX), Ordering::Relaxed);
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Metered<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if let Some(given) = self.nothing {
            let len = into.remaining().min(NOTHING_LEN_MAX.saturating_sub(given));
            if len == 0 {
                return Poll::Ready(Err(io::Error::new(ErrorKind::InvalidData, "the peer asks for too much")));
            }
            into.initialize_unfilled_to(len).fill(0);
            into.advance(len);
            self.nothing = Some(given.saturating_add(len));
            return Poll::Ready(Ok(()));
        }
        let before = into.filled().len();
        ready!(Pin::new(&mut self.inner).poll_read(cx, into))?;
        let ControlFlow::Break(len) = self.read(into.filled().get(before..).unwrap_or_default()) else {
            return Poll::Ready(Ok(()));
        };
        tracing::debug!("a connection is ended: its frames ask for work and nothing else");
        self.life.end();
        self.nothing = Some(0);
        into.set_filled(before.saturating_add(len));
        if len > 0 { Poll::Ready(Ok(())) } else { self.poll_read(cx, into) }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Metered<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, from: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.inner).poll_write(cx, from);
        self.wrote(&written);
        written
    }
    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        from: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.inner).poll_write_vectored(cx, from);
        self.wrote(&written);
        written
    }
    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }
    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.inner).poll_flush(cx);
        self.life.is_held_up.store(flushed.is_pending(), Ordering::Relaxed);
        flushed
    }
    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}
