//! The supervisor of this box, seen from another process.

use super::{Order, locked, signed};
use crate::compose::{Assembly, Workshop};
use crate::fault::{Exit, Failure, Result, While, of_trouble};
use model::contract::Call;
use model::contract::supervisor::{EnterMode, ShowMode, Shown};
use model::{Mode, Module, OperatorName};
use ports::Link;
use ports::link::verify_statement;
use ports::store::mode::ModeRow;
use std::sync::{Arc, Mutex};

/// How long is waited for what is answered at once.
const SOON_MS: u64 = 5_000;

/// The supervisor of this box, seen from another process.
pub(crate) struct Remote {
    assembly: Assembly,
    /// With which it is asked.
    link: Arc<Link>,
    shown: Mutex<Shown>,
}

impl Remote {
    /// Asks the supervisor for a lease and for the mode.
    pub(crate) fn reach(assembly: Assembly, link: Arc<Link>) -> Result<Self> {
        let nobody = |failure: Failure| match failure.code {
            "unavailable" => Failure::new(Exit::Unavailable, "not-up", "nobody keeps the mode of this box now")
                .because(failure.why)
                .next("start it with `cradle up`, and see whether the broker runs: `cradle bus check`"),
            _ => failure,
        };
        link.ask_lease().or_fail("asking the supervisor").map_err(nobody)?;
        let shown = link.call_within(&ShowMode {}, SOON_MS).or_fail("asking the supervisor")?;
        Ok(Self { assembly, link, shown: Mutex::new(shown) })
    }

    fn workshop(&self) -> &Workshop {
        &self.assembly.workshop
    }

    /// The mode of this box, as it was told last.
    pub(crate) fn row(&self) -> ModeRow {
        let shown = locked(&self.shown).clone();
        ModeRow { order: shown.order, statement: shown.statement, binding: shown.binding, epoch: shown.epoch }
    }

    /// Calls under the mode of this moment.
    pub(crate) fn call<C: Call>(&self, call: &C) -> std::result::Result<C::Reply, model::Fault> {
        self.link.ask_lease()?;
        self.link.call(call)
    }

    /// The same for what is answered at once: who does not answer soon is gone.
    pub(crate) fn call_soon<C: Call>(&self, call: &C) -> std::result::Result<C::Reply, model::Fault> {
        self.link.ask_lease()?;
        self.link.call_within(call, SOON_MS)
    }

    /// Has operators sign an order, and has it obeyed.
    pub(crate) fn order(&self, order: Order, operators: &[OperatorName], why: &str) -> Result<ModeRow> {
        self.refresh()?;
        let (now, directory) = (self.workshop().clock.now(), &self.assembly.directory);
        let epoch = verify_statement(&self.row().statement, directory, now).map_or(0, |said| said.epoch) + 1;
        let order = signed(self.workshop(), order, epoch, operators, why)?;
        self.told(self.call(&order).or_fail("ordering the mode")?)?;
        Ok(self.row())
    }

    /// Has the box enter a mode that its order covers.
    pub(crate) fn enter(&self, mode: Mode) -> Result {
        self.told(self.link.call(&EnterMode { mode }).or_fail(&format!("entering {mode}"))?)
    }

    /// Asks for the mode again.
    pub(crate) fn refresh(&self) -> Result {
        self.told(self.call_soon(&ShowMode {}).or_fail("asking the supervisor")?)
    }

    fn told(&self, shown: Shown) -> Result {
        let refused = shown.refused.as_ref().map(of_trouble);
        *locked(&self.shown) = shown;
        refused.map_or(Ok(()), Err)
    }

    /// Fails if one of these modules would run in this mode, and cannot.
    pub(crate) fn check_running(&self, modules: &[Module]) -> Result {
        let shown = locked(&self.shown);
        let down = shown.down.iter().find(|down| down.module.is_some_and(|module| modules.contains(&module)));
        down.map_or(Ok(()), |trouble| Err(of_trouble(trouble)))
    }

    /// What does not run and could.
    pub(crate) fn troubles(&self) -> Vec<Failure> {
        locked(&self.shown).down.iter().map(of_trouble).collect()
    }

    /// The end of another module of this box, for a process that acts as it.
    pub(crate) fn link(&self, module: Module) -> Result<Arc<Link>> {
        let assembly = Assembly::apart(self.workshop(), module)?;
        let link = assembly.link(module)?;
        link.ask_lease().or_fail(&format!("acting as {module}"))?;
        Ok(link)
    }
}
