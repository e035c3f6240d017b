//! What the supervisor of a box says, and what is said to it.

use super::authority::Done;
use super::{Call, Subject};
use crate::mode::Binding;
use crate::{Module, Reason, UnixTime};
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
}

impl Call for Lease {
    const SUBJECT: Subject = Subject::ModeLease;
    type Reply = Done;
    fn to(&self) -> Module {
        self.module
    }
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
