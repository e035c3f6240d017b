//! Modules in a process of their own, on the bus.

use super::{BROKER_WITHIN, Standing, no_broker, no_lease};
use crate::compose::{Assembly, Door, Following, NoticeDoor, Role, Workshop};
use crate::fault::{Exit, Failure, Result, While, trouble_of};
use crate::line::LineService;
use crate::mode::{Said, Stay, started};
use adapters::bus::NatsBus;
use adapters::sockets;
use model::{Module, Reason};
use ports::bus::Served;
use ports::{Link, Service};
use std::path::Path;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Arc, Weak};
use std::time::Duration;
use zeroize::Zeroizing;

/// How often a process looks whether it may still run.
const LOOK: Duration = Duration::from_millis(250);
/// How often it looks up who is who, in looks.
const LOOK_UP: u32 = 40;
/// How long it waits for its first lease, in looks: a minute.
const LEASE_WITHIN: u32 = 240;

/// Modules that run in this process.
pub(crate) struct Hosted {
    workshop: Workshop,
    modules: Vec<Running>,
}

// Dropped in this order: first nobody is let in any more, then it is answered what was begun, then the key is wiped.
struct Running {
    door: Option<Door>,
    notices: Option<NoticeDoor>,
    _following: Option<Following>,
    _served: Box<dyn Served>,
    assembly: Assembly,
    link: Arc<Link>,
}

impl Hosted {
    /// Starts modules. They answer when they have a lease.
    pub(crate) fn start(
        data: &Path,
        modules: &[Module],
        number: usize,
        passphrase: Zeroizing<Vec<u8>>,
    ) -> Result<Self> {
        let Some(first) = modules.first() else {
            return Err(Failure::new(Exit::Usage, "usage", "no module is named").next("see `cradle serve --help`"));
        };
        let workshop = Workshop::open_as(Role::Module(*first, number), data, passphrase)?;
        if workshop.config.bus.is_none() {
            return Err(Failure::new(Exit::Usage, "no-bus", "the modules of this installation share one process")
                .because("its cradle.toml names no broker over which they could meet")
                .next("every command starts them itself; `cradle init --bus URL` makes an installation apart"));
        }
        let modules = modules.iter().map(|module| Running::start(&workshop, *module)).collect::<Result<Vec<_>>>()?;
        Ok(Self { workshop, modules })
    }

    /// What looks whether this process may be given work. It keeps none of its keys.
    pub(crate) fn readiness(&self) -> impl Fn() -> Standing + Send + Sync + use<> {
        let modules: Vec<_> = self.modules.iter().map(Running::seen).collect();
        move || {
            let names = modules.iter().map(|(module, ..)| *module).collect();
            let down = modules.iter().filter_map(|(module, link, broker)| {
                let (Some(link), Some(broker)) = (link.upgrade(), broker.upgrade()) else {
                    return Some(no_lease(*module, "it ends"));
                };
                match link.gate().open(link.now()) {
                    Err(reason) => Some(no_lease(*module, reason.what())),
                    Ok(_) if !broker.answers_within(BROKER_WITHIN) => Some(no_broker(*module)),
                    Ok(_) => None,
                }
            });
            Standing::of(None, names, down.collect())
        }
    }

    /// Runs until it is told to end, or may not run any more.
    pub(crate) fn run(mut self, ended: &Receiver<()>) -> Result {
        let mut looks = 0u32;
        while ended.recv_timeout(LOOK) == Err(RecvTimeoutError::Timeout) {
            looks = looks.wrapping_add(1);
            for Running { link, assembly, door, notices, .. } in &mut self.modules {
                if let Some(door) = door {
                    door.look();
                }
                if let Some(notices) = notices {
                    notices.look();
                }
                if looks.is_multiple_of(LOOK_UP)
                    && let Ok(newer) = self.workshop.directory()
                {
                    assembly.directory.replace(newer);
                    // What it says is refused from now on; if its key was replaced, its successor opens the new one.
                    if !link.is_certified() {
                        return Err(not_certified(link.caller().module));
                    }
                }
                match link.gate().open(link.now()) {
                    Ok(held) if !held.binding.permits(Module::Gateway) => quiet()?,
                    Ok(_) => {}
                    Err(_) if !link.gate().is_told() && looks < LEASE_WITHIN => {}
                    // Fail closed: what is not let run does not stay with its keys.
                    Err(reason) => return off(link, reason),
                }
            }
        }
        Ok(())
    }
}

/// Who starts processes, and what ends this one: a signal, or that whoever started it is gone.
pub(crate) fn ending() -> Result<(SyncSender<()>, Receiver<()>)> {
    let (end, ended) = sync_channel(1);
    let told = end.clone();
    super::on_signal(move || {
        let _ended_already = told.try_send(());
    })?;
    Ok((end, ended))
}

/// The end of a process whose module may not run. One that was told so, or whose lease ended, ended as it should.
fn off(link: &Link, reason: Reason) -> Result {
    let module = link.caller().module;
    tracing::info!(%module, %reason, "off");
    if link.gate().is_told() {
        return Ok(());
    }
    Err(Failure::new(Exit::Unavailable, "no-lease", format!("{module} does not run"))
        .because("nobody gave it a lease")
        .next("start it with `cradle up`, which keeps the mode of this box"))
}

fn not_certified(module: Module) -> Failure {
    Failure::new(Exit::NotAuthorised, "not-certified", format!("{module} does not run"))
        .because("its key has no certificate that is valid now")
        .next("see `cradle module list`")
}

/// In modes without the gateway nothing listens beyond this machine.
fn quiet() -> Result {
    let Some(socket) = sockets::listening_beyond_loopback().into_iter().next() else { return Ok(()) };
    Err(Failure::new(
        Exit::Failed,
        "listens",
        "the process ends: nobody may reach it from another machine in this mode",
    )
    .because(format!("it listens on {socket}"))
    .next("please report this"))
}

impl Running {
    fn seen(&self) -> (Module, Weak<Link>, Weak<NatsBus>) {
        let broker = self.assembly.broker.as_ref().map(Arc::downgrade).unwrap_or_default();
        (self.link.caller().module, Arc::downgrade(&self.link), broker)
    }

    fn start(workshop: &Workshop, module: Module) -> Result<Self> {
        let assembly = Assembly::apart(workshop, module)?;
        let link = assembly.link(module)?;
        if !link.is_certified() {
            return Err(not_certified(module));
        }
        let (service, following): (Arc<dyn Service>, _) = match module {
            Module::Provisioning => (Arc::new(LineService::new(assembly.clone(), &link)), None),
            module => started(workshop, module, &link, Stay::Up)?,
        };
        let served = link.serve(service).or_fail(&format!("starting {module}"))?;
        let is_gateway = module == Module::Gateway;
        let opens = is_gateway && (workshop.config.gateway.is_some() || !workshop.config.has_door());
        let door = opens.then(|| Door::new(workshop, &link)).transpose()?;
        let notices = if is_gateway { NoticeDoor::new(workshop, &link) } else { None };
        Ok(Self { door, notices, _following: following, _served: served, assembly, link })
    }
}

/// The line to whoever started this process: the passphrase comes first, its end is the end of the process.
pub(crate) fn lifeline(end: SyncSender<()>) -> Result<Zeroizing<Vec<u8>>> {
    use std::io::{BufRead, Read};
    let failed = |e: std::io::Error| Failure::new(Exit::Usage, "usage", "nobody started this process").because(e);
    let mut line = Zeroizing::new(Vec::with_capacity(LINE_LEN_MAX));
    let limit = u64::try_from(LINE_LEN_MAX).unwrap_or_default();
    std::io::stdin().lock().take(limit).read_until(b'\n', &mut line).map_err(failed)?;
    if line.pop() != Some(b'\n') || line.is_empty() {
        return Err(Failure::new(Exit::Usage, "usage", "--supervised is for processes that `cradle up` starts")
            .next("leave it out, and name the passphrase with --passphrase-file"));
    }
    let reading = std::thread::Builder::new().name("lifeline".into()).spawn(move || {
        let _nothing_more_is_said = std::io::copy(&mut std::io::stdin().lock(), &mut std::io::sink());
        let _ended_meanwhile = end.try_send(());
    });
    reading.map_err(failed)?;
    Ok(line)
}

/// Longest first line.
const LINE_LEN_MAX: usize = 4096;

/// Says on standard output, once, how it went.
pub(crate) fn say(started: &std::result::Result<Vec<Module>, Failure>) -> Result {
    let said = match started {
        Ok(modules) => Said::Serving { modules: modules.clone() },
        Err(failure) => Said::Failed(trouble_of(None, failure)),
    };
    let text = serde_json::to_string(&said)
        .map_err(|e| Failure::new(Exit::Failed, "output", "this cannot be written as JSON").because(e))?;
    let mut out = std::io::stdout().lock();
    std::io::Write::write_all(&mut out, format!("{text}\n").as_bytes())
        .and_then(|()| std::io::Write::flush(&mut out))
        .map_err(|e| Failure::new(Exit::Failed, "output", "standard output was closed").because(e))
}
