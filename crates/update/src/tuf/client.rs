//! The client's side of TUF, step by step: it says what it wants, is answered, and says what it wants next.
//!
//! It opens nothing and knows no clock. Whoever drives it asks [`Client::want`], does that one thing, and gives
//! [`Client::answer`] what came of it:
//!
//! | want | answer |
//! | --- | --- |
//! | [`Want::Load`] a file kept before | [`Answer::Octets`] or [`Answer::NotThere`] |
//! | [`Want::Fetch`] a file of the repository, at most so long | [`Answer::Octets`]; [`Answer::NotThere`] only if the repository says so (HTTP 403 or 404); [`Answer::TooLong`], [`Answer::TooSlow`], [`Answer::Unreachable`] |
//! | [`Want::Forget`] a file kept before | [`Answer::Done`] once it is gone, durably |
//! | [`Want::Persist`] these octets, as they are | [`Answer::Done`] once they are durable |
//! | [`Want::Nothing`] | [`Client::find`], or drop it |
//!
//! After a refusal the client has stopped, unless it was a delegated role that was refused: another target can be looked
//! for then. Nothing needs to be repaired: another one begins with what is kept, which is
//! always something that was verified. What is kept and does not verify is not used, and fetched again.

mod workflow;

use super::envelope::Signed;
use super::fault::{BadMetadata, Refused};
use super::names::{check_target_name, role_file, versioned};
use super::roles::{MetaFile, Root, Snapshot, Targets, Timestamp};
use super::search::Search;
use super::target::Target;
use model::UnixTime;
use std::collections::VecDeque;

/// How much a repository may ask of a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Longest root, in octets.
    pub root_len_max: u64,
    /// Longest timestamp, in octets.
    pub timestamp_len_max: u64,
    /// Longest snapshot, in octets.
    pub snapshot_len_max: u64,
    /// Longest metadata of a targets role, in octets.
    pub targets_len_max: u64,
    /// Most new roots in one go. The next go takes up where this one ended.
    pub root_rotations_max: u64,
    /// Most targets roles that are asked for one target.
    pub roles_visited_max: usize,
}

impl Limits {
    /// What the reference client of TUF allows too, so that who publishes for it publishes for us.
    pub const DEFAULT: Self = Self {
        root_len_max: 512_000,
        timestamp_len_max: 16_384,
        snapshot_len_max: 2_000_000,
        targets_len_max: 5_000_000,
        root_rotations_max: 256,
        roles_visited_max: 32,
    };
}

/// What a client wants done next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Want<'a> {
    /// A file as it was persisted.
    Load(&'a str),
    /// A file of the repository, by its name below the address of its metadata.
    Fetch {
        /// Its name, percent-encoded as far as it must be.
        file: &'a str,
        /// Longest that is of any use, in octets.
        len_max: u64,
    },
    /// A file is not to be kept any longer.
    Forget(&'a str),
    /// A file is to be kept, octet for octet.
    Persist {
        /// Under which name.
        file: &'a str,
        /// What is in it.
        octets: &'a [u8],
    },
    /// All is done that was asked.
    Nothing,
}

/// What came of what a client wanted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// The file.
    Octets(Vec<u8>),
    /// There is no such file.
    NotThere,
    /// The file is longer than it may be.
    TooLong,
    /// The file comes too slowly.
    TooSlow,
    /// The repository could not be asked, or says that it cannot answer.
    Unreachable,
    /// What was to be persisted or forgotten is, durably.
    Done,
}

// What is waited for. Loading comes before fetching: what is kept is the measure of what comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    LoadRoot,
    FetchRoot,
    LoadTimestamp,
    FetchTimestamp,
    LoadSnapshot,
    FetchSnapshot,
    LoadTargets,
    FetchTargets,
    Refreshed,
    LoadDelegated,
    FetchDelegated,
    Stopped,
}

#[derive(Debug)]
enum Act {
    Forget(String),
    Persist { file: String, octets: Vec<u8> },
}

/// A client of one repository, for one update.
#[derive(Debug)]
pub struct Client {
    limits: Limits,
    now: UnixTime,
    state: State,
    // The file that `state` is about.
    file: String,
    acts: VecDeque<Act>,
    rotations: u64,
    root: Option<Signed<Root>>,
    timestamp: Option<Signed<Timestamp>>,
    // As it was kept: the measure of a new one, also if it has expired.
    snapshot_before: Option<Signed<Snapshot>>,
    snapshot: Option<Signed<Snapshot>>,
    targets: Option<Signed<Targets>>,
    search: Option<Search>,
}

const ROOT: &str = "root.json";
const TIMESTAMP: &str = "timestamp.json";
const SNAPSHOT: &str = "snapshot.json";
const TARGETS: &str = "targets";

impl Client {
    /// A client that begins with what is kept, and judges by this one time whether something has expired.
    /// Source: TUF 1.0.34 §5.1.
    #[must_use]
    pub fn new(limits: Limits, now: UnixTime) -> Self {
        Self {
            limits,
            now,
            state: State::LoadRoot,
            file: ROOT.to_owned(),
            acts: VecDeque::new(),
            rotations: 0,
            root: None,
            timestamp: None,
            snapshot_before: None,
            snapshot: None,
            targets: None,
            search: None,
        }
    }

    /// Whether a client can begin with these octets: a root, signed by as many of its own keys as it wants. One that was kept and is
    /// none was altered where it lay. Who has the first one can begin again with that: what else is kept stays the measure.
    /// Source: TUF 1.0.34 §5.2.
    #[must_use]
    pub fn can_begin_with(octets: &[u8]) -> bool {
        Self::new(Limits::DEFAULT, UnixTime::default()).answer(Answer::Octets(octets.to_vec())).is_ok()
    }

    /// What it wants done next. Asking changes nothing.
    #[must_use]
    pub fn want(&self) -> Want<'_> {
        use State as S;
        match (self.acts.front(), self.state) {
            (Some(Act::Forget(file)), _) => Want::Forget(file),
            (Some(Act::Persist { file, octets }), _) => Want::Persist { file, octets },
            (None, S::LoadRoot | S::LoadTimestamp | S::LoadSnapshot | S::LoadTargets | S::LoadDelegated) => {
                Want::Load(&self.file)
            }
            (None, S::FetchRoot | S::FetchTimestamp | S::FetchSnapshot | S::FetchTargets | S::FetchDelegated) => {
                Want::Fetch { file: &self.file, len_max: self.len_max() }
            }
            (None, S::Refreshed | S::Stopped) => Want::Nothing,
        }
    }

    /// Takes what came of the last [`Client::want`].
    ///
    /// # Errors
    /// [`Refused`]: the client or its search has stopped then, and what is kept is as good as before.
    pub fn answer(&mut self, answer: Answer) -> Result<(), Refused> {
        let taken = match (self.acts.pop_front(), answer) {
            (Some(_), Answer::Done) => Ok(()),
            (Some(_), _) | (None, Answer::Done) => Err(BadMetadata::OutOfStep),
            (None, answer) => self.take(answer),
        };
        taken.map_err(|bad| self.stop(bad))
    }

    /// Whether the four roles are all up to date.
    #[must_use]
    pub fn is_refreshed(&self) -> bool {
        self.state == State::Refreshed && self.acts.is_empty()
    }

    /// Begins to look for a target, once all is up to date. [`Client::found`] has it when nothing more is wanted.
    ///
    /// # Errors
    /// [`BadMetadata::BadTargetName`]; [`BadMetadata::OutOfStep`] before [`Client::is_refreshed`].
    /// Source: TUF 1.0.34 §5.6.7, §5.7.
    pub fn find(&mut self, target: &str) -> Result<(), Refused> {
        let refuse = |bad| Refused { file: target.to_owned(), bad };
        check_target_name(target).map_err(refuse)?;
        let (true, Some(targets)) = (self.is_refreshed(), &self.targets) else {
            return Err(refuse(BadMetadata::OutOfStep));
        };
        let mut search = Search::new(target, self.limits.roles_visited_max);
        search.visit(TARGETS, &targets.role);
        self.search = Some(search);
        self.go_on_searching().map_err(|bad| self.stop(bad))
    }

    /// The target that was looked for last, once nothing is wanted.
    ///
    /// # Errors
    /// [`BadMetadata::NoTarget`] if nobody who may says anything of it; [`BadMetadata::TooEarly`] or
    /// [`BadMetadata::TooLate`] outside of the time for it; [`BadMetadata::OutOfStep`] if something is still wanted, or
    /// nothing was looked for.
    pub fn found(&self) -> Result<Target, Refused> {
        let name = self.search.as_ref().map(|search| search.target().to_owned()).unwrap_or_default();
        let refuse = |bad| Refused { file: name.clone(), bad };
        match (&self.search, &self.root, self.is_refreshed()) {
            (Some(search), Some(root), true) => match search.found() {
                Some(about) => {
                    about.is_in_time(self.now).map_err(refuse)?;
                    Ok(Target::new(&name, about, root.role.consistent_snapshot))
                }
                None => Err(refuse(BadMetadata::NoTarget)),
            },
            _ => Err(refuse(BadMetadata::OutOfStep)),
        }
    }

    /// What the top-level targets role says, once all is up to date; and whether files have hashes in their names.
    pub(crate) fn targets(&self) -> Option<(&Targets, bool)> {
        let (targets, root) = (self.targets.as_ref()?, self.root.as_ref()?);
        self.is_refreshed().then_some((&targets.role, root.role.consistent_snapshot))
    }

    // The name of the file that was asked for goes with the reason.
    fn stop(&mut self, bad: BadMetadata) -> Refused {
        let searching = matches!(self.state, State::LoadDelegated | State::FetchDelegated);
        // §5.6.7: a delegated role that is not valid ends the search, and nothing else.
        self.state = if searching && bad != BadMetadata::OutOfStep { State::Refreshed } else { State::Stopped };
        self.search = None;
        self.acts.clear();
        Refused { file: self.file.clone(), bad }
    }

    fn take(&mut self, answer: Answer) -> Result<(), BadMetadata> {
        use State as S;
        let loading = matches!(self.want(), Want::Load(_));
        let octets = match answer {
            Answer::Octets(octets) if !loading && as_u64(octets.len()) > self.len_max() => {
                return Err(BadMetadata::TooLong);
            }
            Answer::Octets(octets) => Some(octets),
            Answer::NotThere => None,
            Answer::TooLong => return Err(BadMetadata::TooLong),
            Answer::TooSlow => return Err(BadMetadata::TooSlow),
            Answer::Unreachable => return Err(BadMetadata::Unreachable),
            Answer::Done => return Err(BadMetadata::OutOfStep),
        };
        match (self.state, octets) {
            (S::LoadRoot, Some(octets)) => self.begin_with(&octets),
            (S::FetchRoot, Some(octets)) => self.rotate(octets),
            // §5.3.9: there is no next root, so this is the last one.
            (S::FetchRoot, None) => self.settle_root(),
            (S::LoadTimestamp, octets) => self.recall_timestamp(octets),
            (S::FetchTimestamp, Some(octets)) => self.take_timestamp(octets),
            (S::LoadSnapshot, octets) => self.recall_snapshot(octets),
            (S::FetchSnapshot, Some(octets)) => self.take_snapshot(octets),
            (S::LoadTargets, octets) => self.recall_targets(octets),
            (S::FetchTargets, Some(octets)) => self.take_targets(octets),
            (S::LoadDelegated, octets) => self.recall_delegated(octets),
            (S::FetchDelegated, Some(octets)) => self.take_delegated(octets),
            (S::LoadRoot | S::FetchTimestamp | S::FetchSnapshot | S::FetchTargets | S::FetchDelegated, None) => {
                Err(BadMetadata::NotThere)
            }
            (S::Refreshed | S::Stopped, _) => Err(BadMetadata::OutOfStep),
        }
    }

    fn len_max(&self) -> u64 {
        use State as S;
        let announced = |meta: Option<&MetaFile>, max: u64| meta.and_then(|m| m.length).map_or(max, |len| len.min(max));
        match self.state {
            S::LoadRoot | S::FetchRoot => self.limits.root_len_max,
            S::LoadTimestamp | S::FetchTimestamp => self.limits.timestamp_len_max,
            S::LoadSnapshot | S::FetchSnapshot => {
                announced(self.timestamp.as_ref().map(|t| &t.role.snapshot), self.limits.snapshot_len_max)
            }
            S::LoadTargets | S::FetchTargets => announced(self.meta_of(TARGETS).ok(), self.limits.targets_len_max),
            S::LoadDelegated | S::FetchDelegated => {
                let hop = self.search.as_ref().and_then(Search::next);
                announced(hop.and_then(|hop| self.meta_of(&hop.name).ok()), self.limits.targets_len_max)
            }
            S::Refreshed | S::Stopped => 0,
        }
    }

    fn go(&mut self, state: State, file: &str) {
        self.state = state;
        file.clone_into(&mut self.file);
    }

    fn persist(&mut self, file: &str, octets: Vec<u8>) {
        self.acts.push_back(Act::Persist { file: file.to_owned(), octets });
    }

    fn root(&self) -> Result<&Root, BadMetadata> {
        self.root.as_ref().map(|root| &root.role).ok_or(BadMetadata::OutOfStep)
    }

    fn meta_of(&self, role: &str) -> Result<&MetaFile, BadMetadata> {
        let snapshot = self.snapshot.as_ref().ok_or(BadMetadata::OutOfStep)?;
        snapshot.role.of_role(role).ok_or(BadMetadata::NotInSnapshot)
    }

    // §6.2: where snapshots are consistent, files have their version in front.
    fn file_of(&self, version: u64, role: &str) -> Result<String, BadMetadata> {
        let file = role_file(role);
        Ok(if self.root()?.consistent_snapshot { versioned(version, &file) } else { file })
    }
}

fn as_u64(len: usize) -> u64 {
    u64::try_from(len).unwrap_or(u64::MAX)
}
