//! `cradle serve`: what monitoring asks, over HTTP on loopback.

use super::Common;
use crate::config::Config;
use crate::fault::Result;
use crate::serve::{Watch, loopback, serve};
use serde_json::json;

/// Answer monitoring over HTTP, beside a running installation: /metrics, /status, /health.
///
/// Listens on loopback only and reads only, so commands that write work beside it. Ends on SIGTERM or SIGINT when those
/// who are being answered have their answers. /health has status 503 if a finding of `cradle status` is a failure.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Where to listen: a loopback address and a port, 0 for any free one.
    #[arg(long, default_value = "127.0.0.1:0", value_name = "ADDRESS:PORT", env = "CRADLE_LISTEN")]
    listen: String,
}

pub(crate) fn run(common: &Common, arguments: &Arguments) -> Result {
    let address = loopback(&arguments.listen)?;
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
