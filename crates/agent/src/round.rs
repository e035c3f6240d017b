//! One round: what was installed is settled, what waits is delivered, both repositories are followed, what is for this device is
//! installed, and what is carried is reported. What fails for one component holds up no other.

use crate::commands::{About, Commands};
use crate::config::{ComponentConfig, Config, Places};
use crate::delta;
use crate::download::{Download, Verified};
use crate::fault::{Failure, INCOMPLETE, Result};
use crate::follow::follow;
use crate::report;
use crate::settle::{Next, Seen, next};
use crate::state::{Carried, ComponentState, Failed, PassedOver, Pending, Stage, State};
use adapters::files::{self, DirectoryLock};
use model::{Digest, UnixTime};
use serde::Serialize;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use update::tuf::HashFunction;
use update::uptane::Agreed;

/// Where images are that the agent keeps itself, and the notes of how far they have come.
pub(crate) const INCOMING: &str = "incoming";
/// How often an image is begun to be installed: a command that fails three times is not waiting for anything.
const TRIES_MAX: u32 = 3;
/// Longest word for one run of the machine.
const BOOT_LEN_MAX: u64 = 1024;

/// What became of a component in this round.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Became {
    /// It carries the image, confirmed.
    Installed,
    /// It is installed; the next start of the device runs it.
    WaitsForStart,
    /// It runs and is not confirmed: nothing else is installed.
    Unconfirmed,
    /// The device was told to go back to what it ran before.
    Reverting,
    /// The device runs again what it ran before.
    WentBack,
    /// It failed before, and is not tried again.
    Failed,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Row {
    pub(crate) component: String,
    pub(crate) target: String,
    pub(crate) release_counter: u64,
    pub(crate) became: Became,
}

/// What a round has come to.
#[derive(Debug, Default)]
pub(crate) struct Outcome {
    pub(crate) rows: Vec<Row>,
    pub(crate) failures: Vec<Failure>,
    /// What was done in another way than it might have been.
    pub(crate) notes: Vec<Failure>,
}

struct Round<'a> {
    config: &'a Config,
    lock: DirectoryLock,
    state: State,
    now: UnixTime,
    boot: String,
    outcome: Outcome,
}

/// What is noted of how far the image of a component has come.
pub(crate) fn note_of(config: &Config, component: &str) -> PathBuf {
    config.data.join(INCOMING).join(format!("{component}.pieces"))
}

fn kept_image(config: &Config, component: &str) -> PathBuf {
    config.data.join(INCOMING).join(format!("{component}.image"))
}

/// Does one round.
///
/// # Errors
/// If it could not be begun; what fails later is in the outcome.
pub(crate) fn round(config: &Config, now: UnixTime) -> Result<Outcome> {
    for directory in [config.data.clone(), config.data.join(INCOMING)] {
        files::private_directory(&directory).map_err(|e| Failure::file(&directory, &e))?;
    }
    let lock = alone(&config.data)?;
    let known = config.components.iter().map(|(name, component)| (name.as_str(), component.carries.as_ref()));
    let state = State::load(&config.data, known)?;
    let boot = files::read_bounded(&config.boot_id, BOOT_LEN_MAX).map_err(|e| Failure::file(&config.boot_id, &e))?;
    let boot = String::from_utf8_lossy(&boot).trim().to_owned();
    let mut round = Round { config, lock, state, now, boot, outcome: Outcome::default() };
    for (name, component) in &config.components {
        let settled = round.settle(name, component);
        round.hear(settled);
    }
    match config.places() {
        Ok(places) => round.ask(&places),
        Err(failure) => round.hear(Err(failure)),
    }
    Ok(round.outcome)
}

fn alone(directory: &Path) -> Result<DirectoryLock> {
    DirectoryLock::take(directory).map_err(|e| match e.kind() {
        ErrorKind::WouldBlock => Failure::new("in-use", format!("{} is in use", directory.display()))
            .because("another agent works with it, or a command that was started by one")
            .next("wait until it has ended"),
        _ => Failure::file(directory, &e),
    })
}

impl Round<'_> {
    fn hear(&mut self, done: Result) {
        let Err(failure) = done else { return };
        if failure.code == crate::fault::REFUSED {
            self.state.refuse(&failure, self.now);
            if let Err(unkept) = self.state.save(&self.config.data) {
                self.outcome.failures.push(unkept);
            }
        }
        self.outcome.failures.push(failure);
    }

    /// What needs the line.
    fn ask(&mut self, places: &Places) {
        let delivered = report::deliver(self.config, places, &mut self.state, self.now);
        self.hear(delivered);
        match follow(self.config, places, &mut self.state, &mut self.outcome.notes, self.now) {
            Ok(directed) => self.carry_out(&directed, places),
            Err(failure) => self.hear(Err(failure)),
        }
        let failed = self.outcome.rows.iter().filter(|row| matches!(row.became, Became::Failed | Became::WentBack));
        let failed: Vec<_> = failed.map(|row| row.component.clone()).collect();
        if report::is_needed(self.config, &self.state, &failed, self.now) && !report::is_waiting(self.config) {
            let reported = report::report(self.config, places, &mut self.state, self.now);
            self.hear(reported);
        }
    }

    fn save(&self) -> Result {
        self.state.save(&self.config.data)
    }

    fn commands<'c>(&'c self, component: &'c ComponentConfig) -> Commands<'c> {
        Commands { slots: &component.slots, lock: &self.lock }
    }

    fn component(&mut self, name: &str) -> &mut ComponentState {
        self.state.components.entry(name.to_owned()).or_default()
    }

    fn row(&mut self, name: &str, target: &str, release_counter: u64, became: Became) {
        let (component, target) = (name.to_owned(), target.to_owned());
        self.outcome.rows.retain(|row| row.component != component);
        self.outcome.rows.push(Row { component, target, release_counter, became });
    }

    /// Looks at what was installed before.
    fn settle(&mut self, name: &str, component: &ComponentConfig) -> Result {
        let Some(pending) = self.component(name).pending.clone() else { return Ok(()) };
        if pending.stage == Stage::Downloading {
            return Ok(());
        }
        let seen = Seen { current: self.commands(component).current(name)?, boot: self.boot.clone() };
        let became = |round: &mut Self, became| round.row(name, &pending.target, pending.release_counter, became);
        match next(&pending, &seen) {
            Next::Install => Ok(()),
            Next::Await if pending.stage == Stage::Reverting => {
                became(self, Became::Reverting);
                Ok(())
            }
            Next::Await => {
                became(self, Became::WaitsForStart);
                Ok(())
            }
            Next::Confirm => self.confirm(name, component, &pending),
            Next::Revert => self.revert(name, component, &pending, "it was not well"),
            Next::WentBack => self.went_back(name, &pending, "the device runs what it ran before"),
        }
    }

    fn confirm(&mut self, name: &str, component: &ComponentConfig, pending: &Pending) -> Result {
        let Some(carried) = pending.carried() else { return self.drop_pending(name) };
        let Err(failure) = self.commands(component).confirm(&about(name, pending)) else {
            return self.carries(name, carried);
        };
        self.row(name, &pending.target, pending.release_counter, Became::Unconfirmed);
        if component.slots.can_revert() {
            let why = failure.why.clone();
            self.hear(Err(failure));
            return self.revert(name, component, pending, &why);
        }
        Err(failure)
    }

    /// It is what the component carries from now on, and the measure of what comes.
    fn carries(&mut self, name: &str, carried: Carried) -> Result {
        let (target, counter) = (carried.target.clone(), carried.release_counter);
        let known = self.component(name);
        known.floor = known.floor.max(counter);
        known.carries = Some(carried);
        known.failed = None;
        self.drop_pending(name)?;
        self.row(name, &target, counter, Became::Installed);
        Ok(())
    }

    fn revert(&mut self, name: &str, component: &ComponentConfig, pending: &Pending, why: &str) -> Result {
        let boot = Some(self.boot.clone());
        self.component(name).pending = Some(Pending { stage: Stage::Reverting, boot, ..pending.clone() });
        self.save()?;
        self.row(name, &pending.target, pending.release_counter, Became::Reverting);
        self.commands(component).revert(&about(name, pending))?;
        let current = self.commands(component).current(name)?;
        if current.is_none() || current == pending.before {
            return self.went_back(name, pending, why);
        }
        Ok(())
    }

    fn went_back(&mut self, name: &str, pending: &Pending, why: &str) -> Result {
        self.fail(name, pending, why)?;
        self.row(name, &pending.target, pending.release_counter, Became::WentBack);
        Ok(())
    }

    // It is not installed again until something else is directed.
    fn fail(&mut self, name: &str, pending: &Pending, why: &str) -> Result {
        self.component(name).failed = Some(Failed {
            target: pending.target.clone(),
            release_counter: pending.release_counter,
            hash: pending.hash.clone(),
            why: why.to_owned(),
            at_s: self.now.s(),
            told: 0,
        });
        self.drop_pending(name)
    }

    fn drop_pending(&mut self, name: &str) -> Result {
        self.component(name).pending = None;
        self.save()?;
        delta::forget(self.config, name)?;
        Download::forget(&note_of(self.config, name))?;
        Download::forget(&kept_image(self.config, name))
    }

    fn carry_out(&mut self, directed: &[Agreed], places: &Places) {
        for (name, component) in &self.config.components {
            let mine = directed.iter().find(|agreed| agreed.components().iter().any(|id| id.as_str() == name));
            let done = match mine {
                Some(agreed) => self.take(name, component, agreed, places),
                None => self.nothing(name, component),
            };
            self.hear(done);
        }
    }

    // What is not directed any more does not come any further; what is installed is there.
    fn nothing(&mut self, name: &str, component: &ComponentConfig) -> Result {
        match self.component(name).pending.clone() {
            Some(pending) if matches!(pending.stage, Stage::Downloading | Stage::Installing { .. }) => {
                self.undo(name, component, &pending)?;
                self.drop_pending(name)
            }
            Some(_) | None => Ok(()),
        }
    }

    // What was begun to be installed may run after the next start already, and nobody would know.
    fn undo(&self, name: &str, component: &ComponentConfig, pending: &Pending) -> Result {
        match pending.stage {
            Stage::Installing { .. } => self.commands(component).revert(&about(name, pending)),
            Stage::Downloading | Stage::Unconfirmed | Stage::Reverting => Ok(()),
        }
    }

    /// Has a component carry what is directed.
    fn take(&mut self, name: &str, component: &ComponentConfig, agreed: &Agreed, places: &Places) -> Result {
        let (target, counter) = (agreed.target(), agreed.counter());
        let hash = target.hashes().naming();
        let known = self.component(name).clone();
        // Its other slot is what the device can go back to.
        if matches!(known.pending.as_ref().map(|p| p.stage), Some(Stage::Unconfirmed | Stage::Reverting)) {
            return Ok(());
        }
        if let Some(carried) = known.carries.filter(|carried| carried.length == target.length()) {
            let announced = target.hashes().of(HashFunction::Sha256).and_then(Digest::from_slice);
            if announced == Some(carried.sha256) {
                let now = Carried { target: target.name().to_owned(), release_counter: counter, ..carried.clone() };
                self.nothing(name, component)?;
                return if now == carried { Ok(()) } else { self.carries(name, now) };
            }
        }
        let is_it = |other: &str, other_counter, other_hash: &str| {
            other == target.name() && other_counter == counter && other_hash == hash
        };
        if known.failed.is_some_and(|failed| is_it(&failed.target, failed.release_counter, &failed.hash)) {
            self.row(name, target.name(), counter, Became::Failed);
            return self.nothing(name, component);
        }
        let begun = known.pending.filter(|p| is_it(&p.target, p.release_counter, &p.hash));
        if begun.is_none() {
            self.nothing(name, component)?;
        }
        let place = self.commands(component).inactive(name)?.unwrap_or_else(|| kept_image(self.config, name));
        let pending = match begun {
            Some(begun) => Pending { place, ..begun },
            None => Pending {
                target: target.name().to_owned(),
                release_counter: counter,
                length: target.length(),
                hash,
                sha256: None,
                stage: Stage::Downloading,
                place,
                before: None,
                boot: None,
            },
        };
        self.bring(name, component, pending, agreed, places)
    }

    /// Downloads, verifies and installs an image, from wherever this was left.
    fn bring(
        &mut self,
        name: &str,
        component: &ComponentConfig,
        mut pending: Pending,
        agreed: &Agreed,
        places: &Places,
    ) -> Result {
        let tries = match pending.stage {
            Stage::Installing { tries } => tries,
            Stage::Downloading | Stage::Unconfirmed | Stage::Reverting => 0,
        };
        if tries >= TRIES_MAX {
            self.row(name, &pending.target, pending.release_counter, Became::Failed);
            self.undo(name, component, &pending)?;
            return self.fail(name, &pending, "it could not be installed");
        }
        if self.component(name).pending.as_ref() != Some(&pending) {
            self.component(name).pending = Some(pending.clone());
            self.save()?;
        }
        let place = pending.place.clone();
        let pieces = self.config.privacy.pieces(agreed.target().length());
        let download = Download::new(agreed.target(), &place, note_of(self.config, name), pieces);
        let verified = match self.make(name, component, agreed, &download, places)? {
            Some(verified) => verified,
            None => download.run(&places.targets)?,
        };
        pending.sha256 = Some(verified.sha256());
        pending.before = self.commands(component).current(name)?;
        pending.boot = Some(self.boot.clone());
        pending.stage = Stage::Installing { tries: tries.saturating_add(1) };
        self.component(name).pending = Some(pending.clone());
        self.save()?;
        self.commands(component).install(&about(name, &pending))?;
        pending.stage = Stage::Unconfirmed;
        self.component(name).pending = Some(pending);
        self.save()?;
        self.settle(name, component)
    }

    /// Makes an image of the one that is carried. `None` if it is to be fetched as a whole, of which the operator is told once.
    fn make(
        &mut self,
        name: &str,
        component: &ComponentConfig,
        agreed: &Agreed,
        download: &Download<'_>,
        places: &Places,
    ) -> Result<Option<Verified>> {
        let known = self.component(name).clone();
        let image = agreed.target();
        if !component.slots.has_active() || known.passed_over.is_some_and(|one| one.hash == image.hashes().naming()) {
            return Ok(None);
        }
        let making = delta::Making {
            name,
            image,
            carried: known.carries.as_ref(),
            commands: self.commands(component),
            config: self.config,
        };
        let (delta, failure) = match making.run(download, places) {
            Ok(made) => return Ok(made),
            // The line broke: the next round goes on.
            Err((_, failure)) if failure.code == INCOMPLETE => return Err(failure),
            Err(failed) => failed,
        };
        delta::forget(self.config, name)?;
        Download::forget(&note_of(self.config, name))?;
        let (hash, why) = (image.hashes().naming(), failure.why.clone());
        self.component(name).passed_over = Some(PassedOver { delta, hash, why, at_s: self.now.s() });
        self.save()?;
        self.outcome.notes.push(failure);
        Ok(None)
    }
}

fn about(name: &str, pending: &Pending) -> About {
    About {
        component: name.to_owned(),
        image: pending.place.clone(),
        sha256: pending.sha256.map(|digest| digest.to_string()).unwrap_or_default(),
        release_counter: pending.release_counter,
    }
}
