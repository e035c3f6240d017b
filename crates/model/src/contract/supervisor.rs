//! What the supervisor of a box says, and what is said to it.

use super::authority::Done;
use super::{Call, Subject};
use crate::mode::{Binding, Order};
use crate::{Mode, Module, Reason, StationName, UnixTime};
use serde::{Deserialize, Serialize};

/// Lets a module run for a while. A module without a lease switches itself off.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Lease {
    /// For whom.
    pub module: Module,
    /// The operator's [`Statement`](crate::mode::Statement), as a flattened JWS signed with the operator's key.
    pub statement: String,
    /// The modes in force, which the statement must cover.
    pub binding: Binding,
    /// Rises with each change of the binding.
    pub epoch: u64,
    /// When the lease ends.
    pub until: UnixTime,
    /// What the module shows to other boxes: the supervisor's [`Standing`], as a flattened JWS. Absent where all modules
    /// share a process.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub standing: Option<String>,
}

/// What a supervisor says of a module of its box to other boxes, which do not share its mode.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Standing {
    /// Which module.
    pub module: Module,
    /// On which box.
    pub instance: StationName,
    /// The modes in force there.
    pub binding: Binding,
    /// Rises with each change of the binding.
    pub epoch: u64,
    /// Until when it may be believed: the end of the lease.
    pub until: UnixTime,
}

impl Call for Lease {
    const SUBJECT: Subject = Subject::ModeLease;
    type Reply = Done;
    fn to(&self) -> Module {
        self.module
    }
}

/// Asks for a lease: the only call that needs none. For who comes and goes; whoever stays is given his.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AskLease {}

impl Call for AskLease {
    const SUBJECT: Subject = Subject::ModeAsk;
    type Reply = Lease;
}

/// Asks in which mode the box is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ShowMode {}

impl Call for ShowMode {
    const SUBJECT: Subject = Subject::ModeShow;
    type Reply = Shown;
}

/// An operator's order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OrderMode {
    /// The operator's [`Statement`](crate::mode::Statement), as a flattened JWS signed with the operator's key. Its
    /// epoch must be above that of the order before.
    pub statement: String,
    /// The same by another operator. To leave `sealed` takes two, wherever there are two.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub second: Option<String>,
}

impl Call for OrderMode {
    const SUBJECT: Subject = Subject::ModeOrder;
    type Reply = Shown;
}

/// Has the box enter a mode that its order covers: the two halves of a line alternate so.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EnterMode {
    /// Which.
    pub mode: Mode,
}

impl Call for EnterMode {
    const SUBJECT: Subject = Subject::ModeEnter;
    type Reply = Shown;
}

/// The mode of a box, and what of it runs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Shown {
    /// What the operator ordered last.
    pub order: Order,
    /// The operator's [`Statement`](crate::mode::Statement), as a flattened JWS.
    pub statement: String,
    /// The modes in force.
    pub binding: Binding,
    /// Rises with each change of the binding.
    pub epoch: u64,
    /// What does not run and could, and why.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub down: Vec<Trouble>,
    /// Why the mode that was asked for was not entered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refused: Option<Trouble>,
}

/// Something that is not as it should be, as people are told.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Trouble {
    /// The module; absent if it is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub module: Option<Module>,
    /// The name that `cradle explain` knows.
    pub code: String,
    /// What happened.
    pub what: String,
    /// Why.
    pub why: String,
    /// What to do.
    pub next: String,
}

/// Seals the box at once.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Seal {
    /// Why.
    pub reason: Reason,
}

impl Call for Seal {
    const SUBJECT: Subject = Subject::ModeSeal;
    type Reply = Done;
}
