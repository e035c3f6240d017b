//! `cradle serve`: what monitoring asks, over HTTP on loopback; or modules in a process of their own.

use super::Common;
use crate::compose;
use crate::config::{Config, Places};
use crate::fault::Result;
use crate::serve::host::{self, Hosted};
use crate::serve::{Watch, loopback, serve};
use model::Module;
use serde_json::json;
use std::sync::Arc;

/// Any free port of this machine.
const ANYWHERE: &str = "127.0.0.1:0";

/// Answer monitoring over HTTP, beside a running installation: /metrics, /status, /health.
///
/// Listens on loopback only and reads only, so commands that write work beside it. Ends on SIGTERM or SIGINT when those
/// who are being answered have their answers. /health has status 503 if a finding of `cradle status` is a failure.
///
/// With --modules it runs these modules on the bus instead, as `cradle up` does by itself. They answer while the
/// supervisor of their box gives them a lease, and end when it does not.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Where to listen: a loopback address and a port, 0 for any free one. With --modules only if it is named, for /live
    /// and /ready too.
    #[arg(long, value_name = "ADDRESS:PORT", env = "CRADLE_LISTEN")]
    listen: Option<String>,
    /// Run these modules on the bus: authority, gateway, identity, provisioning, software.
    #[arg(long, value_name = "MODULE", value_delimiter = ',', value_parser = hosted)]
    modules: Vec<Module>,
    /// Which of the processes of these modules on this box, from 1.
    #[arg(long, default_value_t = 1, requires = "modules")]
    number: usize,
    /// Take the passphrase from standard input, and end when that is closed.
    #[arg(long, hide = true, requires = "modules")]
    supervised: bool,
}

fn hosted(name: &str) -> std::result::Result<Module, String> {
    if name == Module::Gateway.name() { Ok(Module::Gateway) } else { module(name) }
}

pub(super) fn module(name: &str) -> std::result::Result<Module, String> {
    let may = [Module::Authority, Module::Identity, Module::Provisioning, Module::Software];
    let words = || may.map(|module| module.to_string()).join(", ");
    may.into_iter()
        .find(|module| module.name() == name)
        .ok_or_else(|| format!("modules that run apart are {}", words()))
}

fn run_modules(common: &Common, arguments: &Arguments) -> Result {
    let Arguments { modules, number, supervised, listen } = arguments;
    let (end, ended) = host::ending()?;
    if *supervised {
        let passphrase = host::lifeline(end)?;
        let started = Hosted::start(&common.data, modules, *number, passphrase);
        host::say(&started.as_ref().map(|_| modules.clone()).map_err(Clone::clone))?;
        return started?.run(&ended);
    }
    let passphrase = compose::passphrase(&Places::of(&common.data), common.passphrase_file.as_deref())?;
    let readiness = Arc::default();
    let _beside = super::up::beside(common, listen.as_deref(), &readiness)?.inspect(|beside| {
        common.out().next(&format!("curl {}/ready", beside.url()));
    });
    let hosted = Hosted::start(&common.data, modules, *number, passphrase)?;
    readiness.begin(hosted.readiness());
    host::say(&Ok(modules.clone()))?;
    hosted.run(&ended)
}

pub(crate) fn run(common: &Common, arguments: &Arguments) -> Result {
    if !arguments.modules.is_empty() {
        return run_modules(common, arguments);
    }
    let address = loopback(arguments.listen.as_deref().unwrap_or(ANYWHERE))?;
    // What is no installation now is a slip of the hand; one that vanishes later may come back.
    Config::read(&common.data)?;
    let out = common.out();
    serve(address, Watch::new(common.data.clone()), |at| {
        let url = format!("http://{at}");
        if out.is_human() {
            out.print(&format!("{url}\n"))?
        } else {
            out.line(&json!({"url": url}))?
        }
        out.next(&format!("curl {url}/metrics"));
        Ok(())
    })
}
