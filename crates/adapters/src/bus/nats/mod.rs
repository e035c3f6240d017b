//! The bus over nats-server: the same modules, each a process of its own.
//!
//! The broker carries octets and is not trusted; what a message means, and whether it may be acted on, is said by its seal
//! (`ports::envelope`). Nothing here sends a message twice.

pub mod address;
pub mod configuration;
mod connection;
pub mod credentials;
pub mod events;
mod fault;
pub mod permission;
mod serving;

pub use address::{Domain, Site};
pub use connection::{Age, PAYLOAD_LEN_MIN, Reach, Standing};
pub use events::EventLog;
pub use fault::OpenFault;
pub use permission::Permission;

use crate::bus::CALLS_MAX;
use connection::{Connection, FENCE_S, Outgoing, call_headers};
use model::contract::{MESSAGE_LEN_MAX, Subject};
use model::{Module, UnixTime};
use ports::Clock;
use ports::bus::{Bus, BusFault, Handler, Served};
use std::collections::{HashMap, HashSet};
use std::path::PathBuf;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, mpsc};
use std::time::Duration;
use tokio::runtime::{Builder, Handle};
use tokio::sync::oneshot;

/// Most calls of this process that one module has at the same time: enough for four processes of that module.
pub const CALLING_MAX: usize = 4 * CALLS_MAX;

/// Threads that answer: each module of a box in one process, its calls and its leases.
const ANSWERING_MAX: usize = Module::ALL.len() * (CALLS_MAX + serving::LEASES_MAX);

/// With what a [`NatsBus`] is opened.
#[derive(Clone, Debug)]
pub struct Setting {
    /// The servers, `nats://HOST:PORT`; one of them is enough.
    pub servers: Vec<String>,
    /// Where this is.
    pub site: Site,
    /// Whose connection this is.
    pub module: Module,
    /// The file of the module's seed; absent for a server without users.
    pub seed: Option<PathBuf>,
    /// The file of the certificates to trust: with it, TLS is a must.
    pub trust: Option<PathBuf>,
}

/// The bus over nats-server, as one module sees it.
pub struct NatsBus {
    engine: Arc<Engine>,
    connection: Arc<Connection>,
    calling: Seats,
    served: Arc<Mutex<HashSet<Module>>>,
}

impl NatsBus {
    /// Connects. From then on the connection comes back by itself.
    ///
    /// # Errors
    /// [`OpenFault`]
    pub fn open(setting: &Setting, clock: Arc<dyn Clock>) -> Result<Self, OpenFault> {
        let engine = Arc::new(Engine::start().map_err(OpenFault::Thread)?);
        let setting = setting.clone();
        let opened = engine.wait(async move { Connection::open(&setting, clock).await });
        let connection = opened.ok_or_else(|| OpenFault::Unreachable("the bus ended".to_owned()))??;
        Ok(Self { engine, connection, calling: Seats::default(), served: Arc::default() })
    }

    /// How the broker is.
    #[must_use]
    pub fn standing(&self) -> Standing {
        self.connection.standing()
    }

    /// How many calls of this process a module has now.
    #[must_use]
    pub fn calling(&self, module: Module) -> usize {
        self.calling.lock().get(&module).copied().unwrap_or_default()
    }

    /// Sends something to the broker and back.
    ///
    /// # Errors
    /// [`BusFault::Late`] if it does not come back.
    pub fn round_trip(&self) -> Result<(), BusFault> {
        let connection = Arc::clone(&self.connection);
        self.engine.wait(async move { connection.fence().await }).unwrap_or(Err(BusFault::Broken))
    }

    /// Whether what is sent to the broker comes back within `patience`.
    #[must_use]
    pub fn answers_within(&self, patience: Duration) -> bool {
        let connection = Arc::clone(&self.connection);
        let asked = self.engine.wait(async move { tokio::time::timeout(patience, connection.fence()).await });
        matches!(asked, Some(Ok(Ok(()))))
    }
}

impl Bus for NatsBus {
    fn call(&self, to: Module, subject: Subject, message: &[u8], deadline: UnixTime) -> Result<Vec<u8>, BusFault> {
        if message.len() > MESSAGE_LEN_MAX {
            return Err(BusFault::TooLong);
        }
        let clock = &self.connection.clock;
        let left = || Duration::from_millis(deadline.since_ms(clock.now()));
        let _seat = self.calling.enter(to, left)?;
        let (sender, receiver) = mpsc::sync_channel(1);
        let unsent = sender.clone();
        let expected = self.connection.expect(Box::new(move |answer| {
            // If it is not taken, the caller is gone.
            let _gone = sender.try_send(answer);
        }));
        let outgoing = Outgoing {
            to: self.connection.site.call(to, subject),
            reply_to: Some(expected.address()),
            headers: call_headers(deadline),
            octets: message.to_vec(),
        };
        let connection = Arc::clone(&self.connection);
        self.engine.handle.spawn(async move {
            if let Err(fault) = connection.publish(outgoing, deadline).await {
                let _answered_meanwhile = unsent.try_send(Err(fault));
            }
        });
        receiver.recv_timeout(left()).unwrap_or(Err(BusFault::Late))
    }

    fn serve(&self, module: Module, handler: Arc<dyn Handler>) -> Result<Box<dyn Served>, BusFault> {
        if !self.locked_served().insert(module) {
            return Err(BusFault::Taken);
        }
        let (stop, stopped) = oneshot::channel();
        let (done, ended) = mpsc::sync_channel(1);
        let (ready, begun) = mpsc::sync_channel(1);
        let connection = Arc::clone(&self.connection);
        let serving = serving::Serving::new(connection, module, Arc::clone(&handler));
        self.engine.handle.spawn(async move {
            serving.run(ready, stopped).await;
            let _nobody_waits = done.send(());
        });
        let seat = Seat {
            stop: Some(stop),
            ended: Mutex::new(ended),
            module,
            served: Arc::clone(&self.served),
            _handler: handler,
            _engine: Arc::clone(&self.engine),
        };
        match begun.recv_timeout(Duration::from_secs(2 * FENCE_S)) {
            Ok(Ok(())) => Ok(Box::new(seat)),
            Ok(Err(fault)) => Err(fault),
            Err(_) => Err(BusFault::Late),
        }
    }
}

impl NatsBus {
    fn locked_served(&self) -> MutexGuard<'_, HashSet<Module>> {
        self.served.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A module that is reachable over the broker.
struct Seat {
    stop: Option<oneshot::Sender<()>>,
    ended: Mutex<mpsc::Receiver<()>>,
    module: Module,
    served: Arc<Mutex<HashSet<Module>>>,
    // What it holds may block when it is dropped, which the thread of the bus must not: it goes last, and here.
    _handler: Arc<dyn Handler>,
    _engine: Arc<Engine>,
}

impl Served for Seat {}

impl Drop for Seat {
    fn drop(&mut self) {
        let _ended_already = self.stop.take().map(|stop| stop.send(()));
        // Ends with an error if the task is gone: then nobody answers either.
        let _gone = self.ended.get_mut().unwrap_or_else(PoisonError::into_inner).recv();
        self.served.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.module);
    }
}

/// The thread on which the connection lives. Callers wait outside of it.
struct Engine {
    handle: Handle,
    stop: Option<oneshot::Sender<()>>,
}

impl Engine {
    fn start() -> std::io::Result<Self> {
        let runtime = Builder::new_current_thread().enable_all().max_blocking_threads(ANSWERING_MAX).build()?;
        let (stop, stopped) = oneshot::channel::<()>();
        let handle = runtime.handle().clone();
        std::thread::Builder::new().name("bus".to_owned()).spawn(move || {
            let _dropped_or_sent = runtime.block_on(stopped);
            runtime.shutdown_background();
        })?;
        Ok(Self { handle, stop: Some(stop) })
    }

    /// Lets the thread do something, and waits for it; nothing if it does not come to an end.
    fn wait<T: Send + 'static>(&self, task: impl Future<Output = T> + Send + 'static) -> Option<T> {
        let (sender, receiver) = mpsc::sync_channel(1);
        self.handle.spawn(async move {
            let _nobody_waits = sender.send(task.await);
        });
        receiver.recv().ok()
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        let _ended_already = self.stop.take().map(|stop| stop.send(()));
    }
}

/// How many calls each module has from this process. Who comes later waits.
#[derive(Default)]
struct Seats {
    busy: Mutex<HashMap<Module, usize>>,
    changed: Condvar,
}

impl Seats {
    fn enter(&self, to: Module, left: impl Fn() -> Duration) -> Result<Calling<'_>, BusFault> {
        let mut busy = self.lock();
        loop {
            let calls = busy.entry(to).or_default();
            if *calls < CALLING_MAX {
                *calls += 1;
                return Ok(Calling(self, to));
            }
            let left = left();
            if left.is_zero() {
                return Err(BusFault::Late);
            }
            busy = self.changed.wait_timeout(busy, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Module, usize>> {
        self.busy.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A call that is on its way; gives its seat back.
struct Calling<'s>(&'s Seats, Module);

impl Drop for Calling<'_> {
    fn drop(&mut self) {
        if let Some(calls) = self.0.lock().get_mut(&self.1) {
            *calls -= 1;
        }
        self.0.changed.notify_all();
    }
}
