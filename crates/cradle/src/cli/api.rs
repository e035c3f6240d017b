//! `cradle api`: the operator API.

use super::Common;
use crate::api::{Desk, Listening, Owner, document};
use crate::compose;
use crate::config::{Config, Places};
use crate::fault::Result;
use crate::serve::host::ending;
use crate::serve::loopback;

/// Answer programs of operators, over a socket of this machine: what the command line does, as HTTP and JSON.
///
/// The socket is `api.sock` in the data directory. Processes of the directory's owner may ask there, and of root. For each thing that
/// is to be done the installation is opened as a command opens it, so commands work beside it; a box that runs with
/// `cradle up` answers there itself if cradle.toml has a section `[api]`. Ends on SIGTERM or SIGINT.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    verb: Option<Verb>,
    /// Answer there too: a loopback address and a port, 0 for any free one. Who asks there shows the token in `api/token`.
    #[arg(long, value_name = "ADDRESS:PORT")]
    listen: Option<String>,
}

#[derive(clap::Subcommand)]
enum Verb {
    /// Print the description of the API, in OpenAPI 3.1.
    Openapi,
}

pub(crate) fn run(common: &Common, arguments: &Arguments) -> Result {
    let out = common.out();
    if let Some(Verb::Openapi) = arguments.verb {
        return out.print(&format!("{:#}\n", document()));
    }
    let config = Config::read(&common.data)?;
    let named = arguments.listen.as_deref().map(loopback).transpose()?;
    let address = named.or_else(|| config.api.as_ref().and_then(|api| api.listen));
    let (_end, ended) = ending()?;
    let passphrase = compose::passphrase(&Places::of(&common.data), common.passphrase_file.as_deref())?;
    let desk = Desk::new(&common.data, Owner::Each(passphrase))?;
    let listening = Listening::start(&common.data, desk, address)?;
    if out.is_human() {
        let url = listening.url();
        let socket = listening.socket().display();
        out.print(&format!("{socket}\n{}", url.map(|url| format!("{url}\n")).unwrap_or_default()))?;
    } else {
        out.line(&listening.words())?;
    }
    let socket = listening.socket().display();
    out.next(&format!("curl --unix-socket {socket} http://localhost/v1/status"));
    let _told = ended.recv();
    drop(listening);
    Ok(())
}
