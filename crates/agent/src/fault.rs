//! What the agent says when something does not work: what, why, what next, and an exit status.

use model::text::printable;
use std::fmt;
use std::io::ErrorKind;
use std::path::Path;
use update::tuf::{BadMetadata, Refused};
use update::uptane::BadDirections;

/// The exit status of the agent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exit {
    /// Something was not done; the next round tries it again.
    Failed,
    /// The arguments or the configuration cannot be used: nothing was done.
    Usage,
}

impl Exit {
    pub(crate) const fn status(self) -> u8 {
        match self {
            Self::Failed => 1,
            Self::Usage => 2,
        }
    }
}

/// Why something was not done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Failure {
    pub(crate) what: String,
    pub(crate) why: String,
    pub(crate) next: String,
    pub(crate) code: &'static str,
    pub(crate) exit: Exit,
}

pub(crate) type Result<T = ()> = std::result::Result<T, Failure>;

/// Longest text of others in a message.
const TEXT_LEN_MAX: usize = 1000;

/// A text of others, as it can be shown on a terminal.
pub(crate) fn plain(text: &str) -> String {
    printable(text, TEXT_LEN_MAX)
}

/// Of what was refused, because it is not what it should be.
pub(crate) const REFUSED: &str = "refused";
/// Of what the repository does not have.
pub(crate) const NOT_THERE: &str = "not-there";
/// Of what did not come.
pub(crate) const INCOMPLETE: &str = "incomplete";

impl Failure {
    pub(crate) fn new(code: &'static str, what: impl Into<String>) -> Self {
        Self { what: what.into(), why: String::new(), next: String::new(), code, exit: Exit::Failed }
    }
    pub(crate) fn usage(what: impl Into<String>) -> Self {
        Self { exit: Exit::Usage, ..Self::new("usage", what) }
    }
    pub(crate) fn because(mut self, why: impl fmt::Display) -> Self {
        self.why = why.to_string();
        self
    }
    pub(crate) fn next(mut self, next: impl Into<String>) -> Self {
        self.next = next.into();
        self
    }
    /// A file could not be read or written.
    pub(crate) fn file(path: &Path, error: &std::io::Error) -> Self {
        let next = match error.kind() {
            ErrorKind::NotFound => "check the name",
            ErrorKind::PermissionDenied => "run the agent as the owner of the file",
            ErrorKind::StorageFull | ErrorKind::QuotaExceeded => "make room; what has been downloaded is not lost",
            _ => "see what the system says of the medium",
        };
        Self::new("file", format!("{} cannot be used", path.display())).because(error).next(next)
    }
    /// What a repository said was not taken.
    pub(crate) fn refused(refused: &Refused) -> Self {
        let (code, next) = match (refused.bad, refused.bad.attack()) {
            (BadMetadata::NoTarget, _) => (REFUSED, "tell who publishes: the director names what there is not"),
            (_, Some(_)) => (
                REFUSED,
                "nothing of it was taken; tell who publishes. The next round asks again: nothing is to be repaired",
            ),
            (_, None) => (INCOMPLETE, "the next round goes on from here: nothing is to be repaired"),
        };
        Self::new(code, format!("{} was not taken", refused.file)).because(refused.bad).next(next)
    }
    /// What the director says was not taken.
    pub(crate) fn disagree(what: &str, bad: BadDirections) -> Self {
        Self::new(REFUSED, format!("{what} was not taken"))
            .because(bad)
            .next("nothing of it was taken; tell who publishes: both repositories must say the same, for this device")
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", plain(&self.what))?;
        if !self.why.is_empty() {
            write!(f, "\n  why:  {}", plain(&self.why))?;
        }
        if !self.next.is_empty() {
            write!(f, "\n  next: {}", self.next)?;
        }
        write!(f, "\n  code: {}", self.code)
    }
}
