//! What is trusted of a repository, in files of a directory, and the line to the repository.

use crate::fault::{Failure, Result};
use adapters::files;
use adapters::http::{Files, NotFetched};
use model::UnixTime;
use std::fmt;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use update::tuf::{Answer, BadMetadata, Client, FILE_LEN_MAX, Limits, NotDone, Outside};

const ROOT: &str = "root.json";

/// Begins with a root, if there is none yet; and begins again, with a word for the operator, if the one that is kept was altered where
/// it lies: nobody can go on from it, and all other files that are kept stay the measure of what comes.
pub(crate) fn begin_with(directory: &Path, root: &Path, now: UnixTime) -> Result<Option<Failure>> {
    let path = directory.join(ROOT);
    let altered = match files::read_bounded(&path, Limits::DEFAULT.root_len_max) {
        Ok(octets) if Client::can_begin_with(&octets) => return Ok(None),
        Ok(_) => true,
        Err(e) if e.kind() == ErrorKind::FileTooLarge => true,
        Err(e) if e.kind() == ErrorKind::NotFound => false,
        Err(e) => return Err(Failure::file(&path, &e)),
    };
    let octets = files::read_bounded(root, Limits::DEFAULT.root_len_max).map_err(|e| Failure::file(root, &e))?;
    let mut client = Client::new(Limits::DEFAULT, now);
    client.answer(Answer::Octets(octets.clone())).map_err(|refused| {
        let failure = Failure::refused(&refused);
        Failure { what: format!("{} is no root to begin with", root.display()), ..failure }
    })?;
    files::private_directory(directory).map_err(|e| Failure::file(directory, &e))?;
    files::replace(&path, &octets).map_err(|e| Failure::file(&path, &e))?;
    Ok(altered.then(|| {
        Failure::new("altered", format!("{} was no root any more", path.display()))
            .because("it was altered where it lies; the device began again with the root that it came with")
            .next("look whether the medium is failing")
    }))
}

/// One repository, and the directory where what is trusted of it is kept.
pub(crate) struct Side<'a> {
    directory: PathBuf,
    repository: &'a Files,
    /// What became of the last file that did not come.
    last: Option<NotFetched>,
}

/// A file of ours cannot be used.
#[derive(Debug)]
pub(crate) struct Broken(PathBuf, std::io::Error);

impl fmt::Debug for Side<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Side({})", self.directory.display())
    }
}

impl<'a> Side<'a> {
    pub(crate) const fn new(directory: PathBuf, repository: &'a Files) -> Self {
        Self { directory, repository, last: None }
    }

    /// Why a client was not driven to its end; `whose` repository it is.
    pub(crate) fn failed(&self, whose: &str, why: NotDone<Broken>) -> Failure {
        let refused = match why {
            NotDone::Outside(Broken(path, fault)) => return Failure::file(&path, &fault),
            NotDone::Refused(refused) => refused,
        };
        let failure = Failure::refused(&refused);
        let failure = Failure { what: format!("{whose}: {}", failure.what), ..failure };
        match &self.last {
            Some(NotFetched::Unreachable(what)) if refused.bad == BadMetadata::Unreachable => {
                let why = format!("{}: {what}", failure.why);
                failure.because(why)
            }
            _ => failure,
        }
    }
}

impl Outside for Side<'_> {
    type Fault = Broken;

    fn load(&mut self, file: &str) -> std::result::Result<Answer, Broken> {
        let path = self.directory.join(file);
        match files::read_bounded(&path, u64::try_from(FILE_LEN_MAX).unwrap_or(u64::MAX)) {
            Ok(octets) => Ok(Answer::Octets(octets)),
            // One that is longer than any that was ever kept is as good as none.
            Err(e) if matches!(e.kind(), ErrorKind::NotFound | ErrorKind::FileTooLarge) => Ok(Answer::NotThere),
            Err(e) => Err(Broken(path, e)),
        }
    }

    fn fetch(&mut self, file: &str, len_max: u64) -> Answer {
        match self.repository.fetch(file, len_max) {
            Ok(octets) => Answer::Octets(octets),
            Err(not) => {
                self.last = Some(not.clone());
                match not {
                    NotFetched::NotThere => Answer::NotThere,
                    NotFetched::TooLong => Answer::TooLong,
                    NotFetched::TooSlow => Answer::TooSlow,
                    NotFetched::TooShort | NotFetched::Unreachable(_) => Answer::Unreachable,
                }
            }
        }
    }

    fn forget(&mut self, file: &str) -> std::result::Result<(), Broken> {
        let path = self.directory.join(file);
        match std::fs::remove_file(&path) {
            Err(e) if e.kind() != ErrorKind::NotFound => Err(Broken(path, e)),
            _ => files::sync_directory(&self.directory).map_err(|e| Broken(path, e)),
        }
    }

    fn persist(&mut self, file: &str, octets: &[u8]) -> std::result::Result<(), Broken> {
        let path = self.directory.join(file);
        files::replace(&path, octets).map_err(|e| Broken(path, e))
    }
}
