//! What is in memory stays there: no core dump has it, no other process of the same user reads it, and where the system
//! allows it no page of it is written to swap.
//!
//! Prevents: keys and passphrases in files that nobody meant to write.

use rustix::mm::{MlockAllFlags, mlockall};
use rustix::process::{
    DumpableBehavior, Resource, Rlimit, dumpable_behavior, getrlimit, set_dumpable_behavior, setrlimit,
};
use std::sync::OnceLock;

/// Whether pages may be written to swap.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Locked {
    /// None of this process.
    All,
    /// They may: this process may lock so many octets only. To lock some and fail at the next would end it somewhere.
    Limited(u64),
    /// They may: the system refused.
    Refused,
}

/// Sees to it that no memory of this process is written anywhere if it crashes. Programs that it starts write none either
/// while their limit stays.
///
/// Gives whether that is so.
pub fn hide() -> bool {
    // Where a pattern names a program, the limit is not asked: core(5).
    let hidden = set_dumpable_behavior(DumpableBehavior::NotDumpable).is_ok();
    let limited = setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) }).is_ok();
    hidden && limited
}

/// Whether a crash of this process would leave its memory somewhere.
#[must_use]
pub fn is_hidden() -> bool {
    matches!(dumpable_behavior(), Ok(DumpableBehavior::NotDumpable))
}

/// Locks all pages that are touched from now on, once: keys do not stand in pages of their own, because libraries copy
/// them.
pub fn lock() -> Locked {
    static DONE: OnceLock<Locked> = OnceLock::new();
    *DONE.get_or_init(|| {
        let limit = getrlimit(Resource::Memlock);
        let wanted = Rlimit { current: None, maximum: None };
        let own = Rlimit { current: limit.maximum, maximum: limit.maximum };
        let raised = setrlimit(Resource::Memlock, wanted).is_ok();
        if !raised {
            let _stays_as_it_was = setrlimit(Resource::Memlock, own);
        }
        let now = getrlimit(Resource::Memlock).current;
        match may_lock(now) {
            Locked::All
                if mlockall(MlockAllFlags::CURRENT | MlockAllFlags::FUTURE | MlockAllFlags::ONFAULT).is_ok() =>
            {
                Locked::All
            }
            Locked::All => Locked::Refused,
            other => other,
        }
    })
}

/// Only who may lock without a limit begins: with one, some later allocation would fail.
const fn may_lock(limit: Option<u64>) -> Locked {
    match limit {
        None => Locked::All,
        Some(octets) => Locked::Limited(octets),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_crash_leaves_memory_behind() {
        assert!(hide() && is_hidden());
        let core = getrlimit(Resource::Core);
        assert_eq!((core.current, core.maximum), (Some(0), Some(0)));
    }
    #[test]
    fn who_has_a_limit_does_not_begin() {
        assert_eq!(may_lock(None), Locked::All);
        assert_eq!(may_lock(Some(u64::MAX - 1)), Locked::Limited(u64::MAX - 1));
        assert_eq!(may_lock(Some(0)), Locked::Limited(0));
    }
    #[test]
    fn what_is_locked_is_what_the_kernel_counts() {
        let locked = lock();
        let status = std::fs::read_to_string("/proc/self/status").unwrap();
        let counted = status.lines().find_map(|line| line.strip_prefix("VmLck:")).unwrap();
        assert_eq!(locked == Locked::All, counted.split_whitespace().next() != Some("0"), "{locked:?} {counted}");
    }
}
