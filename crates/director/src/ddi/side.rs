//! What is kept of a device that is served over DDI, and what follows from what it says. Nothing here asks or tells anybody.

use super::said::{Change, Feedback};
use crate::names::Name;
use crate::rollout::Outcome;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// So many lines are kept of what a device says of an action before it ends.
const SAID_MAX: usize = 16;
/// Most attributes of a device.
const ATTRIBUTES_MAX: usize = 100;

/// What a device has said of a component, unsigned.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claim {
    /// The target that it was given.
    pub image: String,
    /// Its release counter.
    pub release_counter: u64,
    /// When it said so, in seconds since 1970.
    pub at_s: u64,
    /// What it said besides, shortened.
    pub details: Vec<String>,
}

/// What a device has said of itself, unsigned.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Account {
    /// What it says that it has installed.
    pub installed: BTreeMap<Name, Claim>,
    /// What it says that it could not install, and is not given again.
    pub failed: BTreeMap<Name, Claim>,
    /// What it says of itself.
    pub attributes: BTreeMap<String, String>,
}

/// How far an action is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum Stand {
    /// The device was told that there is one.
    Offered,
    /// It knows what is in it.
    Begun,
    /// It is to leave it alone, and has not said that it does.
    Withdrawn,
}

/// Targets for the components of a device.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Action {
    number: u32,
    gives: BTreeMap<Name, String>,
    stand: Stand,
    // What it has said of it on the way, the last lines.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    said: Vec<String>,
}

/// How an action ended; without an outcome if it was withdrawn.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Ended {
    number: u32,
    outcome: Option<Outcome>,
}

/// What is kept of a device that is served over DDI.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Side {
    open: Option<Action>,
    ended: Option<Ended>,
    installed: Option<Action>,
    pub(super) claims: BTreeMap<Name, Claim>,
    pub(super) failures: BTreeMap<Name, Claim>,
    // What it had begun with and left alone when it was told to: perhaps it had installed it by then.
    left: BTreeMap<Name, String>,
    attributes: BTreeMap<String, String>,
}

/// What a device is told when it asks whether there is something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Polled {
    pub(super) deployment: Option<u32>,
    pub(super) cancel: Option<u32>,
    pub(super) installed: Option<u32>,
    /// Nothing is known of it yet.
    pub(super) is_unknown: bool,
}

/// What became of what a device said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Heard {
    /// There is no such action.
    Unknown,
    /// It ended already, in another way.
    Gone,
    /// It says nothing new.
    Nothing,
    /// It goes on, and what it said besides is to be kept.
    Said,
    /// An action ended. With what counts for roll-outs, if anything does.
    Ended(Option<(BTreeMap<Name, String>, Outcome)>),
}

impl Action {
    // The last lines of what it says on its way, each once. Whether any is new.
    fn with_said(mut self, details: Vec<String>) -> (Self, bool) {
        let before = self.said.clone();
        for line in details {
            if !self.said.contains(&line) {
                self.said.push(line);
            }
        }
        self.said.drain(..self.said.len().saturating_sub(SAID_MAX));
        let is_new = self.said != before;
        (self, is_new)
    }
}

impl Side {
    /// Goes on to what is wanted now; `number` is for a new action. Whether anything has changed.
    pub(super) fn turn(&mut self, wanted: &BTreeMap<Name, String>, number: u32) -> bool {
        let before = self.open.clone();
        let fresh = (!wanted.is_empty()).then(|| Action {
            number,
            gives: wanted.clone(),
            stand: Stand::Offered,
            said: Vec::new(),
        });
        self.open = match self.open.take() {
            None => fresh,
            Some(action) if action.gives == *wanted => match action.stand {
                Stand::Withdrawn => Some(Action { stand: Stand::Begun, ..action }),
                Stand::Offered | Stand::Begun => Some(action),
            },
            // Nobody has begun with it.
            Some(Action { stand: Stand::Offered, .. }) => fresh,
            Some(action) => Some(Action { stand: Stand::Withdrawn, ..action }),
        };
        self.open != before
    }

    pub(super) fn polled(&self) -> Polled {
        let open = |withdrawn: bool| {
            let action = self.open.as_ref().filter(|action| (action.stand == Stand::Withdrawn) == withdrawn);
            action.map(|action| action.number)
        };
        Polled {
            deployment: open(false),
            cancel: open(true),
            installed: self.installed.as_ref().map(|action| action.number),
            is_unknown: self.attributes.is_empty(),
        }
    }

    /// What an action gives that is to be installed now.
    pub(super) fn given(&self, number: u32) -> Option<&BTreeMap<Name, String>> {
        let open = self.open.as_ref().filter(|action| action.number == number && action.stand != Stand::Withdrawn);
        open.map(|action| &action.gives)
    }
    /// The device is told what is in the action that is open. Whether that is new.
    pub(super) fn begin(&mut self) -> bool {
        match &mut self.open {
            Some(action) if action.stand == Stand::Offered => {
                action.stand = Stand::Begun;
                true
            }
            _ => false,
        }
    }
    /// What the action gave that was installed last.
    pub(super) fn gave(&self, number: u32) -> Option<&BTreeMap<Name, String>> {
        self.installed.as_ref().filter(|action| action.number == number).map(|action| &action.gives)
    }
    /// Whether an action is to be left alone.
    pub(super) fn is_withdrawn(&self, number: u32) -> bool {
        self.open.as_ref().is_some_and(|action| action.number == number && action.stand == Stand::Withdrawn)
    }
    /// All targets that the device may fetch.
    pub(super) fn fetched(&self) -> impl Iterator<Item = &String> {
        let open = self.open.iter().filter(|action| action.stand != Stand::Withdrawn);
        open.chain(&self.installed).flat_map(|action| action.gives.values())
    }

    /// Hears what the device made of an action. `counter` tells the release counter of a target.
    pub(super) fn hear(&mut self, number: u32, feedback: Feedback, counter: impl Fn(&str) -> u64, at_s: u64) -> Heard {
        let Some(action) = self.open.take_if(|action| action.number == number) else {
            return self.heard_before(number, &feedback);
        };
        let (outcome, details) = match feedback {
            Feedback::Over { outcome, details } => (outcome, [action.said.as_slice(), &details].concat()),
            Feedback::Underway(details) => {
                let (action, is_new) = action.with_said(details);
                self.open = Some(action);
                return if is_new { Heard::Said } else { Heard::Nothing };
            }
        };
        if outcome == Outcome::Failed && action.stand == Stand::Withdrawn {
            // It was told to leave it alone meanwhile.
            self.ended = Some(Ended { number, outcome: None });
            return Heard::Ended(None);
        }
        self.ended = Some(Ended { number, outcome: Some(outcome) });
        for (component, image) in &action.gives {
            let claim = Claim { image: image.clone(), release_counter: counter(image), at_s, details: details.clone() };
            match outcome {
                Outcome::Installed => {
                    self.failures.remove(component);
                    self.left.remove(component);
                    self.claims.insert(component.clone(), claim);
                }
                Outcome::Failed => drop(self.failures.insert(component.clone(), claim)),
            }
        }
        let gives = action.gives.clone();
        if outcome == Outcome::Installed {
            self.installed = Some(action);
        }
        Heard::Ended(Some((gives, outcome)))
    }

    // Told once more, it is the same; told otherwise, or later, it is too late.
    fn heard_before(&self, number: u32, feedback: &Feedback) -> Heard {
        let Some(ended) = self.ended.as_ref().filter(|ended| ended.number == number) else { return Heard::Unknown };
        match feedback {
            Feedback::Over { outcome, .. } if ended.outcome.is_none_or(|before| before == *outcome) => Heard::Nothing,
            Feedback::Over { .. } | Feedback::Underway(_) => Heard::Gone,
        }
    }

    /// Hears what the device made of being told to leave an action alone.
    pub(super) fn hear_cancel(&mut self, number: u32, feedback: &Feedback) -> Heard {
        let leaves = matches!(feedback, Feedback::Over { outcome: Outcome::Installed, .. });
        if !self.is_withdrawn(number) {
            return match self.ended.as_ref().filter(|ended| ended.number == number) {
                Some(Ended { outcome: None, .. }) => Heard::Nothing,
                Some(Ended { outcome: Some(_), .. }) => Heard::Gone,
                None => Heard::Unknown,
            };
        }
        if !leaves {
            // It goes on with it, and says what became of it.
            return Heard::Nothing;
        }
        self.left.extend(self.open.take().into_iter().flat_map(|action| action.gives));
        self.ended = Some(Ended { number, outcome: None });
        Heard::Ended(None)
    }

    /// The components that perhaps carry a target: the device was told to install it, and has not said what became of it.
    pub(crate) fn perhaps(&self, image: &str) -> Vec<Name> {
        let open = self.open.iter().filter(|action| action.stand != Stand::Offered);
        let told = open.flat_map(|action| &action.gives).chain(&self.left).filter(|(_, given)| *given == image);
        told.map(|(component, _)| component.clone()).collect()
    }

    /// A component may be given again what it could not install. Whether there was such a thing.
    pub(super) fn forgive(&mut self, component: &Name) -> bool {
        self.failures.remove(component).is_some()
    }

    /// Changes what the device says of itself; `None` if that is too much. Whether anything has changed.
    pub(super) fn describe(&mut self, change: Change) -> Option<bool> {
        let mut attributes = self.attributes.clone();
        match change {
            Change::Merge(data) => attributes.extend(data),
            Change::Replace(data) => attributes = data,
            Change::Remove(data) => attributes.retain(|name, _| !data.contains_key(name)),
        }
        if attributes.len() > ATTRIBUTES_MAX {
            return None;
        }
        let is_other = attributes != self.attributes;
        self.attributes = attributes;
        Some(is_other)
    }

    /// Whether it has said what became of anything.
    pub(crate) fn has_spoken(&self) -> bool {
        !self.claims.is_empty() || !self.failures.is_empty()
    }

    pub(crate) fn account(self) -> Account {
        Account { installed: self.claims, failed: self.failures, attributes: self.attributes }
    }
}
