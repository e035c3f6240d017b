//! Keeping to the operation mode: a module runs only while it holds a lease that lets it.

use model::contract::supervisor::Lease;
use model::mode::{Binding, Order, Statement};
use model::{Mode, Module, Reason, UnixTime};
use std::sync::{Arc, PoisonError, RwLock};

/// Longest lease. One that ends later is not believed: a supervisor gives shorter ones, and when the clock goes back, an
/// old lease must not become a long one.
pub const LEASE_LEN_MAX_MS: u64 = 60_000;

/// What a module knows of the operation mode. Without a lease, or behind its end, the answer is no.
#[derive(Debug)]
pub struct Gate {
    module: Module,
    held: RwLock<Option<Held>>,
    standing: RwLock<Option<Arc<str>>>,
}

/// The modes that a lease names, and its epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Held {
    /// The modes in force.
    pub binding: Binding,
    /// Rises with each change.
    pub epoch: u64,
    /// When the lease ends.
    pub until: UnixTime,
    /// The epoch of the operator's statement behind it.
    pub statement_epoch: u64,
    /// What that statement ordered.
    pub order: Order,
}

impl Held {
    /// Whether `module` may run in these modes.
    ///
    /// # Errors
    /// [`Reason::ModuleOff`], or [`Reason::Sealed`] if the box is sealed and the module is off because of it.
    pub fn lets(&self, module: Module) -> Result<(), Reason> {
        match self.binding {
            binding if binding.permits(module) => Ok(()),
            Binding { current: Mode::Sealed, .. } => Err(Reason::Sealed),
            Binding { .. } => Err(Reason::ModuleOff),
        }
    }
}

impl Gate {
    /// A gate without a lease: closed.
    #[must_use]
    pub const fn closed(module: Module) -> Self {
        Self { module, held: RwLock::new(None), standing: RwLock::new(None) }
    }

    /// Takes a lease, given the operator's statement that the caller has verified.
    ///
    /// # Errors
    /// [`Reason::WrongSubject`] if the lease is another module's; [`Reason::ModeNotNewer`] if an epoch is older than the
    /// one that is held, or the same and means something else; [`Reason::ModeNotCovered`] if the statement does not cover
    /// the mode that the box is in or goes to. To seal a box needs no order.
    pub fn take(&self, lease: &Lease, statement: &Statement) -> Result<(), Reason> {
        if lease.module != self.module {
            return Err(Reason::WrongSubject);
        }
        let goal = lease.binding.pending.unwrap_or(lease.binding.current);
        if goal != Mode::Sealed && !statement.order.covers(goal) {
            return Err(Reason::ModeNotCovered);
        }
        let mut held = self.held.write().unwrap_or_else(PoisonError::into_inner);
        if held.is_some_and(|held| !held.may_become(lease, statement)) {
            return Err(Reason::ModeNotNewer);
        }
        let Lease { binding, epoch, until, .. } = *lease;
        let standing = lease.standing.as_deref().map(Arc::from);
        *self.standing.write().unwrap_or_else(PoisonError::into_inner) = standing;
        *held = Some(Held { binding, epoch, until, statement_epoch: statement.epoch, order: statement.order });
        Ok(())
    }

    /// The modes in force at `now`, if this module may run in them.
    ///
    /// # Errors
    /// [`Reason::ModuleOff`] without a lease, behind its end, more than [`LEASE_LEN_MAX_MS`] before its end, or if the
    /// modes say so; [`Reason::Sealed`] if the box is sealed and this module is off because of it.
    pub fn open(&self, now: UnixTime) -> Result<Held, Reason> {
        let held = *self.held.read().unwrap_or_else(PoisonError::into_inner);
        let held = held.ok_or(Reason::ModuleOff)?;
        held.lets(self.module)?;
        let is_running = now <= held.until && held.until.since_ms(now) <= LEASE_LEN_MAX_MS;
        if is_running { Ok(held) } else { Err(Reason::ModuleOff) }
    }

    /// What is shown to other boxes.
    pub(crate) fn standing(&self) -> Option<Arc<str>> {
        self.standing.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Whether a lease was ever taken, whatever it said.
    #[must_use]
    pub fn is_told(&self) -> bool {
        self.held.read().unwrap_or_else(PoisonError::into_inner).is_some()
    }

    /// The module behind the gate.
    #[must_use]
    pub const fn module(&self) -> Module {
        self.module
    }
}

impl Held {
    // An epoch names one binding, and an operator's epoch one order: who says otherwise is not the one who said the first.
    fn may_become(&self, lease: &Lease, statement: &Statement) -> bool {
        let is_same = lease.epoch == self.epoch && lease.binding == self.binding;
        let is_same_order = statement.epoch == self.statement_epoch && statement.order == self.order;
        (lease.epoch > self.epoch || is_same) && (statement.epoch > self.statement_epoch || is_same_order)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::mode::Order;

    fn lease(mode: Mode, epoch: u64) -> Lease {
        let (module, statement) = (Module::Authority, String::new());
        Lease { module, statement, binding: Binding::settled(mode), epoch, until: UnixTime::from_s(10), standing: None }
    }
    fn order(mode: Mode, epoch: u64) -> Statement {
        let operator = "alice".parse().unwrap();
        Statement { order: Order::Stay(mode), epoch, at: UnixTime::from_s(0), operator, reason: String::new() }
    }
    #[track_caller]
    fn check(lease: Option<Lease>, now_s: u64, expected: Result<u64, Reason>) {
        let gate = Gate::closed(Module::Authority);
        if let Some(lease) = lease {
            gate.take(&lease, &order(lease.binding.current, 1)).unwrap();
        }
        assert_eq!(gate.open(UnixTime::from_s(now_s)).map(|held| held.epoch), expected);
    }

    #[test]
    fn no_lease_is_no_leave() {
        check(None, 1, Err(Reason::ModuleOff));
    }
    #[test]
    fn a_lease_is_leave() {
        check(Some(lease(Mode::Ceremony, 1)), 1, Ok(1));
    }
    #[test]
    fn the_last_second_of_a_lease() {
        check(Some(lease(Mode::Ceremony, 1)), 10, Ok(1));
    }
    #[test]
    fn a_lease_that_ended_is_no_leave() {
        check(Some(lease(Mode::Ceremony, 1)), 11, Err(Reason::ModuleOff));
    }
    #[test]
    fn another_mode_is_no_leave() {
        check(Some(lease(Mode::SoftwareManagement, 1)), 1, Err(Reason::ModuleOff));
    }
    #[test]
    fn sealed_says_so() {
        check(Some(lease(Mode::Sealed, 1)), 1, Err(Reason::Sealed));
    }
    #[test]
    fn an_older_epoch_is_refused() {
        let gate = Gate::closed(Module::Authority);
        gate.take(&lease(Mode::Sealed, 2), &order(Mode::Sealed, 1)).unwrap();
        assert_eq!(gate.take(&lease(Mode::Ceremony, 1), &order(Mode::Ceremony, 1)), Err(Reason::ModeNotNewer));
        assert_eq!(gate.open(UnixTime::from_s(1)), Err(Reason::Sealed));
    }
    #[test]
    fn an_older_statement_is_refused() {
        let gate = Gate::closed(Module::Authority);
        gate.take(&lease(Mode::Sealed, 1), &order(Mode::Sealed, 2)).unwrap();
        assert_eq!(gate.take(&lease(Mode::Ceremony, 2), &order(Mode::Ceremony, 1)), Err(Reason::ModeNotNewer));
    }
    #[test]
    fn a_mode_that_nobody_ordered_is_refused() {
        let gate = Gate::closed(Module::Authority);
        let refused = gate.take(&lease(Mode::Ceremony, 1), &order(Mode::SoftwareImport, 1));
        assert_eq!(refused, Err(Reason::ModeNotCovered));
    }
    #[test]
    fn sealing_needs_no_order() {
        let gate = Gate::closed(Module::Authority);
        gate.take(&lease(Mode::Sealed, 1), &order(Mode::Ceremony, 1)).unwrap();
    }
}
