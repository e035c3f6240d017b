//! What the supervisor of a box keeps.

use super::{AuditSink, StoreFault};
use model::mode::{Binding, Order};
use model::{Module, Reason, UnixTime};

/// The operation mode of a box.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ModeRow {
    /// What the operator ordered last.
    pub order: Order,
    /// The operator's signed statement, as a flattened JWS.
    pub statement: String,
    /// The modes in force.
    pub binding: Binding,
    /// Rises with each change of the binding.
    pub epoch: u64,
}

/// What the supervisor keeps.
pub trait ModeStore: AuditSink {
    /// The operation mode; none on a box that was never ordered one.
    ///
    /// # Errors
    /// [`StoreFault`]
    fn mode(&self) -> Result<Option<ModeRow>, StoreFault>;

    /// Records an operator's order, without changing the modes in force.
    ///
    /// # Errors
    /// [`StoreFault`]
    fn order(&self, order: Order, statement: &str, entry: model::audit::Event, at: UnixTime) -> Result<(), StoreFault>;

    /// Binds the box to other modes. Gives the new epoch.
    ///
    /// # Errors
    /// [`StoreFault`]
    fn bind(&self, binding: Binding, at: UnixTime) -> Result<u64, StoreFault>;

    /// Seals the box. Gives the new epoch.
    ///
    /// # Errors
    /// [`StoreFault`]
    fn seal(&self, by: Module, reason: Reason, at: UnixTime) -> Result<u64, StoreFault>;
}
