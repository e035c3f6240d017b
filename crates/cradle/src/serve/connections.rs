//! Connections: so many, for so long, with requests of such a size; and the end of it all.

use crate::api::Peer;
use axum::{Extension, Router};
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::{Semaphore, watch};
use tokio::time::timeout;

/// Connections at a time: a few monitors and a person. More wait in the kernel's queue.
const CONNECTIONS_MAX: usize = 64;
/// Octets of a request's head. Ours are shorter than one kilobyte; hyper wants no less than eight.
const HEAD_LEN_MAX: usize = 16 * 1024;
/// Fields of a request's head.
const FIELDS_MAX: usize = 64;
/// Until the head of a request must have come, a kept-alive connection's next one included.
const HEAD_WITHIN: Duration = Duration::from_secs(10);
/// Until a connection is ended, however busy: one that dribbles its answer out cannot stay.
const CONNECTION_WITHIN: Duration = Duration::from_secs(600);
/// Until those that are being answered must be done when the process is told to end.
const DRAIN_WITHIN: Duration = Duration::from_secs(5);
/// Before it is tried again to take a connection, if the system had no descriptor left.
const RETRY_AFTER: Duration = Duration::from_millis(100);

/// The signals that end the process in order.
pub(super) struct Ended {
    terminate: Signal,
    interrupt: Signal,
}

/// Begins to wait for signals: from here on they do not kill the process.
pub(super) fn ended() -> std::io::Result<Ended> {
    Ok(Ended { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? })
}

impl Ended {
    pub(super) async fn wait(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}

/// Where connections come from.
pub(crate) trait Listener {
    /// A connection.
    type Stream: AsyncRead + AsyncWrite + Unpin + Send + 'static;
    /// Takes one, and says whose process is at its other end.
    async fn take(&self) -> std::io::Result<(Self::Stream, Peer)>;
}

impl Listener for TcpListener {
    type Stream = TcpStream;
    async fn take(&self) -> std::io::Result<(TcpStream, Peer)> {
        self.accept().await.map(|(stream, _)| (stream, Peer(None)))
    }
}

impl Listener for UnixListener {
    type Stream = UnixStream;
    async fn take(&self) -> std::io::Result<(UnixStream, Peer)> {
        let (stream, _) = self.accept().await?;
        // The kernel noted it when the connection was made.
        let peer = Peer(stream.peer_cred().ok().map(|credentials| credentials.uid()));
        Ok((stream, peer))
    }
}

/// Takes connections until the process is told to end, then lets those that are being answered finish.
pub(crate) async fn carry(listener: impl Listener, router: Router, ended: impl Future<Output = ()>) {
    let mut ended = pin!(ended);
    let slots = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    let (ending, told) = watch::channel(());
    loop {
        // A slot first, so that one connection more is not even taken.
        let taken = async {
            let slot = Arc::clone(&slots).acquire_owned().await;
            (slot, listener.take().await)
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
        let (router, told) = (router.clone().layer(Extension(peer)), told.clone());
        tokio::spawn(async move {
            let _ended_either_way = timeout(CONNECTION_WITHIN, one(stream, router, told)).await;
            drop(slot);
        });
    }
    drop(listener);
    drop(ending);
    let all = u32::try_from(CONNECTIONS_MAX).unwrap_or(u32::MAX);
    if timeout(DRAIN_WITHIN, slots.acquire_many(all)).await.is_err() {
        tracing::warn!("connections were cut off: they were not answered in time");
    }
}

/// Answers on one connection until the peer closes it, it takes too long, or `told` is closed.
async fn one(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    router: Router,
    mut told: watch::Receiver<()>,
) {
    let service = TowerToHyperService::new(router);
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_WITHIN)
        .max_buf_size(HEAD_LEN_MAX)
        .max_headers(FIELDS_MAX)
        .serve_connection(TokioIo::new(stream), service);
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
