//! Where it listens: a socket in the data directory that its owner alone may open; loopback, if somebody wants it.

use super::desk::{Desk, directory};
use super::serve::{Admission, Office, router};
use crate::fault::{Exit, Failure, Result};
use crate::serve::connections::carry;
use adapters::clock::SystemEntropy;
use adapters::files::{self, DirectoryLock};
use model::octets::base64url;
use ports::clock::random;
use std::net::SocketAddr;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;
use tokio::net::{TcpListener, UnixListener};
use tokio::runtime::Runtime;
use tokio::sync::watch;
use zeroize::Zeroizing;

/// The socket, in the data directory.
const SOCKET: &str = "api.sock";
/// The token for TCP, in the directory of the API: made anew at each start.
const TOKEN: &str = "token";
/// Octets of a token.
const TOKEN_LEN: usize = 32;
/// Threads that look and do: those that look at a time, as many that were given up, and one that changes something.
const BLOCKING_MAX: usize = 12;
/// How long what is being done is waited for at the end.
const END_WITHIN: Duration = Duration::from_secs(30);

/// It listens. Dropping this ends it, when what was begun is done.
pub(crate) struct Listening {
    socket: PathBuf,
    url: Option<String>,
    stop: Option<watch::Sender<()>>,
    thread: Option<JoinHandle<()>>,
    _alone: DirectoryLock,
}

impl Listening {
    /// Listens at the socket, and at an address if one is named.
    pub(crate) fn start(data: &Path, desk: Desk, address: Option<SocketAddr>) -> Result<Self> {
        let room = directory(data);
        let alone = DirectoryLock::take(&room).map_err(|e| match e.kind() {
            std::io::ErrorKind::WouldBlock => {
                Failure::new(Exit::TryAgain, "in-use", "the operator API answers already")
                    .because("another process of this installation listens")
                    .next("ask there, or end it")
            }
            _ => Failure::file(&room, &e),
        })?;
        let owner = std::fs::metadata(data).map_err(|e| Failure::file(data, &e))?.uid();
        let office = Arc::new(Office::new(desk));
        let runtime = runtime()?;
        let _inside = runtime.enter();
        let (socket, unix) = bound(data, &room)?;
        let tcp = address.map(|address| with_token(&room, address)).transpose()?;
        let url = tcp.as_ref().map(|(_, at, _)| format!("http://{at}"));
        let (stop, stopped) = watch::channel(());
        let at_socket = router(&office, Admission::Owner(owner));
        let doors = async move {
            let first = carry(unix, at_socket, ended(stopped.clone()));
            let second = async {
                if let Some((listener, _, token)) = tcp {
                    carry(listener, router(&office, Admission::Token(token)), ended(stopped)).await;
                }
            };
            tokio::join!(first, second);
        };
        drop(_inside);
        let thread = std::thread::Builder::new().name("api".into()).spawn(move || carried(runtime, doors));
        let thread = Some(thread.map_err(|e| not_listening("starting a thread", e))?);
        tracing::info!(socket = %socket.display(), url, "the operator API answers");
        Ok(Self { socket, url, stop: Some(stop), thread, _alone: alone })
    }

    /// Where it listens on TCP.
    pub(crate) fn url(&self) -> Option<&str> {
        self.url.as_deref()
    }

    /// Where it listens, for programs.
    pub(crate) fn words(&self) -> serde_json::Value {
        serde_json::json!({"socket": self.socket.display().to_string(), "url": self.url})
    }

    pub(crate) fn socket(&self) -> &Path {
        &self.socket
    }
}

impl Drop for Listening {
    fn drop(&mut self) {
        // First nobody is let in any more.
        let _gone_already = std::fs::remove_file(&self.socket);
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            let _ended_already = thread.join();
        }
    }
}

async fn ended(mut stopped: watch::Receiver<()>) {
    // It is never sent anything: the other end is dropped.
    let _closed = stopped.changed().await;
}

fn carried(runtime: Runtime, doors: impl Future<Output = ()>) {
    runtime.block_on(doors);
    // What changes something is waited for, so that its answer is kept.
    runtime.shutdown_timeout(END_WITHIN);
}

fn runtime() -> Result<Runtime> {
    tokio::runtime::Builder::new_current_thread()
        .max_blocking_threads(BLOCKING_MAX)
        .enable_all()
        .build()
        .map_err(|e| not_listening("starting the runtime", e))
}

fn not_listening(what: &str, error: std::io::Error) -> Failure {
    Failure::new(Exit::Unavailable, "listen", format!("{what} cannot be done"))
        .because(error)
        .next("name another port; a socket's path has at most 107 octets: see the data directory's")
}

/// The socket, which never was there for others to open.
fn bound(data: &Path, room: &Path) -> Result<(PathBuf, UnixListener)> {
    let (socket, begun) = (data.join(SOCKET), room.join("begun"));
    let failed = |e| not_listening("listening at the socket", e);
    // Nobody else may enter the room, so nobody opens it before its permissions are right. One that a process left that is gone is
    // replaced.
    let _not_there = std::fs::remove_file(&begun);
    let listener = UnixListener::bind(&begun).map_err(failed)?;
    std::fs::set_permissions(&begun, std::fs::Permissions::from_mode(0o600)).map_err(failed)?;
    std::fs::rename(&begun, &socket).map_err(failed)?;
    Ok((socket, listener))
}

/// A listener on loopback, and the SHA-256 of the token that is shown there.
fn with_token(room: &Path, address: SocketAddr) -> Result<(TcpListener, SocketAddr, model::Digest)> {
    let failed = |e| not_listening("listening", e);
    let listener = std::net::TcpListener::bind(address).map_err(failed)?;
    listener.set_nonblocking(true).map_err(failed)?;
    let at = listener.local_addr().map_err(failed)?;
    let octets = Zeroizing::new(random::<TOKEN_LEN>(&SystemEntropy::default()));
    let token = Zeroizing::new(base64url(octets.as_ref()));
    let path = room.join(TOKEN);
    files::replace(&path, token.as_bytes()).map_err(|e| Failure::file(&path, &e))?;
    Ok((TcpListener::from_std(listener).map_err(failed)?, at, x509::sha256(token.as_bytes())))
}
