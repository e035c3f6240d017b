//! What the supervisor does beside changes of mode: answers on the bus, renews, looks after processes.

use super::{Hosting, Running, Shared, locked};
use crate::fault::{Exit, Failure, Result, trouble_of};
use model::contract::Subject;
use model::contract::authority::Done;
use model::contract::supervisor::{AskLease, EnterMode, OrderMode, Seal, ShowMode, Shown};
use model::mode::{Binding, Leave, Order};
use model::{Fault, Mode, Reason};
use ports::Service;
use ports::directory::Caller;
use ports::link::answer;
use ports::store::ModeStore;
use serde_json::value::RawValue;
use std::sync::mpsc::{RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Arc, TryLockError};
use std::thread::JoinHandle;
use std::time::Duration;

/// Something that is done again and again, so many milliseconds apart, until this is dropped.
pub(crate) struct Ticking {
    stop: Option<SyncSender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Ticking {
    pub(crate) fn every(ms: u64, name: &str, mut tick: impl FnMut() + Send + 'static) -> Result<Self> {
        let (stop, stopped) = sync_channel::<()>(1);
        let thread = std::thread::Builder::new().name(name.to_owned()).spawn(move || {
            while stopped.recv_timeout(Duration::from_millis(ms)) == Err(RecvTimeoutError::Timeout) {
                tick();
            }
        });
        let thread = thread
            .map_err(|e| Failure::new(Exit::Unavailable, "thread", "the supervisor cannot be started").because(e))?;
        Ok(Self { stop: Some(stop), thread: Some(thread) })
    }
}

impl Drop for Ticking {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            let _ended_already = thread.join();
        }
    }
}

/// How long a process that does not come up is left alone, in looks: longer each time.
#[derive(Default)]
pub(super) struct Patience {
    tries: u32,
    wait: u32,
}

/// Ten seconds.
const WAIT_MAX: u32 = 50;

impl Patience {
    fn is_over(&mut self) -> bool {
        self.wait = self.wait.saturating_sub(1);
        self.wait == 0
    }
    fn tried(&mut self, came_up: bool) {
        self.tries = if came_up { 0 } else { self.tries.saturating_add(1) };
        self.wait = 1u32.checked_shl(self.tries).unwrap_or(WAIT_MAX).min(WAIT_MAX);
    }
}

impl Shared {
    /// Looks after the processes of modules: one that ended is started again, one that must be off is stopped.
    pub(super) fn look(self: &Arc<Self>, patience: &mut Patience) {
        let _changing = match self.changing.try_lock() {
            Ok(changing) => changing,
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            // Whoever changes the mode looks after them.
            Err(TryLockError::WouldBlock) => return,
        };
        for running in locked(&self.running).values_mut() {
            if let Running::Apart(there) = running {
                there.retain(|_, process| !process.has_ended());
            }
        }
        let binding = locked(&self.row).binding;
        self.stop(|module| !binding.permits(module));
        let wanted = |module| binding.leave(module) == Leave::On && self.runs_here(module) && !self.is_whole(module);
        let is_due = super::STARTED.into_iter().any(wanted) || locked(&self.not_left).is_some();
        if is_due && patience.is_over() {
            let began = self.start_missing();
            for (module, failure) in self.troubles() {
                tracing::warn!(module = ?module, code = failure.code, what = %failure.what, why = %failure.why, "down");
            }
            patience.tried(began.is_ok() && self.troubles().is_empty());
        }
    }

    /// Where modules run apart, certificates are made and revoked by other processes.
    pub(super) fn look_up_who_is_who(&self) {
        if matches!(self.hosting, Hosting::Apart(_))
            && let Ok(newer) = self.assembly.workshop.directory()
        {
            self.assembly.directory.replace(newer);
        }
    }

    fn shown(&self, refused: Option<&Failure>) -> Shown {
        let row = locked(&self.row).clone();
        let down = self.troubles().iter().map(|(module, failure)| trouble_of(*module, failure)).collect();
        let refused = refused.map(|failure| trouble_of(None, failure));
        Shown { order: row.order, statement: row.statement, binding: row.binding, epoch: row.epoch, down, refused }
    }
}

/// The supervisor on the bus.
pub(super) struct Answering(pub(super) Arc<Shared>);

impl Service for Answering {
    fn answer(&self, caller: &Caller, subject: Subject, body: &RawValue) -> std::result::Result<Box<RawValue>, Fault> {
        let shared = &self.0;
        match subject {
            Subject::ModeSeal => answer(body, |call| shared.seal(caller, &call)),
            Subject::ModeAsk => answer(body, |AskLease {}| {
                let row = locked(&shared.row).clone();
                Ok(shared.lease(caller.module, &row))
            }),
            Subject::ModeShow => answer(body, |ShowMode {}| Ok(shared.shown(None))),
            Subject::ModeOrder => {
                answer(body, |order: OrderMode| Ok(shared.shown(shared.take_order(&order).err().as_ref())))
            }
            Subject::ModeEnter => answer(body, |EnterMode { mode }| {
                let _changing = locked(&shared.changing);
                Ok(shared.shown(shared.enter_whole(mode).err().as_ref()))
            }),
            _ => Err(Reason::WrongSubject.into()),
        }
    }
}

impl Shared {
    fn seal(&self, caller: &Caller, Seal { reason }: &Seal) -> std::result::Result<Done, Fault> {
        let mut row = locked(&self.row);
        row.epoch = self.modes.seal(caller.module, *reason, self.now())?;
        (row.order, row.binding) = (Order::Stay(Mode::Sealed), Binding::settled(Mode::Sealed));
        // From here on every gate is closed; the modules are stopped when the one that called has returned.
        let unheard = self.renew(&row);
        if unheard.is_ok_and(|unheard| unheard.is_empty()) {
            return Ok(Done {});
        }
        Err(Fault::unavailable("not every module could be told; its lease will end"))
    }
}
