//! The mode authority of a box: keeps the operator's order, switches, hands out leases.
//!
//! A change drains and stops what must be off, proves it, and only then starts what may be on. Between the two records
//! of a change both modes bind, so a crash at any step leaves the stricter.

pub(crate) mod order;
mod process;
mod ready;
mod remote;
mod service;
mod supervising;

pub(crate) use order::{record_order, sign_order, signed};
pub(crate) use process::{Processes, Said};
pub(crate) use remote::Remote;
pub(crate) use service::started;
pub(crate) use supervising::Ticking;

use crate::compose::{Assembly, Following};
use crate::fault::{Exit, Failure, Result, While};
use adapters::bus::LocalBus;
use adapters::sockets;
use adapters::store::SqlStore;
use model::contract::identity::DepositPending;
use model::contract::supervisor::{Lease, OrderMode, Standing};
use model::mode::{Binding, Leave, Order};
use model::{Fault, Mode, Module, OperatorName, Reason, UnixTime};
use order::{begun, check_leaving, is_sealed, not_certified, not_ordered, recorded_mode};
use ports::Link;
use ports::bus::{BusFault, Served};
use ports::directory::Caller;
use ports::link::verify_statement;
use ports::store::ModeStore;
use ports::store::mode::ModeRow;
use process::Process;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use supervising::{Answering, Patience};

/// How long a lease lasts. A module whose supervisor is gone is off after it.
const LEASE_MS: u64 = 30_000;
/// How often leases are renewed: three times in their life, so that two may be late.
const RENEW_MS: u64 = 10_000;
/// How often it is looked whether processes of modules still run.
const LOOK_MS: u64 = 200;
/// How long a process may take to take a lease.
const LEASE_PATIENCE_MS: u64 = 2_000;
/// How often it is asked whether a module is gone that another than this supervisor started, or a socket is, a tenth of a second apart.
const ASKED_MAX: u32 = 50;
/// The modules that this supervisor starts and stops, in the order of starting: the gateway asks the others.
const STARTED: [Module; 5] =
    [Module::Identity, Module::Authority, Module::Software, Module::Provisioning, Module::Gateway];

/// Where modules run.
pub(crate) enum Hosting {
    /// In this process: of a command, which opens no door to other networks, or of a box that stays up.
    Here(Arc<LocalBus>, Stay),
    /// In processes of their own.
    Apart(Processes),
}

/// How long a process is there in which all modules run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stay {
    /// For one command.
    Command,
    /// Until it is told to end.
    Up,
}

/// A module that runs. Dropping it drains its calls and wipes its key.
enum Running {
    Here {
        // Dropped first: what it has begun ends while it may still answer.
        _following: Option<Following>,
        _served: Box<dyn Served>,
        link: Arc<Link>,
    },
    /// Its processes, by their number.
    Apart(BTreeMap<usize, Process>),
}

/// Keeps the mode of this box.
pub(crate) struct Supervisor {
    shared: Arc<Shared>,
    _served: Box<dyn Served>,
    ticking: Vec<Ticking>,
}

struct Shared {
    assembly: Assembly,
    /// Where the mode is kept: with the other records, or beside them if they are shared with other boxes.
    modes: Arc<SqlStore>,
    hosting: Hosting,
    link: Arc<Link>,
    console: Option<Arc<Link>>,
    running: Mutex<BTreeMap<Module, Running>>,
    /// Why modules that may run do not.
    down: Mutex<BTreeMap<Module, Failure>>,
    /// Until when modules in processes of their own have taken a lease.
    leased: Mutex<BTreeMap<Module, UnixTime>>,
    /// Why grants could not be left at the authority.
    not_left: Mutex<Option<Failure>>,
    // Only one thread hands out leases at a time.
    row: Mutex<ModeRow>,
    // Only one thread changes the mode at a time.
    changing: Mutex<()>,
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Supervisor {
    /// Starts the modules that the recorded mode lets run. An interrupted change leaves the stricter of both modes.
    pub(crate) fn start(
        assembly: Assembly,
        modes: Arc<SqlStore>,
        hosting: Hosting,
        console: Option<Arc<Link>>,
    ) -> Result<Self> {
        let row = begun(&modes, recorded_mode(&modes)?, assembly.workshop.clock.now())?;
        // What the supervisor refuses is this box's own business.
        let link = assembly.link_recording(Module::Supervisor, modes.clone())?;
        for own in [Some(&link), console.as_ref()].into_iter().flatten() {
            if !own.is_certified() {
                return Err(not_certified(&assembly.workshop, own.caller().module));
            }
        }
        let is_apart = matches!(hosting, Hosting::Apart(_));
        let shared = Arc::new(Shared {
            assembly,
            modes,
            hosting,
            console,
            running: Mutex::default(),
            down: Mutex::default(),
            leased: Mutex::default(),
            not_left: Mutex::default(),
            row: Mutex::new(row),
            changing: Mutex::default(),
            link: Arc::clone(&link),
        });
        shared.renew(&locked(&shared.row))?;
        let served = link.serve(Arc::new(Answering(Arc::clone(&shared)))).or_fail("starting the supervisor")?;
        shared.start_missing()?;
        let renewer = Arc::clone(&shared);
        let mut ticking = vec![Ticking::every(RENEW_MS, "leases", move || {
            renewer.look_up_who_is_who();
            // A lease that cannot be renewed ends by itself: that is what leases are for.
            let _closed_at_its_end = renewer.renew(&locked(&renewer.row));
        })?];
        if is_apart {
            let (looking, mut patience) = (Arc::clone(&shared), Patience::default());
            ticking.push(Ticking::every(LOOK_MS, "processes", move || looking.look(&mut patience))?);
        }
        Ok(Self { shared, _served: served, ticking })
    }

    /// The mode of this box.
    pub(crate) fn row(&self) -> ModeRow {
        locked(&self.shared.row).clone()
    }

    /// The link of a module that runs in this process.
    pub(crate) fn link(&self, module: Module) -> Result<Arc<Link>> {
        self.check_running(&[module])?;
        let running = locked(&self.shared.running);
        let link = match running.get(&module) {
            Some(Running::Here { link, .. }) => Some(Arc::clone(link)),
            Some(Running::Apart(_)) | None => None,
        };
        link.ok_or(Fault::Refused(Reason::ModuleOff)).or_fail(&format!("reaching {module}"))
    }

    /// Fails if one of these modules would run in this mode, and cannot.
    pub(crate) fn check_running(&self, modules: &[Module]) -> Result {
        let down = locked(&self.shared.down);
        modules.iter().find_map(|module| down.get(module)).map_or(Ok(()), |why| Err(why.clone()))
    }

    /// What did not come up, and what could not be left at the authority: neither holds up a change of mode.
    pub(crate) fn troubles(&self) -> Vec<Failure> {
        self.shared.troubles().into_iter().map(|(_, failure)| failure).collect()
    }

    /// Takes an order that these operators sign, and enters its mode.
    pub(crate) fn order(&self, order: Order, operators: &[OperatorName], why: &str) -> Result<ModeRow> {
        let epoch = self.shared.ordered_epoch() + 1;
        self.shared.take_order(&signed(&self.shared.assembly.workshop, order, epoch, operators, why)?)?;
        Ok(self.row())
    }

    /// Enters a mode that the order covers.
    pub(crate) fn enter(&self, mode: Mode) -> Result {
        let _changing = locked(&self.shared.changing);
        self.shared.enter_whole(mode)
    }
}

impl Drop for Supervisor {
    fn drop(&mut self) {
        self.ticking.clear();
        locked(&self.shared.running).clear();
    }
}

impl Shared {
    fn now(&self) -> UnixTime {
        self.assembly.workshop.clock.now()
    }

    fn troubles(&self) -> Vec<(Option<Module>, Failure)> {
        let down = locked(&self.down);
        let down = down.iter().map(|(module, failure)| (Some(*module), failure.clone()));
        down.chain(locked(&self.not_left).clone().map(|failure| (None, failure))).collect()
    }

    /// The epoch of the order in force; 0 if nobody stands behind it any more.
    fn ordered_epoch(&self) -> u64 {
        let statement = locked(&self.row).statement.clone();
        verify_statement(&statement, &self.assembly.directory, self.now()).map_or(0, |s| s.epoch)
    }

    /// Takes a signed order and enters its mode.
    fn take_order(self: &Arc<Self>, signed: &OrderMode) -> Result {
        let _changing = locked(&self.changing);
        let jws = &signed.statement;
        let verify = |jws: &str| {
            verify_statement(jws, &self.assembly.directory, self.now()).or_fail("checking the mode statement")
        };
        let statement = verify(jws)?;
        let second = signed.second.as_deref().map(verify).transpose()?;
        if is_sealed(locked(&self.row).binding) && statement.order != Order::Stay(Mode::Sealed) {
            check_leaving(&statement, second.as_ref(), &self.assembly.directory.operators(self.now()))?;
        }
        if statement.epoch <= self.ordered_epoch() {
            return Err(Fault::Refused(Reason::ModeNotNewer)).or_fail("checking the mode statement");
        }
        record_order(&self.modes, &statement, second.as_ref(), jws, self.now())?;
        {
            let mut row = locked(&self.row);
            (row.order, row.statement) = (statement.order, jws.clone());
        }
        self.enter(statement.order.at_rest())
    }

    /// Enters a mode that the order covers; the caller sees to it that nobody else changes it meanwhile.
    fn enter(self: &Arc<Self>, mode: Mode) -> Result {
        let row = locked(&self.row).clone();
        if !row.order.covers(mode) {
            return Err(Fault::Refused(Reason::ModeNotCovered)).or_fail(&format!("entering {mode}"));
        }
        if row.binding == Binding::settled(mode) {
            return Ok(());
        }
        let between = Binding { current: row.binding.current, pending: Some(mode) };
        self.bind(between)?;
        self.stop(|module| !between.permits(module));
        self.prove(between)?;
        self.bind(Binding::settled(mode))?;
        self.start_missing()
    }

    /// Records other modes and hands out leases for them.
    fn bind(&self, binding: Binding) -> Result {
        let mut row = locked(&self.row);
        row.epoch = self.modes.bind(binding, self.now())?;
        row.binding = binding;
        let unheard = self.renew(&row)?;
        // Who does not hear of the change must not go on as before.
        self.stop(|module| unheard.contains(&module));
        Ok(())
    }

    /// Hands a lease to every module that runs, to the console, and to the supervisor itself. Gives those in processes
    /// of their own that did not take it.
    fn renew(&self, row: &ModeRow) -> Result<Vec<Module>> {
        self.take_own(&self.link, Module::Supervisor, row)?;
        if let Some(console) = &self.console {
            self.take_own(console, Module::Console, row)?;
        }
        // One whose certificate was revoked or has expired would not be believed; it must not hold up the others.
        self.stop(|module| !self.is_certified(module));
        if matches!(self.hosting, Hosting::Apart(_)) {
            // All that could run: somebody else may have started them, and is heard of by the lease only.
            let unheard = |module: &Module| !self.hears(*module, row);
            return Ok(STARTED.into_iter().filter(unheard).collect());
        }
        let modules: Vec<Module> = locked(&self.running).keys().copied().collect();
        for module in modules {
            self.link.call(&self.lease(module, row)).or_fail(&format!("handing a lease to {module}"))?;
        }
        Ok(Vec::new())
    }

    /// Hands a lease to the processes of a module, if there are any.
    fn hears(&self, module: Module, row: &ModeRow) -> bool {
        let lease = self.lease(module, row);
        let told = self.link.call_within(&lease, LEASE_PATIENCE_MS);
        if told.is_ok() {
            locked(&self.leased).insert(module, lease.until);
        }
        told.is_ok() || !self.is_there(module)
    }

    /// Whether processes of a module run that were started here.
    fn is_there(&self, module: Module) -> bool {
        locked(&self.running).contains_key(&module)
    }

    fn is_certified(&self, module: Module) -> bool {
        match locked(&self.running).get(&module) {
            Some(Running::Here { link, .. }) => link.is_certified(),
            Some(Running::Apart(_)) | None => {
                let caller = Caller { module, instance: self.assembly.instance() };
                self.assembly.directory.has(&caller, self.now())
            }
        }
    }

    /// The same, after a look at the records: it may have been certified just now.
    fn is_certified_by_now(&self, module: Module) -> bool {
        if !self.is_certified(module) {
            self.look_up_who_is_who();
        }
        self.is_certified(module)
    }

    fn lease(&self, module: Module, row: &ModeRow) -> Lease {
        let (until, binding, epoch) = (self.now().plus_ms(LEASE_MS), row.binding, row.epoch);
        let standing = match &self.hosting {
            Hosting::Here(..) => None,
            Hosting::Apart(_) => {
                let standing = Standing { module, instance: self.assembly.instance(), binding, epoch, until };
                // Without it, other boxes do not believe the module; this one does.
                self.link.say(&standing).ok()
            }
        };
        Lease { module, statement: row.statement.clone(), binding, epoch, until, standing }
    }

    // The supervisor and the console do not answer on the bus for leases; they take theirs here, by the same check.
    fn take_own(&self, link: &Link, module: Module, row: &ModeRow) -> Result {
        let statement = verify_statement(&row.statement, &self.assembly.directory, self.now());
        let statement = statement.map_err(|fault| not_ordered(&self.assembly.workshop, fault))?;
        link.gate().take(&self.lease(module, row), &statement).or_fail("taking the recorded mode")
    }

    fn stop(&self, unwanted: impl Fn(Module) -> bool) {
        let running: Vec<_> = locked(&self.running).keys().copied().collect();
        let named: Vec<_> = running.into_iter().filter(|module| unwanted(*module)).collect();
        // Taken out of the map first, so that what drains may still look at it.
        let stopped: Vec<_> = locked(&self.running).extract_if(.., |module, _| named.contains(module)).collect();
        drop(stopped);
    }

    /// Proves that what must be off is off: nobody answers for it, and without the gateway no socket listens.
    fn prove(&self, binding: Binding) -> Result {
        let awake = match &self.hosting {
            Hosting::Here(bus, _) => bus.serving().into_iter().find(|module| !binding.permits(*module)),
            Hosting::Apart(_) => STARTED.into_iter().find(|module| !binding.permits(*module) && !self.is_gone(*module)),
        };
        let listening = if binding.permits(Module::Gateway) { None } else { still_listening() };
        let why = match (awake, listening) {
            (None, None) => return Ok(()),
            (Some(module), _) => format!("{module} still answers"),
            (None, Some(socket)) => format!("a socket still listens on {socket}"),
        };
        Err(Failure::new(Exit::Unavailable, "not-off", "the mode was not changed")
            .because(why)
            .next("the stricter of both modes stays in force; end what still runs, then repeat `cradle mode set`"))
    }

    /// Whether nobody answers for a module any more. Whoever does is told the mode, and ends if he is one of ours.
    fn is_gone(&self, module: Module) -> bool {
        let row = locked(&self.row).clone();
        let nobody = Err(Fault::from(BusFault::Nobody));
        (0..ASKED_MAX).any(|asked| {
            if asked > 0 {
                std::thread::park_timeout(std::time::Duration::from_millis(100));
            }
            self.link.call_within(&self.lease(module, &row), LEASE_PATIENCE_MS) == nobody
        })
    }

    fn start_missing(self: &Arc<Self>) -> Result {
        let row = locked(&self.row);
        let mut started_anew = Vec::new();
        locked(&self.down).clear();
        for module in STARTED {
            let wanted = row.binding.leave(module) == Leave::On && self.runs_here(module);
            if !wanted || self.is_whole(module) {
                continue;
            }
            // One that does not come up must not keep the box from going into a stricter mode.
            match self.start_module(module) {
                Ok(()) => started_anew.push(module),
                Err(failure) => drop(locked(&self.down).insert(module, failure)),
            }
        }
        self.renew(&row)?;
        let is_due = locked(&self.not_left).is_some() || started_anew.contains(&Module::Authority);
        if is_due {
            self.leave_grants();
        }
        Ok(())
    }

    /// What the registry could not leave at km while km was off, it leaves when both are there.
    fn leave_grants(&self) {
        if self.is_there(Module::Authority) && self.is_there(Module::Identity) {
            let left = self.link.call(&DepositPending {}).or_fail("leaving grants at the authority");
            *locked(&self.not_left) = left.err();
        }
    }

    /// Enters a mode for a module that goes on at once: without the grants, everything would be refused for good. What the
    /// authority refuses does not come by waiting, and holds up nobody.
    fn enter_whole(self: &Arc<Self>, mode: Mode) -> Result {
        self.enter(mode)?;
        let is_due = self.is_there(Module::Authority) && locked(&self.not_left).is_some();
        if !is_due {
            return Ok(());
        }
        self.leave_grants();
        locked(&self.not_left).clone().filter(|failure| failure.exit == Exit::Unavailable).map_or(Ok(()), Err)
    }

    /// Whether a module is one of this box, and not only of another.
    fn runs_here(&self, module: Module) -> bool {
        if module == Module::Gateway {
            let stays = !matches!(self.hosting, Hosting::Here(_, Stay::Command));
            if !stays || !self.assembly.workshop.config.has_door() {
                return false;
            }
        }
        self.assembly.workshop.config.bus.as_ref().is_none_or(|bus| bus.runs(module))
    }

    /// Whether all processes of a module run.
    fn is_whole(&self, module: Module) -> bool {
        match (locked(&self.running).get(&module), &self.hosting) {
            (None, _) => false,
            (Some(Running::Apart(there)), Hosting::Apart(processes)) => there.len() >= processes.count(module),
            (Some(_), _) => true,
        }
    }

    fn start_module(&self, module: Module) -> Result {
        let workshop = &self.assembly.workshop;
        let processes = match &self.hosting {
            Hosting::Apart(processes) if self.is_certified_by_now(module) => processes,
            Hosting::Apart(_) => return Err(not_certified(workshop, module)),
            Hosting::Here(_, stay) => {
                let link = self.assembly.link(module)?;
                if !link.is_certified() {
                    return Err(not_certified(workshop, module));
                }
                let (service, following) = started(workshop, module, &link, *stay)?;
                let served = link.serve(service).or_fail(&format!("starting {module}"))?;
                let running = Running::Here { _following: following, _served: served, link };
                locked(&self.running).insert(module, running);
                return Ok(());
            }
        };
        let there = |number: usize| match locked(&self.running).get(&module) {
            Some(Running::Apart(there)) => there.contains_key(&number),
            Some(Running::Here { .. }) | None => false,
        };
        for number in (1..=processes.count(module)).filter(|number| !there(*number)) {
            let process = processes.start(module, number)?;
            locked(&self.leased).remove(&module);
            let mut running = locked(&self.running);
            let running = running.entry(module).or_insert_with(|| Running::Apart(BTreeMap::new()));
            if let Running::Apart(there) = running {
                there.insert(number, process);
            }
        }
        Ok(())
    }
}

/// A socket of this process that somebody elsewhere can reach still. Doors look at the mode by themselves, several times a second.
fn still_listening() -> Option<String> {
    let mut listening = sockets::listening_beyond_loopback().into_iter().next();
    for _ in 0..ASKED_MAX {
        listening.as_ref()?;
        std::thread::park_timeout(std::time::Duration::from_millis(100));
        listening = sockets::listening_beyond_loopback().into_iter().next();
    }
    listening
}
