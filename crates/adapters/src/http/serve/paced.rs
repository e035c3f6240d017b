//! A socket whose peer has to take what is sent at a pace.

use super::super::PACE_LEN;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep, sleep_until};

/// Passes everything on, and fails once less than [`PACE_LEN`] octets were taken within the time since it had to wait.
pub(super) struct Paced<S> {
    inner: S,
    within: Duration,
    // Since the peer let us wait; what it took since then.
    waiting: Option<Pin<Box<Sleep>>>,
    taken: u64,
}

impl<S> Paced<S> {
    pub(super) const fn new(inner: S, within: Duration) -> Self {
        Self { inner, within, waiting: None, taken: 0 }
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

impl<S: AsyncWrite + Unpin> AsyncWrite for Paced<S> {
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
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}
