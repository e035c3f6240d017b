//! A stream through which only such requests come as can be read in one way.
//!
//! Prevents: request smuggling. What stands in front of this server, a proxy or a balancer, may take a bare LF for the end of a line,
//! one of two lengths, or a coding for another; then it and the reader behind this stream see two different requests. hyper reads more
//! than RFC 9112 has senders write, and drops one of two lengths without a word; here nothing of that arrives.

use std::io::{self, ErrorKind};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use wire::http::{Framing, Offence, Part};

/// What is read in the place of an octet that a head does not have: nobody takes it for anything else, and it is answered 400.
const NOTHING: u8 = 0;

/// Passes everything on, up to the first octet that is not as it has to be.
pub(super) struct Strict<S> {
    inner: S,
    framing: Framing,
    broken: Option<Part>,
    // Set when there is an offence: the peer may be sending what nobody reads.
    lingers: Arc<AtomicBool>,
}

impl<S> Strict<S> {
    pub(super) fn new(inner: S, lingers: Arc<AtomicBool>) -> Self {
        Self { inner, framing: Framing::default(), broken: None, lingers }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Strict<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.broken {
            None => {}
            // What is in a body is given up by who reads it.
            Some(Part::Body) => return Poll::Ready(Err(broken())),
            // The answer that says so ends the connection; the end of what is read would end it before.
            Some(Part::Head) => return Poll::Pending,
        }
        let before = into.filled().len();
        ready!(Pin::new(&mut self.inner).poll_read(cx, into))?;
        let came = into.filled().get(before..).unwrap_or_default();
        let Err(Offence { after, part, why }) = self.framing.decode_next(came) else { return Poll::Ready(Ok(())) };
        tracing::debug!(why, ?part, "a request was refused: it can be read in more than one way");
        self.broken = Some(part);
        self.lingers.store(true, Ordering::Relaxed);
        into.set_filled(before.saturating_add(after));
        match part {
            Part::Head => into.put_slice(&[NOTHING]),
            Part::Body if after == 0 => return Poll::Ready(Err(broken())),
            Part::Body => {}
        }
        Poll::Ready(Ok(()))
    }
}

fn broken() -> io::Error {
    io::Error::new(ErrorKind::InvalidData, "the body is not as RFC 9112 has it")
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Strict<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, from: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write(cx, from)
    }
    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        from: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write_vectored(cx, from)
    }
    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }
    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }
    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}
