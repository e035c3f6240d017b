//! What is to be remembered between two runs: when the server wants to be asked again, what failed last, whether the hook is to be
//! run. Nothing of it is needed to go on.

use crate::fault::{Failure, Result};
use adapters::files;
use model::{Digest, UnixTime};
use serde::{Deserialize, Serialize};
use std::io::ErrorKind;
use std::path::Path;

const FILE: &str = "note.json";
/// Longest note, in octets.
const NOTE_LEN_MAX: u64 = 64 * 1024;
/// How long a server is waited for at its word, in seconds: one day.
const WAIT_MAX_S: u64 = 86_400;

/// What failed last.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Failed {
    pub(crate) at_s: u64,
    pub(crate) what: String,
    pub(crate) why: String,
    pub(crate) code: String,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Note {
    /// When the server was asked, and when it wants to be asked again.
    pub(crate) wait: Option<Wait>,
    pub(crate) failed: Option<Failed>,
    /// Whether the hook is to be run: the certificate has changed, or is about to.
    pub(crate) hook_is_due: bool,
    /// When the server wants which certificate to be renewed.
    #[serde(default)]
    pub(crate) slot: Option<Slot>,
    /// What was wrong with a new root, when the server was asked last.
    #[serde(default)]
    pub(crate) root: Option<Failed>,
}

/// A second that the server has granted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Slot {
    /// SHA-256 of the certificate that is to be renewed then.
    pub(crate) of: Digest,
    pub(crate) at_s: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Wait {
    asked_s: u64,
    until_s: u64,
}

impl Note {
    /// What is kept in a directory. One that cannot be read is begun anew: the hook is run once more than it need be.
    pub(crate) fn load(directory: &Path) -> Result<Self> {
        let path = directory.join(FILE);
        match files::read_bounded(&path, NOTE_LEN_MAX) {
            Ok(octets) => {
                let read = serde_json::from_slice(&octets);
                Ok(read.unwrap_or(Self { hook_is_due: true, ..Self::default() }))
            }
            Err(e) if e.kind() == ErrorKind::NotFound => Ok(Self::default()),
            Err(e) => Err(Failure::file(&path, &e)),
        }
    }

    /// Keeps it, durably.
    pub(crate) fn save(&self, directory: &Path) -> Result {
        let path = directory.join(FILE);
        let octets = serde_json::to_vec(self).map_err(|e| Failure::new("state", "nothing was noted").because(e))?;
        files::replace(&path, &octets).map_err(|e| Failure::file(&path, &e))
    }

    /// When the server wants to be asked again, if that is not over. A clock that went back since does not make it longer.
    pub(crate) fn waits_until(&self, now: UnixTime) -> Option<UnixTime> {
        let wait = self.wait.filter(|wait| (wait.asked_s..wait.until_s).contains(&now.s()))?;
        Some(UnixTime::from_s(wait.until_s))
    }

    /// Remembers what failed, and when the server wants to be asked again.
    pub(crate) fn fail(&mut self, failure: &Failure, after_s: Option<u64>, now: UnixTime) {
        let until_s = |after_s: u64| now.plus_s(after_s.min(WAIT_MAX_S)).s();
        self.wait = after_s.map(|after_s| Wait { asked_s: now.s(), until_s: until_s(after_s) });
        self.failed = Some(Failed::of(failure, now));
    }
}

impl Failed {
    pub(crate) fn of(failure: &Failure, now: UnixTime) -> Self {
        let (what, why, code) = (failure.what.clone(), failure.why.clone(), failure.code.to_owned());
        Self { at_s: now.s(), what, why, code }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(after_s: u64, now: u64, expected: Option<u64>) {
        let mut note = Note::default();
        note.fail(&Failure::new("x", "x"), Some(after_s), UnixTime::from_s(1_000));
        assert_eq!(note.waits_until(UnixTime::from_s(now)).map(UnixTime::s), expected);
    }
    #[test]
    fn a_server_is_not_asked_before_it_wants_to_be() {
        check(60, 1_000, Some(1_060));
        check(60, 1_059, Some(1_060));
        check(60, 1_060, None);
        check(0, 1_000, None);
    }
    #[test]
    fn nobody_waits_for_ever() {
        check(u64::MAX, 1_000, Some(1_000 + WAIT_MAX_S));
        check(60, 999, None);
    }
    #[test]
    fn a_note_that_cannot_be_read_has_the_hook_run() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(Note::load(dir.path()).unwrap(), Note::default());
        std::fs::write(dir.path().join(FILE), "{").unwrap();
        assert!(Note::load(dir.path()).unwrap().hook_is_due);
    }
}
