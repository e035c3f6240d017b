//! What became of an image that was installed: pure, of what was noted and what is seen.

use crate::state::{Pending, Stage};

/// What is seen of a component and of the machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Seen {
    /// What runs; `None` if the component cannot say it.
    pub(crate) current: Option<String>,
    /// Another one after each start of the machine.
    pub(crate) boot: String,
}

/// What is to be done with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Next {
    /// It is not installed: fetch it, verify it, install it.
    Install,
    /// It runs: look whether it is well.
    Confirm,
    /// What ran before runs still; the machine was not started since.
    Await,
    /// It runs and must not: tell the device again to go back.
    Revert,
    /// What ran before runs again: the device went back.
    WentBack,
}

/// What comes next of an image that is pending.
pub(crate) fn next(pending: &Pending, seen: &Seen) -> Next {
    let is_new = seen.current != pending.before;
    let is_started = pending.boot.as_deref() != Some(&seen.boot);
    match (pending.stage, &seen.current) {
        (Stage::Downloading, _) => Next::Install,
        // Without a way to ask, what is installed runs, and what was told to go back went back.
        (Stage::Installing { .. }, None) => Next::Install,
        (Stage::Unconfirmed, None) => Next::Confirm,
        (Stage::Reverting, None) => Next::Revert,
        // Cut off while it was installed; if it runs, its slot must not be written to.
        (Stage::Installing { .. }, Some(_)) if is_new => Next::Confirm,
        (Stage::Installing { .. }, Some(_)) => Next::Install,
        (Stage::Unconfirmed, Some(_)) if is_new => Next::Confirm,
        (Stage::Reverting, Some(_)) if is_new && is_started => Next::Revert,
        (Stage::Reverting, Some(_)) if is_new => Next::Await,
        (Stage::Unconfirmed, Some(_)) if !is_started => Next::Await,
        (Stage::Unconfirmed | Stage::Reverting, Some(_)) => Next::WentBack,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(stage: Stage, current: Option<&str>, boot: &str, expected: Next) {
        let pending = Pending {
            target: "os.img".into(),
            release_counter: 2,
            length: 1,
            hash: String::new(),
            sha256: None,
            stage,
            place: "/x".into(),
            before: current.map(|_| "A".to_owned()),
            boot: Some("1".into()),
        };
        let seen = Seen { current: current.map(str::to_owned), boot: boot.to_owned() };
        assert_eq!(next(&pending, &seen), expected);
    }
    const INSTALLING: Stage = Stage::Installing { tries: 1 };

    #[test]
    fn what_comes_is_installed() {
        check(Stage::Downloading, Some("A"), "1", Next::Install);
        check(Stage::Downloading, None, "2", Next::Install);
    }
    #[test]
    fn installing_was_cut_off() {
        check(INSTALLING, Some("A"), "1", Next::Install);
        check(INSTALLING, Some("A"), "2", Next::Install);
        check(INSTALLING, None, "1", Next::Install);
        check(INSTALLING, Some("B"), "2", Next::Confirm);
    }
    #[test]
    fn the_machine_was_not_started_since() {
        check(Stage::Unconfirmed, Some("A"), "1", Next::Await);
    }
    #[test]
    fn what_is_installed_runs() {
        check(Stage::Unconfirmed, Some("B"), "2", Next::Confirm);
        check(Stage::Unconfirmed, Some("B"), "1", Next::Confirm);
        check(Stage::Unconfirmed, None, "1", Next::Confirm);
    }
    #[test]
    fn the_device_went_back_by_itself() {
        check(Stage::Unconfirmed, Some("A"), "2", Next::WentBack);
    }
    #[test]
    fn the_device_was_told_to_go_back() {
        check(Stage::Reverting, Some("A"), "2", Next::WentBack);
        check(Stage::Reverting, Some("A"), "1", Next::WentBack);
        check(Stage::Reverting, Some("B"), "1", Next::Await);
        check(Stage::Reverting, Some("B"), "2", Next::Revert);
        check(Stage::Reverting, None, "1", Next::Revert);
    }
}
