//! `cradle up`: a box whose modules run in processes of their own.

use super::Common;
use crate::compose::{passphrase, supervise};
use crate::config::Places;
use crate::fault::Result;
use crate::serve::host::ending;
use serde_json::json;

/// Run this box: its supervisor, and each module that the mode lets run in a process of its own.
///
/// For installations that were made with `cradle init --bus`. Keeps the mode, hands out leases, starts a process again
/// that ends, and stops those that a change of mode has off. Ends on SIGTERM or SIGINT, when all have answered what they
/// had begun.
#[derive(clap::Args)]
pub(crate) struct Arguments {}

pub(crate) fn run(common: &Common, _: &Arguments) -> Result {
    let (_end, ended) = ending()?;
    let passphrase = passphrase(&Places::of(&common.data), common.passphrase_file.as_deref())?;
    let supervisor = supervise(&common.data, passphrase, common.log_arguments())?;
    let row = supervisor.row();
    let troubles = supervisor.troubles();
    let out = common.out();
    for trouble in &troubles {
        out.say(&format!("{trouble}"));
    }
    let down: Vec<_> = troubles.iter().map(|trouble| trouble.code).collect();
    let said = json!({"mode": row.binding.current.to_string(), "epoch": row.epoch, "down": down});
    if out.is_human() {
        out.print(&format!("up: {}\n", row.binding))?;
    } else {
        out.line(&said)?;
    }
    let _told = ended.recv();
    drop(supervisor);
    Ok(())
}
