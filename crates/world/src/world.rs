//! A box with all its modules, and two of km.

use crate::board::Hardware;
use crate::bus::{Again, LossyBus, Running};
use crate::dice::Seeded;
use crate::hub::{Between, Hub, Logging, Node, locked};
use crate::keys::{Ring, key};
use crate::oracle::Check;
use crate::records::{Kind, Records, Scratch};
use crate::sabotage::Sabotage;
use crate::store::Seen;
use crate::template::{OrStuck, Stuck, Template, module_label, ordered, sign_order};
use crate::witness::Witness;
use authority::{Authority, Setting};
use identity::registry::Registry;
use model::contract::Subject;
use model::contract::authority::CertifyRequest;
use model::contract::supervisor::Lease;
use model::mode::{Binding, Order};
use model::{Fault, Mode, Module, Reason};
use ports::directory::Caller;
use ports::link::{Parts, verify_statement};
use ports::store::mode::ModeRow;
use ports::{Clock, Entropy, Link, Service};
use serde_json::value::RawValue;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

/// How long a lease lasts, and after which time it is renewed. As the supervisor of a box does it.
const LEASE_MS: u64 = 30_000;
const RENEW_MS: u64 = 10_000;
/// The maker whose devices these are.
const MAKER_PEN: u32 = 32473;

/// A process of the box, and the module in it.
pub(crate) type Place = (&'static str, Module);
/// All that start and stop with the mode. km is there twice.
pub(crate) const PLACES: [Place; 4] =
    [("ics", Module::Identity), ("km1", Module::Authority), ("km2", Module::Authority), ("pm", Module::Provisioning)];

/// What is wanted of a world beside its seed.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    /// How many things happen in it.
    pub steps: u64,
    /// What is broken on purpose.
    pub sabotage: Option<Sabotage>,
    /// Where messages go that are brought again.
    pub again: Again,
    /// Whether what happens is written down.
    pub logging: Logging,
}

impl Default for Plan {
    fn default() -> Self {
        Self { steps: crate::run::STEPS, sabotage: None, again: Again::default(), logging: Logging::Off }
    }
}

/// A process that runs.
pub(crate) struct Process {
    pub(crate) node: Arc<Node>,
    pub(crate) running: Running,
    pub(crate) store: Arc<Seen>,
}

/// What of a box is gone with its power.
#[derive(Default)]
pub(crate) struct Powered {
    pub(crate) inner: Option<Arc<dyn Records>>,
    pub(crate) console: Option<Arc<Link>>,
    pub(crate) supervisor: Option<Arc<Link>>,
    pub(crate) processes: BTreeMap<&'static str, Process>,
    pub(crate) row: Option<ModeRow>,
    pub(crate) renewed_ms: Option<u64>,
}

/// The world.
pub struct World {
    pub(crate) hub: Arc<Hub>,
    pub(crate) template: Arc<Template>,
    pub(crate) entropy: Arc<Seeded>,
    pub(crate) bus: Arc<LossyBus>,
    pub(crate) powered: Mutex<Powered>,
    pub(crate) hardware: Mutex<Vec<Arc<Mutex<Hardware>>>>,
    pub(crate) requests: Mutex<Vec<CertifyRequest>>,
    pub(crate) listed: Mutex<u64>,
    kind: Arc<dyn Kind>,
    scratch: Scratch,
    earlier: Mutex<Option<Scratch>>,
    made: Arc<Mutex<BTreeSet<String>>>,
}

impl World {
    /// The world of a seed, with its power on.
    ///
    /// # Errors
    /// [`Stuck`]
    pub fn new(seed: u64, template: &Arc<Template>, kind: &Arc<dyn Kind>, plan: Plan) -> Result<Arc<Self>, Stuck> {
        let hub = Hub::new(seed, plan.sabotage, plan.logging);
        // The template was made at the beginning of time.
        hub.pass(60_000);
        let witness = Witness {
            authorities: template.authorities.clone(),
            factory: template.factory.clone(),
            store: Mutex::new(None),
        };
        let world = Arc::new(Self {
            bus: LossyBus::new(Arc::clone(&hub), witness, plan.again),
            entropy: Arc::new(Seeded::new(seed, "modules")),
            template: Arc::clone(template),
            powered: Mutex::default(),
            hardware: Mutex::default(),
            requests: Mutex::default(),
            listed: Mutex::new(0),
            kind: Arc::clone(kind),
            scratch: template.scratch.copy().or_stuck("copying the template")?,
            earlier: Mutex::new(None),
            made: Arc::new(Mutex::new(template.made.clone())),
            hub,
        });
        let between: Arc<dyn Between> = world.clone();
        world.hub.ask(Arc::downgrade(&between));
        world.power_on()?;
        Ok(world)
    }

    /// The store, as it really is.
    pub(crate) fn inner(&self) -> Result<Arc<dyn Records>, Stuck> {
        locked(&self.powered).inner.clone().ok_or_else(|| Stuck("the box is off".into()))
    }
    pub(crate) fn console(&self) -> Result<Arc<Link>, Stuck> {
        locked(&self.powered).console.clone().ok_or_else(|| Stuck("the box is off".into()))
    }
    pub(crate) fn row(&self) -> Result<ModeRow, Stuck> {
        locked(&self.powered).row.clone().ok_or_else(|| Stuck("the box is off".into()))
    }
    /// A process that lives.
    pub(crate) fn process(&self, name: &str) -> Option<(Arc<Link>, Arc<Node>, Arc<Seen>)> {
        let powered = locked(&self.powered);
        let process = powered.processes.get(name).filter(|process| !process.node.is_dead())?;
        Some((Arc::clone(&process.running.link), Arc::clone(&process.node), Arc::clone(&process.store)))
    }

    /// Takes the power away, and gives it back.
    pub(crate) fn restart(&self) -> Result<(), Stuck> {
        self.power_off();
        if self.hub.sabotage == Some(Sabotage::LyingDisk) {
            self.lie()?;
        }
        self.power_on()
    }

    fn power_off(&self) {
        self.hub.log(|| "the power is gone".to_owned());
        *locked(&self.bus.witness().store) = None;
        // What is dropped may look at the world once more.
        let gone = std::mem::take(&mut *locked(&self.powered));
        gone.processes.values().for_each(|process| process.node.kill());
        drop(gone);
    }

    /// The disk has only pretended to keep what was written since the restart before this one.
    fn lie(&self) -> Result<(), Stuck> {
        let now = self.scratch.copy().or_stuck("copying the disk")?;
        if let Some(earlier) = locked(&self.earlier).replace(now) {
            self.scratch.take(&earlier).or_stuck("putting the disk back")?;
        }
        Ok(())
    }

    fn power_on(&self) -> Result<(), Stuck> {
        let entropy: Arc<dyn Entropy> = self.entropy.clone();
        let inner = self.kind.open(self.scratch.path(), &self.hub, entropy).or_stuck("opening the store")?;
        *locked(&self.bus.witness().store) = Some(Arc::clone(&inner));
        let said = locked(&self.hub.oracle).compare(inner.as_ref());
        self.hub.judge(said);
        let row = inner.mode().or_stuck("reading the mode")?.ok_or_else(|| Stuck("there is no mode".into()))?;
        {
            let mut powered = locked(&self.powered);
            powered.inner = Some(Arc::clone(&inner));
            powered.row = Some(row);
        }
        let console = self.link(Module::Console, &Node::new("console"), &inner)?;
        let supervisor = self.link(Module::Supervisor, &Node::new("supervisor"), &inner)?;
        {
            let mut powered = locked(&self.powered);
            powered.console = Some(console);
            powered.supervisor = Some(supervisor);
        }
        self.start_missing();
        Ok(())
    }

    fn link(&self, module: Module, node: &Arc<Node>, inner: &Arc<dyn Records>) -> Result<Arc<Link>, Stuck> {
        Ok(Link::new(Parts {
            module,
            instance: self.template.instance.clone(),
            signer: key(&module_label(module)).or_stuck("a module's key")?,
            directory: Arc::clone(&self.template.directory),
            callers: Arc::clone(&self.template.callers),
            bus: self.bus.port(node),
            clock: self.hub.clone(),
            entropy: self.entropy.clone(),
            audit: Seen::new(Arc::clone(&self.hub), Arc::clone(node), Arc::clone(inner)),
            received: Some(inner.clone()),
        }))
    }

    /// Starts what the mode lets run, and does not. What does not come up is tried again later.
    pub(crate) fn start_missing(&self) {
        for place in PLACES {
            self.start(place);
        }
        self.renew();
    }

    /// Starts one process, if the mode lets it run and it does not.
    pub(crate) fn start(&self, place: Place) {
        let (name, module) = place;
        let wanted = self.row().is_ok_and(|row| row.binding.permits(module));
        let runs = self.process(name).is_some();
        if !wanted || runs {
            return;
        }
        self.stop(name);
        match self.started(place) {
            Ok(process) => {
                self.hub.log(|| format!("{name} is started"));
                locked(&self.powered).processes.insert(name, process);
            }
            Err(Stuck(why)) => self.hub.log(|| format!("{name} does not start: {why}")),
        }
    }

    /// Ends a process, as a signal would.
    pub(crate) fn stop(&self, name: &str) {
        let gone = locked(&self.powered).processes.remove(name);
        if let Some(process) = gone {
            process.node.kill();
            drop(process);
        }
    }

    fn started(&self, (name, module): Place) -> Result<Process, Stuck> {
        let (inner, node) = (self.inner()?, Node::new(name));
        let store = Seen::new(Arc::clone(&self.hub), Arc::clone(&node), Arc::clone(&inner));
        let link = self.link(module, &node, &inner)?;
        let service: Arc<dyn Service> = match module {
            Module::Authority => {
                let ring = Ring::new(Arc::clone(&self.hub), Arc::clone(&node), Arc::clone(&self.made), inner.clone());
                let km = Authority::start(Setting {
                    store: store.clone(),
                    keystore: Arc::new(ring),
                    clock: self.hub.clone(),
                    pause: self.hub.clone(),
                    entropy: self.entropy.clone(),
                    profiles: self.template.profiles.clone(),
                    organization: crate::template::ORGANIZATION.to_owned(),
                    limits: authority::Limits::default(),
                    est: authority::Est::default(),
                });
                Arc::new(km.or_stuck("starting km")?).on(&link)
            }
            Module::Identity => {
                let devices = ["idevid", "unit"].into_iter().map(crate::template::name).collect::<Result<_, _>>()?;
                identity::Identity::on(Registry::new(store.clone(), MAKER_PEN, devices), &link)
            }
            _ => Arc::new(Quiet),
        };
        if node.is_dead() {
            return Err(Stuck("it was killed while it started".into()));
        }
        let served = link.serve(service).map_err(|fault| Stuck(format!("{fault:?}")))?;
        Ok(Process { node, running: Running { link, _served: Some(served) }, store })
    }

    /// Hands out leases, if it is time, as the supervisor does. Some of them get lost.
    pub(crate) fn keep_awake(&self) {
        let renewed = locked(&self.powered).renewed_ms;
        if renewed.is_none_or(|at| self.hub.elapsed_ms() >= at + RENEW_MS) {
            self.renew();
        }
    }

    pub(crate) fn renew(&self) {
        let (row, supervisor, console) = {
            let mut powered = locked(&self.powered);
            powered.renewed_ms = Some(self.hub.elapsed_ms());
            (powered.row.clone(), powered.supervisor.clone(), powered.console.clone())
        };
        let (Some(row), Some(supervisor), Some(console)) = (row, supervisor, console) else { return };
        for link in [&supervisor, &console] {
            let statement = verify_statement(&row.statement, &self.template.directory, self.hub.now());
            if let Ok(statement) = statement {
                let _older = link.gate().take(&self.lease(link.gate().module(), &row), &statement);
            }
        }
        for (name, module) in PLACES {
            if self.process(name).is_some() {
                let _lapses = self.bus.aimed(name, || supervisor.call(&self.lease(module, &row)));
            }
        }
    }

    fn lease(&self, module: Module, row: &ModeRow) -> Lease {
        let until = self.hub.now().plus_ms(LEASE_MS);
        Lease {
            module,
            statement: row.statement.clone(),
            binding: row.binding,
            epoch: row.epoch,
            until,
            standing: None,
        }
    }

    /// Takes an operator's order.
    pub(crate) fn order(&self, order: Order) -> Result<(), Stuck> {
        let (now, row) = (self.hub.now(), self.row()?);
        let before = verify_statement(&row.statement, &self.template.directory, now);
        let Ok(before) = before else { return Ok(()) };
        let statement = sign_order(order, before.epoch + 1, now)?;
        let recorded = self.inner()?.order(order, &statement, ordered(order, before.epoch + 1), now);
        recorded.or_stuck("recording an order")?;
        {
            let mut powered = locked(&self.powered);
            powered.row = Some(ModeRow { order, statement, ..row });
        }
        self.enter(order.at_rest())
    }

    /// Enters a mode that the order covers: what either mode forbids is stopped, or at least has no lease.
    pub(crate) fn enter(&self, mode: Mode) -> Result<(), Stuck> {
        let row = self.row()?;
        if !row.order.covers(mode) || row.binding == Binding::settled(mode) {
            return Ok(());
        }
        self.hub.log(|| format!("the mode changes from {} to {mode}", row.binding.current));
        let between = Binding { current: row.binding.current, pending: Some(mode) };
        self.bind(between)?;
        self.renew();
        for (name, module) in PLACES {
            // One that hangs is not stopped; without a lease it must do nothing all the same.
            if !between.permits(module) && self.hub.dice().hits(700) {
                self.stop(name);
            }
        }
        self.bind(Binding::settled(mode))?;
        self.start_missing();
        Ok(())
    }

    fn bind(&self, binding: Binding) -> Result<(), Stuck> {
        let epoch = self.inner()?.bind(binding, self.hub.now()).or_stuck("changing the mode")?;
        {
            let mut powered = locked(&self.powered);
            if let Some(row) = &mut powered.row {
                (row.binding, row.epoch) = (binding, epoch);
            }
        }
        Ok(())
    }

    /// Looks at some of what is promised, after each event.
    pub(crate) fn look_round(&self) -> Result<(), Stuck> {
        let inner = self.inner()?;
        let said = locked(&self.hub.oracle).look_round(inner.as_ref());
        self.hub.judge(said);
        Ok(())
    }

    /// Looks at everything that is promised.
    pub(crate) fn look_at_all(&self) -> Result<(), Stuck> {
        let inner = self.inner()?;
        let mut oracle = locked(&self.hub.oracle);
        let said = oracle.compare(inner.as_ref()).and_then(|()| oracle.settled(inner.as_ref()));
        let devices = oracle.devices_stay(inner.as_ref());
        drop(oracle);
        self.hub.judge(said);
        self.hub.judge(devices);
        match inner.verify() {
            Ok(found) => found.into_iter().for_each(|what| self.hub.blame(Check::Deep, what)),
            Err(why) => self.hub.blame(Check::World, why),
        }
        Ok(())
    }
}

/// A module that only calls.
struct Quiet;

impl Service for Quiet {
    fn answer(&self, _: &Caller, _: Subject, _: &RawValue) -> Result<Box<RawValue>, Fault> {
        Err(Reason::WrongSubject.into())
    }
}
