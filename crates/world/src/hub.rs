//! What everything in a world shares: the clock, chance, the log, the weather, and the oracle.

use crate::dice::Dice;
use crate::oracle::{Check, Oracle, Violation};
use crate::sabotage::Sabotage;
use model::UnixTime;
use ports::{Clock, Pause};
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

/// When each world begins.
pub const BEGIN: UnixTime = UnixTime::from_s(1_800_000_000);

/// A lock that no panic closes: a world that broke down is thrown away as a whole.
pub(crate) fn locked<T: ?Sized>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// How often what goes wrong, of a thousand times.
#[derive(Clone, Copy, Debug)]
#[expect(missing_docs, reason = "the names say what goes wrong")]
pub struct Weather {
    pub store: u64,
    pub crash: u64,
    pub signer: u64,
    pub bus: u64,
    pub between: u64,
    pub board: u64,
    pub clock: u64,
}

impl Weather {
    /// Each trouble is away, rare or frequent, so that some worlds come far and others learn to fall.
    fn of(dice: &mut Dice) -> Self {
        let mut rate = |frequent: u64| match dice.below(3) {
            0 => 0,
            1 => frequent / 4,
            _ => frequent,
        };
        Self {
            store: rate(30),
            crash: rate(25),
            signer: rate(100),
            bus: rate(300),
            between: rate(120),
            board: rate(100),
            clock: rate(1000),
        }
    }
}

/// A process of the world.
#[derive(Debug)]
pub struct Node {
    /// What it is called in the log.
    pub name: &'static str,
    dead: AtomicBool,
}

impl Node {
    /// One that lives.
    #[must_use]
    pub fn new(name: &'static str) -> Arc<Self> {
        Arc::new(Self { name, dead: AtomicBool::new(false) })
    }
    /// Whether it was killed. What it still does has no effect, and what it says is not heard.
    pub fn is_dead(&self) -> bool {
        self.dead.load(Ordering::Relaxed)
    }
    /// Kills it.
    pub fn kill(&self) {
        self.dead.store(true, Ordering::Relaxed);
    }
}

/// Something that happens in the middle of something else.
pub trait Between: Send + Sync {
    /// It happens now, while `node` is about to do `what`.
    fn happen(&self, node: &Node, what: &str);
}

/// What everything in a world shares.
pub struct Hub {
    /// What is broken on purpose, to see that it is found.
    pub sabotage: Option<Sabotage>,
    /// What was promised, and whether it is kept.
    pub oracle: Mutex<Oracle>,
    elapsed: AtomicU64,
    highest_ms: AtomicU64,
    offset_ms: AtomicU64,
    dice: Mutex<Dice>,
    weather: Mutex<Weather>,
    calm: AtomicBool,
    depth: AtomicU8,
    between: Mutex<Option<Weak<dyn Between>>>,
    /// After so many moments something happens in the middle, whatever the weather; 0: when it strikes.
    moments: AtomicU64,
    log: Option<Mutex<Vec<String>>>,
    verdict: Mutex<Option<Violation>>,
}

/// Whether a world writes down what happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Logging {
    /// Nothing.
    Off,
    /// Each event, call, fault and answer.
    On,
}

impl Hub {
    /// The hub of a seed.
    #[must_use]
    pub fn new(seed: u64, sabotage: Option<Sabotage>, logging: Logging) -> Arc<Self> {
        let mut dice = Dice::new(seed, "events");
        let weather = Weather::of(&mut dice);
        Arc::new(Self {
            sabotage,
            oracle: Mutex::default(),
            elapsed: AtomicU64::new(0),
            highest_ms: AtomicU64::new(0),
            offset_ms: AtomicU64::new(BEGIN.ms()),
            dice: Mutex::new(dice),
            weather: Mutex::new(weather),
            calm: AtomicBool::new(true),
            depth: AtomicU8::new(0),
            between: Mutex::new(None),
            moments: AtomicU64::new(0),
            log: (logging == Logging::On).then(Mutex::default),
            verdict: Mutex::new(None),
        })
    }

    /// Milliseconds since the world began, whatever its clocks say.
    #[must_use]
    pub fn elapsed_ms(&self) -> u64 {
        self.elapsed.load(Ordering::Relaxed)
    }
    /// Time passes.
    pub fn pass(&self, ms: u64) {
        self.elapsed.fetch_add(ms, Ordering::Relaxed);
    }
    /// Time passes until this moment.
    pub fn pass_until(&self, elapsed_ms: u64) {
        self.elapsed.fetch_max(elapsed_ms, Ordering::Relaxed);
    }
    /// The clock of the box jumps.
    pub fn jump(&self, to: UnixTime) {
        self.highest_ms.fetch_max(self.now().ms(), Ordering::Relaxed);
        self.offset_ms.store(to.ms().saturating_sub(self.elapsed_ms()), Ordering::Relaxed);
    }

    /// The latest moment that the clock ever showed.
    #[must_use]
    pub fn highest(&self) -> UnixTime {
        self.now().max(UnixTime::from_ms(self.highest_ms.load(Ordering::Relaxed)))
    }

    /// Rolls the dice of the world.
    pub fn dice(&self) -> MutexGuard<'_, Dice> {
        locked(&self.dice)
    }
    /// Whether something happens that happens so often in this weather.
    pub fn strikes(&self, rate: impl FnOnce(&Weather) -> u64) -> bool {
        if self.calm.load(Ordering::Relaxed) {
            return false;
        }
        let rate = rate(&locked(&self.weather));
        rate > 0 && self.dice().hits(rate)
    }
    /// From now on nothing goes wrong, or things go wrong again.
    pub fn be_calm(&self, calm: bool) {
        self.calm.store(calm, Ordering::Relaxed);
    }

    /// Who is asked what happens in the middle of something else.
    pub fn ask(&self, between: Weak<dyn Between>) {
        *locked(&self.between) = Some(between);
    }

    /// Lets something happen in the middle of whatever is done then, so many moments from now.
    pub fn happen_in(&self, moments: u64) {
        self.moments.store(moments, Ordering::Relaxed);
    }
    fn is_due(&self) -> bool {
        let left = self.moments.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1));
        left == Ok(1)
    }

    /// A moment at which a process can be killed, or another can do something.
    pub fn moment(&self, node: &Node, what: &str) {
        self.pass(1);
        if (self.is_due() || self.strikes(|w| w.between)) && self.depth.load(Ordering::Relaxed) == 0 {
            let between = locked(&self.between).as_ref().and_then(Weak::upgrade);
            if let Some(between) = between {
                self.depth.store(1, Ordering::Relaxed);
                self.log(|| format!("  {} is about to {what}; meanwhile", node.name));
                between.happen(node, what);
                self.depth.store(0, Ordering::Relaxed);
            }
        }
        if self.strikes(|w| w.crash) {
            self.log(|| format!("  {} is killed before {what}", node.name));
            node.kill();
        }
    }

    /// Whether this happens in the middle of something else.
    #[must_use]
    pub fn is_between(&self) -> bool {
        self.depth.load(Ordering::Relaxed) > 0
    }

    /// Writes down what happens.
    pub fn log(&self, line: impl FnOnce() -> String) {
        if let Some(log) = &self.log {
            let line = format!("{:>9} {}", self.elapsed_ms(), line());
            locked(log).push(line);
        }
    }
    /// What was written down.
    #[must_use]
    pub fn take_log(&self) -> Vec<String> {
        self.log.as_ref().map(|log| std::mem::take(&mut *locked(log))).unwrap_or_default()
    }

    /// What must hold does not hold. The first finding counts.
    pub fn blame(&self, check: Check, what: impl Into<String>) {
        let violation = Violation { check, what: what.into() };
        self.log(|| format!("!! {violation}"));
        locked(&self.verdict).get_or_insert(violation);
    }
    /// The same for what the oracle says.
    pub fn judge(&self, said: Result<(), Violation>) {
        if let Err(Violation { check, what }) = said {
            self.blame(check, what);
        }
    }
    /// What did not hold, if anything.
    #[must_use]
    pub fn verdict(&self) -> Option<Violation> {
        locked(&self.verdict).clone()
    }
}

impl Pause for Hub {
    fn pause(&self, ms: u64) {
        self.pass(ms);
    }
}

impl Clock for Hub {
    fn now(&self) -> UnixTime {
        UnixTime::from_ms(self.elapsed_ms().saturating_add(self.offset_ms.load(Ordering::Relaxed)))
    }
}
