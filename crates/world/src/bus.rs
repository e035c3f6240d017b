//! A bus in the hands of somebody who wishes no good: it loses, repeats, delays, reorders and alters what it carries.

use crate::hub::{Hub, Node, locked};
use crate::witness::Witness;
use model::contract::{MESSAGE_LEN_MAX, Subject};
use model::{Module, UnixTime};
use ports::bus::{Bus, BusFault, Handler, Served};
use ports::{Clock, Link};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

/// Messages that are kept, to be brought again later.
const KEPT_MAX: usize = 24;

/// A message on its way.
#[derive(Clone)]
pub(crate) struct Letter {
    /// The oracle's tick at which it was sent, which is its name too.
    pub(crate) asked: u64,
    pub(crate) to: Module,
    pub(crate) subject: Subject,
    pub(crate) message: Arc<Vec<u8>>,
}

/// To whom a message goes that is brought a second time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Again {
    /// To the process that had it first, or the one that took its place.
    #[default]
    ToTheSame,
    /// To any that answers for the module.
    ToAny,
}

struct Seat {
    id: u64,
    module: Module,
    node: Arc<Node>,
    handler: Arc<dyn Handler>,
}

/// The bus.
pub struct LossyBus {
    hub: Arc<Hub>,
    witness: Witness,
    seats: Mutex<Vec<Seat>>,
    late: Mutex<Vec<Letter>>,
    kept: Mutex<Vec<Letter>>,
    aim: Mutex<Option<&'static str>>,
    again: Again,
    /// Who had which message first.
    first: Mutex<BTreeMap<u64, &'static str>>,
    /// Who answers what just now.
    busy: Mutex<Vec<(&'static str, Subject)>>,
}

impl LossyBus {
    /// A bus with nobody on it.
    #[must_use]
    pub fn new(hub: Arc<Hub>, witness: Witness, again: Again) -> Arc<Self> {
        let (seats, late, kept, aim, busy, first) = Default::default();
        Arc::new(Self { hub, witness, seats, late, kept, aim, again, first, busy })
    }

    /// One process's end of it.
    #[must_use]
    pub fn port(self: &Arc<Self>, node: &Arc<Node>) -> Arc<dyn Bus> {
        Arc::new(Port { bus: Arc::clone(self), node: Arc::clone(node) })
    }

    /// Who watches it.
    pub(crate) const fn witness(&self) -> &Witness {
        &self.witness
    }

    /// Makes a call of a link to one process, where several answer for its module.
    pub(crate) fn aimed<T>(&self, node: &'static str, call: impl FnOnce() -> T) -> T {
        *locked(&self.aim) = Some(node);
        let called = call();
        *locked(&self.aim) = None;
        called
    }

    /// What happens in the middle of an aimed call is not aimed.
    pub(crate) fn unaimed(&self, happen: impl FnOnce()) {
        let aim = locked(&self.aim).take();
        happen();
        *locked(&self.aim) = aim;
    }

    /// Brings a message that was held back, or one that arrived before.
    pub(crate) fn bring(&self) {
        let held = {
            let (mut late, mut dice) = (locked(&self.late), self.hub.dice());
            let n = usize::try_from(dice.below(u64::try_from(late.len()).unwrap_or(0))).unwrap_or(0);
            if late.is_empty() { None } else { Some(late.swap_remove(n)) }
        };
        let again = || self.hub.dice().pick(&locked(&self.kept)).cloned();
        let Some(letter) = held.or_else(again) else { return };
        self.hub.log(|| format!("  {} of tick {} arrives, late or again", letter.subject, letter.asked));
        let _nobody_waits = self.deliver(&letter);
    }

    /// Brings the last message of a subject once more, to one process.
    #[cfg(test)]
    pub(crate) fn bring_again(&self, subject: Subject, to: &'static str) {
        let last = locked(&self.kept).iter().rfind(|letter| letter.subject == subject).cloned();
        let _nobody_waits = last.map(|letter| self.aimed(to, || self.deliver(&letter)));
    }

    /// Hands a message to one of those who answer.
    fn deliver(&self, letter: &Letter) -> Result<Vec<u8>, BusFault> {
        let (node, handler) = self.answering(letter)?;
        self.keep(letter);
        locked(&self.first).entry(letter.asked).or_insert(node.name);
        locked(&self.busy).push((node.name, letter.subject));
        let reply = handler.handle(letter.subject, &letter.message);
        locked(&self.busy).pop();
        if node.is_dead() {
            self.hub.log(|| format!("  {} dies while it answers {}", node.name, letter.subject));
            return Err(BusFault::Late);
        }
        self.witness.answered(&self.hub, letter, &reply);
        Ok(reply)
    }

    fn answering(&self, letter: &Letter) -> Result<(Arc<Node>, Arc<dyn Handler>), BusFault> {
        let first = locked(&self.first).get(&letter.asked).copied().filter(|_| self.again == Again::ToTheSame);
        let aim = first.or(*locked(&self.aim));
        let (seats, busy) = (locked(&self.seats), locked(&self.busy));
        let fit = |seat: &&Seat| {
            seat.module == letter.to && !seat.node.is_dead() && aim.is_none_or(|aim| aim == seat.node.name)
        };
        // Who holds a lock while he answers is not asked for the same in the middle of it: on one thread he would wait
        // for himself.
        let is_free = |seat: &&Seat| {
            let locks = letter.subject == Subject::AuthorityOcsp;
            let same = |(name, subject): &(&str, Subject)| {
                *name == seat.node.name && (*subject == letter.subject && locks || letter.to == Module::Identity)
            };
            !busy.iter().any(same)
        };
        let fit: Vec<_> = seats.iter().filter(fit).collect();
        let free: Vec<_> = fit.iter().copied().filter(is_free).collect();
        let none = if fit.is_empty() { BusFault::Nobody } else { BusFault::Late };
        let seat = self.hub.dice().pick(&free).copied().ok_or(none)?;
        Ok((Arc::clone(&seat.node), Arc::clone(&seat.handler)))
    }

    fn keep(&self, letter: &Letter) {
        let mut kept = locked(&self.kept);
        if kept.len() >= KEPT_MAX {
            kept.remove(0);
        }
        kept.push(letter.clone());
    }

    /// Nobody answers in time. Some callers wait until their deadline.
    fn give_up(&self, deadline: UnixTime) -> Result<Vec<u8>, BusFault> {
        let wait = deadline.since_ms(self.hub.now());
        let patient = self.hub.dice().hits(150);
        self.hub.pass(if patient { wait } else { wait / 30 });
        Err(BusFault::Late)
    }

    fn carry(&self, letter: Letter, deadline: UnixTime) -> Result<Vec<u8>, BusFault> {
        if !self.hub.strikes(|w| w.bus) {
            return self.deliver(&letter);
        }
        let fate = self.hub.dice().below(8);
        self.hub.log(|| {
            format!(
                "  {} of tick {}: {}",
                letter.subject,
                letter.asked,
                FATES.get(usize::try_from(fate).unwrap_or(0)).unwrap_or(&"?")
            )
        });
        match fate {
            0 => self.give_up(deadline),
            1 => {
                let _unheard = self.deliver(&letter);
                self.give_up(deadline)
            }
            2 => {
                locked(&self.late).push(letter);
                self.give_up(deadline)
            }
            3 => {
                let first = self.deliver(&letter);
                let second = self.deliver(&letter);
                if self.hub.dice().hits(500) { first } else { second }
            }
            4 => {
                let altered = Letter { message: Arc::new(self.altered(&letter.message)), ..letter };
                self.deliver(&altered)
            }
            5 => self.deliver(&letter).map(|reply| self.altered(&reply)),
            6 => {
                self.bring();
                self.deliver(&letter)
            }
            _ => {
                let wait = self.hub.dice().between(100, 20_000);
                self.hub.pass(wait);
                self.deliver(&letter)
            }
        }
    }

    fn altered(&self, octets: &[u8]) -> Vec<u8> {
        let mut altered = octets.to_vec();
        let mut dice = self.hub.dice();
        let at = dice.below(u64::try_from(altered.len()).unwrap_or(0));
        let bit = dice.below(8);
        if let Some(octet) = usize::try_from(at).ok().and_then(|at| altered.get_mut(at)) {
            *octet ^= 1 << bit;
        }
        altered
    }
}

const FATES: [&str; 8] = [
    "lost",
    "its answer is lost",
    "held back",
    "delivered twice",
    "altered",
    "its answer is altered",
    "overtaken",
    "slow",
];

struct Port {
    bus: Arc<LossyBus>,
    node: Arc<Node>,
}

impl Bus for Port {
    fn call(&self, to: Module, subject: Subject, message: &[u8], deadline: UnixTime) -> Result<Vec<u8>, BusFault> {
        if message.len() > MESSAGE_LEN_MAX {
            return Err(BusFault::TooLong);
        }
        if self.node.is_dead() {
            return Err(BusFault::Late);
        }
        let hub = &self.bus.hub;
        let asked = locked(&hub.oracle).tick();
        let letter = Letter { asked, to, subject, message: Arc::new(message.to_vec()) };
        self.bus.witness.sent(hub, &letter);
        let answer = self.bus.carry(letter, deadline);
        if self.node.is_dead() { Err(BusFault::Late) } else { answer }
    }

    fn serve(&self, module: Module, handler: Arc<dyn Handler>) -> Result<Box<dyn Served>, BusFault> {
        let mut seats = locked(&self.bus.seats);
        let id = seats.last().map_or(0, |seat| seat.id) + 1;
        seats.push(Seat { id, module, node: Arc::clone(&self.node), handler });
        Ok(Box::new(Serving { bus: Arc::clone(&self.bus), id }))
    }
}

struct Serving {
    bus: Arc<LossyBus>,
    id: u64,
}

impl Served for Serving {}

impl Drop for Serving {
    fn drop(&mut self) {
        let gone: Vec<Seat> = locked(&self.bus.seats).extract_if(.., |seat| seat.id == self.id).collect();
        drop(gone);
    }
}

/// A module that answers.
pub(crate) struct Running {
    pub(crate) link: Arc<Link>,
    pub(crate) _served: Option<Box<dyn Served>>,
}
