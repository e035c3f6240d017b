//! Who does what is asked: looks at the records, or has the modules do it, once for each key.

use super::answer::Answer;
use super::answers::{Answers, Told};
use super::asked::Asked;
use super::operations::Act;
use crate::cli::Common;
use crate::compose::{Installation, Role, Workshop};
use crate::fault::{Exit, Failure, Result};
use adapters::clock::SystemClock;
use adapters::store::SqlStore;
use model::audit::{Entry, Event};
use model::{Digest, Module, UnixTime};
use ports::Clock;
use ports::store::AuditSink;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use zeroize::Zeroizing;

/// Who has the installation.
pub(crate) enum Owner {
    /// This process, for as long as it runs.
    Held(Arc<Installation>),
    /// Whoever takes it: for each thing that is to be done it is opened, with this passphrase, as a command does.
    Each(Zeroizing<Vec<u8>>),
}

/// What answers.
pub(crate) struct Desk {
    common: Common,
    owner: Owner,
    answers: Answers,
}

/// Who asks.
#[derive(Clone, Debug)]
pub(super) enum Asker {
    /// A process of this user, at the socket.
    User(u32),
    /// Somebody who showed the token.
    Token,
}

impl std::fmt::Display for Asker {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::User(uid) => write!(f, "uid {uid}"),
            Self::Token => f.write_str("token"),
        }
    }
}

/// A request to do something, and by what it is known again.
#[derive(Debug)]
pub(super) struct Order {
    pub(super) who: Asker,
    /// Method and path, as they came.
    pub(super) request: String,
    /// SHA-256 of the idempotency key.
    pub(super) key: Option<Digest>,
    /// SHA-256 of method, path and body.
    pub(super) digest: Digest,
}

impl Desk {
    /// A desk for the installation in a data directory. `directory` is where its answers are kept.
    pub(crate) fn new(data: &Path, owner: Owner) -> Result<Self> {
        let answers = Answers::open(&directory(data).join("answers"), SystemClock.now())?;
        Ok(Self { common: Common::of(data), owner, answers })
    }

    pub(super) const fn common(&self) -> &Common {
        &self.common
    }

    pub(super) fn data(&self) -> &Path {
        &self.common.data
    }

    /// The records, for reading.
    pub(super) fn records(&self) -> Result<SqlStore> {
        self.common.records()
    }

    /// Answers what changes nothing.
    pub(super) fn look(&self, asked: &Asked) -> Answer {
        let Act::Read(act) = asked.operation.act else { return Answer::problem(&misplaced()) };
        act(self, asked).map_or_else(|failure| Answer::problem(&failure), Answer::of)
    }

    /// Does what is asked; the same request with the same key is done once. One at a time: whoever calls sees to that.
    pub(super) fn carry_out(&self, asked: &Asked, order: &Order) -> Answer {
        let Some(key) = order.key else { return self.done(asked, order) };
        match self.answers.begin(key, order.digest, self.now()) {
            Ok(Told::Fresh) => {}
            Ok(Told::Before(answer)) => return answer,
            Err(failure) => return Answer::problem(&failure),
        }
        let answer = self.done(asked, order);
        let kept = match answer.is_passing() {
            true => self.answers.forget(key),
            false => self.answers.end(key, order.digest, self.now(), &answer),
        };
        if let Err(failure) = kept {
            // It is done all the same; who asks again is told that it may be.
            tracing::warn!(code = failure.code, what = %failure.what, why = %failure.why, "an answer was not kept");
        }
        answer
    }

    fn done(&self, asked: &Asked, order: &Order) -> Answer {
        self.try_to(asked, order).unwrap_or_else(|failure| Answer::problem(&failure))
    }

    fn try_to(&self, asked: &Asked, order: &Order) -> Result<Answer> {
        let Act::Write(act) = asked.operation.act else { return Err(misplaced()) };
        let opened;
        let installation = match &self.owner {
            Owner::Held(installation) => installation.as_ref(),
            Owner::Each(passphrase) => {
                opened = opened_as(self.data(), passphrase)?;
                &opened
            }
        };
        let workshop = &installation.workshop;
        let event = Event::AskedOverApi { who: order.who.to_string(), request: order.request.clone(), key: order.key };
        // Nothing is done of which it is not recorded who asked.
        workshop.store.append(vec![Entry { at: workshop.clock.now(), by: Module::Console, event }])?;
        act(installation, asked)
    }

    fn now(&self) -> UnixTime {
        SystemClock.now()
    }
}

fn opened_as(data: &Path, passphrase: &Zeroizing<Vec<u8>>) -> Result<Installation> {
    crate::clock::check(data, SystemClock.now())?;
    Installation::start(Workshop::open_as(Role::Console, data, passphrase.clone())?)
}

/// The directory of what the API keeps.
pub(super) fn directory(data: &Path) -> PathBuf {
    data.join("api")
}

// The table says of each operation whether it changes anything, and who serves it goes by that.
fn misplaced() -> Failure {
    Failure::new(Exit::Failed, "request", "the request came to the wrong place").next("please report this")
}
