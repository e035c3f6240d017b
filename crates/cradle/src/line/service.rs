//! The line in a process of its own: begun and watched over the bus.

use super::{Conductor, Job, Times, conduct, device_type};
use crate::compose::{Assembly, Workshop};
use crate::fault::{Failure, Result, trouble_of};
use crate::mode::Remote;
use model::contract::Subject;
use model::contract::authority::Done;
use model::contract::provisioning::{BoardReport, LineEnded, LineSeen, Progress, RunLine, WatchLine};
use model::mode::Order;
use model::{Fault, Mode, Module, Nonce, Reason};
use ports::directory::Caller;
use ports::link::answer;
use ports::{Link, Service};
use serde_json::value::RawValue;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// How long an answer waits for news.
const NEWS_WITHIN: Duration = Duration::from_secs(1);
/// Most reports in one answer.
const REPORTS_MAX: usize = 1000;

/// Takes boards through the line when it is asked to. One run at a time.
pub(crate) struct LineService {
    assembly: Assembly,
    link: Arc<Link>,
    run: Arc<Run>,
}

#[derive(Default)]
struct Run {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    run: Option<Nonce>,
    reports: Vec<BoardReport>,
    flash: Progress,
    certify: Progress,
    ended: Option<LineEnded>,
    news: u64,
}

impl Run {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
    fn change(&self, change: impl FnOnce(&mut State)) {
        let mut state = self.lock();
        change(&mut state);
        state.news += 1;
        self.changed.notify_all();
    }
}

impl LineService {
    pub(crate) fn new(assembly: Assembly, link: &Arc<Link>) -> Self {
        Self { assembly, link: Arc::clone(link), run: Arc::default() }
    }

    fn begin(&self, call: RunLine) -> std::result::Result<Done, Fault> {
        {
            let mut state = self.run.lock();
            if state.run == Some(call.run) {
                return Ok(Done {});
            }
            if state.run.is_some() && state.ended.is_none() {
                return Err(Fault::unavailable("the station is at work on another run"));
            }
            *state = State { run: Some(call.run), ..State::default() };
        }
        let (assembly, link, run) = (self.assembly.clone(), Arc::clone(&self.link), Arc::clone(&self.run));
        let working = std::thread::Builder::new().name("line".into()).spawn(move || {
            let _ended_whatever_happens = Ended(&run);
            let worked = work(assembly, link, &run, &call);
            run.change(|state| {
                let (times, trouble) = match &worked {
                    Ok(times) => (*times, None),
                    Err(failure) => (Times::default(), Some(trouble_of(None, failure))),
                };
                let Times { software_ms, certificates_ms } = times;
                state.ended = Some(LineEnded { software_ms, certificates_ms, trouble });
            });
        });
        working.map(|_| Done {}).map_err(|_| {
            *self.run.lock() = State::default();
            Fault::unavailable("the station cannot begin: the system gives it no thread")
        })
    }

    fn watch(&self, call: &WatchLine) -> std::result::Result<LineSeen, Fault> {
        let mut state = self.run.lock();
        if state.run != Some(call.run) {
            return Err(Reason::TransactionUnknown.into());
        }
        let from = usize::try_from(call.from).unwrap_or(usize::MAX);
        let news = state.news;
        let nothing = |state: &mut State| state.news == news && state.ended.is_none() && state.reports.len() <= from;
        if nothing(&mut state) {
            let waited = self.run.changed.wait_timeout_while(state, NEWS_WITHIN, nothing);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        let behind = state.reports.get(from..).unwrap_or_default();
        let reports: Vec<_> = behind.iter().take(REPORTS_MAX).cloned().collect();
        let ended = state.ended.clone().filter(|_| reports.len() == behind.len());
        Ok(LineSeen { reports, flash: state.flash, certify: state.certify, ended })
    }
}

/// Says of a run that broke down that it has ended.
struct Ended<'a>(&'a Run);

impl Drop for Ended<'_> {
    fn drop(&mut self) {
        if self.0.lock().ended.is_none() {
            let broke = Failure::new(crate::fault::Exit::Failed, "line", "the station broke down")
                .because("a fault of this program ended the run")
                .next("run it again; what is recorded stands. Please report what it logged");
            let trouble = Some(trouble_of(None, &broke));
            self.0.change(|state| state.ended = Some(LineEnded { software_ms: 0, certificates_ms: 0, trouble }));
        }
    }
}

fn work(assembly: Assembly, link: Arc<Link>, run: &Run, call: &RunLine) -> Result<Times> {
    let workshop: Workshop = assembly.workshop.clone();
    let remote = Remote::reach(assembly, Arc::clone(&link))?;
    let device_type = device_type(&workshop, &call.device_type)?;
    let boards_max = call.boards_max.map_or(usize::MAX, |max| usize::try_from(max).unwrap_or(usize::MAX));
    let operator = workshop.operator(Some(&call.operator))?;
    let job = Job { device_type, operator, boards_max };
    let watched = |flash, certify| run.change(|state| (state.flash, state.certify) = (flash, certify));
    let mut told = |report: BoardReport| {
        run.change(|state| state.reports.push(report));
        Ok(())
    };
    conduct(&workshop, &Apart { remote, link }, &job, &watched, &mut told)
}

/// The line asks the supervisor of its box for each change of mode.
struct Apart {
    remote: Remote,
    link: Arc<Link>,
}

impl Conductor for Apart {
    fn order(&self) -> Result<Order> {
        self.remote.refresh()?;
        Ok(self.remote.row().order)
    }
    fn enter(&self, mode: Mode) -> Result {
        self.remote.enter(mode)?;
        self.remote.check_running(&Module::ALL)
    }
    fn link(&self) -> Result<Arc<Link>> {
        Ok(Arc::clone(&self.link))
    }
}

impl Service for LineService {
    fn answer(&self, _: &Caller, subject: Subject, body: &RawValue) -> std::result::Result<Box<RawValue>, Fault> {
        match subject {
            Subject::ProvisioningRun => answer(body, |call| self.begin(call)),
            Subject::ProvisioningWatch => answer(body, |call: WatchLine| self.watch(&call)),
            _ => Err(Reason::WrongSubject.into()),
        }
    }
}
