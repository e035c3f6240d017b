//! Modules put together: in one process, or each for itself on a broker.

use super::{Role, Workshop, broken, bus_failure, module_label, module_off};
use crate::fault::{Exit, Failure, Result, While};
use crate::mode::{Hosting, Processes, Remote, Stay, Supervisor};
use adapters::bus::nats::{Setting, Site};
use adapters::bus::{LocalBus, NatsBus};
use adapters::store::SqlStore;
use model::callers::{CALLERS_TOML, Callers};
use model::mode::Order;
use model::{Fault, Mode, Module, OperatorName, Reason, StationName};
use ports::Link;
use ports::bus::Bus;
use ports::directory::Directory;
use ports::link::Parts;
use ports::replay::Received;
use ports::store::AuditSink;
use ports::store::mode::ModeRow;
use std::path::Path;
use std::sync::Arc;
use zeroize::Zeroizing;

/// What modules are made of.
#[derive(Clone)]
pub(crate) struct Assembly {
    pub(crate) workshop: Workshop,
    pub(crate) directory: Arc<Directory>,
    pub(crate) callers: Arc<Callers>,
    pub(crate) bus: Arc<dyn Bus>,
    /// The same, where it is a broker's.
    pub(crate) broker: Option<Arc<NatsBus>>,
}

/// A whole installation on its bus, in the mode that binds it.
pub(crate) struct Installation {
    pub(crate) workshop: Workshop,
    pub(crate) supervisor: Supervision,
    console: Arc<Link>,
}

/// Who keeps the mode.
pub(crate) enum Supervision {
    /// This process, and all modules are in it.
    Here(Supervisor),
    /// Another, and modules are in processes of their own.
    Apart(Box<Remote>),
}

impl Supervision {
    /// The mode of this box.
    pub(crate) fn row(&self) -> ModeRow {
        match self {
            Self::Here(supervisor) => supervisor.row(),
            Self::Apart(remote) => remote.row(),
        }
    }
    /// Takes an order that one or two operators sign, and enters its mode.
    pub(crate) fn order(&self, order: Order, operators: &[OperatorName], why: &str) -> Result<ModeRow> {
        match self {
            Self::Here(supervisor) => supervisor.order(order, operators, why),
            Self::Apart(remote) => remote.order(order, operators, why),
        }
    }
    /// Enters a mode that the order covers.
    pub(crate) fn enter(&self, mode: Mode) -> Result {
        match self {
            Self::Here(supervisor) => supervisor.enter(mode),
            Self::Apart(remote) => remote.enter(mode),
        }
    }
    /// The link of a module.
    pub(crate) fn link(&self, module: Module) -> Result<Arc<Link>> {
        match self {
            Self::Here(supervisor) => supervisor.link(module),
            Self::Apart(remote) => remote.link(module),
        }
    }
    /// Fails if one of these modules would run in this mode, and cannot.
    pub(crate) fn check_running(&self, modules: &[Module]) -> Result {
        match self {
            Self::Here(supervisor) => supervisor.check_running(modules),
            Self::Apart(remote) => remote.check_running(modules),
        }
    }
    /// What does not run and could.
    pub(crate) fn troubles(&self) -> Vec<Failure> {
        match self {
            Self::Here(supervisor) => supervisor.troubles(),
            Self::Apart(remote) => remote.troubles(),
        }
    }
}

impl Installation {
    /// Opens an installation; where modules share this process, starts those that its mode lets run.
    pub(crate) fn open(data: &Path, passphrase_file: Option<&Path>) -> Result<Self> {
        Self::start(Workshop::open(data, passphrase_file)?)
    }

    /// The same with records that are open.
    pub(crate) fn start(workshop: Workshop) -> Result<Self> {
        Self::start_for(workshop, Stay::Command)
    }

    /// The same, for one command or until it is told to end.
    pub(crate) fn start_for(workshop: Workshop, stay: Stay) -> Result<Self> {
        if workshop.config.bus.is_some() {
            let assembly = Assembly::apart(&workshop, Module::Console)?;
            let console = assembly.link(Module::Console)?;
            let remote = Remote::reach(assembly, Arc::clone(&console))?;
            return Ok(Self { workshop, supervisor: Supervision::Apart(Box::new(remote)), console });
        }
        let bus = Arc::new(LocalBus::new(Arc::clone(&workshop.clock)));
        let assembly = Assembly::on(&workshop, bus.clone())?;
        let console = assembly.link(Module::Console)?;
        let (modes, hosting) = (Arc::clone(&workshop.store), Hosting::Here(bus, stay));
        let supervisor = Supervisor::start(assembly, modes, hosting, Some(Arc::clone(&console)))?;
        Ok(Self { workshop, supervisor: Supervision::Here(supervisor), console })
    }

    /// Asks a module something, as the operator.
    pub(crate) fn ask<C: model::contract::Call>(&self, call: &C, doing: &str) -> Result<C::Reply> {
        let binding = self.supervisor.row().binding;
        if binding.current == Mode::Sealed && !binding.permits(call.to()) {
            return Err(Fault::Refused(Reason::Sealed)).or_fail(doing);
        }
        if !binding.permits(call.to()) {
            return Err(module_off(call.to(), binding, doing));
        }
        self.supervisor.check_running(&[call.to()])?;
        self.call(call).or_fail(doing)
    }

    /// Calls a module as the console, whatever the mode says of it.
    pub(crate) fn call<C: model::contract::Call>(&self, call: &C) -> std::result::Result<C::Reply, Fault> {
        match &self.supervisor {
            Supervision::Here(_) => self.console.call(call),
            Supervision::Apart(remote) => remote.call(call),
        }
    }

    /// The supervisor's process, if modules have processes of their own.
    pub(crate) fn remote(&self) -> Option<&Remote> {
        match &self.supervisor {
            Supervision::Here(_) => None,
            Supervision::Apart(remote) => Some(remote),
        }
    }
}

/// The supervisor of a box whose modules run in processes of their own.
pub(crate) fn supervise(data: &Path, passphrase: Zeroizing<Vec<u8>>, log: Vec<String>) -> Result<Supervisor> {
    let workshop = Workshop::open_as(Role::Supervisor, data, passphrase.clone())?;
    let Some(bus) = &workshop.config.bus else {
        return Err(Failure::new(Exit::Usage, "no-bus", "the modules of this installation share one process")
            .because("its cradle.toml names no broker over which they could meet")
            .next("every command starts them itself; `cradle init --bus URL` makes an installation apart"));
    };
    let authorities = bus.authorities;
    let modes = Arc::new(SqlStore::open(&workshop.places.box_records(), &workshop.box_opening()?)?);
    let assembly = Assembly::apart(&workshop, Module::Supervisor)?;
    let program = std::env::current_exe().map_err(|e| Failure::file("/proc/self/exe", &e))?;
    let processes = Processes { program, data: data.to_owned(), passphrase, authorities, log };
    Supervisor::start(assembly, modes, Hosting::Apart(processes), None)
}

impl Assembly {
    /// What the modules of one process are made of.
    fn on(workshop: &Workshop, bus: Arc<dyn Bus>) -> Result<Self> {
        let callers = Callers::read(CALLERS_TOML).map_err(|_| broken("contracts/callers.toml"))?;
        let directory = Arc::new(workshop.directory()?);
        Ok(Self { workshop: workshop.clone(), directory, callers: Arc::new(callers), bus, broker: None })
    }

    /// What a module is made of that has a process of its own: it signs in to the broker as itself.
    pub(crate) fn apart(workshop: &Workshop, module: Module) -> Result<Self> {
        let bus = workshop.config.bus.as_ref().ok_or_else(|| broken("cradle.toml names no broker"))?;
        let domain = bus.domain.parse().map_err(|_| broken("the domain of the bus is no name"))?;
        let instance = workshop.config.name.clone();
        let seed = workshop.places.bus(bus).join(format!("{instance}.{module}.seed"));
        let site = Site { domain, instance };
        let setting =
            Setting { servers: bus.servers.clone(), site, module, seed: Some(seed), trust: bus.trust.clone() };
        let bus = NatsBus::open(&setting, Arc::clone(&workshop.clock)).map_err(|fault| bus_failure(&fault))?;
        let bus = Arc::new(bus);
        Ok(Self { broker: Some(Arc::clone(&bus)), ..Self::on(workshop, bus)? })
    }

    /// A module's end of the bus. Its key is opened here, and wiped when the link is dropped.
    pub(crate) fn link(&self, module: Module) -> Result<Arc<Link>> {
        self.link_recording(module, self.workshop.store.clone())
    }

    /// The same, and what it refuses is recorded there.
    pub(crate) fn link_recording(&self, module: Module, audit: Arc<dyn AuditSink>) -> Result<Arc<Link>> {
        // The supervisor is one process; what it knows, it need not ask the records.
        let is_shared = self.workshop.config.bus.is_some() && module != Module::Supervisor;
        let received = is_shared.then(|| self.workshop.store.clone());
        let received = received.map(|store| -> Arc<dyn Received> { store });
        Ok(Link::new(Parts {
            module,
            instance: self.instance(),
            signer: self.workshop.key(&module_label(module))?,
            directory: Arc::clone(&self.directory),
            callers: Arc::clone(&self.callers),
            bus: Arc::clone(&self.bus),
            clock: Arc::clone(&self.workshop.clock),
            entropy: Arc::clone(&self.workshop.entropy),
            audit,
            received,
        }))
    }

    /// The name of this box.
    pub(crate) fn instance(&self) -> StationName {
        self.workshop.config.name.clone()
    }
}
