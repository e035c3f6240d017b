//! sm follows by itself while the mode lets it; and the gateway takes notices for it.

use super::Workshop;
use super::door::from_files;
use crate::config::{NoticesConfig, SoftwareConfig};
use crate::fault::{Exit, Failure, Result};
use adapters::http::serve::Oldest;
use adapters::http::{Files, PATIENCE, Shown};
use adapters::sources::DirectoriesAndServers;
use gateway::{Gateway, Notices, Setting as Sockets, Tls};
use model::contract::software::Source;
use model::{Fault, Mode, Module};
use ports::Link;
use ports::directory::Caller;
use ports::reports::reporter;
use ports::source::{NotFetched, Sources};
use software::{May, Reports, Setting, Software};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread::JoinHandle;
use std::time::Duration;

/// How often it is looked whether it is time to follow.
const LOOK: Duration = Duration::from_millis(250);
/// After how many looks it is tried again to open what could not be opened, or kept what could not be kept.
const TRY_AGAIN: u32 = 40;
/// Longest answer to a report.
const ANSWER_LEN_MAX: u64 = 16 * 1024;

/// Where sm finds repositories.
pub(super) fn sources(config: Option<&SoftwareConfig>) -> Result<Arc<dyn Sources>> {
    let shown = config.map(shown).transpose()?.flatten();
    Ok(Arc::new(DirectoriesAndServers { shown }))
}

/// What is shown to servers that ask who this box is.
fn shown(config: &SoftwareConfig) -> Result<Option<Shown>> {
    let files = config.tls_certificate.as_ref().zip(config.tls_key.as_ref());
    let shown = files.map(|(certificate, key)| from_files(certificate, key, "software")).transpose()?;
    Ok(shown.map(|(chain, key)| Shown { chain, key: key.into() }))
}

/// What sm follows by itself, as the settings say.
pub(super) fn setting(workshop: &Workshop, config: &SoftwareConfig) -> Result<Setting> {
    let anchors = match &config.tls_anchors {
        Some(path) => crate::cli::certificates(path)?.into_iter().map(Into::into).collect(),
        None => Vec::new(),
    };
    let source =
        Source::Servers { images: config.images.clone(), director: config.director.clone(), tls_anchors: anchors };
    let secret = config.notices.as_ref().map(|notices| crate::cli::secret(&notices.secret_file)).transpose()?;
    let reports = config.director.as_ref().map(|director| ledger(config, director)).transpose()?;
    let caller = Caller { module: Module::Software, instance: workshop.config.name.clone() };
    let (reporter, entropy) = (reporter(&caller), Arc::clone(&workshop.entropy));
    Ok(Setting { source, every_s: config.every_s, secret, reporter, reports, entropy })
}

/// The director's ledger, over HTTP.
struct Ledger(Files);

impl Reports for Ledger {
    fn seal(&self, octets: &[u8], info: &[u8], to: &[u8; 32]) -> std::result::Result<Vec<u8>, Fault> {
        adapters::sealing::seal(octets, info, to).map_err(|_| Fault::unavailable("a report cannot be sealed"))
    }
    fn send(&self, octets: &[u8]) -> std::result::Result<u16, NotFetched> {
        self.0.send("report", "application/octet-stream", octets, ANSWER_LEN_MAX).map(|(status, _)| status)
    }
}

fn ledger(config: &SoftwareConfig, director: &str) -> Result<Arc<dyn Reports>> {
    let anchors = match &config.tls_anchors {
        Some(path) if director.starts_with("https://") => crate::cli::certificates(path)?,
        _ => Vec::new(),
    };
    let files = Files::showing(director, &anchors, shown(config)?.as_ref(), PATIENCE);
    let files = files.map_err(|bad| {
        Failure::new(Exit::Usage, "config", "nothing can be reported to software.director")
            .because(bad)
            .next("correct [software] in cradle.toml")
    })?;
    Ok(Arc::new(Ledger(files)))
}

/// Follows beside whoever answers, until it is dropped. What has begun then ends first.
pub(crate) struct Following {
    end: Option<SyncSender<()>>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Following {
    /// Starts it.
    pub(crate) fn start(software: Arc<Software>, link: &Arc<Link>) -> Result<Self> {
        let (end, ended) = sync_channel(1);
        let stop = Arc::new(AtomicBool::new(false));
        let (stopped, link) = (Arc::clone(&stop), Arc::downgrade(link));
        let may: May = Arc::new(move || {
            let is_open = |link: &Arc<Link>| {
                let held = link.gate().open(link.now());
                // No network is reached in any other mode, nor on the way to one.
                held.is_ok_and(|held| (held.binding.current, held.binding.pending) == (Mode::SoftwareManagement, None))
            };
            !stopped.load(Ordering::SeqCst) && link.upgrade().as_ref().is_some_and(is_open)
        });
        let thread = std::thread::Builder::new().name("following".into());
        let thread = thread
            .spawn(move || run(&software, &may, &ended))
            .map_err(|e| Failure::new(Exit::Unavailable, "thread", "sm cannot follow by itself").because(e))?;
        Ok(Self { end: Some(end), stop, thread: Some(thread) })
    }
}

fn run(software: &Software, may: &May, ended: &Receiver<()>) {
    let mut wait = 0_u32;
    while ended.recv_timeout(LOOK) == Err(RecvTimeoutError::Timeout) {
        wait = wait.saturating_sub(1);
        if wait > 0 || !may() {
            continue;
        }
        match software.look(may) {
            Ok(true) => tracing::debug!("the repositories were followed"),
            Ok(false) => {}
            Err(fault) => {
                wait = TRY_AGAIN;
                tracing::warn!(%fault, "it cannot be kept how following stands");
            }
        }
    }
}

impl Drop for Following {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
        drop(self.end.take());
        if let Some(thread) = self.thread.take() {
            let _ended_already = thread.join();
        }
    }
}

/// The gateway's socket for notices: open while both the gateway and sm may run, and talk to repositories.
pub(crate) struct NoticeDoor {
    config: NoticesConfig,
    link: Arc<Link>,
    open: Option<Gateway>,
    wait: u32,
}

impl NoticeDoor {
    /// One that is closed; none, if the settings want none.
    pub(crate) fn new(workshop: &Workshop, link: &Arc<Link>) -> Option<Self> {
        let config = workshop.config.software.as_ref()?.notices.clone()?;
        Some(Self { config, link: Arc::clone(link), open: None, wait: 0 })
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> Option<SocketAddr> {
        self.open.as_ref().and_then(|open| open.https().or_else(|| open.http()))
    }

    /// Opens it, or closes it, as the lease says.
    pub(crate) fn look(&mut self) {
        let held = self.link.gate().open(self.link.now());
        let may = held.is_ok_and(|held| {
            held.binding.permits(Module::Gateway) && held.binding.current == Mode::SoftwareManagement
        });
        self.wait = self.wait.saturating_sub(1);
        if !may {
            self.open = None;
        } else if self.open.is_none()
            && self.wait == 0
            && let Err(failure) = self.open_now()
        {
            self.wait = TRY_AGAIN;
            let Failure { code, what, why, next, .. } = &failure;
            tracing::warn!(code, %what, %why, %next, "no notices are taken");
        }
    }

    fn open_now(&mut self) -> Result {
        let service = Arc::new(Notices(Arc::clone(&self.link)));
        let NoticesConfig { listen, tls_certificate, tls_key, .. } = &self.config;
        let sockets = match (tls_certificate, tls_key) {
            (Some(certificate), Some(key)) => {
                let (chain, key) = from_files(certificate, key, "software.notices")?;
                Sockets {
                    https: Some((*listen, Tls { chain, key, due: None, oldest: Oldest::default() }, service)),
                    ..Sockets::default()
                }
            }
            _ => Sockets { http: Some((*listen, service)), ..Sockets::default() },
        };
        let open = Gateway::open(sockets).map_err(|fault| {
            Failure::new(Exit::Unavailable, "listen", "no notices are taken")
                .because(fault)
                .next("correct [software.notices] in cradle.toml, or see who listens there with `ss -ltnp`")
        })?;
        tracing::info!(at = ?open.https().or_else(|| open.http()), "notices are taken");
        self.open = Some(open);
        Ok(())
    }
}
