//! What a device gets: of all that is meant for it, what it can carry, fits together, and goes forward.

use crate::names::Name;
use crate::records::{Assignment, Device};
use crate::rollout::{Plan, Rollout};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use update::uptane::Offer;

/// Whether a target may be given.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Standing {
    /// To whoever is meant.
    Offered,
    /// Only to who has it already.
    Deprecated,
    /// To nobody.
    Recalled,
}

/// A target that the director knows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Image {
    /// What the image repository says of it.
    pub offer: Offer,
    /// Whether it may be given.
    pub standing: Standing,
}

/// What a component has reported last.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Has {
    /// The name of its target.
    pub image: String,
    /// Its release counter.
    pub release_counter: u64,
    /// Whether it is word for word what the director knows under this name.
    pub known: bool,
}

/// All that may be given, and to whom.
#[derive(Debug, Default)]
pub struct Catalogue {
    /// The targets, by name.
    pub images: BTreeMap<String, Image>,
    /// What groups and types get. A group goes before a type, by its name.
    pub assignments: Vec<Assignment>,
    /// What is being rolled out. What began later goes before.
    pub rollouts: Vec<Rollout>,
}

/// A device, and what it has.
#[derive(Clone, Copy, Debug)]
pub struct Subject<'a> {
    /// The device.
    pub device: &'a Device,
    /// What its components reported last.
    pub has: &'a BTreeMap<Name, Has>,
}

/// What a component gets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chosen<'a> {
    /// Which target.
    pub image: &'a Image,
    /// By which roll-out, if by one.
    pub rollout: Option<&'a Rollout>,
}

type Choice<'a> = BTreeMap<&'a Name, Chosen<'a>>;

/// Chooses for each component of a device the first that fits: what is assigned to the device itself, what is rolled out,
/// what its groups get, what its type gets.
///
/// Never chosen: what was recalled, is for other hardware, or goes back behind what the component has.
#[must_use]
pub fn choose<'a>(subject: &Subject<'a>, catalogue: &'a Catalogue) -> Choice<'a> {
    let mut without = BTreeSet::new();
    // Each turn leaves out one roll-out for good, so there are no more turns than roll-outs.
    loop {
        let choice = first(subject, catalogue, &without);
        let unfit = choice.iter().find_map(|(component, chosen)| {
            let rollout = chosen.rollout?;
            // Who has it already has it with whatever else it has.
            (!subject.carries(component, chosen.image) && !fits(subject, &choice, rollout.plan()))
                .then(|| &rollout.plan().name)
        });
        match unfit {
            Some(name) => without.insert(name),
            None => return choice,
        };
    }
}

fn first<'a>(subject: &Subject<'a>, catalogue: &'a Catalogue, without: &BTreeSet<&Name>) -> Choice<'a> {
    let mut rollouts: Vec<&Rollout> = catalogue.rollouts.iter().collect();
    rollouts.sort_by_key(|rollout| std::cmp::Reverse(rollout.number()));
    let mut assignments: Vec<&Assignment> = catalogue.assignments.iter().collect();
    assignments.sort_by_key(|assignment| &assignment.scope);
    let mut choice = BTreeMap::new();
    for (component, about) in &subject.device.components {
        let own = subject.device.assigned.get(component).map(|image| (image, None));
        let rolled = rollouts.iter().filter(|rollout| {
            let plan = rollout.plan();
            plan.component == *component
                && !without.contains(&plan.name)
                && rollout.means(subject.device)
                && (rollout.gives(subject.device) || subject.has(component, &plan.image))
        });
        let rolled = rolled.map(|rollout| (&rollout.plan().image, Some(*rollout)));
        let assigned = assignments.iter().filter(|one| one.component == *component && one.scope.covers(subject.device));
        let assigned = assigned.map(|one| (&one.image, None));
        let chosen = own.into_iter().chain(rolled).chain(assigned).find_map(|(name, rollout)| {
            let image = catalogue.images.get(name)?;
            let may = match image.standing {
                Standing::Offered => true,
                Standing::Deprecated => subject.carries(component, image),
                Standing::Recalled => false,
            };
            let forward = subject.has.get(component).is_none_or(|has| image.offer.counter() >= has.release_counter);
            let right = image.offer.hardware_ids().contains(&about.hardware_id);
            (may && forward && right).then_some(Chosen { image, rollout })
        });
        if let Some(chosen) = chosen {
            choice.insert(component, chosen);
        }
    }
    choice
}

/// Whether a device has, or gets at the same time, what a plan requires, and nothing that is in conflict with it.
fn fits(subject: &Subject<'_>, choice: &Choice<'_>, plan: &Plan) -> bool {
    let required = plan.requires.iter().all(|required| {
        let has = subject.has.get(&required.component).map(|has| has.release_counter);
        let gets = choice.get(&required.component).map(|chosen| chosen.image.offer.counter());
        has.max(gets).is_some_and(|counter| counter >= required.release_counter)
    });
    let conflict = plan.conflicts.iter().any(|conflict| {
        let gets = choice.get(&conflict.component).is_some_and(|chosen| chosen.image.offer.name() == conflict.image);
        gets || subject.has(&conflict.component, &conflict.image)
    });
    required && !conflict
}

impl Subject<'_> {
    fn has(&self, component: &Name, image: &str) -> bool {
        self.has.get(component).is_some_and(|has| has.image == image)
    }
    fn carries(&self, component: &Name, image: &Image) -> bool {
        self.has.get(component).is_some_and(|has| has.known && has.image == image.offer.name())
    }
}
