//! Running worlds by their seeds.

use crate::hub::Logging;
use crate::hub::locked;
use crate::oracle::{Check, Counts, Violation};
use crate::records::{Kind, Sqlite};
use crate::template::{Stuck, Template};
use crate::world::{Plan, World};
use std::fmt;
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

/// How many things happen in a world, if nobody says: enough for several restarts and changes of mode.
pub const STEPS: u64 = 60;

/// Runs worlds that begin alike.
pub struct Runner {
    kind: Arc<dyn Kind>,
    template: Arc<Template>,
}

/// What came of one seed.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// The seed.
    pub seed: u64,
    /// How many things happened: in the last of them a promise was broken, if one was.
    pub steps: u64,
    /// What does not hold, if anything.
    pub violation: Option<Violation>,
    /// What was looked at.
    pub counts: Counts,
    /// What happened, if it was to be written down.
    pub log: Vec<String>,
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for line in &self.log {
            writeln!(f, "{line}")?;
        }
        match &self.violation {
            None => write!(f, "seed {}: everything holds after {} steps", self.seed, self.steps),
            Some(violation) => write!(
                f,
                "seed {}: {violation}\nAgain: cargo run -p world -- --seed {} --steps {} --log",
                self.seed, self.seed, self.steps
            ),
        }
    }
}

impl Runner {
    /// A runner of worlds on the embedded store.
    ///
    /// # Errors
    /// [`Stuck`]
    pub fn new() -> Result<Self, Stuck> {
        Self::on(Arc::new(Sqlite))
    }

    /// A runner of worlds on another kind of store.
    ///
    /// # Errors
    /// [`Stuck`]
    pub fn on(kind: Arc<dyn Kind>) -> Result<Self, Stuck> {
        let template = Arc::new(Template::make(kind.as_ref())?);
        Ok(Self { kind, template })
    }

    /// Runs one world.
    #[must_use]
    pub fn run(&self, seed: u64, plan: Plan) -> Outcome {
        let stuck = |what: String| Violation { check: Check::World, what };
        let world = match World::new(seed, &self.template, &self.kind, plan) {
            Ok(world) => world,
            Err(Stuck(why)) => {
                let (counts, log) = Default::default();
                return Outcome { seed, steps: 0, violation: Some(stuck(why)), counts, log };
            }
        };
        let ran = catch_unwind(AssertUnwindSafe(|| world.run(plan.steps)));
        let (done, failed) = match ran {
            Ok(Ok(done)) => (done, None),
            Ok(Err(Stuck(why))) => (plan.steps, Some(stuck(why))),
            Err(_) => (plan.steps, Some(stuck("a module broke down".to_owned()))),
        };
        let violation = world.hub.verdict().or(failed);
        let counts = locked(&world.hub.oracle).counts;
        Outcome { seed, steps: done, violation, counts, log: world.hub.take_log() }
    }

    /// Runs worlds until a promise is broken. Gives what was looked at in all of them, or the one that failed with its
    /// log.
    ///
    /// # Errors
    /// The first that failed, run again so that its log can be read.
    pub fn run_all(&self, seeds: Range<u64>, plan: Plan) -> Result<Counts, Box<Outcome>> {
        let mut counts = Counts::default();
        for seed in seeds {
            let outcome = self.run(seed, plan);
            if outcome.violation.is_some() {
                return Err(Box::new(self.run(seed, Plan { logging: Logging::On, ..plan })));
            }
            counts = counts.plus(outcome.counts);
        }
        Ok(counts)
    }
}
