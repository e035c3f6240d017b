//! Whether a box may be given work: what its mode has on runs, holds a lease, and the broker is reached.

use super::{Running, STARTED, Shared, Supervisor, locked};
use crate::fault::{Exit, Failure, trouble_of};
use crate::serve::{BROKER_WITHIN, Standing, no_broker, no_lease};
use model::contract::supervisor::Trouble;
use model::mode::{Binding, Leave};
use model::{Module, UnixTime};
use std::sync::{Arc, TryLockError};

/// How often it is tried to see the mode, which whoever changes it holds, ten milliseconds apart: two seconds, in which
/// leases are handed out.
const TRIES_MAX: u32 = 200;

impl Supervisor {
    /// What looks whether this box may be given work. It does not keep the supervisor alive.
    pub(crate) fn readiness(&self) -> impl Fn() -> Standing + Send + Sync + use<> {
        let shared = Arc::downgrade(&self.shared);
        move || shared.upgrade().map_or_else(|| Standing::unknown("it ends"), |shared| shared.standing())
    }
}

impl Shared {
    fn standing(&self) -> Standing {
        let Some(binding) = self.binding_soon() else {
            return Standing::unknown("a module is being started, or the mode is changed");
        };
        let wanted: Vec<_> = STARTED
            .into_iter()
            .filter(|module| binding.leave(*module) == Leave::On && self.runs_here(*module))
            .collect();
        let mut down: Vec<_> = self.troubles().iter().map(|(module, failure)| trouble_of(*module, failure)).collect();
        let now = self.now();
        for module in &wanted {
            if !down.iter().any(|trouble| trouble.module == Some(*module)) {
                down.extend(self.trouble_with(*module, now));
            }
        }
        let broker = self.assembly.broker.as_ref();
        if broker.is_some_and(|broker| !broker.answers_within(BROKER_WITHIN)) {
            down.push(no_broker(Module::Supervisor));
        }
        Standing::of(Some(binding), wanted, down)
    }

    /// The modes in force, unless somebody is about to change them.
    fn binding_soon(&self) -> Option<Binding> {
        for _ in 0..TRIES_MAX {
            match self.row.try_lock() {
                Ok(row) => return Some(row.binding),
                Err(TryLockError::Poisoned(poisoned)) => return Some(poisoned.into_inner().binding),
                Err(TryLockError::WouldBlock) => std::thread::park_timeout(std::time::Duration::from_millis(10)),
            }
        }
        None
    }

    fn trouble_with(&self, module: Module, now: UnixTime) -> Option<Trouble> {
        if !self.is_whole(module) || self.has_ended(module) {
            let failure = Failure::new(Exit::Unavailable, "process", format!("{module} does not run"))
                .because("its process ended, or was not started yet")
                .next("see what it logged; it is started again");
            return Some(trouble_of(Some(module), &failure));
        }
        match locked(&self.leased).get(&module) {
            Some(until) if now <= *until => None,
            Some(_) => Some(no_lease(module, "its lease ended, and it takes no other")),
            None => Some(no_lease(module, "it has not taken a lease since it was started")),
        }
    }

    fn has_ended(&self, module: Module) -> bool {
        match locked(&self.running).get_mut(&module) {
            Some(Running::Apart(there)) => there.values_mut().any(super::process::Process::has_ended),
            Some(Running::Here { .. }) | None => false,
        }
    }
}
