//! What happens in a world, and when.

use crate::hub::locked;
use crate::oracle::Check;
use crate::template::Stuck;
use crate::world::{PLACES, World};
use model::Mode;
use model::contract::authority::CertifyRequest;
use model::mode::Order;
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::ops::RangeInclusive;

/// Something that happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Event {
    Tray,
    Request,
    Verdict,
    Revoke,
    Hold,
    Release,
    List,
    Status,
    Import,
    Entitle,
    Mode,
    Clock,
    Post,
    Kill,
    PowerCut,
}

impl Event {
    const ALL: [Self; 15] = [
        Self::Tray,
        Self::Request,
        Self::Verdict,
        Self::Revoke,
        Self::Hold,
        Self::Release,
        Self::List,
        Self::Status,
        Self::Import,
        Self::Entitle,
        Self::Mode,
        Self::Clock,
        Self::Post,
        Self::Kill,
        Self::PowerCut,
    ];

    /// After how many seconds it happens again.
    const fn again_s(self) -> RangeInclusive<u64> {
        match self {
            Self::Request => 1..=8,
            Self::Status => 2..=9,
            Self::Verdict => 3..=15,
            Self::Tray | Self::List | Self::Post => 4..=20,
            Self::Revoke | Self::Hold | Self::Release => 5..=30,
            Self::Clock => 8..=30,
            Self::Mode | Self::Kill => 15..=60,
            Self::Import | Self::Entitle => 30..=150,
            Self::PowerCut => 40..=200,
        }
    }
}

/// What is to come: by time, and what was planned first of one moment.
#[derive(Default)]
struct Agenda {
    waiting: BinaryHeap<Reverse<(u64, u64, Event)>>,
    planned: u64,
}

impl Agenda {
    fn plan(&mut self, at_ms: u64, event: Event) {
        self.planned += 1;
        self.waiting.push(Reverse((at_ms, self.planned, event)));
    }
}

impl World {
    /// Lets so many things happen, or as many as it takes to break a promise; then brings everything to rest. Gives how
    /// many happened.
    ///
    /// # Errors
    /// [`Stuck`]
    pub fn run(&self, steps: u64) -> Result<u64, Stuck> {
        self.begin()?;
        self.hub.be_calm(false);
        let mut agenda = Agenda::default();
        for event in Event::ALL {
            self.plan(&mut agenda, event);
        }
        for step in 0..steps {
            let Some(Reverse((at_ms, _, event))) = agenda.waiting.pop() else { break };
            self.hub.pass_until(at_ms);
            self.keep_awake();
            self.hub.log(|| format!("step {step}: {event:?}"));
            self.act(event)?;
            self.plan(&mut agenda, event);
            self.revive();
            self.look_round()?;
            if self.hub.verdict().is_some() {
                return Ok(step + 1);
            }
        }
        self.hub.log(|| "everything comes to rest".to_owned());
        self.settle()?;
        Ok(steps)
    }

    fn plan(&self, agenda: &mut Agenda, event: Event) {
        let again = event.again_s();
        let wait = self.hub.dice().between(again.start() * 1000, again.end() * 1000);
        agenda.plan(self.hub.elapsed_ms() + wait, event);
    }

    /// Some boards are expected, and the station may vouch for some of them.
    fn begin(&self) -> Result<(), Stuck> {
        self.want_km()?;
        self.import(12)?;
        self.allow_several()?;
        self.entitle(6)
    }

    /// Who was killed comes back, sooner or later.
    fn revive(&self) {
        for place in PLACES {
            if self.hub.dice().hits(600) {
                self.start(place);
            }
        }
    }

    fn act(&self, event: Event) -> Result<(), Stuck> {
        match event {
            Event::Tray => self.tray(),
            Event::Request => self.request(),
            Event::Verdict => self.verdict(),
            Event::Revoke => self.revoke(),
            Event::Hold => self.hold(),
            Event::Release => self.release(),
            Event::List => self.list(),
            Event::Status => self.status(),
            Event::Import => {
                let more = self.hub.dice().between(1, 4);
                self.import(more)
            }
            Event::Entitle => {
                let quota = self.hub.dice().between(1, 12);
                self.entitle(u32::try_from(quota).unwrap_or(1))
            }
            Event::Mode => self.change_mode(),
            Event::Clock => {
                self.change_clock();
                Ok(())
            }
            Event::Post => {
                self.bus.bring();
                Ok(())
            }
            Event::Kill => {
                let place = self.hub.dice().pick(&PLACES).copied();
                if let Some((name, _)) = place {
                    self.hub.log(|| format!("{name} is killed"));
                    self.stop(name);
                }
                Ok(())
            }
            Event::PowerCut => self.restart(),
        }
    }

    /// The clock of the box is set: mostly onwards, now and then back.
    fn change_clock(&self) {
        if !self.hub.strikes(|w| w.clock) {
            return;
        }
        let kind = self.hub.dice().below(100);
        let mut dice = self.hub.dice();
        let (s, back) = match kind {
            0..60 => (dice.between(1, 3600), false),
            60..72 => (dice.between(86_400, 8 * 86_400), false),
            72..85 => (dice.between(1, 4), true),
            _ => (dice.between(30, 180), true),
        };
        drop(dice);
        let now = ports::Clock::now(self.hub.as_ref());
        let to = if back { now.minus_s(s) } else { now.plus_s(s) };
        self.hub.log(|| format!("  the clock goes from {now} to {to}"));
        self.hub.jump(to);
    }

    /// Nothing goes wrong any more: what is unknown becomes known, and everything is looked at.
    fn settle(&self) -> Result<(), Stuck> {
        self.hub.be_calm(true);
        self.hub.jump(self.hub.highest().plus_s(600));
        self.restart()?;
        self.order(Order::Provision)?;
        self.enter(Mode::ProvisionCertificate)?;
        let mut requests: Vec<CertifyRequest> = Vec::new();
        for request in locked(&self.requests).iter() {
            if !requests.contains(request) {
                requests.push(request.clone());
            }
        }
        // Fewer at once than the modules work on in parallel, where one number does not give one world.
        for few in requests.chunks(3) {
            self.keep_awake();
            if !self.repeat(few)? {
                self.hub.blame(Check::D4, "nobody says what became of a request, though nothing goes wrong any more");
            }
        }
        self.renew();
        self.list()?;
        self.restart()?;
        self.look_at_all()
    }
}
