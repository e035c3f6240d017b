//! Driving a client with something that loads, fetches, forgets and persists, one thing at a time.

use super::client::{Answer, Client, Want};
use super::fault::Refused;
use super::target::Target;

/// Where a client's files are, and where they come from. The order of the calls is the client's, and what is to be
/// durable is so before the next call.
pub trait Outside {
    /// What this side cannot do.
    type Fault;

    /// A file that was persisted: [`Answer::Octets`] or [`Answer::NotThere`].
    ///
    /// # Errors
    /// If it cannot be known whether there is one.
    fn load(&mut self, file: &str) -> Result<Answer, Self::Fault>;
    /// A file of the repository: anything but [`Answer::Done`].
    fn fetch(&mut self, file: &str, len_max: u64) -> Answer;
    /// Lets go of a file. One that is not there is gone.
    ///
    /// # Errors
    /// If it may still be there.
    fn forget(&mut self, file: &str) -> Result<(), Self::Fault>;
    /// Keeps a file: it is there as a whole, or as it was before.
    ///
    /// # Errors
    /// If it may not be durable.
    fn persist(&mut self, file: &str, octets: &[u8]) -> Result<(), Self::Fault>;
}

/// Why a client was not driven to its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NotDone<F> {
    /// What the repository said was refused.
    Refused(Refused),
    /// Our own side could not.
    Outside(F),
}

impl<F> From<Refused> for NotDone<F> {
    fn from(refused: Refused) -> Self {
        Self::Refused(refused)
    }
}

impl Client {
    /// Does what is wanted until nothing is.
    ///
    /// # Errors
    /// [`NotDone`]
    pub fn drive<O: Outside>(&mut self, outside: &mut O) -> Result<(), NotDone<O::Fault>> {
        loop {
            let answer = match self.want() {
                Want::Nothing => return Ok(()),
                Want::Load(file) => outside.load(file).map_err(NotDone::Outside)?,
                Want::Fetch { file, len_max } => outside.fetch(file, len_max),
                Want::Forget(file) => outside.forget(file).map(|()| Answer::Done).map_err(NotDone::Outside)?,
                Want::Persist { file, octets } => {
                    outside.persist(file, octets).map(|()| Answer::Done).map_err(NotDone::Outside)?
                }
            };
            self.answer(answer)?;
        }
    }

    /// Brings all up to date and finds a target.
    ///
    /// # Errors
    /// [`NotDone`]
    pub fn look_for<O: Outside>(&mut self, target: &str, outside: &mut O) -> Result<Target, NotDone<O::Fault>> {
        self.drive(outside)?;
        self.find(target)?;
        self.drive(outside)?;
        Ok(self.found()?)
    }
}
