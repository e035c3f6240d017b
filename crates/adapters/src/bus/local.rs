//! The bus inside one process: a call is answered on the caller's thread.
//!
//! Back-pressure is a bounded number of calls in each module; who comes later waits, until the deadline of the call.

use model::contract::{MESSAGE_LEN_MAX, Subject};
use model::{Module, UnixTime};
use ports::Clock;
use ports::bus::{Bus, BusFault, Handler, Served};
use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Most calls that one module answers at the same time: enough to keep every core and the disk busy, few enough that
/// a batch does not wait behind a crowd.
pub const CALLS_MAX: usize = 16;

/// The bus inside one process.
pub struct LocalBus {
    shared: Arc<Shared>,
    clock: Arc<dyn Clock>,
}

#[derive(Default)]
struct Shared {
    modules: Mutex<HashMap<Module, Seat>>,
    changed: Condvar,
}

struct Seat {
    handler: Arc<dyn Handler>,
    busy: usize,
    leaving: bool,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, HashMap<Module, Seat>> {
        self.modules.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl LocalBus {
    /// A bus with nobody on it.
    #[must_use]
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self { shared: Arc::default(), clock }
    }

    /// The modules that answer now: what is off must not be here.
    #[must_use]
    pub fn serving(&self) -> Vec<Module> {
        let mut modules: Vec<_> = self.shared.lock().keys().copied().collect();
        modules.sort();
        modules
    }

    fn enter(&self, to: Module, deadline: UnixTime) -> Result<Arc<dyn Handler>, BusFault> {
        let mut modules = self.shared.lock();
        loop {
            let seat = modules.get_mut(&to).filter(|seat| !seat.leaving).ok_or(BusFault::Off)?;
            if seat.busy < CALLS_MAX {
                seat.busy += 1;
                return Ok(Arc::clone(&seat.handler));
            }
            let wait = deadline.since_ms(self.clock.now());
            if wait == 0 {
                return Err(BusFault::Late);
            }
            let waited = self.shared.changed.wait_timeout(modules, Duration::from_millis(wait));
            modules = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

// Frees a seat, also when the handler panics.
struct Busy<'a>(&'a Shared, Module);

impl Drop for Busy<'_> {
    fn drop(&mut self) {
        if let Some(seat) = self.0.lock().get_mut(&self.1) {
            seat.busy -= 1;
        }
        self.0.changed.notify_all();
    }
}

impl Bus for LocalBus {
    fn call(&self, to: Module, subject: Subject, message: &[u8], deadline: UnixTime) -> Result<Vec<u8>, BusFault> {
        if message.len() > MESSAGE_LEN_MAX {
            return Err(BusFault::TooLong);
        }
        let handler = self.enter(to, deadline)?;
        let _busy = Busy(&self.shared, to);
        // A panic in one request must not take the others with it.
        let answer = catch_unwind(AssertUnwindSafe(|| handler.handle(subject, message)));
        answer.map_err(|_| BusFault::Broken).and_then(|answer| match answer.len() {
            0..=MESSAGE_LEN_MAX => Ok(answer),
            _ => Err(BusFault::TooLong),
        })
    }

    fn serve(&self, module: Module, handler: Arc<dyn Handler>) -> Result<Box<dyn Served>, BusFault> {
        let mut modules = self.shared.lock();
        if modules.contains_key(&module) {
            return Err(BusFault::Taken);
        }
        modules.insert(module, Seat { handler, busy: 0, leaving: false });
        Ok(Box::new(Serving { shared: Arc::clone(&self.shared), module }))
    }
}

struct Serving {
    shared: Arc<Shared>,
    module: Module,
}

impl Served for Serving {}

impl Drop for Serving {
    fn drop(&mut self) {
        let mut modules = self.shared.lock();
        while let Some(seat) = modules.get_mut(&self.module) {
            seat.leaving = true;
            if seat.busy == 0 {
                modules.remove(&self.module);
                break;
            }
            modules = self.shared.changed.wait(modules).unwrap_or_else(PoisonError::into_inner);
        }
        self.shared.changed.notify_all();
    }
}
