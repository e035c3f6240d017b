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
            let seat = modules.get_mut(&to).filter(|seat| !seat.leaving).ok_or(BusFault::Nobody)?;
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
        catch_unwind(AssertUnwindSafe(|| handler.handle(subject, message))).map_err(|_| BusFault::Broken)
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::SystemClock;
    use std::sync::Barrier;

    struct Echo;
    impl Handler for Echo {
        fn handle(&self, _: Subject, message: &[u8]) -> Vec<u8> {
            message.to_vec()
        }
    }
    struct Panics;
    impl Handler for Panics {
        fn handle(&self, _: Subject, _: &[u8]) -> Vec<u8> {
            panic!("a bug in one request")
        }
    }
    struct Holds {
        entered: Barrier,
        leave: Barrier,
    }
    impl Handler for Holds {
        fn handle(&self, _: Subject, _: &[u8]) -> Vec<u8> {
            self.entered.wait();
            self.leave.wait();
            vec![1]
        }
    }

    const TO: Module = Module::Authority;
    const SUBJECT: Subject = Subject::AuthorityCertify;
    fn bus() -> LocalBus {
        LocalBus::new(Arc::new(SystemClock))
    }
    fn soon() -> UnixTime {
        SystemClock.now().plus_ms(20)
    }
    fn later() -> UnixTime {
        SystemClock.now().plus_s(60)
    }

    #[test]
    fn a_call_is_answered() {
        let bus = bus();
        let _served = bus.serve(TO, Arc::new(Echo)).unwrap();
        assert_eq!(bus.call(TO, SUBJECT, b"hello", later()), Ok(b"hello".to_vec()));
    }
    #[test]
    fn nobody_answers_for_a_module_that_is_off() {
        let bus = bus();
        drop(bus.serve(TO, Arc::new(Echo)).unwrap());
        assert_eq!(bus.call(TO, SUBJECT, b"hello", later()), Err(BusFault::Nobody));
        assert_eq!(bus.serving(), []);
    }
    #[test]
    fn a_module_is_served_once() {
        let bus = bus();
        let _served = bus.serve(TO, Arc::new(Echo)).unwrap();
        assert_eq!(bus.serve(TO, Arc::new(Echo)).err(), Some(BusFault::Taken));
    }
    #[test]
    fn a_panic_is_one_callers_misfortune() {
        let bus = bus();
        let served = bus.serve(TO, Arc::new(Panics)).unwrap();
        assert_eq!(bus.call(TO, SUBJECT, b"", later()), Err(BusFault::Broken));
        drop(served);
    }
    #[test]
    fn a_long_message_is_refused() {
        let bus = bus();
        let _served = bus.serve(TO, Arc::new(Echo)).unwrap();
        assert!(bus.call(TO, SUBJECT, &vec![0; MESSAGE_LEN_MAX], later()).is_ok());
        assert_eq!(bus.call(TO, SUBJECT, &vec![0; MESSAGE_LEN_MAX + 1], later()), Err(BusFault::TooLong));
    }
    #[test]
    fn a_crowd_waits_until_its_deadline_and_leaving_waits_for_the_calls() {
        let bus = Arc::new(bus());
        let holds = Arc::new(Holds { entered: Barrier::new(CALLS_MAX + 1), leave: Barrier::new(CALLS_MAX + 1) });
        let handler: Arc<dyn Handler> = holds.clone();
        let served = bus.serve(TO, handler).unwrap();
        std::thread::scope(|scope| {
            let calls: Vec<_> = (0..CALLS_MAX).map(|_| scope.spawn(|| bus.call(TO, SUBJECT, b"", later()))).collect();
            holds.entered.wait();
            assert_eq!(bus.call(TO, SUBJECT, b"", soon()), Err(BusFault::Late));
            let leaving = scope.spawn(move || drop(served));
            while bus.shared.lock().get(&TO).is_some_and(|seat| !seat.leaving) {
                std::thread::yield_now();
            }
            assert_eq!(bus.call(TO, SUBJECT, b"", later()), Err(BusFault::Nobody));
            holds.leave.wait();
            for call in calls {
                assert_eq!(call.join().unwrap(), Ok(vec![1]));
            }
            leaving.join().unwrap();
        });
        assert_eq!(bus.serving(), []);
    }
}
