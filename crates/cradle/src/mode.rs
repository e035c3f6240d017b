//! The mode authority of a box: keeps the operator's order, switches, hands out leases.
//!
//! A change drains and stops what must be off, proves it, and only then starts what may be on. Between the two records
//! of a change both modes bind, so a crash at any step leaves the stricter.

use crate::compose::{Workshop, operator_label};
use crate::fault::{Exit, Failure, Result, While, of_fault};
use crate::lapsed::{self, Lapse};
use adapters::bus::LocalBus;
use adapters::sockets;
use adapters::store::SqlStore;
use authority::Authority;
use identity::registry::{Registry, Unsigned};
use model::audit::Event;
use model::callers::Callers;
use model::contract::Subject;
use model::contract::authority::Done;
use model::contract::identity::DepositPending;
use model::contract::supervisor::{Lease, Seal};
use model::mode::{Binding, Leave, Order, Statement};
use model::{Entity, Fault, Mode, Module, OperatorName, Reason, UnixTime};
use ports::bus::Served;
use ports::directory::{Caller, Directory};
use ports::link::{MODE_STATEMENT, answer, verify_statement};
use ports::store::ModeStore;
use ports::store::mode::ModeRow;
use ports::{Link, Service, jws};
use serde_json::value::RawValue;
use std::collections::BTreeMap;
use std::sync::mpsc::{RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

/// How long a lease lasts. A module whose supervisor is gone is off after it.
const LEASE_MS: u64 = 30_000;
/// How often leases are renewed: three times in their life, so that two may be late.
const RENEW_MS: u64 = 10_000;
/// The modules that this supervisor starts and stops, in the order of starting. The gateway is none of them yet.
const STARTED: [Module; 4] = [Module::Identity, Module::Authority, Module::Software, Module::Provisioning];

/// What modules are made of.
pub(crate) struct Assembly {
    pub(crate) workshop: Workshop,
    pub(crate) directory: Arc<Directory>,
    pub(crate) callers: Arc<Callers>,
    pub(crate) bus: Arc<LocalBus>,
}

/// A module that runs. Dropping it drains its calls and wipes its key.
struct Running {
    _served: Box<dyn Served>,
    link: Arc<Link>,
}

/// Keeps the mode of this box.
pub(crate) struct Supervisor {
    shared: Arc<Shared>,
    _served: Box<dyn Served>,
    stop: Option<SyncSender<()>>,
    renewing: Option<JoinHandle<()>>,
}

struct Shared {
    assembly: Assembly,
    link: Arc<Link>,
    console: Arc<Link>,
    running: Mutex<BTreeMap<Module, Running>>,
    /// Why modules that may run do not.
    down: Mutex<BTreeMap<Module, Failure>>,
    /// Why grants could not be left at the authority.
    not_left: Mutex<Option<Failure>>,
    // Only one thread changes the mode or hands out leases at a time.
    row: Mutex<ModeRow>,
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Supervisor {
    /// Starts the modules that the recorded mode lets run. An interrupted change leaves the stricter of both modes.
    pub(crate) fn start(assembly: Assembly, console: Arc<Link>) -> Result<Self> {
        let row = begun(&assembly.workshop, recorded_mode(&assembly.workshop.store)?)?;
        let link = assembly.link(Module::Supervisor)?;
        for own in [&link, &console] {
            if !own.is_certified() {
                return Err(not_certified(&assembly.workshop, own.caller().module));
            }
        }
        let shared = Arc::new(Shared {
            assembly,
            console,
            running: Mutex::default(),
            down: Mutex::default(),
            not_left: Mutex::default(),
            row: Mutex::new(row),
            link: Arc::clone(&link),
        });
        shared.renew(&mut locked(&shared.row))?;
        let served = link.serve(Arc::new(Answering(Arc::clone(&shared)))).or_fail("starting the supervisor")?;
        shared.start_missing()?;
        let (stop, stopped) = sync_channel(1);
        let renewer = Arc::clone(&shared);
        let renewing = std::thread::Builder::new().name("leases".into()).spawn(move || {
            while stopped.recv_timeout(Duration::from_millis(RENEW_MS)) == Err(RecvTimeoutError::Timeout) {
                // A lease that cannot be renewed ends by itself: that is what leases are for.
                let _closed_at_its_end = renewer.renew(&mut locked(&renewer.row));
            }
        });
        let renewing = renewing
            .map_err(|e| Failure::new(Exit::Unavailable, "thread", "the supervisor cannot be started").because(e))?;
        Ok(Self { shared, _served: served, stop: Some(stop), renewing: Some(renewing) })
    }

    /// The mode of this box.
    pub(crate) fn row(&self) -> ModeRow {
        locked(&self.shared.row).clone()
    }

    /// The link of a module that runs.
    pub(crate) fn link(&self, module: Module) -> Result<Arc<Link>> {
        self.check_running(&[module])?;
        let running = locked(&self.shared.running);
        let link = running.get(&module).map(|r| Arc::clone(&r.link));
        link.ok_or(Fault::Refused(Reason::ModuleOff)).or_fail(&format!("reaching {module}"))
    }

    /// Fails if one of these modules would run in this mode, and cannot.
    pub(crate) fn check_running(&self, modules: &[Module]) -> Result {
        let down = locked(&self.shared.down);
        modules.iter().find_map(|module| down.get(module)).map_or(Ok(()), |why| Err(why.clone()))
    }

    /// What did not come up, and what could not be left at the authority: neither holds up a change of mode.
    pub(crate) fn troubles(&self) -> Vec<Failure> {
        let down = locked(&self.shared.down).values().cloned().collect::<Vec<_>>();
        down.into_iter().chain(locked(&self.shared.not_left).clone()).collect()
    }

    /// Takes an operator's order and enters its mode.
    pub(crate) fn order(&self, order: Order, operator: &OperatorName, why: &str) -> Result<ModeRow> {
        let workshop = &self.shared.assembly.workshop;
        let previous = self.row();
        let directory = &self.shared.assembly.directory;
        let now = workshop.clock.now();
        let epoch = verify_statement(&previous.statement, directory, now).map_or(0, |s| s.epoch) + 1;
        let statement = sign_order(workshop, order, epoch, operator, why)?;
        verify_statement(&statement, directory, now).or_fail("checking the mode statement")?;
        record_order(workshop, order, epoch, operator, why, &statement)?;
        {
            let mut row = locked(&self.shared.row);
            (row.order, row.statement) = (order, statement);
        }
        self.enter(order.at_rest())?;
        Ok(self.row())
    }

    /// Enters a mode that the order covers.
    pub(crate) fn enter(&self, mode: Mode) -> Result {
        let row = self.row();
        if !row.order.covers(mode) {
            return Err(Fault::Refused(Reason::ModeNotCovered)).or_fail(&format!("entering {mode}"));
        }
        if row.binding == Binding::settled(mode) {
            return Ok(());
        }
        let between = Binding { current: row.binding.current, pending: Some(mode) };
        self.shared.bind(between)?;
        self.shared.stop(|module, _| !between.permits(module));
        self.shared.prove(between)?;
        self.shared.bind(Binding::settled(mode))?;
        self.shared.start_missing()
    }
}

impl Drop for Supervisor {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(renewing) = self.renewing.take() {
            let _ended_already = renewing.join();
        }
        locked(&self.shared.running).clear();
    }
}

/// The mode of this box, if the audit log says the same: a row of the table could have been put back.
fn recorded_mode(store: &SqlStore) -> Result<ModeRow> {
    let forged = |why: &str| {
        Failure::new(Exit::Failed, "records-disagree", "the mode of this box is not the one that was recorded last")
            .because(why)
            .next("keep the data directory as it is, and look at `cradle audit list`; restore from a backup of before")
    };
    let row = store.mode()?.ok_or_else(|| forged("no mode stands in the records"))?;
    let last = store.last_modes()?;
    if last.entered.is_some_and(|(binding, epoch)| binding != row.binding || epoch != row.epoch) {
        return Err(forged("the log says that the box entered another mode"));
    }
    if last.ordered.is_some_and(|order| order != row.order) {
        return Err(forged("the log says that another mode was ordered"));
    }
    Ok(row)
}

/// A crash between an order and the first record of its change leaves a mode that the order does not cover, in which
/// nobody would be given a lease. The change begins here, and the stricter of both modes is in force.
fn begun(workshop: &Workshop, mut row: ModeRow) -> Result<ModeRow> {
    let goal = row.binding.pending.unwrap_or(row.binding.current);
    if goal != Mode::Sealed && !row.order.covers(goal) {
        row.binding = Binding { current: row.binding.current, pending: Some(row.order.at_rest()) };
        row.epoch = workshop.store.bind(row.binding, workshop.clock.now())?;
    }
    Ok(row)
}

/// Signs an order with an operator's key.
pub(crate) fn sign_order(
    workshop: &Workshop,
    order: Order,
    epoch: u64,
    operator: &OperatorName,
    why: &str,
) -> Result<String> {
    let key = workshop.key(&operator_label(operator)).map_err(|failure| {
        failure.next(format!(
            "check the operator's name ({operator}) and the passphrase; see `cradle mode set --operator`"
        ))
    })?;
    let statement =
        Statement { order, epoch, at: workshop.clock.now(), operator: operator.clone(), reason: why.to_owned() };
    let payload = serde_json::to_vec(&statement)
        .map_err(|e| Failure::new(Exit::Failed, "mode", "the order cannot be written").because(e))?;
    let jws = jws::sign(MODE_STATEMENT, &payload, key.as_ref()).or_fail("signing the order")?;
    String::from_utf8(jws).map_err(|e| Failure::new(Exit::Failed, "mode", "the order cannot be written").because(e))
}

/// Records an order.
pub(crate) fn record_order(
    workshop: &Workshop,
    order: Order,
    epoch: u64,
    operator: &OperatorName,
    why: &str,
    statement: &str,
) -> Result {
    let event = Event::ModeOrdered { order, epoch, operator: operator.to_string(), reason: why.to_owned() };
    Ok(workshop.store.order(order, statement, event, workshop.clock.now())?)
}

/// Why a certificate is not valid, and what to do.
fn lapsed(workshop: &Workshop, is: impl Fn(&Entity) -> bool, renew: &str) -> (String, String) {
    match lapsed::lapse(workshop, is) {
        Ok(Lapse::NotYet(at)) => (
            format!("its certificate is not valid yet: it begins at {at}, and the clock says {}", workshop.clock.now()),
            "look at the clock and set it, then repeat the command".to_owned(),
        ),
        Ok(Lapse::Expired(at)) => {
            (format!("its certificate expired at {at}"), format!("if its key and the passphrase are here: `{renew}`"))
        }
        Ok(Lapse::Gone) | Err(_) => (
            "its certificate was revoked, or has expired".to_owned(),
            "see `cradle cert list`; what does not need it goes on".to_owned(),
        ),
    }
}

fn not_certified(workshop: &Workshop, module: Module) -> Failure {
    let is = |one: &Entity| matches!(one, Entity::Module(of, _) if *of == module);
    let (why, next) = lapsed(workshop, is, "cradle module renew --all --expired");
    Failure::new(Exit::NotAuthorised, "not-certified", format!("{module} does not run")).because(why).next(next)
}

fn not_ordered(workshop: &Workshop, fault: Fault) -> Failure {
    if !matches!(fault, Fault::Refused(Reason::UnknownCaller)) {
        return of_fault(&fault, "checking the recorded mode statement");
    }
    let (why, next) = lapsed(workshop, |one| one.operator().is_some(), "cradle operator renew NAME --expired");
    Failure::new(Exit::NotAuthorised, "not-ordered", "no module runs: nobody stands behind the mode of this box")
        .because(format!("of the operator who ordered it: {why}"))
        .next(format!("{next}; records can be listed and verified meanwhile"))
}

impl Shared {
    fn now(&self) -> UnixTime {
        self.assembly.workshop.clock.now()
    }

    /// Records other modes and hands out leases for them.
    fn bind(&self, binding: Binding) -> Result {
        let mut row = locked(&self.row);
        row.epoch = self.assembly.workshop.store.bind(binding, self.now())?;
        row.binding = binding;
        self.renew(&mut row)
    }

    /// Hands a lease to every module that runs, to the console, and to the supervisor itself.
    fn renew(&self, row: &mut ModeRow) -> Result {
        self.take_own(&self.link, Module::Supervisor, row)?;
        self.take_own(&self.console, Module::Console, row)?;
        // One whose certificate was revoked or has expired would not be believed; it must not hold up the others.
        self.stop(|_, link| !link.is_certified());
        let modules: Vec<Module> = locked(&self.running).keys().copied().collect();
        for module in modules {
            self.link.call(&self.lease(module, row)).or_fail(&format!("handing a lease to {module}"))?;
        }
        Ok(())
    }

    fn lease(&self, module: Module, row: &ModeRow) -> Lease {
        let until = self.now().plus_ms(LEASE_MS);
        Lease { module, statement: row.statement.clone(), binding: row.binding, epoch: row.epoch, until }
    }

    // The supervisor and the console do not answer on the bus for leases; they take theirs here, by the same check.
    fn take_own(&self, link: &Link, module: Module, row: &ModeRow) -> Result {
        let statement = verify_statement(&row.statement, &self.assembly.directory, self.now());
        let statement = statement.map_err(|fault| not_ordered(&self.assembly.workshop, fault))?;
        link.gate().take(&self.lease(module, row), &statement).or_fail("taking the recorded mode")
    }

    fn stop(&self, unwanted: impl Fn(Module, &Link) -> bool) {
        // Taken out of the map first, so that what drains may still look at it.
        let stopped: Vec<_> =
            locked(&self.running).extract_if(.., |module, running| unwanted(*module, &running.link)).collect();
        drop(stopped);
    }

    /// Proves that what must be off is off: nobody answers for it, and without the gateway no socket listens.
    fn prove(&self, binding: Binding) -> Result {
        let awake = self.assembly.bus.serving().into_iter().find(|module| !binding.permits(*module));
        let listening =
            if binding.permits(Module::Gateway) { Vec::new() } else { sockets::listening_beyond_loopback() };
        let why = match (awake, listening.first()) {
            (None, None) => return Ok(()),
            (Some(module), _) => format!("{module} still answers"),
            (None, Some(socket)) => format!("a socket still listens on {socket}"),
        };
        Err(Failure::new(Exit::Unavailable, "not-off", "the mode was not changed")
            .because(why)
            .next("the stricter of both modes stays in force; end what still runs, then repeat `cradle mode set`"))
    }

    fn start_missing(self: &Arc<Self>) -> Result {
        let mut row = locked(&self.row);
        let mut started_anew = Vec::new();
        locked(&self.down).clear();
        for module in STARTED {
            let wanted = row.binding.leave(module) == Leave::On;
            if !wanted || locked(&self.running).contains_key(&module) {
                continue;
            }
            // One that does not come up must not keep the box from going into a stricter mode.
            match self.start_module(module) {
                Ok(started) => {
                    locked(&self.running).insert(module, started);
                    started_anew.push(module);
                }
                Err(failure) => drop(locked(&self.down).insert(module, failure)),
            }
        }
        self.renew(&mut row)?;
        // What the registry could not leave at km while km was off, it leaves now.
        if started_anew.contains(&Module::Authority) && locked(&self.running).contains_key(&Module::Identity) {
            let left = self.link.call(&DepositPending {}).or_fail("leaving grants at the authority");
            *locked(&self.not_left) = left.err();
        }
        Ok(())
    }

    fn start_module(&self, module: Module) -> Result<Running> {
        let workshop = &self.assembly.workshop;
        let link = self.assembly.link(module)?;
        if !link.is_certified() {
            return Err(not_certified(workshop, module));
        }
        let doing = format!("starting {module}");
        let service: Arc<dyn Service> = match module {
            Module::Authority => {
                let km =
                    Authority::start_with(workshop.authority_setting()?, Some(workshop.abroad())).or_fail(&doing)?;
                Arc::new(km).on(&link)
            }
            Module::Identity => {
                let profiles = crate::compose::device_profiles(&workshop.places)?;
                let registry = Registry::new(workshop.store.clone(), workshop.config.maker_pen, profiles);
                let refused = workshop.config.signed_lists_only;
                let registry = registry.with(if refused { Unsigned::Refused } else { Unsigned::Taken });
                identity::Identity::on(registry, &link)
            }
            Module::Software => Arc::new(workshop.software()?),
            Module::Provisioning => Arc::new(Quiet),
            Module::Gateway | Module::Console | Module::Supervisor => {
                return Err(Failure::new(Exit::Failed, "module", format!("{module} is not started here")));
            }
        };
        let served = link.serve(service).or_fail(&doing)?;
        Ok(Running { _served: served, link })
    }
}

/// A module that only calls, and answers nothing but its lease.
struct Quiet;

impl Service for Quiet {
    fn answer(&self, _: &Caller, _: Subject, _: &RawValue) -> std::result::Result<Box<RawValue>, Fault> {
        Err(Reason::WrongSubject.into())
    }
}

/// The supervisor on the bus.
struct Answering(Arc<Shared>);

impl Service for Answering {
    fn answer(&self, caller: &Caller, subject: Subject, body: &RawValue) -> std::result::Result<Box<RawValue>, Fault> {
        if subject != Subject::ModeSeal {
            return Err(Reason::WrongSubject.into());
        }
        answer(body, |Seal { reason }| {
            let shared = &self.0;
            let mut row = locked(&shared.row);
            row.epoch = shared.assembly.workshop.store.seal(caller.module, reason, shared.now())?;
            (row.order, row.binding) = (Order::Stay(Mode::Sealed), Binding::settled(Mode::Sealed));
            // From here on every gate is closed; the modules are stopped when the one that called has returned.
            shared
                .renew(&mut row)
                .map_err(|_| Fault::unavailable("not every module could be told; its lease will end"))?;
            Ok(Done {})
        })
    }
}
