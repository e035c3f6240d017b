//! `cradle up`: a box whose modules run in processes of their own.

use super::Common;
use crate::compose::{passphrase, supervise};
use crate::config::{Config, Places};
use crate::fault::Result;
use crate::serve::host::ending;
use crate::serve::{Beside, Readiness, Watch, ask, loopback};
use serde_json::json;
use std::sync::Arc;

/// Run this box: its supervisor, and each module that the mode lets run in a process of its own.
///
/// For installations that were made with `cradle init --bus`. Keeps the mode, hands out leases, starts a process again
/// that ends, and stops those that a change of mode has off. Ends on SIGTERM or SIGINT, when all have answered what they
/// had begun.
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
    let supervisor = supervise(&common.data, passphrase, common.log_arguments())?;
    readiness.begin(supervisor.readiness());
    let row = supervisor.row();
    let troubles = supervisor.troubles();
    let out = common.out();
    for trouble in &troubles {
        out.say(&format!("{trouble}"));
    }
    let down: Vec<_> = troubles.iter().map(|trouble| trouble.code).collect();
    let url = beside.as_ref().map(Beside::url);
    let said = json!({"mode": row.binding.current.to_string(), "epoch": row.epoch, "down": down, "url": url});
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
    drop(beside);
    drop(supervisor);
    Ok(())
}
