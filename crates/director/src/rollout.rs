//! A roll-out: who gets a target first, who next, and when it stops by itself. Nothing here asks or tells anybody.

use crate::names::Name;
use crate::records::Device;
use model::DeviceType;
use serde::{Deserialize, Serialize};
use x509::sha256;

/// Who gets it at a stage.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Audience {
    /// The devices of a group: canaries.
    Group(Name),
    /// So many of a hundred, always the same ones for one roll-out, chosen by a hash of their names.
    Percent(u8),
}

/// A stage.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Stage {
    /// Who gets it, besides those of the stages before.
    pub audience: Audience,
    /// How many devices must have answered before it goes on.
    pub answers: u64,
}

/// What a device must have, or get with it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Requirement {
    /// Another component of the device.
    pub component: Name,
    /// Its release counter must not be below.
    pub release_counter: u64,
}

/// What a device must neither have nor get with it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Conflict {
    /// Another component of the device.
    pub component: Name,
    /// The target that it must not carry.
    pub image: String,
}

/// What is to be rolled out, as an operator writes it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Plan {
    /// What it is called.
    pub name: Name,
    /// Which target.
    pub image: String,
    /// For which component.
    pub component: Name,
    /// Of which devices.
    pub device_type: DeviceType,
    /// Of which group only, if not of all.
    #[serde(default)]
    pub group: Option<Name>,
    /// One after another.
    pub stages: Vec<Stage>,
    /// So many of a hundred answers must say that it is installed before it goes on.
    pub success_percent: u8,
    /// It halts by itself as soon as more of a hundred answers say that it failed.
    pub failure_percent: u8,
    /// What else a device must have.
    #[serde(default)]
    pub requires: Vec<Requirement>,
    /// What else a device must not have.
    #[serde(default)]
    pub conflicts: Vec<Conflict>,
}

impl Plan {
    /// Why it cannot be begun; `None` if it can.
    #[must_use]
    pub fn flaw(&self) -> Option<&'static str> {
        let percent = |stage: &Stage| match stage.audience {
            Audience::Percent(percent) => Some(percent),
            Audience::Group(_) => None,
        };
        let percents: Vec<u8> = self.stages.iter().filter_map(percent).collect();
        let rising = percents.windows(2).all(|pair| matches!(pair, [a, b] if a < b));
        if self.stages.is_empty() {
            return Some("it has no stage");
        }
        if self.stages.iter().any(|stage| stage.answers == 0) {
            return Some("a stage that nobody has to answer is over at once: answers must be 1 at least");
        }
        if percents.iter().any(|percent| !(1..=100).contains(percent)) || !rising {
            return Some("percentages must be 1 to 100, and rise from stage to stage");
        }
        if self.success_percent > 100 || self.failure_percent > 100 {
            return Some("success_percent and failure_percent must be 0 to 100");
        }
        if self.requires.iter().any(|one| one.component == self.component) {
            return Some("it requires something of its own component");
        }
        None
    }
}

/// How it stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum State {
    /// Devices get it.
    Running,
    /// An operator has stopped it.
    Paused,
    /// It has stopped by itself: too many devices failed.
    Halted,
    /// All stages are over: whoever is meant gets it.
    Finished,
}

/// What a device made of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// It carries the target.
    Installed,
    /// It was told so, and reported something else again and again.
    Failed,
}

/// How many devices answered what.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tally {
    /// So many carry it.
    pub installed: u64,
    /// So many do not, although they were told to.
    pub failed: u64,
}

impl Tally {
    const fn answers(self) -> u64 {
        self.installed.saturating_add(self.failed)
    }
    const fn count(&mut self, outcome: Outcome) {
        match outcome {
            Outcome::Installed => self.installed = self.installed.saturating_add(1),
            Outcome::Failed => self.failed = self.failed.saturating_add(1),
        }
    }
}

/// A roll-out, from its beginning on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rollout {
    plan: Plan,
    state: State,
    stage: usize,
    // What came since this stage began, or since it was resumed: by this it is judged.
    judged: Tally,
    // All that came.
    all: Tally,
    // Of all that came, so many were only said, and not signed.
    #[serde(default)]
    unsigned: u64,
    // The how-manieth of this director's roll-outs it is: what began later goes before.
    number: u64,
}

impl Rollout {
    /// Begins.
    ///
    /// # Errors
    /// What is wrong with the plan.
    pub fn begin(plan: Plan, number: u64) -> Result<Self, &'static str> {
        match plan.flaw() {
            Some(flaw) => Err(flaw),
            None => Ok(Self {
                plan,
                state: State::Running,
                stage: 0,
                judged: Tally::default(),
                all: Tally::default(),
                unsigned: 0,
                number,
            }),
        }
    }

    /// What was planned.
    #[must_use]
    pub const fn plan(&self) -> &Plan {
        &self.plan
    }
    /// How it stands.
    #[must_use]
    pub const fn state(&self) -> State {
        self.state
    }
    /// At which stage it is, from 0.
    #[must_use]
    pub const fn stage(&self) -> usize {
        self.stage
    }
    /// What all devices made of it.
    #[must_use]
    pub const fn all(&self) -> Tally {
        self.all
    }
    /// Of what devices made of it, so much was only said, and not signed.
    #[must_use]
    pub const fn unsigned(&self) -> u64 {
        self.unsigned
    }
    /// The how-manieth it is.
    #[must_use]
    pub const fn number(&self) -> u64 {
        self.number
    }

    /// Whether a device is meant at all, at whatever stage.
    #[must_use]
    pub fn means(&self, device: &Device) -> bool {
        device.id.device_type == self.plan.device_type
            && self.plan.group.as_ref().is_none_or(|group| device.groups.contains(group))
    }

    /// Whether a device gets it that does not have it yet.
    #[must_use]
    pub fn gives(&self, device: &Device) -> bool {
        let begun = self.plan.stages.iter().take(self.stage.saturating_add(1));
        self.means(device)
            && match self.state {
                State::Running => begun.into_iter().any(|stage| self.is_in(device, &stage.audience)),
                State::Finished => true,
                State::Paused | State::Halted => false,
            }
    }

    fn is_in(&self, device: &Device, audience: &Audience) -> bool {
        match audience {
            Audience::Group(group) => device.groups.contains(group),
            Audience::Percent(percent) => self.place(device) < u64::from(*percent) * 100,
        }
    }

    // Where a device stands among ten thousand, the same at each stage; another place for each roll-out.
    fn place(&self, device: &Device) -> u64 {
        let digest = sha256(format!("{}\n{}", self.plan.name, device.id).as_bytes());
        let number = digest.octets().iter().take(8).fold(0_u64, |number, octet| number << 8 | u64::from(*octet));
        number % 10_000
    }

    /// Hears what one device more made of it. Each device is to be counted once.
    pub fn report(&mut self, outcome: Outcome) {
        self.all.count(outcome);
        self.judged.count(outcome);
        if self.state != State::Running {
            return;
        }
        let Some(stage) = self.plan.stages.get(self.stage) else { return };
        // Failures count as of all who must answer: so it halts before all of them have failed, and not for the first one.
        let answers = self.judged.answers();
        if self.judged.failed.saturating_mul(100) > u64::from(self.plan.failure_percent) * answers.max(stage.answers) {
            self.state = State::Halted;
        } else if answers >= stage.answers
            && self.judged.installed.saturating_mul(100) >= u64::from(self.plan.success_percent) * answers
        {
            self.judged = Tally::default();
            self.stage += 1;
            if self.stage >= self.plan.stages.len() {
                self.state = State::Finished;
            }
        }
    }

    /// Hears what one device more says, without a signature, that it made of it. It counts as much, and is told apart.
    pub fn report_unsigned(&mut self, outcome: Outcome) {
        self.unsigned = self.unsigned.saturating_add(1);
        self.report(outcome);
    }

    /// Stops it. Who has the target keeps it.
    ///
    /// # Errors
    /// How it stands, if it does not run.
    pub const fn pause(&mut self) -> Result<(), State> {
        match self.state {
            State::Running => {
                self.state = State::Paused;
                Ok(())
            }
            state => Err(state),
        }
    }

    /// Goes on at the stage where it stopped; what came before is not held against it again.
    ///
    /// # Errors
    /// How it stands, if it was not stopped.
    pub fn resume(&mut self) -> Result<(), State> {
        match self.state {
            State::Paused | State::Halted => {
                self.state = State::Running;
                self.judged = Tally::default();
                Ok(())
            }
            state => Err(state),
        }
    }
}
