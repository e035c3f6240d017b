//! Whether a box, or one process of it, may be given work.

use crate::fault::{Exit, Failure, trouble_of};
use model::contract::supervisor::Trouble;
use model::mode::Binding;
use model::{Mode, Module};
use serde::Serialize;
use std::sync::OnceLock;
use std::time::Duration;

/// How long the broker may take to send something back.
pub(crate) const BROKER_WITHIN: Duration = Duration::from_secs(2);
/// How long somebody waits for an answer: as long as each module's broker may take, and who came before.
const ANSWER_WITHIN: Duration = Duration::from_secs(15);

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
    pub(super) async fn now(self: std::sync::Arc<Self>) -> Standing {
        let looked = tokio::time::timeout(ANSWER_WITHIN, async {
            let _alone = self.door.lock().await;
            let own = std::sync::Arc::clone(&self);
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
