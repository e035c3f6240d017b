//! Whether a box, or one process of it, may be given work.

use crate::fault::{Exit, Failure, Result, trouble_of};
use model::contract::supervisor::Trouble;
use model::mode::Binding;
use model::text::printable;
use model::{Mode, Module};
use serde::Serialize;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

/// How long the broker may take to send something back.
pub(crate) const BROKER_WITHIN: Duration = Duration::from_secs(2);
/// How long somebody waits for an answer: as long as each module's broker may take, and who came before.
const ANSWER_WITHIN: Duration = Duration::from_secs(15);
/// Longest answer that is read, in octets: ours are shorter.
const ANSWER_LEN_MAX: u64 = 64 * 1024;
/// Longest text of an answer that is told, in characters.
const TOLD_LEN_MAX: usize = 500;

/// How a box, or one process of it, stands.
#[derive(Debug, Serialize)]
pub(crate) struct Standing {
    ready: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    mode: Option<Mode>,
    #[serde(skip_serializing_if = "Option::is_none")]
    changing_to: Option<Mode>,
    /// Which modules are to run here.
    modules: Vec<Module>,
    down: Vec<Trouble>,
}

impl Standing {
    /// What is to run, and what does not.
    pub(crate) fn of(binding: Option<Binding>, modules: Vec<Module>, down: Vec<Trouble>) -> Self {
        let changing_to = binding.and_then(|binding| binding.pending);
        let mode = binding.map(|binding| binding.current);
        Self { ready: down.is_empty(), mode, changing_to, modules, down }
    }

    /// It cannot be told yet, or any more.
    pub(crate) fn unknown(why: &str) -> Self {
        let failure = Failure::new(Exit::Unavailable, "unavailable", "this cannot be given work")
            .because(why)
            .next("ask again in a moment; see what was logged if it stays so");
        Self::of(None, Vec::new(), vec![trouble_of(None, &failure)])
    }

    pub(super) const fn is_ready(&self) -> bool {
        self.ready
    }
}

/// A module without a lease that lets it run now.
pub(crate) fn no_lease(module: Module, why: &str) -> Trouble {
    let failure = Failure::new(Exit::Unavailable, "no-lease", format!("{module} does not run"))
        .because(why)
        .next("leases are handed out every ten seconds by `cradle up`; see what it logged");
    trouble_of(Some(module), &failure)
}

/// A broker that does not answer.
pub(crate) fn no_broker(module: Module) -> Trouble {
    let failure = Failure::new(Exit::Unavailable, "bus", "the bus cannot be used")
        .because(format!("the broker does not answer {module}"))
        .next("see whether it runs, and the way to it: `cradle bus check`");
    trouble_of(Some(module), &failure)
}

/// Asks the box at an address whether it is ready, where nothing else can ask.
///
/// # Errors
/// If nobody answers there, or something is down.
pub(crate) fn ask(address: SocketAddr) -> Result<serde_json::Value> {
    let failed = |why: String| {
        Failure::new(Exit::Unavailable, "unavailable", format!("the box at {address} is not ready"))
            .because(why)
            .next("see what `cradle up` logged, and whether it was started with --listen")
    };
    let gone = |error: std::io::Error| failed(format!("nobody answers there ({error})"));
    let mut stream = TcpStream::connect_timeout(&address, BROKER_WITHIN).map_err(gone)?;
    stream.set_read_timeout(Some(ANSWER_WITHIN + BROKER_WITHIN)).map_err(gone)?;
    let question = format!("GET /ready HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
    stream.write_all(question.as_bytes()).map_err(gone)?;
    let mut answer = String::new();
    stream.take(ANSWER_LEN_MAX).read_to_string(&mut answer).map_err(gone)?;
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or_default();
    let standing: serde_json::Value = serde_json::from_str(body).unwrap_or_default();
    if head.starts_with("HTTP/1.1 200 ") && standing.get("ready") == Some(&true.into()) {
        return Ok(standing);
    }
    let down = standing.get("down").and_then(serde_json::Value::as_array).into_iter().flatten();
    let text = |trouble: &serde_json::Value, key| trouble.get(key).and_then(|t| t.as_str()).unwrap_or("?").to_owned();
    let down: Vec<_> = down.map(|trouble| format!("{}: {}", text(trouble, "what"), text(trouble, "why"))).collect();
    let why = if down.is_empty() { head.lines().next().unwrap_or_default().to_owned() } else { down.join("; ") };
    Err(failed(printable(&why, TOLD_LEN_MAX)))
}

type Look = Box<dyn Fn() -> Standing + Send + Sync>;

/// Looks how it stands, as soon as there is something to look at.
#[derive(Default)]
pub(crate) struct Readiness {
    look: OnceLock<Look>,
    /// Whoever is let in looks; the others wait.
    door: tokio::sync::Mutex<()>,
}

impl Readiness {
    /// From here on `look` says it. It may block.
    pub(crate) fn begin(&self, look: impl Fn() -> Standing + Send + Sync + 'static) {
        let _begun_already = self.look.set(Box::new(look));
    }

    /// How it stands now.
    pub(super) async fn now(self: Arc<Self>) -> Standing {
        let looked = tokio::time::timeout(ANSWER_WITHIN, async {
            let _alone = self.door.lock().await;
            let own = Arc::clone(&self);
            // The broker is waited for, and what holds the records is not dropped on the thread of the connections.
            tokio::task::spawn_blocking(move || own.look.get().map(|look| look())).await
        });
        match looked.await {
            Ok(Ok(Some(standing))) => standing,
            Ok(Ok(None)) => Standing::unknown("it is being started"),
            Ok(Err(_)) | Err(_) => Standing::unknown("it took too long to look"),
        }
    }
}
