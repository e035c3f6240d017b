//! Other processes of this machine.

use rustix::process::{Pid, Signal, geteuid, kill_process};
use std::process::Child;

/// Tells a process to end in order. One that has ended already is not found, which is what was wanted.
pub fn terminate(child: &Child) {
    let id = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
    let _ended_already = id.map(|id| kill_process(id, Signal::TERM));
}

/// Whether this process may do everything.
#[must_use]
pub fn is_superuser() -> bool {
    geteuid().is_root()
}
