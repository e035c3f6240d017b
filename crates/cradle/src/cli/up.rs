//! `cradle up`: a box whose modules run in processes of their own.

use super::Common;
use crate::api::{Desk, Listening, Owner};
use crate::compose::{Door, Installation, NoticeDoor, Role, Workshop, passphrase, supervise};
use crate::config::{Config, Places};
use crate::fault::{Failure, Result};
use crate::mode::Stay;
use crate::serve::host::ending;
use crate::serve::{Beside, Readiness, Watch, ask, loopback};
use adapters::clock::SystemClock;
use model::Module;
use ports::{Clock, Link};
use serde_json::json;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::Duration;
use zeroize::Zeroizing;

/// Run this box: its supervisor, and each module that the mode lets run in a process of its own.
///
/// For installations that were made with `cradle init --bus`: keeps the mode, hands out leases, starts a process again
/// that ends, and stops those that a change of mode has off. Where modules share one process, it is this one, with the door
/// to other networks that [gateway] in cradle.toml describes, if the mode has it on; other commands that write wait for its
/// end. With `[api]` there it answers programs of operators, as `cradle api` does. Ends on SIGTERM or SIGINT, when all have answered what they had begun.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Answer /live, /ready, /health, /metrics and /status there: a loopback address and a port, 0 for any free one.
    #[arg(long, value_name = "ADDRESS:PORT", env = "CRADLE_LISTEN")]
    listen: Option<String>,
    /// Ask the box that answers there whether it is ready, and end: with status 0, or with 3 and what is down.
    #[arg(long, requires = "listen")]
    check: bool,
}

/// Begins to answer there, if an address was named, before there is anything to tell.
pub(super) fn beside(common: &Common, listen: Option<&str>, readiness: &Arc<Readiness>) -> Result<Option<Beside>> {
    let Some(listen) = listen else { return Ok(None) };
    let address = loopback(listen)?;
    // What is no installation is a slip of the hand.
    Config::read(&common.data)?;
    Beside::start(address, Watch::new(common.data.clone()), Arc::clone(readiness)).map(Some)
}

pub(crate) fn run(common: &Common, arguments: &Arguments) -> Result {
    if let (true, Some(listen)) = (arguments.check, &arguments.listen) {
        let standing = ask(loopback(listen)?)?;
        return common.out().one(&standing, || "ready\n".to_owned());
    }
    let (_end, ended) = ending()?;
    let readiness = Arc::default();
    let beside = beside(common, arguments.listen.as_deref(), &readiness)?;
    let passphrase = passphrase(&Places::of(&common.data), common.passphrase_file.as_deref())?;
    let config = Config::read(&common.data)?;
    if config.bus.is_none() && (config.gateway.is_some() || config.software.is_some() || config.api.is_some()) {
        return in_one_process(common, passphrase, beside.as_ref(), &ended);
    }
    let owner = Owner::Each(passphrase.clone());
    let supervisor = supervise(&common.data, passphrase, common.log_arguments())?;
    let api = listening(common, &config, owner)?;
    readiness.begin(supervisor.readiness());
    let row = supervisor.row();
    let troubles = supervisor.troubles();
    let out = common.out();
    for trouble in &troubles {
        out.say(&format!("{trouble}"));
    }
    let down: Vec<_> = troubles.iter().map(|trouble| trouble.code).collect();
    let url = beside.as_ref().map(Beside::url);
    let said = json!({
        "mode": row.binding.current.to_string(), "epoch": row.epoch, "down": down, "url": url,
        "api": api.as_ref().map(Listening::words),
    });
    if out.is_human() {
        out.print(&format!("up: {}\n", row.binding))?;
        if let Some(url) = url {
            out.next(&format!("curl {url}/ready"));
        }
    } else {
        out.line(&said)?;
    }
    let _told = ended.recv();
    // First who asks, then who is asked.
    drop((api, beside));
    drop(supervisor);
    Ok(())
}

/// Answers programs of operators, if the settings want it.
fn listening(common: &Common, config: &Config, owner: Owner) -> Result<Option<Listening>> {
    let Some(api) = config.api else { return Ok(None) };
    Listening::start(&common.data, Desk::new(&common.data, owner)?, api.listen).map(Some)
}

/// How often it is looked whether the door may be open.
const LOOK: Duration = Duration::from_millis(250);

/// A box whose modules share this process, with its door to other networks.
fn in_one_process(
    common: &Common,
    passphrase: Zeroizing<Vec<u8>>,
    beside: Option<&Beside>,
    ended: &Receiver<()>,
) -> Result {
    crate::clock::check(&common.data, SystemClock.now())?;
    let workshop = Workshop::open_as(Role::Console, &common.data, passphrase)?;
    let installation = Arc::new(Installation::start_for(workshop, Stay::Up)?);
    let api = listening(common, &installation.workshop.config, Owner::Held(Arc::clone(&installation)))?;
    let row = installation.supervisor.row();
    let binding = row.binding;
    let has_door = installation.workshop.config.gateway.is_some();
    let mut doors = Doors::open(&installation)?;
    let taken = doors.notices.as_ref().and_then(NoticeDoor::address);
    let [https, http] = doors.door.as_ref().map(Door::addresses).unwrap_or_default();
    let out = common.out();
    let down: Vec<_> = installation.supervisor.troubles().iter().map(|trouble| trouble.code).collect();
    if out.is_human() {
        let at =
            |what: &str, address: Option<SocketAddr>| address.map(|at| format!("{what}{at}\n")).unwrap_or_default();
        let taken = at("notices are taken at ", taken);
        out.print(&format!("up: {binding}\n{}{}{taken}", at("https://", https), at("http://", http)))?;
        if has_door && [https, http] == [None, None] {
            out.say(
                "The gateway is off in this mode: nothing listens. `cradle mode set certificate-management` has it on.",
            );
        }
    } else {
        let url = beside.map(Beside::url);
        let mode = binding.current.to_string();
        out.line(&json!({
            "mode": mode, "epoch": row.epoch, "down": down, "url": url, "https": https, "http": http, "notices": taken,
            "api": api.as_ref().map(Listening::words),
        }))?;
    }
    while ended.recv_timeout(LOOK) == Err(RecvTimeoutError::Timeout) {
        doors.look(&installation);
    }
    // First nobody is let in any more, then the modules end.
    drop((api, doors));
    drop(installation);
    Ok(())
}

/// The doors of a box to other networks, and the gateway behind them: when the mode has it on again it is another one.
struct Doors {
    door: Option<Door>,
    notices: Option<NoticeDoor>,
    gateway: Option<Arc<Link>>,
}

impl Doors {
    /// Those that the settings want, open if the mode has them open.
    fn open(installation: &Installation) -> Result<Self> {
        let (workshop, binding) = (&installation.workshop, installation.supervisor.row().binding);
        let is_open = workshop.config.gateway.is_some() && binding.permits(Module::Authority);
        if binding.permits(Module::Gateway) && (is_open || wants_notices(installation)) {
            installation.supervisor.check_running(&[Module::Gateway])?;
        }
        let mut doors = Self::closed(installation)?;
        if let Some(door) = doors.door.as_mut().filter(|_| is_open) {
            // With a file that cannot be used km is not awake, and the reason would be told by nobody.
            workshop.cmp().map(drop).and(workshop.acme().map(drop))?;
            door.open_now()?;
        }
        if let Some(notices) = &mut doors.notices {
            notices.look();
        }
        Ok(doors)
    }

    /// Those of the gateway that runs now; none, if none does.
    fn closed(installation: &Installation) -> Result<Self> {
        let workshop = &installation.workshop;
        let Ok(link) = installation.supervisor.link(Module::Gateway) else {
            return Ok(Self { door: None, notices: None, gateway: None });
        };
        let door = workshop.config.gateway.is_some().then(|| Door::new(workshop, &link)).transpose()?;
        let notices = if wants_notices(installation) { NoticeDoor::new(workshop, &link) } else { None };
        Ok(Self { door, notices, gateway: Some(link) })
    }

    /// Opens and closes them, as the mode says.
    fn look(&mut self, installation: &Installation) {
        let running = installation.supervisor.link(Module::Gateway).ok();
        if running.as_ref().map(Arc::as_ptr) != self.gateway.as_ref().map(Arc::as_ptr) {
            // The sockets of the one before are closed first: both have the same addresses.
            (self.door, self.notices, self.gateway) = (None, None, None);
            match Self::closed(installation) {
                Ok(doors) => *self = doors,
                Err(Failure { code, what, why, .. }) => tracing::warn!(code, %what, %why, "no door is opened"),
            }
        }
        if let Some(door) = &mut self.door {
            door.look();
        }
        if let Some(notices) = &mut self.notices {
            notices.look();
        }
    }
}

fn wants_notices(installation: &Installation) -> bool {
    installation.workshop.config.software.as_ref().is_some_and(|software| software.notices.is_some())
}
