//! A socket whose peer has to take what is sent at a pace, and that is not slammed in the face of one who still sends.

use super::super::PACE_LEN;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep, sleep_until};

/// Most octets that are read and dropped for a peer whose request was refused, and for how long: closed at once, the connection
/// would be reset, and the peer, who still sends, would never read why. Source: RFC 9112 §9.6.
pub(super) const LINGER_LEN_MAX: usize = 1 << 20;
pub(super) const LINGER_WITHIN: Duration = Duration::from_secs(2);
const PIECE_LEN: usize = 4096;

/// Passes everything on, and fails once less than [`PACE_LEN`] octets were taken within the time since it had to wait.
pub(super) struct Paced<S> {
    inner: S,
    within: Duration,
    // Since the peer let us wait; what it took since then.
    waiting: Option<Pin<Box<Sleep>>>,
    taken: u64,
    // Whether the peer may be sending what nobody reads.
    lingers: Arc<AtomicBool>,
    parting: Option<Parting>,
}

/// The peer was told the end; what it still sends is dropped, so much and until then.
struct Parting {
    left: usize,
    until: Pin<Box<Sleep>>,
}

impl<S> Paced<S> {
    pub(super) const fn new(inner: S, within: Duration, lingers: Arc<AtomicBool>) -> Self {
        Self { inner, within, waiting: None, taken: 0, lingers, parting: None }
    }

    fn judge(&mut self, written: &Poll<io::Result<usize>>, cx: &mut Context<'_>) -> io::Result<()> {
        if let Poll::Ready(Ok(len)) = written {
            self.taken = self.taken.saturating_add(u64::try_from(*len).unwrap_or(u64::MAX));
            if self.taken >= PACE_LEN {
                self.waiting = None;
                self.taken = 0;
            }
        }
        if written.is_pending() && self.waiting.is_none() {
            let until = Instant::now() + self.within;
            self.waiting = Some(Box::pin(sleep_until(until)));
            self.taken = 0;
        }
        match self.waiting.as_mut().map(|waiting| waiting.as_mut().poll(cx)) {
            Some(Poll::Ready(())) => Err(io::Error::new(io::ErrorKind::TimedOut, "the peer takes it too slowly")),
            Some(Poll::Pending) | None => Ok(()),
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Paced<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_read(cx, into)
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Paced<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, from: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.inner).poll_write(cx, from);
        self.judge(&written, cx)?;
        written
    }
    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(Pin::new(&mut self.inner).poll_flush(cx))?;
        // All of it is the kernel's now.
        self.waiting = None;
        Poll::Ready(Ok(()))
    }
    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let Self { inner, lingers, parting, .. } = &mut *self;
        if parting.is_none() {
            ready!(Pin::new(&mut *inner).poll_shutdown(cx))?;
            if !lingers.load(Ordering::Relaxed) {
                return Poll::Ready(Ok(()));
            }
        }
        let parting = parting.get_or_insert_with(Parting::begin);
        while parting.left > 0 && parting.until.as_mut().poll(cx).is_pending() {
            let mut piece = [0; PIECE_LEN];
            let mut piece = ReadBuf::new(&mut piece);
            let came = ready!(Pin::new(&mut *inner).poll_read(cx, &mut piece));
            let len = piece.filled().len();
            if came.is_err() || len == 0 {
                break;
            }
            parting.left = parting.left.saturating_sub(len);
        }
        Poll::Ready(Ok(()))
    }
}

impl Parting {
    fn begin() -> Self {
        Self { left: LINGER_LEN_MAX, until: Box::pin(sleep_until(Instant::now() + LINGER_WITHIN)) }
    }
}
