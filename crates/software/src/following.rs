//! Following by itself: at its time, or when somebody says that there is news. Whoever says so, what comes is verified the same.

use crate::reporting::{Reports, again};
use crate::schedule::Standing;
use crate::{Outcome, Software};
use model::contract::software::{HearNotice, Heard, Source};
use model::{Digest, Fault, Module, Reason, UnixTime};
use ports::Entropy;
use ports::clock::random;
use ports::source::{Files, NotFetched, Repositories};
use ports::store::software::TrustedFile;
use ports::store::{SoftwareStore, StoreFault};
use std::collections::BTreeMap;
use std::io::{self, Read};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use update::bundle::Repository;
use update::notice::{BadNotice, Secret, Sent};
use x509::sha256;

/// Under which name the standing is kept, among the files of a repository that is none.
const STANDING: &str = "standing.json";

/// Says whether a network may be reached now. Asked before each file and each piece of one.
pub type May = Arc<dyn Fn() -> bool + Send + Sync>;

/// What is followed, how often, and who may say that there is news.
pub struct Setting {
    /// Where the repositories are.
    pub source: Source,
    /// How long it is from one look to the next, in seconds: in [`crate::EVERY_S`].
    pub every_s: u64,
    /// The secret that signs notices; without one, none is heard.
    pub secret: Option<Secret>,
    /// What sm is called where it reports: `BOX.MODULE`.
    pub reporter: String,
    /// The way to the director's ledger; without one nothing is reported.
    pub reports: Option<Arc<dyn Reports>>,
    /// For what spreads boxes over time.
    pub entropy: Arc<dyn Entropy>,
}

/// Follows by itself.
pub(crate) struct Following {
    pub(crate) setting: Setting,
    now: Mutex<State>,
}

#[derive(Default)]
struct State {
    standing: Option<Standing>,
    // The number that was heard last of each repository: what is repeated is no news.
    heard: BTreeMap<Digest, u64>,
    // How many notices were news.
    notices: u64,
    // When reports are sent that were not taken, and how often they were not.
    send_at: Option<UnixTime>,
    not_taken: u32,
}

pub(crate) fn place() -> Digest {
    sha256(b"cradle: how following stands")
}

impl Standing {
    /// How following stood last; none if it never began.
    ///
    /// # Errors
    /// [`StoreFault`]
    pub fn of(store: &dyn SoftwareStore) -> Result<Option<Self>, StoreFault> {
        let mut kept = store.trusted(Module::Software, place())?;
        let Some(octets) = kept.remove(STANDING) else { return Ok(None) };
        serde_json::from_slice(&octets).map(Some).map_err(|_| StoreFault::Corrupt("how following stands"))
    }

    fn keep(&self, store: &dyn SoftwareStore) -> Result<(), StoreFault> {
        let octets = serde_json::to_vec(self).map_err(|_| StoreFault::Corrupt("how following stands"))?;
        let file = TrustedFile { repository: place(), name: STANDING.to_owned(), octets: Some(octets) };
        store.keep_trusted(Module::Software, &[file])
    }
}

impl Following {
    pub(crate) fn new(setting: Setting) -> Self {
        Self { setting, now: Mutex::default() }
    }

    fn locked(&self) -> MutexGuard<'_, State> {
        self.now.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn random(&self) -> u16 {
        u16::from_be_bytes(random(self.setting.entropy.as_ref()))
    }
}

impl Software {
    /// Follows the repositories of the settings if it is time, and `may` says yes. For whoever runs sm: called a few times in a second. Says whether it was
    /// tried.
    ///
    /// How it went is kept; of a refusal that is the same as the last one there is no other entry in the log. What was begun ends as soon as `may`
    /// says no, and is no failure then.
    /// # Errors
    /// [`Fault::Unavailable`] if it cannot be kept how it went.
    pub fn look(&self, may: &May) -> Result<bool, Fault> {
        let Some(following) = &self.following else { return Ok(false) };
        let standing = self.standing(following)?;
        if !standing.is_due(self.parts.clock.now()) || !may() {
            self.report(following, may)?;
            return Ok(false);
        }
        let notices = following.locked().notices;
        let before = standing.failed.as_ref().map(|failed| failed.what.clone());
        let outcome = self.parts.sources.open(&following.setting.source).map(|from| while_it_may(from, may));
        let outcome = outcome.and_then(|from| self.follow(&from, before.as_deref()));
        let now = self.parts.clock.now();
        let tried = |standing: Standing| match &outcome {
            Ok(Outcome::Kept(_)) => standing.succeeded(now, following.random()),
            Ok(Outcome::Refused { reason, what }) => {
                standing.failed(&Fault::from(*reason), what, now, following.random())
            }
            Err(fault) => standing.failed(fault, &fault.to_string(), now, following.random()),
        };
        if outcome.is_err() && !may() {
            return Ok(true);
        }
        // What was published while it looked, it may have missed.
        let is_news = following.locked().notices != notices;
        let again = |standing: Standing| if is_news { standing.noticed(now, following.random()) } else { standing };
        self.set(following, |standing| again(tried(standing)))?;
        following.locked().send_at = None;
        self.report(following, may)?;
        Ok(true)
    }

    /// Sends what waits to be reported, if it is time.
    fn report(&self, following: &Following, may: &May) -> Result<(), Fault> {
        let now = self.parts.clock.now();
        {
            let state = following.locked();
            // Before the first look it is not known to whom they are sealed.
            if state.send_at.is_some_and(|at| at > now) || state.standing.as_ref().is_none_or(|s| s.tried_at.is_none())
            {
                return Ok(());
            }
        }
        if following.setting.reports.is_none() || !may() {
            return Ok(());
        }
        let (waiting, why) = self.send_reports(following, may)?;
        let mut state = following.locked();
        state.not_taken = if why.is_some() { state.not_taken.saturating_add(1) } else { 0 };
        let every_s = following.setting.every_s;
        state.send_at = Some(if waiting > 0 { again(now, state.not_taken, every_s) } else { now.plus_s(every_s) });
        let standing = state.standing.clone().unwrap_or_default();
        let changed =
            Standing { reports_waiting: u64::try_from(waiting).unwrap_or(u64::MAX), reports_why: why, ..standing };
        if state.standing.as_ref() != Some(&changed) {
            changed.keep(self.parts.store.as_ref())?;
            state.standing = Some(changed);
        }
        Ok(())
    }

    /// Hears that there is news: it looks soon. Nothing is believed of it but that.
    ///
    /// # Errors
    /// [`Fault::Malformed`]; [`Reason::NothingFollowed`] if this box looks for nothing by itself, hears no notices, or follows another repository;
    /// [`Reason::SignatureInvalid`], [`Reason::OutOfTime`].
    pub fn hear(&self, call: &HearNotice) -> Result<Heard, Fault> {
        let nothing = Reason::NothingFollowed;
        let following = self.following.as_ref().ok_or(nothing)?;
        let secret = following.setting.secret.as_ref().ok_or(nothing)?;
        let primary = self.parts.primary.as_ref().ok_or(nothing)?;
        let HearNotice { id, timestamp, signature, body } = call.clone();
        let now = self.parts.clock.now();
        let notice = Sent { id, timestamp, signature, body: body.0 }.verify(secret, now);
        let notice = notice.map_err(|bad| match bad {
            BadNotice::Malformed => Fault::malformed("it is no notice"),
            BadNotice::Signature => Reason::SignatureInvalid.into(),
            BadNotice::OutOfTime => Reason::OutOfTime.into(),
            BadNotice::Another => nothing.into(),
        })?;
        let followed = [Repository::Images, Repository::Director].map(|one| primary.repository(one));
        if !followed.contains(&Some(notice.of)) {
            return Err(nothing.into());
        }
        self.standing(following)?;
        {
            let mut state = following.locked();
            if state.heard.insert(notice.of, notice.number) == Some(notice.number) {
                return Ok(Heard::Known);
            }
            state.notices += 1;
        }
        self.set(following, |standing| standing.noticed(now, following.random()))?;
        Ok(Heard::New)
    }

    fn standing(&self, following: &Following) -> Result<Standing, Fault> {
        let mut state = following.locked();
        if let Some(standing) = &state.standing {
            return Ok(standing.clone());
        }
        let kept = Standing::of(self.parts.store.as_ref())?.unwrap_or_default();
        let begun = kept.begun(following.setting.every_s, self.parts.clock.now(), following.random());
        begun.keep(self.parts.store.as_ref())?;
        state.standing = Some(begun.clone());
        Ok(begun)
    }

    // What was heard meanwhile stays heard: the change is made to what is kept now.
    fn set(&self, following: &Following, change: impl FnOnce(Standing) -> Standing) -> Result<(), Fault> {
        let mut state = following.locked();
        let changed = change(state.standing.clone().unwrap_or_default());
        changed.keep(self.parts.store.as_ref())?;
        state.standing = Some(changed);
        Ok(())
    }
}

/// Files that come only while a network may be reached.
struct WhileItMay {
    files: Box<dyn Files>,
    may: May,
}

fn while_it_may(from: Repositories, may: &May) -> Repositories {
    let held = |files| -> Box<dyn Files> { Box::new(WhileItMay { files, may: Arc::clone(may) }) };
    let Repositories { images, targets, director } = from;
    Repositories { images: held(images), targets: held(targets), director: director.map(held) }
}

const NOT_NOW: &str = "the mode lets no network be reached any more";

impl Files for WhileItMay {
    fn fetch(&self, path: &str, len_max: u64) -> Result<Vec<u8>, NotFetched> {
        match (self.may)() {
            true => self.files.fetch(path, len_max),
            false => Err(NotFetched::Unreachable(NOT_NOW.to_owned())),
        }
    }
    fn open(&self, path: &str, len_max: u64) -> Result<Box<dyn Read + Send>, NotFetched> {
        match (self.may)() {
            true => {
                let source = self.files.open(path, len_max)?;
                Ok(Box::new(ReadWhileItMay { source, may: Arc::clone(&self.may) }))
            }
            false => Err(NotFetched::Unreachable(NOT_NOW.to_owned())),
        }
    }
}

struct ReadWhileItMay {
    source: Box<dyn Read + Send>,
    may: May,
}

impl Read for ReadWhileItMay {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        if (self.may)() { self.source.read(into) } else { Err(io::Error::other(NOT_NOW)) }
    }
}
